"""The eight points of small order on edwards25519, in all fourteen spellings, from the mathematics.

With such a point as public key or as the signature's R, one fixed signature can hold for many
messages, and OpenSSL lets that pass (the standard's verification equation does too). So both are
compared with this list. The list is computed at import, not typed in: a reader can check the
argument instead of 448 bytes.

The curve is −x² + y² = 1 + d·x²·y² over p = 2²⁵⁵ − 19. Doubling (0, −1) gives the identity (0, 1);
doubling (±√−1, 0) gives (0, −1). A point of order 8 doubles to y = 0, and 2·P has the y-coordinate
(y² + x²) / (1 − d·x²·y²), so y² = −x²; put into the curve's equation with t = y²: d·t² + 2t − 1 =
0. Hence y is one of {0, 1, −1, y₈, −y₈}, y₈² = t.

An encoding is the 255-bit value of y, and the sign of x as the top bit. A value of 0 or 1 can also
be spelt as p or p + 1, which still fit in 255 bits: 7 values × 2 signs = 14 spellings, some of
which no strict decoder would take; they are all refused.

Sources: RFC 8032 §5.1 and §5.1.2; the description of edge cases in C2SP CCTV ``ed25519``.
"""

from __future__ import annotations

from typing import Final

P: Final = 2**255 - 19
ORDER: Final = 2**252 + 27742317777372353535851937790883648493
D: Final = -121665 * pow(121666, -1, P) % P


def square_root(value: int) -> int | None:
    """A square root of `value` mod p, or None if it has none (p ≡ 5 mod 8, RFC 8032 §5.1.3)."""
    root = pow(value, (P + 3) // 8, P)
    if root * root % P != value % P:
        root = root * pow(2, (P - 1) // 4, P) % P  # times √−1
    return root if root * root % P == value % P else None


def is_on_curve(y: int) -> bool:
    """Whether some x makes (x, y) a point: x² = (y² − 1) / (d·y² + 1) must be a square."""
    square = y * y % P
    return square_root((square - 1) * pow(D * square + 1, -1, P)) is not None


def _order_eight_y() -> int:
    """y₈: the root of the one t with d·t² + 2t − 1 = 0 that is a square and lies on the curve."""
    root = square_root(1 + D)
    if root is not None:
        for sign in (root, -root):
            y = square_root((sign - 1) * pow(D, -1, P) % P)
            if y is not None and is_on_curve(y):
                return y
    raise AssertionError("edwards25519 has points of order 8")


def _spellings() -> frozenset[bytes]:
    y8 = _order_eight_y()
    values = {y + multiple for y in (0, 1, P - 1, y8, P - y8) for multiple in (0, P)}
    return frozenset(
        (value + (sign << 255)).to_bytes(32, "little")
        for value in values
        if value < 2**255
        for sign in (0, 1)
    )


SMALL_ORDER_SPELLINGS: Final = _spellings()
