"""The tables, as they are now; how they came to be is in `migrations/versions`.

Times are int ns UTC, money and prices canonical decimal text, bars float64. Every row of a projection
carries the `seq` of the journal row it came from (the last one before it, where several did).
"""

import re
from typing import Any

from sqlalchemy import REAL, BigInteger, Column, Connection, Double, Float, Index, Integer, MetaData, Table, Text, text
from sqlalchemy.types import TypeEngine

HEAD = "0003"
"""The schema version that this code reads and writes: the last migration."""

metadata = MetaData()

# STRICT tables know these types only; money is decimal text. Both databases order text by its code points.
_TYPES: dict[str, TypeEngine[Any]] = {
    "int": Integer().with_variant(BigInteger(), "postgresql"),
    "real": REAL().with_variant(Double(), "postgresql"),
    "text": Text().with_variant(Text(collation="C"), "postgresql"),
}
CASTS: dict[str, TypeEngine[Any]] = {"int": BigInteger(), "real": Float(), "text": Text()}
"""Types of the same width under the same name in both databases, by kind of column (`info["kind"]`)."""

GIVEN_KEYS = ("seq", "epoch")  # other integer keys are counted by the database


def table_of(
    name: str, definition: str, *, unique: str = "", index: tuple[str, ...] = (), among: MetaData = metadata
) -> Table:
    """Make a table of `name type, name type, ...`: int, real, text, with `?` if NULL is allowed; `key` is an int key.

    `unique` names the fields that tell rows apart, `index` those of each further index.
    """
    columns: list[Column[Any]] = []
    for part in definition.split(","):
        field, kind = part.split()
        key = kind == "key"
        kind_ = "int" if key else kind.rstrip("?")
        counted = key and field not in GIVEN_KEYS
        columns.append(Column(field, _TYPES[kind_], primary_key=key, nullable=kind.endswith("?"),
                              autoincrement=counted, info={"kind": kind_}))  # fmt: skip
    table = Table(name, among, *columns, sqlite_strict=True, implicit_returning=False)
    if unique:
        where = text("source_id IS NOT NULL") if name == "journal" else None
        Index(f"uq_{name}", *(table.c[field] for field in unique.split()), unique=True, sqlite_where=where,
              postgresql_where=where)  # fmt: skip
    for fields in map(str.split, index):
        Index(f"ix_{name}_{fields[0]}", *(table.c[field] for field in fields))
    return table


journal = table_of(
    "journal",
    "seq key, run_id text, epoch int, kind text, type text, source_id text?, cause int?, ts_event int, ts_init int,"
    "payload text, payload_hash text, prev_hash text, row_hash text",
    unique="type source_id",
)
conflicts = table_of(
    "conflicts",
    "id key, seq int, type text, source_id text, payload text, payload_hash text, ts_init int",
    unique="type source_id payload_hash",
)
runs = table_of(
    "runs",
    "epoch key, run_id text, code_version text, started int?, ended int?, reason text?, last_seq int?, last_hash text?",
    unique="run_id",
)
requests = table_of(
    "requests",
    "number key, id text, ts int, action text, reason text, actor text, strategy text?, instrument text?,"
    "change text?, approver text?",
    unique="id",
)
bars = table_of(
    "bars",
    "id key, seq int, ts_init int, instrument text, spec text, ts_event int, version int, warmup int,"
    "open real, high real, low real, close real, volume real",
    unique="instrument ts_event spec version",
)
signals = table_of(
    "signals",
    "id key, seq int, ts_event int, strategy text, instrument text, strength real, confidence real, horizon text?",
    index=("strategy instrument id",),
)
decisions = table_of(
    "decisions",
    "id key, seq int, ts_event int, strategy text, instrument text, outcome text, reason text, order_id text?,"
    "strength real, target int, position int, working int, detail text",
    index=("order_id", "instrument id"),
)
denials = table_of(
    "denials",
    "id key, seq int, ts_event int, order_id text, strategy text, instrument text, side text, quantity int,"
    "limits text, reasons text, checks text",
)
orders = table_of(
    "orders",
    "id key, seq int, ts int, order_id text, strategy text, instrument text, side text, quantity int, type text,"
    "limit_price text?, stop_price text?, tif text, purpose text, ts_event int, state text, filled int,"
    "average_price text?, unresolved int, broker_order_id int?, perm_ids text, reason text",
    unique="order_id",
    index=("state",),
)
order_states = table_of(
    "order_states",
    "id key, seq int, ts int, order_id text, state text, filled int, unresolved int, reason text",
    index=("order_id",),
)
fills = table_of(
    "fills",
    "id key, seq int, ts_event int, ts_init int, exec_id text, revision int, order_id text, strategy text,"
    "instrument text, side text, quantity int, price text",
    unique="exec_id revision",
    index=("order_id",),
)
commissions = table_of(
    "commissions",
    "id key, seq int, ts int, exec_id text, revision int, amount text, currency text",
    unique="exec_id revision",
)
positions = table_of(
    "positions",
    "id key, seq int, ts int, strategy text, instrument text, quantity int, average_price text?, realized_pnl text",
    unique="strategy instrument",
)
account = table_of(
    "account",
    "seq key, ts int, cash text, equity text, realized_pnl text, unrealized_pnl text, commission text, gross text,"
    "net text",
    index=("ts",),
)
books = table_of(
    "books",
    "id key, seq int, ts int, strategy text, cash text, equity text, realized_pnl text, unrealized_pnl text,"
    "commission text",
    index=("strategy id",),
)
trading_states = table_of(
    "trading_states",
    "seq key, ts int, state text, reason text, actor text, strategy text?, instrument text?",
)
broker_reports = table_of(
    "broker_reports",
    "seq key, ts int, account text, instrument text?, quantity int?, cash text?,net_liquidation text?, currency text?",
)

archives = table_of(
    "archives",
    "id key, name text, first int, seq int, rows int, row_hash text, file text, sha256 text",
    unique="name seq",
)

APPEND_ONLY = (
    "journal", "conflicts", "bars", "signals", "decisions", "denials", "order_states", "fills", "commissions",
    "account", "books", "trading_states", "broker_reports", "archives",
)  # fmt: skip
"""Tables whose rows nobody may change or delete, but for `_ARCHIVED` rows."""

BULK = "kind = 'raw' OR type IN ('Hold', 'PortfolioMarked', 'PositionReported', 'AccountReported')"
"""The journal's many rows that nothing looks up by key or type: they may go once they are archived."""

_KEPT = [column.name for column in journal.columns if column.name != "payload"]
_SAME = " AND ".join(f"NEW.{name} IS OLD.{name}" for name in _KEPT)
_ARCHIVED = {
    ("journal", "DELETE"): re.sub(r"\b(kind|type)\b", r"OLD.\1", f"({BULK})"),
    # the keys of bars stay: else they would be new when they come again
    ("journal", "UPDATE"): f"OLD.type = 'BarsClosed' AND NEW.payload = '' AND {_SAME}",
    ("bars", "DELETE"): "OLD.spec <> '1d'",
}
"""What may happen to rows that `archives` names."""


def expected_triggers(dialect: str = "sqlite") -> dict[str, str]:
    """Return name and text of every append-only trigger; in PostgreSQL the text of its function too.

    PostgreSQL keeps what is archived too, and knows TRUNCATE.
    """
    if dialect == "postgresql":
        return {
            f"{table}_no_{verb.lower()}": f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION append_only() {_REFUSE}"
            for table in APPEND_ONLY
            for verb in ("UPDATE", "DELETE", "TRUNCATE")
        }
    return {
        f"{table}_no_{verb.lower()}": f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
        f"{_unless_archived(table, verb)}BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        for table in APPEND_ONLY
        for verb in ("UPDATE", "DELETE")
    }


_REFUSE = "BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END"
FOUND_TRIGGERS = {
    "sqlite": "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'",
    "postgresql": """SELECT tgname AS name, pg_get_triggerdef(t.oid, true) || ' ' || prosrc AS sql
                     FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = tgrelid JOIN pg_proc AS p ON p.oid = tgfoid
                     WHERE relnamespace = current_schema()::regnamespace AND tgenabled = 'A'""",
}
"""How to ask for the triggers that are there and in force, as `expected_triggers` has them."""


def _unless_archived(table: str, verb: str) -> str:
    allowed = _ARCHIVED.get((table, verb))
    archived = f"OLD.seq <= (SELECT coalesce(max(seq), 0) FROM archives WHERE name = '{table}')"  # noqa: S608 - ours
    return f"WHEN NOT ({archived} AND {allowed}) " if allowed else ""


def create_triggers(connection: Connection) -> None:
    """Create the append-only triggers anew; every migration ends with this, batch mode drops them in silence."""
    server = connection.dialect.name == "postgresql"
    if server:
        function = "CREATE OR REPLACE FUNCTION append_only() RETURNS trigger LANGUAGE plpgsql AS"
        connection.exec_driver_sql(f"{function} $${_REFUSE}$$")
    for name, statement in expected_triggers(connection.dialect.name).items():
        table, _, _ = name.rpartition("_no_")
        connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name}" + (f" ON {table}" if server else ""))
        connection.exec_driver_sql(statement.removesuffix(_REFUSE))
        if server:  # not even a session that plays a replica passes it
            connection.exec_driver_sql(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}")
