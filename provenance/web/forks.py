"""One history for everybody: hand in a checkpoint that you have seen, and see what is against us.

    POST /api/v1/log/checkpoints              a signed note, text/plain
    GET  /api/v1/log/forks                    the evidence, as verifiers take it (`--known`)
    GET  /api/v1/log/consistency?from=3&to=5  that one state continues another

Anybody may hand in what the log key signed; whoever has no such thing changes nothing. Answers to a
checkpoint: ``{"known":"consistent",…}``; ``"conflicting"`` with the evidence; ``"ahead"`` for one
larger than all that this log remembers to have signed. The latter two stop the log: 201 when they
are stored, 200 when they were known. What follows is decided in `provenance.services.forks`.
"""

from __future__ import annotations

from http import HTTPStatus

from flask import Blueprint, Response, request

from provenance.domain.canonical import MAX_NUMBER, encode, encode_base64
from provenance.domain.errors import MalformedInputError, NotFoundError
from provenance.services import querying
from provenance.web.bodies import BodyLimits, read_whole, require_media_type
from provenance.web.schemas import ConsistencySchema, FindingSchema, answer
from provenance.web.services import platform

blueprint = Blueprint("forks", __name__, url_prefix="/api/v1/log")

MOST_BYTES = 65_536
"""A hundred signature lines, which is what a note may have, if not all are post-quantum ones."""


@blueprint.post("/checkpoints")
def upload_checkpoint() -> Response:
    """Compare a checkpoint that somebody has seen with this log."""
    require_media_type(request, "text/plain")
    note = read_whole(request, BodyLimits(MOST_BYTES, MOST_BYTES, MOST_BYTES))
    finding = platform().forks.receive(note, "a reader, who handed it in")
    facts = {
        "known": finding.relation,
        "size": finding.checkpoint.size,
        "signed": finding.signed,
        **({"evidence": finding.evidence.to_json()} if finding.evidence is not None else {}),
    }
    status = HTTPStatus.CREATED if finding.is_new else HTTPStatus.OK
    response = answer(FindingSchema(), facts, status)
    response.headers["Cache-Control"] = "no-store"
    return response


@blueprint.get("/forks")
def list_forks() -> Response:
    """The stored evidence that this log has forked: an empty list for an honest log."""
    evidence = [fork.to_json() for fork in platform().forks.evidence()]
    response = Response(encode(evidence), mimetype="application/json")
    response.headers["Cache-Control"] = "no-cache"
    return response


@blueprint.get("/consistency")
def show_consistency() -> Response:
    """The proof (RFC 9162 section 2.1.4) that the tree of size `to` begins with that of `from`."""
    old, new = _size("from"), _size("to")
    if old > new:
        raise _malformed("from", f"a size up to to={new}", str(old))
    found = querying.find_consistency(platform().database, platform().tiles, old, new)
    if found is None:
        raise NotFoundError(
            "size-unknown",
            "The published log is not that large.",
            found=str(new),
            remedy="Ask for sizes up to that of /log/checkpoint.",
        )
    root, proof = found
    facts = {
        "from": old,
        "to": new,
        "root": encode_base64(root),
        "proof": [encode_base64(value) for value in proof],
    }
    response = answer(ConsistencySchema(), facts)
    response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    return response


def _size(name: str) -> int:
    text = request.args.get(name, "")
    if text.isascii() and text.isdigit() and len(text) <= 16 and 1 <= int(text) <= MAX_NUMBER:
        return int(text)
    raise _malformed(name, "a tree size from 1 on, in digits", repr(text[:40]))


def _malformed(name: str, expected: str, found: str) -> MalformedInputError:
    return MalformedInputError(
        "parameter-malformed",
        f"The parameter {name} is not one.",
        expected=expected,
        found=found,
    )
