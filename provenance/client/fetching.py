"""One small text from an address that a person gave: a policy, a checkpoint.

Bounded in bytes and time, no redirect followed: what is fetched is judged by whoever asked, and an
address that leads elsewhere is for that person to see.
"""

from __future__ import annotations

import time
from typing import Final

import urllib3

from provenance.client.errors import ClientError

MAX_TEXT_BYTES: Final = 1_048_576
_CHUNK: Final = 65_536
_AGENT: Final = "provenance-client"


class FetchError(ClientError):
    """Nothing usable came from there; the message names address and cause."""


def is_url(source: str) -> bool:
    """Whether what a person wrote is an address and no file."""
    return source.startswith(("http://", "https://"))


def fetch(url: str, *, timeout_s: float = 10.0, limit: int = MAX_TEXT_BYTES) -> bytes:
    """The body of a 200 answer, at most `limit` bytes; raises FetchError."""
    deadline = time.monotonic() + timeout_s
    pool = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(total=timeout_s))
    try:
        answer = pool.request(
            "GET", url, headers={"User-Agent": _AGENT}, redirect=False, preload_content=False
        )
        try:
            data = bytearray()
            # read1 gives what has come: a sender of a byte a second meets the deadline, where read
            # would wait for the whole with a fresh time-out for each byte.
            while len(data) <= limit and (chunk := answer.read1(_CHUNK, decode_content=False)):
                data += chunk
                if time.monotonic() > deadline:
                    raise FetchError(f"{url}: not whole after {timeout_s:g} seconds")
        finally:
            answer.close()
    except (urllib3.exceptions.HTTPError, ValueError) as error:
        raise FetchError(f"{url}: {error}") from error
    if answer.status != 200:
        raise FetchError(f"{url}: expected status 200, found {answer.status}")
    if len(data) > limit:
        raise FetchError(f"{url}: the answer is longer than {limit} bytes")
    return bytes(data)
