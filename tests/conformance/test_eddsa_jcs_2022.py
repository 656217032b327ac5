"""The W3C's own vector for eddsa-jcs-2022, reproduced byte for byte with every value between."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from provenance.crypto.integrity import add_proof, hash_data, verify_proof
from provenance.crypto.signing import PrivateKey, PublicKey
from provenance.domain import canonical
from provenance.domain.multibase import PRIVATE_PREFIX, decode_multibase


class Vector:
    """The files of the vector."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def text(self, name: str) -> str:
        return (self.folder / f"{name}.txt").read_text().strip()

    def json(self, name: str) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads((self.folder / f"{name}.json").read_text())
        return loaded

    @property
    def key(self) -> PrivateKey:
        data = decode_multibase(self.json("keyPair")["privateKeyMultibase"], 34)
        assert data.startswith(PRIVATE_PREFIX)
        return PrivateKey.from_seed(data[2:])


@pytest.fixture(scope="module")
def vector(shared: Path) -> Vector:
    return Vector(shared / "vectors" / "eddsa-jcs-2022")


def test_keys_have_the_vectors_text(vector: Vector) -> None:
    text = vector.json("keyPair")["publicKeyMultibase"]
    assert vector.key.public.multikey == text
    assert PublicKey.from_multikey(text) == vector.key.public


def test_canonical_bytes_and_hashes(vector: Vector) -> None:
    document, options = vector.json("unsigned"), vector.json("proofConfigJCS")
    assert canonical.encode(document).decode() == vector.text("canonDocJCS")
    assert canonical.encode(options).decode() == vector.text("proofCanonJCS")
    assert sha256(canonical.encode(document)).hexdigest() == vector.text("docHashJCS")
    assert sha256(canonical.encode(options)).hexdigest() == vector.text("proofHashJCS")
    assert hash_data(options, document).hex() == vector.text("combinedHashJCS")


def test_signature(vector: Vector) -> None:
    signature = vector.key.sign(bytes.fromhex(vector.text("combinedHashJCS")))
    assert signature.hex() == vector.text("sigHexJCS")
    assert decode_multibase(vector.text("sigBTC58JCS"), 64) == signature


def test_signed_document_is_reproduced_and_verifies(vector: Vector) -> None:
    options = vector.json("proofConfigJCS")
    signed = add_proof(
        vector.json("unsigned"), vector.key, options["verificationMethod"], options["created"]
    )
    assert signed == vector.json("signedJCS")
    verify_proof(vector.json("signedJCS"), vector.key.public)
