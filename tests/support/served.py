"""A whole platform behind real HTTP, for tests of the client, the commands and the documents.

:func:`serving` runs it inside the test process: an HTTP server thread over `create_app`, a
sequencer thread, a data directory of its own. It starts in half a second, so one for each test
module is cheap. :class:`Flaw` stands between server and application and does to chosen answers what
a bad network does. Tests of processes (signals, restarts) start `provenance serve` itself instead.
"""

from __future__ import annotations

import io
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from werkzeug.serving import WSGIRequestHandler, make_server

from provenance.client.api import Api
from provenance.client.party_events import Registrar
from provenance.client.sealing import Signer
from provenance.config import Settings
from provenance.crypto.signing import PrivateKey
from provenance.domain.party_events import operator_uri
from provenance.platform import Platform, initialise, system_clock
from provenance.web import create_app

Wsgi = Callable[[dict[str, Any], Any], Any]
CONTEXT = [
    "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld",
    {"prov": "https://provenance.example/ns/v1/", "ex": "https://example.org/ns/"},
]


def now() -> int:
    """POSIX seconds of the platform's own clock."""
    return system_clock() // 1000


@dataclass
class Flaw:
    """What happens to POST and PATCH requests, one entry a request; then nothing any more.

    "lost": the request is carried out and the connection closed without an answer; "cut": the same,
    but only half of its body comes; "busy": 503 without carrying it out; "full": 429; "well":
    nothing; a callable is given the answer's body and returns another.
    """

    app: Wsgi
    plan: list[Any] = field(default_factory=list)

    def __call__(self, environ: dict[str, Any], start: Any) -> Any:
        if environ["REQUEST_METHOD"] not in ("POST", "PATCH") or not self.plan:
            return self.app(environ, start)
        step = self.plan.pop(0)
        if step == "well":
            return self.app(environ, start)
        if step in ("busy", "full"):
            _body(environ)
            status = "503 Service Unavailable" if step == "busy" else "429 Too Many Requests"
            start(status, [("Retry-After", "0"), ("Content-Length", "0")])
            return [b""]
        if step == "cut":
            body = _body(environ)
            environ["wsgi.input"] = io.BytesIO(body[: len(body) // 2])
        if step in ("lost", "cut"):
            b"".join(self.app(environ, lambda *_: lambda _: None))
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            raise ConnectionResetError  # which the server takes as: nobody is there any more
        return self._changed(environ, start, step)

    def _changed(self, environ: dict[str, Any], start: Any, change: Callable[..., bytes]) -> Any:
        kept: list[Any] = []
        body = change(b"".join(self.app(environ, lambda *args: kept.extend(args))))
        headers = [(n, v) for n, v in kept[1] if n.lower() != "content-length"]
        start(kept[0], [*headers, ("Content-Length", str(len(body)))])
        return [body]


def _body(environ: dict[str, Any]) -> bytes:
    length = environ.get("CONTENT_LENGTH")  # none: the server takes the chunks apart, to their end
    return bytes(environ["wsgi.input"].read(*([int(length)] if length else [])))


@dataclass(frozen=True)
class Served:
    """A running platform. `flaw.plan` makes its answers bad."""

    url: str
    settings: Settings
    platform: Platform
    flaw: Flaw

    @property
    def data(self) -> Path:
        """Its data directory."""
        return self.settings.data

    @property
    def origin(self) -> str:
        """Its log's name."""
        return self.platform.origin

    def api(self) -> Api:
        """A client that does not really wait between its attempts."""
        return Api(self.url, sleep=lambda _: None)

    @property
    def operator(self) -> Signer:
        """The operator with its own key."""
        return Signer(self.origin, operator_uri(self.origin), self.platform.keys.operator)

    def registrar(self) -> Registrar:
        """For party events."""
        return Registrar(self.api(), now(), os.urandom)

    def party(self, name: str, role: str | None = "brand", custody: str = "party") -> Signer:
        """A new party ``https://<name>.example`` with a key of its own, accredited if `role`."""
        signer = Signer(self.origin, f"https://{name}.example", PrivateKey.generate())
        self.registrar().register(signer, {"en": name}, custody)
        if role is not None:
            self.registrar().accredit(self.operator, signer.party, role)
        return signer


def answered_whole(app: Wsgi) -> Wsgi:
    """`app`, whose answers are read and closed before the server sends them.

    werkzeug's server looks for what else the client sent before it closes an answer, and a client
    that has gone away makes that raise: a static file would stay open, with a warning later, in
    whichever test comes next.
    """

    def answer(environ: dict[str, Any], start: Any) -> Any:
        parts = app(environ, start)
        try:
            return [b"".join(parts)]
        finally:
            if hasattr(parts, "close"):
                parts.close()

    return answer


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: Any) -> None:
        """Nothing: the tests speak for themselves."""


@contextmanager
def serving(data: Path, database: str = "", **changes: Any) -> Iterator[Served]:
    """A platform on a free port of the loopback address until the block ends."""
    settings = Settings(data=data, database=database, publish_interval_ms=20, **changes)
    initialise(settings)
    platform, behind = Platform.open(settings), Platform.open(settings)
    flaw = Flaw(answered_whole(create_app(platform)))
    server = make_server("127.0.0.1", 0, flaw, threaded=True, request_handler=_Quiet)
    server.daemon_threads = True  # type: ignore[attr-defined]  # kept-alive connections end with us
    server.block_on_close = False  # type: ignore[attr-defined]
    stop = threading.Event()
    threads = [
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}),
        threading.Thread(target=behind.sequencer.run, args=(stop,)),
    ]
    for thread in threads:
        thread.start()
    try:
        yield Served(f"http://127.0.0.1:{server.port}", settings, platform, flaw)
    finally:
        stop.set()
        server.shutdown()
        for thread in threads:
            thread.join()
        server.server_close()
        platform.close()
        behind.close()


def item(serial: str) -> str:
    """An item of a product, as its canonical identifier."""
    return f"https://id.gs1.org/01/09506000134352/21/{serial}"


def observed(*serials: str, **members: Any) -> dict[str, Any]:
    """An EPCIS document of one ObjectEvent about each serial."""
    events = [
        {
            "type": "ObjectEvent",
            "eventTime": "2025-06-01T08:00:00.000Z",
            "eventTimeZoneOffset": "+00:00",
            "action": "OBSERVE",
            "bizStep": "inspecting",
            "epcList": [item(serial)],
            **members,
        }
        for serial in serials
    ]
    return {
        "@context": CONTEXT,
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": "2025-06-01T08:00:00Z",
        "epcisBody": {"eventList": events},
    }
