"""The witness protocol's bytes: what is written is read back, and nothing else is read."""

from __future__ import annotations

import hashlib
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merkle.errors import ArgumentError, WitnessFormError
from merkle.note import NoteSignature
from merkle.witness import (
    MAX_PROOF,
    AddCheckpoint,
    checkpoint_path,
    format_size,
    parse_add_checkpoint,
    parse_cosignatures,
    parse_size,
)

HASH = hashlib.sha256(b"hash").digest()
LINE = b64encode(HASH) + b"\n"
# The two notes of notes/ledger.md section 1.10 that outside verifiers accepted.
NOTE = (
    "ledger.example/products\n3\n2y7/5k02NSvNTCYL3g4RODEMn3e4nUxXV4ZS+bGFtjA=\n\n"
    "— ledger.example/products A5aOvCWrRjBW3nkshW8f0fHuXwKzyKYMiCRUsOeESae0Eqw9Mg3JaHCh/HkTfC3alG"
    "HnSmQJyh1IlgrAMhw8aFo3jww=\n"
).encode()
COSIGNATURE = (
    "— witness.example/w1 NTS6uAAAAABpVbkAaOOuIkbXHS/iT09isW29T7C+otlsD3QOmgyafqROfS8LuyTPayhUY4G67"
    "Moyb9lFAJEuZIn/J6GyXrq8Ku/UDA==\n"
).encode()


@given(st.integers(0, 2**53 - 1), st.lists(st.binary(min_size=32, max_size=32), max_size=MAX_PROOF))
def test_requests_go_there_and_back(old: int, proof: list[bytes]) -> None:
    request = AddCheckpoint(old, tuple(proof), NOTE)
    assert parse_add_checkpoint(request.encode()) == request


def test_the_bytes_of_a_request_are_those_of_the_specification() -> None:
    assert AddCheckpoint(5, (HASH, HASH), NOTE).encode() == b"old 5\n" + LINE + LINE + b"\n" + NOTE
    assert AddCheckpoint(0, (), NOTE).encode() == b"old 0\n\n" + NOTE


def test_a_checkpoint_may_hold_empty_lines_of_its_own() -> None:
    note = b"o\n\nmore\n\n" + COSIGNATURE
    assert parse_add_checkpoint(b"old 1\n" + LINE + b"\n" + note) == AddCheckpoint(1, (HASH,), note)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "no empty line"),
        (b"old 3\n" + NOTE[:20], "no empty line"),
        (b"\n\n" + NOTE, "line 1"),
        (b"old\n\n" + NOTE, "line 1"),
        (b"old \n\n" + NOTE, "line 1"),
        (b"Old 3\n\n" + NOTE, "line 1"),
        (b"old  3\n\n" + NOTE, "line 1"),
        (b"old 03\n\n" + NOTE, "line 1"),
        (b"old 00\n\n" + NOTE, "line 1"),
        (b"old +3\n\n" + NOTE, "line 1"),
        (b"old -3\n\n" + NOTE, "line 1"),
        (b"old 3 \n\n" + NOTE, "line 1"),
        (b"old 3\r\n\n" + NOTE, "line 1"),
        (b"old \xd9\xa3\n\n" + NOTE, "line 1"),  # a digit, but no ASCII one
        (b"old %d\n\n" % 2**53 + NOTE, "line 1"),
        (b"old 3\n" + LINE * (MAX_PROOF + 1) + b"\n" + NOTE, "64 proof lines"),
        (b"old 3\nnot base64\n\n" + NOTE, "line 2"),
        (b"old 3\n" + LINE + LINE[:-2] + b"\n\n" + NOTE, "line 3"),
        (b"old 3\n" + b64encode(HASH[:31]) + b"\n\n" + NOTE, "found 31"),
        (b"old 3\n" + b64encode(HASH + b"\0") + b"\n\n" + NOTE, "found 33"),
        (b"old 3\n \n" + b"\n" + NOTE, "line 2"),
        (b"old 3\n\xff\n\n" + NOTE, "line 2"),
        (b"old 3\n\n", "checkpoint"),
        (b"old 3\n\n" + NOTE[:-1], "checkpoint"),
        (b"old 3\n\n" + NOTE.partition(b"\n\n")[0] + b"\n\n", "checkpoint"),
        (b"old 3\n\n\xff" + NOTE, "checkpoint"),
    ],
)
def test_anything_else_is_refused_with_its_place(body: bytes, reason: str) -> None:
    with pytest.raises(WitnessFormError, match=reason):
        parse_add_checkpoint(body)


@given(st.binary(max_size=300))
def test_no_bytes_make_the_readers_fail_otherwise(data: bytes) -> None:
    for read in (parse_add_checkpoint, parse_size, parse_cosignatures):
        with pytest.raises(WitnessFormError):
            read(data + b"\xff")  # which ends no valid form


@pytest.mark.parametrize(
    ("old", "proof"), [(-1, ()), (2**53, ()), (1, (HASH,) * 64), (1, (HASH[:31],))]
)
def test_requests_that_nobody_may_send_cannot_be_made(old: int, proof: tuple[bytes, ...]) -> None:
    with pytest.raises(ArgumentError):
        AddCheckpoint(old, proof, NOTE)


def test_the_monitoring_path_is_the_hash_of_the_origin() -> None:
    # printf ledger.example/products | sha256sum
    digest = "258cb9a0f24b60db8a78cf638cc3c43c05cd75c10b8d0e8346a35f7f9b7fc76d"
    assert checkpoint_path("ledger.example/products") == f"{digest}/checkpoint"


@given(st.integers(0, 2**53 - 1))
def test_sizes_go_there_and_back(size: int) -> None:
    assert parse_size(format_size(size)) == size


@pytest.mark.parametrize(
    "body", [b"", b"\n", b"3", b"03\n", b"3\n\n", b" 3\n", b"-3\n", b"3\r\n", b"9007199254740992\n"]
)
def test_no_other_size_is_read(body: bytes) -> None:
    with pytest.raises(WitnessFormError, match="decimal size"):
        parse_size(body)


@pytest.mark.parametrize("size", [-1, 2**53])
def test_no_other_size_is_written(size: int) -> None:
    with pytest.raises(ArgumentError):
        format_size(size)


def test_answers_are_signature_lines() -> None:
    (line,) = parse_cosignatures(COSIGNATURE)
    assert line.format().encode() == COSIGNATURE
    assert (line.name, line.key_id.hex(), len(line.signature)) == (
        "witness.example/w1",
        "3534bab8",
        72,
    )
    other = NoteSignature("else.example", b"\1\2\3\4", b"grease")
    assert parse_cosignatures(COSIGNATURE + other.format().encode()) == (line, other)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "newline"),
        (COSIGNATURE[:-1], "newline"),
        (COSIGNATURE + b"\n", "U\\+2014"),
        (b"\n" + COSIGNATURE, "U\\+2014"),
        (b"200\n", "U\\+2014"),
        (b"\xff" + COSIGNATURE, "UTF-8"),
        (COSIGNATURE * 101, "101 lines"),
    ],
)
def test_no_other_answer_is_read(body: bytes, reason: str) -> None:
    with pytest.raises(WitnessFormError, match=reason):
        parse_cosignatures(body)
