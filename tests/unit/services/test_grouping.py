"""Group commit: single events that come at once share a transaction, and nothing else."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, event

from provenance.crypto.integrity import verify_proof
from provenance.domain.canonical import encode_base64
from provenance.domain.errors import ConflictError, ForbiddenError, Refusal
from provenance.domain.receipt import read_receipt
from provenance.services.capture import Accepted, Capture
from provenance.services.grouping import Grouping
from provenance.storage.session import Database
from provenance.storage.subjects import find_subjects
from tests.support.audit import snapshot
from tests.support.builders import World, item_event, item_uri, make_key
from tests.support.processes import until

Outcome = Accepted | Refusal


def in_one_group(capture: Capture, bodies: Sequence[bytes]) -> list[Outcome]:
    """Submit each by a thread of its own while the turn is taken, then let them go at once."""
    grouping = capture._grouping
    outcomes: list[Any] = [None] * len(bodies)

    def run(place: int, body: bytes) -> None:
        try:
            outcomes[place] = capture.submit_event(body)
        except BaseException as error:
            outcomes[place] = error

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(bodies)]
    with grouping._turn:
        for count, thread in enumerate(threads, start=1):
            thread.start()
            until(lambda count=count: len(grouping._waiting) == count)
    for thread in threads:
        thread.join()
    for outcome in outcomes:
        if not isinstance(outcome, Accepted | Refusal):
            raise outcome
    return outcomes


@contextmanager
def commits(database: Database) -> Iterator[list[str]]:
    """Counts the commits of this process while the block runs."""
    seen: list[str] = []

    def note(connection: Connection) -> None:
        seen.append("commit")

    event.listen(database.engine, "commit", note)
    try:
        yield seen
    finally:
        event.remove(database.engine, "commit", note)


def test_ten_events_are_one_commit_and_ten_receipts(world: World, database: Database) -> None:
    brand, carrier = world.party("brand"), world.party("carrier")
    bodies = [(brand, carrier)[n % 2].signed(item_event(n, n + 1)) for n in range(10)]
    before = snapshot(database)["uploads"]
    with commits(database) as seen:
        outcomes = in_one_group(world.capture, bodies)
    assert len(seen) == 1
    assert snapshot(database)["uploads"] == before + 1
    for body, outcome in zip(bodies, outcomes, strict=True):
        assert isinstance(outcome, Accepted)
        assert outcome.created
        [answer] = read_receipt(outcome.receipt).events
        assert len(answer.links) == 2
        verify_proof(outcome.receipt, make_key("operator").public)
        again = world.capture.submit_event(body)
        assert not again.created
        assert read_receipt(again.receipt).events == (answer,)


def test_events_of_one_subject_hang_on_one_another(world: World, database: Database) -> None:
    brand = world.party("brand")
    outcomes = in_one_group(world.capture, [brand.signed(item_event(7)) for _ in range(5)])
    heads = {outcome.receipt["events"][0]["links"][0] for outcome in outcomes}  # type: ignore[union-attr]
    assert len(heads) == 5
    with database.read() as connection:
        row = find_subjects(connection, [item_uri(7)])[item_uri(7)]
    assert row.count == 5
    assert row.head is not None and encode_base64(row.head) in heads


def test_the_same_event_twice_is_appended_once(world: World) -> None:
    body = world.party("brand").signed(item_event(1))
    outcomes = in_one_group(world.capture, [body] * 4)
    assert [outcome.created for outcome in outcomes].count(True) == 1  # type: ignore[union-attr]
    assert len({str(outcome.receipt["events"]) for outcome in outcomes}) == 1  # type: ignore[union-attr]


def test_who_is_refused_is_told_why_and_leaves_nothing_while_the_others_stand(
    world: World, database: Database
) -> None:
    brand = world.party("brand")
    head = encode_base64(bytes(32))
    moved = brand.signed(item_event(50, **{"prov:after": head}))
    bodies = [brand.signed(item_event(1)), moved, brand.signed(item_event(2))]
    outcomes = in_one_group(world.capture, bodies)
    assert isinstance(outcomes[1], ConflictError)
    assert (outcomes[1].code, outcomes[1].line, outcomes[1].found) == ("head-moved", 1, head)
    assert [isinstance(outcome, Accepted) for outcome in outcomes] == [True, False, True]
    with database.read() as connection:
        assert find_subjects(connection, [item_uri(50)]) == {}


def test_so_many_refusals_that_the_group_gives_up(world: World) -> None:
    brand = world.party("brand")
    head = encode_base64(bytes(32))
    bodies = [
        brand.signed(item_event(n, **({"prov:after": head} if n % 2 else {}))) for n in range(20)
    ]
    outcomes = in_one_group(world.capture, bodies)
    for n, outcome in enumerate(outcomes):
        assert isinstance(outcome, ConflictError if n % 2 else Accepted)


def test_a_head_that_another_of_the_group_moves_is_judged_in_order(world: World) -> None:
    brand = world.party("brand")
    first = world.capture.submit_event(brand.signed(item_event(9)))
    head = first.receipt["events"][0]["links"][0]
    bodies = [brand.signed(item_event(9, **{"prov:after": head})) for _ in range(3)]
    outcomes = in_one_group(world.capture, bodies)
    assert [isinstance(outcome, Accepted) for outcome in outcomes].count(True) == 1


def test_a_key_that_was_revoked_meanwhile_is_refused_alone(world: World) -> None:
    brand, carrier = world.party("brand"), world.party("carrier")
    spare = make_key("spare")
    world.capture.submit_batch(carrier.sealed([carrier.addition(spare)]))
    bodies = [brand.signed(item_event(1)), carrier.with_key(spare).signed(item_event(2))]

    admitted = [world.capture._admission.read_event(body) for body in bodies]
    world.capture.submit_batch(carrier.sealed([carrier.revocation(spare)]))
    outcomes = world.capture._append_group(admitted)  # type: ignore[arg-type]
    assert outcomes[0] is not None and outcomes[0].created
    assert outcomes[1] is None
    with pytest.raises(ForbiddenError, match="revoked"):
        world.capture.submit_event(bodies[1])


def test_a_chain_ahead_of_the_clock_gives_its_time_to_nobody_else(world: World, clock: Any) -> None:
    brand = world.party("brand")
    clock.advance(60_000)
    world.capture.submit_event(brand.signed(item_event(1)))
    clock.advance(-30_000)
    outcomes = in_one_group(
        world.capture, [brand.signed(item_event(1)), brand.signed(item_event(2))]
    )
    times = [read_receipt(outcome.receipt).accepted for outcome in outcomes]  # type: ignore[union-attr]
    assert times[0] - times[1] == 30_000


def test_a_group_that_fails_leaves_each_to_itself() -> None:
    def fail(items: Sequence[int]) -> Sequence[int]:
        raise OSError("no disk")

    assert Grouping(fail).submit(1) is None


def test_a_group_is_never_larger_than_said() -> None:
    sizes = []

    def work(items: Sequence[int]) -> Sequence[int]:
        sizes.append(len(items))
        return [item * 2 for item in items]

    grouping = Grouping(work, most=3)
    outcomes: dict[int, int | None] = {}

    def run(number: int) -> None:
        outcomes[number] = grouping.submit(number)

    threads = [threading.Thread(target=run, args=[number]) for number in range(10)]
    with grouping._turn:
        for thread in threads:
            thread.start()
        until(lambda: len(grouping._waiting) == 10)
    for thread in threads:
        thread.join()
    assert outcomes == {number: number * 2 for number in range(10)}
    assert sum(sizes) == 10
    assert max(sizes) == 3


def test_a_thread_that_is_ended_lets_the_others_go() -> None:
    class Ended(BaseException):
        pass

    def work(items: Sequence[int]) -> Sequence[int]:
        raise Ended

    grouping = Grouping(work)
    with pytest.raises(Ended):
        grouping.submit(1)
    assert not grouping._turn.locked()
    assert not grouping._waiting
