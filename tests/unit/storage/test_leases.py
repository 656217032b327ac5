"""Leases: one holder, a token that grows with every change of hands, and writes that it fences."""

from __future__ import annotations

import threading
import time

import pytest
from sqlalchemy import delete, select

from provenance.storage import leases, tables
from provenance.storage.errors import StoreUnavailableError
from provenance.storage.leases import Lease, LeaseLostError
from provenance.storage.session import Database
from tests.support.databases import PostgresServer

TERM = 10_000


def take(database: Database, holder: str, now: int) -> Lease | None:
    with database.write() as connection:
        return leases.acquire(connection, "work", holder, now=now, term=TERM)


def test_one_holds_and_the_other_waits_until_it_expires(database: Database) -> None:
    first = take(database, "one", 1_000)
    assert first == Lease("work", "one", 1, 11_000)
    assert take(database, "two", 10_999) is None
    with database.read() as connection:
        assert not leases.is_free(connection, "work", now=10_999)
        assert leases.is_free(connection, "work", now=11_000)
        assert leases.is_free(connection, "never taken", now=0)
    assert take(database, "two", 11_000) == Lease("work", "two", 2, 21_000)


def test_the_same_name_is_not_the_same_holder(database: Database) -> None:
    assert take(database, "one", 0) is not None
    assert take(database, "one", 0) is None


def test_renewing_moves_the_end_and_never_back(database: Database) -> None:
    lease = take(database, "one", 0)
    assert lease is not None
    with database.write() as connection:
        later = leases.renew(connection, lease, now=5_000, term=TERM)
        assert later == Lease("work", "one", 1, 15_000)
        assert leases.renew(connection, later, now=1_000, term=TERM).expires_at == 15_000


def test_an_expired_lease_that_nobody_took_is_still_ours(database: Database) -> None:
    lease = take(database, "one", 0)
    assert lease is not None
    with database.write() as connection:
        assert leases.renew(connection, lease, now=99_000, term=TERM).token == 1


def test_a_lost_lease_fences_the_whole_transaction(database: Database) -> None:
    old = take(database, "one", 0)
    assert old is not None
    new = take(database, "two", TERM)
    assert new is not None
    with (
        pytest.raises(LeaseLostError, match="'one' with token 1, found 'two' with token 2"),
        database.write() as connection,
    ):
        leases.release(connection, new)  # must be rolled back with what follows
        leases.renew(connection, old, now=TERM, term=TERM)
    assert take(database, "three", TERM) is None


def test_releasing_lets_the_next_one_in_at_once(database: Database) -> None:
    lease = take(database, "one", 0)
    assert lease is not None
    with database.write() as connection:
        leases.release(connection, lease)
    second = take(database, "two", 1)
    assert second is not None
    assert second.token == 2
    with database.write() as connection:
        leases.release(connection, lease)  # lost already: nothing happens
    assert take(database, "three", 2) is None


def test_many_at_once_and_one_gets_it(database: Database) -> None:
    taken: list[Lease | None] = []
    barrier = threading.Barrier(6)

    def run(name: str) -> None:
        barrier.wait()
        taken.append(take(database, name, 0))

    threads = [threading.Thread(target=run, args=(f"holder {n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 6
    assert [lease.token for lease in taken if lease is not None] == [1]


def test_a_lease_from_a_clock_that_was_far_ahead_is_not_believed(database: Database) -> None:
    """It was put right and the holder died: nobody waits until that time has come."""
    ahead = 80 * 365 * 86_400_000
    assert take(database, "one", ahead) == Lease("work", "one", 1, ahead + TERM)
    with database.read() as connection:
        assert leases.is_free(connection, "work", now=1_000)
        assert not leases.is_free(connection, "work", now=ahead + TERM - leases.LONGEST_MS)
    assert take(database, "two", 1_000) == Lease("work", "two", 2, 1_000 + TERM)


def test_the_holder_under_the_wrong_clock_is_fenced_off(database: Database) -> None:
    ahead = take(database, "one", 10**12)
    assert ahead is not None
    assert take(database, "two", 1_000) is not None
    with pytest.raises(LeaseLostError), database.write() as connection:
        leases.renew(connection, ahead, now=10**12, term=TERM)


def test_a_row_that_was_lost_does_not_begin_its_tokens_anew(database: Database) -> None:
    first = take(database, "one", 0)
    assert first is not None
    with database.write() as connection:
        connection.execute(delete(tables.leases))
    with database.write() as connection:
        second = leases.acquire(connection, "work", "one", now=0, term=TERM, above=7)
    assert second == Lease("work", "one", 8, TERM)
    with pytest.raises(LeaseLostError), database.write() as connection:
        leases.renew(connection, first, now=0, term=TERM)


def test_a_holder_that_falls_silent_inside_a_transaction_loses_it_there_too(
    postgres_server: PostgresServer,
) -> None:
    """A stopped process keeps its connection; the server ends its transaction after a term."""
    url = postgres_server.take()
    sleeper, other = Database.open(url), Database.open(url)
    term = 400
    with other.write() as connection:
        lease = leases.acquire(connection, "work", "sleeper", now=0, term=term)
    assert lease is not None
    began = time.monotonic()
    with pytest.raises(StoreUnavailableError), sleeper.write() as connection:
        leases.renew(connection, lease, now=1, term=term)
        with other.write() as late:  # waits for the row until the server has let go of it
            assert leases.acquire(late, "work", "other", now=term + 2, term=term) is not None
        connection.execute(select(tables.leases))
    assert 0.3 < time.monotonic() - began < 5
    sleeper.close()
    other.close()
    postgres_server.give_back(url)
