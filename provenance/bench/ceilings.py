"""What this machine does of each dear step alone: the ceilings above the platform's figures.

Steps on one core are for one core; the platform has as many as the machine, and shares them with
the benchmark's own client.
"""

from __future__ import annotations

import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from merkle.hashing import leaf_hash
from merkle.tree import root_of
from provenance.bench.timing import Figure, rate
from provenance.crypto.signing import PrivateKey
from provenance.domain.event import parse_event


@dataclass(frozen=True, slots=True)
class Ceilings:
    """The steps alone, each per second."""

    signatures: Figure
    parsing: Figure
    rows: Figure
    commits: Figure

    def all(self) -> list[Figure]:
        """For the table."""
        return [self.signatures, self.parsing, self.rows, self.commits]

    @property
    def signed_events(self) -> float:
        """Events per second on one core, each read and its own signature checked."""
        return 1 / (1 / self.signatures.median + 1 / self.parsing.median)


def measure(folder: Path, lines: Sequence[bytes], rounds: int) -> Ceilings:
    """All of them; `lines` are events such as the benchmark sends, all different."""
    return Ceilings(
        signatures(rounds),
        parsing(lines, rounds),
        inserts(folder, lines[0], rounds, size=1_000, count=10),
        inserts(folder, lines[0], rounds, size=1, count=200),
    )


def signatures(rounds: int) -> Figure:
    """Ed25519 verifications of a 64-byte message under the strict rule, one core."""
    key = PrivateKey.from_seed(bytes(32))
    message = bytes(64)
    signature = key.sign(message)

    def work(_: int) -> None:
        for _ in range(1_000):
            key.public.verify(message, signature)

    return rate("alone: strict Ed25519 signature checks, one core", 1_000, rounds, work)


def parsing(lines: Sequence[bytes], rounds: int) -> Figure:
    """Strict JSON, validation, canonical bytes, hash and subjects of one event, one core."""
    share = len(lines) // rounds  # each line once: a second time would be remembered in part

    def work(number: int) -> None:
        for line in lines[number * share : (number + 1) * share]:
            parse_event(line)

    name = f"alone: events of {len(lines[0])} bytes read and validated, one core"
    return rate(name, share, rounds, work)


def hashing(lines: Sequence[bytes], rounds: int) -> Figure:
    """Leaf hashes and the root of batches of 1,000, one core."""
    batch = list(lines[:1_000])

    def work(_: int) -> None:
        for _ in range(20):
            root_of([leaf_hash(line) for line in batch])

    return rate("alone: leaf hash and root, one core", 20 * len(batch), rounds, work)


def copies(url: str, line: bytes, rounds: int) -> Figure:
    """Bare rows a second into PostgreSQL by binary COPY, 10 durable transactions of 1,000."""
    name = "alone: bare PostgreSQL rows by COPY, durable, 1,000 a transaction"
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as database:
        database.execute(
            "CREATE TABLE bench_rows (a int8, b int8, bytes bytea, PRIMARY KEY (a, b))"
        )

        def work(number: int) -> None:
            for batch in range(10):
                with (
                    database.cursor() as cursor,
                    cursor.copy("COPY bench_rows FROM STDIN (FORMAT BINARY)") as copy,
                ):
                    copy.set_types(["int8", "int8", "bytea"])
                    for leaf in range(1_000):
                        copy.write_row((number * 10 + batch, leaf, line))

        figure = rate(name, 10_000, rounds, work)
        database.execute("DROP TABLE bench_rows")
    return figure


def http(url: str, send: Callable[[str], object], events: int, rounds: int) -> Figure:
    """Events a second that gunicorn reads in lines and forgets; `send` sends `events` to a URL."""
    address = urlsplit(url)
    bind = f"{address.hostname}:{address.port}"
    command = ["-m", "gunicorn", "provenance.bench.sink:app", "--bind", bind, "--workers", "2"]
    more = ["--worker-class", "gthread", "--threads", "8", "--log-level", "error"]
    server = subprocess.Popen([sys.executable, *command, *more, "--no-control-socket"])  # noqa: S603
    try:
        for _ in range(200):
            with suppress(OSError), socket.create_connection((address.hostname, address.port)):
                break
            time.sleep(0.05)
        name = "alone: gunicorn reads such batches in lines, two cores with the client"
        return rate(name, events, rounds, lambda _: send(url))
    finally:
        server.terminate()
        server.wait()


def inserts(folder: Path, line: bytes, rounds: int, *, size: int, count: int) -> Figure:
    """Bare rows a second into SQLite (WAL, synchronous=FULL), `count` transactions of `size`."""
    database = sqlite3.connect(folder / f"ceiling-{size}.sqlite", isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE rows (a INTEGER, b INTEGER, bytes BLOB, PRIMARY KEY (a, b))")

    def work(number: int) -> None:
        for batch in range(count):
            database.execute("BEGIN IMMEDIATE")
            rows = [(number * count + batch, leaf, line) for leaf in range(size)]
            database.executemany("INSERT INTO rows VALUES (?, ?, ?)", rows)
            database.execute("COMMIT")

    name = f"alone: bare SQLite rows, durable, {size:,} a transaction"
    figure = rate(name, size * count, rounds, work)
    database.close()
    return figure
