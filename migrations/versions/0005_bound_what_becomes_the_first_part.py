"""bound the rows that will be the first part of links and of events

Why: revision 0007 makes both tables partitioned and takes the table that is there as their first
part, with all its rows and without moving one. PostgreSQL reads such a table whole, with everybody
locked out, unless a constraint that is already valid says which rows it holds. The constraint comes
here, where it costs a moment; 0006 checks the rows that are there, beside the running program.

Code of the revision before runs on: ids are given out from 1, and the bound is a trillion. SQLite
has no partitions and gets nothing.

Revision: 0005, after 0004.
"""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# Ids of the first part lie below; provenance/storage/partitions.py says what a part is.
_BOUND = 1_000_000_000_000
_KEYS = (("links", "subject_id"), ("events", "upload_id"))


def upgrade() -> None:
    """Add the constraints, unchecked."""
    if op.get_context().dialect.name != "postgresql":
        return
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    for table, key in _KEYS:
        op.execute(
            f"ALTER TABLE {table} ADD CONSTRAINT ck_{table}_first_part "
            f"CHECK ({key} < {_BOUND}) NOT VALID"
        )


def downgrade() -> None:
    """Drop them."""
    if op.get_context().dialect.name == "postgresql":
        for table, _ in _KEYS:
            op.execute(f"ALTER TABLE {table} DROP CONSTRAINT ck_{table}_first_part")
