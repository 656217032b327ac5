"""Leases between hosts whose clocks disagree, and a holder that is busy, hung, or gone."""

from __future__ import annotations

import threading
import time

import pytest
from sqlalchemy import update

from provenance.platform import system_clock
from provenance.services.tenure import Tenure
from provenance.storage import leases, tables
from provenance.storage.leases import LeaseLostError
from provenance.storage.session import Database
from tests.support.processes import until

HOUR = 3_600_000
TERM = 800


def host(database: Database, name: str, ahead: int = 0, patience_s: float = 60) -> Tenure:
    """A process on a host whose clock is `ahead` by so many milliseconds."""
    return Tenure(
        database,
        "work",
        name,
        term_ms=TERM,
        clock=lambda: system_clock() + ahead,
        patience_s=patience_s,
    )


def take(tenure: Tenure) -> bool:
    return tenure.take(lambda _: 0)


def wait_for(tenure: Tenure) -> float:
    """Seconds until it takes the lease, looking as often as a sequencer does."""
    start = time.monotonic()
    until(lambda: take(tenure), seconds=10)
    return time.monotonic() - start


@pytest.mark.postgresql
@pytest.mark.parametrize("product", ["postgresql"], indirect=True)
@pytest.mark.parametrize("ahead", [-HOUR, -5_000, 5_000, HOUR])
def test_a_host_with_another_clock_neither_steals_nor_waits_for_ever(
    database: Database, ahead: int
) -> None:
    holder, other = host(database, "holder"), host(database, "other", ahead)
    assert take(holder)
    for _ in range(3):  # as long as it is renewed, nobody else has it
        time.sleep(TERM / 2000)
        assert not take(other)
        with database.write() as connection:
            holder.renew(connection)
    waited = wait_for(other)  # and then it is gone without a word
    assert TERM / 1000 - 0.3 < waited < TERM / 1000 + 1.5
    lost = pytest.raises(LeaseLostError, match="found 'other' with token 2")
    with lost, database.write() as connection:
        holder.renew(connection)
    assert not holder.is_ours


@pytest.mark.parametrize("product", ["postgresql", "sqlite"], indirect=True)
def test_which_clock_judges(database: Database) -> None:
    with database.read() as connection:
        now = leases.read_clock(connection, 5)
    if database.dialect == "sqlite":
        assert now == 5  # the file is on this host
    else:
        assert abs(now - system_clock()) < 60_000


def test_who_is_busy_keeps_its_lease(database: Database) -> None:
    holder, other = host(database, "holder"), host(database, "other")
    assert take(holder)
    end = time.monotonic() + 3 * TERM / 1000
    with holder.kept_up():
        while time.monotonic() < end:
            assert not take(other)
            time.sleep(0.05)
    assert holder.is_ours
    assert wait_for(other) < TERM / 1000 + 1.5  # the keeper ended with the block


def test_who_hangs_loses_it(database: Database) -> None:
    holder, other = host(database, "holder", patience_s=0.5), host(database, "other")
    assert take(holder)
    with holder.kept_up():
        assert wait_for(other) < 0.5 + 2 * TERM / 1000 + 1.5
        with pytest.raises(LeaseLostError), database.write() as connection:
            holder.renew(connection)


def test_a_keeper_never_revives_what_was_given_up(database: Database) -> None:
    holder, other = host(database, "holder"), host(database, "other")
    assert take(holder)
    with holder.kept_up():
        holder.release()
        assert take(other)
        time.sleep(TERM / 1000)
        assert not holder.is_ours


def test_many_take_turns_and_never_two_at_once(database: Database) -> None:
    """Ten hosts, each under its own clock: tokens are given out once each."""
    tokens: list[int] = []
    failures: list[BaseException] = []

    def run(number: int) -> None:
        tenure = host(
            database, f"host {number}", (number - 5) * HOUR * (database.dialect != "sqlite")
        )
        try:
            until(lambda: take(tenure), seconds=30)
            with database.write() as connection:
                tokens.append(tenure.renew(connection).token)
            tenure.release()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sorted(tokens) == list(range(1, 11))


def test_a_lease_from_a_clock_far_ahead_is_not_waited_for(database: Database) -> None:
    assert take(host(database, "wrong"))
    with database.write() as connection:
        connection.execute(update(tables.leases).values(expires_at=system_clock() + HOUR))
    assert take(host(database, "right"))
