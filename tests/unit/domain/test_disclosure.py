"""Concealed members: taken out, put back, refused where they do not fit (docs/formats.md 3)."""

from __future__ import annotations

import copy
import hashlib
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.domain.canonical import decode_base64url, encode, encode_base64url
from provenance.domain.disclosure import (
    SD,
    UNCONCEALABLE,
    ConcealmentError,
    DisclosureError,
    apply,
    conceal,
    digest,
    is_concealable,
    parse_path,
)

VECTORS = Path(__file__).parents[2] / "vectors" / "disclosures.json"
CASES: list[dict[str, Any]] = json.loads(VECTORS.read_text("utf-8"))

EVENT: dict[str, Any] = {
    "@context": ["https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"],
    "type": "ObjectEvent",
    "eventTime": "2026-11-23T15:00:00.000Z",
    "eventTimeZoneOffset": "+08:00",
    "epcList": ["urn:epc:id:sgtin:4012345.012345.1"],
    "quantityList": [
        {"epcClass": "urn:epc:class:lgtin:4012345.012345.L", "quantity": 5, "uom": "KGM"}
    ],
    "action": "OBSERVE",
    "bizStep": "shipping",
    "readPoint": {"id": "https://id.gs1.org/414/0614141123452"},
    "sourceList": [{"type": "owning_party", "source": "urn:epc:id:pgln:4012345.00225"}],
    "ilmd": {"ex:price": 12.5, "cbvmda:lotNumber": "L", "ex:who": {"ex:name": "A", "ex:age": 3}},
    "prov:nonce": "AAAAAAAAAAAAAAAAAAAAAA==",
}


def counted() -> Callable[[int], bytes]:
    """Bytes that differ at every call and are the same in every run."""
    counter = itertools.count()
    return lambda size: hashlib.sha256(next(counter).to_bytes(4, "big")).digest()[:size]


def without_digests(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_digests(inner) for name, inner in value.items() if name != SD}
    if isinstance(value, list):
        return [without_digests(inner) for inner in value]
    return value


def test_digest_of_the_example_of_rfc_9901() -> None:
    text = "WyJfMjZiYzRMVC1hYzZxMktJNmNCVzVlcyIsICJmYW1pbHlfbmFtZSIsICJNw7ZiaXVzIl0"
    assert digest(text) == "X9yH0Ajrdm1Oij4tWso9UzzKJvPoDxwmuEcO3XAdRC0"


def test_the_corpus_is_whole() -> None:
    assert len(CASES) >= 70
    assert sum(case["shown"] is None for case in CASES) >= 50


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_vector(case: dict[str, Any]) -> None:
    before = copy.deepcopy(case["event"])
    if case["shown"] is None:
        with pytest.raises(DisclosureError) as caught:
            apply(case["event"], case["disclosures"])
        assert caught.value.code == "disclosure-unmatched"
        assert caught.value.index < len(case["disclosures"])
    else:
        shown = apply(case["event"], case["disclosures"])
        assert encode(shown) == encode(case["shown"])
    assert case["event"] == before


@pytest.mark.parametrize(
    ("path", "name", "value"),
    [
        ("$.bizStep", "bizStep", "shipping"),
        ("$['bizStep']", "bizStep", "shipping"),
        ('$["bizStep"]', "bizStep", "shipping"),
        ("$.readPoint", "readPoint", EVENT["readPoint"]),
        ("$.readPoint.id", "id", "https://id.gs1.org/414/0614141123452"),
        ("$.sourceList[0].source", "source", "urn:epc:id:pgln:4012345.00225"),
        ("$.quantityList[0].quantity", "quantity", 5),
        ("$.ilmd['ex:price']", "ex:price", 12.5),
        ("$.ilmd['ex:who']['ex:name']", "ex:name", "A"),
        ("$.ilmd", "ilmd", EVENT["ilmd"]),
    ],
)
def test_a_member_is_taken_out_and_put_back(path: str, name: str, value: Any) -> None:
    before = copy.deepcopy(EVENT)
    event, [disclosure] = conceal(EVENT, [path], counted())
    assert before == EVENT
    salt, *rest = json.loads(decode_base64url(disclosure))
    assert rest == [name, value]
    assert len(decode_base64url(salt)) == 16
    assert encode(event).count(digest(disclosure).encode()) == 1
    # What is concealed is nowhere in the event any more.
    assert encode({name: value})[1:-1] not in encode(event)
    assert without_digests(apply(event, [disclosure])) == EVENT


def test_digests_of_one_object_are_sorted_and_tell_no_order() -> None:
    paths = ["$.ilmd['ex:price']", "$.ilmd['cbvmda:lotNumber']", "$.ilmd['ex:who']"]
    event, disclosures = conceal(EVENT, paths, counted())
    assert event["ilmd"] == {SD: sorted(map(digest, disclosures))}
    names = [json.loads(decode_base64url(text))[1] for text in disclosures]
    assert names == ["ex:price", "cbvmda:lotNumber", "ex:who"]


def test_concealing_twice_adds_to_the_digests() -> None:
    first, [one] = conceal(EVENT, ["$.bizStep"], counted())
    second, [two] = conceal(first, ["$.ilmd"], lambda size: b"\x07" * size)
    assert second[SD] == sorted([digest(one), digest(two)])
    assert without_digests(apply(second, [two, one])) == EVENT


def test_an_inner_member_travels_inside_its_concealed_object() -> None:
    event, [outer, inner] = conceal(EVENT, ["$.ilmd", "$.ilmd['ex:price']"], counted())
    assert "ilmd" not in event
    assert "ex:price" not in apply(event, [outer])["ilmd"]
    assert without_digests(apply(event, [outer, inner])) == EVENT
    with pytest.raises(DisclosureError) as caught:
        apply(event, [inner, outer])
    assert caught.value.index == 0


def test_every_subset_of_disclosures_gives_its_own_view_of_the_same_event() -> None:
    paths = ["$.bizStep", "$.sourceList[0].source", "$.ilmd['ex:price']", "$.readPoint"]
    event, disclosures = conceal(EVENT, paths, counted())
    for count in range(len(paths) + 1):
        for chosen in itertools.permutations(range(len(paths)), count):
            shown = without_digests(apply(event, [disclosures[index] for index in chosen]))
            kept, _ = conceal(EVENT, [paths[i] for i in set(range(4)) - set(chosen)], counted())
            assert shown == without_digests(kept)


def test_salts_come_from_the_caller_sixteen_bytes_a_member() -> None:
    asked: list[int] = []

    def random(size: int) -> bytes:
        asked.append(size)
        return bytes([len(asked)]) * size

    _, disclosures = conceal(EVENT, ["$.bizStep", "$.ilmd"], random)
    salts = [json.loads(decode_base64url(text))[0] for text in disclosures]
    assert asked == [16, 16]
    assert salts == [encode_base64url(b"\x01" * 16), encode_base64url(b"\x02" * 16)]


@pytest.mark.parametrize(
    ("path", "found"),
    [
        *((f"$['{name}']", "one that must be seen") for name in sorted(UNCONCEALABLE)),
        ("$['prov:nonce']", "one that must be seen"),
        ("$['prov:_sd']", "one that must be seen"),
        ("$.ilmd['prov:anything']", "one that must be seen"),
        ("$.quantityList[0].epcClass", "one that must be seen"),
        ("$['@context'][1].ex", "one that must be seen"),
        ("$.errorDeclaration.reason", "one that must be seen"),
        ("$.proof.created", "one that must be seen"),
        ("$.epcList[0]", "one that must be seen"),
        ("$.sourceList[0]", "one that must be seen"),
        ("$[0]", "one that must be seen"),
        ("$.disposition", "nothing at step 1"),
        ("$.ilmd.x.y", "nothing at step 2"),
        ("$.sourceList[1].source", "nothing at step 2"),
        ("$.sourceList.source", "nothing at step 2"),
        ("$.ilmd[0].x", "nothing at step 2"),
        ("$.bizStep.x", "nothing at step 2"),
        ("$", "another text"),
        ("", "another text"),
        ("bizStep", "another text"),
        ("$bizStep", "another text"),
        ("$..bizStep", "another text"),
        ("$.ilmd.ex:price", "another text"),
        ("$.sourceList[-1].source", "another text"),
        ("$.sourceList[01].source", "another text"),
        ("$.sourceList[*].source", "another text"),
        ("$.ilmd['ex:price'", "another text"),
        ("$.1a", "another text"),
    ],
)
def test_paths_that_name_nothing_to_conceal(path: str, found: str) -> None:
    with pytest.raises(ConcealmentError) as caught:
        conceal(EVENT, [path], counted())
    assert (caught.value.code, caught.value.path) == ("not-concealable", path)
    assert caught.value.found == found


def test_the_same_path_twice_and_the_inner_one_first_are_refused() -> None:
    for paths in (["$.bizStep", "$.bizStep"], ["$.ilmd['ex:price']", "$.ilmd"]):
        with pytest.raises(ConcealmentError) as caught:
            conceal(EVENT, paths, counted())
        assert caught.value.path == paths[0]


@pytest.mark.parametrize("held", ["text", [1], None, {}])
def test_an_object_with_something_else_as_its_digests_is_refused(held: object) -> None:
    with pytest.raises(ConcealmentError, match="list of digests"):
        conceal({**EVENT, SD: held}, ["$.bizStep"], counted())


@pytest.mark.parametrize("subjects", ["epcList", "parentID", "outputQuantityList"])
def test_places_stay_in_sight_only_where_they_are_the_subject(subjects: str) -> None:
    reading: dict[str, Any] = {
        "type": "ObjectEvent",
        "epcList": [],
        "readPoint": {"id": "https://id.gs1.org/414/0614141123452"},
        "sensorElementList": [{"sensorMetadata": {"deviceID": "urn:x"}}],
    }
    steps: list[tuple[str | int, ...]] = [
        ("readPoint",),
        ("readPoint", "id"),
        ("bizLocation",),
        ("sensorElementList",),
        ("sensorElementList", 0, "sensorMetadata", "deviceID"),
    ]
    about_items = {**reading, subjects: ["urn:x"]}
    assert not any(is_concealable(reading, step) for step in steps)
    assert all(is_concealable(about_items, step) for step in steps)
    assert is_concealable(reading, ("bizStep",))


@pytest.mark.parametrize(
    ("path", "steps"),
    [
        ("$.a", ("a",)),
        ("$.a.b[3].c", ("a", "b", 3, "c")),
        ("$['a.b']['c[0]']", ("a.b", "c[0]")),
        (r"$['it\'s']", ("it's",)),
        (r'$["a\"b\\c"]', ('a"b\\c',)),
        ("$.größe._x1", ("größe", "_x1")),
        ("$['']", ("",)),
    ],
)
def test_paths(path: str, steps: tuple[str | int, ...]) -> None:
    assert parse_path(path) == steps


NAMES = st.text(min_size=1, max_size=6).filter(
    lambda name: (
        not name.startswith("prov:")
        and name not in UNCONCEALABLE
        and name.isprintable()
        and "\\" not in name
        and "'" not in name
    )
)
LEAVES = st.integers(-9, 9) | st.text("ab", max_size=3) | st.none()
OBJECTS = st.dictionaries(
    NAMES, LEAVES | st.dictionaries(NAMES, LEAVES, max_size=3), min_size=1, max_size=5
)


@given(OBJECTS, st.data())
def test_conceal_then_apply_is_the_event_again(
    members: dict[str, Any], data: st.DataObject
) -> None:
    event = {"epcList": ["urn:x"], **members}
    paths = [f"$['{name}']" for name in members]
    paths += [
        f"$['{name}']['{inner}']"
        for name, value in members.items()
        if isinstance(value, dict)
        for inner in value
    ]
    chosen = [path for path in paths if data.draw(st.booleans())]
    concealed, disclosures = conceal(event, chosen, counted())
    assert len(disclosures) == len(chosen)
    assert without_digests(apply(concealed, disclosures)) == event
    if disclosures:
        dropped = data.draw(st.integers(0, len(disclosures) - 1))
        altered = [text if i != dropped else text[:-4] for i, text in enumerate(disclosures)]
        with pytest.raises(DisclosureError):
            apply(concealed, altered)


def test_thousands_of_disclosures_are_each_found_at_once() -> None:
    """Each one is looked up: 4,000 in each other's values, and no place is gone through twice."""
    looks = 0

    class Counting(str):
        def __eq__(self, other: object) -> bool:
            nonlocal looks
            looks += 1
            return str.__eq__(self, other)

        __hash__ = str.__hash__

    inner = [encode_base64url(encode([f"salt {n}", f"m{n}", n])) for n in range(4_000)]
    outer = []
    for start in range(0, len(inner), 200):
        held = {SD: sorted(map(digest, inner[start : start + 200]))}
        outer.append(encode_base64url(encode([f"salt o{start}", f"o{start}", held])))
    event = {**EVENT, SD: [Counting(digest(text)) for text in outer]}
    shown = apply(event, [*outer, *inner])
    assert (shown["o0"]["m0"], shown["o3800"]["m3999"]) == (0, 3_999)
    assert looks < 200
