"""A witness's one file: what it promises to keep, and what it never lets happen to it."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from merkle.checkpoint import Checkpoint
from merkle.note import KIND_COSIGNATURE, KIND_ED25519, VerifierKey
from provenance.domain.meaning import Meaning
from provenance.storage.errors import StoreInconsistentError, StoreUnavailableError
from provenance.storage.witness_state import (
    Cosigned,
    KnownLog,
    WitnessState,
    WitnessStateError,
)
from tests.support.maplog import MapLog
from tests.unit.domain.test_map_replay import last

NAME = "witness.example/w1"
MEANING = Meaning(NAME, "map", (VerifierKey.make(NAME, KIND_COSIGNATURE, b"\x07" * 32),))
LOG = VerifierKey.make("log.example/a", KIND_ED25519, b"\x01" * 32)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "witness.sqlite"


@pytest.fixture
def state(path: Path) -> WitnessState:
    state = WitnessState.create(path)
    state.add_log(LOG, None)
    return state


def point(size: int, root: bytes = b"\x05") -> Checkpoint:
    return Checkpoint(LOG.name, size, root * 32)


def keep(state: WitnessState, *new: Cosigned) -> None:
    with state.change() as change:
        for one in new:
            change.keep(one)


def test_what_was_written_is_read_by_another_reader(state: WitnessState, path: Path) -> None:
    state.bind(MEANING)
    keep(state, Cosigned(point(5), b"note"))
    again = WitnessState(path)
    assert again.meaning() == MEANING
    assert again.log(LOG.name) == KnownLog(LOG.name, (LOG,), None)
    assert again.cosigned(LOG.name) == Cosigned(point(5), b"note")
    assert again.logs() == [KnownLog(LOG.name, (LOG,), None)]


def test_a_new_state_knows_nothing(path: Path) -> None:
    state = WitnessState.create(path)
    assert (state.meaning(), state.logs(), state.log("x")) == (None, [], None)
    assert (state.cosigned("x"), state.progress("x"), state.note_by_hash("0" * 64)) == (None,) * 3


def test_positions_of_the_map_go_there_and_back(state: WitnessState) -> None:
    log = MapLog()
    log.grow(5)
    position = last(log)
    keep(state, Cosigned(Checkpoint(LOG.name, log.size, log.root()), b"note", position))
    assert state.cosigned(LOG.name).position == position
    state.keep_progress(LOG.name, position)
    assert state.progress(LOG.name) == position
    state.drop_progress(LOG.name)
    assert state.progress(LOG.name) is None


def test_progress_that_a_cosigned_checkpoint_overtakes_is_dropped(state: WitnessState) -> None:
    log = MapLog()
    log.grow(5)
    early = last(log)
    log.grow(1)
    later = last(log)
    state.keep_progress(LOG.name, later)
    keep(state, Cosigned(Checkpoint(LOG.name, early.size, b"\1" * 32), b"", early))
    assert state.progress(LOG.name) == later
    keep(state, Cosigned(Checkpoint(LOG.name, later.size, b"\2" * 32), b"", later))
    assert state.progress(LOG.name) is None


def test_the_file_alone_is_the_whole_state(state: WitnessState, path: Path, tmp_path: Path) -> None:
    keep(state, Cosigned(point(5), b"note"))
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    copy = tmp_path / "copy"
    copy.write_bytes(path.read_bytes())
    assert WitnessState(copy).cosigned(LOG.name) == Cosigned(point(5), b"note")


def test_only_the_owner_may_read_it(path: Path) -> None:
    WitnessState.create(path)
    assert path.stat().st_mode & 0o777 == 0o600


# --- what never happens to it


@pytest.mark.parametrize("worse", [point(4), point(0), point(5, b"\x06")])
def test_the_table_itself_refuses_to_go_back_or_aside(
    state: WitnessState, worse: Checkpoint
) -> None:
    keep(state, Cosigned(point(5), b"note"))
    with pytest.raises(StoreInconsistentError, match="never goes back"):
        keep(state, Cosigned(worse, b"worse"))
    assert state.cosigned(LOG.name) == Cosigned(point(5), b"note")


def test_what_was_cosigned_and_what_it_means_cannot_be_taken_out(
    state: WitnessState, path: Path
) -> None:
    state.bind(MEANING)
    keep(state, Cosigned(point(5), b"note"))
    for statement in ("DELETE FROM cosigned", "DELETE FROM about", "UPDATE about SET meaning = ''"):
        connection = sqlite3.connect(path)
        with pytest.raises(sqlite3.IntegrityError, match="never"):
            connection.execute(statement)
        connection.close()


def test_a_failed_change_leaves_nothing(state: WitnessState) -> None:
    with pytest.raises(RuntimeError), state.change() as change:
        change.keep(Cosigned(point(5), b"note"))
        raise RuntimeError
    assert state.cosigned(LOG.name) is None


def test_check_and_write_of_two_take_turns(state: WitnessState) -> None:
    entered, seen = threading.Event(), []

    def second() -> None:
        entered.wait()
        with state.change() as change:
            seen.append(change.cosigned(LOG.name))

    thread = threading.Thread(target=second)
    thread.start()
    with state.change() as change:
        entered.set()
        thread.join(0.2)
        assert not seen, "the second one waits for the first one's commit"
        change.keep(Cosigned(point(5), b"note"))
    thread.join()
    assert seen == [Cosigned(point(5), b"note")]


def test_a_writer_that_waits_too_long_is_an_outage(state: WitnessState, path: Path) -> None:
    impatient = WitnessState(path, timeout_seconds=0.05)
    with state.change(), pytest.raises(StoreUnavailableError, match="locked"), impatient.change():
        pytest.fail("two writers at once")


def test_a_state_that_vanished_is_an_outage_and_not_empty(state: WitnessState, path: Path) -> None:
    path.unlink()
    with pytest.raises(StoreUnavailableError):
        state.cosigned(LOG.name)
    assert not path.exists()


def test_nothing_is_made_where_a_state_is_expected(path: Path) -> None:
    with pytest.raises(WitnessStateError, match="no state"):
        WitnessState(path)
    assert not path.exists()


def test_a_state_is_never_made_over_a_file(path: Path) -> None:
    path.write_bytes(b"precious")
    with pytest.raises(WitnessStateError, match="File exists"):
        WitnessState.create(path)
    assert path.read_bytes() == b"precious"


def test_other_files_are_not_taken_for_a_state(path: Path) -> None:
    path.write_bytes(b"")  # also what a crash in the middle of making one leaves
    with pytest.raises(WitnessStateError, match="not the state"):
        WitnessState(path)
    path.write_bytes(b"no database at all, but long enough to look at" * 50)
    with pytest.raises(StoreInconsistentError):
        WitnessState(path)
    path.unlink()
    WitnessState.create(path)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 2")
    connection.close()
    with pytest.raises(WitnessStateError, match="expected version 1, found 2"):
        WitnessState(path)


def test_a_state_is_that_of_one_witness(state: WitnessState) -> None:
    state.bind(MEANING)
    state.bind(MEANING)
    with pytest.raises(WitnessStateError, match="another witness"):
        state.bind(Meaning(NAME, "plain", MEANING.keys))
    assert state.meaning() == MEANING


def test_a_log_may_have_several_keys_and_keeps_its_address(state: WitnessState) -> None:
    other = VerifierKey.make(LOG.name, KIND_ED25519, b"\x02" * 32)
    state.add_log(other, "https://log.example/log")
    state.add_log(LOG, None)
    known = state.log(LOG.name)
    assert set(known.keys) == {LOG, other}
    assert known.url == "https://log.example/log"
    state.add_log(LOG, "https://elsewhere.example/log")
    assert state.log(LOG.name).url == "https://elsewhere.example/log"
