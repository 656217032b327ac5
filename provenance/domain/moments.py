"""Points in time as text and as numbers.

Two kinds, never mixed: *ledger time*, ours, integer **milliseconds** since 1970-01-01T00:00:00Z,
written in one fixed form ``YYYY-MM-DDTHH:MM:SS.mmmZ`` (24 characters, so text order is time order);
and *claimed time*, a party's, any RFC 3339 date-time with offset, read as integer **microseconds**
(further digits are cut off, docs/formats.md section 9). Twin: static/js/verify/moments.js.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from provenance.domain.errors import DomainError

_LEDGER = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z", re.ASCII)
_RFC3339 = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt](\d{2}:\d{2}:\d{2})(?:\.(\d+))?([Zz]|[+-]\d{2}:\d{2})", re.ASCII
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class MomentError(DomainError):
    """Text that is not a point in time of the form asked for."""


def parse_ledger_time(text: str) -> int:
    """Milliseconds since 1970 of ``YYYY-MM-DDTHH:MM:SS.mmmZ``; MomentError for any other form."""
    if not _LEDGER.fullmatch(text):
        raise MomentError(f"expected YYYY-MM-DDTHH:MM:SS.mmmZ, found {text!r}")
    return parse_claimed_time(text) // 1000


@lru_cache(maxsize=1_024)  # all links of an upload have one time
def format_ledger_time(milliseconds: int) -> str:
    """The fixed 24-character form of a ledger time; exact inverse of parse_ledger_time."""
    moment = _EPOCH + timedelta(milliseconds=milliseconds)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def format_seconds(seconds: int) -> str:
    """``YYYY-MM-DDTHH:MM:SSZ`` of POSIX seconds: the form of proofs and of as-of times."""
    return (_EPOCH + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def parse_claimed_time(text: str) -> int:
    """Microseconds since 1970 of an RFC 3339 date-time with offset; raises MomentError.

    Leap seconds (:60) are refused: no party's clock shows them and no two libraries agree on them.
    """
    match = _RFC3339.fullmatch(text)
    if not match:
        raise MomentError(f"expected an RFC 3339 date-time with offset, found {text!r}")
    day, clock, fraction, offset = match.groups()
    if offset in "Zz":
        offset = "+00:00"
    if offset[1:3] > "23" or offset[4:6] > "59":
        raise MomentError(f"no such offset: {text!r}")
    if clock[:2] > "23":  # Python 3.14 would read 24:00:00 as midnight; no other version does
        raise MomentError(f"no such date or time: {text!r}")
    try:
        moment = datetime.fromisoformat(f"{day}T{clock}{offset}")
        seconds = (moment - _EPOCH) // timedelta(seconds=1)
    except (ValueError, OverflowError) as error:
        raise MomentError(f"no such date or time: {text!r}") from error
    return seconds * 1_000_000 + int(((fraction or "") + "000000")[:6])
