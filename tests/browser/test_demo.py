"""`provenance demo` as it is really served, read in a real browser: what people will try first.

The whole platform runs as processes of its own (supervisor, gunicorn, sequencer). Every page may
only speak to its own origin and may not make the browser complain. What single parts of the page do
is for test_passport_page.py.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    Route,
    expect,
)

from provenance.config import Settings
from provenance.web.vocabulary import TERMS
from provenance.web.words import PHRASES
from tests.browser.conftest import ARGUMENTS, _find_browser, needs_noble
from tests.support.processes import children, is_alive, until

LANGUAGES = ("en", "zh")
DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}
#: A name that is not the machine's own: over plain http the browser gives such a page no WebCrypto.
ELSEWHERE = "passport.test"
STAGES = 24
#: What the story's laboratory signed of its certificate's file.
FINGERPRINT = "f391665adb6176dc04848df0e2218a8a38d98107a38a9ec3fde498f116880581"


def say(key: str, language: str = "en", **values: Any) -> str:
    """The page's own words for something, in a language."""
    return PHRASES[key][LANGUAGES.index(language)].format(**values)


@dataclass
class Demo:
    """The running demo and what it printed."""

    process: subprocess.Popen[bytes]
    printed: dict[str, Any]

    @property
    def origin(self) -> str:
        return str(self.printed["url"]).removesuffix(str(self.printed["page"]))


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """`provenance demo --json`, up until the tests are through; then stopped as by Ctrl-C."""
    folder = tmp_path_factory.mktemp("demo")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PROVENANCE_")}
    if database := Settings(data=folder / "data").database:
        environment["PROVENANCE_DATABASE"] = database
    command = [sys.executable, "-m", "provenance.cli", "demo", "--json"]
    command += ["--data", str(folder / "data"), "--port", "0"]
    printed, log = folder / "printed.json", folder / "log"
    with printed.open("wb") as stdout, log.open("wb") as stderr:
        process = subprocess.Popen(command, env=environment, stdout=stdout, stderr=stderr)
    family: list[int] = []
    try:
        until(lambda: process.poll() is not None or printed.read_text().endswith("}\n"), 180)
        assert process.poll() is None, log.read_text()
        yield Demo(process, json.loads(printed.read_text()))
        family = children(process.pid)
    finally:
        process.terminate()
        status = process.wait(60)
    assert status == 0, log.read_text()
    assert not any(map(is_alive, family)), "the platform ends with the demo"


@dataclass
class Visit:
    """One reader with a fresh profile. `wrong` collects whatever must not happen."""

    context: BrowserContext
    origin: str
    page: Page = field(init=False)
    wrong: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.context.set_default_timeout(30_000)
        self.page = self.context.new_page()
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        self.page.on("request", self._asked)
        # Not everything that the policy stops shows in the console by itself; this event tells.
        self.page.add_init_script(
            "document.addEventListener('securitypolicyviolation', (e) =>"
            " console.error('CSP: ' + e.violatedDirective + ' ' + e.blockedURI));"
        )

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.wrong.append(f"console: {message.text}")

    def _asked(self, request: Request) -> None:
        self.asked.append(urlsplit(request.url).path)
        if not request.url.startswith((self.origin + "/", "data:")):
            self.wrong.append(f"left the origin: {request.url}")

    def read(self, path: str, checked: str | None) -> Page:
        """Opens a page and waits for the phone's own outcome, if one is to come."""
        self.page.goto(self.origin + path)
        if checked is not None:
            passport = self.page.locator("[data-passport]")
            expect(passport).to_have_attribute("data-checked", checked)
        return self.page

    def card(self) -> dict[str, str]:
        """The words of the verdict's card."""
        parts = ("title", "by", "text")
        return {part: self.page.locator(f"[data-verdict-{part}]").inner_text() for part in parts}


Read = Callable[..., Visit]


@pytest.fixture
def visit(browser: Browser, demo: Demo) -> Iterator[Read]:
    """Makes visits; at the end nothing may have gone wrong in any of them, unless said."""
    contexts: list[BrowserContext] = []
    visits: list[Visit] = []

    def make(origin: str | None = None, using: Browser | None = None, **options: Any) -> Visit:
        options = {"viewport": PHONE, "locale": "en-GB", **options}
        contexts.append((using or browser).new_context(**options))
        visits.append(Visit(contexts[-1], origin or demo.origin))
        return visits[-1]

    yield make
    for context in contexts:
        context.close()
    assert [trouble for made in visits for trouble in made.wrong] == []


@pytest.mark.parametrize(
    ("size", "language"),
    [
        pytest.param(DESKTOP, "en", id="desktop-en"),
        pytest.param(PHONE, "en", id="phone-en"),
        pytest.param(PHONE, "zh", id="phone-zh"),
    ],
)
def test_the_demo_is_verified_by_the_readers_own_device(
    visit: Read, demo: Demo, size: dict[str, int], language: str
) -> None:
    reader = visit(viewport=size)
    page = reader.read(f"{demo.printed['page']}?lang={language}", "verified")
    assert reader.card()["title"] == say("record.phone.title", language)
    assert reader.card()["by"] == say("record.phone.by", language)
    assert page.locator("[data-stage]").count() == STAGES
    assert page.locator(".check-pass").count() == 5
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= size["width"], "nothing sticks out at the side"


def test_the_story_has_everything_that_was_promised(visit: Read, demo: Demo) -> None:
    """Late, corrected, concealed, custodial: each is there to be seen, and said in words."""
    page = visit().read(demo.printed["page"], "verified")
    states = [node.get_attribute("data-state") for node in page.locator("[data-stage]").all()]
    assert sorted(set(filter(None, states))) == [
        *("believed", "correction", "declaration", "declared-wrong"),
    ]
    assert states.count("believed") == STAGES - 3
    text = page.locator("main").inner_text()
    for words in (
        "Infant formula, stage 1, 900 g",
        say("stage.state.declared-wrong"),
        say("stage.state.correction"),
        say("stage.concealed.one", n=1),
        say("stage.late"),
        "Certificate of analysis, finished lot",
        TERMS["step"]["accepting"][0],
        say("vouch.many", n=6),
        say("item.title"),
    ):
        assert words in text, words
    assert page.locator("[data-custody='platform']").count() == 3
    check_certificate(page)
    check_customs(page)
    check_correction(page)
    assert "41904" not in page.content(), "what was concealed is nowhere on the page"


def check_certificate(page: Page) -> None:
    """The finished lot's certificate has its name, and its fingerprint when that is asked for."""
    certificate = page.locator(".certificate", has_text="Certificate of analysis, finished lot")
    expect(certificate).to_have_count(1)
    fingerprint = certificate.locator(".hash")
    expect(fingerprint).to_be_hidden()
    certificate.get_by_text(say("certificate.hash")).click()
    expect(fingerprint).to_be_visible()
    expect(fingerprint).to_have_text(FINGERPRINT)


def check_customs(page: Page) -> None:
    """Customs inspected and cleared, in the page's words, and customs it was that signed."""
    role = TERMS["role"]["customs"][0]
    stages = page.locator("[data-stage]").filter(
        has=page.locator(".chip", has_text=re.compile(f"^{role}$"))
    )
    words = [TERMS["step"][step][0] for step in ("inspecting", "accepting")]
    expect(stages.locator(".stage-title")).to_have_text(words)


def check_correction(page: Page) -> None:
    """From what was declared wrong a link leads to the stage that corrects it."""
    wrong = page.locator("[data-state='declared-wrong']")
    link = wrong.get_by_role("link", name=say("stage.corrected-by"))
    target = link.get_attribute("href")
    assert target
    expect(page.locator(target)).to_have_attribute("data-state", "correction")
    link.click()
    expect(page.locator(target)).to_be_in_viewport()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_without_javascript_the_page_is_whole_and_says_who_checked(
    visit: Read, demo: Demo, language: str
) -> None:
    reader = visit(java_script_enabled=False)
    page = reader.read(f"{demo.printed['page']}?lang={language}", None)
    assert reader.card()["title"] == say("record.server.title", language)
    sentence = say("why.no-script.sentence", language)
    assert sentence in page.locator("[data-verdict-card]").inner_text()
    assert page.locator("[data-stage]").count() == STAGES
    assert not any(path.endswith("/passport") for path in reader.asked)


# --- tampered with on the way ---------------------------------------------------------------------


def change_place(bundle: dict[str, Any]) -> None:
    """The wholesaler's dream: another read point in a signed event."""
    event = next(e["event"] for e in bundle["events"] if e["event"].get("bizStep") == "departing")
    event["readPoint"]["trade:name"]["en"] = "Somewhere else"


def hide_event(bundle: dict[str, Any]) -> None:
    """The newest entry of the pallet left out, with its link."""
    pallet = next(s for s in bundle["subjects"] if s["uri"].endswith("/00/095212340000090007"))
    pallet["links"].pop()


def hide_history(bundle: dict[str, Any]) -> None:
    """A whole history that the story needs left out."""
    lot = next(s for s in bundle["subjects"] if "/10/MK250903W" in s["uri"])
    bundle["subjects"].remove(lot)


def make_older(bundle: dict[str, Any]) -> None:
    """Another time in the cosignature's line."""
    head, _, line = bundle["checkpoint"].rstrip("\n").rpartition("\n")
    name, _, blob = line.rpartition(" ")
    flipped = "B" if blob[10] == "A" else "A"
    bundle["checkpoint"] = f"{head}\n{name} {blob[:10]}{flipped}{blob[11:]}\n"


@pytest.mark.parametrize(
    ("tamper", "language", "reason"),
    [
        (change_place, "en", "event-altered"),
        (change_place, "zh", "event-altered"),
        (hide_event, "en", "history-incomplete"),
        (hide_history, "en", "event-unlinked"),
        (make_older, "zh", "checkpoint-signature"),
    ],
)
def test_a_bundle_changed_on_the_way_is_refused_with_its_reason(
    visit: Read,
    demo: Demo,
    tamper: Callable[[dict[str, Any]], None],
    language: str,
    reason: str,
) -> None:
    def change(route: Route) -> None:
        bundle = route.fetch().json()
        tamper(bundle)
        route.fulfill(body=json.dumps(bundle), content_type="application/json")

    reader = visit()
    reader.context.route("**/passport", change)
    reader.read(f"{demo.printed['page']}?lang={language}", "refused")
    assert reader.card()["title"] == say("record.refused.title", language)
    assert say(f"reason.{reason}", language) in reader.card()["text"]
    assert reader.page.locator(".check-fail").count() == 1


def test_a_page_that_says_more_than_the_proof_is_found_out(visit: Read, demo: Demo) -> None:
    """The server itself may lie in its page; the bundle is honest."""

    def change(route: Route) -> None:
        answer = route.fetch()
        text = answer.text()
        assert "Port of Tauranga, New Zealand" in text
        route.fulfill(response=answer, body=text.replace("Port of Tauranga", "Port of Nowhere"))

    reader = visit()
    reader.context.route(re.compile(re.escape(demo.printed["page"]) + "$"), change)
    reader.page.goto(demo.origin + demo.printed["page"])
    expect(reader.page.locator("[data-verdict-title]")).to_have_text(say("mismatch.title"))


# --- other devices --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def elsewhere(browser: Browser, demo: Demo) -> Iterator[tuple[Browser, str]]:
    """A browser for which the demo stands at another name: plain http, no secure context."""
    arguments = [*ARGUMENTS, f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1"]
    running = browser.browser_type.launch(executable_path=_find_browser(), args=arguments)
    yield running, demo.origin.replace("127.0.0.1", ELSEWHERE)
    running.close()


@needs_noble
def test_over_plain_http_from_another_machine_noble_verifies(
    visit: Read, demo: Demo, elsewhere: tuple[Browser, str]
) -> None:
    using, origin = elsewhere
    reader = visit(origin, using)
    page = reader.read(demo.printed["page"], "verified")
    assert not page.evaluate("isSecureContext")
    assert page.evaluate("typeof crypto.subtle") == "undefined"
    assert reader.card()["title"] == say("record.phone.title")
    assert any(path.startswith("/static/vendor/noble/") for path in reader.asked)


def test_over_plain_http_without_noble_the_server_alone_has_checked(
    visit: Read, demo: Demo, elsewhere: tuple[Browser, str]
) -> None:
    using, origin = elsewhere
    reader = visit(origin, using)
    reader.context.route("**/static/vendor/**", lambda route: route.abort())
    page = reader.read(demo.printed["page"], "no")
    assert reader.card()["title"] == say("record.server.title")
    assert "server only" in reader.card()["title"]
    assert say("why.no-engine") in reader.card()["text"]
    assert page.locator("[data-stage]").count() == STAGES
    # The browser says itself that it could not load what we withheld; nothing else is excused.
    reader.wrong = [text for text in reader.wrong if "net::ERR_FAILED" not in text]


def test_the_proof_taken_from_the_page_verifies_without_the_platform(
    visit: Read, demo: Demo, tmp_path: Path
) -> None:
    page = visit(accept_downloads=True).read(demo.printed["page"], "verified")
    for number, name in enumerate(("bundle.json", "policy.txt")):
        with page.expect_download() as download:
            page.locator(".downloads a").nth(number).click()
        download.value.save_as(tmp_path / name)
    verify = [sys.executable, "-m", "provenance.cli", "verify", str(tmp_path / "bundle.json")]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PROVENANCE_")}
    done = subprocess.run(
        [*verify, "--policy", str(tmp_path / "policy.txt"), "--json"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["record"] == "verified"
    assert (tmp_path / "policy.txt").read_text() == Path(demo.printed["policy"]).read_text()
