"""What was moved out of the journal, and where to."""

from alembic import op

from robotrader.adapters.sql.schema import archives

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    archives.create(op.get_bind())
