"""The README says what the code does: settings and commands are compared, not trusted."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import click
import pytest

from provenance.cli import main
from provenance.config import PREFIX, Settings

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text("utf-8")


def test_every_setting_stands_in_the_readme_and_no_other() -> None:
    documented = set(re.findall(r"`(PROVENANCE_[A-Z0-9_]+)`", README))
    known = {PREFIX + field.name.upper() for field in fields(Settings)}
    assert documented == known


def test_defaults_in_the_readme_are_those_of_the_code() -> None:
    values = {field.name: field.default for field in fields(Settings)}
    for name, default in values.items():
        row = re.search(rf"`{PREFIX}{name.upper()}`[^|]*\| ([^|]*)\|", README)
        assert row, name
        if isinstance(default, int):
            numbers = {int(text.replace(",", "")) for text in re.findall(r"\d[\d,]*", row[1])}
            assert default in numbers, (name, row[1])


@pytest.mark.parametrize(
    "words", sorted(set(re.findall(r"`(provenance [a-z-]+(?: [a-z][a-z-]*)?)", README)))
)
def test_every_command_of_the_readme_exists(words: str) -> None:
    command: click.Command = main
    for name in words.split()[1:]:
        if not isinstance(command, click.Group):
            break  # an argument, not a command
        assert name in command.commands, words
        command = command.commands[name]
    assert command.help, words


def test_every_command_explains_itself_and_its_options() -> None:
    pending: list[tuple[str, click.Command]] = list(main.commands.items())
    seen = 0
    while pending:
        name, command = pending.pop()
        if isinstance(command, click.Group):
            pending += [(f"{name} {sub}", entry) for sub, entry in command.commands.items()]
        assert command.help, name
        for option in command.params:
            if isinstance(option, click.Option) and option.name != "help":
                assert option.help, f"{name} {option.name}"
        seen += 1
    assert seen >= 15


def test_files_that_the_readme_links_exist() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target


def test_no_placeholder_is_left_in_the_readme() -> None:
    assert not re.findall(r"\b[A-Z]+_TABLE\b", README)
    assert "events in sealed batches of 1,000" in README
