"""Following the map of a log from outside: every map head recomputed, without holding the map.

What a map-aware witness knows of a log is its :class:`MapPosition`: the right edge of the tree and
the last map head. :func:`follow_map` takes it further: entries are hashed onto the edge; between
two map heads the links are replayed over the map delta (`domain.delta`), and the map head that
comes out must be, field for field, the one that stands in the log; the last entry is a map head;
and the edge must meet the signed root. So a link that was left out of the map, a value that was
changed, a delta that does not fit are refused, and so is an entry that is neither a link nor a map
head: nobody could say what it does.

Memory follows the largest batch between two map heads, never the log nor the map. Where the bytes
come from is for a `LogSource`; what is done with a refusal, for whoever calls.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from merkle.checkpoint import Checkpoint
from merkle.hashing import EMPTY_ROOT, leaf_hash
from merkle.tree import Edge
from provenance.domain.chain import Link
from provenance.domain.delta import MapDeltaError, decode_delta, replay
from provenance.domain.errors import DomainError
from provenance.domain.ledger import MapHead, decode_entry
from provenance.domain.log_source import LogMismatchError, LogSource

MAX_BATCH_LINKS: Final = 150_000
"""Links between two map heads that are held at once, about 600 bytes each. The platform's own
limit is 100,000 an upload."""

GENESIS: Final = MapHead(index=0, root=EMPTY_ROOT, subjects=0, ignored=0, previous=None)
"""Entry 0 of every log."""


class MapRefusedError(DomainError):
    """The log's map is not what its links make of it, or cannot be checked.

    `reason`: ``entry-unknown``, ``batch-too-large``, ``delta`` (it does not explain the step),
    ``map-head-false``, ``no-map-head-last``.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class MapPosition:
    """Right after a map head (None: before the first entry): the tree there, and that head.

    Raises ValueError where the two do not belong together.
    """

    edge: Edge = field(default_factory=Edge)
    head: MapHead | None = None

    def __post_init__(self) -> None:
        if self.edge.size != (0 if self.head is None else self.head.index + 1):
            raise ValueError(f"{self.head} is not the last of {self.edge.size} entries")

    @property
    def size(self) -> int:
        """How many entries lie behind."""
        return self.edge.size


def follow_map(
    source: LogSource, position: MapPosition, checkpoint: Checkpoint
) -> Iterator[MapPosition]:
    """The position after each map head from `position` on, up to the end of the checkpoint.

    **No position counts before the iterator has ended by itself**: only the signed root, which is
    met at the end, says that the entries were those of the log. (One that was kept in between may
    be gone on from; the end says then whether it was right.) Raises MapRefusedError,
    LogMismatchError, and what the source raises.
    """
    if checkpoint.size < position.size:
        raise LogMismatchError(
            f"{checkpoint.origin} has {checkpoint.size} entries, expected {position.size} at least"
        )
    links: list[Link] = []
    leaves: list[bytes] = []
    for entries in source.entries(position.size, checkpoint.size, checkpoint.size):
        for entry in entries:
            index = position.size + len(links)
            found = decode_entry(entry)
            leaves.append(leaf_hash(entry))
            if isinstance(found, Link):
                links.append(found)
                if len(links) > MAX_BATCH_LINKS:
                    raise MapRefusedError(
                        "batch-too-large",
                        f"more than {MAX_BATCH_LINKS} links follow entry {position.size - 1} "
                        "without a map head",
                    )
            elif found is None:
                raise MapRefusedError(
                    "entry-unknown", f"entry {index} is neither a link nor a map head"
                )
            else:
                require_map_head(source, position.head, links, found, index)
                position = MapPosition(position.edge.extend(leaves), found)
                links, leaves = [], []
                yield position
    if links:
        raise MapRefusedError(
            "no-map-head-last", f"the last entry, {checkpoint.size - 1}, is no map head"
        )
    if position.size != checkpoint.size or position.edge.root() != checkpoint.root:
        raise LogMismatchError(
            f"the entries of {checkpoint.origin} do not lead to the root that it signed at size "
            f"{checkpoint.size}"
        )


def require_map_head(
    source: LogSource, before: MapHead | None, links: Sequence[Link], found: MapHead, index: int
) -> None:
    """Raise MapRefusedError unless `found`, the entry at `index`, is what the links make of
    `before`."""
    if before is None:
        expected = GENESIS
        if index:
            raise MapRefusedError("map-head-false", "entry 0 is not the map head of the empty map")
    else:
        try:
            delta = decode_delta(source.map_delta(index))
            expected = replay(delta, before, links, before.index + 1)
        except MapDeltaError as error:
            raise MapRefusedError("delta", f"map head {index}: {error}") from error
    if found != expected:
        raise MapRefusedError("map-head-false", _difference(index, expected, found))


def _difference(index: int, expected: MapHead, found: MapHead) -> str:
    """The first field that is not as it should be, of two map heads that differ."""
    name = next(
        name
        for name in ("index", "root", "subjects", "ignored", "previous")
        if getattr(expected, name) != getattr(found, name)
    )
    wanted, there = (
        value.hex() if isinstance(value, bytes) else value
        for value in (getattr(expected, name), getattr(found, name))
    )
    return f"map head {index}: expected {name} {wanted}, found {there}"
