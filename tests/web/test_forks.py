"""Checkpoints handed in over HTTP, the evidence that follows, and what every reader sees of it."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path

import pytest

from merkle.checkpoint import Checkpoint, parse_checkpoint
from merkle.hashing import leaf_hash
from merkle.note import Note, parse_note, sign_note
from merkle.proofs import verify_consistency
from merkle.tiles import TileHashReader
from merkle.tree import root_at, root_of
from provenance.crypto.signing import NoteSigner
from provenance.domain.fork import parse_fork
from provenance.storage.tiles import read_tile
from provenance.verify import verify_bundle
from provenance.verify.forks import verify_fork
from tests.support.builders import item_event, item_uri, make_key
from tests.web.problems import check_problem
from tests.web.site import NDJSON, Site, body_of

UPLOADS = "/api/v1/log/checkpoints"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """An installation of this test's own, with one item in its log."""
    made = Site.make(tmp_path / "site")
    made.submit(made.register("https://brand.example").sealed([item_event(1, at=now(made))]))
    made.publish()
    yield made
    made.platform.close()


def now(site: Site) -> int:
    return site.platform.clock()


def published(site: Site) -> bytes:
    return site.client.get("/log/checkpoint").data


def size(site: Site) -> int:
    return parse_checkpoint(parse_note(published(site)).text).size


def other(site: Site, at: int, label: bytes = b"other") -> bytes:
    """A checkpoint under the log's key of another history."""
    root = root_of([leaf_hash(label + b" %d" % n) for n in range(at)])
    signer = NoteSigner(site.platform.origin, site.platform.keys.log)
    return sign_note(Checkpoint(site.platform.origin, at, root).format(), [signer])


def hand_in(site: Site, note: bytes, status: int = 200) -> dict[str, object]:
    answer = site.client.post(UPLOADS, data=note, content_type="text/plain; charset=utf-8")
    assert answer.status_code == status, answer.data
    assert answer.headers["Cache-Control"] == "no-store"
    found = answer.get_json()
    assert isinstance(found, dict)
    return found


def test_an_honest_log_has_nothing_against_it(site: Site) -> None:
    assert hand_in(site, published(site)) == {
        "known": "consistent",
        "size": size(site),
        "signed": size(site),
    }
    assert site.client.get("/api/v1/log/forks").get_json() == []
    assert site.client.get("/api/v1/log").get_json()["forks"] == 0
    assert site.client.get("/readyz").status_code == 200


def test_two_histories_turn_every_reader_red(site: Site) -> None:
    """And stop publication and uploads; the pages stay up to say so."""
    policy = site.platform.policy
    path = item_uri(1).removeprefix("https://id.gs1.org")
    before = site.client.get(path, headers={"Accept": "application/json"})
    assert (
        verify_bundle(before.data, policy, now=now(site) // 1000).document["record"] == "verified"
    )

    found = hand_in(site, other(site, 2), 201)
    assert found["known"] == "conflicting"
    assert hand_in(site, other(site, 2)) == found  # known by now
    (evidence,) = site.client.get("/api/v1/log/forks").get_json()
    assert evidence == found["evidence"]
    verify_fork(parse_fork(json.dumps(evidence).encode()), policy)

    after = site.client.get(
        path, headers={"Accept": "application/json", "If-None-Match": before.headers["ETag"]}
    )
    assert after.status_code == 200  # what a reader keeps is out of date, though the log stands
    assert after.get_json()["forks"] == [evidence]
    verdict = verify_bundle(after.data, policy, now=now(site) // 1000).document
    assert (verdict["record"], verdict["reason"]) == ("refused", "log-forked")
    page = site.client.get(path, headers={"Accept": "text/html"})
    assert page.status_code == 200
    assert site.client.get("/api/v1/log").get_json()["forks"] == 1

    check_problem(site.client.get("/readyz"), 503, "log-forked")
    assert site.client.get("/livez").status_code == 200
    lines = site.actor("https://brand.example").sealed([item_event(2, at=now(site))])
    refused = site.client.post("/api/v1/batches", data=body_of(lines), content_type=NDJSON)
    check_problem(refused, 503, "log-forked")


def test_a_larger_one_than_we_signed_stops_the_log_until_it_has_caught_up(site: Site) -> None:
    ahead = size(site) + 5
    found = hand_in(site, other(site, ahead), 201)
    assert found == {"known": "ahead", "size": ahead, "signed": size(site)}
    assert hand_in(site, other(site, ahead)) == found
    lines = site.actor("https://brand.example").sealed([item_event(2, at=now(site))])
    refused = site.client.post("/api/v1/batches", data=body_of(lines), content_type=NDJSON)
    document = check_problem(refused, 503, "log-behind")
    assert f"holds size {ahead} of this log" in document["detail"]
    assert site.client.get("/api/v1/log/forks").get_json() == []


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        (lambda _: b"", 400, "checkpoint-malformed"),
        (lambda note: note[:-1], 400, "checkpoint-malformed"),
        (lambda note: b"\xff" + note, 400, "checkpoint-malformed"),
        (lambda note: note + b"-" * 65_536, 413, "too-large"),
        (lambda note: b"x" + note, 422, "checkpoint-signature"),
        (
            lambda note: sign_note(
                parse_note(note).text, [NoteSigner("stranger.example", make_key("stranger"))]
            ),
            422,
            "checkpoint-signature",
        ),
    ],
)
def test_what_the_log_did_not_sign_is_refused(
    told: tuple[Site, str], change: object, status: int, code: str
) -> None:
    site, _ = told
    note = change(published(site))  # type: ignore[operator]
    answer = site.client.post(UPLOADS, data=note, content_type="text/plain")
    check_problem(answer, status, code)


def test_another_media_type_is_refused(told: tuple[Site, str]) -> None:
    site, _ = told
    answer = site.client.post(UPLOADS, data=published(site), content_type="application/json")
    check_problem(answer, 415, "unsupported-media-type")


def test_lines_of_strangers_do_no_harm(told: tuple[Site, str]) -> None:
    site, _ = told
    note = parse_note(published(site))
    extra = sign_note(note.text, [NoteSigner("stranger.example", make_key("stranger"))])
    dressed = Note(note.text, (*parse_note(extra).signatures, *note.signatures))
    assert hand_in(site, dressed.format())["known"] == "consistent"


def test_consistency_proofs_between_all_sizes(told: tuple[Site, str]) -> None:
    site, _ = told
    newest = size(site)
    reader = TileHashReader(lambda path: read_tile(site.platform.tiles, path), newest)
    for old, new in [(1, 1), (1, newest), (3, newest), (newest - 1, newest), (5, 9)]:
        answer = site.client.get(f"/api/v1/log/consistency?from={old}&to={new}")
        document = answer.get_json()
        assert (document["from"], document["to"]) == (old, new)
        assert "immutable" in answer.headers["Cache-Control"]
        proof = [b64decode(text) for text in document["proof"]]
        verify_consistency(old, new, root_at(old, reader), root_at(new, reader), proof)


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("", 400, "parameter-malformed"),
        ("?from=1", 400, "parameter-malformed"),
        ("?from=0&to=1", 400, "parameter-malformed"),
        ("?from=2&to=1", 400, "parameter-malformed"),
        ("?from=-1&to=1", 400, "parameter-malformed"),
        ("?from=1&to=x", 400, "parameter-malformed"),
        ("?from=1&to=%D9%A3", 400, "parameter-malformed"),
        ("?from=1&to=9007199254740992", 400, "parameter-malformed"),
        ("?from=1&to=9007199254740991", 404, "size-unknown"),
    ],
)
def test_odd_questions_for_consistency(
    told: tuple[Site, str], query: str, status: int, code: str
) -> None:
    site, _ = told
    check_problem(site.client.get(f"/api/v1/log/consistency{query}"), status, code)
