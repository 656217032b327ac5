"""provenance audit: somebody else's running log, mirrored and derived again from outside.

Exit status 0 no difference, 1 differences (each is named: place, expected, found), 2 it could not
look.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click

from provenance.cli.options import now_seconds
from provenance.cli.output import errors_end_with, json_option, note, progress
from provenance.client.errors import UnreachableError
from provenance.client.log_reader import LogReader
from provenance.client.reporting import report_checkpoint
from provenance.domain.fork import parse_fork
from provenance.domain.moments import format_seconds
from provenance.services.auditing import Auditor, AuditReport, choose_policy
from provenance.storage.audit_state import AuditDirectory
from provenance.verify import MAX_AGE

_FILE_SECONDS = 120.0  # in which one file must have come whole, the largest delta too
_MOST_TEXT = 1_000
_MOST_DIFFERENCES = 50
_UNITS = {"entries": " entries", "seals": " entries"}


@click.command()
@click.argument("url")
@click.option(
    "--state",
    "state_path",
    default="audit-state",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory of this audit: where it has come to, and the mirrored log (DIR/log).",
)
@click.option(
    "--policy",
    "policy_path",
    default=None,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Your policy file (C2SP tlog-policy). Without it the one pinned before is used; at the "
    "first contact the log's own proposal is pinned, and said so.",
)
@click.option(
    "--mirror",
    "mirrors",
    multiple=True,
    metavar="URL",
    help="Another copy of the log, or a witness's monitoring address, whose checkpoint is held "
    "against this log. Repeatable.",
)
@click.option(
    "--max-age",
    default=MAX_AGE,
    show_default=True,
    help="Greatest age of the checkpoint, seconds.",
)
@click.option(
    "--follow",
    type=click.IntRange(1),
    default=None,
    metavar="SECONDS",
    help="Go on watching: look again so many seconds after each look, until interrupted.",
)
@click.option(
    "--report", is_flag=True, help="Send both states of every fork found to the log's operator."
)
@json_option
@errors_end_with(2)
def audit(
    url: str,
    state_path: Path,
    policy_path: Path | None,
    mirrors: tuple[str, ...],
    max_age: int,
    follow: int | None,
    report: bool,
    as_json: bool,
) -> None:
    """Audit the platform at URL from outside: derive everything again, and name what differs.

    Fetches over HTTP only, and keeps its place: end it whenever you like, it goes on from there.
    Exit status 0 no difference, 1 differences, 2 it could not look.
    """
    source = LogReader(url, timeout_seconds=_FILE_SECONDS)
    others = [LogReader(mirror) for mirror in mirrors]
    given = None if policy_path is None else policy_path.read_bytes()
    with _opened(state_path) as directory:
        chosen = choose_policy(directory, given, source)
        if chosen.first_contact:
            note(
                f"First contact: the policy that {url} proposes is trusted from now on and pinned "
                f"in {state_path / 'policy.txt'}. Compare it with one that you have from elsewhere:"
            )
            for line in chosen.policy.format().splitlines():
                note(printable(line))
        auditor = Auditor(
            directory, source, chosen.policy, now_seconds, max_age=max_age, mirrors=others
        )
        sys.exit(_watch(auditor, follow, url if report else None, as_json))


@contextmanager
def _opened(path: Path) -> Iterator[AuditDirectory]:
    directory = AuditDirectory(path)
    try:
        yield directory
    finally:
        directory.close()


def _watch(auditor: Auditor, follow: int | None, report_to: str | None, as_json: bool) -> int:
    """One look, or one after the other until interrupted; the exit status.

    Of several looks: 1 if any of them found a difference, else that of the last.
    """
    status, reported = 2, set[Path]()
    try:
        while True:
            with _bars() as advance:
                auditor.progress = advance
                found = auditor.run()
            _say(found, as_json, one_line=follow is not None)
            status = 1 if status == 1 else found.exit_status
            if report_to is not None:
                _report(found, report_to, reported)
            if follow is None:
                return status
            time.sleep(follow)
    except KeyboardInterrupt:
        note("Interrupted; the next run goes on from here.")
        return status if follow is not None else 2


@contextmanager
def _bars() -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar for each kind of step, opened with its first."""
    with ExitStack() as stack:
        bars: dict[str, Callable[[int], None]] = {}

        def advance(what: str, steps: int, total: int) -> None:
            if what not in bars:
                bars[what] = stack.enter_context(progress(total, what, _UNITS[what]))
            bars[what](steps)

        yield advance


def _say(found: AuditReport, as_json: bool, *, one_line: bool) -> None:
    if as_json:
        click.echo(json.dumps(found.to_json(), ensure_ascii=False, indent=None if one_line else 2))
    else:
        click.echo(in_words(found))


def _report(found: AuditReport, url: str, reported: set[Path]) -> None:
    """Both states of each fork, once a command: the log knows one of them, and not which."""
    for path in found.forks:
        if path in reported:
            continue
        evidence = parse_fork(path.read_bytes())
        for state in (evidence.first, evidence.second):
            try:
                status, text = report_checkpoint(url, state)
            except UnreachableError as error:
                note(f"could not report {path}: {error}")
                break
            note(printable(f"reported {state.splitlines()[1]} entries: {status} {text}"))
        else:
            reported.add(path)


def printable(text: str) -> str:
    """Text of somebody else for a terminal: one line, nothing that steers it, not endless."""
    shown = "".join(one if one.isprintable() else repr(one)[1:-1] for one in text[:_MOST_TEXT])
    return shown + ("…" if len(text) > _MOST_TEXT else "")


def in_words(found: AuditReport) -> str:
    """What was audited, what was not, and every difference exactly."""
    as_of = "no stated time" if found.as_of is None else format_seconds(found.as_of)
    published = "unknown" if found.published is None else f"{found.published:,}"
    counts = ", ".join(f"{count:,} {what}" for what, count in sorted(found.counts.items()))
    lines = [
        f"{found.origin or found.url}: {found.size:,} entries audited ({published} published as of "
        f"{as_of}), seals of {found.sealed:,}",
        f"checked since the beginning: {counts or 'nothing'}",
        f"links ignored: {found.ignored:,}",
    ]
    for kept, group in (("signed", found.kept), ("served", found.passing)):
        for what, where, expected, got in group[:_MOST_DIFFERENCES]:
            lines += [f"DIFFERENCE ({kept}): {what} of {where}"]
            lines += [f"  expected {expected}", f"  found    {got}"]
        if len(group) > _MOST_DIFFERENCES:
            lines.append(f"and {len(group) - _MOST_DIFFERENCES:,} more ({kept}); --json has all")
    lines += [f"FORK: evidence in {path}" for path in found.forks]
    lines += [f"the log's key was passed on; pinned from now on: {key}" for key in found.succeeded]
    if found.unreachable is not None:
        lines.append(f"COULD NOT LOOK: {found.unreachable}")
    if found.exit_status == 0:
        lines.append("no difference")
    return "\n".join(map(printable, lines))
