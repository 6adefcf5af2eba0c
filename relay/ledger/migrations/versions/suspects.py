"""Messages that may end the process."""

import sqlalchemy as sa
from alembic import op

revision = "suspects"
down_revision = "first"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "suspects",
        sa.Column("key", sa.LargeBinary(), primary_key=True, comment="SHA-256 of the queue and the message"),
        sa.Column("deaths", sa.Integer(), nullable=False),
        sa.Column("owner", sa.Text(), comment="the replica that reads it now"),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("suspects_at", "suspects", ["at"])
