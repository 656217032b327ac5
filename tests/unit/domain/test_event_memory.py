"""The fast door: whatever comes through it would have come through the other one, the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provenance.crypto.integrity import add_proof, verify_parts, verify_proof
from provenance.crypto.signing import PrivateKey, SignatureError
from provenance.domain import canonical, event_memory
from provenance.domain.context import EPCIS_CONTEXT, PROV_CONTEXT
from provenance.domain.errors import DomainError
from provenance.domain.event import Event, check_event, parse_event, read_line
from provenance.domain.event_memory import find_good_event, find_signed_parts
from provenance.domain.proof import format_method
from provenance.domain.seal import own_proof
from tests.support.epcis import damages, example_events

KEY = PrivateKey.from_seed(bytes(range(32)))
METHOD = format_method("https://maker.example.test/", KEY.public.multikey)
ITEM = "https://id.gs1.org/01/09506000134352/21/1"
EXAMPLE_PREFIX = {"example": "https://example.org/ns/"}


def event(**changes: Any) -> dict[str, Any]:
    """A good ObjectEvent; a member changed to None is left out."""
    document = {
        "@context": [EPCIS_CONTEXT, dict(PROV_CONTEXT)],
        "type": "ObjectEvent",
        "eventID": "urn:uuid:374d95fc-9457-4a51-bd6a-0bba133845a8",
        "eventTime": "2026-11-23T15:00:00.000+01:00",
        "eventTimeZoneOffset": "+01:00",
        "prov:nonce": "AAAAAAAAAAAAAAAAAAAAAA==",
        "action": "OBSERVE",
        "bizStep": "shipping",
        "epcList": [ITEM],
        "readPoint": {"id": "https://id.gs1.org/414/9506000134369"},
    }
    return {name: value for name, value in (document | changes).items() if value is not None}


def signed(**changes: Any) -> dict[str, Any]:
    return add_proof(event(**changes), KEY, METHOD, "2026-11-23T15:00:00Z", "log.example")


def slowly(line: bytes) -> Event | None:
    """What the long way makes of a line; None if it refuses."""
    try:
        return check_event(canonical.parse(line))
    except DomainError:
        return None


def require_agreement(line: bytes) -> bool:
    """Both doors give one answer, twice, since the second time remembers; was it the fast one?"""
    wanted = slowly(line)
    for _ in range(2):
        good = find_good_event(line)
        if good is None:
            return False
        if "proof" in good.parts and find_signed_parts(good) is None:
            return False
        assert wanted is not None
        assert wanted.canonical == line
        assert read_line(line).check() == wanted
    return True


def test_every_example_of_gs1(shared: Path) -> None:
    lines = [canonical.encode(document) for _, document in example_events(shared)]
    quick = sum(map(require_agreement, lines))
    assert len(lines) == 56
    assert quick == 47  # the others declare earlier ones wrong, where other rules hold


def test_damaged_examples(shared: Path) -> None:
    """One damage in eleven of every example; what is damaged and still good may be quick."""
    seen = quick = 0
    for _, document in example_events(shared):
        for number, (_, _, make) in enumerate(damages(document)):
            if number % 11 == seen % 11:
                try:
                    line = canonical.encode(make())
                except DomainError:
                    continue
                quick += require_agreement(line)
            seen += 1
    assert seen >= 20_000
    assert quick >= 100


LINES = [
    canonical.encode(event()),
    canonical.encode(event(ilmd={"example:a": [1, {"b": "ä"}]}, action="ADD")),
    canonical.encode(signed()),
    canonical.encode(signed(bizTransactionList=[{"type": "po", "bizTransaction": "urn:x:po:1"}])),
]
PIECES = [b'"', b",", b"{", b"}", b"[", b"]", b":", b" ", b"\\", b"0", b"-", b"1.5", b"null"]
PIECES += [b'"proofValue":"z1",', b'"created":"2026-11-23T15:00:01Z",', b'"x":1,', b"\xff", b"\x00"]
PIECES += ["😀".encode(), b'"type":"ObjectEvent"', b'"eventID":"urn:x:y",', b"9" * 17]


@settings(max_examples=400)
@given(st.sampled_from(LINES), st.integers(0, 2_000), st.sampled_from(PIECES), st.integers(0, 3))
def test_damaged_bytes(line: bytes, place: int, piece: bytes, skipped: int) -> None:
    place %= len(line)
    require_agreement(line[:place] + piece + line[place + skipped :])


@given(st.sampled_from(LINES), st.integers(0, 2_000), st.integers(0, 2_000), st.integers(0, 2_000))
def test_parts_that_change_places(line: bytes, one: int, two: int, three: int) -> None:
    first, second, third = sorted(number % len(line) for number in (one, two, three))
    swapped = line[:first] + line[second:third] + line[first:second] + line[third:]
    require_agreement(swapped)


def test_the_lines_of_these_tests_are_quick() -> None:
    assert all(require_agreement(line) for line in LINES if b"ilmd" not in line)


@pytest.mark.parametrize(
    "change",
    [
        {"eventTime": "2026-02-30T15:00:00Z"},
        {"eventTime": "2026-11-23T24:00:00Z"},
        {"epcList": [ITEM, ITEM]},
        {"epcList": ["https://id.gs1.org/01/09506000134353/21/1"]},
        {"epcList": None, "readPoint": None},
        {"prov:nonce": "AAAAAAAAAAAAAAAAAAAAAB=="},
        {"prov:nonce": None},
        {"action": "ADD", "ilmd": {"undeclared:a": 1}},
        {"ilmd": {}},
        {"type": "prov:ObjectEvent"},
        {"errorDeclaration": {}},
        {"@context": [EPCIS_CONTEXT]},
        {"readPoint": {"id": "no uri"}},
        {"quantityList": [{"epcClass": ITEM, "quantity": -1}]},
    ],
    ids=str,
)
def test_what_is_bad_never_comes_through_even_after_good_ones(change: dict[str, Any]) -> None:
    assert find_good_event(canonical.encode(event())) is not None
    line = canonical.encode(event(**change))
    assert slowly(line) is None
    assert find_good_event(line) is None


def test_a_member_that_is_good_under_one_context_is_not_taken_for_good_under_another() -> None:
    declared = [EPCIS_CONTEXT, dict(PROV_CONTEXT) | EXAMPLE_PREFIX]
    line = canonical.encode(event(**{"@context": declared, "bizStep": "example:packing"}))
    assert require_agreement(line)
    assert find_good_event(canonical.encode(event(bizStep="example:packing"))) is None


def test_a_member_that_is_good_in_one_type_is_not_taken_for_good_in_another() -> None:
    papers = [{"type": "po", "bizTransaction": "urn:x:po:1"}]
    for kind, empty in (("ObjectEvent", True), ("TransactionEvent", False)):
        line = canonical.encode(event(type=kind, bizTransactionList=papers))
        assert require_agreement(line)
        line = canonical.encode(event(type=kind, bizTransactionList=[]))
        assert (find_good_event(line) is not None) is empty
        assert require_agreement(line) is empty


def test_rules_over_several_members_are_applied_to_every_event() -> None:
    assert require_agreement(canonical.encode(event(action="ADD", ilmd={})))
    assert find_good_event(canonical.encode(event(action="OBSERVE", ilmd={}))) is None


@pytest.mark.parametrize(
    "spelling",
    [
        lambda line: line + b" ",
        lambda line: line.replace(b":", b": ", 1),
        lambda line: line.replace(b'"OBSERVE"', b'"OBS\\u0045RVE"'),
        lambda line: json.dumps(json.loads(line)).encode(),
        lambda line: line.replace(b'{"@context"', b'{"zzz":1,"@context"'),
        lambda line: line[:-1] + b',"type":"ObjectEvent"}',
    ],
    ids=["blank", "blank inside", "escape", "Python's", "another order", "twice"],
)
def test_other_spellings_take_the_long_way(spelling: Callable[[bytes], bytes]) -> None:
    assert find_good_event(spelling(canonical.encode(event()))) is None


def test_signed_parts_are_what_the_signature_covers() -> None:
    line = canonical.encode(signed())
    good = find_good_event(line)
    assert good is not None
    parts = find_signed_parts(good)
    assert parts is not None
    assert parts.proof == own_proof(canonical.parse(line))
    verify_parts(parts.options, parts.unsigned, parts.proof.value, KEY.public)
    verify_proof(good.document, KEY.public)
    with pytest.raises(SignatureError, match="does not fit"):
        verify_parts(parts.options, parts.unsigned + b" ", parts.proof.value, KEY.public)


@pytest.mark.parametrize("name", ["created", "proofValue"])
def test_words_inside_another_member_are_not_taken_for_the_proofs_own(name: str) -> None:
    """The same surrounding, but what is new stands inside the context: another structure."""
    context = [EPCIS_CONTEXT, dict(PROV_CONTEXT) | {name: "https://example.org/"}]
    document = signed(**{"@context": context})
    assert require_agreement(canonical.encode(document))
    value = document["proof"].pop(name)
    text = canonical.encode(document)
    member = f'"{name}":"https://example.org/"'.encode()
    forged = text.replace(member, f'"{name}":"{value}"'.encode())
    assert forged != text
    assert slowly(forged) is None
    assert not require_agreement(forged)
    assert not require_agreement(text)


def test_a_proof_of_another_context_is_no_proof_of_this_event() -> None:
    document = signed()
    document["proof"]["@context"] = [EPCIS_CONTEXT]
    line = canonical.encode(document)
    assert slowly(line) is None
    assert not require_agreement(line)
    with pytest.raises(DomainError, match="context"):
        parse_event(line)


def test_what_is_remembered_is_bounded() -> None:
    info = event_memory._remembered.cache_info()
    assert info.maxsize is not None and info.maxsize * event_memory._MOST_REMEMBERED_BYTES < 2**22
    long = "urn:x:" + "a" * event_memory._MOST_REMEMBERED_BYTES
    before = event_memory._remembered.cache_info().currsize
    find_good_event(canonical.encode(event()))
    filled = event_memory._remembered.cache_info().currsize
    assert find_good_event(canonical.encode(event(readPoint={"id": long}))) is not None
    assert event_memory._remembered.cache_info().currsize == max(before, filled)
