"""Our validator against GS1's JSON schema for EPCIS 2.0, the referee for form.

Over GS1's own examples and thousands of damaged copies of them: what the schema accepts of the
examples we accept; what the schema refuses we refuse; and where we alone refuse, the reason is one
of the deliberate rules named in `STRICTER`, each of which must have been met.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator, FormatChecker
from rfc3986_validator import validate_rfc3986

from provenance.domain import vocabulary
from provenance.domain.context import EPCIS_CONTEXT, PROV_CONTEXT
from provenance.domain.errors import Violation
from provenance.domain.event import InvalidEventError, check_event
from provenance.domain.forms import is_uri
from tests.support.epcis import damages, example_events, slim

CONTEXT = [EPCIS_CONTEXT, dict(PROV_CONTEXT)]
TYPES = (
    "ObjectEvent",
    "AggregationEvent",
    "AssociationEvent",
    "TransactionEvent",
    "TransformationEvent",
)

# Rules by which we refuse what the schema lets pass: a name, and what its violations expect.
STRICTER = {
    "context: EPCIS's and ours, as docs/formats.md section 2 says": (
        '["https://ref.gs1.org',
        "the entry ",
        "the address of a context",
        "each entry only once",
        "no new meaning",
        '"https://provenance.example/ns/v1/"',
    ),
    "nonce: 16 random bytes always": ("base64 of 16 bytes", "this member"),
    "prov: no other names of ours": ("a member of the prov: namespace",),
    "GS1 keys: check digits, lengths, characters": ("a GS1 identifier by its rules",),
    "prefixes: declared in @context": ("declared in @context", "@context declares"),
    "long forms of standard words: the word must exist": ("a word of ",),
    "places: no member that is neither EPCIS's nor a URI": ("a member of EPCIS here",),
    "types: an own type's prefix is declared": ("one of AggregationEvent",),
    "text ends where it ends: no newline after it": (),
    "R1: parent with ADD and DELETE, not its own child": ("parentID with action", "a child that"),
    "R2: a sensor attribute in one place": ("in sensorMetadata or in sensorReport",),
    "R3: sensor times in order": ("a time that is not after",),
    "R5: quantities": ("a quantity of 0", "a whole number", "a quantity beside"),
    "a subject: some object, place, device or transformation": ("a subject:",),
}


def rule_of(violation: Violation, what: str) -> str | None:
    """The deliberate rule that a violation of ours alone belongs to."""
    if what == "newline after":  # the referee's patterns end in $, which lets one pass
        return "text ends where it ends: no newline after it"
    for name, parts in STRICTER.items():
        if any(part in violation.expected for part in parts):
            return name
    return None


@pytest.fixture(scope="module")
def schema(shared: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(
        (shared / "data" / "epcis" / "EPCIS-JSON-Schema.json").read_text()
    )
    return loaded


@pytest.fixture(scope="module")
def referee(schema: dict[str, Any]) -> Draft7Validator:
    checker = FormatChecker()
    # Without their packages jsonschema passes these two over in silence.
    assert {"uri", "date-time"} <= checker.checkers.keys()
    return Draft7Validator(schema, format_checker=checker)


@pytest.fixture(scope="module")
def events(shared: Path) -> list[tuple[str, dict[str, Any]]]:
    return example_events(shared)


def violations(document: Any) -> tuple[Violation, ...]:
    try:
        check_event(document)
    except InvalidEventError as error:
        return error.violations
    return ()


def test_referee_checks_formats_a_misspelt_word_is_refused(
    referee: Draft7Validator, events: list[tuple[str, dict[str, Any]]]
) -> None:
    event = {**events[0][1], "bizStep": "shiping"}
    assert not referee.is_valid(event)
    assert violations(event)


def test_both_accept_every_example(
    referee: Draft7Validator, events: list[tuple[str, dict[str, Any]]]
) -> None:
    for name, event in events:
        assert referee.is_valid(event), name
        assert violations(event) == (), name
    assert len(events) == 56


def is_in_sample(kind: str, where: str, what: str) -> bool:
    """One damage in seven, and every deletion; all 26,000 in the thorough profile (two minutes)."""
    thorough = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
    return thorough or what == "deleted" or crc32(f"{kind} {where} {what}".encode()) % 7 == 0


@pytest.mark.parametrize("kind", TYPES)
def test_damaged_examples_are_judged_alike(
    kind: str, referee: Draft7Validator, events: list[tuple[str, dict[str, Any]]]
) -> None:
    alone: Counter[str] = Counter()
    tried: set[tuple[str, str]] = set()
    both = neither = 0
    for name, event in events:
        if event["type"] != kind:
            continue
        for where, what, make in damages(slim(event)):
            # One example of each damage at each place is enough.
            if (where, what) in tried or not is_in_sample(kind, where, what):
                continue
            tried.add((where, what))
            damaged = make()
            ours = violations(damaged)
            if not referee.is_valid(damaged):
                assert ours, f"{name}: {where} {what}: only the schema refuses"
                both += 1
            elif ours:
                rules = [rule_of(violation, what) for violation in ours]
                assert None not in rules, f"{name}: {where} {what}: only we refuse: {ours}"
                alone.update(str(rule) for rule in rules)
            else:
                neither += 1
    assert both > 250
    assert neither > 200
    assert len(alone) >= 5


READING = {"type": "Temperature", "value": 4, "uom": "CEL"}


@pytest.mark.parametrize(
    ("rule", "kind", "change"),
    [
        (0, "ObjectEvent", {"@context": "https://example.org/context"}),
        (0, "ObjectEvent", {"@context": [EPCIS_CONTEXT]}),
        (0, "ObjectEvent", {"@context": [EPCIS_CONTEXT, {"prov": "https://example.org/"}]}),
        (0, "ObjectEvent", {"@context": [*CONTEXT, {"bizStep": "https://example.org/step"}]}),
        (1, "ObjectEvent", {"prov:nonce": "AAAA"}),
        (2, "ObjectEvent", {"prov:unheard": 1}),
        (3, "ObjectEvent", {"epcList": ["https://id.gs1.org/01/09521141123455/21/S1"]}),
        (3, "ObjectEvent", {"readPoint": {"id": "urn:epc:id:sgln:0614141.073460.0"}}),
        (4, "ObjectEvent", {"bizStep": "nowhere:shipping"}),
        (4, "ObjectEvent", {"nowhere:colour": "red"}),
        (5, "ObjectEvent", {"disposition": "cbv:Disp-in_transitt"}),
        (6, "ObjectEvent", {"readPoint": {"id": "urn:x:a", "name": "gate"}}),
        (7, "ObjectEvent", {"type": "nowhere:Event"}),
        (8, "ObjectEvent", {"eventTimeZoneOffset": "+01:00\n"}),
        (9, "AggregationEvent", {"parentID": None, "action": "ADD"}),
        (9, "AggregationEvent", {"parentID": None, "action": "DELETE", "childEPCs": None}),
        (9, "AggregationEvent", {"parentID": "urn:x:a", "childEPCs": ["urn:x:a"]}),
        (9, "AssociationEvent", {"parentID": "urn:x:a", "childEPCs": ["urn:x:b", "urn:x:a"]}),
        (
            10,
            "ObjectEvent",
            {
                "sensorElementList": [
                    {
                        "sensorMetadata": {"deviceID": "urn:x:d"},
                        "sensorReport": [{**READING, "deviceID": "urn:x:d"}],
                    }
                ]
            },
        ),
        (
            11,
            "ObjectEvent",
            {
                "sensorElementList": [
                    {"sensorReport": [{**READING, "time": "2099-01-01T00:00:00Z"}]}
                ]
            },
        ),
        (12, "ObjectEvent", {"quantityList": [{"epcClass": "urn:x:c", "quantity": -1}]}),
        (12, "ObjectEvent", {"quantityList": [{"epcClass": "urn:x:c", "quantity": 1.5}]}),
        (12, "ObjectEvent", {"quantityList": [{"epcClass": "urn:x:c", "uom": "KGM"}]}),
        (13, "ObjectEvent", {"epcList": [], "readPoint": None, "bizLocation": None}),
    ],
)
def test_every_stricter_rule_refuses_what_the_schema_accepts(
    rule: int,
    kind: str,
    change: dict[str, Any],
    referee: Draft7Validator,
    events: list[tuple[str, dict[str, Any]]],
) -> None:
    event = next(dict(e) for _, e in events if e["type"] == kind and "errorDeclaration" not in e)
    for name, value in change.items():
        event.pop(name, None)
        if value is not None:
            event[name] = value
    name = list(STRICTER)[rule]
    assert referee.is_valid(event)
    what = "newline after" if rule == 8 else ""
    assert {rule_of(violation, what) for violation in violations(event)} == {name}


def test_the_table_above_covers_every_stricter_rule() -> None:
    cases = test_every_stricter_rule_refuses_what_the_schema_accepts.pytestmark[0]
    assert {case[0] for case in cases.args[1]} == set(range(len(STRICTER)))


@pytest.mark.parametrize(
    ("words", "definition"),
    [
        (vocabulary.BIZ_STEPS, "bizStep"),
        (vocabulary.DISPOSITIONS, "disposition"),
        (vocabulary.BIZ_TRANSACTION_TYPES, "bizTransaction-type"),
        (vocabulary.SOURCE_DESTINATION_TYPES, "source-dest-type"),
        (vocabulary.ERROR_REASONS, "error-reason"),
        (vocabulary.COMPONENTS, "component"),
        (vocabulary.SENSOR_ALERTS, "sensorAlertType"),
        (vocabulary.MEASUREMENT_TYPES, "measurementType"),
    ],
)
def test_our_words_are_those_of_the_schema(
    words: frozenset[str], definition: str, schema: dict[str, Any]
) -> None:
    options = schema["definitions"][definition]["anyOf"]
    assert words == {word for option in options for word in option.get("enum", ())}


@given(st.text(alphabet="ab:/?#[]@!$&%20Gf.-_~+ ä\n", max_size=24))
def test_our_uris_are_those_of_rfc3986(text: str) -> None:
    # The other package's pattern ends in $, which lets a last newline pass.
    theirs = validate_rfc3986(text, rule="URI") is not None and not text.endswith("\n")
    if "[v" not in text.lower():  # IPvFuture was never assigned; we refuse it
        assert is_uri(text) == theirs


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("http://[::1]:80/a?b#c", True),
        ("http://[1:2:3:4:5:6:7:8]", True),
        ("http://[1:2:3:4:5:6:7:8:9]", False),
        ("http://[::ffff:192.0.2.1]/", True),
        ("http://[::ffff:192.0.2.256]/", False),
        ("http://[fe80::1%25eth0]/", False),
        ("urn:", True),
        ("a:/b//c", True),
        ("a://", True),
        ("://b", False),
        ("1a:b", False),
        ("a:%zz", False),
        ("a:b c", False),
        ("a:b\x00", False),
    ],
)
def test_corner_cases_of_uris(text: str, good: bool) -> None:
    assert is_uri(text) is good
    assert (validate_rfc3986(text, rule="URI") is not None) is good
