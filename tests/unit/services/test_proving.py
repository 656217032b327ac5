"""Passports: what the prover puts together, a verifier that knows nothing of it accepts."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event as sql_event

from provenance.domain import canonical
from provenance.domain.disclosure import conceal
from provenance.domain.errors import TooLargeError, UnavailableError
from provenance.services import proving
from provenance.services.cache import Cache
from provenance.services.capture import Capture, Limits
from provenance.services.proving import Prover
from provenance.services.sequencing import Sequencer
from provenance.storage.errors import StoreInconsistentError
from provenance.storage.session import Database
from provenance.verify import Verdict, verify_bundle
from qr.errors import QrError
from tests.support.builders import (
    ORIGIN,
    Actor,
    World,
    complete,
    item_event,
    item_uri,
    make_key,
)
from tests.support.clock import START, FrozenClock
from tests.support.ledger import Ledger, make_policy

CASE = "https://id.gs1.org/00/095060001343520000"
PALLET = "https://id.gs1.org/00/095060001343520017"
LOT = "https://id.gs1.org/01/09506000134352/10/L1"
MINUTE = 60_000


@pytest.fixture
def ledger(database: Database, tmp_path: Path, clock: FrozenClock) -> Ledger:
    return Ledger(database, tmp_path, clock)


@pytest.fixture
def world(ledger: Ledger) -> World:
    key = make_key("operator")
    return World(Capture(ledger.database, ORIGIN, key, ledger.clock, Limits()), ledger.clock)


@pytest.fixture
def sequencer(ledger: Ledger, world: World) -> Sequencer:
    """With the operator's registration published."""
    made = ledger.sequencer()
    made.run_once()
    made.run_once()
    return made


@pytest.fixture
def prover(ledger: Ledger, sequencer: Sequencer) -> Prover:
    return Prover(ledger.database, ledger.tiles, ORIGIN)


def judge(ledger: Ledger, bundle: dict[str, Any]) -> Verdict:
    return verify_bundle(canonical.encode(bundle), make_policy(), now=ledger.clock.seconds)


def uris(bundle: dict[str, Any]) -> list[str]:
    return [subject["uri"] for subject in bundle["subjects"]]


def packed(action: str, parent: str, *children: str, at: int) -> dict[str, Any]:
    members = {"type": "AggregationEvent", "action": action, "bizStep": "packing"}
    return complete({**members, "parentID": parent, "childEPCs": list(children)}, at=at)


# --- what is in a passport ------------------------------------------------------------------------


def test_an_item_with_its_whole_history(
    ledger: Ledger, world: World, sequencer: Sequencer, prover: Prover
) -> None:
    brand = world.party("brand")
    for minute in range(12):
        events = [item_event(n, at=START + minute * MINUTE) for n in range(30)]
        ledger.clock.advance(MINUTE)
        world.capture.submit_batch(brand.sealed(events))
    sequencer.run_once()
    bundle = prover.passport(item_uri(7))
    verdict = judge(ledger, bundle)
    assert verdict.record == "verified", (verdict.reason, verdict.place)
    assert len(verdict.document["stages"]) == 12
    assert uris(bundle) == [item_uri(7), brand.uri, world.operator.uri]
    assert len(bundle["seals"]) == 12 + 3  # and registrations and accreditation
    assert prover.passport("urn:epc:id:sgtin:9506000.013435.7") == bundle


def test_what_is_accepted_and_not_published_is_not_shown(
    ledger: Ledger, world: World, sequencer: Sequencer, prover: Prover
) -> None:
    brand = world.party("brand")
    world.capture.submit_batch(brand.sealed([item_event(1)]))
    assert judge(ledger, prover.passport(item_uri(1))).record == "absent"
    sequencer.run_once()
    upload = world.capture.submit_batch(brand.sealed([item_event(1), item_event(2)])).upload_id
    bundle = prover.passport(item_uri(1))
    assert judge(ledger, bundle).record == "verified"
    assert len(bundle["subjects"][0]["links"]) == 1
    assert judge(ledger, prover.passport(item_uri(2))).record == "absent"
    assert not prover.is_covered(upload)
    published = sequencer.run_once()
    assert published is not None
    assert prover.is_covered(upload)
    assert prover.published() == (published.size, published.note)
    assert len(prover.passport(item_uri(1))["subjects"][0]["links"]) == 2
    assert judge(ledger, prover.passport(item_uri(2))).record == "verified"
    assert not prover.is_covered(upload + 100)


def test_an_unknown_subject_is_proved_absent(
    ledger: Ledger, world: World, sequencer: Sequencer, prover: Prover
) -> None:
    bundle = prover.passport(item_uri(404))
    assert judge(ledger, bundle).record == "absent"
    assert list(bundle["subjects"][0]) == ["uri", "absence"]
    assert bundle["events"] == bundle["seals"] == []


def test_the_operator_is_a_subject_like_any_other(
    ledger: Ledger, world: World, sequencer: Sequencer, prover: Prover
) -> None:
    bundle = prover.passport(world.operator.uri)
    assert judge(ledger, bundle).record == "verified"
    assert uris(bundle) == [world.operator.uri]


def test_the_histories_of_case_pallet_lot_and_ingredient_come_along(
    ledger: Ledger, world: World, sequencer: Sequencer, prover: Prover
) -> None:
    producer, logistics = world.party("producer", "producer"), world.party("truck", "logistics")
    item, beans = item_uri(1), "https://id.gs1.org/01/09506000134352/10/BEANS"
    making = complete(
        {
            "type": "TransformationEvent",
            "inputEPCList": [item_uri(900)],
            "inputQuantityList": [{"epcClass": beans}],
            "outputEPCList": [item],
            "bizStep": "commissioning",
            "ilmd": {"cbvmda:lotNumber": "L1"},
        },
        at=START + MINUTE,
    )
    lot = complete(
        {
            "type": "ObjectEvent",
            "action": "OBSERVE",
            "quantityList": [{"epcClass": LOT}],
            "bizStep": "inspecting",
        },
        at=START,
    )
    ledger.clock.advance(60 * MINUTE)
    world.capture.submit_batch(producer.sealed([item_event(900), making, lot]))
    moves = [
        packed("ADD", CASE, item, at=START + 2 * MINUTE),
        packed("ADD", PALLET, CASE, at=START + 3 * MINUTE),
        _seen(PALLET, START + 4 * MINUTE),
        packed("DELETE", PALLET, CASE, at=START + 5 * MINUTE),
        _seen(PALLET, START + 6 * MINUTE),
    ]
    world.capture.submit_batch(logistics.sealed(moves))
    sequencer.run_once()
    bundle = prover.passport(item)
    verdict = judge(ledger, bundle)
    assert verdict.record == "verified", (verdict.reason, verdict.place)
    assert uris(bundle)[:1] == [item]
    assert set(uris(bundle)) == {
        *(item, item_uri(900), beans, LOT, CASE, PALLET),
        *(producer.uri, logistics.uri, world.operator.uri),
    }
    assert uris(bundle)[-1] == world.operator.uri
    via = [stage["via"] for stage in verdict.document["stages"]]
    assert via.count(PALLET) == 1  # seen at minute 4, not at minute 6
    assert "L1" in str(bundle)


def _seen(uri: str, at: int) -> dict[str, Any]:
    members = {"type": "ObjectEvent", "action": "OBSERVE", "bizStep": "shipping"}
    return complete({**members, "epcList": [uri]}, at=at)


def test_events_with_own_proofs_and_seals_side_by_side(
    ledger: Ledger, world: World, sequencer: Sequencer, prover: Prover
) -> None:
    brand, phone = world.party("brand"), world.party("driver", "logistics")
    world.capture.submit_batch(brand.sealed([item_event(1), item_event(2)]))
    world.capture.submit_event(phone.signed(item_event(1)))
    sequencer.run_once()
    bundle = prover.passport(item_uri(1))
    assert judge(ledger, bundle).record == "verified"
    assert [event["seal"] is None for event in bundle["events"][:2]] == [False, True]
    assert phone.uri in uris(bundle)


def test_only_public_disclosures_are_shown_and_erased_ones_are_gone(
    ledger: Ledger, world: World, sequencer: Sequencer, prover: Prover
) -> None:
    brand = world.party("brand")
    paths = ["$.bizStep", "$.disposition"]
    event = item_event(1, bizStep="shipping", disposition="in_transit")
    hidden, texts = conceal(event, paths, random.Random(1).randbytes)
    accepted = world.capture.submit_batch(brand.sealed([hidden]))
    sequencer.run_once()
    bare = prover.passport(item_uri(1))
    assert "disclosures" not in bare["events"][0]
    given = [
        {"text": text, "audience": [audience]}
        for text, audience in zip(texts, ["public", "customs"], strict=True)
    ]
    line = canonical.encode({"leaf": 0, "disclosures": given})
    world.capture.submit_disclosures(canonical.decode_base64(accepted.receipt["seal"]), [line])
    shown = prover.passport(item_uri(1))
    assert shown["events"][0]["disclosures"] == [texts[0]]
    assert judge(ledger, shown).record == "verified"
    with ledger.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM disclosures")
    assert prover.passport(item_uri(1)) == bare


def test_a_long_log_with_heads_in_old_tiles(
    ledger: Ledger, world: World, sequencer: Sequencer, prover: Prover
) -> None:
    """Heads at the start, in the middle and at the end of 700 entries, batch after batch."""
    brand = world.party("brand")
    for number in range(3):
        event = item_event(*range(number * 300, number * 300 + 230))
        world.capture.submit_batch(brand.sealed([event]))
        sequencer.run_once()
        for serial in range(0, number * 300 + 230, 97):
            expected = "verified" if serial % 300 < 230 else "absent"
            assert judge(ledger, prover.passport(item_uri(serial))).record == expected


def test_malformed_identifiers_are_refused_with_their_own_error(prover: Prover) -> None:
    with pytest.raises(QrError):
        prover.passport("urn:epc:id:sgtin:nonsense")


# --- how much a passport may hold -----------------------------------------------------------------


def test_no_bundle_is_given_that_no_verifier_would_read(
    ledger: Ledger,
    world: World,
    sequencer: Sequencer,
    prover: Prover,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The reckoning is never below the bytes, and little above them."""
    brand, phone = world.party("brand"), world.party("phone")
    events = [item_event(1, **{"https://words.example/note": "茶" * 40}) for _ in range(60)]
    world.capture.submit_batch(brand.sealed(events))
    world.capture.submit_event(phone.signed(item_event(1)))
    for n in range(20):
        world.capture.submit_batch(phone.sealed([item_event(1, n + 2)]))
    sequencer.run_once()
    size = len(canonical.encode(prover.passport(item_uri(1))))
    monkeypatch.setattr("provenance.services.proving.MAX_BUNDLE_BYTES", size - 1)
    with pytest.raises(TooLargeError) as refused:
        prover.passport(item_uri(1))
    assert refused.value.code == "passport-too-large"
    monkeypatch.setattr("provenance.services.proving.MAX_BUNDLE_BYTES", size * 11 // 10)
    assert judge(ledger, prover.passport(item_uri(1))).record == "verified"


def test_a_history_too_long_for_any_bundle_is_not_even_read(
    ledger: Ledger,
    world: World,
    sequencer: Sequencer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    brand = world.party("brand")
    world.capture.submit_batch(brand.sealed([item_event(1) for _ in range(20)]))
    world.capture.submit_batch(brand.sealed([item_event(2) for _ in range(5)]))
    sequencer.run_once()
    monkeypatch.setattr("provenance.services.proving.MOST_LINKS", 10)
    prover = Prover(ledger.database, ledger.tiles, ORIGIN)
    assert judge(ledger, prover.passport(item_uri(2))).record == "verified"
    monkeypatch.setattr(
        "provenance.services.histories.read_histories", lambda *_: pytest.fail("was read")
    )
    with pytest.raises(TooLargeError) as refused:
        prover.passport(item_uri(1))
    assert refused.value.expected == "at most 10 links"
    assert refused.value.found == "20 links"
    assert refused.value.remedy is not None
    # Histories count together, those remembered too: the item's five, its parties' links.
    monkeypatch.setattr("provenance.services.proving.MOST_LINKS", 7)
    with pytest.raises(TooLargeError, match="found 8 links"):
        prover.passport(item_uri(2))


# --- under load and in trouble --------------------------------------------------------------------


def test_the_number_of_statements_depends_on_depth_and_not_on_length(
    ledger: Ledger, world: World, sequencer: Sequencer
) -> None:
    brand = world.party("brand")
    for _ in range(10):
        world.capture.submit_batch(brand.sealed([item_event(1), item_event(2), item_event(3)]))
    world.capture.submit_batch(brand.sealed([item_event(4)]))
    sequencer.run_once()
    counts = []
    for serial in (4, 1):
        prover = Prover(ledger.database, ledger.tiles, ORIGIN)
        prover.passport(item_uri(500))  # loads the map
        counts.append(_statements(ledger, lambda p=prover, s=serial: p.passport(item_uri(s))))
    assert counts[0] == counts[1] <= 8  # the last of them asks for anchors
    again = _statements(ledger, lambda: prover.passport(item_uri(1)))
    assert again == 3  # the publication, evidence of forks, anchors; all else is remembered
    assert _statements(ledger, lambda: prover.passport(item_uri(2))) <= 5


def _statements(ledger: Ledger, work: Callable[[], object]) -> int:
    seen: list[str] = []

    def note(*given: Any) -> None:
        if given[2].lstrip().startswith(("SELECT", "WITH")):
            seen.append(given[2])

    engine = ledger.database.engine
    sql_event.listen(engine, "before_cursor_execute", note)
    try:
        work()
    finally:
        sql_event.remove(engine, "before_cursor_execute", note)
    return len(seen)


def test_passports_asked_for_while_the_log_grows_all_verify(
    ledger: Ledger, world: World, sequencer: Sequencer, prover: Prover
) -> None:
    brand = world.party("brand")
    world.capture.submit_batch(brand.sealed([item_event(n) for n in range(5)]))
    sequencer.run_once()
    stop = threading.Event()
    bundles: list[dict[str, Any]] = []
    failures: list[BaseException] = []

    def ask(serial: int) -> None:
        try:
            while not stop.is_set():
                bundles.append(prover.passport(item_uri(serial)))
        except BaseException as error:  # shown by the assertion below
            failures.append(error)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(12):
        world.capture.submit_batch(brand.sealed([item_event(n) for n in range(4)]))
        sequencer.run_once()
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    lengths = {len(bundle["subjects"][0]["links"]) for bundle in bundles}
    assert len(lengths) > 1
    for bundle in bundles[:: max(1, len(bundles) // 40)]:
        assert judge(ledger, bundle).record == "verified"


def test_a_passport_that_is_overtaken_is_begun_again(
    ledger: Ledger,
    world: World,
    sequencer: Sequencer,
    prover: Prover,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A publication, and another thread that takes it over, between reading and proving."""
    brand = world.party("brand")
    world.capture.submit_batch(brand.sealed([item_event(1)]))
    sequencer.run_once()
    times = 3
    real = proving.read_disclosures

    def overtake(*given: Any) -> Any:
        nonlocal times
        if times:
            times -= 1
            world.capture.submit_batch(brand.sealed([item_event(1)]))
            sequencer.run_once()
            thread = threading.Thread(target=prover.passport, args=(item_uri(9),))
            thread.start()
            thread.join()
        return real(*given)

    monkeypatch.setattr(proving, "read_disclosures", overtake)
    bundle = prover.passport(item_uri(1))
    assert times == 0
    assert judge(ledger, bundle).record == "verified"
    assert len(bundle["subjects"][0]["links"]) >= 3


def test_a_database_that_went_back_is_an_outage_and_no_answer(
    ledger: Ledger, world: World, sequencer: Sequencer, prover: Prover
) -> None:
    prover.passport(item_uri(1))
    with ledger.database.write() as connection:
        connection.exec_driver_sql("UPDATE publication SET size = size - 1")
    with pytest.raises(UnavailableError, match="replaced by an older one"):
        prover.passport(item_uri(1))


def test_before_the_first_publication_nothing_is_answered(
    database: Database, tmp_path: Path
) -> None:
    prover = Prover(database, Ledger(database, tmp_path).tiles, ORIGIN)
    for ask in (prover.published, lambda: prover.passport(item_uri(1))):
        with pytest.raises(UnavailableError, match="not published anything yet"):
            ask()


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE map_pages SET hash = (SELECT head FROM map_leaves)",
        "UPDATE map_pages SET leaves = hash",
        "UPDATE publication SET size = 2",
    ],
)
def test_a_map_that_is_not_the_published_one_is_not_used(
    ledger: Ledger, world: World, sequencer: Sequencer, prover: Prover, sql: str
) -> None:
    with ledger.database.write() as connection:
        connection.exec_driver_sql(sql)
    for _ in range(2):  # and not remembered either
        with pytest.raises(StoreInconsistentError):
            prover.passport(item_uri(1))


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        (
            "UPDATE subjects SET uri = 'https://x.example' "
            "WHERE id = (SELECT min(id) FROM subjects)",
            "no history is stored",
        ),
        ("DELETE FROM map_leaves", "no history is stored"),
        ("UPDATE map_leaves SET head_index = head_index + 1", "stored leaf is not the map's"),
        ("UPDATE uploads SET seal_id = NULL", ""),
    ],
)
def test_rows_that_contradict_the_map_are_not_shown(
    ledger: Ledger, world: World, sequencer: Sequencer, prover: Prover, sql: str, reason: str
) -> None:
    with ledger.database.write() as connection:
        connection.exec_driver_sql(sql)
    if reason:
        with pytest.raises(StoreInconsistentError, match=reason):
            prover.passport(world.operator.uri)
    else:
        assert judge(ledger, prover.passport(world.operator.uri)).record == "verified"


def test_an_outage_leaves_the_map_as_it_was(
    ledger: Ledger, world: World, sequencer: Sequencer, prover: Prover
) -> None:
    brand = world.party("brand")
    world.capture.submit_batch(brand.sealed([item_event(1)]))
    sequencer.run_once()
    prover.passport(item_uri(1))
    world.capture.submit_batch(brand.sealed([item_event(2)]))
    sequencer.run_once()
    away = ledger.root / "away"
    (ledger.root / "log").rename(away)
    with pytest.raises(StoreInconsistentError, match="is missing"):
        prover.passport(item_uri(2))
    away.rename(ledger.root / "log")
    assert judge(ledger, prover.passport(item_uri(2))).record == "verified"


# --- the cache ------------------------------------------------------------------------------------


def test_a_cache_forgets_what_was_used_longest_ago() -> None:
    cache: Cache[str, str] = Cache(10, len)
    for name in ("aaaa", "bbbb"):
        cache.put(name, name)
    assert cache.get("aaaa") == "aaaa"
    cache.put("cccc", "cccc")
    assert [cache.get(name) for name in ("aaaa", "bbbb", "cccc")] == ["aaaa", None, "cccc"]
    cache.put("cccc", "c")  # a lighter value in its place
    cache.put("dddd", "ddddd")
    assert len(cache) == 3
    cache.put("eeee", "e" * 11)  # heavier than all that may be kept
    assert cache.get("eeee") is None
    assert len(cache) == 3


def test_the_order_of_parties_is_that_of_their_first_event(
    ledger: Ledger, world: World, sequencer: Sequencer, prover: Prover
) -> None:
    parties: Sequence[Actor] = [world.party(name) for name in ("zulu", "alpha", "mike")]
    for party in parties:
        world.capture.submit_batch(party.sealed([item_event(1)]))
    sequencer.run_once()
    found = uris(prover.passport(item_uri(1)))
    assert found == [item_uri(1), *(party.uri for party in parties), world.operator.uri]
