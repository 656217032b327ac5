"""Prints, at the end of a run, which judge caught how many flipped bits (tests/conformance).

The tests run in one of several worker processes and leave the table in a file; this plugin is also
loaded by the process that has the terminal.
"""

from __future__ import annotations

import time
from typing import Any

from tests.support.outside import TABLE

_began = time.time()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The table, if this run made one."""
    if TABLE.exists() and TABLE.stat().st_mtime >= _began:
        terminalreporter.section("software of others, and ours")
        terminalreporter.write(TABLE.read_text("utf-8"))
