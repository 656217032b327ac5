"""The platform's HTTP interface as its partners call it.

Retries are safe everywhere: a seal that arrived already is answered with the same receipt. So a
lost connection, 429 and 502 to 504 are tried again (with Retry-After where given); every other
refusal is final and becomes a ProblemError with the platform's own words.

One request is tried only once here: the appending to a job (docs/formats.md section 17). How it
goes on depends on what the platform has of it; that is `transfer`'s business.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import urllib3

from provenance.client.errors import ProblemError, RetryError, UnreachableError

_ATTEMPTS = 5
_AGAIN = frozenset({429, 502, 503, 504})
_PUBLISHED = "Provenance-Published"
_INTEROP = {"Upload-Draft-Interop-Version": "8"}
_LONGEST_PAUSE = 30.0  # that we are asked for
_OWN_PAUSE = 10.0
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
        attempts: int = _ATTEMPTS,
    ) -> None:
        """`attempts`: how often a request is tried; 40 are some five minutes."""
        self.base_url = base_url.rstrip("/")
        self._sleep = sleep
        self._attempts = attempts
        self._pool = urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=10.0, read=timeout_seconds), retries=False, maxsize=16
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

    def begin_job(self) -> str:
        """A new job that has no bytes yet; its path. One attempt: raises RetryError."""
        answer = self._attempt(
            *("POST", "/api/v1/jobs", b"", "application/x-ndjson"),
            more={"Upload-Complete": "?0", **_INTEROP},
        )
        return str(answer.headers["Location"])

    def job_offset(self, job: str) -> int:
        """How many bytes the job has; whatever is still under way for it moves that no more.

        One attempt: raises RetryError, and ProblemError when the job is unknown or has ended.
        """
        try:
            answer = self._attempt("HEAD", job, more=_INTEROP)
        except ProblemError as error:  # without a word: an answer to HEAD has no body
            told = self.show_job(job)
            ended = {
                "type": "/problems/job-ended",
                "detail": f"the upload is {told.get('state')}",
                "accepted": {name: told.get(name, 0) for name in ("batches", "events")},
                "refusal": told.get("refusal"),
            }
            raise ProblemError(error.status, ended) from error
        return int(answer.headers["Upload-Offset"])

    def append_to_job(
        self, job: str, offset: int, body: Iterable[bytes], size: int, *, complete: bool
    ) -> None:
        """Send `size` bytes that belong at `offset`.

        One attempt: raises RetryError when it is not known how far they came, and ProblemError.
        """
        headers = {
            "Upload-Offset": str(offset),
            "Upload-Complete": "?1" if complete else "?0",
            "Content-Length": str(size),
        }
        kind = "application/partial-upload"
        self._attempt("PATCH", job, body if size else b"", kind, more=headers | _INTEROP)

    def show_job(self, job: str) -> dict[str, Any]:
        """How far a job is, and what ended it; disturbs nobody."""
        return self._json("GET", job)

    def job_receipts(self, job: str, after: int) -> list[bytes]:
        """Receipts of the job's batches behind the first `after`, canonical JSON, not yet checked.

        A page of them: perhaps fewer than there are.
        """
        lines = self.fetch(f"{job}/receipts?after={after}").split(b"\n")
        return [line for line in lines if line]

    def cancel_job(self, job: str) -> None:
        """The platform takes nothing more of it; what was accepted stays."""
        self._request("DELETE", job)

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
        self,
        method: str,
        path: str,
        body: Body | None = None,
        kind: str = "",
        accept: str = "*/*",
        *,
        more: dict[str, str] | None = None,
    ) -> urllib3.BaseHTTPResponse:
        trouble, pause = "no attempt made", 0.0
        for attempt in range(self._attempts):
            if attempt:
                self._sleep(pause)
            pause = min(0.25 * 2**attempt, _OWN_PAUSE)
            sent = body() if callable(body) else body
            try:
                return self._attempt(method, path, sent, kind, accept, more=more)
            except RetryError as error:
                trouble = str(error)
                pause = pause if error.pause_s is None else error.pause_s
        raise UnreachableError(f"{self.base_url}{path}: {trouble} (tried {self._attempts} times)")

    def _attempt(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        kind: str = "",
        accept: str = "*/*",
        *,
        more: dict[str, str] | None = None,
    ) -> urllib3.BaseHTTPResponse:
        headers = {"Accept": accept} | ({"Content-Type": kind} if kind else {}) | (more or {})
        try:
            answer = self._pool.request(
                method, self.base_url + path, body=body, headers=headers, redirect=False
            )
        except urllib3.exceptions.HTTPError as error:
            raise RetryError(f"{type(error).__name__}: {error}") from error
        if answer.status in _AGAIN:
            trouble = str(ProblemError(answer.status, _problem(answer.data)))
            raise RetryError(trouble, _retry_after(answer.headers.get("Retry-After")))
        if answer.status >= 300:  # a redirect is no answer of ours either
            raise ProblemError(answer.status, _problem(answer.data))
        return answer


def _waiting(path: str, wait: bool) -> str:
    return path + "?wait=published" if wait else path


def _retry_after(header: str | None) -> float | None:
    return min(float(header), _LONGEST_PAUSE) if header and header.isdigit() else None


def _problem(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except ValueError:
        return {"detail": body[:200].decode(errors="replace")}
    return document if isinstance(document, dict) else {"detail": str(document)[:200]}
