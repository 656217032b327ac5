"""create all tables

Why: the first version. Beside the tables of provenance/storage/tables.py (which says what each is
for) it makes the append-only guards: triggers that refuse to change or delete a row of `links`,
`events` and `seals`. They are no defence against somebody who may drop triggers (the log is); they
turn a careless UPDATE, of ours or of an operator at a prompt, into an error.

Revision: 0001, the first.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_GUARDED = ("links", "events", "seals")
_TABLES = (
    "disclosures",
    "map_leaves",
    "publication",
    "log_state",
    "leases",
    "links",
    "events",
    "seals",
    "uploads",
    "parties",
    "subjects",
)


def upgrade() -> None:
    """Make the tables, then the guards."""
    _create_chain_tables()
    _create_upload_tables()
    _create_log_tables()
    if op.get_context().dialect.name == "postgresql":
        _guard_postgresql()
    else:
        _guard_sqlite()


def downgrade() -> None:
    """Drop everything; triggers go with their tables."""
    for table in _TABLES:
        op.drop_table(table)
    if op.get_context().dialect.name == "postgresql":
        op.execute("DROP FUNCTION refuse_change()")


def _create_chain_tables() -> None:
    """Subjects, their links, and the parties among them."""
    op.create_table(
        "subjects",
        sa.Column("id", _ID, nullable=False),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("head", sa.LargeBinary(), nullable=True),
        sa.Column("time", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("(count = 0) = (head IS NULL)", name=op.f("ck_subjects_head_iff_links")),
        sa.CheckConstraint("(count = 0) = (time IS NULL)", name=op.f("ck_subjects_time_iff_links")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subjects")),
        sa.UniqueConstraint("uri", name=op.f("uq_subjects_uri")),
    )
    op.create_table(
        "parties",
        sa.Column("id", _ID, nullable=False),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("subject_id", _ID, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["subject_id"], ["subjects.id"], name=op.f("fk_parties_subject_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_parties")),
        sa.UniqueConstraint("subject_id", name=op.f("uq_parties_subject_id")),
        sa.UniqueConstraint("uri", name=op.f("uq_parties_uri")),
    )
    op.create_table(
        "links",
        sa.Column("subject_id", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("upload_id", sa.BigInteger(), nullable=False),
        sa.Column("leaf", sa.Integer(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("event_hash", sa.LargeBinary(), nullable=False),
        sa.Column("bytes", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("subject_id", "seq", name=op.f("pk_links")),
    )
    op.create_index(
        "ix_links_subject_id_event_hash", "links", ["subject_id", "event_hash"], unique=False
    )


def _create_upload_tables() -> None:
    """What came in: uploads, seals, events, disclosures."""
    op.create_table(
        "uploads",
        sa.Column("id", _ID, nullable=False),
        sa.Column("seal_id", _ID, nullable=True),
        sa.Column("accepted_at", sa.BigInteger(), nullable=False),
        sa.Column("links", sa.BigInteger(), nullable=False),
        sa.Column("entries", sa.LargeBinary(), nullable=True),
        sa.Column("first_index", sa.BigInteger(), nullable=True),
        sa.Column("answers", sa.LargeBinary(), nullable=True),
        sa.Column("newest_known", _ID, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_uploads")),
    )
    op.create_index("ix_uploads_accepted_at", "uploads", ["accepted_at"], unique=False)
    op.create_index(
        "ix_uploads_pending",
        "uploads",
        ["id"],
        unique=False,
        sqlite_where=sa.text("first_index IS NULL"),
        postgresql_where=sa.text("first_index IS NULL"),
    )
    op.create_index(
        "ix_uploads_unpublished",
        "uploads",
        ["first_index"],
        unique=False,
        sqlite_where=sa.text("entries IS NOT NULL"),
        postgresql_where=sa.text("entries IS NOT NULL"),
    )
    op.create_table(
        "seals",
        sa.Column("id", _ID, nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("upload_id", _ID, nullable=False),
        sa.Column("party_id", _ID, nullable=False),
        sa.Column("bytes", sa.LargeBinary(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("leaves", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("length(leaves) = 32 * size", name=op.f("ck_seals_leaves_fit_size")),
        sa.ForeignKeyConstraint(["party_id"], ["parties.id"], name=op.f("fk_seals_party_id")),
        sa.ForeignKeyConstraint(["upload_id"], ["uploads.id"], name=op.f("fk_seals_upload_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_seals")),
        sa.UniqueConstraint("hash", name=op.f("uq_seals_hash")),
        sa.UniqueConstraint("upload_id", name=op.f("uq_seals_upload_id")),
    )
    op.create_table(
        "events",
        sa.Column("upload_id", sa.BigInteger(), nullable=False),
        sa.Column("leaf", sa.Integer(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("bytes", sa.LargeBinary(), nullable=False),
        sa.Column("party_id", sa.BigInteger(), nullable=False),
        sa.Column("event_time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("upload_id", "leaf", name=op.f("pk_events")),
    )
    op.create_table(
        "disclosures",
        sa.Column("upload_id", sa.BigInteger(), nullable=False),
        sa.Column("leaf", sa.Integer(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("audience", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("upload_id", "leaf", "digest", name=op.f("pk_disclosures")),
    )


def _create_log_tables() -> None:
    """What the sequencer keeps: lease, signed and published state, the map."""
    op.create_table(
        "leases",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
    )
    op.create_table(
        "log_state",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.LargeBinary(), nullable=False),
        sa.Column("map_root", sa.LargeBinary(), nullable=False),
        sa.Column("map_head_index", sa.BigInteger(), nullable=False),
        sa.Column("subjects", sa.BigInteger(), nullable=False),
        sa.Column("ignored", sa.BigInteger(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_log_state_single_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_log_state")),
    )
    op.create_table(
        "publication",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.LargeBinary(), nullable=False),
        sa.Column("published_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_publication_single_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_publication")),
    )
    op.create_table(
        "map_leaves",
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("head", sa.LargeBinary(), nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("head_index", sa.BigInteger(), nullable=False),
        sa.Column("edge", sa.LargeBinary(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_map_leaves")),
    )
    op.create_index("ix_map_leaves_size", "map_leaves", ["size"], unique=False)


def _guard_sqlite() -> None:
    for table in _GUARDED:
        for action in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{action.lower()} BEFORE {action} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )


def _guard_postgresql() -> None:
    op.execute(
        """
        CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
        END $$
        """
    )
    for table in _GUARDED:
        # For each statement, not each row: TRUNCATE has no rows, and an UPDATE that happens
        # to hit none is a slip too.
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
