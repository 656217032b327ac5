"""Seals for auditors: who signed which links of the log, so that anybody can judge the keys.

    GET /api/v1/seals?after=<log index>&limit=<uploads>

One line of canonical JSON for each published upload, in the order of the log, beginning with the
first whose first link stands beyond `after` (docs/formats.md section 14):

    {"index":1,"leaves":"<base64, 32 bytes an event>","links":1,"seal":{…}}

`seal` and `leaves` are null where the events carry their own proofs: such a proof covers the event
itself, which is not public by index. A page may be shorter than its limit; an empty one is the end.

What this tells that the log does not. A link in the log names its seal by hash only; here stand the
sealing party, its key, the minute that it claims and the number of events it sealed together. So
anybody can count how much each party writes and when. That is the price of keys that can be judged
without us: a log whose signers are secret could hold events by keys that were revoked. What the
events say is not told: they are not here, their hashes cover a nonce of 128 random bits, so that no
guess at an event can be tried against a leaf, and subjects stay hashes as they are in the log.
"""

from __future__ import annotations

from flask import Blueprint, Response, request

from provenance.domain.canonical import MAX_NUMBER
from provenance.domain.errors import MalformedInputError
from provenance.services import querying
from provenance.web.services import platform

blueprint = Blueprint("seals", __name__, url_prefix="/api/v1/seals")

PAGE = 200
MOST = 1_000


@blueprint.get("")
def list_seals() -> Response:
    """Seals of published uploads, `?after=` a log index, `?limit=` at most 1,000 uploads."""
    after = number_parameter("after", 0, 0, MAX_NUMBER)
    limit = number_parameter("limit", PAGE, 1, MOST)
    found = querying.list_seals(platform().reader, after=after, limit=limit)
    response = Response(b"".join(line.encode() for line in found), mimetype="application/x-ndjson")
    # The next page depends on how far the log has been published meanwhile.
    response.headers["Cache-Control"] = "no-cache"
    return response


def number_parameter(name: str, default: int, least: int, most: int) -> int:
    """A whole number of the query, `default` if it is not there; raises MalformedInputError."""
    text = request.args.get(name)
    if text is None:
        return default
    if text.isascii() and text.isdigit() and len(text) <= 16 and least <= int(text) <= most:
        return int(text)
    raise MalformedInputError(
        "parameter-malformed",
        f"The parameter {name} is not one.",
        expected=f"{name}={least} to {name}={most}",
        found=f"{name}={text[:40]!r}",
    )
