"""How many events a second a running platform accepts and publishes, and whose time that takes.

One platform (web workers, sequencer, database) on this machine; the load is made beforehand
(:mod:`provenance.bench.making`) and sent by a process of its own (:mod:`provenance.bench.sending`),
whose processor time is counted apart. A round ends when the last answer has come, or, where it says
"and published", when the published log covers the last upload. "Accepted alone" is measured with
the sequencer stopped, so that nothing else has the cores.

Each figure comes with the processor time an event cost, by role, and with the ceilings of the same
run: signature checks, hashing, bare rows, HTTP that only reads, each alone.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from provenance.bench import accounting, ceilings
from provenance.bench.ledger import BenchError
from provenance.bench.making import BATCH, Maker, Subject, distinct, hot, write_load
from provenance.bench.timing import Figure
from provenance.client.api import Api
from provenance.storage.log import pending_links
from provenance.storage.session import Database

Say = Callable[[str], None]
_PATIENCE: Final = 600
_SINGLE_CONNECTIONS: Final = 10
_GOOD: Final = frozenset({"200", "201"})


@dataclass(frozen=True, slots=True)
class Load:
    """One way of sending: `body(first)` is an upload of `size` events from number `first` on."""

    name: str
    path: str
    size: int
    connections: int
    body: Callable[[int], bytes]


@dataclass(slots=True)
class Round:
    """What one round showed. `seconds` to the last answer, `published` until the log covered it."""

    events: int
    seconds: float
    published: float
    client: float
    used: dict[str, float]
    sent: dict[str, Any]
    behind: int = 0
    memory: int = 0


@dataclass
class Throughput:
    """Rounds against the platform whose supervisor is the process `server`."""

    api: Api
    database: Database
    url: str
    server: int
    maker: Maker
    folder: Path
    say: Say
    facts: dict[str, Any] = field(default_factory=dict)
    _next: int = 0

    def figures(self, rounds: int, events: int) -> list[Figure]:
        """Sealed and own-proof batches over distinct and hot subjects, and single events."""
        figures = []
        for load in self._loads(events):
            self.say(f"{load.name}: {rounds} rounds of {events:,} events")
            done = [self._round(load, events) for _ in range(rounds)]
            figures.append(self._figure(f"{load.name}, accepted and published", done, publish=True))
        with self._sequencer_stopped():
            load = self._loads(events)[0]
            self.say(f"{load.name}, nobody sequences: {rounds} rounds")
            done = [self._round(load, events, publish=False) for _ in range(rounds)]
            figures.append(self._figure(f"{load.name}, accepted alone", done, publish=False))
        self._await_published()
        load = self._single()
        few = max(1, events // 10)
        self.say(f"{load.name}: {rounds} rounds of {few:,}")
        done = [self._round(load, few) for _ in range(rounds)]
        figures.append(self._figure(load.name, done, publish=False))
        latest = sorted(done, key=lambda one: float(one.sent["p99"]))[rounds // 2]
        self.facts[f"{load.name}: p50 ms"] = round(latest.sent["p50"], 1)
        self.facts[f"{load.name}: p99 ms"] = round(latest.sent["p99"], 1)
        return figures

    def ceilings(self, database_url: str, port: int, rounds: int) -> list[Figure]:
        """Signatures, hashing, rows and HTTP, each alone; to be run while nothing else is."""
        body = self.maker.sealed(0, distinct(self._tag()))
        lines = body.split(b"\n")[1:-1]
        figures = [ceilings.signatures(rounds), ceilings.hashing(lines, rounds)]
        if database_url.startswith("sqlite"):
            figures.append(ceilings.inserts(self.folder, lines[0], rounds, size=1_000, count=10))
        else:
            figures.append(ceilings.copies(database_url, lines[0], rounds))
        with tempfile.NamedTemporaryFile(dir=self.folder, suffix=".load") as file:
            write_load(Path(file.name), iter([body] * 40))
            load = self._sealed("", distinct(""))

            def send(url: str) -> None:
                self._send(Path(file.name), load, _PATIENCE, 0, url)

            url = f"http://127.0.0.1:{port}"
            figures.append(ceilings.http(url, send, 40 * BATCH, rounds))
        return figures

    def sustained(self, seconds: int, rate: int) -> list[Figure]:
        """Own proofs for `seconds`, published meanwhile; loads are made for `rate` events/s."""
        load = self._own("own", distinct(self._tag()))
        events = -(-seconds * rate // BATCH) * BATCH
        self.say(f"own proofs for {seconds} s: making {events:,} events")
        done = self._round(load, events, seconds=seconds)
        self.facts |= {
            "sustained: seconds": round(done.seconds),
            "sustained: events": done.events,
            "sustained: log behind at most, events": done.behind,
            "sustained: seconds from the last answer to its publication": round(
                done.published - done.seconds, 1
            ),
            "sustained: largest worker, MB": round(done.memory / 1e6),
        }
        return [self._figure(f"own proofs in batches of 1,000, for {seconds} s", [done], True)]

    def steady(self, seconds: int, rate: int) -> None:
        """Batches of 100 at `rate` events a second, each waiting for its publication."""
        size = 100
        subject = distinct(self._tag())
        load = Load(
            "submit to published",
            "/api/v1/batches?wait=published",
            size,
            8,
            lambda first: self.maker.sealed(first, subject, size),
        )
        self.say(f"{rate:,} events a second for {seconds} s, each answer after its publication")
        done = self._round(load, rate * seconds, publish=False, rate=rate / size)
        self.facts[f"{load.name}: answered before the publication"] = done.sent["pending"]
        for name in ("p50", "p99", "longest"):
            self.facts[f"submit to published at {rate:,} events/s, {name} ms"] = round(
                done.sent[name], 1
            )

    # -- loads -------------------------------------------------------------------------------------

    def _loads(self, events: int) -> Sequence[Load]:
        pooled = hot(self._tag(), events)
        return (
            self._sealed("sealed batches of 1,000, distinct subjects", distinct(self._tag())),
            self._sealed("sealed batches of 1,000, hot subjects", pooled),
            self._own("own proofs, 1,000 a request, distinct subjects", distinct(self._tag())),
            self._own("own proofs, 1,000 a request, hot subjects", pooled),
        )

    def _sealed(self, name: str, subject: Subject) -> Load:
        return Load(
            name, "/api/v1/batches", BATCH, 4, lambda first: self.maker.sealed(first, subject)
        )

    def _own(self, name: str, subject: Subject) -> Load:
        return Load(
            name, "/api/v1/batches", BATCH, 4, lambda first: self.maker.own_proofs(first, subject)
        )

    def _single(self) -> Load:
        subject = distinct(self._tag())
        return Load(
            "single events with own proofs, one a request",
            "/api/v1/events",
            1,
            _SINGLE_CONNECTIONS,
            lambda first: self.maker.own_proofs(first, subject, 1).rstrip(),
        )

    def _tag(self) -> str:
        return os.urandom(3).hex()

    # -- rounds ------------------------------------------------------------------------------------

    def _round(
        self,
        load: Load,
        events: int,
        *,
        publish: bool = True,
        seconds: float = _PATIENCE,
        rate: float = 0,
    ) -> Round:
        with tempfile.NamedTemporaryFile(dir=self.folder, suffix=".load") as file:
            firsts = range(self._next, self._next + events, load.size)
            self._next = firsts.stop
            write_load(Path(file.name), (load.body(first) for first in firsts))
            used = accounting.processor_seconds(self.server)
            start = time.perf_counter()
            with self._watching() as watched:
                sent = self._send(Path(file.name), load, seconds, rate)
                accepted = sum(sent["answers"].get(status, 0) for status in _GOOD) * load.size
                if publish:
                    self._await_published()
            published = time.perf_counter() - start
        if refused := {s: n for s, n in sent["answers"].items() if s not in _GOOD | {"429", "503"}}:
            raise BenchError(f"{load.name}: answers other than 200 and 201: {refused}")
        after = accounting.processor_seconds(self.server)
        return Round(
            events=accepted,
            seconds=sent["seconds"],
            published=published,
            client=sent["processor_seconds"],
            used=accounting.difference(used, after),
            sent=sent,
            behind=watched.behind,
            memory=watched.memory,
        )

    def _send(
        self, file: Path, load: Load, seconds: float, rate: float, url: str = ""
    ) -> dict[str, Any]:
        where = (url or self.url) + load.path
        words = (str(file), where, str(load.connections), str(seconds), str(rate))
        done = subprocess.run(  # noqa: S603  our own interpreter and module
            [sys.executable, "-m", "provenance.bench.sending", *words],
            check=True,
            capture_output=True,
        )
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    def _figure(self, name: str, rounds: Sequence[Round], publish: bool) -> Figure:
        for role in (*accounting.ROLES, "client"):
            each = [
                1e6 * (one.client if role == "client" else one.used[role]) / one.events
                for one in rounds
            ]
            middle = sorted(each)[len(each) // 2]
            if middle:
                self.facts[f"{name}: µs of {role} an event"] = round(middle, 1)
        return Figure(
            name,
            "/s",
            tuple(one.events / (one.published if publish else one.seconds) for one in rounds),
        )

    # -- the platform ------------------------------------------------------------------------------

    def _await_published(self) -> None:
        """Until an upload that was made last is covered: all before it are then, too."""
        body = self.maker.sealed(0, distinct(self._tag()), 1)
        lines = body.rstrip(b"\n").split(b"\n")
        end = time.monotonic() + _PATIENCE
        while not self.api.post_batch(lambda: iter(lines), wait=True).published:
            if time.monotonic() > end:
                raise BenchError(f"the log did not catch up within {_PATIENCE} s")

    @contextmanager
    def _watching(self) -> Iterator[_Watch]:
        watch = _Watch(self.server, self.database)
        thread = threading.Thread(target=watch.run)
        thread.start()
        try:
            yield watch
        finally:
            watch.stop.set()
            thread.join()

    @contextmanager
    def _sequencer_stopped(self) -> Iterator[None]:
        """Stopped, not ended: the supervisor would end with it."""
        pids = accounting.pids(self.server, "sequencer")
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)


class _Watch:
    """Looks at the largest worker, and at what waits for publication, four times a second."""

    def __init__(self, server: int, database: Database) -> None:
        self._server = server
        self._database = database
        self.stop = threading.Event()
        self.behind = 0
        self.memory = 0

    def run(self) -> None:
        while not self.stop.wait(0.25):
            self.memory = max(self.memory, accounting.largest_worker(self._server))
            with self._database.read() as connection:
                self.behind = max(self.behind, pending_links(connection))
