"""The map followed from outside: honest logs lead to their end, each lie is refused by its name.

The lies are signed by the log like everything else: only replaying finds them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merkle.checkpoint import Checkpoint
from merkle.tiles import decode_bundle, entries_path
from merkle.tree import Edge
from provenance.domain import map_replay
from provenance.domain.delta import delta_path
from provenance.domain.log_source import LogFileMissingError, LogMismatchError
from provenance.domain.map_replay import GENESIS, MapPosition, MapRefusedError, follow_map
from tests.support.maplog import MapLog, wrong_root
from tests.support.tilelog import TileLog


class Files:
    """A `LogSource` over a log's files in this process."""

    def __init__(self, log: TileLog) -> None:
        self.files = log.files
        self.deltas: list[int] = []

    def checkpoint(self) -> bytes:
        return self.files["checkpoint"]

    def tile(self, level: int, index: int, size: int) -> bytes:
        raise AssertionError("the map is followed by entries alone")

    def entries(self, start: int, end: int, size: int) -> Iterator[Sequence[bytes]]:
        while start < end:
            index, offset = divmod(start, 256)
            width = min(256, size - index * 256)
            bundle = decode_bundle(self.files[entries_path(index, width)], width)[offset:]
            yield bundle
            start += len(bundle)

    def map_delta(self, index: int) -> bytes:
        self.deltas.append(index)
        try:
            return self.files[delta_path(index)]
        except KeyError:
            raise LogFileMissingError(delta_path(index)) from None


def last(log: MapLog, start: MapPosition | None = None) -> MapPosition:
    position = start or MapPosition()
    for step in follow_map(Files(log), position, log.checkpoint()):
        position = step
    return position


def refusal(log: MapLog) -> MapRefusedError:
    with pytest.raises(MapRefusedError) as caught:
        last(log)
    return caught.value


@pytest.mark.parametrize("batches", [0, 1, 5, 120])
def test_an_honest_log_leads_to_its_end(batches: int) -> None:
    log = MapLog()
    log.grow(batches)
    assert last(log) == MapPosition(Edge.read(log.size, log.tree), log.head)


def test_following_in_steps_is_following_at_once() -> None:
    log = MapLog()
    log.grow(100)
    steps = list(follow_map(Files(log), MapPosition(), log.checkpoint()))
    assert len(steps) == 101
    for step in steps[::9]:
        assert last(log, step) == steps[-1]


def test_only_the_deltas_of_what_is_new_are_read() -> None:
    log = MapLog()
    log.grow(20)
    known = last(log)
    log.grow(2)
    source = Files(log)
    assert len(list(follow_map(source, known, log.checkpoint()))) == 2
    assert len(source.deltas) == 2
    assert min(source.deltas) >= known.size


def test_links_that_extend_nothing_are_counted_and_change_nothing() -> None:
    log = MapLog()
    link = log.link("a")
    log.publish(link)
    log.publish(link, log.link("b"), replace(log.link("c"), seq=7, prev=link.hash))
    assert log.head.ignored == 2
    assert last(log).head == log.head


def test_several_links_of_one_subject_may_stand_in_one_batch() -> None:
    log = MapLog()
    first = log.link("a")
    log.publish(first, replace(first, seq=1, prev=first.hash))
    assert log.states[first.key].count == 2
    assert last(log).head == log.head


# --- lies


def test_a_wrong_map_root_is_refused() -> None:
    log = MapLog()
    log.grow(3)
    log.publish(log.link("a"), change_head=wrong_root)
    assert refusal(log).reason == "map-head-false"


@pytest.mark.parametrize("field", ["subjects", "ignored", "index", "previous"])
def test_every_number_of_a_map_head_must_be_right(field: str) -> None:
    log = MapLog()
    log.grow(3)
    log.publish(log.link("a"), change_head=lambda h: replace(h, **{field: getattr(h, field) + 1}))
    error = refusal(log)
    assert (error.reason, f"expected {field}" in str(error)) == ("map-head-false", True)


@pytest.mark.parametrize("known", [True, False])
def test_a_link_left_out_of_the_map_is_refused(known: bool) -> None:
    log = MapLog()
    if known:
        log.publish(log.link("a"))
    log.grow(3)
    hidden = log.link("a", "hidden")
    log.publish(log.link("b"), hidden, forget=[hidden])
    assert refusal(log).reason == "delta"


def test_a_link_left_out_of_a_map_whose_delta_knows_its_subject_is_refused() -> None:
    log = MapLog()
    log.publish(log.link("a"), log.link("b"))
    first = log.link("a", "shown")
    hidden = replace(log.link("a", "hidden"), seq=2, prev=first.hash)
    log.publish(first, hidden, forget=[hidden])
    assert refusal(log).reason == "map-head-false"


def test_another_links_state_in_the_delta_is_refused() -> None:
    log = MapLog()
    log.publish(log.link("a"), log.link("b"))
    forged = replace(log.states[log.link("a").key], head=sha256(b"another").digest())
    log.publish(
        log.link("a"),
        change_delta=lambda delta: replace(delta, states={log.link("a").key: forged}),
    )
    assert refusal(log).reason == "delta"


@pytest.mark.parametrize("keep", [b"", b"prov/map-delta/v1\n", b"something else"])
def test_a_delta_that_is_none_is_refused(keep: bytes) -> None:
    log = MapLog()
    log.grow(2)
    log.files[delta_path(log.head.index)] = keep
    assert refusal(log).reason == "delta"


def test_every_changed_byte_of_a_delta_is_refused_or_changes_nothing() -> None:
    log = MapLog()
    log.grow(6, width=4)
    path = delta_path(log.head.index)
    good = log.files[path]
    for place in range(len(good)):
        log.files[path] = good[:place] + bytes([good[place] ^ 0x04]) + good[place + 1 :]
        assert refusal(log).reason in {"delta", "map-head-false"}


def test_a_missing_delta_is_an_outage_and_no_verdict() -> None:
    log = MapLog()
    log.grow(2)
    del log.files[delta_path(log.head.index)]
    with pytest.raises(LogFileMissingError):
        last(log)


def test_a_log_whose_last_entry_is_no_map_head_is_refused() -> None:
    log = MapLog()
    log.publish(log.link("a"), head_last=False)
    assert refusal(log).reason == "no-map-head-last"


def test_a_log_that_does_not_begin_with_the_empty_map_is_refused() -> None:
    log = MapLog()
    other = MapLog()
    other.entries, other.tree, other.files = [], TileLog().tree, {}
    other.append(log.link("a").encode(), replace(GENESIS, index=1).encode())
    assert refusal(other).reason == "map-head-false"
    wrong = MapLog()
    wrong.entries, wrong.tree, wrong.files = [], TileLog().tree, {}
    wrong.append(wrong_root(GENESIS).encode())
    assert refusal(wrong).reason == "map-head-false"


@pytest.mark.parametrize("entry", [b"", b"{}", b"prov/map-head/v1\n", b"\xff", b"hello"])
def test_an_entry_that_is_neither_link_nor_map_head_is_refused(entry: bytes) -> None:
    log = MapLog()
    log.append(entry)
    error = refusal(log)
    assert (error.reason, "entry 1 " in str(error)) == ("entry-unknown", True)


def test_a_batch_that_no_memory_should_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(map_replay, "MAX_BATCH_LINKS", 10)
    log = MapLog()
    log.publish(*(log.link(f"{n}") for n in range(10)))
    assert last(log).head == log.head
    log.publish(*(log.link(f"{n}") for n in range(11)))
    assert refusal(log).reason == "batch-too-large"


def test_entries_under_another_root_are_not_the_logs() -> None:
    log, other = MapLog(), MapLog()
    log.grow(5)
    other.publish(other.link("another"))
    other.grow(5)
    point = Checkpoint(
        log.origin, log.size, other.root(log.size) if other.size >= log.size else b"\0" * 32
    )
    with pytest.raises(LogMismatchError, match="do not lead"):
        list(follow_map(Files(log), MapPosition(), point))
    with pytest.raises(LogMismatchError, match="at least"):
        list(follow_map(Files(log), last(log), log.checkpoint(log.size - 1)))


def test_a_position_is_an_edge_right_after_its_map_head() -> None:
    log = MapLog()
    log.grow(1)
    with pytest.raises(ValueError, match="is not the last"):
        MapPosition(Edge.read(1, log.tree), log.head)
    with pytest.raises(ValueError, match="is not the last"):
        MapPosition(Edge.read(1, log.tree), None)


@given(st.lists(st.lists(st.integers(0, 12), min_size=1, max_size=9), max_size=8))
def test_any_honest_log_is_followed(batches: list[list[int]]) -> None:
    log = MapLog()
    for batch in batches:  # repeated subjects in a batch make links that extend nothing
        log.publish(*(log.link(f"{name}", f"{n}") for n, name in enumerate(batch)))
    assert last(log).head == log.head
