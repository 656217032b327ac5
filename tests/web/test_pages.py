"""The pages as the server sends them: complete without script, in both languages."""

from __future__ import annotations

import gzip
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from provenance.domain import canonical
from provenance.storage.anchors import confirm, find_newest, insert_pending
from provenance.web.application import STATIC
from provenance.web.claims import Reader
from provenance.web.story import MOST_STOPS
from tests.support.builders import complete, item_event, item_uri
from tests.web.site import Site

Told = tuple[Site, str]
FORBIDDEN = re.compile(r"genuine|正品|blockchain|区块链", re.I)
KIB = 1024
LANGUAGES = ("en", "zh")
#: Where the can of the story has been: its lots were sampled and went on, hence the laboratory
#: twice. What was declared wrong (the shop, before the warehouse) is not on the way.
ROUTE = (
    ("Farm group, Waikato, New Zealand", "新西兰怀卡托牧场"),
    ("Farm group, Taranaki, New Zealand", "新西兰塔拉纳基牧场"),
    ("Farm group, Southland, New Zealand", "新西兰南地牧场"),
    ("Milk powder plant, Hamilton, New Zealand", "新西兰汉密尔顿奶粉厂"),
    ("Food laboratory, Auckland, New Zealand", "新西兰奥克兰食品实验室"),
    ("Canning line, Auckland, New Zealand", "新西兰奥克兰罐装线"),
    ("Food laboratory, Auckland, New Zealand", "新西兰奥克兰食品实验室"),
    ("Canning line, Auckland, New Zealand", "新西兰奥克兰罐装线"),
    ("Port of Tauranga, New Zealand", "新西兰陶朗阿港"),
    ("Yangshan port, Shanghai, China", "中国上海洋山港"),
    ("Bonded warehouse, Shanghai, China", "中国上海保税仓"),
    ("Shop, Hangzhou, China", "中国杭州门店"),
)


class Page(HTMLParser):
    """Elements with their attributes and the text in them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []
        self._silent = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self._silent += tag == "template"

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag == "template"

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())

    def all(self, tag: str | None = None, **attributes: str) -> list[dict[str, str]]:
        return [
            found
            for name, found in self.elements
            if (tag is None or name == tag)
            and all(found.get(k.replace("_", "-")) == v for k, v in attributes.items())
        ]

    def having(self, attribute: str) -> list[dict[str, str]]:
        return [found for _, found in self.elements if attribute in found]


def get(site: Site, path: str, **headers: str) -> Page:
    answer = site.client.get(path, headers={"Accept": "text/html", **headers})
    return Page(answer.get_data(as_text=True))


def passport(told: Told, language: str) -> Page:
    site, uri = told
    return get(site, f"{uri.removeprefix('https://id.gs1.org')}?lang={language}")


class TestTheStory:
    """What a shopper reads."""

    def test_the_server_says_that_it_was_the_server(self, told: Told) -> None:
        page = passport(told, "en")
        assert "Record checked by the server only" in page.words
        assert "Record verified" not in page.words
        assert "仅由服务器查验" in passport(told, "zh").words

    def test_both_verdicts_and_the_domain(self, told: Told) -> None:
        page = passport(told, "en")
        assert page.words.index("The record") < page.words.index("This item")
        assert "a printed code can be copied" in page.words
        assert "Checked at localhost" in page.words

    def test_the_product_in_the_readers_language(self, told: Told) -> None:
        english, chinese = passport(told, "en").words, passport(told, "zh").words
        for words in (
            "Infant formula, stage 1, 900 g",
            "Southern Meadow",
            "L2509A",
            "10 Sep 2027",
            "New Zealand",
            "6 independent parties vouch",
            "Canning line, Auckland, New Zealand",
        ):
            assert words in english
        for words in (
            "婴儿配方奶粉 1 段 900 克",
            "南境牧歌",
            "2027年9月10日",
            "新西兰",
            "6 个独立机构作证",
            "新西兰奥克兰罐装线",
        ):
            assert words in chinese

    def test_every_stage_with_signer_role_and_both_times(self, told: Told) -> None:
        page = passport(told, "zh")
        stages = page.having("data-stage")
        assert len(stages) == 24
        for words in ("生产", "质检", "通关放行", "上架", "海港食品检测实验室（演示）", "检测机构"):
            assert words in page.words
        times = page.all("time")
        assert len(times) >= 2 * len(stages)

    def test_four_times_are_four_things_with_their_states(self, told: Told) -> None:
        page = passport(told, "en")
        assert [one["data-time"] for one in page.having("data-time")] == [
            *("claimed", "ledger", "witness", "anchor")
        ]
        assert "3 Sep 2025 05:30 UTC+12 to 6 Nov 2025 11:00 UTC+8" in page.words
        assert "the platform’s own clock only; no independent witness has cosigned" in page.words
        assert "no anchor configured" in page.words
        chinese = passport(told, "zh").words
        assert all(words in chinese for words in ("声称时间", "登记时间", "见证时间", "锚定时间"))
        assert "未设锚定" in chinese

    def test_an_anchor_is_pending_until_it_is_confirmed_and_never_checked_here(
        self, tmp_path: Path
    ) -> None:
        site = Site.make(
            tmp_path, tsa_url="http://127.0.0.1:9/", tsa_certificates=str(tmp_path / "roots.pem")
        )
        uri = site.tell_story()
        told = (site, uri)
        assert "not yet anchored" in passport(told, "en").words
        size, note = site.platform.prover.published()
        with site.platform.database.write() as connection:
            insert_pending(connection, "rfc3161", size, note, 0)
        assert "not yet anchored" in passport(told, "en").words
        with site.platform.database.write() as connection:
            row = find_newest(connection, "rfc3161")
            assert row is not None
            confirm(connection, row.id, 1_767_225_600_000, b'{"token":"AA=="}')
        page = passport(told, "en")
        assert page.all(data_anchor="rfc3161")
        assert "1 Jan 2026 00:00 UTC stated by a time-stamp authority" in page.words
        assert "not checked on this phone" in page.words
        site.platform.close()

    def test_a_custodial_key_is_marked_at_each_stage_and_at_its_party(self, told: Told) -> None:
        page = passport(told, "en")
        custodial = [s for s in page.having("data-stage") if s["data-custody"] == "platform"]
        assert len(custodial) == 3
        assert page.words.count("key declared as held by the platform") == 3 + 1
        assert "does not count as independent" in page.words
        assert "1 more party’s key is declared as held by the platform" in page.words

    def test_wrong_corrected_and_late_entries_are_told_apart(self, told: Told) -> None:
        page = passport(told, "en")
        states = [stage["data-state"] for stage in page.having("data-stage")]
        assert states.count("declared-wrong") == states.count("declaration") == 1
        assert states.count("correction") == 1
        links = {link["href"] for link in page.all("a") if link["href"].startswith("#stage-")}
        anchors = {f"#{stage['id']}" for stage in page.having("data-stage")}
        assert len(links) >= 2
        assert links <= anchors
        assert len(page.all("s")) == 2
        assert "added late, after later stages" in page.words

    def test_certificates_by_hash_and_concealed_fields(self, told: Told) -> None:
        page = passport(told, "en")
        assert "Certificate of analysis, finished lot" in page.words
        assert "f391665adb6176dc04848df0e2218a8a38d98107a38a9ec3fde498f116880581" in page.words
        assert "1 field concealed by the signer, still provable" in page.words
        assert "41904" not in page.words

    def test_the_operators_clock_is_not_called_independent(self, told: Told) -> None:
        words = passport(told, "en").words
        assert "the operator’s own clock, not independent" in words

    def test_the_way_without_us(self, told: Told) -> None:
        page = passport(told, "en")
        links = {link["href"] for link in page.all("a")}
        assert "/verifier.html" in links
        assert "/api/v1/policy" in links
        assert "provenance verify passport-MEXJRXVK8FJRC11C.json --policy policy.txt" in page.words

    def test_what_is_shown_is_what_the_bundle_says(self, told: Told) -> None:
        site, uri = told
        bundle = json.loads(
            site.client.get(
                uri.removeprefix("https://id.gs1.org"), headers={"Accept": "application/json"}
            ).data
        )
        for language in ("en", "zh"):
            claims = passport(told, language).having("data-from")
            assert len(claims) > 80
            for claim in claims:
                value = value_at(bundle, claim["data-from"])
                if "data-claim" in claim:
                    assert str(value) == claim["data-claim"]

    @pytest.mark.parametrize("language", ["en", "zh"])
    def test_the_route_goes_from_the_farms_to_the_shop(self, told: Told, language: str) -> None:
        site, uri = told
        path = uri.removeprefix("https://id.gs1.org")
        bundle = site.client.get(path, headers={"Accept": "application/json"}).json
        page = site.client.get(f"{path}?lang={language}", headers={"Accept": "text/html"}).text
        route = page.partition('<div class="route">')[2].partition("</div>")[0]
        shown = re.findall(r'data-from="([^"]+)">([^<]+)<', route)
        assert [name for _, name in shown] == [value_at(bundle, place) for place, _ in shown]
        column = LANGUAGES.index(language)
        expected = [places[column] for places in ROUTE]
        stops, ends = shown[:-2], shown[-2:]
        assert [name for _, name in stops] == expected
        assert ends == [stops[0], stops[-1]]
        assert route.count("<li>") == len(expected)


class TestLanguages:
    """Chinese and English, by Accept-Language and by a switch that needs no script."""

    @pytest.mark.parametrize(
        ("accept", "tag"),
        [
            ("zh-CN,zh;q=0.9,en;q=0.5", "zh-Hans"),
            ("zh-Hant-TW", "zh-Hans"),
            ("en-GB", "en"),
            ("fr,de;q=0.5", "en"),
            ("fr,zh;q=0.2,en;q=0.1", "zh-Hans"),
            ("", "en"),
        ],
    )
    def test_the_browsers_wish(self, told: Told, accept: str, tag: str) -> None:
        page = get(told[0], "/", **{"Accept-Language": accept})
        assert page.all("html")[0]["lang"] == tag

    def test_the_switch_wins_and_travels_in_links(self, told: Told) -> None:
        page = get(told[0], "/01/09521234543213?lang=zh", **{"Accept-Language": "en"})
        assert page.all("html")[0]["lang"] == "zh-Hans"
        switch = page.all("a", **{"class": "switch"})[0]
        assert switch["href"] == "/01/09521234543213?lang=en"
        assert page.all("a", **{"class": "masthead-home"})[0]["href"] == "/?lang=zh"

    def test_the_switch_keeps_path_and_query(self, told: Told) -> None:
        page = get(told[0], "/01/09521234543213/21/A%2FB?17=271231&x=%26")
        switch = page.all("a", **{"class": "switch"})[0]
        assert switch["href"] == "/01/09521234543213/21/A%2FB?17=271231&x=%26&lang=zh"

    @pytest.mark.parametrize("start", ["//evil.example", "/\\evil.example", "http://evil.example"])
    def test_the_switch_never_leads_elsewhere(self, told: Told, start: str) -> None:
        target = start + "/nothing"
        environ = {"RAW_URI": target, "REQUEST_URI": target, "PATH_INFO": "/nothing"}
        answer = told[0].client.get(
            "/nothing", headers={"Accept": "text/html"}, environ_overrides=environ
        )
        switch = Page(answer.text).all("a", **{"class": "switch"})[0]
        assert switch["href"] == "/?lang=zh"

    @pytest.mark.parametrize("language", ["en", "zh"])
    def test_no_forbidden_word_anywhere(self, told: Told, language: str) -> None:
        for page in (
            passport(told, language),
            get(told[0], f"/?lang={language}"),
            get(told[0], f"/01/09521234543213?lang={language}"),
        ):
            assert not FORBIDDEN.search(page.words)


class TestForm:
    """Strictness, budgets, access."""

    def test_nothing_inline_and_nothing_from_elsewhere(self, told: Told) -> None:
        for page in (passport(told, "en"), get(told[0], "/"), get(told[0], "/nothing")):
            assert not page.having("style")
            assert not [a for _, a in page.elements for name in a if name.startswith("on")]
            assert not page.all("style")
            for script in page.all("script"):
                assert script["src"].startswith("/static/")
            for link in page.all("link"):
                assert link["href"].startswith("/")

    def test_one_heading_of_the_first_level_and_labels(self, told: Told) -> None:
        for page in (passport(told, "en"), get(told[0], "/"), get(told[0], "/nothing")):
            assert len(page.all("h1")) == 1
        ids = [a["id"] for a in passport(told, "en").having("id")]
        assert len(ids) == len(set(ids))
        labelled = {a["aria-labelledby"] for a in passport(told, "en").having("aria-labelledby")}
        assert labelled <= set(ids)

    def test_the_verdict_is_a_live_region(self, told: Told) -> None:
        assert passport(told, "en").all(aria_live="polite")

    def test_budgets(self, told: Told) -> None:
        """At most 40 KB of script and 150 KB in all, as sent to a phone."""
        site, uri = told
        path = uri.removeprefix("https://id.gs1.org")
        page = passport(told, "en")
        scripts = {script["src"] for script in page.all("script")}
        sheets = {link["href"] for link in page.all("link", rel="stylesheet")}
        sheets |= {"/static/images/rosette.svg", "/static/images/mark.svg"}
        script = sum(sent(site, url) for url in scripts)
        rest = sum(sent(site, url) for url in sheets) + sent(site, path)
        bundle = sent(site, path, accept="application/json")
        assert scripts == {"/static/js/passport.js"}
        text = (STATIC / "js/passport.js").read_text("utf-8")
        for module in [*_files("js/components", "*.js"), *_files("js/verify", "*.js")]:
            assert f"// ---- js/{module.parent.name}/{module.name}\n" in text
        assert script <= 40 * KIB, f"{script} bytes of script"
        assert script + rest + bundle <= 150 * KIB, f"{script} + {rest} + {bundle} bytes"

    def test_a_claim_in_hostile_words_is_only_text(self, tmp_path: Path) -> None:
        site = Site.make(tmp_path / "site")
        name = '<script>alert(1)</script>"><img src=x onerror=alert(1)>'
        brand = site.register("https://brand.example/", name={"en": name})
        site.submit(brand.sealed([item_event(1, at=site.platform.clock() - 1000)]))
        site.publish()
        answer = site.client.get(
            item_uri(1).removeprefix("https://id.gs1.org"), headers={"Accept": "text/html"}
        )
        assert answer.status_code == 200
        assert "<script>alert" not in answer.text
        assert "<img src=x" not in answer.text
        assert name in Page(answer.text).words


class TestOtherRecords:
    """Records that are not simply good."""

    def test_one_without_names(self, tmp_path: Path) -> None:
        site = Site.make(tmp_path / "site")
        brand = site.register("https://brand.example/")
        site.submit(brand.sealed([item_event(1, at=site.platform.clock() - 1000)]))
        site.publish()
        page = get(site, item_uri(1).removeprefix("https://id.gs1.org"))
        assert "Unnamed product" in page.words
        assert "1 independent party vouches" in page.words

    @pytest.mark.parametrize("places", [2, MOST_STOPS, MOST_STOPS + 1])
    def test_a_long_route_is_drawn_from_both_ends(self, tmp_path: Path, places: int) -> None:
        site = Site.make(tmp_path / "site")
        brand = site.register("https://brand.example/")
        start = site.platform.clock() - 3_600_000
        # One place comes twice in a row, and the last comes first: the claimed times decide.
        stops = [(0, 0), *((n, n * 60_000 + 1) for n in range(places))]
        events = [item_event(1, at=start + after) for _, after in stops]
        for event, (name, _) in zip(events, stops, strict=True):
            event["@context"] = [*event["@context"], {"trade": "https://trade.example/"}]
            event["readPoint"] = {"id": "https://place.example/", "trade:name": f"Stop {name}"}
        site.submit(brand.sealed(events[::-1]))
        site.publish()
        path = item_uri(1).removeprefix("https://id.gs1.org")
        answer = site.client.get(path, headers={"Accept": "text/html"})
        route = answer.text.partition('<div class="route">')[2].partition("</div>")[0]
        names = [int(name) for name in re.findall(r">Stop (\d+)<", route)]
        half = MOST_STOPS // 2
        every = list(range(places))
        drawn = every if places <= MOST_STOPS else every[:half] + every[-half:]
        assert names == [*drawn, 0, places - 1]
        assert route.count("…") == (places > MOST_STOPS)

    def test_a_recall_and_an_expiry_stand_above_the_product(self, tmp_path: Path) -> None:
        site = Site.make(tmp_path / "site")
        brand = site.register("https://brand.example/", name={"en": "Brand"})
        now = site.platform.clock()
        made = item_event(
            1,
            at=now - 3000,
            action="ADD",
            bizStep="commissioning",
            ilmd={"cbvmda:itemExpirationDate": "2020-01-31"},
        )
        made["@context"] = [*made["@context"], {"cbvmda": "urn:epcglobal:cbv:mda:"}]
        recalled = item_event(1, at=now - 1000, bizStep="holding", disposition="recalled")
        site.submit(brand.sealed([made, recalled]))
        site.publish()
        page = get(site, item_uri(1).removeprefix("https://id.gs1.org"))
        assert "Recalled: Brand has recorded a recall" in page.words
        assert "Expired on 31 Jan 2020" in page.words
        assert page.words.index("Recalled") < page.words.index("Unnamed product")

    def test_a_party_has_a_page_of_its_own(self, told: Told) -> None:
        page = get(told[0], "/417/9521234000037")
        assert "Harbour Food Laboratory (demo)" in page.words
        assert "Party registered" in page.words
        assert "This item" not in page.words

    def test_a_stale_log_is_refused_by_the_server_too_with_the_reason(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        site = Site.make(tmp_path / "site")
        brand = site.register("https://brand.example/")
        site.submit(brand.sealed([item_event(1, at=site.platform.clock() - 1000)]))
        site.publish()
        later = site.platform.clock() + 3 * 86_400_000
        monkeypatch.setattr(site.platform, "clock", lambda: later)
        page = get(site, item_uri(1).removeprefix("https://id.gs1.org"))
        assert "The record does not hold" in page.words
        assert "the checkpoint is too old" in page.words
        assert not page.having("data-stage")


def test_a_disclosed_member_is_read_through_its_disclosure() -> None:
    text = canonical.encode_base64url(b'["salt","trade:note",{"en":"careful"}]')
    event = complete({"type": "ObjectEvent", "prov:_sd": ["x", "y"]})
    reader = Reader({"event": event, "disclosures": [text]}, 3)
    value, pointer, concealed = reader.find("trade:note", "en")
    assert (value, pointer, concealed) == ("careful", "/events/3/disclosures/0/2/en", True)
    assert reader.concealed == 1


def value_at(bundle: Any, pointer: str) -> Any:
    """What stands in a bundle at a JSON pointer without disclosures."""
    value = bundle
    for step in pointer.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        value = value[int(name) if isinstance(value, list) else name]
    return value


def sent(site: Site, path: str, accept: str = "text/html") -> int:
    """Bytes of the body as sent to a browser that takes gzip."""
    answer = site.client.get(path, headers={"Accept": accept, "Accept-Encoding": "gzip"})
    assert answer.status_code == 200, path
    if answer.headers.get("Content-Encoding") == "gzip":
        assert gzip.decompress(answer.data)
    return len(answer.data)


def _files(folder: str, pattern: str) -> list[Path]:
    return sorted((STATIC / folder).glob(pattern))
