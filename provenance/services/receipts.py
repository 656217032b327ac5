"""Capture receipts: signed once, and given again byte for byte when the same seal comes again.

A receipt of ten thousand events is a megabyte of base64 that the store knows already: the event
hashes stand in the seal's row, only the link hashes and the signature are new. So what is kept is

    u32 length ‖ canonical JSON of the receipt without its events ‖ then for each event:
    u16 n ‖ n · 32 bytes

and the document is put together again from it. Sources: docs/formats.md section 12.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from merkle.hashing import HASH_SIZE
from provenance.crypto.integrity import add_proof
from provenance.crypto.signing import PrivateKey
from provenance.domain import canonical
from provenance.domain.canonical import encode_base64
from provenance.domain.moments import format_seconds
from provenance.domain.party import operator_uri
from provenance.domain.proof import format_method
from provenance.domain.receipt import ReceiptEvent, new_receipt
from provenance.storage.errors import StoreInconsistentError


def sign_receipt(
    *,
    origin: str,
    seal_hash: bytes | None,
    accepted_at: int,
    events: Sequence[ReceiptEvent],
    key: PrivateKey,
) -> dict[str, Any]:
    """The signed receipt; `accepted_at` in ledger milliseconds, `key` the operator's party key."""
    unsigned = new_receipt(origin=origin, seal=seal_hash, accepted=accepted_at, events=events)
    method = format_method(operator_uri(origin), key.public.multikey)
    return add_proof(unsigned, key, method, format_seconds(accepted_at // 1000))


def pack_receipt(receipt: dict[str, Any], events: Sequence[ReceiptEvent]) -> bytes:
    """What `uploads.answers` keeps of a receipt whose event hashes are `seals.leaves`."""
    head = canonical.encode({name: receipt[name] for name in receipt if name != "events"})
    parts = [struct.pack(">I", len(head)), head]
    for event in events:
        parts += [struct.pack(">H", len(event.links)), *event.links]
    return b"".join(parts)


def unpack_receipt(answers: bytes, leaves: bytes) -> dict[str, Any]:
    """The receipt as it was first given; raises StoreInconsistentError for other bytes."""
    try:
        (length,) = struct.unpack_from(">I", answers)
        receipt: dict[str, Any] = canonical.parse(answers[4 : 4 + length])
        events = []
        place = 4 + length
        for start in range(0, len(leaves), HASH_SIZE):
            (count,) = struct.unpack_from(">H", answers, place)
            place += 2
            links = [
                encode_base64(answers[place + HASH_SIZE * i : place + HASH_SIZE * (i + 1)])
                for i in range(count)
            ]
            place += HASH_SIZE * count
            events.append(
                {"event": encode_base64(leaves[start : start + HASH_SIZE]), "links": links}
            )
    except (struct.error, canonical.MalformedJsonError) as error:
        raise StoreInconsistentError(f"a stored answer cannot be read: {error}") from error
    if place != len(answers):
        raise StoreInconsistentError(f"a stored answer has {len(answers)} bytes, expected {place}")
    receipt["events"] = events
    return receipt
