"""eddsa-jcs-2022: what is signed verifies; anything else in the document or the proof does not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.crypto.errors import ProofError, SignatureError
from provenance.crypto.integrity import add_proof, verify_proof
from provenance.crypto.signing import PrivateKey
from provenance.domain.proof import format_method

KEY = PrivateKey.from_seed(bytes(range(32)))
OTHER = PrivateKey.from_seed(bytes(32))
PARTY = "https://maker.example.test/"
METHOD = format_method(PARTY, KEY.public.multikey)
CREATED = "2026-11-23T15:00:00Z"
DOCUMENT = {"@context": ["https://example.org/c", {"a": "urn:a:"}], "b": 1, "c": {"d": [True, "e"]}}


def signed(document: dict[str, Any] | None = None, **rules: Any) -> dict[str, Any]:
    return add_proof(DOCUMENT if document is None else document, KEY, METHOD, CREATED, **rules)


def without(document: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key != name}


def test_the_original_is_not_touched_and_an_older_proof_is_replaced() -> None:
    first = signed()
    assert "proof" not in DOCUMENT
    assert add_proof(first, KEY, METHOD, CREATED) == first


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=6), json_values, max_size=5), st.none() | st.text())
def test_what_is_signed_verifies(document: dict[str, Any], domain: str | None) -> None:
    document.pop("proof", None)
    sealed = add_proof(document, KEY, METHOD, CREATED, domain)
    verify_proof(sealed, KEY.public)
    with pytest.raises(SignatureError, match="does not fit"):
        verify_proof({**sealed, "one more": 1}, KEY.public)


def test_key_order_means_nothing() -> None:
    sealed = signed()
    verify_proof(dict(reversed(list(sealed.items()))), KEY.public)


@pytest.mark.parametrize("name", ["b", "c"])
def test_a_removed_or_changed_member_is_noticed(name: str) -> None:
    for changed in (without(signed(), name), {**signed(), name: 2}):
        with pytest.raises(SignatureError, match="does not fit"):
            verify_proof(changed, KEY.public)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("created", "2026-11-23T15:00:01Z"),
        ("domain", "another.example.test"),
        ("verificationMethod", format_method("https://x.example.test/", KEY.public.multikey)),
    ],
)
def test_every_option_is_signed(name: str, value: str) -> None:
    sealed = signed(domain="log.example.test")
    sealed["proof"] = {**sealed["proof"], name: value}
    with pytest.raises(SignatureError, match="does not fit"):
        verify_proof(sealed, KEY.public)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("type", "Ed25519Signature2020", "type: expected 'DataIntegrityProof'"),
        ("cryptosuite", "eddsa-rdfc-2022", "cryptosuite: expected 'eddsa-jcs-2022'"),
        ("proofPurpose", "authentication", "proofPurpose: expected 'assertionMethod'"),
        ("created", "2026-11-23", "created: expected"),
        ("created", "2026-02-30T00:00:00Z", "created: expected"),
        ("verificationMethod", PARTY, "verificationMethod: expected"),
        ("proofValue", "z", "base58btc of exactly 64 bytes"),
        ("proofValue", 7, "proofValue: expected a string"),
        ("proofValue", "m" + "A" * 86, "z and base58btc"),
        ("nonce", "x", "nonce: expected no member of this name"),
    ],
)
def test_a_proof_of_another_form_is_refused(name: str, value: Any, reason: str) -> None:
    sealed = signed()
    sealed["proof"] = {**sealed["proof"], name: value}
    with pytest.raises(ProofError, match=reason):
        verify_proof(sealed, KEY.public)


@pytest.mark.parametrize("proof", [None, "text", [], [{}]])
def test_no_proof_at_all(proof: Any) -> None:
    with pytest.raises(ProofError, match="expected an object"):
        verify_proof({**DOCUMENT, "proof": proof}, KEY.public)
    with pytest.raises(ProofError, match="expected an object"):
        verify_proof(DOCUMENT, KEY.public)


def test_a_proof_of_another_key_is_refused_before_its_signature() -> None:
    with pytest.raises(ProofError, match="the proof names"):
        verify_proof(signed(), OTHER.public)


def test_a_signature_of_another_key_under_this_ones_name() -> None:
    forged = add_proof(DOCUMENT, OTHER, METHOD, CREATED)
    with pytest.raises(SignatureError, match="does not fit"):
        verify_proof(forged, KEY.public)


def test_contexts_added_after_signing_are_refused() -> None:
    # The suite would accept this: the document's @context starts with the proof's.
    sealed = signed()
    sealed["@context"] = [*sealed["@context"], {"b": "https://example.org/another-meaning"}]
    with pytest.raises(ProofError, match="@context differs"):
        verify_proof(sealed, KEY.public)


def test_context_in_one_place_only_is_refused() -> None:
    sealed = signed()
    with pytest.raises(ProofError, match="both be there"):
        verify_proof(without(sealed, "@context"), KEY.public)
    bare = signed(without(DOCUMENT, "@context"))
    verify_proof(bare, KEY.public)
    with pytest.raises(ProofError, match="both be there"):
        verify_proof({**bare, "@context": []}, KEY.public)


def test_true_is_not_one_in_a_context() -> None:
    sealed = signed({"@context": [{"v": 1}], "a": 1})
    sealed["@context"] = [{"v": True}]
    with pytest.raises(ProofError, match="@context differs"):
        verify_proof(sealed, KEY.public)


def test_a_party_may_have_a_fragment() -> None:
    method = format_method("https://maker.example.test/#mill", KEY.public.multikey)
    verify_proof(add_proof(DOCUMENT, KEY, method, CREATED), KEY.public)
