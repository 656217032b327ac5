"""Large uploads: several connections at once, each going on by itself to the last receipt.

    find_batches ──> segments ──┬─ connection 1: job, PATCH, PATCH, … ─┬─> receipts checked ──> kept
                                └─ connection n: job, PATCH, PATCH, … ─┘

A connection has a job of its own (docs/formats.md section 17) and appends segment after segment to
it, a segment being some whole batches. When an attempt comes to nothing (connection lost, server
restarted, 429, 503) it waits, as long as the platform asked for, asks how far the job is and goes
on there; when the platform no longer knows the job it begins another. Both are harmless: a batch is
accepted once, however often it comes. It gives up when nothing has moved for many attempts.

Batches of different connections may be accepted in another order than they have in the file.

A batch counts when its receipt has come and fits (`upload.verify_receipt`); then the receipt is
kept beside the file (`keepsake`), so that another run of the program, after this one was killed,
sends what has none. A refusal ends all connections: nothing behind it is known to be wanted.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from provenance.client.api import Api
from provenance.client.batches import Batch, Contents, exact_contents, find_batches
from provenance.client.errors import (
    ProblemError,
    ReceiptError,
    RetryError,
    UnreachableError,
)
from provenance.client.keepsake import Keepsake, read_finished, unfinished_path
from provenance.client.upload import verify_receipt
from provenance.domain.party_events import operator_uri

SEGMENT_BYTES: Final = 4 * 1024 * 1024
"""Bytes of one request, about: what is sent again, at most, and how often progress is seen."""

PATIENCE: Final = 40
"""Attempts in a row without one more byte, before a connection gives up: some five minutes."""

_CHUNK: Final = 65_536
_LONGEST_PAUSE: Final = 10.0
_GONE: Final = frozenset({"job-unknown", "job-ended", "job-taken-over"})

Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Segment:
    """Some batches that lie together in the file."""

    batches: tuple[Batch, ...]

    @property
    def start(self) -> int:
        """Its first byte in the file."""
        return self.batches[0].start

    @property
    def size(self) -> int:
        """Bytes."""
        return self.batches[-1].end - self.start


class Transfer:
    """The upload of one file of many batches."""

    def __init__(
        self,
        api: Api,
        file: Path,
        origin: str,
        *,
        connections: int = 4,
        advance: Advance | None = None,
        segment_bytes: int = SEGMENT_BYTES,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        """`origin` is the log that the file is for. `advance` is told, one call at a time, of each
        further event that has its receipt. `sleep` waits so many seconds; without it the wait ends
        early when another connection has failed."""
        self.api = api
        self.file = file
        self.stop = threading.Event()
        self.sleep = sleep or self.stop.wait
        self._origin = origin
        self._connections = connections
        self._advance = advance or (lambda _: None)
        self._segment_bytes = segment_bytes
        self._operator: dict[str, Any] = api.party(operator_uri(origin))
        self._segments: Iterator[Segment] = iter(())
        self._lock = threading.Lock()  # of the segments and of what is told
        self._told: set[int] = set()
        self.last_batches: list[Batch] = []
        """Of each connection that sent any: what it sent last."""

    def run(self) -> Path:
        """Sends whatever has no receipt; the file of receipts, complete and checked.

        Raises ProblemError (its line counted in the file), ReceiptError, SealingError and
        UnreachableError; doing it again goes on where this one ended.
        """
        with Keepsake(self.file) as kept:
            self._end_old_jobs(kept)
            self._segments = self._cut(self._without_receipt(kept))
            self._run_connections(kept)
            return kept.finish(find_batches(self.file))

    def wait_until_published(self) -> bool:
        """After :meth:`run`: does a published checkpoint cover all of it, a minute from now at the
        latest?

        The platform publishes what one connection sent in the order in which it was sent.
        """
        *_, last = find_batches(self.file)
        waited = [
            self.api.post_batch(partial(self._lines, batch), wait=True)
            for batch in (*self.last_batches, last)
        ]
        return all(posted.published for posted in waited)

    def _lines(self, batch: Batch) -> list[bytes]:
        return b"".join(_bytes_of(self.file, batch.start, batch.end - batch.start)).splitlines()

    def next_segment(self) -> Segment | None:
        """What nobody has taken yet; None at the end, or when another connection has failed."""
        with self._lock:
            return None if self.stop.is_set() else next(self._segments, None)

    def take_receipt(self, kept: Keepsake, batch: Batch, receipt: bytes) -> None:
        """Check it and keep it; raises ReceiptError."""
        self._check(batch, receipt)
        kept.keep(batch, receipt)
        with self._lock:
            self._tell(batch)

    def _run_connections(self, kept: Keepsake) -> None:
        with ThreadPoolExecutor(self._connections) as pool:
            running = [pool.submit(_Connection(self, kept).run) for _ in range(self._connections)]
            try:
                wait(running, return_when=FIRST_EXCEPTION)
            finally:
                self.stop.set()  # after an error, or Ctrl-C: each ends with its present attempt
        errors = [error for future in running if (error := future.exception()) is not None]
        # A refusal says more than that others could not go on.
        for error in sorted(errors, key=lambda error: isinstance(error, UnreachableError)):
            raise error

    def _end_old_jobs(self, kept: Keepsake) -> None:
        """Jobs of a run that was killed; their batches are in the receipts, or are sent again."""
        for job in kept.jobs:
            try:
                self.api.cancel_job(job)
            except (ProblemError, UnreachableError):
                continue  # it expires

    def _without_receipt(self, kept: Keepsake) -> Iterator[Batch]:
        for batch, receipt in read_finished(self.file, find_batches(self.file)):
            kept.keep(batch, receipt)
        for batch in find_batches(self.file):
            known = kept.receipt(batch)
            if known is not None and self._fits(batch, known):
                self._tell(batch)
            else:
                yield batch

    def _cut(self, batches: Iterable[Batch]) -> Iterator[Segment]:
        """Batches that lie together, up to so many bytes."""
        held: list[Batch] = []
        for batch in batches:
            apart = held and held[-1].end != batch.start
            if held and (apart or batch.end - held[0].start > self._segment_bytes):
                yield Segment(tuple(held))
                held = []
            held.append(batch)
        if held:
            yield Segment(tuple(held))

    def _tell(self, batch: Batch) -> None:
        """The lock is held."""
        if batch.start not in self._told:
            self._told.add(batch.start)
            self._advance(len(batch.events))

    # -- receipts ----------------------------------------------------------------------------------

    def _fits(self, batch: Batch, receipt: bytes) -> bool:
        try:
            self._check(batch, receipt)
        except ReceiptError:
            return False
        return True

    def _check(self, batch: Batch, receipt: bytes) -> None:
        try:
            document = json.loads(receipt)
        except ValueError as error:
            raise ReceiptError(f"what came back is no receipt: {error}") from error
        for contents, operator in self._ways(batch):
            try:
                return verify_receipt(document, operator, contents)
            except ReceiptError as error:
                last = error
        raise ReceiptError(f"{self.file}: line {batch.line}: {last}") from last

    def _ways(self, batch: Batch) -> Iterator[tuple[Contents, dict[str, Any]]]:
        """What the receipt may be about, the cheap one first: lines need not be canonical, and the
        operator may have a new key since we asked."""
        yield batch.contents(self._origin), self._operator
        yield exact_contents(self.file, batch), self._operator
        self._operator = self.api.party(operator_uri(self._origin))
        yield exact_contents(self.file, batch), self._operator


class _Connection:
    """One connection with a job of its own.

    Of the job it knows how many bytes, batches and lines came before the present segment, and how
    many batches of this one have their receipt.
    """

    def __init__(self, transfer: Transfer, kept: Keepsake) -> None:
        self._transfer = transfer
        self._api = transfer.api
        self._kept = kept
        self._job: str | None = None
        self._bytes = self._batches = self._lines = self._collected = 0
        self._last: tuple[Batch, ...] = ()

    def run(self) -> None:
        """Segments until there are none."""
        while (segment := self._transfer.next_segment()) is not None:
            self._send(segment)
        if self._job is not None and not self._transfer.stop.is_set():
            self._complete(self._job)
            self._transfer.last_batches += self._last

    def _send(self, segment: Segment) -> None:
        """Until every batch of the segment has its receipt."""
        failures, farthest, reached = 0, 0, 0
        while True:
            try:
                job, reached = self._find_place(segment, reached)
                failures = failures if reached <= farthest else 0
                farthest = max(farthest, reached)
                self._append(job, segment, reached)
                self._collect(job, segment, len(segment.batches))
            except UnreachableError as error:
                failures += 1
                reached = -1  # not known any more
                self._pause(error, failures)
            except ProblemError as error:
                self._judge(error, segment)
                self._job = None
            else:
                return self._go_past(segment)

    def _find_place(self, segment: Segment, reached: int) -> tuple[str, int]:
        """The job, and how many bytes of the segment it has; `reached` if that is not negative."""
        if self._job is None:
            self._job = self._api.begin_job()
            self._bytes = self._batches = self._lines = self._collected = 0
            self._kept.keep_job(self._job)
            return self._job, 0
        if reached < 0:
            reached = self._api.job_offset(self._job) - self._bytes
            if not 0 <= reached <= segment.size:
                raise ProblemError(409, {"type": "/problems/job-ended", "detail": "not our job"})
        return self._job, reached

    def _append(self, job: str, segment: Segment, reached: int) -> None:
        size = segment.size - reached
        if size:
            body = _bytes_of(self._transfer.file, segment.start + reached, size)
            self._api.append_to_job(job, self._bytes + reached, body, size, complete=False)

    def _collect(self, job: str, segment: Segment, count: int) -> None:
        """The receipts of the segment's first `count` batches."""
        while self._collected < count:
            receipts = self._api.job_receipts(job, self._batches + self._collected)
            if not receipts:
                raise ReceiptError(
                    f"{self._transfer.file}: {job} names no receipt for what it took"
                )
            for receipt in receipts[: count - self._collected]:
                batch = segment.batches[self._collected]
                self._transfer.take_receipt(self._kept, batch, receipt)
                self._collected += 1

    def _go_past(self, segment: Segment) -> None:
        self._bytes += segment.size
        self._batches += len(segment.batches)
        self._lines += sum(batch.lines for batch in segment.batches)
        self._collected = 0
        self._last = segment.batches[-1:]

    def _complete(self, job: str) -> None:
        """All receipts are here: that the platform knows the end, too, is a courtesy."""
        with suppress(UnreachableError, ProblemError):
            self._api.append_to_job(job, self._bytes, (), 0, complete=True)

    # -- what may go wrong -------------------------------------------------------------------------

    def _pause(self, error: UnreachableError, failures: int) -> None:
        if failures > PATIENCE or self._transfer.stop.is_set():
            raise UnreachableError(
                f"{self._transfer.file}: {error} (tried {failures} times); run it again to go on"
            ) from error
        asked = error.pause_s if isinstance(error, RetryError) else None
        pause = min(0.25 * 2**failures, _LONGEST_PAUSE) if asked is None else asked
        self._transfer.sleep(pause)

    def _judge(self, error: ProblemError, segment: Segment) -> None:
        """Return where another job may go on: what this one took is known by its seals."""
        document = error.document
        refusal = document.get("refusal")
        if isinstance(refusal, dict):  # that refused it whose answer was lost
            document = {**refusal, "type": f"/problems/{refusal.get('code')}"}
        elif error.code in _GONE:
            return
        self._collect_accepted(document, segment)
        line = document.get("line")
        if isinstance(line, int):  # of the job's body, which the segments before began
            document = {**document, "line": line - self._lines + segment.batches[0].line - 1}
        raise ProblemError(error.status, document) from error

    def _collect_accepted(self, document: dict[str, Any], segment: Segment) -> None:
        """What was accepted before the refusal stays, so its receipts are wanted too."""
        accepted = document.get("accepted")
        if self._job is None or not isinstance(accepted, dict):
            return
        count = min(int(accepted.get("batches", 0)) - self._batches, len(segment.batches))
        with suppress(UnreachableError, ProblemError):
            self._collect(self._job, segment, count)


def end_jobs(api: Api, file: Path) -> int:
    """End what an earlier run has begun for this file; how many jobs there were.

    Receipts that are there stay, and another run goes on behind them.
    """
    if not unfinished_path(file).exists():
        return 0
    with Keepsake(file) as kept:
        for job in kept.jobs:
            with suppress(ProblemError):  # unknown by now
                api.cancel_job(job)
        return len(kept.jobs)


def _bytes_of(file: Path, start: int, size: int) -> Iterator[bytes]:
    with file.open("rb") as opened:
        opened.seek(start)
        while size and (chunk := opened.read(min(_CHUNK, size))):
            size -= len(chunk)
            yield chunk
