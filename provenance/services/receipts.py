"""Capture receipts: signed once, and given again byte for byte when the same seal comes again.

A receipt of ten thousand events is a megabyte of base64 that the store knows already: the event
hashes stand in the seal's row, only the link hashes and the signature are new. So what is kept is

    u32 length ‖ canonical JSON of the receipt without its events ‖ then for each event:
    u16 n ‖ n · 32 bytes

and the receipt is put together again from it. It is never a tree of objects here: base64 and
brackets need no escape, "events" is the second name in canonical order, and the first one,
"accepted", has a value of fixed length, so the list is joined as bytes and set in at its place.

Sources: docs/formats.md section 12; RFC 8785.
"""

from __future__ import annotations

import struct
from binascii import b2a_base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from merkle.hashing import HASH_SIZE
from provenance.crypto.integrity import make_proof
from provenance.crypto.signing import PrivateKey
from provenance.domain import canonical
from provenance.domain.moments import format_seconds
from provenance.domain.party import operator_uri
from provenance.domain.proof import format_method
from provenance.domain.receipt import ReceiptEvent, new_receipt
from provenance.storage.errors import StoreInconsistentError

_BEFORE_EVENTS: Final = len(b'{"accepted":"2026-11-23T15:00:00.123Z",')
_base64 = partial(b2a_base64, newline=False)


@dataclass(frozen=True, slots=True)
class SignedReceipt:
    """A receipt as its two parts: `head`, canonical JSON without ``events``, and `events`."""

    head: bytes
    events: Sequence[ReceiptEvent]

    def encode(self) -> bytes:
        """The canonical bytes."""
        return _set_in(self.head, self.events)

    def pack(self) -> bytes:
        """What `uploads.answers` keeps of a receipt whose event hashes are `seals.leaves`."""
        parts = [struct.pack(">I", len(self.head)), self.head]
        for event in self.events:
            parts += (len(event.links).to_bytes(2, "big"), *event.links)
        return b"".join(parts)


def sign_receipt(
    *,
    origin: str,
    seal_hash: bytes | None,
    accepted_at: int,
    events: Sequence[ReceiptEvent],
    key: PrivateKey,
) -> SignedReceipt:
    """The signed receipt; `accepted_at` in ledger milliseconds, `key` the operator's party key."""
    document = new_receipt(origin=origin, seal=seal_hash, accepted=accepted_at, events=())
    del document["events"]
    unsigned = _set_in(canonical.encode(document), events)
    method = format_method(operator_uri(origin), key.public.multikey)
    created = format_seconds(accepted_at // 1000)
    proof = make_proof(unsigned, key, method, {"created": created})
    return SignedReceipt(canonical.encode({**document, "proof": proof}), events)


def unpack_receipt(answers: bytes, leaves: bytes) -> SignedReceipt:
    """The receipt as it was first given; raises StoreInconsistentError for other bytes."""
    try:
        (length,) = struct.unpack_from(">I", answers)
        head = answers[4 : 4 + length]
        canonical.parse(head)
        place = 4 + length
        events = []
        for start in range(0, len(leaves), HASH_SIZE):
            (count,) = struct.unpack_from(">H", answers, place)
            end = place + 2 + HASH_SIZE * count
            links = tuple(answers[at : at + HASH_SIZE] for at in range(place + 2, end, HASH_SIZE))
            events.append(ReceiptEvent(leaves[start : start + HASH_SIZE], links))
            place = end
    except (struct.error, canonical.MalformedJsonError) as error:
        raise StoreInconsistentError(f"a stored answer cannot be read: {error}") from error
    if place != len(answers):
        raise StoreInconsistentError(f"a stored answer has {len(answers)} bytes, expected {place}")
    return SignedReceipt(head, events)


def _set_in(head: bytes, events: Iterable[ReceiptEvent]) -> bytes:
    listed = b",".join(
        b'{"event":"%b","links":["%b"]}' % (_base64(event), b'","'.join(map(_base64, links)))
        for event, links in events
    )
    return b'%b"events":[%b],%b' % (head[:_BEFORE_EVENTS], listed, head[_BEFORE_EVENTS:])
