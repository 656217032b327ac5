"""Readiness: what is looked at, and that many who ask cost one look."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from provenance.domain.errors import DomainError
from provenance.services import readiness
from provenance.services.readiness import Look, Readiness
from provenance.services.standing import read_standing
from provenance.storage.errors import StoreUnavailableError
from provenance.storage.log import read_publication
from provenance.storage.session import Database
from provenance.storage.tiles import DirectoryTileStore, TileStore
from tests.support.clock import FrozenClock
from tests.support.ledger import Ledger, make_policy


class Probe:
    """A readiness over a real ledger, with a clock of its own and a count of the looks."""

    def __init__(self, ledger: Ledger, tiles: TileStore | None = None) -> None:
        self.ledger = ledger
        self.seconds = 0.0
        self.looks = 0
        self.trouble: Callable[[], object] = lambda: None
        self.key: Callable[[], object] = lambda: None
        self.readiness = Readiness(
            self.published,
            lambda: read_standing(ledger.database, make_policy(), ledger.clock),
            tiles or ledger.tiles,
            lambda: self.key(),  # noqa: PLW0108  a test may exchange it
            lambda: self.seconds,
        )

    def published(self) -> tuple[int, bytes]:
        self.looks += 1
        self.trouble()
        with self.ledger.database.read() as connection:
            found = read_publication(connection)
        assert found is not None
        return found.size, found.note

    def look(self) -> Look:
        """A look that is surely a new one."""
        self.seconds += readiness.FRESH_SECONDS
        return self.readiness.look()


@pytest.fixture
def ledger(database: Database, tmp_path: Path, clock: FrozenClock) -> Ledger:
    made = Ledger(database, tmp_path, clock)
    sequencer = made.sequencer()
    sequencer.start()
    made.accept("a", "b")
    sequencer.run_once()
    return made


@pytest.fixture
def probe(ledger: Ledger) -> Probe:
    return Probe(ledger)


def fail() -> None:
    raise StoreUnavailableError("no route")


def test_a_good_ledger_has_no_trouble(probe: Probe) -> None:
    found = probe.look()
    assert (found.size, found.key_trouble, found.tail_trouble) == (4, None, None)
    assert found.standing.published == 4


def test_many_who_ask_cost_one_look(probe: Probe) -> None:
    assert len({id(probe.readiness.look()) for _ in range(50)}) == 1
    assert probe.looks == 1
    probe.look()
    assert probe.looks == 2
    probe.readiness.forget()
    probe.readiness.look()
    assert probe.looks == 3


def test_an_outage_is_remembered_for_the_same_moment_and_then_forgotten(probe: Probe) -> None:
    probe.trouble = fail
    for _ in range(10):
        with pytest.raises(StoreUnavailableError, match="no route"):
            probe.readiness.look()
    assert probe.looks == 1
    probe.trouble = lambda: None
    assert probe.look().size == 4


def test_nobody_waits_long_for_the_look_of_another(
    probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "_PATIENCE_SECONDS", 0.05)
    held, go_on = threading.Event(), threading.Event()

    def hang() -> None:
        held.set()
        assert go_on.wait(30)

    probe.trouble = hang
    first = threading.Thread(target=probe.readiness.look)
    first.start()
    assert held.wait(30)
    with pytest.raises(StoreUnavailableError, match="has not answered an earlier question yet"):
        probe.readiness.look()
    go_on.set()
    first.join()
    assert probe.readiness.look().size == 4


@pytest.mark.parametrize("error", [DomainError("SECRET"), PermissionError(13, "SECRET")])
def test_a_key_that_cannot_be_read_is_a_trouble_without_its_text(
    probe: Probe, error: Exception
) -> None:
    def unreadable() -> None:
        raise error

    probe.key = unreadable
    trouble = probe.look().key_trouble
    assert trouble == f"the operator's key cannot be read ({type(error).__name__})"


def test_tiles_that_do_not_have_the_published_root_are_a_trouble(
    ledger: Ledger, probe: Probe, tmp_path: Path
) -> None:
    (tile,) = (tmp_path / "log" / "tile" / "0" / "000.p").glob("4")
    good = tile.read_bytes()
    tile.chmod(0o644)
    tile.write_bytes(bytes([good[0] ^ 1]) + good[1:])
    assert probe.look().tail_trouble == (
        "the tiles of size 4 have another root than the checkpoint"
    )
    tile.unlink()
    assert probe.look().tail_trouble == ("the tiles of size 4 cannot be read (TileMissingError)")
    empty = Probe(ledger, DirectoryTileStore(tmp_path / "elsewhere"))
    assert empty.look().tail_trouble is not None
    tile.write_bytes(good)
    assert probe.look().tail_trouble is None


def test_the_edge_is_read_once_for_each_checkpoint(ledger: Ledger, clock: FrozenClock) -> None:
    paths: list[str] = []

    class Counting(DirectoryTileStore):
        def read(self, path: str) -> bytes:
            paths.append(path)
            return super().read(path)

    probe = Probe(ledger, Counting(ledger.root / "log"))
    probe.look()
    once = len(paths)
    assert once >= 1
    probe.look()
    assert len(paths) == once
    clock.advance(20_000)
    sequencer = ledger.sequencer(holder="next")
    ledger.accept("c")
    assert sequencer.run_once() is not None
    probe.look()
    assert len(paths) > once
