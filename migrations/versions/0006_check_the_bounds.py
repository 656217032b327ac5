"""check the bounds of what becomes the first part

Why: the second step of 0005. Reads both tables once, about a gigabyte a second, while uploads and
readers go on (the lock, SHARE UPDATE EXCLUSIVE, stands in the way of other changes to the schema
alone).

Revision: 0006, after 0005.
"""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Check the rows that were there before 0005."""
    if op.get_context().dialect.name != "postgresql":
        return
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = 0")  # as long as the tables need
    for table in ("links", "events"):
        op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT ck_{table}_first_part")


def downgrade() -> None:
    """Nothing: a constraint that was checked stays so."""
