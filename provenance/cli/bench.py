"""provenance bench: figures with their ceilings, as a table."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from provenance.bench import bigmap, growing, ledger, workload
from provenance.bench.making import Maker
from provenance.bench.running import Bench
from provenance.bench.steps import StepTimes
from provenance.bench.throughput import Throughput
from provenance.bench.timing import Figure, machine, table
from provenance.bench.witnessed import witnessed
from provenance.cli.demo import choose_port, running
from provenance.cli.options import database_option, now_seconds, random_bytes
from provenance.cli.output import json_option, note, result, spoken_errors
from provenance.cli.serve import environment, spawn
from provenance.client.api import Api
from provenance.config import Settings
from provenance.platform import Platform
from provenance.storage.session import Database

_PARTS = ("capture", "ledger", "witnessed", "throughput")
_USUAL = _PARTS[:3]
_BATCH = 50
Results = tuple[list[Figure], dict[str, Any]]


@click.command()
@database_option
@click.option(
    "--part",
    "parts",
    type=click.Choice(_PARTS),
    multiple=True,
    help="capture: uploads, passports, verification. ledger: the sequencer alone, bytes on disk. "
    "witnessed: from submission to a proof that a witness cosigned. throughput: events a second of "
    "the whole platform, whose processor time it is, and --seconds of own proofs without a pause. "
    "Repeatable [default: all but throughput].",
)
@click.option(
    "--rounds", default=5, show_default=True, help="Rounds per figure; medians are printed."
)
@click.option(
    "--events",
    default=10_000,
    show_default=True,
    help="Events per round of a bulk figure (thousands).",
)
@click.option("--rate", default=500, show_default=True, help="witnessed: events a second.")
@click.option(
    "--seconds",
    default=30,
    show_default=True,
    help="witnessed, throughput: how long to send.",
)
@click.option(
    "--map-subjects",
    type=click.IntRange(min=1_000),
    help="Measure the map with so many subjects instead, in a SQLite database of its own.",
)
@click.option(
    "--grow-to",
    type=click.IntRange(min=10_000),
    help="Measure instead what a link costs the sequencer while the log grows to so many links.",
)
@json_option
@spoken_errors
def bench(
    database: str | None,
    parts: Sequence[str],
    rounds: int,
    events: int,
    rate: int,
    seconds: int,
    map_subjects: int | None,
    grow_to: int | None,
    as_json: bool,
) -> None:
    """Measure the platform on this machine, each figure beside its ceiling."""
    if map_subjects is not None:
        with tempfile.TemporaryDirectory(prefix="provenance-bench-") as folder:
            measured = bigmap.measure(Path(folder), map_subjects, rounds, note)
        _show("sqlite", *measured, as_json)
        return
    if grow_to is not None:
        with _settings(database) as settings:
            measured = _growth(settings, grow_to, max(1_000, grow_to // 20))
        _show(settings.database_url.partition(":")[0], *measured, as_json)
        return
    figures: list[Figure] = []
    facts: dict[str, Any] = {}
    for part in parts or _USUAL:
        with _settings(database) as settings:
            if part == "capture":
                more = _capture(settings, rounds, events)
            elif part == "ledger":
                more = _ledger(settings, rounds, events)
            elif part == "throughput":
                more = _throughput(settings, rounds, events, seconds)
            else:
                more = _witnessed(settings, rate, seconds)
        figures += more[0]
        facts |= more[1]
    _show(settings.database_url.partition(":")[0], figures, facts, as_json)


def _show(database: str, figures: list[Figure], facts: dict[str, Any], as_json: bool) -> None:
    document = {
        "machine": machine(),
        "database": database,
        "figures": [figure.document() for figure in figures],
        "facts": facts,
    }
    words = [table(figures), ""] + [f"{name}: {value:,}" for name, value in facts.items()]
    result(document, "\n".join(words), as_json)


@contextmanager
def _settings(database: str | None) -> Iterator[Settings]:
    """An installation for one part, forgotten after it."""
    with tempfile.TemporaryDirectory(prefix="provenance-bench-") as folder:
        yield Settings.load(
            os.environ,
            data=Path(folder),
            database=database,
            host="127.0.0.1",
            port=choose_port("127.0.0.1", 0),
        )


def _capture(settings: Settings, rounds: int, events: int) -> Results:
    with running(settings):
        return Bench(
            _api(settings),
            settings.data,
            rounds=rounds,
            events=events,
            clock=now_seconds,
            random=random_bytes,
            say=note,
        ).run()


def _ledger(settings: Settings, rounds: int, events: int) -> Results:
    note("measuring the sequencer alone")
    with running(settings):
        signer = workload.enrol(_api(settings), settings.data, now_seconds(), random_bytes)
    batches = [
        workload.sealed(events, 1_000, f"q{number}-", signer, now_seconds(), random_bytes)
        for number in range(rounds)
    ]
    times = StepTimes()
    platform = Platform.open(settings, times)
    try:
        return ledger.measure_sequencer(platform, batches, times)
    finally:
        platform.close()


def _growth(settings: Settings, links: int, step: int) -> Results:
    note(f"growing a log to {links:,} links, {step:,} at a time, nobody else at work")
    with running(settings):
        pass  # makes keys and tables
    platform = Platform.open(settings, StepTimes())
    try:
        return [], growing.measure(platform, links, step, note)
    finally:
        platform.close()


def _witnessed(settings: Settings, rate: int, seconds: int) -> Results:
    note(f"sending {rate} events a second to a witnessed log, for {seconds} s")
    children = environment(settings)

    def start(command: list[str]) -> subprocess.Popen[bytes]:
        with (settings.data / "witness.log").open("wb") as words:
            return spawn(command, children, words)

    with witnessed(settings, choose_port("127.0.0.1", 0), start) as policy, running(settings):
        api = _api(settings)
        signer = workload.enrol(api, settings.data, now_seconds(), random_bytes)
        batches = workload.sealed(rate * seconds, _BATCH, "w", signer, now_seconds(), random_bytes)
        submitting = ledger.Submitting(
            api, policy, batches, per_second=rate / _BATCH, clock=now_seconds
        )
        samples = submitting.run()
        bundle = api.passport(workload.item("w0000001"))
    return [], {
        **ledger.percentiles("submit to answer", [sample.answered for sample in samples]),
        **ledger.percentiles(
            "submit to verified passport, cosigned by a map-aware witness",
            [sample.verified for sample in samples],
        ),
        **ledger.proof_sizes(bundle),
    }


def _throughput(settings: Settings, rounds: int, events: int, seconds: int) -> Results:
    with running(settings) as server:
        api = _api(settings)
        signer = workload.enrol(api, settings.data, now_seconds(), random_bytes)
        database = Database.open(settings.database_url)
        maker = Maker.of(signer, now_seconds(), random_bytes)
        bench = Throughput(
            api, database, settings.public_url, server.pid, maker, settings.data, note
        )
        figures = bench.figures(rounds, events)
        bench.steady(seconds, 1_000)
        figures += bench.sustained(seconds, 15_000)
        database.close()
    note("measuring the ceilings")
    figures += bench.ceilings(settings.database_url, settings.port, rounds)
    return figures, bench.facts


def _api(settings: Settings) -> Api:
    return Api(f"http://127.0.0.1:{settings.port}")
