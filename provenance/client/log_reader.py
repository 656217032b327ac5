"""A C2SP tile log read over HTTP by somebody outside: with limits, and trusting nothing.

    reader = LogReader("https://ledger.example/log")
    for stretch in follow(reader, Edge(), checkpoint):  # from provenance.domain.log_source
        ...

The address is the log's prefix: ``/checkpoint``, ``/tile/…`` and ``/map/delta/…`` lie below it and
nothing else is ever asked for. Redirects are not followed, so that the log cannot send its reader
to a third address; proxies of the environment are not used. Each file has its greatest length,
which is enforced while reading, and a time in which it must have come whole. Content codings are
not asked for and not read: a length means what it says.

A lost connection, 429 and 5xx are tried again (with Retry-After where it is short), every other
answer is final. Nothing is judged here but length and framing; see `provenance.domain.log_source`.

Sources: https://c2sp.org/tlog-tiles (0.1.0); docs/formats.md for the map delta.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final
from urllib.parse import urlsplit

import urllib3

from merkle.errors import ArgumentError, TileError
from merkle.hashing import HASH_SIZE
from merkle.tiles import (
    MAX_ENTRY_SIZE,
    TILE_HEIGHT,
    TILE_WIDTH,
    TileAddress,
    decode_bundle,
)
from provenance.domain.delta import delta_path
from provenance.domain.errors import DomainError
from provenance.domain.log_source import (
    LogFileMissingError,
    LogMalformedError,
    LogUnreachableError,
)

MAX_CHECKPOINT_BYTES: Final = 256 * 1024
"""Three lines and up to 100 signatures, some of them ML-DSA (3.3 kB each)."""
MAX_DELTA_BYTES: Final = 128 * 1024 * 1024
"""A delta has about 400 bytes a link: this is a batch of 300,000."""
_MAX_BUNDLE_BYTES: Final = TILE_WIDTH * (2 + MAX_ENTRY_SIZE)
_CHUNK: Final = 65_536
_CONNECT_SECONDS: Final = 5.0
_MOST_PATIENCE: Final = 5.0
_AGAIN: Final = frozenset({429, 500, 502, 503, 504})


class LogAddressError(DomainError):
    """An address at which no log can be; the message says what is expected."""


def check_log_url(url: str) -> str:
    """The address of a log without slashes at its end; raises LogAddressError.

    ``http`` or ``https``, a host, no user, no query, no fragment.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise LogAddressError(f"{url!r} is no address: {error}") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise LogAddressError(f"{url!r}: expected http://HOST[:PORT]/PATH or https://…")
    if parts.username is not None or parts.query or parts.fragment or not url.isprintable():
        raise LogAddressError(f"{url!r}: expected no user, query or fragment in a log's address")
    return url.rstrip("/")


class LogReader:
    """A `LogSource` over HTTP. Keeps connections alive; safe to share by threads."""

    def __init__(
        self,
        url: str,
        *,
        timeout_seconds: float = 30.0,
        attempts: int = 3,
        max_delta_bytes: int = MAX_DELTA_BYTES,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`timeout_seconds` bounds one file, all attempts together. Raises LogAddressError."""
        self.url = check_log_url(url)
        self._seconds = timeout_seconds
        self._attempts = attempts
        self._max_delta_bytes = max_delta_bytes
        self._sleep = sleep
        self._pool = urllib3.PoolManager(
            retries=False, maxsize=4, headers={"Accept-Encoding": "identity"}
        )

    def close(self) -> None:
        """Closes the connections that are kept."""
        self._pool.clear()

    def checkpoint(self) -> bytes:
        """See `LogSource.checkpoint`."""
        return self.read("checkpoint", MAX_CHECKPOINT_BYTES)

    def map_delta(self, index: int) -> bytes:
        """See `LogSource.map_delta`."""
        return self.read(delta_path(index), self._max_delta_bytes)

    def tile(self, level: int, index: int, size: int) -> bytes:
        """See `LogSource.tile`. Raises ArgumentError for a tile that such a log does not have."""
        address = _address(level, index, size)
        found, data = self._read_partial(address, TILE_WIDTH * HASH_SIZE)
        if len(data) != found.width * HASH_SIZE:
            raise LogMalformedError(
                f"{self.url}/{found.path()}: expected {found.width * HASH_SIZE} bytes, "
                f"found {len(data)}"
            )
        return data[: address.width * HASH_SIZE]

    def entries(self, start: int, end: int, size: int) -> Iterator[Sequence[bytes]]:
        """See `LogSource.entries`. Raises ArgumentError unless 0 <= start <= end <= size."""
        if not 0 <= start <= end <= size:
            raise ArgumentError(f"no entries [{start}, {end}) in a log of {size}")
        return self._entries(start, end, size)

    def _entries(self, start: int, end: int, size: int) -> Iterator[Sequence[bytes]]:
        while start < end:
            index, offset = divmod(start, TILE_WIDTH)
            bundle = self._bundle(index, size)[offset : end - index * TILE_WIDTH]
            yield bundle
            start += len(bundle)

    def _bundle(self, index: int, size: int) -> list[bytes]:
        address = _address(None, index, size)
        found, data = self._read_partial(address, _MAX_BUNDLE_BYTES)
        try:
            return decode_bundle(data, found.width)[: address.width]
        except TileError as error:
            raise LogMalformedError(f"{self.url}/{found.path()}: {error}") from error

    def _read_partial(self, address: TileAddress, most: int) -> tuple[TileAddress, bytes]:
        """The file at `address`, or the full one where the partial one is gone."""
        try:
            return address, self.read(address.path(), most)
        except LogFileMissingError:
            if address.is_full:
                raise
        try:
            return address.full(), self.read(address.full().path(), most)
        except LogFileMissingError:
            raise LogFileMissingError(address.path()) from None

    def read(self, path: str, most: int) -> bytes:
        """The file at `path` below the log's prefix, at most `most` bytes.

        Raises LogFileMissingError (404), LogUnreachableError (no answer, too slow, 429, 5xx, all
        attempts used up) and LogMalformedError (longer than `most`, coded, any other status).
        """
        deadline = time.monotonic() + self._seconds
        trouble, pause = "no time to ask", 0.0
        for attempt in range(self._attempts):
            if attempt:
                self._sleep(pause)
            if time.monotonic() >= deadline:
                break
            pause = 0.2 * 2**attempt
            try:
                answer = self._open(path, deadline)
            except urllib3.exceptions.HTTPError as error:
                trouble = _in_words(error)
                continue
            try:
                if answer.status in _AGAIN:
                    trouble = f"status {answer.status}"
                    pause = _retry_after(answer.headers.get("Retry-After"), pause)
                    continue
                return self._take_in(answer, path, most, deadline)
            except urllib3.exceptions.HTTPError as error:
                trouble = _in_words(error)
            finally:
                # Kept for the next file only when it was read to its end.
                answer.release_conn() if answer.closed else answer.close()
        raise LogUnreachableError(f"{self.url}/{path}: {trouble}")

    def _open(self, path: str, deadline: float) -> urllib3.BaseHTTPResponse:
        rest = max(0.05, deadline - time.monotonic())
        return self._pool.request(
            "GET",
            f"{self.url}/{path}",
            redirect=False,
            preload_content=False,
            timeout=urllib3.Timeout(connect=min(_CONNECT_SECONDS, rest), read=rest),
        )

    def _take_in(
        self, answer: urllib3.BaseHTTPResponse, path: str, most: int, deadline: float
    ) -> bytes:
        if answer.status == 404:
            raise LogFileMissingError(path)
        if answer.status != 200:
            raise LogMalformedError(f"{self.url}/{path}: expected 200, found {answer.status}")
        if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise LogMalformedError(f"{self.url}/{path}: a coding that was not asked for")
        data = bytearray()
        # read1 gives what has come: a sender of a byte a second meets the deadline, where read
        # would wait for a whole chunk with a fresh time-out for each byte.
        while chunk := answer.read1(_CHUNK, decode_content=False):
            data += chunk
            if len(data) > most:
                raise LogMalformedError(f"{self.url}/{path}: more than {most} bytes")
            if time.monotonic() > deadline:
                raise LogUnreachableError(
                    f"{self.url}/{path}: not whole after {self._seconds:g} seconds"
                )
        return bytes(data)


def _address(level: int | None, index: int, size: int) -> TileAddress:
    """The tile or bundle at a place of a log of `size` entries, as wide as it is there."""
    count = (size >> (TILE_HEIGHT * (level or 0))) - index * TILE_WIDTH
    if index < 0 or count < 1:
        raise ArgumentError(f"a log of {size} entries has no tile {level}/{index}")
    return TileAddress(level, index, min(count, TILE_WIDTH))


def _retry_after(header: str | None, default: float) -> float:
    return min(float(header), _MOST_PATIENCE) if header and header.isdigit() else default


def _in_words(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error)[:200]}"
