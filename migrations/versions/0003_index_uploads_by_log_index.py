"""index uploads by the log index of their first link

Why: whoever audits from outside asks for seals in the order of the log, page by page
(`storage.seals`); without an index each page would read every upload there ever was.

Only an index on numbers that rise, so that it grows at its right end: the price of a batch stays
what it was, and code of the revision before runs on beside it.

Revision: 0003, after 0002.
"""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the index."""
    op.create_index("ix_uploads_first_index", "uploads", ["first_index"], unique=False)


def downgrade() -> None:
    """Drop it."""
    op.drop_index("ix_uploads_first_index", table_name="uploads")
