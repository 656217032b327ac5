"""One line of the list of seals: who sealed which links of the log (docs/formats.md section 14).

    {"index":1,"leaves":"<base64, 32 bytes an event>"|null,"links":1,"seal":{…}|null}

Canonical JSON. `index` is the log index of the upload's first link, `links` how many follow one
another from there; `leaves` are the event hashes over which the seal's root was made. Seal and
leaves are null where the events carry their own proofs.

Form only, and of the seal not even that: `seal.read_seal` judges it, and whoever reads such a line
holds it against the log.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from merkle.hashing import HASH_SIZE
from provenance.domain import canonical, wire
from provenance.domain.canonical import (
    MAX_SEAL_BYTES,
    Base64Error,
    MalformedJsonError,
    decode_base64,
    encode_base64,
)
from provenance.domain.errors import DomainError
from provenance.domain.seal import MAX_EVENTS
from provenance.domain.wire import MAX_INTEGER, FormError

MAX_LINE_BYTES: Final = MAX_SEAL_BYTES + MAX_EVENTS * HASH_SIZE * 4 // 3 + 256
"""The seal, the leaves in base64, and the rest."""

_MEMBERS: Final = frozenset({"index", "leaves", "links", "seal"})


class MalformedSealLineError(DomainError):
    """Bytes that are no line of the list of seals."""


@dataclass(frozen=True, slots=True)
class SealLine:
    """One upload: log index of its first link, number of links, seal's canonical bytes, leaves.

    `seal` and `leaves` are both there or both None; leaves are joined, 32 bytes an event.
    """

    index: int
    links: int
    seal: bytes | None
    leaves: bytes | None

    def encode(self) -> bytes:
        """The line with its newline; the seal goes in as it is."""
        leaves = "null" if self.leaves is None else f'"{encode_base64(self.leaves)}"'
        head = f'{{"index":{self.index},"leaves":{leaves},"links":{self.links},"seal":'
        return head.encode("ascii") + (self.seal or b"null") + b"}\n"


def decode_seal_line(data: bytes) -> SealLine:
    """The line without its newline; raises MalformedSealLineError."""
    try:
        return _read(wire.read_object(canonical.parse(data, max_bytes=MAX_LINE_BYTES), _MEMBERS))
    except (MalformedJsonError, FormError, Base64Error) as error:
        raise MalformedSealLineError(f"no line of the list of seals: {error}") from error


def _read(members: Mapping[str, Any]) -> SealLine:
    seal, leaves = members["seal"], members["leaves"]
    if (seal is None) != (leaves is None):
        raise FormError("leaves", "leaves exactly where there is a seal", leaves)
    if seal is not None and not isinstance(seal, dict):
        raise FormError("seal", "an object or null", seal)
    hashes = None if leaves is None else decode_base64(wire.read_string(members, "leaves"))
    if hashes is not None and (not hashes or len(hashes) % HASH_SIZE):
        raise FormError("leaves", "whole hashes of 32 bytes, one at least", f"{len(hashes)} bytes")
    return SealLine(
        index=wire.read_integer(members, "index", 1, MAX_INTEGER),
        links=wire.read_integer(members, "links", 1, MAX_INTEGER),
        seal=None if seal is None else canonical.encode(seal),
        leaves=hashes,
    )
