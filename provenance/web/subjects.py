"""Passports: the proof bundle of a subject, as canonical bytes.

A subject without history has a passport too: the proof that it has none. That is an answer (200),
not an error; who scans a label gets the words for it from the resolver.
"""

from __future__ import annotations

from urllib.parse import quote

from flask import Blueprint, Response

from provenance.domain.errors import NotFoundError
from provenance.web import receipts
from provenance.web.passports import ReadyPassport
from provenance.web.services import conditional, passports, raw_rest, unescaped

blueprint = Blueprint("subjects", __name__, url_prefix="/api/v1/subjects")

_PREFIX = "/api/v1/subjects/"
_SUFFIX = "/passport"


@blueprint.get("/<path:rest>")
def show_passport(rest: str) -> Response:  # noqa: ARG001  read from the raw path, escapes intact
    """The passport bundle of a subject, or a receipt of one of its events; URI percent-encoded."""
    path = raw_rest(_PREFIX)
    if found := receipts.ADDRESS.fullmatch(path):
        return receipts.show_receipt(found[1], found[2])
    if not path.endswith(_SUFFIX):
        raise NotFoundError(
            "not-found",
            f"There is nothing at {_PREFIX}{path}.",
            expected=f"{_PREFIX}<percent-encoded URI>{_SUFFIX}",
            remedy="Add /passport behind the percent-encoded URI, or /events/<event hash in "
            "hex>/receipt.",
        )
    return send_bundle(passports().get(unescaped(path.removesuffix(_SUFFIX))))


def send_bundle(passport: ReadyPassport) -> Response:
    """The bundle with its entity tag; 304 where the reader has it already (RFC 9110 section
    13.1.2)."""
    response = Response(passport.data, mimetype="application/json")
    response.set_etag(passport.etag)
    # Readers may keep it, but ask whether it is still the newest each time.
    response.headers["Cache-Control"] = "public, no-cache"
    response.headers["Link"] = f'<{passport_url(passport.subject)}>; rel="canonical"'
    return conditional(response)


def passport_url(subject: str) -> str:
    """Where the bundle of a canonical identifier is."""
    return f"{_PREFIX}{quote(subject, safe='')}{_SUFFIX}"
