"""Which chains an event hangs on: docs/formats.md section 2, for good documents and any others."""

from __future__ import annotations

from typing import Any

import pytest

from provenance.domain.subjects import SubjectError, subjects_of

READING = {"type": "Temperature"}


@pytest.mark.parametrize(
    ("document", "subjects"),
    [
        ({"type": "ObjectEvent", "epcList": ["b", "a"]}, ("b", "a")),
        (
            {
                "type": "ObjectEvent",
                "quantityList": [{"epcClass": "c"}],
                "epcList": ["a"],
                "parentID": "not for this type",
                "readPoint": {"id": "not needed"},
            },
            ("a", "c"),
        ),
        *(
            (
                {
                    "type": kind,
                    "childQuantityList": [{"epcClass": "c"}],
                    "childEPCs": ["b"],
                    "parentID": "a",
                },
                ("a", "b", "c"),
            )
            for kind in ("AggregationEvent", "AssociationEvent")
        ),
        (
            {
                "type": "TransactionEvent",
                "quantityList": [{"epcClass": "c"}],
                "epcList": ["b"],
                "parentID": "a",
            },
            ("a", "b", "c"),
        ),
        (
            {
                "type": "TransformationEvent",
                "outputQuantityList": [{"epcClass": "d"}],
                "outputEPCList": ["c"],
                "inputQuantityList": [{"epcClass": "b"}],
                "inputEPCList": ["a"],
                "transformationID": "not needed",
            },
            ("a", "b", "c", "d"),
        ),
        ({"type": "prov:KeyAdded", "prov:party": "urn:x:p", "epcList": ["no"]}, ("urn:x:p",)),
        # one thing in several spellings is one subject, where it first appeared
        (
            {
                "type": "ObjectEvent",
                "epcList": [
                    "urn:epc:id:sgtin:9506000.013435.1",
                    "other",
                    "https://brand.example/01/09506000134352/21/%31",
                ],
            },
            ("https://id.gs1.org/01/09506000134352/21/1", "other"),
        ),
        ({"type": "ObjectEvent", "epcList": [""]}, ("",)),
        # stand-ins, in their order
        (
            {"type": "ObjectEvent", "readPoint": {"id": "r"}, "bizLocation": {"id": "b"}},
            ("r",),
        ),
        ({"type": "ObjectEvent", "epcList": [], "bizLocation": {"id": "b"}}, ("b",)),
        (
            {
                "type": "example:Own",
                "epcList": ["not for this type"],
                "transformationID": "t",
                "sensorElementList": [
                    {"sensorReport": [READING, {"deviceID": "late"}]},
                    {"sensorMetadata": {}},
                    {"sensorMetadata": {"deviceID": "d"}},
                ],
            },
            ("d",),
        ),
        (
            {
                "type": "ObjectEvent",
                "sensorElementList": [
                    {"sensorReport": [READING]},
                    {"sensorReport": [READING, {"deviceID": "d"}]},
                ],
                "transformationID": "t",
            },
            ("d",),
        ),
        ({"type": "TransformationEvent", "transformationID": "t"}, ("t",)),
        ({"transformationID": "t"}, ("t",)),
        ({"type": [], "transformationID": "t"}, ("t",)),
    ],
)
def test_subjects_in_order_each_once(document: dict[str, Any], subjects: tuple[str, ...]) -> None:
    assert subjects_of(document) == subjects


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({}, "$"),
        ({"type": "ObjectEvent"}, "$"),
        ({"type": "prov:KeyAdded", "prov:party": 7}, "$.prov:party"),
        ({"type": "ObjectEvent", "epcList": "a"}, "$.epcList"),
        ({"type": "ObjectEvent", "epcList": ["a", 7]}, "$.epcList[1]"),
        ({"type": "ObjectEvent", "epcList": ["a"], "quantityList": {}}, "$.quantityList"),
        ({"type": "ObjectEvent", "quantityList": [{"epcClass": "a"}, {}]}, "$.quantityList[1]"),
        ({"type": "ObjectEvent", "quantityList": ["a"]}, "$.quantityList[0]"),
        ({"type": "AggregationEvent", "parentID": None}, "$.parentID"),
        ({"type": "AggregationEvent", "parentID": "urn:epc:id:sgtin:x"}, "$.parentID"),
        ({"type": "AggregationEvent", "childEPCs": ["a", "urn:epc:id:sscc:1"]}, "$.childEPCs[1]"),
        ({"readPoint": "a"}, "$.readPoint"),
        ({"readPoint": {}, "bizLocation": {"id": "b"}}, "$.readPoint"),
        ({"bizLocation": {"id": 7}}, "$.bizLocation"),
        ({"readPoint": {"id": "urn:epc:id:sgln:x"}}, "$.readPoint.id"),
        ({"sensorElementList": {}}, "$.sensorElementList"),
        ({"sensorElementList": [7]}, "$.sensorElementList[0]"),
        ({"sensorElementList": [{"sensorMetadata": 7}]}, "$.sensorElementList[0].sensorMetadata"),
        (
            {"sensorElementList": [{"sensorMetadata": {"deviceID": 7}}]},
            "$.sensorElementList[0].sensorMetadata",
        ),
        ({"sensorElementList": [{"sensorReport": 7}]}, "$.sensorElementList[0].sensorReport"),
        ({"sensorElementList": [{"sensorReport": [7]}]}, "$.sensorElementList[0].sensorReport[0]"),
        ({"transformationID": 7}, "$"),
    ],
)
def test_where_subjects_cannot_be_told(document: dict[str, Any], path: str) -> None:
    with pytest.raises(SubjectError) as caught:
        subjects_of(document)
    assert caught.value.path == path


def test_what_is_not_looked_at_cannot_spoil_it() -> None:
    document = {"type": "ObjectEvent", "epcList": ["a"], "readPoint": 7, "parentID": 7}
    assert subjects_of(document) == ("a",)


def test_a_thousand_subjects_and_no_more() -> None:
    uris = [f"urn:x:{number}" for number in range(1_000)]
    assert len(subjects_of({"type": "ObjectEvent", "epcList": [*uris, *uris]})) == 1_000
    with pytest.raises(SubjectError, match="at most 1000 subjects"):
        subjects_of({"type": "ObjectEvent", "epcList": [*uris, "urn:x:more"]})
