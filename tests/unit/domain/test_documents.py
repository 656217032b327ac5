"""From documents to events that stand alone."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from provenance.domain.canonical import MalformedJsonError
from provenance.domain.context import EPCIS_CONTEXT, PROV_CONTEXT
from provenance.domain.documents import DocumentError, parse_document, standalone_events
from provenance.domain.event import check_event

OURS = dict(PROV_CONTEXT)
EVENT = {
    "type": "ObjectEvent",
    "eventTime": "2026-11-23T15:00:00Z",
    "eventTimeZoneOffset": "+00:00",
    "action": "OBSERVE",
    "epcList": ["urn:x:1"],
}


def ones(count: int) -> bytes:
    return b"\1" * count


def capture(*events: Any, **members: Any) -> dict[str, Any]:
    body = {"eventList": list(events)}
    return {"type": "EPCISDocument", "@context": [EPCIS_CONTEXT], "epcisBody": body, **members}


def answer(*events: Any) -> dict[str, Any]:
    results = {"queryName": "q", "resultsBody": {"eventList": list(events)}}
    body = {"queryResults": results}
    return {"type": "EPCISQueryDocument", "@context": [EPCIS_CONTEXT], "epcisBody": body}


@pytest.mark.parametrize("document", [capture(EVENT, EVENT), answer(EVENT, EVENT)])
def test_each_event_gets_context_nonce_and_id(document: dict[str, Any]) -> None:
    before = copy.deepcopy(document)
    events = standalone_events(document, ones)
    assert len(events) == 2
    for event in events:
        assert event["@context"] == [EPCIS_CONTEXT, OURS]
        assert event["prov:nonce"] == "AQEBAQEBAQEBAQEBAQEBAQ=="
        assert event["eventID"] == "urn:uuid:01010101-0101-4101-8101-010101010101"
        assert {name: event[name] for name in EVENT} == EVENT
        check_event(event)
    assert document == before


def test_what_an_event_has_is_kept_so_twice_is_once() -> None:
    own = {**EVENT, "@context": {"a": "urn:a:"}, "eventID": "urn:x:e", "prov:nonce": "mine"}
    (event,) = standalone_events(capture(own), ones)
    assert event["@context"] == [EPCIS_CONTEXT, {"a": "urn:a:"}, OURS]
    assert (event["eventID"], event["prov:nonce"]) == ("urn:x:e", "mine")
    assert standalone_events(event, ones) == [event]


def test_a_single_event_stands_alone() -> None:
    (event,) = standalone_events({**EVENT, "@context": EPCIS_CONTEXT}, ones)
    assert event["@context"] == [EPCIS_CONTEXT, OURS]


def test_every_event_has_a_nonce_of_its_own() -> None:
    numbers = iter(range(100))
    events = standalone_events(capture(EVENT, EVENT), lambda n: next(numbers).to_bytes(n, "big"))
    assert len({event["prov:nonce"] for event in events}) == 2
    assert len({event["eventID"] for event in events}) == 2


def test_an_empty_list_is_no_event() -> None:
    assert standalone_events(capture(), ones) == []


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ([], "$"),
        ("text", "$"),
        ({"type": "EPCISDocument"}, "$.epcisBody"),
        (capture(epcisBody=7), "$.epcisBody.eventList"),
        (capture(epcisBody={"eventList": {}}), "$.epcisBody.eventList"),
        (capture(EVENT, 7), "$.epcisBody.eventList[1]"),
        ({**answer(), "epcisBody": {"queryResults": {}}}, "$.epcisBody.queryResults.resultsBody"),
    ],
)
def test_other_values_are_no_documents(document: Any, path: str) -> None:
    with pytest.raises(DocumentError) as caught:
        standalone_events(document, ones)
    assert caught.value.path == path
    assert caught.value.code == "document-malformed"


def test_documents_may_be_deeper_than_events() -> None:
    def nested(depth: int) -> bytes:
        return b'{"a":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"

    parse_document(nested(40))
    with pytest.raises(MalformedJsonError) as caught:
        parse_document(nested(41))
    assert caught.value.code == "too-deep"


def test_a_member_named_twice_is_refused_unless_the_sender_consents() -> None:
    data = '{"a":{"ä":1,"ä":"\\ud83d\\ude00"},"b":1.50,"b":2}'.encode()
    with pytest.raises(MalformedJsonError) as caught:
        parse_document(data)
    assert caught.value.code == "duplicate-key"
    told: list[str] = []
    assert parse_document(data, on_duplicate=told.append) == {"a": {"ä": "😀"}, "b": 2}
    assert told == ["ä", "b"]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b'{"a":1,"a":1e300}', "number-range"),
        (b'{"a":1,"a":"\\ud800"}', "lone-surrogate"),
        (b'{"a":1,"a":', "not-json"),
        (b'{"a":1,"a":2}' + b" " * 90, "too-large"),
    ],
)
def test_consent_covers_nothing_else(data: bytes, code: str) -> None:
    with pytest.raises(MalformedJsonError) as caught:
        parse_document(data, max_bytes=100, on_duplicate=lambda _: None)
    assert caught.value.code == code
