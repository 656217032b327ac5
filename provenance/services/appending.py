"""What an admitted upload does to the chains, worked out under their locks.

:class:`Appending` lives inside one write transaction. `lock()` takes the locks in the order that
all writers keep; `plan()` then decides everything, reading by the batch and writing nothing:
answers, links, head moves and the parties' new states. The caller writes the :class:`Plan`.

A chain's state while the upload is gone through is a :class:`_Head` in memory, so that the second
event of one subject in the same upload hangs on the first.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from merkle.hashing import leaf_hash
from provenance.crypto.signing import verify_ed25519
from provenance.domain.canonical import encode_base64
from provenance.domain.chain import encode_link, subject_key
from provenance.domain.errors import ConflictError, ForbiddenError, Refusal
from provenance.domain.moments import format_ledger_time
from provenance.domain.party import KeyRefusedError, Party, apply_event, operator_uri
from provenance.domain.receipt import ReceiptEvent
from provenance.services.admission import Clock, Entry, Signer, Upload, judge_signer
from provenance.storage import events as event_rows
from provenance.storage import parties as party_rows
from provenance.storage.errors import StoreInconsistentError
from provenance.storage.parties import PartyRow
from provenance.storage.session import Connection
from provenance.storage.subjects import HeadMove, SubjectRow, lock_subjects


class PlannedLink(NamedTuple):
    """A link to be written; its place among the upload's links is its ordinal."""

    subject_id: int
    seq: int
    leaf: int
    event_hash: bytes
    canonical: bytes


@dataclass(slots=True)
class Plan:
    """What to write. `time` is the ledger time (ms) of every link of the upload.

    `answers` has one element an event, in the upload's order; `entries` are the new events;
    `changed` the parties that have a new state; `newest_known` the latest earlier upload that an
    answer points to, 0 if none.
    """

    time: int
    answers: list[ReceiptEvent] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    links: list[PlannedLink] = field(default_factory=list)
    moves: list[HeadMove] = field(default_factory=list)
    changed: dict[str, Party] = field(default_factory=dict)
    newest_known: int = 0

    def rows_of_events(
        self, upload_id: int, party_ids: Mapping[str, int]
    ) -> Iterator[event_rows.EventRow]:
        """The new events as rows."""
        for entry in self.entries:
            yield event_rows.EventRow(
                upload_id,
                entry.leaf,
                entry.hash,
                entry.canonical,
                party_ids[entry.signer.party],
                entry.event_time,
            )

    def rows_of_links(self, upload_id: int) -> Iterator[event_rows.LinkRow]:
        """The new links as rows."""
        for ordinal, (subject, seq, leaf, event_hash, encoded) in enumerate(self.links):
            yield event_rows.LinkRow(subject, seq, upload_id, leaf, ordinal, event_hash, encoded)


@dataclass(slots=True)
class _Head:
    """A chain's end as it grows in this upload."""

    row: SubjectRow
    count: int
    head: bytes | None


class Appending:
    """One upload on its way into one transaction."""

    def __init__(self, connection: Connection, origin: str, clock: Clock, upload: Upload) -> None:
        self.connection = connection
        self.upload = upload
        self.party_ids: dict[str, int] = {}
        self._origin = origin
        self._clock = clock
        self._heads: dict[str, _Head] = {}
        self._roster = _Roster(origin)
        self._newest_known = 0
        self._changes_parties = any(entry.party_event for entry in upload.entries)

    def lock(self) -> None:
        """Take every lock that the upload needs; then read the parties as they now are."""
        signers = {entry.signer.party for entry in self.upload.entries}
        parties = set(signers)
        if self._changes_parties:
            parties |= {operator_uri(self._origin)}
            parties |= {e.subjects[0] for e in self.upload.entries if e.party_event}
        party_rows.lock_parties(self.connection, parties, exclusive=self._changes_parties)
        uris = {uri for entry in self.upload.entries for uri in entry.subjects}
        locked = lock_subjects(self.connection, uris, subject_key)
        self._heads = {uri: _Head(row, row.count, row.head) for uri, row in locked.items()}
        # A registration that we waited for is visible only now.
        self._roster.load(party_rows.find_parties(self.connection, parties))
        self.party_ids = {uri: row.id for uri, row in self._roster.rows.items()}

    @property
    def is_ahead(self) -> bool:
        """Has one of the chains touched, or a signer's, a newest link later than our clock?"""
        return self._ledger_time() > self._clock()

    def plan(self) -> Plan:
        """Decide everything; raises a Refusal with the line, and then nothing is written."""
        known = self._known_links()
        plan = Plan(self._ledger_time())
        fresh: dict[bytes, ReceiptEvent] = {}
        for entry in self.upload.entries:
            answer = known.get(entry.hash) or fresh.get(entry.hash)
            if answer is None:
                answer = self._append(plan, entry)
                fresh[entry.hash] = answer
            plan.answers.append(answer)
        self._judge(plan)
        plan.newest_known = self._newest_known
        plan.changed = self._roster.changed
        plan.moves = [
            HeadMove(head.row.id, head.row.count, head.row.head, head.count, head.head)
            for head in self._heads.values()
            if head.head is not None and head.count != head.row.count
        ]
        return plan

    def store_parties(self, plan: Plan) -> None:
        """Write the new states of the parties that changed; new ones get their ids here."""
        for uri, state in plan.changed.items():
            text = json.dumps(state.to_json(), ensure_ascii=False, sort_keys=True)
            row = self._roster.rows.get(uri)
            if row is not None:
                party_rows.update_party(self.connection, row.id, text, plan.time)
                continue
            subject = self._heads[uri].row.id
            self.party_ids[uri] = party_rows.insert_party(
                self.connection, uri, subject, text, plan.time
            )

    # -- steps -------------------------------------------------------------------------------------

    def _known_links(self) -> dict[bytes, ReceiptEvent]:
        """Events of the upload that stand on their chains already, with the links they have.

        The subjects follow from an event's bytes, so an event stands on all of its chains or none.
        """
        wanted = [
            (self._heads[uri].row.id, entry.hash)
            for entry in self.upload.entries
            for uri in entry.subjects
            if self._heads[uri].row.count
        ]
        if not wanted:
            return {}
        found = event_rows.find_links(self.connection, wanted)
        self._newest_known = max((link.upload_id for link in found.values()), default=0)
        known: dict[bytes, ReceiptEvent] = {}
        for entry in self.upload.entries if found else ():
            links = [found.get((self._heads[uri].row.id, entry.hash)) for uri in entry.subjects]
            hashes = [leaf_hash(link.canonical) for link in links if link is not None]
            if hashes and len(hashes) != len(links):
                raise StoreInconsistentError(
                    f"event {entry.hash.hex()} stands on {len(hashes)} of {len(links)} chains"
                )
            if hashes:
                known[entry.hash] = ReceiptEvent(entry.hash, tuple(hashes))
        return known

    def _ledger_time(self) -> int:
        """Our clock, held back from falling along any chain that matters for this upload."""
        signers = {entry.signer.party for entry in self.upload.entries}
        times = [self._clock()]
        times += [head.row.time for head in self._heads.values() if head.row.time is not None]
        times += [row.time or 0 for uri, row in self._roster.rows.items() if uri in signers]
        if self._changes_parties:
            times.append(event_rows.newest_acceptance(self.connection) or 0)
        return max(times)

    def _append(self, plan: Plan, entry: Entry) -> ReceiptEvent:
        self._require_heads(entry)
        if entry.party_event is not None:
            head = self._heads[entry.subjects[0]]
            self._roster.apply(entry, plan.time, head.count)
        hashes = []
        time = format_ledger_time(plan.time)
        for uri in entry.subjects:
            head = self._heads[uri]
            encoded = encode_link(
                head.row.key, head.count, head.head, entry.hash, entry.seal_hash, time
            )
            plan.links.append(PlannedLink(head.row.id, head.count, entry.leaf, entry.hash, encoded))
            head.count += 1
            head.head = leaf_hash(encoded)
            hashes.append(head.head)
        plan.entries.append(entry)
        return ReceiptEvent(entry.hash, tuple(hashes))

    def _require_heads(self, entry: Entry) -> None:
        """Every head that the event demands (`prov:after`) must be one of its subjects' heads."""
        if not entry.after:
            return
        heads = {uri: self._heads[uri].head for uri in entry.subjects}
        missing = [demanded for demanded in entry.after if demanded not in heads.values()]
        if not missing:
            return
        shown = {uri: _text(head) for uri, head in heads.items()}
        first = next(iter(shown.values()))
        raise ConflictError(
            "head-moved",
            "the history has moved on since the event was made",
            line=entry.line,
            path="$.prov:after",
            expected=f"the head of one of the event's subjects, now {first or 'none'}",
            found=encode_base64(missing[0]),
            remedy="read the history again, decide whether the event still fits, seal it anew",
            extra={"head": first, "heads": shown},
        )

    def _judge(self, plan: Plan) -> None:
        """Every signer of a new event at the ledger time: its key, and a role where needed."""
        judged: set[tuple[Signer, bool]] = set()
        for entry in plan.entries:
            case = entry.signer, entry.party_event is not None
            if case not in judged:
                judged.add(case)
                self._roster.judge(entry, plan.time)


class _Roster:
    """The parties of one upload: as they were when it came, and as its party events make them."""

    def __init__(self, origin: str) -> None:
        self.rows: dict[str, PartyRow] = {}
        self.changed: dict[str, Party] = {}
        self._origin = origin
        self._before: dict[str, Party] = {}

    def load(self, rows: Mapping[str, PartyRow]) -> None:
        self.rows = dict(rows)
        self._before = {uri: Party.from_json(json.loads(row.state)) for uri, row in rows.items()}

    def now(self, uri: str) -> Party | None:
        """The party by all that stands before, in the store and in this upload."""
        return self.changed.get(uri) or self._before.get(uri)

    def apply(self, entry: Entry, at: int, seq: int) -> None:
        """Let a party event take effect; raises PartyRuleError or KeyRefusedError with the line."""
        document: Mapping[str, Any] = entry.party_event or {}
        uri = entry.subjects[0]
        try:
            self.changed[uri] = apply_event(
                self.now(uri),
                document,
                signer=entry.signer.party,
                key=entry.signer.key,
                at=at,
                seq=seq,
                origin=self._origin,
                operator=self.now(operator_uri(self._origin)),
                verify=verify_ed25519,
            )
        except Refusal as refusal:
            refusal.at_line(entry.line)
            raise

    def judge(self, entry: Entry, at: int) -> None:
        """Key and, for an event that is no party event, role of the signer at ledger time `at`."""
        signer = entry.signer
        state = self.now(signer.party)
        if state is None:
            raise ForbiddenError(
                "party-unknown",
                "this party is not registered here",
                line=entry.line,
                expected="a registered party",
                found=signer.party,
                remedy="register the party first: `provenance party register`",
            )
        try:
            state.judge_key(signer.key, at)
            self._judge_as_it_was(signer, at)
        except KeyRefusedError as refusal:
            refusal.at_line(entry.line)
            raise
        if entry.party_event is None and not state.roles_at(at):
            raise ForbiddenError(
                "party-not-accredited",
                "this party holds no role at the time of acceptance",
                line=entry.line,
                expected="at least one role",
                found=signer.party,
                remedy="ask the operator to accredit the party",
            )

    def _judge_as_it_was(self, signer: Signer, at: int) -> None:
        before = self._before.get(signer.party)
        if before is not None and signer.key in before.keys:
            judge_signer(before, signer.key, at, self.rows[signer.party].time)


def _text(head: bytes | None) -> str | None:
    return None if head is None else encode_base64(head)
