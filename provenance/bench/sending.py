"""Sends a load over several connections, as a process of its own: its time is not the platform's.

    python -m provenance.bench.sending LOAD URL CONNECTIONS SECONDS RATE

Bodies go out in the order of the file, each to whichever connection is free, until the file ends or
SECONDS have passed. RATE is bodies a second, 0 for as fast as they are answered. A 429 or 503 is
waited for (a quarter of a second) and the body sent again. On standard output one JSON object:
answers by status, seconds, processor seconds of this process, milliseconds that an answer took
(from when it was due, where there is a rate).

Plain sockets: an HTTP library costs more for a small event than the platform does.
"""

from __future__ import annotations

import itertools
import json
import mmap
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from provenance.bench.timing import quantiles

_PAUSE: Final = 0.25
_AGAIN: Final = frozenset({429, 503})
_TIMEOUT: Final = 120.0
_PENDING: Final = 0  # counted among the statuses, and shown apart


class Sender:
    """One run over one load."""

    def __init__(self, bodies: Iterator[memoryview], url: str, seconds: float, rate: float) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "127.0.0.1", parts.port or 80)
        kind = "json" if parts.path.endswith("events") else "x-ndjson"
        self._head = (
            f"POST {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            f"Content-Type: application/{kind}\r\n"
        )
        self._bodies = enumerate(bodies)
        self._seconds = seconds
        self._rate = rate
        self._lock = threading.Lock()
        self._start = 0.0
        self.answers: Counter[int] = Counter()
        self.milliseconds: list[float] = []

    def run(self, connections: int) -> float:
        """Send everything; the seconds it took."""
        self._start = time.perf_counter()
        threads = [threading.Thread(target=self._work) for _ in range(connections)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return time.perf_counter() - self._start

    def _work(self) -> None:
        connection: socket.socket | None = None
        times: list[float] = []
        answers: Counter[int] = Counter()
        while (taken := self._take()) is not None:
            due, body = taken
            while True:
                status, connection = self._exchange(connection, body, answers)
                answers[status] += 1
                if status not in _AGAIN:
                    break
                time.sleep(_PAUSE)
            times.append(1000 * (time.perf_counter() - due))
        if connection is not None:
            connection.close()
        with self._lock:
            self.milliseconds += times
            self.answers += answers

    def _take(self) -> tuple[float, memoryview] | None:
        """The next body, and when it is due (now, where there is no rate)."""
        with self._lock:
            number, body = next(self._bodies, (0, None))
        now = time.perf_counter()
        if body is None or now - self._start > self._seconds:
            return None
        if not self._rate:
            return now, body
        due = self._start + number / self._rate
        time.sleep(max(0.0, due - now))
        return due, body

    def _exchange(
        self, connection: socket.socket | None, body: memoryview, answers: Counter[int]
    ) -> tuple[int, socket.socket | None]:
        head = f"{self._head}Content-Length: {len(body)}\r\n\r\n".encode()
        for _ in range(2):  # a kept connection may have been closed meanwhile
            fresh = connection is None
            if connection is None:
                connection = socket.create_connection(self._address, _TIMEOUT)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                connection.sendall(head + body if len(body) < 65_536 else head)
                if len(body) >= 65_536:
                    connection.sendall(body)
                status, stays, pending = _read_answer(connection)
            except OSError:
                connection.close()
                connection = None
                if fresh:
                    raise
                continue
            answers[_PENDING] += pending
            if not stays:
                connection.close()
            return status, connection if stays else None
        raise ConnectionError("no answer on a kept and on a fresh connection")


def _read_answer(connection: socket.socket) -> tuple[int, bool, bool]:
    """Status, does the connection stay, was the answer "accepted but not published yet"."""
    data = b""
    while (end := data.find(b"\r\n\r\n")) < 0:
        data += _some(connection)
    head = data[:end].lower()
    status = int(head[9:12])
    start = head.index(b"content-length:") + 15
    length = int(head[start:].split(b"\r\n", 1)[0])
    rest = length - (len(data) - end - 4)
    while rest > 0:
        rest -= len(_some(connection))
    pending = b"provenance-published: pending" in head
    return status, b"connection: close" not in head, pending


def _some(connection: socket.socket) -> bytes:
    data = connection.recv(262_144)
    if not data:
        raise ConnectionError("the server closed the connection")
    return data


def bodies_of(data: memoryview) -> Iterator[memoryview]:
    """The bodies of a load."""
    place = 0
    while place < len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        yield data[place + 4 : place + 4 + length]
        place += 4 + length


def main(load: str, url: str, connections: str, seconds: str, rate: str) -> None:
    """See the module text."""
    with Path(load).open("rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    sender = Sender(bodies_of(memoryview(data)), url, float(seconds), float(rate))
    took = sender.run(int(connections))
    pending = sender.answers.pop(_PENDING, 0)
    document = {
        "pending": pending,
        "answers": {str(status): count for status, count in sorted(sender.answers.items())},
        "seconds": took,
        "processor_seconds": time.process_time(),
        **quantiles(sender.milliseconds),
    }
    sys.stdout.write(json.dumps(document))


if __name__ == "__main__":
    main(*itertools.islice(sys.argv, 1, 6))
