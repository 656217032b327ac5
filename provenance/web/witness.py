"""The witness over HTTP: a WSGI application of its own, apart from the platform's.

    POST /add-checkpoint            C2SP tlog-witness: signature lines, or a status and the reason
    GET  /<hex SHA-256>/checkpoint  the newest checkpoint cosigned for the log of that origin
    GET  /meaning                   what a cosignature under this key means, signed by the key
    GET  /                          who this is, for people (text) and programs (JSON)

An answer that is no 200 has one line of text with the reason, but for 409, whose body is the size
alone. Whoever asks is unknown and unauthenticated, so limits come before work: the path is one of
those four, spelt exactly; a body has at most 64 KiB and must have come within ten seconds; only so
many checkpoints are judged at once, one more is told to come again (429). Nothing that a request
says makes this server fetch an address: only the URL that was configured for a log is ever read.

One line of JSON is written for each request, without anything of its payload but the log's name and
sizes. Sources: https://c2sp.org/tlog-witness; RFC 9110.
"""

from __future__ import annotations

import json
import logging
import re
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

from merkle.witness import SIZE_TYPE, checkpoint_path, format_size
from provenance.domain.errors import UnavailableError
from provenance.domain.log_source import LogUnreachableError
from provenance.services.map_following import REFUSALS, NotYetError
from provenance.services.witness import (
    MalformedRequestError,
    MapUncheckedError,
    ProofRefusedError,
    SizeConflictError,
    UnknownLogError,
    UnsignedError,
    Witness,
)
from provenance.web.bodies import closer, hanging_up

MAX_BODY_BYTES: Final = 64 * 1024
"""An old size, 63 hashes, and a checkpoint under a dozen ML-DSA signatures."""
BODY_SECONDS: Final = 10.0
SLOTS: Final = 12
"""Checkpoints judged at once; below the threads of the server, so that readers find one."""

_TEXT: Final = "text/plain; charset=utf-8"
_NEWEST: Final = re.compile(r"/([0-9a-f]{64})/checkpoint")
_OLD: Final = re.compile(rb"old ([0-9]{1,16})(?![^\n])")
_NAMED: Final = re.compile(rb"([!-~]{1,100})\n([0-9]{1,16})\n")
_STATUS: Final[tuple[tuple[type[Exception] | tuple[type[Exception], ...], int], ...]] = (
    (MalformedRequestError, 400),
    (UnsignedError, 403),
    (UnknownLogError, 404),
    (ProofRefusedError, 422),
    (REFUSALS, 422),
    ((MapUncheckedError, LogUnreachableError, UnavailableError), 503),
)
_LOGGER: Final = logging.getLogger("provenance.witness")

StartResponse = Callable[..., Any]


@dataclass
class Answer:
    """One HTTP answer; `facts` go into the line that is written about the request."""

    status: int
    body: bytes
    kind: str = _TEXT
    headers: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


def _reason(status: int, words: str, **headers: str) -> Answer:
    """An answer that is a reason: one line, whatever the words held."""
    line = " ".join(words.split())[:500]
    fields = {name.replace("_", "-"): text for name, text in headers.items()}
    return Answer(status, f"{line}\n".encode(), _TEXT, fields, {"reason": line})


class WitnessApp:
    """The WSGI application over one witness. Safe to share by threads and to make before a fork."""

    def __init__(self, witness: Witness, *, url: str | None = None, slots: int = SLOTS) -> None:
        """`url`: where the world reaches this witness, for the policy line that it shows."""
        self._witness = witness
        self._url = url
        self._slots = threading.BoundedSemaphore(slots)

    def __call__(self, environ: dict[str, Any], start: StartResponse) -> Iterable[bytes]:
        """One request (PEP 3333)."""
        began = time.monotonic()
        try:
            answer = self._answer(environ)
        except Exception:
            # Our own fault, told without its inside; the traceback is in our log.
            _LOGGER.exception("the witness failed")
            answer = _reason(500, "the witness failed; nothing was cosigned")
        _write_line(environ, answer, time.monotonic() - began)
        headers = {
            "Content-Type": answer.kind,
            "Content-Length": str(len(answer.body)),
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "Access-Control-Allow-Origin": "*",  # all of it is public, for readers in a browser too
        } | answer.headers
        if "Connection" in answer.headers:  # gunicorn sets this one by itself, and must be told
            closer(start)()
        start(f"{answer.status} {HTTPStatus(answer.status).phrase}", list(headers.items()))
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [answer.body]

    def _answer(self, environ: dict[str, Any]) -> Answer:
        path, method = environ.get("PATH_INFO", ""), environ["REQUEST_METHOD"]
        if environ.get("QUERY_STRING"):
            return _reason(404, "there is nothing here")
        if path == "/add-checkpoint":
            if method != "POST":
                return _reason(405, "a checkpoint is sent with POST", Allow="POST")
            return self._add_checkpoint(environ)
        newest = _NEWEST.fullmatch(path)
        if path not in {"/", "/meaning"} and newest is None:
            return _reason(404, "there is nothing here")
        if method not in {"GET", "HEAD"}:
            return _reason(405, "this is read with GET", Allow="GET, HEAD")
        if path == "/meaning":
            return Answer(200, self._witness.meaning_note)
        if newest is None:
            return self._introduce(environ.get("HTTP_ACCEPT", ""))
        note = self._witness.newest(newest[1])
        if note is None:
            return _reason(404, "no checkpoint of such a log was cosigned here")
        return Answer(200, note)

    def _add_checkpoint(self, environ: dict[str, Any]) -> Answer:
        free = self._slots.acquire(blocking=False)
        try:
            # Read even when it cannot be judged now, so that the sender gets to read our answer.
            body = _read_body(environ, BODY_SECONDS if free else 1.0)
            if isinstance(body, Answer):
                return body
            if not free:
                return _reason(429, "too many checkpoints at once; come again", Retry_After="1")
            return self._judge(body)
        finally:
            if free:
                self._slots.release()

    def _judge(self, body: bytes) -> Answer:
        facts = _facts(body)
        try:
            accepted = self._witness.add_checkpoint(body)
        except SizeConflictError as conflict:
            answer = Answer(409, format_size(conflict.size), SIZE_TYPE)
        except NotYetError as error:
            answer = _reason(503, str(error), Retry_After=str(error.retry_after))
        except Exception as error:
            status = next((code for kind, code in _STATUS if isinstance(error, kind)), None)
            if status is None:
                raise
            answer = _reason(status, str(error), **({"Retry_After": "5"} if status == 503 else {}))
            if status == 400:  # those words repeat what was sent
                answer.facts = {"reason": "malformed"}
        else:
            answer = Answer(200, accepted.format())
            facts["root"] = accepted.checkpoint.root.hex()
        answer.facts = facts | answer.facts
        return answer

    def _introduce(self, accept: str) -> Answer:
        if "application/json" in accept:
            body = json.dumps(self._facts(), ensure_ascii=False, indent=2).encode() + b"\n"
            return Answer(200, body, "application/json", {"Vary": "Accept"})
        return Answer(200, self._in_words().encode(), _TEXT, {"Vary": "Accept"})

    def _facts(self) -> dict[str, Any]:
        meaning = self._witness.meaning
        return {
            "name": meaning.name,
            "keys": [key.format() for key in meaning.keys],
            "policy": self._policy_lines(),
            "meaning": {"kind": meaning.kind, "text": meaning.in_words, "note": "/meaning"},
            "submit": "/add-checkpoint",
            "logs": [
                {
                    "origin": log.origin,
                    "keys": [key.format() for key in log.keys],
                    "url": log.url,
                    "checkpoint": f"/{checkpoint_path(log.origin)}",
                }
                for log in self._witness.logs()
            ],
        }

    def _policy_lines(self) -> list[str]:
        keys = self._witness.meaning.keys
        names = [keys[0].name, *(f"{key.name}/{key.kind:02x}" for key in keys[1:])]
        url = f" {self._url}" if self._url else ""
        return [
            f"witness {name} {key.format()}{url}" for name, key in zip(names, keys, strict=True)
        ]

    def _in_words(self) -> str:
        facts = self._facts()
        lines = [
            f"{facts['name']}: a witness of transparency logs (https://c2sp.org/tlog-witness).",
            "",
            facts["meaning"]["text"],
            "The same, signed by the key itself: /meaning",
            "",
            "For a policy (https://c2sp.org/tlog-policy):",
            *facts["policy"],
            "",
            "Logs, and the newest checkpoint cosigned for each:",
            *(f"{log['origin']} {log['checkpoint']}" for log in facts["logs"]),
            "",
        ]
        return "\n".join(lines)


def _read_body(environ: dict[str, Any], seconds: float) -> bytes | Answer:
    """The body, or why it is not read."""
    length = environ.get("CONTENT_LENGTH") or "0"
    if not length.isascii() or not length.isdigit():
        return _reason(400, "Content-Length is not a number")
    if int(length) > MAX_BODY_BYTES:
        return _reason(
            413, f"a request has at most {MAX_BODY_BYTES} bytes, found {length}", Connection="close"
        )
    if environ.get("HTTP_CONTENT_ENCODING", "identity").lower() != "identity":
        return _reason(415, "a coded body is not read here")
    # A body without a length (chunked) ends where the server says, if it says so.
    chunked = environ.get("wsgi.input_terminated") and not environ.get("CONTENT_LENGTH")
    most = MAX_BODY_BYTES + 1 if chunked else int(length)
    try:
        with hanging_up(environ.get("gunicorn.socket"), seconds, _answer_closes):
            body: bytes = environ["wsgi.input"].read(most) if most else b""
    except Exception:  # the server's own words for broken chunks and lost connections
        return _reason(400, "the body cannot be read", Connection="close")
    if len(body) > MAX_BODY_BYTES:
        return _reason(413, f"a request has at most {MAX_BODY_BYTES} bytes", Connection="close")
    if not chunked and len(body) < most:
        return _reason(400, f"the body ended after {len(body)} of {most} bytes", Connection="close")
    return body


def _answer_closes() -> None:
    """What a body that breaks off is answered with says `Connection: close`."""


def _facts(body: bytes) -> dict[str, Any]:
    """Sizes and log as the request claims them, where they have the form; nothing else of it."""
    head, _, note = body.partition(b"\n\n")
    old = _OLD.match(head)
    named = _NAMED.match(note)
    facts = {"old": int(old[1])} if old else {}
    return facts | ({"origin": named[1].decode(), "size": int(named[2])} if named else {})


def _write_line(environ: dict[str, Any], answer: Answer, seconds: float) -> None:
    line = {
        "method": environ["REQUEST_METHOD"],
        "path": environ.get("PATH_INFO", "")[:100],
        "status": answer.status,
        "ms": round(seconds * 1000, 1),
    }
    _LOGGER.info("%s", json.dumps(line | answer.facts, ensure_ascii=True))
