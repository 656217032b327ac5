"""`/readyz`: what makes a worker unready, what it only mentions, and what it never tells."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from provenance.platform import Platform
from tests.support.builders import item_event
from tests.web.problems import check_problem
from tests.web.site import Site

MINUTE = 60_000


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Site]:
    site = Site.make(tmp_path)
    yield site
    site.platform.close()


def ready(site: Site) -> dict[str, Any]:
    answer = site.client.get("/readyz")
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.get_json()
    assert set(document) == {"status", "size", "ageSeconds", "sequencer", "witnesses"}
    return document


def later(site: Site, monkeypatch: pytest.MonkeyPatch, milliseconds: int) -> None:
    now = site.platform.clock() + milliseconds
    monkeypatch.setattr(site.platform, "clock", lambda: now)


def test_without_a_sequencer_readers_are_served_and_it_is_said(own: Site) -> None:
    assert ready(own)["sequencer"] == "absent"  # making the installation gave the lease back


def test_a_sequencer_that_keeps_up_and_one_that_does_not(
    own: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert own.platform.sequencer.start()
    own.register("https://brand.example")
    assert ready(own)["sequencer"] == "current"
    with monkeypatch.context() as patch:
        later(own, patch, 2 * MINUTE)
        assert ready(own)["sequencer"] == "absent"  # for so long nobody has renewed the lease
    # Instead of a minute under a lease that somebody renews:
    monkeypatch.setattr("provenance.web.health.MOST_BEHIND_SECONDS", -1)
    assert ready(own)["sequencer"] == "behind"
    own.platform.sequencer.release()


def test_witnesses_that_have_been_away(own: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ready(own)["witnesses"] == "fresh"
    later(own, monkeypatch, 3 * 300_000 + 2_000)
    assert ready(own)["witnesses"] == "old"


def test_a_key_that_cannot_be_read(own: Site, caplog: pytest.LogCaptureFixture) -> None:
    own.platform.settings.keys.joinpath("operator.key").write_text("SECRET")
    fresh = Site(Platform.open(own.platform.settings))
    answer = fresh.client.get("/readyz")
    problem = check_problem(answer, 503, "key-unavailable")
    assert "SECRET" not in answer.text + caplog.text
    assert str(own.platform.settings.data) not in answer.text
    assert problem["request"]
    assert "the operator's key cannot be read" in caplog.text
    fresh.platform.close()


def test_tiles_of_another_log(own: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    own.register("https://brand.example")
    own.submit(own.register("https://mill.example").sealed([item_event(1)]))
    own.publish()
    ready(own)
    tile = next(p for p in (own.platform.settings.tiles / "tile/0").rglob("*") if p.is_file())
    for path in (own.platform.settings.tiles / "tile/0").rglob("*"):
        if path.is_file():
            path.unlink()
    assert not tile.exists()
    assert ready(own)  # the checkpoint is the same, and its tiles were right
    fresh = Site(Platform.open(own.platform.settings))
    answer = fresh.client.get("/readyz")
    check_problem(answer, 503, "tail-damaged")
    assert str(own.platform.settings.data) not in answer.text
    assert "cannot be read (TileMissingError)" in caplog.text
    fresh.platform.close()
