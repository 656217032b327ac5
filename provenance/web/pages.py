"""Pages as HTML: the passport, the landing page and failures, all in one shell.

The server's HTML is complete: it shows the record and the server's own verdict over it, marked as
the server's. What a phone adds is a matter of static/js/pages/passport.js, which finds every word
it may say in the page (`PHONE_WORDS`). The language switch is a plain link, remembered in links
only.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from flask import Response, render_template, request, url_for
from markupsafe import Markup, escape

from provenance.domain.errors import Refusal
from provenance.web import words
from provenance.web.display import drawn
from provenance.web.language import Language, choose
from provenance.web.story import tell

#: Phrases for the script, by key; those with {places} are filled in by it.
PHONE_WORDS = tuple(
    key
    for key in words.PHRASES
    if key.startswith(
        ("reason.", "why.", "pin.", "memory.", "mismatch.", "check.pass", "check.fail")
    )
    or key
    in (
        "check.not-checked",
        "record.checking",
        "record.phone.title",
        "record.phone.by",
        "record.phone.text",
        "record.server.by",
        "record.server-final.text",
        "record.refused.title",
        "record.refused.text",
        "record.refused.by-phone",
        "record.absent.title",
        "record.absent.text",
        "record.absent.by-phone",
        "record.unusable.title",
        "record.unusable.text",
        "record.place",
        "record.asof",
        "record.domain",
    )
)
_PASSPORT_SHEETS = ["verdict", "product", "stages", "proof"]
#: record -> look of the card, icon, key of title, by-line and text, as the server says them
_LOOKS = {
    "verified": ("server", "server", "record.server.title", "record.server.by"),
    "refused": ("refused", "cross", "record.refused.title", "record.refused.by-server"),
    "absent": ("absent", "question", "record.absent.title", "record.absent.by-server"),
    "unusable": ("unusable", "alert", "record.unusable.title", "record.refused.by-server"),
}


def language_of_request() -> Language:
    """The language of the page asked for."""
    return choose(request.args.get("lang"), request.accept_languages)


def render(template: str, *, status: int = 200, **context: Any) -> Response:
    """A page in the shell, in the request's language."""
    language: Language = context.setdefault("language", language_of_request())
    context["status"] = status
    html = render_template(
        template,
        say=language.say,
        raw=lambda key: words.PHRASES[key][0 if language.code == "en" else 1],
        static=_static_url,
        host=drawn(request.host),
        switch_url=_switch_url(language),
        **{"sheets": [], **context},
    )
    response = Response(html, status=status, mimetype="text/html")
    response.headers["Content-Language"] = language.tag
    response.vary.update(("Accept-Language", "Accept"))
    return response


def passport_page(
    bundle: dict[str, Any],
    verdict: dict[str, Any],
    *,
    bundle_url: str,
    has_verifier: bool,
    anchor_kinds: Sequence[str] = (),
) -> Response:
    """The page of one subject: story, the server's verdict, and what a phone needs to check it.

    `anchor_kinds` are the third parties that the platform asks to date checkpoints.
    """
    language = language_of_request()
    story = tell(bundle, verdict, language, int(time.time()))
    look, icon, title, by = _LOOKS[verdict["record"]]
    origin = verdict["log"]["origin"] if verdict["log"] else ""
    return render(
        "passport.html",
        status=404 if verdict["record"] == "absent" else 200,
        language=language,
        sheets=_PASSPORT_SHEETS,
        bundle=bundle,
        verdict=verdict,
        story=story,
        look=look,
        look_icon=icon,
        verdict_title=language.say(title),
        verdict_by=language.say(by),
        verdict_text=_verdict_text(verdict, language),
        vouch_words=language.counted("vouch", verdict["independent"]),
        own_cosigner=f"{origin}/clock",
        anchor_kinds=anchor_kinds,
        bundle_url=bundle_url,
        download_name=_download_name(story.subject.number),
        has_verifier=has_verifier,
        phone_words=PHONE_WORDS,
        unnamed=language.say(_unnamed(story.subject.kind)),
    )


def home_page(origin: str, size: int) -> Response:
    """The landing page: what this is, and a field for a code."""
    return render("home.html", sheets=["home"], origin=origin, log_size=size)


def refusal_page(refusal: Refusal, status: int) -> Response:
    """A failure as a page for people: what, expected, found, what to do; never a verdict."""
    language = language_of_request()
    heading = f"error.{status}" if f"error.{status}" in words.PHRASES else "error.other"
    text, remedy = refusal.detail, refusal.remedy
    if refusal.code == "check-digit":
        places = {"expected": refusal.expected, "found": refusal.found}
        text, remedy = language.say("error.check-digit", **places), language.say("error.scan-again")
    elif language.code != "en":
        key = f"error.{refusal.code}.text"
        key = key if key in words.PHRASES else f"{heading}.text"
        text, remedy = language.say(key if key in words.PHRASES else "error.other.text"), None
    return render(
        "error.html",
        language=language,
        sheets=["home"],
        status=status,
        heading=language.say(heading),
        text=text,
        remedy=remedy,
        refusal=refusal,
    )


def breakable(uri: str) -> Markup:
    """A URI that may break behind its slashes, so that no digit is left alone on a line."""
    return Markup("/<wbr>").join(escape(part) for part in drawn(uri).split("/"))


def _unnamed(kind: str) -> str:
    """The phrase that heads the page of a subject to which nobody gave a name."""
    key = f"product.unnamed.{kind}"
    return key if key in words.PHRASES else "product.unnamed"


def _download_name(number: str) -> str:
    """A file name that is one word on any command line: the page shows a command with it."""
    return f"passport-{re.sub('[^A-Za-z0-9._-]+', '-', number)[:80].strip('-.')}.json"


def reason_words(language: Language, code: str | None) -> str:
    """Why a record was refused, in words."""
    key = f"reason.{code}"
    return language.say(key) if key in words.PHRASES else language.say("reason.unknown", code=code)


def _verdict_text(verdict: dict[str, Any], language: Language) -> str:
    if verdict["record"] == "verified":
        return language.say("record.server.text")
    reason = reason_words(language, verdict["reason"])
    return language.say(f"record.{verdict['record']}.text", reason=reason)


def _switch_url(language: Language) -> str:
    """This very page in the other language: the same path, as the client escaped it, and query."""
    raw = str(request.environ.get("RAW_URI") or request.environ.get("REQUEST_URI") or request.path)
    path = raw.partition("?")[0]
    query = [(k, v) for k, v in request.args.items(multi=True) if k != "lang"]
    if not path.startswith("/") or path[1:2] in ("/", "\\"):
        path = "/"  # absolute-form target, or one that a browser would read as another host
    return f"{path}?{urlencode([*query, ('lang', language.other.code)])}"


def _static_url(filename: str) -> str:
    return url_for("static", filename=filename)
