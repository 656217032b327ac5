"""How the map behaves with many subjects: start, memory, proofs, batches, and a witness's check.

A database of its own is filled with subjects that exist in the map alone, prefix by prefix and in
bounded memory: their states as `map_leaves`, and the pages out of these, by the code that an
upgrade runs. Then, each figure beside its ceiling from the same run:

- a fresh process opens the map, as a web worker does, and says how long it took and what the whole
  process occupied at most;
- proofs of subjects drawn at random, with their page read from the database, and again from memory;
- batches of 256 links, one in eight about a new subject: the map's share of a sequencer's round;
- what a map-aware witness does for one such batch (`domain.delta.replay`).

Keys are hashes in the first bits and otherwise, as those of real subjects; counts are 1 to 8.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any, Final

from merkle.mapnode import TAG_INNER, TAG_LEAF
from merkle.pagemap import PageMap, ReadPages
from merkle.tree import Edge
from provenance.bench.timing import Figure, duration
from provenance.domain.chain import Link
from provenance.domain.delta import MapDelta, decode_delta, replay
from provenance.domain.ledger import MapHead, SubjectState, apply_link
from provenance.storage import keymap, mappages, schema
from provenance.storage.session import Database

Say = Callable[[str], None]

BATCH: Final = 256
NEW: Final = 32
"""Of a batch, how many links are about subjects that are new."""

_BUCKET_BITS: Final = 12
_BUCKETS: Final = 1 << _BUCKET_BITS
_PROOFS: Final = 1_000
_CHECKS: Final = 10  # decoding and replaying, for each batch
_START: Final = 1_000_000_000
"""Log index of the first batch: above all indexes that the subjects' states name."""

_MB: Final = 1024


def measure(
    folder: Path, subjects: int, rounds: int, say: Say
) -> tuple[list[Figure], dict[str, Any]]:
    """All figures and facts about a map of `subjects` subjects, in a new database in `folder`."""
    url = f"sqlite:///{folder / 'bigmap.sqlite'}"
    database = Database.open(url)
    schema.upgrade(database)
    facts: dict[str, Any] = {"subjects in the map": subjects}
    say(f"making {subjects:,} subjects")
    facts |= _build(database, subjects, say)
    say("opening the map in a fresh process")
    facts |= _open_elsewhere(url, subjects)
    run = _Run(database, subjects)
    say("proving")
    figures = run.proofs()
    facts |= run.facts
    say("batches")
    figures += run.batches(rounds, facts)
    database.close()
    return figures, facts


# Subjects


def key_of(bucket: int, number: int) -> bytes:
    """The key of a subject: its first bits say the bucket, the others are a hash."""
    hashed = int.from_bytes(sha256(b"%d %d" % (bucket, number)).digest(), "big")
    rest = 256 - _BUCKET_BITS
    return (bucket << rest | hashed & (1 << rest) - 1).to_bytes(32, "big")


def state_of(key: bytes) -> SubjectState:
    """What the map holds of a subject, made out of its key."""
    count = 1 + key[31] % 8
    hashes = tuple(sha256(key + bytes([n])).digest() for n in range(count.bit_count()))
    head = hashes[-1] if count & 1 else sha256(key).digest()
    return SubjectState(count, head, Edge(count, hashes), int.from_bytes(key[28:], "big") % _START)


def size_of(bucket: int, subjects: int) -> int:
    """How many subjects a bucket has, so that all have `subjects` together."""
    return (bucket + 1) * subjects // _BUCKETS - bucket * subjects // _BUCKETS


def _build(database: Database, subjects: int, say: Say) -> dict[str, Any]:
    start = time.perf_counter()
    for first in range(0, _BUCKETS, 64):
        with database.write() as connection:
            for bucket in range(first, first + 64):
                keys = (key_of(bucket, number) for number in range(size_of(bucket, subjects)))
                keymap.write_states(connection, {key: state_of(key) for key in keys}, 1)
        say(f"leaves: {100 * (first + 64) // _BUCKETS} %")
    leaves = time.perf_counter()
    with database.write() as connection:
        mappages.fill(connection, 1)
        pages = mappages.count_pages(connection)
    return {
        "pages of the map": pages,
        "seconds to make the leaves (not of the product)": round(leaves - start, 1),
        "seconds to cut them into pages, once after an upgrade": round(
            time.perf_counter() - leaves, 1
        ),
        "peak memory of the process that did both, MB": _peak() // _MB,
    }


# A fresh process


def _open_elsewhere(url: str, subjects: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "provenance.bench.bigmap", url, str(subjects)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603  our own
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def open_map(url: str, subjects: int) -> dict[str, Any]:
    """Open the map as a web worker does; how long it took, and the memory of this process."""
    database = Database.open(url)
    with database.read() as connection:
        before = _peak()
        start = time.perf_counter()
        opened = PageMap.load(mappages.read_hashes(connection), subjects)
        opened.root()
        seconds = time.perf_counter() - start
        loaded = _peak()
        chance = Random(1)  # noqa: S311  a sample
        read = partial(mappages.read_stored, connection)
        for _ in range(3_000):  # more than are kept in memory
            opened.prove(_draw(chance, subjects), read)
    database.close()
    return {
        "seconds to open the map in a fresh process": round(seconds, 2),
        "peak memory of a fresh process before it opens the map, MB": before // _MB,
        "peak memory of it with the map open, MB": loaded // _MB,
        "peak memory of it after 3,000 proofs, MB": _peak() // _MB,
    }


def _peak() -> int:
    """Largest resident size of this process so far, kB."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage counts what the parent had occupied before the exec
        words = status.read_text("ascii").split()
        return int(words[words.index("VmHWM:") + 1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _draw(chance: Random, subjects: int) -> bytes:
    """A subject of the map by chance, all but evenly."""
    while True:
        bucket = chance.randrange(_BUCKETS)
        if size := size_of(bucket, subjects):
            return key_of(bucket, chance.randrange(size))


# Figures


class _Run:
    """The map, opened; batches move it on."""

    def __init__(self, database: Database, subjects: int) -> None:
        self._database = database
        self._subjects = subjects
        self._chance = Random(2)  # noqa: S311  a sample
        self.facts: dict[str, Any] = {}
        with database.read() as connection:
            hashes = list(mappages.read_hashes(connection))
        self._places = [place for place, _ in hashes]
        self._map = PageMap.load(hashes, subjects, cached=8_192)
        self._head = MapHead(_START, self._map.root(), subjects, 0, None)

    def proofs(self) -> list[Figure]:
        """One proof each of a thousand subjects: page from the database, then from memory."""
        keys = [_draw(self._chance, self._subjects) for _ in range(_PROOFS)]
        with self._database.read() as connection:
            read = partial(mappages.read_stored, connection)
            places = self._chance.choices(self._places, k=_PROOFS)
            row = duration("", _PROOFS, lambda number: read([places[number]]))
            cold = duration("map proof, page from the database", _PROOFS, self._prove(keys, read))
            warm = duration("map proof, page in memory", _PROOFS, self._prove(keys, read))
            sizes = [len(self._map.prove(key, read)) for key in keys]
        hashes = _hashing(6).median  # the way through a page of 24 leaves
        self.facts = {
            "99 of 100 map proofs with the page from the database take at most, ms": _p99(cold),
            "99 of 100 map proofs with the page in memory take at most, ms": _p99(warm),
            "bytes of a map proof": round(statistics.mean(sizes)),
        }
        return [
            cold.under(row.median + hashes, "the row read alone, and 6 bare SHA-256"),
            warm,
        ]

    def _prove(self, keys: Sequence[bytes], read: ReadPages) -> Callable[[int], object]:
        return lambda number: self._map.prove(keys[number], read)

    def batches(self, rounds: int, facts: dict[str, Any]) -> list[Figure]:
        """The map's share of a sequencer's round, and a witness's check of it."""
        computing: list[float] = []
        storing: list[float] = []
        checking: list[float] = []
        sizes: list[int] = []
        hashes = 0
        for number in range(rounds):
            links = self._links(number)
            start = time.perf_counter()
            delta, states, changes = self._work(links)
            computed = time.perf_counter()
            size = self._head.index + len(links) + 2
            with self._database.write() as connection:
                keymap.write_states(connection, states, size)
                mappages.write_pages(connection, changes, size)
            stored = time.perf_counter()
            data = delta.encode()
            computing.append(1000 * (computed - start))
            storing.append(1000 * (stored - computed))
            sizes.append(len(data))
            hashes = _hashes_of(delta, links)
            for _ in range(_CHECKS):
                start = time.perf_counter()
                found = replay(decode_delta(data), self._head, links, self._head.index + 1)
                checking.append(1000 * (time.perf_counter() - start))
            if found.root != self._map.root() or found.subjects != len(self._map):
                raise RuntimeError("the delta does not give the map")
            self._head = found
        facts[f"bytes of a map delta of {BATCH} links, 1/8 new"] = round(statistics.mean(sizes))
        return [
            Figure(f"map delta and update of {BATCH} links", "ms", tuple(computing)),
            Figure("the same, pages and leaves stored durably", "ms", tuple(storing)),
            Figure(f"a witness checks {BATCH} links by their delta", "ms", tuple(checking)).under(
                _hashing(hashes).median, f"its {hashes:,} SHA-256, bare"
            ),
        ]

    def _links(self, number: int) -> list[Link]:
        """Links that extend known subjects, and the first links of new ones."""
        links = []
        for _ in range(BATCH - NEW):
            key = _draw(self._chance, self._subjects)
            state = self._state(key)
            links.append(Link(key, state.count, state.head, sha256(key).digest(), bytes(32), 0))
        for new in range(NEW):
            key = sha256(b"new %d %d" % (number, new)).digest()
            links.append(Link(key, 0, None, sha256(key).digest(), bytes(32), 0))
        return links

    def _state(self, key: bytes) -> SubjectState:
        with self._database.read() as connection:
            return keymap.read_states(connection, [key])[key]

    def _work(self, links: Sequence[Link]) -> tuple[MapDelta, dict[bytes, SubjectState], Any]:
        """What `services.growth` does with a batch, as far as the map is concerned."""
        start = self._head.index + 1
        keys = [link.key for link in links]
        with self._database.read() as connection:
            read = partial(mappages.read_stored, connection)
            states = keymap.read_states(connection, keys)
            visit = self._map.visit(keys, read)
            if any(visit.values[key] != state.value for key, state in states.items()):
                raise RuntimeError("the stored states are not those of the map")
            touched: dict[bytes, SubjectState] = {}
            for index, link in enumerate(links, start):
                known = touched.get(link.key) or states.get(link.key)
                if (state := apply_link(known, link, index)) is not None:
                    touched[link.key] = state
            changes = visit.set({key: one.value for key, one in touched.items()})
        return MapDelta(start + len(links), states, visit.proof), touched, changes


def _p99(figure: Figure) -> float:
    return round(statistics.quantiles(figure.rounds, n=100)[98], 3)


def _hashing(count: int) -> Figure:
    """That many bare SHA-256 of 70 bytes."""

    def work(_: int) -> None:
        for _ in range(count):
            sha256(data).digest()

    data = bytes(70)
    return duration("", 20, work)


def _hashes_of(delta: MapDelta, links: Sequence[Link]) -> int:
    """How many SHA-256 a check takes: nodes before and after, old and new states, links."""
    inner = leaves = offset = 0
    data = delta.transition
    while offset < len(data):
        tag = data[offset]
        inner += tag == TAG_INNER
        leaves += tag == TAG_LEAF
        if tag == TAG_INNER:
            offset += 2 + (data[offset + 1] >> 7)
        else:
            offset += 65 if tag == TAG_LEAF else 33
    edges = sum(state.count.bit_count() - 1 for state in delta.states.values())
    return 2 * inner + 2 * leaves + NEW + 2 * (len(links) + edges) + len(delta.states)


if __name__ == "__main__":
    print(json.dumps(open_map(sys.argv[1], int(sys.argv[2]))))
