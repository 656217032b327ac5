"""Receipts of single entries, the receipt key, and the log's anchors.

    GET /api/v1/subjects/{uri}/events/{hash}/receipt    tlog-proof, or COSE with Accept or ?format=
    GET /log/receipt-key                                whose signature COSE receipts bear
    GET /api/v1/anchors                                 what third parties said about checkpoints

The first is dispatched by :mod:`provenance.web.subjects`, which owns that part of the address.
"""

from __future__ import annotations

import re
from typing import Final

from flask import Blueprint, Response, request

from provenance.domain import canonical
from provenance.domain.errors import MalformedInputError, NotFoundError
from provenance.platform import RECEIPT_KEY_FILE
from provenance.services.anchored import list_anchors
from provenance.services.entry_receipts import prove_entry
from provenance.web.passports import canonical_subject
from provenance.web.services import conditional, platform, unescaped

blueprint = Blueprint("receipts", __name__)

ADDRESS: Final = re.compile(r"(.+)/events/([0-9a-f]{64})/receipt")
"""What follows ``/api/v1/subjects/``: the percent-encoded subject and the event hash in hex."""

MOST_ANCHORS: Final = 100

COSE: Final = "application/cose"
TLOG_PROOF: Final = "text/plain"


def show_receipt(escaped_subject: str, event_hash: str) -> Response:
    """The receipt of an event's link on one chain, for the published checkpoint."""
    cose = _wants_cose()
    subject = canonical_subject(unescaped(escaped_subject))
    service = platform()
    entry = prove_entry(service.database, service.tiles, subject, bytes.fromhex(event_hash))
    data = entry.cose(service.keys.receipt) if cose else entry.tlog_proof()
    response = Response(data, mimetype=COSE if cose else TLOG_PROOF)
    suffix = "cose" if cose else "tlog-proof"
    name = f"{event_hash[:16]}.{suffix}"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.headers["Cache-Control"] = "no-cache"  # the next checkpoint makes another one
    response.vary.add("Accept")
    response.add_etag()
    return conditional(response)


def _wants_cose() -> bool:
    chosen = request.args.get("format")
    if chosen is None:
        best = request.accept_mimetypes.best_match([TLOG_PROOF, COSE], default=TLOG_PROOF)
        return best == COSE
    if chosen not in {"tlog-proof", "cose"}:
        raise MalformedInputError(
            "parameter-malformed",
            "There is no such form of a receipt.",
            path="format",
            expected="tlog-proof or cose",
            found=chosen[:40],
        )
    return chosen == "cose"


@blueprint.get("/log/receipt-key")
def show_receipt_key() -> Response:
    """The key of COSE receipts in PEM, in a note that the log's key signed."""
    path = platform().settings.tiles / RECEIPT_KEY_FILE
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise NotFoundError(
            "receipt-key-missing",
            "This log has not published a receipt key yet.",
            remedy="The operator runs `provenance init`, which makes and publishes it.",
        ) from error
    response = Response(data, mimetype="text/plain")
    response.headers["Cache-Control"] = "no-cache"
    response.add_etag()
    return conditional(response)


@blueprint.get("/api/v1/anchors")
def show_anchors() -> Response:
    """What was asked of third parties about this log's checkpoints, newest first."""
    service = platform()
    document = {
        "configured": list(service.anchor_kinds),
        "anchors": list_anchors(service.database, MOST_ANCHORS),
    }
    response = Response(canonical.encode(document), mimetype="application/json")
    response.headers["Cache-Control"] = "no-cache"
    response.add_etag()
    return conditional(response)
