"""Keys, parties, events, seals and uploads for tests: real signatures, nothing random.

    world = World(capture, clock)                 operator registered
    brand = world.party("brand")                  registered and accredited
    world.capture.submit_batch(brand.sealed([item_event(1)]))

Seeds follow from names, nonces from a counter, so that every run makes the same bytes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from merkle.tree import root_of
from provenance.crypto.integrity import add_proof
from provenance.crypto.signing import PrivateKey
from provenance.domain import canonical, party_events
from provenance.domain.canonical import encode_base64
from provenance.domain.event import check_event
from provenance.domain.moments import format_ledger_time, format_seconds
from provenance.domain.seal import new_seal
from provenance.services.capture import Accepted, Capture
from tests.support.clock import START, FrozenClock

ORIGIN = "log.example.test/products"
OPERATOR = f"https://{ORIGIN}"
CONTEXT = [
    "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld",
    {"prov": "https://provenance.example/ns/v1/"},
]

_numbers = itertools.count(1)


def make_key(name: str) -> PrivateKey:
    """The key whose seed is the SHA-256 of its name."""
    return PrivateKey.from_seed(sha256(name.encode()).digest())


def make_nonce(number: int | None = None) -> str:
    """Base64 of 16 bytes, another one at each call unless the number is given."""
    value = next(_numbers) if number is None else number
    return encode_base64(sha256(f"nonce {value}".encode()).digest()[:16])


def item_uri(serial: int) -> str:
    """An item of one product, as its canonical identifier."""
    return f"https://id.gs1.org/01/09506000134352/21/{serial}"


def complete(members: Mapping[str, Any], *, at: int = START) -> dict[str, Any]:
    """`members` with what every event needs: @context, eventID, times, nonce. `at` in ms."""
    number = next(_numbers)
    return {
        "@context": CONTEXT,
        "eventID": f"urn:uuid:00000000-0000-4000-8000-{number:012d}",
        "eventTime": format_ledger_time(at),
        "eventTimeZoneOffset": "+00:00",
        "prov:nonce": make_nonce(number),
        **members,
    }


def item_event(*serials: int, at: int = START, **members: Any) -> dict[str, Any]:
    """An ObjectEvent that observes items of one product."""
    base = {
        "type": "ObjectEvent",
        "action": "OBSERVE",
        "bizStep": "inspecting",
        "epcList": [item_uri(serial) for serial in serials],
    }
    return complete({**base, **members}, at=at)


def encode(document: Mapping[str, Any]) -> bytes:
    """Canonical bytes."""
    return canonical.encode(dict(document))


@dataclass
class Actor:
    """A party with one key, which signs for one log."""

    uri: str
    key: PrivateKey
    origin: str = ORIGIN
    clock: FrozenClock = field(default_factory=FrozenClock)

    @property
    def multikey(self) -> str:
        return self.key.public.multikey

    @property
    def method(self) -> str:
        return f"{self.uri}#{self.multikey}"

    def with_key(self, key: PrivateKey) -> Actor:
        """The same party signing with another key."""
        return Actor(self.uri, key, self.origin, self.clock)

    def seal(self, hashes: Sequence[bytes], **changes: Any) -> dict[str, Any]:
        """A seal over these event hashes; `changes` replace members before it is signed."""
        created = format_seconds(self.clock.seconds)
        unsigned = new_seal(
            origin=self.origin,
            party=self.uri,
            size=len(hashes),
            root=root_of(list(hashes)),
            created=created,
            nonce=canonical.decode_base64(make_nonce()),
        )
        return add_proof({**unsigned, **changes}, self.key, self.method, created)

    def sealed(self, events: Iterable[Mapping[str, Any]], **changes: Any) -> list[bytes]:
        """A whole upload: the seal's line, then the events' canonical lines."""
        lines = [encode(event) for event in events]
        hashes = [check_event(canonical.parse(line)).hash for line in lines]
        return [encode(self.seal(hashes, **changes)), *lines]

    def signed(self, event: Mapping[str, Any]) -> bytes:
        """One event that carries this party's own proof."""
        created = format_seconds(self.clock.seconds)
        return encode(add_proof(event, self.key, self.method, created, domain=self.origin))

    def registration(self, *, name: str | None = None) -> dict[str, Any]:
        """This party's PartyRegistered."""
        given = {"en": name or self.uri.rpartition("/")[2]}
        return complete(
            party_events.party_registered(self.uri, name=given, key=self.multikey),
            at=self.clock.now,
        )

    def addition(self, key: PrivateKey) -> dict[str, Any]:
        """KeyAdded for another key of this party, with its proof of possession."""
        message = party_events.possession_message(
            origin=self.origin, party=self.uri, key=key.public.multikey
        )
        return complete(
            party_events.key_added(self.uri, key=key.public.multikey, possession=key.sign(message)),
            at=self.clock.now,
        )

    def revocation(self, key: PrivateKey, *, reason: str = "superseded") -> dict[str, Any]:
        """KeyRevoked for a key of this party."""
        return complete(
            party_events.key_revoked(self.uri, key=key.public.multikey, reason=reason),
            at=self.clock.now,
        )


@dataclass
class World:
    """One log with its operator, on a frozen clock."""

    capture: Capture
    clock: FrozenClock
    origin: str = ORIGIN

    def __post_init__(self) -> None:
        self.operator = self.actor("operator", uri=f"https://{self.origin}")
        self.capture.submit_batch(self.operator.sealed([self.operator.registration()]))

    def actor(self, name: str, *, uri: str | None = None) -> Actor:
        """A party that nobody has registered yet."""
        return Actor(uri or f"https://{name}.example", make_key(name), self.origin, self.clock)

    def accredit(self, party: str, role: str = "brand") -> Accepted:
        """The operator grants a role."""
        event = complete(party_events.party_accredited(party, role=role), at=self.clock.now)
        return self.capture.submit_batch(self.operator.sealed([event]))

    def withdraw(self, party: str, role: str = "brand") -> Accepted:
        """The operator ends a role."""
        event = complete(party_events.accreditation_withdrawn(party, role=role), at=self.clock.now)
        return self.capture.submit_batch(self.operator.sealed([event]))

    def party(self, name: str, role: str | None = "brand") -> Actor:
        """A registered party, accredited unless `role` is None."""
        actor = self.actor(name)
        self.capture.submit_batch(actor.sealed([actor.registration()]))
        if role is not None:
            self.accredit(actor.uri, role)
        return actor


def lines_of(upload: Sequence[bytes]) -> Iterator[bytes]:
    """The upload's lines, as the web layer hands them over: one at a time."""
    yield from upload
