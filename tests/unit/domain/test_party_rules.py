"""What party events do, who may seal them, and when keys and roles hold."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.crypto.signing import verify_ed25519
from provenance.domain import party as rules
from provenance.domain.multibase import format_multikey
from provenance.domain.party import (
    KeyRecord,
    KeyRefusedError,
    Party,
    PartyRuleError,
    RoleGrant,
    apply_event,
)
from tests.support.bundles import OPERATOR, ORIGIN, START, Actor, World, actor, make_key

MILL, OTHER, ROOT = actor("mill"), actor("other"), actor("operator")
SECOND = MILL.with_key("mill 2")
T = START


def events() -> World:
    return World()


def registration(who: Actor, **members: Any) -> dict[str, Any]:
    event = rules.party_registered(who.uri, name={"en": "N"}, key=who.multikey, **members)
    return events().complete(event)


def addition(who: Actor, new: Actor, **members: Any) -> dict[str, Any]:
    return events().key_added(who, new, **members)


def apply(party: Party | None, event: dict[str, Any], by: Actor, at: int = T, **more: Any) -> Party:
    circumstances: dict[str, Any] = {
        "signer": by.uri,
        "key": by.multikey,
        "at": at,
        "seq": 0 if party is None else 1,
        "origin": ORIGIN,
        "verify": verify_ed25519,
        **more,
    }
    if "operator" not in more:
        circumstances["operator"] = operator()
    return apply_event(party, event, **circumstances)


def operator() -> Party:
    return apply(None, registration(ROOT), ROOT, T - 1_000, operator=None)


def mill(*roles: str) -> Party:
    party = apply(None, registration(MILL), MILL)
    for role in roles:
        party = apply(party, rules.party_accredited(MILL.uri, role=role), ROOT)
    return party


def refused(code: str, party: Party | None, event: dict[str, Any], by: Actor, **more: Any) -> None:
    with pytest.raises((PartyRuleError, KeyRefusedError)) as caught:
        apply(party, event, by, **more)
    assert caught.value.code == code
    assert caught.value.remedy


def test_a_registration_makes_a_party_with_one_key_and_no_role() -> None:
    party = mill()
    assert (party.uri, party.name, list(party.keys)) == (MILL.uri, {"en": "N"}, [MILL.multikey])
    assert party.judge_key(MILL.multikey, T) == "stands"
    assert party.roles_at(T) == ()


def test_the_operator_holds_its_role_from_its_registration() -> None:
    assert operator().roles_at(T - 1_000) == ("operator",)
    assert operator().roles_at(T - 1_001) == ()
    assert mill().roles_at(T) == ()


def test_a_registration_is_sealed_by_the_key_that_it_brings() -> None:
    for by in (SECOND, OTHER, ROOT, Actor(OTHER.uri, MILL.key)):
        refused("party-signer", None, registration(MILL), by)


def test_a_registration_is_the_first_of_its_chain() -> None:
    refused("party-registered-already", mill(), registration(MILL), MILL)
    refused("party-registered-already", None, registration(MILL), MILL, seq=1)


def test_a_registration_under_a_key_that_is_not_valid_yet_is_refused() -> None:
    refused("key-not-yet-valid", None, registration(MILL, valid_from=T + 1), MILL)
    refused("key-expired", None, registration(MILL, valid_until=T - 1), MILL)
    assert apply(None, registration(MILL, valid_from=T, valid_until=T), MILL)


@pytest.mark.parametrize("kind", ["prov:KeyAdded", "prov:KeyRevoked", "prov:PartyAccredited"])
def test_nothing_comes_before_the_registration(kind: str) -> None:
    event = {
        "prov:KeyAdded": addition(MILL, SECOND),
        "prov:KeyRevoked": rules.key_revoked(MILL.uri, key=MILL.multikey, reason="lost"),
        "prov:PartyAccredited": rules.party_accredited(MILL.uri, role="brand"),
    }[kind]
    refused("party-not-registered", None, event, ROOT)


def test_a_malformed_event_is_refused_with_its_violations() -> None:
    with pytest.raises(PartyRuleError) as caught:
        apply(mill(), {**addition(MILL, SECOND), "prov:custody": "bank", "extra": 1}, MILL)
    assert caught.value.code == "party-event-malformed"
    assert [violation.path for violation in caught.value.violations] == [
        "$.extra",
        "$.prov:custody",
    ]


@pytest.mark.parametrize("by", [MILL, ROOT])
def test_party_and_operator_may_add_and_revoke_keys(by: Actor) -> None:
    party = apply(mill(), addition(MILL, SECOND), by, T + 5)
    assert party.judge_key(SECOND.multikey, T + 5) == "stands"
    revocation = rules.key_revoked(MILL.uri, key=MILL.multikey, reason="lost")
    party = apply(party, revocation, by, T + 6)
    assert party.judge_key(MILL.multikey, T + 6) == "stands"
    with pytest.raises(KeyRefusedError):
        party.judge_key(MILL.multikey, T + 7)


def test_nobody_else_may() -> None:
    revocation = rules.key_revoked(MILL.uri, key=MILL.multikey, reason="lost")
    for event in (addition(MILL, SECOND), revocation):
        refused("party-signer", mill(), event, OTHER)
        refused("key-unknown", mill(), event, SECOND)
        refused("key-unknown", mill(), event, Actor(OPERATOR, OTHER.key))
        # An operator that is no party yet has no key that could be judged.
        refused("party-signer", mill(), event, ROOT, operator=None)


def test_only_the_operator_grants_and_withdraws() -> None:
    withdrawal = rules.accreditation_withdrawn(MILL.uri, role="brand")
    for event in (rules.party_accredited(MILL.uri, role="brand"), withdrawal):
        for by in (MILL, OTHER):
            refused("party-signer", mill("brand"), event, by)
        assert apply(mill("brand"), event, ROOT)


def test_the_operator_rules_itself_by_its_own_state() -> None:
    second = ROOT.with_key("operator 2")
    root = apply(operator(), addition(ROOT, second), ROOT, operator=None)
    root = apply(root, rules.party_accredited(OPERATOR, role="auditor"), second, operator=None)
    assert root.roles_at(T) == ("auditor", "operator")
    revocation = rules.key_revoked(OPERATOR, key=ROOT.multikey, reason="superseded")
    root = apply(root, revocation, second, T + 1, operator=None)
    refused("key-revoked", root, addition(ROOT, MILL), ROOT, at=T + 2, operator=None)


def test_the_key_that_seals_is_judged_at_the_time() -> None:
    party = apply(mill(), addition(MILL, SECOND, valid_from=T + 10, valid_until=T + 20), MILL)
    third = MILL.with_key("mill 3")
    event = addition(MILL, third)
    refused("key-not-yet-valid", party, event, SECOND, at=T + 9)
    refused("key-expired", party, event, SECOND, at=T + 21)
    for at in (T + 10, T + 20):
        assert third.multikey in apply(party, event, SECOND, at).keys


def test_a_key_is_added_once() -> None:
    party = apply(mill(), addition(MILL, SECOND), MILL)
    refused("party-key-present", party, addition(MILL, SECOND), MILL)
    revocation = rules.key_revoked(MILL.uri, key=SECOND.multikey, reason="superseded")
    party = apply(party, revocation, MILL, T + 1)
    refused("party-key-present", party, addition(MILL, SECOND), MILL, at=T + 2)
    refused("party-key-present", mill(), addition(MILL, MILL), MILL)


@pytest.mark.parametrize("fault", ["other party", "other log", "other key", "other signature"])
def test_a_key_must_show_that_it_is_held(fault: str) -> None:
    message = rules.possession_message(
        origin="other.example/log" if fault == "other log" else ORIGIN,
        party=OTHER.uri if fault == "other party" else MILL.uri,
        key=MILL.multikey if fault == "other key" else SECOND.multikey,
    )
    signature = bytes(64) if fault == "other signature" else SECOND.key.sign(message)
    event = rules.key_added(MILL.uri, key=SECOND.multikey, possession=signature)
    refused("party-key-possession", mill(), events().complete(event), MILL)


def test_a_key_that_is_no_admissible_point_is_never_added() -> None:
    neutral = format_multikey((1).to_bytes(32, "little"))
    event = {**addition(MILL, SECOND), "prov:key": neutral}
    refused("party-key-possession", mill(), event, MILL)


def test_only_a_key_of_the_party_is_revoked() -> None:
    event = rules.key_revoked(MILL.uri, key=SECOND.multikey, reason="lost")
    refused("party-key-absent", mill(), event, MILL)


def test_a_second_revocation_only_makes_it_stricter() -> None:
    def revoke(party: Party, reason: str, at: int, since: int | None = None) -> Party:
        event = rules.key_revoked(
            MILL.uri, key=MILL.multikey, reason=reason, compromised_since=since
        )
        return apply(party, event, ROOT, at)

    party = revoke(mill(), "superseded", T + 10)
    party = revoke(party, "compromised", T + 20, since=T + 8)
    record = party.keys[MILL.multikey]
    assert (record.revoked, record.reason, record.compromised_since) == (
        T + 10,
        "compromised",
        T + 8,
    )
    party = revoke(party, "compromised", T + 30, since=T + 9)
    assert party.keys[MILL.multikey].compromised_since == T + 8
    party = revoke(party, "compromised", T + 40)
    party = revoke(party, "compromised", T + 50, since=T + 2)
    assert party.keys[MILL.multikey].compromised_since == T + 2
    assert party.keys[MILL.multikey].revoked == T + 10


def test_a_key_cannot_be_compromised_in_the_future() -> None:
    event = rules.key_revoked(
        MILL.uri, key=MILL.multikey, reason="compromised", compromised_since=T + 1
    )
    refused("party-compromised-since", mill(), event, ROOT)
    assert apply(mill(), event, ROOT, T + 1)


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (T - 1, "key-not-yet-valid"),
        (T, "key-not-yet-valid"),
        (T + 9, "key-not-yet-valid"),
        (T + 10, "stands"),
        (T + 14, "stands"),
        (T + 15, "doubtful"),
        (T + 20, "doubtful"),
        (T + 21, "key-revoked"),
        (T + 30, "key-revoked"),
        (T + 31, "key-expired"),
    ],
)
def test_judging_a_key(at: int, expected: str) -> None:
    record = KeyRecord(
        "party",
        added=T,
        valid_from=T + 10,
        valid_until=T + 30,
        revoked=T + 20,
        compromised_since=T + 15,
    )
    party = Party(MILL.uri, {"en": "N"}, {MILL.multikey: record})
    try:
        found: str = party.judge_key(MILL.multikey, at)
    except KeyRefusedError as error:
        found = error.code
        assert MILL.multikey in str(error)
    assert found == expected


def test_an_early_valid_from_does_not_antedate_the_addition() -> None:
    party = Party(MILL.uri, {}, {MILL.multikey: KeyRecord("party", added=T, valid_from=T - 100)})
    with pytest.raises(KeyRefusedError) as caught:
        party.judge_key(MILL.multikey, T - 1)
    assert caught.value.code == "key-not-yet-valid"


def test_roles_are_held_to_their_ends_included() -> None:
    party = apply(mill(), rules.party_accredited(MILL.uri, role="brand", valid_until=T + 5), ROOT)
    party = apply(party, rules.party_accredited(MILL.uri, role="auditor"), ROOT, T + 3)
    party = apply(party, rules.party_accredited(MILL.uri, role="auditor"), ROOT, T + 4)
    party = apply(party, rules.accreditation_withdrawn(MILL.uri, role="auditor"), ROOT, T + 8)
    held = {at: party.roles_at(T + at) for at in (-1, 0, 2, 3, 5, 6, 8, 9)}
    assert held == {
        -1: (),
        0: ("brand",),
        2: ("brand",),
        3: ("auditor", "brand"),
        5: ("auditor", "brand"),
        6: ("auditor",),
        8: ("auditor",),
        9: (),
    }


def test_a_role_can_be_granted_again_after_its_withdrawal() -> None:
    party = apply(mill("brand"), rules.accreditation_withdrawn(MILL.uri, role="brand"), ROOT, T + 1)
    party = apply(party, rules.party_accredited(MILL.uri, role="brand"), ROOT, T + 5)
    assert [party.roles_at(T + n) for n in (1, 2, 4, 5)] == [("brand",), (), (), ("brand",)]


def test_only_a_held_role_is_withdrawn() -> None:
    withdrawal = rules.accreditation_withdrawn(MILL.uri, role="brand")
    refused("party-role-absent", mill(), withdrawal, ROOT)
    refused("party-role-absent", mill("customs"), withdrawal, ROOT)
    ended = apply(mill(), rules.party_accredited(MILL.uri, role="brand", valid_until=T + 5), ROOT)
    refused("party-role-absent", ended, withdrawal, ROOT, at=T + 6)


def test_a_party_is_the_same_after_storage() -> None:
    party = apply(mill("brand"), addition(MILL, SECOND, valid_from=T, valid_until=T + 9), MILL)
    event = rules.key_revoked(
        MILL.uri, key=SECOND.multikey, reason="compromised", compromised_since=T
    )
    party = apply(party, event, MILL, T + 1)
    party = apply(party, rules.accreditation_withdrawn(MILL.uri, role="brand"), ROOT, T + 2)
    party = apply(party, rules.party_accredited(MILL.uri, role="brand", valid_until=T), ROOT)
    stored = json.loads(json.dumps(party.to_json()))
    assert Party.from_json(stored) == party
    assert stored["keys"][SECOND.multikey]["revokedAt"].endswith(".001Z")
    assert Party.from_json(mill().to_json()) == mill()


# --- any sequence of party events -----------------------------------------------------------------

KEYS = [Actor(MILL.uri, make_key(f"mill key {n}")) for n in range(4)]
SIGNERS = [*KEYS, ROOT, OTHER, Actor(OPERATOR, KEYS[0].key), Actor(OTHER.uri, KEYS[1].key)]


@dataclass(frozen=True)
class Move:
    """One attempt: which event, by whom, how long after the one before (ms)."""

    kind: str
    key: int
    signer: int
    wait: int
    honest: bool


MOVES = st.lists(
    st.builds(
        Move,
        kind=st.sampled_from(["register", "add", "revoke", "accredit", "withdraw"]),
        key=st.integers(0, 3),
        signer=st.integers(0, len(SIGNERS) - 1),
        wait=st.integers(0, 2),
        honest=st.booleans(),
    ),
    max_size=14,
)


def _event(move: Move) -> dict[str, Any]:
    key = KEYS[move.key]
    if move.kind == "register":
        return registration(key)
    if move.kind == "add":
        event = addition(MILL, key)
        return event if move.honest else {**event, "prov:possession": "z" + "1" * 64}
    if move.kind == "revoke":
        return rules.key_revoked(MILL.uri, key=key.multikey, reason="lost")
    if move.kind == "accredit":
        return rules.party_accredited(MILL.uri, role="brand")
    return rules.accreditation_withdrawn(MILL.uri, role="brand")


@dataclass
class Model:
    """What must be true, kept by hand: intervals of keys, nothing else."""

    added: dict[int, int]
    revoked: dict[int, int]

    def valid(self, at: int) -> set[int]:
        return {
            key
            for key, since in self.added.items()
            if since <= at and (key not in self.revoked or at <= self.revoked[key])
        }


def _may(model: Model, move: Move, at: int) -> bool:
    """Whether the party or the operator stands behind a move."""
    signer = SIGNERS[move.signer]
    return signer is ROOT or (move.signer < len(KEYS) and move.signer in model.valid(at))


def _play(moves: Sequence[Move]) -> tuple[Party | None, Model, int]:
    party: Party | None = None
    model, at = Model({}, {}), T
    for seq, move in enumerate(moves):
        at += move.wait
        before = party
        try:
            party = apply(party, _event(move), SIGNERS[move.signer], at, seq=seq)
        except (PartyRuleError, KeyRefusedError):
            assert party is before
            continue
        _note(model, move, at, is_first=before is None)
    return party, model, at


def _note(model: Model, move: Move, at: int, *, is_first: bool) -> None:
    """Record what an accepted move did; whoever was behind it must have had the right."""
    if move.kind == "register":
        assert is_first
        assert SIGNERS[move.signer] is KEYS[move.key]
        model.added[move.key] = at
        return
    assert _may(model, move, at)
    if move.kind == "add":
        assert move.honest
        assert move.key not in model.added
        model.added[move.key] = at
    elif move.kind == "revoke":
        model.revoked.setdefault(move.key, at)
    else:
        assert SIGNERS[move.signer] is ROOT


@given(MOVES)
def test_no_sequence_makes_a_key_valid_that_was_not_added_and_none_comes_back(
    moves: list[Move],
) -> None:
    party, model, end = _play(moves)
    for at in range(T - 1, end + 3):
        stands = set()
        for number, key in enumerate(KEYS):
            try:
                assert party is not None
                party.judge_key(key.multikey, at)
                stands.add(number)
            except (AssertionError, KeyRefusedError):
                pass
        assert stands == model.valid(at)


@given(MOVES, MOVES)
def test_what_stood_is_never_taken_away_by_what_comes_later(
    first: list[Move], then: list[Move]
) -> None:
    """Capture judges with the state of the moment, a verifier with that of years later."""
    party, _, end = _play(first)
    later, _, _ = _play([*first, *then])
    for key in KEYS:
        try:
            assert party is not None
            party.judge_key(key.multikey, end)
        except (AssertionError, KeyRefusedError):
            continue
        assert later is not None
        assert later.judge_key(key.multikey, end)
    if party is not None and later is not None:
        assert set(party.roles_at(end)) <= set(later.roles_at(end))


def test_grants_hold_between_their_ends() -> None:
    grant = RoleGrant("brand", T, until=T + 4, withdrawn=T + 2)
    assert [grant.holds_at(T + n) for n in range(-1, 5)] == [False, True, True, True, False, False]
