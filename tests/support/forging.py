"""Bad bundles: each with one defect, and the reason and the place that its verdict must give.

Two kinds. A *forger* changes a good bundle (`tampering`): the log's proofs are against it. A
*lying log* or a careless one (`lie`) takes in what it must not and proves it well: only the later
checks can tell.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tests.support.bundle_stories import (
    ITEM,
    OTHER_ITEM,
    Made,
    cast,
    new_world,
)
from tests.support.bundles import (
    DAY,
    START,
    Json,
    Published,
    World,
    encode,
)

FORGERIES: dict[str, Callable[[], Made]] = {}


def _refused(reason: str, place: str | None, **more: Any) -> Callable[[bytes], Made]:
    record = more.pop("record", "refused")
    return lambda data: Made(data, record, reason, place, **more)


def tampering(
    reason: str, place: str | None, **more: Any
) -> Callable[[Callable[[Json, Published], Json | None]], Callable[[], Made]]:
    """The good bundle of `plain_world`, after the decorated function changed it (in place)."""

    def register(change: Callable[[Json, Published], Json | None]) -> Callable[[], Made]:
        def build() -> Made:
            published = plain_world().publish()
            bundle = published.passport(ITEM)
            changed = change(bundle, published)
            return _refused(reason, place, **more)(encode(bundle if changed is None else changed))

        return _register(change.__name__, build)

    return register


def lie(
    reason: str, place: str | None, **more: Any
) -> Callable[[Callable[[World], Any]], Callable[[], Made]]:
    """The bundle that a log makes after the decorated function filled its world.

    What the function returns, if it is a bundle, is taken instead.
    """

    def register(fill: Callable[[World], Any]) -> Callable[[], Made]:
        def build() -> Made:
            world = new_world()
            made = fill(world)
            bundle = made if isinstance(made, dict) else world.publish().passport(ITEM)
            return _refused(reason, place, **more)(encode(bundle))

        return _register(fill.__name__, build)

    return register


def raw(reason: str, **more: Any) -> Callable[[Callable[[bytes], bytes]], Callable[[], Made]]:
    """The good bundle's bytes, changed: record `unusable`."""

    def register(change: Callable[[bytes], bytes]) -> Callable[[], Made]:
        def build() -> Made:
            good = encode(plain_world().publish().passport(ITEM))
            return _refused(reason, "bundle", record="unusable", **more)(change(good))

        return _register(change.__name__, build)

    return register


def forgery(reason: str, place: str | None) -> Callable[[Callable[[], Made]], Callable[[], Made]]:
    """What the decorated function made, refused: for cases of which the bundle is only a part."""

    def register(make: Callable[[], Made]) -> Callable[[], Made]:
        def build() -> Made:
            return replace(make(), record="refused", reason=reason, place=place)

        return _register(make.__name__, build)

    return register


def _register(name: str, build: Callable[[], Made]) -> Callable[[], Made]:
    title = name.replace("_", "-")
    assert title not in FORGERIES, title
    FORGERIES[title] = build
    return build


def plain_world() -> World:
    """The operator, a mill, an item with three links, another item with one.

    Subjects of the item's bundle: 0 the item, 1 the mill, 2 the operator. Events: 0 making, 1 and 2
    observations under one seal, 3 the mill's registration, 4 its accreditation, 5 the operator's
    registration. Seals: 0 of event 0, 1 of 1 and 2, then one for each.
    """
    world = new_world()
    (mill,) = cast(world, mill="producer")
    world.seal(mill, world.make(ITEM, at=START))
    world.seal(
        mill,
        world.observe(ITEM, at=START + DAY, bizStep="packing"),
        world.observe(ITEM, OTHER_ITEM, at=START + 2 * DAY, bizStep="shipping"),
        at=START + 3 * DAY,
    )
    return world
