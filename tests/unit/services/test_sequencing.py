"""The sequencer in normal work: batches, checkpoints, map heads, tiles, cosignatures, the lease."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Iterable, Sequence
from hashlib import sha256
from itertools import accumulate
from pathlib import Path

import pytest
from sqlalchemy import delete

from merkle.checkpoint import Checkpoint, parse_checkpoint
from merkle.errors import NoteSignatureError
from merkle.hashing import EMPTY_ROOT, leaf_hash
from merkle.keymap import KeyMap
from merkle.note import Note, NoteSignature, open_note, sign_note
from merkle.pagemap import PageMap, pages_of
from merkle.policy import Log, Policy, Witness
from merkle.tiles import (
    TILE_WIDTH,
    TileHashReader,
    decode_bundle,
    encode_bundle,
    entries_path,
    tile_path,
)
from merkle.tree import Edge, MemoryTree, root_at, root_of
from provenance.crypto.signing import Cosigner, NoteSigner, note_verifier
from provenance.domain.chain import Link, subject_key
from provenance.domain.errors import UnavailableError
from provenance.domain.ledger import MapHead, SubjectState, apply_link, decode_entry
from provenance.services.growth import DamagedLogError, Position, grow
from provenance.services.proving import Prover
from provenance.services.recovery import SequencerRefusalError, check_tail
from provenance.services.sequencing import (
    FAILURES_IN_A_ROW,
    ClockCosigning,
    CosigningError,
    QuorumError,
    Sequencer,
    SequencerOptions,
)
from provenance.storage import files, log, mappages, tables
from provenance.storage import keymap as map_rows
from provenance.storage.leases import LeaseLostError
from provenance.storage.log import PendingUpload
from provenance.storage.session import Database
from provenance.storage.tiles import DirectoryTileStore, TileStore, read_tile
from tests.support.builders import ORIGIN, make_key
from tests.support.clock import FrozenClock
from tests.support.ledger import COSIGNER, SIGNER, Ledger, make_policy
from tests.support.processes import until


@pytest.fixture
def ledger(database: Database, tmp_path: Path, clock: FrozenClock) -> Ledger:
    return Ledger(database, tmp_path, clock)


def read_entries(store: TileStore, size: int) -> list[bytes]:
    """Every entry of the published log."""
    entries = []
    for start in range(0, size, TILE_WIDTH):
        width = min(TILE_WIDTH, size - start)
        data = read_tile(store, entries_path(start // TILE_WIDTH, width))
        entries += decode_bundle(data, width)
    return entries


def replay(entries: Sequence[bytes]) -> tuple[dict[bytes, SubjectState], list[MapHead]]:
    """States and map heads by the definition, each map built anew from all states."""
    states: dict[bytes, SubjectState] = {}
    heads: list[MapHead] = []
    for index, entry in enumerate(entries):
        found = decode_entry(entry)
        if isinstance(found, Link):
            changed = apply_link(states.get(found.key), found, index)
            if changed is not None:
                states[found.key] = changed
        else:
            assert isinstance(found, MapHead)
            assert found.index == index
            root = KeyMap.build((key, state.value) for key, state in states.items()).root()
            assert found.root == root
            assert found.subjects == len(states)
            assert found.previous == (heads[-1].index if heads else None)
            heads.append(found)
    return states, heads


def check_published(ledger: Ledger) -> int:
    """Checkpoint, tiles, entries and map leaves belong together; the size."""
    data = ledger.tiles.read_checkpoint()
    assert data is not None
    opened = open_note(data, [note_verifier(SIGNER.vkey), note_verifier(COSIGNER.vkey)])
    assert [line.name for line in opened.verified] == [ORIGIN, f"{ORIGIN}/clock"]
    checkpoint = parse_checkpoint(opened.text)
    entries = read_entries(ledger.tiles, checkpoint.size)
    assert root_of(map(leaf_hash, entries)) == checkpoint.root
    reader = TileHashReader(lambda path: read_tile(ledger.tiles, path), checkpoint.size)
    assert root_at(checkpoint.size, reader) == checkpoint.root
    states, heads = replay(entries)
    assert heads[-1].index == checkpoint.size - 1
    values = sorted((key, state.value) for key, state in states.items())
    with ledger.database.read() as connection:
        assert map_rows.read_states(connection, list(states)) == states
        assert map_rows.count_leaves(connection) == len(states)
        pages = dict(pages_of(values))
        found = mappages.read_pages(connection, list(pages))
        assert found == {place: page.leaves for place, page in pages.items()}
        assert dict(mappages.read_hashes(connection)) == {
            place: page.hash for place, page in pages.items()
        }
        publication = log.read_publication(connection)
        state = log.read_state(connection)
    assert publication is not None
    assert state is not None
    assert (publication.size, publication.note) == (checkpoint.size, data)
    assert state.size == checkpoint.size
    assert state.note == ledger.last_signed.read()
    return checkpoint.size


# --- batches --------------------------------------------------------------------------------------


def test_the_first_entry_is_the_map_head_of_the_empty_map(ledger: Ledger) -> None:
    published = ledger.sequencer().run_once()
    assert published is not None
    assert published.size == check_published(ledger) == 1
    (entry,) = read_entries(ledger.tiles, 1)
    assert decode_entry(entry) == MapHead(0, EMPTY_ROOT, 0, 0, None)


def test_starting_makes_the_first_checkpoint_and_only_once(ledger: Ledger) -> None:
    assert ledger.sequencer().start()
    ledger.clock.advance(60_000)
    assert ledger.sequencer().start()
    assert check_published(ledger) == 1


def test_links_in_order_of_acceptance_then_a_map_head(ledger: Ledger) -> None:
    sequencer = ledger.sequencer()
    sequencer.start()
    ids = [ledger.accept("a", "b"), ledger.accept("a"), ledger.accept("c", "a")]
    published = sequencer.run_once()
    assert published is not None
    assert (published.size, published.links) == (7, 5)
    assert check_published(ledger) == 7
    links = [decode_entry(entry) for entry in read_entries(ledger.tiles, 7)[1:6]]
    assert [(link.key, link.seq) for link in links if isinstance(link, Link)] == [
        (subject_key("a"), 0),
        (subject_key("b"), 0),
        (subject_key("a"), 1),
        (subject_key("c"), 0),
        (subject_key("a"), 2),
    ]
    with ledger.database.read() as connection:
        assert log.unpublished_uploads(connection, 0) == []  # the copies are gone
        assert all(log.is_covered(connection, upload) for upload in ids)
    assert sequencer.run_once() is None


def test_a_batch_ends_at_its_bound_and_never_inside_an_upload(ledger: Ledger) -> None:
    ledger.options = SequencerOptions(max_links=4)
    sequencer = ledger.sequencer()
    sequencer.start()
    for number in range(3):
        ledger.accept(*(f"{number} {n}" for n in range(3)))
    ledger.accept(*(f"large {n}" for n in range(9)))
    sizes = []
    while (published := sequencer.run_once()) is not None:
        sizes.append(published.links)
    assert sizes == [3, 3, 3, 9]
    assert check_published(ledger) == 1 + 18 + 4


def test_sizes_around_the_borders_of_tiles(ledger: Ledger) -> None:
    """254, 255, 256, 257 … entries, each reached by its own batch."""
    sequencer = ledger.sequencer()
    sequencer.start()
    ledger.accept(*(f"first {n}" for n in range(251)))
    reached = []
    for number in range(4):
        published = sequencer.run_once()
        assert published is not None
        reached.append(published.size)
        check_published(ledger)
        ledger.accept(f"next {number}")
    ledger.accept(*(f"far {n}" for n in range(254)))
    assert reached == [253, 255, 257, 259]
    published = sequencer.run_once()
    assert published is not None
    assert published.size == check_published(ledger) == 515
    partials = [path for path in ledger.tiles.paths() if ".p/" in path]
    assert sorted(partials) == [
        "tile/0/002.p/3",
        "tile/1/000.p/1",  # stays until that tile is full
        "tile/1/000.p/2",
        "tile/entries/002.p/3",
    ]


@pytest.mark.parametrize("steps", [(256,), (255, 1), (254, 2), (256, 256), (255, 2, 255)])
def test_exact_borders(database: Database, tmp_path: Path, steps: tuple[int, ...]) -> None:
    """Sizes 255, 256, 257, 512 exactly: the map heads are counted in."""
    ledger = Ledger(database, tmp_path)
    sequencer = ledger.sequencer()
    sequencer.start()
    total = 1
    for number, size in enumerate(accumulate(steps)):
        links = size - total - 1
        if links < 1:
            continue
        ledger.accept(*(f"{number} {n}" for n in range(links)))
        published = sequencer.run_once()
        assert published is not None
        total = published.size
        assert total == check_published(ledger) == size
        assert ledger.sequencer(holder="other").start() is False


class SlowTiles(DirectoryTileStore):
    """Time passes while tiles are written, for each batch as told."""

    def __init__(self, ledger: Ledger, *milliseconds: int) -> None:
        super().__init__(ledger.root / "log")
        self._clock = ledger.clock
        self._times = iter(milliseconds)

    def write_all(self, files: Iterable[tuple[str, bytes]]) -> None:
        self._clock.advance(next(self._times))
        super().write_all(files)


def test_a_batch_is_as_large_as_its_time_allows(ledger: Ledger) -> None:
    """Twice the time that a batch may take: half as many links in the next; and up again."""
    ledger.sequencer().run_once()
    ledger.clock.advance(60_000)
    ledger.options = SequencerOptions(max_links=12, min_links=2, batch_ms=100)
    sequencer = ledger.sequencer(tiles=SlowTiles(ledger, 200, 200, 900, 50, 25, 10))
    for _ in range(60):
        ledger.accept("a")
    sizes = []
    for _ in range(6):
        published = sequencer.run_once()
        assert published is not None
        sizes.append(published.links)
    assert sizes == [12, 6, 3, 2, 4, 12]
    check_published(ledger)


def test_a_row_for_a_subject_that_the_map_does_not_hold_is_written_over(ledger: Ledger) -> None:
    """A stranger's row: never built upon, and gone with the subject's first link."""
    sequencer = ledger.sequencer()
    sequencer.start()
    edge = Edge().append(b"h" * 32)
    with ledger.database.write() as connection:
        state = SubjectState(1, b"h" * 32, edge, 0)
        map_rows.write_states(connection, {subject_key("a"): state}, 1)
    ledger.accept("a")
    assert sequencer.run_once() is not None
    check_published(ledger)


def test_a_link_that_extends_nothing_is_counted_and_changes_nothing(ledger: Ledger) -> None:
    """Capture never makes one; the log's function is total all the same."""
    sequencer = ledger.sequencer()
    sequencer.start()
    ledger.accept("a")
    sequencer.run_once()
    stale = Link(subject_key("a"), 0, None, b"e" * 32, b"s" * 32, 0).encode()
    with ledger.database.write() as connection:
        connection.exec_driver_sql("UPDATE subjects SET count = 0, head = NULL, time = NULL")
        connection.exec_driver_sql("DROP TRIGGER links_no_delete") if (
            connection.dialect.name == "sqlite"
        ) else connection.exec_driver_sql("ALTER TABLE links DISABLE TRIGGER ALL")
        connection.exec_driver_sql("DELETE FROM links")
    ledger.accept("a")
    published = sequencer.run_once()
    assert published is not None
    entries = read_entries(ledger.tiles, published.size)
    head = decode_entry(entries[-1])
    assert isinstance(head, MapHead)
    assert (head.subjects, head.ignored) == (1, 1)
    assert stale not in entries
    with ledger.database.read() as connection:
        (state,) = map_rows.read_states(connection, [subject_key("a")]).values()
    assert (state.count, state.index) == (1, 1)
    ledger.clock.advance(60_000)
    assert ledger.sequencer(holder="next").start()  # the count of ignored ones is recovered too


def test_an_upload_that_is_no_link_stops_the_log_and_says_where(ledger: Ledger) -> None:
    sequencer = ledger.sequencer()
    sequencer.start()
    upload = ledger.accept("a")
    with ledger.database.write() as connection:
        connection.exec_driver_sql(
            "UPDATE uploads SET entries = X'0002686A'"
            if connection.dialect.name == "sqlite"
            else "UPDATE uploads SET entries = '\\x0002686A'"
        )
    with pytest.raises(DamagedLogError, match=f"upload {upload}, entry 0: expected a link"):
        sequencer.run_once()
    assert check_published(ledger) == 1


# --- growth in memory, far out --------------------------------------------------------------------


def test_growth_across_65536_writes_three_levels() -> None:
    """A stored log of small entries, 65,530 of them, and a batch that crosses two borders."""
    old = 65_530
    entries = [b"%d" % n for n in range(old)]
    tree = MemoryTree()
    tree.extend(map(leaf_hash, entries))
    files: dict[str, bytes] = {}
    place, width = divmod(old, TILE_WIDTH)
    files[entries_path(place, width)] = encode_bundle(entries[place * TILE_WIDTH :])
    for level in range(2):
        full, rest = divmod(old >> (8 * level), TILE_WIDTH)
        hashes = [tree.read_hash(8 * level, full * TILE_WIDTH + n) for n in range(rest)]
        files[tile_path(level, full, rest)] = b"".join(hashes)
    before = Position(old, tree.root(), KeyMap().root(), 0, 0, old - 1)
    links = [Link(sha256(b"%d" % n).digest(), 0, None, b"e" * 32, b"s" * 32, 0) for n in range(9)]
    upload = PendingUpload(1, None, tuple(link.encode() for link in links), accepted_at=0)
    growth = grow(
        before,
        uploads=[upload],
        keymap=PageMap(),
        read=lambda _: {},
        read_states=lambda _: {},
        fetch=files.__getitem__,
    )
    tree.extend(map(leaf_hash, growth.entries))
    assert growth.after.size == 65_540
    assert growth.after.root == tree.root()
    written = dict(growth.files())
    assert list(written) == [
        "tile/entries/255",
        "tile/entries/256.p/4",
        "tile/0/255",
        "tile/0/256.p/4",
        "tile/1/000",
        "tile/2/000.p/1",
        "map/delta/x065/539",
    ]
    assert decode_bundle(written["tile/entries/255"], 256)[:250] == entries[65_280:]
    assert written["tile/2/000.p/1"] == tree.read_hash(16, 0)
    assert written["tile/1/000"][-32:] == tree.read_hash(8, 255)


def test_a_map_without_pages_gets_them_when_the_sequencer_starts(ledger: Ledger) -> None:
    """A database of the revision before, whose map has leaves only."""
    sequencer = ledger.sequencer()
    sequencer.run_once()
    ledger.accept(*(str(n) for n in range(300)))
    sequencer.run_once()
    sequencer.release()
    with ledger.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM map_pages")
    prover = Prover(ledger.database, ledger.tiles, ORIGIN)
    with pytest.raises(UnavailableError, match="being cut into pages"):
        prover.passport("7")
    again = ledger.sequencer()
    assert again.start()
    check_published(ledger)
    ledger.accept(*(str(n) for n in range(250, 350)))
    again.run_once()
    check_published(ledger)
    assert len(prover.passport("none")["subjects"]) == 1


def test_pages_that_lag_behind_the_leaves_are_made_anew(ledger: Ledger) -> None:
    """The revision before ran again for a while: it published, and set leaves alone."""
    sequencer = ledger.sequencer()
    sequencer.run_once()
    ledger.accept(*(str(n) for n in range(100)))
    sequencer.run_once()
    prover = Prover(ledger.database, ledger.tiles, ORIGIN)
    prover.passport("none")
    with ledger.database.write() as connection:
        connection.exec_driver_sql("CREATE TABLE kept AS SELECT * FROM map_pages")
    ledger.accept(*(str(n) for n in range(50, 200)))
    sequencer.run_once()
    sequencer.release()
    with ledger.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM map_pages")
        connection.exec_driver_sql("INSERT INTO map_pages SELECT * FROM kept")
        connection.exec_driver_sql("DROP TABLE kept")
    with pytest.raises(UnavailableError, match="being cut into pages"):
        prover.passport("none")
    assert ledger.sequencer().start()
    check_published(ledger)
    prover.passport("none")


def test_an_upgrade_is_no_way_around_a_damaged_map(ledger: Ledger) -> None:
    sequencer = ledger.sequencer()
    sequencer.run_once()
    ledger.accept("a", "b")
    sequencer.run_once()
    sequencer.release()
    with ledger.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM map_pages")
        connection.exec_driver_sql("UPDATE map_leaves SET head_index = 0")
    with pytest.raises(SequencerRefusalError, match="map of the stored pages at size 4"):
        ledger.sequencer().start()


def test_growth_refuses_a_damaged_right_edge() -> None:
    position = Position(1, b"r" * 32, EMPTY_ROOT, 0, 0, 0)
    with pytest.raises(DamagedLogError, match="root of the stored tiles at size 1"):
        grow(
            position,
            uploads=(),
            keymap=PageMap(),
            read=lambda _: {},
            read_states=lambda _: {},
            fetch=lambda _: b"x" * 32,
        )


# --- freshness and cosigners ----------------------------------------------------------------------


def test_the_same_checkpoint_is_cosigned_again_when_it_grows_old(ledger: Ledger) -> None:
    sequencer = ledger.sequencer()
    first = sequencer.run_once()
    assert first is not None
    ledger.clock.advance(ledger.options.refresh_ms - 1)
    assert sequencer.run_once() is None
    ledger.clock.advance(1)
    second = sequencer.run_once()
    assert second is not None
    assert second.refreshed
    assert second.size == first.size == check_published(ledger)
    assert second.note.split(b"\n\n")[0] == first.note.split(b"\n\n")[0]
    assert second.note != first.note
    assert sequencer.run_once() is None


def test_a_cosignature_from_a_clock_far_ahead_is_replaced_when_it_is_put_right(
    ledger: Ledger,
) -> None:
    """Verifiers refuse a checkpoint from the future; it must not stay until that future comes."""
    sequencer = ledger.sequencer()
    ledger.clock.advance(86_400_000)
    assert sequencer.run_once() is not None
    ledger.clock.advance(-86_400_000)
    mended = sequencer.run_once()
    assert mended is not None
    assert mended.refreshed
    check_published(ledger)
    ledger.clock.advance(-50_000)  # no further than clocks may differ: nothing to mend
    assert sequencer.run_once() is None


def test_without_the_quorum_nothing_is_published_and_nothing_is_lost(ledger: Ledger) -> None:
    """A witness that is away: the batch is signed, waits, and is published when it is back."""
    ledger.sequencer().run_once()
    ledger.clock.advance(60_000)
    away = True

    def witness(note: Note) -> Sequence[NoteSignature]:
        if away:
            raise CosigningError("no answer")
        return ClockCosigning(COSIGNER, ledger.clock)(note)

    sequencer = ledger.sequencer(cosigners=[witness])
    sequencer.start()
    ledger.accept("a")
    for _ in range(2):
        with pytest.raises(QuorumError, match="checkpoint of size 3 is not published"):
            sequencer.run_once()
        ledger.accept("b")  # comes in meanwhile, and must wait for the batch before it
    assert ledger.tiles.read_checkpoint() is not None
    with ledger.database.read() as connection:
        publication, state = log.read_publication(connection), log.read_state(connection)
    assert publication is not None
    assert state is not None
    assert (publication.size, state.size) == (1, 3)
    away = False
    sizes = [published.size for _ in range(3) if (published := sequencer.run_once())]
    assert sizes == [3, 6]
    assert check_published(ledger) == 6


def test_a_bad_line_of_a_known_cosigner_is_not_published(ledger: Ledger) -> None:
    forger = Cosigner(COSIGNER.name, make_key("another"))

    def witness(note: Note) -> Sequence[NoteSignature]:
        (line,) = ClockCosigning(forger, ledger.clock)(note)
        return (NoteSignature(line.name, COSIGNER.vkey.key_id, line.signature),)

    with pytest.raises(NoteSignatureError):
        ledger.sequencer(cosigners=[witness]).run_once()
    assert ledger.tiles.read_checkpoint() is None


def test_a_quorum_of_none_needs_no_cosigner(ledger: Ledger) -> None:
    published = ledger.sequencer(cosigners=(), policy=make_policy(None)).run_once()
    assert published is not None
    assert published.note.count("—".encode()) == 1


def test_a_log_key_that_the_policy_does_not_list_signs_nothing(ledger: Ledger) -> None:
    other = NoteSigner(ORIGIN, make_key("another log key"))
    policy = Policy((Log(other.vkey),), (Witness("clock", COSIGNER.vkey),), (), "clock")
    with pytest.raises(SequencerRefusalError, match="does not list it"):
        ledger.sequencer(policy=policy)


# --- the lease ------------------------------------------------------------------------------------


def test_of_two_sequencers_one_works_and_the_other_waits(ledger: Ledger) -> None:
    one, two = ledger.sequencer(holder="one"), ledger.sequencer(holder="two")
    assert one.run_once() is not None
    ledger.accept("a")
    assert two.start() is False
    assert two.run_once() is None
    assert one.run_once() is not None
    one.release()
    ledger.accept("b")
    published = two.run_once()
    assert published is not None
    assert published.size == check_published(ledger) == 5
    assert one.run_once() is None


def test_the_waiting_one_takes_over_when_the_lease_expires(ledger: Ledger) -> None:
    one, two = ledger.sequencer(holder="one"), ledger.sequencer(holder="two")
    one.start()
    ledger.clock.advance(ledger.options.lease_ms)
    assert two.start()
    ledger.accept("a")
    assert one.run_once() is None  # noticed when it renews
    published = two.run_once()
    assert published is not None
    assert check_published(ledger) == 3


def test_a_holder_that_works_keeps_its_lease(ledger: Ledger) -> None:
    one, two = ledger.sequencer(holder="one"), ledger.sequencer(holder="two")
    one.start()
    for _ in range(6):
        ledger.clock.advance(ledger.options.lease_ms * 2 // 5)
        one.run_once()
        assert two.start() is False


def test_the_log_outlives_a_lease_row_that_somebody_deleted(ledger: Ledger) -> None:
    """Its token must not begin anew, or the signed state would fence off every later holder."""
    for number in range(3):
        sequencer = ledger.sequencer(holder=f"number {number}")
        ledger.accept(f"item {number}")
        assert sequencer.run_once() is not None
        sequencer.release()
    with ledger.database.write() as connection:
        connection.execute(delete(tables.leases))
    ledger.accept("item 3")
    assert ledger.sequencer().run_once() is not None
    assert check_published(ledger) == 8
    with ledger.database.read() as connection:
        state = log.read_state(connection)
    assert state is not None
    assert state.fence == 4


def test_a_row_deleted_under_a_working_sequencer(ledger: Ledger) -> None:
    sequencer = ledger.sequencer()
    assert sequencer.run_once() is not None
    with ledger.database.write() as connection:
        connection.execute(delete(tables.leases))
    ledger.accept("a")
    with pytest.raises(LeaseLostError, match="found no such lease"):
        sequencer.run_once()
    assert sequencer.run_once() is not None
    assert check_published(ledger) == 3


def test_a_crash_under_a_clock_far_ahead_does_not_stop_the_log(ledger: Ledger) -> None:
    ledger.clock.advance(10**12)
    assert ledger.sequencer(holder="crashed").run_once() is not None
    ledger.clock.advance(-(10**12))
    ledger.accept("a")
    successor = ledger.sequencer(holder="successor")
    assert successor.run_once() is not None
    check_published(ledger)


def test_two_started_at_once_in_threads(database: Database, tmp_path: Path) -> None:
    """Real time; uploads come in meanwhile; one is stopped, the other goes on."""
    ledger = Ledger(database, tmp_path, options=SequencerOptions(interval_ms=5))
    failures: list[BaseException] = []
    stops = [threading.Event(), threading.Event()]
    tokens: set[int] = set()

    def work(sequencer: Sequencer, stop: threading.Event) -> None:
        try:
            sequencer.run(stop, retry_ms=5)
        except BaseException as error:  # shown by the assertion below
            failures.append(error)

    threads = [
        threading.Thread(target=work, args=(ledger.sequencer(holder=f"number {n}"), stop))
        for n, stop in enumerate(stops)
    ]
    for thread in threads:
        thread.start()
    last = 0
    for number in range(24):
        last = ledger.accept(f"item {number % 5}")
        with ledger.database.read() as connection:
            state = log.read_state(connection)
        if state is not None:
            tokens.add(state.fence)
        if number == 11:
            stops[0].set()
    try:
        _wait_until_covered(ledger, last)
    finally:
        stops[1].set()
        for thread in threads:
            thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    assert failures == []
    assert check_published(ledger) >= 26
    assert tokens <= {1, 2}  # who worked, and at most one change of hands


def test_a_machine_whose_store_fails_gives_another_its_turn(
    database: Database, tmp_path: Path
) -> None:
    """Its own disk is full, say: it would hold the lease for ever and publish nothing."""
    ledger = Ledger(database, tmp_path, options=SequencerOptions(interval_ms=5))

    class Full(DirectoryTileStore):
        tried = 0

        def write_all(self, files: Iterable[tuple[str, bytes]]) -> None:
            self.tried += 1
            raise OSError(28, "No space left on device")

    full = Full(tmp_path / "log")
    sick, well = ledger.sequencer(tiles=full, holder="sick"), ledger.sequencer(holder="well")
    stop = threading.Event()
    threads = [threading.Thread(target=sick.run, args=(stop,), kwargs={"retry_ms": 50})]
    threads[0].start()
    until(lambda: full.tried > 0)  # it holds the lease, and something signed
    upload = ledger.accept("item")
    threads.append(threading.Thread(target=well.run, args=(stop,)))
    threads[1].start()
    try:
        _wait_until_covered(ledger, upload)
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
    assert full.tried >= FAILURES_IN_A_ROW
    assert check_published(ledger) == 3


def test_run_logs_a_failure_and_goes_on(ledger: Ledger, caplog: pytest.LogCaptureFixture) -> None:
    stop = threading.Event()
    answers: list[object] = [CosigningError("first"), OSError("disk"), None]

    def witness(note: Note) -> Sequence[NoteSignature]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        stop.set()
        return ClockCosigning(COSIGNER, ledger.clock)(note)

    ledger.sequencer(cosigners=[witness]).run(stop, retry_ms=1)
    assert check_published(ledger) == 1
    messages = [record.message for record in caplog.records]
    assert [text.split(":")[1] for text in messages] == [
        " a cosigner failed",
        " round failed; starting again from what is stored",
        " round failed; starting again from what is stored",
    ]
    assert ledger.sequencer().start()  # the lease was given back


def test_a_full_disk_delays_the_log_and_nothing_else(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Capture goes on while tiles cannot be written; with space again the log goes on by itself."""
    ledger.options = SequencerOptions(interval_ms=1)
    assert ledger.sequencer().run_once() is not None
    ledger.clock.advance(60_000)
    full = threading.Event()
    full.set()
    refused = threading.Event()
    write = os.write

    def writing(handle: int, data: bytes) -> int:
        path = Path(f"/proc/self/fd/{handle}").readlink()
        if full.is_set() and path.is_relative_to(ledger.root / "log"):
            refused.set()
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(handle, data)

    monkeypatch.setattr(files.os, "write", writing)
    stop = threading.Event()
    thread = threading.Thread(target=ledger.sequencer().run, args=(stop,), kwargs={"retry_ms": 1})
    thread.start()
    try:
        ledger.accept("a")
        assert refused.wait(30)
        waiting = [ledger.accept(f"while it is full {n}") for n in range(3)]
        with ledger.database.read() as connection:
            assert log.is_covered(connection, waiting[0]) is False
        full.clear()
        _wait_until_covered(ledger, waiting[-1])
    finally:
        stop.set()
        thread.join(30)
    assert not thread.is_alive()
    assert check_published(ledger) >= 6


def _wait_until_covered(ledger: Ledger, upload: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with ledger.database.read() as connection:
            if log.is_covered(connection, upload):
                return
        time.sleep(0.01)
    pytest.fail(f"upload {upload} was not published")


@pytest.mark.parametrize("more", [0, 3])
def test_a_copy_of_the_log_in_another_database_does_not_sign_beside_this_one(
    ledger: Ledger, more: int
) -> None:
    """Left running when the log moved: each holds the lease of its own database, and one key."""
    sequencer = ledger.sequencer()
    sequencer.start()
    ledger.accept("a")
    assert sequencer.run_once() is not None
    size = ledger_size(ledger)
    elsewhere = Checkpoint(ORIGIN, size + more, bytes(32))
    ledger.last_signed.write(sign_note(elsewhere.format(), [SIGNER]))
    ledger.accept("b")
    with pytest.raises(SequencerRefusalError, match=f"beside the keys says size {size + more}"):
        sequencer.run_once()
    assert ledger_size(ledger) == size
    held = open_note(ledger.last_signed.read() or b"", [note_verifier(SIGNER.vkey)])
    assert parse_checkpoint(held.text) == elsewhere


def ledger_size(ledger: Ledger) -> int:
    with ledger.database.read() as connection:
        state = log.read_state(connection)
    assert state is not None
    return state.size


def test_run_ends_with_a_refusal(ledger: Ledger) -> None:
    ledger.sequencer().run_once()
    ledger.clock.advance(60_000)
    ledger.last_signed.write(b"damaged")
    with pytest.raises(SequencerRefusalError, match="beside the keys should be a checkpoint"):
        ledger.sequencer().run(threading.Event())
    assert ledger.sequencer(holder="other").start() is False  # the lease stands until it expires


# --- the tail -------------------------------------------------------------------------------------


def test_the_tail_is_read_again_at_borders_of_every_level(ledger: Ledger) -> None:
    """At size 256 the root is read from level 1: level 0 and the bundle must be looked at too."""
    sequencer = ledger.sequencer()
    sequencer.start()
    ledger.accept(*(str(n) for n in range(254)))
    published = sequencer.run_once()
    assert published is not None
    assert published.size == 256
    checkpoint = parse_checkpoint(published.note.decode().split("\n\n")[0] + "\n")
    files = {path: ledger.tiles.read(path) for path in ledger.tiles.paths()}

    def fetch(path: str) -> bytes:
        return files[path]

    assert check_tail(checkpoint, fetch).subjects == 254
    for path in ("tile/0/000", "tile/1/000.p/1", "tile/entries/000"):
        good = files[path]
        for position in (2, len(good) // 2, len(good) - 1):
            files[path] = good[:position] + bytes([good[position] ^ 1]) + good[position + 1 :]
            with pytest.raises(DamagedLogError):
                check_tail(checkpoint, fetch)
        files[path] = good
