"""Fetching ahead changes when files come, and nothing else."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

import pytest

from provenance.domain.log_source import LogFileMissingError, LogMalformedError
from provenance.services import auditing_ahead
from provenance.services.auditing_ahead import MAX_AHEAD_BYTES, WINDOW, Ahead


@dataclass
class Files:
    """Answers with the path itself; counts who asks at once."""

    sizes: dict[str, int] = field(default_factory=dict)
    asked: list[tuple[str, int]] = field(default_factory=list)
    most_at_once: int = 0
    url: str = "http://log.example"

    def __post_init__(self) -> None:
        self._inside = 0
        self._lock = threading.Lock()

    def read(self, path: str, most: int) -> bytes:
        with self._lock:
            self.asked.append((path, most))
            self._inside += 1
            self.most_at_once = max(self.most_at_once, self._inside)
        time.sleep(0.005)
        with self._lock:
            self._inside -= 1
        if path.startswith("missing"):
            raise LogFileMissingError(path)
        size = self.sizes.get(path, 0)
        if size > most:
            raise LogMalformedError(f"{path}: more than {most} bytes")
        return path.encode() + b"." * size


def test_every_file_comes_once_and_as_it_is() -> None:
    files = Files()
    names = [f"file {number}" for number in range(3 * WINDOW)]
    with Ahead(files) as ahead:
        ahead.expect(names)
        ahead.expect(names[:5])  # expected already
        assert [ahead.read(name, 100) for name in names] == [name.encode() for name in names]
        assert ahead.url == files.url
    assert sorted(name for name, _ in files.asked) == sorted(names)
    assert 1 < files.most_at_once <= 5


def test_no_more_than_the_window_is_fetched_before_it_is_asked_for() -> None:
    files = Files()
    with Ahead(files) as ahead:
        ahead.expect(f"file {number}" for number in range(10 * WINDOW))
        time.sleep(0.3)
        assert len(files.asked) == WINDOW
        ahead.read("file 0", 100)
        time.sleep(0.1)
        assert len(files.asked) == WINDOW + 1
    time.sleep(0.05)
    assert len(files.asked) <= WINDOW + 5  # the rest is forgotten


def test_what_nobody_expected_and_what_still_waits_is_read_at_once() -> None:
    files = Files()
    names = [f"file {number}" for number in range(2 * WINDOW)]
    with Ahead(files) as ahead:
        assert ahead.read("other", 100) == b"other"
        ahead.expect(names)
        assert ahead.read(names[-1], 100) == names[-1].encode()
    assert [name for name, _ in files.asked].count(names[-1]) == 1


def test_an_error_waits_until_its_file_is_asked_for() -> None:
    with Ahead(Files()) as ahead:
        ahead.expect(["missing", "there"])
        assert ahead.read("there", 100) == b"there"
        with pytest.raises(LogFileMissingError):
            ahead.read("missing", 100)


def test_limits_are_those_of_the_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auditing_ahead, "MAX_AHEAD_BYTES", 1_000)
    assert MAX_AHEAD_BYTES > 1_000
    files = Files(sizes={"long": 5_000, "short": 500})
    with Ahead(files) as ahead:
        ahead.expect(["long", "short"])
        assert len(ahead.read("long", 10_000)) == len("long") + 5_000
        with pytest.raises(LogMalformedError):
            ahead.read("short", 100)
    assert files.asked.count(("long", 10_000)) == 1
    assert ("long", 1_000) in files.asked
