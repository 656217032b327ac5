"""provenance verify: a verdict on a bundle, without us and without a network.

Exit status 0 verified, 1 refused (the reason is printed) or proved absent, 2 unusable input.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, NoReturn

import click

from merkle.errors import MerkleError
from merkle.policy import Policy
from provenance.cli.options import now_seconds
from provenance.cli.output import json_option, result
from provenance.domain.canonical import MAX_BUNDLE_BYTES
from provenance.verify import verify_bundle

EXIT = {"verified": 0, "refused": 1, "absent": 1, "unusable": 2}
CHECKS = {
    "published": "in the log, cosigned as the policy demands",
    "fresh": "checkpoint not older than allowed",
    "complete": "the map names exactly these links",
    "unaltered": "events fit their seals and links",
    "authentic": "signers' keys and roles were valid then",
}


@click.command()
@click.argument("bundle", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--policy",
    "policy_path",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The reader's own policy file (C2SP tlog-policy): which log, which cosigners, how many.",
)
@click.option(
    "--max-age", default=86_400, show_default=True, help="Greatest age of the checkpoint, seconds."
)
@click.option("--at", type=int, default=None, help="Judge as of this POSIX time instead of now.")
@json_option
def verify(bundle: Path, policy_path: Path, max_age: int, at: int | None, as_json: bool) -> None:
    """Verify a passport bundle with nothing but the bundle and your own policy."""
    data = read(bundle, "bundle")
    try:
        policy = Policy.parse(read(policy_path, "policy"))
    except MerkleError as error:
        unusable(f"the policy {policy_path} cannot be used: {error}")
    now = now_seconds() if at is None else at
    verdict = json.loads(verify_bundle(data, policy, now=now, max_age=max_age).encode())
    result(verdict, in_words(verdict, bundle), as_json)
    sys.exit(EXIT[verdict["record"]])


def read(path: Path, what: str) -> bytes:
    """The file's bytes, one more at most than any bundle may have: the verifier then refuses."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_BUNDLE_BYTES + 1)
    except OSError as error:
        unusable(f"the {what} {path} cannot be read: {error.strerror or error}")


def unusable(words: str) -> NoReturn:
    """Ends with status 2: there is no verdict on what cannot be read."""
    click.echo(f"unusable: {words}", err=True)
    sys.exit(2)


def in_words(verdict: dict[str, Any], bundle: Path) -> str:
    """The verdict on a file as a person reads it on a terminal."""
    head = f"{verdict['record'].upper()}: {verdict['subject'] or bundle}"
    if verdict["reason"]:
        head += f"\n  reason {verdict['reason']} at {verdict['place']}"
    lines = [head]
    lines += [
        f"  {name:<10} {verdict['checks'][name]:<12} {words}" for name, words in CHECKS.items()
    ]
    if verdict["log"]:
        log = verdict["log"]
        lines.append(
            f"  log {log['origin']}, {log['size']} entries, as of {log['asOf']}, "
            f"cosigned by {', '.join(log['cosigners']) or 'nobody'}"
        )
    if verdict["record"] == "verified":
        lines.append(
            f"  {len(verdict['stages'])} stages, {verdict['independent']} independent parties"
        )
    lines += [f"  warning {w['code']} at {w['place']}" for w in verdict["warnings"]]
    return "\n".join(lines)
