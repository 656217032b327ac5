"""ML-DSA-44 (FIPS 204): signatures that a quantum computer does not forge, beside Ed25519.

Used for lines of kind 0x06 in signed notes (C2SP tlog-cosignature). Pure ML-DSA with the empty
context; a key is 1,312 bytes, a signature 2,420. Every 1,312 bytes are a key: there is no point to
be off the curve, so nothing has to be admitted first.

An OpenSSL older than 3.5 has no ML-DSA. Then :func:`is_available` is False, and whoever reads notes
passes such lines over, as it does those of keys that it does not know.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

PUBLIC_KEY_SIZE: Final = 1_312
SIGNATURE_SIZE: Final = 2_420
SEED_SIZE: Final = 32


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
