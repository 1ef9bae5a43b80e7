"""The first schema: the tables as `schema` has them, but for later ones.

Before a table changes, copy its definition of today here: what a migration does never changes.
"""

from alembic import op

from robotrader.adapters.sql.schema import metadata

revision = "0001"
down_revision = None

_LATER = ("archives",)


def upgrade() -> None:
    metadata.create_all(op.get_bind(), [table for name, table in metadata.tables.items() if name not in _LATER])
