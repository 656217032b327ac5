"""The form of party events: what may stand in each, and that nothing else may."""

from __future__ import annotations

from typing import Any

import pytest

from provenance.domain import party as rules
from provenance.domain.event import check_event
from provenance.domain.party_events import is_party_uri
from tests.support.bundles import START, World, actor

MILL = actor("mill")
TIME = "2026-11-23T15:00:00.123Z"


def examples() -> dict[str, dict[str, Any]]:
    """One event of each type, with all its members."""
    world = World()
    named = {"en": "Mill", "zh-Hant-TW": "磨坊"}
    times = {"valid_from": START, "valid_until": START + 1}
    registered = rules.party_registered(MILL.uri, name=named, key=MILL.multikey, **times)
    added = rules.key_added(MILL.uri, key=MILL.multikey, possession=bytes(64), **times)
    revoked = rules.key_revoked(
        MILL.uri, key=MILL.multikey, reason="compromised", compromised_since=START
    )
    accredited = rules.party_accredited(MILL.uri, role="brand", valid_until=START)
    withdrawn = rules.accreditation_withdrawn(MILL.uri, role="brand")
    events = [registered, added, revoked, accredited, withdrawn]
    return {event["type"]: world.complete(event) for event in events}


EXAMPLES = examples()


def test_there_are_five_types() -> None:
    assert set(EXAMPLES) == rules.PARTY_EVENT_TYPES
    assert all(rules.is_party_event(event) for event in EXAMPLES.values())
    for kind in ("ObjectEvent", "prov:PartyPraised", None, ["prov:KeyAdded"]):
        assert not rules.is_party_event({"type": kind})


@pytest.mark.parametrize("kind", sorted(EXAMPLES))
def test_built_events_are_of_their_form(kind: str) -> None:
    assert rules.validate_party_event(EXAMPLES[kind]) == []
    # They are events like any other, too.
    assert check_event(EXAMPLES[kind]).subjects == (MILL.uri,)


@pytest.mark.parametrize("kind", sorted(EXAMPLES))
def test_the_set_of_members_is_closed(kind: str) -> None:
    for name in ("prov:unless", "prov:_sd", "errorDeclaration", "bizStep", "recordTime"):
        (violation,) = rules.validate_party_event({**EXAMPLES[kind], name: "x"})
        assert violation.path == f"$.{name}"
    assert rules.validate_party_event({**EXAMPLES[kind], "prov:after": "x", "proof": {}}) == []


@pytest.mark.parametrize("kind", sorted(EXAMPLES))
def test_members_of_other_types_have_no_place(kind: str) -> None:
    for other in EXAMPLES.values():
        for name in other.keys() - EXAMPLES[kind].keys():
            found = rules.validate_party_event({**EXAMPLES[kind], name: other[name]})
            assert [violation.path for violation in found] == [f"$.{name}"]


OPTIONAL = {"prov:validFrom", "prov:validUntil", "prov:compromisedSince"}


@pytest.mark.parametrize("kind", sorted(EXAMPLES))
def test_required_members_are_required(kind: str) -> None:
    own = [name for name in EXAMPLES[kind] if name.startswith("prov:") and name != "prov:nonce"]
    for name in own:
        event = {k: v for k, v in EXAMPLES[kind].items() if k != name}
        found = [violation.path for violation in rules.validate_party_event(event)]
        assert found == ([] if name in OPTIONAL else [f"$.{name}"])


WRONG: dict[str, list[Any]] = {
    "prov:party": [
        7,
        "",
        "mill.example",
        "HTTPS://mill.example",
        "https://mill.example#key",
        "https://mill.example/é",
        "https://mill.example/a b",
        "https://mill.example/\n",
        "https://x/" + "a" * 1_020,
        # Not its own canonical identifier: its chain would have another name.
        "https://mill.example/01/09506000134352/21/A1",
        "urn:epc:id:pgln:9506000.13435",
        "urn:epc:id:sgtin:1.2.3",
    ],
    "prov:name": [
        {},
        [],
        "Mill",
        {"en": ""},
        {"en": 1},
        {"e": "x"},
        {"": "x"},
        {"en_US": "x"},
        {"en": "x", "toolongtag": "x"},
        {"en": "é" * 129},
    ],
    "prov:key": [7, "", "z6Mk", MILL.multikey[:-1], MILL.multikey + "1", "m" + MILL.multikey[1:]],
    "prov:custody": ["", "Party", "bank", None, 1],
    "prov:validFrom": [0, "2026-11-23", "2026-11-23T15:00:00Z", "2026-02-29T00:00:00.000Z", None],
    "prov:validUntil": ["2026-11-23T15:00:00.000+00:00", "9" * 24, 0],
    "prov:possession": [7, "", "z", "z" + "1" * 63, "z" + "1" * 65],
    "prov:reason": ["stolen", "", None, 1],
    "prov:compromisedSince": ["soon", 1, "2026-11-23T15:00:00.1234Z"],
    "prov:role": ["operator", "king", "", None, ["brand"]],
}


@pytest.mark.parametrize(
    ("kind", "name"),
    [(kind, name) for kind, event in EXAMPLES.items() for name in event if name in WRONG],
)
def test_values_of_a_wrong_form_are_named(kind: str, name: str) -> None:
    for value in WRONG[name]:
        found = rules.validate_party_event({**EXAMPLES[kind], name: value})
        assert [violation.path for violation in found] == [f"$.{name}"], value
        assert found[0].expected
        assert len(found[0].found) <= 80


def test_every_violation_is_named_at_once() -> None:
    event = {**EXAMPLES["prov:KeyRevoked"], "prov:key": 1, "prov:reason": 2, "extra": 3}
    found = [violation.path for violation in rules.validate_party_event(event)]
    assert found == ["$.extra", "$.prov:key", "$.prov:reason"]


def test_names_may_be_as_long_as_allowed() -> None:
    event = {**EXAMPLES["prov:PartyRegistered"], "prov:name": {"de-CH-1996": "é" * 128}}
    assert rules.validate_party_event(event) == []
    assert is_party_uri("https://x/" + "a" * 1_014)
    assert is_party_uri("did:web:mill.example")


def test_validity_may_not_end_before_it_begins() -> None:
    event = {**EXAMPLES["prov:KeyAdded"], "prov:validFrom": TIME, "prov:validUntil": TIME}
    assert rules.validate_party_event(event) == []
    event["prov:validUntil"] = "2026-11-23T15:00:00.122Z"
    (violation,) = rules.validate_party_event(event)
    assert violation.path == "$.prov:validUntil"


@pytest.mark.parametrize("reason", [r for r in rules.REASONS if r != "compromised"])
def test_only_a_compromised_key_has_a_time_of_that(reason: str) -> None:
    event = {**EXAMPLES["prov:KeyRevoked"], "prov:reason": reason}
    (violation,) = rules.validate_party_event(event)
    assert violation.path == "$.prov:reason"
    del event["prov:compromisedSince"]
    assert rules.validate_party_event(event) == []


def test_the_possession_message_binds_key_party_and_log() -> None:
    message = rules.possession_message(origin="log.example/1", party="https://p.example", key="z6M")
    assert message == (
        b'{"key":"z6M","origin":"log.example/1","party":"https://p.example",'
        b'"type":"prov:KeyPossession"}'
    )


def test_the_operator_is_named_by_the_origin() -> None:
    assert rules.operator_uri("log.example/2026") == "https://log.example/2026"
