"""Percent-escapes (RFC 3986 section 2.1), one decoding and one encoding for the whole package.

Decoded values are compared, never escaped ones: the same value can be escaped in many ways.
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote_to_bytes

_BROKEN = re.compile(r"%(?![0-9A-Fa-f]{2})")


def decode(text: str) -> str | None:
    """`text` with its escapes read once; None if one is broken or the result is no UTF-8."""
    if "%" not in text:
        return text if text.isascii() or _is_unicode(text) else None
    if _BROKEN.search(text):
        return None
    try:
        return unquote_to_bytes(text).decode("utf-8")
    except UnicodeError:
        return None


def encode(value: str) -> str:
    """`value` with all but `A-Z a-z 0-9 - . _ ~` as `%XX` of its UTF-8 bytes, upper case."""
    return quote(value, safe="")


def _is_unicode(text: str) -> bool:
    """Whether `text` holds no unpaired surrogate."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
