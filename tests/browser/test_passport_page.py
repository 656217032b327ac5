"""The passport page on a phone: a real Chromium, a real server, the shipped story."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect
from werkzeug.serving import make_server

from tests.browser.conftest import needs_noble
from tests.support.served import answered_whole
from tests.web.odd import LONG_STORY, ODD, tell_odd_story
from tests.web.site import Site

PHONE = {"width": 390, "height": 844}
CAN = "/01/09521234003007/21/MEXJRXVK8FJRC11C"
NO_WEBCRYPTO = "Object.defineProperty(Crypto.prototype, 'subtle', { get() { return undefined; } });"
STORED = "provenance.policy.v1"


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Base URL of a running site on which the story has been told, and an odd one beside it."""
    site = Site.make(tmp_path_factory.mktemp("served"))
    assert site.tell_story().endswith(CAN)
    tell_odd_story(site)
    server = make_server("127.0.0.1", 0, answered_whole(site.app), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()
    site.platform.close()


class Phone:
    """A fresh profile the size of a phone; collects whatever the browser complains of."""

    def __init__(self, context: BrowserContext, base: str) -> None:
        self.context = context
        self.base = base
        self.complaints: list[str] = []
        self.page: Page = context.new_page()
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _heard(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def open(self, path: str = CAN, checked: str | None = None) -> Page:
        """Go there; wait until the script has come to an end with this outcome, if given."""
        self.page.goto(self.base + path)
        if checked is not None:
            expect(self.page.locator("[data-passport]")).to_have_attribute("data-checked", checked)
        return self.page


@pytest.fixture
def phone(browser: Browser, served: str) -> Iterator[Phone]:
    context = browser.new_context(viewport=PHONE, locale="en-GB", has_touch=True)
    context.set_default_timeout(15_000)
    yield Phone(context, served)
    context.close()


def title(page: Page) -> str:
    return page.locator("[data-verdict-title]").inner_text()


def look(page: Page) -> str | None:
    return page.locator("[data-verdict-card]").get_attribute("data-look")


class TestVerdict:
    """The banner says what this phone found, and no more."""

    def test_a_good_record_is_verified_on_the_phone(self, phone: Phone) -> None:
        page = phone.open(checked="verified")
        assert title(page) == "Record verified"
        assert page.locator("[data-verdict-by]").inner_text() == "Checked on this device"
        assert look(page) == "phone"
        assert page.locator(".check-pass").count() == 5
        assert phone.complaints == []

    def test_in_chinese_too(self, phone: Phone) -> None:
        page = phone.open(CAN + "?lang=zh", "verified")
        assert title(page) == "记录已验证"
        assert page.locator("html").get_attribute("lang") == "zh-Hans"
        assert phone.complaints == []

    def test_an_unused_code_is_absent_by_proof(self, phone: Phone) -> None:
        page = phone.open("/01/09521234543213", "absent")
        assert title(page) == "We have no record of this code"
        assert page.locator("[data-verdict-by]").inner_text() == (
            "Proof of absence checked on this device"
        )
        assert look(page) == "absent"

    def test_an_altered_bundle_is_refused_with_the_reason_in_words(self, phone: Phone) -> None:
        def alter(route: Route) -> None:
            body = route.fetch().text().replace("stage 1, 900 g", "stage 1, 800 g")
            route.fulfill(body=body, content_type="application/json")

        phone.context.route("**/passport", alter)
        page = phone.open(checked="refused")
        assert title(page) == "The record does not hold"
        assert (
            "an event was changed after it was signed"
            in page.locator("[data-verdict-text]").inner_text()
        )
        assert "events[" in page.locator(".verdict-place").inner_text()
        assert look(page) == "refused"
        assert page.locator("[data-check=unaltered].check-fail").count() == 1

    @pytest.mark.parametrize(
        ("shown", "told", "place"),
        [
            ('/en">Infant formula, stage 1', '/en">Infant formula, stage 2', "productName"),
            ('data-claim="2027-09-10"', 'data-claim="2029-09-10"', "itemExpirationDate"),
            ('data-state="declared-wrong"', 'data-state="believed"', "stages["),
            ('data-custody="platform"', 'data-custody="party"', "stages["),
            (">Port Customs Office (demo)", ">Port Customs Bureau", "prov:name"),
        ],
    )
    def test_a_page_that_tells_another_story_is_found_out(
        self, phone: Phone, shown: str, told: str, place: str
    ) -> None:
        def lie(route: Route) -> None:
            answer = route.fetch()
            assert shown in answer.text()
            route.fulfill(response=answer, body=answer.text().replace(shown, told, 1))

        phone.context.route(f"**{CAN}", lie)
        page = phone.open(checked="verified")
        assert title(page) == "The page shows something else than the proof"
        assert look(page) == "refused"
        found = page.locator(".verdict-place").inner_text()
        assert place in found

    def test_a_stage_left_out_of_the_page_is_found_out(self, phone: Phone) -> None:
        def omit(route: Route) -> None:
            answer = route.fetch()
            body = re.sub(
                r'<li class="stage.*?</details>\s*</div>\s*</li>',
                "",
                answer.text(),
                count=1,
                flags=re.S,
            )
            assert body != answer.text()
            route.fulfill(response=answer, body=body)

        phone.context.route(f"**{CAN}", omit)
        page = phone.open(checked="verified")
        assert look(page) == "refused"

    def test_a_log_that_grew_meanwhile_is_no_lie(self, phone: Phone) -> None:
        """The page was made from one checkpoint, the proof fetched under the next."""

        def older(route: Route) -> None:
            answer = route.fetch()
            body, sized = re.subn(r'data-size="\d+"', 'data-size="7"', answer.text())
            body, left_out = re.subn(r'data-index="\d+"', 'data-index="0"', body)
            assert sized
            assert left_out
            route.fulfill(response=answer, body=body)

        phone.context.route(f"**{CAN}", older)
        page = phone.open(checked="no")
        assert look(page) == "server"
        assert "reload the page" in page.locator("[data-verdict-text]").inner_text()

    def test_odd_texts_are_no_lie_either(self, phone: Phone) -> None:
        page = phone.open(ODD, "verified")
        assert title(page) == "Record verified"
        assert phone.complaints == []
        page = phone.open(ODD + "?lang=zh", "verified")
        assert title(page) == "记录已验证"
        assert len(page.locator("h1").inner_text()) == 241

    def test_the_domain_is_the_one_that_the_browser_shows(self, phone: Phone) -> None:
        def proxy(route: Route) -> None:
            answer = route.fetch()
            host = phone.base.partition("://")[2]
            body = answer.text().replace(f"Checked at {host}", "Checked at id.example")
            assert "Checked at id.example" in body
            route.fulfill(response=answer, body=body)

        phone.context.route(f"**{CAN}", proxy)
        page = phone.open(checked="verified")
        host = phone.base.partition("://")[2]
        assert page.locator("[data-verdict-domain]").inner_text() == f"Checked at {host}"


class TestServerOnly:
    """Where the phone cannot check, the page says so plainly and stays complete."""

    def test_without_any_signature_engine(self, phone: Phone) -> None:
        phone.context.add_init_script(NO_WEBCRYPTO)
        phone.context.route("**/static/vendor/**", lambda route: route.abort())
        page = phone.open(checked="no")
        assert title(page) == "Record checked by the server only"
        assert "Ed25519" in page.locator("[data-verdict-text]").inner_text()
        assert look(page) == "server"

    @needs_noble
    def test_without_webcrypto_the_small_library_checks(self, phone: Phone) -> None:
        phone.context.add_init_script(NO_WEBCRYPTO)
        page = phone.open(checked="verified")
        assert title(page) == "Record verified"
        assert phone.complaints == []

    def test_when_the_proof_cannot_be_fetched(self, phone: Phone) -> None:
        phone.context.route("**/passport", lambda route: route.abort())
        page = phone.open(checked="no")
        assert look(page) == "server"
        assert "could not be fetched" in page.locator("[data-verdict-text]").inner_text()

    def test_without_script_the_page_is_complete(self, browser: Browser, served: str) -> None:
        context = browser.new_context(viewport=PHONE, java_script_enabled=False)
        page = context.new_page()
        page.goto(served + CAN)
        assert title(page) == "Record checked by the server only"
        assert "Scripts are switched off" in page.locator("[data-verdict-live]").inner_text()
        assert page.locator("[data-stage]").count() == 24
        page.locator("summary", has_text="How to compare").click()
        assert page.locator(".item ol").is_visible()
        page.locator(".switch").click()
        assert page.locator("html").get_attribute("lang") == "zh-Hans"
        context.close()


class TestPinning:
    """The first policy stays; another one is shouted about and never taken by itself."""

    def test_first_visit_pins_and_the_next_one_knows(self, phone: Phone) -> None:
        page = phone.open(checked="verified")
        pinned = page.locator("[data-pin]")
        assert pinned.inner_text() == (
            "Policy of log log.example.test/products pinned on first visit"
        )
        page = phone.open(checked="verified")
        assert re.fullmatch(
            r"By the policy of log \S+, pinned \d{4}-\d\d-\d\d", pinned.inner_text()
        )

    def test_another_policy_is_a_loud_warning_and_replaces_nothing(self, phone: Phone) -> None:
        page = phone.open(checked="verified")
        old = page.evaluate(f"localStorage.getItem('{STORED}')")

        def other(route: Route) -> None:
            body = route.fetch().text().replace("quorum ", "# another\nquorum ", 1)
            route.fulfill(body=body + "# and more\n", content_type="text/plain")

        phone.context.route("**/api/v1/policy", other)
        page = phone.open(checked="verified")
        warning = page.get_by_role("alert")
        assert "This site now offers another policy" in warning.inner_text()
        assert page.evaluate(f"localStorage.getItem('{STORED}')") == old
        page = phone.open(checked="verified")
        assert warning.is_visible()
        warning.get_by_role("button").click()
        expect(page.locator("[data-pin]")).to_contain_text("pinned")
        expect(page.get_by_role("alert")).to_have_count(0)
        assert page.evaluate(f"localStorage.getItem('{STORED}')") != old

    def test_a_record_of_another_log_is_refused_by_the_pinned_policy(self, phone: Phone) -> None:
        page = phone.open(checked="verified")
        page.evaluate(
            "(name) => { const kept = JSON.parse(localStorage.getItem(name));"
            "kept.policy = 'log example.com/old+00b0a0ed+AWkVq6IrpQ9ySj3q7vUlSJ2nqP3aoOvG0n7l"
            "Wv4TqKq3\\nquorum none\\n'; localStorage.setItem(name, JSON.stringify(kept)); }",
            STORED,
        )
        phone.page.goto(phone.base + CAN)
        card = page.locator("[data-verdict-card]")
        expect(card).not_to_have_attribute("data-look", "phone")
        assert title(page) != "Record verified"

    def test_where_nothing_is_kept_the_page_says_so(self, phone: Phone) -> None:
        phone.context.add_init_script(
            "Object.defineProperty(window, 'localStorage', { get() { throw new Error('no'); } });"
        )
        page = phone.open(checked="verified")
        assert "not pinned" in page.locator("[data-pin]").inner_text()


class TestLayout:
    """What fits where."""

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    @pytest.mark.parametrize("language", ["en", "zh"])
    def test_the_first_screen_of_a_phone(
        self, browser: Browser, served: str, scheme: Any, language: str
    ) -> None:
        context = browser.new_context(viewport=PHONE, color_scheme=scheme)
        page = context.new_page()
        page.goto(f"{served}{CAN}?lang={language}")
        expect(page.locator("[data-passport]")).to_have_attribute("data-checked", "verified")
        for part in (".verdict", ".item", "h1", ".product-facts", ".route-stops", ".vouch strong"):
            box = page.locator(part).first.bounding_box()
            assert box is not None
            assert box["y"] + box["height"] <= PHONE["height"], part
        context.close()

    @pytest.mark.parametrize("width", [320, 390, 768, 1280])
    def test_nothing_is_wider_than_the_screen(
        self, browser: Browser, served: str, width: int
    ) -> None:
        context = browser.new_context(viewport={"width": width, "height": 800})
        page = context.new_page()
        for path in (CAN, ODD, LONG_STORY, "/", "/01/09521234543213", "/01/09521234543214"):
            page.goto(served + path, wait_until="networkidle")
            page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        context.close()

    def test_whatever_is_tapped_is_large_enough(self, phone: Phone) -> None:
        page = phone.open(checked="verified")
        page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        small = page.evaluate(
            """[...document.querySelectorAll('a, button, summary, input')]
              .filter((node) => node.offsetParent && !node.matches('.skip'))
              .map((node) => [node.outerHTML.slice(0, 80), node.getBoundingClientRect().height])
              .filter(([, height]) => height < 43.9)"""
        )
        assert small == []

    def test_the_keyboard_reaches_the_story(self, phone: Phone) -> None:
        page = phone.open(checked="verified")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.keyboard.press("Enter")
        assert page.evaluate("location.hash") == "#main"
