"""The pages' words: complete in both languages, and one for every reason that formats.md knows."""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter

import pytest
from werkzeug.datastructures import LanguageAccept

from provenance.domain.party_events import REASONS, ROLES
from provenance.web import pages, vocabulary, words
from provenance.web.language import CHINESE, ENGLISH, choose

ROOT = Path(__file__).resolve().parents[3]
TEMPLATES = ROOT / "provenance/web/templates"
HAN = re.compile(r"[\u4e00-\u9fff]")
FORBIDDEN = re.compile(r"genuine|正品|\bblock|区块", re.I)


def places(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


@pytest.mark.parametrize("key", sorted(words.PHRASES))
def test_each_phrase_is_there_twice_with_the_same_places(key: str) -> None:
    english, chinese = words.PHRASES[key]
    assert english.strip()
    assert chinese.strip()
    assert places(english) == places(chinese)
    assert not FORBIDDEN.search(english + chinese)
    if key not in ("switch", "stage.via.other", "fact.sensor"):
        assert HAN.search(chinese)
        assert not HAN.search(english)


@pytest.mark.parametrize("table", sorted(vocabulary.TERMS))
def test_each_term_is_there_twice(table: str) -> None:
    for code, (english, chinese) in vocabulary.TERMS[table].items():
        assert english.strip(), code
        assert not HAN.search(english), code
        assert HAN.search(chinese), code


def test_roles_and_reasons_are_those_of_the_domain() -> None:
    assert set(vocabulary.TERMS["role"]) == {*ROLES, "operator"}
    assert set(vocabulary.TERMS["revocation"]) == set(REASONS)


def test_every_reason_of_the_formats_has_words() -> None:
    text = (ROOT / "docs/formats.md").read_text(encoding="utf-8")
    steps = text.split("## 10.")[1].split("## 11.")[0]
    codes = {
        code
        for row in steps.splitlines()
        if row.startswith("|")
        for code in re.findall(r"`([a-z]+(?:-[a-z]+)+)`", row.rpartition("|")[0].rpartition("|")[2])
    }
    codes |= set(re.findall(r"^\| `([a-z0-9-]+)` \|", text.split("## 2.")[0], re.M))
    assert len(codes) >= 40
    assert {code for code in codes if f"reason.{code}" not in words.PHRASES} == set()


def test_every_icon_and_phrase_that_is_named_exists() -> None:
    icons = (TEMPLATES / "icons.html").read_text(encoding="utf-8")
    drawn = set(re.findall(r'^"([a-z-]+)":', icons, re.M))
    used = set(vocabulary.STEP_ICONS.values()) | set(vocabulary.ROLE_ICONS.values())
    keys = set(pages.PHONE_WORDS)
    for template in TEMPLATES.rglob("*.html"):
        text = template.read_text(encoding="utf-8")
        used |= set(re.findall(r'icon\("([a-z-]+)"', text))
        keys |= set(re.findall(r'say\("([a-z0-9.-]+)"[,)]', text))
    assert used <= drawn
    assert keys <= set(words.PHRASES)


def test_the_script_says_nothing_that_the_page_does_not_bring() -> None:
    for script in ("pages/passport.js", "components/verdict-card.js", "components/words.js"):
        text = (ROOT / "static/js" / script).read_text(encoding="utf-8")
        named = set(re.findall(r"'((?:record|why|pin|mismatch|check)\.[a-z.-]+[a-z])'", text))
        assert named <= set(pages.PHONE_WORDS), script


def test_counting() -> None:
    assert ENGLISH.counted("vouch", 1) == "1 independent party vouches"
    assert ENGLISH.counted("vouch", 1200) == "1,200 independent parties vouch"
    assert CHINESE.counted("vouch", 1) == "1 个独立机构作证"


@pytest.mark.parametrize(
    ("text", "english", "chinese"),
    [
        ("2026-11-02T14:10:00+08:00", "2 Nov 2026 14:10 UTC+8", "2026年11月2日 14:10 UTC+8"),
        ("2026-11-02T14:10:00.123Z", "2 Nov 2026 14:10 UTC", "2026年11月2日 14:10 UTC"),
        ("2026-01-01T00:30:00-03:30", "1 Jan 2026 00:30 UTC-3:30", "2026年1月1日 00:30 UTC-3:30"),
        ("no time", "no time", "no time"),
    ],
)
def test_moments_are_read_in_the_offset_they_were_written_with(
    text: str, english: str, chinese: str
) -> None:
    assert ENGLISH.moment(text) == english
    assert CHINESE.moment(text) == chinese


def test_dates_and_unknown_codes() -> None:
    assert ENGLISH.date("2027-09-10") == "10 Sep 2027"
    assert CHINESE.date("2027-09-10T00:00:00Z") == "2027年9月10日"
    assert ENGLISH.date("soon") == "soon"
    assert ENGLISH.term("step", "made_up") == "made up"
    assert vocabulary.bare("https://ref.gs1.org/cbv/BizStep-shipping") == "shipping"
    assert vocabulary.bare("urn:epcglobal:cbv:bizstep:shipping") == "shipping"


def test_a_wish_of_zero_quality_is_none() -> None:
    assert choose(None, LanguageAccept([("zh", 0), ("en", 0.1)])) is ENGLISH
    assert choose("zh", LanguageAccept([("en", 1)])) is CHINESE
    assert choose("fr", LanguageAccept([("zh", 1)])) is CHINESE
