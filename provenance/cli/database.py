"""provenance database: what the owner of the tables does, who on PostgreSQL is not the program.

The program needs rows alone (docs/postgresql.md: roles). Tables are made and changed here, under
the owner's URL: before a new version of the program is started, and when a part is begun.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import click

from provenance.cli.options import data_option, database_option
from provenance.cli.output import json_option, result, spoken_errors
from provenance.config import Settings
from provenance.storage import partitions, schema
from provenance.storage.partitions import Part
from provenance.storage.session import Database


@click.group()
def database() -> None:
    """Make and divide the tables, as their owner (`serve` and `init` make them too)."""


@database.command()
@data_option
@database_option
@json_option
@spoken_errors
def upgrade(data: Path, database: str | None, as_json: bool) -> None:
    """Bring the tables to this program's version; the running one of before survives it."""
    with _opened(data, database) as opened:
        schema.upgrade(opened)
        schema.check(opened)
    result({"good": True}, "the tables are those of this program", as_json)


@database.command()
@data_option
@database_option
@click.option(
    "--begin",
    type=click.Choice(["links", "events"]),
    default=None,
    help="Begin the next part of this table; new rows go there from then on.",
)
@json_option
@spoken_errors
def parts(data: Path, database: str | None, begin: str | None, as_json: bool) -> None:
    """List the parts of links and events on PostgreSQL, or begin the next one."""
    with _opened(data, database) as opened:
        if begin is not None:
            with opened.write() as connection:
                partitions.begin_part(connection, begin)
        with opened.read() as connection:
            found = partitions.list_parts(connection)
    words = "\n".join(map(_in_words, found))
    result({"parts": [asdict(part) for part in found]}, words, as_json)


def _in_words(part: Part) -> str:
    size = f"{part.rows:>15,} rows {part.bytes / 1024**2:>12,.0f} MiB"
    return f"{part.table + '_' + str(part.number):12}{size}{'  open' if part.is_open else ''}"


@contextmanager
def _opened(data: Path, url: str | None) -> Iterator[Database]:
    settings = Settings.load(os.environ, data=data, database=url)
    opened = Database.open(settings.database_url, timeout_ms=settings.database_timeout_ms)
    try:
        yield opened
    finally:
        opened.close()
