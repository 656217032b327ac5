"""Reading the members of our own wire forms: seals, links, proofs, receipts, bundles.

These forms are closed: every member is there, none but those, each of its one form. A reader asks
for a member by the form it must have and gets a Python value, or a :class:`FormError` that names
the member, what was expected and what stood there. Values come from ``canonical.parse``, so a
whole number is an ``int`` however it was spelt; ``True`` is never a number.

Base64 is the standard alphabet with padding, one spelling for given bytes (docs/formats.md).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, Final, TypeGuard

from provenance.domain.canonical import Base64Error, decode_base64
from provenance.domain.errors import DomainError
from provenance.domain.moments import MomentError, parse_claimed_time, parse_ledger_time

HASH_SIZE: Final = 32
MAX_INTEGER: Final = 2**53 - 1
FOUND_LENGTH: Final = 80

_SECONDS: Final = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z", re.ASCII)


def shorten(value: object) -> str:
    """`value` fit for a message: at most 80 characters, its end replaced by an ellipsis."""
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= FOUND_LENGTH else text[: FOUND_LENGTH - 1] + "…"


class FormError(DomainError):
    """One member of a closed form that is wrong. `member` is empty for the value as a whole."""

    def __init__(self, member: str, expected: str, found: object) -> None:
        self.member = member
        self.expected = expected
        self.found = shorten(found)
        super().__init__(f"{member or 'the value'}: expected {expected}, found {self.found}")


def is_integer(value: object) -> TypeGuard[int]:
    """Whether a parsed JSON value is a whole number; ``true`` and ``false`` are not."""
    return isinstance(value, int) and not isinstance(value, bool)


def read_object(
    value: object, required: Collection[str], optional: Collection[str] = ()
) -> Mapping[str, Any]:
    """`value` as an object with all of `required` and nothing besides but `optional` members."""
    if not isinstance(value, dict):
        raise FormError("", "an object", value)
    for name in sorted(required):
        if name not in value:
            raise FormError(name, "a member of this name", "nothing")
    for name in sorted(value):
        if name not in required and name not in optional:
            raise FormError(name, "no member of this name", name)
    return value


def read_constant(members: Mapping[str, Any], name: str, expected: str | int) -> None:
    """Nothing, if the member is exactly `expected`."""
    found = members[name]
    if found != expected or isinstance(found, bool):
        raise FormError(name, repr(expected), found)


def read_string(members: Mapping[str, Any], name: str) -> str:
    """A string, perhaps an empty one."""
    value = members[name]
    if not isinstance(value, str):
        raise FormError(name, "a string", value)
    return value


def read_bytes(members: Mapping[str, Any], name: str, size: int = HASH_SIZE) -> bytes:
    """The `size` bytes of a base64 member."""
    try:
        return decode_base64(members[name], size)
    except Base64Error as error:
        raise FormError(name, f"base64 of {size} bytes", members[name]) from error


def read_integer(
    members: Mapping[str, Any], name: str, low: int = 0, high: int = MAX_INTEGER
) -> int:
    """A whole number in ``[low, high]``."""
    value = members[name]
    if not is_integer(value) or not low <= value <= high:
        raise FormError(name, f"a whole number from {low} to {high}", value)
    return value


def read_seconds(members: Mapping[str, Any], name: str) -> str:
    """The text of a moment that exists, in the form of proofs: ``YYYY-MM-DDTHH:MM:SSZ``."""
    value = members[name]
    try:
        if isinstance(value, str) and _SECONDS.fullmatch(value):
            parse_claimed_time(value)
            return value
    except MomentError:
        pass
    raise FormError(name, "YYYY-MM-DDTHH:MM:SSZ", value)


def read_ledger_time(members: Mapping[str, Any], name: str) -> int:
    """Milliseconds since 1970 of ``YYYY-MM-DDTHH:MM:SS.mmmZ``."""
    value = members[name]
    try:
        if isinstance(value, str):
            return parse_ledger_time(value)
    except MomentError:
        pass
    raise FormError(name, "YYYY-MM-DDTHH:MM:SS.mmmZ", value)
