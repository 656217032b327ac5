"""Keys and signatures as text: multibase base58btc, and the multikey form of an Ed25519 key.

``z`` + base58btc(bytes). A public key is ``z`` + base58btc(0xed01 ‖ 32 bytes), a private one ``z``
+ base58btc(0x8026 ‖ 32-byte seed), a signature ``z`` + base58btc(64 bytes).

Only the *form* is judged here: whether 32 bytes are an admissible key is for ``provenance.crypto``.
Reading is strict, so that one value has one spelling: every text that is accepted is exactly what
encoding its value gives.

Sources: W3C Controlled Identifiers 1.0 §2.2.2 (Multikey) and §2.4 (Multibase, base-58-btc
alphabet).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from provenance.domain.errors import DomainError

PUBLIC_PREFIX: Final = b"\xed\x01"
PRIVATE_PREFIX: Final = b"\x80\x26"
KEY_SIZE: Final = 32

_ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
# Two letters at a time: half the steps of arithmetic with long numbers.
_PAIRS: Final = [first + second for first in _ALPHABET for second in _ALPHABET]
_PAIR_BASE: Final = len(_PAIRS)
_PAIR_VALUES: Final = {letters: value for value, letters in enumerate(_PAIRS)}
# 66 bytes (the longest value of ours is 64) need at most 91 letters. The bound keeps the quadratic
# conversion below from being fed a megabyte.
_MAX_LETTERS: Final = 128


class MultibaseError(DomainError):
    """Text that is not the base58btc multibase of what was asked for."""


def encode_multibase(data: bytes) -> str:
    """``z`` + base58btc of any bytes; each leading zero byte becomes a leading ``1``."""
    number = int.from_bytes(data, "big")
    pairs = []
    while number:
        number, value = divmod(number, _PAIR_BASE)
        pairs.append(_PAIRS[value])
    zeros = len(data) - len(data.lstrip(b"\0"))
    # The first pair may begin with a 1 that counts nothing.
    return "z" + "1" * zeros + "".join(reversed(pairs)).lstrip("1")


def decode_multibase(text: str, size: int) -> bytes:
    """The `size` bytes (at most 66) that ``z…`` spells; raises MultibaseError for anything else."""
    if not text.startswith("z") or len(text) > _MAX_LETTERS:
        raise MultibaseError(f"expected z and base58btc of {size} bytes, found {text[:40]!r}")
    number = 0
    # An odd letter comes first: the pairs count from the end.
    letters = text[1:] if len(text) % 2 else "1" + text[1:]
    try:
        for place in range(0, len(letters), 2):
            number = number * _PAIR_BASE + _PAIR_VALUES[letters[place : place + 2]]
    except KeyError:
        wrong = next(letter for letter in letters if letter not in _ALPHABET)
        raise MultibaseError(f"{wrong!r} is no base58btc letter, in {text[:40]!r}") from None
    # Leading ones count the leading zero bytes; all other letters follow from the number.
    zeros = size - (number.bit_length() + 7) // 8
    if zeros >= 0 and len(text) - len(text[1:].lstrip("1")) - 1 == zeros:
        return number.to_bytes(size, "big")
    raise MultibaseError(f"expected base58btc of exactly {size} bytes, found {text[:40]!r}")


# Few keys sign many events, and base58 costs as much as a signature check: both directions are
# remembered. Only good texts are kept (an exception is not), so junk cannot fill the memory.
@lru_cache(maxsize=4_096)
def format_multikey(public_key: bytes) -> str:
    """The multikey of 32 public key bytes, for instance ``z6MkrJVnaZkeFzdQyMZu1cgjg7k1…``."""
    return encode_multibase(PUBLIC_PREFIX + public_key)


@lru_cache(maxsize=4_096)
def parse_multikey(text: str) -> bytes:
    """The 32 bytes of an Ed25519 multikey, not judged as a point; raises MultibaseError."""
    data = decode_multibase(text, len(PUBLIC_PREFIX) + KEY_SIZE)
    if not data.startswith(PUBLIC_PREFIX):
        raise MultibaseError(f"expected an Ed25519 multikey (z6Mk…), found {text[:40]!r}")
    return data[len(PUBLIC_PREFIX) :]
