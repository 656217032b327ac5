"""What a scanned label leads to: Digital Link paths at the root, and the pages around them.

A browser gets the passport page, `Accept: application/json` the bundle. The path is read strictly
and as the client escaped it (GS1 Digital Link URI Syntax 1.6.0; `qr.digital_link` has the rules):
a wrong check digit is 400 and says which digit was expected, an unknown code is 404 with the proof
that there is no record. One slash at the end is tolerated, here only (GS1-Conformant Resolver,
SHOULD).
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote, urlencode

from flask import Blueprint, Response, current_app, request, send_from_directory
from werkzeug.routing import BaseConverter

from provenance.domain.errors import MalformedInputError, NotFoundError, Refusal, UnavailableError
from provenance.web import pages
from provenance.web.passports import ReadyPassport, refusal_of
from provenance.web.problems import NotAcceptableError
from provenance.web.services import passports, platform, raw_path
from provenance.web.subjects import passport_url, send_bundle
from qr.digital_link import DigitalLink
from qr.digital_link import parse as parse_digital_link
from qr.errors import DigitalLinkError, QrError
from qr.gs1 import PRIMARY_KEYS

blueprint = Blueprint("resolver", __name__)

_PAGE = "text/html"
_BUNDLE = "application/json"
#: As printed under the symbol: (01) 09521234543213 (21) S1.
_PRINTED = re.compile(r"\(([0-9]{2,4})\)\s*([^()\s]+)\s*")
_META_POLICY = re.compile(r'http-equiv="Content-Security-Policy" content="([^"<>]*)"')


@blueprint.get("/")
def show_home() -> Response:
    """The landing page."""
    service = platform()
    try:
        size, _ = service.prover.published()
    except UnavailableError:
        size = 0
    return pages.home_page(service.origin, size)


@blueprint.get("/lookup")
def look_up() -> Response:
    """From a code or link typed in to its page; refuses what is neither."""
    text = request.args.get("code", "").strip()
    link = _parse(_as_uri(text))
    language = pages.language_of_request()
    response = redirect_to(f"{link.path}?{urlencode({'lang': language.code})}")
    response.headers["Cache-Control"] = "no-store"  # it depends on the reader's language
    return response


@blueprint.get("/verifier.html")
def show_verifier() -> Response:
    """The verifier in one file, to take away."""
    if not has_verifier():
        raise NotFoundError("not-found", "This installation has no single-file verifier.")
    response = send_from_directory(str(current_app.static_folder), "verifier.html")
    # It brings script and style in the file, which the policy of our pages would stop. It states a
    # policy of its own, by hashes; the header says the same, and that nobody may frame it.
    policy = _META_POLICY.search(_verifier().read_text(encoding="utf-8"))
    own = policy[1] if policy else "default-src 'none'"
    response.headers["Content-Security-Policy"] = f"{own}; frame-ancestors 'none'"
    return response


class PageConverter(BaseConverter):
    """Any path but those of the interface: there a wrong method is 405, and nothing is a code."""

    part_isolating = False
    regex = r"(?!(?:api|log|static|\.well-known)/)[^/].*?"
    weight = 300  # behind every other rule


@blueprint.get("/<page:path>")
def resolve(path: str) -> Response:  # noqa: ARG001  read from the raw path, escapes intact
    """The passport of a Digital Link path, as a page or as a bundle."""
    raw = raw_path()
    if not _has_key(raw):
        raise NotFoundError("not-found", f"There is nothing at {raw}.")
    link = _parse("https://id.gs1.org" + raw.removesuffix("/") + _query())
    kind = request.accept_mimetypes.best_match([_PAGE, _BUNDLE])
    if kind is None and request.accept_mimetypes.provided:
        raise NotAcceptableError(
            "not-acceptable",
            "There is a page and a proof bundle, and you accept neither.",
            expected=f"{_PAGE} or {_BUNDLE}",
            found=str(request.accept_mimetypes)[:120],
        )
    passport = passports().get(link.canonical())
    return _bundle(passport) if kind == _BUNDLE else _page(passport)


def _bundle(passport: ReadyPassport) -> Response:
    if passport.is_absent:
        raise NotFoundError(
            "subject-unknown",
            "We have no record of this code.",
            found=passport.subject,
            remedy="The proof that there is none is the passport at the address in `passport`.",
            extra={"passport": passport_url(passport.subject)},
        )
    response = send_bundle(passport)
    response.vary.add("Accept")
    return response


def _page(passport: ReadyPassport) -> Response:
    verdict = passports().judge(passport)
    response = pages.passport_page(
        passport.bundle,
        verdict,
        bundle_url=passport_url(passport.subject),
        has_verifier=has_verifier(),
        anchor_kinds=platform().anchor_kinds,
    )
    response.headers["Cache-Control"] = "no-cache"
    return response


def has_verifier() -> bool:
    """Is the single-file verifier there (it is built by a script of its own)?"""
    return _verifier().is_file()


def _verifier() -> Path:
    return Path(str(current_app.static_folder)) / "verifier.html"


def redirect_to(target: str) -> Response:
    """303 See Other to a path of our own."""
    response = Response(status=303)
    response.headers["Location"] = target
    return response


def _has_key(path: str) -> bool:
    """Does any part of the path look like a primary key? If not, it is simply another address."""
    return any(part in PRIMARY_KEYS for part in path.split("/"))


def _query() -> str:
    query = request.query_string.decode("latin-1")
    return f"?{query}" if query else ""


def _parse(uri: str) -> DigitalLink:
    try:
        return parse_digital_link(uri)
    except DigitalLinkError as error:
        refusal: Refusal = refusal_of(error)
        if refusal.code != "check-digit":
            refusal.code = "digital-link-malformed"
        raise refusal from error
    except QrError as error:
        raise refusal_of(error) from error


def _as_uri(text: str) -> str:
    """What people type: a link, a path, what is printed under the symbol, or a bare number of 14,
    13, 12 or 8 digits (a GTIN) or 18 (an SSCC)."""
    if not text:
        raise MalformedInputError(
            "code-missing", "No code was given.", expected="a code or a link", found="nothing"
        )
    if text.isascii() and text.isdigit() and len(text) in (8, 12, 13, 14):
        return f"https://id.gs1.org/01/{text.zfill(14)}"
    if text.isascii() and text.isdigit() and len(text) == 18:
        return f"https://id.gs1.org/00/{text}"
    if _PRINTED.sub("", text) == "":
        pairs = _PRINTED.findall(text)
        return "https://id.gs1.org" + "".join(
            f"/{ai}/{quote(value, safe='')}" for ai, value in pairs
        )
    if "://" in text:
        return text
    return "https://id.gs1.org/" + text.lstrip("/")
