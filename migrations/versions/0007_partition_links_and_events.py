"""partition links by subject and events by upload

Why: one table of links reaches PostgreSQL's 32 TB within months at a billion events a day, and long
before that one index, one vacuum and one restore of it are too large. Parts and their reasons:
provenance/storage/partitions.py. Rows that are there become the first part as they lie; new ones
have ids from a trillion on, and with them the second part.

One moment with everybody locked out, however many rows there are (0005 and 0006 have done the slow
half); `lock_timeout` bounds how long others may be made to wait for it, and then it is tried again
(storage/schema.py). Locks are taken in the order in which an upload takes them. Code of the
revision before runs on: names, columns and constraints are the same, and rights that somebody was
granted are granted again. SQLite has no partitions and gets nothing.

Revision: 0007, after 0006.
"""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_BOUND = 1_000_000_000_000
_HASHED = 16

_LINKS = """
    subject_id BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    upload_id BIGINT NOT NULL,
    leaf INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    event_hash BYTEA NOT NULL,
    bytes BYTEA NOT NULL,
    CONSTRAINT pk_links PRIMARY KEY (subject_id, seq)
"""
_EVENTS = """
    upload_id BIGINT NOT NULL,
    leaf INTEGER NOT NULL,
    hash BYTEA NOT NULL,
    bytes BYTEA NOT NULL,
    party_id BIGINT NOT NULL,
    event_time BIGINT NOT NULL,
    CONSTRAINT pk_events PRIMARY KEY (upload_id, leaf)
"""
_INDEX = "ix_links_subject_id_event_hash"
_SEQUENCES = ("subjects_id_seq", "uploads_id_seq")


def upgrade() -> None:
    """Put the tables that are there into new ones, and begin the second part of each."""
    if op.get_context().dialect.name != "postgresql":
        return
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    op.execute("LOCK TABLE subjects, uploads, events, links IN ACCESS EXCLUSIVE MODE")
    _partition_links()
    _partition_events()
    for sequence in _SEQUENCES:
        op.execute(f"ALTER SEQUENCE {sequence} START WITH {_BOUND} RESTART")


def downgrade() -> None:
    """Copy everything back into plain tables."""
    if op.get_context().dialect.name != "postgresql":
        return
    for table, columns in (("events", _EVENTS), ("links", _LINKS)):
        op.execute(f"ALTER TABLE {table} RENAME TO {table}_parts")
        op.execute(f"ALTER TABLE {table}_parts RENAME CONSTRAINT pk_{table} TO pk_{table}_parts")
        op.execute(f"CREATE TABLE {table} ({columns})")
        op.execute(f"INSERT INTO {table} SELECT * FROM {table}_parts")  # noqa: S608  our names
        op.execute(f"DROP TABLE {table}_parts CASCADE")
        _guard(table)
    op.execute(f"CREATE INDEX {_INDEX} ON links (subject_id, event_hash)")
    for table, key in (("links", "subject_id"), ("events", "upload_id")):
        # Not checked: it would not hold for rows that came after 0007.
        op.execute(
            f"ALTER TABLE {table} ADD CONSTRAINT ck_{table}_first_part "
            f"CHECK ({key} < {_BOUND}) NOT VALID"
        )
    for sequence in _SEQUENCES:
        op.execute(f"ALTER SEQUENCE {sequence} START WITH 1")


def _partition_links() -> None:
    op.execute(f"ALTER INDEX {_INDEX} RENAME TO {_INDEX}_0")
    _begin("links", "subject_id", _LINKS)
    op.execute(f"CREATE INDEX {_INDEX} ON links (subject_id, event_hash)")
    _attach("links")
    op.execute(
        f"CREATE TABLE links_1 PARTITION OF links FOR VALUES FROM ({_BOUND}) TO ({2 * _BOUND}) "
        "PARTITION BY HASH (subject_id)"
    )
    _guard("links_1")
    for number in range(_HASHED):
        op.execute(
            f"CREATE TABLE links_1_{number} PARTITION OF links_1 "
            f"FOR VALUES WITH (MODULUS {_HASHED}, REMAINDER {number}) "
            "WITH (autovacuum_freeze_min_age = 0)"
        )
        _guard(f"links_1_{number}")


def _partition_events() -> None:
    _begin("events", "upload_id", _EVENTS)
    _attach("events")
    op.execute(
        f"CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ({_BOUND}) TO ({2 * _BOUND}) "
        "WITH (autovacuum_freeze_min_age = 0)"
    )
    _guard("events_1")


def _begin(table: str, key: str, columns: str) -> None:
    """The old table gives up its names, the new one takes them."""
    op.execute(f"ALTER TABLE {table} RENAME TO {table}_0")
    op.execute(f"ALTER TABLE {table}_0 RENAME CONSTRAINT pk_{table} TO pk_{table}_0")
    op.execute(f"CREATE TABLE {table} ({columns}) PARTITION BY RANGE ({key})")
    _guard(table)
    _grant_again(table)


def _attach(table: str) -> None:
    """The old table as the first part; its indexes become parts of the new table's indexes."""
    op.execute(
        f"ALTER TABLE {table} ATTACH PARTITION {table}_0 FOR VALUES FROM (MINVALUE) TO ({_BOUND})"
    )
    op.execute(f"ALTER TABLE {table}_0 DROP CONSTRAINT ck_{table}_first_part")
    op.execute(f"ALTER TABLE {table}_0 SET (autovacuum_freeze_min_age = 0)")


def _grant_again(table: str) -> None:
    """Rights belong to a table and not to its name: without this a role would lose its own."""
    op.execute(
        f"""
        DO $$
        DECLARE one record;
        BEGIN
            FOR one IN
                SELECT acl.privilege_type AS may, acl.is_grantable AS gives,
                    CASE acl.grantee WHEN 0 THEN 'PUBLIC' ELSE acl.grantee::regrole::text END AS who
                FROM pg_class, aclexplode(relacl) AS acl
                WHERE pg_class.oid = '{table}_0'::regclass AND acl.grantee <> relowner
            LOOP
                EXECUTE format('GRANT %s ON {table} TO %s %s', one.may, one.who,
                    CASE WHEN one.gives THEN 'WITH GRANT OPTION' ELSE '' END);
            END LOOP;
        END $$
        """  # noqa: S608  our names
    )


def _guard(table: str) -> None:
    """A statement that names a part asks the part's own guard and not the whole table's."""
    op.execute(
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )
