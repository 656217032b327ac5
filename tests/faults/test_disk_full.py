"""The disk of an installation is full, while uploads come in and while a batch is published.

A real file system of a few megabytes (tmpfs), filled to the last byte. Full means: refused with
503, readable as before, and when there is space again everything goes on by itself.
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from provenance.client.api import Api
from provenance.client.errors import UnreachableError
from provenance.client.sealing import SealedBatch, Signer
from tests.faults.installation import fsck, install, not_once, sealed
from tests.faults.running import Load, Running, losses, quick, running
from tests.faults.uploading import (
    in_background,
    large_file,
    receipts_of,
    stored_events,
    transfer,
    wrongly_stored,
)
from tests.support.missing import missing
from tests.support.processes import until
from tests.support.tried import Tried

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs mount and /proc"),
    pytest.mark.sqlite(reason="fills the file system that the file lies on"),
]

SIZE = "24m"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system; where none may be mounted the test says so, and fails in CI."""
    directory = tmp_path / "disk"
    directory.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(directory)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        missing(f"no small file system can be mounted: {mounted.stderr.decode().strip()}")
    yield directory
    subprocess.run(["umount", str(directory)], check=True)


class Ballast:
    """A file that takes all the space there is, and gives it back."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "ballast"

    def fill(self) -> None:
        """Write until not one byte more fits."""
        with self._path.open("ab", buffering=0) as file:
            for chunk in (1 << 16, 1 << 12, 1):
                while _fits(file.fileno(), bytes(chunk)):
                    pass

    def remove(self) -> None:
        """There is space again."""
        self._path.unlink()


def _fits(handle: int, data: bytes) -> bool:
    try:
        return os.write(handle, data) == len(data)
    except OSError as error:
        assert error.errno == errno.ENOSPC
        return False


def test_disk_full(disk: Path, tmp_path: Path, tried: Tried) -> None:
    settings = quick(disk / "data")
    brand = install(settings)
    ballast = Ballast(disk)
    with running(settings, tmp_path / "processes.log") as platform:
        load = Load(platform.url, brand)  # not started: its receipts and checkpoints are kept here
        refused = full_during_capture(platform, load, brand, ballast)
        failed = full_during_publication(platform, load, brand, ballast)
        lost = losses(platform, load, platform.notes())
    tried.row("disk full: uploads answered with 503, sent again later", refused, lost)
    tried.row("disk full: rounds of the sequencer that failed", failed, lost)


def test_disk_full_under_a_large_upload(disk: Path, tmp_path: Path, tried: Tried) -> None:
    """The upload waits and goes on; nothing is lost, nothing doubled."""
    settings = quick(disk / "data")
    brand = install(settings)
    file = large_file(tmp_path / "big.ndjson", brand, 300, 20)
    ballast, told, waits = Ballast(disk), list[int](), list[float]()

    def wait(seconds: float) -> None:
        waits.append(seconds)
        time.sleep(min(seconds, 0.2))

    with running(settings, tmp_path / "processes.log") as platform:
        before = stored_events(platform)
        with in_background(transfer(platform, file, advance=told.append, sleep=wait)) as upload:
            until(lambda: len(told) > 3)
            ballast.fill()
            until(lambda: len(waits) > 5 or not upload.is_alive())
            refused = len(waits)
            ballast.remove()
        receipts = receipts_of(platform, file)
        platform.publishes_all()
        fsck(platform.platform)
        size = Api(platform.url).log()["size"]
        lost = wrongly_stored(platform, before, receipts)
        lost += not_once(platform.platform.tiles, size, receipts)
    tried.row("disk full: parts of a large upload put off", refused, lost)


def full_during_capture(platform: Running, load: Load, brand: Signer, ballast: Ballast) -> int:
    """Uploads until the database has no room left; how many were refused."""
    first = sealed(brand, "BEFORE")
    send(platform, load, first)
    platform.publishes_all()
    ballast.fill()
    waiting: list[SealedBatch] = []
    for number in range(40):
        batch = sealed(brand, *(f"FULL{number}.{event}" for event in range(100)))
        try:
            send(platform, load, batch)
        except UnreachableError as error:
            assert "503" in str(error)
            waiting.append(batch)
        if len(waiting) == 5:
            break
    assert len(waiting) == 5
    require_readable(platform)
    ballast.remove()
    for batch in waiting:
        send(platform, load, batch)
    platform.publishes_all()
    return len(waiting)


def full_during_publication(platform: Running, load: Load, brand: Signer, ballast: Ballast) -> int:
    """An upload is accepted, and there is no room to publish it; how many rounds failed."""
    (sequencer,) = platform.sequencers
    platform.stop_between_writes(sequencer)
    send(platform, load, sealed(brand, *(f"LATE{event}" for event in range(300))))
    newest, said = platform.newest_upload(), platform.messages.count("round failed")
    ballast.fill()
    os.kill(sequencer, signal.SIGCONT)
    until(lambda: platform.messages.count("round failed") >= said + 2)
    assert not platform.is_covered(newest)
    require_readable(platform)
    ballast.remove()
    until(lambda: platform.is_covered(newest))
    return platform.messages.count("round failed") - said


def send(platform: Running, load: Load, batch: SealedBatch) -> None:
    """One upload; its receipt is kept. Raises UnreachableError when it is put off five times."""
    api = Api(platform.url, sleep=lambda _: time.sleep(0.01))
    load.acknowledged.append(api.post_batch(batch.lines).receipt)


def require_readable(platform: Running) -> None:
    """The log and its newest passports are served."""
    for path in ("/log/checkpoint", "/api/v1/log", "/api/v1/policy"):
        with urllib.request.urlopen(platform.url + path, timeout=20) as answer:
            assert answer.status == 200
            assert answer.read()
