"""What a request changes of the limits, and who approved it."""

from alembic import op
from sqlalchemy import Column, Text

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    text = Text().with_variant(Text(collation="C"), "postgresql")
    for name in ("change", "approver"):
        op.add_column("requests", Column(name, text, nullable=True))
