"""Headers that every answer carries, and those that only some do.

The policy of the pages is strict: no inline script or style, nothing from another origin, no frame,
no base, forms to ourselves only. Proofs are public and meant to be checked by others' pages, so the
log, its policy and passports may be read from any origin (CORS `*`, no credentials); nothing else.
An answer that says nothing about caching may be kept and must be asked for anew each time.
Sources: CSP Level 3, Fetch (CORS), RFC 6797 (HSTS, only over https), C2SP tlog-tiles (CORS).
"""

from __future__ import annotations

from flask import Flask, Response, request

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
_ALWAYS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-cache",
}
HSTS = "max-age=31536000"
#: Read from anywhere: what a verifier of another origin fetches. Writing needs no CORS: partners
#: are no web pages.
_OPEN_PREFIXES = ("/log/", "/api/v1/log/", "/api/v1/subjects/")
_OPEN_PATHS = ("/api/v1/log", "/api/v1/policy", "/api/v1/seals")
_OPEN_TYPES = ("application/json", "application/problem+json")


def register(app: Flask) -> None:
    """Add the headers to every answer of `app`."""
    app.after_request(_add)


def _add(response: Response) -> Response:
    for name, value in _ALWAYS.items():
        response.headers.setdefault(name, value)
    if request.is_secure:
        response.headers["Strict-Transport-Security"] = HSTS
        # Over plain http a browser ignores it and complains about it in its console.
        response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    if is_open(request.path, response):
        response.headers["Access-Control-Allow-Origin"] = "*"
        response.headers["Access-Control-Expose-Headers"] = "ETag"
        if request.method == "OPTIONS":
            response.headers["Access-Control-Allow-Methods"] = "GET, HEAD, OPTIONS"
            response.headers["Access-Control-Allow-Headers"] = "Accept, If-None-Match"
            response.headers["Access-Control-Max-Age"] = "86400"
    return response


def is_open(path: str, response: Response) -> bool:
    """True for what any origin may read: by path, or a bundle (not a page) at a Digital Link
    path."""
    if path.startswith(_OPEN_PREFIXES) or path in _OPEN_PATHS:
        return True
    is_data = request.method == "OPTIONS" or response.mimetype in _OPEN_TYPES
    return is_data and request.endpoint == "resolver.resolve"
