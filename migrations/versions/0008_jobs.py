"""add jobs: large uploads that go on where they were broken off

Why: a body of a million events takes minutes, and a connection, a worker or a web host may end
before it does. How far it has come is a row, so that any worker on any host can go on (`jobs`);
beside it the beginning of a batch that is not whole yet (`job_pieces`), and which batches were
accepted, so that their receipts can be asked for (`job_batches`).

Only new tables: code of the revision before runs on beside them.

Revision: 0008, after 0007.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    if op.get_context().dialect.name == "postgresql":
        op.execute("SET LOCAL lock_timeout = '5s'")
        op.execute("SET LOCAL statement_timeout = '60s'")
    op.create_table(
        "jobs",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("length", sa.BigInteger(), nullable=True),
        sa.Column("consumed", sa.BigInteger(), nullable=False),
        sa.Column("lines", sa.BigInteger(), nullable=False),
        sa.Column("tail", sa.BigInteger(), nullable=False),
        sa.Column("batches", sa.BigInteger(), nullable=False),
        sa.Column("events", sa.BigInteger(), nullable=False),
        sa.Column("active_ms", sa.BigInteger(), nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("refusal", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
        sa.UniqueConstraint("name", name=op.f("uq_jobs_name")),
        sa.CheckConstraint(
            "(state = 'refused') = (refusal IS NOT NULL)",
            name=op.f("ck_jobs_refused_iff_refusal"),
        ),
    )
    op.create_index("ix_jobs_expires_at", "jobs", ["expires_at"], unique=False)
    op.create_table(
        "job_pieces",
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("ordinal", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "ordinal", name=op.f("pk_job_pieces")),
    )
    op.create_table(
        "job_batches",
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("ordinal", sa.BigInteger(), nullable=False),
        sa.Column("seal", sa.LargeBinary(), nullable=True),
        sa.Column("leaves", sa.LargeBinary(), nullable=True),
        sa.Column("answers", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("job_id", "ordinal", name=op.f("pk_job_batches")),
        sa.CheckConstraint(
            "(seal IS NULL) = (answers IS NOT NULL)", name=op.f("ck_job_batches_seal_or_answers")
        ),
        sa.CheckConstraint(
            "(leaves IS NULL) = (answers IS NULL)", name=op.f("ck_job_batches_leaves_with_answers")
        ),
    )


def downgrade() -> None:
    """Drop them; what was accepted through them stays."""
    for table in ("job_batches", "job_pieces", "jobs"):
        op.drop_table(table)
