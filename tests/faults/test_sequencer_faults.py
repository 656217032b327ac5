"""Every durable write of the sequencer fails once, both ways; an audit; and the log goes on."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from merkle.checkpoint import parse_checkpoint
from merkle.note import parse_note
from provenance.services.growth import DamagedLogError
from provenance.services.recovery import SequencerRefusalError
from provenance.services.sequencing import Sequencer
from provenance.storage import log
from provenance.storage.leases import LeaseLostError
from provenance.storage.session import Database
from tests.faults.evidence import audit, require_one_history, seen
from tests.faults.stores import (
    Breaker,
    FaultyDatabase,
    FaultyLastSigned,
    FaultyTiles,
    Mode,
)
from tests.support.builders import Actor, World, item_event
from tests.support.databases import PostgresServer
from tests.support.ledger import Ledger


@contextmanager
def faulty(ledger: Ledger, breaker: Breaker) -> Iterator[Sequencer]:
    database = FaultyDatabase(ledger.database, breaker)
    yield ledger.sequencer(
        database=database,
        tiles=FaultyTiles(ledger.tiles, breaker),
        last_signed=FaultyLastSigned(ledger.last_signed, breaker),
        holder="faulty",
    )
    database.close()


def grow(world: World, brand: Actor, first: int) -> int:
    """Accept 300 links in one event, so that the next batch crosses a tile's border; the upload."""
    event = item_event(*range(first, first + 300))
    return world.capture.submit_batch(brand.sealed([event])).upload_id


@pytest.mark.parametrize("mode", ["lost", "kept"])
def test_each_write_of_a_batch(ledger: Ledger, world: World, brand: Actor, mode: Mode) -> None:
    """One log through all of it: batch after batch, each with another write broken."""
    ledger.sequencer().run_once()
    checkpoints = seen(ledger)
    broken: list[str] = []
    steps: list[str] = []
    for at in range(40):
        upload = grow(world, brand, at * 300)
        ledger.clock.advance(60_000)  # whoever held the lease is dead
        breaker = Breaker(at, mode)
        with faulty(ledger, breaker) as sequencer:
            try:
                sequencer.run_once()
                failed = False
            except OSError:
                failed = True
            except Exception as error:
                assert "injected" in str(error)
                failed = True
            checkpoints |= seen(ledger)
            assert failed == breaker.broke
            if not breaker.broke:
                steps = breaker.steps
                break
            broken.append(breaker.steps[at])
            audit(ledger)
            if at % 2:  # the same process goes on …
                sequencer.run_once()
                sequencer.release()
        ledger.clock.advance(60_000)
        ledger.sequencer(holder="next").run_once()  # … or another one comes
        checkpoints |= seen(ledger)
        with ledger.database.read() as connection:
            assert log.is_covered(connection, upload)
    audit(ledger)
    # Lease, commit, copy, two bundles, tiles of two levels, map delta, file inside the second
    # commit, discards.
    kinds = [step.partition("/")[0] for step in broken]
    assert kinds[:3] == ["commit", "commit", "last-signed"]
    assert kinds.count("tile") >= 4
    assert kinds.count("map") == 1
    assert kinds.index("map") < kinds.index("checkpoint")
    assert kinds.count("commit") >= 3
    assert any(kind.startswith("discard") for kind in kinds)
    assert len(broken) >= len(steps) - 1
    require_one_history(ledger, checkpoints)


@pytest.mark.parametrize("mode", ["lost", "kept"])
def test_each_write_of_the_first_checkpoint(
    database: Database, tmp_path: Path, mode: Mode, request: pytest.FixtureRequest
) -> None:
    """A log that dies while it is made; the first start that lives makes it or completes it."""
    ledger = Ledger(database, tmp_path)
    for at in range(40):
        with database.write() as connection:
            connection.exec_driver_sql("DELETE FROM log_state")
            connection.exec_driver_sql("DELETE FROM publication")
        shutil.rmtree(tmp_path / "log", ignore_errors=True)
        shutil.rmtree(tmp_path / "keys", ignore_errors=True)
        ledger.clock.advance(60_000)
        breaker = Breaker(at, mode)
        with faulty(ledger, breaker) as sequencer:
            try:
                sequencer.run_once()
            except Exception as error:
                assert "injected" in str(error)
            if not breaker.broke:
                break
        ledger.clock.advance(60_000)
        assert ledger.sequencer(holder="next").start()
        assert audit(ledger)["map heads"] == 1
    assert at == 8


def test_the_second_failure_hits_the_recovery(ledger: Ledger, world: World, brand: Actor) -> None:
    """A batch that fails after its commit, and whose recovery fails at every write in turn."""
    ledger.sequencer().run_once()
    checkpoints = seen(ledger)
    grow(world, brand, 0)
    ledger.clock.advance(60_000)
    with (
        faulty(ledger, Breaker(2, "lost")) as sequencer,
        pytest.raises(OSError, match="last-signed"),
    ):
        sequencer.run_once()
    for at in range(40):
        ledger.clock.advance(60_000)
        breaker = Breaker(at, "lost")
        with faulty(ledger, breaker) as sequencer:
            try:
                sequencer.run_once()
            except Exception as error:
                assert "injected" in str(error)
        checkpoints |= seen(ledger)
        audit(ledger)
        if not breaker.broke:
            break
    assert at > 6
    with ledger.database.read() as connection:
        assert log.pending_links(connection) == 0
        assert log.unpublished_uploads(connection, 0) == []
    require_one_history(ledger, checkpoints)


def test_a_failed_recosigning_changes_nothing(ledger: Ledger) -> None:
    ledger.sequencer().run_once()
    for mode in ("lost", "kept"):
        for at in range(4):
            ledger.clock.advance(ledger.options.refresh_ms)
            breaker = Breaker(at, mode)
            with faulty(ledger, breaker) as sequencer:
                try:
                    sequencer.run_once()
                except Exception as error:
                    assert "injected" in str(error)
            audit(ledger)
    ledger.clock.advance(ledger.options.refresh_ms)
    published = ledger.sequencer(holder="next").run_once()
    assert published is not None
    assert published.refreshed
    assert ledger.tiles.read_checkpoint() == published.note


class PausingTiles(FaultyTiles):
    """Runs something in the middle of the writes of a batch: the process was asleep meanwhile."""

    def __init__(self, ledger: Ledger, path: str, meanwhile: list[Sequencer]) -> None:
        super().__init__(ledger.tiles, Breaker(None, "lost"))
        self._ledger = ledger
        self._path = path
        self._meanwhile = meanwhile

    def write_immutable(self, path: str, data: bytes) -> None:
        if self._meanwhile and path.startswith(self._path):
            other = self._meanwhile.pop()
            self._ledger.clock.advance(60_000)
            other.run_once()
            self._ledger.accept("meanwhile")
            other.run_once()
        super().write_immutable(path, data)


@pytest.mark.parametrize("path", ["tile/entries", "tile/0", "map/delta"])
def test_a_sequencer_that_slept_puts_nothing_older_over_what_is_newer(
    ledger: Ledger, path: str
) -> None:
    ledger.sequencer().run_once()
    ledger.clock.advance(60_000)
    awake = ledger.sequencer(holder="awake")
    sleeper = ledger.sequencer(holder="sleeper", tiles=PausingTiles(ledger, path, [awake]))
    ledger.accept("before")
    with pytest.raises(LeaseLostError, match="'sleeper' with token 2, found 'awake' with token 3"):
        sleeper.run_once()
    checkpoint = ledger.tiles.read_checkpoint()
    assert checkpoint is not None
    assert parse_checkpoint(parse_note(checkpoint).text).size == 5
    assert sleeper.run_once() is None
    require_one_history(ledger, seen(ledger))
    ledger.clock.advance(60_000)
    assert sleeper.start()


# --- restored and exchanged parts -----------------------------------------------------------------


@pytest.fixture
def backup(
    ledger: Ledger, product: str, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Backups]:
    """Old copies of the ledger's database, as a backup would bring them back."""
    server = request.getfixturevalue("postgres_server") if product == "postgresql" else None
    backups = Backups(ledger, tmp_path, server)
    yield backups
    backups.close()


class Backups:
    """`take()` a copy now; `restore()` it later as a database of its own."""

    def __init__(self, ledger: Ledger, directory: Path, server: PostgresServer | None) -> None:
        self._ledger = ledger
        self._directory = directory
        self._server = server
        self._opened: list[Database] = []
        self._name = ""

    def take(self) -> None:
        url = self._ledger.database.url
        self._ledger.database.close()  # a template must have no visitors; a file must be whole
        if self._server is None:
            shutil.copy(str(url.database), self._directory / "backup.sqlite")
            return
        self._name = f"{url.database}_backup"
        self._server.run(f"CREATE DATABASE {self._name} TEMPLATE {url.database}")

    def restore(self) -> Database:
        url = self._ledger.database.url
        if self._server is None:
            url = url.set(database=str(self._directory / "backup.sqlite"))
        else:
            url = url.set(database=self._name)
        database = Database(url)
        self._opened.append(database)
        return database

    def close(self) -> None:
        for database in self._opened:
            database.close()
        if self._name and self._server is not None:
            self._server.run(f"DROP DATABASE IF EXISTS {self._name} WITH (FORCE)")


def test_a_database_from_an_old_backup_is_refused(
    ledger: Ledger, world: World, brand: Actor, backup: Backups
) -> None:
    sequencer = ledger.sequencer()
    sequencer.run_once()
    backup.take()
    grow(world, brand, 0)
    sequencer.run_once()
    before = seen(ledger)
    ledger.clock.advance(60_000)
    restored = ledger.sequencer(database=backup.restore(), holder="restored")
    with pytest.raises(SequencerRefusalError) as caught:
        restored.run_once()
    assert "log_state) says size" in caught.value.one
    assert "the published checkpoint file says size" in caught.value.other
    (ledger.root / "log" / "checkpoint").unlink()  # the copy beside the keys is enough
    with pytest.raises(SequencerRefusalError, match="beside the keys says size"):
        restored.start()
    assert seen(ledger) <= before


@pytest.mark.parametrize("links", [1, 2, 300])
def test_an_old_backup_is_noticed_by_the_tiles_alone(
    ledger: Ledger, world: World, brand: Actor, backup: Backups, links: int
) -> None:
    """Checkpoint file and copy beside the keys are gone too; the tiles of the larger log are not.

    Without this a fork could be published, whenever its partial tiles have other widths.
    """
    sequencer = ledger.sequencer()
    sequencer.run_once()
    sequencer.run_once()
    backup.take()
    world.capture.submit_batch(brand.sealed([item_event(*range(links))]))
    sequencer.run_once()
    (ledger.root / "log" / "checkpoint").unlink()
    ledger.last_signed.path.unlink()
    ledger.clock.advance(60_000)
    restored = ledger.sequencer(database=backup.restore(), holder="restored")
    with pytest.raises(SequencerRefusalError, match=r"holds tile/0/.* of a larger log"):
        restored.start()
    assert ledger.last_signed.read() is None
    assert ledger.tiles.read_checkpoint() is None


def test_an_empty_database_beside_tiles_alone_is_refused(ledger: Ledger, empty_log: Ledger) -> None:
    ledger.sequencer().run_once()
    (ledger.root / "log" / "checkpoint").unlink()
    ledger.last_signed.path.unlink()
    with pytest.raises(SequencerRefusalError, match="is empty, but the tile directory holds"):
        empty_log.sequencer().start()


def test_an_old_backup_that_grew_another_way_is_refused(
    ledger: Ledger, world: World, brand: Actor, backup: Backups
) -> None:
    """Larger than what was signed, and different at its size: a fork, noticed by the root there."""
    sequencer = ledger.sequencer()
    sequencer.run_once()
    sequencer.run_once()
    backup.take()
    shutil.copytree(ledger.root / "log", ledger.root / "fork" / "log")
    grow(world, brand, 0)
    sequencer.run_once()
    # A machine without the evidence (tiles of its own, no copy beside its keys) signs a fork.
    fork = Ledger(backup.restore(), ledger.root / "fork", ledger.clock)
    fork.accept(*(f"fork {n}" for n in range(400)))
    ledger.clock.advance(60_000)
    assert fork.sequencer(holder="forker").run_once() is not None
    ledger.clock.advance(60_000)
    # The machine with the evidence refuses to go on from it.
    keeper = fork.sequencer(last_signed=ledger.last_signed, holder="keeper")
    with pytest.raises(SequencerRefusalError, match=r"beside the keys says size .* has root"):
        keeper.start()


def test_an_empty_database_beside_a_signed_log_is_refused(
    ledger: Ledger, empty_log: Ledger
) -> None:
    ledger.sequencer().run_once()
    ledger.accept("a")
    ledger.sequencer()
    with pytest.raises(SequencerRefusalError, match="is empty"):
        empty_log.sequencer().start()


@pytest.fixture
def empty_log(ledger: Ledger, migrated_sqlite: Path, tmp_path: Path) -> Iterator[Ledger]:
    """The same directory with a new database."""
    shutil.copy(migrated_sqlite, tmp_path / "new.sqlite")
    database = Database.open(f"sqlite:///{tmp_path / 'new.sqlite'}")
    yield Ledger(database, ledger.root, ledger.clock)
    database.close()


def statement(sql: str, ledger: Ledger) -> None:
    with ledger.database.write() as connection:
        connection.exec_driver_sql(sql)


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("UPDATE log_state SET size = size + 1", "the column beside it says size 4"),
        ("UPDATE publication SET size = size - 1", "the column beside it says size 2"),
        ("UPDATE log_state SET subjects = 7", "7 subjects"),
        ("UPDATE log_state SET ignored = 7", "7 links ignored"),
        ("UPDATE log_state SET map_head_index = 0", "at entry 0"),
        (
            "UPDATE map_pages SET hash = (SELECT head FROM map_leaves)",
            "map of the stored pages at size 3",
        ),
        ("UPDATE map_pages SET hash = leaves", "no page at 1 with a hash of 64 bytes"),
        ("DELETE FROM publication", "map of the stored pages at size 0"),
        ("DELETE FROM log_state", "is empty"),
    ],
)
def test_altered_rows_are_refused(ledger: Ledger, sql: str, reason: str) -> None:
    sequencer = ledger.sequencer()
    sequencer.run_once()
    ledger.accept("a")
    sequencer.run_once()
    sequencer.release()
    statement(sql, ledger)
    with pytest.raises(SequencerRefusalError, match=reason):
        ledger.sequencer().start()


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("DELETE FROM map_leaves", "stored state of the subject .* found none"),
        ("UPDATE map_leaves SET head_index = 0", "stored state of the subject .* the map value"),
        ("UPDATE map_pages SET leaves = hash", "stored pages of the map: .* no whole leaves"),
        ("UPDATE map_pages SET id = 3", "stored pages of the map: .* belong elsewhere"),
    ],
)
def test_altered_states_and_pages_are_never_built_upon(
    ledger: Ledger, sql: str, reason: str
) -> None:
    """A start does not read them; the batch that needs one does, and nothing is signed on it."""
    sequencer = ledger.sequencer()
    sequencer.run_once()
    ledger.accept("a")
    sequencer.run_once()
    sequencer.release()
    statement(sql, ledger)
    before = seen(ledger)
    again = ledger.sequencer()
    again.start()
    ledger.accept("a")
    with pytest.raises(DamagedLogError, match=reason):
        again.run_once()
    assert seen(ledger) == before


def test_a_batch_that_cannot_be_completed_is_refused(ledger: Ledger) -> None:
    """Signed and not published, and its copies of the links are gone."""
    ledger.sequencer().run_once()
    ledger.accept("a")
    ledger.clock.advance(60_000)
    with (
        faulty(ledger, Breaker(2, "lost")) as sequencer,
        pytest.raises(OSError, match="last-signed"),
    ):
        sequencer.run_once()
    statement("UPDATE uploads SET entries = NULL", ledger)
    ledger.clock.advance(60_000)
    with pytest.raises(SequencerRefusalError, match="the stored uploads and tiles give size 2"):
        ledger.sequencer().start()


@pytest.mark.parametrize("path", ["tile/0/000.p/3", "tile/entries/000.p/3"])
def test_missing_or_altered_tiles_are_refused(ledger: Ledger, path: str) -> None:
    sequencer = ledger.sequencer()
    sequencer.run_once()
    ledger.accept("a")
    sequencer.run_once()
    sequencer.release()
    file = ledger.root / "log" / path
    good = file.read_bytes()
    for bad in (good[:-1], good + b"x", good[:-1] + bytes([good[-1] ^ 1]), None):
        if bad is None:
            file.unlink()
        else:
            file.write_bytes(bad)
        with pytest.raises(SequencerRefusalError):
            ledger.sequencer().start()
        ledger.clock.advance(60_000)
    file.write_bytes(good)
    assert ledger.sequencer().start()


@pytest.mark.parametrize("place", ["log/checkpoint", "keys/last-signed"])
def test_evidence_of_another_log_or_under_another_key_is_refused(
    ledger: Ledger, place: str
) -> None:
    sequencer = ledger.sequencer()
    sequencer.run_once()
    sequencer.release()
    file = ledger.root / place
    good = file.read_bytes()
    for bad in (
        b"",
        b"not a note",
        good.replace(b"\n1\n", b"\n2\n"),
        good.replace(b"log.", b"lag."),
    ):
        file.write_bytes(bad)
        with pytest.raises(
            SequencerRefusalError, match="should be a checkpoint signed by this log"
        ):
            ledger.sequencer().start()
        ledger.clock.advance(60_000)


def test_a_lost_copy_and_a_lost_checkpoint_file_are_made_again(ledger: Ledger) -> None:
    sequencer = ledger.sequencer()
    sequencer.run_once()
    sequencer.release()
    (ledger.root / "log" / "checkpoint").unlink()
    ledger.last_signed.path.unlink()
    published = ledger.sequencer().run_once()
    assert published is not None
    assert published.refreshed
    assert audit(ledger)["checkpoints"] == 4
