"""GS1 Digital Link URIs, read and written strictly.

    https://id.example.com/stem/01/09521234543213/22/2A/10/ABC123/21/S1?17=261231&utm=x#top
    scheme  host           stem key               qualifiers, in order  attributes      cut off

Reading refuses at the first broken rule; each is marked with its number at the line that obeys it:

     0  our own limits: 2,048 characters, 128 parts of path and query
     1  RFC 3986 characters only
     2  scheme `http` or `https`, all lower or all upper case
     3  host: letters, digits, `.`, `-`, a port, IPv6 in brackets; no user-info
     4  the fragment is cut off; the query begins at the first `?`
     5  pairs are read from the right until an AI that is a primary key; left of it is the stem
     6  what follows are qualifiers of that key, in order, none twice, alternatives unmixed
     7  no empty value, no doubled slash from the key on, no slash at the end
     8  query: empty parts and words without `=` are ignored; a name with a non-digit is not GS1; a
        name of digits is an AI that may be an attribute, with a value
     9  a qualifier that the path could still take may not stand in the query
    10  no AI twice
    11  values are unescaped once; `+` is a space in the query; no NUL
    12  each value obeys its dictionary line, check digit included
    13  a GTIN has 14 digits; 8, 12 or 13 only with `short_gtins`, padded with zeros

Not here: compression (GS1 Digital Link: Compression 1.0.0) and what a resolver answers. A resolver
that tolerates a slash at the end strips it first.

Sources: GS1 Digital Link Standard: URI Syntax 1.6.0; GS1 Barcode Syntax Dictionary.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from qr import escapes
from qr.epc import CANONICAL_BASE
from qr.errors import DigitalLinkError, Gs1ValueError
from qr.gs1 import APPLICATION_IDENTIFIERS, PRIMARY_KEYS, validate_value

MAX_CHARACTERS = 2_048
MAX_PARTS = 128

Pair = tuple[str, str]

_URI_CHARACTERS = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]*")
_HOST = re.compile(r"(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_BASE = re.compile(r"(?:https?|HTTPS?)://([^/?#]*)(/[^?#]*)?")
_GTINS = ("01", "02", "03")


@dataclass(frozen=True, slots=True)
class DigitalLink:
    """A Digital Link taken apart; every value is unescaped and checked.

    `key` and `qualifiers` are (AI, value) in the order of the path, `attributes` in that of the
    query. `others` are the query's parts that are not GS1's, as they stood, for redirects.
    `host` includes a port; `stem` is the path before the key, without slash at its end.
    """

    key: Pair
    qualifiers: tuple[Pair, ...] = ()
    attributes: tuple[Pair, ...] = ()
    others: tuple[str, ...] = ()
    host: str = ""
    stem: str = ""

    @property
    def path(self) -> str:
        """`/01/{gtin}/21/{serial}`: key and qualifiers, escaped."""
        pairs = (self.key, *self.qualifiers)
        return "".join(f"/{ai}/{escapes.encode(value)}" for ai, value in pairs)

    @property
    def values(self) -> dict[str, str]:
        """Every AI of path and query with its value."""
        return dict((self.key, *self.qualifiers, *self.attributes))

    def canonical(self) -> str:
        """The canonical form: at id.gs1.org, no stem, no query. Equal forms name the same thing."""
        return CANONICAL_BASE + self.path

    def format(self, base: str = CANONICAL_BASE) -> str:
        """The URI under `base` (scheme, host and perhaps a stem), attributes included.

        Raises :class:`DigitalLinkError` (rule 2 or 3) if `base` is no such thing.
        """
        match = _BASE.fullmatch(base)
        if match is None:
            raise _refused(2, "no base for a Digital Link", "http(s)://host/stem", ascii(base))
        _check_characters(base)
        _check_host(match[1])
        query = "&".join(f"{ai}={escapes.encode(value)}" for ai, value in self.attributes)
        return base.rstrip("/") + self.path + ("?" + query if query else "")


def parse(uri: str, *, short_gtins: bool = False) -> DigitalLink:
    """Take a Digital Link URI apart, or raise :class:`DigitalLinkError` with the broken rule."""
    if len(uri) > MAX_CHARACTERS:  # rule 0
        raise _refused(0, "URI too long", f"at most {MAX_CHARACTERS}", f"{len(uri)} characters")
    _check_characters(uri)  # rule 1
    if not re.match(r"(?:https?|HTTPS?)://", uri):  # rule 2
        found = ascii(uri.partition(":")[0][:40])
        raise _refused(2, "wrong scheme", "http:// or https://, not in mixed case", found)
    rest = uri.partition("://")[2].partition("#")[0]  # rule 4
    rest, _, query = rest.partition("?")  # rule 4
    host, _, path = rest.partition("/")
    _check_host(host)  # rule 3
    segments, parts = path.split("/"), query.split("&")
    if len(segments) + len(parts) > MAX_PARTS:  # rule 0
        raise _refused(0, "too many parts", f"at most {MAX_PARTS}", f"{len(segments) + len(parts)}")
    start = _find_key(segments)
    pairs = _read_path(segments[start:])
    attributes, others = _read_query(parts)
    _check_query_names(pairs, attributes)
    key, *qualifiers = [_read_value(pair, short_gtins) for pair in pairs]
    return DigitalLink(
        key,
        tuple(qualifiers),
        tuple(
            _read_value((ai, value.replace("+", " ")), short_gtins)  # rule 11
            for ai, value in attributes
        ),
        tuple(others),
        host,
        "/".join(segments[:start]),
    )


def build(
    key: Pair,
    qualifiers: Mapping[str, str] | None = None,
    attributes: Mapping[str, str] | None = None,
) -> DigitalLink:
    """A checked link from values; qualifiers in any order. Raises :class:`DigitalLinkError`."""
    ai = key[0]
    if ai not in PRIMARY_KEYS:
        raise _refused(5, "not a primary key", " ".join(PRIMARY_KEYS), ascii(ai), ai=None)
    given = dict(qualifiers or {})
    for allowed in PRIMARY_KEYS[ai]:
        if given.keys() <= set(allowed):
            ordered = [(name, given[name]) for name in allowed if name in given]
            break
    else:
        raise _not_qualifiers(ai, tuple(given))
    query = list((attributes or {}).items())
    for name, _ in query:
        _check_attribute(name)
    pairs = [key, *ordered]
    _check_query_names(pairs, query)
    for name, value in (*pairs, *query):
        _check_value(name, value)
    return DigitalLink(key, tuple(ordered), tuple(query))


def _check_characters(uri: str) -> None:
    match = _URI_CHARACTERS.match(uri)
    end = match.end() if match else 0
    if end != len(uri):  # rule 1: refused, not repaired
        raise _refused(1, "character not allowed in a URI", "RFC 3986 characters", ascii(uri[end]))


def _check_host(host: str) -> None:
    if not _HOST.fullmatch(host):  # rule 3
        raise _refused(3, "wrong host", "a host name or address, perhaps a port", ascii(host[:60]))


def _find_key(segments: list[str]) -> int:
    """Where the key's AI stands, read in pairs from the right."""
    if segments[-1] == "" and len(segments) > 1:  # rule 7
        raise _refused(7, "slash at the end of the path", "a value", "nothing")
    for start in range(len(segments) - 2, -1, -2):  # rule 5
        if segments[start] in PRIMARY_KEYS:
            return start
    raise _refused(5, "no GS1 key in the path", "/AI/value with a primary key", "none")


def _read_path(segments: list[str]) -> list[Pair]:
    """Key and qualifiers, still escaped, by form alone."""
    if "" in segments:  # rule 7
        raise _refused(7, "empty part in the path", "a value behind every AI", "nothing")
    pairs = list(zip(segments[::2], segments[1::2], strict=True))
    key = pairs[0][0]
    names = tuple(ai for ai, _ in pairs[1:])
    if not any(_is_ordered(names, allowed) for allowed in PRIMARY_KEYS[key]):  # rule 6
        raise _not_qualifiers(key, names)
    return pairs


def _is_ordered(names: tuple[str, ...], allowed: tuple[str, ...]) -> bool:
    rest = iter(allowed)
    return all(name in rest for name in names)


def _not_qualifiers(key: str, names: tuple[str, ...]) -> DigitalLinkError:
    alternatives = [" ".join(f"({ai})" for ai in allowed) for allowed in PRIMARY_KEYS[key]]
    expected = " or ".join(text or "none" for text in alternatives)
    found = ascii(" ".join(f"({ai})" for ai in names)[:60])
    detail = "not the qualifiers of this key in their order"
    return _refused(6, detail, expected, found, ai=key)


def _read_query(parts: list[str]) -> tuple[list[Pair], list[str]]:
    """GS1 attributes, still escaped, and the parts that are not GS1's."""
    attributes, others = [], []
    for part in parts:
        name, equals, value = part.partition("=")
        if not part or not equals:  # rule 8: ignored
            continue
        if not name.isdecimal():  # rule 8: not GS1 (an empty name too); rule 1 leaves ASCII only
            others.append(part)
            continue
        _check_attribute(name)
        if not value:  # rule 8
            raise _refused(8, "attribute without value", "a value", "nothing", ai=name)
        attributes.append((name, value))
    return attributes, others


def _check_attribute(ai: str) -> None:
    entry = APPLICATION_IDENTIFIERS.get(ai)
    if entry is None or not entry.attribute:  # rule 8
        raise _refused(8, "no data attribute", "an AI that may stand in a query", ascii(ai), ai=ai)


def _check_query_names(pairs: list[Pair], attributes: list[Pair]) -> None:
    names = [ai for ai, _ in pairs]
    open_alternatives = [
        allowed for allowed in PRIMARY_KEYS[names[0]] if set(names[1:]) <= set(allowed)
    ]
    for ai, _ in attributes:
        if any(ai in allowed for allowed in open_alternatives):  # rule 9
            raise _refused(9, "qualifier in the query", "it in the path", ascii(ai), ai=ai)
        if ai in names:  # rule 10
            raise _refused(10, "application identifier given twice", "it once", "it again", ai=ai)
        names.append(ai)


def _read_value(pair: Pair, short_gtins: bool) -> Pair:
    ai, escaped = pair
    value = escapes.decode(escaped)  # rule 11: once
    if value is None or "\0" in value:  # rule 11
        found = ascii(escaped[:60])
        raise _refused(11, "escape that stands for no text", "UTF-8 without NUL", found, ai=ai)
    # Rule 13: without the switch a short GTIN fails rule 12 by its length.
    if short_gtins and ai in _GTINS and len(value) in (8, 12, 13):
        value = value.rjust(14, "0")
    _check_value(ai, value)
    return ai, value


def _check_value(ai: str, value: str) -> None:
    try:
        validate_value(ai, value)  # rule 12
    except Gs1ValueError as error:
        rule = 13 if ai in _GTINS and len(value) in (8, 12, 13) else 12
        raise _refused(rule, error.detail, error.expected, error.found, ai=ai) from error


_REMEDIES = {
    0: "use a shorter link",
    1: "escape other characters as %XX",
    2: "write the scheme in lower case",
    3: "name the host without user-info",
    5: "put the key into the path, as in /01/09521234543213",
    6: "put the qualifiers into the order of the GS1 standard",
    7: "leave out the superfluous slash or add the value",
    8: "leave the parameter out or give it a name that is not all digits",
    9: "move it into the path behind the key",
    10: "leave one of them out",
    11: "escape the value once, as UTF-8",
    12: "compare the value with the label or the master data",
    13: "pad the GTIN to 14 digits with zeros in front",
}


def _refused(
    rule: int, detail: str, expected: str, found: str, *, ai: str | None = None
) -> DigitalLinkError:
    return DigitalLinkError(
        rule, detail, expected=expected, found=found, remedy=_REMEDIES[rule], ai=ai
    )
