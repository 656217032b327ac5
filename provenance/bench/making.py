"""Uploads by the million: events written from one real event, so that making them costs little.

:mod:`provenance.bench.workload` makes events as a partner does, through the client, which takes
longer than the platform takes to accept them. Here one such event is taken as a pattern and only
what differs from event to event is put in: subject, time, document number, event id and nonce.
Signatures are real ones. The first event of every maker is judged by the real door.

A load is a file of bodies, each ``u32 length ‖ bytes``, that :mod:`provenance.bench.sending` sends.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from operator import itemgetter
from pathlib import Path
from typing import Final

from merkle.hashing import leaf_hash
from merkle.tree import root_of
from provenance.bench import workload
from provenance.client.sealing import Random, Signer, sign_event
from provenance.crypto.integrity import add_proof, make_proof
from provenance.domain import canonical
from provenance.domain.event import parse_event
from provenance.domain.moments import format_ledger_time, format_seconds
from provenance.domain.multibase import encode_multibase
from provenance.domain.seal import new_seal

BATCH: Final = 1_000
_START_MS: Final = 1_748_736_000_000  # 2025-06-01T00:00:00Z
_SUBJECT: Final = "SUBJECT"
_DOCUMENT: Final = "B99999999"
_UUID: Final = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
_NONCE: Final = bytes(range(16))

_UUID_PARTS: Final = itemgetter(
    slice(0, 8), slice(8, 12), slice(13, 16), slice(17, 20), slice(20, 32)
)

Subject = Callable[[int], str]
"""The serial of the item that the event of this number is about."""


def distinct(tag: str) -> Subject:
    """Each event about an item of its own."""
    return lambda number: f"{tag}{number:08d}"


def hot(tag: str, events: int) -> Subject:
    """One item for every hundred events, met in turn: each history grows by a hundred links."""
    items = max(1, events // 100)
    return lambda number: f"{tag}{number % items:08d}"


@dataclass(frozen=True, slots=True)
class Maker:
    """Makes events of one signer. `now` is POSIX seconds, the time of its signatures."""

    signer: Signer
    now: int
    random: Random
    pattern: bytes

    @classmethod
    def of(cls, signer: Signer, now: int, random: Random) -> Maker:
        """A maker whose pattern is an event as the client prepares it."""
        [event] = workload.events(1, "x", random)
        event["epcList"] = [workload.item(_SUBJECT)]
        event["eventID"] = f"urn:uuid:{_UUID}"
        event["prov:nonce"] = canonical.encode_base64(_NONCE)
        event["eventTime"] = format_ledger_time(_START_MS)
        paper = f"urn:epc:id:gdti:9521234.00002.{_DOCUMENT}"
        event["bizTransactionList"][0]["bizTransaction"] = paper
        pattern = canonical.encode(event).replace(b"%", b"%%")
        for sample, name in (
            (_SUBJECT, b"subject"),
            (_UUID, b"uuid"),
            (canonical.encode_base64(_NONCE), b"nonce"),
            (format_ledger_time(_START_MS), b"time"),
            (_DOCUMENT, b"document"),
        ):
            pattern = pattern.replace(sample.encode(), b"%%(%b)b" % name)
        made = cls(signer, now, random, pattern)
        parse_event(made.event(0, "A1"))
        return made

    def event(self, number: int, serial: str) -> bytes:
        """The canonical bytes of one event about the item of this serial, unsigned."""
        fresh = self.random(32)
        uuid = b"%b-%b-4%b-8%b-%b" % _UUID_PARTS(fresh[16:].hex().encode())
        return self.pattern % {
            b"subject": serial.encode(),
            b"uuid": uuid,
            b"nonce": b64encode(fresh[:16]),
            b"time": format_ledger_time(_START_MS + number * 1000).encode(),
            b"document": b"B%08d" % number,
        }

    def sealed(self, first: int, subject: Subject, size: int = BATCH) -> bytes:
        """One upload: a seal, then events `first` to `first + size`."""
        lines = [self.event(number, subject(number)) for number in range(first, first + size)]
        created = format_seconds(self.now)
        unsigned = new_seal(
            origin=self.signer.origin,
            party=self.signer.party,
            root=root_of([leaf_hash(line) for line in lines]),
            size=size,
            created=created,
            nonce=self.random(16),
        )
        seal = add_proof(unsigned, self.signer.key, self.signer.method, created)
        return b"\n".join([canonical.encode(seal), *lines, b""])

    def own_proofs(self, first: int, subject: Subject, size: int = BATCH) -> bytes:
        """One upload of events that carry a proof each."""
        proving = _Proving.of(self)
        lines = [
            proving.sign(self.event(number, subject(number)))
            for number in range(first, first + size)
        ]
        return b"\n".join([*lines, b""])


@dataclass(frozen=True, slots=True)
class _Proving:
    """The proof of a maker's events: everything but the signature is the same in all of them."""

    maker: Maker
    options: bytes
    before: bytes
    behind: bytes

    @classmethod
    def of(cls, maker: Maker) -> _Proving:
        signer, created = maker.signer, format_seconds(maker.now)
        unsigned = maker.event(0, "A1")
        document = canonical.parse(unsigned)
        further = {"created": created, "domain": signer.origin, "@context": document["@context"]}
        proof = make_proof(unsigned, signer.key, signer.method, further)
        value = proof["proofValue"].encode()
        before, behind = canonical.encode(proof).split(value)
        options = canonical.encode({k: v for k, v in proof.items() if k != "proofValue"})
        made = cls(maker, options, b'"proof":' + before, behind + b",")
        line = made.sign(unsigned)
        if line != sign_event(document, signer, now=maker.now):  # as a partner's client signs it
            raise AssertionError("the pattern of own proofs does not give the client's bytes")
        return made

    def sign(self, unsigned: bytes) -> bytes:
        message = sha256(self.options).digest() + sha256(unsigned).digest()
        value = encode_multibase(self.maker.signer.key.sign(message)).encode()
        place = unsigned.index(b'"prov:nonce"')
        return b"".join((unsigned[:place], self.before, value, self.behind, unsigned[place:]))


def write_load(path: Path, bodies: Iterator[bytes]) -> None:
    """A load of these bodies."""
    with path.open("wb") as file:
        for body in bodies:
            file.write(len(body).to_bytes(4, "big"))
            file.write(body)
