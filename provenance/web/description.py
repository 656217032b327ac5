"""The interface described: OpenAPI 3.1 at `/api/v1/openapi.json`, built from schemas and this
table."""

from __future__ import annotations

from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from flask import Blueprint, Response

from provenance.web.problems import MEDIA_TYPE
from provenance.web.schemas import all_schemas, json_response
from provenance.web.upload_description import (
    BATCH_BODY,
    DISCLOSURES_BODY,
    EVENT_BODY,
    JOB_BODY,
    add_upload_schemas,
)

blueprint = Blueprint("description", __name__, url_prefix="/api/v1")

_URI = {
    "name": "uri",
    "in": "path",
    "required": True,
    "description": "identifier in any spelling, percent-encoded, slashes too",
    "schema": {"type": "string"},
}
_SEAL = {
    "name": "seal",
    "in": "path",
    "required": True,
    "description": "seal hash, 64 hexadecimal digits in lower case",
    "schema": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
}
_EVENT_HASH = {
    "name": "event",
    "in": "path",
    "required": True,
    "description": "event hash, 64 hexadecimal digits in lower case",
    "schema": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
}
_RECEIPT_FORMAT = {
    "name": "format",
    "in": "query",
    "description": "wins over Accept; tlog-proof unless given",
    "schema": {"type": "string", "enum": ["tlog-proof", "cose"]},
}
_WAIT = {
    "name": "wait",
    "in": "query",
    "description": "answer when a checkpoint covers the upload, at most 60 s",
    "schema": {"type": "string", "enum": ["published"]},
}
_JOB = {
    "name": "job",
    "in": "path",
    "required": True,
    "description": "what the job was named when it was begun; keep it to yourself",
    "schema": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
}
_COMPLETE = {
    "name": "Upload-Complete",
    "in": "header",
    "description": "?1: the body's last byte is the upload's last",
    "schema": {"type": "string", "enum": ["?0", "?1"]},
}
_LENGTH = {
    "name": "Upload-Length",
    "in": "header",
    "description": "bytes of the whole upload",
    "schema": {"type": "integer", "minimum": 0},
}
_OFFSET = {
    "name": "Upload-Offset",
    "in": "header",
    "required": True,
    "description": "where in the upload the body belongs, in bytes",
    "schema": {"type": "integer", "minimum": 0},
}


def _json(schema: str, text: str) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _other(media_type: str, text: str, *, binary: bool = False) -> dict[str, Any]:
    schema: dict[str, Any] = {} if binary else {"type": "string"}
    return {"description": text, "content": {media_type: {"schema": schema}}}


def _resumable(text: str) -> dict[str, Any]:
    return _json("JobSchema", text)


_PROBLEM = {
    "description": "problem document (RFC 9457)",
    "content": {MEDIA_TYPE: {"schema": "ProblemSchema"}},
}
_RECEIPT = {
    "201": _json("ReceiptSchema", "appended"),
    "200": _json("ReceiptSchema", "known already"),
}

#: path -> method -> (operation id, summary, further members, answers)
_Operation = tuple[str, str, dict[str, Any], dict[str, Any]]
OPERATIONS: dict[str, dict[str, _Operation]] = {
    "/api/v1/batches": {
        "post": (
            "uploadBatch",
            "Append events, one a line: under a seal on line 1, or each with its own proof",
            {"requestBody": BATCH_BODY, "parameters": [_WAIT]},
            _RECEIPT,
        )
    },
    "/api/v1/batches/{seal}": {
        "get": (
            "showBatch",
            "Receipt of an accepted batch",
            {"parameters": [_SEAL]},
            {"200": _json("ReceiptSchema", "the receipt as first given")},
        )
    },
    "/api/v1/batches/{seal}/disclosures": {
        "post": (
            "uploadDisclosures",
            "Hand over disclosures of concealed members",
            {"requestBody": DISCLOSURES_BODY, "parameters": [_SEAL]},
            {
                "201": _json("AttachmentSchema", "some were new"),
                "200": _json("AttachmentSchema", "all were known"),
            },
        )
    },
    "/api/v1/events": {
        "post": (
            "uploadEvent",
            "Append one event with its own proof",
            {"requestBody": EVENT_BODY, "parameters": [_WAIT]},
            _RECEIPT,
        )
    },
    "/api/v1/jobs": {
        "post": (
            "beginJob",
            "Begin a large upload that goes on where it broke off (docs/formats.md section 17)",
            {"requestBody": JOB_BODY, "parameters": [_COMPLETE, _LENGTH]},
            {"201": _resumable("Location: the job; when it is complete already, its progress")},
        ),
        "options": (
            "showJobLimits",
            "Accept-Patch and Upload-Limit",
            {},
            {"204": {"description": "uploads go on here"}},
        ),
    },
    "/api/v1/jobs/{job}": {
        "head": (
            "fixJobOffset",
            "Where to go on; a request under way for this job is ended",
            {"parameters": [_JOB]},
            {"204": {"description": "Upload-Offset, Upload-Complete"}},
        ),
        "get": (
            "showJob",
            "How far it is; disturbs nobody",
            {"parameters": [_JOB]},
            {"200": _json("JobSchema", "progress")},
        ),
        "patch": (
            "goOnWithJob",
            "Append bytes at Upload-Offset",
            {
                "requestBody": {
                    "required": True,
                    "description": "the bytes from the offset on",
                    "content": {"application/partial-upload": {"schema": {}}},
                },
                "parameters": [_JOB, {**_COMPLETE, "required": True}, _LENGTH, _OFFSET],
            },
            {
                "200": _resumable("the upload is complete: its progress"),
                "204": {"description": "appended, and not complete"},
            },
        ),
        "delete": (
            "cancelJob",
            "Take nothing more; what was accepted stays",
            {"parameters": [_JOB]},
            {"204": {"description": "it has ended"}},
        ),
    },
    "/api/v1/jobs/{job}/receipts": {
        "get": (
            "listJobReceipts",
            "Receipts of the accepted batches in order, one a line",
            {
                "parameters": [
                    _JOB,
                    {
                        "name": "after",
                        "in": "query",
                        "description": "batches to pass over; 0 unless given",
                        "schema": {"type": "integer", "minimum": 0},
                    },
                    {
                        "name": "limit",
                        "in": "query",
                        "schema": {"type": "integer", "minimum": 1, "maximum": 100},
                    },
                ]
            },
            {"200": _other("application/x-ndjson", "a page; empty at the end")},
        )
    },
    "/api/v1/parties": {
        "get": (
            "listParties",
            "Parties in order of URI",
            {
                "parameters": [
                    {"name": "after", "in": "query", "schema": {"type": "string"}},
                    {
                        "name": "limit",
                        "in": "query",
                        "schema": {"type": "integer", "minimum": 1, "maximum": 1000},
                    },
                ]
            },
            {"200": _json("PartiesSchema", "a page of parties")},
        )
    },
    "/api/v1/parties/{uri}": {
        "get": (
            "showParty",
            "One party as seen now",
            {"parameters": [_URI]},
            {"200": _json("PartySchema", "the party")},
        )
    },
    "/api/v1/subjects/{uri}/passport": {
        "get": (
            "showPassport",
            "Proof bundle of a subject, or the proof that it has no history",
            {"parameters": [_URI]},
            {
                "200": _json("PassportSchema", "the bundle, canonical JSON"),
                "304": {"description": "you have it already"},
            },
        )
    },
    "/api/v1/subjects/{uri}/events/{event}/receipt": {
        "get": (
            "showReceipt",
            "Receipt of one event's place in the log (docs/formats.md section 15)",
            {"parameters": [_URI, _EVENT_HASH, _RECEIPT_FORMAT]},
            {
                "200": {
                    "description": "C2SP tlog-proof, or a COSE receipt (RFC 9942)",
                    "content": {
                        "text/plain": {"schema": {"type": "string"}},
                        "application/cose": {"schema": {}},
                    },
                },
                "304": {"description": "you have it already"},
            },
        )
    },
    "/api/v1/anchors": {
        "get": (
            "listAnchors",
            "What third parties were asked about checkpoints, and what they said",
            {},
            {
                "200": {
                    "description": "kinds configured, and anchors, newest first",
                    "content": {"application/json": {"schema": {"type": "object"}}},
                }
            },
        )
    },
    "/log/receipt-key": {
        "get": (
            "showReceiptKey",
            "The key of COSE receipts, in a note that the log's key signed",
            {},
            {"200": _other("text/plain", "a signed note that holds PEM")},
        )
    },
    "/api/v1/seals": {
        "get": (
            "listSeals",
            "Seals in the order of the log, one upload a line (docs/formats.md section 14)",
            {
                "parameters": [
                    {
                        "name": "after",
                        "in": "query",
                        "description": "log index beyond which to begin; 0 unless given",
                        "schema": {"type": "integer", "minimum": 0},
                    },
                    {
                        "name": "limit",
                        "in": "query",
                        "schema": {"type": "integer", "minimum": 1, "maximum": 1000},
                    },
                ]
            },
            {"200": _other("application/x-ndjson", "a page; empty at the end")},
        )
    },
    "/api/v1/log": {
        "get": ("showLog", "The log's name, size and key", {}, {"200": _json("LogSchema", "facts")})
    },
    "/api/v1/log/checkpoints": {
        "post": (
            "uploadCheckpoint",
            "Hand in a checkpoint that somebody has seen, to be compared with this log",
            {
                "requestBody": {
                    "required": True,
                    "description": "a signed note, at most 65,536 bytes",
                    "content": {"text/plain": {"schema": {"type": "string"}}},
                }
            },
            {
                "200": _json("FindingSchema", "consistent, or known already"),
                "201": _json("FindingSchema", "it speaks against this log, and is stored"),
            },
        )
    },
    "/api/v1/log/forks": {
        "get": (
            "listForks",
            "Evidence that this log has forked (prov:ForkEvidence, docs/formats.md)",
            {},
            {
                "200": {
                    "description": "a list, empty for an honest log",
                    "content": {
                        "application/json": {
                            "schema": {"type": "array", "items": {"type": "object"}}
                        }
                    },
                }
            },
        )
    },
    "/api/v1/log/consistency": {
        "get": (
            "showConsistency",
            "That one size of the log continues another (RFC 9162 section 2.1.4)",
            {
                "parameters": [
                    {
                        "name": name,
                        "in": "query",
                        "required": True,
                        "schema": {"type": "integer", "minimum": 1},
                    }
                    for name in ("from", "to")
                ]
            },
            {"200": _json("ConsistencySchema", "the proof")},
        )
    },
    "/api/v1/policy": {
        "get": (
            "showPolicy",
            "The policy proposed (C2SP tlog-policy)",
            {},
            {"200": _other("text/plain", "the policy")},
        )
    },
    "/log/checkpoint": {
        "get": (
            "showCheckpoint",
            "Signed and cosigned checkpoint (C2SP tlog-checkpoint)",
            {},
            {"200": _other("text/plain", "a signed note")},
        )
    },
    "/log/{path}": {
        "get": (
            "showTile",
            "Tile or entry bundle (C2SP tlog-tiles)",
            {
                "parameters": [
                    {
                        "name": "path",
                        "in": "path",
                        "required": True,
                        "schema": {"type": "string"},
                        "description": "tile/<level>/<index> or tile/entries/<index>",
                    }
                ]
            },
            {"200": _other("application/octet-stream", "the tile", binary=True)},
        )
    },
    "/livez": {
        "get": ("showLiveness", "This process answers", {}, {"200": {"description": "live"}})
    },
    "/readyz": {
        "get": (
            "showReadiness",
            "Database reachable, log published, checkpoint fresh",
            {},
            {"200": _json("ReadinessSchema", "ready")},
        )
    },
}


@blueprint.get("/openapi.json")
def show_description() -> Response:
    """The description of this interface."""
    response = json_response(description())
    response.headers["Cache-Control"] = "no-cache"
    return response


@lru_cache(maxsize=1)
def description() -> dict[str, Any]:
    """OpenAPI 3.1 document; every operation may also answer with a problem document."""
    plugin = MarshmallowPlugin()
    spec = APISpec(
        title="Provenance",
        version=_version(),
        openapi_version="3.1.0",
        info={"description": "Product histories that a shopper's own phone can verify."},
        plugins=[plugin],
    )
    for schema in all_schemas():
        spec.components.schema(schema.__name__.removesuffix("Schema"), schema=schema)
    add_upload_schemas(spec, plugin)
    for path, methods in OPERATIONS.items():
        spec.path(path=path, operations={m: _operation(*given) for m, given in methods.items()})
    document: dict[str, Any] = spec.to_dict()
    return document


def _operation(
    name: str, summary: str, further: dict[str, Any], answers: dict[str, Any]
) -> dict[str, Any]:
    responses = {**answers, "default": _PROBLEM}
    return {"operationId": name, "summary": summary, **further, "responses": responses}


def _version() -> str:
    try:
        return version("provenance")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "0"
