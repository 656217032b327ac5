"""What an auditor keeps of a log that it watches from outside: one directory, one place to go on.

    DIR/audit.sqlite     how far it has come, the subjects as it derived them, what it found
    DIR/log/             the mirrored log: checkpoint, tiles, bundles, map deltas as the log serves
                         them, so that the directory is itself a C2SP log that others may read
    DIR/policy.txt       the policy by which the log is judged, pinned at the first contact
    DIR/forks/           evidence that the log has forked, one file each, named by its hash

Files are written before the rows that count on them and never change, so a crash between the two
leaves files that the next run writes again, and no row without its files. One process at a time: a
lock on the directory is held while it is open.

Corruption of it could make an auditor accuse an honest log, or overlook what it saw before; it
cannot make it accept entries that the log's key did not sign. Start again in another directory.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Connection,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    bindparam,
    delete,
    insert,
    select,
)
from sqlalchemy.dialects.sqlite import insert as upsert

from merkle.pagemap import Page
from merkle.tree import Edge
from provenance.domain.ledger import SubjectState
from provenance.storage.errors import StorageError
from provenance.storage.files import DurableDirectory
from provenance.storage.session import Database
from provenance.storage.tables import Id
from provenance.storage.tiles import DirectoryTileStore, TileMissingError

FORMAT: Final = 1
"""Of the database below; another number is another program's."""

MAX_SIGHTINGS: Final = 256
MAX_DIFFERENCES: Final = 10_000

_MAX_KEYS = 1_000  # keys in one IN list
_FETCH = 5_000  # rows brought into memory at a time

metadata: Final = MetaData()

# How far the audit has come; one row.
_place: Final = Table(
    "place",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("format", Integer, nullable=False),
    # Newest checkpoint that was accepted: signed, by the policy, consistent with all before it.
    Column("note", LargeBinary),
    # Entries taken: audited, and in `subjects`. Always a map head's end, never above the note's.
    Column("size", BigInteger, nullable=False),
    # The last map head taken, as it stands in the log.
    Column("head", LargeBinary),
    Column("ignored", BigInteger, nullable=False),
    # Log index up to which every link's seal was looked at.
    Column("sealed", BigInteger, nullable=False),
    # JSON: how much of each kind was checked since the beginning.
    Column("counts", Text, nullable=False),
    CheckConstraint("id = 1"),
)

# Each subject as the entries taken make it.
_subjects: Final = Table(
    "subjects",
    metadata,
    Column("key", LargeBinary, primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("head", LargeBinary, nullable=False),
    Column("head_index", BigInteger, nullable=False),
    Column("edge", LargeBinary, nullable=False),
    # Ledger time of the newest link, milliseconds.
    Column("time", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# The map over the subjects in pages (merkle.pagemap), as of the last map head taken.
_pages: Final = Table(
    "pages",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("leaves", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
)

# Parties whose passport was verified, as their chains make them.
_parties: Final = Table(
    "parties",
    metadata,
    Column("uri", Text, primary_key=True),
    # Length and newest link hash of the chain that was verified.
    Column("count", BigInteger, nullable=False),
    Column("head", LargeBinary, nullable=False),
    # JSON of domain.party.
    Column("state", Text, nullable=False),
)

# What is wrong with signed content: it cannot become right again, and is never forgotten.
_differences: Final = Table(
    "differences",
    metadata,
    Column("id", Id, primary_key=True),
    Column("what", Text, nullable=False),
    Column("where", Text, nullable=False),
    Column("expected", Text, nullable=False),
    Column("found", Text, nullable=False),
)

# Checkpoints seen elsewhere that are ahead of what was taken; compared when it has caught up.
_sightings: Final = Table(
    "sightings",
    metadata,
    Column("note", LargeBinary, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("source", Text, nullable=False),
)


class AuditStateError(StorageError):
    """The directory cannot be used for this audit; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the audit stands; see the table's columns. A new one is at the log's beginning."""

    note: bytes | None = None
    size: int = 0
    head: bytes | None = None
    ignored: int = 0
    sealed: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ChainState:
    """A subject as the entries make it, and the ledger time of its newest link."""

    state: SubjectState
    time: int


@dataclass(frozen=True, slots=True)
class PartyState:
    """A verified party: length and head of its chain, and its state as JSON."""

    count: int
    head: bytes
    state: str


@dataclass(frozen=True, slots=True)
class Sighting:
    """A signed checkpoint of this log, its size, and where it was seen."""

    note: bytes
    size: int
    source: str


class AuditDirectory:
    """One audit's directory, opened and locked."""

    def __init__(self, root: Path) -> None:
        """Make it where it is missing; raises AuditStateError if another process has it open."""
        root.mkdir(parents=True, exist_ok=True)
        self.root = root
        self.log = DirectoryTileStore(root / "log")
        """The mirrored log."""
        self._files = DurableDirectory(root)
        self._lock = _lock(root)
        self.database = Database.open(f"sqlite:///{root / 'audit.sqlite'}")
        with self.database.write() as connection:
            metadata.create_all(connection)
            _require_format(connection, root)

    def close(self) -> None:
        """Give it back."""
        self.database.close()
        os.close(self._lock)

    def read_mirrored(self, path: str) -> bytes | None:
        """The mirrored file at a tile's, bundle's or delta's path, or None."""
        try:
            return self.log.read(path)
        except TileMissingError:
            return None

    # Policy and evidence

    def read_policy(self) -> bytes | None:
        """The pinned policy's text, or None before the first contact."""
        return self._read("policy.txt")

    def write_policy(self, text: bytes) -> None:
        """Pin a policy."""
        self._files.replace("policy.txt", text)

    def write_fork(self, name: str, evidence: bytes) -> Path:
        """Keep evidence (canonical bytes) under its hash in hex; where it is."""
        self._files.write_once(f"forks/{name}.json", evidence)
        return self.root / "forks" / f"{name}.json"

    def forks(self) -> list[Path]:
        """All evidence kept, by name."""
        return sorted((self.root / "forks").glob("[0-9a-f]*.json"))

    def _read(self, name: str) -> bytes | None:
        try:
            return (self.root / name).read_bytes()
        except FileNotFoundError:
            return None


def _lock(root: Path) -> int:
    handle = os.open(root / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise AuditStateError(
            f"another audit works in {root}; wait for it, or use another --state directory"
        ) from error
    return handle  # given back when it is closed, at the latest by the end of the process


def _require_format(connection: Connection, root: Path) -> None:
    found = connection.scalar(select(_place.c.format))
    if found is None:
        write_place(connection, Place())
    elif found != FORMAT:
        raise AuditStateError(
            f"{root} was written by another version (format {found}, expected {FORMAT}); "
            "audit into another --state directory"
        )


# --- rows -----------------------------------------------------------------------------------------


def read_place(connection: Connection) -> Place:
    """Where the audit stands."""
    row = connection.execute(select(_place)).one()
    return Place(row.note, row.size, row.head, row.ignored, row.sealed, json.loads(row.counts))


def write_place(connection: Connection, place: Place) -> None:
    """Go on from here from now on; in the transaction of what it stands for."""
    values = {
        "id": 1,
        "format": FORMAT,
        "note": place.note,
        "size": place.size,
        "head": place.head,
        "ignored": place.ignored,
        "sealed": place.sealed,
        "counts": json.dumps(dict(sorted(place.counts.items()))),
    }
    statement = upsert(_place).values(values)
    connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=values))


def read_chains(connection: Connection, keys: Sequence[bytes]) -> dict[bytes, ChainState]:
    """Those of `keys` that are subjects."""
    found: dict[bytes, ChainState] = {}
    for start in range(0, len(keys), _MAX_KEYS):
        rows = connection.execute(
            select(_subjects).where(_subjects.c.key.in_(keys[start : start + _MAX_KEYS]))
        )
        for key, count, head, index, edge, time in rows:
            state = SubjectState(count, head, Edge.decode(count, edge), index)
            found[key] = ChainState(state, time)
    return found


def write_chains(connection: Connection, chains: Mapping[bytes, ChainState]) -> None:
    """Set subjects as the entries taken make them."""
    if not chains:
        return
    rows = [
        {
            "key": key,
            "count": chain.state.count,
            "head": chain.state.head,
            "head_index": chain.state.index,
            "edge": chain.state.edge.encode(),
            "time": chain.time,
        }
        for key, chain in sorted(chains.items())  # in key order: neighbours share a page
    ]
    connection.execute(insert(_subjects).prefix_with("OR REPLACE"), rows)


def stream_pages(connection: Connection) -> Iterator[tuple[int, bytes]]:
    """(place, hash) of every page of the map."""
    query = select(_pages.c.id, _pages.c.hash)
    for row in connection.execute(query, execution_options={"yield_per": _FETCH}):
        yield row.id, row.hash


def read_pages(connection: Connection, places: Sequence[int]) -> dict[int, bytes]:
    """The leaves of those of `places` that are pages."""
    found: dict[int, bytes] = {}
    for start in range(0, len(places), _MAX_KEYS):
        query = select(_pages.c.id, _pages.c.leaves)
        chosen = query.where(_pages.c.id.in_(places[start : start + _MAX_KEYS]))
        found.update((row.id, row.leaves) for row in connection.execute(chosen))
    return found


def write_pages(connection: Connection, pages: Mapping[int, Page | None]) -> None:
    """Set pages; None at a place that is none any more."""
    gone = [{"place": place} for place, page in pages.items() if page is None]
    if gone:
        connection.execute(delete(_pages).where(_pages.c.id == bindparam("place")), gone)
    fresh = [
        {"id": place, "leaves": page.leaves, "hash": page.hash}
        for place, page in sorted(pages.items())
        if page is not None
    ]
    if fresh:
        connection.execute(insert(_pages).prefix_with("OR REPLACE"), fresh)


def read_party(connection: Connection, uri: str) -> PartyState | None:
    """The party as it was last verified, or None."""
    row = connection.execute(select(_parties).where(_parties.c.uri == uri)).one_or_none()
    return None if row is None else PartyState(*tuple(row)[1:])


def write_party(connection: Connection, uri: str, party: PartyState) -> None:
    """Set a party as verified."""
    values = {"uri": uri, "count": party.count, "head": party.head, "state": party.state}
    connection.execute(insert(_parties).prefix_with("OR REPLACE"), values)


Found = tuple[str, str, str, str]
"""what, where, expected, found."""


def read_differences(connection: Connection) -> list[Found]:
    """Everything kept, in the order in which it was found."""
    columns = _differences.c
    query = select(columns.what, columns.where, columns.expected, columns.found)
    return [(row[0], row[1], row[2], row[3]) for row in connection.execute(query)]


def write_differences(connection: Connection, found: Sequence[Found]) -> None:
    """Keep what is not kept yet; beyond `MAX_DIFFERENCES` the log is known to be bad anyway."""
    known = set(read_differences(connection)) if found else set()
    fresh = [one for one in dict.fromkeys(found) if one not in known]
    room = max(0, MAX_DIFFERENCES - len(known))
    names = ("what", "where", "expected", "found")
    rows = [dict(zip(names, one, strict=True)) for one in fresh[:room]]
    if rows:
        connection.execute(insert(_differences), rows)


def read_sightings(connection: Connection, up_to: int) -> list[Sighting]:
    """Those of at most `up_to` entries."""
    rows = connection.execute(select(_sightings).where(_sightings.c.size <= up_to))
    return [Sighting(row.note, row.size, row.source) for row in rows]


def write_sighting(connection: Connection, sighting: Sighting) -> None:
    """Keep one until it can be compared.

    Of more than `MAX_SIGHTINGS` the largest go: whoever sends them cannot fill the disk, and the
    log has to grow so far before they could be compared at all.
    """
    values = {"note": sighting.note, "size": sighting.size, "source": sighting.source}
    connection.execute(upsert(_sightings).values(values).on_conflict_do_nothing())
    kept = select(_sightings.c.note).order_by(_sightings.c.size).limit(MAX_SIGHTINGS)
    connection.execute(delete(_sightings).where(_sightings.c.note.not_in(kept)))


def drop_sightings(connection: Connection, up_to: int) -> None:
    """Forget those of at most `up_to` entries, which were compared."""
    connection.execute(delete(_sightings).where(_sightings.c.size <= up_to))
