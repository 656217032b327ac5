"""The one error document: RFC 9457 `application/problem+json`, for every failure of every route.

    {"type": "/problems/duplicate-key", "title": "A member name stands twice", "status": 400,
     "detail": "…", "line": 3, "path": "$.epcList", "expected": "…", "found": "…", "remedy": "…",
     "request": "5f0c…"}

`type` is `/problems/<code>`; the code is the refusal's own slug and stable. `line` to `violations`
stand only where they apply. Classes of refusal become statuses here and nowhere else; a browser
that asks for a page gets the same facts as HTML (`pages.refusal_page`). `request` is the id under
which the operator finds the request in its log (`watching`). A failure of ours (500) tells that and
nothing of the inside. Sources: RFC 9457; docs/formats.md section 1 for the codes.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from provenance.domain.errors import (
    BusyError,
    ConflictError,
    ForbiddenError,
    InvalidContentError,
    MalformedInputError,
    NotFoundError,
    Refusal,
    TooLargeError,
    UnavailableError,
    UnsupportedError,
)
from provenance.services.observing import request_context
from provenance.web.services import platform

MEDIA_TYPE = "application/problem+json"
LOGGER = logging.getLogger("provenance.web")

#: First match wins: too large comes first, for an event that is too large is malformed as well.
_STATUS: tuple[tuple[type[Refusal], int], ...] = (
    (TooLargeError, 413),
    (MalformedInputError, 400),
    (ForbiddenError, 403),
    (NotFoundError, 404),
    (ConflictError, 409),
    (UnsupportedError, 415),
    (InvalidContentError, 422),
    (BusyError, 429),
    (UnavailableError, 503),
)
#: Titles say the class of failure in words (RFC 9457 section 3.1.3); the detail says this one.
_TITLES: dict[int, str] = {
    400: "The request cannot be read as it stands",
    403: "The signer may not do this",
    404: "There is nothing here",
    405: "This address does not take that method",
    406: "No representation that you accept",
    409: "The state has moved on",
    410: "This is gone",
    413: "Too large",
    415: "A form that is not read here",
    422: "Understood, and refused by a rule",
    429: "As much under way as may be",
    500: "A fault on our side",
    503: "Not able to answer now",
}
_HTTP_CODES: dict[int, str] = {
    404: "not-found",
    405: "method-not-allowed",
    406: "not-acceptable",
    410: "gone",
    413: "too-large",
    415: "unsupported-media-type",
}
#: Problem types of others that fit; their last part is our code (docs/problems.md).
_FOREIGN_TYPES = {
    code: f"https://iana.org/assignments/http-problem-types#{code}"
    for code in (
        "mismatching-upload-offset",
        "completed-upload",
        "inconsistent-upload-length",
    )
}
_REMEDIES: dict[int, str] = {
    404: "Check the address; the interface is described at /api/v1/openapi.json.",
    405: "Use one of the methods that the Allow header lists.",
    500: "Try again; if it stays, tell the operator the request id.",
}


class NotAcceptableError(Refusal):
    """None of the representations that we have is among those asked for (HTTP 406)."""


def status_of(refusal: Refusal) -> int:
    """The HTTP status of a refusal's class; a class that nobody mapped is a plain 400."""
    if isinstance(refusal, NotAcceptableError):
        return 406
    return next((status for kind, status in _STATUS if isinstance(refusal, kind)), 400)


def title_of(status: int) -> str:
    """The heading that goes with a status."""
    return _TITLES.get(status) or HTTPStatus(status).phrase


def type_of(code: str) -> str:
    """The problem type of a code: a relative address of ours, or one that is registered."""
    return _FOREIGN_TYPES.get(code, f"/problems/{code}")


def document(refusal: Refusal, status: int) -> dict[str, Any]:
    """The problem document of a refusal, with only those members that apply."""
    members: dict[str, Any] = {
        "type": type_of(refusal.code),
        "title": title_of(status),
        "status": status,
        "detail": refusal.detail,
    }
    for name in ("line", "path", "expected", "found", "remedy"):
        if (value := getattr(refusal, name)) is not None:
            members[name] = value
    if refusal.violations:
        members["violations"] = [asdict(violation) for violation in refusal.violations]
    if (context := request_context.get()) is not None:
        members["request"] = context.id
    # Extra members never displace the ones above.
    return {**refusal.extra, **members}


def respond(refusal: Refusal, status: int | None = None) -> Response:
    """The HTTP answer for a refusal: a problem document, or a page for a browser on a page's
    path."""
    number = status or status_of(refusal)
    platform().observer.refused(refusal.code)
    if wants_page():
        from provenance.web.pages import refusal_page  # noqa: PLC0415  pages import this module

        response = refusal_page(refusal, number)
    else:
        body = json.dumps(document(refusal, number), ensure_ascii=False)
        response = Response(body, status=number, mimetype=MEDIA_TYPE)
        if not is_api_path(request.path):  # a browser is told the same as a page
            response.vary.add("Accept")
    response.headers["Cache-Control"] = "no-store"
    if number in (429, 503):
        response.headers["Retry-After"] = "2"
    return response


def is_api_path(path: str) -> bool:
    """True where only programs come: there every answer, failures too, is for programs."""
    return path.startswith(("/api/", "/log/", "/static/", "/.well-known/")) or path in (
        "/livez",
        "/readyz",
    )


def wants_page() -> bool:
    """True for a browser (accepts HTML at least as gladly as JSON) outside the API's paths."""
    if is_api_path(request.path):
        return False
    accepted = request.accept_mimetypes
    if not accepted.provided:
        return False
    html = accepted["text/html"]
    return html > 0 and html >= max(accepted["application/json"], accepted[MEDIA_TYPE])


def _on_refusal(error: Exception) -> Response:
    assert isinstance(error, Refusal)  # noqa: S101  registered for this class alone
    return respond(error)


def _on_http_error(error: Exception) -> Response:
    """404, 405, 413 and the like from the framework, in our own document."""
    assert isinstance(error, HTTPException)  # noqa: S101  registered for this class alone
    if error.code is None or error.code < 400:  # a redirect of the framework
        redirect = Response()
        redirect.status_code = error.code or 500
        for name, value in error.get_headers():
            redirect.headers[name] = value
        return redirect
    code = _HTTP_CODES.get(error.code, f"http-{error.code}")
    refusal = Refusal(
        code,
        _detail_of(error),
        remedy=_REMEDIES.get(error.code),
    )
    response = respond(refusal, error.code)
    for name, value in error.get_headers():
        if name in ("Allow", "Retry-After"):
            response.headers[name] = value
    return response


def _detail_of(error: HTTPException) -> str:
    if error.code == 404:
        return f"There is nothing at {request.path}."
    if error.code == 405:
        return f"{request.path} does not take {request.method}."
    return error.description or title_of(error.code or 500)


def _on_fault(error: Exception) -> Response:
    """Our own fault: where it happened goes to the log, the request's id to the caller."""
    context = request_context.get()
    LOGGER.error("request %s failed", context.id if context else "?", exc_info=error)
    refusal = Refusal(
        "internal",
        "The request failed through no fault of yours. Nothing of it was stored.",
        remedy=_REMEDIES[500],
    )
    return respond(refusal, 500)


def register(app: Flask) -> None:
    """Route every failure of `app` through this module."""
    app.register_error_handler(Refusal, _on_refusal)
    app.register_error_handler(HTTPException, _on_http_error)
    app.register_error_handler(Exception, _on_fault)
    # Handlers decide, not the debug switches of the framework: a test sees what a caller sees.
    app.config["PROPAGATE_EXCEPTIONS"] = False
    app.config["TRAP_HTTP_EXCEPTIONS"] = False
