"""An event: one step of an EPCIS 2.0 history, with the bytes that are signed and hashed.

Two doors. :func:`parse_event` is capture's: strict JSON, then every rule of the event model
(``event_forms``: each member by itself; ``event_rules``: members against each other), all
violations collected. :func:`read_event` is the verifier's: only what docs/formats.md step 21 says,
so that an old passport never turns bad because a vocabulary grew.

    event hash = leaf(canonical bytes)        RFC 8785, RFC 9162 §2.1.1

What was captured is what is kept: nothing is re-serialised from columns, and nothing is changed,
sorted or completed here. Who signed it is for ``seal``; which chains it hangs on, ``subjects``.

Source: GS1 EPCIS 2.0 and CBV 2.0 (June 2022).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from merkle.hashing import leaf_hash
from provenance.domain import canonical
from provenance.domain.canonical import MAX_EVENT_BYTES
from provenance.domain.errors import DomainError, InvalidContentError, TooLargeError, Violation
from provenance.domain.event_memory import (
    GoodEvent,
    SignedParts,
    find_good_event,
    find_signed_parts,
)
from provenance.domain.event_rules import find_violations
from provenance.domain.moments import MomentError, parse_claimed_time
from provenance.domain.party_events import PARTY_EVENT_TYPES
from provenance.domain.subjects import (
    EVENT_TYPES,
    SubjectError,
    is_known_type,
    subjects_of,
)

__all__ = [
    "EVENT_TYPES",
    "PARTY_EVENT_TYPES",
    "Event",
    "InvalidEventError",
    "Line",
    "MalformedEventError",
    "check_event",
    "is_known_type",
    "parse_event",
    "read_event",
    "read_line",
    "subjects_of",
]


class InvalidEventError(InvalidContentError):
    """An event that breaks rules of the model; `violations` names up to 50 of them."""

    def __init__(self, violations: tuple[Violation, ...]) -> None:
        first = violations[0]
        super().__init__(
            "event-invalid",
            "the event breaks rules of the event model",
            path=first.path,
            expected=first.expected,
            found=first.found,
            remedy="correct the members named and send the batch again; nothing of it was stored",
            violations=violations,
        )


class MalformedEventError(DomainError):
    """A document that no verifier takes for an event (docs/formats.md step 21)."""


@dataclass(frozen=True, slots=True)
class Event:
    """An event and its bytes. `hash` is 32 bytes, `event_time` claimed microseconds since 1970.

    `subjects` are canonical identifiers, 1 to 1,000, each once; `canonical` at most 49,152 bytes.
    """

    document: Mapping[str, Any]
    canonical: bytes
    hash: bytes
    subjects: tuple[str, ...]
    event_time: int


def parse_event(line: bytes) -> Event:
    """The event of one line of JSON, valid by every rule that one event alone can decide.

    The line need not be canonical; what is kept is. Raises MalformedJsonError (section 1 of
    docs/formats.md, its `code` says which rule), InvalidEventError, or TooLargeError if only the
    canonical bytes pass 49,152.
    """
    return read_line(line).check()


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an upload, read: by the fast door (`good`) or by the parser alone (None).

    `signed` is what the event's own proof signs, where the fast door could tell.
    """

    document: Any
    data: bytes
    good: GoodEvent | None = None
    signed: SignedParts | None = None

    def check(self) -> Event:
        """The event; raises as `check_event` does."""
        if self.good is None or ("proof" in self.good.parts and self.signed is None):
            return check_event(self.document)
        try:
            subjects = subjects_of(self.document)
        except SubjectError:
            return check_event(self.document)  # which says what is expected
        event_hash = leaf_hash(self.data)
        return Event(self.document, self.data, event_hash, subjects, self.good.event_time)


def read_line(line: bytes) -> Line:
    """The document of a line of JSON; raises MalformedJsonError. The rest is `Line.check`'s."""
    good = find_good_event(line)
    if good is None:
        return Line(canonical.parse(line), line)
    signed = find_signed_parts(good) if "proof" in good.parts else None
    return Line(good.document, line, good, signed)


def check_event(document: Any) -> Event:
    """`parse_event` for a value that ``canonical.parse`` gave: for the client before it signs."""
    violations = find_violations(document)
    if violations:
        raise InvalidEventError(tuple(violations))
    try:
        return _event(document, _canonical_bytes(document))
    except SubjectError as error:
        raise InvalidEventError((Violation(error.path, error.expected, error.found),)) from error


def _canonical_bytes(document: Any) -> bytes:
    data = canonical.encode(document)
    if len(data) > MAX_EVENT_BYTES:  # a number or an escape can be longer in canonical form
        raise TooLargeError(
            "too-large",
            "the event's canonical bytes are too many",
            expected=f"at most {MAX_EVENT_BYTES} bytes",
            found=f"{len(data)} bytes",
            remedy="split the event",
        )
    return data


def read_event(document: Any) -> Event:
    """The event as a verifier takes it: size, depth, known type, eventTime, subjects; no more.

    Raises MalformedEventError with the first of these that fails.
    """
    try:
        if not isinstance(document, dict) or not is_known_type(document.get("type")):
            raise MalformedEventError("not an object with a known event type")
        data = canonical.encode(document)
        canonical.parse(data)  # section 1 by itself: inside a bundle it was one level of many
        return _event(document, data)
    except (canonical.MalformedJsonError, SubjectError, MomentError) as error:
        raise MalformedEventError(str(error)) from error


def _event(document: Mapping[str, Any], data: bytes) -> Event:
    moment = document.get("eventTime")
    if not isinstance(moment, str):
        raise MalformedEventError("eventTime: expected an RFC 3339 date-time with offset")
    return Event(
        document=document,
        canonical=data,
        hash=leaf_hash(data),
        subjects=subjects_of(document),
        event_time=parse_claimed_time(moment),
    )
