"""An observer that remembers what it was told, in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

from provenance.services.observing import Exchange, Failure, Observer, RequestContext, Step


@dataclass
class Recorder(Observer):
    """`steps` has "+name" and "-name"; the rest are lists of what was told."""

    steps: list[str] = field(default_factory=list)
    uploads: list[tuple[int, int, int]] = field(default_factory=list)
    batches: list[tuple[int, list[int]]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    exchanges: list[Exchange] = field(default_factory=list)
    requests: list[tuple[RequestContext, str | None]] = field(default_factory=list)

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        self.steps.append(f"+{name}")
        try:
            yield
        finally:
            self.steps.append(f"-{name}")

    def step(self, name: Step) -> AbstractContextManager[object]:
        return self._step(name)

    def request(
        self, context: RequestContext, traceparent: str | None
    ) -> AbstractContextManager[object]:
        self.requests.append((context, traceparent))
        return self._step("request")

    def answered(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)

    def refused(self, code: str) -> None:
        self.refusals.append(code)

    def accepted(self, *, events: int, known: int, links: int) -> None:
        self.uploads.append((events, known, links))

    def published(self, *, links: int, delays_ms: Sequence[int]) -> None:
        self.batches.append((links, list(delays_ms)))

    def failed(self, reason: Failure) -> None:
        self.failures.append(reason)
