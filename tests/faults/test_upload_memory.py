"""A worker's memory does not depend on the size of what is uploaded through it.

    UPLOAD_EVENTS=1000000 pytest tests/faults/test_upload_memory.py

gives the figure in the README: one real gunicorn worker, SQLite, the real client as a process of
its own, the sequencer at work.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from provenance.bench.workload import event, item
from provenance.client.keepsake import receipts_path
from provenance.client.sealing import Signer, prepare, seal_events
from tests.faults.installation import install
from tests.faults.running import Running, quick, running
from tests.support.processes import is_alive, until
from tests.support.served import CONTEXT, now
from tests.support.tried import Tried

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="reads memory from /proc"
)

EVENTS = int(os.environ.get("UPLOAD_EVENTS", "48000"))
SIZE = 1_000
MOST_MB = 300
GROWTH_MB = 32


def written(path: Path, signer: Signer) -> Path:
    """EVENTS events of about 785 bytes in sealed batches of 1,000, distinct subjects."""
    with path.open("wb") as file:
        for first in range(0, EVENTS, SIZE):
            numbers = range(first, min(first + SIZE, EVENTS))
            document = {
                "@context": CONTEXT,
                "type": "EPCISDocument",
                "schemaVersion": "2.0",
                "creationDate": "2025-06-01T00:00:00Z",
                "epcisBody": {"eventList": [event(n, item(f"M{n:07d}")) for n in numbers]},
            }
            events = prepare(document, random=os.urandom)
            (batch,) = seal_events(events, signer, now=now(), random=os.urandom)
            file.writelines(line + b"\n" for line in batch.lines())
    return path


def memory_mb(pid: int, what: str) -> float:
    """VmRSS (now) or VmHWM (ever) of a process, in MB."""
    text = Path(f"/proc/{pid}/status").read_text()
    found = re.search(rf"^{what}:\s+(\d+) kB", text, re.M)
    return int(found[1]) / 1024 if found else 0.0


def samples(program: subprocess.Popen[bytes], worker: int) -> Iterator[tuple[float, float]]:
    """Memory of worker and client, while the client runs."""
    while is_alive(program.pid):
        yield memory_mb(worker, "VmRSS"), memory_mb(program.pid, "VmHWM")
        time.sleep(0.1)


def test_memory_of_a_worker_while_a_large_file_passes_through(tmp_path: Path, tried: Tried) -> None:
    settings = replace(quick(tmp_path / "data"), workers=1)
    brand = install(settings)
    file = written(tmp_path / "big.ndjson", brand)
    with running(settings, tmp_path / "processes.log") as platform:
        (worker,) = platform.workers()
        before, began = memory_mb(worker, "VmRSS"), time.monotonic()
        command = [sys.executable, "-m", "provenance.cli", "upload", str(file)]
        with subprocess.Popen([*command, "--url", platform.url]) as program:
            found = list(samples(program, worker))
        seconds = time.monotonic() - began
        assert program.returncode == 0
        peak = memory_mb(worker, "VmHWM")
        require_whole(platform, file)
    # Caches fill in the first half, however quick the machine; what grows with the upload goes on.
    early = max(worker_mb for worker_mb, _ in found[: len(found) // 2])
    late = max(worker_mb for worker_mb, _ in found[len(found) // 2 :])
    client = max(client_mb for _, client_mb in found)
    note = (
        f"({file.stat().st_size / 1e6:.0f} MB in {seconds:.0f} s; worker {before:.0f} MB before, "
        f"{peak:.0f} at most, {late - early:+.0f} after the first half; client {client:.0f})"
    )
    wrong = [note] if peak > MOST_MB or late - early > GROWTH_MB else []
    tried.row(f"an upload of {EVENTS:,} events through one worker", 1, wrong, note)


def require_whole(platform: Running, file: Path) -> None:
    """A receipt for each batch, and everything published."""
    assert len(receipts_path(file).read_bytes().splitlines()) == -(-EVENTS // SIZE)
    newest = platform.newest_upload()
    until(lambda: platform.is_covered(newest), 60 + EVENTS / 500)
