"""Loads made from a pattern are what a partner's client would have sent, event for event new."""

from __future__ import annotations

from pathlib import Path

from merkle.hashing import leaf_hash
from merkle.tree import root_of
from provenance.bench import workload
from provenance.bench.making import Maker, distinct, hot, write_load
from provenance.bench.sending import bodies_of
from provenance.bench.timing import quantiles
from provenance.client.sealing import Signer
from provenance.crypto.integrity import verify_proof
from provenance.crypto.signing import PrivateKey
from provenance.domain import canonical
from provenance.domain.event import parse_event
from provenance.domain.seal import parse_seal
from tests.support.epcis import counting_random

SIGNER = Signer("log.example", workload.PARTY, PrivateKey.from_seed(bytes(32)))


def maker() -> Maker:
    return Maker.of(SIGNER, 1_790_000_000, counting_random)


def test_a_sealed_upload_is_what_its_seal_says() -> None:
    first, *lines = maker().sealed(7, distinct("a"), 20).splitlines()
    seal = parse_seal(first)
    verify_proof(seal.document, SIGNER.key.public)
    events = [parse_event(line) for line in lines]
    assert seal.size == len(events) == 20
    assert seal.root == root_of([leaf_hash(line) for line in lines])
    assert all(event.canonical == line for event, line in zip(events, lines, strict=True))
    assert len({event.subjects for event in events}) == 20
    assert len({str(event.document["eventID"]) for event in events}) == 20


def test_own_proofs_verify() -> None:
    for line in maker().own_proofs(0, distinct("a"), 5).splitlines():
        verify_proof(parse_event(line).document, SIGNER.key.public)
        assert canonical.parse(line)["proof"]["domain"] == "log.example"


def test_hot_subjects_are_one_for_a_hundred_events() -> None:
    subject = hot("h", 1_000)
    assert len({subject(number) for number in range(1_000)}) == 10


def test_a_load_reads_back(tmp_path: Path) -> None:
    bodies = [b"", b"a" * 70_000, b"b"]
    write_load(tmp_path / "load", iter(bodies))
    data = memoryview((tmp_path / "load").read_bytes())
    assert [bytes(body) for body in bodies_of(data)] == bodies


def test_quantiles_of_few_and_many() -> None:
    assert quantiles([5.0]) == {"p50": 5.0, "p99": 5.0, "longest": 5.0}
    assert quantiles([float(n) for n in range(101)]) == {"p50": 50.0, "p99": 99.0, "longest": 100.0}
