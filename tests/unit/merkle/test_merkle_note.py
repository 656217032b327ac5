"""Signed notes: form, keys, and which lines count. Signatures here are a keyed hash that needs no
library; real Ed25519 and ML-DSA run in tests/conformance/test_merkle_vectors.py.
"""

from __future__ import annotations

import hashlib
import random
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merkle.errors import (
    ArgumentError,
    NoteError,
    NoteSignatureError,
    NoteUnverifiedError,
    VerifierKeyError,
)
from merkle.note import (
    KIND_COSIGNATURE,
    KIND_ED25519,
    KIND_MLDSA,
    Ed25519Verifier,
    Note,
    NoteSignature,
    SignerKey,
    VerifierKey,
    is_key_name,
    key_id,
    open_note,
    parse_note,
    parse_signature_line,
    sign_note,
)


def keyed(public_key: bytes, message: bytes) -> bytes:
    return hashlib.sha512(public_key + message).digest()


def check(public_key: bytes, message: bytes, signature: bytes) -> bool:
    return keyed(public_key, message) == signature


class Party:
    """A key that signs by `keyed`, as signer and as verifier."""

    def __init__(self, name: str, number: int = 0) -> None:
        self.key = VerifierKey.make(name, KIND_ED25519, bytes([number] * 32))
        self.name, self.key_id = self.key.name, self.key.key_id
        self.verifier = Ed25519Verifier(self.key, check)

    def sign(self, text: bytes) -> bytes:
        return keyed(self.key.public_key, text)

    def line(self, text: str) -> NoteSignature:
        return NoteSignature(self.name, self.key_id, self.sign(text.encode()))


LOG = Party("log.example")
OTHER = Party("other.example", 1)
TEXT = "one\ntwo\n"


def grease(count: int, seed: int = 1) -> list[NoteSignature]:
    """Well-formed lines under made-up keys, as Sunlight adds them."""
    made = random.Random(seed)
    return [
        NoteSignature(
            f"grease-{made.randrange(10**6)}.example", made.randbytes(4), made.randbytes(64)
        )
        for _ in range(count)
    ]


def test_a_note_opens_with_its_signers_in_order():
    data = sign_note(TEXT, [LOG, OTHER])
    opened = open_note(data, [OTHER.verifier, LOG.verifier])
    assert opened.text == TEXT
    assert [line.name for line in opened.verified] == ["log.example", "other.example"]
    assert opened.unknown == ()
    assert parse_note(data).format() == data


def test_lines_under_unknown_keys_are_passed_over_wherever_they_stand():
    lines = [*grease(20), LOG.line(TEXT), OTHER.line(TEXT)]
    for seed in range(10):
        random.Random(seed).shuffle(lines)
        opened = open_note(Note(TEXT, tuple(lines)).format(), [LOG.verifier])
        assert opened.verified == (LOG.line(TEXT),)
        assert len(opened.unknown) == 21


def test_the_same_name_under_another_key_id_is_unknown():
    impostor = NoteSignature(LOG.name, b"\x00\x01\x02\x03", bytes(64))
    data = Note(TEXT, (impostor, LOG.line(TEXT))).format()
    assert open_note(data, [LOG.verifier]).unknown == (impostor,)
    other_name = NoteSignature("log.example2", LOG.key_id, bytes(64))
    assert open_note(Note(TEXT, (other_name, LOG.line(TEXT))).format(), [LOG.verifier])


def test_one_bad_line_of_a_known_key_refuses_the_note():
    bad = NoteSignature(OTHER.name, OTHER.key_id, bytes(64))
    data = Note(TEXT, (LOG.line(TEXT), bad)).format()
    with pytest.raises(NoteSignatureError, match=r"other\.example \(key id [0-9a-f]{8}\)") as told:
        open_note(data, [LOG.verifier, OTHER.verifier])
    assert (told.value.name, told.value.key_id) == (OTHER.name, OTHER.key_id)
    assert open_note(data, [LOG.verifier]).unknown == (bad,), "unknown, it would not matter"


def test_a_repeated_line_is_judged_too():
    good, bad = LOG.line(TEXT), NoteSignature(LOG.name, LOG.key_id, bytes(64))
    assert open_note(Note(TEXT, (good, good)).format(), [LOG.verifier]).verified == (good, good)
    for lines in ((good, bad), (bad, good)):
        with pytest.raises(NoteSignatureError):
            open_note(Note(TEXT, lines).format(), [LOG.verifier])


@pytest.mark.parametrize("length", [1, 63, 65, 128])
def test_an_ed25519_line_of_another_length_is_bad(length):
    signature = (LOG.sign(TEXT.encode()) * 2)[:length]
    line = NoteSignature(LOG.name, LOG.key_id, signature)
    with pytest.raises(NoteSignatureError):
        open_note(Note(TEXT, (line,)).format(), [LOG.verifier])


def test_a_note_without_a_known_key_is_refused_with_the_names_found():
    data = Note(TEXT, tuple(grease(3))).format()
    with pytest.raises(NoteUnverifiedError, match=r"found lines by: grease-"):
        open_note(data, [LOG.verifier])
    with pytest.raises(NoteUnverifiedError):
        open_note(data, [])


def test_two_verifiers_under_one_key_are_the_callers_mistake():
    twin = Party("log.example")
    with pytest.raises(ArgumentError, match=r"two verifiers are named log\.example"):
        open_note(sign_note(TEXT, [LOG]), [LOG.verifier, twin.verifier.__class__(twin.key, keyed)])
    assert open_note(sign_note(TEXT, [LOG]), [LOG.verifier, LOG.verifier])


@pytest.mark.parametrize(
    "text",
    [
        "\n",
        "a\n",
        "a\n\nb\n",
        "\n\n\n",
        "a\n\n\n",
        "— log.example AAAA\n",
        "x\n\n— y AAAA\n",
        "Ü 漢\u2028z\n",
    ],
)
def test_text_may_hold_empty_lines_and_what_looks_like_signatures(text):
    data = sign_note(text, [LOG])
    assert open_note(data, [LOG.verifier]).text == text
    assert LOG.sign(text.encode()) == parse_note(data).signatures[0].signature


@given(
    st.text(st.characters(exclude_categories=["Cs"], min_codepoint=32)),
    st.lists(st.text("ab\n", max_size=5), max_size=4),
)
def test_any_text_goes_there_and_back(start, more):
    text = "\n".join([start, *more]) + "\n"
    assert open_note(sign_note(text, [LOG]), [LOG.verifier]).text == text


GOOD = sign_note(TEXT, [LOG])
LINE = LOG.line(TEXT).format().encode()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no empty line"),
        (b"\n", "no empty line"),
        (b"one\n", "no empty line"),
        (b"one\n" + LINE, "no empty line"),
        (b"one\n\n", "no signature lines"),
        (b"\n\n", "no signature lines"),
        (GOOD[:-1], "does not end in a newline"),
        (GOOD + b"\n", "no signature lines"),
        (GOOD + b"\n\n", "no signature lines"),
        (GOOD.replace("—".encode(), b"-"), "does not start with U\\+2014"),
        (GOOD.replace("— ".encode(), "—".encode()), "does not start with U\\+2014"),
        (GOOD.replace("— ".encode(), "—  ".encode()), "no valid key name"),
        (GOOD.replace("— ".encode(), " — ".encode()), "does not start with U\\+2014"),
        (GOOD.replace(b"log.example ", b"log.example  "), "not base64"),
        (GOOD.replace(b"log.example ", b"log.example"), "no valid key name"),
        (GOOD.replace(b"log.example", b"log+example"), "no valid key name"),
        (GOOD.replace(b"log.example", "log\u00a0example".encode()), "no valid key name"),
        (GOOD.replace(b"log.example", "log\u3000example".encode()), "no valid key name"),
        (GOOD.replace(b"\n", b"\r\n"), "control byte 0x0d"),
        (GOOD.replace(b"one", b"o\tne"), "control byte 0x09"),
        (GOOD.replace(b"one", b"o\x00ne"), "control byte 0x00"),
        (GOOD.replace(b"one", b"o\x1fne"), "control byte 0x1f"),
        (GOOD.replace(b"one", b"o\xffne"), "not UTF-8 at byte 1"),
        (GOOD.replace(b"one", b"o\xc0\xafne"), "not UTF-8"),  # overlong
        (GOOD.replace(b"one", b"o\xed\xa0\x80ne"), "not UTF-8"),  # a surrogate
        (GOOD[:-2] + b"\n", "base64"),
        (GOOD + b"trailing words\n", "does not start with U\\+2014"),
        (GOOD + "— a.example\n".encode(), "no signature after the key id"),
        (GOOD + "— a.example \n".encode(), "no signature after the key id"),
        (GOOD + "— a.example AAAAAA==\n".encode(), "no signature after the key id"),
        (GOOD + "— a.example AAAAAAE\n".encode(), "not base64"),  # padding left out
        (GOOD + "— a.example AAAAAAF=\n".encode(), "not canonical base64"),
        (GOOD + "— a.example AAAAAA-_\n".encode(), "not base64"),  # the URL alphabet
        (GOOD + "— a.example AAAAAAAA AAAA\n".encode(), "not base64"),
        (GOOD + "—  AAAAAAAA\n".encode(), "no valid key name"),
        (GOOD + LINE * 100, "101 signature lines, at most 100"),
    ],
)
def test_what_is_no_note_is_refused(data, reason):
    with pytest.raises(NoteError, match=reason):
        parse_note(data)
    with pytest.raises(NoteError, match=reason):
        open_note(data, [LOG.verifier])


def test_a_hundred_lines_are_read():
    assert len(open_note(GOOD + LINE * 99, [LOG.verifier]).verified) == 100


def test_every_cut_and_every_foreign_byte_is_refused():
    data = sign_note("log.example\n1\n", [LOG])
    for cut in range(len(data)):
        with pytest.raises(NoteError):
            parse_note(data[:cut])
    for place in range(len(data)):
        for byte in (b"\x00", b"\x80", b"\x0b"):
            changed = data[:place] + byte + data[place + 1 :]
            if changed != data:  # U+2014 holds an 0x80 of its own
                with pytest.raises(NoteError):
                    parse_note(changed)


def test_signing_refuses_what_could_not_be_opened():
    for text, reason in [
        ("", "ends in a newline"),
        ("no newline", "ends in a newline"),
        ("tab\there\n", "no control byte"),
        ("return\r\n", "no control byte"),
        ("lone \ud800\n", "not valid Unicode"),
    ]:
        with pytest.raises(NoteError, match=reason):
            sign_note(text, [LOG])
    with pytest.raises(ArgumentError, match="at least one signer"):
        sign_note(TEXT, [])


def test_lines_of_a_witness_are_added_once():
    note = parse_note(GOOD)
    line = parse_signature_line(OTHER.line(TEXT).format()[:-1])
    twice = note.with_signatures([line]).with_signatures([line, *note.signatures])
    assert twice.signatures == (LOG.line(TEXT), OTHER.line(TEXT))
    assert open_note(twice.format(), [LOG.verifier, OTHER.verifier]).unknown == ()


# --- names and keys


@pytest.mark.parametrize(
    "name", ["a", "ledger.example/products", "ünïcode", "名前", "a\u200bb", "—", "\ufeff"]
)
def test_names_that_are_names(name):
    assert is_key_name(name)
    assert parse_note(Note("t\n", (NoteSignature(name, bytes(4), b"s"),)).format())


SPACES = "\t\n\x0b\x0c\r \x85\xa0\u1680\u2000\u2005\u200a\u2028\u2029\u202f\u205f\u3000"


@pytest.mark.parametrize("name", ["", "+", "a+b", "a\x00", "a\x1f", "\ud800", *SPACES])
def test_names_that_are_none(name):
    assert not is_key_name(name)
    assert not is_key_name("a" + name + "+b")
    with pytest.raises(VerifierKeyError):
        VerifierKey.make(name, KIND_ED25519, bytes(32))


def test_key_ids_are_of_name_kind_and_key():
    assert key_id("n", 1, b"k") == hashlib.sha256(b"n\n\x01k").digest()[:4]


@pytest.mark.parametrize(
    ("kind", "size"), [(KIND_ED25519, 32), (KIND_COSIGNATURE, 32), (KIND_MLDSA, 1312)]
)
def test_verifier_keys_go_there_and_back(kind, size):
    key = VerifierKey.make("a.example/x", kind, bytes([0xFB] * size))  # 0xFB gives + in base64
    assert "+" in key.format().split("+", 2)[2]
    assert VerifierKey.parse(key.format()) == key
    with pytest.raises(VerifierKeyError, match=f"expected {size} bytes of key, found {size - 1}"):
        VerifierKey.make("a.example/x", kind, bytes(size - 1))


VKEY = LOG.key.format()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "expected <name>"),
        ("log.example", "expected <name>"),
        ("log.example+00000000", "expected <name>"),
        (VKEY.replace("log", "lok"), "expected key id"),
        (VKEY[:-1] + "F", "expected key id|expected 32 bytes|canonical"),
        (VKEY.replace("+", "+0", 1), "8 lower-case hex digits"),
        ("+" + VKEY, "8 lower-case hex digits"),
        (VKEY[:-1], "base64"),
        (VKEY + "\n", "base64"),
        (" " + VKEY, "key name"),
        ("a+00000000+", "no key after the id"),
        ("a+0000000G+AQ==", "8 lower-case hex digits"),
        ("a+ABCDEF01+AQ==", "8 lower-case hex digits"),
        ("a+00000000+" + b64encode(b"\x02" + bytes(32)).decode(), "expected a kind among 0x01"),
        ("a+00000000+" + b64encode(b"\x05" + bytes(32)).decode(), "found 0x05"),
        ("a+00000000+" + b64encode(b"\xff" + bytes(32)).decode(), "found 0xff"),
        ("a+00000000+" + b64encode(b"\x01" + bytes(31)).decode(), "found 31"),
        ("é" * 128 + "+00000000+" + b64encode(b"\x01" + bytes(32)).decode(), "1..255 bytes"),
    ],
)
def test_what_is_no_verifier_key_is_refused(text, reason):
    with pytest.raises(VerifierKeyError, match=reason):
        VerifierKey.parse(text)


def test_every_edit_of_a_verifier_key_is_refused():
    """The id covers name, kind and key, so a slip of one character never makes another key."""
    for place in range(len(VKEY)):
        for c in "A+/=0 z":
            edited = VKEY[:place] + c + VKEY[place + 1 :]
            if edited != VKEY:
                with pytest.raises(VerifierKeyError):
                    VerifierKey.parse(edited)


def test_private_keys_go_there_and_back_and_never_show():
    key = SignerKey("a.example", b"\x01\x02\x03\x04", b"\xfb" * 32)
    assert SignerKey.parse(key.format()) == key
    secret = b64encode(b"\x01" + key.seed).decode()
    assert "secret" in repr(key)
    assert repr(key.seed) not in repr(key)
    for bad in (
        "",
        key.format().replace("PRIVATE", "PUBLIC"),
        key.format() + "\n",
        key.format()[:-1],
        "PRIVATE+KEY+a b+01020304+" + secret,
        "PRIVATE+KEY+a+01020304+" + b64encode(b"\x02" + key.seed).decode(),
        "PRIVATE+KEY+a+01020304+" + b64encode(b"\x01" + key.seed[:-1]).decode(),
    ):
        with pytest.raises(VerifierKeyError) as told:
            SignerKey.parse(bad)
        assert secret[2:30] not in str(told.value)


def test_a_key_of_another_kind_makes_no_ed25519_verifier():
    with pytest.raises(ArgumentError, match="kind 0x04 is not Ed25519"):
        Ed25519Verifier(VerifierKey.make("w", KIND_COSIGNATURE, bytes(32)), check)
