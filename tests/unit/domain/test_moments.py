"""Ledger times have one form; claimed times are RFC 3339 with offset, cut to microseconds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.domain.moments import (
    MomentError,
    format_ledger_time,
    format_seconds,
    parse_claimed_time,
    parse_ledger_time,
)


@given(st.integers(min_value=-62_135_596_800_000, max_value=253_402_300_799_999))
def test_a_ledger_time_comes_back_as_it_was(moment: int) -> None:
    text = format_ledger_time(moment)
    assert len(text) == 24
    assert parse_ledger_time(text) == moment


@given(st.tuples(st.integers(0, 4 * 10**12), st.integers(0, 4 * 10**12)))
def test_text_order_of_ledger_times_is_time_order(pair: tuple[int, int]) -> None:
    first, second = pair
    assert (format_ledger_time(first) < format_ledger_time(second)) == (first < second)


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.0000019Z", 1),  # cut off, not rounded
        ("1970-01-01t01:00:00.5+01:00", 500_000),
        ("1969-12-31T23:59:59.999999-00:00", -1),
        ("2025-09-03T05:30:00.000+12:00", 1_756_834_200_000_000),
    ],
)
def test_claimed_times_are_read_with_their_offset(text: str, microseconds: int) -> None:
    assert parse_claimed_time(text) == microseconds


@pytest.mark.parametrize(
    "text",
    [
        "yesterday",
        "2025-09-03",
        "2025-09-03T05:30:00",  # no offset
        "2025-09-03 05:30:00Z",
        "2025-02-30T05:30:00Z",
        "2025-09-03T24:00:00Z",  # Python 3.14 reads it as midnight, no phone does
        "2025-09-03T23:59:60Z",
        "2025-09-03T05:30:00+24:00",
        "2025-09-03T05:30:00+05:60",
        "0000-01-01T00:00:00Z",
        "２０２５-09-03T05:30:00Z",  # digits, but not ASCII
        "2025-09-03T05:30:00Z\n",
    ],
)
def test_other_text_is_no_claimed_time(text: str) -> None:
    with pytest.raises(MomentError):
        parse_claimed_time(text)


@pytest.mark.parametrize(
    "text", ["2025-09-03T05:30:00Z", "2025-09-03T05:30:00.0000Z", "2025-09-03T05:30:00.000+00:00"]
)
def test_a_ledger_time_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(MomentError):
        parse_ledger_time(text)


def test_seconds_have_the_form_of_proofs() -> None:
    assert format_seconds(1_767_225_600) == "2026-01-01T00:00:00Z"
