"""One file that proves an entry offline: C2SP tlog-proof (extension ``.tlog-proof``).

Wire form:

    c2sp.org/tlog-proof@v1
    extra <base64>            optional and NOT authenticated
    index <i>
    <base64 hash>             0 or more: the inclusion path, the leaf's sibling first
    <empty line>
    <the checkpoint with its signature and cosignature lines, byte for byte>

How an application's entry becomes a leaf hash is the application's rule. A receipt proves that the
entry is in the log, never that nothing else is.

Source: https://c2sp.org/tlog-proof.
"""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass
from typing import Final

from merkle.checkpoint import MAX_SIZE, Checkpoint, parse_checkpoint
from merkle.errors import MalformedError, ReceiptError, ReceiptVerificationError
from merkle.hashing import HASH_SIZE
from merkle.note import VerifyFunction, decode_strict_base64, open_note, parse_note
from merkle.policy import Policy
from merkle.proofs import verify_inclusion

HEADER: Final = "c2sp.org/tlog-proof@v1"
MAX_PATH: Final = 63
"""Hashes in the path of a leaf of the largest tree."""

_INDEX = re.compile(r"index (0|[1-9][0-9]{0,15})")


@dataclass(frozen=True, slots=True)
class Receipt:
    """Leaf `index`, its inclusion `path`, the signed `checkpoint`, and `extra` bytes or None."""

    index: int
    path: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes | None = None

    def format(self) -> bytes:
        """The receipt's bytes; `parse_receipt` reads them back."""
        lines = [HEADER]
        if self.extra is not None:
            lines.append(f"extra {b64encode(self.extra).decode('ascii')}")
        lines.append(f"index {self.index}")
        lines += [b64encode(value).decode("ascii") for value in self.path]
        return "".join(f"{line}\n" for line in lines).encode("ascii") + b"\n" + self.checkpoint


def parse_receipt(data: bytes) -> Receipt:
    """Read a receipt's form; judges nothing. Raises `ReceiptError`."""
    head, border, checkpoint = data.partition(b"\n\n")
    if not border:
        raise ReceiptError("receipt has no empty line before its checkpoint")
    try:
        header, *lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise ReceiptError(f"receipt is not ASCII at byte {error.start}") from error
    if header != HEADER:
        raise ReceiptError(f"receipt: expected the first line {HEADER!r}, found {header[:60]!r}")
    extra = None
    if lines and lines[0].startswith("extra "):
        extra = _decode(lines.pop(0).removeprefix("extra "), "extra")
    match = _INDEX.fullmatch(lines[0]) if lines else None
    if match is None or int(match[1]) > MAX_SIZE:
        raise ReceiptError("receipt: expected a line such as 'index 42' after the header")
    if len(lines) - 1 > MAX_PATH:
        raise ReceiptError(f"receipt has {len(lines) - 1} path hashes, at most {MAX_PATH} can be")
    path = tuple(_decode(line, "path hash", HASH_SIZE) for line in lines[1:])
    try:
        parse_note(checkpoint)
    except MalformedError as error:
        raise ReceiptError(f"receipt's checkpoint: {error}") from error
    return Receipt(int(match[1]), path, checkpoint, extra)


def _decode(text: str, what: str, size: int | None = None) -> bytes:
    try:
        data = decode_strict_base64(text)
    except ValueError as error:
        raise ReceiptError(f"receipt, {what}: {error}") from error
    if size is not None and len(data) != size:
        raise ReceiptError(f"receipt, {what}: expected {size} bytes, found {len(data)}")
    return data


def verify_receipt(
    receipt: Receipt,
    leaf_hash: bytes,
    policy: Policy,
    verify_ed25519: VerifyFunction,
    verify_mldsa: VerifyFunction | None = None,
) -> None:
    """Raise unless the policy accepts the checkpoint and the path leads from the leaf to its root.

    In this order: `ReceiptError` (no checkpoint), `ReceiptVerificationError` (origin unknown, no
    signature by the log, quorum not reached), `NoteSignatureError`, `ProofError`. Times are not
    judged here: `Policy.latest_time` tells how fresh the checkpoint is.
    """
    checkpoint = _read_checkpoint(receipt)
    logs = policy.log_verifiers(checkpoint.origin, verify_ed25519, verify_mldsa)
    if not logs:
        raise ReceiptVerificationError(f"the policy knows no log {checkpoint.origin}")
    witnesses = policy.witness_verifiers(verify_ed25519, verify_mldsa)
    # By name and id: a post-quantum log key may also stand as a witness's.
    judges = {(judge.name, judge.key_id): judge for judge in (*witnesses, *logs)}
    opened = open_note(receipt.checkpoint, judges.values())
    log_keys = {(judge.name, judge.key_id) for judge in logs}
    if not any((line.name, line.key_id) in log_keys for line in opened.verified):
        raise ReceiptVerificationError(f"no signature by the log {checkpoint.origin} itself")
    names = {w.name for line in opened.verified if (w := policy.witness_of(line)) is not None}
    if not policy.is_satisfied(names):
        raise ReceiptVerificationError(
            f"cosignatures do not reach the quorum {policy.quorum}; found: {sorted(names)}"
        )
    verify_inclusion(leaf_hash, receipt.index, checkpoint.size, receipt.path, checkpoint.root)


def _read_checkpoint(receipt: Receipt) -> Checkpoint:
    try:
        return parse_checkpoint(parse_note(receipt.checkpoint).text)
    except MalformedError as error:
        raise ReceiptError(f"receipt's checkpoint: {error}") from error
