"""A collector: a real OTLP/HTTP receiver that decodes what it is sent (OTLP 1.x, protobuf)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status


@dataclass(frozen=True)
class Seen:
    """One span with its resource's attributes."""

    span: Span
    resource: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.span.name)

    @property
    def attributes(self) -> dict[str, Any]:
        return _values(self.span.attributes)

    @property
    def is_error(self) -> bool:
        return bool(self.span.status.code == Status.STATUS_CODE_ERROR)


def _values(attributes: Any) -> dict[str, Any]:
    return {
        item.key: getattr(item.value, str(item.value.WhichOneof("value"))) for item in attributes
    }


@dataclass
class Collector:
    """What came in: whole bodies, and the spans in them."""

    url: str = ""
    bodies: list[bytes] = field(default_factory=list)
    spans: list[Seen] = field(default_factory=list)

    def named(self, name: str) -> list[Seen]:
        return [seen for seen in self.spans if seen.name == name]

    def parent_of(self, seen: Seen) -> Seen | None:
        """Which of the spans is its parent, if that one came."""
        for other in self.spans:
            if other.span.span_id == seen.span.parent_span_id:
                return other
        return None

    def take(self, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        self.bodies.append(body)
        for group in request.resource_spans:
            resource = _values(group.resource.attributes)
            self.spans += [
                Seen(span, resource) for scope in group.scope_spans for span in scope.spans
            ]


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector on a free port until the block ends."""
    collector = Collector()
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            is_traces = self.path == "/v1/traces"
            if is_traces and self.headers["Content-Type"] == "application/x-protobuf":
                with lock:
                    collector.take(body)
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(200)
            else:
                answer = b""
                self.send_response(404)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: the tests speak for themselves."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    collector.url = f"http://127.0.0.1:{server.server_address[1]}/v1/traces"
    try:
        yield collector
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
