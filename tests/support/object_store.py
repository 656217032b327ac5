"""A real object store for tests: moto's S3 server as a process of its own, which can be told to
fail.

    python -m tests.support.object_store HOST PORT

In front of moto, in the same process, stand two things. A lock: moto looks whether a condition
holds and writes in two steps, and a store that keeps conditions does both in one. And a fault: the
next requests of one kind can be refused, done and not answered, or held back (:class:`Fault`),
asked for over HTTP at ``/_fault``.

Without moto the tests are skipped with that reason; in CI they fail.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import pytest

from provenance.storage.s3 import S3TileStore
from tests.support.missing import missing
from tests.support.processes import free_port, until

ROOT = Path(__file__).resolve().parents[2]
BUCKET = "tiles"
#: What the library needs to sign requests; moto takes any, and asks no machine for a role.
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}

Kind = Literal["refused", "unanswered", "held", "unconditional", "broken off"]


@dataclass(frozen=True)
class Fault:
    """What happens to the next `times` requests of `method` whose path contains `part`.

    "refused": `status`, not done. "unanswered": done, then the connection is cut. "held": not done
    until the fault is taken away. "unconditional": done without looking at the condition.
    "broken off": done, half of the body is sent.
    """

    kind: Kind
    method: str
    part: str = ""
    times: int = 1
    status: int = 500


@dataclass
class ObjectStore:
    """The running server; one bucket is there, :meth:`open` gives a prefix of it."""

    url: str

    def open(self, prefix: str = "log", timeout_ms: int = 5_000) -> S3TileStore:
        """A store of its own, as another process would open it."""
        return S3TileStore.open(
            self.tiles_url(prefix), endpoint=self.url, region="us-east-1", timeout_ms=timeout_ms
        )

    def tiles_url(self, prefix: str) -> str:
        """As the setting has it."""
        return f"s3://{BUCKET}/{prefix}"

    def fault(self, fault: Fault | None) -> None:
        """From now on; None lets everything pass again, what is held too."""
        _send(f"{self.url}/_fault", "null" if fault is None else json.dumps(asdict(fault)))

    def struck(self) -> int:
        """How many requests the newest fault has met."""
        return int(_send(f"{self.url}/_struck", ""))

    @contextmanager
    def failing(self, fault: Fault) -> Iterator[None]:
        """The fault for the length of a block."""
        self.fault(fault)
        try:
            yield
        finally:
            self.fault(None)


def _send(url: str, text: str) -> str:
    with urllib.request.urlopen(url, data=text.encode(), timeout=10) as answer:
        return str(answer.read().decode())


def require_moto() -> None:
    """Skips with a reason where it is not installed; fails there in CI."""
    if find_spec("moto") is not None and find_spec("boto3") is not None:
        return
    missing("no object store: moto is not installed (make setup-test)")


@contextmanager
def serving_objects(
    output: Path, host: str = "127.0.0.1", command: Iterable[str] = ()
) -> Iterator[ObjectStore]:
    """A store with an empty bucket until the block ends; `command` goes before its own."""
    require_moto()
    port = free_port()
    with output.open("wb") as sink:
        process = subprocess.Popen(
            [*command, sys.executable, "-m", "tests.support.object_store", host, str(port)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
        )
    try:
        until(lambda: _listens(host, port) or process.poll() is not None, 90)
        assert process.poll() is None, output.read_text("utf-8", errors="replace")
        store = ObjectStore(f"http://{host}:{port}")
        request = urllib.request.Request(f"{store.url}/{BUCKET}", method="PUT", data=b"")
        urllib.request.urlopen(request, timeout=30).close()
        yield store
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _listens(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


@pytest.fixture(scope="session")
def object_store(
    closed_network: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ObjectStore]:
    """One server for this test process, with credentials for whoever asks it."""
    patch = pytest.MonkeyPatch()
    for name, value in CREDENTIALS.items():
        patch.setenv(name, value)
    with serving_objects(tmp_path_factory.mktemp("objects") / "moto.log") as store:
        yield store
    patch.undo()


# --- the process ----------------------------------------------------------------------------------

Environ = dict[str, Any]
Start = Callable[..., Any]


class Front:
    """A WSGI application before moto's: the lock and the fault."""

    def __init__(self, real: Callable[[Environ, Start], Iterable[bytes]]) -> None:
        self._real = real
        self._one = threading.Lock()
        self._changed = threading.Condition()
        self._fault: Fault | None = None
        self._left = 0
        self._struck = 0

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path in {"/_fault", "/_struck"}:
            return self._told(path, environ, start)
        fault = self._meets(environ["REQUEST_METHOD"], path)
        if fault is None:
            return self._do(environ, start)
        if fault.kind == "refused":
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start(f"{fault.status} Refused", [("Content-Length", "0")])
            return [b""]
        if fault.kind == "unconditional":
            for name in ("HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH"):
                environ.pop(name, None)
        if fault.kind == "held":
            with self._changed:
                self._changed.wait_for(lambda: self._fault is not fault)
        answer = self._do(environ, start)
        if fault.kind == "broken off":
            whole = b"".join(answer)  # its length is announced already
            return _cut_after(environ, whole[: len(whole) // 2])
        if fault.kind == "unanswered":
            _cut(environ)
        return answer

    def _do(self, environ: Environ, start: Start) -> Iterable[bytes]:
        with self._one:
            return list(self._real(environ, start))

    def _meets(self, method: str, path: str) -> Fault | None:
        with self._changed:
            fault = self._fault
            if fault is None or not self._left or method != fault.method or fault.part not in path:
                return None
            self._left -= 1
            self._struck += 1
            return fault

    def _told(self, path: str, environ: Environ, start: Start) -> Iterable[bytes]:
        text = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        with self._changed:
            if path == "/_fault":
                told = json.loads(text)
                self._fault = None if told is None else Fault(**told)
                self._left = 0 if told is None else told["times"]
                self._struck = self._struck if told is None else 0
                self._changed.notify_all()
            body = str(self._struck).encode()
        start("200 OK", [("Content-Length", str(len(body)))])
        return [body]


def _cut(environ: Environ) -> None:
    environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)


def _cut_after(environ: Environ, part: bytes) -> Iterator[bytes]:
    yield part
    _cut(environ)


def main() -> None:
    """Serves until it is ended."""
    from moto.moto_server.werkzeug_app import (  # noqa: PLC0415  in the process alone
        DomainDispatcherApplication,
        create_backend_app,
    )
    from werkzeug.serving import WSGIRequestHandler, run_simple  # noqa: PLC0415

    class Handler(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"  # connections are kept, as real stores do

        def log_request(self, *_: Any) -> None:
            """Thousands of lines that nobody reads."""

    host, port = sys.argv[1:]
    front = Front(DomainDispatcherApplication(create_backend_app))
    run_simple(host, int(port), front, threaded=True, request_handler=Handler)


if __name__ == "__main__":
    main()
