"""What a tile store promises (provenance/storage/tiles.py), asked of the directory and of a bucket.

One suite for both. The bucket is in moto's server, a process of its own over HTTP; what only an
object store can do wrong is in test_s3.py.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from merkle.errors import TilePathError
from merkle.tiles import encode_bundle
from provenance.storage.errors import StoreUnavailableError
from provenance.storage.files import FileConflictError, FileMovedError
from provenance.storage.session import Database
from provenance.storage.tiles import (
    DirectoryTileStore,
    TileMissingError,
    TileStore,
    read_tile,
)
from tests.support.clock import FrozenClock
from tests.support.ledger import Ledger
from tests.support.object_store import ObjectStore

Open = Callable[[], TileStore]
_numbers = itertools.count()


@pytest.fixture(params=["directory", "s3"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Opens one and the same place again and again, as several processes do."""
    if request.param == "directory":
        return lambda: DirectoryTileStore(tmp_path / "log")
    objects: ObjectStore = request.getfixturevalue("object_store")
    prefix = f"contract/{next(_numbers)}"
    return lambda: objects.open(prefix)


@pytest.fixture
def store(open_store: Open) -> TileStore:
    made = open_store()
    made.prepare()
    return made


def test_a_tile_reads_back_and_may_be_written_again_with_the_same_bytes(store: TileStore) -> None:
    for _ in range(2):
        store.write_immutable("tile/0/x001/234.p/7", b"seven hashes")
    assert store.read("tile/0/x001/234.p/7") == b"seven hashes"
    assert list(store.paths()) == ["tile/0/x001/234.p/7"]


def test_a_tile_never_changes(store: TileStore) -> None:
    store.write_immutable("tile/0/000", b"first")
    with pytest.raises(FileConflictError, match="exists with other contents"):
        store.write_immutable("tile/0/000", b"second")
    assert store.read("tile/0/000") == b"first"
    assert list(store.paths()) == ["tile/0/000"]


def test_an_empty_file_is_a_file(store: TileStore) -> None:
    store.write_immutable("map/delta/000", b"")
    assert store.read("map/delta/000") == b""
    with pytest.raises(FileConflictError):
        store.write_immutable("map/delta/000", b"more")


def test_map_deltas_lie_beside_the_tiles(store: TileStore) -> None:
    store.write_immutable("tile/0/000.p/1", b"hash")
    for _ in range(2):
        store.write_immutable("map/delta/x001/234", b"delta")
    assert read_tile(store, "map/delta/x001/234") == b"delta"
    assert sorted(store.paths()) == ["map/delta/x001/234", "tile/0/000.p/1"]
    with pytest.raises(FileConflictError, match="exists with other contents"):
        store.write_immutable("map/delta/x001/234", b"another")
    with pytest.raises(TileMissingError, match="map/delta/000 is missing"):
        read_tile(store, "map/delta/000")


@pytest.mark.parametrize(
    "path",
    [
        "../keys/log.key",
        "tile/0/../../x",
        "checkpoint",
        "conditional-writes",
        "/tile/0/000",
        "tile/0/000.p/256",
        "map/delta/../../keys/log.key",
        "map/delta/000.p/1",
        "map/delta/1",
        "map/delta/x000/001",
        "map/delta/",
        "map/000",
        "/map/delta/000",
    ],
)
def test_no_path_leaves_the_store(store: TileStore, path: str) -> None:
    with pytest.raises(TilePathError):
        store.read(path)
    with pytest.raises(TilePathError):
        store.write_immutable(path, b"")
    with pytest.raises(TilePathError):
        store.forms(path)
    with pytest.raises(TilePathError):
        store.discard_partials(path)


def test_a_missing_tile_is_named(store: TileStore) -> None:
    with pytest.raises(TileMissingError, match=r"tile/entries/000\.p/3 is missing"):
        read_tile(store, "tile/entries/000.p/3")
    with pytest.raises(TileMissingError, match="tile/1/000 is missing"):
        read_tile(store, "tile/1/000")


def test_a_discarded_partial_is_cut_from_the_full_file(store: TileStore) -> None:
    hashes = bytes(range(256)) * 32
    entries = [bytes([n]) * n for n in range(256)]
    store.write_immutable("tile/0/000.p/3", hashes[:96])
    store.write_immutable("tile/0/000", hashes)
    store.write_immutable("tile/entries/000", encode_bundle(entries))
    store.discard_partials("tile/0/000")
    store.discard_partials("tile/0/000")  # nothing left: no error
    assert sorted(store.paths()) == ["tile/0/000", "tile/entries/000"]
    assert read_tile(store, "tile/0/000.p/3") == hashes[:96]
    assert read_tile(store, "tile/entries/000.p/9") == encode_bundle(entries[:9])


def test_partials_of_other_tiles_stay(store: TileStore) -> None:
    kept = ["tile/0/001.p/4", "tile/1/000.p/4", "tile/entries/000.p/4", "tile/0/x001/000.p/4"]
    for path in [*kept, "tile/0/000.p/4", "tile/0/000.p/255"]:
        store.write_immutable(path, b"x")
    store.discard_partials("tile/0/000")
    assert sorted(store.paths()) == sorted(kept)


def test_the_forms_of_a_tile_are_the_full_one_and_its_partials(store: TileStore) -> None:
    assert store.forms("tile/0/000") == []
    held = ["tile/0/000", "tile/0/000.p/3", "tile/0/000.p/255"]
    for path in [*held, "tile/0/001", "tile/0/x001/000", "tile/entries/000.p/3"]:
        store.write_immutable(path, b"x")
    assert sorted(store.forms("tile/0/000")) == sorted(held)
    assert store.forms("tile/1/000") == []


def test_a_batch_of_files_is_there_when_the_call_returns(store: TileStore) -> None:
    files = {f"tile/{level}/{n:03}": bytes([level, n]) for level in range(2) for n in range(60)}
    store.write_all(iter(files.items()))
    assert {path: store.read(path) for path in store.paths()} == files
    store.write_all([])


def test_a_batch_that_meets_other_bytes_is_refused_and_nothing_goes_on(store: TileStore) -> None:
    store.write_immutable("tile/0/030", b"another log's")
    with pytest.raises(FileConflictError, match="tile/0/030 exists with other contents"):
        store.write_all((f"tile/0/{n:03}", b"ours") for n in range(60))
    left = sorted(store.paths())
    assert store.read("tile/0/030") == b"another log's"
    assert sorted(store.paths()) == left, "nothing is written after the call has returned"


def test_a_batch_whose_making_fails_fails_with_that(store: TileStore) -> None:
    def made() -> Iterator[tuple[str, bytes]]:
        yield "tile/0/000", b"x"
        raise TileMissingError("tile/0/001")

    with pytest.raises(TileMissingError, match="tile/0/001"):
        store.write_all(made())


def test_a_listing_of_more_than_one_page_is_whole(store: TileStore) -> None:
    files = {f"tile/0/x{n // 1000:03}/{n % 1000:03}": b"x" for n in range(1000, 2100)}
    store.write_all(files.items())
    assert set(store.paths()) == files.keys()


# The checkpoint


def test_the_checkpoint_is_replaced_as_a_whole(store: TileStore, open_store: Open) -> None:
    assert store.read_checkpoint() is None
    store.write_checkpoint(b"one")
    store.write_checkpoint(b"two")
    assert store.read_checkpoint() == b"two"
    assert open_store().read_checkpoint() == b"two"
    assert list(store.paths()) == []


def test_an_overtaken_store_puts_no_checkpoint_over_a_newer_one(open_store: Open) -> None:
    """A sequencer slept; another took over and published; the first wakes, with its write ready."""
    sleeper, successor = open_store(), open_store()
    sleeper.write_checkpoint(b"size 1")
    assert successor.read_checkpoint() == b"size 1"
    successor.write_checkpoint(b"size 3")
    for _ in range(2):  # and does not learn by being refused
        with pytest.raises(FileMovedError, match="checkpoint is not the one that was to be repl"):
            sleeper.write_checkpoint(b"size 2")
    assert open_store().read_checkpoint() == b"size 3"
    assert sleeper.read_checkpoint() == b"size 3"  # it looks again at everything, and may go on
    sleeper.write_checkpoint(b"size 4")
    with pytest.raises(FileMovedError):
        successor.write_checkpoint(b"size 3 again")


def test_the_first_checkpoint_has_one_author(open_store: Open) -> None:
    one, other = open_store(), open_store()
    assert one.read_checkpoint() is None
    assert other.read_checkpoint() is None
    one.write_checkpoint(b"one")
    with pytest.raises(FileMovedError):
        other.write_checkpoint(b"other")


def test_a_checkpoint_written_again_with_the_same_bytes_is_success(open_store: Open) -> None:
    one, other = open_store(), open_store()
    one.write_checkpoint(b"old")
    other.read_checkpoint()
    other.write_checkpoint(b"new")
    one.write_checkpoint(b"new")
    one.write_checkpoint(b"newer")
    assert open_store().read_checkpoint() == b"newer"


def test_a_store_that_never_looked_replaces_what_is_there(open_store: Open) -> None:
    open_store().write_checkpoint(b"one")
    open_store().write_checkpoint(b"two")
    assert open_store().read_checkpoint() == b"two"


# Two at once


def at_once(*steps: Callable[[], None]) -> list[Exception]:
    """Runs all of them together; what they raised."""
    barrier = threading.Barrier(len(steps))
    raised: list[Exception] = []

    def run(step: Callable[[], None]) -> None:
        barrier.wait()
        try:
            step()
        except (FileConflictError, FileMovedError, StoreUnavailableError) as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(step,)) for step in steps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def test_of_two_writers_of_one_tile_one_wins_and_the_other_knows(open_store: Open) -> None:
    stores = [open_store() for _ in range(4)]
    for number in range(10):
        path = f"tile/0/{number:03}"
        writes = [partial(one.write_immutable, path, b"%d" % n) for n, one in enumerate(stores)]
        raised = at_once(*writes)
        assert [type(error) for error in raised] == [FileConflictError] * 3
        assert len({one.read(path) for one in stores}) == 1


def test_writers_of_the_same_bytes_all_succeed(open_store: Open) -> None:
    stores = [open_store() for _ in range(4)]
    for number in range(10):
        path = f"tile/0/{number:03}"
        writes = [partial(one.write_immutable, path, b"same") for one in stores]
        assert at_once(*writes) == []
        assert stores[0].read(path) == b"same"


def test_of_two_writers_of_the_checkpoint_one_wins_and_the_other_knows(open_store: Open) -> None:
    stores = [open_store() for _ in range(4)]
    for number in range(10):
        seen = {one.read_checkpoint() for one in stores}
        assert len(seen) == 1
        texts = [b"%d by %d" % (number, n) for n in range(4)]
        writes = [
            partial(one.write_checkpoint, text) for one, text in zip(stores, texts, strict=True)
        ]
        raised = at_once(*writes)
        # The directory may also say that another is writing at this moment.
        assert len(raised) == 3
        assert stores[0].read_checkpoint() in texts


def test_a_reader_never_sees_half_a_checkpoint(open_store: Open) -> None:
    writer, reader = open_store(), open_store()
    writer.write_checkpoint(b"0" * 5_000)
    stop = threading.Event()

    def write() -> None:
        for number in itertools.cycle(b"12345"):
            writer.write_checkpoint(bytes([number]) * 5_000)
            if stop.is_set():
                return

    thread = threading.Thread(target=write)
    thread.start()
    seen = [reader.read_checkpoint() or b"" for _ in range(60)]
    stop.set()
    thread.join()
    assert {len(one) for one in seen} == {5_000}
    assert all(len(set(one)) == 1 for one in seen)


def test_a_sequencer_on_each_store_takes_over_from_one_that_sleeps(
    database: Database, open_store: Open, tmp_path: Path, clock: FrozenClock
) -> None:
    """The whole of it: lease, recovery from what the store holds, and the refused late write."""
    ledger = Ledger(database, tmp_path, clock)
    held = open_store()
    sleeper = ledger.sequencer(tiles=held, holder="one")
    assert sleeper.start()
    ledger.accept("https://id.example/a")
    first = sleeper.run_once()
    assert first is not None
    old = held.read_checkpoint()
    clock.advance(ledger.options.lease_ms + 1)
    store = open_store()
    successor = ledger.sequencer(tiles=store, holder="two")
    ledger.accept("https://id.example/b")
    successor.run_once()
    successor.run_once()
    newest = open_store().read_checkpoint()
    assert newest != old
    assert old is not None
    with pytest.raises(FileMovedError):
        held.write_checkpoint(old)
    assert sleeper.run_once() is None, "it has lost the lease, and knows it"
    assert open_store().read_checkpoint() == newest
