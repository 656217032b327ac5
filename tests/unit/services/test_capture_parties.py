"""Parties and keys as subjects with chains of their own, each step judged by ledger time."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from provenance.domain import party_events
from provenance.domain.errors import ForbiddenError, Refusal
from provenance.domain.party import Party, PartyRuleError
from provenance.domain.receipt import read_receipt
from provenance.storage.parties import find_parties, list_parties
from provenance.storage.session import Database
from tests.support.audit import snapshot
from tests.support.builders import OPERATOR, Actor, World, complete, item_event, make_key


def state_of(database: Database, uri: str) -> Party:
    """The stored projection."""
    with database.read() as connection:
        return Party.from_json(json.loads(find_parties(connection, [uri])[uri].state))


def refused(world: World, upload: list[bytes]) -> Refusal:
    """The refusal of an upload that must be refused."""
    with pytest.raises(Refusal) as caught:
        world.capture.submit_batch(upload)
    return caught.value


def test_the_operator_holds_its_role_from_its_registration(
    world: World, database: Database
) -> None:
    assert state_of(database, OPERATOR).roles_at(world.clock.now) == ("operator",)


def test_register_accredit_and_act(world: World, database: Database) -> None:
    brand = world.party("brand", None)
    assert refused(world, brand.sealed([item_event(1)])).code == "party-not-accredited"
    world.accredit(brand.uri, "producer")
    assert world.capture.submit_batch(brand.sealed([item_event(1)])).created
    assert state_of(database, brand.uri).roles_at(world.clock.now) == ("producer",)


def test_each_party_event_is_a_link_on_the_partys_own_chain(
    world: World, database: Database
) -> None:
    brand = world.party("brand")
    world.capture.submit_batch(brand.sealed([brand.addition(make_key("second"))]))
    heads = {uri: count for uri, count, *_ in snapshot(database)["heads"]}
    assert heads[brand.uri] == 3  # registered, accredited, key added
    assert heads[OPERATOR] == 1


def test_a_second_registration_is_refused(world: World, database: Database) -> None:
    brand = world.party("brand")
    before = snapshot(database)
    refusal = refused(world, brand.sealed([brand.registration()]))
    assert isinstance(refusal, PartyRuleError)
    assert (refusal.code, refusal.line) == ("party-registered-already", 2)
    assert snapshot(database) == before


def test_a_uri_with_a_history_cannot_become_a_party(world: World) -> None:
    brand, squatter = world.party("brand"), world.actor("squatted")
    event = {**item_event(1), "epcList": [squatter.uri]}
    world.capture.submit_batch(brand.sealed([event]))
    refusal = refused(world, squatter.sealed([squatter.registration()]))
    assert refusal.code == "party-registered-already"


def test_registration_and_more_keys_under_one_seal(world: World, database: Database) -> None:
    newcomer = world.actor("newcomer")
    second = make_key("second")
    world.capture.submit_batch(
        newcomer.sealed([newcomer.registration(), newcomer.addition(second)])
    )
    keys = state_of(database, newcomer.uri).keys
    assert set(keys) == {newcomer.multikey, second.public.multikey}


def test_add_rotate_and_revoke(world: World) -> None:
    brand = world.party("brand")
    renewed = brand.with_key(make_key("renewed"))
    assert refused(world, renewed.sealed([item_event(1)])).code == "key-unknown"
    world.clock.advance(1_000)
    rotation = [brand.addition(renewed.key), brand.revocation(brand.key)]
    world.capture.submit_batch(brand.sealed(rotation))
    assert world.capture.submit_batch(renewed.sealed([item_event(1)])).created
    world.clock.advance(1_000)
    refusal = refused(world, brand.sealed([item_event(2)]))
    assert isinstance(refusal, ForbiddenError)
    assert (refusal.code, refusal.line) == ("key-revoked", 1)


def test_a_revocation_holds_at_once_even_if_our_clock_stands_before_it(world: World) -> None:
    brand = world.party("brand")
    world.capture.submit_batch(brand.sealed([brand.revocation(brand.key)]))
    # The same millisecond: verifiers take ends as inclusive, we need not.
    assert refused(world, brand.sealed([item_event(1)])).code == "key-revoked"
    world.clock.advance(-3_600_000)
    assert refused(world, brand.sealed([item_event(1)])).code == "key-revoked"


def test_the_operator_revokes_a_lost_key_and_adds_another(world: World) -> None:
    brand = world.party("brand")
    found = brand.with_key(make_key("found"))
    operator = world.operator
    lost = [brand.addition(found.key), brand.revocation(brand.key, reason="lost")]
    world.capture.submit_batch(operator.sealed(lost))
    assert world.capture.submit_batch(found.sealed([item_event(1)])).created
    assert refused(world, brand.sealed([item_event(2)])).code == "key-revoked"


def test_compromised_since_leaves_a_key_doubtful_and_then_ends_it(
    world: World, database: Database
) -> None:
    brand = world.party("brand")
    world.clock.advance(10_000)
    since = world.clock.now
    world.clock.advance(10_000)
    event = complete(
        party_events.key_revoked(
            brand.uri, key=brand.multikey, reason="compromised", compromised_since=since
        )
    )
    world.capture.submit_batch(brand.sealed([event]))
    state = state_of(database, brand.uri)
    assert state.judge_key(brand.multikey, since - 1) == "stands"
    assert state.judge_key(brand.multikey, since) == "doubtful"
    assert refused(world, brand.sealed([item_event(1)])).code == "key-revoked"


def test_a_key_with_a_term(world: World) -> None:
    brand = world.party("brand")
    start, end = world.clock.now + 10_000, world.clock.now + 20_000
    later = brand.with_key(make_key("later"))
    message = party_events.possession_message(
        origin=world.origin, party=brand.uri, key=later.multikey
    )
    event = party_events.key_added(
        brand.uri,
        key=later.multikey,
        possession=later.key.sign(message),
        valid_from=start,
        valid_until=end,
    )
    world.capture.submit_batch(brand.sealed([complete(event)]))
    assert refused(world, later.sealed([item_event(1)])).code == "key-not-yet-valid"
    world.clock.now = start
    assert world.capture.submit_batch(later.sealed([item_event(1)])).created
    world.clock.now = end + 1
    assert refused(world, later.sealed([item_event(2)])).code == "key-expired"


def test_a_withdrawn_role_ends_what_the_party_may_do(world: World) -> None:
    brand = world.party("brand")
    assert world.capture.submit_batch(brand.sealed([item_event(1)])).created
    world.withdraw(brand.uri)
    world.clock.advance(1)
    assert refused(world, brand.sealed([item_event(2)])).code == "party-not-accredited"
    # Its keys are still its own to manage.
    world.capture.submit_batch(brand.sealed([brand.addition(make_key("second"))]))


def test_nobody_but_the_operator_accredits(world: World, database: Database) -> None:
    brand, rival = world.party("brand"), world.party("rival")
    event = complete(party_events.party_accredited(rival.uri, role="customs"))
    before = snapshot(database)
    refusal = refused(world, brand.sealed([event]))
    assert (refusal.code, refusal.line) == ("party-signer", 2)
    assert snapshot(database) == before


def test_nobody_adds_a_key_without_possession(world: World, database: Database) -> None:
    brand, rival = world.party("brand"), world.party("rival")
    stolen = brand.addition(make_key("second"))
    theirs = rival.addition(make_key("third"))
    before = snapshot(database)
    forged = {**stolen, "prov:key": theirs["prov:key"]}
    assert refused(world, brand.sealed([forged])).code == "party-key-possession"
    assert refused(world, brand.sealed([theirs])).code == "party-signer"
    assert snapshot(database) == before


def test_a_refused_party_event_takes_the_whole_upload_with_it(
    world: World, database: Database
) -> None:
    brand = world.party("brand")
    good, bad = brand.addition(make_key("second")), brand.revocation(make_key("unknown"))
    before = snapshot(database)
    refusal = refused(world, brand.sealed([good, bad]))
    assert (refusal.code, refusal.line) == ("party-key-absent", 3)
    assert snapshot(database) == before


@pytest.mark.parametrize(
    ("change", "code"),
    [("revoke", "key-revoked"), ("withdraw", "party-not-accredited")],
)
def test_what_changes_while_an_upload_is_read_counts(
    world: World, database: Database, change: str, code: str
) -> None:
    brand = world.party("brand")
    upload = brand.sealed([item_event(1), item_event(2)])

    def slow() -> Iterator[bytes]:
        yield from upload[:2]
        if change == "revoke":
            world.capture.submit_batch(brand.sealed([brand.revocation(brand.key)]))
        else:
            world.withdraw(brand.uri)
        world.clock.advance(1)
        yield upload[2]

    with pytest.raises(ForbiddenError) as refused_then:
        world.capture.submit_batch(slow())
    assert (refused_then.value.code, refused_then.value.line) == (code, 2)
    assert snapshot(database)["events"] == 4  # the operator's, the brand's two, and the change


def test_a_party_without_a_role_signs_few_events_one_by_one(world: World) -> None:
    pending = world.party("pending", None)
    lines = [pending.signed(pending.addition(make_key(str(n)))) for n in range(17)]
    refusal = refused(world, lines)
    assert (refusal.code, refusal.line) == ("party-not-accredited", 17)
    assert world.capture.submit_batch(lines[:16]).created


def test_an_invalid_event_under_a_revoked_key_is_told_about_the_key(world: World) -> None:
    brand = world.party("brand")
    invalid = brand.signed({**item_event(1), "action": "EAT"})
    world.capture.submit_batch(brand.sealed([brand.revocation(brand.key)]))
    assert refused(world, [invalid]).code == "key-revoked"


def test_an_event_and_the_revocation_of_its_key_under_one_seal(world: World) -> None:
    brand = world.party("brand")
    upload = brand.sealed([item_event(1), brand.revocation(brand.key)])
    assert world.capture.submit_batch(upload).created


def test_party_events_come_later_than_all_that_was_accepted(world: World) -> None:
    brand, carrier = world.party("brand"), world.party("carrier", "logistics")
    world.clock.advance(60_000)
    newest = world.capture.submit_batch(carrier.sealed([item_event(1)]))
    world.clock.advance(-30_000)
    revoked = world.capture.submit_batch(brand.sealed([brand.revocation(brand.key)]))
    assert read_receipt(revoked.receipt).accepted == read_receipt(newest.receipt).accepted


def test_parties_are_listed_in_order_and_in_pages(world: World, database: Database) -> None:
    uris = sorted([OPERATOR, *(world.party(name).uri for name in ("c", "a", "b"))])
    with database.read() as connection:
        assert [row.uri for row in list_parties(connection)] == uris
        page = list_parties(connection, limit=2)
        rest = list_parties(connection, after=page[-1].uri)
        assert [row.uri for row in page + rest] == uris


def test_the_stored_state_is_what_the_chain_says(world: World, database: Database) -> None:
    brand = world.party("brand")
    renewed = Actor(brand.uri, make_key("renewed"), clock=world.clock)
    world.capture.submit_batch(brand.sealed([brand.addition(renewed.key)]))
    world.clock.advance(5)
    world.capture.submit_batch(renewed.sealed([brand.revocation(brand.key, reason="ceased")]))
    state = state_of(database, brand.uri)
    assert state.keys[brand.multikey].reason == "ceased"
    assert state.keys[brand.multikey].revoked == world.clock.now
    assert Party.from_json(json.loads(json.dumps(state.to_json()))) == state
