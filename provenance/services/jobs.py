"""Jobs: large uploads that are accepted while they come in, and go on where they broke off.

    create ──> receive ──> receive … ──> done
                  │ └─ broken off, worker gone, 429, 503: the sender asks for the offset, goes on
                  └─ refused (the first batch that is), cancelled by its sender, expired

What a job holds: an offset, counts, which batches were accepted, and the bytes of at most one
unfinished batch. Everything else has become uploads like any others, each in a durable transaction
of its own (:mod:`provenance.services.intake`). So a job is no transaction: what came before the
first refusal stays accepted, and the sender is told how much that is.

Exactness. A batch is appended and then, at most a second later, the job's row moves past it. A
crash in between leaves the row behind: those batches come again and are answered as known. The row
never moves past a batch that is not durable. Two requests for one job at once (the sender has given
one up that we still hold open): the later takes the job's next token, with which the earlier can
move nothing any more; what it still appends comes again from the later one and is known.

Why the request itself does the work, and no pool behind it: see DESIGN.md.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import chain
from typing import Any, Final

from provenance.domain.errors import (
    BusyError,
    ConflictError,
    MalformedInputError,
    NotFoundError,
    Refusal,
    TooLargeError,
    UnavailableError,
)
from provenance.services.admission import Clock
from provenance.services.capture import Capture
from provenance.services.intake import BrokenOffError, Intake, Taken
from provenance.services.receipts import SignedReceipt, unpack_receipt
from provenance.storage import jobs as rows
from provenance.storage.errors import StorageError, StoreInconsistentError
from provenance.storage.events import find_sealed_upload
from provenance.storage.jobs import RECEIVING, BatchRow, JobRow
from provenance.storage.session import Connection, Database

__all__ = ["JobLimits", "JobRow", "Jobs"]

UNPROVEN_KEEP_MS: Final = 300_000
"""A job of which nothing was accepted yet is anybody's, so that it is soon forgotten."""

_NAME_BYTES: Final = 16  # 128 bits: not to be guessed
_KEEP_SECONDS: Final = 1.0
_FORGET_AT_ONCE: Final = 10


@dataclass(frozen=True, slots=True)
class JobLimits:
    """Sizes in bytes: of a job, of one of its batches, of a line. `keep_ms`: how long a job is
    remembered after its last byte."""

    most_jobs: int = 64
    job_bytes: int = 16 * 1024 * 1024 * 1024
    batch_bytes: int = 64 * 1024 * 1024
    line_bytes: int = 49_152
    keep_ms: int = 86_400_000


class Jobs:
    """All jobs of one log. One object serves all threads and survives a fork."""

    def __init__(
        self,
        database: Database,
        capture: Capture,
        clock: Clock,
        limits: JobLimits | None = None,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        keep_seconds: float = _KEEP_SECONDS,
    ) -> None:
        """`clock` gives milliseconds since 1970; `keep_seconds` is how long a job's row may lag."""
        self._database = database
        self._capture = capture
        self._clock = clock
        self._monotonic = monotonic
        self._keep_seconds = keep_seconds
        self.limits = limits or JobLimits()

    def create(self, length: int | None) -> JobRow:
        """A new job of `length` bytes (None: not known yet).

        Raises TooLargeError, and BusyError (``jobs-full``) when as many are open as may be; one of
        which nothing was accepted yet gives way.
        """
        self._check_length(length)
        now = self._clock()
        with self._database.write() as connection:
            rows.forget_expired(connection, now, self.limits.keep_ms, _FORGET_AT_ONCE)
            self._make_room(connection, now)
            return rows.insert_job(
                connection,
                name=secrets.token_hex(_NAME_BYTES),
                length=length,
                now=now,
                expires_at=now + UNPROVEN_KEEP_MS,
            )

    def look(self, name: str) -> JobRow:
        """The job as it is; disturbs nobody. Raises NotFoundError (``job-unknown``)."""
        with self._database.read() as connection:
            return _known(rows.find_job(connection, name))

    def fix_offset(self, name: str) -> JobRow:
        """The job with an offset that stays right until its sender goes on.

        A request for it that is still under way moves it no more. Raises NotFoundError, and
        ConflictError (``job-ended``).
        """
        with self._database.write() as connection:
            job = _known(rows.fence(connection, name))
        if job.state != "done":
            self._require_open(job)
        return job

    def begin(self, name: str, offset: int, length: int | None) -> JobRow:
        """Go on at `offset`; the job as :meth:`receive` wants it.

        `length`: the whole body's, if its sender says it now. Raises NotFoundError, ConflictError
        (``job-ended``, ``mismatching-upload-offset``), MalformedInputError (``completed-upload``,
        ``inconsistent-upload-length``) and TooLargeError.
        """
        self._check_length(length)
        with self._database.write() as connection:
            job = _known(rows.fence(connection, name))
        if job.state == "done":
            raise MalformedInputError(
                "completed-upload",
                "the upload is complete and takes nothing more",
                remedy="ask for its receipts; for more events begin another",
            )
        self._require_open(job)
        if offset != job.offset:
            raise ConflictError(
                "mismatching-upload-offset",
                "this upload goes on elsewhere",
                expected=f"offset {job.offset}",
                found=f"offset {offset}",
                remedy="send the bytes from the expected offset on",
                extra={"expected-offset": job.offset, "provided-offset": offset},
            )
        return replace(job, length=self._agreed_length(job, length))

    def receive(self, job: JobRow, chunks: Iterable[bytes], *, whole: bool) -> JobRow:
        """Accept what `chunks` bring, batch by batch; the job as it is stored then.

        `whole`: the body ends where the chunks do. Raises UnavailableError and BusyError when it
        should be tried again from the new offset (``job-interrupted`` where the bytes broke off),
        ConflictError (``job-ended``, ``job-taken-over``), and the Refusal that ends the job, its
        line counted in the whole body, `extra` saying what was accepted before it.
        """
        progress = _Progress(job, self._monotonic)
        intake = Intake(
            self._capture,
            chain(self._tail_of(job), self._bounded(job, chunks)),
            most=self.limits.line_bytes,
            room=self.limits.batch_bytes,
            whole=whole,
        )
        try:
            return self._receive(progress, intake, whole)
        except _LostError as lost:
            raise lost.refusal from None
        finally:
            intake.close()

    def cancel(self, name: str) -> JobRow:
        """Take nothing more; what was accepted stays. A job that has ended stays as it ended."""
        with self._database.write() as connection:
            job = _known(rows.fence(connection, name))
            if job.state == RECEIVING:
                job = replace(job, state="cancelled", tail=0)
                rows.advance(connection, job)
                rows.replace_tail(connection, job.id, ())
        return job

    def receipts(self, name: str, after: int, limit: int) -> Iterator[bytes]:
        """Canonical JSON of each batch's receipt, from batch number `after` (from 0) on."""
        job = self.look(name)
        with self._database.read() as connection:
            found = rows.read_batches(connection, job.id, after, limit)
        return (self._receipt(row).encode() for _, row in found)

    def is_expired(self, job: JobRow) -> bool:
        """Is it too late to go on with it?"""
        return job.state == RECEIVING and job.expires_at <= self._clock()

    # -- receiving ---------------------------------------------------------------------------------

    def _receive(self, progress: _Progress, intake: Intake, whole: bool) -> JobRow:
        try:
            for taken in intake.batches():
                progress.add(taken)
                if progress.seconds_since_kept() >= self._keep_seconds:
                    self._keep(progress)
            if not whole:
                return self._keep(progress, tail=intake)
            return self._finish(progress)
        except BrokenOffError as error:
            job = self._keep(progress, tail=intake)
            raise _interrupted(job) from error
        except UnavailableError:
            self._keep_if_possible(progress)
            raise
        except _OverlongError as error:
            job = progress.job
            refusal: Refusal = _too_large(self.limits.job_bytes, "more than that")
            if job.length is not None:
                refusal = inconsistent_length(job.length, job.length + 1)
            raise self._refuse(progress, refusal) from error
        except Refusal as refusal:
            raise self._refuse(progress, refusal) from refusal

    def _finish(self, progress: _Progress) -> JobRow:
        job = progress.job
        if job.length not in (None, job.consumed):
            raise inconsistent_length(job.length or 0, job.consumed)
        return self._keep(progress, state="done", length=job.consumed)

    def _refuse(self, progress: _Progress, refusal: Refusal) -> Refusal:
        job = progress.job
        refusal.at_line(job.lines + (refusal.line or 1))
        accepted = {"batches": job.batches, "events": job.events}
        refusal.extra = {**refusal.extra, "accepted": accepted}
        self._keep(progress, state="refused", refusal=json.dumps(_facts(refusal)))
        return refusal

    def _keep(self, progress: _Progress, *, tail: Intake | None = None, **changes: Any) -> JobRow:
        """Store how far the job has come; a crash before this makes its sender repeat itself."""
        before = progress.job
        job = replace(
            before,
            active_ms=progress.active_ms(),
            tail=0 if tail is None else tail.tail_size,
            expires_at=self._clock() + (self.limits.keep_ms if before.events else UNPROVEN_KEEP_MS),
            **changes,
        )
        with self._database.write() as connection:
            if not rows.advance(connection, job):
                raise _LostError(rows.find_job(connection, job.name))
            first = job.batches - len(progress.unkept)
            rows.insert_batches(connection, job.id, first, progress.unkept)
            rows.replace_tail(connection, job.id, () if tail is None else tail.tail())
        progress.kept(job)
        return job

    def _keep_if_possible(self, progress: _Progress) -> None:
        """Before a refusal that may pass; without a batch nothing has changed, the tail neither."""
        if not progress.unkept:
            return
        try:
            self._keep(progress)
        except StorageError:
            return  # the sender repeats what was not kept; the refusal at hand is what it is told

    def _tail_of(self, job: JobRow) -> Iterator[bytes]:
        for ordinal in range(job.tail):  # at least a byte each
            with self._database.read() as connection:
                piece = rows.read_piece(connection, job.id, ordinal)
            if piece is None:  # a later request has replaced the tail, or all of it was read
                return
            yield piece

    def _bounded(self, job: JobRow, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The chunks, none of them beyond the job's length or, without one, the greatest size."""
        room = (self.limits.job_bytes if job.length is None else job.length) - job.offset
        for chunk in chunks:
            room -= len(chunk)
            if room < 0:
                raise _OverlongError
            yield chunk

    # -- before ------------------------------------------------------------------------------------

    def _make_room(self, connection: Connection, now: int) -> None:
        """Whoever cannot sign a batch cannot keep others out: such a job gives way first."""
        if rows.count_counted(connection, now) < self.limits.most_jobs:
            return
        if not rows.forget_unproven(connection):
            raise BusyError(
                "jobs-full",
                "as many large uploads are under way as may be",
                expected=f"at most {self.limits.most_jobs} unfinished ones",
                remedy="come again when one has ended, or send batches one by one",
            )

    def _check_length(self, length: int | None) -> None:
        if length is not None and length > self.limits.job_bytes:
            raise _too_large(self.limits.job_bytes, f"{length:,} bytes")

    def _agreed_length(self, job: JobRow, length: int | None) -> int | None:
        if length is None:
            return job.length
        if job.length not in (None, length) or length < job.offset:
            raise inconsistent_length(job.length or job.offset, length)
        return length

    def _require_open(self, job: JobRow) -> None:
        if job.state != RECEIVING or self.is_expired(job):
            raise _ended(job)

    def _receipt(self, row: BatchRow) -> SignedReceipt:
        if row.answers is not None and row.leaves is not None:
            return unpack_receipt(row.answers, row.leaves)
        with self._database.read() as connection:
            stored = find_sealed_upload(connection, row.seal or b"")
        if stored is None:
            raise StoreInconsistentError("a job names a seal that no upload has")
        return unpack_receipt(stored.answers, stored.leaves)


class _OverlongError(Exception):
    """More bytes came than the job may have."""


class _LostError(Exception):
    """The job is no longer this request's to move; `refusal` is what its sender is told."""

    def __init__(self, now: JobRow | None) -> None:
        super().__init__()
        self.refusal = _taken_over() if now is None or now.state == RECEIVING else _ended(now)


class _Progress:
    """How far a job has come in memory; `unkept` are the batches that its row does not count."""

    def __init__(self, job: JobRow, monotonic: Callable[[], float]) -> None:
        self.job = job
        self.unkept: list[BatchRow] = []
        self._monotonic = monotonic
        self._began = self._kept = monotonic()
        self._before_ms = job.active_ms

    def add(self, taken: Taken) -> None:
        """One more batch is durable."""
        job = self.job
        self.unkept.append(taken.row)
        self.job = replace(
            job,
            consumed=job.consumed + taken.size,
            lines=job.lines + taken.lines,
            batches=job.batches + 1,
            events=job.events + taken.events,
            tail=0,
        )

    def kept(self, job: JobRow) -> None:
        """The row says so now."""
        self.job, self.unkept, self._kept = job, [], self._monotonic()

    def seconds_since_kept(self) -> float:
        """How long the row has been behind, at most."""
        return self._monotonic() - self._kept

    def active_ms(self) -> int:
        """Time spent in all requests of the job so far."""
        return self._before_ms + round((self._monotonic() - self._began) * 1000)


def inconsistent_length(expected: int, found: int) -> MalformedInputError:
    """The sender said two different things about the length of the whole body."""
    return MalformedInputError(
        "inconsistent-upload-length",
        "the upload is not as long as was said",
        expected=f"{expected:,} bytes",
        found=f"{found:,} bytes or more" if found == expected + 1 else f"{found:,} bytes",
        remedy="begin another upload, and say its length once and rightly, or not at all",
    )


def _known(job: JobRow | None) -> JobRow:
    if job is None:
        raise NotFoundError(
            "job-unknown",
            "there is no such upload here, or it was long ago",
            remedy="begin another one; what was accepted stands, and again is harmless",
        )
    return job


def _ended(job: JobRow) -> ConflictError:
    refusal = {} if job.refusal is None else {"refusal": json.loads(job.refusal)}
    return ConflictError(
        "job-ended",
        "this upload has ended and takes nothing more",
        expected="an upload that is receiving",
        found="an expired one" if job.state == RECEIVING else f"a {job.state} one",
        remedy="begin another one; what was accepted stands, and again is harmless",
        extra={"accepted": {"batches": job.batches, "events": job.events}, **refusal},
    )


def _taken_over() -> ConflictError:
    return ConflictError(
        "job-taken-over",
        "a later request goes on with this upload",
        remedy="ask for the offset and go on from there, with one request at a time",
    )


def _interrupted(job: JobRow) -> UnavailableError:
    return UnavailableError(
        "job-interrupted",
        "the bytes broke off before their end",
        found=f"{job.offset:,} bytes of the whole upload",
        remedy="ask for the offset and go on from there",
    )


def _too_large(most: int, found: str) -> TooLargeError:
    return TooLargeError(
        "too-large",
        "the upload is larger than is taken here",
        expected=f"at most {most:,} bytes",
        found=found,
        remedy="split it where a seal begins; the parts are uploads of their own",
    )


def _facts(refusal: Refusal) -> dict[str, Any]:
    """What a refusal says, for whoever asks later."""
    facts: dict[str, Any] = {"code": refusal.code, "detail": refusal.detail}
    for name in ("line", "path", "expected", "found", "remedy"):
        if (value := getattr(refusal, name)) is not None:
            facts[name] = value
    if refusal.violations:
        facts["violations"] = [asdict(violation) for violation in refusal.violations]
    return {**refusal.extra, **facts}
