"""What is counted, under which names and labels, and that labels stay few."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from provenance.services.observing import (
    FAILURES,
    OTHER_STEPS,
    SEQUENCER_STEPS,
    UPLOAD_STEPS,
    Exchange,
    RequestContext,
)
from provenance.services.standing import Standing
from provenance.storage.errors import StoreUnavailableError
from provenance.telemetry.metrics import MOST_CODES, Metrics, StandingCollector

STANDING = Standing(
    queue_uploads=2,
    queue_links=30,
    oldest_unpublished_s=1.5,
    published=90,
    signed=120,
    subjects=7,
    ignored=1,
    checkpoint_s=4.0,
    cosigned_s={"clock": 3.0, "blue": None},
    forks=0,
    lease_left_s=8.0,
    lease_terms=5,
    anchored_s={"evm": None, "rfc3161": 60.0},
)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"provenance_{name}", labels)


def labels_of(registry: CollectorRegistry, name: str) -> list[Mapping[str, str]]:
    return [
        sample.labels
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == f"provenance_{name}"
    ]


def test_uploads_count_new_and_known_events_and_links(metrics: Metrics) -> None:
    metrics.accepted(events=3, known=1, links=5)
    metrics.accepted(events=0, known=4, links=0)
    assert value(metrics, "events_total", outcome="new") == 3
    assert value(metrics, "events_total", outcome="known") == 5
    assert value(metrics, "uploads_total", outcome="new") == 1
    assert value(metrics, "uploads_total", outcome="known") == 1
    assert value(metrics, "links_total") == 5


def test_publications_measure_each_upload(metrics: Metrics) -> None:
    metrics.published(links=7, delays_ms=[200, 900, 70_000])
    assert value(metrics, "published_links_total") == 7
    assert value(metrics, "publication_delay_seconds_count") == 3
    assert value(metrics, "publication_delay_seconds_sum") == pytest.approx(71.1)
    assert value(metrics, "publication_delay_seconds_bucket", le="1.0") == 2


@pytest.mark.parametrize(
    ("metric", "steps"),
    [
        ("upload_step", UPLOAD_STEPS),
        ("sequencer_step", SEQUENCER_STEPS),
        ("outside_call", OTHER_STEPS),
    ],
)
def test_every_step_has_a_histogram_from_the_start(
    metrics: Metrics, metric: str, steps: tuple[str, ...]
) -> None:
    for step in steps:
        name = f"{metric}_seconds_count"
        assert value(metrics, name, step=step) == 0
        with pytest.raises(RuntimeError, match="broken"), metrics.step(step):  # type: ignore[arg-type]
            raise RuntimeError("broken")
        assert value(metrics, name, step=step) == 1  # it took its time, whatever became of it


def test_a_request_is_counted_by_route_method_and_status(metrics: Metrics) -> None:
    context = RequestContext("0" * 32, "POST", "/api/v1/batches")
    with metrics.request(context, None):
        assert value(metrics, "http_requests_in_progress") == 1
    assert value(metrics, "http_requests_in_progress") == 0
    for _ in range(2):
        metrics.answered(Exchange("POST", "/api/v1/batches", 201, 0.03, 700))
    labels = {"route": "/api/v1/batches", "method": "POST", "status": "201"}
    assert value(metrics, "http_request_duration_seconds_count", **labels) == 2
    assert value(metrics, "http_request_body_bytes_total", route="/api/v1/batches") == 1_400


def test_codes_that_no_source_wrote_are_one_label_and_few_are_told_apart(metrics: Metrics) -> None:
    for code in ("not-json", "not-json", "Möbel", "a" * 65, "x y", ""):
        metrics.refused(code)
    assert value(metrics, "refusals_total", code="not-json") == 2
    assert value(metrics, "refusals_total", code="other") == 4
    for number in range(2 * MOST_CODES):
        metrics.refused(f"code-{number}")
    assert len(labels_of(metrics.registry, "refusals_total")) == MOST_CODES + 1


def test_failures_are_there_before_the_first_one(metrics: Metrics) -> None:
    assert [value(metrics, "sequencer_failures_total", reason=r) for r in FAILURES] == [0, 0, 0]
    metrics.failed("quorum")
    assert value(metrics, "sequencer_failures_total", reason="quorum") == 1


def test_the_standing_becomes_gauges_and_what_is_absent_stays_absent() -> None:
    registry = CollectorRegistry()
    registry.register(StandingCollector(lambda: STANDING))

    def gauge(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"provenance_{name}", labels)

    assert gauge("store_up") == 1
    assert gauge("queue_links") == 30
    assert gauge("oldest_unpublished_upload_age_seconds") == 1.5
    assert (gauge("log_published_entries"), gauge("log_signed_entries")) == (90, 120)
    assert gauge("sequencer_terms_total") == 5
    assert gauge("cosignature_age_seconds", witness="clock") == 3
    assert gauge("cosignature_age_seconds", witness="blue") is None
    assert gauge("witness_has_cosigned", witness="clock") == 1
    assert gauge("witness_has_cosigned", witness="blue") == 0
    assert gauge("anchor_age_seconds", kind="rfc3161") == 60
    assert gauge("anchor_age_seconds", kind="evm") is None


def test_a_store_that_is_away_is_said_and_gives_no_gauge() -> None:
    def away() -> Standing:
        raise StoreUnavailableError("no route")

    registry = CollectorRegistry()
    registry.register(StandingCollector(away))
    text = generate_latest(registry).decode()
    assert "provenance_store_up 0.0" in text
    assert "provenance_queue_links" not in text
    assert "no route" not in text
