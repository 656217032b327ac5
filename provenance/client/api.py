"""The platform's HTTP interface as its partners call it.

Retries are safe everywhere: a seal that arrived already is answered with the same receipt. So a
lost connection, 429 and 502 to 504 are tried again (with Retry-After where given); every other
refusal is final and becomes a ProblemError with the platform's own words.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import urllib3

from provenance.client.errors import ProblemError, UnreachableError

_ATTEMPTS = 5
_AGAIN = frozenset({429, 502, 503, 504})
_PUBLISHED = "Provenance-Published"
Body = bytes | Callable[[], Iterable[bytes]]


@dataclass(frozen=True, slots=True)
class Posted:
    """The answer to an upload: its receipt, not yet checked.

    `published`: a checkpoint that covers it is out. Only an upload that waits learns that; without
    waiting it is False.
    """

    receipt: dict[str, Any]
    published: bool


class Api:
    """One platform at `base_url`. Keeps connections alive; safe to share by threads."""

    def __init__(
        self,
        base_url: str,
        *,
        timeout_seconds: float = 120.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._sleep = sleep
        self._pool = urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=10.0, read=timeout_seconds), retries=False, maxsize=4
        )

    def live(self) -> bytes:
        """Whether anybody answers, and nothing else."""
        return self.fetch("/livez")

    def log(self) -> dict[str, Any]:
        """``origin``, ``size``, ``operator`` and key of the platform's log."""
        return self._json("GET", "/api/v1/log")

    def policy(self) -> str:
        """The policy that the platform proposes; a reader pins it once and compares later."""
        return self.fetch("/api/v1/policy").decode()

    def party(self, uri: str) -> dict[str, Any]:
        """A party with its keys and roles as the platform sees them now."""
        return self._json("GET", f"/api/v1/parties/{quote(uri, safe='')}")

    def parties(self) -> Iterator[dict[str, Any]]:
        """All parties in order of URI, page after page."""
        path: str | None = "/api/v1/parties"
        while path:
            page = self._json("GET", path)
            yield from page["parties"]
            path = page.get("next")

    def passport(self, uri: str) -> bytes:
        """The proof bundle of a subject, byte for byte as served."""
        return self.fetch(f"/api/v1/subjects/{quote(uri, safe='')}/passport")

    def post_batch(self, lines: Callable[[], Iterable[bytes]], *, wait: bool = False) -> Posted:
        """Uploads a seal line and its event lines (each without its newline).

        `lines` is called anew for each attempt. With `wait` the answer comes when a published
        checkpoint covers the upload, or after a minute without one.
        """

        def body() -> Iterable[bytes]:
            return (line + b"\n" for line in lines())

        return self._post(_waiting("/api/v1/batches", wait), body, "application/x-ndjson")

    def post_event(self, event: bytes, *, wait: bool = False) -> Posted:
        """Uploads one event that carries its own proof; `wait` as for a batch."""
        return self._post(_waiting("/api/v1/events", wait), event, "application/json")

    def post_disclosures(self, seal_hash: bytes, lines: Iterable[dict[str, Any]]) -> None:
        """Hands over the disclosures of a sealed batch, each with the roles that may read it."""
        body = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        path = f"/api/v1/batches/{seal_hash.hex()}/disclosures"
        self._request("POST", path, body, "application/x-ndjson")

    def fetch(self, path: str, accept: str = "*/*") -> bytes:
        """GET, the body's bytes."""
        return self._request("GET", path, accept=accept).data

    def _json(self, method: str, path: str) -> dict[str, Any]:
        return self._object(path, self._request(method, path, accept="application/json").data)

    def _post(self, path: str, body: Body, kind: str) -> Posted:
        answer = self._request("POST", path, body, kind, accept="application/json")
        published = answer.headers.get(_PUBLISHED) == "yes"
        return Posted(self._object(path, answer.data), published)

    def _object(self, path: str, body: bytes) -> dict[str, Any]:
        try:
            document = json.loads(body)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise UnreachableError(
                f"{self.base_url}{path} answered with something else than an object; "
                "is this a Provenance platform?"
            )
        return document

    def _request(
        self, method: str, path: str, body: Body | None = None, kind: str = "", accept: str = "*/*"
    ) -> urllib3.BaseHTTPResponse:
        headers = {"Accept": accept} | ({"Content-Type": kind} if kind else {})
        trouble, pause = "no attempt made", 0.0
        for attempt in range(_ATTEMPTS):
            if attempt:
                self._sleep(pause)
            pause = 0.25 * 2**attempt
            sent = body() if callable(body) else body
            try:
                answer = self._pool.request(
                    method, self.base_url + path, body=sent, headers=headers, redirect=False
                )
            except urllib3.exceptions.HTTPError as error:
                trouble = f"{type(error).__name__}: {error}"
                continue
            if answer.status in _AGAIN:
                trouble = str(ProblemError(answer.status, _problem(answer.data)))
                pause = _retry_after(answer.headers.get("Retry-After"), pause)
                continue
            if answer.status >= 300:  # a redirect is no answer of ours either
                raise ProblemError(answer.status, _problem(answer.data))
            return answer
        raise UnreachableError(f"{self.base_url}{path}: {trouble} (tried {_ATTEMPTS} times)")


def _waiting(path: str, wait: bool) -> str:
    return path + "?wait=published" if wait else path


def _retry_after(header: str | None, default: float) -> float:
    return min(float(header), 30.0) if header and header.isdigit() else default


def _problem(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except ValueError:
        return {"detail": body[:200].decode(errors="replace")}
    return document if isinstance(document, dict) else {"detail": str(document)[:200]}
