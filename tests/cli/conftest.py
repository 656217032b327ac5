"""One served platform for all commands, and a way to run them as a person would."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from provenance.cli import main
from tests.support.served import Served, serving


@dataclass(frozen=True)
class Terminal:
    """Runs commands against one platform; `folder` is where the partner keeps its files."""

    served: Served
    folder: Path

    def run(self, *words: str | Path, status: int = 0, remote: bool = False) -> Result:
        """Runs `provenance WORDS`, expects `status`; `remote` adds the platform's address."""
        arguments = [*map(str, words), *(["--url", self.served.url] if remote else [])]
        result = CliRunner().invoke(main, arguments)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == status, result.output
        return result

    def json(self, *words: str | Path, status: int = 0, remote: bool = False) -> dict[str, Any]:
        """The same with --json: exactly one object on stdout."""
        document = json.loads(self.run(*words, "--json", status=status, remote=remote).stdout)
        assert isinstance(document, dict)
        return document

    def key(self, name: str) -> Path:
        """A new key file."""
        path = self.folder / f"{name}.key"
        self.run("key", "new", path)
        return path

    @property
    def operator_key(self) -> Path:
        """The operator's key file."""
        return self.served.settings.keys / "operator.key"

    def party(self, name: str, role: str | None = "brand") -> tuple[str, Path]:
        """A party registered and accredited through the commands: URI and key file."""
        uri, key = f"https://{name}.example", self.key(name)
        self.run(*("party", "register", "--party", uri, "--key", key, "--name", name), remote=True)
        if role:
            self.run(
                *("party", "accredit", "--party", uri, "--role", role),
                *("--operator-key", self.operator_key),
                remote=True,
            )
        return uri, key


@pytest.fixture(autouse=True)
def nothing_pinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who has pinned no policy yet, whoever runs the tests."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("cli") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def terminal(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    return Terminal(served, tmp_path_factory.mktemp("partner"))
