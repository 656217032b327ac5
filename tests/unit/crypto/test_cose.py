"""COSE receipts: the vector of the reference notes, every flipped bit, an outside reader."""

from __future__ import annotations

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from scitt_cose import verify_receipt

from merkle.hashing import leaf_hash
from merkle.proofs import inclusion_path
from merkle.tree import root_of
from provenance.crypto.cose import (
    MAX_RECEIPT_BYTES,
    CoseReceiptError,
    decode_receipt,
    format_pem,
    parse_pem,
    read_receipt_key,
    receipt_key_note,
    sign_receipt,
)
from provenance.crypto.signing import NoteSigner, PrivateKey, note_verifier

# Event-1 of five, under the log seed of the vectors: accepted by scitt-cose 0.5, 192 bytes.
KEY = PrivateKey.from_seed(
    bytes.fromhex("b1204e09ed7a352c3be71f4dd08dcebc024ba82fe3ece49239e76722b0b0abb6")
)
VECTOR = bytes.fromhex(
    "d28447a2012719018b01a119018ca12081586a8305018358206734db3b19b64dc83703f9a1f4aee7697dfb292f"
    "b4e0827cc63f8a351b1b36095820f5fe90a9b29356cba4df66363ec8b299b98f63908c557961a27c25d9550b2e"
    "fd5820ae323974ae1f47cdb246eb83b8706366d43c64ad0faf480c79eacb9cf4a7e8a7f658401e12135a5e60f1"
    "520a5e54be419613541bef84cbc2f5455e3b2c6a5c8507363df76a3752c3e395bb14a1634f6e849088c7a4f287"
    "55a174d1c6490bec0f782a07"
)
ENTRIES = [b"event-%d" % number for number in range(5)]
LEAVES = [leaf_hash(entry) for entry in ENTRIES]
ROOT = root_of(LEAVES)


PEM = format_pem(KEY.public)


def outside(receipt: bytes, entry: bytes) -> bool:
    """What scitt-cose says, which hashes the entry itself."""
    return bool(verify_receipt(receipt, leaf_entry_hex=entry.hex(), log_public_key_pem=PEM).ok)


def ours(receipt: bytes, leaf: bytes) -> bool:
    """What we say."""
    try:
        decode_receipt(receipt).verify(leaf, KEY.public)
    except CoseReceiptError:
        return False
    return True


def make(index: int, size: int) -> bytes:
    leaves = LEAVES[:size]
    path = inclusion_path(leaves, index)
    return sign_receipt(KEY, size=size, index=index, path=path, root=root_of(leaves)).encode()


def test_the_vector_is_made_byte_for_byte():
    assert len(VECTOR) == 192
    assert make(1, 5) == VECTOR
    assert decode_receipt(VECTOR).encode() == VECTOR
    assert decode_receipt(VECTOR).verify(LEAVES[1], KEY.public) == ROOT


@pytest.mark.parametrize(("index", "size"), [(i, n) for n in range(2, 6) for i in range(n)])
def test_an_outside_reader_takes_each_receipt_for_its_leaf_alone(index, size):
    receipt = make(index, size)
    for number, entry in enumerate(ENTRIES):
        expected = number == index
        assert outside(receipt, entry) is expected
        assert ours(receipt, leaf_hash(entry)) is expected


def test_every_flipped_bit_is_refused_but_in_what_the_format_does_not_sign():
    passed: dict[str, set[int]] = {"ours": set(), "outside": set()}
    for place in range(len(VECTOR)):
        for bit in range(8):
            altered = bytearray(VECTOR)
            altered[place] ^= 1 << bit
            if ours(bytes(altered), LEAVES[1]):
                passed["ours"].add(place)
            if outside(bytes(altered), ENTRIES[1]):
                passed["outside"].add(place)
    # Byte 20 is the tree's size: RFC 9942 signs the root alone, and the path of leaf 1 has the same
    # shape in trees of 5 to 8 leaves. The claim stays the same: this leaf is under that root.
    assert VECTOR[20] == 5
    assert passed == {"ours": {20}, "outside": {20}}


def test_another_key_is_refused():
    other = PrivateKey.from_seed(bytes(32)).public
    with pytest.raises(CoseReceiptError, match="not signed by this key"):
        decode_receipt(VECTOR).verify(LEAVES[1], other)


def test_a_tree_of_one_leaf_is_refused_clearly():
    with pytest.raises(CoseReceiptError, match="one leaf has no COSE receipt"):
        sign_receipt(KEY, size=1, index=0, path=(), root=LEAVES[0])


def respelt(**changes):
    tag = cbor2.loads(VECTOR)
    protected, unprotected, payload, signature = tag.value
    proof = changes.get("proof", unprotected[396][-1][0])
    parts = [
        changes.get("protected", protected),
        changes.get("unprotected", {396: {-1: [proof]}}),
        changes.get("payload", payload),
        changes.get("signature", signature),
    ]
    return cbor2.dumps(cbor2.CBORTag(changes.get("tag", 18), parts))


PATH = list(decode_receipt(VECTOR).path)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        VECTOR + b"\0",
        VECTOR[:-1],
        bytes(MAX_RECEIPT_BYTES + 1),
        b"\x81" * 4_000,  # depth
        cbor2.dumps(18),
        cbor2.dumps(cbor2.CBORTag(18, {})),
        respelt(tag=98),
        respelt(protected=cbor2.dumps({1: -19, 395: 1})),
        respelt(protected=cbor2.dumps({1: -8, 395: 2})),
        respelt(payload=ROOT),
        respelt(unprotected={}),
        respelt(unprotected={396: {-2: [cbor2.dumps([3, 5, PATH])]}}),
        respelt(unprotected={396: {-1: []}}),
        respelt(unprotected={396: {-1: [cbor2.dumps([5, 1, PATH])] * 2}}),
        respelt(unprotected={396: {-1: [cbor2.dumps([5, 1, PATH])]}, 4: b"key id"}),
        respelt(proof=cbor2.dumps([5, 1, []])),
        respelt(proof=cbor2.dumps([5, 1, [b"short"]])),
        respelt(proof=cbor2.dumps([5, 1, PATH * 22])),
        respelt(proof=cbor2.dumps([5, True, PATH])),
        respelt(proof=cbor2.dumps([5, -1, PATH])),
        respelt(proof=cbor2.dumps([2**53, 1, PATH])),
        respelt(proof=cbor2.dumps([5, 1, PATH, 0])),
        respelt(proof=cbor2.dumps([5, 1, PATH]) + b"\0"),
        respelt(proof=b"\x83\x18\x05\x01" + cbor2.dumps(PATH)),  # 5 in two bytes
        respelt(signature="text"),
    ],
)
def test_other_forms_are_refused(data):
    with pytest.raises(CoseReceiptError):
        decode_receipt(data)


def test_a_path_that_does_not_fit_the_size_is_refused():
    receipt = decode_receipt(respelt(proof=cbor2.dumps([5, 1, PATH[:2]])))
    with pytest.raises(CoseReceiptError, match="path is wrong"):
        receipt.verify(LEAVES[1], KEY.public)


# --- the key --------------------------------------------------------------------------------------

LOG = NoteSigner("log.example/1", PrivateKey.from_seed(bytes(range(32))))
JUDGES = [note_verifier(LOG.vkey)]


def test_the_key_is_read_back_from_the_logs_note():
    note = receipt_key_note(LOG, KEY.public)
    assert read_receipt_key(note, "log.example/1", JUDGES) == KEY.public


def test_a_note_about_something_else_names_no_key():
    note = receipt_key_note(LOG, KEY.public)
    with pytest.raises(CoseReceiptError, match="does not name the receipt key"):
        read_receipt_key(note, "log.example/2", JUDGES)
    stranger = NoteSigner("log.example/1", KEY)
    with pytest.raises(CoseReceiptError, match="not signed by the log"):
        read_receipt_key(receipt_key_note(stranger, KEY.public), "log.example/1", JUDGES)


def test_a_key_of_another_kind_is_refused():
    key = generate_private_key(SECP256R1()).public_key()
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    for text in (pem, "no PEM"):
        with pytest.raises(CoseReceiptError):
            parse_pem(text)
