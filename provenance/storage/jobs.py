"""Jobs: how far large uploads have come, the bytes of an unfinished batch, what was accepted.

A job's row is moved by compare-and-swap on its token. A request that may move the offset takes the
next token first (:func:`fence`), so that an earlier request, which perhaps still waits for bytes
that will never come, cannot move it any more: :func:`advance` finds another token and says so.

Losing a row of these tables loses no event: what a job's batches appended are uploads like any
other. It costs the sender the knowledge where to go on, so that it sends again what stands already.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, and_, case, delete, func, insert, or_, select, update

from provenance.storage.bulk import insert_rows
from provenance.storage.tables import job_batches, job_pieces, jobs

RECEIVING = "receiving"


@dataclass(frozen=True, slots=True)
class JobRow:
    """One job as stored. Bytes are counted from the beginning of its body, times in ms since 1970.

    `consumed` and `lines` count whole accepted batches; `tail` the bytes kept behind them.
    `length` is None until the sender has said how long the body is; `refusal` is JSON.
    """

    id: int
    name: str
    state: str
    length: int | None
    consumed: int
    lines: int
    tail: int
    batches: int
    events: int
    active_ms: int
    token: int
    created_at: int
    expires_at: int
    refusal: str | None

    @property
    def offset(self) -> int:
        """Bytes that the sender need not send again."""
        return self.consumed + self.tail


@dataclass(frozen=True, slots=True)
class BatchRow:
    """An accepted batch: the hash of its seal, or (`leaves`, `answers`) of its receipt."""

    seal: bytes | None
    leaves: bytes | None
    answers: bytes | None


_COLUMNS = tuple(jobs.c[name] for name in JobRow.__slots__)


def insert_job(
    connection: Connection, *, name: str, length: int | None, now: int, expires_at: int
) -> JobRow:
    """A new job that has received nothing."""
    values: dict[str, Any] = dict.fromkeys(
        ("consumed", "lines", "tail", "batches", "events", "active_ms", "token"), 0
    )
    values |= {"name": name, "state": RECEIVING, "length": length, "refusal": None}
    values |= {"created_at": now, "expires_at": expires_at}
    key = connection.execute(insert(jobs).values(values)).inserted_primary_key
    assert key is not None  # noqa: S101 -- one row inserted has one key
    return JobRow(id=int(key[0]), **values)


def find_job(connection: Connection, name: str) -> JobRow | None:
    """The job of this name, or None."""
    return _job(connection.execute(select(*_COLUMNS).where(jobs.c.name == name)).one_or_none())


def fence(connection: Connection, name: str) -> JobRow | None:
    """Take the job's next token, if it is still receiving: from now on nobody with an older one
    moves it. The row as it then is, or None if there is none."""
    connection.execute(
        update(jobs)
        .where(jobs.c.name == name, jobs.c.state == RECEIVING)
        .values(token=jobs.c.token + 1)
    )
    return find_job(connection, name)


def advance(connection: Connection, job: JobRow) -> bool:
    """Store the job as it is now; False (and nothing is stored) if its token is not the newest one,
    it has ended, or it is gone. Its name, token and birth stay."""
    moved = connection.execute(
        update(jobs)
        .where(jobs.c.id == job.id, jobs.c.token == job.token, jobs.c.state == RECEIVING)
        .values(
            {
                name: getattr(job, name)
                for name in JobRow.__slots__
                if name not in ("id", "name", "token", "created_at")
            }
        )
    )
    return moved.rowcount == 1


def insert_batches(
    connection: Connection, job_id: int, first: int, batches: Iterable[BatchRow]
) -> None:
    """What was accepted, from the job's batch number `first` (counted from 0) on."""
    columns = ("job_id", "ordinal", "seal", "leaves", "answers")
    rows = ((job_id, n, b.seal, b.leaves, b.answers) for n, b in enumerate(batches, first))
    insert_rows(connection, job_batches, columns, rows)


def read_batches(
    connection: Connection, job_id: int, after: int, limit: int
) -> Sequence[tuple[int, BatchRow]]:
    """(number, batch) from number `after` on, at most `limit`."""
    c = job_batches.c
    rows = connection.execute(
        select(c.ordinal, c.seal, c.leaves, c.answers)
        .where(c.job_id == job_id, c.ordinal >= after)
        .order_by(c.ordinal)
        .limit(limit)
    )
    return [(row.ordinal, BatchRow(row.seal, row.leaves, row.answers)) for row in rows]


def replace_tail(connection: Connection, job_id: int, pieces: Iterable[bytes]) -> None:
    """Keep these bytes, and none that were kept before."""
    connection.execute(delete(job_pieces).where(job_pieces.c.job_id == job_id))
    rows = ((job_id, number, piece) for number, piece in enumerate(pieces))
    insert_rows(connection, job_pieces, ("job_id", "ordinal", "bytes"), rows)


def read_piece(connection: Connection, job_id: int, ordinal: int) -> bytes | None:
    """One piece of the tail, from 0; None behind the last."""
    found: bytes | None = connection.scalar(
        select(job_pieces.c.bytes).where(
            job_pieces.c.job_id == job_id, job_pieces.c.ordinal == ordinal
        )
    )
    return found


def count_counted(connection: Connection, now: int) -> int:
    """Jobs that count against the limit: unfinished ones, and all of which nothing was accepted."""
    is_open = and_(jobs.c.state == RECEIVING, jobs.c.expires_at > now)
    return int(
        connection.scalar(
            select(func.count()).select_from(jobs).where(or_(is_open, jobs.c.events == 0))
        )
        or 0
    )


def forget_unproven(connection: Connection) -> bool:
    """Drop the job that expires first among those of which nothing was accepted; was there one?"""
    found = connection.scalar(
        select(jobs.c.id).where(jobs.c.events == 0).order_by(jobs.c.expires_at, jobs.c.id).limit(1)
    )
    if found is not None:
        _forget(connection, [found])
    return found is not None


def forget_expired(connection: Connection, now: int, keep_ms: int, most: int) -> None:
    """Drop jobs that expired `keep_ms` ago, or now if nothing of them was accepted; at most so
    many."""
    limit = case((jobs.c.events == 0, now), else_=now - keep_ms)
    _forget(
        connection,
        connection.scalars(
            select(jobs.c.id)
            .where(jobs.c.expires_at <= now, jobs.c.expires_at <= limit)
            .order_by(jobs.c.expires_at)
            .limit(most)
        ).all(),
    )


def _forget(connection: Connection, ids: Sequence[int]) -> None:
    for table, column in ((job_pieces, "job_id"), (job_batches, "job_id"), (jobs, "id")):
        connection.execute(delete(table).where(table.c[column].in_(ids)))


def _job(row: Row[Any] | None) -> JobRow | None:
    return None if row is None else JobRow(*tuple(row))
