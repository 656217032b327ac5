"""Error declarations: what they take back, and what they cannot."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from provenance.domain.standing import Judgement, Statement, judge

MILL, SHOP = "https://mill.example", "https://shop.example"


def event(number: int = 1, **members: Any) -> dict[str, Any]:
    base = {"type": "ObjectEvent", "eventID": f"id {number}", "prov:nonce": f"n {number}"}
    return {**base, "bizStep": "packing", **members}


def declared(what: dict[str, Any], *corrections: Any) -> dict[str, Any]:
    declaration = {"reason": "incorrect_data", "correctiveEventIDs": list(corrections)}
    return {**what, "prov:nonce": "another", "errorDeclaration": declaration}


def judged(*statements: tuple[dict[str, Any], str]) -> Judgement:
    return judge([Statement(document, party) for document, party in statements])


def test_without_declarations_everything_is_believed() -> None:
    assert judged((event(1), MILL), (event(2), SHOP)) == Judgement(("believed", "believed"), ())
    assert judge([]) == Judgement((), ())


def test_a_party_takes_back_what_it_said() -> None:
    assert judged((event(), MILL), (declared(event()), MILL)).states == (
        "declared-wrong",
        "declaration",
    )


def test_the_order_plays_no_part() -> None:
    statements = [
        (event(1), MILL),
        (declared(event(1), "id 2"), MILL),
        (event(2), MILL),
        (event(3), MILL),
    ]
    by_order = [
        dict(zip(order, judged(*(statements[n] for n in order)).states, strict=True))
        for order in itertools.permutations(range(4))
    ]
    assert all(states == by_order[0] for states in by_order)
    assert by_order[0] == {0: "declared-wrong", 1: "declaration", 2: "correction", 3: "believed"}


@pytest.mark.parametrize("name", ["recordTime", "prov:nonce", "prov:after", "proof"])
def test_members_that_a_repetition_changes_are_left_out(name: str) -> None:
    declaration = {**declared(event()), name: {"any": "thing"}}
    assert judged((event(), MILL), (declaration, MILL)).states[0] == "declared-wrong"


@pytest.mark.parametrize("name", ["bizStep", "eventTime", "@context", "prov:_sd", "extra"])
def test_everything_else_must_be_repeated(name: str) -> None:
    declaration = {**declared(event()), name: "another"}
    assert judged((event(), MILL), (declaration, MILL)) == Judgement(
        ("believed", "declaration"), ()
    )


def test_nobody_takes_back_what_another_said() -> None:
    found = judged((event(1), MILL), (declared(event(1), "id 2"), SHOP), (event(2), SHOP))
    assert found == Judgement(("believed", "declaration", "believed"), (1,))


def test_a_declaration_that_has_its_own_event_is_not_foreign() -> None:
    """Two parties said the same under one ID; each takes back its own."""
    found = judged((event(), MILL), (event(), SHOP), (declared(event()), SHOP))
    assert found == Judgement(("believed", "declared-wrong", "declaration"), ())


def test_every_equal_event_of_the_party_is_taken_back() -> None:
    twice = {**event(), "prov:nonce": "second"}
    assert judged((event(), MILL), (twice, MILL), (declared(event()), MILL)).states == (
        "declared-wrong",
        "declared-wrong",
        "declaration",
    )


def test_a_declaration_is_no_event_that_can_be_declared_wrong() -> None:
    again = {**declared(event()), "prov:nonce": "third"}
    found = judged((declared(event()), MILL), (again, MILL))
    assert found == Judgement(("declaration", "declaration"), ())


@pytest.mark.parametrize("name", [None, 7, ["id 1"]])
def test_without_an_id_nothing_is_taken_back(name: Any) -> None:
    nameless = {**event(), "eventID": name}
    assert judged((nameless, MILL), (declared(nameless), MILL)).states[0] == "believed"


@pytest.mark.parametrize("value", [None, [], "x", {}, {"correctiveEventIDs": "id 2"}])
def test_the_value_of_the_declaration_does_not_matter(value: Any) -> None:
    declaration = {**event(1), "errorDeclaration": value}
    found = judged((event(1), MILL), (declaration, MILL), (event(2), MILL))
    assert found.states == ("declared-wrong", "declaration", "believed")


def test_corrections_are_of_the_same_party_and_stand() -> None:
    found = judged(
        (event(1), MILL),
        (declared(event(1), "id 2", 7, "id 3", "id 4"), MILL),
        (event(2), SHOP),
        (event(3), MILL),
        (declared(event(3), "id 4"), MILL),
        (event(4), MILL),
    )
    assert found.states == (
        "declared-wrong",
        "declaration",
        "believed",
        "declared-wrong",
        "declaration",
        "correction",
    )


def test_a_declaration_without_effect_names_no_corrections() -> None:
    found = judged((declared(event(1), "id 2"), MILL), (event(2), MILL))
    assert found == Judgement(("declaration", "believed"), ())


def test_the_content_of_each_event_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A party that says one thing 500 times and takes it back 500 times keeps nobody waiting."""
    looks = 0
    content = Statement.content

    def count(statement: Statement) -> bytes:
        nonlocal looks
        looks += 1
        return content(statement)

    monkeypatch.setattr(Statement, "content", count)
    said = [(event(1, **{"prov:nonce": str(n)}), MILL) for n in range(500)]
    taken_back = [(declared(one, "id 1"), MILL) for one, _ in said]
    found = judged(*said, *taken_back, (event(2), MILL))
    assert found.states == ("declared-wrong",) * 500 + ("declaration",) * 500 + ("believed",)
    assert looks == 1_000
