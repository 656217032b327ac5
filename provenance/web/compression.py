"""gzip for answers that gain by it, where no proxy before us does it.

Comments on lines of their own are left out of scripts on the way: they are a third of what a phone
would have to fetch, and the files that are audited are those in the source.

Text of at least a kilobyte is compressed for clients that ask (RFC 9110 section 12.5.3). Nothing
secret is ever in an answer, so compressing leaks nothing. Small static files are kept compressed in
memory, keyed by their entity tag: there is a fixed number of them, and a file has one address.
"""

from __future__ import annotations

import gzip
import re
import threading

from flask import Flask, Response, request

_SCRIPTS = frozenset({"text/javascript", "application/javascript"})
_COMMENT = re.compile(rb"^[ \t]*(?:/\*\*(?s:.*?)\*/[ \t]*|//.*)\n", re.MULTILINE)
LEAST_BYTES = 1_024
MOST_BYTES = 4 * 1024 * 1024
_MEDIA_TYPES = frozenset(
    {
        "text/html",
        "text/css",
        "text/javascript",
        "application/javascript",
        "application/json",
        "application/problem+json",
        "image/svg+xml",
    }
)


def register(app: Flask) -> None:
    """Compress answers of `app` on their way out."""
    compressor = _Compressor()
    app.after_request(compressor)


class _Compressor:
    """Callable on a response. The store of static files is shared by threads, hence the lock."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], bytes] = {}
        self._lock = threading.Lock()

    def __call__(self, response: Response) -> Response:
        if response.mimetype not in _MEDIA_TYPES:
            return response
        response.vary.add("Accept-Encoding")
        if not self._is_worth_it(response):
            return response
        static = request.endpoint == "static"
        # The file behind the body, which is read here or not at all. It is closed here too: a
        # server whose client went away need not come to closing what we answered.
        close = getattr(response.response, "close", None)
        response.direct_passthrough = False
        body = self._static(response) if static else gzip.compress(response.get_data(), 5, mtime=0)
        if close is not None:
            close()
        response.set_data(body)
        response.headers["Content-Encoding"] = "gzip"
        etag, weak = response.get_etag()
        if etag and not weak:  # other bytes now: the strong tag would lie (RFC 9110 section 8.8.3)
            response.set_etag(etag, weak=True)
        return response

    def _is_worth_it(self, response: Response) -> bool:
        length = response.content_length
        return (
            response.status_code == 200
            and "Content-Encoding" not in response.headers
            and length is not None
            and LEAST_BYTES <= length <= MOST_BYTES
            and request.accept_encodings["gzip"] > 0
        )

    def _static(self, response: Response) -> bytes:
        key = request.path, response.get_etag()[0] or ""
        with self._lock:
            kept = self._kept.get(key)
        if kept is None:
            body = response.get_data()
            if response.mimetype in _SCRIPTS:
                body = without_comments(body)
            kept = gzip.compress(body, 9, mtime=0)
            with self._lock:
                self._kept = {k: v for k, v in self._kept.items() if k[0] != key[0]} | {key: kept}
        return kept


def without_comments(script: bytes) -> bytes:
    """A script without the comments, blocks and lines, that stand on lines of their own."""
    return _COMMENT.sub(b"", script)
