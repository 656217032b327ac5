"""What the fault tests tried and what was lost, printed at the end of the run.

A test takes the fixture `tried` and says of each kind of fault how often it was injected and what
was lost:

    tried.row("sequencer killed (SIGKILL)", 25, lost)

A loss fails the test there and then, and stands in the summary all the same. Rows travel inside the
test reports, so that the summary is whole under pytest-xdist too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest

_PROPERTY = "faults tried"


class Tried:
    """The rows of one test; `title` is the first line of its docstring or its name."""

    def __init__(self, title: str, record: Callable[[str, object], None]) -> None:
        self._title = title
        self._record = record

    def row(self, fault: str, times: int, lost: Iterable[str] = (), note: str = "") -> None:
        """`fault` was injected `times`; `lost` names what was missing or contradictory after it.

        A `note` stands behind the row. AssertionError if anything was lost or nothing was tried.
        """
        losses = list(lost)
        self._record(_PROPERTY, [self._title, fault, times, losses, note])
        assert times, f"{fault}: it never came to the fault"
        assert not losses, f"{fault}: lost {losses}"


@pytest.fixture
def tried(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> Tried:
    """Where this test says what it tried."""
    parameters = getattr(getattr(request.node, "callspec", None), "id", "")
    name = request.node.originalname.removeprefix("test_").replace("_", " ")
    return Tried(f"{name} [{parameters}]" if parameters else name, record_property)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """All rows, test by test, and the sum."""
    rows = sorted(_rows(terminalreporter.stats.values()))
    if not rows:
        return
    terminalreporter.section("faults: what was tried, and what was lost")
    before = ""
    for title, fault, times, losses, note in rows:
        if title != before:
            terminalreporter.write_line(title)
        before = title
        lost = f"LOST {', '.join(losses)}" if losses else "lost nothing"
        terminalreporter.write_line(f"  {fault:<58} {times:>5} x  {lost}  {note}".rstrip())
    total, lost = sum(row[2] for row in rows), sum(len(row[3]) for row in rows)
    terminalreporter.write_line(f"{total:,} faults tried, {lost or 'nothing'} lost")


def _rows(reports: Iterable[Sequence[Any]]) -> Iterable[tuple[str, str, int, list[str], str]]:
    for kind in reports:
        for report in kind:
            if getattr(report, "when", "") == "call":
                for name, value in report.user_properties:
                    if name == _PROPERTY:
                        yield tuple(value)
