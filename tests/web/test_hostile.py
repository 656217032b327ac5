"""What an attacker sends, and what a party may sign: addresses, limits, and texts on the page."""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from flask import Flask

from provenance.domain.errors import UnavailableError
from provenance.web.display import drawn, spelt
from provenance.web.passports import Passports, ReadyPassport
from provenance.web.slots import Slots
from tests.support.builders import item_event
from tests.web.odd import SCRIPT, tell_odd_story
from tests.web.problems import check_problem
from tests.web.site import NDJSON, Site, body_of
from tests.web.test_pages import Page

Told = tuple[Site, str]
HTML = {"Accept": "text/html"}
JSON = {"Accept": "application/json"}


class TestAddresses:
    """One spelling for each address; whatever else is sent is no other address's content."""

    @pytest.mark.parametrize(
        "path",
        [
            "/static/css//base.css",
            "/static/css/./base.css",
            "/static/css/base.css/",
            "/static/./css/base.css",
            "/static/../Makefile",
            "/static/%2e%2e/Makefile",
            "/static/..%2fMakefile",
            "/static/%252e%252e/Makefile",
            "/static/css/base.css%00",
            "/static/vendor/noble/.complete",
            "/static/",
        ],
    )
    def test_a_static_file_has_one_address(self, told: Told, path: str) -> None:
        answer = told[0].client.get(path, headers=HTML)
        check_problem(answer, 404, "not-found")

    @pytest.mark.parametrize(
        "path",
        [
            "/log/tile/../checkpoint",
            "/log/tile/%2e%2e/%2e%2e/keys/log.key",
            "/log/..%2f..%2fkeys%2flog.key",
            "/log/tile/0/000%00",
            "/log/tile/0/%30%30%30",
            "/log/tile//0/000",
            "/log/tile/0/000/",
            "/log/tile/0/000.p",
            "/log/.checkpoint",
            "/log/checkpoint/",
        ],
    )
    def test_no_other_file_can_be_named_as_a_tile(self, told: Told, path: str) -> None:
        check_problem(told[0].client.get(path), 400, "tile-path-malformed")

    @pytest.mark.parametrize(
        "path",
        ["/%6cog/tile/0/000", "/api/v1/%73ubjects/x/passport", "/api/v1/%70arties/https:%2F%2Fx"],
    )
    def test_an_escaped_prefix_is_another_address(self, told: Told, path: str) -> None:
        answer = told[0].client.get(
            "/x", environ_overrides={"RAW_URI": path, "PATH_INFO": unquote(path)}
        )
        check_problem(answer, 404, "not-found")

    @pytest.mark.parametrize("path", ["subjects/%FF/passport", "subjects/%ED%A0%80/passport"])
    def test_what_is_not_utf8_names_nothing(self, told: Told, path: str) -> None:
        # Replaced by U+FFFD it would be the proof that something else does not exist.
        check_problem(told[0].client.get(f"/api/v1/{path}"), 400, "identifier-malformed")
        check_problem(told[0].client.get("/api/v1/parties/%FF"), 400, "identifier-malformed")

    def test_a_page_of_parties_begins_behind_text_that_a_store_can_compare(
        self, site: Site
    ) -> None:
        for after in ("\0", "a" * 2_049):
            answer = site.client.get("/api/v1/parties", query_string={"after": after})
            check_problem(answer, 400, "parameter-malformed")

    @pytest.mark.parametrize("code", ["http://[", "//evil.example", "javascript:alert(1)", "(01)"])
    def test_a_look_up_of_nonsense_is_refused(self, told: Told, code: str) -> None:
        answer = told[0].client.get("/lookup", query_string={"code": code}, headers=JSON)
        check_problem(answer, 400, "digital-link-malformed")

    @pytest.mark.parametrize(
        ("code", "target"),
        [
            ("(01) 09521234543213 (21) a/b", "/01/09521234543213/21/a%2Fb"),
            ("(01)09521234543213(10)L-1", "/01/09521234543213/10/L-1"),
            ("https://evil.example/01/09521234543213", "/01/09521234543213"),
            ("id.example:8080/01/09521234543213", "/01/09521234543213"),
            ("(00)106141412345678908", "/00/106141412345678908"),
        ],
    )
    def test_a_look_up_leads_to_our_own_pages_only(
        self, told: Told, code: str, target: str
    ) -> None:
        answer = told[0].client.get("/lookup", query_string={"code": code})
        assert answer.status_code == 303
        assert answer.headers["Location"] == target + "?lang=en"
        assert answer.headers["Cache-Control"] == "no-store"

    def test_every_answer_says_how_long_it_may_be_kept(self, told: Told) -> None:
        site, _ = told
        for rule in ("/", "/livez", "/readyz", "/nothing", "/api/v1/parties", "/verifier.html"):
            assert site.client.get(rule).headers["Cache-Control"], rule

    def test_other_origins_read_proofs_and_nothing_else(self, told: Told) -> None:
        site, uri = told
        path = uri.removeprefix("https://id.gs1.org")
        opened = (path, "/01/09521234543213", "/log/checkpoint", "/api/v1/policy", "/api/v1/log")
        for address in opened:
            answer = site.client.get(address, headers=JSON)
            assert answer.headers["Access-Control-Allow-Origin"] == "*", address
        for address in ("/", "/livez", "/readyz", "/api/v1/parties", "/api/v1/openapi.json", path):
            answer = site.client.get(address, headers=HTML)
            assert "Access-Control-Allow-Origin" not in answer.headers, address
        assert "Access-Control-Allow-Origin" not in site.client.options("/lookup").headers

    def test_the_host_is_shown_as_text(self, told: Told) -> None:
        site, uri = told
        path = uri.removeprefix("https://id.gs1.org")
        for host in (f'a"{SCRIPT}', "evil.example", ""):
            answer = site.client.get(path, headers={**HTML, "Host": host})
            assert SCRIPT not in answer.text
            assert 'href="http' not in answer.text.replace('href="https://schema', "")


class TestSlots:
    """Uploads and waits never take all threads of a worker."""

    def test_an_upload_too_many_is_told_to_come_again(self, tmp_path: Path) -> None:
        site = Site.make(tmp_path / "site")
        site.app.extensions["slots"] = Slots(uploads=1)
        held, go_on = threading.Event(), threading.Event()

        class Slow(io.BytesIO):
            def readinto(self, buffer: Any, /) -> int:
                held.set()
                assert go_on.wait(10)
                return super().readinto(buffer)

        def upload() -> None:
            site.client.post(
                "/api/v1/batches",
                input_stream=Slow(b"x" * 10),
                content_type=NDJSON,
                content_length=10,
            )

        thread = threading.Thread(target=upload)
        thread.start()
        assert held.wait(10)
        refused = site.client.post("/api/v1/batches", data=b"x", content_type=NDJSON)
        check_problem(refused, 429, "too-busy")
        assert refused.headers["Retry-After"]
        assert site.client.get("/").status_code == 200
        go_on.set()
        thread.join(10)
        after = site.client.post("/api/v1/batches", data=b"x", content_type=NDJSON)
        assert after.status_code == 400
        site.platform.close()

    def test_a_wait_too_many_is_answered_at_once(self, tmp_path: Path) -> None:
        site = Site.make(tmp_path / "site")
        site.app.extensions["slots"] = Slots(waits=1)
        brand = site.register("https://brand.example/")
        lines = brand.sealed([item_event(9, at=site.platform.clock() - 1000)])
        slots: Any = site.app.extensions["slots"]
        with slots.wait() as first:
            assert first
            answer = site.client.post(
                "/api/v1/batches?wait=published", data=body_of(lines), content_type=NDJSON
            )
        assert answer.status_code == 201
        assert answer.headers["Provenance-Published"] == "pending"
        site.platform.close()

    def test_a_slot_comes_back_whatever_happens(self) -> None:
        slots = Slots(uploads=1, waits=1)
        for _ in range(3):
            with pytest.raises(KeyError), slots.upload(), slots.wait() as free:
                assert free
                raise KeyError


class TestSlowBodies:
    """A body that trickles in is not waited for without end."""

    def test_it_is_cut_off_in_time(self, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("provenance.web.bodies.BODY_SECONDS", 0.2)
        ours, theirs = socket.socketpair()
        with ours, theirs, ours.makefile("rb") as stream:
            theirs.sendall(b"x")
            answer = told[0].client.post(
                "/api/v1/batches",
                content_type=NDJSON,
                content_length=10,
                environ_overrides={"gunicorn.socket": ours, "wsgi.input": stream},
            )
            check_problem(answer, 400, "body-truncated")

    def test_chunks_that_are_none_are_the_senders_fault(self, told: Told) -> None:
        class Broken(io.RawIOBase):
            def readable(self) -> bool:
                return True

            def readinto(self, buffer: Any, /) -> int:
                raise RuntimeError("invalid chunk size")

        answer = told[0].client.post(
            "/api/v1/batches",
            content_type=NDJSON,
            headers={"Transfer-Encoding": "chunked"},
            environ_overrides={"wsgi.input_terminated": True, "wsgi.input": Broken()},
        )
        check_problem(answer, 400, "body-malformed")

    def test_one_that_came_in_time_keeps_its_connection(
        self, told: Told, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        started: list[threading.Timer] = []

        class Kept(threading.Timer):
            def start(self) -> None:
                started.append(self)
                super().start()

        monkeypatch.setattr("provenance.web.bodies.threading.Timer", Kept)
        ours, theirs = socket.socketpair()
        ours.settimeout(10)
        with ours, theirs, ours.makefile("rb") as stream:
            theirs.sendall(b"not json!\n")
            told[0].client.post(
                "/api/v1/batches",
                content_type=NDJSON,
                content_length=10,
                environ_overrides={"gunicorn.socket": ours, "wsgi.input": stream},
            )
            (timer,) = started
            timer.join(10)  # it was to wait for minutes: who ends now was called off
            assert not timer.is_alive()
            theirs.sendall(b"next")
            assert stream.read(4) == b"next"


class TestMemory:
    """What a worker keeps is bounded in bytes, not only in number."""

    def test_big_passports_push_each_other_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("provenance.web.passports.MOST_KEPT_IN_ALL", 1_000)
        kept: Any = Passports(None)  # type: ignore[arg-type]
        for number in (*range(20), 3, 19):
            kept._keep(ReadyPassport("x", {}, b"x" * 90, str(number)))
        assert len(kept._kept) == 11
        assert kept._kept_bytes == 990

    def test_a_static_file_is_kept_once(self, told: Told) -> None:
        app: Flask = told[0].app
        [compressor] = [f for f in app.after_request_funcs[None] if hasattr(f, "_kept")]
        for path in ("/static/css/base.css", "/static/css//base.css", "/static//css/base.css"):
            told[0].client.get(path, headers={"Accept-Encoding": "gzip"})
        kept: Any = compressor
        assert sum("base.css" in path for path, _ in kept._kept) == 1


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site of a party who signs whatever the event model lets it."""
    site = Site.make(tmp_path_factory.mktemp("odd"))
    tell_odd_story(site)
    yield site
    site.platform.close()


class TestTexts:
    """Signed text is shown, and never more than shown."""

    @pytest.mark.parametrize("language", ["en", "zh"])
    def test_nothing_of_it_is_markup_or_hidden(self, odd: Site, language: str) -> None:
        answer = odd.client.get(f"/01/09506000134352/21/1?lang={language}", headers=HTML)
        assert answer.status_code == 200
        assert SCRIPT not in answer.text
        assert "\u202e" not in answer.text
        assert "\u200b" not in answer.text
        assert "\r" not in answer.text
        page = Page(answer.text)
        hrefs = [found["href"] for found in page.having("href")]
        assert not [href for href in hrefs if not href.startswith(("/", "#"))]
        assert "javascript:alert(1)" in page.words
        assert "Seulement ici" in page.words
        # Whole only in the raw event; wherever it is shown it is cut.
        assert len([text for text in page.text if len(text) > 300 and "长" in text]) == 1

    def test_a_small_quantity_is_written_as_the_phone_writes_it(self, odd: Site) -> None:
        text = odd.client.get("/01/09506000134352/21/1", headers=HTML).text
        assert ">1e-7</span>" in text

    def test_without_a_name_there_is_still_a_page(self, odd: Site) -> None:
        page = Page(odd.client.get("/01/09506000134352/21/2", headers=HTML).text)
        assert "Unnamed product" in page.words
        assert len(page.having("data-stage")) == 120

    @pytest.mark.parametrize(
        ("path", "english", "chinese"),
        [
            ("/00/095212340000010005", "Shipping unit", "物流单元"),
            ("/01/09521234003007/10/L2509A", "Lot without a product name", "批次"),
            ("/417/9521234000044", "Tasman Ocean Lines", "（演示）"),
        ],
    )
    def test_what_is_no_product_is_not_called_one(
        self, told: Told, path: str, english: str, chinese: str
    ) -> None:
        for language, heading in (("en", english), ("zh", chinese)):
            text = told[0].client.get(f"{path}?lang={language}", headers=HTML).text
            assert heading in text.partition("<h1")[2].partition("</h1>")[0]

    def test_the_command_that_is_shown_is_one_command(self, told: Told) -> None:
        serial = "a;reboot;'%22&(b"
        answer = told[0].client.get(f"/01/09521234543213/21/{serial}", headers=HTML)
        assert answer.status_code == 404
        assert "provenance verify passport-a-reboot-b.json --policy policy.txt" in answer.text

    def test_drawing(self) -> None:
        assert drawn("a\r\nb") == "a  b"
        assert drawn("\u202ex\u2066\0") == "\ufffdx\ufffd\ufffd"
        assert drawn("👨\u200d👩") == "👨\u200d👩"
        assert drawn("x" * 240) == "x" * 240
        assert drawn("x" * 241) == "x" * 240 + "…"
        assert spelt('{\n "a": "\u202e"}') == '{\n "a": "\\u202e"}'


class TestStates:
    """Pages when there is nothing to tell."""

    def test_a_record_that_the_server_refuses_is_no_story(
        self, odd: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        later = odd.platform.clock() + 3 * 86_400_000
        monkeypatch.setattr(odd.platform, "clock", lambda: later)
        answer = odd.client.get("/01/09506000134352/21/1", headers=HTML)
        page = Page(answer.text)
        assert "The record does not hold" in page.words
        assert "the checkpoint is too old" in page.words
        assert page.having("data-stage") == []

    def test_before_anything_is_published(self, odd: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail() -> None:
            raise UnavailableError("not-published", "Nothing has been published yet.")

        monkeypatch.setattr(odd.platform.prover, "published", fail)
        monkeypatch.setattr(odd.platform.prover, "seen", fail)
        page = odd.client.get("/01/09506000134352/21/1", headers=HTML)
        assert page.status_code == 503
        assert page.headers["Retry-After"]
        assert "This says nothing about the product." in page.text
        assert odd.client.get("/", headers=HTML).status_code == 200
