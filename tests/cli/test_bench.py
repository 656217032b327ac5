"""provenance bench runs to its end on a very small load; its figures are no test's business."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from provenance.bench.timing import Figure, duration, rate, table


@pytest.mark.sqlite(reason="the command makes a database of its own, SQLite unless told")
def test_a_short_run_has_every_figure_beside_its_ceiling() -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PROVENANCE_")}
    command = [sys.executable, "-m", "provenance.cli", "bench", "--rounds", "1", "--events", "50"]
    few = ["--rate", "100", "--seconds", "2"]
    done = subprocess.run(
        [*command, *few, "--json"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    figures = {figure["name"]: figure for figure in document["figures"]}
    expected = [
        "events in sealed batches of 1,000",
        "individually sealed events, 1,000 a request",
        "individually sealed events, one a request",
        "passports of one item with 12 events",
        "passports of different items with 1 event",
        "verify the passport of 12 events in Python",
        "log entries by the sequencer alone, 50 waiting",
    ]
    for name in expected:
        assert figures[name]["median"] > 0
        assert figures[name]["ceiling"]["value"] > 0
    in_chromium = [name for name in figures if "in Chromium" in name]
    assert len(in_chromium) == 1 or document["facts"]["no figure from Chromium"]
    assert document["facts"]["bytes of the bundle of 12 events about one item"] > 10_000
    assert document["database"] == "sqlite"
    proved = "submit to verified passport, cosigned by a map-aware witness, p99 ms"
    assert document["facts"][proved] >= document["facts"][proved.replace("p99", "p50")] > 0
    assert document["facts"]["proof bytes: together"] > 500
    assert document["facts"]["bytes of entries for each log entry"] > 100
    spent = "sequencer, processor time a link in µs: "
    steps = ("read", "decode", "states", "map", "tree", "commit", "tiles", "cosign", "publish")
    parts = [document["facts"][spent + step] for step in steps]
    assert 0 < sum(parts) <= document["facts"][f"{spent}together"] + 1


def test_a_log_that_grows_tells_its_cost_as_it_goes() -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PROVENANCE_")}
    command = [sys.executable, "-m", "provenance.cli", "bench", "--grow-to", "10000", "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)["facts"]
    costs = [facts[f"{n},000 links: µs a link, processor"] for n in range(1, 11)]
    assert min(costs) > 0


def test_throughput_counts_everybodys_time_apart() -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PROVENANCE_")}
    command = [sys.executable, "-m", "provenance.cli", "bench", "--part", "throughput", "--json"]
    few = ["--rounds", "1", "--events", "1000", "--seconds", "1"]
    done = subprocess.run(
        [*command, *few], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    figures = {figure["name"]: figure["median"] for figure in document["figures"]}
    sent = "sealed batches of 1,000, distinct subjects"
    for name in (f"{sent}, accepted and published", f"{sent}, accepted alone"):
        assert figures[name] > 0
    assert figures["single events with own proofs, one a request"] > 0
    assert figures["own proofs in batches of 1,000, for 1 s"] > 0
    assert len([name for name in figures if name.startswith("alone: ")]) == 4
    facts = document["facts"]
    if sys.platform == "linux":
        for role in ("web", "sequencer"):
            assert facts[f"{sent}, accepted and published: µs of {role} an event"] > 0
        assert f"{sent}, accepted alone: µs of sequencer an event" not in facts
        assert 50 < facts["sustained: largest worker, MB"] < 300
    assert facts["sustained: events"] >= 1_000
    assert facts["submit to published at 1,000 events/s, p99 ms"] > 0


def test_a_run_about_a_small_map_has_its_figures_and_its_memory() -> None:
    """The bench itself fails when a delta does not give the map, or a state is not the map's."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PROVENANCE_")}
    command = [sys.executable, "-m", "provenance.cli", "bench", "--rounds", "2"]
    done = subprocess.run(
        [*command, "--map-subjects", "3000", "--json"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    figures = {figure["name"]: figure for figure in document["figures"]}
    assert figures["map proof, page from the database"]["ceiling"]["value"] > 0
    assert figures["a witness checks 256 links by their delta"]["ceiling"]["value"] > 0
    assert figures["map delta and update of 256 links"]["rounds"] == 2
    facts = document["facts"]
    assert facts["subjects in the map"] == 3000
    assert 100 < facts["pages of the map"] < 400
    assert 10 < facts["peak memory of it with the map open, MB"] < 200
    assert facts["bytes of a map delta of 256 links, 1/8 new"] > 50_000


def test_medians_ranges_and_shares() -> None:
    quick = Figure("quick", "/s", (100.0, 400.0, 200.0)).under(400, "of something")
    slow = Figure("slow", "ms", (10.0,)).under(5, "of something")
    assert (quick.median, quick.share, slow.share) == (200.0, 0.5, 0.5)
    assert Figure("alone", "ms", (1.0,)).share is None
    header, first, second = table([quick, slow]).splitlines()
    assert header.split() == ["figure", "median", "range", "ceiling", "reached"]
    assert first.endswith("50%")
    assert "100 – 400" in first
    assert second.split()[:3] == ["slow", "10.00", "ms"]


def test_rounds_are_counted_and_numbered() -> None:
    seen: list[int] = []
    assert len(rate("r", 10, 3, seen.append).rounds) == 3
    assert duration("d", 2, seen.append).unit == "ms"
    assert seen == [0, 1, 2, 0, 1]


def test_a_failing_round_ends_the_run() -> None:
    def fail(_: int) -> None:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        rate("r", 1, 2, fail)
