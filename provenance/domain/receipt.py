"""The capture receipt: our signed promise that an upload will be published, and by when.

A partner keeps it. If the log does not hold those links by `publishBy`, the receipt proves that we
had them (docs/formats.md section 12):

    {"accepted":"2026-11-23T15:00:00.123Z","events":[{"event":"<base64>","links":["<base64>",…]},…],
     "origin":"<log origin>","proof":{…},"publishBy":"2026-11-23T15:01:00.123Z",
     "seal":"<base64>"|null,"type":"prov:CaptureReceipt","v":1}

`events` are in the order of the upload, `links` in the order of the event's subjects. `seal` is
null where each event carries its own proof. The operator's party key signs it, never the log's.
The proof is put on by ``crypto.integrity.add_proof`` and checked by ``verify_proof``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from provenance.domain import wire
from provenance.domain.canonical import encode_base64
from provenance.domain.errors import MalformedInputError
from provenance.domain.moments import format_ledger_time
from provenance.domain.proof import Proof, read_proof
from provenance.domain.wire import FormError

RECEIPT_TYPE: Final = "prov:CaptureReceipt"
PUBLISH_WITHIN_MS: Final = 60_000

_MEMBERS: Final = frozenset(
    {"accepted", "events", "origin", "proof", "publishBy", "seal", "type", "v"}
)


class MalformedReceiptError(MalformedInputError):
    """A document that is no capture receipt."""

    def __init__(self, member: str, expected: str, found: str) -> None:
        super().__init__(
            "receipt-malformed",
            "the receipt is not of its form",
            path=f"$.{member}" if member else "$",
            expected=expected,
            found=found,
            remedy="use the receipt as the server sent it",
        )


class ReceiptEvent(NamedTuple):
    """One event of the upload: its hash and its links' hashes, in the order of its subjects."""

    event: bytes
    links: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Receipt:
    """A receipt of the right form, its signature not yet judged. Times are ledger milliseconds."""

    origin: str
    seal: bytes | None
    accepted: int
    publish_by: int
    events: tuple[ReceiptEvent, ...]
    proof: Proof


def new_receipt(
    *, origin: str, seal: bytes | None, accepted: int, events: Sequence[ReceiptEvent]
) -> dict[str, Any]:
    """The unsigned document. `accepted` is ledger milliseconds; `publishBy` is 60 s later."""
    return {
        "type": RECEIPT_TYPE,
        "v": 1,
        "origin": origin,
        "seal": None if seal is None else encode_base64(seal),
        "accepted": format_ledger_time(accepted),
        "publishBy": format_ledger_time(accepted + PUBLISH_WITHIN_MS),
        "events": [
            {
                "event": encode_base64(entry.event),
                "links": [encode_base64(link) for link in entry.links],
            }
            for entry in events
        ],
    }


def read_receipt(document: object) -> Receipt:
    """The receipt of a parsed document; raises MalformedReceiptError naming the member."""
    try:
        members = wire.read_object(document, _MEMBERS)
        wire.read_constant(members, "type", RECEIPT_TYPE)
        wire.read_constant(members, "v", 1)
        return Receipt(
            origin=wire.read_string(members, "origin"),
            seal=None if members["seal"] is None else wire.read_bytes(members, "seal"),
            accepted=wire.read_ledger_time(members, "accepted"),
            publish_by=wire.read_ledger_time(members, "publishBy"),
            events=_read_events(members["events"]),
            proof=read_proof(members["proof"]),
        )
    except FormError as error:
        raise MalformedReceiptError(error.member, error.expected, error.found) from error


def _read_events(value: object) -> tuple[ReceiptEvent, ...]:
    if not isinstance(value, list) or not value:
        raise FormError("events", "a list of at least one", value)
    return tuple(_read_event(entry) for entry in value)


def _read_event(value: object) -> ReceiptEvent:
    members: Mapping[str, Any] = wire.read_object(value, ("event", "links"))
    links = members["links"]
    if not isinstance(links, list) or not links:
        raise FormError("events.links", "a list of at least one", links)
    return ReceiptEvent(
        event=wire.read_bytes(members, "event"),
        links=tuple(wire.read_bytes({"links": link}, "links") for link in links),
    )
