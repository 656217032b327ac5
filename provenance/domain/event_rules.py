"""The rules of an event that several of its members make together; all violations are collected.

First each member by itself (``event_forms``), then, over what is of the right form, the rules that
the standard states in prose and GS1's JSON schema does not catch. They are numbered as in the
table:

    R1  parentID with ADD and DELETE; a parent is not its own child
    R2  a sensor attribute stands in the metadata or in the reports, never in both
    R3  a sensor time is not after the event; startTime not after endTime
    R4  check digits, lengths and characters of GS1 keys (in the forms, by ``qr.identifier``)
    R5  no negative quantity; a count (no unit) is whole; no unit without a quantity
    R6  which members an event type needs at least (objects, children, inputs and outputs, ilmd)

R1 to R3 and R5 judge sense, not form, and are not applied to an event with an error declaration,
nor need its prefixes be declared: it must repeat the wrong event exactly, or nobody could declare
that wrong (EPCIS 2.0 §7.4.1.2). GS1's own examples have such declarations. R4 holds always: an
identifier decides whose history this is.

An ``eventTime`` in the future is judged where the clock is, in ``services.capture``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from provenance.domain import seal
from provenance.domain.context import prefixes_of
from provenance.domain.errors import Violation
from provenance.domain.event_forms import EXTENSION_EVENT, FORMS, PARTY_EVENT
from provenance.domain.forms import MAX_VIOLATIONS, Absent, Report, Where, is_declared, is_uri
from provenance.domain.moments import parse_claimed_time
from provenance.domain.party_events import PARTY_EVENT_TYPES, validate_party_event
from provenance.domain.wire import FormError
from qr.identifier import canonical_identifier

Document = Mapping[str, Any]

_QUANTITY_LISTS: Final = (
    "quantityList",
    "childQuantityList",
    "inputQuantityList",
    "outputQuantityList",
)
_EITHER_PLACE: Final = ("dataProcessingMethod", "deviceID", "deviceMetadata", "rawData", "time")


def find_violations(document: Any) -> list[Violation]:
    """Every rule that the event breaks, at most 50, in the order of its members; empty if it is
    good.

    `document` is a value that ``canonical.parse`` gave. Nothing is raised.
    """
    if not isinstance(document, dict):
        report = Report()
        report.add(None, "an object", document)
        return report.violations
    report = Report(prefixes_of(document.get("@context")), "errorDeclaration" in document)
    _judge_by_type(document, report)
    if "proof" in document:
        _judge_own_proof(document, report)
    return report.violations[:MAX_VIOLATIONS]


def _judge_by_type(document: Document, report: Report) -> None:
    kind = document.get("type", Absent)
    form = FORMS.get(kind) if isinstance(kind, str) else None
    if form is not None:
        form(document, None, report)
        # Rules over several members take the form of each for granted.
        if not report.violations:
            judge_together(kind, document, report)
    elif isinstance(kind, str) and kind in PARTY_EVENT_TYPES:
        _judge_party_event(document, report)
    elif _is_extension_type(kind, report):
        EXTENSION_EVENT(document, None, report)
    else:
        expected = "one of " + ", ".join(sorted(FORMS)) + ", a party event, or an own declared type"
        report.add((None, "type"), expected, kind)


def _is_extension_type(kind: Any, report: Report) -> bool:
    return is_uri(kind) and not kind.startswith("prov:") and is_declared(kind, report)


def _judge_party_event(document: Document, report: Report) -> None:
    """The members that all events share by our form, the party's own by its own closed table."""
    shared = {name: value for name, value in document.items() if name in PARTY_EVENT.members}
    PARTY_EVENT(shared, None, report)
    report.violations += validate_party_event(document)


def _judge_own_proof(document: Document, report: Report) -> None:
    try:
        seal.own_proof(document)
    except FormError as error:
        where: Where = None
        for step in error.member.split("."):
            where = (where, step)
        report.add(where, error.expected, error.found)


def judge_together(kind: str, document: Document, report: Report) -> None:
    for rule in _NEEDS[kind]:
        rule(document, report)
    if "persistentDisposition" in document and not document["persistentDisposition"]:
        report.add((None, "persistentDisposition"), "set or unset", {})
    if "errorDeclaration" in document:
        return
    for rule in _SENSE.get(kind, ()):
        rule(document, report)
    for name in _QUANTITY_LISTS:
        for position, element in enumerate(document.get(name, ())):
            _judge_quantity(element, ((None, name), position), report)
    if "sensorElementList" in document:
        _judge_sensors(document, report)


# --- R6: what a type needs ------------------------------------------------------------------------


def _needs_object(document: Document, report: Report) -> None:
    """EPCIS 2.0 §7.4.2: objects, classes, or a sensor's readings at a place."""
    has_reading = bool(document.get("sensorElementList")) and "readPoint" in document
    if "epcList" not in document and not document.get("quantityList") and not has_reading:
        expected = "epcList, a quantityList, or a sensorElementList with readPoint"
        report.add((None, "epcList"), expected, Absent)


def _needs_no_ilmd(document: Document, report: Report) -> None:
    """Master data of an instance or lot is given when it comes into being: with ADD alone."""
    if "ilmd" in document and document["action"] != "ADD":
        report.add((None, "ilmd"), "ilmd with action ADD only", document["action"])


def _needs_children(document: Document, report: Report) -> None:
    if document["action"] == "DELETE":
        return
    if not document.get("childEPCs") and not document.get("childQuantityList"):
        expected = f"childEPCs or childQuantityList with action {document['action']}"
        report.add((None, "childEPCs"), expected, document.get("childEPCs", Absent))


def _needs_goods(document: Document, report: Report) -> None:
    if document["action"] == "DELETE":
        return
    if "epcList" not in document and not document.get("quantityList"):
        expected = f"epcList or a quantityList with action {document['action']}"
        report.add((None, "epcList"), expected, Absent)


def _needs_inputs_and_outputs(document: Document, report: Report) -> None:
    has_input = document.get("inputEPCList") or document.get("inputQuantityList")
    has_output = document.get("outputEPCList") or document.get("outputQuantityList")
    if "transformationID" in document:
        if not has_input and not has_output:
            report.add((None, "inputEPCList"), "inputs or outputs", Absent)
        return
    for name, side in (("inputEPCList", has_input), ("outputEPCList", has_output)):
        if not side:
            expected = f"this or {name.replace('EPC', 'Quantity')}, or a transformationID"
            report.add((None, name), expected, document.get(name, Absent))


# --- R1: parents ----------------------------------------------------------------------------------


def _judge_parent(document: Document, report: Report) -> None:
    if "parentID" not in document:
        if document["action"] != "OBSERVE":
            expected = f"parentID with action {document['action']}"
            report.add((None, "parentID"), expected, Absent)
        return
    parent = canonical_identifier(document["parentID"])
    for where, child in _children(document):
        if canonical_identifier(child) == parent:
            report.add(where, "a child that is not the parent itself", child)


def _children(document: Document) -> Iterator[tuple[Where, str]]:
    for position, child in enumerate(document.get("childEPCs", ())):
        yield ((None, "childEPCs"), position), child
    for position, element in enumerate(document.get("childQuantityList", ())):
        yield (((None, "childQuantityList"), position), "epcClass"), element["epcClass"]


# --- R5: quantities -------------------------------------------------------------------------------


def _judge_quantity(element: Mapping[str, Any], where: Where, report: Report) -> None:
    quantity = element.get("quantity")
    if quantity is None:
        # A concealed quantity may leave its unit behind.
        if "uom" in element and "prov:_sd" not in element:
            report.add((where, "uom"), "a quantity beside the unit", element["uom"])
    elif quantity < 0:
        report.add((where, "quantity"), "a quantity of 0 or more", quantity)
    elif "uom" not in element and _is_broken(quantity) and "prov:_sd" not in element:
        report.add((where, "quantity"), "a whole number where there is no uom", quantity)


def _is_broken(quantity: float) -> bool:
    return isinstance(quantity, float) and not quantity.is_integer()


# --- R2 and R3: sensors ---------------------------------------------------------------------------


def _judge_sensors(document: Document, report: Report) -> None:
    event_time = parse_claimed_time(document["eventTime"])
    for position, element in enumerate(document["sensorElementList"]):
        where = ((None, "sensorElementList"), position)
        metadata = element.get("sensorMetadata", {})
        _judge_reading(metadata, (where, "sensorMetadata"), event_time, report)
        for index, reading in enumerate(element.get("sensorReport", ())):
            place = ((where, "sensorReport"), index)
            _judge_reading(reading, place, event_time, report)
            for name in _EITHER_PLACE:
                if name in reading and name in metadata:
                    expected = f"{name} in sensorMetadata or in sensorReport, not in both"
                    report.add((place, name), expected, reading[name])


def _judge_reading(
    reading: Mapping[str, Any], where: Where, event_time: int, report: Report
) -> None:
    if "time" in reading and parse_claimed_time(reading["time"]) > event_time:
        report.add((where, "time"), "a time that is not after eventTime", reading["time"])
    if "startTime" in reading and "endTime" in reading:
        start, end = (
            parse_claimed_time(reading["startTime"]),
            parse_claimed_time(reading["endTime"]),
        )
        if start > end:
            report.add(
                (where, "startTime"), "a time that is not after endTime", reading["startTime"]
            )


Rule = Callable[[Document, Report], None]
_NEEDS: Final[Mapping[str, tuple[Rule, ...]]] = {
    "ObjectEvent": (_needs_object, _needs_no_ilmd),
    "AggregationEvent": (_needs_children,),
    "AssociationEvent": (_needs_children,),
    "TransactionEvent": (_needs_goods,),
    "TransformationEvent": (_needs_inputs_and_outputs,),
}
_SENSE: Final[Mapping[str, tuple[Rule, ...]]] = {
    "AggregationEvent": (_judge_parent,),
    "AssociationEvent": (_judge_parent,),
}
