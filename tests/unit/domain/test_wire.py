"""Readers of closed wire forms: the value, or the member with what was expected and found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from provenance.domain import wire
from provenance.domain.wire import FormError


@pytest.mark.parametrize(
    ("read", "value", "result"),
    [
        (wire.read_string, "", ""),
        (wire.read_bytes, "A" * 43 + "=", bytes(32)),
        (wire.read_integer, 2**53 - 1, 2**53 - 1),
        (wire.read_seconds, "2026-11-23T15:00:00Z", "2026-11-23T15:00:00Z"),
        (wire.read_ledger_time, "1970-01-01T00:00:01.002Z", 1_002),
    ],
)
def test_good_members(read: Callable[..., Any], value: Any, result: Any) -> None:
    assert read({"m": value}, "m") == result


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (wire.read_string, 7),
        (wire.read_bytes, "A" * 43),
        (wire.read_bytes, 7),
        (wire.read_integer, True),
        (wire.read_integer, -1),
        (wire.read_integer, 2**53),
        (wire.read_integer, 1.5),
        (wire.read_seconds, "2026-11-23T15:00:00.0Z"),
        (wire.read_seconds, "2026-13-23T15:00:00Z"),
        (wire.read_seconds, 7),
        (wire.read_ledger_time, "2026-11-23T15:00:00Z"),
        (wire.read_ledger_time, "2026-13-23T15:00:00.000Z"),
        (wire.read_ledger_time, 7),
    ],
)
def test_bad_members_are_named(read: Callable[..., Any], value: Any) -> None:
    with pytest.raises(FormError) as caught:
        read({"m": value}, "m")
    assert caught.value.member == "m"
    assert caught.value.found == str(value)


def test_constants_are_exact() -> None:
    wire.read_constant({"v": 1}, "v", 1)
    for other in (True, "1", 2):
        with pytest.raises(FormError):
            wire.read_constant({"v": other}, "v", 1)


def test_long_values_are_cut() -> None:
    assert wire.shorten("x" * 81) == "x" * 79 + "…"
    assert wire.shorten("x" * 80) == "x" * 80
