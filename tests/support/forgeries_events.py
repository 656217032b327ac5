"""Bundles whose events do not fit their seals and links: steps 21 to 28 (unaltered)."""

from __future__ import annotations

import copy
from typing import Any

from tests.support.bundle_stories import (
    CASE,
    ITEM,
    OTHER_ITEM,
    cast,
)
from tests.support.bundles import (
    Json,
    Published,
    World,
    actor,
)
from tests.support.forging import lie, tampering

# --- unaltered: steps 21 to 28 --------------------------------------------------------------------


@tampering("event-altered", "events[1]")
def event_byte_altered(bundle: Json, _: Published) -> None:
    bundle["events"][1]["event"]["bizStep"] = "pecking"


@tampering("event-altered", "events[0]")
def seals_swapped(bundle: Json, _: Published) -> None:
    seals = bundle["seals"]
    seals[0], seals[1] = seals[1], seals[0]


@tampering("event-altered", "events[1]")
def inner_node_as_leaf(bundle: Json, _: Published) -> None:
    """A path that would be right if the event were an inner node of its seal's tree."""
    member = bundle["events"][1]
    member["path"], member["leaf"] = [], 0


@tampering("event-altered", "events[2]")
def leaf_of_another_place(bundle: Json, _: Published) -> None:
    bundle["events"][2]["leaf"] = 0


@tampering("event-malformed", "events[0]")
def event_of_an_unknown_type(bundle: Json, _: Published) -> None:
    bundle["events"][0]["event"]["type"] = "prov:PartyPraised"


@tampering("event-malformed", "events[0]")
def event_without_time_zone(bundle: Json, _: Published) -> None:
    bundle["events"][0]["event"]["eventTime"] = "2026-11-01T12:00:00"


@tampering("event-malformed", "events[0]")
def event_time_that_is_no_text(bundle: Json, _: Published) -> None:
    bundle["events"][0]["event"]["eventTime"] = {}


@tampering("event-malformed", "events[0]")
def event_without_subject(bundle: Json, _: Published) -> None:
    bundle["events"][0]["event"]["epcList"] = []


@tampering("event-malformed", "events[0]")
def event_with_a_malformed_name(bundle: Json, _: Published) -> None:
    bundle["events"][0]["event"]["epcList"] = ["urn:epc:id:sgtin:12.34"]


@tampering("event-malformed", "events[0]")
def event_too_deep_by_itself(bundle: Json, _: Published) -> None:
    """33 levels: within the bundle's 40, above an event's 32."""
    value: Any = []
    for _level in range(31):
        value = [value]
    bundle["events"][0]["event"]["example:deep"] = value


@tampering("event-malformed", "events[0]")
def event_too_large(bundle: Json, _: Published) -> None:
    bundle["events"][0]["event"]["example:note"] = "x" * 49_152


@tampering("event-malformed", "events[0]")
def no_seal_and_no_proof(bundle: Json, _: Published) -> None:
    bundle["events"][0]["seal"] = None


@tampering("disclosure-unmatched", "events[0]")
def disclosure_of_nothing(bundle: Json, _: Published) -> None:
    bundle["events"][0]["disclosures"] = ["WyJzYWx0IiwgIm5hbWUiLCAxXQ"]


@tampering("event-unlinked", "events[6]")
def event_that_was_never_linked(bundle: Json, published: Published) -> None:
    """Well sealed, but the log has never seen it."""
    other = copy.deepcopy(published.world)
    other.seal(actor("mill"), other.observe(ITEM))
    extra = other.publish().passport(ITEM)
    bundle["seals"].append(extra["seals"][extra["events"][3]["seal"]])
    bundle["events"].append({**extra["events"][3], "seal": len(bundle["seals"]) - 1})


@tampering("event-unlinked", "events[6]")
def event_twice(bundle: Json, _: Published) -> None:
    bundle["events"].append(bundle["events"][0])


@tampering("event-missing", "subjects[0].links[2]")
def event_left_out(bundle: Json, _: Published) -> None:
    del bundle["events"][2]


@tampering("seal-mismatch", "subjects[0].links[0]")
def sealed_again_by_the_same_party(bundle: Json, published: Published) -> None:
    """A second seal of the same party over the same event: good, but not the one in the link."""
    world = copy.deepcopy(published.world)
    event = bundle["events"][0]["event"]
    (again,) = world.seal(actor("mill"), event, not_on=[ITEM])
    bundle["seals"][0] = again.seal


@lie("event-not-about-subject", "subjects[0].links[1]")
def linked_to_a_stranger(world: World) -> None:
    (mill,) = cast(world, mill="producer")
    world.seal(mill, world.make(ITEM))
    world.seal(mill, world.observe(OTHER_ITEM), also_on=[ITEM])


@lie("event-missing-on-chain", "events[1]")
def event_missing_on_a_second_chain(world: World) -> None:
    """The log linked the packing to the item and kept it from the case's history."""
    (mill,) = cast(world, mill="producer")
    world.seal(mill, world.make(ITEM))
    world.seal(mill, world.pack(CASE, ITEM), not_on=[CASE])
    world.seal(mill, world.observe(CASE))


@lie("event-missing-on-chain", "events[0]")
def event_on_an_absent_subject(world: World) -> Json:
    (mill,) = cast(world, mill="producer")
    world.seal(mill, world.pack(CASE, ITEM), not_on=[CASE])
    return world.publish().passport(ITEM)
