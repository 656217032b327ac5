"""Parties as the platform sees them now: names, keys, roles. Their passports are the proof."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from flask import Blueprint, Response, request

from provenance.domain.errors import MalformedInputError, NotFoundError
from provenance.domain.party import Party
from provenance.services import querying
from provenance.web.passports import canonical_subject
from provenance.web.schemas import PartiesSchema, PartySchema, answer
from provenance.web.services import platform, raw_rest, unescaped

blueprint = Blueprint("parties", __name__, url_prefix="/api/v1/parties")

PAGE = 200


@blueprint.get("")
def list_parties() -> Response:
    """Parties in order of URI, `?after=` the last of the page before, `?limit=` at most 1,000."""
    limit = _limit(request.args.get("limit"))
    after = _after(request.args.get("after", ""))
    found = querying.list_parties(platform().database, after=after, limit=limit)
    page: dict[str, Any] = {"parties": [_wire(party) for party in found]}
    if len(found) == limit:
        page["next"] = f"/api/v1/parties?after={quote(found[-1].uri, safe='')}&limit={limit}"
    return answer(PartiesSchema(), page)


@blueprint.get("/<path:uri>")
def show_party(uri: str) -> Response:  # noqa: ARG001  read from the raw path, escapes intact
    """One party; its URI in the path, percent-encoded."""
    subject = canonical_subject(unescaped(raw_rest("/api/v1/parties/")))
    party = querying.find_party(platform().database, subject)
    if party is None:
        raise NotFoundError(
            "party-unknown",
            "No party is registered under this URI.",
            found=subject,
            remedy="Percent-encode the whole URI, slashes too; /api/v1/parties lists all.",
        )
    return answer(PartySchema(), _wire(party))


def _wire(party: Party) -> dict[str, Any]:
    now = platform().clock()
    return {
        **party.to_json(),
        "rolesNow": list(party.roles_at(now)),
        "passport": f"/api/v1/subjects/{quote(party.uri, safe='')}/passport",
    }


def _after(text: str) -> str:
    """The URI to go on from. U+0000 is refused: not every store can compare with it."""
    if len(text) <= 2_048 and "\0" not in text:
        return text
    raise MalformedInputError(
        "parameter-malformed",
        "This is no URI to go on from.",
        expected="after= the last URI of the page before, at most 2,048 characters",
        found=f"after={quote(text[:40])}",
    )


def _limit(text: str | None) -> int:
    if text is None:
        return PAGE
    if text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= 1_000:
        return int(text)
    raise MalformedInputError(
        "parameter-malformed",
        "The limit is not one.",
        expected="limit=1 to limit=1000",
        found=f"limit={quote(text[:40])}",
    )
