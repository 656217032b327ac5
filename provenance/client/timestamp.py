"""A time-stamp authority (RFC 3161) as HTTP reaches it.

    POST <authority>    application/timestamp-query: SHA-256 of the checkpoint's text, a nonce
    200                 application/timestamp-reply: DER of a TimeStampResp

A token is handed on only after it was verified against the root certificates that the operator
chose. What a token is and when it is believed: ``provenance.crypto.timestamps``.

Source: RFC 3161 section 3.4.
"""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Sequence
from typing import Final

import urllib3

from provenance.crypto.timestamps import MAX_TOKEN_BYTES, Root, TimestampQuery
from provenance.domain.anchoring import AnchorError, Confirmed

_QUERY: Final = "application/timestamp-query"
_REPLY: Final = "application/timestamp-reply"
_CHUNK: Final = 8_192


class TimestampAuthority:
    """An authority at `url`, believed under `roots`; an Anchor of kind ``rfc3161``."""

    kind = "rfc3161"

    def __init__(self, url: str, roots: Sequence[Root], *, timeout_ms: int = 10_000) -> None:
        self._url = url
        self._roots = tuple(roots)
        self._seconds = timeout_ms / 1000
        self._pool = urllib3.PoolManager(
            num_pools=1, maxsize=1, retries=False, timeout=urllib3.Timeout(total=self._seconds)
        )

    def request(self, text: bytes) -> Confirmed:
        """Ask for a token over `text`; verified before it is returned."""
        query = TimestampQuery(text)
        data = self._ask(query.encode())
        moment = query.verify(data, self._roots)
        return Confirmed(moment, {"token": b64encode(data).decode("ascii")})

    def poll(self, text: bytes) -> Confirmed:
        """An authority keeps nothing for us: a token that was lost is asked for again."""
        return self.request(text)

    def _ask(self, query: bytes) -> bytes:
        deadline = time.monotonic() + self._seconds
        data = bytearray()
        try:
            answer = self._pool.request(
                "POST",
                self._url,
                body=query,
                headers={"Content-Type": _QUERY, "Accept": _REPLY, "Accept-Encoding": "identity"},
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
            try:
                # read1 gives what has come. With read, whose time-out begins anew with each byte,
                # an authority that sends slowly would hold up all other anchors for days.
                while len(data) <= MAX_TOKEN_BYTES and (
                    chunk := answer.read1(_CHUNK, decode_content=False)
                ):
                    data += chunk
                    if time.monotonic() > deadline:
                        raise AnchorError(
                            f"the time-stamp authority {self._url} fails: its answer was not whole "
                            f"after {self._seconds:g} seconds"
                        )
            finally:
                answer.close()
        except (urllib3.exceptions.HTTPError, ValueError) as error:
            raise AnchorError(f"the time-stamp authority {self._url} fails: {error}") from error
        if answer.status != 200 or len(data) > MAX_TOKEN_BYTES:
            raise AnchorError(
                f"the time-stamp authority {self._url} answers with status {answer.status} and "
                f"{len(data)} bytes, expected 200 and at most {MAX_TOKEN_BYTES}"
            )
        return bytes(data)
