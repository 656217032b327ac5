"""Map deltas: what a witness needs to check one step of the map without holding the map.

Beside every map head of the log stands a static file, ``map/delta/<N>`` (N the head's log index,
written as tile indexes are: ``000``, ``x001/234``), that never changes:

    prov/map-delta/v1\\n
    u64 index of the map head ‖ u32 n
    n × (key 32 ‖ u64 count ‖ head link hash 32 ‖ u64 head index ‖ popcount(count) × 32 edge hashes)
    transition proof, to the end (merkle.keymap)

The n states are those that the subjects of the batch had *before* it, in rising order of keys:
every subject that a link of the batch names, ignored links included, and that the map then held.
The edge is that of the subject's own tree, biggest subtree first. The transition proof is for all
keys that the batch's links name. The delta of entry 0 is the empty one.

Nothing in a delta is believed. The old map root, which its reader already trusts, authenticates the
proof; the proof gives each subject's old map value or its absence; that value authenticates the
old state; and the rest is computed by `ledger.apply_link`, as we computed it. So :func:`replay` has
one possible outcome, and a link that was left out or a value that was changed gives another map
head than the log's.

Left to others: where the files lie, and whether the links are those of the log.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from merkle.errors import MapProofError, TilePathError
from merkle.hashing import EMPTY_ROOT, HASH_SIZE
from merkle.keymap import PartialMap
from merkle.mapnode import KEY_SIZE
from merkle.tiles import format_index
from merkle.tree import Edge
from provenance.domain.chain import Link
from provenance.domain.errors import DomainError
from provenance.domain.ledger import MapHead, SubjectState, apply_link
from provenance.domain.wire import MAX_INTEGER

DELTA_PREFIX: Final = "map/delta/"
"""What the path of every delta begins with, and no tile's."""

_MAGIC: Final = b"prov/map-delta/v1\n"
_FRAME: Final = struct.Struct(">QI")
_STATE: Final = struct.Struct(f">{KEY_SIZE}sQ{HASH_SIZE}sQ")
_PATH: Final = re.compile(rf"{DELTA_PREFIX}((?:x[0-9]{{3}}/){{0,6}}[0-9]{{3}})")


class MapDeltaError(DomainError):
    """A delta that does not explain the step of the map that it is for.

    `reason`: ``malformed`` (the bytes), ``index`` (of another step), ``transition`` (its proof is
    not one of the old map for exactly the keys of the links), ``state-missing`` (of a subject that
    the old map holds), ``state-extra`` (of one that no link names or the old map does not hold),
    ``state-false`` (not what the old map holds).
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"map delta: {detail}")
        self.reason = reason


def delta_path(index: int) -> str:
    """Path of the delta of the map head at log index `index`, below the log's prefix."""
    return DELTA_PREFIX + format_index(index)


def parse_delta_path(text: str) -> int:
    """The log index that a delta's path names, spelt in the one allowed way; else TilePathError."""
    match = _PATH.fullmatch(text)
    index = int(match[1].replace("x", "").replace("/", "")) if match else 0
    if match is None or index > MAX_INTEGER or delta_path(index) != text:
        raise TilePathError(f"{text[:100]!r} is no path of a map delta such as map/delta/x001/234")
    return index


@dataclass(frozen=True, slots=True)
class MapDelta:
    """One delta; see the module text. `index` is that of the map head, `states` are the old ones.

    Keys are 32 bytes, each state's `index` is below `index`.
    """

    index: int
    states: Mapping[bytes, SubjectState]
    transition: bytes

    def encode(self) -> bytes:
        """The file's bytes."""
        parts = [_MAGIC, _FRAME.pack(self.index, len(self.states))]
        for key, state in sorted(self.states.items()):
            parts += (_STATE.pack(key, state.count, state.head, state.index), state.edge.encode())
        return b"".join((*parts, self.transition))


def decode_delta(data: bytes) -> MapDelta:
    """The delta of a file's bytes; exact inverse of `MapDelta.encode`.

    Raises MapDeltaError (``malformed``) for any other bytes. Only the form is judged, the proof's
    not even that.
    """
    start = len(_MAGIC) + _FRAME.size
    if not data.startswith(_MAGIC) or len(data) < start:
        raise MapDeltaError("malformed", f"expected {_MAGIC!r} and 12 bytes, found {data[:40]!r}")
    index, number = _FRAME.unpack_from(data, len(_MAGIC))
    if index > MAX_INTEGER:
        raise MapDeltaError("malformed", f"index of the map head above {MAX_INTEGER}: {index}")
    states: dict[bytes, SubjectState] = {}
    last = b""
    for _ in range(number):
        key, state, start = _decode_state(data, start, index)
        if key <= last:
            raise MapDeltaError("malformed", f"the key {key.hex()} does not stand in rising order")
        states[key] = state
        last = key
    return MapDelta(index, states, data[start:])


def _decode_state(data: bytes, start: int, limit: int) -> tuple[bytes, SubjectState, int]:
    """Key and state at `start`, and where the next one begins; log indexes are below `limit`."""
    end = start + _STATE.size
    if end > len(data):
        raise MapDeltaError("malformed", "the bytes end inside a state")
    key, count, head, index = _STATE.unpack_from(data, start)
    if not 1 <= count <= limit or not index < limit:
        raise MapDeltaError(
            "malformed", f"count {count} or head index {index} of {key.hex()} is not below {limit}"
        )
    start, end = end, end + HASH_SIZE * count.bit_count()
    if end > len(data):
        raise MapDeltaError("malformed", "the bytes end inside an edge")
    return key, SubjectState(count, head, Edge.decode(count, data[start:end]), index), end


def replay(delta: MapDelta, before: MapHead | None, links: Sequence[Link], start: int) -> MapHead:
    """The map head that must follow `links`, which stand in the log from index `start` on.

    `before` is the map head before them, trusted already; None for the empty log. Whoever calls
    compares the result with the log's own entry. Raises MapDeltaError.
    """
    if delta.index != start + len(links):
        raise MapDeltaError(
            "index", f"of the map head at {delta.index}, expected {start + len(links)}"
        )
    keys = {link.key for link in links}
    old = EMPTY_ROOT if before is None else before.root
    try:
        partial = PartialMap.read(old, keys, delta.transition)
    except MapProofError as error:
        raise MapDeltaError("transition", str(error)) from error
    _require_states(delta.states, keys, partial)
    ignored = _apply(delta.states, links, start, partial)
    return MapHead(
        index=delta.index,
        root=partial.root(),
        subjects=(0 if before is None else before.subjects) + partial.added,
        ignored=(0 if before is None else before.ignored) + ignored,
        previous=None if before is None else before.index,
    )


def _require_states(
    states: Mapping[bytes, SubjectState], keys: set[bytes], partial: PartialMap
) -> None:
    """The states given are exactly those that the old map holds of `keys`."""
    for key in states.keys() - keys:
        raise MapDeltaError("state-extra", f"no link of the batch names the subject {key.hex()}")
    for key in keys:
        value = partial.get(key)
        state = states.get(key)
        if state is None:
            if value is not None:
                raise MapDeltaError("state-missing", f"no state of the subject {key.hex()}")
        elif value is None:
            raise MapDeltaError("state-extra", f"the old map has no subject {key.hex()}")
        elif state.value != value:
            raise MapDeltaError("state-false", f"the old map has another state of {key.hex()}")


def _apply(
    states: Mapping[bytes, SubjectState], links: Sequence[Link], start: int, partial: PartialMap
) -> int:
    """Set in `partial` what the links make of the states; how many of them changed nothing."""
    touched: dict[bytes, SubjectState] = {}
    ignored = 0
    for index, link in enumerate(links, start):
        state = apply_link(touched.get(link.key) or states.get(link.key), link, index)
        if state is None:
            ignored += 1
        else:
            touched[link.key] = state
    partial.update((key, state.value) for key, state in touched.items())
    return ignored
