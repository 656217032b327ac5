"""How services say what they do, to whoever wants to know: metrics, traces, tests.

Services and the web edge are given an :class:`Observer` and tell it of steps as they are done and
of outcomes as they are known. The one defined here listens to nothing and costs a call; those of
:mod:`provenance.telemetry` count, measure and trace. Nothing that is told here holds payload: names
of steps and routes, numbers, codes of problems. An observer never raises and never waits, because
what it is told of must not depend on it.

Also here, because services, web and log lines share it: the request in which a thread is working
(:data:`request_context`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from provenance.services.witnessing import Answered, WitnessTransport

UploadStep = Literal["admission", "transaction", "append"]
"""``admission``: reading and checking the body, as fast as it comes in; ``transaction``: from the
wait for the writer's turn to the durable commit; ``append``: the part of it that works under the
locks, so that the difference of the two is waiting and commit."""
SequencerStep = Literal[
    "round",
    "read",
    "grow",
    "decode",
    "states",
    "map",
    "tree",
    "commit",
    "tiles",
    "cosign",
    "publish",
]
"""Of one batch, in this order, all within ``round``: the steps of `services.sequencing`. ``decode``
to ``tree`` are parts of ``grow``; ``map`` is gone into twice, down and up again."""
Step = UploadStep | SequencerStep | Literal["anchor", "witness"]
"""``anchor``: one third party asked for a date; ``witness``: one call to a witness."""
Failure = Literal["quorum", "store", "refusal"]
"""Why a round of the sequencer came to nothing: too few cosignatures; a store or a fault of ours,
tried again; evidence against signing, final."""

UPLOAD_STEPS: Final[tuple[UploadStep, ...]] = ("admission", "transaction", "append")
SEQUENCER_STEPS: Final[tuple[SequencerStep, ...]] = (
    *("round", "read", "grow", "decode", "states", "map", "tree"),
    *("commit", "tiles", "cosign", "publish"),
)
OTHER_STEPS: Final[tuple[Step, ...]] = ("anchor", "witness")
FAILURES: Final[tuple[Failure, ...]] = ("quorum", "store", "refusal")


@dataclass(frozen=True, slots=True)
class RequestContext:
    """The HTTP request that is being answered. `route` is the rule, never the path itself; a
    `method` that HTTP does not know is ``other``, for a client could write anything there."""

    id: str
    method: str
    route: str


request_context: Final[ContextVar[RequestContext | None]] = ContextVar("request", default=None)
"""Set by the web edge for the length of a request; None elsewhere."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One HTTP request and its answer. `seconds` from its head to the answer's, `body_bytes` as
    they came over the wire."""

    method: str
    route: str
    status: int
    seconds: float
    body_bytes: int


class Observer:
    """Hears everything and does nothing. A subclass does something with what it is told."""

    def step(self, name: Step) -> AbstractContextManager[object]:  # noqa: ARG002  not heard here
        """Around one step of work."""
        return _NOTHING

    def request(
        self,
        context: RequestContext,  # noqa: ARG002  not heard here
        traceparent: str | None,  # noqa: ARG002
    ) -> AbstractContextManager[object]:
        """Around one HTTP request; `traceparent` is the header as it came (W3C Trace Context)."""
        return _NOTHING

    def answered(self, exchange: Exchange) -> None:
        """An HTTP request has its answer."""

    def refused(self, code: str) -> None:
        """A problem document with this code was answered."""

    def accepted(self, *, events: int, known: int, links: int) -> None:
        """An upload was accepted: new events, events that stood already, links appended."""

    def published(self, *, links: int, delays_ms: Sequence[int]) -> None:
        """A batch became visible: its links, and from acceptance to now for each upload in it."""

    def failed(self, reason: Failure) -> None:
        """A round of the sequencer came to nothing."""

    def outgoing(self) -> Mapping[str, str]:
        """Headers for a request to a witness: none, unless somebody wants to be followed there."""
        return {}


class Both(Observer):
    """Two observers; what both are told, the first hears first."""

    def __init__(self, first: Observer, second: Observer) -> None:
        self._first = first
        self._second = second

    @contextmanager
    def _within(
        self, first: AbstractContextManager[object], second: AbstractContextManager[object]
    ) -> Iterator[None]:
        with first, second:
            yield

    def step(self, name: Step) -> AbstractContextManager[object]:
        """Around it for both."""
        return self._within(self._first.step(name), self._second.step(name))

    def request(
        self, context: RequestContext, traceparent: str | None
    ) -> AbstractContextManager[object]:
        """Around it for both."""
        return self._within(
            self._first.request(context, traceparent), self._second.request(context, traceparent)
        )

    def answered(self, exchange: Exchange) -> None:
        """To both."""
        self._first.answered(exchange)
        self._second.answered(exchange)

    def refused(self, code: str) -> None:
        """To both."""
        self._first.refused(code)
        self._second.refused(code)

    def accepted(self, *, events: int, known: int, links: int) -> None:
        """To both."""
        self._first.accepted(events=events, known=known, links=links)
        self._second.accepted(events=events, known=known, links=links)

    def published(self, *, links: int, delays_ms: Sequence[int]) -> None:
        """To both."""
        self._first.published(links=links, delays_ms=delays_ms)
        self._second.published(links=links, delays_ms=delays_ms)

    def failed(self, reason: Failure) -> None:
        """To both."""
        self._first.failed(reason)
        self._second.failed(reason)

    def outgoing(self) -> Mapping[str, str]:
        """Of both."""
        return {**self._first.outgoing(), **self._second.outgoing()}


_NOTHING: Final = nullcontext()
SILENT: Final = Observer()
"""The observer of whoever was given none."""


@dataclass(frozen=True, slots=True)
class ObservedWitness:
    """A witness (`services.witnessing.WitnessTransport`) each call to which is told as a step."""

    witness: WitnessTransport
    observer: Observer

    def add_checkpoint(self, body: bytes) -> Answered:
        """As the witness does."""
        with self.observer.step("witness"):
            return self.witness.add_checkpoint(body)

    def show_checkpoint(self, origin: str) -> Answered:
        """As the witness does."""
        with self.observer.step("witness"):
            return self.witness.show_checkpoint(origin)
