"""Rounds, medians, ranges, and the table that is printed."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Ceiling:
    """What this machine does of the dearest step alone, in the unit of the figure beside it."""

    value: float
    words: str


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured thing: its rounds in `unit`, and the ceiling that was measured in the same run.

    `unit` is "/s" (more is better) or "ms" (less is better).
    """

    name: str
    unit: str
    rounds: tuple[float, ...]
    ceiling: Ceiling | None = None

    @property
    def median(self) -> float:
        """The middle of the rounds."""
        return statistics.median(self.rounds)

    @property
    def share(self) -> float | None:
        """How much of the ceiling was reached, 1 being all of it; None without a ceiling."""
        if self.ceiling is None:
            return None
        ratio = self.median / self.ceiling.value
        return ratio if self.unit == "/s" else 1 / ratio

    def under(self, value: float, words: str) -> Figure:
        """The same figure beside its ceiling."""
        return replace(self, ceiling=Ceiling(value, words))

    def document(self) -> dict[str, Any]:
        """For --json."""
        ceiling = self.ceiling and {"value": self.ceiling.value, "words": self.ceiling.words}
        return {
            "name": self.name,
            "unit": self.unit,
            "median": self.median,
            "least": min(self.rounds),
            "most": max(self.rounds),
            "rounds": len(self.rounds),
            "ceiling": ceiling,
            "share": self.share,
        }


def rate(name: str, amount: int, rounds: int, work: Callable[[int], object]) -> Figure:
    """`amount` things done by `work(round)`; the figure is things per second."""
    return Figure(name, "/s", tuple(amount / _seconds(work, number) for number in range(rounds)))


def duration(name: str, rounds: int, work: Callable[[int], object]) -> Figure:
    """Milliseconds that `work(round)` takes."""
    return Figure(name, "ms", tuple(1000 * _seconds(work, number) for number in range(rounds)))


def _seconds(work: Callable[[int], object], number: int) -> float:
    start = time.perf_counter()
    work(number)
    return time.perf_counter() - start


def quantiles(milliseconds: Sequence[float]) -> dict[str, float]:
    """p50, p99 and the longest of at least one measurement."""
    ordered = sorted(milliseconds) or [0.0]
    last = len(ordered) - 1
    return {
        "p50": ordered[last // 2],
        "p99": ordered[min(last, round(last * 0.99))],
        "longest": ordered[last],
    }


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    return {
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
    }


def table(figures: Sequence[Figure]) -> str:
    """Aligned text: name, median, range, ceiling, how much of it was reached."""
    rows = [("figure", "median", "range", "ceiling", "reached")]
    rows += [_row(figure) for figure in figures]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    return "\n".join(
        f"{row[0]:<{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]:>{widths[2]}}"
        f"  {row[3]:<{widths[3]}}  {row[4]:>{widths[4]}}".rstrip()
        for row in rows
    )


def _row(figure: Figure) -> tuple[str, str, str, str, str]:
    ceiling, share = figure.ceiling, figure.share
    return (
        figure.name,
        f"{_number(figure.median)} {figure.unit}",
        f"{_number(min(figure.rounds))} – {_number(max(figure.rounds))}",
        "" if ceiling is None else f"{_number(ceiling.value)} {figure.unit} {ceiling.words}",
        "" if share is None else f"{share:.0%}",
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
