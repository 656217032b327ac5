"""How far the sequencer is behind, and when that is too far to accept more.

What is accepted waits in the database until it is in the log, and its receipt promises that this
takes a minute at most. So the queue is bounded: while more than so many links wait, nothing is
accepted in any process, and the sender is told to come again. The bound is soft by what the
processes accept between two looks.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from provenance.domain.errors import BusyError
from provenance.storage.log import pending_links
from provenance.storage.session import Database

# The count reads a row for each waiting upload: cheap, and too dear to do before each of them.
_LOOK_SECONDS: Final = 0.5


class Backlog:
    """The waiting links of one log, counted at most twice a second; shared by threads."""

    def __init__(
        self,
        database: Database,
        most: int,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`most` is how many links may wait."""
        self._database = database
        self._most = most
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._looked = float("-inf")
        self._waiting = 0

    def require_room(self) -> None:
        """Raises BusyError (``queue-full``) while more than so many links wait."""
        waiting = self._count()
        if waiting > self._most:
            raise BusyError(
                "queue-full",
                "more is waiting to be published than may wait",
                expected=f"at most {self._most:,} links not yet in the log",
                found=f"{waiting:,} links",
                remedy="send it again in a few seconds; the same upload twice is harmless",
            )

    def _count(self) -> int:
        with self._lock:
            now = self._monotonic()
            if now - self._looked >= _LOOK_SECONDS:
                self._looked = now  # before the look: an outage is not asked about again at once
                with self._database.read() as connection:
                    self._waiting = pending_links(connection)
            return self._waiting
