"""Large uploads that go on where they broke off: jobs, over IETF resumable uploads.

    POST   /api/v1/jobs                begin; bytes may come with it
    HEAD   /api/v1/jobs/<job>          where to go on; ends a request that is still under way
    PATCH  /api/v1/jobs/<job>          go on there
    GET    /api/v1/jobs/<job>          how far it is, as JSON; disturbs nobody
    GET    /api/v1/jobs/<job>/receipts?after=<batches>&limit=<batches>
    DELETE /api/v1/jobs/<job>          take nothing more

Source: draft-ietf-httpbis-resumable-upload, interop version 8 ("the draft"). The *offset* counts
what has been processed: it stands at the end of the last batch that is durable, plus, where a
request ended inside a batch, the beginning of it, which is kept. No interim answers (104): a WSGI
application cannot send them, so a sender that wants to be able to go on begins with an empty POST
and `Upload-Complete: ?0` (the draft's "careful creation"). Content codings are not taken: the
offset would count coded bytes, and the state of a decoder would have to be kept.

Whoever knows a job's address, 128 random bits, may look at it, go on and end it; what it may append
is, as anywhere, a matter of the signatures in it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any, Final

from flask import Blueprint, Response, g, request

from provenance.domain.errors import MalformedInputError, NotFoundError, Refusal, UnsupportedError
from provenance.domain.moments import format_ledger_time
from provenance.services.jobs import JobRow, inconsistent_length
from provenance.web import problems
from provenance.web.bodies import read_chunks, require_media_type
from provenance.web.schemas import JobSchema, answer
from provenance.web.seals import number_parameter
from provenance.web.services import platform

blueprint = Blueprint("jobs", __name__, url_prefix="/api/v1/jobs")

PARTIAL: Final = "application/partial-upload"
_NDJSON: Final = ("application/x-ndjson", "application/jsonl")
_PAGE: Final = 20
_MOST: Final = 100
# RFC 9651: an Integer has at most 15 digits; parameters may follow an item and mean nothing here.
_INTEGER: Final = re.compile(r" *([0-9]{1,15}) *(?:;.*)?")
_NAME: Final = re.compile("[0-9a-f]{32}")
_BOOLEAN: Final = re.compile(r" *\?([01]) *(?:;.*)?")


@blueprint.before_request
def _require_name() -> None:
    name = (request.view_args or {}).get("job")
    if name is not None and not _NAME.fullmatch(name):
        raise NotFoundError(
            "job-unknown",
            "This is no upload's name.",
            expected="32 hexadecimal digits in lower case",
            found=repr(name[:40]),
        )


@blueprint.route("", methods=["OPTIONS"])
def show_limits() -> Response:
    """That uploads go on here, and how large they may be (the draft, section 4.1.4)."""
    response = Response(status=HTTPStatus.NO_CONTENT)
    response.headers["Allow"] = "OPTIONS, POST"
    response.headers["Accept-Patch"] = PARTIAL
    response.headers["Upload-Limit"] = _max_size()
    return response


@blueprint.post("")
def begin_job() -> Response:
    """Begin a job. Without `Upload-Complete` the body is taken to be the whole."""
    require_media_type(request, *_NDJSON)
    _require_plain()
    whole = _boolean("Upload-Complete", default=True)

    def go_on() -> Response:
        job = platform().jobs.create(_length(0, whole))
        g.location = f"/api/v1/jobs/{job.name}"
        return _received(platform().jobs.receive(job, _chunks(), whole=whole), HTTPStatus.CREATED)

    response = _told(go_on)
    if "location" in g:  # a refusal of its bytes, too, says which job they were for
        response.headers["Location"] = g.location
    return response


@blueprint.patch("/<job>")
def go_on_with_job(job: str) -> Response:
    """Append to a job at `Upload-Offset`."""
    require_media_type(request, PARTIAL)
    _require_plain()
    whole, offset = _boolean("Upload-Complete"), _integer("Upload-Offset")
    if offset is None:
        raise _missing("Upload-Offset", "where in the upload these bytes belong, such as 0")

    def go_on() -> Response:
        begun = platform().jobs.begin(job, offset, _length(offset, whole))
        received = platform().jobs.receive(begun, _chunks(), whole=whole)
        return _received(received, HTTPStatus.OK)

    return _told(go_on)


@blueprint.get("/<job>")
def show_job(job: str) -> Response:
    """Progress as JSON; for HEAD the offset, fixed until its sender goes on (the draft, 4.3)."""
    if request.method == "HEAD":
        return _state(platform().jobs.fix_offset(job), Response(status=HTTPStatus.NO_CONTENT))
    return _state(found := platform().jobs.look(job), _progress(found))


@blueprint.delete("/<job>")
def cancel_job(job: str) -> Response:
    """Take nothing more of it; what was accepted stays."""
    platform().jobs.cancel(job)
    return Response(status=HTTPStatus.NO_CONTENT)


@blueprint.get("/<job>/receipts")
def list_receipts(job: str) -> Response:
    """Receipts of the accepted batches in order, one a line, behind the first `after` of them."""
    after = number_parameter("after", 0, 0, 2**53)
    limit = number_parameter("limit", _PAGE, 1, _MOST)
    lines = platform().jobs.receipts(job, after, limit)
    response = Response((line + b"\n" for line in lines), mimetype="application/x-ndjson")
    response.headers["Cache-Control"] = "no-store"
    return response


# -- answers ---------------------------------------------------------------------------------------


def _told(go_on: Callable[[], Response]) -> Response:
    """The answer, or the refusal with the offset that counts (the draft, section 4.4.2) or the
    limit that was passed (4.1.4)."""
    try:
        return go_on()
    except Refusal as refusal:
        response = problems.respond(refusal)
        expected = refusal.extra.get("expected-offset")
        if expected is not None:
            response.headers["Upload-Offset"] = str(expected)
        if response.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            response.headers["Upload-Limit"] = _max_size()
        return response


def _received(job: JobRow, complete: HTTPStatus) -> Response:
    if job.state == "done":
        return _state(job, _progress(job, complete))
    if complete is HTTPStatus.CREATED:
        return _state(job, Response(status=HTTPStatus.CREATED))
    return _state(job, Response(status=HTTPStatus.NO_CONTENT))


def _state(job: JobRow, response: Response) -> Response:
    headers = response.headers
    headers["Upload-Offset"] = str(job.offset)
    headers["Upload-Complete"] = "?1" if job.state == "done" else "?0"
    if job.length is not None:
        headers["Upload-Length"] = str(job.length)
    headers["Upload-Limit"] = _limit(job)
    headers["Cache-Control"] = "no-store"
    return response


def _limit(job: JobRow) -> str:
    left = max(0, job.expires_at - platform().clock()) // 1000
    return f"{_max_size()}, max-age={left}"


def _max_size() -> str:
    return f"max-size={platform().jobs.limits.job_bytes}"


def _progress(job: JobRow, status: int = HTTPStatus.OK) -> Response:
    document: dict[str, Any] = {
        "job": f"/api/v1/jobs/{job.name}",
        "state": "expired" if platform().jobs.is_expired(job) else job.state,
        "received": job.offset,
        "consumed": job.consumed,
        "length": job.length,
        "batches": job.batches,
        "events": job.events,
        "eventsPerSecond": round(job.events * 1000 / max(1, job.active_ms), 1),
        "receipts": f"/api/v1/jobs/{job.name}/receipts",
        "expires": format_ledger_time(job.expires_at),
        "refusal": job.refusal,
    }
    return answer(JobSchema(), document, status)


# -- what a request says ---------------------------------------------------------------------------


def _chunks() -> Iterable[bytes]:
    # The service bounds the whole job; a limit here would look like a sender that broke off.
    return read_chunks(request.stream, sys.maxsize, request.content_length)


def _length(offset: int, whole: bool) -> int | None:
    """The whole body's length by this request: two ways to say it must agree (section 4.1.3)."""
    said = _integer("Upload-Length")
    if not whole or request.content_length is None:
        return said
    counted = offset + request.content_length
    if said not in (None, counted):
        raise inconsistent_length(said or 0, counted)
    return counted


def _require_plain() -> None:
    coding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if coding != "identity":
        raise UnsupportedError(
            "unsupported-content-encoding",
            "A job's bytes are not decoded here.",
            expected="no Content-Encoding",
            found=coding,
            remedy="Send the lines as they are, or batches one by one.",
        )


def _integer(name: str) -> int | None:
    """A structured field; one of another form counts as absent, as the draft demands."""
    match = _INTEGER.fullmatch(request.headers.get(name, ""))
    return int(match[1]) if match else None


def _boolean(name: str, *, default: bool | None = None) -> bool:
    match = _BOOLEAN.fullmatch(request.headers.get(name, ""))
    if match:
        return match[1] == "1"
    if default is None or name in request.headers:
        raise _missing(name, "?1 if these bytes are the last ones, else ?0")
    return default


def _missing(name: str, expected: str) -> MalformedInputError:
    return MalformedInputError(
        "upload-header-missing",
        f"{name} is missing, or not of its form.",
        expected=f"{name}: {expected}",
        found=request.headers.get(name, "no such header")[:40],
        remedy="See draft-ietf-httpbis-resumable-upload, interop version 8.",
    )
