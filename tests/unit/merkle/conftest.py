"""A slow reference for trees, written from RFC 9162's definitions; shares no code with `merkle`."""

from __future__ import annotations

import hashlib
from functools import cache

import pytest


class Reference:
    """The tree over ``entry-0``, ``entry-1``, … by the recursive definitions of RFC 9162."""

    def __init__(self) -> None:
        self.mth = cache(self._mth)

    def entry(self, i: int) -> bytes:
        return b"entry-%d" % i

    def leaf(self, i: int) -> bytes:
        return hashlib.sha256(b"\x00" + self.entry(i)).digest()

    def leaves(self, count: int) -> list[bytes]:
        return [self.leaf(i) for i in range(count)]

    def _mth(self, lo: int, hi: int) -> bytes:
        """MTH(D[lo:hi]), §2.1.1."""
        n = hi - lo
        if n == 0:
            return hashlib.sha256(b"").digest()
        if n == 1:
            return self.leaf(lo)
        k = split(n)
        return hashlib.sha256(b"\x01" + self.mth(lo, lo + k) + self.mth(lo + k, hi)).digest()

    def path(self, m: int, lo: int, hi: int) -> list[bytes]:
        """PATH(m, D[lo:hi]), §2.1.3.1, m counted from lo."""
        n = hi - lo
        if n == 1:
            return []
        k = split(n)
        if m < k:
            return [*self.path(m, lo, lo + k), self.mth(lo + k, hi)]
        return [*self.path(m - k, lo + k, hi), self.mth(lo, lo + k)]

    def proof(self, m: int, n: int) -> list[bytes]:
        """PROOF(m, D_n) = SUBPROOF(m, D_n, true), §2.1.4.1."""
        return self._subproof(m, 0, n, True)

    def _subproof(self, m: int, lo: int, hi: int, whole: bool) -> list[bytes]:
        n = hi - lo
        if m == n:
            return [] if whole else [self.mth(lo, hi)]
        k = split(n)
        if m <= k:
            return [*self._subproof(m, lo, lo + k, whole), self.mth(lo + k, hi)]
        return [*self._subproof(m - k, lo + k, hi, False), self.mth(lo, lo + k)]


def split(n: int) -> int:
    """The largest power of two strictly below n."""
    k = 1
    while 2 * k < n:
        k *= 2
    return k


@pytest.fixture(scope="session")
def reference() -> Reference:
    return Reference()
