"""Sends sealed files and checks what comes back.

A receipt is believed only if it is for our log, names our seal and every event hash in our order,
and if a key of the operator that was valid then signed it: it is the partner's evidence should the
platform ever drop the events (docs/formats.md section 12). The operator's keys are asked of the
platform itself; what makes the answer worth something is that the same keys stand on the operator's
chain in the public log.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from merkle.hashing import leaf_hash
from provenance.client.api import Api, Posted
from provenance.client.batches import Contents, parse_line
from provenance.client.errors import ReceiptError, SealingError
from provenance.client.sealing import disclosures_path
from provenance.crypto.errors import CryptoError
from provenance.crypto.integrity import verify_proof
from provenance.crypto.signing import PublicKey
from provenance.domain import canonical
from provenance.domain.errors import DomainError
from provenance.domain.party import KeyRefusedError, Party
from provenance.domain.party_events import operator_uri
from provenance.domain.receipt import MalformedReceiptError, Receipt, read_receipt
from provenance.domain.seal import is_seal

Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Upload:
    """A sealed file on disk: line 1 the seal, then the events (or events with own proofs alone)."""

    path: Path

    def lines(self) -> Iterator[bytes]:
        """Lines without their newlines; blank ones are left out."""
        with self.path.open("rb") as file:
            for line in file:
                if line.strip():
                    yield line.rstrip(b"\r\n")

    def contents(self) -> Contents:
        """The hashes that the receipt must name; raises SealingError for what is no upload."""
        documents = [
            parse_line(self.path, number, line) for number, line in enumerate(self.lines(), 1)
        ]
        # As the platform does: what is hashed are the canonical bytes, however a line is written.
        hashes = tuple(leaf_hash(canonical.encode(document)) for document in documents)
        if not documents:
            raise SealingError(f"{self.path}: expected a seal and events, found an empty file")
        if is_seal(documents[0]):
            return Contents(str(documents[0].get("origin")), hashes[0], hashes[1:])
        proof = documents[0].get("proof")
        if not isinstance(proof, dict):
            raise SealingError(
                f"{self.path}: expected a seal on line 1, or events that carry a proof each; "
                "make the file with `provenance seal`"
            )
        return Contents(str(proof.get("domain")), None, hashes)


def send(api: Api, upload: Upload, *, wait: bool = False, advance: Advance | None = None) -> Posted:
    """Uploads, verifies the receipt and hands over the disclosures; the answer, now checked.

    `advance` is told of each further event that left (an attempt starts again from nothing, so a
    retry reports a negative step first). Raises SealingError, ProblemError, UnreachableError and
    ReceiptError; doing it again is harmless after each of them.
    """
    contents = upload.contents()
    posted = api.post_batch(_counted(upload, contents.seal is not None, advance), wait=wait)
    verify_receipt(posted.receipt, api.party(operator_uri(contents.origin)), contents)
    secret = disclosures_path(upload.path)
    if contents.seal is not None and secret.exists():
        lines = [json.loads(line) for line in secret.read_text("utf-8").splitlines()]
        api.post_disclosures(contents.seal, lines)
    return posted


def _counted(
    upload: Upload, sealed: bool, advance: Advance | None
) -> Callable[[], Iterable[bytes]]:
    done = 0

    def lines() -> Iterator[bytes]:
        nonlocal done
        if advance and done:
            advance(-done)
        done = 0
        for number, line in enumerate(upload.lines()):
            yield line
            if advance and not (sealed and number == 0):
                done += 1
                advance(1)

    return lines


def verify_receipt(document: dict[str, Any], operator: dict[str, Any], contents: Contents) -> None:
    """Raises ReceiptError unless this answers exactly the upload, under a key of the operator.

    `operator` is the operator's party as the platform tells it (``Party.to_json``).
    """
    try:
        receipt = read_receipt(document)
    except MalformedReceiptError as error:
        raise ReceiptError(f"what came back is no receipt: {error}") from error
    if receipt.origin != contents.origin:
        raise ReceiptError(
            f"the receipt is of the log {receipt.origin}, the upload is for {contents.origin}"
        )
    if receipt.seal != contents.seal:
        raise ReceiptError(
            "the receipt is for another seal; keep the upload file and ask the operator"
        )
    _require_events([entry.event for entry in receipt.events], contents.events)
    _require_key(receipt, operator)
    try:
        verify_proof(document, PublicKey.from_multikey(receipt.proof.multikey))
    except CryptoError as error:
        raise ReceiptError(f"the receipt's signature does not verify: {error}") from error


def _require_events(named: Sequence[bytes], sent: Sequence[bytes]) -> None:
    if len(named) != len(sent):
        raise ReceiptError(f"the receipt names {len(named)} events, {len(sent)} were sent")
    for number, (there, ours) in enumerate(zip(named, sent, strict=True), start=1):
        if there != ours:
            raise ReceiptError(
                f"the receipt does not name exactly the events that were sent: event {number} is "
                f"{ours.hex()}, the receipt says {there.hex()}"
            )


def _require_key(receipt: Receipt, operator: dict[str, Any]) -> None:
    proof, expected = receipt.proof, operator_uri(receipt.origin)
    try:
        party = Party.from_json(operator)
    except (KeyError, TypeError, AttributeError, DomainError) as error:
        raise ReceiptError(
            f"what the platform says of {expected} is no party: {error!r}"
        ) from error
    if proof.party != expected or party.uri != expected:
        raise ReceiptError(f"the receipt is signed by {proof.party}, not by {expected}")
    try:
        party.judge_key(proof.multikey, receipt.accepted)
    except KeyRefusedError as error:
        raise ReceiptError(
            f"the receipt is signed with no valid key of the operator: {error}"
        ) from error
