"""Ed25519 keys and signatures under one strict rule, and the files that keep a private key.

A public key exists as a :class:`PublicKey` only after it was admitted: 32 bytes, canonical (the low
255 bits, little-endian, are below p), on the curve, not of small order, in the prime-order
subgroup. A signature holds only if it is 64 bytes, S < ℓ, R is canonical and not of small order,
and the equation without cofactor is true. libsodium (PyNaCl) judges keys and verifies: half as dear
as OpenSSL, and without the interpreter's lock; OpenSSL (cryptography) signs. The guards here stand
before either, so that the rule does not rest on what a version of a library lets pass; a test holds
both libraries to the same answers.
``static/js/verify/ed25519.js`` follows the same rule; verdicts of two verifiers that do not share
it must never be compared.

Sources: RFC 8032 §5.1.7 (verification; the cofactorless choice is allowed there), FIPS 186-5 §7.7.
Key text: ``provenance.domain.multibase``. Notes: ``merkle.note``, ``merkle.cosignature``.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from nacl.bindings import crypto_core_ed25519_is_valid_point, crypto_sign_open
from nacl.exceptions import BadSignatureError

from merkle.cosignature import Cosignature, CosignatureVerifier, cosignature_message
from merkle.note import (
    KIND_COSIGNATURE,
    KIND_ED25519,
    Ed25519Verifier,
    NoteSignature,
    Verifier,
    VerifierKey,
)
from provenance.crypto.errors import (
    CryptoError,
    InadmissibleKeyError,
    KeyFileError,
    SignatureError,
)
from provenance.crypto.keyfiles import read_key_file, write_key_file
from provenance.crypto.small_order import ORDER, SMALL_ORDER_SPELLINGS, P, is_on_curve
from provenance.domain.multibase import (
    PRIVATE_PREFIX,
    MultibaseError,
    format_multikey,
    parse_multikey,
)

KEY_SIZE: Final = 32
SIGNATURE_SIZE: Final = 64
_LOW_255: Final = (1 << 255) - 1

__all__ = [
    "Cosigner",
    "CryptoError",
    "InadmissibleKeyError",
    "KeyFileError",
    "NoteSigner",
    "PrivateKey",
    "PublicKey",
    "SignatureError",
    "load_key",
    "note_verifier",
    "save_key",
    "verify_ed25519",
]


class PublicKey:
    """An admitted Ed25519 public key; equal to another exactly if their 32 bytes are equal."""

    __slots__ = ("raw",)

    def __init__(self, raw: bytes) -> None:
        """Same as :meth:`admit`, so that no key can exist that was not judged."""
        require_admissible(raw)
        self.raw: Final = raw

    @classmethod
    def admit(cls, raw: bytes) -> PublicKey:
        """The key of 32 bytes; raises InadmissibleKeyError with the rule that it breaks."""
        return _admitted(bytes(raw))

    @classmethod
    def from_multikey(cls, text: str) -> PublicKey:
        """The key of ``z6Mk…``; raises InadmissibleKeyError for a wrong form or a wrong point."""
        try:
            return cls.admit(parse_multikey(text))
        except MultibaseError as error:
            raise InadmissibleKeyError(str(error)) from error

    @property
    def multikey(self) -> str:
        """``z`` + base58btc(0xed01 ‖ 32 bytes)."""
        return format_multikey(self.raw)

    def verify(self, message: bytes, signature: bytes) -> None:
        """Nothing, if the 64 bytes are this key's signature of `message`; else SignatureError."""
        require_strict_form(signature)
        try:
            crypto_sign_open(signature + message, self.raw)
        except BadSignatureError as error:
            raise SignatureError(
                f"the signature does not fit this message under the key {self.multikey}"
            ) from error

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PublicKey) and other.raw == self.raw

    def __hash__(self) -> int:
        return hash(self.raw)

    def __repr__(self) -> str:
        return f"PublicKey({self.multikey})"


class PrivateKey:
    """An Ed25519 private key: a 32-byte seed. Its text and repr never show the seed."""

    __slots__ = ("_key", "public", "seed")

    def __init__(self, seed: bytes) -> None:
        if len(seed) != KEY_SIZE:
            raise KeyFileError(f"an Ed25519 seed is {KEY_SIZE} bytes, not {len(seed)}")
        self.seed: Final = seed
        self._key: Final = Ed25519PrivateKey.from_private_bytes(seed)
        self.public: Final = PublicKey.admit(self._key.public_key().public_bytes_raw())

    @classmethod
    def generate(cls, random: Callable[[int], bytes] = secrets.token_bytes) -> PrivateKey:
        """A new key from the system's generator (or from `random(count)` in a test)."""
        return cls(random(KEY_SIZE))

    @classmethod
    def from_seed(cls, seed: bytes) -> PrivateKey:
        """The key of 32 secret bytes (RFC 8032 §5.1.5); raises KeyFileError for another length."""
        return cls(seed)

    def sign(self, message: bytes) -> bytes:
        """64 bytes; the same message always gives the same signature (RFC 8032 §5.1.6)."""
        return self._key.sign(message)

    def __repr__(self) -> str:
        return f"PrivateKey(of {self.public.multikey})"


def require_admissible(raw: bytes) -> None:
    """Nothing if 32 bytes may stand as a public key; raises InadmissibleKeyError naming the rule.

    libsodium's answer decides; the other tests come first only to give the reason. Cost: about
    50 µs, so admitted keys are cached by :func:`verify_ed25519` and :meth:`PublicKey.admit`.
    """
    if len(raw) != KEY_SIZE:
        raise InadmissibleKeyError(f"an Ed25519 public key is {KEY_SIZE} bytes, not {len(raw)}")
    if raw in SMALL_ORDER_SPELLINGS:
        raise InadmissibleKeyError(
            f"the key {raw.hex()} is a point of small order: anybody can sign for it"
        )
    if int.from_bytes(raw, "little") & _LOW_255 >= P:
        raise InadmissibleKeyError(f"the key {raw.hex()} is not canonical: y is not below p")
    if not crypto_core_ed25519_is_valid_point(raw):
        raise InadmissibleKeyError(f"the key {raw.hex()} is {_why_invalid(raw)}")


def _why_invalid(raw: bytes) -> str:
    if is_on_curve(int.from_bytes(raw, "little") & _LOW_255):
        return "outside the prime-order subgroup"
    return "no point of the curve"


def require_strict_form(signature: bytes) -> None:
    """Nothing if 64 bytes can be a signature at all; raises SignatureError naming the rule."""
    if len(signature) != SIGNATURE_SIZE:
        raise SignatureError(f"an Ed25519 signature is 64 bytes, not {len(signature)}")
    point, scalar = signature[:32], signature[32:]
    if point in SMALL_ORDER_SPELLINGS:
        raise SignatureError("R is a point of small order")
    if int.from_bytes(point, "little") & _LOW_255 >= P:
        raise SignatureError("R is not canonical: y is not below p")
    # RFC 8032 §5.1.7 step 1: S in [0, ℓ), or the same signature would have several spellings.
    if int.from_bytes(scalar, "little") >= ORDER:
        raise SignatureError("S is not below the group order")


@lru_cache(maxsize=4096)
def _admitted(raw: bytes) -> PublicKey:
    return PublicKey(raw)


def verify_ed25519(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether an admissible key signed `message`; the plain question that `merkle` asks of us.

    False for an inadmissible key as well. Judging a key is remembered for the last 4,096 keys.
    """
    try:
        PublicKey.admit(public_key).verify(message, signature)
    except CryptoError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class NoteSigner:
    """Signs C2SP notes (the log's checkpoints) as `name`: a ``merkle.note.Signer``, kind 0x01."""

    name: str
    key: PrivateKey

    @property
    def vkey(self) -> VerifierKey:
        """The public half; its ``format()`` is what readers pin."""
        return VerifierKey.make(self.name, KIND_ED25519, self.key.public.raw)

    @property
    def key_id(self) -> bytes:
        """4 bytes that name the key in a note line."""
        return self.vkey.key_id

    def sign(self, text: bytes) -> bytes:
        """The 64 bytes over a note's text with its last newline."""
        return self.key.sign(text)


@dataclass(frozen=True, slots=True)
class Cosigner:
    """Cosigns checkpoints with a time (C2SP tlog-cosignature v1, kind 0x04).

    The message does not name the cosigner, so `key` must serve this name and nothing else: in
    particular it is never the log's own key.
    """

    name: str
    key: PrivateKey

    @property
    def vkey(self) -> VerifierKey:
        """The public half; its ``format()`` is what a policy lists."""
        return VerifierKey.make(self.name, KIND_COSIGNATURE, self.key.public.raw)

    def cosign(self, text: bytes, seconds: int) -> NoteSignature:
        """The note line over a checkpoint's text (with its last newline) at POSIX `seconds`."""
        signature = self.key.sign(cosignature_message(text, seconds))
        return NoteSignature(self.name, self.vkey.key_id, Cosignature(seconds, signature).encode())


def note_verifier(vkey: VerifierKey) -> Verifier:
    """A ``merkle.note.Verifier`` under the strict rule for an Ed25519 key of either kind.

    Raises InadmissibleKeyError for a key that may not stand, and for a kind that is not Ed25519.
    """
    if vkey.kind not in (KIND_ED25519, KIND_COSIGNATURE):
        raise InadmissibleKeyError(f"key {vkey.name}: kind 0x{vkey.kind:02x} is not Ed25519")
    PublicKey.admit(vkey.public_key)
    if vkey.kind == KIND_ED25519:
        return Ed25519Verifier(vkey, verify_ed25519)
    return CosignatureVerifier(vkey, verify_ed25519)


def save_key(path: Path, key: PrivateKey) -> None:
    """Write `key` as one line of multibase text (0x8026 prefix), readable by the owner alone.

    See :func:`provenance.crypto.keyfiles.write_key_file`; raises KeyFileError.
    """
    write_key_file(path, PRIVATE_PREFIX, key.seed)


def load_key(path: Path) -> PrivateKey:
    """The private key of a file that :func:`save_key` wrote.

    See :func:`provenance.crypto.keyfiles.read_key_file`; raises KeyFileError.
    """
    return PrivateKey(read_key_file(path, PRIVATE_PREFIX, KEY_SIZE, "an Ed25519 private key"))
