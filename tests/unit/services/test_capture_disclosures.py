"""Disclosures: only those that fit, only for their first audience, all or nothing, repeatable."""
# ruff: noqa: E501, ARG005 -- the table of refusals has one row a line, each a function of the batch

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

import pytest
from sqlalchemy import delete

from merkle.hashing import leaf_hash
from provenance.domain import canonical, disclosure
from provenance.domain.errors import (
    ConflictError,
    InvalidContentError,
    MalformedInputError,
    NotFoundError,
    Refusal,
    TooLargeError,
)
from provenance.services.attaching import Attachment
from provenance.storage import tables
from provenance.storage.disclosures import PUBLIC, read_disclosures
from provenance.storage.session import Database
from tests.support.audit import snapshot
from tests.support.builders import World, item_event, item_uri


class Batch:
    """An accepted batch whose first event conceals two members and whose second one none."""

    def __init__(self, world: World) -> None:
        self.world = world
        counter = iter(range(100))
        shown = item_event(1, bizLocation={"id": "urn:epc:id:sgln:9506000.00001.0"})
        event, self.texts = disclosure.conceal(
            shown,
            ["$.bizStep", "$.bizLocation"],
            lambda size: sha256(bytes([next(counter)])).digest()[:size],
        )
        brand = world.party("brand")
        upload = brand.sealed([event, item_event(2)])
        self.upload_id = world.capture.submit_batch(upload).upload_id
        self.seal = leaf_hash(upload[0])

    def send(self, *lines: Any) -> Attachment:
        encoded = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
        return self.world.capture.submit_disclosures(self.seal, encoded)


def line(*texts: str, leaf: int = 0, audience: tuple[str, ...] = ("customs",)) -> dict[str, Any]:
    return {
        "leaf": leaf,
        "disclosures": [{"text": text, "audience": list(audience)} for text in texts],
    }


@pytest.fixture
def batch(world: World) -> Batch:
    return Batch(world)


def test_they_are_kept_apart_and_shown_by_role(batch: Batch, database: Database) -> None:
    one, two = batch.texts
    assert batch.send(line(one), line(two, audience=(PUBLIC,))) == Attachment(added=2, known=0)
    place = (batch.upload_id, 0)
    with database.read() as connection:
        everybody = read_disclosures(connection, [place])
        customs = read_disclosures(connection, [place], ("customs",))
        assert [row.text for row in everybody[place]] == [two]
        assert {row.text for row in customs[place]} == {one, two}
        assert read_disclosures(connection, [place], roles=None) == customs
        assert read_disclosures(connection, [(batch.upload_id, 1)]) == {}


def test_the_same_again_changes_nothing(batch: Batch, database: Database) -> None:
    batch.send(line(*batch.texts))
    before = snapshot(database)
    assert batch.send(line(*batch.texts)) == Attachment(added=0, known=2)
    assert batch.send(line(*batch.texts), line(*batch.texts)) == Attachment(added=0, known=4)
    assert snapshot(database) == before


def test_an_erased_one_is_gone_and_the_record_stands(batch: Batch, database: Database) -> None:
    batch.send(line(*batch.texts))
    with database.write() as connection:
        connection.execute(delete(tables.disclosures))
    with database.read() as connection:
        assert read_disclosures(connection, [(batch.upload_id, 0)], roles=None) == {}


def test_an_event_with_its_own_proof_is_found_by_its_subject(world: World) -> None:
    event, texts = disclosure.conceal(item_event(7), ["$.bizStep"], bytes)
    body = world.party("brand").signed(event)
    world.capture.submit_event(body)
    told = {**line(*texts), "subject": item_uri(7)}
    accepted = world.capture.submit_disclosures(leaf_hash(body), [json.dumps(told).encode()])
    assert accepted == Attachment(added=1, known=0)


def _changed(text: str) -> str:
    salt, name, _ = json.loads(canonical.decode_base64url(text))
    return canonical.encode_base64url(json.dumps([salt, name, "forged"]).encode())


REFUSALS: list[tuple[str, Any, type[Refusal], str]] = [
    ("no JSON", lambda b: b"{", MalformedInputError, "not-json"),
    ("no object", lambda b: [], MalformedInputError, "disclosures-malformed"),
    ("no leaf", lambda b: {"disclosures": []}, MalformedInputError, "disclosures-malformed"),
    ("nothing in it", lambda b: line(), MalformedInputError, "disclosures-malformed"),
    ("no object in it", lambda b: {"leaf": 0, "disclosures": ["x"]}, MalformedInputError, "disclosures-malformed"),
    ("unknown member", lambda b: {**line(*b.texts), "x": 1}, MalformedInputError, "disclosures-malformed"),
    ("leaf below 0", lambda b: line(*b.texts, leaf=-1), MalformedInputError, "disclosures-malformed"),
    ("no audience", lambda b: line(*b.texts, audience=()), MalformedInputError, "disclosures-malformed"),
    ("unknown role", lambda b: line(*b.texts, audience=("press",)), MalformedInputError, "disclosures-malformed"),
    ("no such leaf", lambda b: line(*b.texts, leaf=2), NotFoundError, "leaf-unknown"),
    ("other event", lambda b: line(*b.texts, leaf=1), InvalidContentError, "disclosure-unmatched"),
    ("changed value", lambda b: line(_changed(b.texts[0])), InvalidContentError, "disclosure-unmatched"),
    ("no disclosure", lambda b: line("!"), InvalidContentError, "disclosure-unmatched"),
    ("no ASCII", lambda b: line("ä"), InvalidContentError, "disclosure-unmatched"),
    ("wider audience", lambda b: line(b.texts[1], audience=(PUBLIC,)), ConflictError, "disclosure-known"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "kind", "code"), [case[1:] for case in REFUSALS], ids=[case[0] for case in REFUSALS])  # fmt: skip
def test_refused_whole_with_line_and_reason(
    batch: Batch, database: Database, make: Any, kind: type[Refusal], code: str
) -> None:
    batch.send(line(batch.texts[1]))
    before = snapshot(database)
    with pytest.raises(kind) as refused:
        batch.send(line(batch.texts[0]), make(batch))
    assert (refused.value.code, refused.value.line) == (code, 2)
    assert snapshot(database) == before


@pytest.mark.parametrize("subject", [None, item_uri(1), "https://example.org/unknown"])
def test_an_unknown_seal(batch: Batch, subject: str | None) -> None:
    told = line(*batch.texts) | ({} if subject is None else {"subject": subject})
    with pytest.raises(NotFoundError) as refused:
        batch.world.capture.submit_disclosures(bytes(32), [json.dumps(told).encode()])
    assert refused.value.code == "seal-unknown"


def test_more_lines_than_a_batch_has_events(batch: Batch) -> None:
    with pytest.raises(TooLargeError) as refused:
        batch.send(*[line(*batch.texts)] * 51)
    assert (refused.value.code, refused.value.line) == ("too-many-lines", 51)
