"""Links: how one event hangs on the chain of one of its subjects.

Canonical bytes of one link, which are an entry of the log (docs/formats.md section 6):

    {"event":"<base64>","key":"<base64>","prev":"<base64>"|null,"seal":"<base64>","seq":0,
     "time":"2026-11-23T15:00:00.123Z","v":1}

A link holds hashes and our time and nothing to read about business. Its hash is the leaf hash of
those bytes. ``seq`` counts from 0 without gaps and ``prev`` is the hash of the link before; both
together say the same twice, on purpose: a reader sees the position without the links before it.

Whether a link extends a chain is for ``ledger.apply_link`` (the log) and the verifier; only the
form is judged here. In particular a ``prev`` at seq 0 has the right form and is refused later,
with the reason that belongs to it.
"""

from __future__ import annotations

import re
import struct
from binascii import b2a_base64
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Final

from merkle.hashing import leaf_hash
from provenance.domain import wire
from provenance.domain.errors import DomainError
from provenance.domain.moments import format_ledger_time
from provenance.domain.wire import FormError

MAX_SECRET_BYTES: Final = 255
MAX_URI_BYTES: Final = 0xFFFF

_KEY_DOMAIN: Final = b"prov/map-key/v1\0"
_MEMBERS: Final = frozenset({"event", "key", "prev", "seal", "seq", "time", "v"})
_base64 = partial(b2a_base64, newline=False)
_HASH_TEXT: Final = r'"([A-Za-z0-9+/]{43}=)"'
_LINK: Final = re.compile(
    rf'\{{"event":{_HASH_TEXT},"key":{_HASH_TEXT},"prev":(?:null|{_HASH_TEXT}),"seal":{_HASH_TEXT},'
    r'"seq":(0|[1-9][0-9]{0,15}),"time":"([0-9TZ:.-]{24})","v":1\}'
)


class MalformedLinkError(DomainError):
    """Bytes or a document that are no link of docs/formats.md section 6."""


@dataclass(frozen=True, slots=True)
class Link:
    """One link. Hashes are 32 bytes; `prev` is None at seq 0; `time` is ledger milliseconds."""

    key: bytes
    seq: int
    prev: bytes | None
    event: bytes
    seal: bytes
    time: int

    def encode(self) -> bytes:
        """The canonical bytes: what the log holds."""
        time = format_ledger_time(self.time)
        return encode_link(self.key, self.seq, self.prev, self.event, self.seal, time)

    @property
    def hash(self) -> bytes:
        """The leaf hash of the canonical bytes."""
        return leaf_hash(self.encode())


def encode_link(
    key: bytes, seq: int, prev: bytes | None, event: bytes, seal: bytes, time: str
) -> bytes:
    """The canonical bytes of a link whose members stand by themselves; `time` as formatted.

    Written out rather than passed through the JSON writer, which would cost more than all else
    that is done for a link: base64 and digits need no escape, and the names stand sorted.
    """
    before = b"null" if prev is None else b'"%b"' % _base64(prev)
    return b'{"event":"%b","key":"%b","prev":%b,"seal":"%b","seq":%d,"time":"%b","v":1}' % (
        _base64(event),
        _base64(key),
        before,
        _base64(seal),
        seq,
        time.encode("ascii"),
    )


def decode_link(data: bytes) -> Link:
    """The link of canonical bytes; raises MalformedLinkError for any other bytes.

    Exact inverse of `Link.encode`: bytes that are accepted are given back by it unchanged.
    """
    try:
        match = _LINK.fullmatch(data.decode("ascii"))
    except UnicodeDecodeError:
        match = None
    if match is not None:
        event, key, prev, seal, seq, time = match.groups()
        members = {"event": event, "key": key, "prev": prev, "seal": seal, "time": time, "v": 1}
        return read_link({**members, "seq": int(seq)})
    raise MalformedLinkError(f"expected the canonical bytes of a link, found {data[:60]!r}")


def read_link(document: object) -> Link:
    """The link of a parsed JSON value; raises MalformedLinkError naming the member."""
    try:
        members = wire.read_object(document, _MEMBERS)
        wire.read_constant(members, "v", 1)
        return Link(
            key=wire.read_bytes(members, "key"),
            seq=wire.read_integer(members, "seq"),
            prev=None if members["prev"] is None else wire.read_bytes(members, "prev"),
            event=wire.read_bytes(members, "event"),
            seal=wire.read_bytes(members, "seal"),
            time=wire.read_ledger_time(members, "time"),
        )
    except FormError as error:
        raise MalformedLinkError(f"not a link: {error}") from error


def subject_key(uri: str, secret: bytes = b"") -> bytes:
    """The 32-byte map key of a subject: ``H("prov/map-key/v1\\0" ‖ u16 len ‖ URI ‖ u8 len ‖
    secret)``.

    `uri` is the canonical identifier (at most 65,535 bytes of UTF-8), `secret` a card's secret of
    at most 255 bytes or nothing. Lengths stand before the values, so no two pairs give the same
    bytes.
    """
    name = uri.encode("utf-8")
    if len(name) > MAX_URI_BYTES or len(secret) > MAX_SECRET_BYTES:
        raise ValueError(
            f"a subject's URI of {len(name)} bytes or secret of {len(secret)} is too long"
        )
    lengths = struct.pack(">H", len(name)), struct.pack(">B", len(secret))
    return sha256(_KEY_DOMAIN + lengths[0] + name + lengths[1] + secret).digest()
