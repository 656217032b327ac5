"""Paths, what is shown of a value, and the corners of single checkers."""

from __future__ import annotations

from typing import Any

import pytest

from provenance.domain.forms import (
    Absent,
    Check,
    ObjectForm,
    Report,
    digests,
    format_path,
    list_of,
    matching,
    number,
    show,
    string,
)


def faults(check: Check, value: Any) -> list[tuple[str, str, str]]:
    report = Report()
    check(value, None, report)
    return [(found.path, found.expected, found.found) for found in report.violations]


@pytest.mark.parametrize(
    ("where", "path"),
    [
        (None, "$"),
        ((None, "a"), "$.a"),
        (((None, "epcList"), 0), "$.epcList[0]"),
        (((None, "prov:_sd"), 2), "$['prov:_sd'][2]"),
        ((None, "it's \\"), "$['it\\'s \\\\']"),
        ((None, ""), "$['']"),
    ],
)
def test_paths(where: Any, path: str) -> None:
    assert format_path(where) == path


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Absent, "nothing"),
        (None, "null"),
        (True, "true"),
        ("ä", '"ä"'),
        ({"a": [1]}, '{"a": [1]}'),
        ("x" * 200, '"' + "x" * 78 + "…"),
    ],
)
def test_values_are_shown_as_json_and_cut(value: Any, text: str) -> None:
    assert show(value) == text


def test_numbers() -> None:
    for good in (0, -1, 1.5):
        assert faults(number, good) == []
    for bad in (True, "1", None, [], {}):
        assert faults(number, bad)[0][1] == "a number"


def test_lists_and_patterns() -> None:
    check = list_of(matching(r"\d+", "digits"), least=1, unique=True)
    assert faults(check, ["1", "2"]) == []
    assert faults(check, []) == [("$", "an array of at least 1", "[]")]
    assert faults(check, {}) == [("$", "an array of at least 1", "{}")]
    assert faults(check, ["1", "1", 1]) == [
        ("$[2]", "digits", "1"),
        ("$[1]", "each only once", '"1"'),
    ]
    assert faults(check, ["١"]) == [("$[0]", "digits", '"١"')]  # a digit of another script


def test_objects_open_and_closed() -> None:
    needed = frozenset({"a"})
    closed = ObjectForm({"a": string}, required=needed, is_open=False, may_conceal=False)
    assert faults(closed, {"a": "x"}) == []
    assert faults(closed, {"b": 1}) == [
        ("$.b", "no member of this name", '"b"'),
        ("$.a", "this member", "nothing"),
    ]
    assert faults(closed, {"a": "x", "prov:_sd": []})[0][1] == "no member of this name"
    opened = ObjectForm({"a": string}, required=needed)
    assert faults(opened, {"prov:_sd": ["A" * 43], "urn:x:y": {"z": [1]}}) == []
    kept = ObjectForm({"a": string}, required=needed, kept=needed)
    assert faults(kept, {"prov:_sd": ["A" * 43]}) == [("$.a", "this member", "nothing")]


def test_digests_are_sorted_base64url() -> None:
    first, second = "A" * 43, "_" + "A" * 42
    assert faults(digests, [first, second]) == []
    assert faults(digests, [second, first])[0][:2] == (
        "$[1]",
        "digests sorted by code point, each once",
    )
    for bad in (7, [], [7], [first + "="], ["+" + "A" * 42], [7, first]):
        assert faults(digests, bad)
