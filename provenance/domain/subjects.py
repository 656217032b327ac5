"""Which subjects an event is about: whose chains it will hang on.

The answer is part of what a verifier checks, so it must not depend on validation: it is defined for
any JSON object, by docs/formats.md section 2 and nothing else, and the phone's twin
(``static/js/verify/event.js``) gives the same. A member that is looked at and stands there must be
of its form, or the subjects cannot be told.

Rules: canonical identifiers (``qr.identifier``), in order of first appearance, each once; where an
event names no object, the place, the device or the transformation stands in, the first that is
found; 1 to 1,000 of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from provenance.domain.errors import DomainError
from provenance.domain.party_events import PARTY_EVENT_TYPES
from provenance.domain.wire import shorten
from qr.errors import QrError
from qr.identifier import canonical_identifier
from qr.plain import find_plain

MAX_SUBJECTS: Final = 1_000


class SubjectError(DomainError):
    """An event whose subjects cannot be told. `path` is the JSON path of the reason."""

    def __init__(self, path: str, expected: str, found: object) -> None:
        self.path = path
        self.expected = expected
        self.found = shorten(found)
        super().__init__(f"{path}: expected {expected}, found {self.found}")


Reader = Callable[[Any, str], Iterator[str]]


def _one(value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, str):
        raise SubjectError(path, "a string", value)
    yield value


def _many(value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, list):
        raise SubjectError(path, "a list of strings", value)
    for position, item in enumerate(value):
        if not isinstance(item, str):
            raise SubjectError(f"{path}[{position}]", "a string", item)
        yield item


def _classes(value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, list):
        raise SubjectError(path, "a list of quantity elements", value)
    for position, item in enumerate(value):
        epc_class = item.get("epcClass") if isinstance(item, dict) else None
        if not isinstance(epc_class, str):
            raise SubjectError(f"{path}[{position}]", "an object with a string epcClass", item)
        yield epc_class


_WITH_CHILDREN: Final[tuple[tuple[str, Reader], ...]] = (
    ("parentID", _one),
    ("childEPCs", _many),
    ("childQuantityList", _classes),
)
_BY_TYPE: Final[Mapping[str, tuple[tuple[str, Reader], ...]]] = {
    "ObjectEvent": (("epcList", _many), ("quantityList", _classes)),
    "AggregationEvent": _WITH_CHILDREN,
    "AssociationEvent": _WITH_CHILDREN,
    "TransactionEvent": (("parentID", _one), ("epcList", _many), ("quantityList", _classes)),
    "TransformationEvent": (
        ("inputEPCList", _many),
        ("inputQuantityList", _classes),
        ("outputEPCList", _many),
        ("outputQuantityList", _classes),
    ),
    **dict.fromkeys(PARTY_EVENT_TYPES, (("prov:party", _one),)),
}

_SINGLE: Final = frozenset({"parentID", "prov:party"})

EVENT_TYPES: Final = frozenset(_BY_TYPE) - PARTY_EVENT_TYPES


def is_known_type(text: object) -> bool:
    """Whether an event of this ``type`` can be read: one of EPCIS, of a party, or an extension.

    An extension type is a URI or CURIE (it has a colon) that is not in our own namespace.
    """
    if not isinstance(text, str):
        return False
    return text in _BY_TYPE or (":" in text and not text.startswith("prov:"))


def subjects_of(document: Mapping[str, Any]) -> tuple[str, ...]:
    """The event's subjects, 1 to 1,000 canonical identifiers; raises SubjectError.

    `document` is any parsed JSON object; of its members only those that section 2 names are read.
    """
    subjects: dict[str, None] = {}
    kind = document.get("type")
    for name, read in _BY_TYPE.get(kind, ()) if isinstance(kind, str) else ():
        if name in document:
            for position, text in enumerate(read(document[name], f"$.{name}")):
                subjects[_canonical(text, name, position)] = None
    if not subjects:
        path, text = _stand_in(document)
        subjects[_canonical(text, path.removeprefix("$."), None)] = None
    if len(subjects) > MAX_SUBJECTS:
        raise SubjectError("$", f"at most {MAX_SUBJECTS} subjects", f"{len(subjects)} subjects")
    return tuple(subjects)


def _canonical(text: str, name: str, position: int | None) -> str:
    try:
        return find_plain(text) or canonical_identifier(text)
    except QrError as error:
        path = f"$.{name}" if position is None or name in _SINGLE else f"$.{name}[{position}]"
        raise SubjectError(path, "a well-formed EPC URN", text) from error


def _stand_in(document: Mapping[str, Any]) -> tuple[str, str]:
    """Path and text of the place, device or transformation that is the last resort."""
    for name in ("readPoint", "bizLocation"):
        if name in document:
            return f"$.{name}.id", _member(document[name], "id", f"$.{name}")
    found = _first_device(document.get("sensorElementList", []))
    if found is not None:
        return found
    if "transformationID" in document:
        return "$.transformationID", _member(document, "transformationID", "$")
    raise SubjectError("$", "a subject: an object, a place, a device or a transformation", "none")


def _member(value: Any, name: str, path: str) -> str:
    text = value.get(name) if isinstance(value, dict) else None
    if not isinstance(text, str):
        raise SubjectError(path, f"an object with a string {name}", value)
    return text


def _first_device(elements: Any) -> tuple[str, str] | None:
    """The first ``deviceID``: of all sensorMetadata first, then of all sensorReports."""
    path = "$.sensorElementList"
    for position, metadata in _each(elements, "sensorMetadata", path):
        if "deviceID" in _object(metadata, f"{path}[{position}].sensorMetadata"):
            where = f"{path}[{position}].sensorMetadata"
            return f"{where}.deviceID", _member(metadata, "deviceID", where)
    for position, reports in _each(elements, "sensorReport", path):
        where = f"{path}[{position}].sensorReport"
        for index, report in enumerate(_list(reports, where)):
            if "deviceID" in _object(report, f"{where}[{index}]"):
                return f"{where}[{index}].deviceID", _member(report, "deviceID", where)
    return None


def _each(elements: Any, name: str, path: str) -> Iterator[tuple[int, Any]]:
    for position, element in enumerate(_list(elements, path)):
        if name in _object(element, f"{path}[{position}]"):
            yield position, element[name]


def _list(value: Any, path: str) -> list[Any]:
    if not isinstance(value, list):
        raise SubjectError(path, "a list", value)
    return value


def _object(value: Any, path: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise SubjectError(path, "an object", value)
    return value
