"""strace as the hand that breaks one system call of a process (Debian's strace 6.1).

    with Warmed() as process:
        trace = process.trial(job, Injection("fsync", "EIO", 3))

A trial forks the warmed process (tests/faults/child.py), attaches strace before the work begins and
lets it go. `EIO` fails the n-th call alone, as a bad sector does; `ENOSPC` the n-th and all later
ones of that name, as a full disk does; `KILL` ends the process as it enters the n-th.
Counting is strace's own: with no injection it writes down the calls in order.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.support.missing import missing

CALLS = (
    "openat",
    "write",
    "pwrite64",
    "fsync",
    "fdatasync",
    "ftruncate",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "unlink",
    "unlinkat",
    "mkdir",
    "mkdirat",
)
"""The calls that make or break a durable write; Python and SQLite use some names more than C."""

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Injection:
    """What is done to the `number`-th (from 1) `call`."""

    call: str
    kind: str
    number: int

    @property
    def option(self) -> str:
        """As strace reads it."""
        if self.kind == "KILL":
            return f"inject={self.call}:signal=KILL:when={self.number}"
        more = "+" if self.kind == "ENOSPC" else ""
        return f"inject={self.call}:error={self.kind}:when={self.number}{more}"


@dataclass(slots=True)
class Trial:
    """What a forked process said, and how it ended; `calls` counts those that were traced."""

    said: list[dict[str, Any]] = field(default_factory=list)
    status: int = 0
    injected: bool = False
    calls: Counter[str] = field(default_factory=Counter)


def require_strace() -> str:
    """Its path. Where there is none the test says so; in CI that is a failure."""
    found = shutil.which("strace")
    if found is None:
        missing("strace is missing; on Debian: apt install strace (make test does it as root)")
    return found


class Warmed:
    """The warmed process; ends with the block."""

    def __init__(self, directory: Path) -> None:
        self._strace = require_strace()
        self._output = directory / "strace.out"

    def __enter__(self) -> Warmed:
        ours, theirs = socket.socketpair()
        self._channel = ours
        self._lines = ours.makefile("r", encoding="utf-8")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.child", str(theirs.fileno())],
            cwd=ROOT,
            pass_fds=[theirs.fileno()],
            env={k: v for k, v in os.environ.items() if not k.startswith("PROVENANCE_")},
        )
        theirs.close()
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self._lines.close()
        self._channel.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def trial(self, job: dict[str, Any], injection: Injection | None = None) -> Trial:
        """One run of `job`, with one call broken or all of them counted."""
        self._channel.sendall(json.dumps(job).encode() + b"\n")
        pid = int(self._read()["pid"])
        self._output.unlink(missing_ok=True)
        options = ["-e", f"trace={','.join('?' + call for call in CALLS)}"]
        if injection is not None:
            options = ["-e", f"trace={injection.call}", "-e", injection.option]
        tracer = subprocess.Popen(
            [self._strace, "-f", "-o", str(self._output), *options, "-p", str(pid)],
            stderr=subprocess.PIPE,
        )
        assert tracer.stderr is not None
        attached = tracer.stderr.readline()
        if b"ttach" in attached and b"not permitted" in attached:
            missing(f"strace may not trace processes here: {attached.decode().strip()}")
        assert b"attached" in attached, attached
        self._channel.sendall(b"go\n")
        trial = Trial()
        while "ended" not in (message := self._read()):
            trial.said.append(message)
        trial.status = int(message["ended"])
        _, errors = tracer.communicate(timeout=30)
        assert tracer.returncode == 0, errors
        text = self._output.read_text("utf-8", errors="replace")
        trial.calls = Counter(re.findall(r"^\d+ +(\w+)\(", text, re.M))
        trial.injected = "(INJECTED)" in text or "+++ killed by SIGKILL" in text
        return trial

    def _read(self) -> dict[str, Any]:
        line = self._lines.readline()
        assert line, "the warmed process has ended"
        message = json.loads(line)
        assert isinstance(message, dict)
        return message
