"""add pages of the map, evidence of forks, and anchors

Why: the map shall not have to fit into memory (`map_pages`), a second history under our own key
must never be forgotten once it was seen (`forks`, append-only like what it accuses), and time
stamps by others are kept with the checkpoint that they are about (`anchors`).

Only new tables: code of the revision before runs on beside them. The pages are filled by the
sequencer, out of `map_leaves`, when it starts and finds none.

Revision: 0002, after 0001.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables, then the guard."""
    op.create_table(
        "map_pages",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("leaves", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_map_pages")),
    )
    # With place and hash in it, a start reads the index and leaves the leaves where they are.
    op.create_index("ix_map_pages_size", "map_pages", ["size", "id", "hash"], unique=False)
    op.create_table(
        "forks",
        sa.Column("id", _ID, nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("evidence", sa.LargeBinary(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("found_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_forks")),
        sa.UniqueConstraint("hash", name=op.f("uq_forks_hash")),
    )
    op.create_table(
        "anchors",
        sa.Column("id", _ID, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("checkpoint", sa.LargeBinary(), nullable=False),
        sa.Column("requested_at", sa.BigInteger(), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=True),
        sa.Column("proof", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_anchors")),
        sa.UniqueConstraint("kind", "size", name=op.f("uq_anchors_kind_size")),
        sa.CheckConstraint(
            "(time IS NULL) = (proof IS NULL)", name=op.f("ck_anchors_time_iff_proof")
        ),
    )
    if op.get_context().dialect.name == "postgresql":
        op.execute(
            "CREATE TRIGGER forks_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON forks "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
        return
    for action in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER forks_no_{action.lower()} BEFORE {action} ON forks "
            "BEGIN SELECT RAISE(ABORT, 'forks is append-only'); END"
        )


def downgrade() -> None:
    """Drop them; triggers go with their tables."""
    for table in ("anchors", "forks", "map_pages"):
        op.drop_table(table)
