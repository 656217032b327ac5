"""GS1's own 47 example documents become events of ours: valid, canonical, sealed, verified."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from merkle.proofs import inclusion_path, verify_inclusion
from merkle.tree import root_of
from provenance.crypto.integrity import add_proof, verify_proof
from provenance.crypto.signing import PrivateKey
from provenance.domain import canonical
from provenance.domain.canonical import MalformedJsonError
from provenance.domain.documents import parse_document, standalone_events
from provenance.domain.event import parse_event, read_event
from provenance.domain.proof import format_method
from provenance.domain.seal import new_seal, own_proof, parse_seal
from tests.support.epcis import counting_random, example_events, example_files

# Names eventID twice, with different values: every strict reader refuses it.
NAMES_A_MEMBER_TWICE = "AssociationEvent-h"


def test_corpus_is_whole(shared: Path) -> None:
    events = example_events(shared)
    assert len(example_files(shared)) == 47
    assert Counter(event["type"] for _, event in events) == {
        "ObjectEvent": 32,
        "AssociationEvent": 10,
        "TransformationEvent": 6,
        "TransactionEvent": 4,
        "AggregationEvent": 4,
    }
    assert sum("errorDeclaration" in event for _, event in events) == 9


def test_one_document_needs_the_senders_consent(shared: Path) -> None:
    refused = {}
    for file in example_files(shared):
        try:
            parse_document(file.read_bytes())
        except MalformedJsonError as error:
            refused[file.stem] = error.code
    assert refused == {NAMES_A_MEMBER_TWICE: "duplicate-key"}


def test_the_consent_is_told_which_member_stood_twice(shared: Path) -> None:
    told: list[str] = []
    file = next(f for f in example_files(shared) if f.stem == NAMES_A_MEMBER_TWICE)
    document = parse_document(file.read_bytes(), on_duplicate=told.append)
    assert told == ["eventID"]
    (event,) = standalone_events(document, counting_random)
    assert event["eventID"] == "urn:uuid:fd338495-0e6d-41dd-afee-a862ecd32518"  # the last one


def test_every_example_is_captured_canonical_and_read_back_alike(shared: Path) -> None:
    for name, document in example_events(shared):
        event = parse_event(canonical.encode(document))
        again = parse_event(event.canonical)
        assert again == event, name
        assert read_event(dict(event.document)) == event, name
        assert event.subjects, name


def test_examples_are_sealed_as_one_batch(shared: Path) -> None:
    key = PrivateKey.from_seed(bytes(range(32)))
    hashes = [parse_event(canonical.encode(event)).hash for _, event in example_events(shared)]
    unsigned = new_seal(
        origin="log.example.test/1",
        party="https://maker.example.test/",
        size=len(hashes),
        root=root_of(hashes),
        created="2026-11-23T15:00:00Z",
        nonce=bytes(16),
    )
    method = format_method("https://maker.example.test/", key.public.multikey)
    sealed = add_proof(unsigned, key, method, "2026-11-23T15:00:00Z")
    seal = parse_seal(canonical.encode(sealed))
    verify_proof(seal.document, key.public)
    assert seal.size == 56
    for index, value in enumerate(hashes):
        verify_inclusion(value, index, 56, inclusion_path(hashes, index), seal.root)


@pytest.mark.parametrize("position", range(0, 56, 5))
def test_examples_carry_their_own_proof(shared: Path, position: int) -> None:
    key = PrivateKey.from_seed(bytes(range(32)))
    _, event = example_events(shared)[position]
    method = format_method("https://maker.example.test/", key.public.multikey)
    signed = add_proof(event, key, method, "2026-11-23T15:00:00Z", domain="log.example.test/1")
    captured = parse_event(canonical.encode(signed))
    verify_proof(captured.document, key.public)
    proof = own_proof(captured.document)
    assert proof is not None
    assert (proof.party, proof.domain) == ("https://maker.example.test/", "log.example.test/1")
