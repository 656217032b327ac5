"""provenance log succeed, retire: the log's key passes to the next one, and readers see it."""

from __future__ import annotations

import os
from pathlib import Path

import click

from provenance import rollover
from provenance.cli.options import data_option, database_option
from provenance.cli.output import json_option, result, spoken_errors
from provenance.config import Settings
from provenance.rollover import Rollover


@click.group()
def log() -> None:
    """The log's own key: pass it on to a new one, and end the time of two."""


@log.command()
@data_option
@database_option
@json_option
@spoken_errors
def succeed(data: Path, database: str | None, as_json: bool) -> None:
    """Make the log's next key; from the next start both keys sign every checkpoint.

    The old key and the new one sign a note of it, which passports carry: readers who pinned the old
    key follow, and are told to renew their policy.
    """
    done = rollover.succeed(_settings(data, database))
    words = (
        f"the log {done.old.name} passes from key {done.old.key_id.hex()} to "
        f"{done.new.key_id.hex()}\n"
        f"  now: restart `provenance serve`; both keys sign then. Give {data / 'policy.txt'} to "
        "your readers again, and the new key to your witnesses:\n"
        f"  {done.new.format()}\n"
        "  later, when they have it: provenance log retire"
    )
    result(_facts(done), words, as_json)


@log.command()
@data_option
@database_option
@json_option
@click.confirmation_option(
    prompt="The old key is destroyed. Have witnesses and readers had time to take the new one?"
)
@spoken_errors
def retire(data: Path, database: str | None, as_json: bool) -> None:
    """End the time of two keys: the old one leaves the policy and is destroyed.

    Passports go on carrying the note, so that a reader who still pins the old key can follow.
    """
    done = rollover.retire(_settings(data, database))
    words = (
        f"the log {done.new.name} is signed by key {done.new.key_id.hex()} alone; key "
        f"{done.old.key_id.hex()} is gone\n  now: restart `provenance serve`"
    )
    result(_facts(done), words, as_json)


def _settings(data: Path, database: str | None) -> Settings:
    return Settings.load(os.environ, data=data, database=database)


def _facts(done: Rollover) -> dict[str, str]:
    return {"old": done.old.format(), "new": done.new.format(), "succession": done.note}
