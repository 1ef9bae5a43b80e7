"""The first schema: the tables as `schema` has them, but for later ones, and those that changed as they were.

Before a table changes, copy its definition of today here: what a migration does never changes.
"""

from alembic import op
from sqlalchemy import MetaData

from robotrader.adapters.sql.schema import metadata, table_of

revision = "0001"
down_revision = None

_LATER = ("archives",)
_THEN = MetaData()
table_of(
    "requests",
    "number key, id text, ts int, action text, reason text, actor text, strategy text?, instrument text?",
    unique="id", among=_THEN,
)  # fmt: skip


def upgrade() -> None:
    unchanged = [table for name, table in metadata.tables.items() if name not in {*_LATER, *_THEN.tables}]
    metadata.create_all(op.get_bind(), unchanged)
    _THEN.create_all(op.get_bind())
