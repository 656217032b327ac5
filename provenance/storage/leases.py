"""Leases: who may do what only one may do, for how long, and with which fencing token.

A lease is one row, moved by compare-and-swap. Its token grows by one with every change of hands,
so a holder that slept through its own expiry is told apart from its successor even if both bear
one name. Being the holder is a hint until a write is made: every durable write that the lease
protects calls :func:`renew` in its own transaction, which locks the row (PostgreSQL) or the
database (SQLite) until that commit. Nobody else can take the lease in between, and a writer that
has lost it writes nothing.

Time arrives as an argument, milliseconds since 1970, from :func:`read_clock`: on PostgreSQL it is
the server's clock, one for all hosts, so that no host takes a living lease because its own clock is
ahead, nor waits for a dead one. Should that clock jump (a standby on another host takes over), it
costs a needless change of hands or a wait, never a second writer: that is what the token is for. A
lease that is said to stand for longer than any term can last was taken under a clock that was
wrong; it counts as free, or one bad reading of a clock before a crash would stop the work until
that time has come.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlalchemy import Connection, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from provenance.storage.errors import StorageError
from provenance.storage.tables import leases

LONGEST_MS = 60_000
"""What no lease outlasts, seen from now: twice the longest term that the settings allow."""


class LeaseLostError(StorageError):
    """Another holder has taken the lease. The transaction that noticed must be rolled back."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease that was ours when it was last looked at; `expires_at` in milliseconds since 1970."""

    name: str
    holder: str
    token: int
    expires_at: int


def read_clock(connection: Connection, here: int) -> int:
    """Now, by the clock that judges leases: PostgreSQL's own, or `here` where the file is (SQLite).

    The reading of this moment, not of the transaction's begin: a wait for a lock lies between.
    """
    if connection.dialect.name == "sqlite":
        return here
    return int(connection.scalar(_SERVER_CLOCK) or 0)


_SERVER_CLOCK = text("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint")


def is_free(connection: Connection, name: str, *, now: int) -> bool:
    """Would :func:`acquire` find the lease free? A plain look, for those who wait."""
    expires_at = connection.scalar(select(leases.c.expires_at).where(leases.c.name == name))
    return expires_at is None or not _stands(expires_at, now)


def _stands(expires_at: int, now: int) -> bool:
    return now < expires_at <= now + LONGEST_MS


def acquire(
    connection: Connection, name: str, holder: str, *, now: int, term: int, above: int = 0
) -> Lease | None:
    """Take the lease if it is free, expired, or was never taken; None while another's stands.

    `term` in milliseconds, at most LONGEST_MS. The token will be larger than `above`, the largest
    that what the lease protects has seen, even if the row was lost meanwhile. A holder that asks
    for its own standing lease again waits like any other: two processes may bear one name by
    mistake.
    """
    _end_when_silent(connection, term)
    _ensure_row(connection, name)
    row = connection.execute(select(leases).where(leases.c.name == name)).one()
    if _stands(row.expires_at, now):
        return None
    token = max(row.token, above) + 1
    taken = connection.execute(
        update(leases)
        .where(
            leases.c.name == name,
            leases.c.token == row.token,
            leases.c.expires_at == row.expires_at,
        )
        .values(holder=holder, token=token, expires_at=now + term)
    )
    if taken.rowcount != 1:
        return None  # somebody was quicker between the two statements
    return Lease(name, holder, token, now + term)


def renew(connection: Connection, lease: Lease, *, now: int, term: int) -> Lease:
    """Prolong the lease to `now + term` and lock it until the transaction ends.

    An expired lease that nobody took is still ours: the token says so. Raises LeaseLostError.
    """
    _end_when_silent(connection, term)
    expires_at = max(lease.expires_at, now + term)
    kept = connection.execute(
        update(leases)
        .where(
            leases.c.name == lease.name,
            leases.c.holder == lease.holder,
            leases.c.token == lease.token,
        )
        .values(expires_at=expires_at)
    )
    if kept.rowcount != 1:
        row = connection.execute(select(leases).where(leases.c.name == lease.name)).one_or_none()
        found = "no such lease" if row is None else f"{row.holder!r} with token {row.token}"
        raise LeaseLostError(
            f"lease {lease.name!r}: expected {lease.holder!r} with token {lease.token}, "
            f"found {found}"
        )
    return replace(lease, expires_at=expires_at)


def release(connection: Connection, lease: Lease) -> None:
    """Give the lease up, so that the next one need not wait; nothing if it is lost already."""
    connection.execute(
        update(leases)
        .where(leases.c.name == lease.name, leases.c.token == lease.token)
        .values(expires_at=0)
    )


def _end_when_silent(connection: Connection, term: int) -> None:
    """A holder that says nothing for a term inside its transaction has lost the lease there too.

    Its host may have vanished with the row locked; the server would otherwise keep the lock, and
    all others waiting, until it finds the connection dead, which can take minutes. The transaction
    is rolled back, so whatever was slow (an object store) costs a round and no more.
    """
    if connection.dialect.name == "postgresql":
        setting = text("SELECT set_config('idle_in_transaction_session_timeout', :ms, true)")
        connection.execute(setting, {"ms": str(term)})


def _ensure_row(connection: Connection, name: str) -> None:
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    connection.execute(
        insert(leases)
        .values(name=name, holder="", token=0, expires_at=0)
        .on_conflict_do_nothing(index_elements=["name"])
    )
