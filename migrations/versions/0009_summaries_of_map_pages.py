"""keep what was worked out of a map page's leaves beside them

Why: a page that is not in memory was built anew for every question, two hashes a leaf; with its
inner nodes stored (`map_pages.nodes`, 33 bytes a leaf) a search hashes its own way alone. That is
what keeps the cost of a link from rising with the number of subjects.

Code of the revision before runs on beside it: it does not write the new column, so that a page
which it changes has the nodes of its older self; they do not lead to the page's hash, and whoever
reads them works them out of the leaves again (`merkle.mappage`).

On SQLite the table is made anew, with the place as its row number: one tree to search instead of
two. On PostgreSQL rows stay inline up to a whole block: they are hashes, which do not compress, and
are always read whole.

Revision: 0009, after 0008.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_INDEX = ("ix_map_pages_size", "map_pages", ["size", "id", "hash"])


def upgrade() -> None:
    """Add the column; on SQLite in a table made anew."""
    if op.get_context().dialect.name == "postgresql":
        op.execute("SET LOCAL lock_timeout = '5s'")
        op.execute("SET LOCAL statement_timeout = '60s'")
        op.add_column("map_pages", sa.Column("nodes", sa.LargeBinary(), nullable=True))
        for column in ("leaves", "nodes"):
            op.execute(f"ALTER TABLE map_pages ALTER COLUMN {column} SET STORAGE EXTERNAL")
        op.execute("ALTER TABLE map_pages SET (toast_tuple_target = 8160)")
        return
    _make_anew(sa.Integer(), [sa.Column("nodes", sa.LargeBinary(), nullable=True)])


def downgrade() -> None:
    """Take it away again."""
    if op.get_context().dialect.name == "postgresql":
        op.execute("ALTER TABLE map_pages RESET (toast_tuple_target)")
        op.execute("ALTER TABLE map_pages ALTER COLUMN leaves SET STORAGE EXTENDED")
        op.drop_column("map_pages", "nodes")
        return
    _make_anew(sa.BigInteger(), [])


def _make_anew(place: sa.types.TypeEngine[int], more: list[sa.Column[bytes]]) -> None:
    """The table under another type of place, with its rows."""
    op.drop_index(_INDEX[0], table_name="map_pages")
    op.rename_table("map_pages", "map_pages_before")
    op.create_table(
        "map_pages",
        sa.Column("id", place, autoincrement=False, nullable=False),
        sa.Column("leaves", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        *more,
        sa.PrimaryKeyConstraint("id", name=op.f("pk_map_pages")),
    )
    op.execute(
        "INSERT INTO map_pages (id, leaves, hash, size) "
        "SELECT id, leaves, hash, size FROM map_pages_before ORDER BY id"
    )
    op.drop_table("map_pages_before")
    op.create_index(*_INDEX, unique=False)
