"""Every statement of the writer, compiled once: the text is a constant, the rows are executed in bulk.

The texts are the same on SQLite and PostgreSQL; only the marks of their parameters differ, see `run`.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    ClauseElement,
    Connection,
    CursorResult,
    Insert,
    Table,
    bindparam,
    cast,
    exists,
    func,
    select,
    text,
    update,
)
from sqlalchemy.dialects import sqlite

from robotrader.adapters.sql.schema import (
    CASTS,
    GIVEN_KEYS,
    journal,
    metadata,
    order_states,
    orders,
    positions,
    runs,
    signals,
)

Row = dict[str, Any]

_DIALECT = sqlite.dialect(paramstyle="named")


def _sql(statement: ClauseElement) -> str:
    return str(statement.compile(dialect=_DIALECT))


def _fields(table: Table) -> list[str]:
    return [column.name for column in table.columns if not column.primary_key or column.name in GIVEN_KEYS]


def _insert(table: Table) -> sqlite.Insert:
    return sqlite.insert(table).values({name: bindparam(name) for name in _fields(table)})


def _upsert(table: Table, *key: str) -> sqlite.Insert:
    """Insert, or replace everything but the key."""
    insert = _insert(table)
    changed = {name: insert.excluded[name] for name in _fields(table) if name not in key}
    return insert.on_conflict_do_update(index_elements=key, set_=changed)


def _insert_if_changed(table: Table, key: tuple[str, ...], content: tuple[str, ...]) -> Insert:
    """Insert a row unless the newest one of its key says the same."""
    newest = table.alias("newest")
    same_key = select(func.max(table.c.id)).where(*(table.c[name] == bindparam(name) for name in key))
    same = exists().where(
        newest.c.id == same_key.scalar_subquery(),
        *(newest.c[name] == bindparam(name) for name in content),
    )
    # PostgreSQL takes a bare parameter of a SELECT for text
    values = select(*(cast(bindparam(name), CASTS[table.c[name].info["kind"]]) for name in _fields(table))).where(~same)
    return Insert(table).from_select(_fields(table), values)


_NEW_EVENT = _insert(journal).on_conflict_do_nothing(
    index_elements=["type", "source_id"], index_where=text("source_id IS NOT NULL")
)

SQL: dict[str, str] = {
    **{name: _sql(_insert(table)) for name, table in metadata.tables.items()},
    "new_event": _sql(_NEW_EVENT),
    "conflicts": _sql(_insert(metadata.tables["conflicts"]).on_conflict_do_nothing()),
    "requests": _sql(_insert(metadata.tables["requests"]).on_conflict_do_nothing(index_elements=["id"])),
    "signals": _sql(_insert_if_changed(signals, ("strategy", "instrument"), ("strength",))),
    "order_states": _sql(_insert_if_changed(order_states, ("order_id",), ("state", "filled", "unresolved"))),
    "orders": _sql(_upsert(orders, "order_id")),
    "positions": _sql(_upsert(positions, "strategy", "instrument")),
    "run_started": _sql(update(runs).where(runs.c.run_id == bindparam("run")).values(started=bindparam("ts"))),
    "run_ended": _sql(update(runs).where(runs.c.run_id == bindparam("run")).values(ended=bindparam("ts"))),
    "head": """SELECT (SELECT max(epoch) FROM runs),
                      (SELECT max(seq) FROM journal),
                      (SELECT row_hash FROM journal ORDER BY seq DESC LIMIT 1)""",
    "chain": "SELECT * FROM journal WHERE seq > :after ORDER BY seq",
    "open_requests": """SELECT id AS request_id, action, reason, actor, strategy, instrument, change, approver
                        FROM requests AS r
                        WHERE NOT EXISTS (SELECT 1 FROM journal
                                          WHERE type = 'RequestReceived' AND source_id = r.id)
                        ORDER BY number""",
    "known": "SELECT seq, payload, payload_hash FROM journal WHERE type = :type AND source_id = :source_id",
    "executions": """SELECT quantity, price FROM fills AS f WHERE order_id = :order_id
                     AND revision = (SELECT max(revision) FROM fills WHERE exec_id = f.exec_id)""",
    "bar": """SELECT version, open, high, low, close, volume FROM bars
              WHERE instrument = :instrument AND spec = :spec AND ts_event = :ts_event
              ORDER BY version DESC LIMIT 1""",
    "new_run": """INSERT INTO runs (epoch, run_id, code_version)
                  SELECT coalesce(max(epoch), 0) + 1, :run_id, :code_version FROM runs RETURNING epoch""",
    "end_run": """UPDATE runs SET reason = :reason, last_seq = :seq, last_hash = :hash,
                  ended = coalesce(ended, (SELECT ts_init FROM journal WHERE seq = :seq)) WHERE run_id = :run_id""",
}
"""Statement texts by name: a table's own name inserts a row of it."""


def run(
    connection: Connection, name: str, values: Mapping[str, Any] | Sequence[Row] = ()
) -> CursorResult[*tuple[Any, ...]]:
    """Execute a statement: once with the values of a row, or in bulk with rows. It takes the fields that it names."""
    if connection.dialect.name == "sqlite":
        return connection.exec_driver_sql(SQL[name], values or None)
    statement, fields = _numbered(SQL[name])
    if isinstance(values, Mapping):
        return connection.exec_driver_sql(statement, tuple(values[field] for field in fields))
    return connection.exec_driver_sql(statement, [tuple(row[field] for field in fields) for row in values] or None)


@cache
def _numbered(statement: str) -> tuple[str, tuple[str, ...]]:
    """Return a statement with $1, $2... for its named parameters, and the names in that order."""
    from sqlalchemy.dialects.postgresql import asyncpg  # noqa: PLC0415 - most journals are SQLite's

    compiled = text(statement).compile(dialect=asyncpg.dialect())  # type: ignore[no-untyped-call]
    return str(compiled), tuple(compiled.positiontup or ())
