"""The form of fork evidence: what is read, what is refused, and that bytes come back the same."""

import json

import pytest

from merkle.hashing import leaf_hash
from provenance.domain.fork import ForkEvidence, MalformedForkError, parse_fork

ROOT = bytes(range(32))
EVIDENCE = ForkEvidence("log.example/2026", "a note", "another note", ROOT, (ROOT, ROOT[::-1]))


@pytest.mark.parametrize("evidence", [EVIDENCE, ForkEvidence("log.example/2026", "a", "b")])
def test_evidence_is_read_back_from_its_bytes(evidence):
    assert parse_fork(evidence.encode()) == evidence


def test_its_hash_is_the_leaf_hash_of_its_canonical_bytes_however_it_was_spelt():
    spelt = json.dumps(EVIDENCE.to_json(), indent=2).encode()
    assert spelt != EVIDENCE.encode()
    assert parse_fork(spelt).hash == leaf_hash(EVIDENCE.encode())


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("v", 2),
        ("v", True),
        ("type", "prov:Passport"),
        ("origin", None),
        ("first", 1),
        ("second", ["a"]),
        ("root", "AA=="),
        ("root", False),
        ("proof", None),
        ("proof", ["AA=="]),
        ("proof", [None]),
        ("more", 1),
    ],
)
def test_another_form_is_refused(member, value):
    with pytest.raises(MalformedForkError):
        parse_fork(json.dumps({**EVIDENCE.to_json(), member: value}).encode())


@pytest.mark.parametrize("member", sorted(EVIDENCE.to_json()))
def test_every_member_is_needed(member):
    document = EVIDENCE.to_json()
    del document[member]
    with pytest.raises(MalformedForkError, match=member):
        parse_fork(json.dumps(document).encode())


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b"\xff", b'{"v":1,"v":1}', b" " * 65_537])
def test_bytes_that_are_no_object_are_refused(data):
    with pytest.raises(MalformedForkError):
        parse_fork(data)
