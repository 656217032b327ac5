"""Group commit: who comes while a transaction is under way shares the next one.

A durable commit costs the same for one event as for a hundred. Callers put what they bring into a
queue and then wait for their turn at the one transaction of this process; whoever gets it takes
along everything that waits. So nobody waits for company: a caller who is alone goes at once, and
the longer a commit takes, the more the next one carries.

The queue holds no more than there are callers, each of which is a thread of a web worker that
waits here; it cannot grow by itself.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

MOST: Final = 256
"""Items in one group: about a hundred milliseconds of work."""


class _Ticket(Generic[T, R]):
    """One caller's item and, once `done`, its outcome."""

    __slots__ = ("done", "item", "outcome")

    def __init__(self, item: T) -> None:
        self.item = item
        self.done = False
        self.outcome: R | None = None


class Grouping(Generic[T, R]):
    """Runs `work` over groups of items, one group at a time; safe to share between threads.

    `work` gives one outcome for each item, in their order. If it raises, the group has no
    outcomes: each caller gets None and does what it would do alone, with its own errors.
    """

    def __init__(self, work: Callable[[Sequence[T]], Sequence[R]], most: int = MOST) -> None:
        self._work = work
        self._most = most
        self._waiting: deque[_Ticket[T, R]] = deque()
        self._turn = threading.Lock()

    def submit(self, item: T) -> R | None:
        """The outcome for `item`; None if its group failed, or the work gave it none."""
        ticket: _Ticket[T, R] = _Ticket(item)
        self._waiting.append(ticket)
        with self._turn:
            # Whoever had the turn before may have done ours along with its own.
            while not ticket.done:
                self._run()
        return ticket.outcome

    def _run(self) -> None:
        group = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
        try:
            outcomes = self._work([ticket.item for ticket in group])
        except Exception:
            # Nobody is told of somebody else's failure: each tries again by itself and sees.
            outcomes = ()
        finally:
            # Even where this thread is being ended: nobody may wait for ever.
            for ticket in group:
                ticket.done = True
        for ticket, outcome in zip(group, outcomes, strict=False):
            ticket.outcome = outcome
