"""ML-DSA-44 as lines of notes need it: a yes or a no for any bytes."""

from __future__ import annotations

from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from merkle.checkpoint import Checkpoint
from merkle.cosignature import SubtreeVerifier, decode_cosignature, subtree_message
from merkle.errors import CheckpointError, NoteSignatureError
from merkle.note import Note, NoteSignature, open_note, parse_note, sign_note
from provenance.crypto.errors import KeyFileError
from provenance.crypto.mldsa import (
    MldsaNoteSigner,
    MldsaPrivateKey,
    is_available,
    load_mldsa_key,
    save_mldsa_key,
    verify_mldsa,
)
from provenance.crypto.signing import NoteSigner, PrivateKey, load_key, note_verifier, save_key

KEY = MLDSA44PrivateKey.from_seed_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()
SIGNATURE = KEY.sign(b"a checkpoint")


def test_it_is_available_where_this_runs():
    assert is_available()


def test_a_signature_is_good_for_its_message_and_key_alone():
    assert verify_mldsa(PUBLIC, b"a checkpoint", SIGNATURE)
    assert not verify_mldsa(PUBLIC, b"another", SIGNATURE)
    other = MLDSA44PrivateKey.from_seed_bytes(bytes(32)).public_key().public_bytes_raw()
    assert not verify_mldsa(other, b"a checkpoint", SIGNATURE)


def test_a_signature_under_a_context_is_another_one():
    under = KEY.sign(b"a checkpoint", b"a context")
    assert not verify_mldsa(PUBLIC, b"a checkpoint", under)


@pytest.mark.parametrize("place", [0, 31, 32, 1_200, 2_335, 2_336, 2_419])
def test_any_flipped_bit_is_noticed(place):
    altered = bytearray(SIGNATURE)
    altered[place] ^= 1
    assert not verify_mldsa(PUBLIC, b"a checkpoint", bytes(altered))


@pytest.mark.parametrize(
    ("public", "signature"),
    [
        (b"", SIGNATURE),
        (PUBLIC[:-1], SIGNATURE),
        (PUBLIC + b"\0", SIGNATURE),
        (bytes(1_312), SIGNATURE),
        (PUBLIC, b""),
        (PUBLIC, SIGNATURE[:-1]),
        (PUBLIC, SIGNATURE + b"\0"),
        (PUBLIC, b"\xff" * 2_420),
    ],
)
def test_other_bytes_are_refused_and_never_an_error(public, signature):
    assert not verify_mldsa(public, b"a checkpoint", signature)


# --- signing checkpoints --------------------------------------------------------------------------

# The vector of the project's reference notes: the log of merkle's vectors at size 5.
SEED = bytes.fromhex("b1204e09ed7a352c3be71f4dd08dcebc024ba82fe3ece49239e76722b0b0abb6")
ORIGIN = "ledger.example/products"
ROOT = bytes.fromhex("0b74d4300e798056cd48728b4fb01e9f15ad3e0a7950fbc58974ff6753271d24")
TIME = 1_767_225_600
MESSAGE = bytes.fromhex(
    "737562747265652f76310a00176c65646765722e6578616d706c652f70726f6475637473000000006955b900"
    "176c65646765722e6578616d706c652f70726f647563747300000000000000000000000000000005"
    "0b74d4300e798056cd48728b4fb01e9f15ad3e0a7950fbc58974ff6753271d24"
)
SIGNER = MldsaNoteSigner(ORIGIN, MldsaPrivateKey(SEED), lambda: TIME)
TEXT = Checkpoint(ORIGIN, 5, ROOT).format()


def test_key_id_public_key_and_message_are_those_of_the_vector():
    digest = "bf09228196d32bd83b47be7730337e27ba2b24c2f967646342250a2971621b9f"
    assert sha256(SIGNER.key.public).hexdigest() == digest
    assert SIGNER.key_id.hex() == "bd83eee8"
    assert len(MESSAGE) == 116
    assert subtree_message(ORIGIN, ORIGIN, ROOT, seconds=TIME, end=5) == MESSAGE


def test_a_line_states_the_time_and_signs_the_vectors_message():
    stated = decode_cosignature(SIGNER.sign(TEXT.encode()))
    assert stated.seconds == TIME
    assert verify_mldsa(SIGNER.key.public, MESSAGE, stated.signature)


def test_a_note_opens_under_both_keys_and_under_ed25519_alone():
    first = NoteSigner(ORIGIN, PrivateKey.from_seed(SEED))
    note = sign_note(TEXT, [first, SIGNER])
    judges = [note_verifier(first.vkey), SubtreeVerifier(SIGNER.vkey, verify_mldsa)]
    assert len(open_note(note, judges).verified) == 2
    opened = open_note(note, judges[:1])  # a reader that cannot, or does not know the key
    assert [len(opened.verified), len(opened.unknown)] == [1, 1]


def test_a_bad_second_line_refuses_the_note_where_it_can_be_judged():
    first = NoteSigner(ORIGIN, PrivateKey.from_seed(SEED))
    note = parse_note(sign_note(TEXT, [first, SIGNER]))
    line = note.signatures[1]
    bad = line.signature[:-1] + bytes([line.signature[-1] ^ 1])
    forged = Note(
        note.text, (note.signatures[0], NoteSignature(line.name, line.key_id, bad))
    ).format()
    with pytest.raises(NoteSignatureError):
        open_note(forged, [note_verifier(first.vkey), SubtreeVerifier(SIGNER.vkey, verify_mldsa)])


def test_text_with_extension_lines_is_not_signed():
    with pytest.raises(CheckpointError):
        SIGNER.sign((TEXT + "extension\n").encode())


def test_a_key_file_comes_back_and_is_no_ed25519_key(tmp_path):
    save_mldsa_key(tmp_path / "log-mldsa.key", SIGNER.key)
    assert load_mldsa_key(tmp_path / "log-mldsa.key").seed == SEED
    assert (tmp_path / "log-mldsa.key").stat().st_mode & 0o777 == 0o600
    with pytest.raises(KeyFileError, match="does not hold an Ed25519"):
        load_key(tmp_path / "log-mldsa.key")
    save_key(tmp_path / "log.key", PrivateKey.from_seed(SEED))
    with pytest.raises(KeyFileError, match="does not hold an ML-DSA-44"):
        load_mldsa_key(tmp_path / "log.key")
    with pytest.raises(KeyFileError, match="cannot write"):
        save_mldsa_key(tmp_path / "log.key", SIGNER.key)


def test_seeds_of_another_length_are_refused_and_a_repr_shows_none():
    with pytest.raises(KeyFileError, match="32 bytes, not 31"):
        MldsaPrivateKey(SEED[:31])
    assert SEED.hex() not in repr(SIGNER.key)
    assert SEED.hex() not in repr(SIGNER)


def test_generated_keys_differ():
    assert MldsaPrivateKey.generate().seed != MldsaPrivateKey.generate().seed
