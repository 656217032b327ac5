"""RFC 8785 against the vectors of its author (github cyberphone/json-canonicalization)."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from provenance.domain.canonical import MalformedJsonError, encode, parse

# Holds 1E30, which is good JCS and outside what we read (docs/formats.md section 1).
BEYOND_OUR_NUMBERS = {"values"}


def test_all_six_cases_of_the_suite(shared: Path) -> None:
    seen = 0
    for source in sorted((shared / "vectors" / "jcs" / "input").glob("*.json")):
        folder = source.parents[1]
        expected = bytes.fromhex((folder / "outhex" / f"{source.stem}.txt").read_text())
        assert encode(json.loads(source.read_bytes())) == expected, source.name
        assert (folder / "output" / source.name).read_bytes() == expected, source.name
        seen += 1
    assert seen == 6


def test_our_reader_gives_the_same_bytes_where_it_reads_them(shared: Path) -> None:
    refused = set()
    for source in sorted((shared / "vectors" / "jcs" / "input").glob("*.json")):
        expected = (source.parents[1] / "output" / source.name).read_bytes()
        try:
            assert encode(parse(source.read_bytes())) == expected, source.name
            assert encode(parse(expected)) == expected, source.name
        except MalformedJsonError as error:
            assert error.code == "number-range"
            refused.add(source.stem)
    assert refused == BEYOND_OUR_NUMBERS


@pytest.mark.parametrize(
    ("double", "text"),
    # RFC 8785 appendix B, the finite cases: IEEE 754 bits and their one spelling.
    [
        ("0000000000000000", "0"),
        ("8000000000000000", "0"),
        ("0000000000000001", "5e-324"),
        ("8000000000000001", "-5e-324"),
        ("7fefffffffffffff", "1.7976931348623157e+308"),
        ("ffefffffffffffff", "-1.7976931348623157e+308"),
        ("4340000000000000", "9007199254740992"),
        ("c340000000000000", "-9007199254740992"),
        ("4430000000000000", "295147905179352830000"),
        ("44b52d02c7e14af5", "9.999999999999997e+22"),
        ("44b52d02c7e14af6", "1e+23"),
        ("44b52d02c7e14af7", "1.0000000000000001e+23"),
        ("444b1ae4d6e2ef4e", "999999999999999700000"),
        ("444b1ae4d6e2ef4f", "999999999999999900000"),
        ("444b1ae4d6e2ef50", "1e+21"),
        ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
        ("3eb0c6f7a0b5ed8d", "0.000001"),
        ("41b3de4355555553", "333333333.3333332"),
        ("41b3de4355555554", "333333333.33333325"),
        ("41b3de4355555555", "333333333.3333333"),
        ("41b3de4355555556", "333333333.3333334"),
        ("41b3de4355555557", "333333333.33333343"),
        ("becbf647612f3696", "-0.0000033333333333333333"),
        ("43143ff3c1cb0959", "1424953923781206.2"),
    ],
)
def test_numbers_of_appendix_b(double: str, text: str) -> None:
    (value,) = struct.unpack(">d", bytes.fromhex(double))
    assert encode(value).decode() == text
