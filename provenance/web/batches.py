"""Uploads: a sealed batch, one event with its own proof, disclosures of a batch.

Answers carry the capture receipt (docs/formats.md section 12): 201 when something was appended,
200 when everything stood there already. `?wait=published` holds the answer until a checkpoint
covers the upload, at most a minute; `Provenance-Published` says whether it came to that. Where too
many wait already (`slots`), the answer comes at once and says "pending".
"""

from __future__ import annotations

import time
from http import HTTPStatus
from urllib.parse import quote

from flask import Blueprint, Response, request

from provenance.config import MAX_EVENT_BYTES
from provenance.domain.errors import MalformedInputError, NotFoundError
from provenance.services import querying
from provenance.services.capture import Accepted
from provenance.web.bodies import BodyLimits, read_lines, read_whole, require_media_type
from provenance.web.schemas import AttachmentSchema, answer
from provenance.web.services import platform, slots

blueprint = Blueprint("batches", __name__, url_prefix="/api/v1")

WAIT_SECONDS = 60.0
_PAUSE_SECONDS = 0.05
_NDJSON = ("application/x-ndjson", "application/jsonl")
_JSON = ("application/json", "application/ld+json")
_HASH_HEX = 64


@blueprint.post("/batches")
def upload_batch() -> Response:
    """Append a sealed batch: the seal on the first line, then one event a line."""
    require_media_type(request, *_NDJSON)
    wait = _must_wait()
    return _receipt(platform().capture.submit_batch(read_lines(request, _limits())), wait)


@blueprint.post("/events")
def upload_event() -> Response:
    """Append one event that carries its own proof."""
    require_media_type(request, *_JSON)
    wait = _must_wait()
    return _receipt(platform().capture.submit_event(read_whole(request, _limits())), wait)


@blueprint.get("/batches/<seal>")
def show_batch(seal: str) -> Response:
    """The receipt of a batch that was accepted, byte for byte as its sender got it."""
    receipt = querying.find_receipt(platform().database, _seal_hash(seal))
    if receipt is None:
        raise NotFoundError(
            "seal-unknown",
            "No batch under this seal was accepted here.",
            found=seal,
            remedy="Upload the batch; the same seal twice is harmless.",
        )
    response = Response(receipt, mimetype="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response


@blueprint.post("/batches/<seal>/disclosures")
def upload_disclosures(seal: str) -> Response:
    """Hand over disclosures of a batch's concealed members, each with its readers."""
    require_media_type(request, *_NDJSON)
    seal_hash = _seal_hash(seal)
    attached = platform().capture.submit_disclosures(seal_hash, read_lines(request, _limits()))
    status = HTTPStatus.CREATED if attached.added else HTTPStatus.OK
    return answer(AttachmentSchema(), attached, status)


def _limits() -> BodyLimits:
    most = platform().settings.max_body_bytes
    return BodyLimits(coded_bytes=most, decoded_bytes=most, line_bytes=MAX_EVENT_BYTES)


def _seal_hash(text: str) -> bytes:
    if len(text) == _HASH_HEX and not text.strip("0123456789abcdef"):
        return bytes.fromhex(text)
    raise MalformedInputError(
        "seal-hash-malformed",
        "This is not a seal hash.",
        expected="64 hexadecimal digits in lower case",
        found=text[:80],
    )


def _receipt(accepted: Accepted, wait: bool) -> Response:
    status = HTTPStatus.CREATED if accepted.created else HTTPStatus.OK
    response = Response(accepted.body, status=status, mimetype="application/json")
    response.headers["Cache-Control"] = "no-store"
    if accepted.seal is not None:
        response.headers["Location"] = f"/api/v1/batches/{accepted.seal.hex()}"
    if wait:
        with slots().wait() as may_wait:
            published = _wait_for(accepted.upload_id, WAIT_SECONDS if may_wait else 0)
        response.headers["Provenance-Published"] = "yes" if published else "pending"
    return response


def _must_wait() -> bool:
    wait = request.args.get("wait")
    if wait not in (None, "published"):
        raise MalformedInputError(
            "parameter-unknown",
            "There is nothing of that name to wait for.",
            expected="wait=published, or no wait",
            found=f"wait={quote(wait[:40])}",
        )
    return wait is not None


def _wait_for(upload_id: int, seconds: float) -> bool:
    """Poll until the published log covers the upload; False when `seconds` pass without it."""
    end = time.monotonic() + seconds
    while not platform().prover.is_covered(upload_id):
        if time.monotonic() >= end:
            return False
        time.sleep(_PAUSE_SECONDS)
    return True
