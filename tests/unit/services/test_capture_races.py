"""Uploads at the same time, and a database that fails: one outcome, nothing twice, nothing torn."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, event, text

from merkle.hashing import leaf_hash
from provenance.domain.chain import decode_link
from provenance.domain.errors import ConflictError, ForbiddenError, Refusal, UnavailableError
from provenance.domain.receipt import read_receipt
from provenance.services.capture import Accepted, Capture
from provenance.storage.errors import StoreConflictError, StoreUnavailableError
from provenance.storage.events import read_chain
from provenance.storage.session import Database
from provenance.storage.subjects import find_subjects, move_heads
from tests.support.audit import snapshot
from tests.support.builders import ORIGIN, Actor, World, item_event, item_uri, make_key
from tests.support.databases import PostgresServer

Outcome = Accepted | Refusal


def at_once(*actions: Callable[[], Accepted]) -> list[Outcome]:
    """Run all, started by one barrier; outcomes in order. Any other exception fails the test."""
    barrier = threading.Barrier(len(actions))
    outcomes: list[Any] = [None] * len(actions)

    def run(place: int, action: Callable[[], Accepted]) -> None:
        barrier.wait()
        try:
            outcomes[place] = action()
        except BaseException as error:
            outcomes[place] = error

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(actions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for outcome in outcomes:
        if not isinstance(outcome, Accepted | Refusal):
            raise outcome
    return outcomes


def test_the_same_seal_at_once_is_appended_once(world: World, database: Database) -> None:
    upload = world.party("brand").sealed([item_event(1, 2), item_event(3)])
    before = snapshot(database)
    outcomes = at_once(*[lambda: world.capture.submit_batch(upload)] * 6)
    accepted = [outcome for outcome in outcomes if isinstance(outcome, Accepted)]
    assert len(accepted) == 6
    assert [one.created for one in accepted].count(True) == 1
    assert len({one.body for one in accepted}) == 1
    after = snapshot(database)
    assert after["uploads"] == before["uploads"] + 1
    assert after["links"] == before["links"] + 3


def test_two_events_for_one_head_one_wins_and_the_other_is_told_the_head(
    world: World, database: Database
) -> None:
    brand, carrier = world.party("brand"), world.party("carrier", "logistics")
    first = world.capture.submit_batch(brand.sealed([item_event(1)]))
    for _ in range(5):
        head = first.receipt["events"][0]["links"][0]
        one = brand.sealed([item_event(1, **{"prov:after": head})])
        other = carrier.sealed([item_event(1, **{"prov:after": head})])
        outcomes = at_once(
            lambda one=one: world.capture.submit_batch(one),  # type: ignore[misc]
            lambda other=other: world.capture.submit_batch(other),  # type: ignore[misc]
        )
        (winner,) = [outcome for outcome in outcomes if isinstance(outcome, Accepted)]
        (loser,) = [outcome for outcome in outcomes if isinstance(outcome, Refusal)]
        assert isinstance(loser, ConflictError)
        assert loser.extra["head"] == winner.receipt["events"][0]["links"][0]
        first = winner


def test_many_writers_on_few_subjects(world: World, database: Database) -> None:
    actors = [world.party(f"party{number}") for number in range(4)]
    # Every upload touches several subjects, known ones and new ones, in another order.
    uploads = [
        actor.sealed([item_event(1 + (n + k) % 5, 11 + (n * k) % 7) for k in range(4)])
        for n, actor in enumerate(actors * 4)
    ]
    before = snapshot(database)
    outcomes = at_once(*[lambda u=upload: world.capture.submit_batch(u) for upload in uploads])  # type: ignore[misc]
    assert all(isinstance(outcome, Accepted) and outcome.created for outcome in outcomes)
    links = sum(
        len(answer["links"])
        for outcome in outcomes
        if isinstance(outcome, Accepted)
        for answer in outcome.receipt["events"]
    )
    assert snapshot(database)["links"] == before["links"] + links


def test_one_registration_wins(world: World, database: Database) -> None:
    rivals = [world.actor("wanted").with_key(make_key(name)) for name in ("one", "two", "three")]
    uploads = [rival.sealed([rival.registration()]) for rival in rivals]
    outcomes = at_once(*[lambda u=upload: world.capture.submit_batch(u) for upload in uploads])  # type: ignore[misc]
    assert [isinstance(outcome, Accepted) for outcome in outcomes].count(True) == 1
    codes = {outcome.code for outcome in outcomes if isinstance(outcome, Refusal)}
    assert codes <= {"party-registered-already", "key-unknown"}


def test_no_event_stands_after_a_revocation_that_it_did_not_see(
    world: World, database: Database
) -> None:
    """What every verifier will ask: each event's key was valid at its link's time."""
    for round_number in range(4):
        brand = world.party(f"brand{round_number}")
        spare = brand.with_key(make_key(f"spare{round_number}"))
        world.capture.submit_batch(brand.sealed([brand.addition(spare.key)]))
        uploads = [brand.sealed([item_event(number)]) for number in range(6)]
        revocation = spare.sealed([brand.revocation(brand.key)])
        world.clock.advance(1)
        *outcomes, revoked = at_once(
            *[lambda u=upload: world.capture.submit_batch(u) for upload in uploads],  # type: ignore[misc]
            lambda revocation=revocation: world.capture.submit_batch(revocation),  # type: ignore[misc]
        )
        assert isinstance(revoked, Accepted)
        end = read_receipt(revoked.receipt).accepted
        for outcome in outcomes:
            if isinstance(outcome, Accepted):
                assert read_receipt(outcome.receipt).accepted <= end
            else:
                assert isinstance(outcome, ForbiddenError)
                assert outcome.code == "key-revoked"


@pytest.mark.parametrize(("losses", "accepted"), [(4, True), (5, False)])
def test_a_lost_race_is_run_again_and_then_given_up(
    world: World,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    losses: int,
    accepted: bool,
) -> None:
    upload = world.party("brand").sealed([item_event(1)])
    before = snapshot(database)
    left = iter(range(losses))

    def losing(*arguments: Any) -> None:
        if next(left, None) is not None:
            raise StoreConflictError("somebody was faster")
        move_heads(*arguments)

    monkeypatch.setattr("provenance.services.capture.move_heads", losing)
    if accepted:
        assert world.capture.submit_batch(upload).created
        return
    with pytest.raises(UnavailableError) as refused:
        world.capture.submit_batch(upload)
    assert refused.value.code == "too-busy"
    assert snapshot(database) == before


# --- a database that fails ------------------------------------------------------------------------


def fail_next_commit(database: Database, before: Callable[[Any], None]) -> None:
    """Instead of the next commit: call `before` with the driver's connection, then fail."""
    dialect = database.engine.dialect
    commit = dialect.do_commit

    def failing(connection: Any) -> None:
        dialect.do_commit = commit  # type: ignore[method-assign]
        before(connection)
        if database.dialect == "sqlite":
            raise sqlite3.OperationalError("disk I/O error")
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    dialect.do_commit = failing  # type: ignore[method-assign]


def test_a_commit_that_fails_and_is_lost(world: World, database: Database) -> None:
    upload = world.party("brand").sealed([item_event(1, 2)])
    before = snapshot(database)
    fail_next_commit(database, lambda connection: connection.rollback())
    with pytest.raises(UnavailableError) as refused:
        world.capture.submit_batch(upload)
    assert refused.value.code == "store-unavailable"
    assert snapshot(database) == before
    assert world.capture.submit_batch(upload).created


def test_a_commit_that_is_reported_as_failed_but_kept(world: World, database: Database) -> None:
    upload = world.party("brand").sealed([item_event(1, 2)])
    fail_next_commit(database, lambda connection: connection.commit())
    with pytest.raises(UnavailableError):
        world.capture.submit_batch(upload)
    kept = snapshot(database)
    again = world.capture.submit_batch(upload)
    assert not again.created
    assert snapshot(database) == kept
    with database.read() as connection:
        subject = find_subjects(connection, [item_uri(1)])[item_uri(1)]
        (link,) = read_chain(connection, subject.id)
    assert decode_link(link.canonical).event == leaf_hash(upload[1])


@pytest.mark.parametrize("product", ["sqlite"], indirect=True)
def test_a_writer_that_waits_too_long_for_another_is_told_to_come_again(
    world: World, database: Database, database_url: str
) -> None:
    upload = world.party("brand").sealed([item_event(1)])
    impatient = Capture(
        Database.open(database_url, timeout_ms=100), ORIGIN, make_key("operator"), world.clock
    )
    before = snapshot(database)
    with database.write() as connection:
        connection.execute(text("SELECT 1"))
        with pytest.raises(StoreUnavailableError, match="locked"):
            impatient.submit_batch(upload)
    assert snapshot(database) == before
    assert impatient.submit_batch(upload).created


@pytest.mark.parametrize("product", ["sqlite"], indirect=True)
def test_a_full_disk_refuses_the_upload_and_keeps_the_rest(
    world: World, database: Database
) -> None:
    brand = world.party("brand")
    upload = brand.sealed([item_event(*range(4 * n, 4 * n + 4)) for n in range(50)])
    before = snapshot(database)

    def limit(connection: Connection) -> None:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    event.listen(database.engine, "begin", limit)
    try:
        with pytest.raises(UnavailableError, match="full"):
            world.capture.submit_batch(upload)
    finally:
        event.remove(database.engine, "begin", limit)
    with database.write() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1073741823")
    assert snapshot(database) == before
    assert world.capture.submit_batch(upload).created


@pytest.mark.postgresql
@pytest.mark.parametrize("product", ["postgresql"], indirect=True)
def test_a_connection_that_dies_within_the_transaction(
    world: World, database: Database, postgres_server: PostgresServer
) -> None:
    upload = world.party("brand").sealed([item_event(1)])
    before = snapshot(database)

    dialect = database.engine.dialect
    commit = dialect.do_commit

    def killed(connection: Any) -> None:
        dialect.do_commit = commit  # type: ignore[method-assign]
        postgres_server.run(
            f"SELECT pg_terminate_backend({connection.driver_connection.info.backend_pid})"
        )
        commit(connection)

    dialect.do_commit = killed  # type: ignore[method-assign]
    with pytest.raises(UnavailableError):
        world.capture.submit_batch(upload)
    assert snapshot(database) == before
    assert world.capture.submit_batch(upload).created


def test_an_unreachable_database_is_an_outage_and_no_verdict(world: World) -> None:
    nowhere = Database.open("postgresql://127.0.0.1:1/none?connect_timeout=2")
    capture = Capture(nowhere, ORIGIN, make_key("operator"), world.clock)
    brand = Actor("https://brand.example", make_key("brand"), clock=world.clock)
    with pytest.raises(UnavailableError):
        capture.submit_batch(brand.sealed([item_event(1)]))
