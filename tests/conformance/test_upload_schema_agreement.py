"""What marshmallow's schemas accept and refuse, the hot path of capture does, and the other way.

Uploads are judged by the hot path alone; the schemas describe the interface. Here both judge the
same lines: GS1's examples, systematic damage done to them and to documents of our own (events with
all that is ours in them, party events, seals, disclosures), and documents made up by hypothesis.
There is no list of exceptions: a line on which the two differ fails. On refusals the paths that
they name are compared too. (That the fast door and the general one agree:
tests/unit/domain/test_event_memory.py.)
"""
# ruff: noqa: E501 -- the table of edges has one row a line

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provenance.domain import canonical
from provenance.domain.event import EVENT_TYPES, check_event
from tests.support.agreement import DISCLOSURES, EVENTS, SEALS, THOROUGH, Tally, damaged
from tests.support.builders import CONTEXT, Actor, make_nonce
from tests.support.epcis import example_events, slim
from tests.support.own_documents import DIGESTS, MILL, OWN, signed


def take_damaged(
    tally: Tally, name: str, document: dict[str, Any], tried: set[Any], one_in: int
) -> None:
    """Put damaged copies of a document before both judges."""
    for what, copied in damaged(document, tried, one_in):
        tally.take(canonical.encode(copied), f"{name}: {what}")


# --- GS1's examples -------------------------------------------------------------------------------


def test_examples_of_gs1(shared: Path) -> None:
    tally = Tally(EVENTS)
    for name, event in example_events(shared):
        tally.take(canonical.encode(event), name)
    assert tally.counts == {"accepted": 56}


@pytest.mark.parametrize("kind", sorted(EVENT_TYPES))
def test_damaged_examples_of_gs1(kind: str, shared: Path) -> None:
    tally, tried = Tally(EVENTS), set[Any]()
    for name, event in example_events(shared):
        if event["type"] == kind:
            take_damaged(tally, name, event if THOROUGH else slim(event), tried, one_in=19)
    assert tally.counts["accepted"] > 100
    assert tally.counts["refused"] > 130
    assert tally.share_alike == 1
    assert tally.counts["same"] == tally.counts["refused"]  # to the last path


# --- events with all that is ours in them ---------------------------------------------------------


def test_documents_of_our_own_are_accepted() -> None:
    tally = Tally(EVENTS)
    for name, event in OWN:
        assert tally.take(canonical.encode(event), name) is None, name
    assert tally.counts == {"accepted": 38}


def test_damaged_documents_of_our_own() -> None:
    tally = Tally(EVENTS)
    tried: dict[str, set[Any]] = {}  # of a signed one, only its proof is damaged again
    for name, event in OWN:
        done = tried.setdefault(name.removesuffix(", signed"), set())
        take_damaged(tally, name, event, done, one_in=97)
    assert tally.counts["accepted"] > 200
    assert tally.counts["refused"] > 700
    assert tally.share_alike == 1


# --- seals and disclosures ------------------------------------------------------------------------


def test_damaged_seals() -> None:
    tally = Tally(SEALS)
    hashes = [check_event(event).hash for _, event in OWN[:3]]
    for name, seal in {
        "a seal": MILL.seal(hashes),
        # Odd, and of the form: whose key it is, is judged later.
        "no party": Actor("", MILL.key).seal(hashes),
        "a party with a fragment": Actor("urn:x:a#b", MILL.key).seal(hashes),
    }.items():
        assert tally.take(canonical.encode(seal), name) is None
        take_damaged(tally, name, seal, set(), one_in=1)
    too_long = MILL.seal(hashes, origin="o" * 8_192)
    assert tally.take(canonical.encode(too_long), "too long") == frozenset({"$"})
    assert tally.counts["accepted"] > 50
    assert tally.counts["refused"] > 500
    assert tally.share_alike == 1


def test_damaged_disclosures() -> None:
    tally = Tally(DISCLOSURES)
    line: dict[str, Any] = {
        "leaf": 0,
        "subject": "urn:x:a",
        "disclosures": [
            {"text": "WyJhIiwiYiIsMV0", "audience": ["customs", "public"]},
            {"text": "ä", "audience": ["brand", "brand"]},
        ],
    }
    assert tally.take(canonical.encode(line), "a line") is None
    take_damaged(tally, "a line", line, set(), one_in=1)
    for leaf in (-1, 9_999, 10_000, 1.5, True):
        tally.take(canonical.encode({**line, "leaf": leaf}), f"leaf {leaf}")
    assert tally.counts["accepted"] > 50
    assert tally.counts["refused"] > 100
    assert tally.share_alike == 1


# --- documents that hypothesis makes up -----------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.5, "", "a", "urn:x:y"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["id", "ex:a", "prov:_sd", "type", "b"]), inner, max_size=2
        )
    ),
    max_leaves=4,
)
IDS = st.sampled_from(
    [
        "urn:x:a",
        "urn:x:b",
        "ex:thing",
        "https://id.gs1.org/01/09506000134352/21/1",
        "https://id.gs1.org/01/09506000134353/21/1",
        "urn:epc:id:sgtin:0614141.107346.2017",
    ]
)
TIMES = st.sampled_from(
    [
        "2026-11-23T15:00:00Z",
        "2026-11-23T15:00:00.000001Z",
        "2026-11-23T16:00:00.5+02:00",
        "2026-11-23t13:00:00-01:00",
    ]
)


def seldom(strategy: st.SearchStrategy[Any], junk: st.SearchStrategy[Any] = JSON) -> Any:
    """Mostly of the form, now and then something else."""
    return st.integers(0, 14).flatmap(lambda n: strategy if n else junk)


def some(**members: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """An object with some of these members, extension members, or digests of concealed ones."""
    further = {"prov_sd": st.just(DIGESTS), "ex_a": JSON, "no_b": JSON}
    return st.fixed_dictionaries(
        {}, optional={n: seldom(m) for n, m in {**members, **further}.items()}
    ).map(lambda o: {n.replace("prov_sd", "prov:_sd").replace("_", ":"): v for n, v in o.items()})


QUANTITIES = st.lists(
    some(epcClass=IDS, quantity=st.sampled_from([0, 2, 2.5, -1]), uom=st.just("KGM")), max_size=2
)
READINGS = some(time=TIMES, startTime=TIMES, endTime=TIMES, deviceID=IDS, rawData=IDS)
REPORTS = some(
    type=st.just("Temperature"), value=st.just(4), time=TIMES, deviceID=IDS, endTime=TIMES
)
PLACES = some(id=IDS)
MEMBERS: dict[str, st.SearchStrategy[Any]] = {
    "recordTime": TIMES,
    "eventID": IDS,
    "bizStep": st.sampled_from(["shipping", "ex:own", "nowhere:own", "cbv:BizStep-shipping"]),
    "disposition": st.sampled_from(["active", "urn:x:own", "shipping"]),
    "readPoint": PLACES,
    "bizLocation": PLACES,
    "bizTransactionList": st.lists(some(type=st.just("po"), bizTransaction=IDS), max_size=2),
    "sourceList": st.lists(some(type=st.just("location"), source=IDS), max_size=2),
    "sensorElementList": st.lists(
        some(sensorMetadata=READINGS, sensorReport=st.lists(REPORTS, max_size=2)), max_size=2
    ),
    "prov:_sd": st.just(DIGESTS),
    "ex:a": JSON,
    "errorDeclaration": some(declarationTime=TIMES, reason=st.just("did_not_occur")),
}
EPCS = st.lists(IDS, max_size=2)
BY_TYPE: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "ObjectEvent": {"epcList": EPCS, "quantityList": QUANTITIES, "ilmd": some()},
    "AggregationEvent": {"parentID": IDS, "childEPCs": EPCS, "childQuantityList": QUANTITIES},
    "AssociationEvent": {"parentID": IDS, "childEPCs": EPCS, "childQuantityList": QUANTITIES},
    "TransactionEvent": {"parentID": IDS, "epcList": EPCS, "quantityList": QUANTITIES},
    "TransformationEvent": {
        "inputEPCList": EPCS,
        "inputQuantityList": QUANTITIES,
        "outputEPCList": EPCS,
        "transformationID": IDS,
        "persistentDisposition": some(set=st.just(["active"])),
    },
    "ex:Own": {"transformationID": IDS, "parentID": IDS},
    "prov:PartyAccredited": {"prov:party": IDS, "prov:role": st.sampled_from(["brand", "x"])},
}
BASE = {
    "@context": [*CONTEXT, {"ex": "https://example.org/ns/"}],
    "eventTime": "2026-11-23T15:00:00Z",
    "eventTimeZoneOffset": "+00:00",
    "prov:nonce": make_nonce(0),
}


@st.composite
def made_up(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(sorted(BY_TYPE)))
    action = {} if kind[0] in "ep" or "ransform" in kind else {"action": "ADD"}
    if action and draw(st.sampled_from([True, False])):
        action = {"action": draw(st.sampled_from(["OBSERVE", "DELETE", "LOOK"]))}
    members = st.fixed_dictionaries(
        {}, optional={n: seldom(m) for n, m in {**MEMBERS, **BY_TYPE[kind]}.items()}
    )
    document = {**BASE, "type": kind, **action, **draw(members)}
    return signed(document) if draw(st.sampled_from([True, False])) else document


@settings(max_examples=2_000 if THOROUGH else 200)
@given(made_up(), st.booleans())
def test_made_up_documents(document: dict[str, Any], is_canonical: bool) -> None:
    line = canonical.encode(document) if is_canonical else json.dumps(document).encode()
    tally = Tally(EVENTS)
    tally.take(line, line.decode())
    if tally.counts["refused"]:
        assert not tally.counts["apart"]


BYTES = [canonical.encode(event) for name, event in OWN if "declared" not in name]
PIECES = [b'"', b",", b"{", b"}", b"[", b"]", b":", b" ", b"\\u00", b"0", b"-", b"1e9", b"null"]
PIECES += [b"\xff", b"\xef\xbb\xbf", b'"type":"ObjectEvent",', b"9" * 17, b"\\ud800", "😀".encode()]


@given(st.sampled_from(BYTES), st.integers(0, 4_000), st.sampled_from(PIECES), st.integers(0, 3))
def test_damaged_bytes(line: bytes, place: int, piece: bytes, skipped: int) -> None:
    place %= len(line)
    Tally(EVENTS).take(line[:place] + piece + line[place + skipped :], f"{place} {piece!r}")


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"null",
        b"[]",
        b'"ObjectEvent"',
        b'{"type":["ObjectEvent"]}',
        b'{"type":"prov:Seal"}',
        b'{"type":"prov:Unheard"}',
        b'{"a":1,"a":2}',
        b"[" * 33 + b"]" * 33,
        canonical.encode({**BASE, "type": "ObjectEvent", "action": "ADD", "epcList": []}),
        # 1,000 subjects are the most, and 49,152 canonical bytes.
        *[
            canonical.encode(
                {
                    **BASE,
                    "type": "ObjectEvent",
                    "action": "ADD",
                    "epcList": [f"urn:x:{n}" for n in range(count)],
                }
            )
            for count in (1_000, 1_001)
        ],
        *[
            json.dumps({**BASE, "type": "ex:T", "readPoint": {"id": "urn:x:p"}, "ex:n": [0] * 200})
            .replace("0,", "1e15,", zeros)
            .replace('"ex:n"', '"ex:t": "' + "t" * 45_000 + '", "ex:n"')
            .encode()
            for zeros in (0, 199)
        ],
    ],
)
def test_corner_cases(line: bytes) -> None:
    Tally(EVENTS).take(line, line[:80].decode("latin-1"))


def at(event: dict[str, Any], path: str, value: Any) -> bytes:
    """The event with another value at a path such as ``quantityList.0.uom``, as a line."""
    changed = json.loads(json.dumps(event))
    *outer, last = [int(step) if step.isdigit() else step for step in path.split("/")]
    target = changed
    for step in outer:
        target = target[step]
    target[last] = value
    return canonical.encode(changed)


OWN_CONTEXT = dict(OWN)["ObjectEvent"]["@context"]
# Values on either side of an edge, accepted first; damage seldom meets an edge.
EDGES: list[tuple[str, str, list[Any], list[Any]]] = [
    ("ObjectEvent", "quantityList/0/uom", ["KG", "KGM", "1Z3"], ["K", "KGMX", "kgm", "KG\n"]),
    ("ObjectEvent", "quantityList/2/quantity", [0, 3], [-1, 2.5, True, "3", None]),
    ("ObjectEvent", "quantityList/0/quantity", [0, 2.5], [-0.5]),
    ("ObjectEvent", "eventTimeZoneOffset", ["+14:00", "-13:59"], ["+14:01", "-15:00", "Z", "+1:00"]),
    ("ObjectEvent", "prov:_sd", [["A" * 43]], [["A" * 43] * 2, ["A" * 42], ["A" * 44], ["A" * 42 + "B"]]),
    ("ObjectEvent", "prov:after", [[], "A" * 43 + "="], ["A" * 43, ["A" * 43 + "="] * 2, None]),
    ("ObjectEvent", "epcList", [[], ["urn:x:a"]], [["urn:x:a"] * 2, "urn:x:a"]),
    ("TransactionEvent", "epcList", [["urn:x:a"] * 2], [["a"]]),
    ("ObjectEvent", "@context", [[*OWN_CONTEXT, *({f"n{n}": "urn:x"} for n in range(29))]],
        [[*OWN_CONTEXT, *({f"n{n}": "urn:x"} for n in range(30))], OWN_CONTEXT[1:], OWN_CONTEXT[::2], OWN_CONTEXT * 2]),
    ("ObjectEvent", "sensorElementList/0/sensorMetadata/startTime", ["2026-11-23T14:10:00Z"], ["2026-11-23T14:10:00.5Z"]),
    *[
        ("ObjectEvent", f"sensorElementList/0/sensorMetadata/{name}", ["urn:x:d"], ["d", 1])
        for name in ("deviceMetadata", "rawData", "dataProcessingMethod", "bizRules")
    ],
    ("ex:Tasting", "sensorElementList/0/sensorMetadata/startTime", ["2026-11-23T14:10:00.5Z"], [4]),
    ("ObjectEvent", "sensorElementList/0/sensorMetadata/time", ["2026-11-23T15:00:00Z"], ["2026-11-23T15:00:00.001Z"]),
    ("ex:Tasting", "sensorElementList/0/sensorMetadata/time", ["2099-01-01T00:00:00Z"], ["never"]),
    ("ObjectEvent, declared wrong", "sensorElementList/0/sensorMetadata/time", ["2099-01-01T00:00:00Z"], ["never"]),
    ("ObjectEvent, declared wrong", "bizStep", ["nowhere:own", "shipping"], ["shiping", "cbv:BizStep-shiping"]),
    ("ObjectEvent", "bizStep", ["cbv:BizStep-shipping", "urn:x:a"], ["nowhere:own", "urn:epcglobal:cbv:bizstep:shipping"]),
    ("ObjectEvent", "sensorElementList/0/sensorReport/0/type", ["gs1:Temperature", "Mass"], ["https://gs1.org/voc/Mass", "mass"]),
    *[
        ("ObjectEvent", f"sensorElementList/0/sensorReport/0/{name}", [], [value])
        for name, value in (("deviceMetadata", "urn:x:d"), ("time", "2026-11-23T14:00:00Z"))
    ],
    *[
        ("ObjectEvent", f"sensorElementList/0/sensorReport/0/{name}", ["urn:x:d"], ["d", 1])
        for name in ("deviceID", "rawData", "dataProcessingMethod", "bizRules", "uriValue")
    ],
    ("AggregationEvent", "childEPCs", [["urn:x:c"] * 2], [["urn:x:box"], ["c"]]),
    ("AggregationEvent", "action", ["ADD", "OBSERVE", "DELETE"], ["add"]),
    ("ObjectEvent", "action", ["ADD"], ["OBSERVE", "DELETE"]),  # it has ilmd
    ("ObjectEvent", "persistentDisposition", [{"set": ["active"]}], [{}, {"set": []}, {"set": ["active"] * 2}]),
    ("prov:PartyRegistered", "prov:name", [{"en": "a" * 256}, {"zh-Hans-CN": "磨" * 85}],
        [{}, {"en": ""}, {"en": "a" * 257}, {"zh": "磨" * 86}, {"e": "a"}, {"en-": "a"}, {"en\n": "a"}]),
    ("prov:PartyRegistered", "prov:party", ["a:" + "b" * 1_022], ["a:" + "b" * 1_023, "A:b", "a:b#", "a:ä"]),
    ("registered for a time", "prov:validUntil", ["2026-11-23T15:00:00.000Z"], ["2026-11-23T14:59:59.999Z"]),
    ("compromised", "prov:reason", ["compromised"], ["lost", "superseded", "ceased", "stolen"]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "path", "good", "bad"), EDGES)
def test_edges(name: str, path: str, good: list[Any], bad: list[Any]) -> None:
    tally, event = Tally(EVENTS), dict(OWN)[name]
    for value in good:
        assert tally.take(at(event, path, value), f"{path}: {value}") is None, value
    for value in bad:
        assert tally.take(at(event, path, value), f"{path}: {value}") is not None, value


@pytest.mark.parametrize(
    "path", ["deviceID", "deviceMetadata", "rawData", "dataProcessingMethod", "time"]
)
def test_an_attribute_of_a_sensor_stands_once(path: str) -> None:
    value = "2026-11-23T14:00:00Z" if path == "time" else "urn:x:d"
    element = {"sensorMetadata": {path: value}, "sensorReport": [{"type": "Mass", path: value}]}
    line = at(dict(OWN)["ObjectEvent"], "sensorElementList", [element])
    assert Tally(EVENTS).take(line, path) == frozenset(
        {f"$.sensorElementList[0].sensorReport[0].{path}"}
    )


@pytest.mark.parametrize(("size", "good"), [(0, False), (1, True), (10_000, True), (10_001, False)])
def test_how_many_events_a_seal_may_have(size: int, good: bool) -> None:
    line = canonical.encode(MILL.seal([bytes(32)], size=size))
    assert (Tally(SEALS).take(line, str(size)) is None) is good


@pytest.mark.parametrize("method", ["#", "#k", "", MILL.uri, f"{MILL.uri}#", f"{MILL.uri}#k"])
def test_whose_key_a_proof_names(method: str) -> None:
    """A party and a key, neither of them empty; in a seal, the party that the seal names."""
    seal = MILL.seal([bytes(32)])
    good = method == f"{MILL.uri}#k"
    assert (Tally(SEALS).take(at(seal, "proof/verificationMethod", method), method) is None) is good
    event = signed(dict(OWN)["ObjectEvent"])
    line = at(event, "proof/verificationMethod", method)
    assert (Tally(EVENTS).take(line, method) is None) is good


def test_every_name_of_epcis_keeps_its_meaning() -> None:
    tally = Tally(EVENTS)
    names = {"id", "epcis", "ex", "isA", "action", "proof", "@vocab", "prov"}
    for _, event in OWN:
        names |= event.keys() | {str(event["type"])}
    for name in sorted(names):
        context = [*CONTEXT, {name: "https://example.org/ns/"}]
        tally.take(canonical.encode({**OWN[0][1], "@context": context}), name)
    assert tally.counts["refused"] > 20
