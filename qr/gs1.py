"""GS1 application identifiers: what a value must look like, check digits, and which are keys.

Reads the table of `gs1_table` into :data:`APPLICATION_IDENTIFIERS` and judges values by it. How
identifiers stand in a URI is left to `digital_link`, EPC URNs to `epc`.

    validate_value("01", "09521234543213")      passes
    validate_value("01", "09521234543214")      Gs1ValueError: check digit 3 expected, 4 found

A value is cut into its components from the left; each takes what its length allows. Once the value
is used up, optional components are passed over; anything left at the end is too much.

Sources: GS1 Barcode Syntax Dictionary (formats, rules); GS1 General Specifications, sections on
check digits and check character pairs, character sets 39, 64 and 82.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from qr.errors import Gs1ValueError
from qr.gs1_table import COUNTRIES, NAMES, ROWS

_SET_82 = "!\"%&'()*+,-./0123456789:;<=>?ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
_SET_32 = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
# Weights of the check character pair: primes upwards from the right; 23 for the longest key.
_PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83)

_CHARACTERS = {
    "N": (re.compile(r"[0-9]*"), "digits"),
    "X": (re.compile(f"[{re.escape(_SET_82)}]*"), "characters of GS1 set 82"),
    "Y": (re.compile(r"[0-9A-Z#/-]*"), "characters of GS1 set 39"),
    "Z": (re.compile(r"[A-Za-z0-9_-]*={0,2}"), "base64url characters"),
}


@dataclass(frozen=True, slots=True)
class Component:
    """One part of a value: character set, length as [low, high], and rules by name."""

    characters: str
    low: int
    high: int
    optional: bool
    rules: tuple[str, ...]

    @property
    def form(self) -> str:
        """What fits, in words."""
        length = f"{self.low}" if self.low == self.high else f"{self.low} to {self.high}"
        return f"{length} {_CHARACTERS[self.characters][1]}"


@dataclass(frozen=True, slots=True)
class ApplicationIdentifier:
    """One row of the table.

    `qualifiers`: None unless it is a primary key; else the alternatives, each an ordered tuple of
    qualifier identifiers. `attribute`: it may stand in the query of a Digital Link.
    """

    code: str
    components: tuple[Component, ...]
    qualifiers: tuple[tuple[str, ...], ...] | None
    attribute: bool


def check_digit(digits: str) -> str:
    """The check digit that belongs behind `digits` (ASCII digits only, any number of them).

    From the right, weights 3, 1, 3, 1, ...; the digit fills the sum up to a multiple of ten.
    """
    total = sum(int(digit) * (3, 1)[place % 2] for place, digit in enumerate(reversed(digits)))
    return str(-total % 10)


def check_pair(text: str) -> str:
    """The two check characters that belong behind `text` (at most 23 characters of set 82).

    Each character counts as its place in set 82, weighted by primes from the right; the sum modulo
    1021 is written as two characters of set 32.
    """
    weighted = zip(reversed(text), _PRIMES, strict=False)
    total = sum(_SET_82.index(character) * prime for character, prime in weighted) % 1021
    return _SET_32[total >> 5] + _SET_32[total & 31]


def validate_value(ai: str, value: str) -> None:
    """Refuse `value` for the application identifier `ai` with :class:`Gs1ValueError`."""
    entry = APPLICATION_IDENTIFIERS.get(ai)
    if entry is None:
        raise Gs1ValueError(
            "unknown application identifier",
            ai=ai,
            expected="an application identifier of GS1",
            found=ai,
            remedy="look it up in the GS1 General Specifications",
        )
    rest = value
    for component in entry.components:
        if component.optional and not rest:
            break
        part, rest = rest[: component.high], rest[component.high :]
        _check_component(ai, component, part)
    if rest:
        length = len(value) - len(rest)
        raise _refused(ai, "value too long", f"at most {length} characters", f"{len(value)}")


def validate_key(ai: str, value: str) -> None:
    """As :func:`validate_value`, and `ai` must be a primary key of GS1 Digital Link."""
    if ai not in PRIMARY_KEYS:
        raise Gs1ValueError(
            "not a primary key",
            ai=ai,
            expected=" ".join(PRIMARY_KEYS),
            found=ai,
            remedy="name the thing by one of its keys",
        )
    validate_value(ai, value)


def _check_component(ai: str, component: Component, part: str) -> None:
    pattern, _ = _CHARACTERS[component.characters]
    if not pattern.fullmatch(part):
        wrong = part[_end_of_match(pattern, part) :][:1]
        raise _refused(ai, "wrong character", component.form, ascii(wrong))
    if len(part) < component.low:
        raise _refused(ai, "value too short", component.form, f"{len(part)} characters")
    for rule in component.rules:
        expected = RULES[rule](part)
        if expected is not None:
            raise _refused(ai, "wrong value", expected, ascii(part))


def _end_of_match(pattern: re.Pattern[str], text: str) -> int:
    match = pattern.match(text)
    return match.end() if match else 0  # every pattern matches at least nothing


def _refused(ai: str, detail: str, expected: str, found: str) -> Gs1ValueError:
    name = f" of the {NAMES[ai]}" if ai in NAMES else ""
    return Gs1ValueError(
        f"{detail}{name}",
        ai=ai,
        expected=expected,
        found=found,
        remedy="compare with the label or the master data",
    )


# --- rules: each takes a component's text, gives None if it obeys, else what was expected ---------


def _check(text: str) -> str | None:
    digit = check_digit(text[:-1])
    return None if text[-1] == digit else f"check digit {digit} at the end"


def _pair(text: str) -> str | None:
    pair = check_pair(text[:-2])
    return None if text[-2:] == pair else f"check characters {pair} at the end"


def _prefix(text: str) -> str | None:
    # The shortest company prefix has four digits; longer ones would need GS1's register.
    return None if re.match("[0-9]{4}", text) else "a company prefix (at least 4 digits) in front"


def _matches(pattern: str, expected: str) -> Callable[[str], str | None]:
    compiled = re.compile(pattern)
    return lambda text: None if compiled.fullmatch(text) else expected


def _at_most(greatest: int) -> Callable[[str], str | None]:
    return lambda text: None if int(text) <= greatest else f"at most {greatest}"


def _is_day(year: int, month: int, day: int) -> bool:
    if not 1 <= month <= 12 or day < 1:
        return False
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return day <= (31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)[month - 1]


def _day(text: str) -> str | None:
    # The century moves with the clock and matters only to 29 February of a year 00: read as 2000
    # (a leap year), which is right until 2050. So no clock is needed here.
    good = _is_day(2000 + int(text[:2]), int(text[2:4]), int(text[4:]))
    return None if good else "a date YYMMDD"


def _day0(text: str) -> str | None:
    if text[4:] == "00" and 1 <= int(text[2:4]) <= 12:
        return None  # day 00: the month as a whole
    return None if _day(text) is None else "a date YYMMDD or YYMM00"


def _date(text: str) -> str | None:
    good = _is_day(int(text[:4]), int(text[4:6]), int(text[6:]))
    return None if good else "a date YYYYMMDD"


def _piece(text: str) -> str | None:
    piece, total = int(text[:2]), int(text[2:])
    return None if 1 <= piece <= total else "piece and total as two digits each, piece within total"


def _position(text: str) -> str | None:
    match = re.fullmatch(r"([1-9][0-9]*)/([1-9][0-9]*)", text)
    good = match and int(match[1]) <= int(match[2])
    return None if good else "position/end, position within end"


def _iban(text: str) -> str | None:
    if re.fullmatch(r"[A-Z]{2}[0-9A-Z]{9,32}", text):
        digits = "".join(str(int(character, 36)) for character in text[4:] + text[:4])
        if int(digits) % 97 == 1:  # ISO 13616-1, ISO 7064 MOD 97-10
            return None
    return "an IBAN with right check digits"


def _country(text: str) -> str | None:
    return None if text in COUNTRIES else "a country number of ISO 3166-1"


RULES: dict[str, Callable[[str], str | None]] = {
    "check": _check,
    "pair": _pair,
    "prefix": _prefix,
    "day": _day,
    "day0": _day0,
    "date": _date,
    "time": _matches("([01][0-9]|2[0-3])[0-5][0-9]", "a time HHMM"),
    "hour": _matches("[01][0-9]|2[0-3]", "an hour 00 to 23"),
    "sixty": _matches("[0-5][0-9]", "00 to 59"),
    "country": _country,
    "processor": lambda text: None if text == "999" else _country(text),
    "letters": _matches("[A-Z]{2}", "two letters of ISO 3166-1"),
    "zero": _matches("0+", "zero"),
    "nonzero": _matches("0*[1-9][0-9]*", "a number above zero"),
    "leading": _matches("[1-9][0-9]*", "a number without leading zero"),
    "bit": _matches("[01]", "0 or 1"),
    "winding": _matches("[019]", "0, 1 or 9"),
    "sex": _matches("[0129]", "0, 1, 2 or 9 (ISO/IEC 5218)"),
    "hyphen": _matches("-+", "a hyphen"),
    "escapes": _matches("([^%]|%[0-9A-Fa-f]{2})*", "percent-escapes of two hexadecimal digits"),
    "importer": _matches("[-0-9A-Z_a-z]", "a digit, a letter, - or _"),
    "medium": _matches("0[1-9]|10|[89][0-9]", "an AIDC medium (01 to 10, 80 to 99)"),
    "model": _matches(".*[^0-9].*", "at least one character that is no digit"),
    "latitude": _at_most(1_800_000_000),
    "longitude": _at_most(3_600_000_000),
    "piece": _piece,
    "position": _position,
    "iban": _iban,
}


# --- the table read into objects --------------------------------------------------------------


_COMPONENT = re.compile(r"([NXYZ])(\.\.)?([0-9]+)(\?)?((?::[a-z0-9]+)*)")


def _read_component(text: str) -> Component:
    match = _COMPONENT.fullmatch(text)
    if match is None:
        raise AssertionError(f"the table has a component {text!r}")
    characters, up_to, length, optional, rules = match.groups()
    high = int(length)
    names = tuple(rules[1:].split(":")) if rules else ()
    low = 1 if up_to else high
    if "pair" in names:
        low = 2  # the pair itself
    return Component(characters, low, high, optional is not None, names)


def _expand(pattern: str) -> Iterator[str]:
    """`31[0-6]` as 310, 311, ... 316."""
    spans = re.findall(r"\[([0-9])-([0-9])\]|([0-9])", pattern)
    choices = [
        single or [str(digit) for digit in range(int(first), int(last) + 1)]
        for first, last, single in spans
    ]
    return ("".join(digits) for digits in itertools.product(*choices))


def _read_table() -> Iterator[ApplicationIdentifier]:
    for row in ROWS.strip().splitlines():
        left, _, role = (part.strip() for part in row.partition(";"))
        words = left.split()
        components = tuple(_read_component(word) for word in words if not word[0].isdigit())
        qualifiers = None
        if role.startswith("key"):
            alternatives = role.removeprefix("key").split("|")
            qualifiers = tuple(tuple(alternative.split()) for alternative in alternatives)
        for word in words:
            if word[0].isdigit():
                for code in _expand(word):
                    yield ApplicationIdentifier(
                        code, components, qualifiers, attribute=role != "no attribute"
                    )


APPLICATION_IDENTIFIERS: dict[str, ApplicationIdentifier] = {
    entry.code: entry for entry in _read_table()
}

# Primary keys of GS1 Digital Link with their qualifiers: alternatives, each in order.
PRIMARY_KEYS: dict[str, tuple[tuple[str, ...], ...]] = {
    entry.code: entry.qualifiers
    for entry in APPLICATION_IDENTIFIERS.values()
    if entry.qualifiers is not None
}
