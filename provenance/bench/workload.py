"""What the benchmark sends: a party, and events of about 700 bytes, sealed before timing starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from provenance.client.api import Api
from provenance.client.party_events import Registrar
from provenance.client.sealing import (
    Random,
    SealedBatch,
    Signer,
    prepare,
    seal_events,
    sign_event,
)
from provenance.crypto.signing import PrivateKey, load_key
from provenance.domain.moments import format_ledger_time
from provenance.domain.party_events import operator_uri

_START_MS = 1_748_736_000_000  # 2025-06-01T00:00:00Z
PARTY = "https://id.gs1.org/417/9521234999997"
_CONTEXT = "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"


def enrol(api: Api, data: Path, now: int, random: Random) -> Signer:
    """The benchmark's party, registered and accredited; `data` holds the operator's key."""
    origin = str(api.log()["origin"])
    registrar = Registrar(api, now, random)
    signer = Signer(origin, PARTY, PrivateKey.generate(random))
    registrar.register(signer, {"en": "Benchmark"})
    operator = load_key(data / "keys" / "operator.key")
    registrar.accredit(Signer(origin, operator_uri(origin), operator), signer.party, "brand")
    return signer


def event(number: int, subject: str) -> dict[str, Any]:
    """One ObjectEvent about one subject."""
    return {
        "type": "ObjectEvent",
        "eventTime": format_ledger_time(_START_MS + number * 1000),
        "eventTimeZoneOffset": "+00:00",
        "epcList": [subject],
        "action": "OBSERVE",
        "bizStep": "shipping",
        "disposition": "in_transit",
        "readPoint": {"id": "https://id.gs1.org/414/9521234000518"},
        "bizTransactionList": [
            {"type": "desadv", "bizTransaction": f"urn:epc:id:gdti:9521234.00002.B{number:08d}"}
        ],
        "sourceList": [{"type": "owning_party", "source": PARTY}],
        "destinationList": [
            {"type": "owning_party", "destination": "https://id.gs1.org/417/9521234000020"}
        ],
    }


def item(serial: str) -> str:
    """A subject of the benchmark."""
    return f"https://id.gs1.org/01/09521234999997/21/{serial}"


def events(count: int, tag: str, random: Random) -> list[dict[str, Any]]:
    """`count` standing events, each about a subject of its own."""
    document = {
        "@context": [_CONTEXT],
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": "2025-06-01T00:00:00Z",
        "epcisBody": {
            "eventList": [event(number, item(f"{tag}{number:07d}")) for number in range(count)]
        },
    }
    return prepare(document, random=random)


def sealed(
    count: int, size: int, tag: str, signer: Signer, now: int, random: Random
) -> list[SealedBatch]:
    """`count` events in batches of `size`, one seal each."""
    return seal_events(events(count, tag, random), signer, now=now, random=random, most=size)


def own_proofs(count: int, tag: str, signer: Signer, now: int, random: Random) -> list[bytes]:
    """`count` events that each carry a proof of their own."""
    return [sign_event(entry, signer, now=now) for entry in events(count, tag, random)]
