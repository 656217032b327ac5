"""How many of a worker's threads slow requests may hold at once, so that readers always find one.

A worker has 8 threads (`provenance.cli.serve`). An upload holds one for as long as its sender takes
to send, and `?wait=published` for up to a minute. Neither may take them all: an upload beyond
`UPLOADS` (a setting) is told to come again with 429, a wait beyond `WAITS` is answered at once with
"pending". Counted for each worker by itself; nothing is queued here.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from provenance.domain.errors import BusyError

UPLOADS = 6
WAITS = 4


class Slots:
    """The slots of one worker, shared by its threads."""

    def __init__(self, uploads: int = UPLOADS, waits: int = WAITS) -> None:
        self._uploads = threading.BoundedSemaphore(uploads)
        self._waits = threading.BoundedSemaphore(waits)
        self._most = uploads

    @contextmanager
    def upload(self) -> Iterator[None]:
        """Hold a slot for one upload; raises BusyError (`too-busy`) when none is free."""
        if not self._uploads.acquire(blocking=False):
            raise BusyError(
                "too-busy",
                "Too many uploads are under way here at once; nothing of this one was read.",
                expected=f"at most {self._most} at a time in one worker",
                remedy="Send it again in a moment; the same upload twice is harmless.",
            )
        try:
            yield
        finally:
            self._uploads.release()

    @contextmanager
    def wait(self) -> Iterator[bool]:
        """True while holding a slot for waiting, False (and nothing is held) when none is free."""
        free = self._waits.acquire(blocking=False)
        try:
            yield free
        finally:
            if free:
                self._waits.release()
