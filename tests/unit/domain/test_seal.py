"""Seals and own proofs: the closed form of docs/formats.md section 4."""

from __future__ import annotations

from typing import Any

import pytest

from merkle.hashing import leaf_hash
from provenance.crypto.integrity import add_proof, verify_proof
from provenance.crypto.signing import PrivateKey
from provenance.domain import canonical
from provenance.domain.canonical import MalformedJsonError
from provenance.domain.proof import format_method, read_proof
from provenance.domain.seal import (
    MalformedSealError,
    is_seal,
    new_seal,
    own_proof,
    parse_seal,
    read_seal,
)
from provenance.domain.wire import FormError

KEY = PrivateKey.from_seed(bytes(range(32)))
PARTY = "https://maker.example.test/"
METHOD = format_method(PARTY, KEY.public.multikey)
CREATED = "2026-11-23T15:00:00Z"
CONTEXT = ["https://example.org/c"]


def make(**changes: Any) -> dict[str, Any]:
    unsigned = new_seal(
        origin="log.example.test/1",
        party=PARTY,
        size=2,
        root=bytes(32),
        created=CREATED,
        nonce=bytes(16),
    )
    return add_proof({**unsigned, **changes}, KEY, METHOD, CREATED)


def test_a_seal_reads_as_it_was_made() -> None:
    document = make()
    seal = parse_seal(canonical.encode(document))
    assert seal.document == document
    assert (seal.origin, seal.party, seal.key) == ("log.example.test/1", PARTY, KEY.public.multikey)
    assert (seal.size, seal.root, seal.created) == (2, bytes(32), CREATED)
    assert seal.hash == leaf_hash(canonical.encode(document))
    verify_proof(seal.document, KEY.public)


def test_bytes_of_the_format_page() -> None:
    assert canonical.encode(make()).startswith(
        b'{"created":"2026-11-23T15:00:00Z","nonce":"AAAAAAAAAAAAAAAAAAAAAA==",'
        b'"origin":"log.example.test/1","party":"https://maker.example.test/","proof":{"created":'
    )


def test_spelling_of_the_line_does_not_change_the_seal() -> None:
    text = canonical.encode(make())
    spaced = text.replace(b'"size":2', b' "size" : 2.0 ').replace(b'"v":1', b'"v":1e0')
    assert spaced != text
    assert parse_seal(spaced) == parse_seal(text)


@pytest.mark.parametrize("name", sorted(make()))
def test_every_member_must_be_there(name: str) -> None:
    document = make()
    del document[name]
    with pytest.raises(MalformedSealError) as caught:
        read_seal(document)
    assert caught.value.path == f"$.{name}"
    assert caught.value.found == "nothing"


def test_no_further_member() -> None:
    with pytest.raises(MalformedSealError, match="note"):
        read_seal({**make(), "note": "x"})
    with pytest.raises(MalformedSealError) as caught:
        read_seal(make() | {"proof": {**make()["proof"], "domain": "log.example.test/1"}})
    assert caught.value.path == "$.proof.domain"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("type", "prov:seal", "'prov:Seal'"),
        ("v", 2, "1"),
        ("v", True, "1"),
        ("v", "1", "1"),
        ("size", 0, "a whole number from 1 to 10000"),
        ("size", 10_001, "a whole number from 1 to 10000"),
        ("size", 1.5, "a whole number from 1 to 10000"),
        ("size", True, "a whole number from 1 to 10000"),
        ("root", "AAAA", "base64 of 32 bytes"),
        ("root", None, "base64 of 32 bytes"),
        ("nonce", "AAAAAAAAAAAAAAAAAAAAAB==", "base64 of 16 bytes"),  # not canonical
        ("origin", 7, "a string"),
        ("created", "2026-11-23T15:00:00.000Z", "YYYY-MM-DDTHH:MM:SSZ"),
        ("created", "2026-11-23T25:00:00Z", "YYYY-MM-DDTHH:MM:SSZ"),
        ("party", "https://another.example.test/", "https://another.example.test/#<multikey>"),
        ("proof", {}, "a member of this name"),
        ("proof", "z", "an object"),
    ],
)
def test_every_member_has_its_form(name: str, value: Any, expected: str) -> None:
    with pytest.raises(MalformedSealError) as caught:
        read_seal({**make(), name: value})
    assert caught.value.code == "seal-malformed"
    assert caught.value.expected == expected


def test_size_of_10000_is_the_greatest() -> None:
    assert read_seal(make(size=10_000)).size == 10_000


def test_too_long_a_seal() -> None:
    long = make(origin="o" * 8_200)
    with pytest.raises(MalformedJsonError) as too_large:
        parse_seal(canonical.encode(long))
    assert too_large.value.code == "too-large"
    with pytest.raises(MalformedSealError, match="canonical bytes"):
        read_seal(long)


def test_what_is_no_seal() -> None:
    assert is_seal(make())
    assert not is_seal({"type": "ObjectEvent"})
    assert not is_seal([])
    with pytest.raises(MalformedSealError, match="an object"):
        read_seal([])


# --- own proofs -----------------------------------------------------------------------------------


def signed_event(**rules: Any) -> dict[str, Any]:
    return add_proof({"@context": CONTEXT, "type": "ObjectEvent"}, KEY, METHOD, CREATED, **rules)


def test_an_event_without_a_proof_has_none() -> None:
    assert own_proof({"type": "ObjectEvent"}) is None


def test_an_own_proof_names_party_key_and_log() -> None:
    proof = own_proof(signed_event(domain="log.example.test/1"))
    assert proof is not None
    assert (proof.party, proof.multikey) == (PARTY, KEY.public.multikey)
    assert (proof.domain, proof.created) == ("log.example.test/1", CREATED)


def test_an_own_proof_needs_a_domain_and_exactly_the_context() -> None:
    with pytest.raises(FormError) as caught:
        own_proof(signed_event())
    assert caught.value.member == "proof.domain"
    changed = signed_event(domain="d") | {"@context": [*CONTEXT, {}]}
    with pytest.raises(FormError, match="exactly the event's @context"):
        own_proof(changed)
    bare = signed_event(domain="d")
    del bare["@context"]
    with pytest.raises(FormError, match="exactly the event's @context"):
        own_proof(bare)


@pytest.mark.parametrize("proof", [None, [], "z", 7])
def test_an_own_proof_is_an_object(proof: Any) -> None:
    with pytest.raises(FormError) as caught:
        own_proof({"proof": proof})
    assert caught.value.member == "proof"


@pytest.mark.parametrize("method", ["#z6Mk", "party#", "party", "", 7])
def test_a_method_has_a_party_and_a_key(method: Any) -> None:
    proof = {**make()["proof"], "verificationMethod": method}
    with pytest.raises(FormError, match="verificationMethod"):
        read_proof(proof)


def test_the_first_hash_sign_ends_the_party_where_it_is_not_known() -> None:
    proof = {**make()["proof"], "verificationMethod": "a#b#c"}
    assert (read_proof(proof).party, read_proof(proof).multikey) == ("a", "b#c")
    known = read_proof(proof, party="a#b")
    assert (known.party, known.multikey) == ("a#b", "c")
