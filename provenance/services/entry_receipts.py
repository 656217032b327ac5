"""A receipt that one event's link stands in the published log, for whoever keeps it offline.

Two forms of the same leaf (docs/formats.md section 15): a tlog-proof, with which origin, quorum and
age are judged under the reader's policy, and a COSE receipt for SCITT readers. The capture receipt
of :mod:`provenance.services.receipts` is another thing: a promise, given before publication.
"""

from __future__ import annotations

from dataclasses import dataclass

from merkle.checkpoint import Checkpoint, parse_checkpoint
from merkle.note import parse_note
from merkle.proofs import prove_inclusion
from merkle.receipt import Receipt
from merkle.tiles import TileHashReader
from provenance.crypto.cose import CoseReceiptError, sign_receipt
from provenance.crypto.signing import PrivateKey
from provenance.domain.errors import ConflictError, NotFoundError, UnavailableError
from provenance.storage.entries import EntryRow, find_entry
from provenance.storage.log import read_publication
from provenance.storage.session import Database
from provenance.storage.tiles import TileStore, read_tile


@dataclass(frozen=True, slots=True)
class ProvedEntry:
    """A published link (canonical bytes) with its place and path under a published checkpoint."""

    link: bytes
    index: int
    path: tuple[bytes, ...]
    note: bytes
    checkpoint: Checkpoint

    def tlog_proof(self) -> bytes:
        """The tlog-proof; the link travels in it."""
        return Receipt(self.index, self.path, self.note, self.link).format()

    def cose(self, key: PrivateKey) -> bytes:
        """The COSE receipt, signed by the receipt key; ConflictError in a tree of one leaf."""
        checkpoint = self.checkpoint
        try:
            receipt = sign_receipt(
                key,
                size=checkpoint.size,
                index=self.index,
                path=self.path,
                root=checkpoint.root,
            )
        except CoseReceiptError as error:
            raise ConflictError(
                "receipt-impossible", str(error), remedy="Ask again after the next upload."
            ) from error
        return receipt.encode()


def prove_entry(
    database: Database, tiles: TileStore, subject: str, event_hash: bytes
) -> ProvedEntry:
    """The proof for the link of an event (32-byte hash) on a canonical subject's chain.

    Raises NotFoundError (`event-unknown`), UnavailableError while the link is not published yet
    (`event-unpublished`); errors of the stores pass.
    """
    with database.read() as connection:
        entry = find_entry(connection, subject, event_hash)
        publication = read_publication(connection)
    if entry is None:
        raise NotFoundError(
            "event-unknown",
            "No such event stands on the chain of this subject.",
            expected="the hash of an event about this subject",
            found=event_hash.hex(),
            remedy="The capture receipt lists the events' hashes, the event its subjects.",
        )
    size = 0 if publication is None else publication.size
    index = _published(entry, size)
    assert publication is not None  # noqa: S101 -- an index below its size was found
    path = prove_inclusion(index, size, TileHashReader(lambda one: read_tile(tiles, one), size))
    checkpoint = parse_checkpoint(parse_note(publication.note).text)
    return ProvedEntry(entry.link, index, tuple(path), publication.note, checkpoint)


def _published(entry: EntryRow, size: int) -> int:
    if entry.index is None or entry.index >= size:
        raise UnavailableError(
            "event-unpublished",
            "The event is accepted, and not in a published checkpoint yet.",
            remedy="Ask again in a second.",
        )
    return entry.index
