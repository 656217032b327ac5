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
from typing import Any

from merkle.hashing import leaf_hash
from merkle.policy import Policy
from merkle.tiles import addresses_for, decode_bundle, encode_bundle, entries_path, tile_hashes
from merkle.tree import MemoryTree
from provenance.bench.timing import Figure, rate
from provenance.client.api import Api
from provenance.client.sealing import SealedBatch
from provenance.domain.errors import DomainError
from provenance.platform import Platform
from provenance.storage.files import DurableDirectory
from provenance.storage.tiles import read_tile
from provenance.verify import verify_bundle

_BUNDLE = 256
_PATIENCE_SECONDS = 30
_PAUSE_SECONDS = 0.02


class BenchError(DomainError):
    """The platform did not do what is being timed; the message says what came instead."""


def measure_sequencer(
    platform: Platform, batches: Sequence[Sequence[SealedBatch]]
) -> tuple[list[Figure], dict[str, Any]]:
    """Entries a second of one sequencer, a round for each list of batches; beside it the bare log.

    The platform must not be served meanwhile. The facts are bytes on disk for each entry.
    """
    entries = sum(len(batch.events) for batch in batches[0])
    size = _published_size(platform)
    before = _disk(platform)

    seconds = []
    for waiting in batches:
        for batch in waiting:
            platform.capture.submit_batch(batch.lines())
        start = time.perf_counter()
        while platform.sequencer.run_once() is not None:
            pass
        seconds.append(time.perf_counter() - start)
    platform.sequencer.release()
    figure = Figure(
        f"log entries by the sequencer alone, {entries:,} waiting",
        "/s",
        tuple(entries / one for one in seconds),
    )
    bare = bare_log(platform, len(batches))
    grown = _published_size(platform) - size
    facts = {
        f"bytes {name} for each log entry": round((after - before[name]) / grown, 1)
        for name, after in _disk(platform).items()
    }
    return [figure.under(bare.median, "the same entries into bare tiles, durable"), bare], facts


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
