"""Wire forms of what this interface answers, declared once for answering and for the description.

A schema gives form and never asks a store. Documents that are signed or hashed (events, seals,
receipts, bundles) do not pass through here: their bytes are sent as they are, and the schemas of
them below only describe.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from flask import Response
from marshmallow import Schema, fields

_HASH = {"description": "32 bytes in standard base64", "example": "A" * 43 + "="}


class ViolationSchema(Schema):
    """One broken rule."""

    path = fields.String(required=True)
    expected = fields.String(required=True)
    found = fields.String(required=True)


class ProblemSchema(Schema):
    """RFC 9457 problem document; members beyond `detail` stand where they apply."""

    type = fields.String(required=True, metadata={"description": "/problems/<code>"})
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    detail = fields.String(required=True)
    line = fields.Integer(metadata={"description": "counts from 1; the seal is line 1"})
    path = fields.String(metadata={"description": "JSON path in the document"})
    expected = fields.String()
    found = fields.String()
    remedy = fields.String()
    head = fields.String(metadata=_HASH)
    request = fields.String(
        metadata={"description": "the request's id, as in X-Request-Id: tell it to the operator"}
    )
    violations = fields.List(fields.Nested(ViolationSchema))


class KeySchema(Schema):
    """A party's key with the times at which it may sign, as ledger time."""

    key = fields.String(required=True, metadata={"description": "multikey"})
    custody = fields.String(required=True, metadata={"enum": ["party", "platform"]})
    added = fields.String(required=True)
    validFrom = fields.String()  # noqa: N815  wire name
    validUntil = fields.String()  # noqa: N815  wire name
    revoked = fields.String()
    reason = fields.String()
    compromisedSince = fields.String()  # noqa: N815  wire name


class RoleSchema(Schema):
    """A role and from when to when it is held."""

    role = fields.String(required=True)
    start = fields.String()
    until = fields.String()
    withdrawn = fields.String()


class PartySchema(Schema):
    """A party as the platform sees it now; the proof of it is its passport."""

    uri = fields.String(required=True)
    name = fields.Dict(keys=fields.String(), values=fields.String())
    keys = fields.Raw()
    roles = fields.Raw()
    rolesNow = fields.List(fields.String())  # noqa: N815  wire name
    passport = fields.String(metadata={"description": "where its proof bundle is"})


class PartiesSchema(Schema):
    """A page of parties; `next` is where the next page is, absent on the last."""

    parties = fields.List(fields.Nested(PartySchema), required=True)
    next = fields.String()


class LogSchema(Schema):
    """The log: what to call it, how big it is, and by which key it signs."""

    origin = fields.String(required=True)
    size = fields.Integer(required=True)
    key = fields.String(required=True, metadata={"description": "signed-note verifier key"})
    operator = fields.String(required=True, metadata={"description": "URI of the operator party"})
    checkpoint = fields.String(required=True)
    tiles = fields.String(required=True)
    policy = fields.String(required=True)
    forks = fields.Integer(
        required=True,
        metadata={"description": "proofs that the log has forked; 0 for an honest one"},
    )


class FindingSchema(Schema):
    """A checkpoint that somebody handed in, compared with this log."""

    known = fields.String(required=True, metadata={"enum": ["consistent", "conflicting", "ahead"]})
    size = fields.Integer(required=True)
    signed = fields.Integer(required=True, metadata={"description": "size that we signed last"})
    evidence = fields.Dict(metadata={"description": "prov:ForkEvidence, where it conflicts"})


class ConsistencySchema(Schema):
    """A consistency proof (RFC 9162 section 2.1.4), and the root of the smaller tree."""

    # A word of Python's cannot be a field's name.
    start = fields.Integer(required=True, data_key="from", attribute="from")
    to = fields.Integer(required=True)
    root = fields.String(required=True, metadata=_HASH)
    proof = fields.List(fields.String(metadata=_HASH), required=True)


class AttachmentSchema(Schema):
    """How many disclosures were new and how many were there already."""

    added = fields.Integer(required=True)
    known = fields.Integer(required=True)


class ReadinessSchema(Schema):
    """Whether this worker can serve, and how old the published checkpoint is."""

    status = fields.String(required=True, metadata={"enum": ["ready"]})
    size = fields.Integer(required=True)
    ageSeconds = fields.Integer(required=True)  # noqa: N815  wire name
    sequencer = fields.String(
        required=True,
        metadata={
            "enum": ["current", "behind", "absent"],
            "description": "behind: an upload has waited for more than a minute",
        },
    )
    witnesses = fields.String(
        required=True,
        metadata={
            "enum": ["fresh", "old"],
            "description": "old: one of the policy has not cosigned this checkpoint lately",
        },
    )


class ReceiptEventSchema(Schema):
    """An accepted event and its links."""

    event = fields.String(required=True, metadata=_HASH)
    links = fields.List(fields.String(metadata=_HASH), required=True)


class ReceiptSchema(Schema):
    """Capture receipt, docs/formats.md section 12, sealed by the operator's key."""

    v = fields.Integer(required=True)
    type = fields.String(required=True)
    origin = fields.String(required=True)
    seal = fields.String(required=True, allow_none=True, metadata=_HASH)
    accepted = fields.String(required=True)
    publishBy = fields.String(required=True)  # noqa: N815  wire name
    events = fields.List(fields.Nested(ReceiptEventSchema), required=True)
    proof = fields.Dict(required=True)


class JobSchema(Schema):
    """How far a large upload has come (docs/formats.md section 17); bytes from its beginning."""

    job = fields.String(required=True, metadata={"description": "its address"})
    state = fields.String(
        required=True,
        metadata={"enum": ["receiving", "done", "refused", "cancelled", "expired"]},
    )
    received = fields.Integer(required=True, metadata={"description": "need not be sent again"})
    consumed = fields.Integer(required=True, metadata={"description": "of accepted batches"})
    length = fields.Integer(required=True, allow_none=True)
    batches = fields.Integer(required=True)
    events = fields.Integer(required=True)
    eventsPerSecond = fields.Float(required=True)  # noqa: N815  wire name
    receipts = fields.String(required=True, metadata={"description": "their address"})
    expires = fields.String(required=True)
    refusal = fields.Function(
        lambda job: json.loads(job["refusal"]) if job["refusal"] else None,
        metadata={"description": "code, line and facts of the refusal that ended it, or null"},
    )


class PassportSchema(Schema):
    """Passport bundle, docs/formats.md section 8; check it with a verifier, never by its form."""

    v = fields.Integer(required=True)
    type = fields.String(required=True)
    subject = fields.String(required=True)
    checkpoint = fields.String(required=True)
    mapHead = fields.Dict(required=True)  # noqa: N815  wire name
    subjects = fields.List(fields.Dict(), required=True)
    seals = fields.List(fields.Dict(), required=True)
    events = fields.List(fields.Dict(), required=True)


def answer(schema: Schema, value: Any, status: int = 200) -> Response:
    """A JSON answer in the form of a schema."""
    return json_response(schema.dump(value), status)


def json_response(document: Any, status: int = 200, mimetype: str = "application/json") -> Response:
    """A JSON answer as UTF-8, not escaped."""
    return Response(json.dumps(document, ensure_ascii=False), status=status, mimetype=mimetype)


def all_schemas() -> Iterable[type[Schema]]:
    """Those that the description names."""
    return (
        ProblemSchema,
        PartySchema,
        PartiesSchema,
        LogSchema,
        AttachmentSchema,
        ReadinessSchema,
        FindingSchema,
        ConsistencySchema,
        ReceiptSchema,
        JobSchema,
        PassportSchema,
    )
