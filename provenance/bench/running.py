"""The benchmark's figures, taken through HTTP from a platform started for it."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from merkle.policy import Policy
from provenance.bench import ceilings, workload
from provenance.bench.browser import BrowserMissingError, verify_in_chromium
from provenance.bench.ceilings import Ceilings
from provenance.bench.timing import Figure, duration, rate
from provenance.client.api import Api
from provenance.client.sealing import Random, SealedBatch, seal_events
from provenance.verify import verify_bundle

Say = Callable[[str], None]
_READS = 200
_SINGLE = 400


class Bench:
    """One run against the platform behind `api`. `clock` gives POSIX seconds."""

    def __init__(
        self,
        api: Api,
        data: Path,
        *,
        rounds: int,
        events: int,
        clock: Callable[[], int],
        random: Random,
        say: Say,
    ) -> None:
        self._api = api
        self._data = data
        self._rounds = rounds
        self._events = events
        self._clock = clock
        self._random = random
        self._say = say
        self._signer = workload.enrol(api, data, clock(), random)

    def run(self) -> tuple[list[Figure], dict[str, Any]]:
        """All figures, each beside its ceiling, and plain facts such as the bundle's size."""
        self._say("measuring the ceilings")
        samples = [line for batch in self._sealed("c", 500 * self._rounds) for line in batch.events]
        alone = ceilings.measure(self._data, samples, self._rounds)
        figures = self._capture(alone)
        subject = self._twelve_events()
        bundle = self._api.passport(subject)
        figures += self._passports(subject)
        signatures = _signatures_in(bundle)
        figures.append(self._verifying(bundle, signatures, alone))
        facts: dict[str, Any] = {
            "bytes of the bundle of 12 events about one item": len(bundle),
            "the same, compressed as it is sent": len(gzip.compress(bundle, 6)),
            "events in it, party events too": len(json.loads(bundle)["events"]),
            "signatures in it": signatures,
        }
        try:
            figures.append(self._in_chromium(bundle, signatures))
        except BrowserMissingError as error:
            facts["no figure from Chromium"] = str(error)
        return [*figures, *alone.all()], facts

    def _capture(self, alone: Ceilings) -> list[Figure]:
        events = "events read and validated, one core"
        own = "events read and their signatures checked, one core"
        return [
            self._sealed_batches().under(alone.parsing.median, events),
            self._own_proof_batches().under(alone.signed_events, own),
            self._single_events().under(alone.commits.median, "durable commits of one bare row"),
        ]

    def _sealed_batches(self) -> Figure:
        self._say("uploading sealed batches of 1,000")
        rounds = [self._sealed(f"s{number}-", self._events) for number in range(self._rounds)]

        def work(number: int) -> None:
            in_parallel([_batch_sender(self._api, batch) for batch in rounds[number]])

        return rate("events in sealed batches of 1,000", self._events, self._rounds, work)

    def _sealed(self, tag: str, count: int) -> list[SealedBatch]:
        return workload.sealed(count, 1_000, tag, self._signer, self._clock(), self._random)

    def _own_proof_batches(self) -> Figure:
        self._say("uploading individually sealed events, 1,000 a request")
        count = self._events
        rounds = [self._own_proofs(f"o{number}-", count) for number in range(self._rounds)]

        def work(number: int) -> None:
            lines = rounds[number]
            in_parallel(
                [_lines_sender(self._api, lines[at : at + 1_000]) for at in range(0, count, 1_000)]
            )

        return rate("individually sealed events, 1,000 a request", count, self._rounds, work)

    def _single_events(self) -> Figure:
        self._say("uploading individually sealed events, one a request")
        count = min(_SINGLE, self._events)
        rounds = [self._own_proofs(f"p{number}-", count) for number in range(self._rounds)]

        def work(number: int) -> None:
            in_parallel([_event_sender(self._api, line) for line in rounds[number]])

        return rate("individually sealed events, one a request", count, self._rounds, work)

    def _own_proofs(self, tag: str, count: int) -> list[bytes]:
        return workload.own_proofs(count, tag, self._signer, self._clock(), self._random)

    def _twelve_events(self) -> str:
        """One item with twelve events, each under a seal of its own; published, as all before."""
        subject = workload.item("TWELVE")
        made = [dict(entry, epcList=[subject]) for entry in workload.events(12, "t", self._random)]
        for entry in made:
            (batch,) = seal_events([entry], self._signer, now=self._clock(), random=self._random)
            self._api.post_batch(batch.lines, wait=entry is made[-1])
        return subject

    def _passports(self, subject: str) -> list[Figure]:
        self._say("fetching passports")
        bare = rate("bare answers", _READS, self._rounds, lambda _: self._read(self._api.live))
        words = "bare answers over HTTP (/livez)"

        def distinct(number: int) -> None:
            uris = [workload.item(f"s{number}-{at:07d}") for at in range(self._distinct)]
            in_parallel([_passport_reader(self._api, uri) for uri in uris])

        def hot(_: int) -> None:
            self._read(lambda: self._api.passport(subject))

        return [
            rate("passports of one item with 12 events", _READS, self._rounds, hot).under(
                bare.median, words
            ),
            rate(
                "passports of different items with 1 event", self._distinct, self._rounds, distinct
            ).under(bare.median, words),
        ]

    @property
    def _distinct(self) -> int:
        return min(_READS, self._events)

    def _read(self, job: Callable[[], object]) -> None:
        in_parallel([job] * _READS)

    def _verifying(self, bundle: bytes, signatures: int, alone: Ceilings) -> Figure:
        self._say("verifying")
        policy = Policy.parse(self._policy)

        def work(_: int) -> None:
            verify_bundle(bundle, policy, now=self._clock())

        name = "verify the passport of 12 events in Python"
        floor = 1000 * signatures / alone.signatures.median
        return duration(name, 4 * self._rounds, work).under(floor, "its signatures alone")

    def _in_chromium(self, bundle: bytes, signatures: int) -> Figure:
        timing = verify_in_chromium(
            self._api.base_url,
            bundle,
            self._policy,
            now=self._clock(),
            rounds=4 * self._rounds,
            signatures=signatures,
        )
        return timing.verifying.under(timing.signatures.median, "its signatures alone")

    @property
    def _policy(self) -> str:
        return (self._data / "policy.txt").read_text("utf-8")


def _signatures_in(bundle: bytes) -> int:
    """Seals, own proofs, proofs of possession, and the lines under the checkpoint."""
    document = json.loads(bundle)
    events = [entry["event"] for entry in document["events"]]
    own = sum(entry["seal"] is None for entry in document["events"])
    possession = sum("prov:possession" in event for event in events)
    lines = document["checkpoint"].partition("\n\n")[2].count("\n")
    return len(document["seals"]) + own + possession + int(lines)


def _batch_sender(api: Api, batch: SealedBatch) -> Callable[[], object]:
    return lambda: api.post_batch(batch.lines)


def _lines_sender(api: Api, lines: Sequence[bytes]) -> Callable[[], object]:
    return lambda: api.post_batch(lambda: lines)


def _event_sender(api: Api, line: bytes) -> Callable[[], object]:
    return lambda: api.post_event(line)


def _passport_reader(api: Api, uri: str) -> Callable[[], object]:
    return lambda: api.passport(uri)


def in_parallel(jobs: Sequence[Callable[[], object]], threads: int = 4) -> None:
    """Does all jobs on a few threads; the first failure is raised when all have ended."""
    waiting = iter(list(jobs))
    lock = threading.Lock()
    failures: list[BaseException] = []

    def work() -> None:
        while not failures:
            with lock:
                job = next(waiting, None)
            if job is None:
                return
            try:
                job()
            except BaseException as error:  # carried to the caller's thread below
                failures.append(error)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if failures:
        raise failures[0]
