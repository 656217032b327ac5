"""static/verifier.html: one file, opened from a disk, with no network and a strict policy.

The page is opened as a reader would, by its file address. Whatever it asked for besides itself,
logged or threw fails the test.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from playwright.sync_api import Browser, Page, expect

from provenance import verifierpage
from provenance.cli import main
from provenance.verifierpage import STATIC, VerifierPageError
from tests.browser.conftest import Modules
from tests.support.bundles import policy_text

BUNDLES = Path(__file__).resolve().parents[1] / "vectors/bundles"
DOCUMENT = STATIC / "verifier.html"
Open = Callable[..., Page]


def case_where(**wanted: Any) -> dict[str, Any]:
    """The first case of the corpus, under the usual policy, with these members."""
    cases = json.loads((BUNDLES / "cases.json").read_text("utf-8"))
    for case in cases:
        usual = not {"policy", "known"} & case.keys() and case.get("maxAge", 86_400) == 86_400
        if usual and all(case[name] == value for name, value in wanted.items()):
            return dict(case)
    raise AssertionError(f"no case with {wanted}")


@pytest.fixture
def opened(browser: Browser) -> Iterator[Open]:
    """Opens the file with a clock that stands at the corpus's time; nothing may go wrong in it."""
    contexts = []
    troubles: list[str] = []

    documents = {DOCUMENT.as_uri()}

    def open_page(
        now: int = 1_795_446_000, script: str = "", document: Path = DOCUMENT, **options: Any
    ) -> Page:
        context = browser.new_context(**{"locale": "en-GB", **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda message: troubles.append(message.text))
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("request", lambda request: asked(request.url))
        page.clock.set_fixed_time(datetime.fromtimestamp(now, UTC))
        if script:
            page.add_init_script(script)
        documents.add(document.as_uri())
        page.goto(document.as_uri())
        return page

    def asked(url: str) -> None:
        if url not in documents:
            troubles.append(f"asked for {url}")

    yield open_page
    for context in contexts:
        context.close()
    assert troubles == []


def trust(page: Page) -> None:
    page.fill("#policy-text", (BUNDLES / "policy.txt").read_text("utf-8"))
    page.click("#policy-accept")


def reload_until(page: Page, selector: str) -> None:
    """Reloads until the element is seen, five times at most.

    What a page keeps reaches Chromium's store a moment after `setItem` returned; a reload in the
    same millisecond, as no person makes it, may still read the store as it was.
    """
    for _ in range(5):
        page.reload()
        try:
            expect(page.locator(selector)).to_be_visible(timeout=1_000)
        except AssertionError:
            continue
        return
    raise AssertionError(f"{selector} was not seen after five reloads")


def show(page: Page, case: dict[str, Any]) -> None:
    page.set_input_files("#passport-file", BUNDLES / case["file"])
    expect(page.locator(".verdict")).to_be_visible()


def test_the_committed_file_is_in_step_with_its_sources() -> None:
    built = verifierpage.build()
    assert DOCUMENT.read_text("utf-8") == built, "run: provenance build-verifier"
    assert not re.search(r"""\b(?:src|href|action)=|@import|url\(|\son\w+=""", built)


def test_the_passport_pages_script_is_in_step_with_its_modules() -> None:
    built = verifierpage.build_passport_script()
    committed = (STATIC / verifierpage.PASSPORT_TARGET).read_text("utf-8")
    assert committed == built, "run: provenance build-verifier"


def test_a_verified_record(opened: Open) -> None:
    case = case_where(file="item-case-pallet.json")
    page = opened(case["now"])
    trust(page)
    show(page, case)
    expect(page.locator(".verdict.verified h2")).to_have_text("Record verified")
    expect(page.locator(".checks li.pass")).to_have_count(5)
    verdict = json.loads(page.locator("pre").text_content() or "")
    assert verdict["record"] == "verified"
    expect(page.locator(".stages-table tbody tr")).to_have_count(len(verdict["stages"]))
    shown = page.locator("#result").inner_text()
    assert "2026-11-23 14:59:00 UTC" in shown
    assert "clock, harbour" in shown
    assert "through https://id.gs1.org/00/" in shown
    assert "2 parties beside the operator" in shown
    assert "genuine" not in page.content().lower().split("<script>")[0]


@pytest.mark.parametrize(
    ("record", "headline"),
    [("refused", "Record refused"), ("absent", "No record"), ("unusable", "Not usable")],
)
def test_other_records_say_what_they_are(opened: Open, record: str, headline: str) -> None:
    case = case_where(record=record)
    page = opened(case["now"])
    trust(page)
    show(page, case)
    expect(page.locator(f".verdict.{record} h2")).to_have_text(headline)
    expect(page.locator(".stages-table")).to_have_count(0)
    if case["reason"]:
        expect(page.locator(".verdict code")).to_contain_text(case["reason"])
        expect(page.locator(".verdict code")).to_contain_text(case["place"])


def test_warnings_are_shown_beside_the_verdict(opened: Open) -> None:
    case = case_where(file="key-compromised-before.json")
    page = opened(case["now"])
    trust(page)
    show(page, case)
    expect(page.locator(".card.doubt li").first).to_contain_text("compromised")
    expect(page.locator("td.standing .doubt").first).to_have_text("doubtful")


def test_greatest_age_is_the_readers_choice(opened: Open) -> None:
    case = case_where(record="verified")
    page = opened(case["now"] + 100 * 3600)
    trust(page)
    show(page, case)
    expect(page.locator(".verdict code")).to_contain_text("checkpoint-stale")
    page.fill("#max-age", "200")
    page.locator("#max-age").blur()
    expect(page.locator(".verdict.verified")).to_be_visible()


def test_the_policy_is_pinned_until_forgotten(opened: Open) -> None:
    page = opened()
    trust(page)
    expect(page.locator("#policy-facts")).to_contain_text("log.example/2026")
    expect(page.locator("#policy-facts")).to_contain_text("clock, harbour, archive")
    reload_until(page, "#policy-facts")
    expect(page.locator("#policy-facts")).to_contain_text("log.example/2026")
    page.click("#policy-forget")
    reload_until(page, "#policy-text")


def test_a_faulty_policy_is_refused_with_its_line(opened: Open) -> None:
    page = opened()
    page.fill("#policy-text", "# mine\nlog nonsense\nquorum none")
    page.click("#policy-accept")
    expect(page.locator("#policy-error")).to_contain_text("policy line 2")
    expect(page.locator("#policy-text")).to_be_visible()


def test_nothing_is_judged_without_a_policy(opened: Open) -> None:
    page = opened()
    page.set_input_files("#passport-file", BUNDLES / case_where(record="verified")["file"])
    expect(page.locator("#waiting")).to_contain_text("whom you trust")
    expect(page.locator(".verdict")).to_have_count(0)


DROP = """
async ([name, text]) => {
    const data = new DataTransfer();
    data.items.add(new File([text], name));
    document.body.dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true }));
}
"""


def test_files_can_be_dropped(opened: Open) -> None:
    case = case_where(record="verified")
    page = opened(case["now"])
    page.evaluate(DROP, ["policy.txt", (BUNDLES / "policy.txt").read_text("utf-8")])
    expect(page.locator("#policy-facts")).to_contain_text("log.example/2026")
    page.evaluate(DROP, [case["file"], (BUNDLES / case["file"]).read_text("utf-8")])
    expect(page.locator(".verdict.verified")).to_be_visible()


@pytest.fixture
def pinned(tmp_path: Path) -> Path:
    """A page built with the corpus's policy pinned in it, by the command."""
    policy, page = tmp_path / "policy.txt", tmp_path / "own.html"
    policy.write_text("# </script><!-- & 策略\n" + (BUNDLES / "policy.txt").read_text("utf-8"))
    words = ["build-verifier", "--policy", str(policy), "-o", str(page)]
    assert CliRunner().invoke(main, words).exit_code == 0
    assert CliRunner().invoke(main, words[:3]).exit_code == 2
    return page


def test_a_pinned_policy_is_used_and_said_until_the_reader_gives_another(
    opened: Open, pinned: Path
) -> None:
    case = case_where(file="item-many-parties.json")
    page = opened(case["now"], document=pinned)
    expect(page.locator("#policy-remembered")).to_contain_text("Pinned in this file")
    expect(page.locator("#policy-facts")).to_contain_text("log.example/2026")
    show(page, case)
    expect(page.locator(".verdict.verified")).to_be_visible()
    page.click("#policy-forget")
    expect(page.locator(".verdict")).to_have_count(0)
    page.fill("#policy-text", policy_text(origin="other.example/log"))
    page.click("#policy-accept")
    expect(page.locator("#policy-remembered")).not_to_contain_text("Pinned")
    expect(page.locator(".verdict.refused .why")).to_contain_text("log-unknown")
    reload_until(page, "#policy-facts:has-text('other.example/log')")
    page.click("#policy-forget")
    page.click("#policy-pinned")
    expect(page.locator("#policy-remembered")).to_contain_text("Pinned in this file")
    show(page, case)
    expect(page.locator(".verdict.verified")).to_be_visible()


def test_the_common_page_pins_nothing(opened: Open) -> None:
    page = opened()
    expect(page.locator("#policy-asked")).to_be_visible()
    expect(page.locator("#policy-pinned")).to_be_hidden()


@pytest.mark.parametrize("file", ["anchored.json", "absent-under-an-anchored-log.json"])
def test_anchors_and_warnings_about_the_log_are_shown(opened: Open, file: str) -> None:
    case = case_where(file=file)
    page = opened(case["now"])
    trust(page)
    show(page, case)
    expect(page.locator("#result")).to_contain_text("not checked here")
    expect(page.locator("#result")).to_contain_text("2026-11-20 08:00:00 UTC")
    said = page.locator(".card.doubt")
    if case["record"] == "absent":
        expect(said).to_contain_text("Renew your policy")
        expect(said).to_contain_text("does not fit this log")
    else:
        expect(said).to_have_count(0)


def test_a_log_key_that_was_passed_on_is_said_in_words(opened: Open) -> None:
    case = case_where(file="log-key-succeeded.json")
    page = opened(case["now"])
    trust(page)
    show(page, case)
    expect(page.locator(".verdict h2")).to_have_text("Record verified")
    expect(page.locator("#result")).to_contain_text(
        "The log has a new key, and its old key, the one that you trust, signed for it"
    )


def test_chinese_by_the_browsers_language_and_by_the_switch(opened: Open) -> None:
    case = case_where(record="verified")
    page = opened(case["now"], locale="zh-CN")
    trust(page)
    show(page, case)
    expect(page.locator(".verdict h2")).to_have_text("记录已核验")
    assert page.locator("html").get_attribute("lang") == "zh-Hans"
    page.click("button[data-language=en]")
    expect(page.locator(".verdict h2")).to_have_text("Record verified")
    reload_until(page, "h1:text-is('Check a passport on this device')")


def test_a_browser_without_ed25519_is_told_so_and_gives_no_verdict(opened: Open) -> None:
    page = opened(script="Object.defineProperty(globalThis, 'crypto', { value: {} });")
    expect(page.locator("#no-engine")).to_contain_text("checked by the server only")
    expect(page.locator("#inputs")).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_every_screen_and_is_readable(opened: Open, scheme: str) -> None:
    case = case_where(file="declaration-foreign.json")
    page = opened(case["now"], color_scheme=scheme)
    trust(page)
    show(page, case)
    for width in (320, 390, 1280):
        page.set_viewport_size({"width": width, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(CONTRAST) == []


# WCAG 2.2, 1.4.3: 4.5 to 1, for every element that has text of its own.
CONTRAST = """
() => {
    const luminance = (rgb) => {
        const [r, g, b] = rgb.map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92
            : ((c / 255 + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const parts = (text) => text.match(/[\\d.]+/g).map(Number);
    const ground = (element) => {
        for (let at = element; at; at = at.parentElement) {
            const colour = parts(getComputedStyle(at).backgroundColor);
            if (colour.length === 3 || colour[3] === 1) return colour.slice(0, 3);
        }
        return [255, 255, 255];
    };
    const found = [];
    for (const element of document.querySelectorAll('body *:not(script):not(noscript)')) {
        const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
        if (own && element.getClientRects().length) {
            const [a, b] = [luminance(parts(getComputedStyle(element).color).slice(0, 3)),
                luminance(ground(element))];
            const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
            if (ratio < 4.5) found.push([ratio, element.className, element.textContent]);
        }
    }
    return found;
}
"""


def test_every_control_has_a_name_and_can_be_reached(opened: Open) -> None:
    page = opened()
    for role, name in [
        ("button", "Trust this policy"),
        ("button", "中文"),
        ("textbox", "or paste its text"),
        ("spinbutton", "Greatest age of the record"),
    ]:
        expect(page.get_by_role(role, name=name)).to_be_visible()
    expect(page.get_by_label("Choose a passport file")).to_be_attached()
    assert page.locator("#result").get_attribute("aria-live") == "polite"
    reached = set()
    for _ in range(9):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.lang"))
    assert {"en", "passport-file", "policy-file", "policy-text", "max-age"} <= reached


def test_words_are_there_in_both_languages_for_every_code(modules: Modules) -> None:
    shape = modules.run(
        """
        const keys = (value, path) => (typeof value === 'object' && !Array.isArray(value)
            ? Object.entries(value).flatMap(([k, v]) => keys(v, path + '/' + k)) : [path]);
        const all = (language) => keys(words.WORDS[language], '')
            .filter((key) => !key.startsWith('/steps/'));
        return { en: all('en'), zh: all('zh'), reasons: Object.keys(words.WORDS.en.reasons) };
        """,
        words="../../verifier/words",
    )
    assert shape["en"] == shape["zh"]
    cases = json.loads((BUNDLES / "cases.json").read_text("utf-8"))
    assert {case["reason"] for case in cases} - {None} <= set(shape["reasons"])
    formats = (STATIC.parent / "docs/formats.md").read_text("utf-8")
    section_10 = formats[formats.index("## 10.") : formats.index("## 11.")]
    codes = set(re.findall(r"\| (?:record `unusable`, )?`([a-z]+(?:-[a-z]+)+)`", section_10))
    assert len(codes) >= 25
    assert codes <= set(shape["reasons"])


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("export default 5;\n", "not understood"),
        ("import x from './y.js';\n", "not understood"),
        ("import { a } from './page.js';\n", "circle"),
        ("const end = '</scr' + 'ipt><!--';\n", "end its element early"),
    ],
)
def test_the_builder_refuses_what_it_does_not_understand(
    tmp_path: Path, source: str, message: str
) -> None:
    folder = tmp_path / "verifier"
    folder.mkdir()
    (folder / "page.js").write_text(source)
    (folder / "page.css").write_text("")
    (folder / "page.html").write_text("{{style-hash}}{{script-hash}}{{style}}{{script}}")
    with pytest.raises(VerifierPageError, match=message):
        verifierpage.build(tmp_path)
