"""GS1's own example documents through the whole platform: sealed, uploaded, published, verified.

What test_epcis_examples.py shows for the event model alone, this shows for everything: client,
HTTP, capture, both databases, log, map, proofs, and the verifier with nothing but the policy file.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from merkle.hashing import leaf_hash
from merkle.note import KIND_COSIGNATURE
from merkle.policy import Policy
from provenance.client.sealing import Signer, prepare, seal_events, write_batch
from provenance.client.upload import Upload, send
from provenance.crypto.signing import NoteSigner
from provenance.domain import canonical
from provenance.domain.canonical import decode_base64
from provenance.domain.documents import parse_document
from provenance.domain.event import check_event
from provenance.services.checking import fsck
from provenance.storage.tiles import LastSigned
from provenance.verify import verify_bundle
from tests.support.epcis import example_files
from tests.support.served import Served, now, serving

#: One document names this member twice in an object; its sender decides that the last one counts.
DUPLICATE = "eventID"


def test_all_examples_end_in_verified_passports(
    shared: Path, database_url: str, tmp_path: Path
) -> None:
    with serving(tmp_path / "data", database=database_url) as served:
        brand = served.party("examples")
        files = example_files(shared)
        assert len(files) == 47
        captured = [event for file in files for event in capture(served, brand, file, tmp_path)]
        assert len(captured) == 56
        wait_for_publication(served, brand, tmp_path)
        verify_all(served, captured)
        check_everything(served)


def capture(served: Served, brand: Signer, file: Path, folder: Path) -> list[dict[str, Any]]:
    """Seals a document's events into a file, as a partner would, and uploads it."""
    twice: list[str] = []
    document = parse_document(file.read_bytes(), on_duplicate=twice.append)
    assert set(twice) <= {DUPLICATE}
    events = prepare(document, random=os.urandom)
    (batch,) = seal_events(events, brand, now=now(), random=os.urandom)
    upload = Upload(folder / f"{file.stem}.ndjson")
    write_batch(batch, upload.path)
    receipt = send(served.api(), upload).receipt
    named = [decode_base64(entry["event"], 32) for entry in receipt["events"]]
    assert named == [leaf_hash(line) for line in batch.events]
    return [canonical.parse(line) for line in batch.events]


def wait_for_publication(served: Served, brand: Signer, folder: Path) -> None:
    """The log covers uploads in order, so the newest one brings all others."""
    newest = max(folder.glob("*.ndjson"), key=lambda path: path.stat().st_mtime_ns)
    assert send(served.api(), Upload(newest), wait=True).published


def verify_all(served: Served, captured: list[dict[str, Any]]) -> None:
    """Every passport of every subject verifies and holds each event about it."""
    policy = Policy.parse(served.settings.policy_file.read_text())
    about: dict[str, list[bytes]] = {}
    for document in captured:
        event = check_event(document)
        for subject in event.subjects:
            about.setdefault(subject, []).append(event.hash)
    api = served.api()
    for subject, hashes in about.items():
        data = api.passport(subject)
        verdict = verify_bundle(data, policy, now=now()).document
        assert (verdict["record"], verdict["reason"]) == ("verified", None), (subject, verdict)
        own = [link["event"] for link in json.loads(data)["subjects"][0]["links"]]
        assert [decode_base64(text, 32) for text in own] == hashes, subject
    assert len(about) == 54, "as many different subjects as GS1's examples have"


def check_everything(served: Served) -> None:
    """Nothing that is stored contradicts anything else."""
    platform = served.platform
    report = fsck(
        platform.database,
        platform.tiles,
        platform.origin,
        NoteSigner(platform.origin, platform.keys.log).vkey,
        last_signed=LastSigned(platform.settings.keys / "last-signed"),
        cosigners=[w.key for w in platform.policy.witnesses if w.key.kind == KIND_COSIGNATURE],
    )
    assert report.is_good, report.difference
    assert report.checked["events"] == 56 + 3, "and operator, party, accreditation"
