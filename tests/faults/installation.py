"""A real installation with a party that may upload, and uploads for it."""

from __future__ import annotations

import os
from typing import Any

from provenance.cli.operate import check
from provenance.client.sealing import SealedBatch, Signer, prepare, seal_events
from provenance.config import Settings
from provenance.crypto.signing import PrivateKey
from provenance.domain.canonical import decode_base64
from provenance.domain.party_events import party_accredited, party_registered
from provenance.platform import Platform, initialise, system_clock
from provenance.storage.tiles import TileStore
from tests.faults.evidence import leaves
from tests.support.builders import complete
from tests.support.served import now, observed


def install(settings: Settings) -> Signer:
    """Makes the installation, registers and accredits a brand, publishes that."""
    initialise(settings)
    platform = Platform.open(settings)
    brand = Signer(platform.origin, "https://brand.example", PrivateKey.generate())
    operator = Signer(platform.origin, platform.operator, platform.keys.operator)
    multikey = brand.key.public.multikey
    for signer, members in (
        (brand, party_registered(brand.party, name={"en": "brand"}, key=multikey)),
        (operator, party_accredited(brand.party, role="brand")),
    ):
        event = complete(members, at=system_clock())
        (batch,) = seal_events([event], signer, now=now(), random=os.urandom)
        platform.capture.submit_batch(batch.lines())
    platform.sequencer.run_once()
    platform.sequencer.release()
    platform.close()
    return brand


def sealed(signer: Signer, *serials: str) -> SealedBatch:
    """An upload of one event about each serial."""
    events = prepare(observed(*serials), random=os.urandom)
    (batch,) = seal_events(events, signer, now=now(), random=os.urandom)
    return batch


def body(batch: SealedBatch) -> bytes:
    """The upload as it is sent."""
    return b"".join(line + b"\n" for line in batch.lines())


def links_of(receipt: dict[str, Any]) -> list[bytes]:
    """The link hashes that a receipt promises: they are leaf hashes of the log."""
    return [decode_base64(link) for event in receipt["events"] for link in event["links"]]


def fsck(platform: Platform) -> None:
    """`provenance fsck`; AssertionError with the first difference."""
    report = check(platform, lambda _: None)
    assert report.difference is None, report.difference


def not_once(tiles: TileStore, size: int, receipts: list[dict[str, Any]]) -> list[str]:
    """Promised links that the published log of that size does not hold exactly once; none."""
    held = leaves(tiles, size)
    counts: dict[bytes, int] = {}
    for leaf in held:
        counts[leaf] = counts.get(leaf, 0) + 1
    return [
        f"link {link.hex()} stands {counts.get(link, 0)} times"
        for receipt in receipts
        for link in links_of(receipt)
        if counts.get(link, 0) != 1
    ]
