"""Uploads as the OpenAPI document describes them: its examples are accepted, its schemas are true.

What JSON Schema cannot say, the document's words do; so its schemas must accept whatever is
accepted, and what they refuse must be refused.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from marshmallow import ValidationError

from provenance.crypto.integrity import add_proof
from provenance.crypto.signing import PrivateKey
from provenance.domain import canonical, party_events
from provenance.web import upload_examples as examples
from provenance.web.description import description
from provenance.web.upload_schemas import load_event
from tests.support.agreement import DISCLOSURES, SEALS, damaged
from tests.support.builders import complete, make_key
from tests.support.epcis import example_events, slim
from tests.support.own_documents import MILL, OWN
from tests.web.problems import check_problem
from tests.web.site import NDJSON, Site

BODIES = description()["paths"]


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Site]:
    site = Site.make(tmp_path)
    yield site
    site.platform.close()


def media(path: str, media_type: str = NDJSON) -> dict[str, Any]:
    found: dict[str, Any] = BODIES[path]["post"]["requestBody"]["content"][media_type]
    return found


# --- the examples ---------------------------------------------------------------------------------


def accredit(site: Site, party: str) -> None:
    granted = party_events.party_accredited(party, role="producer")
    site.submit(site.operator.sealed([complete(granted, at=site.platform.clock())]))


def test_every_example_is_accepted(fresh: Site) -> None:
    client = fresh.client
    batch = media("/api/v1/batches")["example"]
    assert client.post("/api/v1/batches", data=batch, content_type=NDJSON).status_code == 201
    accredit(fresh, examples.SEAL["party"])
    for media_type in ("application/json", "application/ld+json"):
        event = json.dumps(media("/api/v1/events", media_type)["example"])
        answer = client.post("/api/v1/events", data=event, content_type=media_type)
        # The second one is known, by the same bytes.
        assert answer.status_code == (201 if media_type == "application/json" else 200)
        assert bytes.fromhex(examples.EVENT_HASH) == canonical.decode_base64(
            answer.get_json()["events"][0]["event"]
        )
    told = media("/api/v1/batches/{seal}/disclosures")["example"]
    path = f"/api/v1/batches/{examples.EVENT_HASH}/disclosures"
    answer = client.post(path, data=told, content_type=NDJSON)
    assert (answer.status_code, answer.get_json()) == (201, {"added": 1, "known": 0})


def test_the_example_of_a_job_is_accepted(fresh: Site) -> None:
    fresh.client.post(
        "/api/v1/batches", data=media("/api/v1/batches")["example"], content_type=NDJSON
    )
    accredit(fresh, examples.SEAL["party"])
    answer = fresh.client.post(
        "/api/v1/jobs",
        data=media("/api/v1/jobs")["example"],
        content_type=NDJSON,
        headers={"Upload-Complete": "?1"},
    )
    assert answer.status_code in (200, 201)
    assert answer.get_json()["state"] == "done"
    assert answer.get_json()["events"] == 2


def test_the_examples_can_be_made_again() -> None:
    """Whoever changes one finds its new proof here."""
    key = PrivateKey.from_seed(sha256(examples.SEAL["party"].encode()).digest())
    for document in (examples.SEAL, examples.EVENT):
        proof = document["proof"]
        method, created = proof["verificationMethod"], proof["created"]
        made = add_proof(document, key, method, created, domain=proof.get("domain"))
        assert made == document


def test_limits_are_stated() -> None:
    words = {
        "/api/v1/batches": (
            "10,000 events",
            "100,000 links",
            "67,108,864 bytes",
            "8,192",
            "49,152",
        ),
        "/api/v1/batches/{seal}/disclosures": ("10,000", "49,152", "67,108,864"),
        "/api/v1/events": ("49,152", "1,000 subjects", "32 levels"),
        "/api/v1/jobs": ("10,000 events", "100,000 links", "17,179,869,184 bytes"),
    }
    for path, wanted in words.items():
        text = BODIES[path]["post"]["requestBody"]["description"]
        schemas = json.dumps(BODIES[path]["post"]["requestBody"]["content"])
        for word in wanted:
            assert word in text or word in schemas, (path, word)


# --- the schemas ----------------------------------------------------------------------------------


def validator(name: str | dict[str, Any]) -> jsonschema.Draft202012Validator:
    schema = {"$ref": f"#/components/schemas/{name}"} if isinstance(name, str) else name
    whole = {**schema, "components": description()["components"]}
    return jsonschema.Draft202012Validator(
        whole, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )


def discriminator() -> dict[str, str]:
    """Types of events by name, with their schemas: as a reader of the document would choose."""
    schemas = description()["components"]["schemas"]
    choices = (schemas[name]["discriminator"]["mapping"] for name in ("EpcisEvent", "PartyEvent"))
    return {kind: reference for mapping in choices for kind, reference in mapping.items()}


def require_truth(counts: Counter[str], is_valid: bool, is_accepted: bool, what: str) -> None:
    assert is_valid or not is_accepted, f"{what}: only OpenAPI refuses"
    counts["accepted" if is_accepted else "refused by words alone" if is_valid else "refused"] += 1


def is_loaded(document: Any) -> bool:
    try:
        load_event(document)
    except ValidationError:
        return False
    return True


def test_events_that_are_accepted_fit_the_schema(shared: Path) -> None:
    judge, counts, tried = validator("Event"), Counter[str](), set[Any]()
    documents = [*example_events(shared), *OWN]
    for name, event in documents:
        require_truth(counts, judge.is_valid(event), is_loaded(event), name)
    assert counts == {"accepted": len(documents)}
    by_type = {kind: validator({"$ref": ref}) for kind, ref in discriminator().items()}
    for name, event in documents:
        for what, copied in damaged(slim(event), tried, one_in=61, always=""):
            kind = copied.get("type")
            one = by_type.get(kind, judge) if isinstance(kind, str) else judge
            require_truth(counts, one.is_valid(copied), is_loaded(copied), f"{name}: {what}")
    assert counts["accepted"] > 200
    assert counts["refused"] > 4 * counts["refused by words alone"]  # most of it needs no words


def test_lines_that_are_accepted_fit_their_schemas() -> None:
    batch, told = media("/api/v1/batches"), media("/api/v1/batches/{seal}/disclosures")
    for line, schema, judges in (
        (examples.SEAL, batch["x-firstItemSchema"], SEALS),
        (MILL.seal([bytes(32)]), batch["x-firstItemSchema"], SEALS),
        (examples.DISCLOSURES, told["x-itemSchema"], DISCLOSURES),
    ):
        judge, counts = validator(schema), Counter[str]()
        for what, copied in damaged(line, set(), one_in=5):
            is_accepted = judges[0](canonical.encode(copied)) is None
            require_truth(counts, judge.is_valid(copied), is_accepted, what)
        assert counts["accepted"] > 5
        assert counts["refused"] > 30


def test_examples_fit_the_schemas_beside_them() -> None:
    for path in ("/api/v1/batches", "/api/v1/batches/{seal}/disclosures", "/api/v1/jobs"):
        form = media(path)
        lines = [json.loads(line) for line in form["example"].splitlines()]
        for number, line in enumerate(lines):
            name = "x-firstItemSchema" if number == 0 and "x-firstItemSchema" in form else ""
            validator(form[name or "x-itemSchema"]).validate(line)
    event = media("/api/v1/events", "application/json")
    validator(event["schema"]).validate(event["example"])
    unsigned = {name: value for name, value in examples.EVENT.items() if name != "proof"}
    assert not validator(event["schema"]).is_valid(unsigned)


# --- over HTTP ------------------------------------------------------------------------------------

#: What an upload may be refused for beyond its form, and why no schema says so.
BEYOND_FORM = {
    "event-from-the-future": "it depends on the clock",
    "head-moved": "it depends on the chain",
}


def test_what_is_answered_over_http_is_what_the_schemas_say(shared: Path, fresh: Site) -> None:
    """Damaged events, signed as they are: nothing but their form can be wrong with them."""
    actor = fresh.register("https://mill.example/http")
    client, counts, tried = fresh.client, Counter[str](), set[Any]()
    for name, event in [*example_events(shared), *OWN[:6]]:
        for what, copied in damaged(slim(event), tried, one_in=97, always=""):
            body = actor.signed({n: v for n, v in copied.items() if n != "proof"})
            answer = client.post("/api/v1/events", data=body, content_type="application/json")
            is_accepted = answer.status_code in (200, 201)
            code = "" if is_accepted else answer.get_json()["type"].rpartition("/")[2]
            if code in BEYOND_FORM:
                counts[code] += 1
                continue
            assert is_loaded(canonical.parse(body)) == is_accepted, f"{name}: {what}: {code}"
            counts["accepted" if is_accepted else code] += 1
    assert counts["accepted"] > 50
    assert counts["event-invalid"] > 60
    assert counts.keys() <= {"accepted", "event-invalid", "proof-malformed", *BEYOND_FORM}


def test_a_subject_of_more_than_2000_bytes(fresh: Site) -> None:
    actor = fresh.register("https://mill.example/long")
    for length, accepted in ((2_000, True), (2_001, False)):
        item = "urn:x:" + "a" * (length - 6)
        event = {"type": "ObjectEvent", "action": "OBSERVE", "epcList": [item]}
        body = actor.signed(complete(event, at=fresh.platform.clock()))
        answer = fresh.client.post("/api/v1/events", data=body, content_type="application/json")
        assert is_loaded(canonical.parse(body)) is accepted
        if accepted:
            assert answer.status_code == 201
        else:
            check_problem(answer, 422, "event-invalid")


def test_a_key_that_nobody_checked_is_no_matter_of_form() -> None:
    """The schemas say nothing about signatures, and a stranger's event is of the form."""
    stranger = add_proof(
        {name: value for name, value in examples.EVENT.items() if name != "proof"},
        make_key("stranger"),
        "urn:x:nobody#z6MkNobody",
        "2026-11-23T15:00:00Z",
        domain="nowhere",
    )
    assert is_loaded(stranger)
