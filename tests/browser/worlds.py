"""Worlds made by chance: parties, packings, mixtures, corrections and lies in any order.

Nobody says what the verdict on one must be; the point is that two verifiers agree on it, down to
the order of warnings. A seed always gives the same bundle.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

from tests.support.bundles import DAY, MINUTE, START, Actor, World, actor, encode

GTIN = "https://id.gs1.org/01/09506000134352"
ITEMS = [f"{GTIN}/21/A{n}" for n in range(3)]
LOTS = [f"{GTIN}/10/L{n}" for n in range(2)]
CASES = [f"https://id.gs1.org/00/{n:018d}" for n in range(3)]
THINGS = [*ITEMS, *CASES, *LOTS]
ROLES = ("producer", "logistics", "laboratory", "customs", "retailer", "auditor")

Event = dict[str, Any]


class Chance:
    """One world under way; every choice comes from the seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.world = World()
        self.actors = [actor(name) for name in ("mill", "carrier", "shop")]
        self.keys: dict[str, list[Actor]] = {}
        self.said: list[tuple[Actor, Event]] = []
        self.taker_back: Actor | None = None

    def is_so(self, probability: float) -> bool:
        return self.random.random() < probability

    def pick(self, values: Any) -> Any:
        return self.random.choice(values)

    def some(self, values: list[str], most: int) -> list[str]:
        return self.random.sample(values, self.random.randint(1, min(most, len(values))))

    def claimed(self) -> int:
        """A claimed time (ms): around now, with ties and disorder."""
        return self.world.clock + self.pick([0, 0, 0, MINUTE, -5 * MINUTE, -DAY, 3 * MINUTE])

    def signer(self, who: Actor | None = None) -> Actor:
        """Mostly one of the party's good keys; now and then somebody else's."""
        owner = who or self.pick(self.actors)
        if self.is_so(0.01):
            return owner.with_key("stranger")
        return self.pick(self.keys[owner.uri])

    # --- events --------------------------------------------------------------------------------

    def pack(self) -> Event:
        kind = self.pick(["AggregationEvent"] * 3 + ["AssociationEvent"])
        action = self.pick(["ADD", "ADD", "DELETE", "OBSERVE"])
        parent = self.pick(CASES)
        children = self.some([thing for thing in THINGS if thing != parent], 2)
        if action == "DELETE" and self.is_so(0.3):
            children = []
        more = {"childEPCs": []} if not children and self.is_so(0.3) else {}
        event = self.world.pack(parent, *children, at=self.claimed(), action=action, **more)
        return {**event, "type": kind}

    def mix(self) -> Event:
        more: Event = {"ilmd": {"cbvmda:lotNumber": self.pick(["L0", "L 1", ""])}}
        more = more if self.is_so(0.5) else {}
        inputs, outputs = self.some(THINGS, 2), self.some(THINGS, 2)
        return self.world.transform(inputs, outputs, at=self.claimed(), **more)

    def make(self) -> Event:
        lot = self.pick(["L0", "L1", "L9", 7])
        return self.world.make(
            *self.some(ITEMS, 2), at=self.claimed(), ilmd={"cbvmda:lotNumber": lot}
        )

    def observe(self) -> Event:
        return self.world.observe(*self.some(THINGS, 2), at=self.claimed())

    def declare(self) -> Event:
        """Take something back: one's own, somebody else's, or what was never said."""
        if not self.said:
            return self.observe()
        self.taker_back, event = self.pick(self.said)
        corrections = [other["eventID"] for _, other in self.random.sample(self.said, 1)]
        declaration: Any = {"correctiveEventIDs": self.pick([corrections, [], [5], "x"])}
        changes: Event = {"errorDeclaration": self.pick([declaration, declaration, None])}
        if self.is_so(0.2):
            changes["bizStep"] = "other"
        return {**copy.deepcopy(event), "prov:nonce": self.world.nonce(), **changes}

    def say(self) -> None:
        """Seal one to three events, with a lie now and then."""
        makers: list[Callable[[], Event]] = [self.pack, self.pack, self.mix, self.make]
        makers += [self.observe, self.declare]
        self.taker_back = None
        events = [self.pick(makers)() for _ in range(self.pick([1, 1, 2, 3]))]
        own = self.taker_back if self.is_so(0.8) else None
        who = own or self.pick(self.actors)
        self.said += [(who, event) for event in events if "errorDeclaration" not in event]
        lies: dict[str, Any] = {}
        if self.is_so(0.01):
            lies = {self.pick(["also_on", "not_on"]): [self.pick(THINGS)]}
        # The same millisecond twice is where closed and open ends would differ.
        at = self.world.clock if self.is_so(0.3) else None
        if len(events) == 1 and not lies and self.is_so(0.2):
            self.world.sign(self.signer(who), events[0], at=at)
        else:
            self.world.seal(self.signer(who), *events, at=at, **lies)

    # --- parties -------------------------------------------------------------------------------

    def add_key(self) -> None:
        who = self.pick(self.actors)
        new = who.with_key(f"{who.name} {self.world.counter}")
        custody = self.pick(["party", "platform"])
        times: dict[str, int] = {}
        if self.is_so(0.2):
            times = {"valid_until": self.world.clock + self.pick([0, MINUTE, DAY])}
        event = self.world.key_added(who, new, custody=custody, **times)
        by = self.world.operator if self.is_so(0.3) else self.signer(who)
        self.world.seal(by, event)
        self.keys[who.uri].append(new)

    def revoke_key(self) -> None:
        who = self.pick(self.actors)
        old = self.pick(self.keys[who.uri])
        times: dict[str, int] = {}
        if self.is_so(0.6):
            since = self.world.clock + self.pick([-DAY, -5 * MINUTE, -MINUTE, 0, MINUTE])
            times = {"compromised_since": since}
        reason = "compromised" if times else self.pick(["superseded", "lost"])
        event = self.world.key_revoked(old, reason, **times)
        self.world.seal(self.world.operator, event)
        keys = self.keys[who.uri]
        if len(keys) > 1 and self.is_so(0.9):
            keys.remove(old)

    def change_role(self) -> None:
        who = self.pick(self.actors)
        by = self.signer(who) if self.is_so(0.02) else None
        if self.is_so(0.15):
            self.world.withdraw(who, self.pick(ROLES))
        until = {"valid_until": self.world.clock + DAY} if self.is_so(0.3) else {}
        self.world.accredit(who, self.pick(ROLES), by=by, **until)

    # --- the whole -----------------------------------------------------------------------------

    def begin(self) -> None:
        self.world.register(self.world.operator)
        for who in self.actors:
            role = None if self.is_so(0.03) else self.pick(ROLES)
            self.world.register(who, role, custody=self.pick(["party", "party", "platform"]))
            self.keys[who.uri] = [who]

    def go_on(self) -> None:
        acts = [self.say] * 14 + [self.add_key, self.revoke_key, self.change_role]
        for _ in range(self.random.randint(4, 14)):
            self.pick(acts)()

    def bundle(self) -> bytes:
        subject = self.pick(THINGS)
        # What the trace needs, perhaps not all of it, perhaps more.
        left_out = [self.pick(THINGS)] if self.is_so(0.1) else []
        more = [self.pick(THINGS)] if self.is_so(0.1) else []
        published = self.world.publish()
        uris = published.uris(subject)
        passport = published.passport(
            subject,
            leave_out=[uri for uri in left_out if uri != subject],
            more=[uri for uri in more if uri not in uris],
        )
        return encode(passport)


def chance_bundle(seed: int) -> bytes:
    """A bundle at ledger times after `tests.support.bundles.START`, judged at `NOW`."""
    chance = Chance(seed)
    assert chance.world.clock == START
    chance.begin()
    chance.go_on()
    return chance.bundle()
