"""Where metrics are fetched: a small HTTP server of its own, apart from what the public reaches.

`provenance serve` runs it in its own process, beside the web workers and the sequencer. It answers
GET /metrics on the address of the setting `metrics` and nothing else: what it tells is for the
operator (how much is uploaded, who cosigned when), so it belongs on the loopback address or a
network of the operator's. Numbers of all processes lie in one directory, made at the start and
removed at the end; the gauges are read from the database, once for all who ask within a second, so
that asking often costs nothing.

The directory lies in memory (/dev/shm) where there is one: a process that writes into a mapped
file on a full disk is killed by the kernel, and metrics must not take the platform with them.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector

from provenance.config import Settings
from provenance.domain.errors import DomainError
from provenance.platform import Platform
from provenance.services.standing import Standing, read_standing
from provenance.telemetry.metrics import StandingCollector

PATH: Final = "/metrics"
FRESH_SECONDS: Final = 1.0
"""For so long one reading of the database serves all who ask."""
_MEMORY: Final = Path("/dev/shm")  # noqa: S108  a directory of our own is made in it, mode 0700
_PREFIX: Final = "provenance-metrics-"
_LOCK: Final = "lock"
_READ_SECONDS: Final = 10.0


class MetricsAddressError(DomainError):
    """Nobody can listen for scrapes there; the message names setting, address and reason."""


class Directory:
    """Where the processes of one `provenance serve` count; only its user can look into it.

    Whoever was killed outright leaves its directory behind; the next one removes it. A lock held in
    it, and not a process id, says whether somebody still counts there: containers may share the
    memory file system and not the ids.
    """

    def __init__(self, home: Path | None = None) -> None:
        if home is None:
            home = _MEMORY if os.access(_MEMORY, os.W_OK) else Path(tempfile.gettempdir())
        remove_abandoned(home)
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=home))
        self._lock = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def remove(self) -> None:
        """With all that was counted."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def remove_abandoned(home: Path) -> None:
    """Directories below `home` that nobody holds any more; those of other users stay."""
    for path in home.glob(f"{_PREFIX}*/{_LOCK}"):
        try:
            lock = os.open(path, os.O_RDWR)
        except OSError:  # another user's, or gone this moment
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path.parent, ignore_errors=True)
        except OSError:
            pass  # held: somebody counts there
        finally:
            os.close(lock)


class Listener:
    """Serves scrapes in threads of its own from :meth:`start` to :meth:`stop`."""

    def __init__(self, settings: Settings) -> None:
        """Binds and makes the directory; raises MetricsAddressError where nobody can listen."""
        host, port = settings.metrics_address or ("127.0.0.1", 0)
        try:
            self._server = _Server((host, port))
        except OSError as error:
            raise MetricsAddressError(
                f"cannot listen for metrics on {host}, port {port}: {error.strerror or error}; "
                "choose another address with PROVENANCE_METRICS"
            ) from error
        self._directory = Directory()
        registry = self._server.registry
        MultiProcessCollector(registry, str(self.directory))  # type: ignore[no-untyped-call]
        registry.register(StandingCollector(_Remembering(self._read)))
        self._settings = settings
        self._platform: Platform | None = None
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="metrics", daemon=True
        )

    @property
    def directory(self) -> Path:
        """Where the children shall count."""
        return self._directory.path

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """End, and remove the directory."""
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()
        if self._platform is not None:
            self._platform.close()
        self._directory.remove()

    def _read(self) -> Standing:
        # Opened when first asked: while the platform starts there may be nothing to open yet.
        if self._platform is None:
            self._platform = Platform.open(self._settings)
        platform = self._platform
        return read_standing(
            platform.database, platform.policy, platform.clock, platform.anchor_kinds
        )


class _Remembering:
    """One reading at a time, and none while the last one is fresh."""

    def __init__(self, read: Callable[[], Standing]) -> None:
        self._read = read
        self._lock = threading.Lock()
        self._last: tuple[float, Standing] | None = None

    def __call__(self) -> Standing:
        with self._lock:
            if self._last is None or time.monotonic() - self._last[0] > FRESH_SECONDS:
                standing = self._read()
                self._last = (time.monotonic(), standing)
            return self._last[1]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int]) -> None:
        self.registry = CollectorRegistry()
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, _Scrape)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A scraper that went away is no news, and its address none of ours to write down."""


class _Scrape(BaseHTTPRequestHandler):
    server: _Server
    timeout = _READ_SECONDS  # an idle connection is not kept for ever

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != PATH:
            self.send_error(404)
            return
        encode, media_type = choose_encoder(self.headers.get("Accept", ""))
        body = encode(self.server.registry)
        self.send_response(200)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: scrapes come every few seconds."""
