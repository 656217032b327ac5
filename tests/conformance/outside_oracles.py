"""Asks Python packages by others: run by itself, in the environment that git ignores.

    python outside_oracles.py NAME < question.json > answer.json

Each function below is one NAME. Hashes, files and keys come as base64 or as text; what is answered
is what the package said and nothing of ours.
"""

from __future__ import annotations

import json
import sys
from base64 import b64decode
from pathlib import Path
from types import SimpleNamespace
from typing import Any


def pymerkle_roots(entries: list[str], sizes: list[int]) -> list[str]:
    """RFC 9162 roots over the entries' first `sizes`, in hex."""
    from pymerkle import InmemoryTree

    tree = InmemoryTree(algorithm="sha256")
    for entry in entries:
        tree.append_entry(b64decode(entry))
    return [tree.get_state(size).hex() for size in sizes]


def sigstore_inclusion(entries: list[str], proofs: list[dict[str, Any]]) -> list[bool]:
    """Whether sigstore's Merkle code accepts each inclusion proof."""
    from sigstore._internal.merkle import verify_merkle_inclusion
    from sigstore.errors import VerificationError

    def accepts(proof: dict[str, Any]) -> bool:
        inclusion = SimpleNamespace(
            log_index=proof["Index"],
            tree_size=proof["Size"],
            hashes=[b64decode(value) for value in proof["Path"]],
            root_hash=b64decode(proof["Root"]),
        )
        body = b64decode(entries[proof.get("Entry", proof["Index"])])
        inner = SimpleNamespace(inclusion_proof=inclusion, canonicalized_body=body)
        try:
            verify_merkle_inclusion(SimpleNamespace(_inner=inner))
        except VerificationError:
            return False
        return True

    return [accepts(proof) for proof in proofs]


def aics_proofs(entries: list[str], proofs: dict[str, list[dict[str, Any]]]) -> list[bool]:
    """Whether aics-tlog accepts each inclusion and then each consistency proof."""
    import aics_tlog

    inclusion = [
        aics_tlog.verify_leaf_inclusion(
            b64decode(entries[proof["Index"]]),
            proof["Index"],
            proof["Size"],
            [b64decode(value) for value in proof["Path"]],
            b64decode(proof["Root"]),
        )
        for proof in proofs["Inclusion"]
    ]
    consistency = [
        aics_tlog.verify_consistency(
            proof["Old"],
            proof["New"],
            b64decode(proof["OldRoot"]),
            b64decode(proof["NewRoot"]),
            [b64decode(value) for value in proof["Path"]],
        )
        for proof in proofs["Consistency"]
    ]
    return inclusion + consistency


def aics_flips(mirror: str, keys: list[str], flips: list[list[Any]]) -> list[bool]:
    """Whether aics-tlog refuses the log with each bit flipped; first, that it accepts it as it is.

    A checkpoint by the rules of notes with every witness wanted, tiles and bundles by its audit.
    """
    folder = Path(mirror)
    files = {
        str(file.relative_to(folder)): file.read_bytes()
        for file in [folder / "checkpoint", *(folder / "tile").rglob("*")]
        if file.is_file()
    }
    assert _aics_accepts(files, keys), "aics-tlog refuses what nobody changed"
    refused = []
    for path, offset, mask in flips:
        changed = bytearray(files[path])
        changed[offset] ^= mask
        refused.append(not _aics_accepts({**files, path: bytes(changed)}, keys))
    return refused


def _aics_accepts(files: dict[str, bytes], keys: list[str]) -> bool:
    import aics_tlog as aics

    log, *others = [aics.parse_vkey(key) for key in keys]
    witnesses = [key for key in others if key.key_type == 4]
    try:
        note = aics.parse_note(files["checkpoint"].decode())
        opened = aics.verify_checkpoint(
            note, log, witnesses, len(witnesses), expected_origin=log.name
        )
        if not opened.ok:
            return False
        head = aics.parse_checkpoint(note.text)
        aics.audit_tiles(aics.MemoryTileReader(files), head.size, head.root)
    except (ValueError, KeyError, aics.TileVerificationError, aics.TileMissingError):
        return False
    return True


if __name__ == "__main__":
    ASKED = globals()[sys.argv[1]]
    print(json.dumps(ASKED(**json.load(sys.stdin))))
