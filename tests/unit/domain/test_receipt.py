"""Capture receipts: what the operator promises, in its one form, and signed."""

from __future__ import annotations

from typing import Any

import pytest

from provenance.crypto.integrity import add_proof, verify_proof
from provenance.crypto.signing import PrivateKey
from provenance.domain import canonical
from provenance.domain.proof import format_method
from provenance.domain.receipt import (
    MalformedReceiptError,
    ReceiptEvent,
    new_receipt,
    read_receipt,
)

KEY = PrivateKey.from_seed(bytes(range(32)))
METHOD = format_method("https://log.example.test/1", KEY.public.multikey)
ACCEPTED = 1_763_910_000_123
EVENTS = (
    ReceiptEvent(b"\1" * 32, (b"\2" * 32, b"\3" * 32)),
    ReceiptEvent(b"\4" * 32, (b"\5" * 32,)),
)


def make(seal: bytes | None = b"\6" * 32, **changes: Any) -> dict[str, Any]:
    unsigned = new_receipt(origin="log.example.test/1", seal=seal, accepted=ACCEPTED, events=EVENTS)
    return add_proof({**unsigned, **changes}, KEY, METHOD, "2025-11-23T15:00:00Z")


@pytest.mark.parametrize("seal", [None, b"\6" * 32])
def test_a_receipt_reads_as_it_was_made(seal: bytes | None) -> None:
    document = canonical.parse(canonical.encode(make(seal)))
    receipt = read_receipt(document)
    assert (receipt.origin, receipt.seal) == ("log.example.test/1", seal)
    assert (receipt.accepted, receipt.publish_by) == (ACCEPTED, ACCEPTED + 60_000)
    assert receipt.events == EVENTS
    assert receipt.proof.party == "https://log.example.test/1"
    verify_proof(document, KEY.public)


def test_the_same_receipt_has_the_same_bytes() -> None:
    assert canonical.encode(make()) == canonical.encode(make())


@pytest.mark.parametrize("name", sorted(make()))
def test_every_member_must_be_there(name: str) -> None:
    document = make()
    del document[name]
    with pytest.raises(MalformedReceiptError) as caught:
        read_receipt(document)
    assert (caught.value.path, caught.value.found) == (f"$.{name}", "nothing")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("type", "prov:Receipt", "'prov:CaptureReceipt'"),
        ("v", 2, "1"),
        ("origin", 1, "a string"),
        ("seal", "AA==", "base64 of 32 bytes"),
        ("accepted", "2025-11-23T15:00:00Z", "YYYY-MM-DDTHH:MM:SS.mmmZ"),
        ("publishBy", None, "YYYY-MM-DDTHH:MM:SS.mmmZ"),
        ("events", [], "a list of at least one"),
        ("events", {}, "a list of at least one"),
        ("events", [7], "an object"),
        ("events", [{"event": "AA==", "links": ["AA=="]}], "base64 of 32 bytes"),
        ("events", [{"event": "AA==", "links": []}], "a list of at least one"),
        ("events", [{"event": "AA=="}], "a member of this name"),
        ("proof", {}, "a member of this name"),
        ("note", 1, "no member of this name"),
    ],
)
def test_every_member_has_its_form(name: str, value: Any, expected: str) -> None:
    with pytest.raises(MalformedReceiptError) as caught:
        read_receipt({**make(), name: value})
    assert caught.value.code == "receipt-malformed"
    assert caught.value.expected == expected


def test_what_is_no_object() -> None:
    with pytest.raises(MalformedReceiptError) as caught:
        read_receipt("text")
    assert caught.value.path == "$"
