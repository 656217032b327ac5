"""Text signed under several names: C2SP signed-note 1.0.

Wire form:

    <text: one or more lines, ends in a newline>
    <empty line>
    — <key name> <base64(4-byte key id ‖ signature)>        one line for each signature

What is signed is the text with its last newline and without the empty line. Text may itself hold
empty lines: the signatures follow the *last* one. Signatures and keys of any kind are judged by
verifiers that the caller passes in; this module knows bytes, names and ids only.

Rules, where the specification leaves room or practice differs:

- base64 is the standard alphabet, padded and canonical (no stray bits), also in unknown lines;
- a line under an unknown (name, key id) is passed over, well-formed made-up ones ("grease") too;
- **every** line under a known key must verify, repeated ones too: one bad line refuses the note
  (Go's x/mod passes over repeats unread; ours reports each good one);
- more than 100 signature lines are refused, as in x/mod.

Source: https://c2sp.org/signed-note (1.0).
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Protocol

from merkle.errors import (
    ArgumentError,
    NoteError,
    NoteSignatureError,
    NoteUnverifiedError,
    VerifierKeyError,
)

KIND_ED25519: Final = 0x01
"""A plain Ed25519 signature over the text."""
KIND_COSIGNATURE: Final = 0x04
"""A timestamped Ed25519 cosignature (`merkle.cosignature`)."""
KIND_MLDSA: Final = 0x06
"""A timestamped ML-DSA-44 (sub)tree cosignature (`merkle.cosignature`)."""

PUBLIC_KEY_SIZES: Final = {KIND_ED25519: 32, KIND_COSIGNATURE: 32, KIND_MLDSA: 1312}
KEY_ID_SIZE: Final = 4
MAX_NAME_SIZE: Final = 255
"""Bytes: the ML-DSA message gives a name's length in one byte."""
MAX_SIGNATURES: Final = 100

_DASH = "— "  # U+2014 and a space
# Unicode White_Space, spelt out: str.isspace and other languages' \s each differ from it.
_SPACES = frozenset("\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000") | {
    chr(point) for point in range(0x2000, 0x200B)
}
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")

VerifyFunction = Callable[[bytes, bytes, bytes], bool]
"""``verify(public_key, message, signature)``: answers, never raises, whatever the bytes."""


class Signer(Protocol):
    """Makes one signature line."""

    @property
    def name(self) -> str:
        """Key name."""
        ...

    @property
    def key_id(self) -> bytes:
        """Key id, 4 bytes."""
        ...

    def sign(self, text: bytes) -> bytes:
        """What follows the key id: the signature over `text` (UTF-8, with its last newline)."""
        ...


class Verifier(Protocol):
    """Judges the lines under one (name, key id)."""

    @property
    def name(self) -> str:
        """Key name."""
        ...

    @property
    def key_id(self) -> bytes:
        """Key id, 4 bytes."""
        ...

    def verify(self, text: bytes, signature: bytes) -> bool:
        """Is `signature` (what follows the key id) good for `text`? Never raises."""
        ...


def is_key_name(name: str) -> bool:
    """Is `name` a key name: not empty, no Unicode space, no ``+``, no control byte, valid UTF-8?"""
    if not name or "+" in name or _CONTROL.search(name) or not _SPACES.isdisjoint(name):
        return False
    return not any("\ud800" <= c <= "\udfff" for c in name)


def key_id(name: str, kind: int, public_key: bytes) -> bytes:
    """The 4-byte id of a key: ``SHA-256(name ‖ 0x0A ‖ kind ‖ public key)[0:4]``."""
    return sha256(name.encode() + b"\n" + bytes([kind]) + public_key).digest()[:KEY_ID_SIZE]


def decode_strict_base64(text: str) -> bytes:
    """Standard, padded, canonical base64 to bytes; `ValueError` for any other spelling."""
    try:
        data = b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise ValueError(f"not base64: {text[:60]!r}") from error
    if b64encode(data).decode("ascii") != text:
        raise ValueError(f"not canonical base64: {text[:60]!r}")
    return data


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key under a name; as text ``<name>+<8 hex digits>+<base64(kind ‖ public key)>``.

    Kinds: `KIND_ED25519`, `KIND_COSIGNATURE` (32-byte keys) and `KIND_MLDSA` (1,312 bytes).
    The key id is made of the rest; `VerifierKey.make` computes it, the constructor checks it.
    """

    name: str
    key_id: bytes
    kind: int
    public_key: bytes

    def __post_init__(self) -> None:
        if not is_key_name(self.name) or len(self.name.encode()) > MAX_NAME_SIZE:
            raise VerifierKeyError(
                f"key name {self.name[:60]!r}: expected 1..{MAX_NAME_SIZE} bytes without space or +"
            )
        size = PUBLIC_KEY_SIZES.get(self.kind)
        if size is None:
            kinds = ", ".join(f"0x{kind:02x}" for kind in PUBLIC_KEY_SIZES)
            raise VerifierKeyError(
                f"key {self.name}: expected a kind among {kinds}, found 0x{self.kind:02x}"
            )
        if len(self.public_key) != size:
            raise VerifierKeyError(
                f"key {self.name}: expected {size} bytes of key, found {len(self.public_key)}"
            )
        expected = key_id(self.name, self.kind, self.public_key)
        if self.key_id != expected:
            raise VerifierKeyError(
                f"key {self.name}: expected key id {expected.hex()}, found {self.key_id.hex()}; "
                "copy the whole line again"
            )

    @classmethod
    def make(cls, name: str, kind: int, public_key: bytes) -> VerifierKey:
        """The key with its id computed."""
        if not is_key_name(name):
            raise VerifierKeyError(f"key name {name[:60]!r} is empty or has a space or +")
        return cls(name, key_id(name, kind, public_key), kind, public_key)

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Read a verifier key; raises `VerifierKeyError` with what is wrong."""
        parts = text.split("+", 2)  # from the left: base64 may itself hold a +
        if len(parts) != 3:
            raise VerifierKeyError(f"{text[:60]!r}: expected <name>+<key id>+<base64>")
        name, id_text, key_text = parts
        if not re.fullmatch(r"[0-9a-f]{8}", id_text):
            raise VerifierKeyError(
                f"key {name[:60]!r}: expected a key id of 8 lower-case hex digits, "
                f"found {id_text[:60]!r}"
            )
        try:
            data = decode_strict_base64(key_text)
        except ValueError as error:
            raise VerifierKeyError(f"key {name[:60]!r}: {error}") from error
        if not data:
            raise VerifierKeyError(f"key {name[:60]!r}: no key after the id")
        return cls(name, bytes.fromhex(id_text), data[0], data[1:])

    def format(self) -> str:
        """The key as text; `parse` reads it back."""
        data = b64encode(bytes([self.kind]) + self.public_key).decode("ascii")
        return f"{self.name}+{self.key_id.hex()}+{data}"


@dataclass(frozen=True, slots=True)
class SignerKey:
    """An Ed25519 seed under a name, as the Go tools write it; handle as a secret.

    Text: ``PRIVATE+KEY+<name>+<8 hex digits>+<base64(0x01 ‖ 32-byte seed)>``. Whether the id fits
    the seed cannot be told without the public key: compare with `VerifierKey.key_id` after
    deriving.
    """

    name: str
    key_id: bytes
    seed: bytes

    @classmethod
    def parse(cls, text: str) -> SignerKey:
        """Read a private key; errors (`VerifierKeyError`) never repeat its bytes."""
        match = re.fullmatch(r"PRIVATE\+KEY\+([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)", text)
        if match is None or not is_key_name(match[1]):
            raise VerifierKeyError("expected PRIVATE+KEY+<name>+<key id>+<base64>")
        try:
            data = decode_strict_base64(match[3])
        except ValueError:
            raise VerifierKeyError(f"private key {match[1]}: not canonical base64") from None
        if len(data) != 33 or data[0] != KIND_ED25519:
            raise VerifierKeyError(f"private key {match[1]}: expected kind 0x01 and a 32-byte seed")
        return cls(match[1], bytes.fromhex(match[2]), data[1:])

    def format(self) -> str:
        """The key as text; `parse` reads it back."""
        data = b64encode(bytes([KIND_ED25519]) + self.seed).decode("ascii")
        return f"PRIVATE+KEY+{self.name}+{self.key_id.hex()}+{data}"

    def __repr__(self) -> str:
        return f"SignerKey(name={self.name!r}, key_id={self.key_id!r}, seed=<secret>)"


@dataclass(frozen=True, slots=True)
class Ed25519Verifier:
    """A `Verifier` for plain Ed25519 lines (kind 0x01), around an injected verify function."""

    key: VerifierKey
    verify_ed25519: VerifyFunction

    def __post_init__(self) -> None:
        if self.key.kind != KIND_ED25519:
            raise ArgumentError(f"key {self.key.name}: kind 0x{self.key.kind:02x} is not Ed25519")

    @property
    def name(self) -> str:
        """Key name."""
        return self.key.name

    @property
    def key_id(self) -> bytes:
        """Key id, 4 bytes."""
        return self.key.key_id

    def verify(self, text: bytes, signature: bytes) -> bool:
        """See `Verifier.verify`."""
        return len(signature) == 64 and self.verify_ed25519(self.key.public_key, text, signature)


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line: who, and the bytes after the key id."""

    name: str
    key_id: bytes
    signature: bytes

    def format(self) -> str:
        """The line, with its newline."""
        return f"{_DASH}{self.name} {b64encode(self.key_id + self.signature).decode('ascii')}\n"


def parse_signature_line(line: str) -> NoteSignature:
    """Read one line, given without its newline (a witness answers such lines); or `NoteError`."""
    if not line.startswith(_DASH):
        raise NoteError(f"signature line {line[:60]!r} does not start with U+2014 and a space")
    name, _, text = line[len(_DASH) :].partition(" ")
    if not is_key_name(name):
        raise NoteError(f"signature line {line[:60]!r} has no valid key name")
    try:
        data = decode_strict_base64(text)
    except ValueError as error:
        raise NoteError(f"signature line of {name[:60]!r}: {error}") from error
    if len(data) <= KEY_ID_SIZE:
        raise NoteError(f"signature line of {name[:60]!r} holds no signature after the key id")
    return NoteSignature(name, data[:KEY_ID_SIZE], data[KEY_ID_SIZE:])


@dataclass(frozen=True, slots=True)
class Note:
    """A well-formed note, not yet judged: text (ends in a newline) and signature lines in order."""

    text: str
    signatures: tuple[NoteSignature, ...]

    def format(self) -> bytes:
        """The note's bytes; `parse_note` reads them back."""
        return (self.text + "\n" + "".join(s.format() for s in self.signatures)).encode()

    def with_signatures(self, more: Iterable[NoteSignature]) -> Note:
        """The note with further lines at its end, those already there left out."""
        lines = list(self.signatures)
        lines += [line for line in more if line not in self.signatures]
        return Note(self.text, tuple(lines))


@dataclass(frozen=True, slots=True)
class OpenedNote:
    """A judged note: its text, the good lines of known keys, the lines of unknown ones."""

    text: str
    verified: tuple[NoteSignature, ...]
    unknown: tuple[NoteSignature, ...]


def parse_note(data: bytes) -> Note:
    """Read a note's form; judges no signature. Raises `NoteError`."""
    try:
        whole = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NoteError(f"note is not UTF-8 at byte {error.start}") from error
    control = _CONTROL.search(whole)
    if control is not None:
        raise NoteError(f"note holds the control byte 0x{ord(control[0]):02x}")
    border = whole.rfind("\n\n")
    if border < 0:
        raise NoteError("note has no empty line between text and signatures")
    text, block = whole[: border + 1], whole[border + 2 :]
    if not block:
        raise NoteError("note has no signature lines")
    if not block.endswith("\n"):
        raise NoteError("note does not end in a newline")
    lines = block[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise NoteError(f"note has {len(lines)} signature lines, at most {MAX_SIGNATURES} are read")
    return Note(text, tuple(parse_signature_line(line) for line in lines))


def sign_note(text: str, signers: Sequence[Signer]) -> bytes:
    """The note of `text` with one line for each signer, in order.

    Raises `NoteError` for text that no reader would open: without last newline, or with control
    bytes.
    """
    message = _check_text(text)
    if not signers:
        raise ArgumentError("a note needs at least one signer")
    lines = tuple(NoteSignature(s.name, s.key_id, s.sign(message)) for s in signers)
    return Note(text, lines).format()


def _check_text(text: str) -> bytes:
    if not text.endswith("\n"):
        raise NoteError("a note's text ends in a newline")
    if _CONTROL.search(text):
        raise NoteError("a note's text holds no control byte but newlines")
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise NoteError("a note's text is not valid Unicode") from error


def open_note(data: bytes, verifiers: Iterable[Verifier]) -> OpenedNote:
    """Read and judge a note.

    Raises `NoteError` (malformed), `NoteSignatureError` (a line of a known key is bad),
    `NoteUnverifiedError` (no line of a known key), `ArgumentError` (two verifiers under one name
    and key id: nobody could say whose line it is).
    """
    known: dict[tuple[str, bytes], Verifier] = {}
    for verifier in verifiers:
        if known.setdefault((verifier.name, verifier.key_id), verifier) is not verifier:
            raise ArgumentError(f"two verifiers are named {verifier.name} {verifier.key_id.hex()}")
    note = parse_note(data)
    message = note.text.encode()
    verified, unknown = [], []
    for line in note.signatures:
        judge = known.get((line.name, line.key_id))
        if judge is None:
            unknown.append(line)
        elif judge.verify(message, line.signature):
            verified.append(line)
        else:
            raise NoteSignatureError(line.name, line.key_id)
    if not verified:
        names = ", ".join(sorted({line.name for line in unknown}))
        raise NoteUnverifiedError(f"no signature is by a known key; found lines by: {names[:300]}")
    return OpenedNote(note.text, tuple(verified), tuple(unknown))
