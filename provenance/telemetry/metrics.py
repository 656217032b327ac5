"""Prometheus metrics: what is counted while working, and what is read when somebody asks.

Counted by :class:`Metrics` in every process of the platform and added up over all of them: events,
uploads, refusals, requests, steps, delays. Each process writes its numbers into files of a shared
directory (prometheus_client's multiprocess mode), so that one listener sees all of them, and a
worker that ends leaves its counts behind. Read by :class:`StandingCollector` from the database at
each scrape: queue, ages, sizes. Those are facts of the ledger and the same wherever they are asked.

Names follow Prometheus' rules (base units, `_total` on counters). Every label has a bounded set of
values: names of steps, rules of routes, methods, statuses, codes of problems, witnesses of the
policy; never a subject, a party, a path or an id. docs/operating.md explains each metric.

Sources: prometheus.io/docs/practices/naming, prometheus.github.io/client_python/multiprocess.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from provenance.services.observing import (
    FAILURES,
    OTHER_STEPS,
    SEQUENCER_STEPS,
    UPLOAD_STEPS,
    Exchange,
    Failure,
    Observer,
    RequestContext,
    Step,
)
from provenance.services.standing import Standing

MOST_CODES: Final = 200
"""Codes of problems that are told apart; docs/problems.md has about half as many."""
_CODE: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_OTHER: Final = "other"

_REQUEST_SECONDS: Final = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60)
_STEP_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60)
_DELAY_SECONDS: Final = (0.1, 0.25, 0.5, 0.75, 1, 1.5, 2.5, 5, 10, 30, 60, 300, 1800)


class Metrics(Observer):
    """Counts in this process. One object serves all threads."""

    def __init__(self) -> None:
        # A registry of its own: nothing is exposed from here in multiprocess mode, and two objects
        # in one process (tests) do not meet.
        self.registry = CollectorRegistry()
        self._define_uploads()
        self._define_http()
        self._define_sequencer()
        self._codes: dict[str, Counter] = {}
        self._answers: dict[tuple[str, str, int], Histogram] = {}
        self._bodies: dict[str, Counter] = {}
        self._lock = threading.Lock()

    def _define_uploads(self) -> None:
        events = self._counter(
            "provenance_events", "Events in accepted uploads, by whether they were new.", "outcome"
        )
        uploads = self._counter(
            "provenance_uploads", "Accepted uploads, by whether anything was new.", "outcome"
        )
        self._new_events, self._known_events = events.labels("new"), events.labels("known")
        self._new_uploads, self._known_uploads = uploads.labels("new"), uploads.labels("known")
        self._links = self._counter("provenance_links", "Links appended to chains.")
        self._refusals = self._counter(
            "provenance_refusals", "Problem documents answered, by their code.", "code"
        )
        steps = self._histogram(
            "provenance_upload_step_seconds", "Time in each step of an upload.", _STEP_SECONDS
        )
        self._steps: dict[Step, Histogram] = {step: steps.labels(step) for step in UPLOAD_STEPS}

    def _define_http(self) -> None:
        self._requests = Histogram(
            "provenance_http_request_duration_seconds",
            "From the head of a request to the head of its answer.",
            ("route", "method", "status"),
            buckets=_REQUEST_SECONDS,
            registry=self.registry,
        )
        self._body_bytes = self._counter(
            "provenance_http_request_body_bytes", "Bytes of request bodies as sent.", "route"
        )
        self._in_progress = Gauge(
            "provenance_http_requests_in_progress",
            "Requests being answered.",
            registry=self.registry,
            multiprocess_mode="livesum",
        )

    def _define_sequencer(self) -> None:
        steps = self._histogram(
            "provenance_sequencer_step_seconds", "Time in each step of a batch.", _STEP_SECONDS
        )
        self._steps |= {step: steps.labels(step) for step in SEQUENCER_STEPS}
        calls = self._histogram(
            "provenance_outside_call_seconds", "Time of one call to others.", _STEP_SECONDS
        )
        self._steps |= {step: calls.labels(step) for step in OTHER_STEPS}
        self._delay = Histogram(
            "provenance_publication_delay_seconds",
            "From an upload's acceptance to the publication that covers it.",
            buckets=_DELAY_SECONDS,
            registry=self.registry,
        )
        self._published = self._counter("provenance_published_links", "Links that were published.")
        failures = self._counter(
            "provenance_sequencer_failures", "Rounds that came to nothing, by reason.", "reason"
        )
        self._failures = {reason: failures.labels(reason) for reason in FAILURES}

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: Sequence[float]) -> Histogram:
        return Histogram(name, text, ("step",), buckets=buckets, registry=self.registry)

    def step(self, name: Step) -> AbstractContextManager[object]:
        """Measures; a step that fails took its time as well."""
        return _Timer(self._steps[name])

    def request(
        self,
        context: RequestContext,  # noqa: ARG002  counted when it is answered
        traceparent: str | None,  # noqa: ARG002
    ) -> AbstractContextManager[object]:
        """Counts it among those in progress."""
        return self._in_progress.track_inprogress()

    def answered(self, exchange: Exchange) -> None:
        """Into the histogram of its route, method and status."""
        key = (exchange.route, exchange.method, exchange.status)
        histogram = self._answers.get(key)
        if histogram is None:
            histogram = self._requests.labels(exchange.route, exchange.method, str(exchange.status))
            self._answers[key] = histogram
        histogram.observe(exchange.seconds)
        if exchange.body_bytes:
            self._body(exchange.route).inc(exchange.body_bytes)

    def _body(self, route: str) -> Counter:
        counter = self._bodies.get(route)
        if counter is None:
            counter = self._bodies[route] = self._body_bytes.labels(route)
        return counter

    def refused(self, code: str) -> None:
        """One more under its code."""
        counter = self._codes.get(code)
        if counter is None:
            counter = self._code(code)
        counter.inc()

    def _code(self, code: str) -> Counter:
        # Codes are literals of our source; should one ever be made of input, it ends here.
        with self._lock:
            known = len(self._codes) < MOST_CODES and len(code) <= 64 and _CODE.fullmatch(code)
            counter = self._refusals.labels(code if known else _OTHER)
            if known:
                self._codes[code] = counter
            return counter

    def accepted(self, *, events: int, known: int, links: int) -> None:
        """Events, links, and the upload itself."""
        if events:
            self._new_events.inc(events)
        if known:
            self._known_events.inc(known)
        (self._new_uploads if events else self._known_uploads).inc()
        if links:
            self._links.inc(links)

    def published(self, *, links: int, delays_ms: Sequence[int]) -> None:
        """Links, and the delay of each upload."""
        self._published.inc(links)
        for delay in delays_ms:
            self._delay.observe(delay / 1000)

    def failed(self, reason: Failure) -> None:
        """One more under its reason."""
        self._failures[reason].inc()


class _Timer:
    """Around one step. Made anew each time: threads share nothing."""

    __slots__ = ("_histogram", "_start")

    def __init__(self, histogram: Histogram) -> None:
        self._histogram = histogram

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._histogram.observe(time.perf_counter() - self._start)


class StandingCollector(Collector):
    """Gauges from the database, read at each scrape.

    `read` gives the present standing or raises; then `provenance_store_up` is 0 and no other gauge
    is given: an outage is not a queue of length 0.
    """

    def __init__(self, read: Callable[[], Standing]) -> None:
        self._read = read

    def describe(self) -> list[Metric]:
        """Nothing: the registry must not read the database when this is registered."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All gauges of docs/operating.md."""
        up = GaugeMetricFamily("provenance_store_up", "1 if the database answered this scrape.")
        try:
            standing = self._read()
        except Exception:  # whatever it is, the counters are still worth their scrape
            up.add_metric((), 0)
            yield up
            return
        up.add_metric((), 1)
        yield up
        yield from _plain(standing)
        yield from _ages(standing)


def _plain(standing: Standing) -> Iterator[Metric]:
    values = (
        ("queue_uploads", "Accepted uploads that wait for an index.", standing.queue_uploads),
        ("queue_links", "Links in these uploads.", standing.queue_links),
        (
            "oldest_unpublished_upload_age_seconds",
            "Since the oldest upload was accepted that no reader can see yet; 0 without one.",
            standing.oldest_unpublished_s,
        ),
        ("log_published_entries", "Entries that readers may see.", standing.published),
        ("log_signed_entries", "Entries under the newest signed checkpoint.", standing.signed),
        ("log_ignored_links", "Links in the log that continue no chain.", standing.ignored),
        ("map_subjects", "Subjects in the map.", standing.subjects),
        ("fork_evidence", "Proofs that the log's key signed two histories.", standing.forks),
        (
            "sequencer_lease_remaining_seconds",
            "Until the sequencer's lease ends unless renewed; 0 when nobody holds it.",
            standing.lease_left_s,
        ),
    )
    for name, text, value in values:
        yield GaugeMetricFamily(f"provenance_{name}", text, value)
    yield CounterMetricFamily(
        "provenance_sequencer_terms",
        "How often the sequencer's lease was taken, over the life of the log.",
        standing.lease_terms,
    )


def _ages(standing: Standing) -> Iterator[Metric]:
    checkpoint = GaugeMetricFamily(
        "provenance_checkpoint_age_seconds", "Since the checkpoint that readers see was published."
    )
    if standing.checkpoint_s is not None:
        checkpoint.add_metric((), standing.checkpoint_s)
    yield checkpoint
    age = GaugeMetricFamily(
        "provenance_cosignature_age_seconds",
        "Age of a witness's cosignature on the published checkpoint.",
        labels=("witness",),
    )
    has = GaugeMetricFamily(
        "provenance_witness_has_cosigned",
        "1 if the published checkpoint bears this witness's cosignature.",
        labels=("witness",),
    )
    for name, seconds in standing.cosigned_s.items():
        has.add_metric((name,), seconds is not None)
        if seconds is not None:
            age.add_metric((name,), seconds)
    yield age
    yield has
    anchor = GaugeMetricFamily(
        "provenance_anchor_age_seconds", "Age of the newest anchor by kind.", labels=("kind",)
    )
    for kind, seconds in standing.anchored_s.items():
        if seconds is not None:
            anchor.add_metric((kind,), seconds)
    yield anchor
