"""From the documents that programs exchange to events that stand alone, each ready to be sealed.

An EPCISDocument (a capture), an EPCISQueryDocument (an answer to a query) or a single event goes
in; out come events that each carry the document's ``@context`` with their own, the ``prov``
declaration, a nonce and an ``eventID``. Done by the party before it signs, never by the server:
the server keeps what it was given. Nothing else of the document is kept: sender, header and master
data are not events.

Whether the events are good is for ``event.check_event``. A nonce that an event already has is
kept, so that doing it twice changes nothing.

Source: EPCIS 2.0 JSON binding (EPCISDocument, EPCISQueryDocument).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final

from provenance.domain import canonical
from provenance.domain.canonical import MalformedJsonError, encode_base64
from provenance.domain.context import merge_contexts
from provenance.domain.errors import MalformedInputError
from provenance.domain.event_forms import NONCE_SIZE
from provenance.domain.wire import shorten

MAX_DOCUMENT_BYTES: Final = 64 * 1024 * 1024
# An event may nest 32 deep by itself; in a document it stands some levels down.
MAX_DOCUMENT_DEPTH: Final = 40

_BODIES: Final = {
    "EPCISDocument": ("epcisBody", "eventList"),
    "EPCISQueryDocument": ("epcisBody", "queryResults", "resultsBody", "eventList"),
}


class DocumentError(MalformedInputError):
    """A value that is no EPCIS document and no event, or has no list of events in its place."""

    def __init__(self, path: str, expected: str, found: object) -> None:
        super().__init__(
            "document-malformed",
            "this is not an EPCIS 2.0 document",
            path=path,
            expected=expected,
            found=shorten(found),
            remedy="give an EPCISDocument, an EPCISQueryDocument or a single event, as JSON",
        )


def parse_document(
    data: bytes,
    *,
    max_bytes: int = MAX_DOCUMENT_BYTES,
    on_duplicate: Callable[[str], None] | None = None,
) -> Any:
    """The JSON value of a document, by the rules of docs/formats.md section 1; MalformedJsonError.

    A document that names a member twice is refused like everything that we read, because programs
    differ on which one counts. Whoever wants to take it all the same passes `on_duplicate`: it is
    told each such name, and the last one counts, as in most programs. That is the sender's choice
    to make, before it signs; one of GS1's own examples needs it.
    """
    try:
        return canonical.parse(data, max_bytes=max_bytes, max_depth=MAX_DOCUMENT_DEPTH)
    except MalformedJsonError as error:
        if error.code != "duplicate-key" or on_duplicate is None:
            raise
    repaired = json.dumps(json.loads(data, object_pairs_hook=_keep_last(on_duplicate)))
    # Escapes make the text up to six times as long; every other rule still holds.
    return canonical.parse(
        repaired.encode("ascii"), max_bytes=6 * max_bytes, max_depth=MAX_DOCUMENT_DEPTH
    )


def _keep_last(
    on_duplicate: Callable[[str], None],
) -> Callable[[list[tuple[str, Any]]], dict[str, Any]]:
    def keep(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members: dict[str, Any] = {}
        for name, value in pairs:
            if name in members:
                on_duplicate(name)
            members[name] = value
        return members

    return keep


def standalone_events(document: Any, random: Callable[[int], bytes]) -> list[dict[str, Any]]:
    """The document's events in order, each complete by itself; raises DocumentError.

    `random(count)` gives random bytes: 16 for each missing nonce and for each missing ``eventID``.
    The document itself is not changed.
    """
    if not isinstance(document, dict):
        raise DocumentError("$", "an object", document)
    steps = _BODIES.get(document["type"]) if isinstance(document.get("type"), str) else None
    if steps is None:
        return [_stand_alone(document, None, random)]
    path = "$"
    value: Any = document
    for step in steps:
        path = f"{path}.{step}"
        if not isinstance(value, dict) or step not in value:
            raise DocumentError(path, "this member", "nothing")
        value = value[step]
    if not isinstance(value, list):
        raise DocumentError(path, "a list of events", value)
    for position, event in enumerate(value):
        if not isinstance(event, dict):
            raise DocumentError(f"{path}[{position}]", "an event, which is an object", event)
    return [_stand_alone(event, document.get("@context"), random) for event in value]


def _stand_alone(
    event: Mapping[str, Any], outer: object, random: Callable[[int], bytes]
) -> dict[str, Any]:
    """The event with context, nonce and id; the outer context first, as the event's own may add."""
    complete = {**event, "@context": merge_contexts(outer, event.get("@context"))}
    complete.setdefault("prov:nonce", encode_base64(random(NONCE_SIZE)))
    if "eventID" not in complete:
        complete["eventID"] = f"urn:uuid:{uuid.UUID(bytes=random(16), version=4)}"
    return complete
