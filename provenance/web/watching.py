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
from typing import Final

from flask import Flask, Response, g, request

from provenance.services.observing import Exchange, Observer, RequestContext, request_context
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
    watch: _Watch | None = g.get("watch")
    if watch is not None:
        watch.body_bytes += size


def request_id(given: str | None, traceparent: str | None) -> str:
    """The id that a request is known by: its own, if it may have it."""
    if given is not None and _GIVEN_ID.fullmatch(given):
        return given.lower()
    if traceparent is not None and (parent := _TRACEPARENT.fullmatch(traceparent.strip())):
        return parent[1]
    return secrets.token_hex(16)


class _Watch:
    """One request on its way. One object, looked up three times: every request pays for this."""

    __slots__ = ("_around", "_token", "body_bytes", "context", "observer", "started")

    def __init__(self, observer: Observer, context: RequestContext, traceparent: str | None):
        self.started = time.perf_counter()
        self.observer = observer
        self.context = context
        self.body_bytes = 0
        self._around = observer.request(context, traceparent)
        self._around.__enter__()
        self._token = request_context.set(context)

    def end(self) -> None:
        request_context.reset(self._token)
        self._around.__exit__(None, None, None)


def _begin() -> None:
    environ, rule = request.environ, request.url_rule  # not by way of `headers`: half the price
    traceparent = environ.get("HTTP_TRACEPARENT")
    method = environ["REQUEST_METHOD"]
    context = RequestContext(
        request_id(environ.get("HTTP_X_REQUEST_ID"), traceparent),
        method if method in _METHODS else "other",
        UNMATCHED if rule is None else rule.rule,
    )
    g.watch = _Watch(platform().observer, context, traceparent)


def _answer(response: Response) -> Response:
    watch: _Watch | None = g.get("watch")
    if watch is None:  # the very beginning failed
        return response
    context = watch.context
    response.headers["X-Request-Id"] = context.id
    exchange = Exchange(
        context.method,
        context.route,
        response.status_code,
        time.perf_counter() - watch.started,
        watch.body_bytes,
    )
    watch.observer.answered(exchange)
    if ACCESS.isEnabledFor(logging.INFO):
        ACCESS.info("answered", extra={"exchange": exchange, "client": request.remote_addr})
    return response


def _end(_error: BaseException | None) -> None:
    watch: _Watch | None = g.pop("watch", None)
    if watch is not None:
        watch.end()
