"""What services tell an observer: steps in their order, outcomes after they are durable."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from provenance.domain.errors import MalformedInputError
from provenance.services.capture import Capture
from provenance.services.recovery import SequencerRefusalError
from provenance.services.sequencing import QuorumError
from provenance.storage.session import Database
from tests.support.builders import ORIGIN, World, item_event, make_key
from tests.support.clock import FrozenClock
from tests.support.ledger import Ledger
from tests.support.observing import Recorder


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def ledger(database: Database, tmp_path: Path, clock: FrozenClock) -> Ledger:
    return Ledger(database, tmp_path, clock)


@pytest.fixture
def watched(world: World, database: Database, clock: FrozenClock, recorder: Recorder) -> Capture:
    """Capture beside the world's own, under observation."""
    return Capture(database, ORIGIN, make_key("operator"), clock, observer=recorder)


def test_an_upload_is_told_in_three_steps_and_its_numbers_after_the_commit(
    world: World, watched: Capture, recorder: Recorder
) -> None:
    brand = world.party("brand")
    upload = brand.sealed([item_event(1, 2), item_event(3)])
    watched.submit_batch(upload)
    assert recorder.steps == [
        *("+admission", "-admission", "+transaction", "+append", "-append", "-transaction")
    ]
    assert recorder.uploads == [(2, 0, 3)]
    watched.submit_batch(upload)  # the seal is known
    assert recorder.uploads[1:] == [(0, 2, 0)]
    own = brand.signed(item_event(4))
    watched.submit_event(own)
    watched.submit_event(own)
    assert recorder.uploads[2:] == [(1, 0, 1), (0, 1, 0)]


def test_each_of_those_that_share_a_commit_is_told_for_itself(
    world: World, watched: Capture, recorder: Recorder
) -> None:
    brand = world.party("brand")
    bodies = [brand.signed(item_event(number, number + 100)) for number in range(24)]
    with ThreadPoolExecutor(8) as pool:
        accepted = list(pool.map(watched.submit_event, [*bodies, *bodies[:6]]))
    assert sum(one.created for one in accepted) == 24
    assert sorted(recorder.uploads) == [(0, 1, 0)] * 6 + [(1, 0, 2)] * 24


def test_what_is_refused_or_rolled_back_is_not_counted_as_accepted(
    world: World,
    watched: Capture,
    recorder: Recorder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(MalformedInputError, match="UTF-8"):
        watched.submit_batch([b"\xff"])
    upload = world.party("brand").sealed([item_event(1)])

    def full(*_: object) -> None:
        raise OSError("no room")

    with monkeypatch.context() as patch:
        patch.setattr("provenance.services.capture.move_heads", full)
        with pytest.raises(OSError, match="no room"):
            watched.submit_batch(upload)
    assert recorder.uploads == []
    assert recorder.steps[-2:] == ["-append", "-transaction"]
    watched.submit_batch(upload)
    assert recorder.uploads == [(1, 0, 1)]


def test_a_batch_is_told_in_its_steps_with_the_delay_of_each_upload(
    ledger: Ledger, recorder: Recorder, clock: FrozenClock
) -> None:
    sequencer = ledger.sequencer(observer=recorder)
    sequencer.start()
    recorder.steps.clear()
    recorder.batches.clear()
    assert sequencer.run_once() is None
    assert recorder.steps == []  # a look that finds nothing is no round
    ledger.accept("a", "b")
    clock.advance(700)
    ledger.accept("a")
    clock.advance(50)
    assert sequencer.run_once() is not None
    parts = both("decode", "map", "states", "map", "tree")
    after = both("commit", "tiles", "cosign", "publish")
    expected = ["+round", *both("read"), "+grow", *parts, "-grow", *after, "-round"]
    assert recorder.steps == expected
    assert recorder.batches == [(3, [750, 50])]
    assert recorder.failures == []


def both(*steps: str) -> list[str]:
    """Each begun and ended."""
    return [f"{sign}{name}" for name in steps for sign in "+-"]


def test_the_delay_is_told_by_whoever_publishes_after_a_crash(
    ledger: Ledger, recorder: Recorder, clock: FrozenClock
) -> None:
    first = ledger.sequencer()
    first.start()
    ledger.accept("a")
    failing = ledger.sequencer(cosigners=(), holder="second", observer=recorder)
    first.release()
    with pytest.raises(QuorumError, match="not published"):
        failing.run_once()
    assert recorder.batches == []
    failing.release()
    clock.advance(5_000)
    assert ledger.sequencer(holder="third", observer=recorder).start()
    assert recorder.batches == [(1, [5_000])]


def test_failures_are_told_by_their_reason(
    ledger: Ledger, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    sequencer = ledger.sequencer(observer=recorder)
    plan = [QuorumError("too few"), OSError("full"), SequencerRefusalError("size 3", "size 2")]

    def fail() -> None:
        raise plan.pop(0)

    monkeypatch.setattr(sequencer, "run_once", fail)
    with pytest.raises(SequencerRefusalError, match="size 3"):
        sequencer.run(threading.Event(), retry_ms=1)
    assert recorder.failures == ["quorum", "store", "refusal"]
