"""What a witness states about a checkpoint: C2SP tlog-cosignature 1.0, as pure bytes.

Two kinds of note line. *cosignature/v1* (kind 0x04, Ed25519): signature bytes
``u64 POSIX seconds ‖ 64-byte signature`` over

    cosignature/v1
    time <the same seconds, decimal>
    <the whole checkpoint text with its last newline, extension lines included>

and *subtree/v1* (kind 0x06, ML-DSA-44): ``u64 POSIX seconds ‖ 2,420-byte signature`` (FIPS 204,
empty context) over the bytes that `subtree_message` gives; extension lines are not covered.

Meaning: at this time, the largest consistent tree that the cosigner has seen for this origin has
this root. The message does not name the Ed25519 cosigner, so one key serves exactly one cosigner.
Signature functions are injected; how many cosigners are enough is `merkle.policy`'s matter.

Source: https://c2sp.org/tlog-cosignature (1.0).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from merkle.checkpoint import parse_extended_checkpoint
from merkle.errors import ArgumentError, CheckpointError, CosignatureError
from merkle.hashing import HASH_SIZE
from merkle.note import (
    KIND_COSIGNATURE,
    KIND_MLDSA,
    MAX_NAME_SIZE,
    VerifierKey,
    VerifyFunction,
    key_id,
)

MAX_SECONDS: Final = 2**63 - 1
"""The greatest time that either kind may state."""
TIMESTAMP_SIZE: Final = 8
ED25519_SIGNATURE_SIZE: Final = 64
MLDSA_SIGNATURE_SIZE: Final = 2420

_SUBTREE_LABEL = b"subtree/v1\n\0"


@dataclass(frozen=True, slots=True)
class Cosignature:
    """The signature bytes of a cosigner's line, taken apart; `seconds` since 1970 UTC."""

    seconds: int
    signature: bytes

    def encode(self) -> bytes:
        """``u64 seconds ‖ signature``: what follows the key id in the note line."""
        return _seconds_bytes(self.seconds) + self.signature


def decode_cosignature(data: bytes) -> Cosignature:
    """Take apart the bytes after the key id, of either kind (72 or 2,428 bytes).

    Raises `CosignatureError` for another length or a time above 2^63 − 1.
    """
    size = len(data) - TIMESTAMP_SIZE
    if size not in {ED25519_SIGNATURE_SIZE, MLDSA_SIGNATURE_SIZE}:
        raise CosignatureError(f"cosignature: expected 72 or 2428 bytes, found {len(data)}")
    seconds = int.from_bytes(data[:TIMESTAMP_SIZE], "big")
    if seconds > MAX_SECONDS:
        raise CosignatureError(f"cosignature time {seconds} is above 2^63-1")
    return Cosignature(seconds, data[TIMESTAMP_SIZE:])


def cosignature_message(text: bytes, seconds: int) -> bytes:
    """The bytes that an Ed25519 cosigner signs: two lines, then the checkpoint text as it is."""
    _seconds_bytes(seconds)
    return b"cosignature/v1\ntime %d\n" % seconds + text


def subtree_message(
    cosigner: str, origin: str, root: bytes, *, seconds: int, end: int, start: int = 0
) -> bytes:
    """The bytes that an ML-DSA-44 cosigner signs for leaves ``[start, end)`` with a 32-byte root.

    For a checkpoint start = 0 and end = size; a log that signs its own has cosigner = origin.
    A start other than 0 forces seconds = 0 (no "largest seen" statement is meant). Names are 1..255
    bytes of UTF-8. Raises `ArgumentError` out of range.
    """
    if start and seconds:
        raise ArgumentError(f"a subtree from {start} on carries the time 0, found {seconds}")
    if not 0 <= start <= end < 2**64:
        raise ArgumentError(f"no subtree from {start} to {end}")
    if len(root) != HASH_SIZE:
        raise ArgumentError(f"subtree root: expected 32 bytes, found {len(root)}")
    return b"".join(
        (
            _SUBTREE_LABEL,
            _short_name(cosigner),
            _seconds_bytes(seconds),
            _short_name(origin),
            start.to_bytes(8, "big"),
            end.to_bytes(8, "big"),
            root,
        )
    )


def _seconds_bytes(seconds: int) -> bytes:
    if not 0 <= seconds <= MAX_SECONDS:
        raise ArgumentError(f"cosignature time: expected 0..2^63-1 seconds, found {seconds}")
    return seconds.to_bytes(TIMESTAMP_SIZE, "big")


def _short_name(name: str) -> bytes:
    data = name.encode()
    if not 1 <= len(data) <= MAX_NAME_SIZE:
        raise ArgumentError(f"name {name[:60]!r}: expected 1..{MAX_NAME_SIZE} bytes")
    return bytes([len(data)]) + data


@dataclass(frozen=True, slots=True)
class CosignatureVerifier:
    """A note `Verifier` for cosignature/v1 lines (kind 0x04) around an Ed25519 verify function."""

    key: VerifierKey
    verify_ed25519: VerifyFunction

    def __post_init__(self) -> None:
        if self.key.kind != KIND_COSIGNATURE:
            raise ArgumentError(f"key {self.key.name}: kind 0x{self.key.kind:02x}, expected 0x04")

    @property
    def name(self) -> str:
        """Key name."""
        return self.key.name

    @property
    def key_id(self) -> bytes:
        """Key id, 4 bytes."""
        return self.key.key_id

    def verify(self, text: bytes, signature: bytes) -> bool:
        """See `merkle.note.Verifier.verify`; `signature` starts with the time."""
        if len(signature) != TIMESTAMP_SIZE + ED25519_SIGNATURE_SIZE:
            return False
        try:
            stated = decode_cosignature(signature)
        except CosignatureError:
            return False
        message = cosignature_message(text, stated.seconds)
        return self.verify_ed25519(self.key.public_key, message, stated.signature)


@dataclass(frozen=True, slots=True)
class SubtreeVerifier:
    """A note `Verifier` for ML-DSA-44 lines (kind 0x06) over a whole checkpoint."""

    key: VerifierKey
    verify_mldsa: VerifyFunction

    def __post_init__(self) -> None:
        if self.key.kind != KIND_MLDSA:
            raise ArgumentError(f"key {self.key.name}: kind 0x{self.key.kind:02x}, expected 0x06")

    @property
    def name(self) -> str:
        """Key name."""
        return self.key.name

    @property
    def key_id(self) -> bytes:
        """Key id, 4 bytes."""
        return self.key.key_id

    def verify(self, text: bytes, signature: bytes) -> bool:
        """See `merkle.note.Verifier.verify`; the message is made of the checkpoint in `text`."""
        if len(signature) != TIMESTAMP_SIZE + MLDSA_SIGNATURE_SIZE:
            return False
        try:
            stated = decode_cosignature(signature)
            checkpoint, _ = parse_extended_checkpoint(text.decode("utf-8"))
            message = subtree_message(
                self.key.name,
                checkpoint.origin,
                checkpoint.root,
                seconds=stated.seconds,
                end=checkpoint.size,
            )
        except (CosignatureError, CheckpointError, ArgumentError, UnicodeDecodeError):
            return False
        return self.verify_mldsa(self.key.public_key, message, stated.signature)


@dataclass(frozen=True, slots=True)
class CosignatureSigner:
    """A note `Signer` that cosigns at the clock's time, around an injected Ed25519 sign function.

    `clock` gives POSIX seconds. One key serves exactly one cosigner and is no log's key.
    """

    name: str
    public_key: bytes
    sign_ed25519: Callable[[bytes], bytes]
    clock: Callable[[], int]

    @property
    def key_id(self) -> bytes:
        """Key id, 4 bytes."""
        return key_id(self.name, KIND_COSIGNATURE, self.public_key)

    def sign(self, text: bytes) -> bytes:
        """``u64 seconds ‖ 64-byte signature`` over the checkpoint text."""
        seconds = self.clock()
        return Cosignature(seconds, self.sign_ed25519(cosignature_message(text, seconds))).encode()
