"""Witnesses and mirrors as HTTP reaches them: one request, one bounded answer, in bounded time.

    POST <witness>/add-checkpoint                    what a witness is asked to cosign
    GET  <witness>/<hex SHA-256(origin)>/checkpoint  what it cosigned last
    GET  <mirror>/checkpoint                         what a copy of the log shows

Connections are kept alive, redirects are not followed, no content coding is asked for. What an
answer means, and whether it is believed, is left to `provenance.services.witnessing`: here every
status is an answer, and only silence, a broken connection or an endless body is none.

A witness that sends its head byte by byte can hold the thread that asked it for longer than the
timeout; that thread serves this one witness alone.

Sources: C2SP tlog-witness 1.0, tlog-tiles 0.1.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import urllib3

from merkle.witness import ADD_CHECKPOINT, checkpoint_path

MAX_BODY_BYTES: Final = 65_536
"""Sixteen lines of the longest kind (ML-DSA-44, 3.3 kB) and some room."""

_ATTEMPTS: Final = 2  # a connection kept alive may have been closed while nobody looked
_AGENT: Final = "provenance-log"


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, whatever its status."""

    status: int
    body: bytes


class HttpWitness:
    """A witness below `url`. Safe to share by threads; two connections are kept alive."""

    def __init__(
        self, url: str, *, timeout_ms: int, more: Callable[[], Mapping[str, str]] = dict
    ) -> None:
        """`more` gives further headers for each request, none by itself."""
        self.url = url.rstrip("/")
        self._http = _Http(timeout_ms, more)

    def add_checkpoint(self, body: bytes) -> Answer:
        """Ask for a cosignature. Raises ConnectionError or TimeoutError when no answer comes."""
        return self._http.ask("POST", f"{self.url}/{ADD_CHECKPOINT}", body)

    def show_checkpoint(self, origin: str) -> Answer:
        """What it cosigned last for this log; raises as `add_checkpoint`."""
        return self._http.ask("GET", f"{self.url}/{checkpoint_path(origin)}")


class HttpMirror:
    """A copy of a log whose checkpoint is at ``<url>/checkpoint``."""

    def __init__(self, url: str, *, timeout_ms: int) -> None:
        self.url = url.rstrip("/")
        self._http = _Http(timeout_ms)

    def show_checkpoint(self, origin: str) -> Answer:  # noqa: ARG002  a mirror has one log
        """The newest checkpoint of the copy; raises ConnectionError or TimeoutError."""
        return self._http.ask("GET", f"{self.url}/checkpoint")


class _Http:
    """One host: one connection to be cosigned, one to look what it shows meanwhile."""

    def __init__(self, timeout_ms: int, more: Callable[[], Mapping[str, str]] = dict) -> None:
        self._more = more
        self._seconds = timeout_ms / 1000
        self._pool = urllib3.PoolManager(
            num_pools=1, maxsize=2, retries=False, timeout=urllib3.Timeout(total=self._seconds)
        )

    def ask(self, method: str, url: str, body: bytes | None = None) -> Answer:
        end = time.monotonic() + self._seconds
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return self._ask_once(method, url, body, end)
            except urllib3.exceptions.ProtocolError as error:
                if attempt == _ATTEMPTS or time.monotonic() >= end:
                    raise ConnectionError(f"{url}: {error}") from error
            except urllib3.exceptions.NewConnectionError as error:  # of TimeoutError's kind there
                raise ConnectionError(f"{url}: nobody answers there") from error
            except urllib3.exceptions.TimeoutError as error:
                raise TimeoutError(f"{url}: no answer within {self._seconds} s") from error
            except (urllib3.exceptions.HTTPError, ValueError) as error:
                raise ConnectionError(f"{url}: {error}") from error
        raise AssertionError("unreachable")

    def _ask_once(self, method: str, url: str, body: bytes | None, end: float) -> Answer:
        answer = self._pool.request(
            method,
            url,
            body=body,
            headers={"User-Agent": _AGENT, "Accept-Encoding": "identity"}
            | ({"Content-Type": "text/plain; charset=utf-8"} if body is not None else {})
            | dict(self._more()),
            redirect=False,
            preload_content=False,
            decode_content=False,
        )
        try:
            data = _read(answer, url, end)
        except BaseException:
            answer.close()  # bytes of this answer must not be taken for the next one's
            raise
        answer.release_conn()
        return Answer(answer.status, data)


def _read(answer: urllib3.BaseHTTPResponse, url: str, end: float) -> bytes:
    """The body, up to its bound in bytes and in time."""
    data = bytearray()
    while chunk := answer.read1(MAX_BODY_BYTES + 1, decode_content=False):
        data += chunk
        if len(data) > MAX_BODY_BYTES:
            raise ConnectionError(f"{url}: an answer of more than {MAX_BODY_BYTES} bytes")
        if time.monotonic() > end:
            raise TimeoutError(f"{url}: the answer did not end in time")
    return bytes(data)
