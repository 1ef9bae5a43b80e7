"""The first schema. Frozen: a later change is a later migration."""

from alembic import op
from sqlalchemy import text

from robotrader.adapters.sql.schema import columns

revision = "0001"
down_revision = None

_TABLES = {
    "journal": (
        "seq key, run_id text, epoch int, kind text, type text, source_id text?, cause int?, ts_event int, ts_init int,"
        "payload text, payload_hash text, prev_hash text, row_hash text"
    ),
    "conflicts": "id key, seq int, type text, source_id text, payload text, payload_hash text, ts_init int",
    "runs": (
        "epoch key, run_id text, code_version text, started int?, ended int?,"
        "reason text?, last_seq int?, last_hash text?"
    ),
    "requests": "number key, id text, ts int, action text, reason text, actor text, strategy text?, instrument text?",
    "bars": (
        "id key, seq int, ts_init int, instrument text, spec text, ts_event int, version int, warmup int,"
        "open real, high real, low real, close real, volume real"
    ),
    "signals": (
        "id key, seq int, ts_event int, strategy text, instrument text,strength real, confidence real, horizon text?"
    ),
    "decisions": (
        "id key, seq int, ts_event int, strategy text, instrument text, outcome text, reason text, order_id text?,"
        "strength real, target int, position int, working int, detail text"
    ),
    "denials": (
        "id key, seq int, ts_event int, order_id text, strategy text, instrument text, side text, quantity int,"
        "limits text, reasons text, checks text"
    ),
    "orders": (
        "id key, seq int, ts int, order_id text, strategy text, instrument text, side text, quantity int, type text,"
        "limit_price text?, stop_price text?, tif text, purpose text, ts_event int, state text, filled int,"
        "average_price text?, unresolved int, broker_order_id int?, perm_ids text, reason text"
    ),
    "order_states": "id key, seq int, ts int, order_id text, state text, filled int, unresolved int, reason text",
    "fills": (
        "id key, seq int, ts_event int, ts_init int, exec_id text, revision int, order_id text, strategy text,"
        "instrument text, side text, quantity int, price text"
    ),
    "commissions": "id key, seq int, ts int, exec_id text, revision int, amount text, currency text",
    "positions": (
        "id key, seq int, ts int, strategy text, instrument text,quantity int, average_price text?, realized_pnl text"
    ),
    "account": (
        "seq key, ts int, cash text, equity text, realized_pnl text, unrealized_pnl text, commission text, gross text,"
        "net text"
    ),
    "books": (
        "id key, seq int, ts int, strategy text, cash text, equity text, realized_pnl text, unrealized_pnl text,"
        "commission text"
    ),
    "trading_states": "seq key, ts int, state text, reason text, actor text, strategy text?, instrument text?",
    "broker_reports": (
        "seq key, ts int, account text, instrument text?, quantity int?, cash text?,"
        "net_liquidation text?, currency text?"
    ),
}
_UNIQUE = {
    "journal": ["type", "source_id"],
    "conflicts": ["type", "source_id", "payload_hash"],
    "runs": ["run_id"],
    "requests": ["id"],
    "bars": ["instrument", "ts_event", "spec", "version"],
    "orders": ["order_id"],
    "fills": ["exec_id", "revision"],
    "commissions": ["exec_id", "revision"],
    "positions": ["strategy", "instrument"],
}
_INDEXES = (
    ("signals", ["strategy", "instrument", "id"]),
    ("decisions", ["order_id"]),
    ("decisions", ["instrument", "id"]),
    ("orders", ["state"]),
    ("order_states", ["order_id"]),
    ("fills", ["order_id"]),
    ("account", ["ts"]),
    ("books", ["strategy", "id"]),
)


def upgrade() -> None:
    for name, definition in _TABLES.items():
        op.create_table(name, *columns(definition), sqlite_strict=True)
    for name, fields in _UNIQUE.items():
        where = text("source_id IS NOT NULL") if name == "journal" else None
        op.create_index(f"uq_{name}", name, fields, unique=True, sqlite_where=where, postgresql_where=where)
    for name, fields in _INDEXES:
        op.create_index(f"ix_{name}_{fields[0]}", name, fields)
