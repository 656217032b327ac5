"""The ledger's standing: what waits, how old things are, and what is absent."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import event

from merkle.policy import Policy, Witness
from provenance.crypto.signing import Cosigner
from provenance.services.sequencing import QuorumError
from provenance.services.standing import Standing, read_standing
from provenance.storage import anchors, gauges
from provenance.storage.log import read_state
from provenance.storage.session import Database
from tests.support.builders import make_key
from tests.support.clock import FrozenClock
from tests.support.ledger import Ledger, make_policy


@pytest.fixture
def ledger(database: Database, tmp_path: Path, clock: FrozenClock) -> Ledger:
    return Ledger(database, tmp_path, clock)


def standing(ledger: Ledger, policy: Policy | None = None, *kinds: str) -> Standing:
    return read_standing(ledger.database, policy or make_policy(), ledger.clock, kinds)


def test_before_the_first_checkpoint_nothing_is_invented(ledger: Ledger) -> None:
    found = standing(ledger, None, "rfc3161")
    assert (found.published, found.signed, found.subjects, found.queue_uploads) == (0, 0, 0, 0)
    assert found.checkpoint_s is None
    assert found.cosigned_s == {"clock": None}
    assert found.anchored_s == {}
    assert (found.lease_left_s, found.lease_terms) == (0, 0)


def test_the_queue_is_counted_and_ages_until_it_is_published(
    ledger: Ledger, clock: FrozenClock
) -> None:
    sequencer = ledger.sequencer()
    sequencer.start()
    ledger.accept("a", "b")
    clock.advance(1_500)
    ledger.accept("a")
    clock.advance(500)
    found = standing(ledger)
    assert (found.queue_uploads, found.queue_links) == (2, 3)
    assert found.oldest_unpublished_s == 2.0
    assert (found.checkpoint_s, found.cosigned_s) == (2.0, {"clock": 2.0})
    assert (found.lease_left_s, found.lease_terms) == (8.0, 1)
    sequencer.run_once()
    clock.advance(250)
    found = standing(ledger)
    assert (found.queue_uploads, found.queue_links, found.oldest_unpublished_s) == (0, 0, 0)
    assert (found.published, found.signed, found.subjects) == (5, 5, 2)
    assert found.checkpoint_s == 0.25


def test_what_is_signed_and_waits_for_witnesses_is_unpublished_and_no_longer_queued(
    ledger: Ledger, clock: FrozenClock
) -> None:
    first = ledger.sequencer()
    first.start()
    first.release()
    ledger.accept("a")
    clock.advance(3_000)
    with pytest.raises(QuorumError, match="not published"):
        ledger.sequencer(cosigners=()).run_once()
    found = standing(ledger)
    assert (found.queue_uploads, found.oldest_unpublished_s) == (0, 3.0)
    assert (found.published, found.signed) == (1, 3)


def test_a_witness_without_a_line_is_absent_and_not_old(ledger: Ledger) -> None:
    ledger.sequencer().start()
    stranger = Witness("w", Cosigner("w.example/w", make_key("w")).vkey)
    policy = make_policy()
    wider = replace(policy, witnesses=(*policy.witnesses, stranger))
    assert standing(ledger, wider).cosigned_s == {"clock": 0.0, stranger.name: None}


def test_times_ahead_of_our_clock_count_as_now(ledger: Ledger, clock: FrozenClock) -> None:
    ledger.sequencer().start()
    ledger.accept("a")
    clock.advance(-60_000)
    found = standing(ledger)
    assert (found.oldest_unpublished_s, found.checkpoint_s) == (0, 0)


def test_anchors_by_kind_pending_ones_without_an_age(ledger: Ledger, clock: FrozenClock) -> None:
    ledger.sequencer().start()
    with ledger.database.write() as connection:
        state = read_state(connection)
        assert state is not None
        for kind in ("rfc3161", "evm"):
            anchors.insert_pending(connection, kind, state.size, state.note, clock())
        row = anchors.find_newest(connection, "evm")
        assert row is not None
        anchors.confirm(connection, row.id, clock(), b"{}")
    clock.advance(4_000)
    assert standing(ledger, None, "rfc3161", "evm").anchored_s == {"rfc3161": None, "evm": 4.0}


def test_reading_the_queue_never_walks_over_what_is_published(ledger: Ledger) -> None:
    """The plan names an index; one that names none reads the whole table."""
    is_sqlite = ledger.database.dialect == "sqlite"
    asked: list[tuple[str, object]] = []

    def note(_: object, __: object, statement: str, parameters: object, *___: object) -> None:
        if statement.startswith("SELECT"):
            asked.append((statement, parameters))

    with ledger.database.read() as connection:
        event.listen(connection, "before_cursor_execute", note)
        gauges.read_queue(connection)
        event.remove(connection, "before_cursor_execute", note)
        assert len(asked) == 2
        if not is_sqlite:  # a handful of rows is read whole, unless that is forbidden
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        for statement, parameters in asked:
            explain = "EXPLAIN QUERY PLAN" if is_sqlite else "EXPLAIN"
            rows = connection.exec_driver_sql(f"{explain} {statement}", parameters).all()
            plan = " ".join(row[-1] for row in rows)
            assert re.search(r"(USING INDEX|Index Scan using|Index Scan on) ix_uploads", plan), plan
