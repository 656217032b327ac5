"""provenance fork: what speaks against this log, and a checkpoint that somebody else was shown.

Both work on the data directory, with or without a running platform: the sequencer looks for stored
evidence in each of its rounds.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from provenance.cli.options import data_option, database_option
from provenance.cli.output import errors_end_with, json_option, result
from provenance.config import Settings
from provenance.domain.moments import format_ledger_time
from provenance.platform import Platform
from provenance.services.forks import Finding


@click.group()
def fork() -> None:
    """Two histories under one key: the evidence, and checkpoints to compare."""


@fork.command()
@data_option
@database_option
@json_option
@errors_end_with(2)
def show(data: Path, database: str | None, as_json: bool) -> None:
    """Show the evidence that this log has forked, or is behind what others hold.

    Exit status 0 for none, 1 for some, 2 if it could not look.
    """
    platform = Platform.open(Settings.load(os.environ, data=data, database=database))
    try:
        found = platform.forks.describe()
    finally:
        platform.close()
    result({"origin": platform.origin, "found": found}, _listed(platform.origin, found), as_json)
    sys.exit(1 if found else 0)


@fork.command()
@click.argument("note", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--source", default="the operator, from a file", help="Who holds it, for people.")
@data_option
@database_option
@json_option
@errors_end_with(2)
def add(note: Path, source: str, data: Path, database: str | None, as_json: bool) -> None:
    """Compare a signed checkpoint that somebody was shown with this log.

    What speaks against the log is stored, and stops it. Exit status 0 consistent, 1 conflicting or
    ahead of the log, 2 no checkpoint of this log.
    """
    platform = Platform.open(Settings.load(os.environ, data=data, database=database))
    try:
        finding = platform.forks.receive(note.read_bytes(), source)
    finally:
        platform.close()
    document: dict[str, Any] = {
        "known": finding.relation,
        "size": finding.checkpoint.size,
        "signed": finding.signed,
        "stored": finding.is_new,
    }
    if finding.evidence is not None:
        document["evidence"] = finding.evidence.to_json()
    result(document, _in_words(finding), as_json)
    sys.exit(0 if finding.relation == "consistent" else 1)


def _in_words(finding: Finding) -> str:
    size = finding.checkpoint.size
    if finding.relation == "consistent":
        return f"consistent: the log had this root at size {size}"
    if finding.relation == "ahead":
        return (
            f"AHEAD: the log's key signed size {size}, and this log remembers {finding.signed}; "
            "it signs nothing until it has caught up (restore the newest backup)"
        )
    assert finding.evidence is not None  # noqa: S101 -- what conflicting means
    return (
        f"FORKED: the log's key signed another history at size {size}; evidence "
        f"{finding.evidence.hash.hex()}; nothing is signed or published any more"
    )


def _listed(origin: str, found: list[dict[str, Any]]) -> str:
    if not found:
        return f"nothing is known to speak against {origin}"
    lines = []
    for one in found:
        when = format_ledger_time(one["foundAt"])
        if "evidence" in one:
            lines.append(f"FORKED: evidence {one['hash']}, found {when} at {one['source']}")
        else:
            lines.append(
                f"AHEAD: size {one['size']} is held by {one['source']} (seen {when}); this log "
                f"remembers {one['signed']}"
            )
    return "\n".join(lines)
