"""Which database answers a reader: a replica that has come far enough, or else the primary.

A replica is behind by some milliseconds, or by hours when it is broken, and says nothing of it. So
it is asked only for what was published, and only if it has at least what the primary has published
at this moment: the checkpoint, the evidence of forks, the confirmed anchors. That question takes
three rows of the primary; the histories, which are many, then come from the replica. A passport
from a replica is therefore the one that the primary would have given, or a newer one, and never
says less than the checkpoint that is served beside it.

What decides or promises something is not read here and cannot be: heads, seals known, parties'
keys, `?wait=published`, receipts, readiness, everything of the sequencer. All of it asks a
`Database`, which no replica is.

A replica that is away is not asked again for some seconds.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from provenance.domain.passport import MAX_FORKS
from provenance.storage import log
from provenance.storage.anchors import count_confirmed
from provenance.storage.errors import StoreConflictError, StoreUnavailableError
from provenance.storage.forks import read_forks
from provenance.storage.session import Connection, Database, Replica

T = TypeVar("T")

AWAY_S: Final = 10.0
"""How long a replica is left alone that did not answer."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Seen:
    """What readers may be shown at one moment; `size` 0 and `note` empty before the first one.

    `forks` are the hashes of the stored evidence, as many as a passport carries.
    """

    size: int
    published_at: int
    note: bytes
    forks: tuple[bytes, ...]
    anchors: int

    def covers(self, other: Seen) -> bool:
        """Is everything of `other` there, of the same log?"""
        return (
            _origin(self.note) == _origin(other.note)
            and (self.size, self.published_at) >= (other.size, other.published_at)
            and self.anchors >= other.anchors
            and set(self.forks) >= set(other.forks)
        )


def read_seen(connection: Connection) -> Seen:
    """What this snapshot may show."""
    publication = log.read_publication(connection)
    forks = tuple(fork.hash for fork in read_forks(connection, MAX_FORKS))
    anchors = count_confirmed(connection)
    if publication is None:
        return Seen(0, 0, b"", forks, anchors)
    return Seen(publication.size, publication.published_at, publication.note, forks, anchors)


class Reader:
    """Questions about what is published; one for all threads of a process."""

    def __init__(self, primary: Database, replica: Replica | None = None) -> None:
        self._primary = primary
        self._replica = replica
        self._away_until = 0.0

    def answer(self, question: Callable[[Connection], T]) -> T:
        """What `question` makes of one snapshot that shows all that is published now.

        It may be asked twice, and must ask nothing else than what is published. Its own errors
        pass, as do those of the primary.
        """
        if self._replica is not None and time.monotonic() >= self._away_until:
            seen = self._ask_primary(read_seen)
            try:
                with self._replica.read() as connection:
                    if read_seen(connection).covers(seen):
                        return question(connection)
            except StoreConflictError:
                pass  # the standby cancelled it, since what it read was to be replaced
            except StoreUnavailableError as error:
                self._away_until = time.monotonic() + AWAY_S
                _logger.warning("the read replica is not asked for %d s: %s", AWAY_S, error)
        return self._ask_primary(question)

    def _ask_primary(self, question: Callable[[Connection], T]) -> T:
        with self._primary.read() as connection:
            return question(connection)


def _origin(note: bytes) -> bytes:
    return note.partition(b"\n")[0]
