"""The sequencer: accepted links become a larger log, a checkpoint, and something readers may see.

One at a time, under a lease with a fencing token; a second one waits and takes over when the lease
expires. What a batch is worth is decided at one point, the compare-and-swap of step 3. The order of
durable writes, and what a crash after each leaves:

0. Before anything else, once for each lease: every witness and every mirror is asked what it holds
   (:mod:`provenance.services.lookout`). More than this log, or another history: nothing is signed
   (:mod:`provenance.services.forks`). No transaction of the steps below commits once evidence of
   that is stored. Nothing is written here but such evidence.
1. Read, in one snapshot: uploads without an index, in id order, the states of their subjects and
   the pages of the map on which these lie.
2. Work out (:mod:`provenance.services.growth`): entries, map, map head, root; sign the checkpoint.
   Nothing is written yet; a crash loses nothing but work.
3. **Commit**, one transaction: the lease is renewed (token), the copy beside the keys is not ahead,
   `log_state` moves from exactly the old state to the new, the uploads get their indexes. From here
   on the batch is part of the log. A crash leaves a signed state that nobody has seen and
   everything that is needed to publish it.
4. The copy beside the keys (`storage.tiles.LastSigned`). Before any step that lets the checkpoint
   out, so that whatever readers may have seen is never forgotten with the database; after the
   commit, so that it never claims what was not committed.
5. Tiles and entry bundles, immutable. Before publication: a reader who sees a checkpoint finds all
   its tiles. A crash leaves tiles that nobody asks for yet; writing them again changes nothing.
6. Cosign (:mod:`provenance.services.witnessing`), check the quorum, **publish**, one transaction:
   lease renewed, `publication`, the map's leaves and pages of the subjects touched, the uploads'
   copies of their links dropped, and inside it, before its commit, the checkpoint file. The file
   goes first because what waits for the row ("is my upload published?") must then find it in the
   file; and it goes inside because the transaction holds the lease's row: a sequencer that was
   asleep while another took over can no longer put an older file over a newer one. A crash between
   the two leaves a file ahead of the row, of a checkpoint that is committed and whose tiles are
   there; recovery does step 6 again.
7. Partial tiles whose full tile is published now are discarded. They are copies; nothing depends
   on it.

After a failure the outcome of the last write is unknown, so nothing that was in memory is used
again: the next round starts with :func:`provenance.services.recovery.recover` and does what is
missing by these same functions. A new batch is begun only when the one before is published, so
there is never more than one to redo.

No new uploads: no new entry. The same checkpoint is cosigned again when its cosignatures are older
than `refresh_ms`, so that it stays fresh; a witness that is away then leaves its older line.

Two policies of publication. ``wait``: step 6 waits for the quorum, and what comes after it is added
when there is nothing else to do. ``upgrade``: step 6 publishes at once, with the log's line and
the local clock's, and writes the same checkpoint again as cosignatures come; the next batch waits
for them until the quorum is reached or nobody is left to wait for, or under a steady load no
checkpoint would ever have one.

Sources: Sunlight (order of lock, tiles, publication), Tessera (file rules, publication policies),
C2SP tlog-tiles, tlog-witness.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal, Protocol

from merkle.checkpoint import Checkpoint, parse_checkpoint
from merkle.note import Note, NoteSignature, Signer, open_note, parse_note, sign_note
from merkle.pagemap import PageMap
from merkle.policy import Policy
from merkle.proofs import prove_consistency
from merkle.tiles import TILE_HEIGHT, TILE_WIDTH, TileHashReader, addresses_for
from provenance.crypto.mldsa import MldsaNoteSigner, is_available, verify_mldsa
from provenance.crypto.signing import Cosigner, verify_ed25519
from provenance.domain.errors import DomainError
from provenance.services.forks import ForkWatch, require_whole
from provenance.services.growth import Growth, Position, grow
from provenance.services.lookout import Oversight
from provenance.services.observing import SILENT, Observer
from provenance.services.recovery import (
    LAST_SIGNED,
    SIGNED,
    SequencerRefusalError,
    read_statement,
    recover,
    require_not_ahead,
)
from provenance.services.tenure import LeaseClock, Tenure
from provenance.services.witnessing import (
    MOST_AHEAD_S,
    CosigningError,
    Proposal,
    ShowsCheckpoint,
    Witnesses,
    witness_verifiers,
)
from provenance.storage import keymap as map_rows
from provenance.storage import log, mappages
from provenance.storage.errors import StorageError
from provenance.storage.leases import Lease, LeaseLostError
from provenance.storage.log import LogState, Publication
from provenance.storage.session import Connection, Database
from provenance.storage.tiles import LastSigned, TileStore, read_tile

__all__ = [
    "ClockCosigning",
    "Cosigning",
    "CosigningError",
    "Published",
    "QuorumError",
    "Sequencer",
    "SequencerOptions",
    "SequencerRefusalError",
]

LEASE: str = "sequencer"
FAILURES_IN_A_ROW: Final = 3
"""So often a store may fail one sequencer before another one gets its turn."""

_logger = logging.getLogger(__name__)


_FIRST_BATCH = 5_000  # links, before it is known how fast this machine is


class QuorumError(DomainError):
    """Too few cosignatures for the policy. The batch is signed and committed, and not published."""


class Cosigning(Protocol):
    """Somebody at hand who cosigns checkpoints: our own clock. Witnesses far away are apart."""

    def __call__(self, note: Note) -> Sequence[NoteSignature]:
        """Signature lines over the checkpoint `note`, which bears the log's line alone.

        Its tiles are written already, so that consistency proofs can be read from them. Raises
        CosigningError; every line is verified before it is used.
        """
        ...


@dataclass(frozen=True, slots=True)
class ClockCosigning:
    """The operator's own cosigner: it gives a checkpoint its age, and is not independent."""

    cosigner: Cosigner
    clock: Callable[[], int]

    def __call__(self, note: Note) -> Sequence[NoteSignature]:
        return (self.cosigner.cosign(note.text.encode(), self.clock() // 1000),)


@dataclass(frozen=True, slots=True)
class SequencerOptions:
    """Bounds and times; `_ms` are milliseconds."""

    max_links: int = 20_000
    """Most links in one batch; an upload is never divided, so a larger one makes a larger batch."""
    min_links: int = 2_000
    """Links in one batch however slow the last one was."""
    batch_ms: int = 1_000
    """How long one batch should take at most, by what the one before took."""
    lease_ms: int = 10_000
    """How long a lease stands that its holder does not renew."""
    refresh_ms: int = 300_000
    """Age of the cosignatures at which the same checkpoint is cosigned again."""
    interval_ms: int = 250
    """Pause between two rounds of `run` that found nothing to do."""
    publication: Literal["wait", "upgrade"] = "wait"
    """Wait for the quorum, or publish and upgrade: see the module text."""
    witness_wait_ms: int = 4_000
    """How long one step waits for witnesses, but never for more than half a lease."""


@dataclass(frozen=True, slots=True)
class Published:
    """What a round made visible: `links` 0 and `refreshed` true when only its age is new."""

    size: int
    note: bytes
    links: int
    refreshed: bool = False


@dataclass(slots=True)
class _Log:
    """The published log as this process knows it, valid while the lease is ours."""

    state: LogState
    position: Position
    keymap: PageMap
    publication: Publication


class Sequencer:
    """See the module text. One instance belongs to one thread.

    `signers` all sign each checkpoint: one, two while the log's key passes on, and perhaps a
    post-quantum one. Their name is the log's origin and their keys stand in `policy` (the
    post-quantum one may be missing there: readers then pass its lines over), which also names the
    witnesses and the quorum without which nothing is published. `cosigners` are at hand,
    `witnesses` far away; `mirrors` are copies of the log, by their address. `clock` gives
    milliseconds since 1970. `holder` names this process in the lease, for people. `observer` is
    told of steps, publications and failures. `judge` is the clock by which leases stand or fall,
    unless told otherwise the database's (services.tenure).
    """

    def __init__(
        self,
        database: Database,
        tiles: TileStore,
        last_signed: LastSigned,
        *,
        signers: Sequence[Signer],
        policy: Policy,
        cosigners: Sequence[Cosigning],
        clock: Callable[[], int],
        holder: str,
        options: SequencerOptions | None = None,
        witnesses: Witnesses | None = None,
        mirrors: Mapping[str, ShowsCheckpoint] | None = None,
        observer: Observer = SILENT,
        judge: LeaseClock | None = None,
    ) -> None:
        self.origin = signers[0].name
        self.options = options or SequencerOptions()
        self._database = database
        self._tiles = tiles
        self._last_signed = last_signed
        self._signers = tuple(signers)
        self._policy = policy
        self._cosigners = tuple(cosigners)
        self._clock = clock
        self._observer = observer
        ed25519 = policy.log_verifiers(self.origin, verify_ed25519)
        self._log_verifiers = policy.log_verifiers(
            self.origin, verify_ed25519, verify_mldsa if is_available() else None
        )
        self._witness_verifiers = witness_verifiers(policy)
        listed = {known.key.key_id for known in policy.log_named(self.origin)}
        for signer in self._signers:
            if not isinstance(signer, MldsaNoteSigner) and signer.key_id not in listed:
                raise SequencerRefusalError(
                    f"the log key of {self.origin} has id {signer.key_id.hex()}",
                    "the policy that readers are given does not list it",
                )
        self._witnesses = witnesses or Witnesses((), clock)
        watch = ForkWatch(database, tiles, ed25519, self.origin, clock)
        self._others = Oversight(database, watch, self._witnesses, mirrors or {}, self.origin)
        self._tenure = Tenure(
            database,
            LEASE,
            holder,
            term_ms=self.options.lease_ms,
            clock=clock,
            judge=judge,
        )
        self._log: _Log | None = None
        self._most = min(_FIRST_BATCH, self.options.max_links)  # links in the next batch

    def start(self) -> bool:
        """Take the lease, compare all that was signed, complete what a crash left.

        On a database without a log: the first checkpoint, whose one entry is the map head of the
        empty map. False while another sequencer holds the lease. Raises SequencerRefusalError (do
        not try again), QuorumError, errors of the stores and LeaseLostError (try again).
        """
        if not self._hold_lease():
            return False
        self._load()
        return True

    def run_once(self) -> Published | None:
        """One round: a batch, or a fresh cosignature, or nothing. None as well while waiting.

        Errors as in `start`. After any of them the next call starts from what is stored.
        """
        if not self._hold_lease():
            return None
        try:
            published = None if self._log is not None else self._load()
            self._others.listen()
            if self._is_waiting:
                return published or self._sequence() or self._refresh_if_old() or self._upgrade()
            return published or self._upgrade() or self._sequence() or self._refresh_if_old()
        except BaseException:
            self._log = None
            raise

    def run(self, stop: threading.Event, *, retry_ms: int = 1_000) -> None:
        """Rounds until `stop` is set; gives the lease back at the end.

        Failures of stores and cosigners are logged and tried again after `retry_ms`; after some of
        a store in a row another sequencer gets its turn, since what fails may be this machine's
        disk or network. Raises SequencerRefusalError at once: then the lease is kept until it
        expires, so that an operator sees the alarm before another process with less evidence signs
        instead.
        """
        with self._tenure.kept_up():
            self._go_round(stop, retry_ms)
        self.release()

    def _go_round(self, stop: threading.Event, retry_ms: int) -> None:
        failures = 0  # of a store, in a row
        while not stop.is_set():
            try:
                pause = 0 if self.run_once() is not None else self.options.interval_ms
                failures = 0
            except SequencerRefusalError:
                self._observer.failed("refusal")
                self._witnesses.stop()
                raise
            except QuorumError as error:
                self._observer.failed("quorum")
                _logger.warning(
                    "sequencer: round failed; starting again from what is stored: %s", error
                )
                pause = retry_ms
            except Exception:
                self._observer.failed("store")
                _logger.exception("sequencer: round failed; starting again from what is stored")
                pause = retry_ms
                failures += 1
                if failures % FAILURES_IN_A_ROW == 0:
                    self._give_way()
            stop.wait(pause / 1000)

    def _give_way(self) -> None:
        """Let go of the lease; whoever waits for it looks more often than this one comes back."""
        self._log = None
        self._others.forget()
        try:
            self._tenure.release()
        except StorageError as error:
            _logger.warning("sequencer: the lease could not be given up: %s", error)

    def release(self) -> None:
        """Give the lease up, so that the next sequencer need not wait for it to expire."""
        self._log = None
        self._others.forget()
        self._witnesses.stop()
        self._tenure.release()

    # The lease

    def _hold_lease(self) -> bool:
        if not self._tenure.is_ours:
            taken = self._tenure.take(_largest_fence)
            if taken:
                self._others.forget()
            return taken
        if not self._tenure.is_fresh:
            try:
                with self._database.write() as connection:
                    self._renew(connection)
            except LeaseLostError:
                return False
        return True

    def _renew(self, connection: Connection) -> Lease:
        """Lock the lease for this transaction; whoever has lost it forgets all it knew.

        Every transaction that signs or publishes begins here, so here it is seen, too, whether
        this log may still do so.
        """
        try:
            lease = self._tenure.renew(connection)
        except LeaseLostError:
            self._log = None
            raise
        signed = log.read_state(connection)
        require_whole(connection, 0 if signed is None else signed.size)
        return lease

    # Rounds

    def _load(self) -> Published | None:
        """Compare, and complete; what that made visible, if anything."""
        self._fill_pages()
        with self._database.read() as connection:
            found = recover(
                connection, self._tiles, self._last_signed, self._log_verifiers, self.origin
            )
            publication = log.read_publication(connection)
        self._look_around(publication)
        if found.state is None:
            genesis = grow(
                Position(),
                uploads=(),
                keymap=found.keymap,
                read=lambda _: {},
                read_states=lambda _: {},
                fetch=self._fetch,
            )
            return self._commit(None, genesis, found.keymap)
        if found.last_signed is None or found.last_signed.size < found.state.size:
            # None: a new machine, or a file lost. Its evidence is gone either way; the other three
            # places agree, and refusing would make every take-over by another machine impossible.
            self._last_signed.write(found.state.note)
        if found.growth is not None:
            return self._publish(found.state, found.growth, found.keymap)
        assert publication is not None  # noqa: S101 -- recover has compared it with the state
        self._log = _Log(found.state, found.position, found.keymap, publication)
        published = parse_note(publication.note)
        self._witnesses.know(published.text, published.signatures)
        # What others cosigned for a process that ended before it could write it down.
        self._ask(published, publication.size, publication.published_at - self.options.refresh_ms)
        if self._tiles.read_checkpoint() != publication.note or self._unsigned(publication.note):
            return self._refresh()
        return None

    def _fill_pages(self) -> None:
        """Once, after an upgrade: pages for a published map whose leaves have none yet."""
        with self._database.read() as connection:
            if not mappages.is_behind(connection):
                return
        with self._database.write() as connection:
            self._renew(connection)
            publication = log.read_publication(connection)
            if publication is not None and mappages.is_behind(connection):
                mappages.fill(connection, publication.size)

    def _sequence(self) -> Published | None:
        """Steps 1 to 7 for one batch; None if no upload waits."""
        known = self._log
        assert known is not None  # noqa: S101 -- loaded at the beginning of the round
        with ExitStack() as around:
            with self._database.read() as connection:
                require_whole(connection, known.state.size)
                waiting = log.pending_ids(connection, self._most)
                if not waiting:
                    return None
                around.enter_context(self._observer.step("round"))  # one that finds nothing is none
                start = self._clock()
                with self._observer.step("read"):
                    uploads = log.load_uploads(connection, waiting)
                with self._observer.step("grow"):
                    growth = self._grow(connection, known, uploads)
            published = self._commit(known.state, growth, known.keymap)
            self._pace(growth.links, self._clock() - start)
            return published

    def _grow(
        self, connection: Connection, known: _Log, uploads: Sequence[log.PendingUpload]
    ) -> Growth:
        """Step 2, in the snapshot of step 1."""
        return grow(
            known.position,
            uploads=uploads,
            keymap=known.keymap,
            read=partial(mappages.read_stored, connection),
            read_states=partial(map_rows.read_states, connection),
            fetch=self._fetch,
            observer=self._observer,
        )

    def _pace(self, links: int, milliseconds: int) -> None:
        """Take as many links into the next batch as `batch_ms` allows by what this one took.

        A batch pays for its signatures, commits and upper places of the map once, so under load it
        should be large; but the first upload in it waits for the last.
        """
        if links < min(self._most, self.options.min_links):
            return  # a small one says little of a large one
        fitting = links * self.options.batch_ms // max(1, milliseconds)
        self._most = min(max(self.options.min_links, fitting), self.options.max_links)

    def _commit(self, old: LogState | None, growth: Growth, keymap: PageMap) -> Published:
        """Steps 3 and 4, then the rest."""
        after = growth.after
        checkpoint = Checkpoint(self.origin, after.size, after.root)
        note = sign_note(checkpoint.format(), self._signers)
        with self._observer.step("commit"), self._database.write() as connection:
            new = LogState(
                size=after.size,
                note=note,
                map_root=after.map_root,
                map_head_index=growth.head.index,
                subjects=after.subjects,
                ignored=after.ignored,
                fence=self._renew(connection).token,
            )
            if old is not None:
                self._require_alone(old)
            log.commit_state(connection, old, new)
            log.assign_indexes(connection, growth.indexes)
        self._last_signed.write(note)
        return self._publish(new, growth, keymap)

    def _require_alone(self, old: LogState) -> None:
        """Raise SequencerRefusalError if this machine has signed more than the state before us.

        Under the lease nobody else grows this log in this database; who did it in another one (a
        copy that was left running when the log moved) shares no lease with us, only the keys.
        """
        held = self._last_signed.read()
        if held is not None:
            require_not_ahead(
                read_statement(SIGNED, old.note, self._log_verifiers, self.origin),
                read_statement(LAST_SIGNED, held, self._log_verifiers, self.origin),
            )

    def _publish(self, state: LogState, growth: Growth, keymap: PageMap) -> Published:
        """Steps 5 to 7, by the same code after a commit and after a crash."""
        with self._observer.step("tiles"):
            self._tiles.write_all(growth.files())
        with self._observer.step("cosign"):
            publication = self._cosign(state, self._clock() - self.options.refresh_ms)
        with self._observer.step("publish"), self._database.write() as connection:
            self._renew(connection)
            log.write_publication(connection, publication)
            map_rows.write_states(connection, growth.states, state.size)
            mappages.write_pages(connection, growth.pages, state.size)
            log.forget_entries(connection, [upload for upload, _ in growth.indexes])
            self._tiles.write_checkpoint(publication.note)
        self._log = _Log(state, growth.after, keymap, publication)
        now = self._clock()
        self._observer.published(
            links=growth.links,
            delays_ms=[max(0, now - accepted_at) for accepted_at in growth.accepted_at],
        )
        self._discard_partials(growth)
        return Published(state.size, publication.note, growth.links)

    def _discard_partials(self, growth: Growth) -> None:
        """Those of the tile that an earlier size ended in, on each level where it is full now."""
        size = growth.before.size
        for address in addresses_for(size, growth.after.size):
            began = (size >> (TILE_HEIGHT * (address.level or 0))) > address.index * TILE_WIDTH
            if address.is_full and began:
                self._tiles.discard_partials(address.path())

    def _refresh_if_old(self) -> Published | None:
        assert self._log is not None  # noqa: S101 -- loaded at the beginning of the round
        age = self._clock() - self._log.publication.published_at
        # Far ahead of now: cosigned under a clock that has been put right since. Verifiers refuse
        # a checkpoint from the future, so it must not stay until that future has come.
        if -1000 * MOST_AHEAD_S < age < self.options.refresh_ms:
            return None
        self._others.ask_again(self._propose_published(self._log.publication))
        return self._refresh()

    def _refresh(self) -> Published:
        """Publish the same checkpoint under new cosignatures."""
        assert self._log is not None  # noqa: S101 -- loaded at the beginning of the round
        return self._publish_again(self._cosign(self._log.state, self._clock()))

    def _upgrade(self) -> Published | None:
        """Add what witnesses have cosigned since the publication; its age is not touched."""
        known = self._log
        assert known is not None  # noqa: S101 -- loaded at the beginning of the round
        published = parse_note(known.publication.note)
        if not self._is_waiting:
            quorum = self._is_quorum_with(published.signatures)
            self._witnesses.wait(quorum, self._seconds, patiently=False)
            self._others.hear_alarms()
        fresh = self._witnesses.lines(published.text)
        if set(fresh) <= set(published.signatures):
            return None
        replaced = {(line.name, line.key_id) for line in fresh}
        kept = [line for line in published.signatures if (line.name, line.key_id) not in replaced]
        whole = Note(published.text, (*kept, *fresh)).format()
        open_note(whole, [*self._log_verifiers, *self._witness_verifiers])
        return self._publish_again(
            Publication(known.state.size, whole, known.publication.published_at)
        )

    def _publish_again(self, publication: Publication) -> Published:
        """The checkpoint that readers see already, under other cosignatures."""
        assert self._log is not None  # noqa: S101 -- loaded at the beginning of the round
        with self._database.write() as connection:
            self._renew(connection)
            log.write_publication(connection, publication)
            self._tiles.write_checkpoint(publication.note)
        self._log.publication = publication
        return Published(publication.size, publication.note, 0, refreshed=True)

    # Cosignatures

    @property
    def _is_waiting(self) -> bool:
        return self.options.publication == "wait"

    @property
    def _seconds(self) -> float:
        """How long a step waits for witnesses: never so long that the lease would expire."""
        return min(self.options.witness_wait_ms, self.options.lease_ms // 2) / 1000

    def _cosign(self, state: LogState, newer_than: int) -> Publication:
        """The signed checkpoint with cosignatures, enough of them unless we publish at once.

        Witnesses whose line is not newer than `newer_than` (milliseconds) are asked for another.
        Raises QuorumError, SequencerRefusalError.
        """
        now = self._clock()
        note = self._sign_more(parse_note(state.note))
        lines = self._cosign_here(note)
        self._ask(note, state.size, newer_than)
        if self._is_waiting:
            self._witnesses.wait(self._is_quorum_with(lines), self._seconds)
        self._others.hear_alarms()
        whole = note.with_signatures([*lines, *self._witnesses.lines(note.text)]).format()
        opened = open_note(whole, [*self._log_verifiers, *self._witness_verifiers])
        names = self._names(opened.verified)
        if self._is_waiting and not self._policy.is_satisfied(names):
            raise QuorumError(
                f"checkpoint of size {state.size} is not published: the policy's quorum "
                f"{self._policy.quorum} needs more than {sorted(names) or 'no cosignature'}"
                + "".join(f"; {trouble}" for trouble in self._witnesses.troubles())
            )
        return Publication(state.size, whole, now)

    def _ask(self, note: Note, size: int, newer_than: int) -> None:
        self._witnesses.ask(self._propose(note, size), newer_than // 1000)

    def _cosign_here(self, note: Note) -> list[NoteSignature]:
        lines: list[NoteSignature] = []
        for cosigner in self._cosigners:
            try:
                lines += cosigner(note)
            except CosigningError as error:
                _logger.warning("sequencer: a cosigner failed: %s", error)
        return lines

    def _is_quorum_with(self, lines: Sequence[NoteSignature]) -> Callable[[Collection[str]], bool]:
        """Is the quorum reached by those of these names, with the local ones among `lines`?"""
        far = {feeder.name for feeder in self._witnesses.feeders}
        here = self._names(lines) - far
        return lambda names: self._policy.is_satisfied(here | set(names))

    def _names(self, lines: Sequence[NoteSignature]) -> set[str]:
        witnesses = [self._policy.witness_of(line) for line in lines]
        return {witness.name for witness in witnesses if witness is not None}

    def _propose(self, note: Note, size: int) -> Proposal:
        """`note` with the log's own lines alone, and proofs from its tiles, which are written."""
        own = Note(note.text, tuple(s for s in note.signatures if s.name == self.origin))
        return Proposal(
            own,
            parse_checkpoint(note.text),
            lambda old: prove_consistency(old, size, TileHashReader(self._fetch, size)),
        )

    def _propose_published(self, publication: Publication | None) -> Proposal | None:
        if publication is None:
            return None
        return self._propose(parse_note(publication.note), publication.size)

    def _look_around(self, publication: Publication | None) -> None:
        """Step 0. Raises SequencerRefusalError, and QuorumError while too few have answered."""
        silent = self._others.look_around(self._propose_published(publication), self._seconds)
        heard = self._near(publication) | {
            feeder.name
            for feeder in self._witnesses.feeders
            if f"witness {feeder.name}" not in silent
        }
        if self._is_waiting and silent and not self._policy.is_satisfied(heard):
            raise QuorumError(
                "nothing is signed before a quorum of witnesses has said what it holds of this "
                f"log; no answer from {', '.join(sorted(silent))}"
            )
        if not self._hold_lease():
            raise LeaseLostError("the lease was lost while others were asked what they hold")

    def _near(self, publication: Publication | None) -> set[str]:
        """The policy names of the cosigners at hand, which remember nothing that we do not.

        A witness that is neither at hand nor has a URL is never heard: it may hold anything. Before
        the first publication nobody has cosigned anything, as far as this log's database knows.
        """
        if publication is None:
            far = {feeder.name for feeder in self._witnesses.feeders}
            return {witness.name for witness in self._policy.witnesses} - far
        return self._names(self._cosign_here(parse_note(publication.note)))

    def _sign_more(self, note: Note) -> Note:
        """The note with the lines of signers that came after it was first signed.

        So a checkpoint that was signed under one key is soon shown under its successor too, even
        where nothing new is ever logged.
        """
        text = note.text.encode()
        return note.with_signatures(
            NoteSignature(one.name, one.key_id, one.sign(text))
            for one in self._unsigned(note.format())
        )

    def _unsigned(self, note: bytes) -> list[Signer]:
        """The signers of which a note bears no line."""
        signed = {(line.name, line.key_id) for line in parse_note(note).signatures}
        return [one for one in self._signers if (one.name, one.key_id) not in signed]

    def _fetch(self, path: str) -> bytes:
        return read_tile(self._tiles, path)


def _largest_fence(connection: Connection) -> int:
    """Should somebody have deleted the lease's row, its token must not begin anew."""
    signed = log.read_state(connection)
    return 0 if signed is None else signed.fence
