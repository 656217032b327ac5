"""Uploading: whatever the network and the platform do, the partner ends with a receipt that it can
believe or with the reason why not."""

from __future__ import annotations

import copy
import itertools
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from provenance.client.errors import ProblemError, ReceiptError, SealingError, UnreachableError
from provenance.client.sealing import (
    Concealment,
    SealedBatch,
    Signer,
    prepare,
    seal_events,
    sign_event,
    write_batch,
)
from provenance.client.upload import Upload, send, verify_receipt
from provenance.crypto.integrity import add_proof
from provenance.crypto.signing import PrivateKey
from provenance.domain import canonical
from provenance.domain.canonical import encode_base64
from provenance.domain.party_events import operator_uri
from tests.support.served import Served, item, now, observed

_numbers = itertools.count()


@pytest.fixture(scope="module")
def brand(served: Served) -> Signer:
    return served.party("uploader")


def fresh(count: int = 1) -> list[str]:
    return [f"U{next(_numbers)}" for _ in range(count)]


def batch_of(signer: Signer, *serials: str, **members: Any) -> SealedBatch:
    events = prepare(observed(*serials, **members), random=os.urandom)
    rules = [Concealment("$['ex:price']", ("customs",))] if members else []
    (batch,) = seal_events(events, signer, now=now(), random=os.urandom, conceal=rules)
    return batch


def on_disk(batch: SealedBatch, folder: Path) -> Upload:
    path = folder / "events.ndjson"
    write_batch(batch, path)
    return Upload(path)


def links_of(served: Served, serial: str) -> int:
    bundle = json.loads(served.api().passport(item(serial)))
    return len(bundle["subjects"][0].get("links", []))


def test_a_sealed_file_ends_in_a_checked_receipt_and_a_published_passport(
    served: Served, brand: Signer, tmp_path: Path
) -> None:
    serials = fresh(3)
    batch = batch_of(brand, *serials)
    told: list[int] = []
    posted = send(served.api(), on_disk(batch, tmp_path), wait=True, advance=told.append)
    assert posted.published
    assert posted.receipt["seal"] == encode_base64(batch.seal_hash)
    assert told == [1, 1, 1]
    assert [links_of(served, serial) for serial in serials] == [1, 1, 1]


def test_the_same_file_again_gives_the_same_receipt_and_appends_nothing(
    served: Served, brand: Signer, tmp_path: Path
) -> None:
    (serial,) = fresh()
    upload = on_disk(batch_of(brand, serial), tmp_path)
    first = send(served.api(), upload)
    second = send(served.api(), upload, wait=True)
    assert second.receipt == first.receipt
    assert links_of(served, serial) == 1


def test_after_a_lost_answer_and_a_busy_platform_the_events_stand_there_once(
    served: Served, brand: Signer, tmp_path: Path
) -> None:
    (serial,) = fresh()
    upload = on_disk(batch_of(brand, serial), tmp_path)
    served.flaw.plan = ["busy", "lost", "busy"]
    told: list[int] = []
    posted = send(served.api(), upload, wait=True, advance=told.append)
    assert served.flaw.plan == []
    assert sum(told) == 1, "progress goes back with every further attempt"
    assert told.count(-1) == 3
    assert posted.receipt == send(served.api(), upload).receipt
    assert links_of(served, serial) == 1


def test_a_platform_that_stays_busy_is_an_outage_and_no_verdict(
    served: Served, brand: Signer, tmp_path: Path
) -> None:
    served.flaw.plan = ["busy"] * 5
    with pytest.raises(UnreachableError, match=r"503.*tried 5 times"):
        send(served.api(), on_disk(batch_of(brand, *fresh()), tmp_path))


def test_events_with_their_own_proofs_need_no_seal(
    served: Served, brand: Signer, tmp_path: Path
) -> None:
    serials = fresh(2)
    path = tmp_path / "own.ndjson"
    events = prepare(observed(*serials), random=os.urandom)
    path.write_bytes(b"".join(sign_event(e, brand, now=now()) + b"\n" for e in events))
    posted = send(served.api(), Upload(path), wait=True)
    assert posted.receipt["seal"] is None
    assert [links_of(served, serial) for serial in serials] == [1, 1]


def test_lines_that_are_not_canonical_are_still_recognised_in_the_receipt(
    served: Served, brand: Signer, tmp_path: Path
) -> None:
    """A partner's own program may write JSON as it likes; the platform hashes canonical bytes."""
    batch = batch_of(brand, *fresh(2))
    path = tmp_path / "loose.ndjson"
    loose = [json.dumps(json.loads(line), indent=None).encode() for line in batch.lines()]
    assert loose != list(batch.lines())
    path.write_bytes(b"\r\n".join(loose) + b"\n\n")
    assert Upload(path).contents().events == batch.event_hashes
    assert send(served.api(), Upload(path)).receipt["seal"] == encode_base64(batch.seal_hash)


def test_disclosures_follow_their_batch(served: Served, brand: Signer, tmp_path: Path) -> None:
    batch = batch_of(brand, *fresh(), **{"ex:price": 12})
    upload = on_disk(batch, tmp_path)
    send(served.api(), upload)
    # The platform has them: the same ones are known, for another audience they are refused.
    send(served.api(), upload)
    lines = batch.disclosure_lines()
    lines[0]["disclosures"][0]["audience"] = ["public"]
    with pytest.raises(ProblemError, match="another audience") as caught:
        served.api().post_disclosures(batch.seal_hash, lines)
    assert caught.value.code == "disclosure-known"


def test_a_refusal_names_the_line_and_nothing_of_the_batch_is_kept(
    served: Served, brand: Signer, tmp_path: Path
) -> None:
    serials = fresh(3)
    upload = on_disk(batch_of(brand, *serials), tmp_path)
    lines = list(upload.lines())
    lines[2] = lines[2].replace(b"inspecting", b"destroying")
    upload.path.write_bytes(b"".join(line + b"\n" for line in lines))
    with pytest.raises(ProblemError) as caught:
        send(served.api(), upload)
    assert caught.value.status == 422
    assert caught.value.code == "seal-root-mismatch"
    assert [links_of(served, serial) for serial in serials] == [0, 0, 0]


def test_a_refusal_reaches_us_though_most_of_a_large_upload_was_never_read(
    served: Served, brand: Signer, tmp_path: Path
) -> None:
    upload = on_disk(batch_of(brand, *fresh(2_000)), tmp_path)
    lines = list(upload.lines())
    lines[1] = b'{"type":1,"type":2}'
    upload.path.write_bytes(b"".join(line + b"\n" for line in lines))
    with pytest.raises(ProblemError) as caught:
        served.api().post_batch(upload.lines)
    assert (caught.value.code, caught.value.document["line"]) == ("duplicate-key", 2)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "an empty file"),
        (b"\n \n", "an empty file"),
        (b"{\n", r"line 1.*"),
        (b'{"a":1,"a":2}\n', r"line 1.*"),
        (b"[1]\n", "line 1: expected an object"),
        (b'{"type":"ObjectEvent"}\n', "expected a seal on line 1"),
    ],
)
def test_what_is_no_upload_is_refused_before_anything_is_sent(
    served: Served, tmp_path: Path, content: bytes, words: str
) -> None:
    path = tmp_path / "no.ndjson"
    path.write_bytes(content)
    served.flaw.plan = ["lost"]
    with pytest.raises(SealingError, match=words):
        send(served.api(), Upload(path))
    assert served.flaw.plan == ["lost"], "nothing was posted"
    served.flaw.plan.clear()


# --- receipts -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def answered(served: Served, brand: Signer, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A good receipt with what it answers and the operator as the platform tells it."""
    upload = on_disk(batch_of(brand, *fresh(2)), tmp_path_factory.mktemp("receipt"))
    receipt = send(served.api(), upload).receipt
    return receipt, served.api().party(operator_uri(served.origin)), upload.contents()


def signed_again(served: Served, receipt: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A receipt that the operator itself would sign over something else."""
    document = {name: value for name, value in (receipt | changes).items() if name != "proof"}
    created = receipt["proof"]["created"]
    return add_proof(document, served.operator.key, served.operator.method, created)


def test_a_good_receipt_is_believed(answered: Any) -> None:
    receipt, operator, contents = answered
    verify_receipt(receipt, operator, contents)


def signed_by(receipt: dict[str, Any], key: PrivateKey, party: str) -> dict[str, Any]:
    """The receipt with a proof of somebody else."""
    document = {name: value for name, value in receipt.items() if name != "proof"}
    created = receipt["proof"]["created"]
    return add_proof(document, key, f"{party}#{key.public.multikey}", created)


ZERO = encode_base64(bytes(32))
OLD = "2020-01-01T00:00:00.000Z"
Change = Callable[[Served, dict[str, Any]], dict[str, Any]]
FALSE_RECEIPTS: dict[str, tuple[Change, str]] = {
    "another seal": (lambda s, r: signed_again(s, r, seal=ZERO), "for another seal"),
    "no seal": (lambda s, r: signed_again(s, r, seal=None), "for another seal"),
    "an event is missing": (
        lambda s, r: signed_again(s, r, events=r["events"][:1]),
        "names 1 events, 2 were sent",
    ),
    "events in another order": (
        lambda s, r: signed_again(s, r, events=r["events"][::-1]),
        "not name exactly the events.*event 1",
    ),
    "another event": (
        lambda s, r: signed_again(s, r, events=[r["events"][0], r["events"][0] | {"event": ZERO}]),
        "event 2 is",
    ),
    "another log": (lambda s, r: signed_again(s, r, origin="log.example.org"), "of the log"),
    "a changed time": (
        lambda _, r: r | {"accepted": r["publishBy"]},
        "signature does not verify",
    ),
    "no receipt": (lambda *_: {"status": "ok"}, "is no receipt"),
    "a key of nobody": (
        lambda s, r: signed_by(r, PrivateKey.generate(), s.operator.party),
        "no valid key of the operator",
    ),
    "signed by another party": (
        lambda s, r: signed_by(r, s.operator.key, "https://other.example"),
        "signed by https://other.example, not by",
    ),
    "before the key was added": (
        lambda s, r: signed_again(s, r, accepted=OLD),
        "no valid key of the operator",
    ),
}


@pytest.mark.parametrize("name", FALSE_RECEIPTS)
def test_a_false_receipt_is_refused_with_its_reason(
    served: Served, answered: Any, name: str
) -> None:
    receipt, operator, contents = answered
    change, words = FALSE_RECEIPTS[name]
    with pytest.raises(ReceiptError, match=words):
        verify_receipt(change(served, copy.deepcopy(receipt)), operator, contents)


def test_an_operator_that_is_no_party_makes_no_receipt_good(answered: Any) -> None:
    receipt, operator, contents = answered
    for told in ({}, operator | {"uri": "https://other.example"}, operator | {"keys": None}):
        with pytest.raises(ReceiptError, match=r"no party|not by"):
            verify_receipt(receipt, told, contents)


def test_a_receipt_changed_on_the_way_is_noticed_by_the_sender(
    served: Served, brand: Signer, tmp_path: Path
) -> None:
    def change(body: bytes) -> bytes:
        document = canonical.parse(body)
        document["publishBy"] = document["accepted"]
        return canonical.encode(document)

    served.flaw.plan = [change]
    with pytest.raises(ReceiptError, match="signature does not verify"):
        send(served.api(), on_disk(batch_of(brand, *fresh()), tmp_path))
