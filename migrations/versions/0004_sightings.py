"""add sightings: checkpoints under our key that our log does not reach

Why: a witness, a mirror or a reader may hold a checkpoint that we signed and that the database does
not know any more, since it came back from an old backup. Signing must stop then, in every process
and after every restart, until the log has caught up; so what was shown is kept.

Only a new table: code of the revision before runs on beside it.

Revision: 0004, after 0003.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "sightings",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.LargeBinary(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("found_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sightings")),
        sa.UniqueConstraint("hash", name=op.f("uq_sightings_hash")),
    )
    op.create_index("ix_sightings_size", "sightings", ["size"], unique=False)


def downgrade() -> None:
    """Drop it."""
    op.drop_table("sightings")
