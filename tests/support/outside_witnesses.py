"""Three witnesses by others, as processes: omniwitness, litewitness and aics-witness.

Each keeps its own state in a directory of its own and is told of one log before it starts.
"""

from __future__ import annotations

import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from merkle.hashing import EMPTY_ROOT
from merkle.note import KIND_COSIGNATURE, KIND_ED25519, SignerKey, VerifierKey
from provenance.crypto.signing import PrivateKey
from provenance.domain.canonical import encode_base64
from tests.support.outside import Outside, run
from tests.support.processes import free_port, until


@dataclass(frozen=True)
class OutsideWitness:
    """One running witness; `vkey` is what a policy lists, `url` its submission prefix."""

    name: str
    vkey: str
    url: str
    log: Path


Start = Callable[[Outside, Path, VerifierKey], "Iterator[OutsideWitness]"]


@contextmanager
def _process(log: Path, *command: str | Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as output:
        process = subprocess.Popen([str(word) for word in command], stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    def answers() -> bool:
        assert process.poll() is None, log.read_text("utf-8", errors="replace")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    until(answers)


def _key(name: str) -> tuple[PrivateKey, bytes, str]:
    """A key for a test, its seed, and its verifier key as a cosigner's."""
    seed = sha256(f"outside {name}".encode()).digest()
    key = PrivateKey.from_seed(seed)
    return key, seed, VerifierKey.make(name, KIND_COSIGNATURE, key.public.raw).format()


@contextmanager
def omniwitness(outside: Outside, folder: Path, log_key: VerifierKey) -> Iterator[OutsideWitness]:
    """The reference witness (github.com/transparency-dev/witness)."""
    name, port, log = "omni.example/w", free_port(), folder / "omniwitness.log"
    key, seed, vkey = _key(name)
    plain = VerifierKey.make(name, KIND_ED25519, key.public.raw)
    (folder / "omni.key").write_text(SignerKey(name, plain.key_id, seed).format())
    (folder / "logs.yaml").write_text(
        f"Logs:\n- Origin: {log_key.name}\n  URL: http://127.0.0.1:9/\n"
        f"  PublicKey: {log_key.format()}\n"
    )
    command = [
        outside.program("omniwitness"),
        f"--private_key_path={folder / 'omni.key'}",
        f"--db_file={folder / 'omni.db'}",
        f"--additional_logs={folder / 'logs.yaml'}",
        f"--listen=127.0.0.1:{port}",
        "--metrics_listen=",
    ]
    with _process(log, *command) as process:
        _wait_for(port, process, log)
        yield OutsideWitness("omniwitness", vkey, f"http://127.0.0.1:{port}", log)


@contextmanager
def litewitness(outside: Outside, folder: Path, log_key: VerifierKey) -> Iterator[OutsideWitness]:
    """filippo.io/torchwood's witness, which signs through an ssh-agent (one of its own library)."""
    name, port, log = "lite.example/w", free_port(), folder / "litewitness.log"
    key, seed, vkey = _key(name)
    agent = folder / "agent"
    _tell_litewitness(folder / "lite.db", log_key)
    with ExitStack() as stack:
        holding = _process(log, outside.program("judge"), "agent", agent, seed.hex())
        stack.enter_context(holding)
        until(agent.exists)
        command = [
            *(outside.program("litewitness"), "-db", folder / "lite.db", "-name", name),
            *("-key", sha256(key.public.raw).hexdigest(), "-ssh-agent", agent),
            *("-listen", f"127.0.0.1:{port}"),
        ]
        process = stack.enter_context(_process(log, *command))
        _wait_for(port, process, log)
        yield OutsideWitness("litewitness", vkey, f"http://127.0.0.1:{port}", log)


def _tell_litewitness(path: Path, log_key: VerifierKey) -> None:
    """What `witnessctl add-log` and `add-key` write; that command does not build everywhere."""
    database = sqlite3.connect(path)
    with database:
        database.execute(
            "CREATE TABLE log (origin TEXT PRIMARY KEY, tree_size INTEGER NOT NULL,"
            " tree_hash TEXT NOT NULL)"
        )
        database.execute(
            "CREATE TABLE key (origin TEXT NOT NULL, key TEXT NOT NULL,"
            " FOREIGN KEY(origin) REFERENCES log(origin))"
        )
        database.execute(
            "INSERT INTO log VALUES (?, 0, ?)", (log_key.name, encode_base64(EMPTY_ROOT))
        )
        database.execute("INSERT INTO key VALUES (?, ?)", (log_key.name, log_key.format()))
    database.close()


@contextmanager
def aics_witness(outside: Outside, folder: Path, log_key: VerifierKey) -> Iterator[OutsideWitness]:
    """The witness of aics-witness (PyPI)."""
    name, port, log = "aics.example/w", free_port(), folder / "aics-witness.log"
    script, config = outside.script("aics-witness"), folder / "aics.json"
    made = run(script, "init", "-c", config, "--name", name, "--listen", f"127.0.0.1:{port}")
    vkey = next(word for word in made.stdout.split() if word.startswith(f"{name}+"))
    told = run(
        *(script, "add-log", "-c", config, "--origin", log_key.name, "--vkey", log_key.format())
    )
    assert told.returncode == 0, told.stderr
    with _process(log, script, "serve", "-c", config) as process:
        _wait_for(port, process, log)
        yield OutsideWitness("aics-witness", vkey, f"http://127.0.0.1:{port}", log)


@contextmanager
def own_witness(folder: Path, log_key: VerifierKey) -> Iterator[OutsideWitness]:
    """`provenance witness serve`, for clients by others."""
    name, port, log = "ours.example/w", free_port(), folder / "ours.log"
    own = [sys.executable, "-m", "provenance.cli", "witness"]
    common = ["--name", name, "--state", folder / "ours.sqlite"]
    shown = run(*own, "key", *common)
    assert shown.returncode == 0, shown.stderr
    vkey = next(word for word in shown.stdout.split() if word.startswith(f"{name}+"))
    address = f"127.0.0.1:{port}"
    command = [*own, "serve", "--listen", address, *common, "--log", log_key.format()]
    with _process(log, *command) as process:
        _wait_for(port, process, log)
        yield OutsideWitness("ours", vkey, f"http://{address}", log)


@contextmanager
def outside_witnesses(
    outside: Outside, folder: Path, log_key: VerifierKey
) -> Iterator[list[OutsideWitness]]:
    """All three, knowing one log."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        yield [
            stack.enter_context(start(outside, folder, log_key))
            for start in (omniwitness, litewitness, aics_witness)
        ]
