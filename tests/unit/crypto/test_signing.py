"""Keys and signatures under the strict rule; every refusal with its reason."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from merkle.cosignature import decode_cosignature
from merkle.errors import NoteSignatureError
from merkle.note import KIND_ED25519, KIND_MLDSA, Note, VerifierKey, open_note, sign_note
from provenance.crypto.errors import InadmissibleKeyError, KeyFileError, SignatureError
from provenance.crypto.signing import (
    Cosigner,
    NoteSigner,
    PrivateKey,
    PublicKey,
    load_key,
    note_verifier,
    save_key,
    verify_ed25519,
)
from provenance.crypto.small_order import ORDER, SMALL_ORDER_SPELLINGS, P
from tests.unit.crypto.test_small_order import add, multiply, torsion

# RFC 8032 §7.1, tests 1 to 3: seed, public key, message, signature.
RFC_8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]
KEY = PrivateKey.from_seed(bytes(range(32)))


def encode(point: tuple[int, int]) -> bytes:
    """RFC 8032 §5.1.2."""
    x, y = point
    return (y + ((x & 1) << 255)).to_bytes(32, "little")


def decode(data: bytes) -> tuple[int, int]:
    """A point of canonical bytes, by the slow reference."""
    number = int.from_bytes(data, "little")
    y, sign = number & (2**255 - 1), number >> 255
    from provenance.crypto.small_order import D, square_root  # noqa: PLC0415 -- the reference only

    x = square_root((y * y - 1) * pow(D * y * y + 1, -1, P) % P)
    assert x is not None
    return (x if x & 1 == sign else P - x), y


@pytest.mark.parametrize(("seed", "public", "message", "signature"), RFC_8032)
def test_rfc_8032(seed: str, public: str, message: str, signature: str) -> None:
    key = PrivateKey.from_seed(bytes.fromhex(seed))
    assert key.public.raw.hex() == public
    assert key.sign(bytes.fromhex(message)).hex() == signature
    key.public.verify(bytes.fromhex(message), bytes.fromhex(signature))


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=64))
def test_what_is_signed_verifies_and_nothing_else_does(seed: bytes, message: bytes) -> None:
    key = PrivateKey.from_seed(seed)
    signature = key.sign(message)
    assert verify_ed25519(key.public.raw, message, signature)
    assert not verify_ed25519(key.public.raw, message + b"x", signature)
    assert not verify_ed25519(KEY.public.raw, message, signature) or key.public == KEY.public


def test_every_changed_bit_of_a_signature_is_refused() -> None:
    signature = KEY.sign(b"message")
    for bit in range(512):
        changed = bytearray(signature)
        changed[bit // 8] ^= 1 << bit % 8
        assert not verify_ed25519(KEY.public.raw, b"message", bytes(changed)), bit


# --- keys -----------------------------------------------------------------------------------------


def test_identity_key_attack_is_refused_with_the_reason() -> None:
    # Under the identity as key and as R, with S = 0, OpenSSL takes one signature for every message.
    identity = (1).to_bytes(32, "little")
    signature = identity + bytes(32)
    for number in range(20):
        Ed25519PublicKey.from_public_bytes(identity).verify(signature, b"message %d" % number)
        assert not verify_ed25519(identity, b"message %d" % number, signature)
    with pytest.raises(InadmissibleKeyError, match="small order: anybody can sign for it"):
        PublicKey.admit(identity)


@pytest.mark.parametrize("spelling", sorted(SMALL_ORDER_SPELLINGS))
def test_no_key_of_small_order(spelling: bytes) -> None:
    with pytest.raises(InadmissibleKeyError, match="small order"):
        PublicKey.admit(spelling)


def test_no_key_outside_the_prime_order_subgroup() -> None:
    base = decode(KEY.public.raw)
    for point in torsion():
        mixed = encode(add(base, point))
        if mixed == KEY.public.raw:
            PublicKey.admit(mixed)
            continue
        with pytest.raises(InadmissibleKeyError, match="outside the prime-order subgroup"):
            PublicKey.admit(mixed)


def test_reference_curve_agrees_on_the_key() -> None:
    assert encode(decode(KEY.public.raw)) == KEY.public.raw
    assert multiply(ORDER, decode(KEY.public.raw)) == (0, 1)


def test_no_key_off_the_curve() -> None:
    refused = 0
    for y in range(2, 30):
        try:
            PublicKey.admit(y.to_bytes(32, "little"))
        except InadmissibleKeyError as error:
            refused += "no point of the curve" in str(error)
    assert refused > 8


@pytest.mark.parametrize("y", [P + 2, P + 3, 2**255 - 1])
def test_no_key_that_is_not_canonical(y: int) -> None:
    for sign in (0, 1):
        with pytest.raises(InadmissibleKeyError, match="not canonical"):
            PublicKey.admit((y + (sign << 255)).to_bytes(32, "little"))


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_no_key_of_another_length(size: int) -> None:
    with pytest.raises(InadmissibleKeyError, match=f"32 bytes, not {size}"):
        PublicKey.admit(bytes(size))


def test_the_constructor_judges_too() -> None:
    with pytest.raises(InadmissibleKeyError, match="small order"):
        PublicKey(bytes(32))


def test_multikeys() -> None:
    assert PublicKey.from_multikey(KEY.public.multikey) == KEY.public
    assert KEY.public.multikey.startswith("z6Mk")
    for text in ("", "z", "z6Mk", KEY.public.multikey[1:], KEY.public.multikey + "1"):
        with pytest.raises(InadmissibleKeyError):
            PublicKey.from_multikey(text)


def test_keys_compare_by_their_bytes_and_hide_their_seed() -> None:
    twin = PublicKey(KEY.public.raw)
    assert twin == KEY.public
    assert twin != KEY.public.raw
    assert len({twin, KEY.public}) == 1
    assert KEY.public.multikey in repr(twin)
    assert KEY.seed.hex() not in repr(KEY)


def test_generated_keys_take_their_seed_from_the_source() -> None:
    assert PrivateKey.generate(bytes).seed == bytes(32)
    assert PrivateKey.generate() != PrivateKey.generate()
    with pytest.raises(KeyFileError, match="32 bytes, not 31"):
        PrivateKey.from_seed(bytes(31))


# --- signatures -----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 63, 65])
def test_no_signature_of_another_length(size: int) -> None:
    with pytest.raises(SignatureError, match="64 bytes"):
        KEY.public.verify(b"", bytes(size))


def test_no_second_spelling_of_s() -> None:
    signature = KEY.sign(b"message")
    scalar = int.from_bytes(signature[32:], "little") + ORDER
    again = signature[:32] + scalar.to_bytes(32, "little")
    with pytest.raises(SignatureError, match="S is not below the group order"):
        KEY.public.verify(b"message", again)


@pytest.mark.parametrize("spelling", sorted(SMALL_ORDER_SPELLINGS))
def test_no_r_of_small_order(spelling: bytes) -> None:
    with pytest.raises(SignatureError, match="R is a point of small order"):
        KEY.public.verify(b"message", spelling + bytes(32))


def test_no_r_that_is_not_canonical() -> None:
    with pytest.raises(SignatureError, match="R is not canonical"):
        KEY.public.verify(b"message", (P + 5).to_bytes(32, "little") + bytes(32))


def test_wrong_signature_says_so() -> None:
    with pytest.raises(SignatureError, match="does not fit this message"):
        KEY.public.verify(b"another", KEY.sign(b"message"))


# --- notes ----------------------------------------------------------------------------------------


def test_note_signer_makes_notes_that_open() -> None:
    signer = NoteSigner("log.example.test/1", KEY)
    note = sign_note("text\n", [signer])
    opened = open_note(note, [note_verifier(signer.vkey)])
    assert [line.name for line in opened.verified] == ["log.example.test/1"]
    changed = note.replace(b"text", b"test")
    with pytest.raises(NoteSignatureError):
        open_note(changed, [note_verifier(signer.vkey)])


def test_cosigner_states_its_time() -> None:
    cosigner = Cosigner("witness.example.test/w", KEY)
    line = cosigner.cosign(b"origin\n5\nroot\n", 1_763_910_000)
    assert line.key_id == cosigner.vkey.key_id
    assert decode_cosignature(line.signature).seconds == 1_763_910_000
    note = Note("origin\n5\nroot\n", (line,)).format()
    assert open_note(note, [note_verifier(cosigner.vkey)]).verified == (line,)


def test_note_keys_are_admitted_strictly() -> None:
    weak = VerifierKey.make("weak", KIND_ED25519, (1).to_bytes(32, "little"))
    with pytest.raises(InadmissibleKeyError, match="small order"):
        note_verifier(weak)
    with pytest.raises(InadmissibleKeyError, match="not Ed25519"):
        note_verifier(VerifierKey.make("later", KIND_MLDSA, bytes(1312)))


# --- files ----------------------------------------------------------------------------------------


def test_key_files_are_private_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "log.key"
    save_key(path, KEY)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_key(path).seed == KEY.seed


def test_key_files_are_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "log.key"
    save_key(path, KEY)
    with pytest.raises(KeyFileError, match="cannot write"):
        save_key(path, PrivateKey.from_seed(bytes(32)))
    assert load_key(path).seed == KEY.seed


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_key_files_open_to_others_are_refused_with_the_remedy(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "log.key"
    save_key(path, KEY)
    path.chmod(mode)
    with pytest.raises(KeyFileError, match="chmod 600"):
        load_key(path)


@pytest.mark.parametrize(
    "content", [b"", b"z", b"hello\n", b"\xff\xfe", KEY.public.multikey.encode(), b"z1\n\n"]
)
def test_other_files_are_no_keys_and_are_not_quoted(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "log.key"
    handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    os.write(handle, content)
    os.close(handle)
    with pytest.raises(KeyFileError) as caught:
        load_key(path)
    assert "hello" not in str(caught.value)


def test_missing_key_file(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="cannot read"):
        load_key(tmp_path / "none.key")
