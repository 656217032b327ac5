"""Every command: one JSON object with --json, else words; bars only on a terminal."""

from __future__ import annotations

from typing import Any

import click
import pytest

from provenance.cli import main
from provenance.cli.output import errors_end_with, progress, spoken_errors
from provenance.domain.errors import InvalidContentError, Violation

#: Commands that print no result of their own, or that stay up.
WITHOUT_RESULT = {"witness serve", "serve", "sequence", "build-verifier"}


def leaves(group: click.Group, before: str = "") -> list[tuple[str, click.Command]]:
    found: list[tuple[str, click.Command]] = []
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            found += leaves(command, f"{before}{name} ")
        else:
            found.append((before + name, command))
    return found


@pytest.mark.parametrize(("name", "command"), leaves(main), ids=lambda value: str(value)[:20])
def test_every_command_with_a_result_takes_json(name: str, command: click.Command) -> None:
    options = {option for parameter in command.params for option in parameter.opts}
    assert ("--json" in options) == (name not in WITHOUT_RESULT)


def test_no_bar_where_stderr_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(10, "working") as advance:
        advance(10)
        advance(-3)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("decorator", "status"), [(spoken_errors, 1), (errors_end_with(2), 2)])
def test_a_refusal_is_spoken_with_its_violations_and_remedy(
    decorator: Any, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    @decorator
    def refuse() -> None:
        raise InvalidContentError(
            "event-invalid",
            "it is broken",
            violations=(Violation("$.a", "one", "two"), Violation("$.b", "three", "four")),
            remedy="mend it",
        )

    with pytest.raises(SystemExit) as caught:
        refuse()
    assert caught.value.code == status
    assert capsys.readouterr().err.splitlines() == [
        "Error: it is broken",
        "  $.a: expected one, found two",
        "  $.b: expected three, found four",
        "  mend it",
    ]


def test_a_bug_stays_loud() -> None:
    @spoken_errors
    def fail() -> None:
        raise KeyError("ours")

    with pytest.raises(KeyError):
        fail()
