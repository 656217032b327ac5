"""Files fetched before they are asked for, a few at a time: a log that is far away stays quick.

An auditor knows which files come next (the paths follow from the size), and a log a hundred
milliseconds away would otherwise be read at ten files a second. Which bytes come is not changed by
this, nor what a missing file means: an error is kept until the file is asked for.

Memory: at most `WINDOW` files of `MAX_AHEAD_BYTES`. A longer file is fetched again when it is asked
for, with the limit that is then given.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from provenance.domain.log_source import LogMalformedError
from provenance.services.auditing_tree import Source

WINDOW: Final = 16
MAX_AHEAD_BYTES: Final = 1024 * 1024
_THREADS: Final = 4  # connections that a reader keeps open


class Ahead:
    """A source in front of `source`, which several threads must be able to use. Close it."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="audit")
        self._waiting: dict[str, None] = {}  # an ordered set
        self._coming: dict[str, Future[bytes]] = {}

    def __enter__(self) -> Ahead:
        return self

    def __exit__(self, *_: object) -> None:
        """What is being fetched ends by itself and is forgotten."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    @property
    def url(self) -> str:
        """See `Source.url`."""
        return self._source.url

    def expect(self, paths: Iterable[str]) -> None:
        """These will be asked for, in this order."""
        for path in paths:
            if path not in self._coming:
                self._waiting.setdefault(path)
        self._fetch()

    def read(self, path: str, most: int) -> bytes:
        """See `Source.read`."""
        self._waiting.pop(path, None)
        coming = self._coming.pop(path, None)
        self._fetch()
        if coming is None:
            return self._source.read(path, most)
        try:
            data = coming.result()
        except LogMalformedError:
            return self._source.read(path, most)
        if len(data) > most:
            raise LogMalformedError(f"{self.url}/{path}: more than {most} bytes")
        return data

    def _fetch(self) -> None:
        while self._waiting and len(self._coming) < WINDOW:
            path = next(iter(self._waiting))
            del self._waiting[path]
            self._coming[path] = self._threads.submit(self._source.read, path, MAX_AHEAD_BYTES)
