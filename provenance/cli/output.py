"""How commands speak: results on stdout (words, or one object with --json), the rest on stderr.

Progress bars appear only on a terminal and only on stderr, so that a pipe never sees them.
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, ParamSpec, TypeVar

import click
from tqdm import tqdm

from merkle.errors import MerkleError
from provenance.domain.errors import DomainError, Refusal
from provenance.storage.errors import StorageError
from qr.errors import QrError

P = ParamSpec("P")
R = TypeVar("R")

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


def result(document: dict[str, Any], words: str, as_json: bool) -> None:
    """Prints the one result of a command."""
    click.echo(json.dumps(document, ensure_ascii=False, indent=2) if as_json else words)


def note(words: str) -> None:
    """Something worth knowing that is not the result."""
    click.echo(words, err=True)


@contextmanager
def progress(
    total: int | None, words: str, unit: str = " events"
) -> Iterator[Callable[[int], None]]:
    """A progress bar; the yielded function is told of each further step (negative to go back)."""
    with tqdm(
        total=total, desc=words, unit=unit, file=sys.stderr, disable=not sys.stderr.isatty()
    ) as bar:

        def advance(steps: int) -> None:
            bar.update(steps)

        yield advance


def spoken_errors(command: Callable[P, R]) -> Callable[P, R]:
    """Our own errors become one message and exit status 1; all else is a bug and stays loud."""
    return errors_end_with(1)(command)


def errors_end_with(status: int) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """`spoken_errors` with another exit status, where 1 is a verdict and not an outage."""

    def decorate(command: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(command)
        def spoken(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return command(*args, **kwargs)
            except Refusal as refusal:
                _end(status, _refusal_in_words(refusal))
            except (DomainError, MerkleError, QrError, StorageError, OSError) as error:
                _end(status, str(error))

        return spoken

    return decorate


def _end(status: int, words: str) -> NoReturn:
    click.echo(f"Error: {words}", err=True)
    sys.exit(status)


def _refusal_in_words(refusal: Refusal) -> str:
    lines = [str(refusal)]
    lines += [f"  {v.path}: expected {v.expected}, found {v.found}" for v in refusal.violations]
    lines += [f"  {refusal.remedy}"] if refusal.remedy else []
    return "\n".join(lines)
