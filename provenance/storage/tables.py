"""All tables, one description for SQLite and PostgreSQL.

Rules:

- Bytes are the truth, columns are an index over them. What was signed or hashed (`seals.bytes`,
  `events.bytes`, `links.bytes`) is stored as it was and never made again from columns.
- Hashes are 32 raw bytes; ledger times are milliseconds since 1970, claimed times microseconds.
- Rows of `links`, `events`, `seals` and `forks` are written once. Triggers (migrations/) refuse to
  change or delete them, so that a slip in SQL is noticed; an operator with the database's own
  rights is noticed by the log instead.
- No index on a random hash in `links` or `events` (a unique one costs two thirds of the insert
  rate at some million rows). Exactly-once rests on unique (subject_id, seq), unique `seals.hash`
  (one row an upload) and the index (subject_id, event_hash), which is local to the subject.
- No foreign keys on `links` and `events` either: each would be one look-up a row on the bulk path,
  and `provenance fsck` proves more than they could.
- On PostgreSQL `links` and `events` are divided (storage/partitions.py says how and why); SQLite
  has one table of each, and no statement of ours knows the difference.

Ids are integers from the database; they order uploads of one subject (an `uploads` row is inserted
only after the subject's head is locked), nothing else is read into them.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite gives out ids only for a column of type INTEGER; it is 64 bits wide there too.
Id: Final = BigInteger().with_variant(Integer, "sqlite")

# Everything that has a history, with the head of its chain.
subjects: Final = Table(
    "subjects",
    metadata,
    Column("id", Id, primary_key=True),
    Column("uri", Text, nullable=False),
    Column("key", LargeBinary, nullable=False),
    # Length, newest link hash and newest ledger time of the chain; null while it is empty.
    Column("count", BigInteger, nullable=False),
    Column("head", LargeBinary),
    Column("time", BigInteger),
    UniqueConstraint("uri"),
    CheckConstraint("(count = 0) = (head IS NULL)", name="head_iff_links"),
    CheckConstraint("(count = 0) = (time IS NULL)", name="time_iff_links"),
)

# Who signs: names, keys and roles as the party's chain states them.
parties: Final = Table(
    "parties",
    metadata,
    Column("id", Id, primary_key=True),
    Column("uri", Text, nullable=False),
    Column("subject_id", Id, ForeignKey("subjects.id"), nullable=False),
    # Projection of the party's own chain (domain.party); rebuilt from it at any time.
    Column("state", Text, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    UniqueConstraint("uri"),
    UniqueConstraint("subject_id"),
)

# One accepted request: all or nothing.
uploads: Final = Table(
    "uploads",
    metadata,
    Column("id", Id, primary_key=True),
    # Null when each event carries its own proof.
    Column("seal_id", Id),
    Column("accepted_at", BigInteger, nullable=False),
    Column("links", BigInteger, nullable=False),
    # The links' bytes, each as u16 length and bytes (a C2SP entry bundle's framing), in the order
    # of `links.ordinal`; null once they are published in tiles.
    Column("entries", LargeBinary),
    # Log index of the upload's first link; null until sequenced.
    Column("first_index", BigInteger),
    # What the receipt said, for an exact answer to a repeated upload (storage/events.py).
    Column("answers", LargeBinary),
    # If nothing in it was new: the upload that holds the newest of the links it is answered with.
    Column("newest_known", Id),
    Index("ix_uploads_accepted_at", "accepted_at"),
    # For whoever asks for seals in the order of the log (storage.seals).
    Index("ix_uploads_first_index", "first_index"),
)
Index(
    "ix_uploads_pending",
    uploads.c.id,
    sqlite_where=uploads.c.first_index.is_(None),
    postgresql_where=uploads.c.first_index.is_(None),
)

# What is signed and not yet published, for recovery: a handful of rows, however long the log.
Index(
    "ix_uploads_unpublished",
    uploads.c.first_index,
    sqlite_where=uploads.c.entries.is_not(None),
    postgresql_where=uploads.c.entries.is_not(None),
)

# Signatures over a batch, as they were signed.
seals: Final = Table(
    "seals",
    metadata,
    Column("id", Id, primary_key=True),
    Column("hash", LargeBinary, nullable=False),
    Column("upload_id", Id, ForeignKey("uploads.id"), nullable=False),
    Column("party_id", Id, ForeignKey("parties.id"), nullable=False),
    Column("bytes", LargeBinary, nullable=False),
    Column("size", Integer, nullable=False),
    # All event hashes in order, 32 bytes each: every inclusion path follows from them.
    Column("leaves", LargeBinary, nullable=False),
    UniqueConstraint("hash"),
    UniqueConstraint("upload_id"),
    CheckConstraint("length(leaves) = 32 * size", name="leaves_fit_size"),
)

# Canonical bytes of every accepted event.
events: Final = Table(
    "events",
    metadata,
    Column("upload_id", BigInteger, nullable=False),
    # Position in the seal's tree, from 0; own proofs: position in the request.
    Column("leaf", Integer, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("bytes", LargeBinary, nullable=False),
    Column("party_id", BigInteger, nullable=False),
    # Claimed, microseconds since 1970.
    Column("event_time", BigInteger, nullable=False),
    PrimaryKeyConstraint("upload_id", "leaf"),
    postgresql_partition_by="RANGE (upload_id)",
)

# The chains; each row's bytes are one entry of the log.
links: Final = Table(
    "links",
    metadata,
    Column("subject_id", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("upload_id", BigInteger, nullable=False),
    Column("leaf", Integer, nullable=False),
    # Position among the upload's links, from 0: log index = uploads.first_index + ordinal.
    Column("ordinal", Integer, nullable=False),
    Column("event_hash", LargeBinary, nullable=False),
    Column("bytes", LargeBinary, nullable=False),
    PrimaryKeyConstraint("subject_id", "seq"),
    Index("ix_links_subject_id_event_hash", "subject_id", "event_hash"),
    postgresql_partition_by="RANGE (subject_id)",
)

# Concealed members, apart from the events, so that they can be erased.
disclosures: Final = Table(
    "disclosures",
    metadata,
    Column("upload_id", BigInteger, nullable=False),
    Column("leaf", Integer, nullable=False),
    # As in prov:_sd: base64url of the SHA-256 of `text`, 43 characters.
    Column("digest", Text, nullable=False),
    Column("text", Text, nullable=False),
    # JSON array of roles that may read it, sorted; "public" = everybody.
    Column("audience", Text, nullable=False),
    PrimaryKeyConstraint("upload_id", "leaf", "digest"),
)

# Who may do what only one may do.
leases: Final = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    # Fencing token: grows by one with every change of holder.
    Column("token", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
)

# The newest checkpoint that was signed; moved by compare-and-swap only.
log_state: Final = Table(
    "log_state",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("size", BigInteger, nullable=False),
    Column("note", LargeBinary, nullable=False),
    Column("map_root", LargeBinary, nullable=False),
    Column("map_head_index", BigInteger, nullable=False),
    Column("subjects", BigInteger, nullable=False),
    Column("ignored", BigInteger, nullable=False),
    Column("fence", BigInteger, nullable=False),
    CheckConstraint("id = 1", name="single_row"),
)

# The newest checkpoint that readers may see, with its cosignatures.
publication: Final = Table(
    "publication",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("size", BigInteger, nullable=False),
    Column("note", LargeBinary, nullable=False),
    Column("published_at", BigInteger, nullable=False),
    CheckConstraint("id = 1", name="single_row"),
)

# Each subject as the published map has it.
map_leaves: Final = Table(
    "map_leaves",
    metadata,
    Column("key", LargeBinary, primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("head", LargeBinary, nullable=False),
    Column("root", LargeBinary, nullable=False),
    Column("head_index", BigInteger, nullable=False),
    # Right edge of the subject's own tree: hashes of 32 bytes, biggest subtree first.
    Column("edge", LargeBinary, nullable=False),
    # Size of the checkpoint that last set it; never above publication.size.
    Column("size", BigInteger, nullable=False),
    Index("ix_map_leaves_size", "size"),
)

# The published map in pages (merkle.pagemap), so that nobody has to hold it in memory.
map_pages: Final = Table(
    "map_pages",
    metadata,
    # 2^depth + the first `depth` bits of its keys, as a number.
    Column("id", Id, primary_key=True, autoincrement=False),
    # (key ‖ value), 64 bytes each, in order of keys.
    Column("leaves", LargeBinary, nullable=False),
    # Of the part of the trie that these leaves make.
    Column("hash", LargeBinary, nullable=False),
    # Size of the checkpoint that last set it; never above publication.size.
    Column("size", BigInteger, nullable=False),
    # What follows from the leaves, to save working it out (merkle.mappage): the bits and the hashes
    # of the inner nodes, 33 bytes for each leaf but one. Believed only as far as `hash` proves it.
    Column("nodes", LargeBinary),
    # With place and hash in it, a start reads the index and not the leaves.
    Index("ix_map_pages_size", "size", "id", "hash"),
)

# Proof that the log key signed two histories (domain.fork). One row stops publication.
forks: Final = Table(
    "forks",
    metadata,
    Column("id", Id, primary_key=True),
    # RFC 9162 leaf hash of `evidence`.
    Column("hash", LargeBinary, nullable=False),
    # Canonical JSON, as served and as put into bundles.
    Column("evidence", LargeBinary, nullable=False),
    # Where the other checkpoint came from, for people: a witness, a mirror, a reader.
    Column("source", Text, nullable=False),
    Column("found_at", BigInteger, nullable=False),
    UniqueConstraint("hash"),
)

# Checkpoints under our key that are larger than our log when they are shown to us: we signed, and
# lost, what they state. Stops signing until the log has caught up.
sightings: Final = Table(
    "sightings",
    metadata,
    Column("id", Id, primary_key=True),
    # RFC 9162 leaf hash of `note`.
    Column("hash", LargeBinary, nullable=False),
    Column("size", BigInteger, nullable=False),
    # The signed note with the log's good lines alone.
    Column("note", LargeBinary, nullable=False),
    Column("source", Text, nullable=False),
    Column("found_at", BigInteger, nullable=False),
    UniqueConstraint("hash"),
    Index("ix_sightings_size", "size"),
)

# What others said about when a checkpoint existed; asked for first, confirmed later.
anchors: Final = Table(
    "anchors",
    metadata,
    Column("id", Id, primary_key=True),
    # "rfc3161" or "evm".
    Column("kind", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    # The signed note whose text is anchored.
    Column("checkpoint", LargeBinary, nullable=False),
    Column("requested_at", BigInteger, nullable=False),
    # Stated by the authority or the block, milliseconds since 1970; null while it is pending.
    Column("time", BigInteger),
    # JSON of its kind, as put into bundles (docs/formats.md); null while it is pending.
    Column("proof", LargeBinary),
    UniqueConstraint("kind", "size", name="uq_anchors_kind_size"),
    CheckConstraint("(time IS NULL) = (proof IS NULL)", name="time_iff_proof"),
)

# Large bodies on their way in (services.jobs): how far each has come. Rows come and go.
jobs: Final = Table(
    "jobs",
    metadata,
    Column("id", Id, primary_key=True),
    # What its sender knows it by: 128 random bits, in hexadecimal. Whoever knows it may go on.
    Column("name", Text, nullable=False),
    # "receiving", "done", "refused" or "cancelled".
    Column("state", Text, nullable=False),
    # Bytes that the sender said there will be; null while it has not.
    Column("length", BigInteger),
    # Bytes and lines of all batches that were accepted; behind them lies the tail.
    Column("consumed", BigInteger, nullable=False),
    Column("lines", BigInteger, nullable=False),
    # Bytes in `job_pieces`: the beginning of a batch that has not come whole.
    Column("tail", BigInteger, nullable=False),
    Column("batches", BigInteger, nullable=False),
    Column("events", BigInteger, nullable=False),
    # Time spent in requests that brought its bytes, milliseconds.
    Column("active_ms", BigInteger, nullable=False),
    # Fencing token: grows with each request that may move the offset, so that no earlier one can.
    Column("token", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    # JSON of the refusal that ended it.
    Column("refusal", Text),
    UniqueConstraint("name"),
    CheckConstraint("(state = 'refused') = (refusal IS NOT NULL)", name="refused_iff_refusal"),
    Index("ix_jobs_expires_at", "expires_at"),
)

# The tail of a job: bytes that are kept until the rest of their batch has come.
job_pieces: Final = Table(
    "job_pieces",
    metadata,
    Column("job_id", BigInteger, nullable=False),
    Column("ordinal", BigInteger, nullable=False),
    Column("bytes", LargeBinary, nullable=False),
    PrimaryKeyConstraint("job_id", "ordinal"),
)

# What was accepted through a job, batch by batch, so that its receipts can be asked for.
job_batches: Final = Table(
    "job_batches",
    metadata,
    Column("job_id", BigInteger, nullable=False),
    Column("ordinal", BigInteger, nullable=False),
    # Hash of its seal, whose row has the receipt; null where each event carries its own proof.
    Column("seal", LargeBinary),
    # Then the receipt is kept here, as in `seals.leaves` and `uploads.answers`.
    Column("leaves", LargeBinary),
    Column("answers", LargeBinary),
    PrimaryKeyConstraint("job_id", "ordinal"),
    CheckConstraint("(seal IS NULL) = (answers IS NOT NULL)", name="seal_or_answers"),
    CheckConstraint("(leaves IS NULL) = (answers IS NULL)", name="leaves_with_answers"),
)

APPEND_ONLY: Final = (links, events, seals, forks)
"""Tables whose rows are never changed and never deleted."""
