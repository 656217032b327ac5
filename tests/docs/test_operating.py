"""docs/operating.md and its alert rules speak of the metrics that there are, and of all of them."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest
import yaml
from prometheus_client.core import Metric

from provenance.services.observing import (
    FAILURES,
    OTHER_STEPS,
    SEQUENCER_STEPS,
    UPLOAD_STEPS,
    Exchange,
    RequestContext,
    request_context,
)
from provenance.telemetry.logs import fields_of
from provenance.telemetry.metrics import Metrics, StandingCollector
from tests.unit.telemetry.test_metrics import STANDING

ROOT = Path(__file__).resolve().parents[2]
OPERATING = (ROOT / "docs/operating.md").read_text("utf-8")
ROWS = {
    row[0]: [cell.strip() for cell in row[1:]]
    for row in re.findall(
        r"^\| `(provenance_[a-z_0-9]+)` \|([^|]*)\|([^|]*)\|([^|]*)\|$", OPERATING, re.M
    )
}
RULES = yaml.safe_load((ROOT / "docs/alerts.yml").read_text("utf-8"))["groups"][0]["rules"]
UNITS = ("_seconds", "_bytes", "_total")
#: Plain counts: the thing that is counted is the unit (prometheus.io/docs/practices/naming).
COUNTS = {
    *("store_up", "queue_uploads", "queue_links", "log_published_entries", "log_signed_entries"),
    *("log_ignored_links", "map_subjects", "fork_evidence", "witness_has_cosigned"),
    "http_requests_in_progress",
}


def families() -> dict[str, Metric]:
    """Every metric there is, under the name by which it is asked for."""
    counted = Metrics().registry.collect()
    read = StandingCollector(lambda: STANDING).collect()
    return {
        metric.name + ("_total" if metric.type == "counter" else ""): metric
        for metric in (*counted, *read)
    }


def test_every_metric_is_explained_and_no_other() -> None:
    assert {name: metric.type for name, metric in families().items()} == {
        name: row[0] for name, row in ROWS.items()
    }


def test_labels_and_their_values_are_those_of_the_code() -> None:
    for name, metric in families().items():
        documented = set(re.findall(r"`(\w+)`", ROWS[name][1]))
        label_names = getattr(metric, "_labelnames", None) or {
            label for sample in metric.samples for label in sample.labels
        } - {"le"}
        if label_names:
            assert set(label_names) == documented, name
    for name, values in (
        ("provenance_upload_step_seconds", UPLOAD_STEPS),
        ("provenance_sequencer_step_seconds", SEQUENCER_STEPS),
        ("provenance_outside_call_seconds", OTHER_STEPS),
        ("provenance_sequencer_failures_total", FAILURES),
    ):
        listed = set(ROWS[name][1].partition(": ")[2].split(", "))
        assert listed == set(values), name


def test_names_bear_their_unit() -> None:
    for name in families():
        assert name.endswith(UNITS) or name.removeprefix("provenance_") in COUNTS, name


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_an_alert_asks_for_metrics_that_there_are(rule: dict[str, object]) -> None:
    expression = str(rule["expr"])
    known = set(families())
    for name in re.findall(r"provenance_[a-z_0-9]+", expression):
        base = re.sub(r"_(count|sum|bucket)$", "", name)
        assert name in known or (base in known and families()[base].type == "histogram"), name
    # A rate of what may fall, or a level of what only grows, would never say anything true.
    for name in re.findall(r"(?:rate|increase)\((provenance_[a-z_0-9]+)", expression):
        assert name.endswith(("_total", "_count")), name


def test_the_page_lists_the_alerts_of_the_file() -> None:
    assert re.findall(r"^\| `(Provenance\w+)` \|", OPERATING, re.M) == [
        rule["alert"] for rule in RULES
    ]


def test_members_of_a_log_line_are_those_of_the_page() -> None:
    record = logging.LogRecord(
        "other", logging.ERROR, __file__, 1, "x", None, (ValueError, ValueError(), None)
    )
    record.exchange = Exchange("GET", "/", 200, 0.1, 0)
    record.client = "192.0.2.1"
    token = request_context.set(RequestContext("0" * 32, "GET", "/"))
    try:
        fields = fields_of(record, "web", with_clients=True)
    finally:
        request_context.reset(token)
    table = OPERATING.partition("## Log lines")[2].partition("## ")[0]
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", table, re.M)
    assert set(fields) == {name for row in rows for name in re.findall(r"`(\w+)`", row)}


def test_codes_in_alerts_are_codes_of_problems() -> None:
    known = set(re.findall(r"^\| `([a-z0-9-]+)` \|", (ROOT / "docs/problems.md").read_text(), re.M))
    named = {
        code
        for rule in RULES
        for codes in re.findall(r'code=~?"([^"]*)"', str(rule["expr"]))
        for code in codes.split("|")
    }
    assert named
    assert named <= known
