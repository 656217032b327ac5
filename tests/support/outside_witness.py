"""`provenance witness serve` as the process that somebody else runs, and what a log makes of it."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from merkle.checkpoint import parse_checkpoint
from merkle.note import VerifierKey, parse_note
from merkle.policy import Group, Policy, Witness
from merkle.witness import checkpoint_path
from provenance.config import Settings
from tests.support.processes import free_port, until


@contextmanager
def witness(folder: Path, log: str, *options: str, name: str = "drill") -> Iterator[Witness]:
    """A witness for one log (``VKEY`` or ``VKEY=URL``) until the block ends; its policy line."""
    url = f"http://127.0.0.1:{free_port()}"
    common = ["--name", f"witness.example/{name}", "--state", str(folder / f"{name}.sqlite")]
    common += options
    command = [sys.executable, "-m", "provenance.cli", "witness"]
    shown = subprocess.run(
        [*command, "key", *common], check=True, capture_output=True, text=True
    ).stdout.split()
    with (folder / f"{name}.log").open("wb") as output:
        process = subprocess.Popen(
            [*command, "serve", "--listen", url[7:], *common, "--log", log],
            stdout=output,
            stderr=output,
        )
    try:
        until(lambda: _answers(url))
        yield Witness(name, VerifierKey.parse(shown[2]), url)
    finally:
        process.terminate()
        process.wait(60)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url + "/meaning", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def held(listed: Witness, origin: str) -> int:
    """The size that the witness cosigned last."""
    with urllib.request.urlopen(f"{listed.url}/{checkpoint_path(origin)}", timeout=5) as answer:
        return parse_checkpoint(parse_note(answer.read()).text).size


def require_witness(settings: Settings, listed: Witness) -> None:
    """From now on nothing is published that this witness has not cosigned."""
    policy = Policy.parse(settings.policy_file.read_bytes())
    clock = policy.witnesses[0]
    group = Group("both", 2, (clock.name, listed.name))
    new = Policy(policy.logs, (clock, listed), (group,), "both")
    settings.policy_file.write_text(new.format(), "ascii")
