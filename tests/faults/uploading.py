"""Large upload files for the fault tests, and what became of their events."""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from provenance.client.api import Api
from provenance.client.batches import exact_contents, find_batches
from provenance.client.keepsake import receipts_path
from provenance.client.sealing import Signer, prepare, seal_events, sign_event
from provenance.client.transfer import Transfer
from provenance.client.upload import verify_receipt
from provenance.domain.canonical import decode_base64
from provenance.domain.party_events import operator_uri
from provenance.storage.tables import events
from tests.faults.running import Running
from tests.support.databases import PostgresServer
from tests.support.served import now, observed


def large_file(
    path: Path, signer: Signer, batches: int, size: int, *, prefix: str = "B", own: int = 0
) -> Path:
    """`batches` sealed batches of `size` events, then `own` events with their own proofs.

    Each event is about an item of its own and about one that ten batches have in common.
    """
    with path.open("wb") as file:
        for number in range(batches):
            serials = [f"{prefix}{number}.{place}" for place in range(size)]
            document = observed(*serials)
            for event in document["epcisBody"]["eventList"]:
                event["epcList"].append(f"{event['epcList'][0].rpartition('/')[0]}/S{number % 10}")
            prepared = prepare(document, random=os.urandom)
            (batch,) = seal_events(prepared, signer, now=now(), random=os.urandom)
            file.writelines(line + b"\n" for line in batch.lines())
        for event in prepare(
            observed(*(f"{prefix}own{place}" for place in range(own))), random=os.urandom
        ):
            file.write(sign_event(event, signer, now=now()) + b"\n")
    return path


def transfer(platform: Running, file: Path, **changes: Any) -> Transfer:
    """As the command does it, in small segments."""
    given: dict[str, Any] = {"connections": 3, "segment_bytes": 40_000, "sleep": None}
    api = Api(platform.url, timeout_seconds=30)
    return Transfer(api, file, platform.platform.origin, **(given | changes))


@contextmanager
def in_background(sending: Transfer) -> Iterator[threading.Thread]:
    """The upload under way; when the block ends it must have ended well."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            sending.run()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield thread
    finally:
        thread.join(240)
    assert not thread.is_alive()
    if failed:
        raise failed[0]


def receipts_of(platform: Running, file: Path) -> list[dict[str, Any]]:
    """The receipts beside a finished file, each of which fits its batch."""
    operator = Api(platform.url).party(operator_uri(platform.platform.origin))
    lines = receipts_path(file).read_bytes().splitlines()
    receipts = [json.loads(line) for line in lines]
    for batch, receipt in zip(find_batches(file), receipts, strict=True):
        verify_receipt(receipt, operator, exact_contents(file, batch))
    return receipts


def stored_events(platform: Running) -> Counter[bytes]:
    """How often each event is stored, by its hash."""
    with platform.platform.database.read() as connection:
        return Counter(connection.scalars(select(events.c.hash)))


def event_hashes(receipts: list[dict[str, Any]]) -> list[bytes]:
    """What the receipts name."""
    return [decode_base64(event["event"]) for r in receipts for event in r["events"]]


def wrongly_stored(
    platform: Running, before: Counter[bytes], receipts: list[dict[str, Any]]
) -> list[str]:
    """Acknowledged events that are not stored exactly once, and stored ones that were not
    acknowledged; none. `before`: what was stored when it began."""
    now_stored = stored_events(platform) - before
    told = set(event_hashes(receipts))
    wrong = [f"{e.hex()} stands {now_stored[e]} times" for e in told if now_stored[e] != 1]
    return wrong + [f"{e.hex()} is there and nobody was told" for e in now_stored.keys() - told]


@contextmanager
def database_of(product: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """The setting for an installation's database: "" for SQLite, or the URL of an empty one."""
    if product == "sqlite":
        yield ""
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    url = server.create()
    yield url
    server.drop(url)
