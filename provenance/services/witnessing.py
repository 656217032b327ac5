"""Cosignatures from witnesses far away: C2SP tlog-witness 1.0, the log's side.

Each witness of the policy that has a URL is asked by a thread of its own, so that a dead one delays
nobody. What is asked is always the newest checkpoint; what comes too late for one publication is
kept for the next time the same checkpoint is written.

    log        -> witness   old 300, proof 300 → 320, the checkpoint with the log's own lines alone
    200                     lines: those of this witness's key are verified and kept, others dropped
    409 "310", below ours   once more, with the proof 310 → 320: the witness knows better
    429, 5xx, 403, 404 …    asked again later, after 250 ms, 500 ms … 30 s
    an alarm                never asked again by this sequencer (:class:`WitnessAlarm`)

An alarm is an answer that no honest log can get: 422 for a proof that we made from our own tiles,
or 409 with no size, with the size just sent, or with one above our tree. Implementations differ in
which of these they give for a forked log, so they are one thing here. What the witness shows on its
monitoring path is then fetched; whether that is evidence, and of what, is decided by
:mod:`provenance.services.forks` and the sequencer.

Left to others: bytes on the wire (`merkle.witness`), HTTP (an injected transport), when to publish
(`provenance.services.sequencing`). Times of cosignatures are the witnesses' own; one from the
future, or from long ago, is dropped: readers would refuse the whole checkpoint for it.

Sources: https://c2sp.org/tlog-witness, https://c2sp.org/tlog-cosignature.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from merkle.checkpoint import Checkpoint
from merkle.cosignature import decode_cosignature
from merkle.errors import MerkleError, WitnessFormError
from merkle.note import Note, NoteSignature, Verifier
from merkle.policy import Policy
from merkle.witness import AddCheckpoint, parse_cosignatures, parse_size
from provenance.crypto.mldsa import is_available, verify_mldsa
from provenance.crypto.signing import verify_ed25519
from provenance.domain.errors import DomainError

MAX_LINES: Final = 16
"""Signature lines that are read of one answer (docs: one is needed)."""
MOST_AHEAD_S: Final = 60
"""Below the 300 s that verifiers allow (docs/formats.md step 10), above what clocks differ by."""
MOST_BEHIND_S: Final = 3_600
"""A checkpoint is as old as its quorum's times, so a line from long ago must not be counted for it
in the place of another's: readers refuse what is a day old."""

_FIRST_PAUSE_S: Final = 0.25
_LONGEST_PAUSE_S: Final = 30.0

_logger = logging.getLogger(__name__)


class CosigningError(DomainError):
    """A cosigner did not answer, or said no. The others may be enough."""


class WitnessAlarm(CosigningError):  # noqa: N818  a final word, and no failure of the witness
    """An answer that contradicts this log.

    `size` is what the witness says it cosigned, if it says so; `shown` the note of its monitoring
    path, not yet judged, or None.
    """

    def __init__(
        self, witness: str, what: str, size: int | None = None, shown: bytes | None = None
    ) -> None:
        super().__init__(f"witness {witness}: {what}")
        self.witness = witness
        self.what = what
        self.size = size
        self.shown = shown


class Answered(Protocol):
    """An HTTP answer, whatever its status."""

    @property
    def status(self) -> int: ...
    @property
    def body(self) -> bytes: ...


class ShowsCheckpoint(Protocol):
    """Somebody who can be asked what he holds: a witness, a mirror."""

    def show_checkpoint(self, origin: str) -> Answered:
        """200 and a signed note, 404 for none. Raises OSError when no answer comes."""
        ...


class WitnessTransport(ShowsCheckpoint, Protocol):
    """How a witness is reached. Bodies of answers are bounded; every call ends in bounded time."""

    def add_checkpoint(self, body: bytes) -> Answered:
        """The answer to a request of `merkle.witness`. Raises OSError when none comes."""
        ...


@dataclass(frozen=True, slots=True)
class Proposal:
    """What witnesses are asked to cosign: `note` bears the log's own lines alone.

    `prove` gives the consistency proof from an older size (0 < old <= size), read from the tiles;
    it is called in the witnesses' threads.
    """

    note: Note
    checkpoint: Checkpoint
    prove: Callable[[int], Sequence[bytes]]


class Feeder:
    """One witness: asks, and understands the answers. No threads here.

    `held` is the size that it cosigned last as far as we know, None if we do not.
    """

    def __init__(
        self, name: str, verifier: Verifier, transport: WitnessTransport, clock: Callable[[], int]
    ) -> None:
        self.name = name
        self.held: int | None = None
        self._verifier = verifier
        self._transport = transport
        self._clock = clock

    def cosign(self, proposal: Proposal) -> NoteSignature:
        """Its good line over the proposal. Raises WitnessAlarm, CosigningError (try again)."""
        size = proposal.checkpoint.size
        old = min(self.held or 0, size)
        answer = self._add(proposal, old)
        if answer.status == 409:
            # Rule (c): a smaller size is worth one more try, with the proof that fits it.
            old = self._read_conflict(proposal, old, answer)
            answer = self._add(proposal, old)
            if answer.status == 409:
                self._read_conflict(proposal, old, answer)
                raise CosigningError(f"witness {self.name}: 409 again; others feed it as well")
        if answer.status == 422:
            raise self._alarm(proposal, "422 for a proof out of our own tiles")
        if answer.status != 200:
            raise CosigningError(f"witness {self.name}: status {answer.status}")
        line = self._take(proposal.note, answer.body)
        self.held = size
        return line

    def probe(self, proposal: Proposal) -> None:
        """Learn what it holds where there is no monitoring path: our checkpoint, with ``old 0``.

        A witness that holds nothing cosigns it, which does no harm. Raises as `cosign`.
        """
        answer = self._add(proposal, 0)
        if answer.status == 409:
            self._read_conflict(proposal, 0, answer)
        elif answer.status == 200:
            self.held = proposal.checkpoint.size
        elif answer.status != 404:  # who does not know this log holds nothing of it
            raise CosigningError(f"witness {self.name}: status {answer.status}")

    def show(self, origin: str) -> bytes | None:
        """The checkpoint that it shows, not judged; None for none. Raises CosigningError."""
        return ask_for_checkpoint(self._transport, f"witness {self.name}", origin)

    def _add(self, proposal: Proposal, old: int) -> Answered:
        proof = proposal.prove(old) if old else ()
        request = AddCheckpoint(old, tuple(proof), proposal.note.format())
        try:
            return self._transport.add_checkpoint(request.encode())
        except OSError as error:
            raise CosigningError(f"witness {self.name}: {error}") from error

    def _read_conflict(self, proposal: Proposal, old: int, answer: Answered) -> int:
        """The size that a 409 names, if it is one that can be: another, and not above ours."""
        try:
            size = parse_size(answer.body)
        except WitnessFormError:
            raise self._alarm(proposal, "409 without a size") from None
        if size > proposal.checkpoint.size:
            raise self._alarm(
                proposal, f"409, it holds size {size} of this log, above ours", size
            ) from None
        if size == old:
            raise self._alarm(proposal, f"409 with the size {size} that was sent") from None
        if self.held is not None and size < self.held:
            _logger.warning(
                "witness %s: it held size %d and says %d now", self.name, self.held, size
            )
        self.held = size
        return size

    def _alarm(self, proposal: Proposal, what: str, size: int | None = None) -> WitnessAlarm:
        try:
            shown = self.show(proposal.checkpoint.origin)
        except CosigningError:
            shown = None
        return WitnessAlarm(self.name, what, size, shown)

    def _take(self, note: Note, body: bytes) -> NoteSignature:
        """The newest good line of this witness's key; raises CosigningError without one."""
        if body.count(b"\n") > MAX_LINES:
            raise CosigningError(f"witness {self.name}: more than {MAX_LINES} lines")
        try:
            lines = parse_cosignatures(body)
        except MerkleError as error:
            raise CosigningError(f"witness {self.name}: {error}") from error
        good = [line for line in lines if self.is_by(line) and self._is_good(note, line)]
        if not good:
            raise CosigningError(
                f"witness {self.name}: expected a good line of {self._verifier.name} "
                f"(key id {self._verifier.key_id.hex()}) for the present time, found "
                f"{sum(map(self.is_by, lines))} under that key and {len(lines)} in all"
            )
        return max(good, key=time_of)

    def is_by(self, line: NoteSignature) -> bool:
        """Is this line under the witness's key? Whether it is good is not asked."""
        return (line.name, line.key_id) == (self._verifier.name, self._verifier.key_id)

    def _is_good(self, note: Note, line: NoteSignature) -> bool:
        if not self._verifier.verify(note.text.encode(), line.signature):
            return False
        # 0 states no time at all (tlog-cosignature), and one from the future stops readers.
        now, seconds = self._clock() // 1000, time_of(line)
        return seconds > 0 and now - MOST_BEHIND_S <= seconds <= now + MOST_AHEAD_S


def time_of(line: NoteSignature) -> int:
    """POSIX seconds of a cosigner's line; 0 for a line of another form."""
    try:
        return decode_cosignature(line.signature).seconds
    except MerkleError:
        return 0


def ask_for_checkpoint(place: ShowsCheckpoint, name: str, origin: str) -> bytes | None:
    """What a witness or mirror shows of the log; None for 404. Raises CosigningError."""
    try:
        answer = place.show_checkpoint(origin)
    except OSError as error:
        raise CosigningError(f"{name}: {error}") from error
    if answer.status == 404:
        return None
    if answer.status != 200:
        raise CosigningError(f"{name}: status {answer.status} for its checkpoint")
    return answer.body


def witness_verifiers(policy: Policy) -> list[Verifier]:
    """Verifiers for the lines of the policy's witnesses, ML-DSA ones where that can be verified."""
    return policy.witness_verifiers(verify_ed25519, verify_mldsa if is_available() else None)


def make_feeders(
    policy: Policy, reach: Callable[[str], WitnessTransport], clock: Callable[[], int]
) -> list[Feeder]:
    """A feeder for each witness of the policy that has a URL and a key that we can verify."""
    judges = {(judge.name, judge.key_id): judge for judge in witness_verifiers(policy)}
    feeders = []
    for witness in policy.witnesses:
        judge = judges.get((witness.key.name, witness.key.key_id))
        if witness.url is not None and judge is not None:
            feeders.append(Feeder(witness.name, judge, reach(witness.url), clock))
    return feeders


@dataclass(slots=True)
class _Worker:
    """What is known of one witness; guarded by the lock of `Witnesses`.

    `line` is its newest over `text`; `is_done` when no other is wanted before the next `ask`.
    """

    feeder: Feeder
    thread: threading.Thread | None = None
    text: str | None = None
    line: NoteSignature | None = None
    is_done: bool = False
    is_out: bool = False
    trouble: str | None = None
    failures: int = 0
    again_at: float = 0.0

    def turn_to(self, text: str) -> None:
        """Forget what was said about another checkpoint."""
        if self.text != text:
            self.text, self.line, self.is_done = text, None, False

    def keep(self, line: NoteSignature) -> None:
        """The newer of two lines over the same text."""
        if self.line is None or time_of(self.line) <= time_of(line):
            self.line = line


class Witnesses:
    """All witnesses with a URL, each asked by its own thread. One sequencer thread calls this.

    The lock owns everything below it; no thread holds it while it waits for the network.
    """

    def __init__(self, feeders: Iterable[Feeder], clock: Callable[[], int]) -> None:
        self._clock = clock
        self._workers = {feeder.name: _Worker(feeder) for feeder in feeders}
        self._news = threading.Condition()
        self._proposal: Proposal | None = None
        self._alarms: list[WitnessAlarm] = []
        self._is_running = False

    @property
    def feeders(self) -> tuple[Feeder, ...]:
        """In the order of the policy."""
        return tuple(worker.feeder for worker in self._workers.values())

    def ask(self, proposal: Proposal, newer_than: int) -> None:
        """Have this checkpoint cosigned by all whose line over it is not newer than `newer_than`.

        `newer_than` in POSIX seconds. Returns at once; what is under way is not broken off.
        """
        latest = self._latest()
        with self._news:
            self._proposal, self._is_running = proposal, True
            for name, worker in self._workers.items():
                worker.turn_to(proposal.note.text)
                worker.is_done = (
                    worker.line is not None and newer_than < time_of(worker.line) <= latest
                )
                if worker.thread is None or not worker.thread.is_alive():
                    worker.thread = threading.Thread(
                        target=self._work, args=(worker,), name=f"witness {name}", daemon=True
                    )
                    worker.thread.start()
            self._news.notify_all()

    def know(self, text: str, lines: Iterable[NoteSignature]) -> None:
        """Lines over `text` that were published before this process began, verified by then."""
        with self._news:
            for worker in self._workers.values():
                worker.turn_to(text)
                for line in filter(worker.feeder.is_by, lines):
                    worker.keep(line)

    def wait(
        self,
        enough: Callable[[Collection[str]], bool],
        seconds: float,
        *,
        patiently: bool = True,
    ) -> None:
        """Until those who have answered are enough, none is left to wait for, or time is up.

        `enough` is given the policy names of those who have answered since `ask`. Those that failed
        and are asked again within `seconds` are waited for only if `patiently`.
        """
        end = time.monotonic() + seconds
        with self._news:
            while not self._alarms and not enough(
                {name for name, worker in self._workers.items() if worker.is_done}
            ):
                now = time.monotonic()
                latest = end if patiently else now
                remaining = end - now
                if remaining <= 0 or not any(
                    not worker.is_out and not worker.is_done and worker.again_at <= latest
                    for worker in self._workers.values()
                ):
                    return
                self._news.wait(remaining)

    def lines(self, text: str) -> list[NoteSignature]:
        """The newest line of each witness over `text`: late ones and those from before too."""
        latest = self._latest()
        with self._news:
            return [
                worker.line
                for worker in self._workers.values()
                if worker.text == text
                and worker.line is not None
                and time_of(worker.line) <= latest
            ]

    def take_alarms(self) -> list[WitnessAlarm]:
        """Alarms since the last call."""
        with self._news:
            alarms, self._alarms = self._alarms, []
            return alarms

    def troubles(self) -> list[str]:
        """Why those that did not answer did not, for people."""
        with self._news:
            return [worker.trouble for worker in self._workers.values() if worker.trouble]

    def set_aside(self, alarm: WitnessAlarm) -> None:
        """Never ask this witness again; the alarm comes out of `take_alarms`."""
        _logger.error("sequencer: %s; it is not asked again until a restart", alarm)
        with self._news:
            worker = self._workers[alarm.witness]
            worker.trouble, worker.is_out = f"{alarm}; set aside until a restart", True
            self._alarms.append(alarm)
            self._news.notify_all()

    def stop(self) -> None:
        """Let the threads end when their present requests have; `ask` starts them again."""
        with self._news:
            self._is_running = False
            self._news.notify_all()

    # In the threads

    def _work(self, worker: _Worker) -> None:
        while (proposal := self._next(worker)) is not None:
            try:
                line = worker.feeder.cosign(proposal)
            except WitnessAlarm as alarm:
                self.set_aside(alarm)
            except CosigningError as error:
                self._fail(worker, str(error))
            except Exception as error:  # a store that does not answer, or a fault of ours
                _logger.warning("witness %s", worker.feeder.name, exc_info=error)
                self._fail(worker, f"witness {worker.feeder.name}: {type(error).__name__}")
            else:
                self._succeed(worker, proposal.note.text, line)

    def _next(self, worker: _Worker) -> Proposal | None:
        """The next thing to ask this witness; None when it is time to end."""
        with self._news:
            while self._is_running and not worker.is_out:
                pause = None
                if self._proposal is not None and not worker.is_done:
                    pause = worker.again_at - time.monotonic()
                    if pause <= 0:
                        return self._proposal
                self._news.wait(pause)
            worker.thread = None
            return None

    def _succeed(self, worker: _Worker, text: str, line: NoteSignature) -> None:
        with self._news:
            if worker.trouble is not None:
                _logger.warning("sequencer: witness %s answers again", worker.feeder.name)
            worker.trouble, worker.failures, worker.again_at = None, 0, 0.0
            if worker.text == text:  # else it is about an older checkpoint, and of no use any more
                worker.keep(line)
                worker.is_done = True
            self._news.notify_all()

    def _fail(self, worker: _Worker, trouble: str) -> None:
        with self._news:
            if worker.trouble is None:
                _logger.warning("sequencer: a cosigner failed: %s", trouble)
            worker.trouble = trouble
            pause = min(_FIRST_PAUSE_S * 2**worker.failures, _LONGEST_PAUSE_S)
            worker.failures = min(worker.failures + 1, 16)
            worker.again_at = time.monotonic() + pause
            self._news.notify_all()

    def _latest(self) -> int:
        return self._clock() // 1000 + MOST_AHEAD_S
