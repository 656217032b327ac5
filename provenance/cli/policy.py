"""provenance policy: whom a reader trusts, shown in words, tried on a checkpoint, and pinned.

A policy (C2SP tlog-policy) names logs, witnesses and how many must have cosigned. It is the one
thing that a reader must get from elsewhere; `pin` keeps it for `provenance verify`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import click

from merkle.errors import MerkleError
from merkle.policy import Group, Policy
from provenance.cli.options import now_seconds
from provenance.cli.output import json_option, note, result
from provenance.client.api import Api
from provenance.client.errors import ClientError
from provenance.client.fetching import fetch, is_url
from provenance.domain.moments import format_seconds
from provenance.verify.policies import (
    POLICY_WARNINGS,
    Examination,
    describe,
    examine,
    kind_of,
    own_cosigners,
)
from provenance.verify.refusal import RefusedError

PINNED = "policy.txt"
_YEAR_10000 = 253_402_300_800  # POSIX seconds: the first that no date of four digits names


def pinned_path() -> Path:
    """Where this user's own policy lies, whether it is there or not."""
    return Path(click.get_app_dir("provenance")) / PINNED


@click.group()
def policy() -> None:
    """Whom you trust: show a policy in words, try it on a checkpoint, pin it for `verify`."""


@policy.command()
@click.argument("source")
@json_option
def show(source: str, as_json: bool) -> None:
    """Say what SOURCE (a file, its URL, or a platform's address) asks for, and what it leaves open.

    Exit status 0 a policy, 2 none.
    """
    read = _read_policy(source)
    result(_facts(read), _in_words(read), as_json)


@policy.command()
@click.argument("source")
@click.option("--checkpoint", default=None, help="A checkpoint (file or URL) to try it on.")
@click.option(
    "--max-age", default=86_400, show_default=True, help="Greatest age of the checkpoint, seconds."
)
@click.option("--at", type=int, default=None, help="Judge as of this POSIX time instead of now.")
@json_option
def check(source: str, checkpoint: str | None, max_age: int, at: int | None, as_json: bool) -> None:
    """Is SOURCE a policy, and does a checkpoint satisfy it: who cosigned, when, is it enough?

    Exit status 0 yes, 1 the checkpoint does not satisfy it, 2 unusable input.
    """
    read = _read_policy(source)
    if checkpoint is None:
        result(_facts(read), "a policy; try it with --checkpoint FILE or URL", as_json)
        return
    text = _read(checkpoint, "checkpoint").decode("utf-8", "replace")
    now = now_seconds() if at is None else at
    try:
        found = examine(text, read, now=now, max_age=max_age)
    except RefusedError as error:
        words = f"NOT SATISFIED: {checkpoint}\n  reason {error.reason}"
        result({"satisfied": False, "reason": error.reason}, words, as_json)
        sys.exit(1)
    result(_findings(found, read), _findings_in_words(found, read, now), as_json)
    sys.exit(0 if found.reason is None else 1)


@policy.command()
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--forget", is_flag=True, help="Forget the pinned policy.")
@json_option
def pin(file: Path | None, forget: bool, as_json: bool) -> None:
    """Keep FILE as your own policy: `verify` uses it from now on unless --policy names another.

    Without FILE: say what is pinned. Take the file from a source of your own, never from whoever
    handed you the passport. Exit status 2 if it is no policy, or none is pinned.
    """
    path = pinned_path()
    if forget:
        path.unlink(missing_ok=True)
    elif file is not None:
        _keep(path, file)
    elif not path.exists():
        _unusable("no policy is pinned; `provenance policy pin FILE` keeps one")
    facts = {"path": str(path), "pinned": path.exists()}
    words = (
        f"forgotten: {path}" if forget else f"pinned: {path}\n{_in_words(_read_policy(str(path)))}"
    )
    result(facts, words, as_json)


def _keep(path: Path, file: Path) -> None:
    data = _read(str(file), "policy")
    _parse(data, str(file))
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_bytes(data)
    fresh.replace(path)  # at once or not at all: half a policy would be another policy


def read_pinned_or(path: Path | None) -> Policy:
    """The policy of a file, or without one the pinned one, saying so; status 2 if none."""
    if path is not None:
        return _read_policy(str(path))
    pinned = pinned_path()
    if not pinned.exists():
        _unusable(
            "no policy: give --policy FILE, or pin one for good with `provenance policy pin FILE`"
        )
    note(f"by your pinned policy {pinned}")
    return _read_policy(str(pinned))


def _read_policy(source: str) -> Policy:
    if is_url(source) and source.count("/") <= 3 and not source[9:].partition("/")[2]:
        try:
            return _parse(Api(source.rstrip("/")).policy().encode(), source)
        except ClientError as error:
            _unusable(f"the policy of {source} cannot be had: {error}")
    return _parse(_read(source, "policy"), source)


def _parse(data: bytes, source: str) -> Policy:
    try:
        return Policy.parse(data)
    except MerkleError as error:
        _unusable(f"the policy {source} cannot be used: {error}")


def _read(source: str, what: str) -> bytes:
    try:
        return fetch(source) if is_url(source) else Path(source).read_bytes()
    except ClientError as error:
        _unusable(f"the {what} cannot be had: {error}")
    except OSError as error:
        _unusable(f"the {what} {source} cannot be read: {error.strerror or error}")


def _unusable(words: str) -> NoReturn:
    click.echo(f"unusable: {words}", err=True)
    sys.exit(2)


# --- in words -------------------------------------------------------------------------------------


def _facts(read: Policy) -> dict[str, Any]:
    own = own_cosigners(read)
    return {
        "logs": [
            {"origin": one.origin, "kind": kind_of(one.key), "key": one.key.key_id.hex()}
            for one in read.logs
        ],
        "witnesses": [
            {
                "name": one.name,
                "key": one.key.format(),
                "kind": kind_of(one.key),
                "url": one.url,
                "own": one.name in own,
            }
            for one in read.witnesses
        ],
        "quorum": read.quorum,
        "enough": _enough(read),
        "warnings": [{"code": one.code, "place": one.place} for one in describe(read)],
    }


def _in_words(read: Policy) -> str:
    own = own_cosigners(read)
    lines = [
        f"log {one.origin}: {kind_of(one.key)} key {one.key.key_id.hex()}" for one in read.logs
    ]
    for one in read.witnesses:
        mine = ", the operator's own" if one.name in own else ""
        lines.append(f"witness {one.name}: {one.key.name} ({kind_of(one.key)}{mine})")
    lines.append(f"enough: {_enough(read)}")
    lines += [f"warning {w.code} ({w.place}): {POLICY_WARNINGS[w.code]}" for w in describe(read)]
    return "\n".join(lines)


def _enough(read: Policy) -> str:
    if read.quorum is None:
        return "nothing is asked for"
    groups = {group.name: group for group in read.groups}
    return _spell(read.quorum, groups)


def _spell(name: str, groups: dict[str, Group]) -> str:
    """``all of (clock, any of (harbour, archive))``."""
    group = groups.get(name)
    if group is None:
        return name
    members = ", ".join(_spell(member, groups) for member in group.members)
    if group.threshold == len(group.members):
        rule = "all of"
    else:
        rule = "any of" if group.threshold == 1 else f"{group.threshold} of"
    return f"{rule} ({members})"


def _moment(seconds: int) -> str:
    """A cosigner's time, which may be one that no calendar has (up to 2^63 - 1 s)."""
    return format_seconds(seconds) if seconds < _YEAR_10000 else f"{seconds} s since 1970"


def _findings(found: Examination, read: Policy) -> dict[str, Any]:
    return {
        "satisfied": found.reason is None,
        "reason": found.reason,
        "origin": found.origin,
        "size": found.size,
        "root": found.root.hex(),
        "asOf": None if found.as_of is None else _moment(found.as_of),
        "cosigned": {name: _moment(at) for name, at in sorted(found.times.items())},
        "missing": sorted({one.name for one in read.witnesses} - found.times.keys()),
    }


def _findings_in_words(found: Examination, read: Policy, now: int) -> str:
    return "\n".join(_lines(found, read, now))


def _lines(found: Examination, read: Policy, now: int) -> Iterator[str]:
    yield "SATISFIED" if found.reason is None else f"NOT SATISFIED: {found.reason}"
    yield f"  log {found.origin}, {found.size} entries, root {found.root.hex()}"
    for one in read.witnesses:
        at = found.times.get(one.name)
        said = "no line" if at is None else f"cosigned at {_moment(at)}, {now - at} s ago"
        yield f"  {one.name}: {said}"
    yield f"  enough: {_enough(read)}"
    if found.as_of is not None:
        yield f"  as of {_moment(found.as_of)}"
