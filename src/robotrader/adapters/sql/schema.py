"""The tables, as they are now; how they came to be is in `migrations/versions`.

Times are int ns UTC, money and prices canonical decimal text, bars float64. Every row of a projection
carries the `seq` of the journal row it came from (the last one before it, where several did).
"""

from typing import Any

from sqlalchemy import REAL, Column, Connection, Index, Integer, MetaData, Table, Text, text
from sqlalchemy.types import TypeEngine

HEAD = "0001"
"""The schema version that this code reads and writes: the last migration."""

metadata = MetaData()

# STRICT tables know these types only; money is decimal text
_TYPES: dict[str, TypeEngine[Any]] = {"int": Integer(), "real": REAL(), "text": Text()}


def _table(name: str, definition: str, *, unique: str = "", index: tuple[str, ...] = ()) -> Table:
    """Make a table of `name type, name type, ...`: int, real, text, with `?` if NULL is allowed; `key` is an int key.

    `unique` names the fields that tell rows apart, `index` those of each further index.
    """
    columns: list[Column[Any]] = []
    for part in definition.split(","):
        field, kind = part.split()
        key = kind == "key"
        type_ = _TYPES["int" if key else kind.rstrip("?")]
        columns.append(Column(field, type_, primary_key=key, nullable=kind.endswith("?"), autoincrement=key))
    table = Table(name, metadata, *columns, sqlite_strict=True)
    if unique:
        where = text("source_id IS NOT NULL") if name == "journal" else None
        Index(f"uq_{name}", *(table.c[field] for field in unique.split()), unique=True, sqlite_where=where)
    for fields in map(str.split, index):
        Index(f"ix_{name}_{fields[0]}", *(table.c[field] for field in fields))
    return table


journal = _table(
    "journal",
    "seq key, run_id text, epoch int, kind text, type text, source_id text?, cause int?, ts_event int, ts_init int,"
    "payload text, payload_hash text, prev_hash text, row_hash text",
    unique="type source_id",
)
conflicts = _table(
    "conflicts",
    "id key, seq int, type text, source_id text, payload text, payload_hash text, ts_init int",
    unique="type source_id payload_hash",
)
runs = _table(
    "runs",
    "epoch key, run_id text, code_version text, started int?, ended int?, reason text?, last_seq int?, last_hash text?",
    unique="run_id",
)
requests = _table(
    "requests",
    "number key, id text, ts int, action text, reason text, actor text, strategy text?, instrument text?",
    unique="id",
)
bars = _table(
    "bars",
    "id key, seq int, ts_init int, instrument text, spec text, ts_event int, version int, warmup int,"
    "open real, high real, low real, close real, volume real",
    unique="instrument ts_event spec version",
)
signals = _table(
    "signals",
    "id key, seq int, ts_event int, strategy text, instrument text, strength real, confidence real, horizon text?",
    index=("strategy instrument id",),
)
decisions = _table(
    "decisions",
    "id key, seq int, ts_event int, strategy text, instrument text, outcome text, reason text, order_id text?,"
    "strength real, target int, position int, working int, detail text",
    index=("order_id", "instrument id"),
)
denials = _table(
    "denials",
    "id key, seq int, ts_event int, order_id text, strategy text, instrument text, side text, quantity int,"
    "limits text, reasons text, checks text",
)
orders = _table(
    "orders",
    "id key, seq int, ts int, order_id text, strategy text, instrument text, side text, quantity int, type text,"
    "limit_price text?, stop_price text?, tif text, purpose text, ts_event int, state text, filled int,"
    "average_price text?, unresolved int, broker_order_id int?, perm_ids text, reason text",
    unique="order_id",
    index=("state",),
)
order_states = _table(
    "order_states",
    "id key, seq int, ts int, order_id text, state text, filled int, unresolved int, reason text",
    index=("order_id",),
)
fills = _table(
    "fills",
    "id key, seq int, ts_event int, ts_init int, exec_id text, revision int, order_id text, strategy text,"
    "instrument text, side text, quantity int, price text",
    unique="exec_id revision",
    index=("order_id",),
)
commissions = _table(
    "commissions",
    "id key, seq int, ts int, exec_id text, revision int, amount text, currency text",
    unique="exec_id revision",
)
positions = _table(
    "positions",
    "id key, seq int, ts int, strategy text, instrument text, quantity int, average_price text?, realized_pnl text",
    unique="strategy instrument",
)
account = _table(
    "account",
    "seq key, ts int, cash text, equity text, realized_pnl text, unrealized_pnl text, commission text, gross text,"
    "net text",
    index=("ts",),
)
books = _table(
    "books",
    "id key, seq int, ts int, strategy text, cash text, equity text, realized_pnl text, unrealized_pnl text,"
    "commission text",
    index=("strategy id",),
)
trading_states = _table(
    "trading_states",
    "seq key, ts int, state text, reason text, actor text, strategy text?, instrument text?",
)
broker_reports = _table(
    "broker_reports",
    "seq key, ts int, account text, instrument text?, quantity int?, cash text?,net_liquidation text?, currency text?",
)

APPEND_ONLY = (
    "journal", "conflicts", "bars", "signals", "decisions", "denials", "order_states", "fills", "commissions",
    "account", "books", "trading_states", "broker_reports",
)  # fmt: skip
"""Tables whose rows nobody may change or delete."""


def expected_triggers() -> dict[str, str]:
    """Return name and text of every append-only trigger."""
    return {
        f"{table}_no_{verb.lower()}": f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
        f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        for table in APPEND_ONLY
        for verb in ("UPDATE", "DELETE")
    }


def create_triggers(connection: Connection) -> None:
    """Create the append-only triggers anew; every migration ends with this, batch mode drops them in silence."""
    for name, statement in expected_triggers().items():
        connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name}")
        connection.exec_driver_sql(statement)
