"""Traces as a collector gets them; and that nothing of them is there while they are off."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from provenance.client.witness import HttpWitness
from provenance.config import Settings
from provenance.platform import Platform, initialise
from provenance.services.observing import Both, Observer
from provenance.telemetry import TracesMissingError, begin
from provenance.telemetry.metrics import Metrics
from provenance.telemetry.traces import Traces
from tests.support.builders import item_event
from tests.support.otlp import Collector, Seen, collecting
from tests.web.site import NDJSON, Site, body_of

MARK = "QZMARKQZ"
PARENT = f"00-{'7' * 32}-{'1' * 16}-01"
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as made:
        yield made


@pytest.fixture
def traces(collector: Collector) -> Iterator[Traces]:
    made = Traces(collector.url, "web")
    yield made
    made.close()


@pytest.fixture
def site(tmp_path: Path, traces: Traces) -> Iterator[Site]:
    """A site whose platform is traced, and counted beside."""
    settings = Settings(data=tmp_path, origin="log.example.test/products")
    initialise(settings)
    platform = Platform.open(settings, Both(Metrics(), traces))
    yield Site(platform)
    platform.close()


def children_of(collector: Collector, parent: Seen) -> list[str]:
    """Names of its spans, in the order of their starts."""
    found = [s for s in collector.spans if s.span.parent_span_id == parent.span.span_id]
    return [s.name for s in sorted(found, key=lambda s: s.span.start_time_unix_nano)]


def test_an_upload_and_its_publication_as_a_collector_sees_them(
    site: Site, traces: Traces, collector: Collector
) -> None:
    actor = site.register("https://brand.example")
    body = body_of(actor.sealed([item_event(1, 2), item_event(3)]))
    headers = {"Traceparent": PARENT, "X-Request-Id": "ab" * 16}
    answer = site.client.post("/api/v1/batches", data=body, content_type=NDJSON, headers=headers)
    assert answer.status_code == 201
    site.publish()
    traces.close()

    (request,) = collector.named("POST /api/v1/batches")
    assert request.span.trace_id.hex() == "7" * 32
    assert request.span.parent_span_id.hex() == "1" * 16
    assert request.resource["service.name"] == "provenance"
    assert request.resource["provenance.process"] == "web"
    expected = {
        "http.request.method": "POST",
        "http.route": "/api/v1/batches",
        "http.response.status_code": 201,
        "http.request.body.size": len(body),
        "provenance.request_id": "ab" * 16,
        "provenance.events.new": 2,
        "provenance.events.known": 0,
        "provenance.links": 3,
    }
    assert request.attributes == expected
    assert not request.is_error
    assert children_of(collector, request) == ["admission", "transaction"]
    (transaction,) = (
        s for s in collector.named("transaction") if collector.parent_of(s) is request
    )
    assert children_of(collector, transaction) == ["append"]
    (round_,) = collector.named("round")
    steps = ["read", "grow", "commit", "tiles", "cosign", "publish"]
    assert children_of(collector, round_) == steps
    (growing,) = (s for s in collector.named("grow") if collector.parent_of(s) is round_)
    assert set(children_of(collector, growing)) == {"decode", "states", "map", "tree"}
    assert round_.attributes["provenance.uploads"] == 3  # registration and accreditation, too
    assert not round_.span.parent_span_id
    lasted = round_.span.end_time_unix_nano - round_.span.start_time_unix_nano
    assert 0 < lasted < 60 * 10**9


def test_no_span_holds_payload_and_a_fault_is_an_error_without_its_text(
    site: Site, traces: Traces, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError(MARK)

    client = site.client
    client.post(f"/api/v1/batches?{MARK}", data=f'{{"{MARK}":}}', content_type=NDJSON)
    client.get(f"/01/09506000134352/21/{MARK}?{MARK}", headers={"User-Agent": MARK})
    client.get("/livez", headers={"Traceparent": MARK, "Tracestate": f"a={MARK}"})
    actor = site.register("https://brand.example")
    subject = f"https://id.gs1.org/01/09506000134352/21/{MARK}"
    body = body_of(actor.sealed([item_event(epcList=[subject])]))
    monkeypatch.setattr("provenance.services.capture.require_accepting", fail)
    assert client.post("/api/v1/batches", data=body, content_type=NDJSON).status_code == 500
    traces.close()
    assert len(collector.spans) >= 8
    for seen in collector.spans:
        assert not seen.span.events
        assert not seen.span.status.message
    *_, failed = collector.named("append")
    assert failed.is_error
    assert failed.attributes == {"error.type": "RuntimeError"}
    *_, request = collector.named("POST /api/v1/batches")
    assert request.is_error
    assert request.attributes["error.type"] == "internal"
    refused = collector.named("POST /api/v1/batches")[0]
    assert (refused.attributes["error.type"], refused.is_error) == ("not-json", False)
    assert MARK.encode() not in b"".join(collector.bodies)


def test_a_collector_that_is_away_costs_spans_and_nothing_else(tmp_path: Path) -> None:
    with collecting() as gone:
        url = gone.url
    traces = Traces(url, "web")
    initialise(Settings(data=tmp_path))
    site = Site(Platform.open(Settings(data=tmp_path), traces))
    for _ in range(3):
        assert site.client.get("/livez").status_code == 200
    site.platform.close()
    traces.close()


@pytest.mark.parametrize("wanted", [False, True])
def test_witnesses_are_told_of_a_trace_only_where_that_is_wanted(
    collector: Collector, wanted: bool
) -> None:
    traces = Traces(collector.url, "sequencer", tell_witnesses=wanted)
    with traces.step("witness"):
        headers = traces.outgoing()
    traces.close()
    (span,) = collector.named("witness")
    trace, own = span.span.trace_id.hex(), span.span.span_id.hex()
    assert set(headers) == ({"traceparent"} if wanted else set())
    if wanted:  # the last octet are flags: sampled, and in newer versions random
        assert headers["traceparent"][:-3] == f"00-{trace}-{own}"
    assert Observer().outgoing() == {}


def test_a_witness_gets_the_headers_that_it_shall_get(collector: Collector) -> None:
    seen: list[int] = []

    def more() -> dict[str, str]:
        seen.append(1)
        return {"traceparent": PARENT}

    witness = HttpWitness(collector.url.removesuffix("/v1/traces"), timeout_ms=2_000, more=more)
    assert witness.add_checkpoint(b"old 0\n").status == 404
    assert seen == [1]


OFF = """
import os, sys
from provenance.config import Settings
from provenance.platform import Platform, initialise
from provenance.telemetry import begin
from provenance.web import create_app
settings = Settings.load(os.environ)
initialise(settings)
observer = begin(settings, "web")
app = create_app(Platform.open(settings, observer))
assert app.test_client().get("/livez").status_code == 200
print(type(observer).__name__)
print([name for name in ("opentelemetry", "prometheus_client", "requests") if name in sys.modules])
"""


def test_what_is_off_is_not_even_imported(tmp_path: Path) -> None:
    environ = {k: v for k, v in os.environ.items() if not k.startswith("PROVENANCE_")}
    environ |= {"PROVENANCE_DATA": str(tmp_path / "data"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", OFF], env=environ, capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[:2] == ["Observer", "[]"]


def test_traces_without_their_packages_are_refused_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provenance.telemetry.configure", lambda *_: None)
    monkeypatch.delitem(sys.modules, "provenance.telemetry.traces", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.context", None)
    with pytest.raises(TracesMissingError, match=r"pip install -e '\.\[traces\]' in the checkout"):
        begin(Settings(data=tmp_path, traces="http://127.0.0.1:1/v1/traces"), "web")
