"""`provenance fsck`: derive everything again from stored bytes, and report the first difference.

Nothing that is stored is believed, our own columns least of all. In this order:

1. every checkpoint that is found (signed state, publication, checkpoint file, copy beside the
   keys): its signature, its origin, the columns beside it;
2. the log, entry by entry (:mod:`provenance.services.checking_log`): bundles, links in the
   database, map heads and the deltas beside them, tiles at every level, the roots of all those
   checkpoints, older partial files, the stored leaves and pages of the map;
3. the chains, then uploads with seals, events and links, parties, disclosures
   (:mod:`provenance.services.checking_records`);
4. the database's own check of its file, where it has one (SQLite): indexes that were not used here.

A difference ends the check: what comes after it often only repeats it. The report names what,
where, expected and found, and counts what was good until then. Nothing is written, and nothing is
repaired.

The database is read in one snapshot; the two files are read before it, so that a sequencer at work
can only make the database newer than the files, which is a state that the check knows. Memory: the
states of all subjects (about 1 kB each) and one upload's hashes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import Any, TypeVar

from merkle.checkpoint import parse_checkpoint
from merkle.errors import MerkleError
from merkle.note import Verifier, VerifierKey, open_note
from provenance.crypto.signing import note_verifier
from provenance.domain.party import operator_uri
from provenance.services.checking_log import (
    DifferenceError,
    LogReplay,
    MissingDelta,
    Signed,
    compare_leftovers,
    compare_map_leaves,
    compare_map_pages,
    require_equal,
)
from provenance.services.checking_records import (
    UploadCheck,
    check_chains,
    check_disclosures,
    check_parties,
)
from provenance.services.recovery import CHECKPOINT_FILE, LAST_SIGNED, PUBLISHED, SIGNED
from provenance.storage import audit, log
from provenance.storage.log import LogState, Publication, UploadDamagedError
from provenance.storage.session import Connection, Database
from provenance.storage.tiles import LastSigned, TileStore

T = TypeVar("T")

Progress = Callable[[str, int, int | None], None]
"""``progress(what, checked so far, how many there are or None)``, called often."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The first thing that is not as it must be."""

    what: str
    where: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.what} of {self.where}: expected {self.expected}, found {self.found}"


@dataclass(frozen=True, slots=True)
class FsckReport:
    """`checked` counts by kind what was found good; `difference` is None when all was."""

    checked: dict[str, int] = field(default_factory=dict)
    difference: Difference | None = None

    @property
    def is_good(self) -> bool:
        """Was everything as it must be?"""
        return self.difference is None

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values."""
        found = self.difference
        return {
            "good": self.is_good,
            "checked": dict(sorted(self.checked.items())),
            "difference": None
            if found is None
            else {
                "what": found.what,
                "where": found.where,
                "expected": found.expected,
                "found": found.found,
            },
        }


def fsck(
    database: Database,
    tiles: TileStore,
    origin: str,
    vkey: VerifierKey,
    *,
    last_signed: LastSigned | None = None,
    cosigners: Sequence[VerifierKey] = (),
    progress: Progress | None = None,
    missing: MissingDelta | None = None,
) -> FsckReport:
    """Check everything. `vkey` is the log's; lines by `cosigners` are verified where they stand.

    With `missing`, a map delta that is absent is no difference, and is told to it. Raises errors of
    the stores (a database that is away is not a difference).
    """
    checked: Counter[str] = Counter()
    check = _Check(tiles, origin, [note_verifier(key) for key in (vkey, *cosigners)], checked)
    check.missing = missing
    check.progress = progress
    check.files[CHECKPOINT_FILE] = tiles.read_checkpoint()
    check.files[LAST_SIGNED] = None if last_signed is None else last_signed.read()
    difference = None
    try:
        with database.read() as connection, check.streams:
            check.run(connection)
    except DifferenceError as error:
        difference = Difference(error.what, error.where, error.expected, error.found)
    return FsckReport(dict(checked), difference)


class _Check:
    """One run; `files` are the notes that lie outside the database."""

    def __init__(
        self, tiles: TileStore, origin: str, verifiers: Sequence[Verifier], checked: Counter[str]
    ) -> None:
        self.files: dict[str, bytes | None] = {}
        self.progress: Progress | None = None
        self.missing: MissingDelta | None = None
        self.streams = ExitStack()
        self._tiles = tiles
        self._origin = origin
        self._verifiers = verifiers
        self._checked = checked
        self._totals: dict[str, int] = {}

    def run(self, connection: Connection) -> None:
        """All of it; raises DifferenceError at the first difference."""
        state = log.read_state(connection)
        publication = log.read_publication(connection)
        if state is not None:
            self._totals["links"] = state.size
        signed = self._read_signed(state, publication)
        if state is not None:
            self._check_log(connection, state, publication, signed)
        elif signed:
            raise DifferenceError("signed state", SIGNED, str(signed[0].checkpoint), "none")
        self._check_records(connection)
        if (broken := audit.find_broken_file(connection)) is not None:
            raise DifferenceError("integrity", "the database's file", "ok", broken)

    def tally(self, what: str, count: int) -> None:
        """Count good things, and say so."""
        self._checked[what] += count
        if self.progress is not None:
            self.progress(what, self._checked[what], self._totals.get(what))

    def _stream(self, read: Callable[..., Generator[T, None, None]], *given: Any) -> Iterator[T]:
        """A stream that is closed before its transaction, however the check ends."""
        return self.streams.enter_context(closing(read(*given)))

    # Checkpoints

    def _read_signed(self, state: LogState | None, publication: Publication | None) -> list[Signed]:
        found: list[Signed] = []
        if state is not None:
            found.append(self._open(SIGNED, state.note))
            require_equal("size (column)", SIGNED, found[-1].checkpoint.size, state.size)
        if publication is not None:
            found.append(self._open(PUBLISHED, publication.note))
            require_equal("size (column)", PUBLISHED, found[-1].checkpoint.size, publication.size)
        found += [self._open(place, note) for place, note in self.files.items() if note is not None]
        if state is not None:
            for one in found:
                if one.checkpoint.size > state.size:
                    raise DifferenceError(
                        "size", one.place, f"at most {state.size}", one.checkpoint.size
                    )
        return found

    def _open(self, place: str, note: bytes) -> Signed:
        try:
            opened = open_note(note, self._verifiers)
            checkpoint = parse_checkpoint(opened.text)
        except MerkleError as error:
            raise DifferenceError("signed note", place, "one of this log", error) from error
        names = {line.name for line in opened.verified}
        if self._origin not in names:
            raise DifferenceError("signature", place, f"one by {self._origin}", sorted(names))
        require_equal("origin", place, self._origin, checkpoint.origin)
        return Signed(place, checkpoint)

    # The log

    def _check_log(
        self,
        connection: Connection,
        state: LogState,
        publication: Publication | None,
        signed: Sequence[Signed],
    ) -> None:
        published = 0 if publication is None else publication.size
        replay = LogReplay(
            self._tiles,
            self._stream(audit.stream_log, connection),
            signed,
            self.tally,
            self.missing,
        )
        replay.replay_published(published)
        heads = [head.index for head in replay.heads]
        if published and (not heads or heads[-1] != published - 1):
            raise DifferenceError("kind", f"log entry {published - 1}", "a map head", "a link")
        compare_map_leaves(
            self._stream(audit.stream_map_leaves, connection), replay.states, heads, self.tally
        )
        compare_map_pages(
            self._stream(audit.stream_map_pages, connection), replay.states, heads, self.tally
        )
        compare_leftovers(self._tiles, published, heads, self.tally)
        if published < state.size:
            try:
                replay.replay_unpublished(log.unpublished_uploads(connection, published))
            except UploadDamagedError as error:
                raise DifferenceError("copy of the links", "log", "whole", error) from error
        replay.require_state(state)
        replay.require_no_more_rows()

    # The records

    def _check_records(self, connection: Connection) -> None:
        lost_links, lost_events = audit.count_orphans(connection)
        require_equal("links of no subject or no upload", "database", 0, lost_links)
        require_equal("events of no upload", "database", 0, lost_events)
        check_chains(self._stream(audit.stream_chains, connection), self.tally)
        uploads = UploadCheck(self._origin, self.tally)
        uploads.check_all(
            self._stream(audit.stream_uploads, connection),
            self._stream(audit.stream_events, connection),
            self._stream(audit.stream_upload_links, connection),
        )
        for party, subject in audit.party_subjects(connection):
            require_equal("subject", f"party {party}", party, subject)
        operator = operator_uri(self._origin)
        parties = check_parties(
            self._stream(audit.stream_party_chains, connection, operator), self._origin, self.tally
        )
        require_equal("names", "parties", sorted(uploads.registered), sorted(parties))
        check_disclosures(self._stream(audit.stream_disclosures, connection), self.tally)
