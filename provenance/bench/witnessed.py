"""A platform that publishes only what a map-aware witness has cosigned, each a process."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from merkle.note import KIND_ED25519, VerifierKey
from merkle.policy import Group, Policy, Witness
from provenance.bench.ledger import BenchError
from provenance.config import Settings
from provenance.platform import initialise

NAME = "bench.example/w1"
_START_SECONDS = 30

Spawn = Callable[[list[str]], "subprocess.Popen[bytes]"]


@contextmanager
def witnessed(settings: Settings, port: int, spawn: Spawn) -> Iterator[Policy]:
    """Prepare the installation, run its witness on `port`; the policy that demands both cosigners.

    The platform itself is started by the caller, inside.
    """
    initialise(settings)
    state = settings.data / "witness.sqlite"
    key = _command("witness", "key", "--name", NAME, "--state", str(state), "--check-map", "--json")
    policy = _demand(settings.policy_file, _vkey(key), f"http://127.0.0.1:{port}/")
    logs = [
        part
        for log in policy.logs
        if log.key.kind == KIND_ED25519  # what a witness knows a log by
        for part in ("--log", f"{log.key.format()}={settings.public_url}/log/")
    ]
    command = ["witness", "serve", "--listen", f"127.0.0.1:{port}", "--state", str(state)]
    process = spawn([sys.executable, "-m", "provenance.cli", *command, "--check-map", *logs])
    try:
        _await(f"http://127.0.0.1:{port}/", process)
        yield policy
    finally:
        process.terminate()
        process.wait(_START_SECONDS)


def _command(*words: str) -> bytes:
    command = [sys.executable, "-m", "provenance.cli", *words]
    return subprocess.run(command, check=True, capture_output=True).stdout  # noqa: S603


def _vkey(answer: bytes) -> VerifierKey:
    return VerifierKey.parse(str(json.loads(answer)["vkey"]))


def _demand(path: Path, key: VerifierKey, url: str) -> Policy:
    """Our own clock and the witness, both."""
    known = Policy.parse(path.read_bytes())
    witness = Witness(NAME, key, url)
    members = (*(one.name for one in known.witnesses), NAME)
    policy = replace(
        known,
        witnesses=(*known.witnesses, witness),
        groups=(Group("all", len(members), members),),
        quorum="all",
    )
    checked = Policy.parse(policy.format())
    path.write_text(checked.format(), encoding="ascii")
    return checked


def _await(url: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310 -- our own address
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise BenchError("the witness did not start")
