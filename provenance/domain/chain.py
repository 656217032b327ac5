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
from binascii import a2b_base64, b2a_base64
from dataclasses import dataclass
from functools import lru_cache, partial
from hashlib import sha256
from typing import Final, NamedTuple

from merkle.hashing import leaf_hash
from provenance.domain import wire
from provenance.domain.errors import DomainError
from provenance.domain.moments import MomentError, format_ledger_time, parse_ledger_time
from provenance.domain.wire import MAX_INTEGER, FormError

MAX_SECRET_BYTES: Final = 255
MAX_URI_BYTES: Final = 0xFFFF

_KEY_DOMAIN: Final = b"prov/map-key/v1\0"
_MEMBERS: Final = frozenset({"event", "key", "prev", "seal", "seq", "time", "v"})
_base64 = partial(b2a_base64, newline=False)
# 32 bytes in base64: the last digit before "=" carries 4 bits of them, its other 2 are zero.
_HASH_TEXT: Final = rb'"([A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=)"'
_LINK: Final = re.compile(
    rb'\{"event":%(hash)b,"key":%(hash)b,"prev":(?:null|%(hash)b),"seal":%(hash)b,'
    rb'"seq":(0|[1-9][0-9]{0,15}),"time":"([0-9TZ:.-]{24})","v":1\}' % {b"hash": _HASH_TEXT}
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


class ChainStep(NamedTuple):
    """What the ledger asks of a link (`ledger.apply_link`): where it stands, and its own hash."""

    key: bytes
    seq: int
    prev: bytes | None
    hash: bytes


def decode_link(data: bytes) -> Link:
    """The link of canonical bytes; raises MalformedLinkError for any other bytes.

    Exact inverse of `Link.encode`: bytes that are accepted are given back by it unchanged.
    """
    event, key, prev, seal, seq, time = _match(data)
    return Link(
        key=a2b_base64(key),
        seq=seq,
        prev=None if prev is None else a2b_base64(prev),
        event=a2b_base64(event),
        seal=a2b_base64(seal),
        time=time,
    )


def decode_step(data: bytes) -> ChainStep:
    """The same of a link of which no more is needed; the same bytes are refused."""
    _, key, prev, _, seq, _ = _match(data)
    prev_hash = None if prev is None else a2b_base64(prev)
    return ChainStep(a2b_base64(key), seq, prev_hash, leaf_hash(data))


def _match(data: bytes) -> tuple[bytes, bytes, bytes | None, bytes, int, int]:
    """Event, key, prev and seal as canonical base64; seq; time in milliseconds."""
    match = _LINK.fullmatch(data)
    if match is None:
        raise MalformedLinkError(f"expected the canonical bytes of a link, found {data[:60]!r}")
    event, key, prev, seal, digits, time = match.groups()
    seq = int(digits)
    if seq > MAX_INTEGER:
        raise MalformedLinkError(f"not a link: seq is above {MAX_INTEGER}: {seq}")
    try:
        return event, key, prev, seal, seq, _read_time(time)
    except MomentError as error:
        raise MalformedLinkError(f"not a link: time: {error}") from error


@lru_cache(maxsize=1_024)
def _read_time(text: bytes) -> int:
    """Ledger milliseconds: all links of an upload have the same."""
    return parse_ledger_time(text.decode("ascii"))


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
