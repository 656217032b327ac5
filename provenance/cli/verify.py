"""provenance verify: a verdict on a bundle, without us and without a network.

Exit status 0 verified, 1 refused (the reason is printed) or proved absent, 2 unusable input.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, NoReturn

import click

from provenance.cli.anchor_judges import Judges, judges_options
from provenance.cli.anchor_judges import in_words as anchors_in_words
from provenance.cli.options import now_seconds
from provenance.cli.output import json_option, result
from provenance.cli.policy import read_pinned_or
from provenance.domain.canonical import MAX_BUNDLE_BYTES
from provenance.domain.fork import MalformedForkError
from provenance.verify import Known, parse_known, verify_bundle

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
    type=click.Path(dir_okay=False, path_type=Path),
    help="Your own policy file (C2SP tlog-policy): which log, which cosigners, how many. "
    "Without it, the one that you pinned (provenance policy pin).",
)
@click.option(
    "--known",
    "known_paths",
    multiple=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="What you know of the log from elsewhere: evidence of a fork, a checkpoint seen before.",
)
@click.option(
    "--max-age", default=86_400, show_default=True, help="Greatest age of the checkpoint, seconds."
)
@click.option("--at", type=int, default=None, help="Judge as of this POSIX time instead of now.")
@judges_options
@json_option
def verify(
    bundle: Path,
    policy_path: Path | None,
    known_paths: tuple[Path, ...],
    max_age: int,
    at: int | None,
    tsa_certificates: Path | None,
    evm_url: str | None,
    as_json: bool,
) -> None:
    """Verify a passport bundle with nothing but the bundle and your own policy."""
    data = read(bundle, "bundle")
    policy = read_pinned_or(policy_path)
    known = [item for path in known_paths for item in read_known(path)]
    now = now_seconds() if at is None else at
    found = verify_bundle(data, policy, now=now, max_age=max_age, known=known)
    verdict = json.loads(found.encode())
    words = in_words(verdict, bundle)
    if verdict["anchors"] and (tsa_certificates or evm_url):
        # Beside the verdict: what third parties said never decides the record.
        judged = judge_anchors(data, verdict, Judges(tsa_certificates, evm_url))
        verdict["anchorChecks"] = judged
        words += "\n" + anchors_in_words(judged)
    result(verdict, words, as_json)
    sys.exit(EXIT[verdict["record"]])


def judge_anchors(data: bytes, verdict: dict[str, Any], judges: Judges) -> list[dict[str, Any]]:
    """What the reader's roots and node say of the anchors that the verdict lists."""
    unusable_places = {one["place"] for one in verdict["warnings"]}
    anchors = json.loads(data)["anchors"]
    return [
        judges.judge(one)
        for index, one in enumerate(anchors)
        if f"anchors[{index}]" not in unusable_places
    ]


def read_known(path: Path) -> tuple[Known, ...]:
    """What a file holds of a log's other states; ends with status 2 if that cannot be read."""
    try:
        return parse_known(read(path, "known state"))
    except MalformedForkError as error:
        unusable(f"{path}: {error}")


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
    lines += [
        f"  anchored at {a['size']} entries by {a['kind']}, said to be of {a['time']} (not checked)"
        for a in verdict["anchors"]
    ]
    lines += [f"  warning {w['code']} at {w['place']}" for w in verdict["warnings"]]
    return "\n".join(lines)
