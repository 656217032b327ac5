"""The points of small order, found a second way: by multiplying on a slow reference curve."""

from __future__ import annotations

from provenance.crypto.small_order import (
    ORDER,
    SMALL_ORDER_SPELLINGS,
    D,
    P,
    is_on_curve,
    square_root,
)

Point = tuple[int, int]
IDENTITY: Point = (0, 1)


def add(a: Point, b: Point) -> Point:
    """RFC 8032 §5.1: the complete addition law of the twisted Edwards curve with a = −1."""
    (x1, y1), (x2, y2) = a, b
    product = D * x1 * x2 * y1 * y2 % P
    x = (x1 * y2 + x2 * y1) * pow(1 + product, -1, P) % P
    y = (y1 * y2 + x1 * x2) * pow(1 - product, -1, P) % P
    return x, y


def multiply(scalar: int, point: Point) -> Point:
    result = IDENTITY
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point, scalar = add(point, point), scalar >> 1
    return result


def torsion() -> set[Point]:
    """The eight points of small order: ℓ times any point is one of them; some give a generator."""
    for y in range(2, 100):
        square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
        x = square_root(square)
        if x is None:
            continue
        point = multiply(ORDER, (x, y))
        group = {multiply(k, point) for k in range(8)}
        if len(group) == 8:
            return group
    raise AssertionError("no generator found")


def test_all_fourteen_spellings_and_no_other() -> None:
    spellings = {
        (value + (sign << 255)).to_bytes(32, "little")
        for _, y in torsion()
        for value in (y, y + P)
        if value < 2**255
        for sign in (0, 1)
    }
    assert len(spellings) == 14
    assert spellings == SMALL_ORDER_SPELLINGS


def test_square_roots() -> None:
    squares = {value * value % P for value in range(1, 50)}
    for value in range(1, 50):
        root = square_root(value)
        assert (root is None) == (pow(value, (P - 1) // 2, P) != 1)
        if root is not None:
            assert root * root % P == value
    assert all(square_root(square) is not None for square in squares)


def test_curve_membership_agrees_with_the_equation() -> None:
    for y in range(2, 200):
        square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
        assert is_on_curve(y) == (pow(square, (P - 1) // 2, P) in {0, 1})
