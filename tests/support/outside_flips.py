"""Which single bits are flipped, and what our own software says of each.

Ours are the product's functions and no others: the checkpoint and the passport go to the verifier,
tiles and entry bundles to the auditor's tree, map deltas to the replay that a map-aware witness
runs, older partial files (which no reader asks for any more) to fsck's comparison.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from merkle.errors import MerkleError
from merkle.hashing import leaf_hash
from merkle.note import KIND_MLDSA, VerifierKey, open_note, parse_note
from merkle.receipt import parse_receipt, verify_receipt
from merkle.tiles import parse_path
from provenance.crypto.mldsa import verify_mldsa
from provenance.crypto.signing import verify_ed25519
from provenance.domain.chain import Link
from provenance.domain.delta import decode_delta, parse_delta_path, replay
from provenance.domain.errors import DomainError
from provenance.domain.ledger import MapHead, decode_entry
from provenance.domain.log_source import LogFileMissingError
from provenance.services.auditing_tree import ServedTree
from provenance.services.checking_log import compare_leftovers
from provenance.storage.tiles import TileMissingError
from provenance.verify import Verdict, verify_bundle
from provenance.verify.checkpoints import read_checkpoint, require_quorum, verify_lines
from provenance.verify.refusal import RefusedError
from tests.support.outside import Flip
from tests.support.outside_ledger import OutsideLedger, is_current
from tests.support.served import now

BUDGET = {
    "checkpoint": 10**9,
    "tile": 2_500,
    "bundle": 1_500,
    "delta": 1_200,
    "passport": 900,
    "receipt": 400,
}
"""Flips for one file, about. A smaller file has every one of its bits flipped."""


def flips_of(path: str, kind: str, data: bytes) -> list[Flip]:
    """Every bit if that fits the budget; else bytes at an even distance, their bits in turn.

    Of a bundle, also the two length bytes in front of each entry; the distance is never a multiple
    of the length of a hash, so that every place inside one comes up.
    """
    budget = BUDGET[kind]
    if 8 * len(data) <= budget:
        return [Flip(path, place, 1 << bit) for place in range(len(data)) for bit in range(8)]
    step = max(1, len(data) // budget)
    step += step > 1 and step % 2 == 0
    places = set(range(0, len(data), step)) | {len(data) - 1}
    if kind == "bundle":
        places |= {place + i for place in _entries_begin(data) for i in range(2)}
    return [Flip(path, place, 1 << (number % 8)) for number, place in enumerate(sorted(places))]


def _entries_begin(data: bytes) -> Iterator[int]:
    place = 0
    while place < len(data):
        yield place
        place += 2 + int.from_bytes(data[place : place + 2])


class _Changed:
    """The mirrored files with one of them changed: an auditor's source and fsck's store."""

    url = "mirror"

    def __init__(self, files: Mapping[str, bytes], path: str = "", data: bytes = b"") -> None:
        self._files, self._path, self._data = files, path, data

    def read(self, path: str, most: int = 0) -> bytes:
        name = path.removeprefix("log/")
        if name == self._path:
            return self._data
        if name not in self._files:
            raise LogFileMissingError(name) if most else TileMissingError(name)
        return self._files[name]

    def paths(self) -> Iterator[str]:
        yield self._path


class Ours:
    """Our verifier, auditor and fsck: `objection` is what they have against a flipped file."""

    def __init__(self, ledger: OutsideLedger) -> None:
        self._ledger = ledger
        self._now = now()
        self._plain: dict[str, bytes] = {}

    def objection(self, flip: Flip) -> str:
        """Why it is refused; empty if nobody noticed."""
        data = flip.apply(self._ledger.bytes_of(flip.path))
        kind = self._ledger.kind_of(flip.path)
        if kind == "passport":
            return self._passport(flip.path, data)
        check: Any = {
            "checkpoint": self._checkpoint,
            "tile": self._tile,
            "bundle": self._bundle,
            "delta": self._delta,
            "receipt": self._receipt,
        }[kind]
        try:
            check(flip.path, data)
        except (DomainError, MerkleError, RefusedError, UnicodeDecodeError) as error:
            return str(error) or type(error).__name__
        return ""

    def _checkpoint(self, path: str, data: bytes) -> None:
        policy = self._ledger.policy
        checkpoint = read_checkpoint(data.decode(), policy)
        require_quorum(verify_lines(data.decode(), checkpoint, policy), policy)
        self._require_all_lines(data)

    def _require_all_lines(self, data: bytes) -> None:
        """A reader passes over lines of keys that it does not know; here all are known.

        Without this a flip in the key id of a line that no quorum asks for (the log's post-quantum
        one) would be seen by nobody, as the rules of notes want it.
        """
        policy = self._ledger.policy
        verifiers = [
            *policy.log_verifiers(self._ledger.origin, verify_ed25519, verify_mldsa),
            *policy.witness_verifiers(verify_ed25519, verify_mldsa),
        ]
        if len(open_note(data, verifiers).verified) != len(verifiers):
            raise DomainError("a line is not one of a known key")

    def _passport(self, path: str, data: bytes) -> str:
        """Refused, or something told that is not told of the passport as it was served."""
        verdict = self._verdict(data)
        if verdict.record != "verified":
            return f"{verdict.reason} at {verdict.place}"
        if path not in self._plain:
            self._plain[path] = self._verdict(self._ledger.bytes_of(path)).encode()
        if verdict.encode() != self._plain[path]:
            return "another verdict"
        try:
            self._require_all_lines(json.loads(data)["checkpoint"].encode())
        except (DomainError, MerkleError) as error:
            return str(error)
        return ""

    def _verdict(self, data: bytes) -> Verdict:
        return verify_bundle(data, self._ledger.policy, now=self._now)

    def _receipt(self, path: str, data: bytes) -> None:
        receipt = parse_receipt(data)
        if receipt.format() != data:
            raise DomainError("not written in the one way")
        leaf = leaf_hash(receipt.extra or b"")  # the entry that it brings along
        verify_receipt(receipt, leaf, self._ledger.policy, verify_ed25519, verify_mldsa)
        self._require_all_lines(receipt.checkpoint)

    def _tile(self, path: str, data: bytes) -> None:
        if not is_current(path, self._ledger.checkpoint.size):
            return self._leftover(path, data)
        address = parse_path(path)
        assert address.level is not None
        tree = ServedTree(_Changed(self._ledger.files, path, data), self._ledger.checkpoint)
        tree.tile(address.level, address.index)
        return None

    def _bundle(self, path: str, data: bytes) -> None:
        if not is_current(path, self._ledger.checkpoint.size):
            return self._leftover(path, data)
        tree = ServedTree(_Changed(self._ledger.files, path, data), self._ledger.checkpoint)
        tree.bundle(parse_path(path).index)
        return None

    def _leftover(self, path: str, data: bytes) -> None:
        store: Any = _Changed(self._ledger.files, path, data)
        compare_leftovers(store, self._ledger.checkpoint.size, (), lambda _what, _count: None)

    def _delta(self, path: str, data: bytes) -> None:
        index = parse_delta_path(path)
        before, links, start = self._steps[index]
        after = replay(decode_delta(data), before, links, start)
        if after.encode() != self._ledger.entries[index]:
            raise DomainError("another map head")

    @cached_property
    def _steps(self) -> dict[int, tuple[MapHead | None, list[Link], int]]:
        """By index of a map head: the one before it, the links in between, where they begin."""
        steps: dict[int, tuple[MapHead | None, list[Link], int]] = {}
        before: MapHead | None = None
        links: list[Link] = []
        for index, entry in enumerate(self._ledger.entries):
            found = decode_entry(entry)
            if isinstance(found, Link):
                links.append(found)
            elif isinstance(found, MapHead):
                steps[index] = (before, links, index - len(links))
                before, links = found, []
        return steps


def coarse(flips: list[Flip], number: int) -> list[Flip]:
    """About `number` of them, the first and the last included: for tools that are slow to ask."""
    step = max(1, (len(flips) - 1) // max(1, number - 1))
    return flips[::step][:number]


def current_files(ledger: OutsideLedger) -> list[str]:
    """The checkpoint and what it implies: the files that other readers of tile logs ask for."""
    tiles = [path for path in ledger.files if path.startswith("tile/")]
    return ["checkpoint", *(path for path in tiles if is_current(path, ledger.checkpoint.size))]


def read_by(ledger: OutsideLedger, flips: list[Flip], keys: list[VerifierKey]) -> list[Flip]:
    """Of a checkpoint's flips those in its text or in a line of these keys: what a tool reads.

    The end of each line is left out, since some base64 readers pass over its unused bits.
    """
    if flips[0].path != "checkpoint":
        return flips
    data = ledger.files["checkpoint"]
    read = [range(data.index(b"\n\n"))]
    for line in parse_note(data).signatures:
        if any((line.name, line.key_id) == (key.name, key.key_id) for key in keys):
            text = line.format().rstrip("\n").encode()
            begin = data.index(text)
            read.append(range(begin, begin + len(text) - 3))
    return [flip for flip in flips if any(flip.offset in part for part in read)]


def ed25519_keys(ledger: OutsideLedger) -> list[VerifierKey]:
    """The keys of the log and of its cosigners that a tool without ML-DSA knows."""
    keys = [VerifierKey.parse(key) for key in ledger.keys]
    return [key for key in keys if key.kind != KIND_MLDSA]
