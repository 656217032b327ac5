"""GS1 values, check digits, and our table against the published dictionary."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qr.errors import Gs1ValueError
from qr.gs1 import (
    APPLICATION_IDENTIFIERS,
    PRIMARY_KEYS,
    RULES,
    check_digit,
    check_pair,
    validate_key,
    validate_value,
)

# The dictionary's rule names and ours. None: what the set of characters already ensures, or what
# gs1_table.py says that we leave out.
RULE_NAMES = {
    "csum": "check",
    "csumalpha": "pair",
    "gcppos1": "prefix",
    "gcppos2": None,
    "yymmd0": "day0",
    "yymmdd": "day",
    "yyyymmdd": "date",
    "hhmi": "time",
    "hh": "hour",
    "mi": "sixty",
    "ss": "sixty",
    "iso3166": "country",
    "iso3166999": "processor",
    "iso3166alpha2": "letters",
    "iso4217": None,
    "zero": "zero",
    "nonzero": "nonzero",
    "nozeroprefix": "leading",
    "yesno": "bit",
    "winding": "winding",
    "iso5218": "sex",
    "hyphen": "hyphen",
    "pcenc": "escapes",
    "importeridx": "importer",
    "mediatype": "medium",
    "hasnondigit": "model",
    "latitude": "latitude",
    "longitude": "longitude",
    "pieceoftotal": "piece",
    "posinseqslash": "position",
    "iban": "iban",
    "packagetype": None,
    "couponcode": None,
    "couponposoffer": None,
}

Row = tuple[list[tuple[str, int, int, bool, list[str]]], bool, tuple[tuple[str, ...], ...] | None]


def read_dictionary(path: Path) -> dict[str, Row]:
    """The published file, read with nothing of ours."""
    rows: dict[str, Row] = {}
    for line in path.read_text("utf-8").splitlines():
        text = line.partition("#")[0].strip()
        if not text:
            continue
        codes, *words = text.split()
        flags = words.pop(0) if not re.match(r"\[?[NXYZ]", words[0]) else ""
        components, key = [], None
        for word in words:
            match = re.fullmatch(r"\[?([NXYZ])(\.\.)?([0-9]+)\]?((?:,[a-z0-9]+)*)", word)
            if match:
                high = int(match[3])
                rules = [RULE_NAMES[name] for name in match[4].split(",") if name]
                # Four leading digits are no question where everything is digits.
                kept = [rule for rule in rules if rule and (rule, match[1]) != ("prefix", "N")]
                low = 1 if match[2] else high
                components.append((match[1], low, high, word.startswith("["), kept))
            elif word.startswith("dlpkey"):
                alternatives = word.removeprefix("dlpkey").removeprefix("=").split("|")
                key = tuple(tuple(filter(None, text.split(","))) for text in alternatives)
        first, _, last = codes.partition("-")
        for number in range(int(first), int(last or first) + 1):
            rows[f"{number:0{len(first)}}"] = (components, "?" in flags, key)
    return rows


def test_our_table_is_the_dictionary(shared: Path) -> None:
    published = read_dictionary(shared / "data" / "gs1" / "gs1-syntax-dictionary.txt")
    assert len(published) == len(APPLICATION_IDENTIFIERS) > 500
    for code, (components, attribute, key) in published.items():
        entry = APPLICATION_IDENTIFIERS[code]
        ours = [
            (part.characters, 1 if "pair" in part.rules else part.low, part.high, part.optional)
            for part in entry.components
        ]
        assert ours == [component[:4] for component in components], code
        assert [list(part.rules) for part in entry.components] == [c[4] for c in components], code
        assert entry.attribute is attribute, code
        assert entry.qualifiers == key, code


def test_every_rule_of_the_table_exists_and_every_rule_is_used() -> None:
    used = {
        rule
        for entry in APPLICATION_IDENTIFIERS.values()
        for part in entry.components
        for rule in part.rules
    }
    assert used == set(RULES)


def test_primary_keys() -> None:
    expected = "00 01 253 255 401 402 414 415 417 8003 8004 8006 8010 8013 8017 8018"
    assert " ".join(PRIMARY_KEYS) == expected


@pytest.mark.parametrize(
    ("digits", "expected"),
    # GS1 General Specifications and the examples of the EPC Tag Data Standard.
    [
        ("0952123454321", "3"),
        ("1061414112345", "9"),
        ("10614141234567890", "8"),
        ("061414112345", "2"),
        ("629104150021", "3"),
        ("9638507", "4"),
        ("03600029145", "2"),
        ("0", "0"),
        ("", "0"),
    ],
)
def test_check_digits(digits: str, expected: str) -> None:
    assert check_digit(digits) == expected


@given(st.text("0123456789", min_size=7, max_size=17), st.data())
def test_one_wrong_digit_never_passes(digits: str, data: st.DataObject) -> None:
    full = digits + check_digit(digits)
    place = data.draw(st.integers(0, len(full) - 1))
    other = data.draw(st.sampled_from([d for d in "0123456789" if d != full[place]]))
    altered = full[:place] + other + full[place + 1 :]
    assert check_digit(altered[:-1]) != altered[-1]


@pytest.mark.parametrize(
    "model",
    # Global Model Numbers with right check characters; the first is that of the General
    # Specifications, the others are published with GS1's own checker.
    [
        "1987654Ad4X4bL5ttr2310c2K",
        "12345678901234567890123NT",
        "12345_ABCDEFGHIJKLMCP",
        "12345_NOPQRSTUVWXYZDN",
        "12345_abcdefghijklmN3",
        "12345_nopqrstuvwxyzP2",
        "12345_!\"%&'()*+,-./LC",
        "12345_0123456789:;<=>?62",
        "99999zzzzzzzzzzzzzzzzzzT2",
    ],
)
def test_check_pairs(model: str) -> None:
    assert check_pair(model[:-2]) == model[-2:]
    validate_key("8013", model)
    for place in range(len(model)):
        altered = model[:place] + ("A" if model[place] != "A" else "B") + model[place + 1 :]
        with pytest.raises(Gs1ValueError):
            validate_key("8013", altered)


GOOD = [
    ("00", "106141412345678908"),
    ("01", "09521234543213"),
    ("10", "ABC123"),
    ("10", "!\"%&'()*+,-./:;<=>?_"),
    ("10", "x" * 20),
    ("11", "261231"),
    ("11", "000229"),
    ("17", "261200"),
    ("37", "1"),
    ("37", "12345678"),
    ("253", "0614141123452"),
    ("253", "0614141123452400"),
    ("255", "4012345678901" + "000000004711"[:12]),
    ("401", "0614141xyz"),
    ("402", "06141411234567890"),
    ("414", "0614141123452"),
    ("421", "276X1"),
    ("422", "156"),
    ("423", "156276"),
    ("423", "156276250840124"),
    ("4300", "A%20B%C3%A9"),
    ("4307", "CN"),
    ("4309", "18000000003600000000"),
    ("4321", "1"),
    ("4324", "2611002359"),
    ("4330", "000100"),
    ("4330", "000100-"),
    ("7003", "2612312359"),
    ("7007", "260101"),
    ("7007", "260101261231"),
    ("7030", "999X"),
    ("7030", "156X"),
    ("7040", "1ABC"),
    ("7040", "1AB-"),
    ("7230", "EUX"),
    ("7241", "10"),
    ("7250", "20000229"),
    ("7251", "200002290000"),
    ("7252", "9"),
    ("7258", "2/3"),
    ("8001", "00010000100190"),
    ("8003", "00614141123452"),
    ("8003", "00614141123452400"),
    ("8004", "061414112345400"),
    ("8006", "040123451234560102"),
    ("8007", "BE71096123456769"),
    ("8007", "GB98MIDL07009312345678"),
    ("8008", "26123123"),
    ("8008", "261231235959"),
    ("8010", "0614141A-#/"),
    ("8011", "1"),
    ("8017", "061414112345678902"),
    ("8030", "AZaz09-_"),
    ("8030", "AA=="),
    ("8043", "123456789012345678"),
    ("8043", "12345678901234567812"),
    ("99", "?" * 90),
    ("3103", "000100"),
]

BAD = [
    ("00", "106141412345678907", "check digit 8"),
    ("00", "10614141234567890", "18 digits"),
    ("01", "09521234543214", "check digit 3"),
    ("01", "0952123454321A", "14 digits"),
    ("01", "９521234543213", "14 digits"),
    ("01", "9521234543213", "14 digits"),
    ("01", "095212345432133", "at most 14"),
    ("01", "", "14 digits"),
    ("10", "", "1 to 20"),
    ("10", "x" * 21, "at most 20"),
    ("10", "a b", "set 82"),
    ("10", "a#b", "set 82"),
    ("10", "é", "set 82"),
    ("10", "a~", "set 82"),
    ("10", "a\n", "set 82"),
    ("11", "261301", "YYMMDD"),
    ("11", "260230", "YYMMDD"),
    ("11", "250229", "YYMMDD"),
    ("11", "260000", "YYMMDD"),
    ("11", "261300", "YYMMDD"),
    ("11", "260431", "YYMMDD"),
    ("7003", "2612002359", "YYMMDD"),
    ("7003", "2612312400", "HHMM"),
    ("7003", "2612312360", "HHMM"),
    ("401", "061xyz", "company prefix"),
    ("8004", "A614141", "company prefix"),
    ("422", "999", "ISO 3166"),
    ("422", "001", "ISO 3166"),
    ("423", "15627", "3 digits"),
    ("423", "156276250840124156", "at most 15"),
    ("4300", "A%2", "hexadecimal"),
    ("4300", "A%GG", "hexadecimal"),
    ("4307", "cn", "two letters"),
    ("4309", "18000000010000000000", "1800000000"),
    ("4309", "00000000003600000001", "3600000000"),
    ("4321", "2", "0 or 1"),
    ("4330", "000100+", "hyphen"),
    ("7030", "998X", "ISO 3166"),
    ("7040", "1AB!", "letter"),
    ("7241", "11", "medium"),
    ("7250", "19000229", "YYYYMMDD"),
    ("7252", "3", "0, 1, 2 or 9"),
    ("7258", "4/3", "position"),
    ("7258", "0/3", "position"),
    ("7258", "1-3", "position"),
    ("8001", "00000000100190", "above zero"),
    ("8001", "00010000100120", "0, 1 or 9"),
    ("8003", "10614141123452", "zero"),
    ("8003", "00614141123453", "check digit 2"),
    ("8006", "040123451234560201", "piece"),
    ("8006", "040123451234560001", "piece"),
    ("8007", "BE71096123456760", "IBAN"),
    ("8007", "be71096123456769", "IBAN"),
    ("8008", "26123124", "hour"),
    ("8008", "2612312360", "00 to 59"),
    ("8010", "0614141a", "set 39"),
    ("8011", "01", "leading zero"),
    ("8013", "2", "2 to 25"),
    ("8014", "1234567890" + "", "check characters"),
    ("8030", "a+b", "base64url"),
    ("8030", "a===", "base64url"),
]


@pytest.mark.parametrize(("ai", "value"), GOOD)
def test_good_values(ai: str, value: str) -> None:
    validate_value(ai, value)


@pytest.mark.parametrize(("ai", "value", "expected"), BAD)
def test_wrong_values_say_what_was_expected(ai: str, value: str, expected: str) -> None:
    with pytest.raises(Gs1ValueError) as caught:
        validate_value(ai, value)
    error = caught.value
    assert error.ai == ai
    assert expected in error.expected
    assert f"AI ({ai})" in str(error)
    assert error.found and error.remedy


def test_a_model_number_without_a_letter_is_refused() -> None:
    digits = next(text for text in map(str, range(10**6, 10**7)) if check_pair(text).isdigit())
    validate_value("8013", digits + check_pair(digits))
    with pytest.raises(Gs1ValueError, match="no digit"):
        validate_value("8014", digits + check_pair(digits))


def test_unknown_identifiers_and_other_keys_are_refused() -> None:
    with pytest.raises(Gs1ValueError, match="unknown application identifier"):
        validate_value("05", "1")
    with pytest.raises(Gs1ValueError, match="not a primary key"):
        validate_key("10", "LOT")
