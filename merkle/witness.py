"""What a log and a witness say to each other: C2SP tlog-witness 1.0, as pure bytes.

Request, ``POST <submission prefix>/add-checkpoint``:

    old <size that the witness cosigned last, or 0>
    <base64 hash>             0..63 lines: consistency proof from old to the new size; none at old 0
    <empty line>
    <the checkpoint with the log's signature lines, byte for byte>

Answers: 200 with one or more note signature lines; 409 with the size that the witness has, as one
line of type `SIZE_TYPE`. ``GET <monitoring prefix>/`` followed by `checkpoint_path` is the newest
checkpoint that the witness cosigned.

Read here: form only, bytes that are nobody's opinion. Which status a fault deserves, keys, proofs
and what was cosigned before are the witness's matter (`provenance.services.witness`); what to do
with an answer is the log's. Numbers have one spelling: decimal, no leading zero, at most 2^53 − 1.

Source: https://c2sp.org/tlog-witness (1.0 with the edits up to July 2026).
"""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from merkle.checkpoint import MAX_SIZE
from merkle.errors import ArgumentError, MalformedError, WitnessFormError
from merkle.hashing import HASH_SIZE, require_hashes
from merkle.note import (
    MAX_SIGNATURES,
    NoteSignature,
    decode_strict_base64,
    parse_note,
    parse_signature_line,
)

ADD_CHECKPOINT: Final = "add-checkpoint"
"""The call's path below the submission prefix."""
SIZE_TYPE: Final = "text/x.tlog.size"
"""Media type of the body of a 409."""
MAX_PROOF: Final = 63
"""Hashes in the longest consistency proof that may be sent."""

_OLD = re.compile(rb"old (0|[1-9][0-9]{0,15})")
_SIZE = re.compile(rb"(0|[1-9][0-9]{0,15})\n")


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """One request: the size last cosigned, the proof from there, the signed checkpoint's bytes.

    Raises `ArgumentError` for a size out of range, more than 63 hashes, or a hash that is not 32
    bytes. Whether the proof is the right one is not asked here: an old size of 0 with a proof can
    be said, and is refused by the witness.
    """

    old: int
    proof: tuple[bytes, ...]
    checkpoint: bytes

    def __post_init__(self) -> None:
        if not 0 <= self.old <= MAX_SIZE:
            raise ArgumentError(f"old size: expected 0..2^53-1, found {self.old}")
        if len(self.proof) > MAX_PROOF:
            raise ArgumentError(
                f"consistency proof: at most {MAX_PROOF} hashes, found {len(self.proof)}"
            )
        require_hashes(self.proof, "proof hash")

    def encode(self) -> bytes:
        """The request's body; `parse_add_checkpoint` reads it back."""
        lines = [f"old {self.old}", *(b64encode(value).decode("ascii") for value in self.proof)]
        return "".join(f"{line}\n" for line in lines).encode("ascii") + b"\n" + self.checkpoint


def parse_add_checkpoint(data: bytes) -> AddCheckpoint:
    """Read a request's form. Raises `WitnessFormError` naming the line.

    What follows the empty line must be a well-formed signed note; what its text says is not read.
    """
    head, border, checkpoint = data.partition(b"\n\n")
    if not border:
        raise WitnessFormError("request has no empty line before its checkpoint")
    first, *lines = head.split(b"\n")
    match = _OLD.fullmatch(first)
    if match is None or int(match[1]) > MAX_SIZE:
        raise WitnessFormError(
            f"request line 1: expected 'old' and a decimal size without leading zero, "
            f"found {first[:60]!r}"
        )
    if len(lines) > MAX_PROOF:
        raise WitnessFormError(
            f"request has {len(lines)} proof lines, at most {MAX_PROOF} are read"
        )
    proof = tuple(_parse_hash(line, number) for number, line in enumerate(lines, start=2))
    try:
        parse_note(checkpoint)
    except MalformedError as error:
        raise WitnessFormError(f"request's checkpoint: {error}") from error
    return AddCheckpoint(int(match[1]), proof, checkpoint)


def _parse_hash(line: bytes, number: int) -> bytes:
    try:
        value = decode_strict_base64(line.decode("latin-1"))  # no byte above 0x7f is base64
    except ValueError as error:
        raise WitnessFormError(f"request line {number}: {error}") from error
    if len(value) != HASH_SIZE:
        raise WitnessFormError(
            f"request line {number}: expected a hash of 32 bytes, found {len(value)}"
        )
    return value


def checkpoint_path(origin: str) -> str:
    """Where a witness shows its newest checkpoint of a log: ``<hex SHA-256(origin)>/checkpoint``.

    Lower-case hex; the path below the monitoring prefix, without a leading slash.
    """
    return f"{sha256(origin.encode()).hexdigest()}/checkpoint"


def format_size(size: int) -> bytes:
    """The body of a 409: the size last cosigned (0 if none) and a newline."""
    if not 0 <= size <= MAX_SIZE:
        raise ArgumentError(f"size: expected 0..2^53-1, found {size}")
    return b"%d\n" % size


def parse_size(data: bytes) -> int:
    """The size in the body of a 409; `WitnessFormError` for any other bytes, none included."""
    match = _SIZE.fullmatch(data)
    if match is None or int(match[1]) > MAX_SIZE:
        raise WitnessFormError(f"expected one line with a decimal size, found {data[:60]!r}")
    return int(match[1])


def parse_cosignatures(body: bytes) -> tuple[NoteSignature, ...]:
    """The signature lines of a 200, in order, not judged. Raises `WitnessFormError`.

    One to 100 lines. Lines of keys that the reader does not know are its own to pass over.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise WitnessFormError(f"answer is not UTF-8 at byte {error.start}") from error
    if not text.endswith("\n"):
        raise WitnessFormError("answer has no signature line that ends in a newline")
    lines = text[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise WitnessFormError(f"answer has {len(lines)} lines, at most {MAX_SIGNATURES} are read")
    try:
        return tuple(parse_signature_line(line) for line in lines)
    except MalformedError as error:
        raise WitnessFormError(f"answer: {error}") from error
