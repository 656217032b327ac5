"""Receipts of single entries over HTTP, and the key of COSE receipts."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from merkle.receipt import parse_receipt, verify_receipt
from provenance.crypto.cose import decode_receipt, read_receipt_key
from provenance.crypto.mldsa import verify_mldsa
from provenance.crypto.signing import verify_ed25519
from provenance.domain.canonical import decode_base64
from provenance.domain.chain import decode_link
from provenance.domain.event import parse_event
from tests.support.builders import item_event
from tests.web.site import Site


def address(subject: str, event: bytes) -> str:
    return f"/api/v1/subjects/{quote(subject, safe='')}/events/{event.hex()}/receipt"


def links_of(site: Site, subject: str) -> list[dict[str, Any]]:
    bundle = site.platform.prover.passport(subject)
    links: list[dict[str, Any]] = bundle["subjects"][0]["links"]
    return links


def test_every_link_of_a_passport_has_both_receipts(told: tuple[Site, str]) -> None:
    site, subject = told
    policy = site.platform.policy
    judges = policy.log_verifiers(site.platform.origin, verify_ed25519)
    key_note = site.client.get("/log/receipt-key")
    key = read_receipt_key(key_note.data, site.platform.origin, judges)
    links = links_of(site, subject)
    assert len(links) > 3
    for link in links:
        event = decode_base64(link["event"])
        answer = site.client.get(address(subject, event))
        assert (answer.status_code, answer.mimetype) == (200, "text/plain")
        receipt = parse_receipt(answer.data)
        assert receipt.extra is not None
        found = decode_link(receipt.extra)
        assert (found.event, found.seq) == (event, link["seq"])
        verify_receipt(receipt, found.hash, policy, verify_ed25519, verify_mldsa)
        cose = site.client.get(address(subject, event), headers={"Accept": "application/cose"})
        assert cose.mimetype == "application/cose"
        assert decode_receipt(cose.data).verify(found.hash, key)
        assert site.client.get(address(subject, event) + "?format=cose").data == cose.data


def test_any_spelling_of_the_subject_and_what_the_answer_says_of_itself(
    told: tuple[Site, str],
) -> None:
    site, subject = told
    event = decode_base64(links_of(site, subject)[0]["event"])
    answer = site.client.get(address(subject, event))
    assert answer.headers["Content-Disposition"].endswith('.tlog-proof"')
    assert "Accept" in answer.headers["Vary"]
    again = site.client.get(
        address(subject, event), headers={"If-None-Match": answer.headers["ETag"]}
    )
    assert again.status_code == 304


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("{subject}/events/{zeros}/receipt", 404, "event-unknown"),
        ("https%3A%2F%2Fnobody.example/events/{event}/receipt", 404, "event-unknown"),
        ("{subject}/events/{event}/receipt?format=xml", 400, "parameter-malformed"),
        ("{subject}/events/{event}00/receipt", 404, "not-found"),
        ("{subject}/events/{upper}/receipt", 404, "not-found"),
        ("%FF/events/{event}/receipt", 400, "identifier-malformed"),
    ],
)
def test_refusals(told: tuple[Site, str], path: str, status: int, code: str) -> None:
    site, subject = told
    event = decode_base64(links_of(site, subject)[0]["event"]).hex()
    filled = path.format(
        subject=quote(subject, safe=""), event=event, zeros="00" * 32, upper="AB" * 32
    )
    answer = site.client.get("/api/v1/subjects/" + filled)
    assert answer.status_code == status
    assert answer.get_json()["type"].endswith("/" + code)


def test_an_event_that_is_not_published_yet_is_not_receipted(site: Site) -> None:
    brand = site.register("https://receipts.example")
    site.publish()
    lines = brand.sealed([item_event(77, at=site.platform.clock())])
    site.submit(lines)
    receipt = site.client.post(
        "/api/v1/batches",
        data=b"".join(line + b"\n" for line in lines),
        content_type="application/x-ndjson",
    ).get_json()
    event = decode_base64(receipt["events"][0]["event"])
    (subject,) = parse_event(lines[1]).subjects
    answer = site.client.get(address(subject, event))
    assert answer.status_code == 503
    assert answer.get_json()["type"].endswith("/event-unpublished")
    site.publish()
    assert site.client.get(address(subject, event)).status_code == 200


def test_a_log_without_a_receipt_key_says_so(tmp_path: Any) -> None:
    site = Site.make(tmp_path / "data")
    (site.platform.settings.tiles / "receipt-key").unlink()
    answer = site.client.get("/log/receipt-key")
    assert answer.status_code == 404
    assert answer.get_json()["type"].endswith("/receipt-key-missing")
    site.platform.close()
