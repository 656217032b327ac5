"""A seal: one party's one signature over a batch of events. An event's own proof is a seal of one.

One line of JSON, canonical bytes (docs/formats.md section 4):

    {"created":"2026-11-23T15:00:00Z","nonce":"<base64, 16 bytes>","origin":"<log origin>",
     "party":"<URI>","proof":{…},"root":"<base64>","size":2,"type":"prov:Seal","v":1}

`root` is the RFC 9162 root over the event hashes as leaf hashes, `size` their number. The seal's
hash is the leaf hash of its canonical bytes, proof included; it goes into every link, so a seal
cannot be exchanged for another over the same events. ``origin`` binds it to one log: it cannot be
replayed to a second one. An event with its own ``proof`` is its own seal, and its event hash its
seal hash.

Only the form is judged here. Signature: ``provenance.crypto.integrity``. Key and role at ledger
time: ``provenance.domain.party``. Root against events: whoever has the events.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from merkle.hashing import leaf_hash
from provenance.domain import canonical, wire
from provenance.domain.canonical import MAX_SEAL_BYTES, encode_base64
from provenance.domain.errors import MalformedInputError
from provenance.domain.proof import Proof, read_proof
from provenance.domain.wire import FormError

SEAL_TYPE: Final = "prov:Seal"
MAX_EVENTS: Final = 10_000
NONCE_SIZE: Final = 16

OwnProof = Proof  # an event's own proof has a domain; `own_proof` sees to it

_MEMBERS: Final = frozenset(
    {"created", "nonce", "origin", "party", "proof", "root", "size", "type", "v"}
)


class MalformedSealError(MalformedInputError):
    """A line that says it is a seal and is not of the form of docs/formats.md section 4."""

    def __init__(self, member: str, expected: str, found: str) -> None:
        super().__init__(
            "seal-malformed",
            "the seal is not of its form",
            path=f"$.{member}" if member else "$",
            expected=expected,
            found=found,
            remedy="make the seal with `provenance seal`, or follow docs/formats.md section 4",
        )


@dataclass(frozen=True, slots=True)
class Seal:
    """A seal of the right form, its signature not yet judged.

    `canonical` are the bytes that are stored and hashed, `hash` their leaf hash, `key` the signer's
    multikey (text, not yet judged), `size` the number of events, `root` 32 bytes.
    """

    document: Mapping[str, Any]
    canonical: bytes
    hash: bytes
    origin: str
    party: str
    key: str
    size: int
    root: bytes
    created: str
    proof: Proof


def is_seal(document: object) -> bool:
    """Whether a parsed line means to be a seal: its ``type`` says so. Its form is not judged."""
    return isinstance(document, dict) and document.get("type") == SEAL_TYPE


def parse_seal(line: bytes) -> Seal:
    """The seal of one line of JSON (at most 8,192 bytes).

    The line need not be canonical; what is kept is. Raises MalformedJsonError (section 1 of
    docs/formats.md) or MalformedSealError.
    """
    return read_seal(canonical.parse(line, max_bytes=MAX_SEAL_BYTES))


def read_seal(document: object) -> Seal:
    """The seal of a parsed document; raises MalformedSealError naming the member."""
    try:
        return _read(document)
    except FormError as error:
        raise MalformedSealError(error.member, error.expected, error.found) from error


def _read(document: object) -> Seal:
    members = wire.read_object(document, _MEMBERS)
    wire.read_constant(members, "type", SEAL_TYPE)
    wire.read_constant(members, "v", 1)
    wire.read_bytes(members, "nonce", NONCE_SIZE)
    # A seal's proof has neither domain (`origin` binds it) nor @context (the seal has none).
    proof = _read_proof(members["proof"], party=wire.read_string(members, "party"))
    data = canonical.encode(document)
    if len(data) > MAX_SEAL_BYTES:
        raise FormError("", f"at most {MAX_SEAL_BYTES} canonical bytes", f"{len(data)} bytes")
    return Seal(
        document=members,
        canonical=data,
        hash=leaf_hash(data),
        origin=wire.read_string(members, "origin"),
        party=proof.party,
        key=proof.multikey,
        size=wire.read_integer(members, "size", 1, MAX_EVENTS),
        root=wire.read_bytes(members, "root"),
        created=wire.read_seconds(members, "created"),
        proof=proof,
    )


def _read_proof(value: object, **rules: Any) -> Proof:
    """`proof.read_proof`, its error naming the place in the document that carries the proof."""
    try:
        return read_proof(value, **rules)
    except FormError as error:
        member = f"proof.{error.member}" if error.member else "proof"
        raise FormError(member, error.expected, error.found) from error


def new_seal(
    *, origin: str, party: str, size: int, root: bytes, created: str, nonce: bytes
) -> dict[str, Any]:
    """The unsigned document; ``integrity.add_proof`` makes it a seal.

    `root` is 32 bytes over `size` event hashes, `nonce` 16 random bytes, `created` RFC 3339 text.
    """
    return {
        "type": SEAL_TYPE,
        "v": 1,
        "origin": origin,
        "party": party,
        "size": size,
        "root": encode_base64(root),
        "created": created,
        "nonce": encode_base64(nonce),
    }


def own_proof(document: Mapping[str, Any]) -> OwnProof | None:
    """The proof that an event carries itself, or None if it has no ``proof`` member.

    Raises FormError (its `member` starts with ``proof``) for another form, without a ``domain``, or
    without exactly the event's ``@context``.
    """
    if "proof" not in document:
        return None
    value = document["proof"]
    proof = _read_proof(value, further=("domain", "@context"))
    ours, theirs = document.get("@context"), value["@context"]
    # Canonical bytes, not ==: Python holds True equal to 1.
    if ours is None or canonical.encode(ours) != canonical.encode(theirs):
        raise FormError("proof.@context", "exactly the event's @context", theirs)
    return proof
