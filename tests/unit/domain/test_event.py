"""Events at the door: what is captured, what is refused and where, and what a verifier reads."""

from __future__ import annotations

import copy
import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merkle.hashing import leaf_hash
from provenance.crypto.integrity import add_proof
from provenance.crypto.signing import PrivateKey
from provenance.domain import canonical
from provenance.domain.canonical import MalformedJsonError, encode_base64
from provenance.domain.context import EPCIS_CONTEXT, PROV_CONTEXT
from provenance.domain.errors import TooLargeError
from provenance.domain.event import (
    InvalidEventError,
    MalformedEventError,
    check_event,
    is_known_type,
    parse_event,
    read_event,
)
from provenance.domain.event_rules import find_violations
from provenance.domain.proof import format_method

KEY = PrivateKey.from_seed(bytes(range(32)))
NONCE = encode_base64(bytes(16))
HASH = encode_base64(bytes(32))
DIGEST = "A" * 43
ITEM = "https://id.gs1.org/01/09506000134352/21/1"
LOT = "https://id.gs1.org/01/09506000134352/10/L1"
CASE = "urn:epc:id:sscc:9506000.0000000001"
READING = {"type": "Temperature", "value": 4, "uom": "CEL"}


def event(**changes: Any) -> dict[str, Any]:
    """A good ObjectEvent; a member changed to None is left out."""
    document = {
        "@context": [EPCIS_CONTEXT, dict(PROV_CONTEXT), {"example": "https://example.org/ns/"}],
        "type": "ObjectEvent",
        "eventID": "urn:uuid:374d95fc-9457-4a51-bd6a-0bba133845a8",
        "eventTime": "2026-11-23T15:00:00.000+01:00",
        "eventTimeZoneOffset": "+01:00",
        "prov:nonce": NONCE,
        "action": "OBSERVE",
        "bizStep": "shipping",
        "epcList": [ITEM],
    }
    document.update(copy.deepcopy(changes))
    return {name: value for name, value in document.items() if value is not None}


def packing(**changes: Any) -> dict[str, Any]:
    base = {"type": "AggregationEvent", "action": "ADD", "epcList": None}
    return event(**{**base, "parentID": CASE, "childEPCs": [ITEM], **changes})


def trade(**changes: Any) -> dict[str, Any]:
    papers = [{"type": "po", "bizTransaction": "urn:x:po:1"}]
    return event(**{"type": "TransactionEvent", "bizTransactionList": papers, **changes})


def making(**changes: Any) -> dict[str, Any]:
    base = {"type": "TransformationEvent", "action": None, "epcList": None}
    return event(**{**base, "inputEPCList": [ITEM], "outputEPCList": [CASE], **changes})


def registration(**changes: Any) -> dict[str, Any]:
    base = {"type": "prov:PartyRegistered", "action": None, "bizStep": None, "epcList": None}
    party = {
        "prov:party": "https://maker.example.test/",
        "prov:name": {"en": "Maker"},
        "prov:key": KEY.public.multikey,
        "prov:custody": "party",
    }
    return event(**{**base, **party, **changes})


def signed(document: dict[str, Any], **rules: Any) -> dict[str, Any]:
    method = format_method("https://maker.example.test/", KEY.public.multikey)
    return add_proof(document, KEY, method, "2026-11-23T15:00:00Z", **rules)


GOOD = {
    "object": event(),
    "object by class": event(epcList=None, quantityList=[{"epcClass": LOT, "quantity": 3}]),
    "amount in kilograms": event(
        quantityList=[{"epcClass": LOT, "quantity": 1.5, "uom": "KGM"}, {"epcClass": LOT}]
    ),
    "no objects but a reading at a place": event(
        epcList=None,
        readPoint={"id": "urn:x:gate"},
        sensorElementList=[{"sensorReport": [READING]}],
    ),
    "a device alone": event(
        epcList=[],
        sensorElementList=[
            {"sensorMetadata": {"deviceID": "urn:x:probe"}, "sensorReport": [READING]}
        ],
    ),
    "ilmd": event(action="ADD", ilmd={"cbvmda:lotNumber": "L1", "example:a": {"b": [1]}}),
    "dispositions": event(persistentDisposition={"set": ["recalled"], "unset": ["available"]}),
    "one certificate": event(certificationInfo="https://example.org/c"),
    "certificates": event(certificationInfo=["https://example.org/c", "urn:x:d"]),
    "own words": event(bizStep="example:washing", disposition="https://example.org/clean"),
    "long words": event(
        bizStep="https://ref.gs1.org/cbv/BizStep-shipping", disposition="cbv:Disp-active"
    ),
    "own members": event(**{"example:colour": "red", "https://example.org/x": {"y": None}}),
    "after one": event(**{"prov:after": HASH}),
    "after several": event(**{"prov:after": [HASH, encode_base64(b"\1" * 32)]}),
    "packing": packing(),
    "emptying": packing(action="DELETE", childEPCs=None),
    "seen without parent": packing(action="OBSERVE", parentID=None),
    "building in": packing(type="AssociationEvent", childQuantityList=[{"epcClass": LOT}]),
    "trade": trade(parentID=CASE),
    "trade of nothing": trade(epcList=[], readPoint={"id": "urn:x:office"}),
    "trade ended": trade(action="DELETE", epcList=None, readPoint={"id": "urn:x:office"}),
    "making": making(),
    "one side of a making": making(outputEPCList=None, transformationID="urn:x:t:1"),
    "extension": event(
        type="example:Inspection", action=None, epcList=None, readPoint={"id": "urn:x:a"}
    ),
    "registration": registration(),
    "own proof": signed(event(), domain="log.example.test/1"),
    "concealed members": event(**{"prov:_sd": [DIGEST, "B" * 42 + "A"]}),
    "concealed in parts": event(
        quantityList=[{"epcClass": LOT, "uom": "KGM", "prov:_sd": [DIGEST]}],
        readPoint={"prov:_sd": [DIGEST]},
        bizTransactionList=[{"type": "po", "prov:_sd": [DIGEST]}],
        sourceList=[{"prov:_sd": [DIGEST]}],
        sensorElementList=[{"prov:_sd": [DIGEST]}, {"sensorReport": [{"prov:_sd": [DIGEST]}]}],
        persistentDisposition={"prov:_sd": [DIGEST]},
        ilmd=None,
    ),
    "concealed papers": trade(**{"bizTransactionList": None, "prov:_sd": [DIGEST]}),
    "declaration": event(
        errorDeclaration={
            "declarationTime": "2026-11-24T00:00:00Z",
            "reason": "incorrect_data",
            "correctiveEventIDs": ["urn:uuid:1"],
        }
    ),
}

BAD: list[tuple[dict[str, Any], str, str]] = [
    # every event
    (event(**{"prov:nonce": None}), "$['prov:nonce']", "this member"),
    (event(**{"prov:nonce": HASH}), "$['prov:nonce']", "base64 of 16 bytes, with padding"),
    (event(**{"prov:after": "AAAA"}), "$['prov:after']", "base64 of 32 bytes, with padding"),
    (event(**{"prov:after": [HASH, HASH]}), "$['prov:after'][1]", "each only once"),
    (event(**{"@context": None}), "$['@context']", "this member"),
    (event(eventTime=None), "$.eventTime", "this member"),
    (event(eventTime="2026-02-30T00:00:00Z"), "$.eventTime", "an RFC 3339 date-time"),
    (event(eventTime="2026-02-28T00:00:00"), "$.eventTime", "an RFC 3339 date-time"),
    (event(eventTime="yesterday"), "$.eventTime", "an RFC 3339 date-time"),
    (event(eventTime=7), "$.eventTime", "an RFC 3339 date-time"),
    (event(eventTimeZoneOffset="+14:01"), "$.eventTimeZoneOffset", "an offset from -14:00"),
    (event(eventTimeZoneOffset="Z"), "$.eventTimeZoneOffset", "an offset from -14:00"),
    (event(eventID="not a uri"), "$.eventID", "a URI"),
    (event(type=None), "$.type", "one of AggregationEvent"),
    (event(type="objectEvent"), "$.type", "one of AggregationEvent"),
    (event(type=["ObjectEvent"]), "$.type", "one of AggregationEvent"),
    (event(type="prov:Unheard"), "$.type", "one of AggregationEvent"),
    (event(type="nowhere:Inspection"), "$.type", "one of AggregationEvent"),
    (event(_comment="x"), "$._comment", "a member of EPCIS here"),
    (event(**{"prov:novelty": 1}), "$['prov:novelty']", "a member of the prov: namespace"),
    (event(**{"nowhere:colour": 1}), "$['nowhere:colour']", "the prefix nowhere declared"),
    (event(certificationInfo=[7]), "$.certificationInfo[0]", "a URI"),
    (event(errorDeclaration={}), "$.errorDeclaration.declarationTime", "this member"),
    (event(errorDeclaration="wrong"), "$.errorDeclaration", "an object"),
    (
        event(errorDeclaration={"declarationTime": "2026-11-24T00:00:00Z", "prov:_sd": [DIGEST]}),
        "$.errorDeclaration['prov:_sd']",
        "a member of the prov: namespace",
    ),
    (event(**{"prov:_sd": []}), "$['prov:_sd']", "an array of at least one digest"),
    (event(**{"prov:_sd": ["AAAA"]}), "$['prov:_sd'][0]", "base64url of 32 bytes"),
    (event(**{"prov:_sd": [DIGEST, DIGEST]}), "$['prov:_sd'][1]", "digests sorted"),
    (event(**{"prov:_sd": [DIGEST[:-1] + "B"]}), "$['prov:_sd'][0]", "base64url of 32 bytes"),
    (event(**{"example:a": [{"prov:_sd": 7}]}), "$['example:a'][0]['prov:_sd']", "an array of"),
    (event(**{"prov:_sd": [DIGEST], "action": None}), "$.action", "this member"),
    (event(proof={}), "$.proof['@context']", "a member of this name"),
    (event(proof=7), "$.proof", "an object"),
    (signed(event()), "$.proof.domain", "a member of this name"),
    # words and parts
    (event(bizStep="shiping"), "$.bizStep", "a word of the business steps, or an own URI"),
    (event(bizStep="cbv:BizStep-shiping"), "$.bizStep", "a word of the business steps after"),
    (event(bizStep="urn:epcglobal:cbv:bizstep:shipping"), "$.bizStep", "a word of the business"),
    (event(bizStep="nowhere:washing"), "$.bizStep", "a word of the business steps, or an own"),
    (event(action="REMOVE"), "$.action", "ADD or DELETE or OBSERVE"),
    (event(disposition=7), "$.disposition", "a word of the dispositions"),
    (event(readPoint={}), "$.readPoint.id", "this member"),
    (event(readPoint="urn:x:gate"), "$.readPoint", "an object"),
    (event(readPoint={"id": "gate"}), "$.readPoint.id", "a URI"),
    (event(bizLocation={"id": "urn:x:a", "name": 1}), "$.bizLocation.name", "a member of EPCIS"),
    (event(bizTransactionList=[{}]), "$.bizTransactionList[0].bizTransaction", "this member"),
    (
        event(bizTransactionList=[{"bizTransaction": "urn:x:a", "example:b": 1}]),
        "$.bizTransactionList[0]['example:b']",
        "no member of this name",
    ),
    (event(sourceList=[{"type": "location"}]), "$.sourceList[0].source", "this member"),
    (event(destinationList={}), "$.destinationList", "an array"),
    (event(persistentDisposition={}), "$.persistentDisposition", "set or unset"),
    (event(persistentDisposition={"set": []}), "$.persistentDisposition.set", "an array of at"),
    (
        event(persistentDisposition={"set": ["active", "active"]}),
        "$.persistentDisposition.set[1]",
        "each only once",
    ),
    (event(epcList=[ITEM, ITEM]), "$.epcList[1]", "each only once"),
    (event(epcList=["word"]), "$.epcList[0]", "a URI"),
    (event(epcList=[ITEM.replace("4352", "4353")]), "$.epcList[0]", "a GS1 identifier by its"),
    (event(epcList=["urn:epc:id:sscc:9506000.1"]), "$.epcList[0]", "a GS1 identifier by its"),
    (event(epcList=["urn:epc:id:sgtin:x"]), "$.epcList[0]", "a GS1 identifier by its"),
    (event(quantityList=[{}]), "$.quantityList[0].epcClass", "this member"),
    (
        event(quantityList=[{"epcClass": LOT, "quantity": "3"}]),
        "$.quantityList[0].quantity",
        "a number",
    ),
    (
        event(quantityList=[{"epcClass": LOT, "quantity": True}]),
        "$.quantityList[0].quantity",
        "a number",
    ),
    (
        event(quantityList=[{"epcClass": LOT, "quantity": 1, "uom": "kg"}]),
        "$.quantityList[0].uom",
        "a unit of 2 or 3 characters",
    ),
    # what a type needs
    (event(epcList=None), "$.epcList", "epcList, a quantityList, or a sensorElementList"),
    (event(epcList=None, quantityList=[]), "$.epcList", "epcList, a quantityList, or"),
    (event(epcList=[]), "$", "a subject"),
    (event(ilmd={}), "$.ilmd", "ilmd with action ADD only"),
    (event(action="ADD", ilmd={"lot": 1}), "$.ilmd.lot", "a member of EPCIS here"),
    (packing(ilmd={}), "$.ilmd", "a member of EPCIS here"),
    (packing(childEPCs=None), "$.childEPCs", "childEPCs or childQuantityList with action ADD"),
    (packing(childEPCs=[]), "$.childEPCs", "childEPCs or childQuantityList with action ADD"),
    (packing(type="AssociationEvent", parentID=None), "$.parentID", "this member"),
    (trade(bizTransactionList=[]), "$.bizTransactionList", "an array of at least 1"),
    (trade(bizTransactionList=None), "$.bizTransactionList", "this member"),
    (trade(epcList=None), "$.epcList", "epcList or a quantityList with action OBSERVE"),
    (making(action="ADD"), "$.action", "a member of EPCIS here"),
    (making(inputEPCList=[]), "$.inputEPCList", "this or inputQuantityList"),
    (making(outputEPCList=None), "$.outputEPCList", "this or outputQuantityList"),
    (
        making(inputEPCList=None, outputEPCList=[], transformationID="urn:x:t"),
        "$.inputEPCList",
        "inputs or outputs",
    ),
    # R1: parents
    (packing(parentID=None), "$.parentID", "parentID with action ADD"),
    (packing(parentID=None, action="DELETE", childEPCs=None), "$.parentID", "parentID with"),
    (packing(parentID=None, action="DELETE"), "$.parentID", "parentID with action DELETE"),
    (packing(parentID=ITEM), "$.childEPCs[0]", "a child that is not the parent itself"),
    (
        # the same item under another host and in another spelling
        packing(parentID="https://brand.example/01/09506000134352/21/%31?x=y"),
        "$.childEPCs[0]",
        "a child that is not the parent itself",
    ),
    (
        packing(parentID=LOT, childEPCs=None, childQuantityList=[{"epcClass": LOT}]),
        "$.childQuantityList[0].epcClass",
        "a child that is not the parent itself",
    ),
    # R2 and R3: sensors
    *(
        (
            event(
                sensorElementList=[
                    {
                        "sensorMetadata": {name: value},
                        "sensorReport": [READING, {**READING, name: value}],
                    }
                ]
            ),
            f"$.sensorElementList[0].sensorReport[1].{name}",
            f"{name} in sensorMetadata or in sensorReport",
        )
        for name, value in [
            *((name, "urn:x:a") for name in ("dataProcessingMethod", "deviceID")),
            *((name, "urn:x:a") for name in ("deviceMetadata", "rawData")),
            ("time", "2026-11-23T14:00:00Z"),
        ]
    ),
    (
        event(
            sensorElementList=[{"sensorReport": [{**READING, "time": "2026-11-23T14:00:00.001Z"}]}]
        ),
        "$.sensorElementList[0].sensorReport[0].time",
        "a time that is not after eventTime",
    ),
    (
        event(
            sensorElementList=[
                {
                    "sensorMetadata": {
                        "startTime": "2026-11-23T13:00:00Z",
                        "endTime": "2026-11-23T13:30:00+01:00",
                    },
                    "sensorReport": [READING],
                }
            ]
        ),
        "$.sensorElementList[0].sensorMetadata.startTime",
        "a time that is not after endTime",
    ),
    (event(sensorElementList=[{}]), "$.sensorElementList[0].sensorReport", "this member"),
    (
        event(sensorElementList=[{"sensorReport": [{"type": "Warmth"}]}]),
        "$.sensorElementList[0].sensorReport[0].type",
        "a word of the measurement types",
    ),
    (
        event(sensorElementList=[{"sensorReport": [{**READING, "booleanValue": 1}]}]),
        "$.sensorElementList[0].sensorReport[0].booleanValue",
        "true or false",
    ),
    (
        event(sensorElementList=[{"sensorReport": [{**READING, "stringValue": 1}]}]),
        "$.sensorElementList[0].sensorReport[0].stringValue",
        "a string",
    ),
    (
        event(sensorElementList=[{"sensorReport": [{**READING, "hexBinaryValue": "0x"}]}]),
        "$.sensorElementList[0].sensorReport[0].hexBinaryValue",
        "hexadecimal digits",
    ),
    # R5: quantities
    (
        event(quantityList=[{"epcClass": LOT, "quantity": -1, "uom": "KGM"}]),
        "$.quantityList[0].quantity",
        "a quantity of 0 or more",
    ),
    (
        making(outputQuantityList=[{"epcClass": LOT, "quantity": 1.5}]),
        "$.outputQuantityList[0].quantity",
        "a whole number where there is no uom",
    ),
    (
        packing(childQuantityList=[{"epcClass": LOT, "uom": "KGM"}]),
        "$.childQuantityList[0].uom",
        "a quantity beside the unit",
    ),
    # party events
    (registration(eventID=None), "$.eventID", "this member"),
    (registration(**{"prov:key": None}), "$.prov:key", ""),
    (registration(**{"prov:nonce": None}), "$['prov:nonce']", "this member"),
    (registration(bizStep="shipping"), "$.bizStep", "no member of this name"),
]


@pytest.mark.parametrize("name", GOOD)
def test_good_events_are_captured(name: str) -> None:
    data = canonical.encode(GOOD[name])
    captured = parse_event(data)
    assert captured.document == GOOD[name]
    assert captured.canonical == data
    assert captured.hash == leaf_hash(data)
    assert captured.event_time == 1_795_442_400_000_000
    assert read_event(canonical.parse(data)) == captured


@pytest.mark.parametrize("case", range(len(BAD)))
def test_bad_events_are_refused_with_place_and_expectation(case: int) -> None:
    document, path, expected = BAD[case]
    with pytest.raises(InvalidEventError) as caught:
        parse_event(canonical.encode(document))
    places = [(found.path, found.expected) for found in caught.value.violations]
    assert any(place == path and text.startswith(expected) for place, text in places), places
    assert caught.value.code == "event-invalid"
    assert caught.value.path == places[0][0]


@pytest.mark.parametrize("value", [None, True, 7, "text", [], [event()]])
def test_an_event_is_an_object(value: Any) -> None:
    with pytest.raises(InvalidEventError) as caught:
        check_event(value)
    assert caught.value.violations[0].expected == "an object"
    with pytest.raises(MalformedEventError):
        read_event(value)


def test_all_violations_are_told_with_what_was_found() -> None:
    document = event(bizStep="shiping", action=7, epcList=["word"], eventTime=None, _x="long" * 50)
    with pytest.raises(InvalidEventError) as caught:
        check_event(document)
    found = {violation.path: violation.found for violation in caught.value.violations}
    assert found["$.bizStep"] == '"shiping"'
    assert found["$.action"] == "7"
    assert found["$.eventTime"] == "nothing"
    assert found["$._x"] == '"_x"'
    assert set(found) == {"$.bizStep", "$.action", "$.epcList[0]", "$.eventTime", "$._x"}


def test_no_more_than_fifty_violations_and_none_longer_than_eighty() -> None:
    document = event(epcList=[f"no uri {number} {'x' * 200}" for number in range(90)])
    violations = find_violations(document)
    assert len(violations) == 50
    assert max(len(violation.found) for violation in violations) == 80


def test_a_line_need_not_be_canonical() -> None:
    data = canonical.encode(event(quantityList=[{"epcClass": LOT, "quantity": 3}]))
    spaced = data.replace(b'"quantity":3', b' "quantity" : 3.0 ') + b" "
    assert parse_event(spaced) == parse_event(data)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"{", "not-json"),
        (b'{"a":1,"a":2}', "duplicate-key"),
        (b'{"a":1e300}', "number-range"),
        (b"\xff", "not-utf8"),
        (b"[" * 40, "too-deep"),
        (b" " * 50_000, "too-large"),
    ],
)
def test_json_is_judged_first(line: bytes, code: str) -> None:
    with pytest.raises(MalformedJsonError) as caught:
        parse_event(line)
    assert caught.value.code == code


def test_canonical_bytes_have_a_limit_of_their_own() -> None:
    # 1e15 is four bytes as it is written and sixteen in canonical form.
    line = canonical.encode(event()).replace(
        b'"type"', b'"example:n":[' + b",".join([b"1e15"] * 4_000) + b'],"type"'
    )
    assert len(line) < 49_152
    with pytest.raises(TooLargeError):
        parse_event(line)


def test_a_declaration_may_repeat_what_made_no_sense() -> None:
    wrong = packing(parentID=ITEM, bizStep="nowhere:washing")
    assert find_violations(wrong)
    declared = {**wrong, "errorDeclaration": {"declarationTime": "2026-11-24T00:00:00Z"}}
    assert find_violations(declared) == []


def test_a_declaration_still_needs_its_form_and_good_keys() -> None:
    declared = packing(
        errorDeclaration={"declarationTime": "2026-11-24T00:00:00Z"},
        childEPCs=[ITEM.replace("4352", "4353")],
    )
    assert [violation.path for violation in find_violations(declared)] == ["$.childEPCs[0]"]


# --- the verifier's reading -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("ObjectEvent", True),
        ("TransformationEvent", True),
        ("prov:KeyAdded", True),
        ("prov:Unheard", False),
        ("example:Own", True),
        ("urn:x:own", True),
        ("objectEvent", False),
        ("", False),
        (7, False),
        (None, False),
    ],
)
def test_known_types(text: Any, known: bool) -> None:
    assert is_known_type(text) is known


def test_a_verifier_asks_for_little() -> None:
    document = {"type": "ObjectEvent", "eventTime": "2026-11-23T15:00:00Z", "epcList": ["a"]}
    document["bizStep"] = "a word of 2031"
    assert read_event(document).subjects == ("a",)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"type": "prov:Unheard"}, "known event type"),
        ({"eventTime": None}, "eventTime"),
        ({"eventTime": 7}, "eventTime"),
        ({"eventTime": "2026-02-30T00:00:00Z"}, "no such date"),
        ({"epcList": None}, "a subject"),
        ({"epcList": ["urn:epc:id:sgtin:x"]}, "EPC URN"),
        ({"epcList": [f"urn:x:{n}" for n in range(1_001)]}, "1001 subjects"),
        ({"example:a": "x" * 49_000}, "too large"),
        ({"example:a": 2**60}, "canonical form"),
    ],
)
def test_what_no_verifier_takes_for_an_event(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(MalformedEventError, match=reason):
        read_event(event(**changes))


def test_depth_is_counted_for_the_event_by_itself() -> None:
    def nested(depth: int) -> dict[str, Any]:
        value: Any = 1
        for _ in range(depth - 1):
            value = [value]
        return event(**{"example:a": value})

    read_event(nested(32))
    with pytest.raises(MalformedEventError, match="nested too deeply"):
        read_event(nested(33))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-9, 9) | st.text(max_size=4),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "type",
                        "@context",
                        "epcList",
                        "epcClass",
                        "action",
                        "proof",
                        "prov:_sd",
                        "id",
                        "x:y",
                    ]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_nothing_at_all_makes_the_judges_fall_over(value: Any) -> None:
    find_violations(value)
    if isinstance(value, dict):
        find_violations({**event(), **value})
        for document in (value, {**event(), **value}):
            with suppress(MalformedEventError):
                read_event(document)


def test_judging_is_quick() -> None:
    """The aim is 10,000 events a second; the bound leaves room for a busy machine."""
    documents = [
        event(
            # Another item each time, so that none is remembered.
            epcList=[f"https://id.gs1.org/01/09506000134352/21/S{number}"],
            readPoint={"id": "https://id.gs1.org/414/9506000134376"},
            bizLocation={"id": "https://id.gs1.org/414/9506000134376"},
            bizTransactionList=[{"type": "po", "bizTransaction": "urn:x:po:1"}],
        )
        for number in range(3_000)
    ]
    best = 1.0
    for start in range(0, 3_000, 1_000):
        began = time.process_time()
        for document in documents[start : start + 1_000]:
            assert not find_violations(document)
        best = min(best, time.process_time() - began)
    assert best < 0.5
