"""Whether this process can serve: looked at once for all who ask within a moment.

What is looked at: the published checkpoint and the ledger's standing, in the database; the
operator's key, without which no receipt can be signed; the right edge of the stored tiles, whose
root must be the published one (a directory that belongs to another database, or an object store
that lost something, shows there). The edge is read again only when another checkpoint is published.

Balancers ask often, and more often in trouble. So one thread looks and the others are given what it
found, failures too; nobody waits longer than a moment for somebody else's look.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from merkle.checkpoint import parse_checkpoint
from merkle.errors import MerkleError
from merkle.note import parse_note
from merkle.tiles import TileHashReader
from merkle.tree import root_at
from provenance.domain.errors import DomainError
from provenance.services.standing import Standing
from provenance.storage.errors import StoreInconsistentError, StoreUnavailableError
from provenance.storage.tiles import TileStore, read_tile

FRESH_SECONDS: Final = 0.5
"""For so long one look serves all who ask."""
_PATIENCE_SECONDS: Final = 2.0
"""How long somebody waits for the look of another."""


@dataclass(frozen=True, slots=True)
class Look:
    """What was found. `key_trouble` and `tail_trouble` say what is wrong in our own words, None for
    nothing; they are for the operator's log and not for the public."""

    size: int
    note: bytes
    standing: Standing
    key_trouble: str | None
    tail_trouble: str | None


class Readiness:
    """Looks, and remembers for a moment. Shared by all threads of a process."""

    def __init__(
        self,
        published: Callable[[], tuple[int, bytes]],
        standing: Callable[[], Standing],
        tiles: TileStore,
        load_key: Callable[[], object],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`published` and `standing` read the database; `load_key` raises DomainError or OSError
        where the key cannot be had."""
        self._published = published
        self._standing = standing
        self._tiles = tiles
        self._load_key = load_key
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._looked_at = float("-inf")
        self._found: Look | Exception | None = None
        self._good_note: bytes | None = None

    def look(self) -> Look:
        """What is so now, or was half a second ago.

        Raises UnavailableError before the first publication, and what the stores raise;
        StoreUnavailableError when another thread's look does not end.
        """
        if not self._lock.acquire(timeout=_PATIENCE_SECONDS):
            raise StoreUnavailableError("the store has not answered an earlier question yet")
        try:
            if self._found is None or self._monotonic() - self._looked_at >= FRESH_SECONDS:
                self._found = self._look()
                self._looked_at = self._monotonic()
            found = self._found
        finally:
            self._lock.release()
        if isinstance(found, Exception):
            raise found
        return found

    def forget(self) -> None:
        """Look anew when next asked."""
        with self._lock:
            self._found = None

    def _look(self) -> Look | Exception:
        try:
            size, note = self._published()
            return Look(size, note, self._standing(), self._key_trouble(), self._tail_trouble(note))
        except Exception as error:  # remembered like an answer: an outage is not made worse
            return error

    def _key_trouble(self) -> str | None:
        try:
            self._load_key()
        except (DomainError, OSError) as error:
            return f"the operator's key cannot be read ({type(error).__name__})"
        return None

    def _tail_trouble(self, note: bytes) -> str | None:
        """Compare the tiles' root with the published one. Raises StoreUnavailableError."""
        if note == self._good_note:
            return None
        checkpoint = parse_checkpoint(parse_note(note).text)
        reader = TileHashReader(lambda path: read_tile(self._tiles, path), checkpoint.size)
        try:
            root = root_at(checkpoint.size, reader)
        except (StoreInconsistentError, MerkleError) as error:
            return f"the tiles of size {checkpoint.size} cannot be read ({type(error).__name__})"
        if root != checkpoint.root:
            return f"the tiles of size {checkpoint.size} have another root than the checkpoint"
        self._good_note = note
        return None
