"""How views reach the services of this application."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast
from urllib.parse import unquote

from flask import Response, current_app, request

from provenance.domain.errors import MalformedInputError, NotFoundError
from provenance.web.passports import Passports
from provenance.web.slots import Slots

if TYPE_CHECKING:
    from provenance.platform import Platform


def platform() -> Platform:
    """The platform behind the present application."""
    return cast("Platform", current_app.extensions["platform"])


def passports() -> Passports:
    """The present application's passports, as bytes with the server's verdict."""
    return cast(Passports, current_app.extensions["passports"])


def slots() -> Slots:
    """What of this worker's threads uploads and waits may hold."""
    return cast(Slots, current_app.extensions["slots"])


def raw_rest(prefix: str) -> str:
    """What stands behind `prefix` in :func:`raw_path`, escapes intact.

    Routing looks at the unescaped path, so a prefix that was itself escaped gets here too. It is
    another spelling, and what stands behind it could not be cut off rightly: 404.
    """
    path = raw_path()
    if not path.startswith(prefix):
        raise NotFoundError(
            "not-found",
            f"There is nothing at {path}.",
            expected=f"a path that begins with {prefix}, unescaped",
        )
    return path[len(prefix) :]


def unescaped(text: str) -> str:
    """Percent-decode once; raises MalformedInputError where the bytes are no UTF-8."""
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError as error:
        raise MalformedInputError(
            "identifier-malformed",
            "This is not an identifier.",
            expected="percent-encoded UTF-8",
            found=text[:80],
        ) from error


def raw_path() -> str:
    """The request's path as the client escaped it, without query: WSGI's PATH_INFO is unescaped.

    gunicorn gives RAW_URI, werkzeug's server and test client REQUEST_URI and RAW_URI; other servers
    may give none, and then an escaped slash cannot be told from a plain one.
    """
    raw = request.environ.get("RAW_URI") or request.environ.get("REQUEST_URI") or request.path
    text = str(raw).partition("#")[0].partition("?")[0]
    if text.lower().startswith(("http://", "https://")):  # absolute-form (RFC 9112 section 3.2.2)
        text = "/" + text.partition("://")[2].partition("/")[2]
    return text


def conditional(response: Response) -> Response:
    """The answer, or 304 where the reader has it already (RFC 9110 section 13.1.2)."""
    response.make_conditional(request)
    return response
