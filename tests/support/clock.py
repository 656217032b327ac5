"""A clock that stands still unless it is moved."""

from __future__ import annotations

from provenance.domain.moments import parse_ledger_time

START = parse_ledger_time("2026-11-23T15:00:00.000Z")


class FrozenClock:
    """Callable like the real one: milliseconds since 1970. Safe to read from several threads."""

    def __init__(self, now: int = START) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now

    def advance(self, milliseconds: int) -> int:
        """Move forward (or back, with a negative number); the new time."""
        self.now += milliseconds
        return self.now

    @property
    def seconds(self) -> int:
        """POSIX seconds, for proofs and cosignatures."""
        return self.now // 1000
