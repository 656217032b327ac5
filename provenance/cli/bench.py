"""provenance bench: figures with their ceilings, as a table."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import click

from provenance.bench import bigmap
from provenance.bench.running import Bench
from provenance.bench.timing import Figure, machine, table
from provenance.cli.demo import choose_port, running
from provenance.cli.options import database_option, now_seconds, random_bytes
from provenance.cli.output import json_option, note, result, spoken_errors
from provenance.client.api import Api
from provenance.config import Settings


@click.command()
@database_option
@click.option(
    "--rounds", default=5, show_default=True, help="Rounds per figure; medians are printed."
)
@click.option(
    "--events",
    default=10_000,
    show_default=True,
    help="Events per round of a bulk figure (thousands).",
)
@click.option(
    "--map-subjects",
    type=click.IntRange(min=1_000),
    help="Measure the map with so many subjects instead, in a SQLite database of its own.",
)
@json_option
@spoken_errors
def bench(
    database: str | None, rounds: int, events: int, map_subjects: int | None, as_json: bool
) -> None:
    """Measure capture, passports and verification on this machine, beside their ceilings."""
    if map_subjects is not None:
        with tempfile.TemporaryDirectory(prefix="provenance-bench-") as folder:
            figures, facts = bigmap.measure(Path(folder), map_subjects, rounds, note)
        _show("sqlite", figures, facts, as_json)
        return
    with tempfile.TemporaryDirectory(prefix="provenance-bench-") as folder:
        settings = Settings.load(
            os.environ,
            data=Path(folder),
            database=database,
            host="127.0.0.1",
            port=choose_port("127.0.0.1", 0),
        )
        with running(settings):
            api = Api(f"http://127.0.0.1:{settings.port}")
            run = Bench(
                api,
                Path(folder),
                rounds=rounds,
                events=events,
                clock=now_seconds,
                random=random_bytes,
                say=note,
            )
            figures, facts = run.run()
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
