"""`merkle` against data of others: RFC 9162 proofs, torchwood's map, and one log that the outside
verifiers of notes/ledger.md section 2 accepted, byte for byte.

Files are read in place; each test says how many cases it saw.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode, b64encode
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed25519, mldsa

from merkle.checkpoint import Checkpoint, parse_checkpoint
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
    MapProofError,
    NoteError,
    NoteSignatureError,
    ProofError,
)
from merkle.hashing import leaf_hash
from merkle.keymap import KeyMap, verify_absence, verify_presence
from merkle.note import (
    KIND_COSIGNATURE,
    KIND_ED25519,
    KIND_MLDSA,
    Ed25519Verifier,
    NoteSignature,
    SignerKey,
    VerifierKey,
    open_note,
    parse_note,
    sign_note,
)
from merkle.policy import Policy
from merkle.proofs import (
    prove_consistency,
    prove_inclusion,
    verify_consistency,
    verify_inclusion,
)
from merkle.receipt import Receipt, parse_receipt, verify_receipt
from merkle.tiles import TileAddress, encode_bundle, tile_hashes
from merkle.tree import MemoryTree

# --- transparency-dev/merkle: 98 inclusion and 98 consistency cases, one defect a file

STAND_INS = "consistency/additional/sizes-are-equal-one-and-proof-is-empty.json"
"""Valid for its authors, but its roots are stand-ins of 12 bytes: we rightly refuse it."""

TRAPS = {  # what a textbook verifier accepts wrongly, and our reason for refusing
    "inclusion/single-entry/empty-root-and-leaf.json": "root: expected 32 bytes, found 0",
    "consistency/additional/size1-is-zero-and-does-not-equal-size2.json": "no consistency proof",
    "consistency/additional/size1-is-zero-and-size2-is-not-zero.json": "no consistency proof",
    "consistency/additional/sizes-are-equal-zero-and-proof-is-empty.json": "no consistency proof",
}


def load(folder: Path, kind: str) -> dict[str, dict]:
    found = sorted((folder / kind).rglob("*.json"))
    return {
        str(path.relative_to(folder)): json.loads(path.read_text(encoding="utf-8"))
        for path in found
    }


def run_inclusion(case: dict) -> None:
    proof = [b64decode(value) for value in case["proof"] or ()]
    leaf, root = b64decode(case["leafHash"] or ""), b64decode(case["root"] or "")
    verify_inclusion(leaf, case["leafIdx"], case["treeSize"], proof, root)


def run_consistency(case: dict) -> None:
    proof = [b64decode(value) for value in case["proof"] or ()]
    roots = b64decode(case["root1"] or ""), b64decode(case["root2"] or "")
    verify_consistency(case["size1"], case["size2"], *roots, proof)


@pytest.mark.parametrize(
    ("kind", "run", "total", "valid"),
    [("inclusion", run_inclusion, 98, 6), ("consistency", run_consistency, 98, 6)],
)
def test_rfc_9162_proofs_are_judged_as_their_authors_do(shared, kind, run, total, valid):
    cases = load(shared / "vectors/merkle", kind)
    assert len(cases) == total
    assert sum(not case["wantErr"] for case in cases.values()) == valid
    for name, case in cases.items():
        if case["wantErr"] or name == STAND_INS:
            with pytest.raises(ProofError):
                run(case)
        else:
            run(case)


def test_the_one_exception_is_refused_for_its_12_byte_roots(shared):
    case = json.loads((shared / "vectors/merkle" / STAND_INS).read_text(encoding="utf-8"))
    assert not case["wantErr"]
    with pytest.raises(ProofError, match="old root: expected 32 bytes, found 12"):
        run_consistency(case)


@pytest.mark.parametrize("name", TRAPS)
def test_the_four_traps_are_refused_for_the_right_reason(shared, name):
    case = json.loads((shared / "vectors/merkle" / name).read_text(encoding="utf-8"))
    assert case["wantErr"]
    run = run_inclusion if name.startswith("inclusion") else run_consistency
    with pytest.raises(ProofError, match=TRAPS[name]):
        run(case)


# --- torchwood's Merkle-Patricia map


def test_map_roots_are_those_of_torchwood(shared):
    data = json.loads((shared / "vectors/mpt/treehash.json").read_text(encoding="utf-8"))
    assert len(data["cases"]) == 9
    computed = 0
    for case in data["cases"]:
        items = [(bytes.fromhex(e["key"]), bytes.fromhex(e["value"])) for e in case["entries"]]
        if any(len(key) != 32 for key, _ in items):
            with pytest.raises(ArgumentError, match="expected 32 bytes, found 1"):
                KeyMap.build(items)
            continue
        stepwise = KeyMap()
        for key, value in reversed(items):
            stepwise.set(key, value)
        assert KeyMap.build(items).root().hex() == stepwise.root().hex() == case["root"]
        computed += 1
    assert computed == 8


def test_map_proofs_are_judged_as_torchwood_does(shared):
    data = json.loads((shared / "vectors/mpt/lookup.json").read_text(encoding="utf-8"))
    cases = data["cases"]
    assert len(cases) == 31
    assert sum(case["valid"] for case in cases) == 12
    accepted = 0
    for case in cases:
        root, key, proof = (bytes.fromhex(case[name]) for name in ("root", "key", "proof"))
        sizes_are_ours = len(key) == 32  # other sizes are refused, valid or not
        try:
            if case["value"] is None:
                verify_absence(root, key, proof)
            else:
                verify_presence(root, key, bytes.fromhex(case["value"]), proof)
        except MapProofError:
            assert not (case["valid"] and sizes_are_ours), case["desc"]
        else:
            assert case["valid"] and sizes_are_ours, case["desc"]
            accepted += 1
    assert accepted == 10, "12 valid cases, 2 of which have keys of one byte"


MAP_ROOT = bytes.fromhex("4ba7aa351927855bbc01080581afddaf76be31dcc4d50c0d5af283f0775be523")
MAP_PROOFS = {
    "key-1": "01280980533845e25308085baaea856136790c250b8378b49257b817bbcbf4e139"
    "00400924816b767c976a0b06b32a9ea27967c61a8e6886724cca755aa18f80711a",
    "key-2": "0038d98e66f45e7464934e0de3ad5a5588a94755a82e552bfba40805915bc2eea7",
    "key-9": "207c36b0a9dedde119c75165957c6c9c187e65df1ee5db87c4c58ad503ad88cbe3"
    "202a44e4f4822cd8f6a022703c64ec6fced3f059581ed899a0d285410774bcd34b"
    "0038d98e66f45e7464934e0de3ad5a5588a94755a82e552bfba40805915bc2eea7",
}


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def test_the_map_of_the_notes_byte_for_byte():
    whole = KeyMap.build((digest(f"key-{i}"), digest(f"val-{i}")) for i in range(5))
    assert whole.root() == MAP_ROOT
    for name, proof in MAP_PROOFS.items():
        assert whole.prove(digest(name)).hex() == proof
    for i in (1, 2):
        proof = bytes.fromhex(MAP_PROOFS[f"key-{i}"])
        verify_presence(MAP_ROOT, digest(f"key-{i}"), digest(f"val-{i}"), proof)
    verify_absence(MAP_ROOT, digest("key-9"), bytes.fromhex(MAP_PROOFS["key-9"]))


# --- the log of notes/ledger.md 1.10 (accepted by Go's x/mod, aics-tlog and Tessera's fsck)

ORIGIN = "ledger.example/products"
LOG_SEED = bytes.fromhex("b1204e09ed7a352c3be71f4dd08dcebc024ba82fe3ece49239e76722b0b0abb6")
LOG_VKEY = "ledger.example/products+03968ebc+Afq2/R3SinmpQwlLzT5iBk1WOFS0hvXqhOaL9LQffSmE"
LOG_SKEY = (
    "PRIVATE+KEY+ledger.example/products+03968ebc+AbEgTgntejUsO+cfTdCNzrwCS6gv4+zkkjnnZyKwsKu2"
)
WITNESS = "witness.example/w1"
WITNESS_SEED = bytes.fromhex("02865a8ee685905450027b5049bc5e80ac26e6d960201067b8da8e62fed6570d")
WITNESS_VKEY = "witness.example/w1+3534bab8+BKw+i4N7WzZeaLkDr6y70dRH/kqLQifWC7zzvpmK6Htk"
TIME = 1767225600
LEAVES = [
    "6734db3b19b64dc83703f9a1f4aee7697dfb292fb4e0827cc63f8a351b1b3609",
    "a9e8895f52faac9f644cd89d459e619f53f77b58e69f421918edc1646ef48494",
    "4fb70daa0a6daaf7e93f2b37c5e5df73346630fd8a51996d50f1d8eeff279426",
    "5f3e698cf937622aca7c6bf273ef2176092ec33c162dccae39df8701625d189f",
    "ae323974ae1f47cdb246eb83b8706366d43c64ad0faf480c79eacb9cf4a7e8a7",
]
ROOT_3 = "db2effe64d36352bcd4c260bde0e1138310c9f77b89d4c57578652f9b185b630"
ROOT_5 = "0b74d4300e798056cd48728b4fb01e9f15ad3e0a7950fbc58974ff6753271d24"
INCLUSION_1_5 = [
    "ZzTbOxm2Tcg3A/mh9K7naX37KS+04IJ8xj+KNRsbNgk=",
    "9f6QqbKTVsuk32Y2PsiymbmPY5CMVXlhonwl2VULLv0=",
    "rjI5dK4fR82yRuuDuHBjZtQ8ZK0Pr0gMeerLnPSn6Kc=",
]
CONSISTENCY_3_5 = [
    "T7cNqgptqvfpPys3xeXfczRmMP2KUZltUPHY7v8nlCY=",
    "Xz5pjPk3YirKfGvyc+8hdgkuwzwWLcyuOd+HAWJdGJ8=",
    "P9HVoFmrFxo0X5kSyDwt2LeTO06VDmdJvIPbsfQ8y94=",
    "rjI5dK4fR82yRuuDuHBjZtQ8ZK0Pr0gMeerLnPSn6Kc=",
]
CHECKPOINT_3 = """\
ledger.example/products
3
2y7/5k02NSvNTCYL3g4RODEMn3e4nUxXV4ZS+bGFtjA=

— ledger.example/products A5aOvCWrRjBW3nkshW8f0fHuXwKzyKYMiCRUsOeESae0Eqw9Mg3JaHCh/HkTfC3alGHnSmQJyh1IlgrAMhw8aFo3jww=
""".encode()  # noqa: E501
CHECKPOINT_5 = """\
ledger.example/products
5
C3TUMA55gFbNSHKLT7AenxWtPgp5UPvFiXT/Z1MnHSQ=

— ledger.example/products A5aOvMWT0JCWcItc8kdvqzgjFRAceQYLqD9DGyTgjwR672dYwN9cVtYtpgjuqE0B+n4lyDJIAbPWw2q8f+iGcbmpDgE=
— witness.example/w1 NTS6uAAAAABpVbkAaOOuIkbXHS/iT09isW29T7C+otlsD3QOmgyafqROfS8LuyTPayhUY4G67Moyb9lFAJEuZIn/J6GyXrq8Ku/UDA==
""".encode()  # noqa: E501
MLDSA_MESSAGE = (
    "737562747265652f76310a00176c65646765722e6578616d706c652f70726f64"
    "75637473000000006955b900176c65646765722e6578616d706c652f70726f64"
    "7563747300000000000000000000000000000005"
    "0b74d4300e798056cd48728b4fb01e9f15ad3e0a7950fbc58974ff6753271d24"
)


def verify_ed25519(public_key: bytes, message: bytes, signature: bytes) -> bool:
    try:
        ed25519.Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def verify_mldsa(public_key: bytes, message: bytes, signature: bytes) -> bool:
    try:
        mldsa.MLDSA44PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


class LogSigner:
    name = ORIGIN
    key_id = bytes.fromhex("03968ebc")

    def sign(self, text: bytes) -> bytes:
        return ed25519.Ed25519PrivateKey.from_private_bytes(LOG_SEED).sign(text)


def witness_signer(seconds: int = TIME) -> CosignatureSigner:
    key = ed25519.Ed25519PrivateKey.from_private_bytes(WITNESS_SEED)
    return CosignatureSigner(
        WITNESS, key.public_key().public_bytes_raw(), key.sign, lambda: seconds
    )


@pytest.fixture(scope="module")
def tree() -> MemoryTree:
    grown = MemoryTree()
    grown.extend(leaf_hash(b"event-%d" % i) for i in range(5))
    return grown


def lines(proof: list[bytes]) -> list[str]:
    return [b64encode(value).decode() for value in proof]


def test_keys_of_the_notes():
    for seed, kind, name, vkey in [
        (LOG_SEED, KIND_ED25519, ORIGIN, LOG_VKEY),
        (WITNESS_SEED, KIND_COSIGNATURE, WITNESS, WITNESS_VKEY),
    ]:
        private = ed25519.Ed25519PrivateKey.from_private_bytes(seed)
        key = VerifierKey.make(name, kind, private.public_key().public_bytes_raw())
        assert key.format() == vkey
        assert VerifierKey.parse(vkey) == key
    assert SignerKey.parse(LOG_SKEY) == SignerKey(ORIGIN, bytes.fromhex("03968ebc"), LOG_SEED)
    assert SignerKey(ORIGIN, bytes.fromhex("03968ebc"), LOG_SEED).format() == LOG_SKEY


def test_leaves_roots_and_proofs_of_the_notes(tree):
    assert [tree.read_hash(0, i).hex() for i in range(5)] == LEAVES
    assert tree.root(3).hex() == ROOT_3
    assert tree.root(5).hex() == ROOT_5
    assert lines(prove_inclusion(1, 5, tree)) == INCLUSION_1_5
    assert lines(prove_consistency(3, 5, tree)) == CONSISTENCY_3_5


def test_tile_and_bundle_of_the_notes(tree):
    assert tile_hashes(TileAddress(0, 0, 5), tree).hex() == "".join(LEAVES)
    bundle = encode_bundle([b"event-%d" % i for i in range(5)])
    assert bundle.hex() == "".join(f"00076576656e742d3{i}" for i in range(5))


def test_checkpoints_of_the_notes_are_signed_again_byte_for_byte(tree):
    text_3 = Checkpoint(ORIGIN, 3, tree.root(3)).format()
    assert sign_note(text_3, [LogSigner()]) == CHECKPOINT_3
    text_5 = Checkpoint(ORIGIN, 5, tree.root(5)).format()
    assert sign_note(text_5, [LogSigner(), witness_signer()]) == CHECKPOINT_5


def test_checkpoints_of_the_notes_open():
    log = Ed25519Verifier(VerifierKey.parse(LOG_VKEY), verify_ed25519)
    witness = CosignatureVerifier(VerifierKey.parse(WITNESS_VKEY), verify_ed25519)
    opened = open_note(CHECKPOINT_3, [log, witness])
    assert parse_checkpoint(opened.text) == Checkpoint(ORIGIN, 3, bytes.fromhex(ROOT_3))
    opened = open_note(CHECKPOINT_5, [log, witness])
    assert [line.name for line in opened.verified] == [ORIGIN, WITNESS]
    assert opened.unknown == ()
    assert parse_checkpoint(opened.text) == Checkpoint(ORIGIN, 5, bytes.fromhex(ROOT_5))
    assert decode_cosignature(opened.verified[1].signature).seconds == TIME
    assert [line.name for line in open_note(CHECKPOINT_5, [witness]).unknown] == [ORIGIN]


def test_any_flipped_bit_of_a_checkpoint_is_noticed():
    """One bit in each byte of the text and of the two signatures."""
    log = Ed25519Verifier(VerifierKey.parse(LOG_VKEY), verify_ed25519)
    witness = CosignatureVerifier(VerifierKey.parse(WITNESS_VKEY), verify_ed25519)
    note = parse_note(CHECKPOINT_5)
    for at, line in enumerate(note.signatures):
        for byte in range(len(line.signature)):
            bad = bytearray(line.signature)
            bad[byte] ^= 1
            changed = list(note.signatures)
            changed[at] = NoteSignature(line.name, line.key_id, bytes(bad))
            with pytest.raises(NoteSignatureError, match=line.name):
                open_note(type(note)(note.text, tuple(changed)).format(), [log, witness])
    for place in range(len(note.text)):
        text = note.text[:place] + chr(ord(note.text[place]) ^ 1) + note.text[place + 1 :]
        changed_note = (text + "\n" + "".join(s.format() for s in note.signatures)).encode()
        reason = NoteError if note.text[place] == "\n" else NoteSignatureError  # 0x0B is a control
        with pytest.raises(reason):
            open_note(changed_note, [log, witness])


def test_the_cosignature_message_is_two_lines_and_the_text(tree):
    text = Checkpoint(ORIGIN, 5, tree.root(5)).format().encode()
    assert cosignature_message(text, TIME) == b"cosignature/v1\ntime 1767225600\n" + text


def test_the_ml_dsa_message_of_the_notes(tree):
    message = subtree_message(ORIGIN, ORIGIN, tree.root(5), seconds=TIME, end=5)
    assert message.hex() == MLDSA_MESSAGE
    assert len(message) == 116
    private = mldsa.MLDSA44PrivateKey.from_seed_bytes(LOG_SEED)
    public = private.public_key().public_bytes_raw()
    assert hashlib.sha256(public).hexdigest() == (
        "bf09228196d32bd83b47be7730337e27ba2b24c2f967646342250a2971621b9f"
    )
    key = VerifierKey.make(ORIGIN, KIND_MLDSA, public)
    assert key.key_id.hex() == "bd83eee8"
    assert VerifierKey.parse(key.format()) == key
    verifier = SubtreeVerifier(key, verify_mldsa)
    text = Checkpoint(ORIGIN, 5, tree.root(5)).format().encode()
    signature = Cosignature(TIME, private.sign(message)).encode()
    assert len(signature) == 8 + 2420
    assert verifier.verify(text, signature)
    assert verifier.verify(text + b"an extension line is not covered\n", signature)
    assert not verifier.verify(text.replace(b"\n5\n", b"\n6\n"), signature)
    assert not verifier.verify(b"no checkpoint\n", signature)
    assert not verifier.verify(text, signature[:-1])
    assert not verifier.verify(text, b"\xff" + signature[1:])
    assert not verifier.verify(text, b"\x00" * 8 + signature[8:])


POLICY = f"log {LOG_VKEY}\nwitness w1 {WITNESS_VKEY}\nquorum w1\n"


def test_the_tlog_proof_of_the_notes(tree):
    expected = (
        "c2sp.org/tlog-proof@v1\nindex 1\n" + "".join(f"{h}\n" for h in INCLUSION_1_5) + "\n"
    ).encode() + CHECKPOINT_5
    receipt = Receipt(1, tuple(prove_inclusion(1, 5, tree)), CHECKPOINT_5)
    assert receipt.format() == expected
    assert parse_receipt(expected) == receipt
    policy = Policy.parse(POLICY)
    verify_receipt(receipt, leaf_hash(b"event-1"), policy, verify_ed25519)
    with pytest.raises(ProofError):
        verify_receipt(receipt, leaf_hash(b"event-2"), policy, verify_ed25519)


def test_the_example_of_the_signed_note_specification():
    key = VerifierKey.parse("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k")
    note = (
        "This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi"
        "2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
    ).encode()
    opened = open_note(note, [Ed25519Verifier(key, verify_ed25519)])
    assert opened.text == "This is an example message.\n"
    with pytest.raises(NoteSignatureError, match=r"example\.com/foo \(key id 530d903a\)"):
        open_note(note.replace(b"example message", b"exemple message"), [
            Ed25519Verifier(key, verify_ed25519)
        ])  # fmt: skip
