"""JSON as it is read here (docs/formats.md section 1), and the bytes that are hashed and signed.

:func:`parse` is the only door through which JSON of others comes in, :func:`encode` the only one
through which bytes to hash or sign go out. What the members mean is left to `event`, `seal`,
`chain` and `passport`.

Rules of :func:`parse`, each judged over the whole input before the next one is looked at, so that
two implementations name the same code for the same bytes:

    too-large       more bytes than the caller allows
    not-utf8        strict UTF-8 without byte order mark
    too-deep        more than `max_depth` objects and arrays open at once; counted on the brackets
                    outside strings before the parser runs, so that a bomb never recurses
    not-json        RFC 8259 grammar; only white space after the value
    duplicate-key   RFC 7493 section 2.3; names are compared after unescaping
    number-range    RFC 7493 section 2.2; the double that a number names is at most 2^53 - 1 in size
    lone-surrogate  RFC 7493 section 2.1; no unpaired surrogate in a string or a name

A whole number arrives as `int` however it is spelt (`2`, `2.0`, `20e-1`, `-0.0`), because
ECMAScript does not tell them apart either and the canonical bytes are the same.

Base64 is strict: there is exactly one text for given bytes, any other is refused.

Sources: RFC 8259, RFC 7493 (I-JSON), RFC 8785 (JCS, by the package `rfc8785`), RFC 4648.
"""

from __future__ import annotations

import binascii
import json
import re
from collections import Counter
from collections.abc import Callable
from itertools import accumulate
from typing import Any, NoReturn, TypeAlias

import msgspec
import rfc8785

from provenance.domain.errors import MalformedInputError, TooLargeError

# Any rather than a recursive union: validators look at every member anyway, and a type checker
# cannot follow "this document has been validated" through a union.
Json: TypeAlias = Any

MAX_EVENT_BYTES = 49_152
MAX_SEAL_BYTES = 8_192
MAX_BUNDLE_BYTES = 16 * 1024 * 1024
MAX_DEPTH = 32
MAX_NUMBER = 2**53 - 1

_RANGE = f"numbers within {MAX_NUMBER} either side of 0"

_REMEDIES = {
    "too-large": "split the content, or refer to documents by their hash",
    "not-utf8": "save the text as UTF-8 without byte order mark",
    "too-deep": "flatten the structure",
    "not-json": "check the text with any JSON tool",
    "duplicate-key": "keep one member of each name",
    "number-range": "write large or exact quantities as strings",
    "lone-surrogate": "repair the text before it is put into JSON",
}


class MalformedJsonError(MalformedInputError):
    """The bytes break a rule of docs/formats.md section 1; `code` is the rule's code there."""

    def __init__(self, code: str, detail: str, *, expected: str, found: str) -> None:
        super().__init__(code, detail, expected=expected, found=found, remedy=_REMEDIES[code])


class TooLargeJsonError(TooLargeError, MalformedJsonError):
    """The `too-large` case of :class:`MalformedJsonError`, also a :class:`TooLargeError`."""

    def __init__(self, size: int, limit: int) -> None:
        MalformedJsonError.__init__(
            self,
            "too-large",
            "the JSON text is too large",
            expected=f"at most {limit} bytes",
            found=f"{size} bytes",
        )


class Base64Error(MalformedInputError):
    """The text is not the one canonical base64 form of any bytes, or has another length."""

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(
            "not-base64",
            "not canonical base64",
            expected=expected,
            found=found,
            remedy="encode again with a standard base64 tool",
        )


def parse(data: bytes, *, max_bytes: int = MAX_EVENT_BYTES, max_depth: int = MAX_DEPTH) -> Json:
    """The value that `data` names, or :class:`MalformedJsonError` with the first rule it breaks.

    `max_bytes` counts bytes, `max_depth` open objects and arrays (the outermost is 1).
    """
    if len(data) > max_bytes:
        raise TooLargeJsonError(len(data), max_bytes)
    text = _decode_utf8(data)
    _check_depth(data, max_depth)
    try:
        value = _STRICT.decode(text)
    except json.JSONDecodeError as error:
        raise _not_json(error) from None
    except _FaultError:
        raise _first_fault(text) from None
    # Raw surrogates are no UTF-8, so an unpaired one can only come from an escape.
    if "\\u" in text:
        _check_surrogates(value)
    return value


def encode(value: Json) -> bytes:
    """The RFC 8785 canonical bytes of `value`.

    Raises :class:`MalformedJsonError` (`number-range`, `lone-surrogate`, `not-json`) for what has
    no canonical form. Doubles beyond 2^53 - 1 have one and are encoded; :func:`parse` refuses them.
    """
    quick = _encode_plain(value)
    if quick is not None:
        return quick
    try:
        return rfc8785.dumps(value)
    except (rfc8785.IntegerDomainError, rfc8785.FloatDomainError):
        code, expected = "number-range", _RANGE
    except ValueError as error:
        code, expected = _unencodable(error)
    raise MalformedJsonError(
        code, "the value has no canonical form", expected=expected, found="another value"
    )


def _encode_plain(value: Json) -> bytes | None:
    """The canonical bytes if the writer of `msgspec` gives them for certain, else None.

    Many times as fast as `rfc8785`, and exactly equal where nothing is left on which the two
    could differ: numbers (RFC 8785 section 3.2.2.3) are whole and within 2^53 - 1, names are
    strings, and no character lies beyond U+FFFF, so that the order of code points is the order of
    UTF-16 code units (3.2.3). Strings are escaped alike (3.2.2.2). Whatever is not so, or cannot
    be written at all, is left to `rfc8785`, which also knows the reason.
    """
    try:
        # First the writer, which refuses cycles, then the look, which would follow them for ever.
        data = _WRITER.encode(value)
    except (TypeError, ValueError, RecursionError):
        return None
    return data if _BEYOND_BMP.search(data) is None and is_plain(value) else None


def is_plain(value: Json) -> bool:
    """Only text, truth values, null, whole numbers of I-JSON, lists, objects named by strings?"""
    waiting: list[Any] = [(value,)]
    for items in waiting:  # grows while it is gone through
        if _SCALARS.issuperset(map(type, items)):
            continue
        for item in items:
            kind = type(item)
            if kind is dict:
                if not _NAMES.issuperset(map(type, item)):
                    return False
                waiting.append(item.values())
            elif kind is list:
                waiting.append(item)
            elif kind is int:
                if not -MAX_NUMBER <= item <= MAX_NUMBER:
                    return False
            elif kind not in _SCALARS:
                return False
    return True


# Exact types: a subclass may write itself in another way.
_SCALARS = frozenset({str, bool, type(None)})
_NAMES = frozenset({str})
_WRITER = msgspec.json.Encoder(order="sorted")
_BEYOND_BMP = re.compile(rb"[\xf0-\xf4]")  # the first byte of every such character in UTF-8


def decode_base64(text: object, size: int | None = None) -> bytes:
    """The bytes that `text` (standard alphabet, padded) stands for.

    `size` is how many they must be, if that is fixed. Raises :class:`Base64Error` for anything
    but the one canonical text, `str` or not.
    """
    if not isinstance(text, str):
        raise Base64Error("base64 text", f"a value of type {type(text).__name__}")
    try:
        data = binascii.a2b_base64(text)
    except ValueError:
        data = None
    # The lenient decoder skips what it does not know; only the round trip makes the text canonical.
    if data is None or encode_base64(data) != text:
        raise Base64Error("canonical base64 with padding (RFC 4648 section 4)", _shorten(text))
    if size is not None and len(data) != size:
        raise Base64Error(f"base64 of {size} bytes", f"base64 of {len(data)} bytes")
    return data


def encode_base64(data: bytes) -> str:
    """`data` in the standard alphabet with padding."""
    return binascii.b2a_base64(data, newline=False).decode("ascii")


def decode_base64url(text: object) -> bytes:
    """The bytes that `text` (URL-safe alphabet, no padding) stands for; canonical form only."""
    if not isinstance(text, str) or not _BASE64URL.fullmatch(text):
        raise Base64Error("base64url without padding (RFC 4648 section 5)", _shorten(str(text)))
    padded = text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4)
    return decode_base64(padded)


def encode_base64url(data: bytes) -> str:
    """`data` in the URL-safe alphabet without padding."""
    return encode_base64(data).rstrip("=").replace("+", "-").replace("/", "_")


_BASE64URL = re.compile(r"[A-Za-z0-9_-]*")

# A string runs to the next quote that no backslash escapes, or to the end of the input. Possessive
# quantifiers: whatever the input, each byte is looked at once.
_STRINGS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


def _decode_utf8(data: bytes) -> str:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        found = f"byte 0x{data[error.start]:02x} at offset {error.start}"
    else:
        if not text.startswith("\ufeff"):
            return text
        found = "a byte order mark"
    raise MalformedJsonError("not-utf8", "the text is not UTF-8", expected="UTF-8", found=found)


def _check_depth(data: bytes, limit: int) -> None:
    """Refuse more than `limit` open brackets; kinds are not matched here, the parser does that."""
    if data.count(b"[") + data.count(b"{") <= limit:
        return  # the common case, at the speed of a byte search
    brackets = _STRINGS.sub(b"", data).translate(None, _NOT_BRACKETS)
    depth = max(accumulate(map(_STEPS.__getitem__, brackets)), default=0)
    if depth > limit:
        raise MalformedJsonError(
            "too-deep",
            "objects and arrays are nested too deeply",
            expected=f"at most {limit} levels",
            found=f"{depth} levels",
        )


class _FaultError(Exception):
    """Raised inside the decoder by a hook: what was found against which rule."""

    def __init__(self, found: str) -> None:
        super().__init__(found)
        self.found = found


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    members = dict(pairs)
    if len(members) == len(pairs):
        return members
    [(name, _)] = Counter(name for name, _ in pairs).most_common(1)
    raise _FaultError(f"two members named {_shorten(name)}")


def _read_integer(text: str) -> int:
    # 2^53 - 1 has 16 digits and JSON has no leading zeros: more digits need no arithmetic at all.
    if len(text) <= 17:
        number = int(text)
        if -MAX_NUMBER <= number <= MAX_NUMBER:
            return number
    raise _FaultError(_shorten(text))


def _read_decimal(text: str) -> int | float:
    number = float(text)
    if not -MAX_NUMBER <= number <= MAX_NUMBER:
        raise _FaultError(_shorten(text))
    # A double of this size that is whole is exact as an int.
    return int(number) if number.is_integer() else number


def _refuse_constant(text: str) -> NoReturn:
    # NaN, Infinity and -Infinity are no RFC 8259 grammar (section 6), though `json` reads them.
    raise json.JSONDecodeError(f"{text} is not JSON", text, 0)


def _ignore_number(_text: str) -> int:
    return 0


def _decoder(
    *,
    pairs: Callable[[list[tuple[str, Json]]], Json] | None = None,
    integer: Callable[[str], Json] = _ignore_number,
    decimal: Callable[[str], Json] = _ignore_number,
) -> json.JSONDecoder:
    return json.JSONDecoder(
        object_pairs_hook=pairs,
        parse_int=integer,
        parse_float=decimal,
        parse_constant=_refuse_constant,
    )


# The decoders hold no state between calls and are shared by all threads.
_STRICT = _decoder(pairs=_unique, integer=_read_integer, decimal=_read_decimal)
_GRAMMAR = _decoder()
_STAGES = (
    ("duplicate-key", "each member name once in its object", _decoder(pairs=_unique)),
    (
        "number-range",
        _RANGE,
        _decoder(integer=_read_integer, decimal=_read_decimal),
    ),
)


def _first_fault(text: str) -> MalformedJsonError:
    """The first rule, in the order of the table, that a text with some fault breaks.

    The strict decoder stops at the first fault that it meets; a later one may come before it in
    the table. So each rule is judged over the whole text by itself. Linear, and only on refusals.
    """
    try:
        _GRAMMAR.decode(text)
    except json.JSONDecodeError as error:
        return _not_json(error)
    for code, expected, decoder in _STAGES:
        try:
            decoder.decode(text)
        except _FaultError as fault:
            detail = f"the JSON text breaks the rule {code}"
            return MalformedJsonError(code, detail, expected=expected, found=fault.found)
    raise AssertionError("a fault that no stage sees")  # pragma: no cover - stages share the hooks


def _not_json(error: json.JSONDecodeError) -> MalformedJsonError:
    where = f"line {error.lineno}, column {error.colno}"
    return MalformedJsonError(
        "not-json", "the text is not JSON", expected="RFC 8259 JSON", found=f"{error.msg} ({where})"
    )


def _check_surrogates(value: Json) -> None:
    """Refuse unpaired surrogates anywhere in `value`: one walk in C, then one encoding."""
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        raise _lone_surrogate(error) from None


def _lone_surrogate(error: UnicodeEncodeError) -> MalformedJsonError:
    return MalformedJsonError(
        "lone-surrogate",
        "a string holds half a character",
        expected="surrogates in pairs only",
        found=f"U+{ord(error.object[error.start]):04X}",
    )


def _unencodable(error: ValueError) -> tuple[str, str]:
    cause = error if isinstance(error, UnicodeError) else error.__cause__
    if isinstance(cause, UnicodeError):
        return "lone-surrogate", "surrogates in pairs only"
    if not isinstance(error, rfc8785.CanonicalizationError):
        # Python's own, on printing an integer of more than 4,300 digits into the package's message.
        return "number-range", _RANGE
    return "not-json", "null, booleans, numbers, strings, lists, and objects with string names"


def _shorten(text: str, limit: int = 40) -> str:
    """`text` fit for a message: quoted, escaped, cut."""
    return ascii(text if len(text) <= limit else text[:limit] + "...")
