"""A read replica that keeps up, lags, and goes away: a passport never says less for it.

A real standby, paused and resumed. Whether it was asked is seen on its own connections.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import event

from provenance.config import Settings
from provenance.domain import canonical
from provenance.domain.chain import subject_key
from provenance.platform import Platform, initialise, system_clock
from provenance.services import querying
from provenance.services.reading import Reader
from provenance.storage.errors import StoreConflictError, StoreUnavailableError
from provenance.storage.forks import StoredFork, add_fork
from provenance.storage.session import Connection, Database, Replica
from provenance.storage.subjects import lock_subjects
from provenance.verify import verify_bundle
from provenance.web import create_app
from tests.faults.installation import body, install, sealed
from tests.support.processes import until
from tests.support.served import item
from tests.support.standby import Pair, pair_of_servers

pytestmark = pytest.mark.postgresql


@pytest.fixture(scope="module")
def pair(closed_network: None) -> Iterator[Pair]:
    with pair_of_servers() as made:
        yield made


@dataclass
class Place:
    """An installation that reads from the standby; `asked` are its statements there."""

    pair: Pair
    settings: Settings
    platform: Platform
    brand: Any
    asked: list[str] = field(default_factory=list)

    def publish(self, *serials: str) -> None:
        """One upload about some items, published."""
        self.platform.capture.submit_batch(sealed(self.brand, *serials).lines())
        assert self.platform.sequencer.run_once() is not None

    def passport(self, serial: str) -> tuple[bool, int]:
        """Of an item: did its history come from the standby, and how many events are in it?

        It is judged under the policy, and against the checkpoint file.
        """
        self.asked.clear()
        bundle = self.platform.prover.passport(item(serial))
        note = self.platform.tiles.read_checkpoint()
        assert note is not None
        assert bundle["checkpoint"].encode() == note, "not that of the checkpoint beside it"
        verdict = verify_bundle(
            canonical.encode(bundle), self.platform.policy, now=system_clock() // 1000
        )
        assert verdict.record == "verified", verdict.document
        # Once to see how far it has come, and once more for the passport.
        looked = sum("FROM publication" in statement for statement in self.asked)
        return looked == 2, len(bundle["events"])


@pytest.fixture
def place(pair: Pair, tmp_path: Path) -> Iterator[Place]:
    name = f"replica_{time.monotonic_ns()}"
    pair.create(name)
    settings = Settings(
        data=tmp_path / "data", database=pair.primary(name), read_database=pair.standby(name)
    )
    brand = install(settings)
    platform = Platform.open(settings)
    made = Place(pair, settings, platform, brand)
    assert platform.replica is not None
    event.listen(
        platform.replica.engine,
        "before_cursor_execute",
        lambda _c, _u, statement, *_: made.asked.append(statement),
    )
    try:
        yield made
    finally:
        platform.sequencer.release()
        platform.close()
        pair.resume()


def test_a_replica_that_keeps_up_gives_the_histories(place: Place) -> None:
    place.publish("A")
    place.pair.caught_up()
    from_standby, events = place.passport("A")
    assert from_standby
    assert events > 1
    seals = querying.list_seals(place.platform.reader, after=0, limit=10)
    assert len(seals) == 4


def test_one_that_lags_is_passed_over_until_it_has_caught_up(place: Place) -> None:
    place.publish("A")
    place.pair.caught_up()
    _, events = place.passport("A")
    place.pair.pause()
    place.publish("A", "B")
    assert place.passport("A") == (False, events + 1)
    assert place.passport("B")[0] is False
    seals = querying.list_seals(place.platform.reader, after=0, limit=10)
    assert len(seals) == 5
    place.pair.resume()
    assert place.passport("A") == (True, events + 1)


def test_a_refreshed_checkpoint_is_not_shown_older_by_one_that_lags(place: Place) -> None:
    """The tree is the same, its cosignatures are newer: the verdict's freshness rests on them."""
    place.publish("A")
    place.pair.caught_up()
    place.pair.pause()
    time.sleep(1.1)  # a cosignature states whole seconds
    published = place.platform.sequencer._refresh()
    assert published.refreshed
    assert place.passport("A")[0] is False
    place.pair.resume()
    assert place.passport("A")[0] is True


def test_evidence_against_the_log_is_not_hidden_by_one_that_lags(place: Place) -> None:
    place.publish("A")
    place.pair.caught_up()
    place.pair.pause()
    with place.platform.database.write() as connection:
        add_fork(connection, StoredFork(b"h" * 32, b"{}", "a witness", system_clock()))
    read_on: list[bool] = []
    place.platform.reader.answer(lambda c: read_on.append(_is_standby(c)))
    assert read_on == [False]


def test_waiting_for_publication_does_not_wait_for_the_replica(place: Place) -> None:
    client = create_app(place.platform).test_client()
    place.pair.pause()
    batch = sealed(place.brand, "W")
    answer = client.post("/api/v1/batches", data=body(batch), content_type="application/x-ndjson")
    assert answer.status_code == 201
    assert place.platform.sequencer.run_once() is not None
    again = client.post(
        "/api/v1/batches?wait=published", data=body(batch), content_type="application/x-ndjson"
    )
    assert again.headers["Provenance-Published"] == "yes"
    shown = client.get(f"/api/v1/subjects/{quote(item('W'), safe='')}/passport").get_json()
    assert "absence" not in shown["subjects"][0], "promised as published, so everybody sees it"


def test_one_that_is_away_is_left_alone_for_a_while(place: Place) -> None:
    place.publish("A")
    place.pair.caught_up()
    place.pair.on_primary("ALTER SYSTEM SET synchronous_standby_names = ''")
    place.pair.on_primary("SELECT pg_reload_conf()")
    place.pair.stop_standby()
    try:
        assert place.passport("A")[0] is False
        start = time.monotonic()
        for _ in range(20):
            assert place.passport("A")[0] is False
        assert time.monotonic() - start < 5
    finally:
        place.pair.start_standby()
    place.pair.caught_up()
    place.platform.reader._away_until = 0
    until(lambda: place.passport("A")[0])


def test_a_question_that_the_standby_cancels_is_asked_of_the_primary(place: Place) -> None:
    asked: list[bool] = []

    def question(connection: Connection) -> str:
        asked.append(_is_standby(connection))
        if asked[-1]:
            raise StoreConflictError("canceling statement due to conflict with recovery")
        return "answer"

    place.pair.caught_up()
    assert place.platform.reader.answer(question) == "answer"
    assert asked == [True, False]


def test_a_replica_of_another_log_is_never_believed(place: Place, tmp_path: Path) -> None:
    place.pair.create("another_log")
    other = Settings(data=tmp_path / "other", database=place.pair.primary("another_log"))
    initialise(other)
    place.pair.caught_up()
    replica = Replica.open(place.pair.standby("another_log"))
    reader = Reader(place.platform.database, replica)
    assert reader.answer(_is_standby) is False
    replica.close()


def _is_standby(connection: Connection) -> bool:
    return bool(connection.exec_driver_sql("SELECT pg_is_in_recovery()").scalar())


def test_a_standby_is_refused_as_the_database(place: Place) -> None:
    wrong = Database.open(place.settings.read_database)
    for use in (wrong.read, wrong.write):
        with (
            pytest.raises(StoreUnavailableError, match=r"is a standby, .*target_session_attrs"),
            use(),
        ):
            pass
    wrong.close()


def test_heads_cannot_be_read_from_a_replica(place: Place) -> None:
    """It has no transaction that writes, and its sessions lock nothing."""
    replica = place.platform.replica
    assert replica is not None
    assert not isinstance(replica, Database)
    assert not hasattr(replica, "write")
    place.pair.caught_up()
    uri = item("A")
    lock: Callable[[Connection], Any] = lambda c: lock_subjects(c, [uri], subject_key)  # noqa: E731
    with pytest.raises(Exception, match="read-only transaction"), replica.read() as connection:
        lock(connection)
