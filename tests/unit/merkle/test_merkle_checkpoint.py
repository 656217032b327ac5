"""Checkpoints, cosignatures and offline receipts: their exact forms."""

from __future__ import annotations

import hashlib
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merkle.checkpoint import Checkpoint, parse_checkpoint, parse_extended_checkpoint
from merkle.cosignature import (
    Cosignature,
    CosignatureSigner,
    CosignatureVerifier,
    SubtreeVerifier,
    cosignature_message,
    decode_cosignature,
    subtree_message,
)
from merkle.errors import (
    ArgumentError,
    CheckpointError,
    CheckpointExtensionError,
    CosignatureError,
    MerkleError,
    NoteSignatureError,
    ProofError,
    ReceiptError,
    ReceiptVerificationError,
)
from merkle.hashing import leaf_hash
from merkle.note import (
    KIND_COSIGNATURE,
    KIND_ED25519,
    KIND_MLDSA,
    VerifierKey,
    open_note,
    sign_note,
)
from merkle.policy import Policy
from merkle.proofs import prove_inclusion
from merkle.receipt import Receipt, parse_receipt, verify_receipt
from merkle.tree import MemoryTree

ROOT = hashlib.sha256(b"root").digest()
B64 = b64encode(ROOT).decode()


def keyed(public_key: bytes, message: bytes) -> bytes:
    return hashlib.sha512(public_key + message).digest()


def check(public_key: bytes, message: bytes, signature: bytes) -> bool:
    return keyed(public_key, message) == signature


# --- checkpoint


@given(st.integers(0, 2**53 - 1), st.binary(min_size=32, max_size=32))
def test_checkpoints_go_there_and_back(size, root):
    checkpoint = Checkpoint("ledger.example/products", size, root)
    assert parse_checkpoint(checkpoint.format()) == checkpoint
    assert parse_extended_checkpoint(checkpoint.format()) == (checkpoint, ())


def test_extension_lines_are_refused_or_kept_apart():
    text = f"o\n5\n{B64}\nextra one\n\u2014 extra two\n"
    assert parse_extended_checkpoint(text) == (
        Checkpoint("o", 5, ROOT),
        ("extra one", "\u2014 extra two"),
    )
    with pytest.raises(
        CheckpointExtensionError, match=r"expected three lines, found .*'extra one'"
    ):
        parse_checkpoint(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "newline"),
        ("o", "newline"),
        (f"o\n5\n{B64}", "newline"),
        ("\n", "found 1 lines"),
        ("o\n5\n", "found 2 lines"),
        (f"\n5\n{B64}\n", "origin"),
        (f"o o\n5\n{B64}\n", "origin"),
        (f"o+o\n5\n{B64}\n", "origin"),
        (f"o\u2003o\n5\n{B64}\n", "origin"),
        (f"o\n\n{B64}\n", "size"),
        (f"o\n05\n{B64}\n", "size"),
        (f"o\n00\n{B64}\n", "size"),
        (f"o\n+5\n{B64}\n", "size"),
        (f"o\n-5\n{B64}\n", "size"),
        (f"o\n 5\n{B64}\n", "size"),
        (f"o\n5 \n{B64}\n", "size"),
        (f"o\n5.0\n{B64}\n", "size"),
        (f"o\n5e1\n{B64}\n", "size"),
        (f"o\n0x5\n{B64}\n", "size"),
        (f"o\n٥\n{B64}\n", "size"),
        (f"o\n{2**53}\n{B64}\n", "size"),
        (f"o\n{10**16}\n{B64}\n", "size"),
        (f"o\n{'9' * 5000}\n{B64}\n", "size"),
        (f"o\n5\n{B64[:-1]}\n", "base64"),
        (f"o\n5\n{B64}=\n", "base64"),
        (f"o\n5\n {B64}\n", "base64"),
        (f"o\n5\n{B64.rstrip('=')}\n", "base64"),
        ("o\n5\n\n", "expected 32 bytes, found 0"),
        (f"o\n5\n{b64encode(ROOT[:-1]).decode()}\n", "expected 32 bytes, found 31"),
        (f"o\n5\n{b64encode(ROOT + b'x').decode()}\n", "expected 32 bytes, found 33"),
        (f"o\n5\n{'A' * 42}B=\n", "canonical"),
        (f"o\n5\n{B64}\n\n", "empty extension line"),
        (f"o\n5\n{B64}\nx\n\ny\n", "empty extension line"),
    ],
)
def test_what_is_no_checkpoint_is_refused(text, reason):
    for parse in (parse_checkpoint, parse_extended_checkpoint):
        with pytest.raises(CheckpointError, match=reason):
            parse(text)


@pytest.mark.parametrize(
    ("origin", "size", "root"),
    [("", 1, ROOT), ("a b", 1, ROOT), ("o", -1, ROOT), ("o", 2**53, ROOT), ("o", 1, ROOT[:-1])],
)
def test_a_checkpoint_that_cannot_be_is_the_callers_mistake(origin, size, root):
    with pytest.raises(ArgumentError):
        Checkpoint(origin, size, root)


def test_empty_and_largest_size():
    assert Checkpoint("o", 0, ROOT).format() == f"o\n0\n{B64}\n"
    assert parse_checkpoint(f"o\n{2**53 - 1}\n{B64}\n").size == 2**53 - 1


# --- cosignature


def signer(name="w.example", number=9, seconds=1000):
    public = bytes([number] * 32)
    return CosignatureSigner(name, public, lambda message: keyed(public, message), lambda: seconds)


def witness_key(name="w.example", number=9):
    return VerifierKey.make(name, KIND_COSIGNATURE, bytes([number] * 32))


TEXT = Checkpoint("o", 5, ROOT).format()


def test_a_cosignature_covers_time_and_every_line():
    data = sign_note(TEXT, [signer()])
    verifier = CosignatureVerifier(witness_key(), check)
    line = open_note(data, [verifier]).verified[0]
    assert decode_cosignature(line.signature) == Cosignature(1000, line.signature[8:])
    assert decode_cosignature(line.signature).encode() == line.signature
    assert len(line.signature) == 72
    later = Cosignature(1001, line.signature[8:]).encode()
    assert not verifier.verify(TEXT.encode(), later)
    assert not verifier.verify((TEXT + "extension\n").encode(), line.signature)
    assert not verifier.verify(TEXT.encode(), line.signature[:-1])
    assert not verifier.verify(TEXT.encode(), line.signature + b"\x00")
    assert not verifier.verify(TEXT.encode(), b"\x80" + line.signature[1:]), "a time above 2^63-1"
    assert (verifier.name, verifier.key_id) == (signer().name, signer().key_id)


@given(st.integers(0, 2**63 - 1))
def test_every_time_goes_there_and_back(seconds):
    data = Cosignature(seconds, bytes(64)).encode()
    assert decode_cosignature(data).seconds == seconds
    expected = f"cosignature/v1\ntime {seconds}\nx\n".encode()
    assert cosignature_message(b"x\n", seconds) == expected


@pytest.mark.parametrize("length", [0, 8, 71, 73, 2427, 2429])
def test_cosignatures_of_another_length_are_refused(length):
    with pytest.raises(CosignatureError, match=f"expected 72 or 2428 bytes, found {length}"):
        decode_cosignature(bytes(length))


def test_times_out_of_range_are_refused():
    with pytest.raises(CosignatureError, match="above 2"):
        decode_cosignature((2**63).to_bytes(8, "big") + bytes(64))
    for seconds in (-1, 2**63):
        with pytest.raises(ArgumentError, match="cosignature time"):
            cosignature_message(b"x\n", seconds)
        with pytest.raises(ArgumentError, match="cosignature time"):
            Cosignature(seconds, bytes(64)).encode()


def test_the_subtree_message_by_its_layout():
    message = subtree_message("w", "origin", ROOT, seconds=7, end=9)
    assert message == (
        b"subtree/v1\n\0" + b"\x01w" + (7).to_bytes(8, "big") + b"\x06origin"
        + bytes(8) + (9).to_bytes(8, "big") + ROOT
    )  # fmt: skip
    inner = subtree_message("w", "o", ROOT, seconds=0, start=4, end=8)
    assert inner[-48:-32] == (4).to_bytes(8, "big") + (8).to_bytes(8, "big")


@pytest.mark.parametrize(
    ("arguments", "bounds"),
    [
        (("", "o", ROOT), {"seconds": 1, "end": 1}),
        (("w" * 256, "o", ROOT), {"seconds": 1, "end": 1}),
        (("w", "", ROOT), {"seconds": 1, "end": 1}),
        (("w", "o", ROOT[1:]), {"seconds": 1, "end": 1}),
        (("w", "o", ROOT), {"seconds": -1, "end": 1}),
        (("w", "o", ROOT), {"seconds": 2**63, "end": 1}),
        (("w", "o", ROOT), {"seconds": 1, "start": 4, "end": 8}),
        (("w", "o", ROOT), {"seconds": 0, "start": 9, "end": 8}),
        (("w", "o", ROOT), {"seconds": 0, "start": -1, "end": 8}),
        (("w", "o", ROOT), {"seconds": 0, "end": 2**64}),
    ],
)
def test_subtree_messages_out_of_range_are_refused(arguments, bounds):
    with pytest.raises(ArgumentError):
        subtree_message(*arguments, **bounds)


def test_a_key_of_another_kind_makes_no_cosignature_verifier():
    plain = VerifierKey.make("w", KIND_ED25519, bytes(32))
    with pytest.raises(ArgumentError, match="expected 0x04"):
        CosignatureVerifier(plain, check)
    with pytest.raises(ArgumentError, match="expected 0x06"):
        SubtreeVerifier(plain, check)
    mldsa = SubtreeVerifier(VerifierKey.make("w", KIND_MLDSA, bytes(1312)), check)
    assert (mldsa.name, mldsa.key_id) == ("w", mldsa.key.key_id)
    assert not mldsa.verify(b"\xff\n", bytes(8 + 2420))


# --- receipt


class LogSigner:
    def __init__(self, name="log.example", number=1):
        self.public = bytes([number] * 32)
        self.key = VerifierKey.make(name, KIND_ED25519, self.public)
        self.name, self.key_id = name, self.key.key_id

    def sign(self, text: bytes) -> bytes:
        return keyed(self.public, text)


LOG = LogSigner()
POLICY = Policy.parse(f"log {LOG.key.format()}\nwitness w {witness_key().format()}\nquorum w\n")
TREE = MemoryTree()
TREE.extend(leaf_hash(b"entry %d" % i) for i in range(9))
CHECKPOINT = sign_note(Checkpoint(LOG.name, 9, TREE.root()).format(), [LOG, signer()])


def receipt_of(index, checkpoint=CHECKPOINT, extra=None):
    return Receipt(index, tuple(prove_inclusion(index, 9, TREE)), checkpoint, extra)


@pytest.mark.parametrize("extra", [None, b"", b"anything", bytes(range(256))])
def test_receipts_go_there_and_back_and_verify(extra):
    for index in range(9):
        receipt = receipt_of(index, extra=extra)
        assert parse_receipt(receipt.format()) == receipt
        verify_receipt(receipt, leaf_hash(b"entry %d" % index), POLICY, check)


def test_receipts_that_prove_nothing_are_refused_by_reason():
    leaf = leaf_hash(b"entry 1")
    text = Checkpoint(LOG.name, 9, TREE.root()).format()
    elsewhere = LogSigner("elsewhere.example", 2)
    for checkpoint, error, reason in [
        (sign_note(text, [LOG]), ReceiptVerificationError, "do not reach the quorum w"),
        (sign_note(text, [signer()]), ReceiptVerificationError, "no signature by the log"),
        (
            sign_note(text, [LOG, signer("stranger.example", 8)]),
            ReceiptVerificationError,
            "do not reach the quorum",
        ),
        (
            sign_note(text.replace(LOG.name, elsewhere.name), [elsewhere, signer()]),
            ReceiptVerificationError,
            "knows no log",
        ),
        (CHECKPOINT.replace(b"\n9\n", b"\n8\n"), NoteSignatureError, r"log\.example"),
        (sign_note(text + "extension\n", [LOG, signer()]), ReceiptError, "extension"),
        (sign_note("no checkpoint\n", [LOG, signer()]), ReceiptError, "checkpoint"),
    ]:
        with pytest.raises(error, match=reason):
            verify_receipt(receipt_of(1, checkpoint), leaf, POLICY, check)
    with pytest.raises(ProofError):
        verify_receipt(receipt_of(2), leaf, POLICY, check)
    with pytest.raises(ReceiptError):
        verify_receipt(receipt_of(1, b"no note"), leaf, POLICY, check)


def test_a_post_quantum_log_key_may_also_be_a_witness():
    """One key, one judge: the reader's policy was no mistake, and the receipt is good."""
    key = VerifierKey.make(LOG.name, KIND_MLDSA, bytes(1312)).format()
    policy = Policy.parse(f"log {LOG.key.format()}\nlog {key}\nwitness pq {key}\nquorum none\n")
    verify_receipt(receipt_of(1), leaf_hash(b"entry 1"), policy, check, check)


GOOD = receipt_of(1).format()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no empty line"),
        (GOOD.replace(b"\n\n", b"\n"), "no empty line"),
        (GOOD.replace(b"@v1", b"@v2"), "expected the first line"),
        (b"\n" + GOOD, "expected the first line"),
        (GOOD.replace(b"index 1", b"index 01"), "index 42"),
        (GOOD.replace(b"index 1", b"index -1"), "index 42"),
        (GOOD.replace(b"index 1", b"index  1"), "index 42"),
        (GOOD.replace(b"index 1", b"index"), "index 42"),
        (GOOD.replace(b"index 1", b"Index 1"), "index 42"),
        (GOOD.replace(b"index 1", b"index %d" % 2**53), "index 42"),
        (GOOD.replace(b"index 1", b"index 1\nindex 1"), "path hash"),
        (GOOD.replace(b"index 1\n", b"index 1\nAAAA\n"), "expected 32 bytes, found 3"),
        (GOOD.replace(b"index 1\n", b"index 1\n" + B64.encode() + b"\r\n"), "base64"),
        (GOOD.replace(b"index 1\n", b"index 1\n" + (B64.encode() + b"\n") * 64), "at most 63"),
        (GOOD.replace(b"index 1", b"extra AAA\nindex 1"), "extra: not base64"),
        (GOOD.replace(b"index 1", b"extra AAAB\nextra AAAB\nindex 1"), "index 42"),
        (GOOD.replace(b"index 1", b"index 1\nextra AAAB"), "path hash"),
        (GOOD.replace(b"index 1", "index 1\u00a0".encode()), "not ASCII"),
        (b"c2sp.org/tlog-proof@v1\n\n" + CHECKPOINT, "index 42"),
        (GOOD[: GOOD.index(b"\n\n") + 2], "receipt's checkpoint"),
        (GOOD[:-1], "receipt's checkpoint"),
        (GOOD + b"\n", "receipt's checkpoint"),
    ],
)
def test_what_is_no_receipt_is_refused(data, reason):
    with pytest.raises(ReceiptError, match=reason):
        parse_receipt(data)


def test_no_changed_byte_of_a_receipt_lets_another_claim_through():
    """Each byte changed is refused: with one log and one witness asked for, all bytes count."""
    leaf = leaf_hash(b"entry 1")
    accepted = 0
    for place in range(len(GOOD)):
        changed = GOOD[:place] + bytes([GOOD[place] ^ 1]) + GOOD[place + 1 :]
        try:
            verify_receipt(parse_receipt(changed), leaf, POLICY, check)
        except MerkleError:
            continue
        accepted += 1
    assert accepted == 0
