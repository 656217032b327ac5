"""Post-quantum lines for builders whose bytes must not change from one run to the next.

The library signs with fresh randomness (FIPS 204, hedged), so two signatures of one message differ.
Those that vectors hold are therefore kept, by the hash of key name and message, in
tests/vectors/mldsa-signatures.json; a new one is added when vectors are written anew. Whether they
are good is for the verifiers.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from functools import cache
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from merkle.checkpoint import parse_checkpoint
from merkle.cosignature import Cosignature, subtree_message
from merkle.note import KIND_MLDSA, NoteSignature, VerifierKey

KEPT = Path(__file__).resolve().parents[1] / "vectors" / "mldsa-signatures.json"


@cache
def _kept() -> dict[str, str]:
    found: dict[str, str] = json.loads(KEPT.read_text("ascii")) if KEPT.exists() else {}
    return found


_used: set[str] = set()


def _sign(name: str, message: bytes) -> bytes:
    place = sha256(name.encode() + b"\0" + message).hexdigest()
    _used.add(place)
    if place not in _kept():
        _kept()[place] = b64encode(_key(name).sign(message)).decode()
    return b64decode(_kept()[place])


def keep_used() -> None:
    """Write what the vectors need, and nothing else."""
    kept = {place: _kept()[place] for place in sorted(_used)}
    KEPT.write_text(json.dumps(kept, indent=0) + "\n", "ascii")


def _key(name: str) -> MLDSA44PrivateKey:
    return MLDSA44PrivateKey.from_seed_bytes(sha256(f"post-quantum key {name}".encode()).digest())


def mldsa_vkey(name: str) -> VerifierKey:
    """The key of a log or witness under its name."""
    return VerifierKey.make(name, KIND_MLDSA, _key(name).public_key().public_bytes_raw())


def mldsa_line(name: str, text: bytes, seconds: int = 0) -> NoteSignature:
    """Its line on a checkpoint's text; a log's own states the time 0."""
    checkpoint = parse_checkpoint(text.decode())
    message = subtree_message(
        name, checkpoint.origin, checkpoint.root, seconds=seconds, end=checkpoint.size
    )
    line = Cosignature(seconds, _sign(name, message))
    return NoteSignature(name, mldsa_vkey(name).key_id, line.encode())
