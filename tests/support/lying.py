"""A server double that lies, and an operator behind it who signs whatever it says.

The history is real: capture, sequencer and prover make it (`Truth`). The operator owns the log's
key and its clock's; so each lie is as consistent as an operator can make it. Two ways to lie:

- *showing otherwise*: the checkpoint is the true one, what hangs under it was changed;
- *telling otherwise* (`tell`): another log is made, with a tree, a map, a map head and a checkpoint
  of its own, really signed, and cosigned by the operator's clock.

One witness is not the operator's (`Outsider`). It keeps what it has seen, cosigns only what begins
with that, and replays the map: told otherwise, it says nothing. Whether its line is asked for is
for the reader's policy.

Nothing is random: keys come from names, times from a clock that stands still.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from merkle.checkpoint import Checkpoint, parse_checkpoint
from merkle.hashing import leaf_hash
from merkle.keymap import KeyMap
from merkle.note import Note, NoteSignature, parse_note, sign_note
from merkle.policy import Group, Log, Policy, Witness
from merkle.proofs import inclusion_path, prove_consistency
from merkle.tiles import decode_bundle, entries_path
from merkle.tree import MemoryTree, root_of
from provenance.crypto.signing import Cosigner
from provenance.domain import canonical
from provenance.domain.chain import Link, decode_link, subject_key
from provenance.domain.event import read_event
from provenance.domain.fork import ForkEvidence
from provenance.domain.ledger import MapHead, SubjectState, apply_link, parse_map_head
from provenance.domain.passport import (
    AbsentSubject,
    BundledEvent,
    MapEntry,
    MapHeadProof,
    Passport,
    PresentSubject,
    read_passport,
)
from provenance.services.capture import Capture, Limits
from provenance.services.proving import Prover
from provenance.services.sequencing import ClockCosigning, Sequencer
from provenance.storage import schema
from provenance.storage.session import Database
from provenance.storage.tiles import read_tile
from tests.support import builders
from tests.support.builders import ORIGIN, Actor, World, item_event, item_uri, make_key
from tests.support.clock import START, FrozenClock
from tests.support.ledger import COSIGNER, SIGNER, Ledger

MINUTE = 60_000
ITEM, OTHER_ITEM = item_uri(1), item_uri(2)
OUTSIDER = Cosigner("mapwise.example/w1", make_key("an outside witness that checks the map"))

OPERATORS_POLICY = Policy(
    logs=(Log(SIGNER.vkey),), witnesses=(Witness("clock", COSIGNER.vkey),), quorum="clock"
)
"""What a fresh installation proposes: the operator vouches for itself."""

READERS_POLICY = Policy(
    logs=(Log(SIGNER.vkey),),
    witnesses=(Witness("clock", COSIGNER.vkey), Witness("mapwise", OUTSIDER.vkey)),
    groups=(Group("both", 2, ("clock", "mapwise")),),
    quorum="both",
)
"""What a careful reader pins: an outside witness that checks the map must have cosigned."""


@dataclass
class Replayed:
    """What the entries of a log do to the map. `is_right`: each map head says what it must."""

    states: dict[bytes, SubjectState] = field(default_factory=dict)
    links: dict[bytes, list[Link]] = field(default_factory=dict)
    heads: list[int] = field(default_factory=list)
    map: KeyMap = field(default_factory=KeyMap)
    is_right: bool = True


def replay(entries: Sequence[bytes]) -> Replayed:
    """From the first entry on."""
    told = Replayed()
    for index, entry in enumerate(entries):
        if not entry.startswith(b"{"):
            head = parse_map_head(entry.decode("ascii"))
            told.is_right = told.is_right and head.root == told.map.root()
            told.heads.append(index)
            continue
        link = decode_link(entry)
        state = apply_link(told.states.get(link.key), link, index)
        if state is not None:
            told.states[link.key] = state
            told.links.setdefault(link.key, []).append(link)
            told.map.set(link.key, state.value)
    return told


@dataclass
class Outsider:
    """The witness that is not the operator's, and what it has seen of the log."""

    seen: tuple[bytes, ...] = ()

    def cosign(self, text: str, entries: Sequence[bytes], seconds: int) -> list[NoteSignature]:
        """Its line, or nothing: for what does not continue what it saw, or has a wrong map."""
        root = root_of([leaf_hash(entry) for entry in entries])
        is_honest = parse_checkpoint(text).root == root and replay(entries).is_right
        if not is_honest or tuple(entries[: len(self.seen)]) != self.seen:
            return []
        self.seen = tuple(entries)
        return [OUTSIDER.cosign(text.encode(), seconds)]


@dataclass
class Told:
    """A state of the log as somebody tells it: `entries` with a map head at their end."""

    entries: tuple[bytes, ...]
    mapped: Replayed
    note: str

    @property
    def hashes(self) -> list[bytes]:
        return [leaf_hash(entry) for entry in self.entries]

    def map_head(self) -> MapHeadProof:
        last = len(self.entries) - 1
        return MapHeadProof(self.entries[last].decode(), tuple(inclusion_path(self.hashes, last)))

    def subject(self, uri: str) -> PresentSubject | AbsentSubject:
        """With its proofs under this state, or the proof that this state's map has it not."""
        key = subject_key(uri)
        state, proof = self.mapped.states.get(key), self.mapped.map.prove(key)
        if state is None:
            return AbsentSubject(uri, proof)
        inclusion = tuple(inclusion_path(self.hashes, state.index))
        value = MapEntry(state.count, state.head, state.root, state.index)
        return PresentSubject(uri, tuple(self.mapped.links[key]), value, proof, inclusion)

    def passport(self, honest: Passport, *more: BundledEvent) -> Passport:
        """The bundle of this state: events and seals of the honest one, as far as they are told."""
        subjects = tuple(self.subject(one.uri) for one in honest.subjects)
        if isinstance(subjects[0], AbsentSubject):
            return replace(self._frame(honest), subjects=subjects[:1], events=(), seals=())
        told = {
            link.event for one in subjects if isinstance(one, PresentSubject) for link in one.links
        }
        events = tuple(one for one in (*honest.events, *more) if event_hash(one) in told)
        return replace(self._frame(honest), subjects=subjects, events=events)

    def _frame(self, honest: Passport) -> Passport:
        return replace(honest, checkpoint=self.note, map_head=self.map_head())

    def evidence_against(self, other: str) -> ForkEvidence:
        """That a signed note of a smaller state, or of one as large, belongs to another history."""
        first = parse_checkpoint(parse_note(other.encode()).text)
        if first.size == len(self.entries):
            return ForkEvidence(ORIGIN, other, self.note)
        tree = MemoryTree()
        tree.extend(self.hashes)
        proof = tuple(prove_consistency(first.size, tree.size, tree))
        beginning = root_of(self.hashes[: first.size])
        return ForkEvidence(ORIGIN, other, self.note, beginning, proof)


def event_hash(one: BundledEvent) -> bytes:
    return read_event(one.document).hash


def relinked(links: Sequence[Link]) -> list[bytes]:
    """The links in this order as entries, each hung anew on the one before of its subject."""
    chains: dict[bytes, list[Link]] = {}
    for link in links:
        chain = chains.setdefault(link.key, [])
        prev = chain[-1].hash if chain else None
        chain.append(replace(link, seq=len(chain), prev=prev))
    position = dict.fromkeys(chains, 0)
    entries = []
    for link in links:
        entries.append(chains[link.key][position[link.key]].encode())
        position[link.key] += 1
    return entries


@dataclass
class Truth:
    """The real ledger, its published states, and the operator who may tell otherwise.

    `states`: notes and honest passports of the item, by the number of its events then.
    """

    ledger: Ledger
    world: World
    mill: Actor
    sequencer: Sequencer
    prover: Prover
    outsider: Outsider
    notes: dict[int, str] = field(default_factory=dict)
    passports: dict[int, Passport] = field(default_factory=dict)
    sizes: dict[int, int] = field(default_factory=dict)

    @property
    def now(self) -> int:
        return self.ledger.clock.seconds

    def entries(self) -> tuple[bytes, ...]:
        """All entries of the log, from its own tiles."""
        size = parse_checkpoint(parse_note(self.prover.published()[1]).text).size
        assert size <= 256
        data = read_tile(self.ledger.tiles, entries_path(0, size))
        return tuple(decode_bundle(data, size))

    def links(self) -> list[Link]:
        return [decode_link(entry) for entry in self.entries() if entry.startswith(b"{")]

    def observe(self, count: int, *events: Mapping[str, Any]) -> None:
        """Capture and publish; remember the state in which the item has `count` events."""
        self.ledger.clock.advance(MINUTE)
        self.world.capture.submit_batch(self.mill.sealed(events))
        self.publish(count)

    def publish(self, count: int) -> None:
        published = self.sequencer.run_once()
        assert published is not None
        self.notes[count] = published.note.decode()
        self.sizes[count] = published.size
        self.passports[count] = read_passport(canonical.encode(self.prover.passport(ITEM)))

    def tell(self, entries: Sequence[bytes], *, believing: Sequence[bytes] | None = None) -> Told:
        """A state of these entries: a map head of what `believing` does (them all, unless told),
        a checkpoint signed and cosigned by the operator, and by the outsider unless it objects.
        """
        mapped = replay(entries if believing is None else believing)
        head = MapHead(
            index=len(entries),
            root=mapped.map.root(),
            subjects=len(mapped.states),
            ignored=0,
            previous=replay(entries).heads[-1],
        )
        whole = (*entries, head.encode())
        checkpoint = Checkpoint(ORIGIN, len(whole), root_of([leaf_hash(e) for e in whole]))
        text = checkpoint.format()
        lines = [COSIGNER.cosign(text.encode(), self.now)]
        lines += self.outsider.cosign(text, whole, self.now)
        signed = parse_note(sign_note(text, [SIGNER]))
        note = Note(signed.text, (*signed.signatures, *lines)).format().decode()
        return Told(whole, mapped, note)

    def rewritten(self, change: Callable[[list[Link]], list[Link]]) -> Told:
        """Another history: the links changed, hung on each other anew, under one map head."""
        genesis = self.entries()[0]
        return self.tell([genesis, *relinked(change(self.links()))])


@contextmanager
def truth() -> Iterator[Truth]:
    """The item's story in four events, published three times; the same bytes each time.

    A mill makes the item, inspects it, packs it, and ships it with another.
    """
    numbers, builders._numbers = builders._numbers, itertools.count(1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            database = Database.open(f"sqlite:///{folder}/truth.sqlite")
            try:
                schema.upgrade(database)
                yield _told_truly(database, Path(folder))
            finally:
                database.close()
    finally:
        builders._numbers = numbers


def _told_truly(database: Database, folder: Path) -> Truth:
    clock = FrozenClock()
    ledger = Ledger(database, folder, clock)
    capture = Capture(database, ORIGIN, make_key("operator"), clock, Limits())
    outsider = Outsider()

    def outside(note: Note) -> list[NoteSignature]:
        size = parse_checkpoint(note.text).size
        data = read_tile(ledger.tiles, entries_path(0, size))
        return outsider.cosign(note.text, decode_bundle(data, size), clock.seconds)

    sequencer = ledger.sequencer(
        policy=READERS_POLICY, cosigners=(ClockCosigning(COSIGNER, clock), outside)
    )
    assert sequencer.start()
    world = World(capture, clock)
    mill = world.party("mill", "producer")
    prover = Prover(database, ledger.tiles, ORIGIN)
    told = Truth(ledger, world, mill, sequencer, prover, outsider)
    made = {"action": "ADD", "bizStep": "commissioning"}
    told.observe(1, item_event(1, at=START, **made))
    first = item_event(1, at=START + MINUTE)
    told.observe(3, first, item_event(1, at=START + 2 * MINUTE, bizStep="packing"))
    told.observe(4, item_event(1, 2, at=START + 3 * MINUTE, bizStep="shipping"))
    return told
