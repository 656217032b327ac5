"""A small world in memory that makes passport bundles: parties, a log with its map, cosigners.

It checks nothing: a lying log, a forger and a careless party are built with the same calls as
honest ones. Keys come from names, nonces from a counter, times are given, so the same calls always
give the same bytes. `tests.support.bundle_stories` tells what happens.
"""

from __future__ import annotations

import base64
import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from merkle.checkpoint import Checkpoint
from merkle.hashing import leaf_hash
from merkle.keymap import KeyMap
from merkle.note import Note, NoteSignature, sign_note
from merkle.proofs import inclusion_path, prove_consistency
from merkle.tree import MemoryTree, root_of
from provenance.crypto.integrity import add_proof
from provenance.crypto.signing import Cosigner, NoteSigner, PrivateKey
from provenance.domain import canonical, party_events
from provenance.domain.canonical import encode_base64
from provenance.domain.chain import Link, subject_key
from provenance.domain.event import Event, read_event
from provenance.domain.fork import ForkEvidence
from provenance.domain.ledger import MapHead, SubjectState, apply_link
from provenance.domain.moments import format_ledger_time, format_seconds
from provenance.domain.party import operator_uri
from provenance.domain.passport import (
    AbsentSubject,
    BundledEvent,
    MapEntry,
    MapHeadProof,
    Passport,
    PresentSubject,
)
from provenance.domain.seal import new_seal, read_seal
from provenance.domain.trace import Step, read_chain, walk
from tests.support.mldsa import mldsa_line

ORIGIN = "log.example/2026"
OPERATOR = operator_uri(ORIGIN)
CONTEXT = [
    "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld",
    {"prov": "https://provenance.example/ns/v1/"},
]
START = 1_793_534_400_000  # 2026-11-01T12:00:00Z in ms: the ledger time of the first seal
MINUTE = 60_000
DAY = 86_400_000
NOW = 1_795_446_000  # 2026-11-23T15:00:00Z in seconds: when checkpoints are cosigned and judged

Json = dict[str, Any]


def make_key(name: str) -> PrivateKey:
    """The key whose seed is the SHA-256 of a name."""
    return PrivateKey.from_seed(sha256(f"bundle key {name}".encode()).digest())


def bit_flipped(text: str, at: int = 0) -> str:
    """Base64 text with one bit of its byte `at` turned."""
    data = bytearray(base64.b64decode(text))
    data[at] ^= 1
    return base64.b64encode(bytes(data)).decode()


@dataclass(frozen=True)
class Actor:
    """A party and the key that it seals with here."""

    uri: str
    key: PrivateKey
    name: str = ""

    @property
    def multikey(self) -> str:
        return self.key.public.multikey

    def with_key(self, name: str) -> Actor:
        return Actor(self.uri, make_key(name), self.name)


def actor(name: str) -> Actor:
    """``https://<name>.example`` under the key of that name; ``operator`` is the log's."""
    uri = OPERATOR if name == "operator" else f"https://{name}.example"
    return Actor(uri, make_key(name), name)


@dataclass
class Sealed:
    """An event in the log: what sealed it (None: its own proof), its place there."""

    event: Event
    party: str
    seal: Json | None
    leaf: int
    path: list[bytes]
    seal_hash: bytes
    time: int = 0


@dataclass
class World:
    """Everything that one log has taken in. `cosigners` by the policy's name of the witness."""

    origin: str = ORIGIN
    operator: Actor = field(default_factory=lambda: actor("operator"))
    clock: int = START
    entries: list[bytes] = field(default_factory=list)
    links: dict[str, list[Link]] = field(default_factory=dict)
    events: dict[bytes, Sealed] = field(default_factory=dict)
    disclosures: dict[bytes, list[str]] = field(default_factory=dict)
    counter: int = 0
    log_key: str = "log"

    def __post_init__(self) -> None:
        self.states: dict[bytes, SubjectState] = {}
        self.map = KeyMap()
        self.heads: list[int] = []
        self._append_map_head()

    # --- events -----------------------------------------------------------------------------------

    def complete(self, members: Mapping[str, Any], at: int | None = None) -> Json:
        """`members` with what every event has; `at` (ms) is its claimed time, else the clock."""
        self.counter += 1
        number = self.counter
        claimed = self.clock if at is None else at
        return {
            "@context": CONTEXT,
            "eventID": f"urn:uuid:00000000-0000-4000-8000-{number:012d}",
            "eventTime": format_ledger_time(claimed),
            "eventTimeZoneOffset": "+00:00",
            "prov:nonce": self.nonce(),
            **members,
        }

    def nonce(self) -> str:
        self.counter += 1
        return encode_base64(sha256(f"bundle nonce {self.counter}".encode()).digest()[:16])

    def observe(self, *items: str, at: int | None = None, **members: Any) -> Json:
        """An ObjectEvent, action OBSERVE unless told."""
        base = {"type": "ObjectEvent", "action": "OBSERVE", "bizStep": "inspecting"}
        return self.complete({**base, "epcList": list(items), **members}, at)

    def make(self, *items: str, at: int | None = None, **members: Any) -> Json:
        """Commissioning."""
        return self.observe(
            *items, at=at, **{"action": "ADD", "bizStep": "commissioning", **members}
        )

    def pack(
        self, parent: str, *children: str, at: int | None = None, action: str = "ADD", **more: Any
    ) -> Json:
        """An AggregationEvent; without children it names none."""
        members: Json = {"type": "AggregationEvent", "action": action, "parentID": parent}
        if children:
            members["childEPCs"] = list(children)
        step = "packing" if action == "ADD" else "unpacking"
        return self.complete({**members, "bizStep": step, **more}, at)

    def transform(
        self, inputs: Sequence[str], outputs: Sequence[str], at: int | None = None, **more: Any
    ) -> Json:
        """A TransformationEvent from and to whatever is named (lots go by class)."""
        members: Json = {"type": "TransformationEvent", "bizStep": "creating_class_instance"}
        for side, names in (("input", inputs), ("output", outputs)):
            things = [name for name in names if "/10/" not in name]
            lots = [{"epcClass": name, "quantity": 5} for name in names if "/10/" in name]
            if things:
                members[f"{side}EPCList"] = things
            if lots:
                members[f"{side}QuantityList"] = lots
        return self.complete({**members, **more}, at)

    # --- sealing and linking ----------------------------------------------------------------------

    def seal(
        self,
        who: Actor,
        *events: Json,
        at: int | None = None,
        also_on: Sequence[str] = (),
        not_on: Sequence[str] = (),
        change: Callable[[Json], Json] = lambda seal: seal,
        **members: Any,
    ) -> list[Sealed]:
        """One seal over the events, and their links at ledger time `at` (ms, else the clock).

        `members` replace the seal's before it is signed, `change` afterwards. A lying log links the
        events also on, or not on, the chains of the subjects named.
        """
        at = self._tick(at)
        read = [read_event(copy.deepcopy(event)) for event in events]
        hashes = [event.hash for event in read]
        created = format_seconds(at // 1000)
        unsigned = new_seal(
            origin=self.origin,
            party=who.uri,
            size=len(events),
            root=root_of(hashes),
            created=created,
            nonce=canonical.decode_base64(self.nonce()),
        )
        method = f"{who.uri}#{who.multikey}"
        document = change(add_proof({**unsigned, **members}, who.key, method, created))
        seal_hash = leaf_hash(canonical.encode(document))
        sealed = [
            Sealed(event, who.uri, document, leaf, inclusion_path(hashes, leaf), seal_hash)
            for leaf, event in enumerate(read)
        ]
        for one in sealed:
            self._link(one, at, also_on, not_on)
        return sealed

    def sign(
        self,
        who: Actor,
        event: Json,
        *,
        at: int | None = None,
        change: Callable[[Json], Json] = lambda signed: signed,
        domain: str | None = None,
    ) -> Sealed:
        """An event that carries its own proof, linked."""
        at = self._tick(at)
        method = f"{who.uri}#{who.multikey}"
        created = format_seconds(at // 1000)
        document = add_proof(event, who.key, method, created, domain=domain or self.origin)
        read = read_event(change(document))
        one = Sealed(read, who.uri, None, 0, [], read.hash)
        self._link(one, at, (), ())
        return one

    def _tick(self, at: int | None) -> int:
        """Every seal a minute after the one before, unless told."""
        self.clock = self.clock + MINUTE if at is None else at
        return self.clock

    def _link(self, sealed: Sealed, at: int, also_on: Sequence[str], not_on: Sequence[str]) -> None:
        sealed.time = at
        self.events[sealed.event.hash] = sealed
        for uri in (*sealed.event.subjects, *also_on):
            if uri not in not_on:
                self.append(uri, sealed.event.hash, sealed.seal_hash, at)

    def append(self, uri: str, event: bytes, seal: bytes, at: int) -> Link:
        """One link on the subject's chain, as the log makes it."""
        chain = self.links.setdefault(uri, [])
        key = subject_key(uri)
        members: dict[str, Any] = {
            "key": key,
            "seq": len(chain),
            "prev": chain[-1].hash if chain else None,
            "event": event,
            "seal": seal,
            "time": at,
        }
        link = Link(**members)
        index = len(self.entries)
        self.entries.append(link.encode())
        state = apply_link(self.states.get(key), link, index)
        assert state is not None, "the builder made a link that the log would ignore"
        chain.append(link)
        self.states[key] = state
        self.map.set(key, state.value)
        return link

    # --- parties ----------------------------------------------------------------------------------

    def register(
        self, who: Actor, role: str | None = None, *, custody: str = "party", **times: int | None
    ) -> Actor:
        """Register, and let the operator accredit with `role`."""
        names = {"en": who.name.title(), "zh": f"{who.name}（例）"}
        event = party_events.party_registered(
            who.uri, name=names, key=who.multikey, custody=custody, **times
        )
        self.seal(who, self.complete(event))
        if role is not None:
            self.accredit(who, role)
        return who

    def accredit(self, who: Actor, role: str, *, by: Actor | None = None, **times: Any) -> None:
        event = party_events.party_accredited(who.uri, role=role, **times)
        self.seal(by or self.operator, self.complete(event))

    def withdraw(self, who: Actor, role: str) -> None:
        event = party_events.accreditation_withdrawn(who.uri, role=role)
        self.seal(self.operator, self.complete(event))

    def key_added(self, who: Actor, new: Actor, **members: Any) -> Json:
        message = party_events.possession_message(
            origin=self.origin, party=who.uri, key=new.multikey
        )
        event = party_events.key_added(
            who.uri, key=new.multikey, possession=new.key.sign(message), **members
        )
        return self.complete(event)

    def key_revoked(self, who: Actor, reason: str = "superseded", **times: Any) -> Json:
        event = party_events.key_revoked(who.uri, key=who.multikey, reason=reason, **times)
        return self.complete(event)

    # --- publishing -------------------------------------------------------------------------------

    def _append_map_head(self) -> None:
        head = MapHead(
            index=len(self.entries),
            root=self.map.root(),
            subjects=len(self.states),
            ignored=0,
            previous=self.heads[-1] if self.heads else None,
        )
        self.heads.append(head.index)
        self.entries.append(head.encode())

    def publish(
        self,
        cosigned: Mapping[str, int] | None = None,
        *,
        extension: str = "",
        log_keys: Sequence[str] | None = None,
        mldsa: bool = False,
    ) -> Published:
        """A map head and a checkpoint, cosigned by the names at the POSIX seconds given.

        `log_keys` sign it, the usual one unless told; with `mldsa` the log's post-quantum key too.
        """
        if len(self.entries) - 1 != self.heads[-1]:
            self._append_map_head()
        hashes = [leaf_hash(entry) for entry in self.entries]
        checkpoint = Checkpoint(self.origin, len(hashes), root_of(hashes))
        text = checkpoint.format() + extension
        lines = [self._log_line(key, text) for key in log_keys or [self.log_key]]
        lines += [mldsa_line(self.origin, text.encode())] if mldsa else []
        times = {"clock": NOW - 40, "harbour": NOW - 60} if cosigned is None else cosigned
        lines += [cosigner(name).cosign(text.encode(), at) for name, at in times.items()]
        note = Note(text, tuple(lines)).format().decode()
        return Published(self, hashes, note)

    def _log_line(self, key: str, text: str) -> NoteSignature:
        signer = NoteSigner(self.origin, make_key(key))
        return NoteSignature(signer.name, signer.key_id, signer.sign(text.encode()))


def succession(
    old: str, new: str, *, origin: str = ORIGIN, signed_by: Sequence[str] | None = None
) -> str:
    """The note by which one log key (named as in `make_key`) passes to another; signed by both."""
    vkeys = [NoteSigner(origin, make_key(key)).vkey.format() for key in (old, new)]
    text = "\n".join(["prov/log-key-succession/v1", origin, *vkeys]) + "\n"
    signers = [NoteSigner(origin, make_key(key)) for key in signed_by or (old, new)]
    return sign_note(text, signers).decode()


COSIGNER_NAMES = {
    "clock": f"{ORIGIN}/clock",
    "harbour": "harbour.example/w1",
    "archive": "archive.example/w1",
}


def cosigner(name: str) -> Cosigner:
    """The cosigner under the policy's name."""
    return Cosigner(COSIGNER_NAMES[name], make_key(f"cosigner {name}"))


def policy_text(
    quorum: str = "enough",
    witnesses: Iterable[str] = ("clock", "harbour", "archive"),
    *,
    origin: str = ORIGIN,
    log_key: str | Sequence[str] = "log",
) -> str:
    """The reader's policy: the operator's clock and one of two outside witnesses are enough."""
    log_keys = [log_key] if isinstance(log_key, str) else log_key
    lines = [f"log {NoteSigner(origin, make_key(key)).vkey.format()}" for key in log_keys]
    lines += [f"witness {name} {cosigner(name).vkey.format()}" for name in witnesses]
    if quorum == "enough":
        lines += ["group outside any harbour archive", "group enough all clock outside"]
    return "\n".join([*lines, f"quorum {quorum}"]) + "\n"


@dataclass
class Published:
    """A published state of a world: makes bundles."""

    world: World
    hashes: list[bytes]
    note: str

    @property
    def size(self) -> int:
        return len(self.hashes)

    def consistency(self, old: int) -> tuple[bytes, ...]:
        """The proof that this state continues its own state of `old` entries."""
        tree = MemoryTree()
        tree.extend(self.hashes)
        return tuple(prove_consistency(old, self.size, tree))

    def fork_from(self, first: Published) -> ForkEvidence:
        """The evidence that this state and a smaller one (or as large) are of two histories."""
        if first.size == self.size:
            return ForkEvidence(self.world.origin, first.note, self.note)
        beginning = root_of(self.hashes[: first.size])
        proof = self.consistency(first.size)
        return ForkEvidence(self.world.origin, first.note, self.note, beginning, proof)

    def subject(self, uri: str) -> PresentSubject | AbsentSubject:
        """A subject with its proofs, or the proof that there is none."""
        world, key = self.world, subject_key(uri)
        state = world.states.get(key)
        if state is None:
            return AbsentSubject(uri, world.map.prove(key))
        return PresentSubject(
            uri=uri,
            links=tuple(world.links[uri]),
            value=MapEntry(state.count, state.head, state.root, state.index),
            map=world.map.prove(key),
            inclusion=tuple(inclusion_path(self.hashes, state.index)),
        )

    def load(self, uri: str) -> Sequence[Step] | None:
        """What the trace asks for."""
        world = self.world
        if uri not in world.links:
            return None
        sealed = [world.events[link.event] for link in world.links[uri]]
        return read_chain([(one.event, one.time, one.party) for one in sealed])

    def uris(self, subject: str) -> list[str]:
        """The subjects that a bundle must hold: those of the trace, the parties, the operator."""
        found = dict.fromkeys(walk(subject, self.load).subjects)
        known = len(found) + 1
        while known != len(found):  # parties are known by events, and have events of their own
            known = len(found)
            for uri in list(found):
                for link in self.world.links.get(uri, ()):
                    found[self.world.events[link.event].party] = None
        if self.world.links.get(subject):
            found[self.world.operator.uri] = None
        return list(found)

    def passport(
        self, subject: str, *, leave_out: Sequence[str] = (), more: Sequence[str] = ()
    ) -> Json:
        """The bundle; without the subjects to leave out and the events that stand on them only."""
        uris = [uri for uri in (*self.uris(subject), *more) if uri not in leave_out]
        subjects = tuple(self.subject(uri) for uri in uris)
        hashes = dict.fromkeys(link.event for uri in uris for link in self.world.links.get(uri, ()))
        seals: dict[bytes, Json] = {}
        events = []
        for event_hash in hashes:
            one = self.world.events[event_hash]
            if one.seal is not None:
                seals.setdefault(one.seal_hash, one.seal)
            events.append(
                BundledEvent(
                    document=one.event.document,
                    seal=None if one.seal is None else list(seals).index(one.seal_hash),
                    leaf=one.leaf,
                    path=tuple(one.path),
                    disclosures=tuple(self.world.disclosures.get(event_hash, ())),
                )
            )
        last = len(self.hashes) - 1
        return copy.deepcopy(
            Passport(
                checkpoint=self.note,
                map_head=MapHeadProof(
                    self.world.entries[last].decode(), tuple(inclusion_path(self.hashes, last))
                ),
                subjects=subjects,
                seals=tuple(read_seal(seal) for seal in seals.values()),
                events=tuple(events),
            ).to_json()
        )


def encode(document: Json) -> bytes:
    """The bundle's bytes as the platform serves them: canonical."""
    return canonical.encode(document)
