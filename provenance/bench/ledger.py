"""The ledger's figures: the sequencer alone, bytes per entry, proof sizes, and the way to a proof.

Two runs. :func:`measure_sequencer` needs no server: uploads are accepted, nobody sequences, and
then one sequencer takes what waits. :class:`Submitting` sends at a fixed rate to a running platform
whose policy demands a witness, and takes the time from the moment at which a batch *should* have
been sent (so that a stalled server is not excused for what it kept waiting) to the moment at which
a passport with one of its events is fetched and its verdict is "verified".
"""

from __future__ import annotations

import json
import statistics
import time
from base64 import b64decode
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from random import Random
from typing import Any

from merkle.hashing import leaf_hash
from merkle.mappage import Page
from merkle.pagemap import PageChanges
from merkle.policy import Policy
from merkle.tiles import addresses_for, decode_bundle, encode_bundle, entries_path, tile_hashes
from merkle.tree import Edge, MemoryTree
from provenance.bench.steps import StepTimes
from provenance.bench.timing import Figure, rate
from provenance.client.api import Api
from provenance.client.sealing import SealedBatch
from provenance.domain.errors import DomainError
from provenance.domain.ledger import SubjectState
from provenance.platform import Platform
from provenance.storage import keymap, mappages, schema
from provenance.storage.files import DurableDirectory
from provenance.storage.session import Database
from provenance.storage.tiles import read_tile
from provenance.verify import verify_bundle

_BUNDLE = 256
_PATIENCE_SECONDS = 30
_PAUSE_SECONDS = 0.02
_ROWS = 5_000


class BenchError(DomainError):
    """The platform did not do what is being timed; the message says what came instead."""


def measure_sequencer(
    platform: Platform, batches: Sequence[Sequence[SealedBatch]], times: StepTimes
) -> tuple[list[Figure], dict[str, Any]]:
    """Entries a second of one sequencer, a round for each list of batches; beside it its limits.

    The platform must not be served meanwhile, and `times` is its observer. The facts are where the
    time went and bytes on disk for each entry.
    """
    entries = sum(len(batch.events) for batch in batches[0])
    size = _published_size(platform)
    before = _disk(platform)

    seconds = []
    steps: list[dict[str, float]] = []
    for waiting in batches:
        for batch in waiting:
            platform.capture.submit_batch(batch.lines())
        times.clear()
        start = time.perf_counter()
        while platform.sequencer.run_once() is not None:
            pass
        seconds.append(time.perf_counter() - start)
        steps.append(dict(times.processor))
    platform.sequencer.release()
    figure = Figure(
        f"log entries by the sequencer alone, {entries:,} waiting",
        "/s",
        tuple(entries / one for one in seconds),
    )
    bare = bare_log(platform, len(batches))
    rows = bare_rows(platform, len(batches))
    grown = _published_size(platform) - size
    facts = _breakdown(steps, entries) | {
        f"bytes {name} for each log entry": round((after - before[name]) / grown, 1)
        for name, after in _disk(platform).items()
    }
    figures = [
        figure.under(bare.median, "the same entries into bare tiles, durable"),
        bare,
        bare_hashes(platform, len(batches)),
        rows,
    ]
    return figures, facts


def _breakdown(rounds: Sequence[dict[str, float]], entries: int) -> dict[str, Any]:
    """Median microseconds of processor time a link, by step."""
    names = list(dict.fromkeys(name for steps in rounds for name in steps))
    parts = {
        name: 1e6 * statistics.median(steps.get(name, 0.0) for steps in rounds) / entries
        for name in names
    }
    facts: dict[str, Any] = {
        f"sequencer, processor time a link in µs: {name}": round(part, 1)
        for name, part in sorted(parts.items(), key=lambda item: -item[1])
    }
    facts["sequencer, processor time a link in µs: together"] = round(sum(parts.values()), 1)
    return facts


def bare_hashes(platform: Platform, rounds: int) -> Figure:
    """Leaf hashes and tree of the entries, nothing else: no link can be published for less."""
    entries = list(_entries(platform))[: 5_000 * 4]

    def work(_: int) -> None:
        MemoryTree().extend([leaf_hash(entry) for entry in entries])

    return rate("alone: leaf hashes and tree of such entries", len(entries), rounds, work)


def bare_rows(platform: Platform, rounds: int) -> Figure:
    """As many rows of the same size as a batch writes for the map, where half of them are new.

    A state and a page for each of 5,000 links a transaction, into a SQLite file with the same two
    tables and indexes and nothing else.
    """
    folder = platform.settings.data / "bare-rows"
    folder.mkdir()
    database = Database.open(f"sqlite:///{folder / 'rows.sqlite'}")
    schema.upgrade(database)
    chance = Random(1)  # noqa: S311  a sample
    state = SubjectState(1, bytes(32), Edge(1, (bytes(32),)), 1)
    page = Page(bytes(22 * 64), bytes(21), bytes(21 * 32), bytes(32))

    def work(number: int) -> None:
        states = {chance.randbytes(32): state for _ in range(_ROWS)}
        places = dict.fromkeys(chance.sample(range(2 * _ROWS), _ROWS), page)
        with database.write() as connection:
            keymap.write_states(connection, states, number + 1)
            mappages.write_pages(connection, PageChanges(places), number + 1)

    name = f"alone: the map's rows for {_ROWS:,} links a transaction, durable (SQLite)"
    figure = rate(name, _ROWS, rounds, work)
    database.close()
    return figure


def bare_log(platform: Platform, rounds: int) -> Figure:
    """What is left without database, map and signatures: leaf hashes, tiles, bundles, all synced.

    In batches of 5,000 entries as the sequencer's, without partial tiles of earlier batches.
    """
    entries = list(_entries(platform))[: 5_000 * 4]

    def work(number: int) -> None:
        directory = DurableDirectory(platform.settings.data / f"bare-{number}")
        tree = MemoryTree()
        for start in range(0, len(entries), 5_000):
            some = entries[start : start + 5_000]
            tree.extend(map(leaf_hash, some))
            for address in addresses_for(start, start + len(some)):
                first = address.index * _BUNDLE
                data = (
                    encode_bundle(entries[first : first + address.width])
                    if address.level is None
                    else tile_hashes(address, tree)
                )
                directory.write_once(address.path(), data)

    return rate("alone: leaf hashes and tiles of such entries, durable", len(entries), rounds, work)


def _entries(platform: Platform) -> Iterator[bytes]:
    size = _published_size(platform)
    for start in range(0, size, _BUNDLE):
        width = min(_BUNDLE, size - start)
        path = entries_path(start // _BUNDLE, width)
        yield from decode_bundle(read_tile(platform.tiles, path), width)


def _published_size(platform: Platform) -> int:
    return platform.prover.published()[0]


def _disk(platform: Platform) -> dict[str, int]:
    """Bytes in the tile directory, by what the files are, and in a SQLite database."""
    tiles = platform.settings.tiles
    sizes = {"of entries": 0, "of hash tiles": 0, "of map deltas": 0}
    for file in tiles.rglob("*"):
        if not file.is_file():
            continue
        part = file.relative_to(tiles).parts
        kind = {"map": "of map deltas", "tile": "of hash tiles"}.get(part[0])
        if part[:2] == ("tile", "entries"):
            kind = "of entries"
        if kind is not None:
            sizes[kind] += file.stat().st_size
    if platform.settings.database_url.startswith("sqlite"):
        with platform.database.read() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            size = connection.exec_driver_sql("PRAGMA page_size").scalar_one()
        sizes["of the SQLite database, events and seals included,"] = pages * size
    return sizes


@dataclass(frozen=True, slots=True)
class Sample:
    """One batch on its way: seconds from when it was due."""

    answered: float
    verified: float


class Submitting:
    """Batches of `size` events at a fixed rate; each is followed to a verified passport."""

    def __init__(
        self,
        api: Api,
        policy: Policy,
        batches: Sequence[SealedBatch],
        *,
        per_second: float,
        clock: Callable[[], int],
    ) -> None:
        self._api = api
        self._policy = policy
        self._batches = batches
        self._pause = 1 / per_second
        self._clock = clock

    def run(self, threads: int = 16) -> list[Sample]:
        """All samples, in the order in which they were due; a failure is raised."""
        start = time.perf_counter() + 0.5
        pool = ThreadPoolExecutor(threads)
        try:
            jobs = [
                pool.submit(self._follow, batch, start + number * self._pause)
                for number, batch in enumerate(self._batches)
            ]
            return [job.result() for job in jobs]
        finally:
            pool.shutdown(cancel_futures=True)

    def _follow(self, batch: SealedBatch, due: float) -> Sample:
        time.sleep(max(0.0, due - time.perf_counter()))
        subject = str(json.loads(batch.events[0])["epcList"][0])
        self._api.post_batch(batch.lines, wait=True)
        answered = time.perf_counter() - due
        while True:  # where too many wait already, the answer comes before the publication
            verdict = verify_bundle(self._api.passport(subject), self._policy, now=self._clock())
            seconds = time.perf_counter() - due
            if verdict.record == "verified":
                return Sample(answered, seconds)
            if verdict.record != "absent" or seconds > _PATIENCE_SECONDS:
                raise BenchError(f"{subject}: {verdict.record} after {seconds:.1f} s")
            time.sleep(_PAUSE_SECONDS)


def percentiles(name: str, seconds: Sequence[float]) -> dict[str, Any]:
    """p50, p95, p99 and the longest, in milliseconds."""
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return {
        f"{name}, p50 ms": round(1000 * cuts[49]),
        f"{name}, p95 ms": round(1000 * cuts[94]),
        f"{name}, p99 ms": round(1000 * cuts[98]),
        f"{name}, longest ms": round(1000 * max(seconds)),
    }


def proof_sizes(bundle: bytes) -> dict[str, int]:
    """What the proof of one subject costs without its events, part by part, in bytes."""
    document = json.loads(bundle)
    subject = document["subjects"][0]
    parts = {
        "checkpoint with its signatures": len(document["checkpoint"].encode()),
        "map head and its inclusion": len(document["mapHead"]["entry"].encode())
        + 32 * len(document["mapHead"]["proof"]),
        "map proof": len(b64decode(subject["map"])),
        "inclusion of the head link": 32 * len(subject["inclusion"]),
    }
    return {f"proof bytes: {name}": size for name, size in parts.items()} | {
        "proof bytes: together": sum(parts.values())
    }
