"""Whose processor time it was: web workers, sequencer, database; and how much memory they hold.

Read from ``/proc``, so on Linux only; elsewhere every figure is 0. A process that ended between two
looks is not counted; the platform's do not end while they are measured.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_TICKS: Final = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
_PAGE: Final = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
ROLES: Final = ("web", "sequencer", "database")


def processor_seconds(server: int) -> dict[str, float]:
    """Seconds used so far by each role; `server` is the pid of ``provenance serve``."""
    used: dict[str, float] = defaultdict(float)
    for role, fields in _processes(server):
        used[role] += (int(fields[12]) + int(fields[13])) / _TICKS
    return dict(used)


def largest_worker(server: int) -> int:
    """Bytes of the largest web process's resident memory, at this moment."""
    sizes = [int(fields[22]) * _PAGE for role, fields in _processes(server) if role == "web"]
    return max(sizes, default=0)


def pids(server: int, role: str) -> list[int]:
    """The processes of a role, at this moment."""
    return [int(fields[0]) for found, fields in _processes(server) if found == role]


def difference(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """What was used in between, for every role."""
    return {role: after.get(role, 0.0) - before.get(role, 0.0) for role in ROLES}


def _processes(server: int) -> Iterator[tuple[str, list[str]]]:
    """Role and the fields of ``/proc/PID/stat``: the pid, then those from field 3 on (proc(5))."""
    children = _children_of(server)
    for entry in _PROC.glob("[0-9]*"):
        try:
            name, _, rest = (entry / "stat").read_text().rpartition(")")
            words = (entry / "cmdline").read_bytes()
        except OSError:
            continue  # it has ended
        if int(entry.name) in children:
            yield ("sequencer" if b"\0sequence\0" in words else "web"), [entry.name, *rest.split()]
        elif name.endswith("(postgres"):
            yield "database", [entry.name, *rest.split()]


def _children_of(server: int) -> set[int]:
    parents: dict[int, int] = {}
    for entry in _PROC.glob("[0-9]*"):
        try:
            parents[int(entry.name)] = int(
                (entry / "stat").read_text().rpartition(")")[2].split()[1]
            )
        except OSError:
            continue
    found = {server}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {server}
