"""One name for one thing: the canonical identifier under which a history is kept.

:func:`canonical_identifier` is docs/formats.md section 2, to the letter; a JavaScript twin follows
the same text and the same vectors (tests/vectors/identifiers.json). It looks at structure only, so
that an old event with a wrong check digit still has the same history everywhere and forever.
:func:`check_identifier` judges strictly and is for the door: what comes in new must be right.

    urn:epc:id:sgtin:4012345.012345.S1                  https://id.gs1.org/01/04012345123456/21/S1
    https://brand.example/x/01/04012345123456/10/L/21/S1?a=b   the same
    https://brand.example/parties/mill                  as it is
"""

from __future__ import annotations

import itertools
import re

from qr import digital_link, escapes
from qr.epc import CANONICAL_BASE, is_epc_urn, to_digital_link
from qr.errors import IdentifierError, QrError, UnknownSchemeError
from qr.gs1 import APPLICATION_IDENTIFIERS, PRIMARY_KEYS, validate_key

# Keys and their qualifiers in order, alternatives apart. Not read from the dictionary's table: the
# names of histories must not change when GS1 adds a key.
_KEYS: dict[str, tuple[tuple[str, ...], ...]] = {
    **dict.fromkeys(("00", "253", "255", "401", "402", "8003", "8013"), ((),)),
    "01": (("22", "10", "21"), ("235",)),
    "414": (("254",), ("7040",)),
    "415": (("8020",),),
    "417": (("7040",),),
    "8004": (("7040",),),
    "8006": (("22", "10", "21"),),
    "8010": (("8011",),),
    "8017": (("8019",),),
    "8018": (("8019",),),
}

# The level that is kept: the first of these that is there, else the key alone.
_FINEST = {"01": ("21", "235", "10"), "8006": ("21", "10"), "414": ("254",), "8010": ("8011",)}

# Key, value and at most three qualifiers with their values.
_MOST_PARTS = 8

_WEB = re.compile(r"(?:https?|HTTPS?)://[^/]+/(.*)", re.DOTALL)

# EPC schemes that name things without a GS1 key (Tag Data Standard 2.0 section 6.3).
_OTHER_SCHEMES = re.compile(r"urn:epc:id:(gid|usdod|adi|bic|imovn):.+", re.DOTALL)


def canonical_identifier(text: str) -> str:
    """The canonical identifier of `text` by docs/formats.md section 2.

    Raises :class:`IdentifierError` for a malformed EPC URN and for nothing else.
    """
    if is_epc_urn(text):
        try:
            return to_digital_link(text)
        except UnknownSchemeError:
            return text
    found = _find_key(text)
    return text if found is None else _format_finest(*found)


def check_identifier(text: str) -> None:
    """Refuse with :class:`IdentifierError` what looks like a GS1 identifier and breaks its rules.

    Looked at: EPC URNs; http(s) URIs at id.gs1.org, or in which :func:`canonical_identifier` finds
    a key, or that hold a key with a check digit that is right. Everything else is somebody's own
    identifier and passes.
    """
    try:
        if is_epc_urn(text):
            if _OTHER_SCHEMES.fullmatch(text) is None:
                digital_link.parse(to_digital_link(text))
        elif _looks_like_gs1(text):
            digital_link.parse(text)
    except IdentifierError:
        raise
    except QrError as error:
        raise IdentifierError(
            error.detail,
            ai=error.ai,
            expected=error.expected,
            found=error.found,
            remedy=error.remedy,
        ) from error


def _path_parts(text: str) -> list[str | None]:
    """The path of an http(s) URI, split and unescaped; None for a part that cannot be."""
    match = _WEB.fullmatch(text.partition("#")[0].partition("?")[0])
    return [escapes.decode(part) for part in match[1].split("/")] if match else []


def _find_key(text: str) -> tuple[str, str, dict[str, str]] | None:
    """Key, value and qualifiers, looked for from the right; None if there is no key."""
    parts = _path_parts(text)
    for start in range(len(parts) - 2, max(-1, len(parts) - _MOST_PARTS - 1), -1):
        ai, tail = parts[start], parts[start + 1 :]
        if ai in _KEYS and len(tail) % 2 == 1 and all(tail):
            values = [part for part in tail if part is not None]
            names = tuple(values[1::2])
            if any(_is_ordered(names, allowed) for allowed in _KEYS[ai]):
                return ai, values[0], dict(zip(names, values[2::2], strict=True))
    return None


def _is_ordered(names: tuple[str, ...], allowed: tuple[str, ...]) -> bool:
    """Whether `names` are some of `allowed`, in its order, none twice."""
    rest = iter(allowed)
    return all(name in rest for name in names)


def _format_finest(ai: str, value: str, qualifiers: dict[str, str]) -> str:
    path = [ai, value]
    for name in _FINEST.get(ai, ()):
        if name in qualifiers:
            path += [name, qualifiers[name]]
            break
    return "/".join([CANONICAL_BASE, *map(escapes.encode, path)])


def _looks_like_gs1(text: str) -> bool:
    scheme, separator, rest = text.partition("://")
    if not separator or scheme.lower() not in ("http", "https"):
        return False
    lower = f"{scheme.lower()}://{rest}"  # a mixed-case scheme is judged by the strict parser
    if re.match(r"https?://id\.gs1\.org(?:[/?#:]|$)", lower, re.IGNORECASE):
        return True
    return _find_key(lower) is not None or _holds_good_key(_path_parts(lower))


def _holds_good_key(parts: list[str | None]) -> bool:
    """Whether some part is a key with a check digit, and the next one a right value for it."""
    return any(ai and value and _is_good(ai, value) for ai, value in itertools.pairwise(parts))


def _is_good(ai: str, value: str) -> bool:
    if ai not in PRIMARY_KEYS:
        return False
    if not any("check" in part.rules for part in APPLICATION_IDENTIFIERS[ai].components):
        return False  # /401/2026-report is no accident that proves anything
    try:
        validate_key(ai, value)
    except QrError:
        return False
    return True
