"""From acceptance to the log: the order of every chain, and that no upload is ever passed over."""

from __future__ import annotations

import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from provenance.services.capture import Capture
from provenance.services.checking import fsck
from provenance.services.sequencing import SequencerOptions
from provenance.storage import log
from provenance.storage.session import Database
from tests.support.builders import ORIGIN, World, item_event, make_key
from tests.support.clock import FrozenClock
from tests.support.ledger import COSIGNER, SIGNER, Ledger


@pytest.fixture
def ledger(database: Database, tmp_path: Path, clock: FrozenClock) -> Ledger:
    return Ledger(database, tmp_path, clock, SequencerOptions(max_links=20, interval_ms=1))


@pytest.fixture
def world(ledger: Ledger) -> World:
    return World(Capture(ledger.database, ORIGIN, make_key("operator"), ledger.clock), ledger.clock)


def check(ledger: Ledger) -> None:
    """Nothing waits, nothing was ignored, and each chain's order is that of ids and of the log."""
    with ledger.database.read() as connection:
        rows = connection.execute(
            text(
                "SELECT l.subject_id, l.upload_id, l.ordinal, u.first_index + l.ordinal AS place "
                "FROM links l JOIN uploads u ON u.id = l.upload_id ORDER BY l.subject_id, l.seq"
            )
        ).all()
        state = log.read_state(connection)
        assert log.pending_links(connection) == 0
    for one, other in pairwise(rows):
        if one.subject_id == other.subject_id:
            assert (one.upload_id, one.ordinal) < (other.upload_id, other.ordinal)
            assert one.place < other.place
    assert state is not None
    assert state.ignored == 0
    report = fsck(
        ledger.database,
        ledger.tiles,
        ORIGIN,
        SIGNER.vkey,
        last_signed=ledger.last_signed,
        cosigners=[COSIGNER.vkey],
    )
    assert report.difference is None, report.difference


def test_many_writers_while_the_log_grows(ledger: Ledger, world: World) -> None:
    """Uploads that share subjects and such that do not, while batches end anywhere among them."""
    actors = [world.party(f"party{n}") for n in range(4)]
    uploads: list[list[list[bytes]]] = [
        [
            actor.sealed([item_event(100 + 100 * n + k, (n + k) % 5), item_event((n * k) % 7)])
            for k in range(12)
        ]
        for n, actor in enumerate(actors)
    ]
    failures: list[BaseException] = []
    stop = threading.Event()

    def capturing(mine: list[list[bytes]]) -> None:
        try:
            for upload in mine:
                assert world.capture.submit_batch(upload).created
        except BaseException as error:  # shown by the assertion below
            failures.append(error)

    sequencing = threading.Thread(target=ledger.sequencer().run, args=(stop,))
    writers = [threading.Thread(target=capturing, args=(mine,)) for mine in uploads]
    for thread in (sequencing, *writers):
        thread.start()
    try:
        for thread in writers:
            thread.join(60)
        _wait_until_nothing_is_pending(ledger)
    finally:
        stop.set()
        sequencing.join(30)
    assert not any(thread.is_alive() for thread in (sequencing, *writers))
    assert failures == []
    check(ledger)


@pytest.mark.postgresql
@pytest.mark.parametrize("product", ["postgresql"], indirect=True)
def test_an_upload_that_commits_late_is_not_passed_over(ledger: Ledger, world: World) -> None:
    """Its id is smaller than that of one which is in the log when it becomes visible."""
    brand, carrier = world.party("brand"), world.party("carrier", "logistics")
    sequencer = ledger.sequencer()
    while sequencer.run_once() is not None:
        pass
    slow, quick = brand.sealed([item_event(1, 2)]), carrier.sealed([item_event(3)])
    held, release = threading.Event(), threading.Event()
    dialect = ledger.database.engine.dialect
    commit = dialect.do_commit
    ids: dict[str, int] = {}

    def holding(connection: Any) -> None:
        if threading.current_thread().name == "slow":
            held.set()
            assert release.wait(30)
        commit(connection)

    def capturing() -> None:
        ids["slow"] = world.capture.submit_batch(slow).upload_id

    dialect.do_commit = holding  # type: ignore[method-assign]
    thread = threading.Thread(target=capturing, name="slow")
    thread.start()
    try:
        assert held.wait(30)
        ids["quick"] = world.capture.submit_batch(quick).upload_id
        published = sequencer.run_once()
        assert published is not None
        assert published.links == 1
    finally:
        release.set()
        thread.join()
        dialect.do_commit = commit  # type: ignore[method-assign]
    assert ids["slow"] < ids["quick"]
    published = sequencer.run_once()
    assert published is not None
    assert published.links == 2
    check(ledger)


@pytest.mark.parametrize("product", ["sqlite"], indirect=True)
def test_what_is_asked_often_is_answered_by_an_index(ledger: Ledger, world: World) -> None:
    """The plans of the hot queries on SQLite, which needs no statistics to choose them."""
    world.party("brand")
    hot = {
        # Two indexes serve this one; SQLite takes either.
        "SELECT id FROM uploads WHERE first_index IS NULL ORDER BY id": "ix_uploads_",
        "SELECT id FROM uploads WHERE first_index >= 9 AND entries IS NOT NULL AND links > 0": (
            "ix_uploads_unpublished"
        ),
        "SELECT max(accepted_at) FROM uploads": "ix_uploads_accepted_at",
        "SELECT upload_id FROM seals WHERE hash = x'00'": "seals",
        "SELECT * FROM seals WHERE upload_id IN (1, 2)": "seals",
        "SELECT * FROM subjects WHERE uri IN (SELECT value FROM json_each('[]'))": "subjects",
        "SELECT * FROM links WHERE subject_id = 1 AND event_hash = x'00'": (
            "ix_links_subject_id_event_hash"
        ),
        "SELECT * FROM links WHERE subject_id = 1 AND seq < 5 ORDER BY seq": "links",
        "SELECT id, hash FROM map_pages WHERE size > 0": "COVERING INDEX ix_map_pages_size",
        "SELECT id, leaves FROM map_pages WHERE id IN (1, 2)": "map_pages",
        "SELECT key, head FROM map_leaves ORDER BY key": "map_leaves",
        "SELECT * FROM map_leaves WHERE key IN (x'00', x'01')": "map_leaves",
        "SELECT * FROM parties WHERE uri IN ('a')": "parties",
    }
    with ledger.database.read() as connection:
        for query, index in hot.items():
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}").all()
            steps = [row.detail for row in plan if "json_each" not in row.detail]
            assert any(index in step and "USING" in step for step in steps), (query, steps)
            assert not any("TEMP B-TREE" in step for step in steps), (query, steps)


def _wait_until_nothing_is_pending(ledger: Ledger) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with ledger.database.read() as connection:
            publication = log.read_publication(connection)
            state = log.read_state(connection)
            pending = log.pending_links(connection)
        if not pending and publication and state and publication.size == state.size:
            return
        time.sleep(0.01)
    pytest.fail("uploads were left waiting")
