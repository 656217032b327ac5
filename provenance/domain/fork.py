"""Evidence that a log has forked: two states of one log, both signed by it, that cannot both be.

    {"v":1,"type":"prov:ForkEvidence","origin":…,"first":"<signed note>","second":"<signed note>",
     "root":null|"<base64>","proof":["<base64>",…]}

``first`` is the checkpoint of the smaller size (or of the same), ``second`` that of the larger.

- Same size: the roots differ. ``root`` is null, ``proof`` empty.
- Else ``proof`` shows that the tree of ``second`` begins with a tree of ``first``'s size whose root
  is ``root``; and that is not the root that ``first`` signed.

So a reader needs nothing but the log's key to see it, and no server. The canonical bytes are the
evidence; `ForkEvidence.hash` names it, the same for everybody who finds the same pair.

Form only: whether the log signed both, and whether they conflict, is for
``provenance.verify.forks``. Source: docs/formats.md section 8. Twin: ``static/js/verify/forks.js``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from merkle.hashing import leaf_hash
from provenance.domain import canonical, wire
from provenance.domain.canonical import (
    Base64Error,
    MalformedJsonError,
    decode_base64,
    encode_base64,
)
from provenance.domain.errors import DomainError
from provenance.domain.wire import FormError

FORK_TYPE: Final = "prov:ForkEvidence"
MAX_FORK_BYTES: Final = 65_536
"""Room for two notes with ten post-quantum lines each, and for the longest proof."""

_MEMBERS: Final = frozenset({"v", "type", "origin", "first", "second", "root", "proof"})


class MalformedForkError(DomainError):
    """Bytes or values that are no fork evidence."""


@dataclass(frozen=True, slots=True)
class ForkEvidence:
    """Two signed notes of the log `origin`; `root` 32 bytes or None, `proof` 32-byte hashes."""

    origin: str
    first: str
    second: str
    root: bytes | None = None
    proof: tuple[bytes, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The evidence as JSON values."""
        return {
            "v": 1,
            "type": FORK_TYPE,
            "origin": self.origin,
            "first": self.first,
            "second": self.second,
            "root": None if self.root is None else encode_base64(self.root),
            "proof": [encode_base64(value) for value in self.proof],
        }

    def encode(self) -> bytes:
        """Canonical bytes."""
        return canonical.encode(self.to_json())

    @property
    def hash(self) -> bytes:
        """What names this evidence, 32 bytes."""
        return leaf_hash(self.encode())


def parse_fork(data: bytes) -> ForkEvidence:
    """Evidence of its bytes, canonical or not; raises MalformedForkError."""
    try:
        value = canonical.parse(data, max_bytes=MAX_FORK_BYTES)
    except MalformedJsonError as error:
        raise MalformedForkError(f"fork evidence: {error}") from error
    try:
        return read_fork(value)
    except (FormError, Base64Error) as error:
        raise MalformedForkError(f"fork evidence: {error}") from error


def read_fork(value: Any) -> ForkEvidence:
    """Evidence of a JSON value; raises wire.FormError or canonical.Base64Error."""
    members = wire.read_object(value, _MEMBERS)
    wire.read_constant(members, "v", 1)
    wire.read_constant(members, "type", FORK_TYPE)
    return ForkEvidence(
        origin=wire.read_string(members, "origin"),
        first=wire.read_string(members, "first"),
        second=wire.read_string(members, "second"),
        root=None if members["root"] is None else wire.read_bytes(members, "root"),
        proof=_read_proof(members),
    )


def _read_proof(members: Mapping[str, Any]) -> tuple[bytes, ...]:
    proof = members["proof"]
    if not isinstance(proof, list):
        raise FormError("proof", "an array of hashes", proof)
    return tuple(decode_base64(text, wire.HASH_SIZE) for text in proof)
