"""How views reach the services of this application."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from flask import Response, current_app, request

from provenance.web.passports import Passports

if TYPE_CHECKING:
    from provenance.platform import Platform


def platform() -> Platform:
    """The platform behind the present application."""
    return cast("Platform", current_app.extensions["platform"])


def passports() -> Passports:
    """The present application's passports, as bytes with the server's verdict."""
    return cast(Passports, current_app.extensions["passports"])


def raw_path() -> str:
    """The request's path as the client escaped it, without query: WSGI's PATH_INFO is unescaped.

    gunicorn gives RAW_URI, werkzeug's server and test client REQUEST_URI and RAW_URI; other servers
    may give none, and then an escaped slash cannot be told from a plain one.
    """
    raw = request.environ.get("RAW_URI") or request.environ.get("REQUEST_URI") or request.path
    text = str(raw).partition("#")[0].partition("?")[0]
    if text.startswith(("http://", "https://")):  # absolute-form (RFC 9112 section 3.2.2)
        text = "/" + text.partition("://")[2].partition("/")[2]
    return text


def conditional(response: Response) -> Response:
    """The answer, or 304 where the reader has it already (RFC 9110 section 13.1.2)."""
    response.make_conditional(request)
    return response
