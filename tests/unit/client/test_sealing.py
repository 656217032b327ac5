"""Sealing on the partner's own machine: what leaves it, what is kept back, what is refused."""

from __future__ import annotations

import itertools
import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from merkle.hashing import leaf_hash
from merkle.tree import root_of
from provenance.client.errors import EventRefusedError, SealingError
from provenance.client.sealing import (
    Concealment,
    Signer,
    disclosures_path,
    holds,
    prepare,
    seal_events,
    sign_event,
    write_batch,
)
from provenance.crypto.integrity import verify_proof
from provenance.crypto.signing import PrivateKey
from provenance.domain import canonical
from provenance.domain.canonical import decode_base64
from provenance.domain.disclosure import apply, digest
from provenance.domain.seal import own_proof, parse_seal
from tests.support.served import CONTEXT, item, observed

ORIGIN = "log.example.test/2026"
SIGNER = Signer(ORIGIN, "https://brand.example", PrivateKey.from_seed(b"s" * 32))
NOW = 1_795_446_000  # 2026-11-23T15:00:00Z


@pytest.fixture
def random() -> Callable[[int], bytes]:
    numbers = itertools.count(1)
    return lambda count: next(numbers).to_bytes(count, "big")


def sealed(document: dict[str, Any], random: Any, **options: Any) -> list[Any]:
    return seal_events(prepare(document, random=random), SIGNER, now=NOW, random=random, **options)


def test_a_sealed_batch_is_what_the_format_says(random: Any) -> None:
    (batch,) = sealed(observed("A", "B", "C"), random)
    lines = list(batch.lines())
    seal = parse_seal(lines[0])
    assert (seal.origin, seal.party, seal.size) == (ORIGIN, SIGNER.party, 3)
    assert seal.created == "2026-11-23T15:00:00Z"
    assert seal.hash == batch.seal_hash == leaf_hash(lines[0])
    assert [leaf_hash(line) for line in lines[1:]] == list(batch.event_hashes)
    assert seal.root == root_of(list(batch.event_hashes))
    verify_proof(seal.document, SIGNER.key.public)
    for line in lines:
        assert canonical.encode(canonical.parse(line)) == line


def test_each_event_gets_context_nonce_and_id_of_its_own_and_keeps_what_it_has(random: Any) -> None:
    document = observed("A", "B")
    given = document["epcisBody"]["eventList"][1]
    given |= {"eventID": "urn:uuid:00000000-0000-4000-8000-000000000001"}
    given |= {"prov:nonce": "AAAAAAAAAAAAAAAAAAAAAA=="}
    (batch,) = sealed(document, random)
    first, second = (json.loads(line) for line in batch.events)
    assert first["@context"] == second["@context"] == CONTEXT
    assert len(decode_base64(first["prov:nonce"])) == 16
    assert first["eventID"].startswith("urn:uuid:")
    assert second["prov:nonce"] == given["prov:nonce"]
    assert second["eventID"] == given["eventID"]


def test_the_same_event_sealed_twice_has_two_hashes(random: Any) -> None:
    (one,) = sealed(observed("A"), random)
    (two,) = sealed(observed("A"), random)
    assert one.event_hashes != two.event_hashes


@pytest.mark.parametrize(
    ("count", "most", "sizes"), [(5, 2, [2, 2, 1]), (4, 2, [2, 2]), (3, 9, [3])]
)
def test_events_are_cut_into_batches_in_their_order(
    random: Any, count: int, most: int, sizes: list[int]
) -> None:
    serials = [f"S{number}" for number in range(count)]
    batches = sealed(observed(*serials), random, most=most)
    assert [len(batch.events) for batch in batches] == sizes
    assert len({batch.seal_hash for batch in batches}) == len(batches)
    seen = [json.loads(line)["epcList"][0] for batch in batches for line in batch.events]
    assert seen == [item(serial) for serial in serials]


def test_a_concealed_member_leaves_only_its_digest(random: Any) -> None:
    rule = Concealment("$['ex:price']", ("customs", "brand"))
    (batch,) = sealed(
        observed("A", "B", **{"ex:price": {"amount": "12.50"}}), random, conceal=[rule]
    )
    assert b"12.50" not in b"".join(batch.lines())
    for number, line in enumerate(batch.events):
        ((text, audience),) = batch.disclosures[number]
        event = json.loads(line)
        assert audience == ("customs", "brand")
        assert event["prov:_sd"] == [digest(text)]
        assert apply(event, [text])["ex:price"] == {"amount": "12.50"}
    assert batch.disclosure_lines() == [
        {"leaf": leaf, "disclosures": [{"text": text, "audience": ["customs", "brand"]}]}
        for leaf, ((text, _),) in enumerate(batch.disclosures)
    ]


def test_a_rule_counts_for_those_events_only_that_have_the_member(random: Any) -> None:
    document = observed("A", "B")
    document["epcisBody"]["eventList"][1]["ex:price"] = 3
    (batch,) = sealed(document, random, conceal=[Concealment("$['ex:price']", ("public",))])
    assert [line["leaf"] for line in batch.disclosure_lines()] == [1]


def test_members_inside_lists_can_be_named() -> None:
    event = {"a": [{"b": 1}], "c": "text"}
    assert holds(event, "$.a[0].b")
    assert not holds(event, "$.a[1].b")
    assert not holds(event, "$.c.d")
    with pytest.raises(SealingError, match="JSON path"):
        holds(event, "a.b")


def test_a_path_that_no_event_has_stops_everything(random: Any) -> None:
    """Otherwise a misspelt path would publish what was to be hidden."""
    rules = [Concealment("$['ex:price']", ("customs",)), Concealment("$['ex:prize']", ("customs",))]
    with pytest.raises(SealingError, match=r"no event has a member at .*ex:prize"):
        sealed(observed("A", **{"ex:price": 1}), random, conceal=rules)


def test_a_reader_that_nobody_can_be_is_refused(random: Any) -> None:
    rule = Concealment("$['ex:price']", ("custom", "brand"))
    with pytest.raises(SealingError, match=r"shown to custom; expected one or more of .*customs"):
        sealed(observed("A", **{"ex:price": 1}), random, conceal=[rule])


@pytest.mark.parametrize("path", ["$.epcList", "$.eventTime", "$['prov:nonce']", "$.type"])
def test_what_must_stay_in_sight_cannot_be_concealed(random: Any, path: str) -> None:
    with pytest.raises(EventRefusedError, match="cannot be concealed"):
        sealed(observed("A"), random, conceal=[Concealment(path, ("customs",))])


def test_a_bad_event_is_named_by_its_place_and_every_broken_rule(random: Any) -> None:
    document = observed("A", "B", "C")
    bad = document["epcisBody"]["eventList"][1]
    bad |= {"eventID": "urn:uuid:1b4e28ba-2fa1-41d2-883f-0016d3cca427", "action": "GROW"}
    bad["epcList"] = ["https://id.gs1.org/01/09506000134353/21/B"]
    with pytest.raises(EventRefusedError) as caught:
        sealed(document, random)
    words = str(caught.value)
    assert caught.value.position == 2
    assert words.startswith("event 2 (urn:uuid:1b4e28ba-2fa1-41d2-883f-0016d3cca427): ")
    assert "$.action" in words
    assert "GROW" in words
    assert "$.epcList[0]" in words


def test_nothing_to_seal_is_said(random: Any) -> None:
    with pytest.raises(SealingError, match="no event to seal"):
        sealed(observed(), random)


def test_an_event_with_its_own_proof_is_bound_to_its_log(random: Any) -> None:
    (event,) = prepare(observed("A"), random=random)
    line = sign_event(event, SIGNER, now=NOW)
    document = canonical.parse(line)
    proof = own_proof(document)
    assert proof is not None
    assert (proof.domain, proof.party) == (ORIGIN, SIGNER.party)
    verify_proof(document, SIGNER.key.public)


def test_files_are_whole_and_disclosures_are_private(random: Any, tmp_path: Path) -> None:
    rule = Concealment("$['ex:price']", ("customs",))
    (hiding,) = sealed(observed("A", **{"ex:price": 1}), random, conceal=[rule])
    (open_one,) = sealed(observed("A"), random)
    path = tmp_path / "events.ndjson"
    secret = disclosures_path(path)
    write_batch(hiding, path)
    assert path.read_bytes() == b"".join(line + b"\n" for line in hiding.lines())
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert [
        json.loads(line) for line in secret.read_text().splitlines()
    ] == hiding.disclosure_lines()
    # Disclosures of an earlier seal must not travel with a later one.
    write_batch(open_one, path)
    assert not secret.exists()
    assert {entry.name for entry in tmp_path.iterdir()} == {"events.ndjson"}
