"""provenance bench: figures with their ceilings, as a table."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import click

from provenance.bench.running import Bench
from provenance.bench.timing import machine, table
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
@json_option
@spoken_errors
def bench(database: str | None, rounds: int, events: int, as_json: bool) -> None:
    """Measure capture, passports and verification on this machine, beside their ceilings."""
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
    document = {
        "machine": machine(),
        "database": settings.database_url.partition(":")[0],
        "figures": [figure.document() for figure in figures],
        "facts": facts,
    }
    words = [table(figures), ""] + [f"{name}: {value:,}" for name, value in facts.items()]
    result(document, "\n".join(words), as_json)
