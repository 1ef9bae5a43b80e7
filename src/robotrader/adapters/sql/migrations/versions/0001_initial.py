"""The first schema: the tables as `schema` has them.

Before a table changes, copy its definition of today here: what a migration does never changes.
"""

from alembic import op

from robotrader.adapters.sql.schema import metadata

revision = "0001"
down_revision = None


def upgrade() -> None:
    metadata.create_all(op.get_bind())
