"""The synchronous standby: what the primary has acknowledged, the standby has on its disk.

The platform is told of both servers once (libpq: several hosts, `target_session_attrs`), and is not
started again. The database's own default is `synchronous_commit = off`, which would lose uploads in
the first of these tests and acknowledge one in the second: the program must not take it.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from provenance.platform import Platform
from provenance.storage.session import Database
from provenance.storage.tables import uploads
from tests.faults.installation import install, sealed
from tests.faults.running import Load, losses, quick, running
from tests.support.processes import until
from tests.support.standby import Pair, pair_of_servers
from tests.support.tried import Tried

pytestmark = [
    pytest.mark.postgresql,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at /proc"),
]


@pytest.fixture
def pair(closed_network: None) -> Iterator[Pair]:
    with pair_of_servers() as made:
        made.create("provenance")
        yield made


def test_the_primary_is_killed(pair: Pair, tmp_path: Path, tried: Tried) -> None:
    settings = quick(tmp_path / "data", pair.both("provenance"))
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


def test_nothing_is_acknowledged_that_the_standby_does_not_have(pair: Pair, tmp_path: Path) -> None:
    settings = quick(tmp_path / "data", pair.both("provenance"))
    brand = install(settings)
    platform = Platform.open(settings)
    acknowledged: list[int] = []

    def upload() -> None:
        batch = sealed(brand, "WAITS")
        acknowledged.append(platform.capture.submit_batch(batch.lines()).upload_id)

    try:
        pair.stop_standby()
        thread = threading.Thread(target=upload)
        thread.start()
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        until(lambda: pair.on_primary(waiting) == [(1,)])
        time.sleep(0.5)
        assert acknowledged == []
        pair.start_standby()
        thread.join(30)
        assert len(acknowledged) == 1
        pair.kill_primary()
        pair.promote()
        promoted = Database.open(pair.standby("provenance"))
        with promoted.read() as connection:
            assert connection.scalar(select(func.max(uploads.c.id))) == acknowledged[0]
        promoted.close()
    finally:
        platform.close()
