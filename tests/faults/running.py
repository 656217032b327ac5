"""The platform's own processes one by one, under load, so that a test can kill what it likes.

`provenance serve` ends when a child dies, which is right for an operator and no use here: the same
commands are started singly (:class:`Running`). :class:`Load` is the outside: partners who upload
and keep every receipt, and a reader who polls the checkpoint.
"""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from merkle.note import VerifierKey, open_note
from merkle.policy import Group, Policy, Witness
from provenance.cli.serve import ROOT, _die_with_parent, environment, gunicorn_command
from provenance.client.api import Api
from provenance.client.errors import ProblemError, UnreachableError
from provenance.client.sealing import SealedBatch, Signer
from provenance.config import Settings
from provenance.crypto.signing import note_verifier
from provenance.domain.errors import UnavailableError
from provenance.platform import Platform
from provenance.services.sequencing import LEASE
from provenance.services.witness import establish
from provenance.storage import log
from provenance.storage.session import Database
from provenance.storage.tables import leases, uploads
from provenance.storage.tiles import LastSigned
from provenance.storage.witness_state import WitnessState
from tests.faults.evidence import disagreeing, notes, opened
from tests.faults.installation import fsck, not_once, sealed
from tests.support.processes import children, end_all, free_port, until

WITNESS = "witness.example/map"


def quick(data: Path, database: str = "") -> Settings:
    """Settings under which a round is short; the lease is the shortest that is allowed."""
    return Settings(
        data=data,
        database=database,
        port=free_port(),
        publish_interval_ms=20,
        lease_s=2,
        witness_timeout_ms=5_000,  # the machine is busy
    )


class Running:
    """Web workers and sequencers of one installation; all of them end with the block."""

    def __init__(self, settings: Settings, output: Path) -> None:
        self.settings = settings
        self.url = f"http://127.0.0.1:{settings.port}"
        self.output = output
        self.platform = Platform.open(settings)
        self.sequencers: dict[int, subprocess.Popen[bytes]] = {}
        self._web: subprocess.Popen[bytes] | None = None
        self._witness: subprocess.Popen[bytes] | None = None

    @property
    def messages(self) -> str:
        """What the processes said."""
        return self.output.read_text("utf-8", errors="replace")

    def start_web(self) -> None:
        """gunicorn as `serve` starts it; returns when it is ready."""
        self._web = self._start(gunicorn_command(self.settings))
        until(self.is_ready)

    def start_sequencer(self) -> int:
        """One more sequencer, as `serve` starts it; its process id."""
        process = self._start([sys.executable, "-m", "provenance.cli", "sequence"])
        self.sequencers[process.pid] = process
        return process.pid

    def stop_between_writes(self, pid: int) -> int:
        """SIGSTOP at a moment at which the process holds no lock; how often it did hold one.

        Stopped inside a transaction it stops everybody until it goes on: that is an outage, and no
        other may write meanwhile. What is to be seen here is the other case.
        """
        impatient = Database(self.platform.database.url, timeout_ms=500)
        for held in range(100):
            os.kill(pid, signal.SIGSTOP)
            try:
                with impatient.write() as connection:
                    connection.execute(select(leases).with_for_update())
            except UnavailableError:
                os.kill(pid, signal.SIGCONT)
                time.sleep(0.05)
            else:
                return held
            finally:
                impatient.close()
        raise AssertionError("it held a lock a hundred times")

    def start_witness(self, witness: MapWitness) -> None:
        """The witness over its own state; returns when it answers."""
        self._witness = self._start([sys.executable, "-m", "provenance.cli", *witness.command])
        until(lambda: _answers(witness.url + "/"))

    def kill_witness(self) -> None:
        """kill -9 of the witness and its worker."""
        assert self._witness is not None
        for pid in (self._witness.pid, *children(self._witness.pid)):
            self.kill(pid)
        self._witness.wait()

    def kill(self, pid: int) -> None:
        """kill -9 of a process that this object started, or of its child."""
        os.kill(pid, signal.SIGKILL)
        if (process := self.sequencers.pop(pid, None)) is not None:
            process.wait()

    def kill_web(self) -> None:
        """kill -9 of gunicorn and all its workers."""
        assert self._web is not None
        for pid in (self._web.pid, *children(self._web.pid)):
            self.kill(pid)
        self._web.wait()

    def workers(self) -> list[int]:
        """The web workers."""
        assert self._web is not None
        return children(self._web.pid)

    def holder(self) -> int | None:
        """The process id of the sequencer that holds the lease, if one of ours does."""
        with self.platform.database.read() as connection:
            row = connection.execute(select(leases).where(leases.c.name == LEASE)).one_or_none()
        pid = 0 if row is None else int(row.holder.split(":")[1])
        return pid if pid in self.sequencers else None

    def is_ready(self) -> bool:
        """Does /readyz say so?"""
        return _answers(self.url + "/readyz")

    def newest_upload(self) -> int:
        """The id of the newest accepted upload."""
        with self.platform.database.read() as connection:
            return int(connection.scalar(select(func.max(uploads.c.id))) or 0)

    def is_covered(self, upload: int) -> bool:
        """Is it published? False as well while the database is away."""
        try:
            with self.platform.database.read() as connection:
                return log.is_covered(connection, upload)
        except UnavailableError:
            return False

    def publishes_all(self) -> None:
        """Wait until everything that was accepted is published."""
        newest = self.newest_upload()
        until(lambda: self.is_covered(newest))

    def notes(self) -> list[bytes]:
        """The signed notes that any place holds now."""
        last_signed = LastSigned(self.settings.keys / "last-signed")
        return list(notes(self.platform.database, self.platform.tiles, last_signed))

    def stop(self) -> None:
        """Ends what runs, politely first; never anything else."""
        others = [process for process in (self._web, self._witness) if process is not None]
        started = [*self.sequencers.values(), *others]
        end_all(started)
        self.platform.close()

    def _start(self, command: list[str]) -> subprocess.Popen[bytes]:
        with self.output.open("ab") as output:
            return subprocess.Popen(
                command,
                env=environment(self.settings),
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=_die_with_parent(),  # noqa: PLW1509  asks nothing of other threads
            )


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, HTTPException):
        return False


class MapWitness:
    """A witness that checks the map, and without which nothing is published."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        """Makes its state and key, and puts it into the installation's policy."""
        folder.mkdir()
        self.state = folder / "witness.sqlite"
        listen = f"127.0.0.1:{free_port()}"
        self.url = f"http://{listen}"
        _, _, cosigner = establish(self.state, folder / "witness.key", WITNESS, "map")
        self.key = cosigner.vkey
        policy = Policy.parse(settings.policy_file.read_bytes())
        self.origin = policy.logs[0].key.name
        clock = policy.witnesses[0].name
        both = Group("both", 2, (clock, WITNESS))
        witnesses = (*policy.witnesses, Witness(WITNESS, self.key, self.url))
        settings.policy_file.write_text(
            Policy(policy.logs, witnesses, (both,), "both").format(), encoding="ascii"
        )
        where = f"{policy.logs[0].key.format()}=http://127.0.0.1:{settings.port}/log"
        self.command = ["witness", "serve", "--listen", listen, "--check-map", "--log", where]
        self.command += ["--state", str(self.state), "--name", WITNESS]

    def note(self) -> bytes:
        """The newest checkpoint that it cosigned."""
        known = WitnessState(self.state).cosigned(self.origin)
        assert known is not None
        return known.note


@contextmanager
def running(settings: Settings, output: Path, sequencers: int = 1) -> Iterator[Running]:
    """Web and so many sequencers, ready; `output` is where they write what they say."""
    platform = Running(settings, output)
    try:
        for _ in range(sequencers):
            platform.start_sequencer()
        platform.start_web()
        yield platform
    finally:
        platform.stop()


@dataclass(slots=True)
class Load:
    """Partners and a reader in threads; `threads` uploads at a time.

    `acknowledged` holds every receipt, `seen` every checkpoint that was served, in order.
    An upload without an answer is sent again until there is one, as any partner does.
    """

    url: str
    signer: Signer
    threads: int = 3
    pause: float = 0.01
    acknowledged: list[dict[str, Any]] = field(default_factory=list)
    seen: list[bytes] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _running: list[threading.Thread] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def __enter__(self) -> Load:
        targets = [self._upload] * self.threads + [self._watch]
        self._running = [threading.Thread(target=target, daemon=True) for target in targets]
        for thread in self._running:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._running:
            thread.join(30)
        assert not any(thread.is_alive() for thread in self._running)

    def goes_on(self, platform: Running, seconds: float = 60) -> None:
        """Wait until something that is acknowledged from now on is published."""
        before = len(self.acknowledged)
        until(lambda: len(self.acknowledged) > before + self.threads, seconds)
        newest = platform.newest_upload()
        until(lambda: platform.is_covered(newest), seconds)

    def _upload(self) -> None:
        api = Api(self.url, timeout_seconds=15, sleep=self._wait)
        while not self._stop.is_set():
            number = next(self._numbers)
            # Some histories are written by everybody, most by nobody else.
            batch = sealed(self.signer, f"L{number}", f"SHARED{number % 5}")
            while not self._stop.is_set() and not self._send(api, batch):
                pass
            self._wait(self.pause)

    def _send(self, api: Api, batch: SealedBatch) -> bool:
        try:
            self.acknowledged.append(api.post_batch(batch.lines).receipt)
        except UnreachableError:
            return False
        except ProblemError as error:
            self.refused.append(str(error))
        return True

    def _watch(self) -> None:
        while not self._stop.wait(0.02):
            try:
                with urllib.request.urlopen(self.url + "/log/checkpoint", timeout=2) as answer:
                    note = answer.read()
            except (OSError, HTTPException):  # away, or killed between head and body
                continue
            if not self.seen or self.seen[-1] != note:
                self.seen.append(note)

    def _wait(self, seconds: float) -> None:
        self._stop.wait(min(seconds, 0.1))


def losses(platform: Running, load: Load, signed: list[bytes], *others: Load) -> list[str]:
    """The outside's complaints, of all loads, after everything is published; none.

    A promised link that the log does not hold exactly once; a checkpoint that disagrees with
    another; one that was served after a larger one, or without the policy's quorum; a refusal that
    was none of the partner's fault. fsck must pass as well.
    """
    fsck(platform.platform)
    policy = platform.platform.policy
    judges = [note_verifier(witness.key) for witness in policy.witnesses]

    def has_quorum(note: bytes) -> bool:
        named = [policy.witness_of(line) for line in open_note(note, judges).verified]
        return policy.is_satisfied({witness.name for witness in named if witness is not None})

    key = VerifierKey.parse(platform.platform.log_vkey)
    loads = (load, *others)
    served = [[opened(note, [note_verifier(key)]) for note in one.seen] for one in loads]
    held = [opened(note, [note_verifier(key)]) for note in (*signed, *platform.notes())]
    back = [
        f"served {after.size} after {before.size}"
        for row in served  # what one reader saw, in order
        for before, after in itertools.pairwise(row)
        if after.size < before.size
    ]
    seen = {note for one in loads for note in one.seen}
    alone = [f"served without quorum: {note!r}" for note in seen if not has_quorum(note)]
    receipts = [receipt for one in loads for receipt in one.acknowledged]
    lost = not_once(platform.platform.tiles, held[-1].size, receipts)
    lost += disagreeing(platform.platform.tiles, {*itertools.chain(*served), *held})
    refused = [f"refused: {text}" for one in loads for text in one.refused]
    return [*lost, *back, *alone, *refused]
