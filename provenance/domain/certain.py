"""JSON that is its own canonical form, found out by writing it once more and comparing.

:func:`parse_certain` is a shortcut past :func:`provenance.domain.canonical.parse` *and*
:func:`provenance.domain.canonical.encode`: where it gives a value, the first would give the same
one and the second the very bytes. Where it is not certain of that it gives None, which is no
refusal: then the long way says what is so, and why.

It costs a twentieth of them: a decoder and a writer in C instead of hooks on
every object and number. What could make their idea of canonical differ from RFC 8785 is left out
rather than argued about:

- no backslash, so no escape (3.2.2.2), neither in strings nor in names, and no unpaired surrogate;
- no character beyond U+FFFF, so that the order of code points is that of UTF-16 units (3.2.3);
- no fractions and no numbers beyond 2^53 - 1 (3.2.2.3): whole numbers have one spelling;
- a name that stands twice, white space or another order do not survive the comparison.

A property test (tests/unit/domain/test_certain.py) holds both ways to one answer over generated and
damaged texts and over every outside vector.

Source: RFC 8785; the decoder and the writer are those of the package `msgspec`.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from provenance.domain.canonical import MAX_DEPTH, MAX_EVENT_BYTES, is_plain


class _FractionError(ValueError):
    """A number that is written with a point or an exponent."""


def _refuse_fraction(text: str) -> Any:
    raise _FractionError(text)


_DECODER: Final = msgspec.json.Decoder(float_hook=_refuse_fraction)
_WRITER: Final = msgspec.json.Encoder(order="sorted")
_LONG: Final = re.compile(rb"[0-9]{16}")  # 2^53 - 1 has 16 digits
_ASTRAL: Final = tuple(bytes([lead]) for lead in range(0xF0, 0xF5))


def has_no_traps(data: bytes) -> bool:
    """No escape, and no character beyond U+FFFF: what the module text leaves out at first sight."""
    return b"\\" not in data and (data.isascii() or not any(lead in data for lead in _ASTRAL))


def parse_certain(
    data: bytes, *, max_bytes: int = MAX_EVENT_BYTES, max_depth: int = MAX_DEPTH
) -> Any | None:
    """The value of bytes that are canonical for certain, else None (JSON's null gives None too).

    `max_bytes` and `max_depth` as for ``canonical.parse``; brackets inside strings count here, so
    that a text with many of them takes the long way.
    """
    if len(data) > max_bytes or not has_no_traps(data):
        return None
    if data.count(b"[") + data.count(b"{") > max_depth:
        return None
    try:
        value = _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, _FractionError):
        return None
    if _WRITER.encode(value) != data:
        return None
    return value if _LONG.search(data) is None or is_plain(value) else None
