"""W3C Data Integrity proofs, cryptosuite ``eddsa-jcs-2022``: one signature inside a JSON document.

    options  = the proof without ``proofValue`` (with the document's ``@context``, if it has one)
    document = the document without ``proof``
    signed   = SHA-256(JCS(options)) ‖ SHA-256(JCS(document))        64 bytes, options first
    proofValue = z + base58btc(Ed25519 signature of those 64 bytes)

The suite lets a verifier accept a document whose ``@context`` only *starts* with the proof's, so
that contexts can be added after signing. Ours demands that they be equal: what was signed is what
is read. No ``@context`` is ever fetched.

Sets of proofs (an array) are not read. Whether the key may speak for the party that the
verification method names is for ``provenance.domain.party``.

Source: W3C Data Integrity EdDSA Cryptosuites 1.0 §3.3 (steps named below).
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from provenance.crypto.errors import ProofError
from provenance.crypto.signing import SIGNATURE_SIZE, PrivateKey, PublicKey
from provenance.domain import canonical
from provenance.domain.multibase import MultibaseError, decode_multibase, encode_multibase
from provenance.domain.proof import CRYPTOSUITE, PROOF_TYPE, PURPOSE, read_proof
from provenance.domain.wire import FormError

__all__ = ["ProofError", "add_proof", "hash_data", "make_proof", "verify_parts", "verify_proof"]


def add_proof(
    document: Mapping[str, Any],
    key: PrivateKey,
    verification_method: str,
    created: str,
    domain: str | None = None,
) -> dict[str, Any]:
    """A copy of `document` with a ``proof`` made by `key` (§3.3.1).

    `verification_method` is ``<party URI>#<multikey>``; `created` an RFC 3339 date-time; `domain`
    the log's origin for an event that carries its own proof. An older ``proof`` is replaced.
    """
    unsigned = {name: value for name, value in document.items() if name != "proof"}
    further = {"created": created}
    if domain is not None:
        further["domain"] = domain
    if "@context" in unsigned:  # §3.3.1 step 2
        further["@context"] = unsigned["@context"]
    proof = make_proof(canonical.encode(unsigned), key, verification_method, further)
    return {**unsigned, "proof": proof}


def make_proof(
    unsigned: bytes, key: PrivateKey, verification_method: str, further: Mapping[str, Any]
) -> dict[str, Any]:
    """The proof over a document whose canonical bytes are at hand (§3.3.1).

    `further` are the members that differ: ``created`` and, where they belong, ``domain`` and the
    document's ``@context``.
    """
    options = {
        "type": PROOF_TYPE,
        "cryptosuite": CRYPTOSUITE,
        "created": further["created"],
        "verificationMethod": verification_method,
        "proofPurpose": PURPOSE,
        **further,
    }
    signature = key.sign(_hash_parts(canonical.encode(options), unsigned))
    return {**options, "proofValue": encode_multibase(signature)}


def verify_proof(document: Mapping[str, Any], key: PublicKey) -> None:
    """Nothing, if `key` made the document's proof over what stands there now (§3.3.2).

    Raises ProofError for a missing or ill-formed proof, another ``@context`` or another key than
    the one that its verification method names; SignatureError (its base) for a signature that does
    not fit.
    """
    value = document.get("proof")
    further = [name for name in ("domain", "@context") if isinstance(value, dict) and name in value]
    try:
        # A party's URI may hold a # of its own; the key's text is whatever follows the last one.
        proof = read_proof(value, further=further, party=_party_of(value, key))
        signature = decode_multibase(proof.value, SIGNATURE_SIZE)
    except (FormError, MultibaseError) as error:
        raise ProofError(f"the proof is not of its form: {error}") from error
    assert isinstance(value, dict)  # noqa: S101 -- read_proof refuses anything else
    if proof.multikey != key.multikey:
        raise ProofError(f"the proof names {value['verificationMethod']}, not {key.multikey}")
    _require_same_context(document, value)
    options = {name: member for name, member in value.items() if name != "proofValue"}
    unsigned = {name: member for name, member in document.items() if name != "proof"}
    key.verify(hash_data(options, unsigned), signature)


def verify_parts(options: bytes, unsigned: bytes, proof_value: str, key: PublicKey) -> None:
    """As `verify_proof` for a proof that was read already and canonical bytes that are at hand.

    `options` are those of the proof without ``proofValue``, `unsigned` those of the document
    without ``proof``. That the proof is of its form and names `key`, the caller has seen.
    """
    try:
        signature = decode_multibase(proof_value, SIGNATURE_SIZE)
    except MultibaseError as error:
        raise ProofError(f"the proof is not of its form: {error}") from error
    key.verify(_hash_parts(options, unsigned), signature)


def _party_of(value: object, key: PublicKey) -> str | None:
    """What stands before ``#`` and this key in the verification method; None if it names another.

    Not judged here, even an empty one: whose key it is, is for who asked.
    """
    method = value.get("verificationMethod") if isinstance(value, dict) else None
    suffix = f"#{key.multikey}"
    is_its = isinstance(method, str) and method.endswith(suffix)
    return str(method).removesuffix(suffix) if is_its else None


def hash_data(options: Mapping[str, Any], unsigned: Mapping[str, Any]) -> bytes:
    """The 64 bytes that are signed: H(JCS(options)) ‖ H(JCS(document)) (§3.3.4)."""
    return _hash_parts(canonical.encode(dict(options)), canonical.encode(dict(unsigned)))


def _hash_parts(options: bytes, unsigned: bytes) -> bytes:
    return sha256(options).digest() + sha256(unsigned).digest()


def _require_same_context(document: Mapping[str, Any], proof: Mapping[str, Any]) -> None:
    """Stricter than §3.3.2 step 4, which is content with a common beginning."""
    if ("@context" in document) != ("@context" in proof):
        raise ProofError("the proof's @context and the document's must both be there, or neither")
    if "@context" in document:
        ours, theirs = document["@context"], proof["@context"]
        # Canonical bytes, not ==: Python holds True equal to 1.
        if canonical.encode(ours) != canonical.encode(theirs):
            raise ProofError("the proof's @context differs from the document's")
