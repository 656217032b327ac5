"""Traces by OpenTelemetry, sent to a collector by OTLP over HTTP. Imported only when asked for.

    request                     POST /api/v1/batches
      ├ admission               reading and checking the body
      └ transaction             waiting for the writer's turn … durable commit
          └ append              work under the locks
    round                       one batch of the sequencer
      ├ read ├ grow ├ commit ├ tiles ├ cosign └ publish
               └ decode, states, map, tree (below grow)
    witness, anchor             one call to others, each a trace of its own (threads of their own)

A span has its name, its times and numbers; a request's also method, route, status and the request's
id. No payload: exceptions are not recorded, for their texts quote; a span in which one passed has
the status "error" and the exception's type. A `traceparent` that a request brings becomes the
span's parent. None is sent to witnesses unless the setting `trace_witnesses` is ``on``: it would
tell them which of our rounds they belong to.

Sampling and resource are OpenTelemetry's own to set (`OTEL_TRACES_SAMPLER`,
`OTEL_RESOURCE_ATTRIBUTES`). Spans are sent in batches by a thread; a collector that is away costs
spans and nothing else.

Sources: OpenTelemetry specification 1.x (traces, OTLP/HTTP, HTTP semantic conventions), W3C Trace
Context.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from provenance.services.observing import Exchange, Observer, RequestContext, Step

_SEND_SECONDS: Final = 5
_PROPAGATOR: Final = TraceContextTextMapPropagator()
_OUTWARD: Final = frozenset({"witness", "anchor"})


class Traces(Observer):
    """Makes spans of what it is told. One object serves all threads."""

    def __init__(self, endpoint: str, process: str, *, tell_witnesses: bool = False) -> None:
        """`endpoint` is the collector's whole URL, such as ``http://127.0.0.1:4318/v1/traces``."""
        resource = Resource.create({"service.name": "provenance", "provenance.process": process})
        self._provider = TracerProvider(resource=resource)
        exporter = OTLPSpanExporter(endpoint=endpoint, timeout=_SEND_SECONDS)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("provenance")
        self._tell_witnesses = tell_witnesses

    def close(self) -> None:
        """Send what is left. Also done when the process ends by itself."""
        self._provider.shutdown()

    def step(self, name: Step) -> AbstractContextManager[object]:
        """A span below the present one."""
        return self._span(name, SpanKind.CLIENT if name in _OUTWARD else SpanKind.INTERNAL)

    def request(
        self, context: RequestContext, traceparent: str | None
    ) -> AbstractContextManager[object]:
        """The span of a request, below the caller's if it brings one."""
        parent = _PROPAGATOR.extract({"traceparent": traceparent}) if traceparent else Context()
        return self._span(
            f"{context.method} {context.route}",
            SpanKind.SERVER,
            {
                "http.request.method": context.method,
                "http.route": context.route,
                "provenance.request_id": context.id,
            },
            parent,
        )

    @contextmanager
    def _span(
        self,
        name: str,
        kind: SpanKind,
        attributes: Mapping[str, str] | None = None,
        parent: Context | None = None,
    ) -> Iterator[None]:
        with self._tracer.start_as_current_span(
            name,
            context=parent,
            kind=kind,
            attributes=attributes,
            record_exception=False,  # its text could quote what was uploaded
            set_status_on_exception=False,  # and so could the status' description
        ) as span:
            try:
                yield
            except BaseException as error:
                span.set_status(StatusCode.ERROR)
                span.set_attribute("error.type", type(error).__qualname__)
                raise

    def answered(self, exchange: Exchange) -> None:
        """Status and size of the request's span; a fault of ours makes it an error."""
        span = get_current_span()
        span.set_attribute("http.response.status_code", exchange.status)
        span.set_attribute("http.request.body.size", exchange.body_bytes)
        if exchange.status >= 500:
            span.set_status(StatusCode.ERROR)

    def refused(self, code: str) -> None:
        """The problem's code, on the request's span."""
        get_current_span().set_attribute("error.type", code)

    def accepted(self, *, events: int, known: int, links: int) -> None:
        """Numbers on the request's span."""
        span = get_current_span()
        span.set_attribute("provenance.events.new", events)
        span.set_attribute("provenance.events.known", known)
        span.set_attribute("provenance.links", links)

    def published(self, *, links: int, delays_ms: Sequence[int]) -> None:
        """Numbers on the round's span."""
        span = get_current_span()
        span.set_attribute("provenance.links", links)
        span.set_attribute("provenance.uploads", len(delays_ms))
        if delays_ms:
            span.set_attribute("provenance.longest_delay_ms", max(delays_ms))

    def outgoing(self) -> Mapping[str, str]:
        """The present span as a `traceparent`, where the setting says so."""
        headers: dict[str, str] = {}
        if self._tell_witnesses:
            _PROPAGATOR.inject(headers)
        headers.pop("tracestate", None)
        return headers
