"""ML-DSA-44 (FIPS 204): signatures that a quantum computer does not forge, beside Ed25519.

Used for lines of kind 0x06 in signed notes (C2SP tlog-cosignature). Pure ML-DSA with the empty
context; a key is 1,312 bytes, a signature 2,420. Every 1,312 bytes are a key: there is no point to
be off the curve, so nothing has to be admitted first.

An OpenSSL older than 3.5 has no ML-DSA. Then :func:`is_available` is False, and whoever reads notes
passes such lines over, as it does those of keys that it does not know; whoever signs them leaves
them out.

Signing is randomised: the same message never gives the same signature twice, so a note that bears
such a line is kept and compared as bytes, never made again. A private key is its 32-byte seed.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

from merkle.checkpoint import parse_checkpoint
from merkle.cosignature import Cosignature, subtree_message
from merkle.note import KIND_MLDSA, VerifierKey
from provenance.crypto.errors import KeyFileError
from provenance.crypto.keyfiles import read_key_file, write_key_file

PUBLIC_KEY_SIZE: Final = 1_312
SIGNATURE_SIZE: Final = 2_420
SEED_SIZE: Final = 32
PRIVATE_PREFIX: Final = bytes.fromhex("9a26")
"""Multicodec mldsa-44-priv-seed (0x131a) as a varint: what a key file holds before the seed."""


@cache
def is_available() -> bool:
    """Whether the library underneath can do ML-DSA-44."""
    try:
        MLDSA44PrivateKey.from_seed_bytes(bytes(SEED_SIZE))
    except UnsupportedAlgorithm:
        return False
    return True


def verify_mldsa(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Is `signature` good for `message` under the key? Answers, never raises, whatever the bytes.

    Ask :func:`is_available` first: without the algorithm every answer is no.
    """
    if len(public_key) != PUBLIC_KEY_SIZE or len(signature) != SIGNATURE_SIZE:
        return False
    try:
        MLDSA44PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


class MldsaPrivateKey:
    """An ML-DSA-44 private key: a 32-byte seed (FIPS 204's xi). Its repr never shows the seed.

    Ask :func:`is_available` first; without the algorithm, KeyFileError says what is missing.
    """

    __slots__ = ("_key", "public", "seed")

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED_SIZE:
            raise KeyFileError(f"an ML-DSA-44 seed is {SEED_SIZE} bytes, not {len(seed)}")
        if not is_available():
            raise KeyFileError("this machine's cryptography package cannot do ML-DSA-44")
        self.seed: Final = seed
        self._key: Final = MLDSA44PrivateKey.from_seed_bytes(seed)
        self.public: Final[bytes] = self._key.public_key().public_bytes_raw()

    @classmethod
    def generate(cls, random: Callable[[int], bytes] = secrets.token_bytes) -> MldsaPrivateKey:
        """A new key from the system's generator (or from `random(count)` in a test)."""
        return cls(random(SEED_SIZE))

    def sign(self, message: bytes) -> bytes:
        """2,420 bytes, other ones each time."""
        return self._key.sign(message)

    def __repr__(self) -> str:
        return f"MldsaPrivateKey(of {self.public[:8].hex()}…)"


@dataclass(frozen=True, slots=True)
class MldsaNoteSigner:
    """Signs a log's own checkpoints beside Ed25519: a ``merkle.note.Signer``, kind 0x06.

    `name` is the log's origin, and the cosigner that the message names (C2SP tlog-cosignature).
    `clock` gives POSIX seconds; the line states them.
    """

    name: str
    key: MldsaPrivateKey
    clock: Callable[[], int]

    @property
    def vkey(self) -> VerifierKey:
        """The public half; its ``format()`` is the policy's second ``log`` line."""
        return VerifierKey.make(self.name, KIND_MLDSA, self.key.public)

    @property
    def key_id(self) -> bytes:
        """4 bytes that name the key in a note line."""
        return self.vkey.key_id

    def sign(self, text: bytes) -> bytes:
        """``u64 seconds ‖ signature`` over a checkpoint's text without extension lines.

        Raises merkle.errors.CheckpointError for any other text.
        """
        checkpoint = parse_checkpoint(text.decode())
        seconds = self.clock()
        message = subtree_message(
            self.name, checkpoint.origin, checkpoint.root, seconds=seconds, end=checkpoint.size
        )
        return Cosignature(seconds, self.key.sign(message)).encode()


def save_mldsa_key(path: Path, key: MldsaPrivateKey) -> None:
    """Write `key` as one line of multibase text (0x9a26 prefix), readable by the owner alone.

    See :func:`provenance.crypto.keyfiles.write_key_file`; raises KeyFileError.
    """
    write_key_file(path, PRIVATE_PREFIX, key.seed)


def load_mldsa_key(path: Path) -> MldsaPrivateKey:
    """The private key of a file that :func:`save_mldsa_key` wrote; raises KeyFileError."""
    seed = read_key_file(path, PRIVATE_PREFIX, SEED_SIZE, "an ML-DSA-44 private key")
    return MldsaPrivateKey(seed)
