"""@context: EPCIS's by its address, ours by its declaration, nobody's fetched."""

from __future__ import annotations

from typing import Any

import pytest

from provenance.domain.context import (
    EPCIS_CONTEXT,
    EPCIS_PREFIXES,
    PROV_CONTEXT,
    check_context,
    merge_contexts,
    prefixes_of,
)
from provenance.domain.forms import Report

OURS = dict(PROV_CONTEXT)


def faults(value: Any) -> list[tuple[str, str]]:
    report = Report()
    check_context(value, None, report)
    return [(violation.path, violation.expected) for violation in report.violations]


@pytest.mark.parametrize(
    "value",
    [
        [EPCIS_CONTEXT, OURS],
        [OURS, "https://gs1.github.io/EPCIS/epcis-context.jsonld"],
        [EPCIS_CONTEXT, "https://example.org/more", {"a": "urn:a:", **OURS}],
        [EPCIS_CONTEXT, OURS, {"rail:axles": {"@type": "xsd:integer"}}],
    ],
)
def test_good_contexts(value: Any) -> None:
    assert faults(value) == []


@pytest.mark.parametrize(
    ("value", "path", "expected"),
    [
        (EPCIS_CONTEXT, "$", "["),
        (OURS, "$", "["),
        (None, "$", "["),
        ([], "$", "the entry https://ref.gs1.org"),
        ([EPCIS_CONTEXT], "$", 'the entry {"prov"'),
        ([EPCIS_CONTEXT, {"prov": "https://example.org/"}], "$[1].prov", '"https://provenance'),
        ([EPCIS_CONTEXT, OURS, {"prov": "urn:x:"}], "$[2].prov", '"https://provenance'),
        ([EPCIS_CONTEXT, OURS, OURS], "$[2]", "each entry only once"),
        ([EPCIS_CONTEXT, OURS, 7], "$[2]", "the address of a context"),
        ([EPCIS_CONTEXT, OURS, "word"], "$[2]", "the address of a context"),
        ([EPCIS_CONTEXT, OURS, {"epcList": "urn:x:"}], "$[2].epcList", "no new meaning"),
        ([EPCIS_CONTEXT, OURS, {"epcis": "urn:x:"}], "$[2].epcis", "no new meaning"),
        ([EPCIS_CONTEXT, OURS, *({"a": str(n)} for n in range(31))], "$", "["),
    ],
)
def test_bad_contexts(value: Any, path: str, expected: str) -> None:
    found = faults(value)
    assert any(place == path and text.startswith(expected) for place, text in found), found


def test_prefixes() -> None:
    declared = prefixes_of([EPCIS_CONTEXT, {"a": "urn:a:", "b": {"@id": "urn:b:"}, "c": {}}])
    assert declared == EPCIS_PREFIXES | {"a", "b"}
    assert prefixes_of({"a": "urn:a:"}) == EPCIS_PREFIXES | {"a"}
    for nothing in (None, 7, "text", []):
        assert prefixes_of(nothing) == EPCIS_PREFIXES


def test_merging() -> None:
    assert merge_contexts(None, EPCIS_CONTEXT, [EPCIS_CONTEXT, {"a": "b"}]) == [
        EPCIS_CONTEXT,
        {"a": "b"},
        OURS,
    ]
    assert merge_contexts([OURS], [EPCIS_CONTEXT]) == [OURS, EPCIS_CONTEXT]
    assert merge_contexts() == [OURS]
