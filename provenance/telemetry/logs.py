"""Log lines: one a fact, as JSON or as text, and never anything of what was uploaded.

    {"time":"2026-11-25T13:50:00.123Z","level":"INFO","logger":"provenance.access","process":"web",
     "pid":4711,"message":"answered","request":"5f0c…","method":"POST","route":"/api/v1/batches",
     "status":201,"duration_ms":31.2,"body_bytes":71804}

All processes of a platform write these to standard error: web workers (gunicorn's own messages
too), sequencer, supervisor. What a line may hold is decided here, so that no caller can forget it:

- The text of our own loggers is what our source says, with numbers, names of witnesses and words of
  operators in it; our source never hands payload to a logger.
- Others' loggers quote what they were given: request lines, addresses, SQL with its values. Of
  their messages the template is kept and numbers are filled in; every other value becomes ``…``,
  and a text without arguments, which may have been put together before, is withheld. ``at`` names
  the place in the source that wrote it, and so what it says.
- Exceptions quote, too. Of them a line has the type, the place, and a code where there is one (an
  errno, an SQLSTATE, a SQLite error name); never the text.
- Addresses of clients stand in access lines only where the setting `log_clients` is ``on``.

Lines are ASCII in JSON; in text, characters that do not print are escaped, so that nobody can forge
a line or steer a terminal. A line that cannot be written is dropped: logging never stops the work.

Sources: RFC 8259, RFC 3339.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import msgspec

from provenance.config import Settings
from provenance.services.observing import Exchange, request_context

OURS: Final = ("provenance", "merkle", "qr")
"""Roots of the loggers whose text is our source's own."""
MOST_CHARACTERS: Final = 1_000
"""Of one message; longer ones end in ``…``."""
_FRAMES: Final = 8
_CAUSES: Final = 4
_ROOT: Final = Path(__file__).resolve().parents[2]
_OWN_FILES: Final = (*OURS, "app.py", "tests")
_FIELD: Final = re.compile(r"%(?:\([^)]*\))?[#0\- +]*(?:\*|\d+)?(?:\.(?:\*|\d+))?[a-zA-Z%]")

Fields = dict[str, Any]


def configure(
    settings: Settings,
    process: str,
    *,
    write: Callable[[bytes], object] | None = None,
    is_terminal: bool | None = None,
) -> None:
    """Send everything that this process logs to standard error, in the form of the settings.

    `process` is its part: web, sequencer, serve. Called again, it replaces what it did before.
    """
    if is_terminal is None:
        is_terminal = sys.stderr.isatty()
    as_text = settings.log_format == "text" or (settings.log_format == "auto" and is_terminal)
    handler = LineHandler(
        as_text=as_text,
        process=process,
        with_clients=settings.log_clients == "on",
        write=write or _write_stderr,
    )
    root = logging.getLogger()
    for old in [one for one in root.handlers if isinstance(one, LineHandler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger("provenance").setLevel(settings.log_level.upper())
    logging.captureWarnings(True)
    sys.excepthook = _on_uncaught
    threading.excepthook = _on_uncaught_in_thread


class LineHandler(logging.Handler):
    """Makes a line of each record and hands it over in one piece."""

    def __init__(
        self,
        *,
        as_text: bool,
        process: str,
        with_clients: bool,
        write: Callable[[bytes], object],
    ) -> None:
        super().__init__()
        self._form = _as_text if as_text else _as_json
        self._process = process
        self._with_clients = with_clients
        self._write_bytes = write

    def emit(self, record: logging.LogRecord) -> None:
        """Write; drop what cannot be written."""
        try:
            fields = fields_of(record, self._process, with_clients=self._with_clients)
            self._write_bytes(self._form(fields) + b"\n")
        except Exception:  # noqa: S110  there is nowhere left to say so
            pass


def fields_of(record: logging.LogRecord, process: str, *, with_clients: bool = False) -> Fields:
    """What a line of this record holds, in its order."""
    fields: Fields = {
        "time": _time(record.created),
        "level": record.levelname,
        "logger": record.name,
        "process": process,
        "pid": record.process,
        "message": _message(record),
    }
    context = request_context.get()
    if context is not None:
        fields |= {"request": context.id, "method": context.method, "route": context.route}
    exchange = getattr(record, "exchange", None)
    if isinstance(exchange, Exchange):
        fields["status"] = exchange.status
        fields["duration_ms"] = round(exchange.seconds * 1000, 3)
        fields["body_bytes"] = exchange.body_bytes
    if with_clients and (client := getattr(record, "client", None)):
        fields["client"] = str(client)[:64]
    if not _is_ours(record.name):
        fields["at"] = f"{_short(record.pathname)}:{record.lineno}"
    if record.exc_info and record.exc_info[1] is not None:
        fields["exception"] = list(_exceptions(record.exc_info[1]))
    return fields


def _time(seconds: float) -> str:
    whole = int(seconds)
    return f"{_second(whole)}.{int((seconds - whole) * 1000):03d}Z"


@lru_cache(maxsize=4)
def _second(seconds: int) -> str:
    """Many lines share one; working it out is dearer than the rest of the time."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _is_ours(logger: str) -> bool:
    return logger.partition(".")[0] in OURS


def _message(record: logging.LogRecord) -> str:
    text = record.getMessage() if _is_ours(record.name) else _template(record)
    return text if len(text) <= MOST_CHARACTERS else text[: MOST_CHARACTERS - 1] + "…"


def _template(record: logging.LogRecord) -> str:
    """What another's logger was told to say, with its numbers and without its other values."""
    if not isinstance(record.msg, str) or not record.args:
        return "(text withheld)"
    named = record.args if isinstance(record.args, Mapping) else None
    values = iter(() if named is not None else record.args)

    def fill(field: re.Match[str]) -> str:
        if field[0] == "%%":
            return "%"
        value = next(values, None)
        return str(value) if type(value) in (int, float) else "…"

    return _FIELD.sub(fill, record.msg)


def _exceptions(error: BaseException) -> Iterator[Fields]:
    """The exception and what led to it, innermost last: type, code, where."""
    found: BaseException | None = error
    for _ in range(_CAUSES):
        if found is None:
            return
        kind = type(found)
        fields: Fields = {"type": f"{kind.__module__}.{kind.__qualname__}"}
        if (code := _code(found)) is not None:
            fields["code"] = code
        fields["at"] = _places(found.__traceback__)
        yield fields
        found = found.__cause__ or (None if found.__suppress_context__ else found.__context__)


def _code(error: BaseException) -> str | None:
    """A number or name that its maker gave to this kind of failure: no text of anybody else's."""
    found = getattr(error, "sqlite_errorname", None) or getattr(error, "sqlstate", None)
    if found is None and isinstance(error, OSError) and error.errno is not None:
        found = f"errno {error.errno}"
    if isinstance(found, str) and re.fullmatch(r"[A-Za-z0-9_ ]{1,40}", found):
        return found
    return None


def _places(trace: TracebackType | None) -> list[str]:
    """The last frames of our own source and the innermost one, from the outside in.

    Source lines are left out, and the values of variables never looked at.
    """
    frames = [
        (frame.f_code.co_filename, f"{line} {frame.f_code.co_name}")
        for frame, line in traceback.walk_tb(trace)
    ]
    own = [frame for frame in frames[:-1] if _is_own_file(frame[0])]
    return [f"{_short(path)}:{rest}" for path, rest in (*own[-_FRAMES:], *frames[-1:])]


def _is_own_file(path: str) -> bool:
    inside = path.removeprefix(f"{_ROOT}/")
    return inside != path and inside.partition("/")[0] in _OWN_FILES


def _short(path: str) -> str:
    """The file without what is above this installation or the packages."""
    _, found, rest = path.rpartition("site-packages/")
    if found:
        return rest
    return path.removeprefix(f"{_ROOT}/")


def _as_json(fields: Fields) -> bytes:
    try:
        line = msgspec.json.encode(fields)
        if line.isascii() and b"\x7f" not in line:
            return line
    except UnicodeEncodeError:
        pass
    # Slower, and every character beyond ASCII, a lone surrogate too, becomes an escape.
    return json.dumps(fields, separators=(",", ":")).replace("\x7f", "\\u007f").encode()


def _as_text(fields: Fields) -> bytes:
    head = f"{fields['time']} {fields['level']} {fields['logger']}: {fields['message']}"
    left_out = ("time", "level", "logger", "message", "process", "pid", "exception")
    words = [head, *(f"{name}={value}" for name, value in fields.items() if name not in left_out)]
    for error in fields.get("exception", ()):
        words.append(f"{error['type']}({error.get('code', '')})")
        words.append("[" + " < ".join(reversed(error["at"])) + "]")
    line = " ".join(words)
    if not line.isprintable():
        line = "".join(
            character if character.isprintable() else character.encode("unicode_escape").decode()
            for character in line
        )
    return line.encode("utf-8", "backslashreplace")


def _write_stderr(line: bytes) -> None:
    os.write(2, line)


def _on_uncaught(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    logging.getLogger("provenance").critical(
        "this process ends with an exception", exc_info=(kind, error, trace)
    )


def _on_uncaught_in_thread(arguments: threading.ExceptHookArgs) -> None:
    if arguments.exc_value is not None and not issubclass(arguments.exc_type, SystemExit):
        logging.getLogger("provenance").critical(
            "a thread ends with an exception",
            exc_info=(arguments.exc_type, arguments.exc_value, arguments.exc_traceback),
        )
