"""A phone that comes back remembers the log, and an operator with two histories is found out."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from werkzeug.serving import make_server

from merkle.checkpoint import Checkpoint
from merkle.note import sign_note
from provenance.crypto.signing import NoteSigner, PrivateKey
from tests.browser.test_passport_page import CAN, PHONE, look, title
from tests.support.served import answered_whole
from tests.web.site import Site

ABSENT = "/01/09521234543213"
NAME = "provenance.checkpoint.v1 log.example.test/products"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A log of its own: these tests end with it stopped for good."""
    made = Site.make(tmp_path / "data")
    yield made
    made.platform.close()


@pytest.fixture
def page(site: Site, browser: Browser) -> Iterator[Page]:
    server = make_server("127.0.0.1", 0, answered_whole(site.app), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    context = browser.new_context(
        viewport=PHONE, locale="en-GB", base_url=f"http://127.0.0.1:{server.server_port}"
    )
    context.set_default_timeout(15_000)
    yield context.new_page()
    context.close()
    server.shutdown()
    thread.join()
    server.server_close()


def visit(page: Page, checked: str, path: str = ABSENT) -> None:
    page.goto(path)
    expect(page.locator("[data-passport]")).to_have_attribute("data-checked", checked)


def remembered(page: Page) -> str:
    return str(page.evaluate("(name) => localStorage.getItem(name)", NAME))


def put(page: Page, note: bytes) -> None:
    page.evaluate("([name, note]) => localStorage.setItem(name, note)", [NAME, note.decode()])


def signed(site: Site, size: int, root: bytes) -> bytes:
    """What only the holder of the log's key can make."""
    signer = NoteSigner(site.platform.origin, site.platform.keys.log)
    return sign_note(Checkpoint(site.platform.origin, size, root).format(), [signer])


def size_of(note: str) -> int:
    return int(note.split("\n")[1])


def reason(page: Page) -> str:
    return page.locator("[data-verdict-text]").inner_text()


def test_a_log_that_only_grows_is_followed(page: Page, site: Site) -> None:
    visit(page, "absent")
    first = remembered(page)
    site.tell_story()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    visit(page, "verified", CAN)
    assert title(page) == "Record verified"
    assert size_of(remembered(page)) > size_of(first)
    assert [url for url in asked if f"consistency?from={size_of(first)}&" in url]
    assert page.locator(".notice-stop").count() == 0


@pytest.mark.parametrize("less", [0, 1])
def test_two_histories_are_refused_and_shown_to_the_operator(
    page: Page, site: Site, less: int
) -> None:
    """The other state is of the same size, then of a smaller one."""
    site.tell_story()
    visit(page, "absent")
    size, _ = site.platform.prover.published()
    put(page, signed(site, size - less, sha256(b"another history").digest()))
    with page.expect_response("**/api/v1/log/checkpoints") as answered:
        visit(page, "refused")
    assert look(page) == "refused"
    assert "two histories that contradict each other" in reason(page)
    assert answered.value.status == 201
    (evidence,) = json.loads(page.request.get("/api/v1/log/forks").text())
    assert evidence["origin"] == site.platform.origin
    # Whoever comes next sees it without having seen anything before.
    page.evaluate("() => localStorage.clear()")
    visit(page, "refused")
    assert "two histories that contradict each other" in reason(page)


def test_an_older_state_than_the_phone_has_seen_is_said_aloud(page: Page, site: Site) -> None:
    visit(page, "absent")
    size, _ = site.platform.prover.published()
    put(page, signed(site, size + 5, sha256(b"later").digest()))
    with page.expect_response("**/api/v1/log/checkpoints") as answered:
        visit(page, "absent")
    notice = page.locator(".notice-stop").inner_text()
    assert "This device has seen a newer state of this log" in notice
    assert answered.value.json()["known"] == "ahead"
    assert size_of(remembered(page)) == size + 5


def test_what_was_not_signed_by_the_log_accuses_nobody(page: Page, site: Site) -> None:
    visit(page, "absent")
    size, _ = site.platform.prover.published()
    genuine = signed(site, size, sha256(b"another history").digest()).decode()
    put(page, genuine.replace(genuine[-12:-4], "AAAAAAAA").encode())
    visit(page, "absent")
    assert json.loads(page.request.get("/api/v1/log/forks").text()) == []


def test_another_history_under_a_key_that_was_given_up_is_said_aloud(
    page: Page, site: Site
) -> None:
    """Who accepted a new key has not accepted that the log begins anew: no evidence, no silence."""
    visit(page, "absent")
    size, _ = site.platform.prover.published()
    signer = NoteSigner(site.platform.origin, PrivateKey.generate())
    text = Checkpoint(site.platform.origin, size, sha256(b"another history").digest()).format()
    put(page, sign_note(text, [signer]))
    visit(page, "absent")
    notice = page.locator(".notice-stop").inner_text()
    assert "This device remembers another history of this log" in notice


def test_a_proof_that_is_held_back_is_said_aloud(page: Page, site: Site) -> None:
    """A server with two histories has no proof to show: its silence must not look like none."""
    visit(page, "absent")
    before = remembered(page)
    site.tell_story()
    page.route("**/api/v1/log/consistency?*", lambda route: route.fulfill(status=404))
    visit(page, "absent")
    notice = page.locator(".notice-stop").inner_text()
    assert "Not compared with what this device has seen" in notice
    assert remembered(page) == before


def test_a_wrong_proof_is_said_aloud_and_not_remembered(page: Page, site: Site) -> None:
    visit(page, "absent")
    before = remembered(page)
    site.tell_story()

    def lie(route: object) -> None:
        answer = route.fetch()  # type: ignore[attr-defined]
        body = answer.json()
        body["proof"] = body["proof"][:-1]
        route.fulfill(response=answer, json=body)  # type: ignore[attr-defined]

    page.route("**/api/v1/log/consistency?*", lie)
    visit(page, "absent")
    assert "did not prove that it only grew" in page.locator(".notice-stop").inner_text()
    assert remembered(page) == before
