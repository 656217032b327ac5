"""Accept uploads: one durable transaction each, all of it or nothing, and exactly once.

    lines -> admission (checked line by line) -> append (this module) -> signed receipt

Append, in the order that keeps it true under concurrent uploads (storage/session.py):

0. a log that has stopped (:mod:`provenance.services.forks`) accepts nothing that it could never
   publish;
1. lock the signers' party rows (shared, or alone where the upload changes a party);
2. create and lock the subjects; from here on nobody else moves these chains;
3. the same seal may have come in meanwhile: answer with its receipt;
4. ledger time = our clock, but never before the newest link of a touched chain or of a signer's own
   chain; where the upload changes a party, never before anything accepted so far, so that no event
   that is already there turns out to have been signed after a revocation;
5. go through the events in order: those that stand on their chains already are answered with the
   links they have; `prov:after` is compared with the head; party events take effect; links arise;
6. judge the signers at the ledger time;
7. write everything by the batch, move the heads by compare-and-swap, sign the receipt, commit.

A clock that is wrong: one that went back only holds times still until it has caught up. One that
was far ahead when something was accepted leaves that time on the chains it touched, and, since
ledger time never falls, on whatever follows there; the next change of any party takes it too (step
4), and with it that party's later uploads. Other chains and parties are free of it, order and
validity of keys are never affected, and a revocation still holds at once (admission.judge_signer);
what is false are the times shown. Nothing here can tell such a reading from a long pause, so the
machines' clocks must be kept (NTP), and watched: receipts and `uploads.accepted_at` show it.

Single events of several senders that come at once share one transaction (`services.grouping`):
steps 1 to 7 over all of them, one `uploads` row, a receipt for each. Who would be refused is left
out and tries again alone, so that nobody's refusal, clock or outage becomes another's.

A crash before the commit leaves nothing; one after it leaves an upload whose sender has no answer
and gets it by sending the same again. The receipt is signed inside the transaction because it is
part of what must be the same for ever.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, TypeVar

from merkle.tiles import frame_entries
from provenance.crypto.signing import PrivateKey
from provenance.domain.errors import BusyError, Refusal
from provenance.domain.receipt import ReceiptEvent
from provenance.domain.seal import Seal
from provenance.services.admission import Admission, Clock, KnownSeal, Limits, Upload
from provenance.services.appending import Appending, Plan
from provenance.services.attaching import Attachment, attach
from provenance.services.backlog import Backlog
from provenance.services.forks import require_accepting
from provenance.services.grouping import Grouping
from provenance.services.observing import SILENT, Observer
from provenance.services.receipts import SignedReceipt, sign_receipt, unpack_receipt
from provenance.storage import events as event_rows
from provenance.storage.errors import StoreConflictError
from provenance.storage.session import Connection, Database
from provenance.storage.subjects import move_heads

T = TypeVar("T")

# Losing a race is rare (heads are locked before they are read) and each loss means that somebody
# else got ahead, so a handful of tries is plenty.
_ATTEMPTS: Final = 5


class _AloneError(Exception):
    """One of a group stands on a chain that is ahead of our clock: its time is not the others'."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """What the sender is told. `created` is False when nothing had to be appended.

    `body` are the receipt's canonical bytes: the same for the same seal, whenever it is sent.
    `seal` is the hash of the seal (32 bytes), None for events with their own proofs. `upload_id` is
    the upload that holds the newest of the links in the receipt: once the log covers it, all of
    them are published.
    """

    body: bytes
    seal: bytes | None
    created: bool
    upload_id: int

    @property
    def receipt(self) -> dict[str, Any]:
        """The receipt as a document."""
        document: dict[str, Any] = json.loads(self.body)
        return document


class Capture:
    """The one way into the ledger. One object serves all threads and survives a fork."""

    def __init__(
        self,
        database: Database,
        origin: str,
        receipt_key: PrivateKey,
        clock: Clock,
        limits: Limits | None = None,
        observer: Observer = SILENT,
        backlog: Backlog | None = None,
    ) -> None:
        """`receipt_key` is the operator's party key; `clock` gives milliseconds since 1970.

        `observer` is told of steps and, after the commit, of what was accepted. `backlog` says when
        too much waits for the log already; None: never.
        """
        self._database = database
        self._origin = origin
        self._key = receipt_key
        self._clock = clock
        self._limits = limits or Limits()
        self._observer = observer
        self._backlog = backlog
        self._admission = Admission(database, origin, clock, self._limits)
        self._grouping = Grouping(self._append_group)

    def submit_batch(self, lines: Iterable[bytes]) -> Accepted:
        """A seal and its events, or events with their own proofs, one a line.

        Raises a Refusal (nothing was stored) that names line, path, expected and found:
        MalformedInputError, TooLargeError, InvalidContentError, ForbiddenError, ConflictError
        (``head-moved``, with the heads), UnavailableError and BusyError (try again).
        """
        self._require_room()
        with self._observer.step("admission"):
            read = self._admission.read_batch(lines)
        return self._accept(read)

    def submit_event(self, body: bytes) -> Accepted:
        """One event that carries its own proof, as a phone sends it; raises as `submit_batch`."""
        self._require_room()
        with self._observer.step("admission"):
            read = self._admission.read_event(body)
        if _may_share(read):
            accepted = self._grouping.submit(read)
            if accepted is not None:
                new = accepted.created
                links = len(read.entries[0].subjects) if new else 0
                self._observer.accepted(events=int(new), known=int(not new), links=links)
                return accepted
        return self._accept(read)

    def submit_disclosures(self, seal_hash: bytes, lines: Iterable[bytes]) -> Attachment:
        """Disclosures for concealed members of an accepted batch; all or nothing, repeatable.

        `seal_hash` is 32 bytes. Raises a Refusal that names the line, as `attaching.attach` says.
        """
        most = self._limits.max_events
        given = list(islice(lines, most + 1))  # one too many is enough to refuse
        return self._retried(lambda: attach(self._database, seal_hash, given, most))

    def _require_room(self) -> None:
        if self._backlog is not None:
            self._backlog.require_room()

    def _accept(self, read: Upload | KnownSeal) -> Accepted:
        if isinstance(read, KnownSeal):
            self._observer.accepted(events=0, known=read.seal.size, links=0)
            return _known(read.seal, read.stored)
        return self._retried(lambda: self._append(read))

    def _retried(self, attempt: Callable[[], T]) -> T:
        last: StoreConflictError | None = None
        for _ in range(_ATTEMPTS):
            try:
                return attempt()
            except StoreConflictError as error:
                last = error
        raise BusyError(
            "too-busy",
            "others kept writing to the same histories",
            remedy="try again in a few seconds; repeating an upload never appends twice",
        ) from last

    def _append(self, upload: Upload) -> Accepted:
        with self._observer.step("transaction"), self._database.write() as connection:
            accepted, plan = self._append_within(connection, upload)
        if plan is not None and plan.changed:
            self._admission.forget_signers()
        # Told after the commit: what was rolled back was never accepted.
        events, links = (len(plan.entries), len(plan.links)) if plan is not None else (0, 0)
        self._observer.accepted(events=events, known=len(upload.entries) - events, links=links)
        return accepted

    def _append_group(self, uploads: Sequence[Upload]) -> Sequence[Accepted | None]:
        """Single events of several senders in one transaction, as if they had come as one upload.

        Whoever would be refused is left out and gets None, as does everybody after some of these:
        then each tries alone, and is told its own reason.
        """
        left = dict(enumerate(uploads))
        for _ in range(_ATTEMPTS):
            try:
                return self._append_together(len(uploads), left)
            except StoreConflictError:
                continue
            except _AloneError:
                break
            except Refusal as refusal:
                if refusal.line is None or left.pop(refusal.line - 1, None) is None:
                    break
        return [None] * len(uploads)

    def _append_together(
        self, size: int, uploads: Mapping[int, Upload]
    ) -> Sequence[Accepted | None]:
        """The answers to `uploads` at their places among `size`.

        Raises a Refusal, whose line counts the places from 1, and _AloneError.
        """
        entries = tuple(
            upload.entries[0]._replace(line=place + 1, leaf=leaf)
            for leaf, (place, upload) in enumerate(uploads.items())
        )
        together = Upload(None, entries)
        with (
            self._observer.step("transaction"),
            self._database.write() as connection,
            self._observer.step("append"),
        ):
            require_accepting(connection)
            appending = Appending(connection, self._origin, self._clock, together)
            appending.lock()
            if appending.is_ahead:
                raise _AloneError
            plan = appending.plan()
            upload_id = self._write(appending, plan) if plan.links else 0
        new = {entry.leaf for entry in plan.entries}
        answers: list[Accepted | None] = [None] * size
        for entry, answer in zip(entries, plan.answers, strict=True):
            receipt = self._sign(together, plan.time, [answer])
            answers[entry.line - 1] = _accepted(
                receipt,
                None,
                created=entry.leaf in new,
                upload_id=upload_id if entry.leaf in new else plan.newest_known,
            )
        return answers

    def _append_within(
        self, connection: Connection, upload: Upload
    ) -> tuple[Accepted, Plan | None]:
        """The answer, and what was written; no plan where the seal is known already."""
        with self._observer.step("append"):
            require_accepting(connection)
            appending = Appending(connection, self._origin, self._clock, upload)
            appending.lock()
            if upload.seal is not None:
                stored = event_rows.find_sealed_upload(connection, upload.seal.hash)
                if stored is not None:
                    return _known(upload.seal, stored), None
            plan = appending.plan()
            return self._answer(appending, plan), plan

    def _answer(self, appending: Appending, plan: Plan) -> Accepted:
        """Sign and write. The receipt of a seal is kept, so it is signed before the commit."""
        upload = appending.upload
        receipt = self._sign(upload, plan.time, plan.answers)
        created = bool(plan.links)
        newest = plan.newest_known
        if created or upload.seal is not None:
            upload_id = self._write(appending, plan, receipt)
            newest = upload_id if created else newest
        return _accepted(receipt, upload.seal, created=created, upload_id=newest)

    def _sign(self, upload: Upload, time: int, answers: Sequence[ReceiptEvent]) -> SignedReceipt:
        return sign_receipt(
            origin=self._origin,
            seal_hash=None if upload.seal is None else upload.seal.hash,
            accepted_at=time,
            events=answers,
            key=self._key,
        )

    def _write(self, appending: Appending, plan: Plan, receipt: SignedReceipt | None = None) -> int:
        """Everything by the batch; the id of the upload's row."""
        connection = appending.connection
        appending.store_parties(plan)
        upload_id = self._write_upload(appending, plan, receipt)
        event_rows.insert_events(connection, plan.rows_of_events(upload_id, appending.party_ids))
        event_rows.insert_links(connection, plan.rows_of_links(upload_id))
        move_heads(connection, plan.moves, plan.time)
        return upload_id

    def _write_upload(self, appending: Appending, plan: Plan, receipt: SignedReceipt | None) -> int:
        connection, seal = appending.connection, appending.upload.seal
        entries = [link.canonical for link in plan.links]
        upload_id = event_rows.insert_upload(
            connection,
            accepted_at=plan.time,
            entries=entries,
            framed=frame_entries(entries),
            newest_known=plan.newest_known,
        )
        if seal is not None and receipt is not None:
            event_rows.insert_seal(
                connection,
                upload_id=upload_id,
                party_id=appending.party_ids[seal.party],
                seal_hash=seal.hash,
                canonical=seal.canonical,
                leaves=b"".join(entry.hash for entry in appending.upload.entries),
                answers=receipt.pack(),
            )
        return upload_id


def _may_share(upload: Upload) -> bool:
    """A single event that changes no party: such take no lock that others would wait for long."""
    return len(upload.entries) == 1 and upload.entries[0].party_event is None


def _known(seal: Seal, stored: event_rows.SealedUpload) -> Accepted:
    receipt = unpack_receipt(stored.answers, stored.leaves)
    return _accepted(receipt, seal, created=False, upload_id=stored.newest)


def _accepted(
    receipt: SignedReceipt, seal: Seal | None, *, created: bool, upload_id: int
) -> Accepted:
    return Accepted(receipt.encode(), None if seal is None else seal.hash, created, upload_id)


__all__ = ["Accepted", "Attachment", "Capture", "Limits", "ReceiptEvent"]
