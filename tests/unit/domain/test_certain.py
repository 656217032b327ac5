"""The shortcut past parser and writer: where it gives a value, RFC 8785 gives these very bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from provenance.domain import canonical
from provenance.domain.canonical import MAX_NUMBER, MalformedJsonError
from provenance.domain.certain import parse_certain

VECTORS = Path(__file__).parents[2] / "vectors" / "json.json"
CASES: list[dict[str, Any]] = json.loads(VECTORS.read_text("utf-8"))

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NUMBERS = st.integers(-(2**54), 2**54) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


def require_agreement(data: bytes) -> bool:
    """Both ways give one answer to `data`; was the short one certain?"""
    value = parse_certain(data)
    if value is None:
        return False
    assert canonical.parse(data) == value
    # The package for RFC 8785 itself, not our own shortcut to it, is the oracle of the bytes.
    assert rfc8785.dumps(value) == data
    return True


def test_every_vector_gets_the_same_answer_or_none() -> None:
    certain = 0
    for case in CASES:
        data = bytes.fromhex(case["hex"])
        if case["code"] is None:
            certain += require_agreement(data)
        elif "max" not in case:
            assert parse_certain(data) is None, f"{case['name']} breaks {case['code']}"
    assert certain >= 10


def test_jcs_outputs_are_certain_where_nothing_is_left_out(shared: Path) -> None:
    seen = {
        file.stem: require_agreement(file.read_bytes().rstrip(b"\n"))
        for file in sorted((shared / "vectors" / "jcs" / "output").glob("*.json"))
    }
    assert len(seen) >= 6
    assert seen["french"]


@given(VALUES)
def test_canonical_bytes_of_any_value(value: Any) -> None:
    try:
        data = canonical.encode(value)
    except MalformedJsonError:
        return
    if any(lead in data for lead in b"\\\xf0\xf1\xf2\xf3\xf4"):
        assert parse_certain(data) is None
    require_agreement(data)


@given(VALUES, st.randoms(use_true_random=False))
def test_other_spellings_of_a_value_are_never_certain(value: Any, random: Any) -> None:
    spelt = json.dumps(value, ensure_ascii=False, indent=random.choice([None, 1])).encode(
        "utf-8", "surrogatepass"
    )
    if require_agreement(spelt):
        assert spelt == canonical.encode(value)


@given(
    st.recursive(
        st.sampled_from(
            [
                *("0", "-0", "1.0", "1e2", "1E400", "-1", "01", "9007199254740991"),
                *("9007199254740992", "-9007199254740992", "18446744073709551616", "1" * 400),
                *("NaN", "nul", "true", '"a"', '"\x7f"', '"\u2028"', '"\x1f"', '"\ufeff"', '"é"'),
            ]
        ),
        lambda inner: (
            st.lists(inner, max_size=3).map(lambda i: "[" + ",".join(i) + "]")
            | st.lists(st.tuples(st.sampled_from(["a", "b", "é", "A"]), inner), max_size=3).map(
                lambda pairs: "{" + ",".join(f'"{name}":{item}' for name, item in pairs) + "}"
            )
        ),
        max_leaves=8,
    )
)
@example('{"a":1,"a":1}')
@example('{"b":1,"a":1}')
def test_texts_at_the_edge_of_the_grammar(text: str) -> None:
    data = text.encode()
    if parse_certain(data) is None:
        return
    require_agreement(data)


@given(VALUES, st.binary(min_size=1, max_size=2), st.integers(0, 200))
def test_damaged_bytes(value: Any, put: bytes, place: int) -> None:
    try:
        data = canonical.encode(value)
    except MalformedJsonError:
        return
    require_agreement(data[:place] + put + data[place + 1 :])


@pytest.mark.parametrize(
    ("data", "limits"),
    [
        (b"[" * 33 + b"]" * 33, {}),
        (b'"' + b"a" * 49_151 + b'"', {}),
        (b'"abc"', {"max_bytes": 4}),
        (b"[[1]]", {"max_depth": 1}),
    ],
    ids=["too deep", "too large", "larger than asked for", "deeper than asked for"],
)
def test_bounds_hold_here_too(data: bytes, limits: dict[str, int]) -> None:
    assert parse_certain(data, **limits) is None
    with pytest.raises(MalformedJsonError):
        canonical.parse(data, **limits)


def test_the_largest_numbers_are_certain_and_the_next_ones_are_not() -> None:
    assert parse_certain(str(MAX_NUMBER).encode()) == MAX_NUMBER
    assert parse_certain(str(-MAX_NUMBER).encode()) == -MAX_NUMBER
    assert parse_certain(str(MAX_NUMBER + 1).encode()) is None
    assert parse_certain(str(-MAX_NUMBER - 1).encode()) is None
