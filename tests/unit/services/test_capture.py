"""Uploads that are accepted: what is stored and answered, and that a repetition changes nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merkle.hashing import leaf_hash
from provenance.crypto.integrity import verify_proof
from provenance.domain.canonical import decode_base64
from provenance.domain.chain import decode_link
from provenance.domain.errors import ConflictError, ForbiddenError
from provenance.domain.party import operator_uri
from provenance.domain.receipt import ReceiptEvent, read_receipt
from provenance.services.receipts import sign_receipt, unpack_receipt
from provenance.storage.errors import StoreInconsistentError
from provenance.storage.events import read_chain
from provenance.storage.log import is_covered
from provenance.storage.session import Database
from provenance.storage.subjects import find_subjects
from tests.support.audit import snapshot
from tests.support.builders import (
    ORIGIN,
    Actor,
    World,
    encode,
    item_event,
    item_uri,
    lines_of,
    make_key,
)


def chain_hashes(database: Database, uri: str) -> list[bytes]:
    """Link hashes of a subject's chain, in order."""
    with database.read() as connection:
        subject = find_subjects(connection, [uri])[uri]
        return [leaf_hash(link.canonical) for link in read_chain(connection, subject.id)]


def test_a_sealed_batch_makes_one_link_for_each_event_and_subject(
    world: World, database: Database
) -> None:
    brand = world.party("brand")
    events = [item_event(1, 2), item_event(2)]
    upload = brand.sealed(events)
    accepted = world.capture.submit_batch(lines_of(upload))
    assert accepted.created
    receipt = read_receipt(accepted.receipt)
    assert receipt.seal == leaf_hash(upload[0])
    assert [event.event for event in receipt.events] == [leaf_hash(line) for line in upload[1:]]
    first, second = receipt.events
    assert chain_hashes(database, item_uri(1)) == [first.links[0]]
    assert chain_hashes(database, item_uri(2)) == [first.links[1], second.links[0]]


def test_the_receipt_is_signed_by_the_operator_and_promises_a_minute(world: World) -> None:
    accepted = world.capture.submit_batch(world.party("brand").sealed([item_event(1)]))
    verify_proof(accepted.receipt, make_key("operator").public)
    method = accepted.receipt["proof"]["verificationMethod"]
    assert method == f"{operator_uri(ORIGIN)}#{make_key('operator').public.multikey}"
    receipt = read_receipt(accepted.receipt)
    assert receipt.accepted == world.clock.now
    assert receipt.publish_by == world.clock.now + 60_000


def test_the_same_seal_again_is_answered_with_the_same_bytes(
    world: World, database: Database
) -> None:
    upload = world.party("brand").sealed([item_event(1, 2), item_event(3)])
    first = world.capture.submit_batch(upload)
    before = snapshot(database)
    world.clock.advance(5_000)
    again = world.capture.submit_batch(upload)
    assert again.body == first.body
    assert (first.created, again.created) == (True, False)
    assert again.upload_id == first.upload_id
    assert snapshot(database) == before


def test_the_same_seal_is_answered_even_after_its_key_was_revoked(world: World) -> None:
    brand = world.party("brand")
    upload = brand.sealed([item_event(1)])
    first = world.capture.submit_batch(upload)
    world.clock.advance(1_000)
    world.capture.submit_batch(brand.sealed([brand.revocation(brand.key)]))
    world.clock.advance(1_000)
    assert world.capture.submit_batch(upload).body == first.body


def test_the_events_of_a_known_seal_are_not_even_read(world: World) -> None:
    upload = world.party("brand").sealed([item_event(1)])
    first = world.capture.submit_batch(upload)

    def only_the_seal() -> object:
        yield upload[0]
        pytest.fail("a line after a known seal was read")

    assert world.capture.submit_batch(only_the_seal()).body == first.body  # type: ignore[arg-type]


def test_an_event_under_another_seal_keeps_the_links_that_it_has(
    world: World, database: Database
) -> None:
    brand, carrier = world.party("brand"), world.party("carrier", "logistics")
    event = item_event(1, 2)
    first = world.capture.submit_batch(brand.sealed([event]))
    before = snapshot(database)
    world.clock.advance(1)
    second = world.capture.submit_batch(carrier.sealed([event]))
    assert not second.created
    assert second.receipt["events"] == first.receipt["events"]
    assert second.upload_id == first.upload_id
    after = snapshot(database)
    assert after["heads"] == before["heads"]
    assert after["links"] == before["links"]


def test_an_upload_without_anything_new_is_answered_with_the_same_bytes_again(
    world: World,
) -> None:
    brand = world.party("brand")
    event = item_event(1)
    world.capture.submit_batch(brand.sealed([event]))
    upload = brand.sealed([event])
    first = world.capture.submit_batch(upload)
    world.clock.advance(9)
    assert world.capture.submit_batch(upload).body == first.body


def test_a_seal_without_anything_new_waits_for_the_links_it_is_answered_with(
    world: World, database: Database
) -> None:
    """Also when its answer comes out of the store: "published" must be true of those links."""
    brand, event = world.party("brand"), item_event(1)
    first = world.capture.submit_batch(brand.sealed([event]))
    for _ in range(2):  # the second one stands between: it is not the newest with a link
        again = brand.sealed([event])
        for _ in range(2):
            answer = world.capture.submit_batch(again)
            assert not answer.created
            assert answer.upload_id == first.upload_id
            with database.read() as connection:
                assert is_covered(connection, answer.upload_id) is False


def test_old_and_new_events_mix_in_one_upload(world: World, database: Database) -> None:
    brand = world.party("brand")
    old, new = item_event(1), item_event(1)
    first = world.capture.submit_batch(brand.sealed([old]))
    second = world.capture.submit_batch(brand.sealed([old, new]))
    assert second.created
    assert second.receipt["events"][0] == first.receipt["events"][0]
    chain = chain_hashes(database, item_uri(1))
    assert decode_base64(second.receipt["events"][1]["links"][0]) == chain[1]


def test_an_event_that_stands_twice_in_one_upload_is_linked_once(
    world: World, database: Database
) -> None:
    event = item_event(1)
    accepted = world.capture.submit_batch(world.party("brand").sealed([event, event]))
    assert accepted.receipt["events"][0] == accepted.receipt["events"][1]
    assert len(chain_hashes(database, item_uri(1))) == 1


def test_several_events_of_one_subject_hang_on_one_another(
    world: World, database: Database
) -> None:
    upload = world.party("brand").sealed([item_event(7) for _ in range(30)])
    world.capture.submit_batch(upload)
    assert len(chain_hashes(database, item_uri(7))) == 30


# --- events with their own proofs -----------------------------------------------------------------


def test_one_event_with_its_own_proof(world: World, database: Database) -> None:
    brand = world.party("brand")
    line = brand.signed(item_event(1))
    accepted = world.capture.submit_event(line)
    assert accepted.created
    assert accepted.receipt["seal"] is None
    (head,) = chain_hashes(database, item_uri(1))
    assert decode_base64(accepted.receipt["events"][0]["links"][0]) == head
    with database.read() as connection:
        subject = find_subjects(connection, [item_uri(1)])[item_uri(1)]
        (link,) = read_chain(connection, subject.id)
    assert decode_link(link.canonical).seal == leaf_hash(line), "its seal hash is its event hash"


def test_events_of_several_parties_come_in_one_upload(world: World) -> None:
    brand, carrier = world.party("brand"), world.party("carrier", "logistics")
    lines = [brand.signed(item_event(1)), carrier.signed(item_event(1, 2))]
    accepted = world.capture.submit_batch(lines_of(lines))
    assert [len(event["links"]) for event in accepted.receipt["events"]] == [1, 2]


def test_an_own_proof_again_is_answered_with_its_links_and_appends_nothing(
    world: World, database: Database
) -> None:
    line = world.party("brand").signed(item_event(1))
    first = world.capture.submit_event(line)
    before = snapshot(database)
    again = world.capture.submit_event(line)
    assert not again.created
    assert again.receipt["events"] == first.receipt["events"]
    assert again.upload_id == first.upload_id
    assert snapshot(database) == before


def test_an_own_proof_again_is_answered_even_after_its_key_was_revoked(world: World) -> None:
    brand = world.party("brand")
    line = brand.signed(item_event(1))
    first = world.capture.submit_event(line)
    world.clock.advance(1_000)
    world.capture.submit_batch(brand.sealed([brand.revocation(brand.key)]))
    world.clock.advance(1_000)
    again = world.capture.submit_event(line)
    assert again.receipt["events"] == first.receipt["events"]


def test_a_party_registers_itself_by_an_own_proof(world: World) -> None:
    newcomer = world.actor("newcomer")
    assert world.capture.submit_event(newcomer.signed(newcomer.registration())).created
    world.accredit(newcomer.uri)
    assert world.capture.submit_event(newcomer.signed(item_event(5))).created


# --- demanded positions ---------------------------------------------------------------------------


def test_an_event_may_demand_the_head_that_it_was_made_for(
    world: World, database: Database
) -> None:
    brand = world.party("brand")
    first = world.capture.submit_batch(brand.sealed([item_event(1, 2)]))
    heads = first.receipt["events"][0]["links"]
    world.capture.submit_batch(brand.sealed([item_event(1, 2, **{"prov:after": heads})]))
    (head,) = chain_hashes(database, item_uri(1))[1:]
    with pytest.raises(ConflictError) as refused:
        world.capture.submit_batch(brand.sealed([item_event(1, **{"prov:after": heads[0]})]))
    assert refused.value.code == "head-moved"
    assert refused.value.line == 2
    assert decode_base64(refused.value.extra["head"]) == head
    assert refused.value.extra["heads"] == {item_uri(1): refused.value.extra["head"]}


def test_an_earlier_event_of_the_same_upload_moves_the_head(world: World) -> None:
    brand = world.party("brand")
    first = world.capture.submit_batch(brand.sealed([item_event(1)]))
    head = first.receipt["events"][0]["links"][0]
    upload = brand.sealed([item_event(1), item_event(1, **{"prov:after": head})])
    with pytest.raises(ConflictError) as refused:
        world.capture.submit_batch(upload)
    assert (refused.value.code, refused.value.line) == ("head-moved", 3)


def test_a_head_demanded_of_a_subject_without_history(world: World) -> None:
    brand = world.party("brand")
    first = world.capture.submit_batch(brand.sealed([item_event(1)]))
    head = first.receipt["events"][0]["links"][0]
    with pytest.raises(ConflictError) as refused:
        world.capture.submit_batch(brand.sealed([item_event(9, **{"prov:after": head})]))
    assert refused.value.extra["head"] is None


def test_a_repetition_of_a_demand_is_answered_and_not_refused(world: World) -> None:
    brand = world.party("brand")
    first = world.capture.submit_batch(brand.sealed([item_event(1)]))
    head = first.receipt["events"][0]["links"][0]
    event = item_event(1, **{"prov:after": head})
    second = world.capture.submit_batch(brand.sealed([event]))
    third = world.capture.submit_batch(brand.sealed([event]))
    assert third.receipt["events"] == second.receipt["events"]


# --- ledger time ----------------------------------------------------------------------------------


def test_ledger_time_never_falls_along_a_chain(world: World) -> None:
    brand, carrier = world.party("brand"), world.party("carrier", "logistics")
    world.clock.advance(60_000)
    first = world.capture.submit_batch(brand.sealed([item_event(1)]))
    world.clock.advance(-50_000)
    second = world.capture.submit_batch(carrier.sealed([item_event(1)]))
    assert second.receipt["accepted"] == first.receipt["accepted"]


def test_ledger_time_never_stands_before_the_signers_own_chain(world: World) -> None:
    world.clock.advance(60_000)
    brand = world.party("brand")
    accredited = world.clock.now
    world.clock.advance(-50_000)
    accepted = world.capture.submit_batch(brand.sealed([item_event(1)]))
    assert read_receipt(accepted.receipt).accepted == accredited


def test_a_revocation_never_stands_before_what_its_key_has_signed(world: World) -> None:
    brand = world.party("brand")
    world.clock.advance(60_000)
    accepted = world.capture.submit_batch(brand.sealed([item_event(1)]))
    world.clock.advance(-50_000)
    revoked = world.capture.submit_batch(brand.sealed([brand.revocation(brand.key)]))
    assert revoked.receipt["accepted"] == accepted.receipt["accepted"]


def test_a_clock_that_was_far_ahead_is_felt_where_it_was_used_and_no_further(
    world: World,
) -> None:
    """What services/capture.py says of a wrong clock; no order is ever broken by one."""
    brand, carrier = world.party("brand"), world.party("carrier", "logistics")
    now = world.clock.now
    world.clock.advance(365 * 86_400_000)
    wrong = read_receipt(world.capture.submit_batch(brand.sealed([item_event(1)])).receipt)
    world.clock.advance(-365 * 86_400_000)

    def accepted_at(actor: Actor, event: dict[str, Any]) -> int:
        return read_receipt(world.capture.submit_batch(actor.sealed([event])).receipt).accepted

    assert accepted_at(carrier, item_event(1)) == wrong.accepted  # that chain
    assert accepted_at(brand, item_event(2)) == now  # its signer is free of it
    assert accepted_at(carrier, item_event(3)) == now
    # A change of a party follows all that was accepted, and takes that party along.
    spare = make_key("spare")
    assert accepted_at(brand, brand.addition(spare)) == wrong.accepted
    assert accepted_at(brand, item_event(4)) == wrong.accepted
    assert accepted_at(carrier, item_event(5)) == now
    # A revocation still holds at once.
    accepted_at(brand, brand.revocation(spare))
    with pytest.raises(ForbiddenError):
        world.capture.submit_batch(brand.with_key(spare).sealed([item_event(6)]))


# --- the kept answer ------------------------------------------------------------------------------

hashes = st.binary(min_size=32, max_size=32)


@given(st.lists(st.tuples(hashes, st.lists(hashes, min_size=1, max_size=5)), min_size=1))
def test_a_kept_receipt_comes_back_byte_for_byte(
    given_events: list[tuple[bytes, list[bytes]]],
) -> None:
    events = [ReceiptEvent(event, tuple(links)) for event, links in given_events]
    receipt = sign_receipt(
        origin=ORIGIN, seal_hash=b"s" * 32, accepted_at=1, events=events, key=make_key("operator")
    )
    leaves = b"".join(event.event for event in events)
    body = receipt.encode()
    assert unpack_receipt(receipt.pack(), leaves).encode() == body
    # Joined as bytes, and yet the canonical form of a receipt that its readers verify.
    assert encode(json.loads(body)) == body
    assert list(read_receipt(json.loads(body)).events) == events
    verify_proof(json.loads(body), make_key("operator").public)


@pytest.mark.parametrize("change", ["cut", "longer", "other leaves", "no JSON"])
def test_a_damaged_answer_is_our_fault_and_no_answer(change: str) -> None:
    events = [ReceiptEvent(b"e" * 32, (b"l" * 32,))]
    receipt = sign_receipt(
        origin=ORIGIN, seal_hash=None, accepted_at=1, events=events, key=make_key("operator")
    )
    packed, leaves = receipt.pack(), b"e" * 32
    if change == "cut":
        packed = packed[:-33]
    elif change == "longer":
        packed += b"\0"
    elif change == "other leaves":
        leaves *= 2
    else:
        packed = packed[:4] + b"!" + packed[5:]
    with pytest.raises(StoreInconsistentError):
        unpack_receipt(packed, leaves)
