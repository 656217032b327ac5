"""The log for everybody: checkpoint and tiles as C2SP tlog-tiles has them, map deltas, the policy.

    GET /log/checkpoint              text/plain, never cached for long
    GET /log/tile/0/x001/234         application/octet-stream, immutable (partial ones too)
    GET /log/tile/entries/x001/234   the same
    GET /log/map/delta/x001/234      the same (provenance.domain.delta)

A path is parsed before anything touches a store, so no other file can be named, however the path is
escaped. A partial tile that is gone has become full: 404, and the reader
asks for the full one, as the specification says.
"""

from __future__ import annotations

from flask import Blueprint, Response

from merkle.errors import TilePathError
from provenance.domain.errors import MalformedInputError, NotFoundError
from provenance.services import querying
from provenance.web.schemas import LogSchema, answer
from provenance.web.services import conditional, platform, raw_rest

blueprint = Blueprint("log", __name__)

_IMMUTABLE = "public, max-age=31536000, immutable"


@blueprint.get("/api/v1/log")
def show_log() -> Response:
    """Name, size and key of the log, and where its parts are."""
    service = platform()
    size, _ = service.prover.published()
    facts = {
        "origin": service.origin,
        "size": size,
        "key": service.log_vkey,
        "operator": service.operator,
        "checkpoint": "/log/checkpoint",
        "tiles": "/log/tile/",
        "policy": "/api/v1/policy",
        "forks": service.forks.count(),
    }
    response = answer(LogSchema(), facts)
    response.headers["Cache-Control"] = "no-cache"
    return response


@blueprint.get("/api/v1/policy")
def show_policy() -> Response:
    """The policy that the platform proposes: pin it once, and compare from then on."""
    response = Response(platform().policy.format(), mimetype="text/plain")
    response.headers["Cache-Control"] = "no-cache"
    response.add_etag()
    return conditional(response)


@blueprint.get("/log/checkpoint")
def show_checkpoint() -> Response:
    """The published checkpoint with its cosignatures."""
    _, note = platform().prover.published()
    response = Response(note, mimetype="text/plain")
    response.headers["Cache-Control"] = "no-cache"
    response.add_etag()
    return conditional(response)


@blueprint.get("/log/<path:path>")
def show_tile(path: str) -> Response:  # noqa: ARG001  read from the raw path, escapes intact
    """A tile of hashes, a bundle of entries or a map delta."""
    name = raw_rest("/log/")
    try:
        data = querying.read_tile(platform().tiles, name)
    except TilePathError as error:
        raise MalformedInputError(
            "tile-path-malformed",
            "This is not the path of a tile or a map delta.",
            expected="tile/<level>/<index>, tile/entries/<index> or map/delta/<index>, index as "
            "x001/234, a partial tile with .p/<width> behind it",
            found=name[:120],
            remedy="See C2SP tlog-tiles; sizes come from /log/checkpoint.",
        ) from error
    if data is None:
        raise NotFoundError(
            "tile-missing",
            "The log has no such tile or map delta.",
            found=name,
            remedy="Compute paths from the size in /log/checkpoint; ask for the full tile where a "
            "partial one is gone. There is a map delta for each map head, at the head's index.",
        )
    response = Response(data, mimetype="application/octet-stream")
    response.headers["Cache-Control"] = _IMMUTABLE
    return response
