"""Examples of uploads for the description of the interface: a mill's registration and a shipment.

They are real. On a new installation of the log `log.example.test/products` the batch is accepted as
it stands; the event, once the operator has accredited the mill; then the disclosure of the order
that the event conceals. tests/web/test_upload_description.py sends them, and makes them again from
a key that is no secret: whoever changes one takes its new proof from there.
"""

from __future__ import annotations

from typing import Any, Final

_ORIGIN: Final = "log.example.test/products"
_PARTY: Final = "https://mill.example.test"
_KEY: Final = "z6MktWbi58hm1a61zgn9N75xif86yAVZCGFnJgidJxqL1CMg"
_ITEM: Final = "https://id.gs1.org/01/09506000134352/21/S1"
_CONTEXT: Final[list[Any]] = [
    "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld",
    {"prov": "https://provenance.example/ns/v1/"},
]

SEAL: Final[dict[str, Any]] = {
    "type": "prov:Seal",
    "v": 1,
    "origin": _ORIGIN,
    "party": _PARTY,
    "size": 1,
    "root": "cNT1grtHG5iRinr8njB7XV43UUoykZVGhb8OUabfSTQ=",
    "created": "2025-11-24T08:00:00Z",
    "nonce": "8PZov2EOXPnxHSqlD5JK2g==",
    "proof": {
        "type": "DataIntegrityProof",
        "cryptosuite": "eddsa-jcs-2022",
        "verificationMethod": f"{_PARTY}#{_KEY}",
        "proofPurpose": "assertionMethod",
        "created": "2025-11-24T08:00:00Z",
        "proofValue": (
            "zfB9jr8b5W8JTcYkc2jPeSA42wByoABLFxHR121r1q3CGtHY7LpXw9XyJo5qS64xVEJKYugb4TEr"
            "9KTQoetzjZrh"
        ),
    },
}
"""The first line of the batch."""

REGISTRATION: Final[dict[str, Any]] = {
    "@context": _CONTEXT,
    "type": "prov:PartyRegistered",
    "prov:party": _PARTY,
    "prov:name": {"en": "Example Mill", "zh-Hans": "示例磨坊"},
    "prov:key": _KEY,
    "prov:custody": "party",
    "eventID": "urn:uuid:5f0c1c0e-3b1f-4e0a-9a53-0d0f6f3b6a01",
    "eventTime": "2025-11-24T08:00:00.000Z",
    "eventTimeZoneOffset": "+00:00",
    "prov:nonce": "KcnDDgYEUVztmLPRT9iHUQ==",
}
"""Its second line, sealed by the very key that it registers."""

EVENT: Final[dict[str, Any]] = {
    "@context": _CONTEXT,
    "type": "ObjectEvent",
    "eventID": "urn:uuid:5f0c1c0e-3b1f-4e0a-9a53-0d0f6f3b6a02",
    "eventTime": "2025-11-24T09:30:00.000+08:00",
    "eventTimeZoneOffset": "+08:00",
    "prov:nonce": "uOH4C9cK4HhMeFWkUXMbdA==",
    "action": "OBSERVE",
    "bizStep": "shipping",
    "disposition": "in_transit",
    "epcList": [_ITEM],
    "readPoint": {"id": "https://id.gs1.org/414/9506000134369"},
    "prov:_sd": ["XAeIdbc-ePrdgl0vsJ9hcuNYrpBjAgRD0UIMA4mKxT4"],
    "proof": {
        "type": "DataIntegrityProof",
        "cryptosuite": "eddsa-jcs-2022",
        "verificationMethod": f"{_PARTY}#{_KEY}",
        "proofPurpose": "assertionMethod",
        "created": "2025-11-24T01:30:05Z",
        "domain": _ORIGIN,
        "@context": _CONTEXT,
        "proofValue": (
            "z384VziJQBwXv679gYxpN2yYGZjXS5VUKiVSjV99Lf8VbtNKs7s55eipQwHw1tEW7C15xVKPsYBd"
            "HsXgG7TEvpAoB"
        ),
    },
}
"""An event with its own proof; the order that it belongs to is concealed."""

DISCLOSURES: Final[dict[str, Any]] = {
    "leaf": 0,
    "subject": _ITEM,
    "disclosures": [
        {
            "text": (
                "WyJZMGVhMXBvSkN5V0NkLXlQdW0tWlFRIiwiYml6VHJhbnNhY3Rpb25MaXN0IixbeyJiaXpUcmFu"
                "c2FjdGlvbiI6Imh0dHBzOi8vbWlsbC5leGFtcGxlLnRlc3Qvb3JkZXJzLzQ3MTEiLCJ0eXBlIjoi"
                "cG8ifV1d"
            ),
            "audience": ["customs"],
        }
    ],
}
"""The order, for customs."""

EVENT_HASH: Final = "8bf6c9f15084df2b523cff513cff5f13f2dd1bde574438a2d1408d8f995c9ef7"
"""Of EVENT, and so of its seal: where the disclosures are sent."""
