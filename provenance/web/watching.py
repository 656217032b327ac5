"""The edge where requests are told apart, timed, counted and written down.

Each request gets an id: the one that it brings in `X-Request-Id`, or the trace id of its
`traceparent` (W3C Trace Context), or a new one. It is returned as `X-Request-Id`, stands in every
problem document as `request`, and in every log line that is written while the request is answered.
An id that is brought must be 16 to 64 hexadecimal digits or a UUID: it will stand in log lines, and
words do not belong there.

What is told and written is the rule of the route (`/01/<…>`), method, status, duration and sizes;
never the path, the query, a header or a body, because paths hold products and parties. The duration
ends when the head of the answer is ready: how fast a reader takes its bytes is no business of ours.
"""

from __future__ import annotations

import logging
import re
import secrets
import time
from contextlib import ExitStack
from typing import Final

from flask import Flask, Response, g, request

from provenance.services.observing import Exchange, RequestContext, request_context
from provenance.web.services import platform

ACCESS: Final = logging.getLogger("provenance.access")
UNMATCHED: Final = "unmatched"
"""The route of what no route takes."""

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_GIVEN_ID: Final = re.compile(
    r"[0-9a-f]{16,64}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.I
)
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


def register(app: Flask) -> None:
    """Watch every request of `app`. Register first: then it begins first and ends last."""
    app.before_request(_begin)
    app.after_request(_answer)
    app.teardown_request(_end)


def count_body(size: int) -> None:
    """So many more bytes of the request's body have come in."""
    g.body_bytes = g.get("body_bytes", 0) + size


def request_id(given: str | None, traceparent: str | None) -> str:
    """The id that a request is known by: its own, if it may have it."""
    if given is not None and _GIVEN_ID.fullmatch(given):
        return given.lower()
    if traceparent is not None and (parent := _TRACEPARENT.fullmatch(traceparent.strip())):
        return parent[1]
    return secrets.token_hex(16)


def _begin() -> None:
    g.started = time.perf_counter()
    traceparent = request.headers.get("Traceparent")
    context = RequestContext(
        request_id(request.headers.get("X-Request-Id"), traceparent),
        request.method if request.method in _METHODS else "other",
        UNMATCHED if request.url_rule is None else request.url_rule.rule,
    )
    around = ExitStack()
    around.enter_context(platform().observer.request(context, traceparent))
    around.callback(request_context.reset, request_context.set(context))
    g.watched = around


def _answer(response: Response) -> Response:
    context = request_context.get()
    if context is None:  # the very beginning failed
        return response
    response.headers["X-Request-Id"] = context.id
    exchange = Exchange(
        context.method,
        context.route,
        response.status_code,
        time.perf_counter() - g.started,
        g.get("body_bytes", 0),
    )
    platform().observer.answered(exchange)
    if ACCESS.isEnabledFor(logging.INFO):
        ACCESS.info("answered", extra={"exchange": exchange, "client": request.remote_addr})
    return response


def _end(_error: BaseException | None) -> None:
    around: ExitStack | None = g.pop("watched", None)
    if around is not None:
        around.close()
