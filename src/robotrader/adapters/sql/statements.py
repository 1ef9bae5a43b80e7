"""Every statement of the writer, compiled once: the text is a constant, the rows are executed in bulk."""

from sqlalchemy import ClauseElement, Insert, Table, bindparam, exists, func, select, text, update
from sqlalchemy.dialects import sqlite

from robotrader.adapters.sql.schema import journal, metadata, order_states, orders, positions, runs, signals

_DIALECT = sqlite.dialect(paramstyle="named")
_GIVEN_KEYS = ("seq", "epoch")  # other integer keys are counted by the database


def _sql(statement: ClauseElement) -> str:
    return str(statement.compile(dialect=_DIALECT))


def _fields(table: Table) -> list[str]:
    return [column.name for column in table.columns if not column.primary_key or column.name in _GIVEN_KEYS]


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
    values = select(*(bindparam(name, type_=table.c[name].type) for name in _fields(table))).where(~same)
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
    "open_requests": """SELECT id AS request_id, action, reason, actor, strategy, instrument FROM requests AS r
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
