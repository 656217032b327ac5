"""What a log line holds, in both forms, and what it never holds."""

from __future__ import annotations

import json
import logging
import re
import sqlite3
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from provenance.config import Settings
from provenance.services.observing import Exchange, RequestContext, request_context
from provenance.telemetry.logs import LineHandler, configure

SECRET = "MARKER-09506000134352"
OURS = logging.getLogger("provenance.test")
OTHERS = logging.getLogger("gunicorn.error")

Lines = list[bytes]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[..., Lines]]:
    """Configures logging into a list; everything is as before at the end."""
    root, ours = logging.getLogger(), logging.getLogger("provenance")
    before = (root.level, ours.level, sys.excepthook, threading.excepthook)
    disabled = logging.root.manager.disable

    def configured(*, is_terminal: bool = False, **settings: Any) -> Lines:
        lines: Lines = []
        configure(
            Settings(data=tmp_path, **settings),
            "web",
            write=lines.append,
            is_terminal=is_terminal,
        )
        return lines

    yield configured
    logging.captureWarnings(False)
    for handler in [one for one in root.handlers if isinstance(one, LineHandler)]:
        root.removeHandler(handler)
    root.setLevel(before[0])
    ours.setLevel(before[1])
    sys.excepthook, threading.excepthook = before[2:]
    logging.disable(disabled)


def only(lines: Lines) -> dict[str, Any]:
    (line,) = lines
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    document: dict[str, Any] = json.loads(line)
    return document


def test_a_line_says_when_who_what_and_for_which_request(begin: Callable[..., Lines]) -> None:
    lines = begin()
    context = RequestContext("ab" * 16, "GET", "/<page:path>")
    token = request_context.set(context)
    try:
        OURS.warning("size %d", 7)
    finally:
        request_context.reset(token)
    found = only(lines)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", found.pop("time"))
    assert found.pop("pid") > 0
    assert found == {
        "level": "WARNING",
        "logger": "provenance.test",
        "process": "web",
        "message": "size 7",
        "request": "ab" * 16,
        "method": "GET",
        "route": "/<page:path>",
    }


@pytest.mark.parametrize(("setting", "client"), [("off", None), ("on", "192.0.2.7")])
def test_an_access_line_has_an_address_only_where_that_was_asked_for(
    begin: Callable[..., Lines], setting: str, client: str | None
) -> None:
    lines = begin(log_clients=setting)
    exchange = Exchange("POST", "/api/v1/batches", 201, 0.0312, 700)
    OURS.info("answered", extra={"exchange": exchange, "client": "192.0.2.7"})
    found = only(lines)
    assert (found["status"], found["duration_ms"], found["body_bytes"]) == (201, 31.2, 700)
    assert found.get("client") == client


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("Booting worker with pid: %s", 12), "Booting worker with pid: 12"),
        (("Worker (pid:%s) was sent %s!", 12, SECRET), "Worker (pid:12) was sent …!"),
        (("Error handling request %s %s", "GET", f"/{SECRET}?q"), "Error handling request … …"),
        (("%(ip)s said %(what)s", {"ip": "192.0.2.1", "what": SECRET}), "… said …"),
        (("100 %% of %.1f and %r", 2.5, SECRET), "100 % of 2.5 and …"),
        ((f"Invalid request from ip=192.0.2.1: {SECRET}",), "(text withheld)"),
        ((ValueError(SECRET),), "(text withheld)"),
    ],
)
def test_of_others_messages_only_template_and_numbers_are_kept(
    begin: Callable[..., Lines], arguments: tuple[Any, ...], said: str
) -> None:
    lines = begin()
    OTHERS.warning(*arguments)
    found = only(lines)
    assert found["message"] == said
    assert re.fullmatch(r"tests/unit/telemetry/test_logs\.py:\d+", found["at"])
    assert SECRET not in lines[0].decode()


def _raise_with_payload() -> None:
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        connection.execute(text("INSERT INTO nowhere VALUES (:a)"), {"a": SECRET})


def test_of_an_exception_type_place_and_code_are_kept_and_its_text_never(
    begin: Callable[..., Lines],
) -> None:
    lines = begin()
    try:
        try:
            _raise_with_payload()
        except DBAPIError as error:
            assert SECRET in str(error)  # that is why
            raise KeyError(SECRET) from error
    except KeyError:
        OURS.exception("request failed")
    found = only(lines)
    outer, middle, inner = found["exception"]
    assert outer["type"] == "builtins.KeyError"
    assert middle["type"] == "sqlalchemy.exc.OperationalError"
    assert inner == {
        "type": "sqlite3.OperationalError",
        "code": "SQLITE_ERROR",
        "at": inner["at"],
    }
    assert any("_raise_with_payload" in place for place in middle["at"])
    assert outer["at"][-1].startswith("tests/unit/telemetry/test_logs.py:")
    assert SECRET not in lines[0].decode()


def test_an_error_of_the_system_keeps_its_number_and_loses_its_file(
    begin: Callable[..., Lines], tmp_path: Path
) -> None:
    lines = begin()
    try:
        (tmp_path / SECRET).read_bytes()
    except OSError:
        OURS.exception("cannot read")
    (error,) = only(lines)["exception"]
    assert (error["type"], error["code"]) == ("builtins.FileNotFoundError", "errno 2")
    assert SECRET not in lines[0].decode()


def test_a_long_chain_and_a_deep_stack_make_a_line_of_bounded_length(
    begin: Callable[..., Lines],
) -> None:
    lines = begin()

    def deep(levels: int) -> None:
        if levels:
            deep(levels - 1)
        raise sqlite3.OperationalError("x" * 10_000)

    try:
        try:
            deep(100)
        except sqlite3.OperationalError:
            deep(50)
    except sqlite3.OperationalError:
        OURS.exception("y" * 10_000)
    assert len(lines[0]) < 8_000
    assert len(only(lines)["message"]) == 1_000


@pytest.mark.parametrize("form", ["json", "text"])
def test_nobody_can_forge_a_line_or_steer_a_terminal(
    begin: Callable[..., Lines], form: str
) -> None:
    lines = begin(log_format=form)
    # pytest's own handlers would put the half character into its report, which cannot carry it.
    root = logging.getLogger()
    for handler in [one for one in root.handlers if not isinstance(one, LineHandler)]:
        root.removeHandler(handler)
    OURS.warning("witness says %s", "a\n2026 ERROR forged\x1b[2J\u202e\x85\x7f\ud800")
    (line,) = lines
    text_ = line.decode("utf-8")
    assert text_.count("\n") == 1
    assert text_.rstrip("\n").isprintable()
    assert "witness says a" in text_
    if form == "json":
        said = json.loads(line)["message"]
        assert said == "witness says a\n2026 ERROR forged\x1b[2J\u202e\x85\x7f\ud800"


@pytest.mark.parametrize(
    ("form", "is_terminal", "is_json"),
    [
        ("auto", True, False),
        ("auto", False, True),
        ("json", True, True),
        ("text", False, False),
    ],
)
def test_the_form_follows_setting_and_terminal(
    begin: Callable[..., Lines], form: str, is_terminal: bool, is_json: bool
) -> None:
    lines = begin(is_terminal=is_terminal, log_format=form)
    OURS.error("gone", exc_info=ValueError(SECRET))
    assert lines[0].startswith(b"{") == is_json
    assert SECRET.encode() not in lines[0]
    assert b"builtins.ValueError" in lines[0]


def test_the_level_is_for_our_code_and_others_speak_from_warnings_on(
    begin: Callable[..., Lines],
) -> None:
    lines = begin(log_level="info")
    OURS.debug("no")
    OURS.info("yes")
    logging.getLogger("urllib3").info("no %d", 1)
    logging.getLogger("urllib3").warning("yes %d", 1)
    assert [json.loads(line)["message"] for line in lines] == ["yes", "yes 1"]
    lines = begin(log_level="error")
    OURS.warning("no")
    assert lines == []


def test_warnings_and_uncaught_exceptions_are_lines_without_their_texts(
    begin: Callable[..., Lines],
) -> None:
    lines = begin()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn(SECRET, UserWarning, stacklevel=1)
    error = ValueError(SECRET)
    sys.excepthook(ValueError, error, None)
    thread = threading.Thread(target=_fail)
    thread.start()
    thread.join()
    found = [json.loads(line) for line in lines]
    assert [one["level"] for one in found] == ["WARNING", "CRITICAL", "CRITICAL"]
    assert found[1]["message"] == "this process ends with an exception"
    assert found[2]["exception"][0]["at"][-1].endswith("_fail")
    assert SECRET.encode() not in b"".join(lines)


def _fail() -> None:
    raise ValueError(SECRET)


def test_what_cannot_be_written_is_dropped_and_work_goes_on(tmp_path: Path) -> None:
    def full(_: bytes) -> None:
        raise OSError(28, "No space left on device")

    handler = LineHandler(as_text=False, process="web", with_clients=False, write=full)
    handler.emit(logging.LogRecord("provenance", logging.INFO, __file__, 1, "x", None, None))
    handler.emit(logging.LogRecord("provenance", logging.INFO, __file__, 1, "%d", ("x",), None))


def test_configuring_twice_leaves_one_handler(begin: Callable[..., Lines]) -> None:
    begin()
    lines = begin()
    OURS.warning("once")
    assert len(lines) == 1
