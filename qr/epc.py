"""EPC pure identity URNs, as EPCIS events carry them, turned into GS1 Digital Link URIs.

    urn:epc:id:sgtin:0614141.112345.400     https://id.gs1.org/01/10614141123459/21/400
    urn:epc:class:lgtin:4012345.012345.L1   https://id.gs1.org/01/04012345123456/10/L1
    urn:epc:idpat:sgtin:4012345.012345.*    https://id.gs1.org/01/04012345123456

Only form is judged here: parts, digits, lengths, escapes. Whether the key's own rules hold (length
and characters of a serial) is left to `gs1`, through `identifier.check_identifier`. The way back is
not offered: it needs the length of the company prefix, which a Digital Link does not tell.

Rules: the indicator (GTIN) or extension digit (SSCC) is the first digit of the second part and
moves to the front; the check digit is computed; the last part runs to the end, dots included.

Sources: GS1 EPC Tag Data Standard 2.0 section 6.3 (URN syntax) and 7 (mapping to GS1 keys).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NoReturn

from qr import escapes
from qr.errors import IdentifierError, UnknownSchemeError
from qr.gs1 import check_digit

CANONICAL_BASE = "https://id.gs1.org"

_URN = re.compile(r"urn:epc:(id|class|idpat):([^:]*):?(.*)", re.DOTALL)
_PREFIX = re.compile(r"[0-9]{6,12}")
_DIGITS = re.compile(r"[0-9]*")


@dataclass(frozen=True, slots=True)
class _Scheme:
    """How the parts of one scheme make a key.

    `total`: digits of company prefix and reference together, 0 where the key is prefix and free
    text. `moves`: the reference's first digit goes to the front. `front`: put before the key.
    `extra`: lengths of further digit parts behind the check digit. `tail`: what the last part is:
    a qualifier, `+` the end of the key itself, `*` nothing but the pattern sign, empty: no such.
    `free`: further free text between prefix and tail.
    """

    ai: str
    total: int
    tail: str = ""
    moves: bool = False
    front: str = ""
    extra: tuple[int, ...] = ()
    free: bool = False

    @property
    def form(self) -> str:
        """The parts in words, for messages."""
        parts = ["company prefix of 6 to 12 digits"]
        if self.total:
            parts.append(f"reference, {self.total} digits with the prefix")
        parts += [f"{length} digits" for length in self.extra]
        parts += ["text"] * self.free
        if self.tail:
            parts.append("*" if self.tail == "*" else "text")
        return " . ".join(parts)


_SCHEMES = {
    ("id", "sgtin"): _Scheme("01", 13, "21", moves=True),
    ("class", "lgtin"): _Scheme("01", 13, "10", moves=True),
    ("idpat", "sgtin"): _Scheme("01", 13, "*", moves=True),
    ("id", "upui"): _Scheme("01", 13, "235", moves=True),
    ("id", "itip"): _Scheme("8006", 13, "21", moves=True, extra=(2, 2)),
    ("id", "sscc"): _Scheme("00", 17, moves=True),
    ("id", "sgln"): _Scheme("414", 12, "254"),
    ("id", "pgln"): _Scheme("417", 12),
    ("id", "grai"): _Scheme("8003", 12, "+", front="0"),
    ("id", "gdti"): _Scheme("253", 12, "+"),
    ("id", "sgcn"): _Scheme("255", 12, "+"),
    ("id", "gsrn"): _Scheme("8018", 17),
    ("id", "gsrnp"): _Scheme("8017", 17),
    ("id", "gsin"): _Scheme("402", 16),
    ("id", "giai"): _Scheme("8004", 0, "+"),
    ("id", "ginc"): _Scheme("401", 0, "+"),
    ("id", "cpi"): _Scheme("8010", 0, "8011", free=True),
}


def is_epc_urn(text: str) -> bool:
    """Whether `text` is an EPC URN of the kinds that name things (id, class, idpat)."""
    return _URN.fullmatch(text) is not None


def to_digital_link(urn: str) -> str:
    """The canonical Digital Link URI of an EPC URN.

    Raises :class:`UnknownSchemeError` where there is none (other schemes, other strings), and
    :class:`IdentifierError` for a malformed URN of a known scheme.
    """
    match = _URN.fullmatch(urn)
    scheme = _SCHEMES.get((match[1], match[2])) if match else None
    if match is None or scheme is None:
        raise UnknownSchemeError(
            "no Digital Link for this URN",
            expected="an EPC URN of a GS1 key",
            found=ascii(urn[:60]),
            remedy="name the thing by a GS1 Digital Link URI",
        )
    key, tail = _read_body(urn, scheme, match[3])
    path = [scheme.ai, key]
    # An SGLN without extension writes 0 for it (Tag Data Standard 2.0 section 6.3.3).
    if scheme.tail.isdigit() and not (scheme.tail == "254" and tail == "0"):
        path += [scheme.tail, tail]
    return "/".join([CANONICAL_BASE, *map(escapes.encode, path)])


def _read_body(urn: str, scheme: _Scheme, body: str) -> tuple[str, str]:
    """Key value and tail of the part behind the scheme, both unescaped."""
    digit_parts = 1 + bool(scheme.total) + len(scheme.extra)
    count = digit_parts + scheme.free + bool(scheme.tail)
    parts = body.split(".", count - 1)
    if len(parts) != count or not _PREFIX.fullmatch(parts[0]):
        _refuse(urn, scheme)
    texts = [_read_text(urn, scheme, part) for part in parts[digit_parts:]]
    key = _read_digits(urn, scheme, parts[:digit_parts])
    if scheme.free:
        key += texts[0]
    tail = texts[-1] if scheme.tail else ""
    if scheme.tail == "*" and tail != "*":
        _refuse(urn, scheme)
    return (key + tail, "") if scheme.tail == "+" else (key, tail)


def _read_digits(urn: str, scheme: _Scheme, parts: list[str]) -> str:
    """The numeric front of the key: prefix, reference, check digit, further digits."""
    if not scheme.total:
        return parts[0]
    prefix, reference, *extra = parts
    lengths = tuple(map(len, extra))
    if not all(map(_DIGITS.fullmatch, parts)) or lengths != scheme.extra:
        _refuse(urn, scheme)
    if len(prefix) + len(reference) != scheme.total:
        _refuse(urn, scheme)
    moved = 1 if scheme.moves else 0
    digits = reference[:moved] + prefix + reference[moved:]
    return scheme.front + digits + check_digit(digits) + "".join(extra)


def _read_text(urn: str, scheme: _Scheme, part: str) -> str:
    value = escapes.decode(part)
    if not value:
        _refuse(urn, scheme)
    return value


def _refuse(urn: str, scheme: _Scheme) -> NoReturn:
    raise IdentifierError(
        "malformed EPC URN",
        ai=scheme.ai,
        expected=scheme.form,
        found=ascii(urn[:80]),
        remedy="correct the parts between the dots",
    )
