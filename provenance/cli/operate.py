"""provenance init, fsck, build-verifier: the operator's and the maintainer's tools."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import click

from merkle.note import KIND_COSIGNATURE
from merkle.policy import Policy
from provenance.cli.options import data_option, database_option
from provenance.cli.output import (
    errors_end_with,
    json_option,
    note,
    progress,
    result,
    spoken_errors,
)
from provenance.config import Settings
from provenance.crypto.signing import NoteSigner
from provenance.platform import Platform, initialise
from provenance.services import checking as services
from provenance.services.checking import FsckReport
from provenance.storage.tiles import LastSigned
from provenance.verifierpage import write, write_passport_script


@click.command()
@data_option
@database_option
@click.option("--origin", default=None, help="Name of the log, for instance log.example.org/2026.")
@click.option("--operator-name", default=None, help="The operator's name in its registration.")
@json_option
@spoken_errors
def init(
    data: Path, database: str | None, origin: str | None, operator_name: str | None, as_json: bool
) -> None:
    """Make data directory, keys, database, log and operator; `serve` does it too."""
    settings = Settings.load(
        os.environ, data=data, database=database, origin=origin, operator_name=operator_name
    )
    initialise(settings)
    platform = Platform.open(settings)
    facts = {"data": str(data), "origin": platform.origin, "policy": str(settings.policy_file)}
    result(facts, f"log {platform.origin} in {data}; readers pin {settings.policy_file}", as_json)


@click.command()
@data_option
@database_option
@click.option(
    "--write-deltas",
    is_flag=True,
    help="Write map deltas that are missing, once all else fits: for logs begun before there were "
    "any.",
)
@json_option
@errors_end_with(2)
def fsck(data: Path, database: str | None, write_deltas: bool, as_json: bool) -> None:
    """Re-derive every hash, link, seal, map root and checkpoint from stored bytes.

    Exit status 0 all fits, 1 a difference (the first one is named exactly), 2 it could not look.
    """
    platform = Platform.open(Settings.load(os.environ, data=data, database=database))
    try:
        with progress(None, "fsck", unit=" checks") as advance:
            if write_deltas:
                # Nothing is written for ever out of bytes that are not known to be the log's.
                report = check(platform, advance, lambda _path, _data: None)
                if report.is_good:
                    report = check(platform, advance, platform.tiles.write_immutable)
            else:
                report = check(platform, advance)
    finally:
        platform.close()
    result(report.to_json(), in_words(report), as_json)
    sys.exit(0 if report.is_good else 1)


def check(
    platform: Platform,
    advance: Callable[[int], None],
    missing: Callable[[str, bytes], None] | None = None,
) -> FsckReport:
    """`services.checking.fsck` over an installation, its steps counted for a progress bar."""
    counted: dict[str, int] = {}

    def told(what: str, checked: int, _total: int | None) -> None:
        advance(checked - counted.get(what, 0))
        counted[what] = checked

    witnesses = [witness.key for witness in platform.policy.witnesses]
    return services.fsck(
        platform.database,
        platform.tiles,
        platform.origin,
        NoteSigner(platform.origin, platform.keys.log).vkey,
        last_signed=LastSigned(platform.settings.keys / "last-signed"),
        cosigners=[key for key in witnesses if key.kind == KIND_COSIGNATURE],
        progress=told,
        missing=missing,
    )


def in_words(report: FsckReport) -> str:
    """What was checked, and the first difference exactly."""
    checked = ", ".join(f"{count:,} {what}" for what, count in sorted(report.checked.items()))
    lines = [f"checked: {checked or 'nothing'}"]
    if report.difference is None:
        return "\n".join([*lines, "everything fits"])
    found = report.difference
    return "\n".join(
        [
            *lines,
            f"DIFFERENCE: {found.what} of {found.where}",
            f"  expected {found.expected}",
            f"  found    {found.found}",
        ]
    )


@click.command("build-verifier")
@click.option(
    "--policy",
    "policy_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Pin this policy in the page: it is used until its reader gives another.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to write; with --policy needed, so that the common page stays without one.",
)
@spoken_errors
def build_verifier(policy_path: Path | None, output: Path | None) -> None:
    """Write static/verifier.html and static/js/passport.js anew, or a verifier with a policy."""
    if policy_path is None:
        note(f"wrote {write(target=output)}")
        if output is None:
            note(f"wrote {write_passport_script()}")
        return
    if output is None:
        raise click.UsageError("--policy asks for -o FILE")
    text = policy_path.read_text("utf-8")
    Policy.parse(text)
    note(f"wrote {write(policy=text, target=output)}, with {policy_path} pinned in it")
