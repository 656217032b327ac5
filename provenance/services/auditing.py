"""`provenance audit`: a running log mirrored and derived again by somebody outside, over HTTP only.

    directory = AuditDirectory(path)
    policy = choose_policy(directory, None, source)
    report = Auditor(directory, source, policy.policy, clock=...).run()

One run goes from where the last one ended to the checkpoint that is published now:

1. the checkpoint: signed and cosigned as the policy demands (by a key that a pinned key passed on
   to as well, which is then pinned too), not in the future, not too old;
2. against the one held before: it continues it, or evidence of a fork is kept
   (:mod:`.auditing_forks`) and the new branch is not followed;
3. its entries, bundle by bundle, against its tiles at every level (:mod:`.auditing_tree`), into
   chains, map, map heads and map deltas (:mod:`.auditing_entries`); every file is mirrored;
4. the seals of the new links, and their signers' keys at that time (:mod:`.auditing_seals`);
5. checkpoints seen elsewhere: in passports, on mirrors, on witnesses' monitoring paths; and the
   evidence of forks that the log itself shows.

A run may be ended at any time, by kill -9 too: files are written before the rows that count on
them, and rows in one transaction with the place to go on from.

What is wrong has a place, what was expected and what was found. What the log *signed* is kept in
the directory and reported by every later run; what was only served wrong is reported by the run
that saw it, which goes no further there, so that the next run looks again. That the log could not
be reached is neither (:attr:`AuditReport.unreachable`).

Hostile servers: every file has its greatest length, numbers that they state are compared with
signed sizes before they are used, memory does not depend on what they claim. They can make a run
long (a log may be large) and end it early; they cannot make it believe.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from merkle.errors import PolicyError
from merkle.policy import Policy
from merkle.tiles import TILE_HEIGHT, TILE_WIDTH, TileAddress, encode_bundle
from merkle.witness import checkpoint_path
from provenance.domain import canonical
from provenance.domain.canonical import MAX_BUNDLE_BYTES, Base64Error, MalformedJsonError
from provenance.domain.delta import delta_path
from provenance.domain.errors import DomainError
from provenance.domain.fork import read_fork
from provenance.domain.log_source import (
    LogFileMissingError,
    LogMalformedError,
    LogUnreachableError,
)
from provenance.domain.moments import format_seconds
from provenance.domain.party import operator_uri
from provenance.domain.passport import PassportError, read_passport
from provenance.domain.wire import FormError
from provenance.services.auditing_ahead import Ahead
from provenance.services.auditing_entries import Findings, Replay
from provenance.services.auditing_forks import (
    ForkEvidenceError,
    SignedLieError,
    State,
    keep_evidence,
    open_signed,
    require_continuing,
)
from provenance.services.auditing_seals import SealWalk
from provenance.services.auditing_tree import OwnTree, ServedTree, Source, fetch
from provenance.services.checking_log import DifferenceError
from provenance.storage import audit_state as rows
from provenance.storage.audit_state import AuditDirectory, Found, Place, Sighting
from provenance.verify.bundle import MAX_AGE
from provenance.verify.checkpoints import (
    Published,
    judge_age,
    judge_not_future,
    read_checkpoint,
    require_quorum,
    verify_lines,
)
from provenance.verify.refusal import RefusedError
from provenance.verify.succession import accept_successors

_BUNDLES_AHEAD: Final = 4
_MAP_HEAD: Final = b"prov/map-head/v1\n"

MAX_NOTE_BYTES: Final = 256 * 1024
MAX_POLICY_BYTES: Final = 64 * 1024
MAX_EVIDENCE_BYTES: Final = 4 * 1024 * 1024

Progress = Callable[[str, int, int], None]
"""``progress(what, steps done since the last call, steps in all)``."""


class AuditError(DomainError):
    """The audit cannot begin; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class ChosenPolicy:
    """`policy`, and whether this is the `first_contact`: taken from the log itself, just now."""

    policy: Policy
    first_contact: bool


def choose_policy(directory: AuditDirectory, given: bytes | None, source: Source) -> ChosenPolicy:
    """The policy given, else the one pinned before, else the one that the log proposes.

    Whichever it is, it is pinned. Raises AuditError for one that cannot be used, for one that does
    not know the log which the directory holds, and where the log proposes none.
    """
    text = directory.read_policy() if given is None else given
    first_contact = text is None
    if text is None:
        try:
            text = source.read("api/v1/policy", MAX_POLICY_BYTES)
        except (LogFileMissingError, LogMalformedError) as error:
            raise AuditError(
                f"{source.url} proposes no policy ({error}); give yours with --policy"
            ) from error
    try:
        policy = Policy.parse(text)
    except PolicyError as error:
        raise AuditError(f"the policy cannot be used: {error}") from error
    _read_held(directory, policy)
    if text != directory.read_policy():
        directory.write_policy(text)
    return ChosenPolicy(policy, first_contact)


def _read_held(directory: AuditDirectory, policy: Policy) -> tuple[Place, State | None]:
    """Where the audit stands, and the state of the log that it accepted last.

    Raises AuditError for a log that the policy does not know.
    """
    with directory.database.read() as connection:
        place = rows.read_place(connection)
    if place.note is None:
        return place, None
    for origin in sorted({log.origin for log in policy.logs}):
        try:
            return place, open_signed(place.note, origin, policy)
        except ForkEvidenceError:
            continue
    raise AuditError(
        f"{directory.root} holds a log that the policy does not know; audit another log into "
        "another --state directory, or give the policy of this one"
    )


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What one run found, and all that is kept.

    `size` entries are taken, `sealed` of them with their seals; `counts` are since the beginning.
    `kept` and `passing` are (what, where, expected, found). `forks` are files of evidence,
    `unreachable` says why the log could not be read to the end, `succeeded` are keys that a pinned
    key of the log passed on to and that are pinned from now on.
    """

    url: str
    origin: str | None
    size: int
    sealed: int
    published: int | None
    as_of: int | None
    counts: dict[str, int]
    ignored: int
    kept: tuple[Found, ...]
    passing: tuple[Found, ...]
    forks: tuple[Path, ...]
    unreachable: str | None
    succeeded: tuple[str, ...] = ()

    @property
    def is_good(self) -> bool:
        """No difference, now or ever."""
        return not (self.kept or self.passing or self.forks)

    @property
    def exit_status(self) -> int:
        """0 no difference, 1 differences, 2 it could not look."""
        if not self.is_good:
            return 1
        return 0 if self.unreachable is None else 2

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values."""
        names = ("what", "where", "expected", "found")
        differences = [
            {**dict(zip(names, found, strict=True)), "kept": kept}
            for kept, group in ((True, self.kept), (False, self.passing))
            for found in group
        ]
        return {
            "url": self.url,
            "good": self.is_good,
            "origin": self.origin,
            "published": self.published,
            "size": self.size,
            "sealed": self.sealed,
            "asOf": None if self.as_of is None else format_seconds(self.as_of),
            "checked": dict(sorted(self.counts.items())),
            "ignored": self.ignored,
            "differences": differences,
            "forks": [str(path) for path in self.forks],
            "unreachable": self.unreachable,
            "succeeded": list(self.succeeded),
        }


@dataclass
class Auditor:
    """One log and one directory. `clock` gives POSIX seconds, `mirrors` other places to look."""

    directory: AuditDirectory
    source: Source
    policy: Policy
    clock: Callable[[], int]
    max_age: int = MAX_AGE
    mirrors: Sequence[Source] = ()
    progress: Progress = field(default=lambda _what, _steps, _total: None)

    def run(self) -> AuditReport:
        """Go on to what is published now. Raises errors of the directory's own disk only."""
        return _Run(self).run()


def _full_files(index: int, size: int) -> Iterator[str]:
    """The bundles from `index` on that will be read next, as far as they are full, and tiles."""
    for number in range(index, min(index + _BUNDLES_AHEAD, size // TILE_WIDTH)):
        for level in (None, 0):
            yield f"log/{TileAddress(level, number).path()}"


def _deltas(entries: Sequence[bytes], first: int, start: int) -> Iterator[str]:
    """The deltas of the map heads among these entries, from log index `start` on."""
    for place, entry in enumerate(entries, first):
        if place >= start and entry.startswith(_MAP_HEAD):
            yield f"log/{delta_path(place)}"


class _Run:
    """One run; what it learns on the way stands in its fields."""

    def __init__(self, auditor: Auditor) -> None:
        self._directory = auditor.directory
        self._source = auditor.source
        self._policy = auditor.policy
        self._auditor = auditor
        self._findings = Findings()
        self._seen: list[tuple[str, str]] = []
        self._unreachable: list[str] = []
        self._published: Published | None = None
        self._as_of: int | None = None
        self._succeeded: tuple[str, ...] = ()
        self._place, self._held = _read_held(self._directory, self._policy)

    def run(self) -> AuditReport:
        """The steps of the module text; each difference ends the step in which it stands."""
        try:
            for step in (self._follow, self._walk_seals, self._look_elsewhere):
                try:
                    step()
                except SignedLieError as error:
                    self._findings.keep(error.what, error.where, error.expected, error.found)
                except DifferenceError as error:
                    self._findings.note(error)
        except LogUnreachableError as error:
            self._unreachable.append(str(error))
        return self._report()

    def _report(self) -> AuditReport:
        with self._directory.database.write() as connection:
            rows.write_differences(connection, self._findings.kept)
            kept = rows.read_differences(connection)
            place = rows.read_place(connection)
        origin = None if self._held is None else self._held.checkpoint.origin
        return AuditReport(
            url=self._source.url,
            origin=origin,
            size=place.size,
            sealed=place.sealed,
            published=None if self._published is None else self._published.checkpoint.size,
            as_of=self._as_of,
            counts=dict(place.counts),
            ignored=place.ignored,
            kept=tuple(kept),
            passing=tuple(dict.fromkeys(self._findings.passing)),
            forks=tuple(self._directory.forks()),
            unreachable="; ".join(self._unreachable) or None,
            succeeded=self._succeeded,
        )

    # 1 and 2: the checkpoint

    def _follow(self) -> None:
        """Steps 1 to 3."""
        note = fetch(self._source, "log/checkpoint", MAX_NOTE_BYTES, "checkpoint")
        new = self._open(note)
        with Ahead(self._source) as ahead:
            tree: ServedTree | None = None
            if new.checkpoint.size > self._place.size:
                tree = ServedTree(ahead, new.checkpoint)
            self._compare_with_held(new, tree)
            self._held = new
            self._move(replace(self._place, note=note))
            if tree is not None:
                self._take(tree, ahead)
        self._directory.log.write_checkpoint(note)

    def _open(self, note: bytes) -> State:
        try:
            # Bytes that are no text are never held: the note is read again by every later run.
            text = note.decode("utf-8")
        except UnicodeDecodeError as error:
            raise DifferenceError("checkpoint", "log/checkpoint", "UTF-8", note[:200]) from error
        try:
            published = self._judge(text)
        except RefusedError as error:
            raise DifferenceError(
                "checkpoint",
                "log/checkpoint",
                "one that the policy accepts",
                f"{error.reason}: {text[:200]!r}",
            ) from error
        checkpoint = published.checkpoint
        if self._held is not None and checkpoint.origin != self._held.checkpoint.origin:
            raise DifferenceError(
                "origin", "log/checkpoint", self._held.checkpoint.origin, checkpoint.origin
            )
        self._published = published
        self._judge_time(published)
        return State(text, checkpoint)

    def _judge(self, text: str) -> Published:
        """Steps 4 to 7 of docs/formats.md section 10; raises RefusedError."""
        checkpoint = read_checkpoint(text, self._policy)
        try:
            published = verify_lines(text, checkpoint, self._policy)
        except RefusedError:
            if not self._follow_succession(checkpoint.origin):
                raise
            published = verify_lines(text, checkpoint, self._policy)
        require_quorum(published, self._policy)
        return published

    def _follow_succession(self, origin: str) -> bool:
        """Take over the keys to which the pinned ones passed the log on, and pin them too.

        The notes stand in every passport; the operator's is one that each log has. They are judged
        by the pinned keys alone, so it does not matter that the passport is not.
        """
        path = f"api/v1/subjects/{quote(operator_uri(origin), safe='')}/passport"
        try:
            passport = read_passport(self._source.read(path, MAX_BUNDLE_BYTES))
            accepted = accept_successors(passport.succession, origin, self._policy)
        except (LogFileMissingError, LogMalformedError, PassportError, RefusedError):
            return False
        if not accepted.places:
            return False
        known = set(self._policy.logs)
        self._succeeded = tuple(
            log.key.format() for log in accepted.policy.logs if log not in known
        )
        self._policy = self._auditor.policy = accepted.policy
        self._directory.write_policy(accepted.policy.format().encode("utf-8", "surrogateescape"))
        return True

    def _judge_time(self, published: Published) -> None:
        """Too old or from the future is a difference, and no reason not to go on."""
        now = self._auditor.clock()
        self._as_of = self._policy.latest_time(published.times)
        try:
            judge_age(judge_not_future(published, self._policy, now), now, self._auditor.max_age)
        except RefusedError as error:
            # A time to come may be one of no calendar (up to 2^63 - 1 s): it is not vouched for.
            as_of = self._as_of or 0
            if error.reason == "checkpoint-future":
                self._as_of, found = None, f"{as_of} s since 1970"
            else:
                found = format_seconds(as_of)
            expected = f"at most {self._auditor.max_age} s before {format_seconds(now)}"
            self._findings.note(
                DifferenceError("time", "log/checkpoint", expected, f"{found}: {error.reason}")
            )

    def _compare_with_held(self, new: State, tree: ServedTree | None) -> None:
        held = self._held
        if held is None:
            require_continuing(self._directory, self._policy, new, new, None, "log/checkpoint")
            return
        if new.checkpoint.size >= held.checkpoint.size:
            require_continuing(self._directory, self._policy, held, new, tree, "log/checkpoint")
            return
        if held.checkpoint.size == self._place.size:
            require_continuing(
                self._directory, self._policy, new, held, self._own_tree(), "log/checkpoint"
            )
        raise DifferenceError(
            "size", "log/checkpoint", f"at least {held.checkpoint.size}", new.checkpoint.size
        )

    def _own_tree(self) -> OwnTree:
        return OwnTree(self._directory.read_mirrored)

    def _move(self, place: Place) -> None:
        with self._directory.database.write() as connection:
            rows.write_place(connection, place)
        self._place = place

    # 3: the entries

    def _take(self, tree: ServedTree, ahead: Ahead) -> None:
        """Entries into states, files into the mirror; files first."""
        replay = Replay(self._directory, ahead, self._place, self._findings)
        start = self._place.size
        counted = 0
        try:
            for index in range(start // TILE_WIDTH, -(-tree.size // TILE_WIDTH)):
                ahead.expect(_full_files(index, tree.size))
                entries, hashes = tree.bundle(index)
                ahead.expect(_deltas(entries, index * TILE_WIDTH, start))
                self._mirror(tree, index, entries, hashes)
                replay.tally("entry bundles")
                replay.tally("tiles", tree.good - counted)
                counted = tree.good
                offset = max(0, start - index * TILE_WIDTH)
                replay.take(entries[offset:])
                self._auditor.progress("entries", len(entries) - offset, tree.size - start)
            self._mirror_edge(tree)
            replay.finish(tree.size)
        finally:
            self._place = replay.place

    def _mirror(
        self, tree: ServedTree, index: int, entries: Sequence[bytes], hashes: bytes
    ) -> None:
        """The bundle, its tile, and every tile above that is now full."""
        bundle = TileAddress(None, index, len(entries))
        self._write(bundle, encode_bundle(entries))
        self._write(TileAddress(0, index, len(entries)), hashes)
        level, done = 1, index + 1
        while len(entries) == TILE_WIDTH and done % TILE_WIDTH == 0:
            done //= TILE_WIDTH
            self._write(TileAddress(level, done - 1), tree.tile(level, done - 1))
            level += 1

    def _mirror_edge(self, tree: ServedTree) -> None:
        """The partial tiles above level 0, as a log of this size has them."""
        level = 1
        while count := tree.size >> (TILE_HEIGHT * level):
            index, width = divmod(count, TILE_WIDTH)
            if width:
                self._write(TileAddress(level, index, width), tree.tile(level, index))
            level += 1

    def _write(self, address: TileAddress, data: bytes) -> None:
        self._directory.log.write_immutable(address.path(), data)
        if address.is_full:
            self._directory.log.discard_partials(address.path())

    # 4: the seals

    def _walk_seals(self) -> None:
        if self._held is None:
            return
        origin = self._held.checkpoint.origin
        walk = SealWalk(
            self._directory, self._source, self._policy, origin, self._findings, self._see
        )
        total = self._place.size - self._place.sealed

        def advance(steps: int) -> None:
            self._auditor.progress("seals", steps, total)

        self._place = walk.walk(self._place, self._auditor.clock(), advance)

    # 5: elsewhere

    def _see(self, note: str, place: str) -> None:
        self._seen.append((note, place))

    def _look_elsewhere(self) -> None:
        """Mirrors, then everything that was seen and can be compared by now."""
        if self._held is None:
            return
        for mirror in self._auditor.mirrors:
            try:
                self._seen.append((self._read_mirror(mirror), mirror.url))
            except DifferenceError as error:
                self._findings.note(error)
            except LogUnreachableError as error:
                self._unreachable.append(str(error))
        origin = self._held.checkpoint.origin
        self._read_evidence(origin)
        for note, place in dict(self._seen).items():
            self._keep_sighting(note, place, origin)
        if self._place.size == self._held.checkpoint.size:
            self._compare_sightings(self._held, origin)

    def _read_evidence(self, origin: str) -> None:
        """What the log says against itself: an honest one shows the forks that it found.

        What proves nothing is passed over, and what is about another log of the policy: anybody
        may have put it there.
        """
        try:
            data = self._source.read("api/v1/log/forks", MAX_EVIDENCE_BYTES)
            found = canonical.parse(data, max_bytes=MAX_EVIDENCE_BYTES)
        except (LogFileMissingError, LogMalformedError, MalformedJsonError):
            return
        for value in found if isinstance(found, list) else ():
            try:
                evidence = read_fork(value)
                if evidence.origin != origin:
                    continue
                path = keep_evidence(self._directory, self._policy, evidence)
            except (FormError, Base64Error, ForkEvidenceError):
                continue
            self._findings.keep("fork", "log/forks", "one history", f"two; evidence in {path}")

    def _read_mirror(self, mirror: Source) -> str:
        """A copy of the log, a platform that runs it, or a witness by its monitoring path."""
        assert self._held is not None  # noqa: S101 -- asked by the caller
        origin = self._held.checkpoint.origin
        for path in ("checkpoint", checkpoint_path(origin), "log/checkpoint"):
            try:
                return mirror.read(path, MAX_NOTE_BYTES).decode("utf-8", "replace")
            except LogFileMissingError:
                continue
            except LogMalformedError as error:
                raise DifferenceError("checkpoint", mirror.url, "a note", error) from error
        raise DifferenceError("checkpoint", mirror.url, f"one of {origin}", "nothing (404)")

    def _keep_sighting(self, note: str, place: str, origin: str) -> None:
        try:
            state = open_signed(note.encode("utf-8"), origin, self._policy)
        except ForkEvidenceError as error:
            self._findings.note(
                DifferenceError("checkpoint", place, f"one signed by {origin}", error)
            )
            return
        size = state.checkpoint.size
        with self._directory.database.write() as connection:
            rows.write_sighting(connection, Sighting(note.encode("utf-8"), size, place))

    def _compare_sightings(self, held: State, origin: str) -> None:
        with self._directory.database.read() as connection:
            sightings = rows.read_sightings(connection, self._place.size)
        tree = self._own_tree()
        for sighting in sightings:
            state = open_signed(sighting.note, origin, self._policy)
            try:
                require_continuing(
                    self._directory, self._policy, state, held, tree, sighting.source
                )
            except SignedLieError as error:
                self._findings.keep(error.what, error.where, error.expected, error.found)
        counts = dict(self._place.counts)
        words = "checkpoints seen elsewhere"
        counts[words] = counts.get(words, 0) + len(sightings)
        self._place = replace(self._place, counts=counts)
        with self._directory.database.write() as connection:
            rows.write_differences(connection, self._findings.kept)
            rows.drop_sightings(connection, self._place.size)
            rows.write_place(connection, self._place)
