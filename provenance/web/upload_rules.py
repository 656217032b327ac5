"""Rules of an event that several of its members make together, for the schemas of uploads.

A rule takes the event, each member of which is good by itself, and yields what is wrong: where, as
steps from the event down, and why. R1 to R6 are those that ``domain.event_rules`` names; they are
written here a second time, from docs/formats.md and EPCIS 2.0 §7.4, so that the two can be held
against each other. :func:`whole_faults` comes last, over an event that is good in all else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from provenance.domain import canonical
from provenance.domain.moments import parse_claimed_time
from provenance.domain.party_events import PARTY_EVENT_TYPES
from provenance.services.admission import MAX_SUBJECT_BYTES
from provenance.web.upload_fields import CONCEALED, Fault
from qr.errors import QrError
from qr.identifier import canonical_identifier

Event: TypeAlias = Mapping[str, Any]
Rule: TypeAlias = Callable[[Event], Iterator[Fault]]

MAX_SUBJECTS: Final = 1_000
_CHILDREN: Final = ("parentID", "childEPCs", "childQuantityList")
#: The members that name an event's subjects (docs/formats.md section 2), by type.
SUBJECTS: Final[Mapping[str, tuple[str, ...]]] = {
    "ObjectEvent": ("epcList", "quantityList"),
    "AggregationEvent": _CHILDREN,
    "AssociationEvent": _CHILDREN,
    "TransactionEvent": ("parentID", "epcList", "quantityList"),
    "TransformationEvent": (
        "inputEPCList",
        "inputQuantityList",
        "outputEPCList",
        "outputQuantityList",
    ),
    **dict.fromkeys(PARTY_EVENT_TYPES, ("prov:party",)),
}


# --- R6: what each type needs ---------------------------------------------------------------------


def needs_object(event: Event) -> Iterator[Fault]:
    """Objects (an empty epcList is one that says so), classes, or readings at a place."""
    reads = event.get("sensorElementList") and "readPoint" in event
    if not ("epcList" in event or event.get("quantityList") or reads):
        yield ("epcList",), "An ObjectEvent has objects, classes, or readings with a readPoint."


def gives_ilmd_at_birth(event: Event) -> Iterator[Fault]:
    """Master data of an instance or lot comes with action ADD alone."""
    if "ilmd" in event and event["action"] != "ADD":
        yield ("ilmd",), "ilmd stands with action ADD only."


def needs_children(event: Event) -> Iterator[Fault]:
    """A parent takes in or is seen with something; it may be emptied of whatever it held."""
    has_some = event.get("childEPCs") or event.get("childQuantityList")
    if event["action"] != "DELETE" and not has_some:
        yield ("childEPCs",), "There are children, unless all are taken out (DELETE)."


def needs_goods(event: Event) -> Iterator[Fault]:
    """A business transaction takes in or is seen with something."""
    has_some = "epcList" in event or event.get("quantityList")
    if event["action"] != "DELETE" and not has_some:
        yield ("epcList",), "There are goods, unless the transaction lets go of all (DELETE)."


def needs_both_sides(event: Event) -> Iterator[Fault]:
    """Inputs and outputs; one side is enough where a transformationID ties events together."""
    sides = [
        (f"{side}EPCList", event.get(f"{side}EPCList") or event.get(f"{side}QuantityList"))
        for side in ("input", "output")
    ]
    if "transformationID" not in event:
        yield from (((name,), "Both sides are there.") for name, has_some in sides if not has_some)
    elif not any(has_some for _, has_some in sides):
        yield ("inputEPCList",), "One side at least is there."


# --- R1: parents ----------------------------------------------------------------------------------


def has_parent(event: Event) -> Iterator[Fault]:
    """There is a parent with ADD and DELETE, and it is not its own child."""
    if "parentID" not in event:
        if event["action"] != "OBSERVE":
            yield ("parentID",), "ADD and DELETE name the parent."
        return
    parent = canonical_identifier(event["parentID"])
    for path, child in _children(event):
        if canonical_identifier(child) == parent:
            yield path, "A parent is not its own child."


def _children(event: Event) -> Iterator[tuple[tuple[str | int, ...], str]]:
    for position, child in enumerate(event.get("childEPCs", ())):
        yield ("childEPCs", position), child
    for position, element in enumerate(event.get("childQuantityList", ())):
        yield ("childQuantityList", position, "epcClass"), element["epcClass"]


# --- R2, R3, R5: quantities and readings ----------------------------------------------------------


def counts(event: Event) -> Iterator[Fault]:
    """No negative quantity, no broken count, no unit of nothing; a concealed part is not missed."""
    for name, elements in event.items():
        if name.endswith("uantityList"):
            for position, element in enumerate(elements):
                yield from (
                    ((name, position, member), why) for member, why in _quantity_faults(element)
                )


def _quantity_faults(element: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    is_whole = CONCEALED not in element
    if "quantity" not in element:
        if "uom" in element and is_whole:
            yield "uom", "A unit stands beside its quantity."
    elif element["quantity"] < 0:
        yield "quantity", "A quantity is 0 or more."
    elif "uom" not in element and is_whole and element["quantity"] % 1:
        yield "quantity", "What has no unit is counted in whole numbers."


def reads_in_time(event: Event) -> Iterator[Fault]:
    """Readings are not after the event, nor do they end before they start."""
    event_time = parse_claimed_time(event["eventTime"])
    for path, reading in _readings(event):
        times = {
            name: parse_claimed_time(reading[name])
            for name in ("time", "startTime", "endTime")
            if name in reading
        }
        if times.get("time", event_time) > event_time:
            yield (*path, "time"), "A reading is not after eventTime."
        if "startTime" in times and times["startTime"] > times.get("endTime", times["startTime"]):
            yield (*path, "startTime"), "startTime is not after endTime."


def says_once(event: Event) -> Iterator[Fault]:
    """An attribute of a sensor stands in its metadata or in its reports, never in both."""
    either = ("dataProcessingMethod", "deviceID", "deviceMetadata", "rawData", "time")
    for path, reading in _readings(event):
        if path[-1] != "sensorMetadata":
            metadata = event["sensorElementList"][path[1]].get("sensorMetadata", {})
            for name in either:
                if name in metadata and name in reading:
                    yield (*path, name), f"{name} stands in sensorMetadata already."


def _readings(event: Event) -> Iterator[tuple[tuple[Any, ...], Mapping[str, Any]]]:
    """sensorMetadata and each sensorReport of each element, with where they stand."""
    for position, element in enumerate(event.get("sensorElementList", ())):
        if "sensorMetadata" in element:
            path = ("sensorElementList", position, "sensorMetadata")
            yield path, element["sensorMetadata"]
        for index, report in enumerate(element.get("sensorReport", ())):
            yield ("sensorElementList", position, "sensorReport", index), report


SENSE: Final[tuple[Rule, ...]] = (counts, reads_in_time, says_once)
"""Rules of sense, not of form: an event that declares an earlier one wrong must repeat its slips
(EPCIS 2.0 §7.4.1.2), so it is free of these, as of :func:`has_parent`."""


# --- the event as a whole -------------------------------------------------------------------------


def whole_faults(event: Event) -> Iterator[Fault]:
    """Subjects, 1 to 1,000, and the size of the canonical bytes."""
    texts = list(_named_subjects(event)) or list(_stand_in(event))
    subjects = set(map(_canonical, texts))
    if not subjects:
        yield _where_no_subject(event), "Nothing here says what the event is about."
    elif len(subjects) > MAX_SUBJECTS:
        yield (), f"An event has at most {MAX_SUBJECTS} subjects."
    elif any(len(subject.encode()) > MAX_SUBJECT_BYTES for subject in subjects):
        yield (), f"A subject's canonical identifier has at most {MAX_SUBJECT_BYTES} bytes."
    elif len(canonical.encode(event)) > canonical.MAX_EVENT_BYTES:
        yield (), f"An event has at most {canonical.MAX_EVENT_BYTES} canonical bytes."


def _named_subjects(event: Event) -> Iterator[str]:
    for name in SUBJECTS.get(event["type"], ()):
        value = event.get(name, [])
        for item in value if isinstance(value, list) else [value]:
            yield item if isinstance(item, str) else item["epcClass"]


def _stand_in(event: Event) -> Iterator[str]:
    """The place, the device or the transformation, where no object is named; none if concealed."""
    place = next((event[name] for name in ("readPoint", "bizLocation") if name in event), None)
    if place is not None:
        yield from [place["id"]] if "id" in place else []
        return
    readings = list(_readings(event))
    readings.sort(key=lambda found: found[0][-1] != "sensorMetadata")  # stable: metadata first
    devices = [reading["deviceID"] for _, reading in readings if "deviceID" in reading]
    if devices:
        yield devices[0]
    elif "transformationID" in event:
        yield event["transformationID"]


def _where_no_subject(event: Event) -> tuple[str, ...]:
    place = next((name for name in ("readPoint", "bizLocation") if name in event), None)
    return () if place is None else (place,)


def _canonical(text: str) -> str:
    try:
        return canonical_identifier(text)
    except QrError:  # the field has refused such a one already
        return text
