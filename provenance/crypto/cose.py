"""COSE receipts (RFC 9942): that an entry stands in the log, in the form that SCITT readers take.

    18([ << {1: -8, 395: 1} >>,                      protected: EdDSA; tree of RFC 9162, SHA-256
         {396: {-1: [ << [size, index, [path…]] >> ]}},    unprotected: one inclusion proof
         nil,                                        detached payload: the 32-byte root
         signature ])

Signed are the bytes of ``["Signature1", protected, h'', root]`` (RFC 9052 section 4.4). Only the
root is signed, not index or size: those are bound as far as the path's shape binds them (leaf 1 has
the same path in trees of 5 to 8 leaves with that root). A receipt proves inclusion and nothing
else: no origin, no time, no quorum of witnesses, no completeness. For those there is the tlog-proof
of :mod:`merkle.receipt`.

Rules of ours: definite lengths and the shortest form of every number (RFC 8949 section 4.2.1), both
ways: a receipt that is spelt otherwise is refused, so that one claim has one receipt. The grammar
asks for at least one hash in the path, so a tree of one leaf has no receipt. The algorithm is −8
(EdDSA), which RFC 9864 replaces by −19; readers at large know only the old number so far.

The key is apart from the one that signs checkpoints (a signature over CBOR must never be one over
text), and is published as a note under that one: :func:`receipt_key_note`.

Sources: RFC 9942 (fields read in the working group's last drafts), RFC 9052, RFC 9053, RFC 8949.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import cbor2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)

from merkle.errors import MerkleError
from merkle.hashing import HASH_SIZE
from merkle.note import Verifier, open_note, sign_note
from merkle.proofs import root_from_inclusion
from provenance.crypto.errors import CryptoError
from provenance.crypto.signing import NoteSigner, PrivateKey, PublicKey

MAX_RECEIPT_BYTES: Final = 4_096
"""A path of 63 hashes takes 2.2 kB; whoever sends more sends something else."""

_TAG: Final = 18
_ALGORITHM: Final = 1
_EDDSA: Final = -8
_STRUCTURE: Final = 395
_RFC9162_SHA256: Final = 1
_PROOFS: Final = 396
_INCLUSION: Final = -1
_MOST_HASHES: Final = 63
_KEY_HEADER: Final = "prov/receipt-key/v1"


class CoseReceiptError(CryptoError):
    """Bytes that are no receipt of ours, or one that proves nothing about the leaf."""


@dataclass(frozen=True, slots=True)
class CoseReceipt:
    """The parts of a receipt: place, tree size, path (32-byte hashes, leaf's sibling first)."""

    size: int
    index: int
    path: tuple[bytes, ...]
    signature: bytes

    def encode(self) -> bytes:
        """The receipt's bytes."""
        proof = cbor2.dumps([self.size, self.index, list(self.path)], canonical=True)
        parts = [_PROTECTED, {_PROOFS: {_INCLUSION: [proof]}}, None, self.signature]
        return cbor2.dumps(cbor2.CBORTag(_TAG, parts), canonical=True)

    def verify(self, leaf: bytes, key: PublicKey) -> bytes:
        """The root that `key` signed and under which the leaf hash stands; CoseReceiptError."""
        try:
            root = root_from_inclusion(leaf, self.index, self.size, self.path)
        except MerkleError as error:
            raise CoseReceiptError(f"the receipt's path is wrong: {error}") from error
        try:
            key.verify(_signed_bytes(root), self.signature)
        except CryptoError as error:
            raise CoseReceiptError(
                "the receipt is not of this leaf, or not signed by this key"
            ) from error
        return root


_PROTECTED: Final = cbor2.dumps({_ALGORITHM: _EDDSA, _STRUCTURE: _RFC9162_SHA256}, canonical=True)


def sign_receipt(
    key: PrivateKey, *, size: int, index: int, path: Sequence[bytes], root: bytes
) -> CoseReceipt:
    """A receipt for the leaf at `index` of the tree of `size` with that root (32 bytes).

    Raises CoseReceiptError for a tree of one leaf, which has no path.
    """
    if not path:
        raise CoseReceiptError(
            "a tree of one leaf has no COSE receipt: its path is empty, and RFC 9942 asks for at "
            "least one hash; wait for the next checkpoint, or take the tlog-proof"
        )
    return CoseReceipt(size, index, tuple(path), key.sign(_signed_bytes(root)))


def decode_receipt(data: bytes) -> CoseReceipt:
    """Read a receipt's form; judges nothing. Raises CoseReceiptError."""
    if len(data) > MAX_RECEIPT_BYTES:
        raise CoseReceiptError(f"a receipt has at most {MAX_RECEIPT_BYTES} bytes, not {len(data)}")
    try:
        receipt = _read(cbor2.loads(data))
    except (cbor2.CBORDecodeError, ValueError, TypeError, LookupError, RecursionError) as error:
        raise CoseReceiptError(f"not a COSE receipt of an RFC 9162 tree: {error}") from error
    if receipt.encode() != data:
        raise CoseReceiptError("the receipt's CBOR is not in the shortest form, or has more in it")
    return receipt


def _read(value: Any) -> CoseReceipt:
    """The parts of decoded CBOR; what is looked over here, the comparison of the bytes catches."""
    if not isinstance(value, cbor2.CBORTag) or value.tag != _TAG:
        raise ValueError(f"expected CBOR tag {_TAG}")
    _, unprotected, _, signature = value.value
    (proof,) = unprotected[_PROOFS][_INCLUSION]
    size, index, path = cbor2.loads(proof)
    if not _is_count(size) or not _is_count(index):
        raise ValueError("size and index are numbers from 0 to 2^53 - 1")
    if not 1 <= len(path) <= _MOST_HASHES or not all(_is_hash(step) for step in path):
        raise ValueError(f"the path is 1..{_MOST_HASHES} hashes of {HASH_SIZE} bytes")
    if not isinstance(signature, bytes):
        raise TypeError("the signature is a byte string")
    return CoseReceipt(size, index, tuple(path), signature)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53


def _is_hash(value: Any) -> bool:
    return isinstance(value, bytes) and len(value) == HASH_SIZE


def _signed_bytes(root: bytes) -> bytes:
    return cbor2.dumps(["Signature1", _PROTECTED, b"", root], canonical=True)


# --- the key --------------------------------------------------------------------------------------


def format_pem(key: PublicKey) -> str:
    """The key as SubjectPublicKeyInfo in PEM, what COSE tools take."""
    public = Ed25519PublicKey.from_public_bytes(key.raw)
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")


def parse_pem(text: str) -> PublicKey:
    """An admitted Ed25519 key of PEM text; raises CoseReceiptError, InadmissibleKeyError."""
    try:
        key = load_pem_public_key(text.encode())
    except ValueError as error:
        raise CoseReceiptError("not a public key in PEM") from error
    if not isinstance(key, Ed25519PublicKey):
        raise CoseReceiptError("the key is not an Ed25519 key")
    return PublicKey.admit(key.public_bytes_raw())


def receipt_key_note(signer: NoteSigner, key: PublicKey) -> bytes:
    """The log's signed word that `key` signs its COSE receipts.

    Text: ``prov/receipt-key/v1``, the origin, then the key in PEM, a line each.
    """
    return sign_note(f"{_KEY_HEADER}\n{signer.name}\n{format_pem(key)}", [signer])


def read_receipt_key(data: bytes, origin: str, verifiers: Sequence[Verifier]) -> PublicKey:
    """The receipt key that the log `origin` names in a note; raises CoseReceiptError.

    `verifiers` are those of the log's keys; one good line is enough.
    """
    try:
        text = open_note(data, verifiers).text
    except MerkleError as error:
        raise CoseReceiptError(f"the receipt key is not signed by the log: {error}") from error
    header, _, rest = text.partition("\n")
    name, _, pem = rest.partition("\n")
    if header != _KEY_HEADER or name != origin:
        raise CoseReceiptError(f"the note does not name the receipt key of {origin}")
    return parse_pem(pem)
