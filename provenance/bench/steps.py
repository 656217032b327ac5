"""Where a sequencer's time goes: an observer that keeps what each step took.

A step within another is taken out of it, so that the parts add up to the whole. Steps of other
threads (a witness that is asked) would be counted too; the sequencer alone has none.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from provenance.services.observing import Observer, Step

OTHER = "between the steps"


class StepTimes(Observer):
    """Seconds by step: `wall` by the clock, `processor` of this process. `clear` between rounds."""

    def __init__(self) -> None:
        self.wall: dict[str, float] = defaultdict(float)
        self.processor: dict[str, float] = defaultdict(float)
        self._open: list[str] = []
        self._since = (0.0, 0.0)

    def clear(self) -> None:
        """Forget what was kept."""
        self.wall.clear()
        self.processor.clear()

    @contextmanager
    def step(self, name: Step) -> Iterator[None]:
        """Around one step; what it takes besides the steps within it is its own."""
        self._pass()
        self._open.append(OTHER if name in ("round", "grow") else name)
        try:
            yield
        finally:
            self._pass()
            self._open.pop()

    def _pass(self) -> None:
        """The time since the last look belongs to the innermost step that is open."""
        now = time.perf_counter(), time.process_time()
        if self._open:
            self.wall[self._open[-1]] += now[0] - self._since[0]
            self.processor[self._open[-1]] += now[1] - self._since[1]
        self._since = now
