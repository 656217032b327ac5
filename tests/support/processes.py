"""`provenance serve` as the process that an operator starts, and what became of its children."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from provenance.config import Settings


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(condition: Callable[[], object], seconds: float = 60) -> None:
    """Waits for a condition; AssertionError when it does not come about."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that ended and waits to be collected does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in ("Z", "X")


def children(pid: int) -> list[int]:
    """The processes that a process started, and theirs."""
    return [found for child in _started_by(pid) for found in (child, *children(child))]


def _started_by(pid: int) -> list[int]:
    try:
        return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def end_all(started: Sequence[subprocess.Popen[bytes]], seconds: float = 15) -> None:
    """Ends processes that a test started, and theirs: politely first; never anything else."""
    family = [pid for process in started for pid in (process.pid, *children(process.pid))]
    for process in started:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGCONT)  # a stopped one does not see SIGTERM
            process.terminate()
    for process in started:
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for pid in filter(is_alive, family):
        os.kill(pid, signal.SIGKILL)


@dataclass
class Serve:
    """One running `provenance serve`."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    @property
    def messages(self) -> str:
        """What it and its children said so far."""
        return self.log.read_text("utf-8", errors="replace")

    def child(self, part: str) -> int:
        """The direct child whose command line holds `part`."""
        for pid in (
            Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        ):
            if part.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                return int(pid)
        raise AssertionError(f"no child {part} of {self.process.pid}")

    def is_ready(self) -> bool:
        """Whether /readyz says so; fails at once when the process has ended."""
        assert self.process.poll() is None, self.messages
        try:
            with urllib.request.urlopen(self.url + "/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def stop(self, number: signal.Signals) -> int:
        """Sends a signal and waits; the exit status."""
        self.process.send_signal(number)
        return self.process.wait(60)


def _ignore_interrupts() -> None:
    """As the shell of a script leaves it for what it starts in the background."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def serve(
    data: Path, *options: str, port: int | None = None, more: Mapping[str, str] | None = None
) -> Iterator[Serve]:
    """Starts it with quick settings and `more` variables; ends it and all that it started when the
    block ends."""
    number = port or free_port()
    log = data.parent / f"serve-{number}.log"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PROVENANCE_")}
    environment |= {"PROVENANCE_PUBLISH_INTERVAL_MS": "20", "PROVENANCE_LEASE_S": "2"}
    if database := Settings(data=data).database:  # another one than the command's own default
        environment["PROVENANCE_DATABASE"] = database
    environment |= more or {}
    command = [sys.executable, "-m", "provenance.cli", "serve", "--data", str(data)]
    command += ["--port", str(number), "--workers", "1", *options]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env=environment,
            stdout=output,
            stderr=output,
            preexec_fn=_ignore_interrupts,  # noqa: PLW1509  asks nothing of other threads
        )
    running = Serve(process, f"http://127.0.0.1:{number}", log)
    family: list[int] = []
    try:
        yield running
    finally:
        family = children(process.pid)
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for pid in filter(is_alive, family):
            os.kill(pid, signal.SIGKILL)
