"""A map-aware witness: it reads the log over real HTTP, cosigns what is right and nothing else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from merkle.checkpoint import Checkpoint
from merkle.tree import Edge
from provenance.client.log_reader import LogReader
from provenance.domain.delta import delta_path
from provenance.domain.log_source import (
    LogMalformedError,
    LogMismatchError,
    LogUnreachableError,
)
from provenance.domain.map_replay import MapPosition, MapRefusedError
from provenance.services.map_following import MOST_WAITING, MapFollower, NotYetError
from provenance.services.witness import MapUncheckedError, ProofRefusedError, SizeConflictError
from provenance.web.witness import SLOTS
from tests.support.maplog import MapLog, wrong_root
from tests.support.tilelog import FileServer, TileLog, serving_files, status
from tests.support.witnesses import Desk, open_desk
from tests.unit.domain.test_map_replay import Files


@pytest.fixture
def log() -> MapLog:
    log = MapLog()
    log.grow(90)  # some three hundred entries: a full bundle and a partial one
    return log


@pytest.fixture
def server(log: MapLog) -> Iterator[FileServer]:
    with serving_files(log.files) as served:
        yield served


def reading(url: str) -> LogReader:
    return LogReader(url, attempts=1)


def aware(folder: Path, log: TileLog, server: FileServer, **options: float) -> Desk:
    folder.mkdir(exist_ok=True)
    return open_desk(folder, log, kind="map", source=reading, url=server.url, **options)


@pytest.fixture
def desk(tmp_path: Path, log: MapLog, server: FileServer) -> Desk:
    return aware(tmp_path / "aware", log, server)


def plain(tmp_path: Path, log: TileLog) -> Desk:
    (tmp_path / "plain").mkdir(exist_ok=True)
    return open_desk(tmp_path / "plain", log)


# --- what it cosigns


def test_an_honest_log_is_cosigned_from_first_contact_on(
    desk: Desk, log: MapLog, server: FileServer
) -> None:
    accepted = desk.follow(log)
    desk.require_good(accepted, log.note())
    assert desk.state.cosigned(log.origin).position.head == log.head
    log.grow(3)
    server.asked.clear()
    desk.require_good(desk.follow(log), log.note())
    assert len([path for path in server.asked if path.startswith("map/delta/")]) == 3
    assert not [path for path in server.asked if path.startswith("tile/0")]


def test_the_same_tree_again_costs_no_reading(desk: Desk, log: MapLog, server: FileServer) -> None:
    desk.follow(log)
    server.asked.clear()
    desk.clock.advance(60_000)
    assert desk.require_good(desk.follow(log), log.note()) == desk.clock.seconds
    assert server.asked == []
    assert desk.state.cosigned(log.origin).position.head == log.head


def test_an_older_checkpoint_than_the_published_one_can_be_cosigned(
    desk: Desk, log: MapLog
) -> None:
    middle = log.head.index + 1
    log.grow(1)
    desk.add(0, (), log.note(middle))
    desk.follow(log)


def test_the_empty_log_has_nothing_to_be_checked(desk: Desk, log: MapLog) -> None:
    desk.add(0, (), log.note(0))
    assert desk.state.cosigned(log.origin).position == MapPosition()
    desk.add(0, (), log.note())


# --- what it refuses, and a plain witness does not


def lie(log: MapLog, kind: str) -> None:
    """One more batch, signed like any other, with a lie in it."""
    log.publish(log.link("a"), log.link("b"))
    hidden = log.link("a", "hidden")
    if kind == "wrong map root":
        log.publish(log.link("b"), change_head=wrong_root)
    elif kind == "omitted link":
        log.publish(log.link("b"), hidden, forget=[hidden])
    elif kind == "wrong delta":
        log.publish(
            hidden, change_delta=lambda d: replace(d, transition=d.transition[:-1] + b"\xff")
        )
    elif kind == "no map head":
        log.publish(hidden, head_last=False)
    elif kind == "foreign entry":
        log.append(b"neither a link nor a map head")
    else:
        log.publish(hidden, change_head=lambda head: replace(head, previous=0))


LIES = {
    "wrong map root": "expected root",
    "omitted link": "map delta",
    "wrong delta": "map delta",
    "no map head": "is no map head",
    "foreign entry": "neither a link nor a map head",
    "wrong previous": "expected previous",
}


@pytest.mark.parametrize("kind", LIES)
@pytest.mark.parametrize("first_contact", [True, False])
def test_a_lie_about_the_map_is_refused_and_a_plain_witness_cosigns_it(
    tmp_path: Path, log: MapLog, desk: Desk, kind: str, first_contact: bool
) -> None:
    if not first_contact:
        desk.follow(log)
    known = desk.size(log)
    lie(log, kind)
    with pytest.raises(MapRefusedError, match=LIES[kind]):
        desk.follow(log)
    assert desk.size(log) == known
    other = plain(tmp_path, log)
    other.require_good(other.follow(log), log.note())


def test_after_a_lie_nothing_that_holds_it_is_ever_cosigned(desk: Desk, log: MapLog) -> None:
    desk.follow(log)
    honest = log.size
    lie(log, "omitted link")
    log.grow(4)
    with pytest.raises(MapRefusedError):
        desk.follow(log)
    assert desk.size(log) == honest


def test_entries_that_are_not_those_of_the_root_are_refused(
    desk: Desk, log: MapLog, server: FileServer
) -> None:
    other = MapLog()
    other.publish(other.link("another beginning"))
    other.grow(100)
    point = Checkpoint(log.origin, log.size, other.tree.root(log.size))
    with pytest.raises(LogMismatchError):
        desk.add(0, (), log.sign(point.size, point.root))
    assert desk.size(log) == 0


def test_bytes_without_form_are_refused(desk: Desk, log: MapLog) -> None:
    log.files["tile/entries/000"] = log.files["tile/entries/000"][:-1]
    with pytest.raises(LogMalformedError):
        desk.follow(log)


def test_the_rules_of_every_witness_come_first(desk: Desk, log: MapLog, server: FileServer) -> None:
    with pytest.raises(SizeConflictError):
        desk.add(3, log.proof(3), log.note())
    desk.follow(log)
    server.asked.clear()
    with pytest.raises(ProofRefusedError):
        desk.add(log.size, (), log.sign(log.size, b"\x01" * 32))
    assert server.asked == [], "nothing is read for what would be refused anyway"


# --- outages


def test_a_log_that_cannot_be_read_is_an_outage(
    desk: Desk, log: MapLog, server: FileServer
) -> None:
    server.trouble["tile/entries/000"] = status(503)
    with pytest.raises(LogUnreachableError):
        desk.follow(log)
    assert desk.size(log) == 0
    server.trouble.clear()
    desk.follow(log)


def test_a_delta_that_is_not_there_is_an_outage(desk: Desk, log: MapLog) -> None:
    kept = log.files.pop(delta_path(log.head.index))
    with pytest.raises(LogUnreachableError):
        desk.follow(log)
    log.files[delta_path(log.head.index)] = kept
    desk.follow(log)


def test_a_log_without_an_address_cannot_be_checked(tmp_path: Path, log: MapLog) -> None:
    desk = open_desk(tmp_path, kind="map", source=reading)
    desk.state.add_log(log.signer.vkey, None)
    with pytest.raises(MapUncheckedError):
        desk.follow(log)


# --- a long way


class Gate:
    """A source that stops before the delta of one map head until it is let through."""

    def __init__(self, log: TileLog, at: int) -> None:
        self.inner, self.at = Files(log), at
        self.reached, self.open = threading.Event(), threading.Event()

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)

    def map_delta(self, index: int) -> bytes:
        if index == self.at:
            self.reached.set()
            assert self.open.wait(60)
        return self.inner.map_delta(index)


def heads(log: MapLog) -> list[int]:
    found, index = [], log.head.index
    while index:
        found.append(index)
        text = log.entries[index].decode().splitlines()[5]
        index = int(text)
    return found[::-1]


def test_a_long_check_goes_on_in_the_background(tmp_path: Path, log: MapLog) -> None:
    gate = Gate(log, heads(log)[-2])
    desk = open_desk(tmp_path, log, kind="map", source=lambda _: gate, patience_seconds=0.05)
    with pytest.raises(NotYetError, match="ask again") as caught:
        desk.follow(log)
    assert caught.value.retry_after > 0
    log.grow(1)
    with pytest.raises(NotYetError, match="has come to entry"):
        desk.follow(log)  # a larger checkpoint waits for the check that is under way
    assert desk.size(log) == 0
    gate.open.set()
    eventually(desk, log)
    assert gate.inner.deltas.count(heads(log)[0]) == 1, "nothing was replayed twice"


def eventually(desk: Desk, log: MapLog) -> None:
    for _ in range(200):
        try:
            desk.follow(log)
        except NotYetError:
            continue
        return
    pytest.fail("the check never ended")


def test_one_logs_check_does_not_keep_every_request_waiting(tmp_path: Path, log: MapLog) -> None:
    gate = Gate(log, heads(log)[-2])
    desk = open_desk(tmp_path, log, kind="map", source=lambda _: gate, patience_seconds=60)
    over: list[str] = []
    news = threading.Condition()

    def ask() -> None:
        try:
            desk.follow(log)
            outcome = "cosigned"
        except (NotYetError, SizeConflictError) as error:  # one of those who waited was quicker
            outcome = type(error).__name__
        with news:
            over.append(outcome)
            news.notify_all()

    threads = [threading.Thread(target=ask) for _ in range(SLOTS)]
    for thread in threads:
        thread.start()
    try:
        with news:
            assert news.wait_for(lambda: len(over) == SLOTS - MOST_WAITING, 10)
            assert set(over) == {"NotYetError"}
    finally:
        gate.open.set()
        for thread in threads:
            thread.join(30)
    assert "cosigned" in over
    assert len(over) == SLOTS


def test_progress_survives_a_restart(tmp_path: Path, log: MapLog) -> None:
    places = heads(log)
    gate = Gate(log, places[-2])
    desk = open_desk(
        tmp_path,
        log,
        kind="map",
        source=lambda _: gate,
        patience_seconds=0.01,
        keep_every_seconds=0,
    )
    with pytest.raises(NotYetError):
        desk.follow(log)
    assert gate.reached.wait(60)
    assert desk.state.progress(log.origin).head.index == places[-3]
    second = Files(log)
    again = open_desk(tmp_path, kind="map", source=lambda _: second)
    again.follow(log)
    assert second.deltas == places[-2:]
    assert again.state.progress(log.origin) is None
    gate.open.set()


def test_progress_that_leads_nowhere_is_dropped_and_the_check_made_once_more(
    tmp_path: Path, log: MapLog
) -> None:
    other = MapLog()
    other.publish(other.link("another beginning"))
    other.grow(3)
    desk = open_desk(tmp_path, log, kind="map", source=lambda _: Files(log))
    # What a log that once served bad bytes leaves behind.
    stray = MapPosition(Edge.read(other.size, other.tree), other.head)
    desk.state.keep_progress(log.origin, stray)
    desk.follow(log)
    assert desk.state.cosigned(log.origin).position.head == log.head


def test_a_refusal_is_remembered_for_a_minute(tmp_path: Path, log: MapLog) -> None:
    now = [0.0]
    source = Files(log)
    desk = open_desk(tmp_path, log, kind="map", source=lambda _: source)
    follower = MapFollower(desk.state, lambda _: source, clock=lambda: now[0])
    honest = dict(log.files)
    lie(log, "wrong map root")
    for _ in range(5):
        with pytest.raises(MapRefusedError):
            follower.reach(log.checkpoint(), "url")
    once = len(source.deltas)
    now[0] = 61.0
    with pytest.raises(MapRefusedError):
        follower.reach(log.checkpoint(), "url")
    assert len(source.deltas) == 2 * once
    # Another checkpoint is another question.
    size = max(index for index in heads_in(honest)) + 1
    assert follower.reach(log.checkpoint(size), "url").size == size


def heads_in(files: dict[str, bytes]) -> list[int]:
    deltas = [path.removeprefix("map/delta/") for path in files if path.startswith("map/delta/")]
    return [int(path.replace("x", "").replace("/", "")) for path in deltas]


def test_an_answer_that_nobody_fetched_is_still_there(tmp_path: Path, log: MapLog) -> None:
    source = Files(log)
    desk = open_desk(tmp_path, log, kind="map", source=lambda _: source)
    follower = MapFollower(desk.state, lambda _: source)
    first = follower.reach(log.checkpoint(), "url")
    assert follower.reach(log.checkpoint(), "url") == first
    assert len(source.deltas) == len(heads(log)), "the second time nothing was read"


def test_many_that_ask_at_once_share_one_check(tmp_path: Path, log: MapLog) -> None:
    source = Files(log)
    desk = open_desk(tmp_path, log, kind="map", source=lambda _: source)
    follower = MapFollower(desk.state, lambda _: source)
    reached: list[MapPosition] = []
    threads = [
        threading.Thread(target=lambda: reached.append(follower.reach(log.checkpoint(), "url")))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(reached) == 8
    assert len(source.deltas) == len(heads(log))
