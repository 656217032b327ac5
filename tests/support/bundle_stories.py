"""Good bundles: each a story that a shopper could scan, with what its verdict must say.

Every function builds one world from nothing and gives a :class:`Made`. What a verdict must say is
written here by hand, never taken from the verifier.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from merkle.note import NoteSignature
from provenance.domain import disclosure
from tests.support.bundles import (
    DAY,
    MINUTE,
    NOW,
    OPERATOR,
    START,
    Actor,
    Json,
    World,
    actor,
    encode,
    make_key,
    policy_text,
)

GTIN = "https://id.gs1.org/01/09506000134352"
FLOUR = "https://id.gs1.org/01/09506000134369"
GRAIN = "https://id.gs1.org/01/09506000134376"
ITEM = f"{GTIN}/21/A1"
OTHER_ITEM = f"{GTIN}/21/A2"
LOT = f"{GTIN}/10/L7"
CASE = "https://id.gs1.org/00/095060001343520016"
OTHER_CASE = "https://id.gs1.org/00/095060001343520023"
PALLET = "https://id.gs1.org/00/095060001343520030"
MILL, CARRIER = "https://mill.example", "https://carrier.example"


@dataclass
class Made:
    """One bundle and what its verdict must be.

    `states` (or any list of a stage's member, by its name) tells the stages in order; `tells` any
    top-level members of the verdict. `policy` is a policy text where it is not the usual one,
    `known` what the reader has from elsewhere (fork evidence, notes). `without_mldsa` is record,
    reason and place for a verifier that cannot judge post-quantum lines, where they differ.
    """

    data: bytes
    record: str = "verified"
    reason: str | None = None
    place: str | None = None
    now: int = NOW
    max_age: int = 86_400
    policy: str | None = None
    tells: Mapping[str, Any] = field(default_factory=dict)
    stages: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    known: Sequence[Any] = ()
    without_mldsa: tuple[str, str | None, str | None] | None = None


Build = Callable[[], Made]
STORIES: dict[str, Build] = {}


def story(build: Build) -> Build:
    """Register a story under its function's name."""
    STORIES[build.__name__.replace("_", "-")] = build
    return build


def new_world() -> World:
    """A log with its operator registered."""
    world = World()
    world.register(world.operator)
    return world


def cast(world: World, **roles: str) -> list[Actor]:
    """Parties registered and accredited, each under its name."""
    return [world.register(actor(name), role) for name, role in roles.items()]


def warn(code: str, place: str) -> Json:
    return {"code": code, "place": place}


@story
def item_many_parties() -> Made:
    world = new_world()
    mill, lab, brand, carrier, customs, shop = cast(
        world,
        mill="producer",
        lab="laboratory",
        brand="brand",
        carrier="logistics",
        customs="customs",
        shop="retailer",
    )
    world.seal(
        mill,
        world.make(ITEM, at=START),
        world.observe(ITEM, OTHER_ITEM, at=START + MINUTE, bizStep="encoding"),
    )
    world.seal(lab, world.observe(ITEM, disposition="conformant"))
    stored = world.observe(ITEM, at=world.clock + 1, bizStep="storing")
    world.seal(brand, world.observe(ITEM), stored)
    world.seal(carrier, world.observe(ITEM, bizStep="loading"))
    world.seal(carrier, world.observe(ITEM, bizStep="departing"))
    world.seal(customs, world.observe(ITEM, bizStep="inspecting"))
    opened = world.observe(ITEM, at=world.clock + 1)
    world.seal(carrier, world.observe(ITEM, bizStep="arriving"), opened)
    world.seal(shop, world.observe(ITEM, bizStep="receiving"))
    world.seal(shop, world.observe(ITEM, bizStep="retail_selling"))
    return Made(
        encode(world.publish().passport(ITEM)),
        tells={"independent": 6, "warnings": []},
        stages={"index": list(range(12)), "via": [ITEM] * 12, "standing": ["stands"] * 12},
    )


@story
def item_case_pallet() -> Made:
    """The item's story holds the case's and the pallet's, only while it was inside."""
    world = new_world()
    mill, carrier = cast(world, mill="producer", carrier="logistics")
    t = [START + n * DAY for n in range(9)]
    world.seal(
        mill,
        world.make(ITEM, at=t[0]),
        world.observe(CASE, at=t[0]),  # before the item was inside: not its story
        world.pack(CASE, ITEM, at=t[1]),
        at=START + DAY,
    )
    world.seal(
        carrier,
        world.pack(PALLET, CASE, at=t[2]),
        world.observe(PALLET, at=t[3], bizStep="departing"),
        world.pack(PALLET, at=t[5], action="DELETE"),  # emptied: names no child
        world.observe(PALLET, at=t[6]),
        world.pack(CASE, ITEM, at=t[7], action="DELETE"),
        world.observe(CASE, at=t[8]),
        at=START + 9 * DAY,
    )
    return Made(
        encode(world.publish().passport(ITEM)),
        stages={"via": [ITEM, ITEM, CASE, PALLET, ITEM]},
        tells={"independent": 2},
    )


@story
def packed_before_the_case_was_loaded_late() -> Made:
    """The case was on the pallet before the item came into it: the pallet belongs all the same."""
    world = new_world()
    mill, carrier = cast(world, mill="producer", carrier="logistics")
    t = [START + n * DAY for n in range(5)]
    world.seal(carrier, world.pack(PALLET, CASE, at=t[0]))
    world.seal(mill, world.make(ITEM, at=t[1]), world.pack(CASE, ITEM, at=t[2]))
    world.seal(carrier, world.observe(PALLET, at=t[3]))
    return Made(
        encode(world.publish().passport(ITEM)),
        stages={"via": [ITEM, ITEM, PALLET]},
    )


@story
def repacked() -> Made:
    """Out of one case, into another; what happened to either at other times is not told."""
    world = new_world()
    (mill,) = cast(world, mill="producer")
    t = [START + n * DAY for n in range(9)]
    world.seal(
        mill,
        world.pack(CASE, ITEM, OTHER_ITEM, at=t[0]),
        world.observe(CASE, at=t[1]),
        world.pack(CASE, ITEM, at=t[2], action="DELETE"),
        world.observe(CASE, at=t[3]),
        world.pack(OTHER_CASE, ITEM, at=t[4]),
        world.observe(OTHER_CASE, at=t[5]),
        world.pack(CASE, ITEM, at=t[6]),
        world.observe(CASE, at=t[7]),
        at=START + 9 * DAY,
    )
    return Made(
        encode(world.publish().passport(ITEM)),
        stages={"via": [ITEM, CASE, ITEM, ITEM, OTHER_CASE, ITEM, CASE]},
    )


@story
def transformation_two_levels() -> Made:
    world = new_world()
    farm, mill, baker = cast(world, farm="producer", mill="producer", baker="brand")
    grain, flour = f"{GRAIN}/10/G1", f"{FLOUR}/10/F1"
    t = [START + n * DAY for n in range(7)]
    lot = {"epcClass": grain, "quantity": 900.5, "uom": "KGM"}
    made = {"action": "ADD", "bizStep": "creating_class_instance"}
    world.seal(farm, world.observe(at=t[0], quantityList=[lot], **made))
    world.seal(mill, world.transform([grain], [flour], at=t[1]))
    world.seal(mill, world.observe(at=t[2], quantityList=[{"epcClass": flour, "quantity": 5}]))
    world.seal(baker, world.transform([flour], [ITEM], at=t[3]))
    # After the bread was made, the rest of the flour is no part of its story.
    world.seal(mill, world.observe(at=t[4], quantityList=[{"epcClass": flour, "quantity": 1}]))
    world.seal(baker, world.observe(ITEM, at=t[5]))
    return Made(
        encode(world.publish().passport(ITEM)),
        stages={"via": [grain, flour, flour, ITEM, ITEM]},
        tells={"independent": 3},
    )


@story
def lot_history() -> Made:
    """An item that names its lot brings in what happened to the lot."""
    world = new_world()
    mill, lab = cast(world, mill="producer", lab="laboratory")
    tested = [{"epcClass": LOT, "quantity": 100}]
    world.seal(mill, world.make(ITEM, ilmd={"cbvmda:lotNumber": "L7"}))
    world.seal(lab, world.observe(quantityList=tested, disposition="conformant"))
    return Made(
        encode(world.publish().passport(ITEM)),
        stages={"via": [ITEM, LOT]},
        tells={"warnings": []},
    )


@story
def lot_without_history() -> Made:
    world = new_world()
    (mill,) = cast(world, mill="producer")
    world.seal(mill, world.make(ITEM, ilmd={"cbvmda:lotNumber": "L 7/é"}))
    gap = f"{GTIN}/10/L%207%2F%C3%A9"
    return Made(
        encode(world.publish().passport(ITEM)),
        tells={"warnings": [warn("subject-without-history", gap)]},
    )


@story
def custodial_key() -> Made:
    """A party whose key the platform holds counts for nobody but the platform."""
    world = new_world()
    farm = world.register(actor("farm"), "producer", custody="platform")
    (mill,) = cast(world, mill="producer")
    world.seal(farm, world.make(ITEM))
    world.seal(mill, world.observe(ITEM))
    return Made(
        encode(world.publish().passport(ITEM)),
        stages={"custody": ["platform", "party"]},
        tells={"independent": 1},
    )


def _concealing(*, shown: bool) -> Made:
    world = new_world()
    (mill,) = cast(world, mill="producer")
    open_event = world.make(
        ITEM,
        ilmd={"cbvmda:countryOfOrigin": "IT", "example:pickers": ["first", "second"]},
        example_price=12.5,
    )
    salts = iter(bytes([n]) * 16 for n in range(9))
    event, disclosures = disclosure.conceal(
        open_event, ["$.ilmd['example:pickers']", "$.example_price"], lambda _: next(salts)
    )
    (sealed,) = world.seal(mill, event)
    if shown:
        world.disclosures[sealed.event.hash] = disclosures
    return Made(encode(world.publish().passport(ITEM)), stages={"state": ["believed"]})


@story
def concealed() -> Made:
    return _concealing(shown=False)


@story
def concealed_and_disclosed() -> Made:
    return _concealing(shown=True)


@story
def own_proof() -> Made:
    """A phone that seals one event by itself: the event is its own seal."""
    world = new_world()
    (mill,) = cast(world, mill="producer")
    world.sign(mill, world.make(ITEM))
    world.seal(mill, world.observe(ITEM))
    return Made(encode(world.publish().passport(ITEM)), stages={"party": [MILL, MILL]})


def _declared(event: Json, world: World, *corrections: str) -> Json:
    declaration = {
        "declarationTime": event["eventTime"],
        "reason": "incorrect_data",
        "correctiveEventIDs": list(corrections),
    }
    return {**event, "prov:nonce": world.nonce(), "errorDeclaration": declaration}


@story
def declared_wrong_and_corrected() -> Made:
    world = new_world()
    mill, carrier = cast(world, mill="producer", carrier="logistics")
    # Packed into the wrong case: taken back, so the wrong case's story is not the item's.
    wrong = world.pack(CASE, ITEM, at=START + DAY)
    right = world.pack(OTHER_CASE, ITEM, at=START + DAY + 1)
    world.seal(mill, world.make(ITEM), wrong)
    world.seal(carrier, world.observe(CASE, at=START + 2 * DAY))
    world.seal(mill, right, _declared(wrong, world, right["eventID"]))
    world.seal(carrier, world.observe(OTHER_CASE, at=START + 2 * DAY))
    return Made(
        encode(world.publish().passport(ITEM)),
        stages={
            "state": ["believed", "declared-wrong", "declaration", "correction", "believed"],
            "via": [ITEM, ITEM, ITEM, ITEM, OTHER_CASE],
        },
        tells={"warnings": []},
    )


@story
def declaration_foreign() -> Made:
    """Nobody takes back what another party said; and no such declaration names a correction."""
    world = new_world()
    mill, carrier = cast(world, mill="producer", carrier="logistics")
    said = world.observe(ITEM, disposition="damaged")
    other = world.observe(ITEM, at=world.clock + 1)
    world.seal(mill, said, other)
    world.seal(carrier, _declared(said, world, other["eventID"]))
    return Made(
        encode(world.publish().passport(ITEM)),
        # The declaration claims the time of what it declares, and was accepted after it.
        stages={"state": ["believed", "declaration", "believed"]},
        tells={"warnings": [warn("declaration-foreign", "events[2]")]},
    )


@story
def declarations_without_effect() -> Made:
    """Of nothing, of something that reads differently, and without an eventID."""
    world = new_world()
    (mill,) = cast(world, mill="producer")
    said = world.observe(ITEM)
    changed = {**_declared(said, world), "bizStep": "storing"}
    nameless = {k: v for k, v in _declared(said, world).items() if k != "eventID"}
    # What its errorDeclaration is does not matter for its being one.
    odd = {**world.observe(ITEM), "errorDeclaration": None}
    world.seal(mill, said, changed, nameless, odd)
    return Made(
        encode(world.publish().passport(ITEM)),
        tells={"warnings": [], "independent": 1},
    )


@story
def late_event() -> Made:
    """Told in the order of claimed times, though the earlier one came in later."""
    world = new_world()
    mill, carrier = cast(world, mill="producer", carrier="logistics")
    world.seal(mill, world.make(ITEM, at=START + 2 * DAY))
    world.seal(carrier, world.observe(ITEM, at=START - 3 * DAY))
    return Made(
        encode(world.publish().passport(ITEM)),
        stages={"party": [CARRIER, MILL], "index": [1, 0]},
    )


@story
def key_rotated() -> Made:
    """New key in and old key out under one seal; events of either time stand."""
    world = new_world()
    (mill,) = cast(world, mill="producer")
    new = mill.with_key("mill 2")
    world.seal(mill, world.make(ITEM))
    world.seal(mill, world.key_added(mill, new), world.key_revoked(mill))
    world.seal(new, world.observe(ITEM))
    return Made(encode(world.publish().passport(ITEM)), stages={"standing": ["stands"] * 2})


@story
def key_revoked_after() -> Made:
    """What was sealed before a revocation stands, even within its millisecond."""
    world = new_world()
    (mill,) = cast(world, mill="producer")
    world.seal(mill, world.make(ITEM))
    world.seal(mill, world.observe(ITEM), at=START + DAY)
    world.seal(world.operator, world.key_revoked(mill, "lost"), at=START + DAY)
    return Made(encode(world.publish().passport(ITEM)), stages={"standing": ["stands"] * 2})


@story
def key_compromised_before() -> Made:
    """Sealed before the revocation, but when the key may have been in other hands."""
    world = new_world()
    mill, carrier = cast(world, mill="producer", carrier="logistics")
    world.seal(mill, world.make(ITEM))
    since = world.clock + MINUTE // 2
    world.seal(mill, world.observe(ITEM))
    world.seal(carrier, world.observe(ITEM))
    world.seal(world.operator, world.key_revoked(mill, "lost"))
    world.seal(world.operator, world.key_revoked(mill, "compromised", compromised_since=since))
    return Made(
        encode(world.publish().passport(ITEM)),
        stages={"standing": ["stands", "doubtful", "stands"]},
        tells={"warnings": [warn("key-doubtful", "events[1]")]},
    )


@story
def roles_come_and_go() -> Made:
    """Roles are those held then; a party's own line shows those of the newest time."""
    world = new_world()
    mill, carrier = cast(world, mill="producer", carrier="logistics")
    world.accredit(mill, "brand", valid_until=world.clock + 3 * MINUTE)
    world.seal(mill, world.make(ITEM))
    world.seal(mill, world.observe(ITEM), at=START + DAY)
    world.withdraw(mill, "producer")
    world.seal(carrier, world.observe(ITEM))
    return Made(
        encode(world.publish().passport(ITEM)),
        stages={"roles": [["brand", "producer"], ["producer"], ["logistics"]]},
        tells={
            "parties": [
                {
                    "uri": CARRIER,
                    "name": {"en": "Carrier", "zh": "carrier（例）"},
                    "roles": ["logistics"],
                    "custody": "party",
                    "stages": 1,
                },
                {
                    "uri": MILL,
                    "name": {"en": "Mill", "zh": "mill（例）"},
                    "roles": [],
                    "custody": "party",
                    "stages": 2,
                },
            ]
        },
    )


@story
def party_passport() -> Made:
    """A party is a subject like any other: its own history is its story."""
    world = new_world()
    (mill,) = cast(world, mill="producer")
    return Made(
        encode(world.publish().passport(mill.uri)),
        stages={"party": [MILL, OPERATOR], "roles": [[], ["operator"]]},
        tells={"subject": MILL, "independent": 1},
    )


@story
def reading_of_a_place() -> Made:
    """A sensor reading without goods belongs to the place where it was taken."""
    world = new_world()
    (mill,) = cast(world, mill="producer")
    place = "https://id.gs1.org/414/9506000134352"
    reading = {"type": "gs1:Temperature", "value": 4.50, "uom": "CEL", "example:drift": 1e-7}
    event = world.complete(
        {
            "type": "ObjectEvent",
            "action": "OBSERVE",
            "readPoint": {"id": f"{place}?a=b"},
            "sensorElementList": [{"sensorReport": [reading]}],
            "example:note": '\u20ac \U0001f600 \ufb33 \\ " \u007f é e\u0301',
            "\U0001f600": 1,
            "\ufb33": 333333333.33333329,
        }
    )
    world.seal(mill, event)
    return Made(encode(world.publish().passport(place)), stages={"via": [place]})


@story
def absent_subject() -> Made:
    world = new_world()
    (mill,) = cast(world, mill="producer")
    world.seal(mill, world.make(ITEM))
    return Made(
        encode(world.publish().passport(OTHER_ITEM)),
        record="absent",
        tells={"stages": [], "parties": [], "subject": OTHER_ITEM},
    )


@story
def absent_from_the_empty_map() -> Made:
    return Made(encode(World().publish().passport(ITEM)), record="absent")


@story
def quorum_none() -> Made:
    """A reader that asks for no cosigner gets no age, and sees that it was not checked."""
    world = new_world()
    (mill,) = cast(world, mill="producer")
    world.seal(mill, world.make(ITEM))
    return Made(
        encode(world.publish().passport(ITEM)),
        policy=policy_text("none"),
        now=NOW + 10**9,
        tells={
            "checks": {
                "published": "pass",
                "fresh": "not-checked",
                "complete": "pass",
                "unaltered": "pass",
                "authentic": "pass",
            },
            "log": {
                "origin": "log.example/2026",
                "size": 6,
                "asOf": None,
                "cosigners": ["clock", "harbour"],
            },
        },
    )


@story
def cosigned_twice_and_by_strangers() -> Made:
    """Unknown lines are passed over; of one witness's lines the latest counts."""
    world = new_world()
    (mill,) = cast(world, mill="producer")
    world.seal(mill, world.make(ITEM))
    first = world.publish({"clock": NOW - 5_000, "archive": NOW - 9_000, "harbour": NOW - 7_000})
    later = world.publish({"clock": NOW - 10})
    bundle = first.passport(ITEM)
    stranger = NoteSignature("stranger.example", b"\1\2\3\4", bytes(64)).format()
    bundle["checkpoint"] += stranger + later.note.splitlines(keepends=True)[-1]
    return Made(
        encode(bundle),
        tells={
            "log": {
                "origin": "log.example/2026",
                "size": 6,
                "asOf": "2026-11-23T13:03:20Z",
                "cosigners": ["archive", "clock", "harbour"],
            }
        },
    )


@story
def as_old_as_allowed() -> Made:
    world = new_world()
    (mill,) = cast(world, mill="producer")
    world.seal(mill, world.make(ITEM))
    bundle = world.publish({"clock": NOW + 300, "harbour": NOW + 300}).passport(ITEM)
    return Made(encode(bundle), now=NOW, max_age=0)


@story
def spelt_differently() -> Made:
    """White space, the order of members, escapes and number forms change nothing."""
    world = new_world()
    (mill,) = cast(world, mill="producer")
    world.seal(mill, world.make(ITEM, **{"example:weight": 1200}))
    bundle = world.publish().passport(ITEM, more=[OTHER_ITEM, CASE])
    text = json.dumps(dict(reversed(bundle.items())), indent=1, ensure_ascii=True)
    text = text.replace('"v": 1,', '"v": 1.0,').replace(": 1200", ": 12E+2")
    return Made(("\n\t" + text + " \n").encode(), stages={"index": [0]})


@story
def names_of_javascript() -> Made:
    """`__proto__` and its like are members as any others, in events, and name nothing special."""
    world = new_world()
    (mill,) = cast(world, mill="producer")
    odd = {"__proto__": {"type": "ObjectEvent", "action": "ADD"}, "constructor": None}
    event = world.observe(ITEM, **odd, ilmd={"__proto__": {"cbvmda:lotNumber": "L7"}})
    world.seal(mill, event, world.make(ITEM, at=START, hasOwnProperty=[], toString=-0.0))
    declaration = {**event, "errorDeclaration": {"__proto__": {"correctiveEventIDs": ["x"]}}}
    world.seal(mill, {**declaration, "prov:nonce": world.nonce()})
    return Made(
        encode(world.publish().passport(ITEM)),
        stages={"state": ["believed", "declared-wrong", "declaration"]},
    )


@story
def packed_into_each_other() -> Made:
    """A circle ends, and brings in of the case's history only what came after the packing."""
    world = new_world()
    (mill,) = cast(world, mill="producer")
    world.seal(
        mill,
        world.observe(CASE, at=START),
        world.pack(CASE, ITEM, at=START + 1),
        world.pack(ITEM, CASE, at=START + 2),
        world.observe(CASE, at=START + 3),
    )
    bundle = world.publish().passport(ITEM)
    return Made(encode(bundle), stages={"via": [ITEM, ITEM, CASE]}, tells={"warnings": []})


@story
def linked_twice() -> Made:
    """A log that links an event again tells nothing new: it is one stage, at its first time."""
    world = new_world()
    (mill,) = cast(world, mill="producer")
    (made,) = world.seal(mill, world.make(ITEM))
    world.append(ITEM, made.event.hash, made.seal_hash, world.clock + MINUTE)
    return Made(encode(world.publish().passport(ITEM)), stages={"index": [0]})


@story
def nested_beyond_the_limit() -> Made:
    """Box in box in box: the walk ends at depth 32, and says where."""
    world = new_world()
    (mill,) = cast(world, mill="producer")
    boxes = [f"urn:example:box:{n}" for n in range(34)]
    inside = [ITEM, *boxes]
    events = [world.pack(boxes[n], inside[n]) for n in range(34)]
    world.seal(mill, *events)
    return Made(
        encode(world.publish().passport(ITEM)),
        tells={"warnings": [warn("trace-limit", boxes[32])]},
    )


def two_logs_apart() -> World:
    """A second log, of another operator."""
    uri = "https://elsewhere.example/log"
    world = World(
        origin="elsewhere.example/log", operator=Actor(uri, make_key("elsewhere"), "elsewhere")
    )
    world.register(world.operator)
    return world
