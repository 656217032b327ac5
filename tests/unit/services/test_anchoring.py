"""Anchors in the course of a log: when they are asked for, pending and confirmed, in passports."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from merkle.checkpoint import parse_checkpoint
from merkle.note import parse_note
from provenance.client.evm import EvmAnchor
from provenance.client.timestamp import TimestampAuthority
from provenance.crypto.timestamps import load_roots, verify_token
from provenance.domain import canonical
from provenance.domain.anchoring import AnchorError, AnchorSupersededError, Confirmed
from provenance.domain.event import check_event
from provenance.services.anchoring import Anchoring
from provenance.storage.anchors import list_newest
from provenance.verify import verify_bundle
from tests.support.authority import serving_authority
from tests.support.builders import item_event, item_uri
from tests.support.evm import SECRET, serving_chain
from tests.web.site import Site

INTERVAL_MS = 10_000
IN_A_BLOCK = {
    "chain": 1,
    "contract": "0x" + "1" * 40,
    "transaction": "0x" + "2" * 64,
    "block": 7,
}


class Party:
    """A third party whose answers a test decides; the real ones are tested in unit/client."""

    kind = "rfc3161"

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.answer: Confirmed | Exception | None = Confirmed(1_700_000_000_000, {"token": "AA=="})

    def request(self, text: bytes) -> Confirmed | None:
        self.asked.append(parse_checkpoint(text.decode()).size)
        return self.poll(text)

    def poll(self, text: bytes) -> Confirmed | None:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer if parse_checkpoint(text.decode()).size in self.asked else None


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def site(database_url: str, tmp_path: Path) -> Iterator[Site]:
    made = Site.make(tmp_path / "data", database_url)
    yield made
    made.platform.close()


def anchoring(site: Site, *parties: Any, clock: Clock) -> Anchoring:
    return Anchoring(site.platform.database, parties, clock=clock, interval_ms=INTERVAL_MS)


def states(site: Site) -> list[tuple[int, bool]]:
    with site.platform.database.read() as connection:
        rows = list_newest(connection, 10)
    return [(row.size, row.time is not None) for row in rows]


def grow(site: Site, serial: int) -> int:
    """One more event; the new size of the published log."""
    if serial == 0:
        site.register("https://brand.example")
    brand = site.actor("https://brand.example")
    site.submit(brand.sealed([item_event(serial, at=site.platform.clock())]))
    site.publish()
    return site.platform.prover.published()[0]


def test_the_newest_checkpoint_is_asked_for_once_until_time_and_log_have_moved(site: Site) -> None:
    party, clock = Party(), Clock()
    service = anchoring(site, party, clock=clock)
    first = site.platform.prover.published()[0]
    service.run_once()
    service.run_once()
    assert party.asked == [first]
    assert states(site) == [(first, True)]
    clock.now += INTERVAL_MS
    service.run_once()
    assert party.asked == [first]  # nothing new to show
    second = grow(site, 0)
    service.run_once()
    assert party.asked == [first, second]
    third = grow(site, 1)
    clock.now += INTERVAL_MS - 1
    service.run_once()
    assert party.asked == [first, second]
    clock.now += 1
    service.run_once()
    assert party.asked == [first, second, third]


@pytest.mark.parametrize(
    ("kind", "answer", "reason"),
    [
        ("rfc3161", Confirmed(2**50 * 1000, {"token": "AA=="}), "cannot stand in a passport"),
        ("rfc3161", Confirmed(2**70, {"token": "AA=="}), "cannot stand in a passport"),
        ("rfc3161", Confirmed(1_700_000_000_000, {"token": "AA"}), "base64"),
        ("evm", Confirmed(1_700_000_000_000, IN_A_BLOCK | {"block": 2**60}), "block: expected"),
        (
            "evm",
            Confirmed(1_700_000_000_000, IN_A_BLOCK | {"contract": "0x"}),
            "contract: expected",
        ),
    ],
)
def test_an_answer_that_readers_could_not_read_is_never_in_a_passport(
    site: Site, caplog: pytest.LogCaptureFixture, kind: str, answer: Confirmed, reason: str
) -> None:
    party = Party()
    party.kind, party.answer = kind, answer
    size = grow(site, 0)
    anchoring(site, party, clock=Clock()).run_once()
    assert states(site) == [(size, False)]
    assert reason in caplog.text
    assert "round failed" not in caplog.text
    assert "anchors" not in site.platform.prover.passport(item_uri(0))


def test_a_pending_anchor_is_asked_after_and_never_shown_as_confirmed(site: Site) -> None:
    party, clock = Party(), Clock()
    answer, party.answer = party.answer, None
    service = anchoring(site, party, clock=clock)
    service.run_once()
    size = site.platform.prover.published()[0]
    assert states(site) == [(size, False)]
    assert "anchors" not in site.platform.prover.passport(site.platform.operator)
    listed = site.client.get("/api/v1/anchors").get_json()
    assert listed["configured"] == []
    assert [(one["state"], one["time"], one["proof"]) for one in listed["anchors"]] == [
        ("pending", None, None)
    ]
    grow(site, 0)
    service.run_once()  # one at a time: the first has not been answered
    assert states(site) == [(size, False)]
    party.answer = answer
    service.run_once()
    assert states(site) == [(size, True)]
    (shown,) = site.client.get("/api/v1/anchors").get_json()["anchors"]
    assert (shown["state"], shown["time"]) == ("confirmed", "2023-11-14T22:13:20Z")


def test_failures_are_logged_and_tried_again(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    party, other, clock = Party(), Party(), Clock()
    other.kind, other.answer = "evm", Confirmed(1_700_000_000_000, IN_A_BLOCK)
    answer, party.answer = party.answer, AnchorError("the authority is away")
    service = anchoring(site, party, other, clock=clock)
    service.run_once()
    size = site.platform.prover.published()[0]
    assert "the authority is away" in caplog.text
    assert sorted(states(site)) == [(size, False), (size, True)]  # the other one does not suffer
    party.answer = RuntimeError("a bug of an adapter")
    service.run_once()
    assert "round failed" in caplog.text
    party.answer = answer
    service.run_once()
    assert states(site) == [(size, True), (size, True)]


def test_what_can_never_be_confirmed_is_given_up(site: Site) -> None:
    party, clock = Party(), Clock()
    party.answer = AnchorSupersededError("the contract holds more")
    service = anchoring(site, party, clock=clock)
    service.run_once()
    assert states(site) == []


def test_two_processes_ask_once(site: Site) -> None:
    clock = Clock()
    parties = [Party() for _ in range(4)]
    services = [anchoring(site, party, clock=clock) for party in parties]
    threads = [threading.Thread(target=service.run_once) for service in services]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(states(site)) == 1


def test_a_passport_has_the_earliest_anchor_of_each_kind_over_its_whole_history(
    site: Site,
) -> None:
    party, other, clock = Party(), Party(), Clock()
    other.kind = "evm"
    other.answer = Confirmed(
        1_700_000_000_000,
        {"chain": 1, "contract": "0x" + "11" * 20, "transaction": "0x" + "22" * 32, "block": 7},
    )
    service = anchoring(site, party, other, clock=clock)
    service.run_once()  # before the item has any history
    sizes = []
    for serial in (0, 1, 2):
        sizes.append(grow(site, serial))
        clock.now += INTERVAL_MS
        service.run_once()
    (subject,) = check_event(item_event(0)).subjects
    bundle = site.platform.prover.passport(subject)
    found = [
        (one["kind"], parse_checkpoint(parse_note(one["checkpoint"].encode()).text).size)
        for one in bundle["anchors"]
    ]
    assert found == [("evm", sizes[0]), ("rfc3161", sizes[0])]
    verdict = verify_bundle(
        canonical.encode(bundle), site.platform.policy, now=site.platform.clock() // 1000
    ).document
    assert verdict["record"] == "verified"
    assert [(one["kind"], one["size"]) for one in verdict["anchors"]] == found
    assert verdict["warnings"] == []


def test_a_passport_kept_by_a_worker_gets_its_anchor(site: Site) -> None:
    path = "/api/v1/subjects/" + site.platform.operator.replace("/", "%2F").replace(":", "%3A")
    before = site.client.get(path + "/passport")
    assert "anchors" not in before.get_json()
    anchoring(site, Party(), clock=Clock()).run_once()
    after = site.client.get(path + "/passport", headers={"If-None-Match": before.headers["ETag"]})
    assert after.status_code == 200
    assert len(after.get_json()["anchors"]) == 1


def test_real_authority_and_real_chain_end_in_a_passport_that_their_readers_verify(
    site: Site,
) -> None:
    with serving_authority() as authority, serving_chain() as chain:
        roots = load_roots(authority.roots)
        contract = chain.node.deploy(SECRET)
        parties = (
            TimestampAuthority(authority.url, roots),
            EvmAnchor(chain.node, contract, SECRET, confirmations=2),
        )
        service = anchoring(site, *parties, clock=Clock())
        service.run_once()
        assert sorted(confirmed for _, confirmed in states(site)) == [False, True]
        chain.mine()
        service.run_once()
        bundle = site.platform.prover.passport(site.platform.operator)
        evm, rfc3161 = bundle["anchors"]
        text = parse_note(evm["checkpoint"].encode()).text.encode()
        assert chain.node.verify(text, evm["proof"], confirmations=2)
        token = canonical.decode_base64(rfc3161["proof"]["token"])
        assert verify_token(token, text, roots)
