"""Documents with all in them that is ours, which GS1's examples do not have: see :data:`OWN`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from provenance.crypto.integrity import add_proof
from provenance.domain import canonical, party_events
from tests.support.builders import CONTEXT, OPERATOR, Actor, complete, make_key

MILL: Final = Actor("https://mill.example.test", make_key("mill"))
DIGESTS: Final = ["0" * 42 + "A", "1" * 42 + "A"]


def own_documents() -> Iterator[tuple[str, dict[str, Any]]]:
    """An event of each type with what GS1's examples do not have, and each party event."""
    sensed = {
        "prov:_sd": DIGESTS,
        "sensorMetadata": {
            "time": "2026-11-23T14:00:00Z",
            "startTime": "2026-11-23T14:00:00Z",
            "endTime": "2026-11-23T14:10:00Z",
            "deviceMetadata": "urn:x:d",
            "prov:_sd": DIGESTS,
        },
        "sensorReport": [
            {"type": "Temperature", "value": 4.5, "uom": "CEL", "prov:_sd": DIGESTS},
            {"prov:_sd": DIGESTS[:1], "booleanValue": True, "component": "x"},
            {
                "type": "gs1:Mass",
                "exception": "ALARM_CONDITION",
                "hexBinaryValue": "ff",
                "stringValue": "a",
                "deviceID": "urn:x:d:1",
            },
        ],
    }
    common = {
        "@context": [*CONTEXT, {"ex": "https://example.org/ns/"}],
        "prov:after": [canonical.encode_base64(bytes([n]) * 32) for n in range(2)],
        "prov:_sd": DIGESTS,
        "ex:free": {"prov:_sd": DIGESTS, "list": [{"prov:_sd": DIGESTS}, None, 1.5]},
        "certificationInfo": ["https://example.org/certificate"],
        "readPoint": {"prov:_sd": DIGESTS, "ex:door": 4},
        "bizLocation": {"id": "https://id.gs1.org/414/9506000134369"},
        "bizTransactionList": [{"type": "po", "prov:_sd": DIGESTS}],
        "sourceList": [{"type": "owning_party", "source": OPERATOR}, {"prov:_sd": DIGESTS}],
        "destinationList": [{"type": "ex:party", "destination": "urn:x:p", "prov:_sd": DIGESTS}],
        "sensorElementList": [sensed],
    }
    amounts = [
        {"epcClass": "https://id.gs1.org/01/09506000134352/10/L1", "quantity": 2.5, "uom": "KGM"},
        {"epcClass": "urn:x:class", "prov:_sd": DIGESTS, "uom": "KGM"},
        {"epcClass": "urn:x:class:2", "quantity": 3},
    ]
    items = [f"https://id.gs1.org/01/09506000134352/21/{serial}" for serial in range(2)]
    kept = {"set": ["completeness_verified"], "unset": ["ex:lost"], "prov:_sd": DIGESTS}
    declared = {
        "declarationTime": "2026-11-23T15:00:00Z",
        "reason": "incorrect_data",
        "correctiveEventIDs": ["urn:x:e:2"],
        "ex:by": {"prov:_sd": DIGESTS},
    }
    own: dict[str, dict[str, Any]] = {
        "ObjectEvent": {
            "action": "ADD",
            "epcList": items,
            "quantityList": amounts,
            "persistentDisposition": kept,
            "ilmd": {"ex:harvest": {"year": 2026}, "prov:_sd": DIGESTS},
        },
        "AggregationEvent": {
            "action": "ADD",
            "parentID": "urn:x:box",
            "childEPCs": items,
            "childQuantityList": amounts,
        },
        "AssociationEvent": {"action": "OBSERVE", "parentID": "urn:x:box", "childEPCs": items},
        "TransactionEvent": {
            "action": "ADD",
            "epcList": items,
            "parentID": "urn:x:box",
            "quantityList": amounts,
        },
        "TransformationEvent": {
            "inputEPCList": items[:1],
            "inputQuantityList": amounts,
            "outputEPCList": items[1:],
            "outputQuantityList": amounts,
            "transformationID": "urn:x:t",
            "persistentDisposition": kept,
            "ilmd": {"ex:a": None},
        },
        "ex:Tasting": {"readPoint": {"id": "urn:x:kitchen"}, "transformationID": "urn:x:t"},
    }
    for kind, members in own.items():
        yield kind, complete({"type": kind, **common, **members})
        yield (
            f"{kind}, declared wrong",
            complete({"type": kind, **common, **members, "errorDeclaration": declared}),
        )
    for event in (MILL.registration(), MILL.addition(make_key("b")), MILL.revocation(MILL.key)):
        yield event["type"], event
    now = MILL.clock.now
    for name, members in {
        "registered for a time": {
            **party_events.party_registered(
                MILL.uri, name={"en": "Mill", "zh-Hans": "磨坊"}, key=MILL.multikey
            ),
            "prov:validFrom": "2026-11-23T15:00:00.000Z",
            "prov:validUntil": "2027-11-23T15:00:00.000Z",
            "prov:after": canonical.encode_base64(bytes(32)),
        },
        "compromised": party_events.key_revoked(
            MILL.uri, key=MILL.multikey, reason="compromised", compromised_since=now
        ),
        "accredited": party_events.party_accredited(MILL.uri, role="brand", valid_until=now),
        "withdrawn": party_events.accreditation_withdrawn(MILL.uri, role="brand"),
    }.items():
        yield name, complete(members)


def signed(event: dict[str, Any]) -> dict[str, Any]:
    """The event with the mill's own proof."""
    return add_proof(event, MILL.key, MILL.method, "2026-11-23T15:00:00Z", MILL.origin)


OWN: Final = [*own_documents(), *((f"{n}, signed", signed(e)) for n, e in own_documents())]
"""Name and event: of each type, also declared wrong, and each party event; then all, signed."""
