"""The trace against a slow reference, in small worlds taken whole; and its limits."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.domain.event import read_event
from provenance.domain.trace import (
    END,
    MissingSubjectError,
    Step,
    Trace,
    lot_uri,
    read_chain,
    read_step,
    walk,
)
from tests.support.bundles import World

ITEM = "https://id.gs1.org/01/09506000134352/21/A1"
Worlds = Mapping[str, list[Step]]


def step(number: int, time: int, **members: Any) -> Step:
    members.setdefault("kind", "ObjectEvent")
    believed = members.pop("believed", True)
    return Step(sha256(str(number).encode()).digest(), time, number, believed, **members)


def pack(number: int, time: int, parent: str, *children: str, **members: Any) -> Step:
    members.setdefault("kind", "AggregationEvent")
    members.setdefault("action", "ADD")
    closes = members["kind"] == "AggregationEvent" and not children
    return step(
        number, time, parent=parent, children=frozenset(children), closes_all=closes, **members
    )


def take_out(number: int, time: int, parent: str, *children: str, **members: Any) -> Step:
    return pack(number, time, parent, *children, action="DELETE", **members)


def make(number: int, time: int, inputs: Sequence[str], outputs: Sequence[str]) -> Step:
    return step(
        number,
        time,
        kind="TransformationEvent",
        inputs=tuple(inputs),
        outputs=frozenset(outputs),
    )


def see(number: int, time: int, *subjects: str) -> tuple[Step, tuple[str, ...]]:
    return step(number, time, action="OBSERVE"), subjects


def subjects_of(one: Step) -> set[str]:
    named = {*one.children, *one.inputs, *one.outputs}
    return named | ({one.parent} if one.parent else set())


def world(steps: Iterable[Step | tuple[Step, tuple[str, ...]]]) -> Worlds:
    """Chains by subject."""
    chains: dict[str, list[Step]] = {}
    for entry in steps:
        one, more = entry if isinstance(entry, tuple) else (entry, ())
        for uri in {*subjects_of(one), *more}:
            chains.setdefault(uri, []).append(one)
    return chains


def trace(chains: Worlds, subject: str = "i", **limits: int) -> Trace:
    return walk(subject, chains.get, **limits)


def numbers(found: Trace) -> list[int]:
    return [one.ledger_time for one, _ in found.story]


# --- the slow reference: for which moments does which subject belong? -----------------------


def _inside(chains: Worlds, child: str, parent: str, moment: int, kind: str) -> bool:
    """Was `child` in `parent` then? True if an ADD before has no DELETE between, by simulation."""
    steps = {one.hash: one for uri in (child, parent) for one in chains.get(uri, ())}.values()
    about = [one for one in steps if one.believed and one.kind == kind and one.parent == parent]
    puts = [one.time for one in about if one.action == "ADD" and child in one.children]
    outs = [
        one.time
        for one in about
        if one.action == "DELETE" and (child in one.children or one.closes_all)
    ]
    return any(put <= moment and not any(put < out <= moment for out in outs) for put in puts)


def reference(chains: Worlds, subject: str, moments: range) -> set[tuple[str, int]]:
    """(subject, moment) pairs that belong: the least set closed under the rules."""
    belongs = {(subject, moment) for moment in moments}
    kinds = ("AggregationEvent", "AssociationEvent")
    changed = True
    while changed:
        before = len(belongs)
        for uri, moment in list(belongs):
            parents = {one.parent for one in chains.get(uri, ()) if uri in one.children}
            for parent, kind in itertools.product(parents - {None}, kinds):
                assert parent is not None
                if _inside(chains, uri, parent, moment, kind):
                    belongs.add((parent, moment))
            for one in chains.get(uri, ()):
                if one.believed and one.time == moment and uri in one.outputs:
                    belongs |= {(i, m) for i in one.inputs for m in moments if m <= moment}
        changed = len(belongs) > before
    return belongs


def check_against_reference(chains: Worlds, moments: range, subject: str = "i") -> None:
    belongs = reference(chains, subject, moments)
    wanted = {
        one.hash for uri, chain in chains.items() for one in chain if (uri, one.time) in belongs
    }
    found = trace(chains, subject)
    assert {one.hash for one, _ in found.story} == wanted
    assert all((via, one.time) in belongs for one, via in found.story)
    assert [one for one, _ in found.story] == sorted(
        (one for one, _ in found.story), key=lambda one: one.order
    )
    assert {uri for uri, _ in belongs} <= set(found.subjects)
    assert found.limit is None


# --- small worlds ---------------------------------------------------------------------------------

MOVES = [
    lambda n, t: pack(n, t, "c", "i"),
    lambda n, t: take_out(n, t, "c", "i"),
    lambda n, t: take_out(n, t, "c"),
    lambda n, t: pack(n, t, "p", "c"),
    lambda n, t: take_out(n, t, "p", "c"),
    lambda n, t: see(n, t, "c"),
    lambda n, t: see(n, t, "p", "i"),
]


def test_every_order_of_four_moves_of_an_item_a_case_and_a_pallet() -> None:
    seen = 0
    for moves in itertools.product(MOVES, repeat=4):
        chains = world(move(n, n) for n, move in enumerate(moves))
        check_against_reference(chains, range(5))
        seen += 1
    assert seen == 7**4


def test_three_moves_at_any_times_in_any_order_of_acceptance() -> None:
    """Claimed times fall together and run against the order in which events came in."""
    seen = 0
    for moves in itertools.product(MOVES[:5], repeat=3):
        for times in itertools.product(range(3), repeat=3):
            chains = world(
                move(n, time) for n, (move, time) in enumerate(zip(moves, times, strict=True))
            )
            check_against_reference(chains, range(4))
            seen += 1
    assert seen == 125 * 27


BOXES = st.sampled_from(["i", "a", "b", "c", "d"])
STEPS = st.one_of(
    st.tuples(st.just("pack"), BOXES, BOXES),
    st.tuples(st.just("out"), BOXES, BOXES),
    st.tuples(st.just("empty"), BOXES, BOXES),
    st.tuples(st.just("fix"), BOXES, BOXES),
    st.tuples(st.just("loosen"), BOXES, BOXES),
    st.tuples(st.just("make"), BOXES, BOXES),
    st.tuples(st.just("see"), BOXES, BOXES),
)


def _step(number: int, what: tuple[str, str, str], time: int, believed: bool) -> Any:
    kind, one, other = what
    also: dict[str, Any] = {"believed": believed}
    fixed = {**also, "kind": "AssociationEvent"}
    if kind == "make":
        return make(number, time, [one], [other])
    if kind == "see":
        return see(number, time, one, other)
    return {
        "pack": lambda: pack(number, time, one, other, **also),
        "out": lambda: take_out(number, time, one, other, **also),
        "empty": lambda: take_out(number, time, one, **also),
        "fix": lambda: pack(number, time, one, other, **fixed),
        "loosen": lambda: take_out(number, time, one, other, **fixed),
    }[kind]()


@given(st.lists(st.tuples(STEPS, st.integers(0, 6), st.booleans()), max_size=12))
def test_any_world_with_cycles_and_overlaps(moves: list[Any]) -> None:
    chains = world(_step(n, what, time, ok) for n, (what, time, ok) in enumerate(moves))
    check_against_reference(chains, range(8))


# --- named rules ----------------------------------------------------------------------------------


def test_what_was_put_in_before_the_item_came_is_still_around_it() -> None:
    chains = world([pack(0, 0, "p", "c"), pack(1, 5, "c", "i"), see(2, 7, "p"), see(3, 3, "p")])
    found = trace(chains)
    assert numbers(found) == [1, 2]
    assert found.subjects == ("i", "c", "p")


def test_an_association_is_not_ended_by_an_aggregation_nor_by_silence() -> None:
    fixed = {"kind": "AssociationEvent"}
    chains = world(
        [
            pack(0, 0, "c", "i", **fixed),
            take_out(1, 1, "c", "i"),
            take_out(2, 2, "c", **fixed),
            see(3, 3, "c"),
        ]
    )
    assert numbers(trace(chains)) == [0, 1, 2, 3]


def test_taking_out_at_the_moment_of_putting_in_ends_nothing() -> None:
    chains = world([pack(0, 1, "c", "i"), take_out(1, 1, "c", "i"), see(2, 5, "c")])
    assert 2 in numbers(trace(chains))


def test_a_parent_shown_to_be_emptied_is_visited_though_it_tells_nothing() -> None:
    """Only the pallet's own chain shows that the case was out before the item came."""
    chains = world(
        [pack(0, 0, "p", "c"), take_out(1, 2, "p"), pack(2, 5, "c", "i"), see(3, 6, "p")]
    )
    found = trace(chains)
    assert found.subjects == ("i", "c", "p")
    assert numbers(found) == [2]


def test_a_missing_chain_is_named_in_the_order_of_the_visits() -> None:
    chains = world([pack(0, 0, "a", "i"), pack(1, 1, "b", "i")])

    def load(uri: str) -> Sequence[Step] | None:
        if uri in ("a", "b"):
            raise MissingSubjectError(uri)
        return chains[uri]

    with pytest.raises(MissingSubjectError) as caught:
        walk("i", load)
    assert caught.value.uri == "a"


def test_absent_subjects_are_told_once_in_the_order_of_the_visits() -> None:
    steps = [make(0, 3, ["x", "y"], ["i"]), make(1, 5, ["y", "x"], ["i"])]
    found = walk("i", {"i": steps}.get)
    assert found.absent == ("x", "y")
    assert walk("z", {}.get) == Trace(("z",), (), ("z",), None)


def test_inputs_belong_up_to_the_moment_of_making_included() -> None:
    chains = world([make(0, 5, ["x"], ["i"]), see(1, 5, "x"), see(2, 6, "x"), see(3, -9, "x")])
    assert numbers(trace(chains)) == [3, 0, 1]


@pytest.mark.parametrize(
    ("item", "lot", "expected"),
    [
        (ITEM, "L7", "https://id.gs1.org/01/09506000134352/10/L7"),
        (ITEM, "a b/é~", "https://id.gs1.org/01/09506000134352/10/a%20b%2F%C3%A9~"),
        ("https://id.gs1.org/01/09506000134352/10/L1", "L7", None),
        ("https://id.gs1.org/01/0950600013435/21/A1", "L7", None),
        ("https://id.gs1.org/01/0950600013435٣/21/A1", "L7", None),
        ("https://id.gs1.org/00/095060001343520016", "L7", None),
        (ITEM + "/x", "L7", None),
    ],
)
def test_the_lot_of_an_item(item: str, lot: str, expected: str | None) -> None:
    assert lot_uri(item, lot) == expected


def test_only_making_and_adding_name_a_lot() -> None:
    lot = lot_uri(ITEM, "L7")
    assert lot is not None
    for action, kind, outputs, belongs in [
        ("ADD", "ObjectEvent", (), True),
        ("OBSERVE", "ObjectEvent", (), False),
        (None, "TransformationEvent", (ITEM,), True),
        (None, "TransformationEvent", (), False),
    ]:
        one = step(0, 0, action=action, kind=kind, outputs=frozenset(outputs), lot="L7")
        found = walk(ITEM, {ITEM: [one], lot: [see(1, 9, lot)[0]]}.get)
        assert found.subjects == ((ITEM, lot) if belongs else (ITEM,))
    other = walk("i", {"i": [step(0, 0, action="ADD", lot="L7")]}.get)
    assert other.subjects == ("i",)


# --- limits ---------------------------------------------------------------------------------------


def nested(depth: int) -> Worlds:
    boxes = ["i", *(f"b{n}" for n in range(1, depth + 1))]
    return world(pack(n, n, boxes[n + 1], boxes[n]) for n in range(depth))


def test_depth_is_limited_and_said() -> None:
    whole = trace(nested(32))
    assert (len(whole.subjects), whole.limit) == (33, None)
    cut = trace(nested(34))
    assert (len(cut.subjects), cut.limit) == (33, "b33")
    assert trace(nested(5), max_depth=3).limit == "b4"


def test_the_number_of_subjects_is_limited_and_said() -> None:
    inputs = [f"x{n}" for n in range(300)]
    chains = world([make(0, 5, inputs, ["i"]), pack(1, 2, "box", "x3"), see(2, 3, "box")])
    found = trace(chains)
    assert (len(found.subjects), found.limit) == (256, "x255")
    # Full: nothing more is taken up, but what was taken up is told to its end.
    assert "box" not in found.subjects
    assert numbers(found) == [1, 0]
    fewer = world([make(0, 5, inputs[:254], ["i"]), pack(1, 2, "box", "x3"), see(2, 3, "box")])
    found = trace(fewer)
    assert (len(found.subjects), found.limit) == (256, None)
    assert numbers(found) == [1, 2, 0]


def test_a_known_subject_can_be_visited_again_when_no_new_one_can() -> None:
    steps = [pack(0, 0, "c", "i"), take_out(1, 2, "c", "i"), pack(2, 5, "c", "i"), see(3, 7, "c")]
    found = trace(world(steps), max_subjects=2)
    assert found.limit is None
    assert numbers(found) == [0, 1, 2, 3]


def test_a_cycle_ends() -> None:
    steps = [pack(0, 0, "a", "i"), pack(1, 1, "b", "a"), pack(2, 2, "i", "b"), pack(3, 3, "i", "i")]
    found = trace(world(steps))
    assert set(found.subjects) == {"i", "a", "b"}
    assert found.limit is None


# --- from documents -------------------------------------------------------------------------------


def test_steps_are_read_from_events() -> None:
    made = World()
    case, lot = "urn:epc:id:sscc:9506000.1343520010", "https://id.gs1.org/01/09506000134352/10/L1"
    quantity = [{"epcClass": "https://shop.example/01/09506000134352/10/L1?x=1"}]
    packed = made.pack(case, ITEM, childQuantityList=quantity)
    one = read_step(read_event(packed), 7, believed=True)
    assert (one.kind, one.action, one.children) == ("AggregationEvent", "ADD", {ITEM, lot})
    assert one.parent is not None
    assert one.parent.startswith("https://id.gs1.org/00/")
    assert not one.closes_all
    for empty in ({}, {"childEPCs": []}, {"childEPCs": [], "childQuantityList": []}):
        event = read_event({**made.pack(case, action="DELETE"), **empty})
        assert read_step(event, 7, believed=True).closes_all
        association = read_event({**event.document, "type": "AssociationEvent"})
        assert not read_step(association, 7, believed=True).closes_all
    orphan = {k: v for k, v in packed.items() if k != "parentID"}
    assert read_step(read_event(orphan), 7, believed=True).parent is None
    mixed = read_step(read_event(made.transform([lot, ITEM, ITEM], [case])), 7, believed=False)
    assert mixed.inputs == (ITEM, lot)
    assert mixed.outputs == {one.parent}
    assert not mixed.believed


@pytest.mark.parametrize("ilmd", [None, [], {}, {"cbvmda:lotNumber": ""}, {"cbvmda:lotNumber": 7}])
def test_what_is_no_lot_number_is_passed_over(ilmd: Any) -> None:
    event = read_event({**World().make(ITEM), "ilmd": ilmd, "action": 7})
    found = read_step(event, 7, believed=True)
    assert (found.lot, found.action) == (None, None)


def test_a_chain_is_judged_by_itself() -> None:
    made = World()
    wrong = made.pack("urn:x:box", ITEM)
    declared = {**wrong, "prov:nonce": made.nonce(), "errorDeclaration": {"reason": "x"}}
    events = [read_event(event) for event in (made.make(ITEM), wrong, declared)]
    chain = read_chain([(event, 7, "https://mill.example") for event in events])
    assert [one.believed for one in chain] == [True, False, False]
    assert events[0].event_time < END


# --- hostile sizes --------------------------------------------------------------------------------


def in_and_out(parent: str, times: int, child: str = "i", apart: int = 2, first: int = 0) -> Worlds:
    """A child that is put into a parent and taken out again, many times."""
    return world(
        entry
        for n in range(times)
        for entry in (
            pack(first + 2 * n, apart * n, parent, child),
            take_out(first + 2 * n + 1, apart * n + 1, parent, child),
        )
    )


def test_the_number_of_visits_is_limited_and_said() -> None:
    assert trace(in_and_out("p", 1_023)).limit is None
    found = trace(in_and_out("p", 1_024))
    assert found.limit == "p"
    assert len(found.story) == 2 * 1_024  # all of the subject's own
    assert trace(in_and_out("p", 3), max_visits=3).limit == "p"
    assert trace(in_and_out("p", 3), max_visits=4).limit is None


@pytest.mark.parametrize("is_open", [True, False])
def test_many_stays_under_many_visits_stay_cheap(is_open: bool) -> None:
    """Each visit looks at each packing once, and takes up what is new: no product of three."""
    stays = [
        entry
        for n in range(3_000)
        for entry in (pack(10_000 + 2 * n, n, "q", "p"), take_out(10_001 + 2 * n, n, "q", "p"))
        if is_open is False or entry.action == "ADD"
    ]
    chains = {uri: list(chain) for uri, chain in in_and_out("p", 1_000, apart=3).items()}
    chains["p"] += stays
    chains["q"] = list(stays)
    taken = 0

    class Counting(dict[str, list[Step]]):
        def get(self, *arguments: Any) -> Any:
            nonlocal taken
            taken += 1
            return super().get(*arguments)

    found = walk("i", Counting(chains).get)
    assert found.subjects == ("i", "p", "q")
    assert taken == 3  # each chain once


def test_growing_inputs_are_told_once() -> None:
    steps = [make(n, n, ["in"], ["i"]) for n in range(1_000)]
    seen = [see(5_000 + n, n, "in") for n in range(1_000)]
    found = trace(world([*steps, *seen]))
    assert (len(found.story), found.limit) == (2_000, None)
