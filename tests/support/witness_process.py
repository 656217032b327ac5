"""`provenance witness serve` as the process that somebody starts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3

from merkle.witness import AddCheckpoint
from tests.support.processes import children, free_port, until
from tests.support.tilelog import TileLog
from tests.support.witnesses import NAME


@dataclass
class WitnessProcess:
    """One running witness; `log` is what it said."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    @property
    def messages(self) -> str:
        return self.log.read_text("utf-8", errors="replace")

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The lines written about requests."""
        return [
            json.loads(line[line.index("{") :])
            for line in self.messages.splitlines()
            if '{"method"' in line
        ]

    def is_ready(self) -> bool:
        assert self.process.poll() is None, self.messages
        try:
            with urllib.request.urlopen(self.url + "/", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def facts(self) -> dict[str, Any]:
        """Who it says it is."""
        answer = self.ask("GET", "/", headers={"Accept": "application/json"})
        document = json.loads(answer.data)
        assert isinstance(document, dict)
        return document

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> urllib3.BaseHTTPResponse:
        """One request over a connection of its own."""
        with urllib3.PoolManager(retries=False, timeout=60) as pool:
            return pool.request(method, self.url + path, body=body, headers=headers, redirect=False)

    def add(self, old: int, proof: Sequence[bytes], note: bytes) -> urllib3.BaseHTTPResponse:
        """One checkpoint."""
        body = AddCheckpoint(old, tuple(proof), note).encode()
        return self.ask("POST", "/add-checkpoint", body)

    def follow(self, log: TileLog, old: int) -> urllib3.BaseHTTPResponse:
        """The log's present checkpoint from `old` on, honestly."""
        return self.add(old, log.proof(old), log.note())

    def kill(self) -> None:
        """SIGKILL for it and its worker at once: what a power cut leaves, but for the disk."""
        family = [self.process.pid, *children(self.process.pid)]
        for pid in family:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(30)


@contextmanager
def witness_process(
    folder: Path, *options: str, name: str | None = NAME, script: str | None = None
) -> Iterator[WitnessProcess]:
    """Starts one over `folder`'s state; `script` runs in the place of the command, if given."""
    folder.mkdir(exist_ok=True)
    port = free_port()
    begin = ["-c", script] if script else ["-m", "provenance.cli"]
    command = [sys.executable, *begin, "witness", "serve", "--listen", f"127.0.0.1:{port}"]
    command += ["--state", str(folder / "witness.sqlite"), *(["--name", name] if name else [])]
    log = folder / f"witness-{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen([*command, *options], stdout=output, stderr=output)
    running = WitnessProcess(process, f"http://127.0.0.1:{port}", log)
    try:
        until(running.is_ready)
        yield running
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                running.kill()
