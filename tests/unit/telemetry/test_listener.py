"""The listener for scrapes: its directory, what it answers, and how often it asks the database."""

from __future__ import annotations

import stat
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from provenance.config import Settings
from provenance.platform import initialise
from provenance.telemetry import listener as module
from provenance.telemetry.listener import Directory, Listener, MetricsAddressError, remove_abandoned


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = tmp_path / "memory"
    made.mkdir()
    monkeypatch.setattr(module, "_MEMORY", made)
    return made


@pytest.fixture
def listening(tmp_path: Path, home: Path) -> Iterator[Listener]:
    settings = Settings(data=tmp_path / "data", metrics="127.0.0.1:0")
    initialise(settings)
    made = Listener(settings)
    made.start()
    yield made
    made.stop()


def scrape(listener: Listener, path: str = "/metrics", accept: str = "") -> tuple[str, str]:
    url = f"http://127.0.0.1:{listener.port}{path}"
    request = urllib.request.Request(url, headers={"Accept": accept} if accept else {})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read().decode(), answer.headers["Content-Type"]


def test_a_directory_is_its_users_alone_and_goes_with_its_maker(home: Path) -> None:
    directory = Directory()
    assert directory.path.parent == home
    assert stat.S_IMODE(directory.path.stat().st_mode) == 0o700
    (directory.path / "counter_1.db").write_bytes(b"x")
    directory.remove()
    assert list(home.iterdir()) == []


def test_what_was_left_behind_is_removed_and_what_is_used_stays(home: Path) -> None:
    used = Directory()
    abandoned = home / "provenance-metrics-old"
    abandoned.mkdir()
    (abandoned / "lock").touch()
    (abandoned / "counter_1.db").write_bytes(b"x")
    unfinished = home / "provenance-metrics-new"  # made this moment, its lock to come
    unfinished.mkdir()
    other = home / "something-else"
    other.mkdir()
    (other / "lock").touch()
    remove_abandoned(home)
    assert set(home.iterdir()) == {used.path, unfinished, other}
    used.remove()


def test_gauges_are_there_before_anybody_counted(listening: Listener) -> None:
    text, media_type = scrape(listening)
    assert "provenance_store_up 1.0" in text
    assert media_type.startswith("text/plain")
    openmetrics = "application/openmetrics-text;version=1.0.0"
    text, media_type = scrape(listening, accept=openmetrics)
    assert media_type.startswith("application/openmetrics-text")
    assert text.endswith("# EOF\n")


@pytest.mark.parametrize("path", ["/", "/metrics/", "/metricsx", "/..%2f"])
def test_there_is_nothing_else(listening: Listener, path: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        scrape(listening, path)
    assert refused.value.code == 404
    refused.value.close()


def test_many_scrapes_within_a_second_read_the_database_once(
    listening: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FRESH_SECONDS", 60.0)
    reads: list[int] = []
    read = module.read_standing

    def counted(*args: object) -> object:
        reads.append(1)
        return read(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "read_standing", counted)
    for _ in range(5):
        scrape(listening)
    assert len(reads) == 1


def test_an_installation_that_is_not_there_yet_is_a_store_that_is_away(
    tmp_path: Path, home: Path
) -> None:
    listener = Listener(Settings(data=tmp_path / "nothing", metrics="127.0.0.1:0"))
    listener.start()
    assert "provenance_store_up 0.0" in scrape(listener)[0]
    listener.stop()
    assert list(home.iterdir()) == []


def test_an_address_of_another_machine_is_refused_and_nothing_is_left(
    tmp_path: Path, home: Path
) -> None:
    with pytest.raises(MetricsAddressError, match=r"192\.0\.2\.1, port 9464"):
        Listener(Settings(data=tmp_path, metrics="192.0.2.1:9464"))
    assert list(home.iterdir()) == []
