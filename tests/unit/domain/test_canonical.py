"""Strict JSON, canonical bytes and strict base64 (docs/formats.md section 1)."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from provenance.domain import canonical
from provenance.domain.canonical import (
    MAX_NUMBER,
    Base64Error,
    MalformedJsonError,
    TooLargeJsonError,
    decode_base64,
    decode_base64url,
    encode,
    encode_base64,
    encode_base64url,
    parse,
)
from provenance.domain.errors import MalformedInputError, TooLargeError

VECTORS = Path(__file__).parents[2] / "vectors" / "json.json"
CASES: list[dict[str, Any]] = json.loads(VECTORS.read_text("utf-8"))
CODES = (
    "too-large",
    "not-utf8",
    "too-deep",
    "not-json",
    "duplicate-key",
    "number-range",
    "lone-surrogate",
)

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NUMBERS = st.integers(-MAX_NUMBER, MAX_NUMBER) | st.floats(-MAX_NUMBER, MAX_NUMBER, allow_nan=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


def refusal(data: bytes, **limits: int) -> MalformedJsonError:
    with pytest.raises(MalformedJsonError) as caught:
        parse(data, **limits)
    return caught.value


def test_the_corpus_has_every_code() -> None:
    assert len(CASES) >= 170
    assert {case["code"] for case in CASES} == {None, *CODES}
    assert len({case["name"] for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_vector(case: dict[str, Any]) -> None:
    data = bytes.fromhex(case["hex"])
    limits = {"max_bytes": case["max"]} if "max" in case else {}
    if case["code"] is None:
        assert encode(parse(data, **limits)).hex() == case["canonical_hex"]
    else:
        assert refusal(data, **limits).code == case["code"]


@given(VALUES)
def test_canonical_bytes_survive_reading_and_writing(value: Any) -> None:
    data = encode(value)
    assert encode(parse(data)) == data
    assert json.loads(data) == value


@given(VALUES, st.integers(0, 4))
def test_white_space_and_order_do_not_change_canonical_bytes(value: Any, indent: int) -> None:
    assert encode(parse(json.dumps(value, indent=indent).encode())) == encode(value)


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda t: t.encode("utf-8", "replace")))
def test_any_bytes_are_a_value_or_a_code(data: bytes) -> None:
    try:
        value = parse(data)
    except MalformedJsonError as error:
        assert error.code in CODES
        assert error.expected and error.found and error.remedy
    else:
        assert json.loads(data) == value


@given(st.text(alphabet='[]{}",:\\a1 ', max_size=60))
def test_scrambled_structure_is_read_as_the_standard_library_reads_it(text: str) -> None:
    try:
        expected = json.loads(text)
    except ValueError:
        assert refusal(text.encode(), max_depth=60).code == "not-json"
        return
    try:
        assert parse(text.encode(), max_depth=60) == expected
    except MalformedJsonError as error:
        assert error.code in ("duplicate-key", "number-range")


@pytest.mark.parametrize("text", ["2", "2.0", "20e-1", "0.2E1"])
def test_a_whole_number_is_an_int_however_it_is_spelt(text: str) -> None:
    value = parse(text.encode())
    assert (value, type(value)) == (2, int)


@pytest.mark.parametrize("text", ["-0", "-0.0", "-0e9", "-1e-400"])
def test_minus_zero_is_the_int_zero(text: str) -> None:
    value = parse(text.encode())
    assert (str(value), type(value)) == ("0", int)


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_the_depth_limit_is_the_callers(depth: int) -> None:
    parse(b"[" * depth + b"]" * depth, max_depth=depth)
    error = refusal(b"[" * (depth + 1) + b"]" * (depth + 1), max_depth=depth)
    assert (error.code, error.found) == ("too-deep", f"{depth + 1} levels")


def test_too_large_is_a_size_refusal_and_a_json_refusal() -> None:
    error = refusal(b" " * 49_153)
    assert isinstance(error, TooLargeJsonError)
    assert isinstance(error, TooLargeError)
    assert isinstance(error, MalformedInputError)
    assert (error.expected, error.found) == ("at most 49152 bytes", "49153 bytes")
    assert parse(b" " * 49_151 + b"1") == 1


def test_messages_name_the_place_and_the_culprit() -> None:
    assert "line 2, column 3" in str(refusal(b"[1,\n2 3]"))
    assert "byte 0xff at offset 1" in str(refusal(b'"\xff"'))
    assert "byte order mark" in str(refusal(b"\xef\xbb\xbf1"))
    assert "'price'" in str(refusal(b'{"a":1,"price":1,"b":2,"price":3}'))
    assert "'1e400'" in str(refusal(b"[1,1e400]"))
    assert "U+D800" in str(refusal(b'["\\ud800"]'))


def test_a_long_culprit_is_cut() -> None:
    error = refusal(b"9" * 40_000)
    assert error.found is not None
    assert len(error.found) < 60


HOSTILE = {
    "digits": b"1" * 2_000_000,
    "fraction": b"0." + b"1" * 2_000_000,
    "exponent": b"1e" + b"9" * 2_000_000,
    "escaped quotes": b'"' + b'\\"' * 1_000_000 + b"\\",
    "brackets behind quotes": b"[" * 40 + b'"\\' * 1_000_000,
    "open brackets": b"[" * 2_000_000,
    "side by side": b"[" + b"[]," * 600_000 + b"[]]",
    "one name often": b"{" + b'"a":1,' * 300_000 + b'"a":1}',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_input_costs_linear_time(name: str) -> None:
    data = HOSTILE[name]
    started = time.perf_counter()
    try:
        parse(data, max_bytes=len(data))
    except MalformedJsonError as error:
        assert error.code in CODES
    # Two megabytes take well under a second; anything quadratic takes minutes.
    assert time.perf_counter() - started < 10


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (2**53, "number-range"),
        (-(2**53), "number-range"),
        (float("nan"), "number-range"),
        (float("inf"), "number-range"),
        ("\ud800", "lone-surrogate"),
        ({"\udc00": 1}, "lone-surrogate"),
        ({1: 2}, "not-json"),
        ({"a": b"bytes"}, "not-json"),
    ],
)
def test_what_has_no_canonical_form_is_refused(value: Any, code: str) -> None:
    with pytest.raises(MalformedJsonError) as caught:
        encode(value)
    assert caught.value.code == code


def test_an_integer_too_long_to_print_is_refused_like_any_other() -> None:
    # Python refuses to print an integer of more than 4,300 digits; that is no other kind of error.
    with pytest.raises(MalformedJsonError) as caught:
        encode([10**5_000])
    assert caught.value.code == "number-range"


def test_doubles_beyond_the_safe_range_have_a_canonical_form() -> None:
    assert encode([1e21, 1e300]) == b"[1e+21,1e+300]"


@given(st.binary(max_size=80))
def test_base64_round_trip(data: bytes) -> None:
    assert encode_base64(data) == base64.b64encode(data).decode()
    assert decode_base64(encode_base64(data), len(data)) == data
    assert encode_base64url(data) == base64.urlsafe_b64encode(data).decode().rstrip("=")
    assert decode_base64url(encode_base64url(data)) == data


@given(st.text("ABab01+/-_= \n", max_size=12))
def test_only_the_canonical_text_is_decoded(text: str) -> None:
    try:
        data = decode_base64(text)
    except Base64Error:
        return
    assert base64.b64encode(data).decode() == text


@pytest.mark.parametrize(
    "text",
    ["AA=", "AA", "A===", "AB==", "AAB=", "AA==\n", " AA==", "AA==AA==", "A-A=", "é===", None, 5],
)
def test_other_base64_is_refused(text: object) -> None:
    with pytest.raises(Base64Error) as caught:
        decode_base64(text)
    assert caught.value.code == "not-base64"


@pytest.mark.parametrize("text", ["AA==", "A", "AB", "AAAAA", "+A", "/A", "AA\n", "é", None])
def test_other_base64url_is_refused(text: object) -> None:
    with pytest.raises(Base64Error):
        decode_base64url(text)


def test_base64_of_another_length_is_refused() -> None:
    with pytest.raises(Base64Error, match="expected base64 of 32 bytes, found base64 of 1 bytes"):
        decode_base64("AA==", 32)


# --- the quick writer -----------------------------------------------------------------------------

# Characters on which two writers could differ: controls, escapes, borders of planes, surrogates.
_ODD = (
    '\x00\x07\b\t\n\x0b\f\r\x1f "/\\\x7f\x80\u00e9\u2028\u2029'
    "\ud7ff\ud800\udc00\ue000\ufeff\uffff\U00010000\U0010ffff"
)
_TEXTS = st.text(st.sampled_from(_ODD) | st.characters(), max_size=8)
_SAFE = 2**53 - 1
_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-_SAFE, _SAFE)
    | st.sampled_from([_SAFE, -_SAFE, _SAFE + 1, -_SAFE - 1, 10**400])
    | st.floats()
    | _TEXTS
)
_NAMED = _TEXTS | st.integers(-3, 3) | st.none() | st.booleans()
_ANYTHING = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(_TEXTS, inner, max_size=4)
        | st.dictionaries(_NAMED, inner, max_size=2)
        | st.tuples(inner)
    ),
    max_leaves=12,
)


@given(_ANYTHING)
def test_the_quick_writer_gives_what_rfc8785_gives_or_nothing(value: Any) -> None:
    """Whatever the value: equal bytes, or left to the package (which may refuse it)."""
    quick = canonical._encode_plain(value)
    if quick is not None:
        assert quick == rfc8785.dumps(value)


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-_SAFE, _SAFE)
        | st.text(st.characters(codec="ascii")),
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4)
        ),
        max_leaves=12,
    ).filter(lambda value: not any(c > "\uffff" for c in json.dumps(value, ensure_ascii=False)))
)
def test_the_quick_writer_takes_all_that_it_promises(value: Any) -> None:
    assert canonical._encode_plain(value) == rfc8785.dumps(value)


def test_every_character_is_written_alike() -> None:
    for start in range(0, 0x11_0000, 0x400):
        text = "".join(map(chr, range(start, start + 0x400)))
        if 0xD800 <= start < 0xE000:
            assert canonical._encode_plain(text) is None
            continue
        assert canonical.encode(text) == rfc8785.dumps(text)
        assert (canonical._encode_plain(text) is None) == (start > 0xFFFF)


def test_names_are_sorted_by_utf16_even_where_code_points_are_not() -> None:
    value = {"\ue000": 1, "\U00010000": 2, "\uffff": 3, "z": 4}
    assert list(json.loads(canonical.encode(value))) == ["z", "\U00010000", "\ue000", "\uffff"]


class _Number(int):
    def __repr__(self) -> str:
        return "unlike a number"


class _Name(str):
    __slots__ = ()


@pytest.mark.parametrize(
    "value", [{1: 2}, {None: 2}, [1.5], _SAFE + 1, (1,), [_Number(1)], {_Name("a"): 1}, [_Name()]]
)
def test_what_could_be_written_in_another_way_is_not_written_quickly(value: Any) -> None:
    assert canonical._encode_plain(value) is None


def test_a_value_that_holds_itself_ends() -> None:
    circle: list[Any] = []
    circle.append(circle)
    assert canonical._encode_plain(circle) is None
