"""Which other histories belong to a subject's own: packed into, made from, of which lot.

A bottle's story is also that of the case it was in, of the pallet that the case was on, of the lot
that it was made from, each for the time that counts. :func:`walk` finds them, breadth first, from
the subject over all time (docs/formats.md section 9):

- put into a parent (ADD) at t, taken out (DELETE) at e: the parent over [t, e), cut to the interval
  for which the subject itself matters. What was put in before that interval began is still inside.
- made (output of a transformation) at t: every input over (−∞, t].
- of a lot (``ilmd``) and itself an item: the lot over all time.

Times are *claimed* event times in microseconds; intervals are half open. Only believed events
(``domain.standing``) open or close anything; the others inside an interval are still told.

A parent is visited even when its interval turns out to be empty: only its own chain can show that
it was emptied, so a verifier must see it. Such a visit adds nothing to the story.

Cost: what a hostile chain can ask for is bounded. Each event is told once, stays and their ends are
found by bisection, and the number of visits has a limit as the number of subjects has.

This is pure: where chains come from is the caller's, ``services.proving`` from storage, the
verifier from a bundle, and both must find the same. The phone's twin:
``static/js/verify/trace.js``.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from provenance.domain.event import Event
from provenance.domain.standing import Statement, judge
from qr import escapes
from qr.identifier import canonical_identifier

MAX_SUBJECTS: Final = 256
MAX_VISITS: Final = 1_024
MAX_DEPTH: Final = 32
# Beyond every claimed time (years 1..9999 in microseconds stay within ±2^59).
BEGINNING: Final = -(2**62)
END: Final = 2**62

_ITEM: Final = re.compile(r"https://id\.gs1\.org/01/([0-9]{14})/21/[^/]+")


@dataclass(frozen=True, slots=True)
class Step:
    """One event as the trace sees it, for any of its subjects.

    `time` claimed microseconds, `ledger_time` milliseconds; identifiers are canonical.
    `closes_all`: an aggregation DELETE that names no child and so takes out all of them.
    """

    hash: bytes
    time: int
    ledger_time: int
    believed: bool
    kind: str
    action: str | None = None
    parent: str | None = None
    children: frozenset[str] = frozenset()
    inputs: tuple[str, ...] = ()
    outputs: frozenset[str] = frozenset()
    lot: str | None = None
    closes_all: bool = False

    @property
    def order(self) -> tuple[int, int, bytes]:
        """Steps are told by claimed time, then ledger time, then bytes of the event hash."""
        return self.time, self.ledger_time, self.hash


def read_step(event: Event, ledger_time: int, *, believed: bool) -> Step:
    """The step of an event whose subjects could be told (so that its lists are of their form)."""
    document = event.document
    kind = str(document["type"])
    action = document.get("action")
    facts = _packing(document) if kind in ("AggregationEvent", "AssociationEvent") else {}
    if kind == "TransformationEvent":
        facts = _making(document)
    return Step(
        hash=event.hash,
        time=event.event_time,
        ledger_time=ledger_time,
        believed=believed,
        kind=kind,
        action=action if isinstance(action, str) else None,
        lot=_lot(document.get("ilmd")),
        **facts,
    )


def read_chain(events: Iterable[tuple[Event, int, str]]) -> list[Step]:
    """The steps of one whole chain, from (event, ledger time in ms, sealing party)."""
    chain = list(events)
    states = judge([Statement(event.document, party) for event, _, party in chain]).states
    return [
        read_step(event, time, believed=state in ("believed", "correction"))
        for (event, time, _), state in zip(chain, states, strict=True)
    ]


def _packing(document: Mapping[str, Any]) -> dict[str, Any]:
    children = frozenset(_named(document, "childEPCs", "childQuantityList"))
    parent = document.get("parentID")
    return {
        "parent": None if parent is None else canonical_identifier(parent),
        "children": children,
        "closes_all": document["type"] == "AggregationEvent" and not children,
    }


def _making(document: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "inputs": tuple(dict.fromkeys(_named(document, "inputEPCList", "inputQuantityList"))),
        "outputs": frozenset(_named(document, "outputEPCList", "outputQuantityList")),
    }


def _named(document: Mapping[str, Any], things: str, classes: str) -> Iterator[str]:
    for epc in document.get(things, ()):
        yield canonical_identifier(epc)
    for element in document.get(classes, ()):
        yield canonical_identifier(element["epcClass"])


def _lot(ilmd: object) -> str | None:
    lot = ilmd.get("cbvmda:lotNumber") if isinstance(ilmd, dict) else None
    return lot if isinstance(lot, str) and lot else None


def lot_uri(item: str, lot: str) -> str | None:
    """The lot's identifier for an item ``https://id.gs1.org/01/G/21/…``; None for others."""
    match = _ITEM.fullmatch(item)
    return f"https://id.gs1.org/01/{match[1]}/10/{escapes.encode(lot)}" if match else None


# --- the walk -------------------------------------------------------------------------------------

# The steps on a subject's whole chain; None for one that is proved absent. May raise.
Load = Callable[[str], Sequence[Step] | None]


@dataclass(frozen=True, slots=True)
class Trace:
    """What a walk found.

    `subjects` in the order of discovery, absent ones too; `story` the steps in telling order, each
    with the subject on whose account it belongs; `absent` subjects visited that have no history;
    `limit` the first subject that a limit kept out, None if none did.
    """

    subjects: tuple[str, ...]
    story: tuple[tuple[Step, str], ...]
    absent: tuple[str, ...]
    limit: str | None


Interval = tuple[int, int]  # [from, until)


@dataclass(frozen=True, slots=True)
class _Visit:
    """A subject over [start, end); `fresh` is what of it no earlier visit took up."""

    uri: str
    start: int
    end: int
    depth: int
    fresh: tuple[Interval, ...]


class _Chain:
    """The steps on one subject's chain in telling order, and those that put the subject in."""

    def __init__(self, uri: str, steps: Iterable[Step]) -> None:
        self.steps = sorted(steps, key=lambda step: step.order)
        self.times = [step.time for step in self.steps]
        self.packings = [
            place
            for place, step in enumerate(self.steps)
            if step.believed
            and step.action == "ADD"
            and step.parent is not None
            and uri in step.children
        ]
        self.ends: dict[int, int] = {}  # of a packing, by its place; filled in on the way
        # The believed DELETE steps by kind and parent.
        self.unpackings: dict[tuple[str, str], list[Step]] = {}
        for step in self.steps:
            if step.believed and step.action == "DELETE" and step.parent is not None:
                self.unpackings.setdefault((step.kind, step.parent), []).append(step)

    def places_in(self, intervals: Iterable[Interval]) -> list[int]:
        """Places of the steps whose time lies in one of the disjoint, rising intervals."""
        return [
            place
            for low, high in intervals
            for place in range(bisect_left(self.times, low), bisect_left(self.times, high))
        ]


@dataclass(slots=True)
class _Walk:
    load: Load
    max_subjects: int
    max_visits: int
    max_depth: int
    waiting: deque[_Visit] = field(default_factory=deque)
    visits: int = 0
    taken: dict[str, list[Interval]] = field(default_factory=dict)
    chains: dict[str, _Chain | None] = field(default_factory=dict)
    ends: dict[tuple[str, str, str], list[int]] = field(default_factory=dict)
    story: dict[bytes, tuple[Step, str]] = field(default_factory=dict)
    absent: dict[str, None] = field(default_factory=dict)
    limit: str | None = None

    def has_room(self, uri: str, depth: int) -> bool:
        """Whether a subject may be visited at that depth; notes the first that may not."""
        has_seat = uri in self.taken or len(self.taken) < self.max_subjects
        if depth <= self.max_depth and has_seat and self.visits < self.max_visits:
            return True
        self.limit = self.limit or uri
        return False

    def take(self, uri: str, start: int, end: int, depth: int) -> None:
        """Take up a visit, unless it adds nothing to those taken up, or there is no room."""
        known = self.taken.get(uri)
        fresh = _gaps(known or [], start, end)
        if (known is None or fresh) and self.has_room(uri, depth):
            self.taken[uri] = _unite(known or [], start, end)
            self.visits += 1
            self.waiting.append(_Visit(uri, start, end, depth, fresh))

    def chain(self, uri: str) -> _Chain | None:
        """The subject's chain, loaded once."""
        if uri not in self.chains:
            steps = self.load(uri)
            self.chains[uri] = None if steps is None else _Chain(uri, steps)
        return self.chains[uri]

    def visit(self, visit: _Visit) -> None:
        """Tell what lies in the interval and take up what it leads to.

        Only what is fresh is gone through: the rest was told by earlier visits, and what it leads
        to was taken up, or kept out by a limit that still keeps it out.
        """
        chain = self.chain(visit.uri)
        if chain is None:
            self.absent[visit.uri] = None
            return
        told = chain.places_in(visit.fresh)
        for place in told:
            self.story.setdefault(chain.steps[place].hash, (chain.steps[place], visit.uri))
        inside = set(told)
        for place in sorted(inside.union(self.packings_of(chain, visit))):
            if chain.steps[place].believed:
                self.follow(chain.steps[place], visit, place in inside)

    def packings_of(self, chain: _Chain, visit: _Visit) -> Iterator[int]:
        """Places of the packings that a visit must look at: those before its end that lead to a
        parent not met yet, or whose stay meets what is fresh.

        Of several with one parent and one end the first covers the others.
        """
        if not visit.fresh:
            return
        low, high = visit.fresh[0][0], visit.fresh[-1][1]
        seen: set[tuple[str, int]] = set()
        for place in chain.packings:
            step = chain.steps[place]
            if step.time >= visit.end:
                return
            if step.parent in self.taken:
                end = chain.ends.get(place)
                if end is None:
                    end = chain.ends[place] = self.end_of(step, visit.uri, step.parent)
                if end <= low or step.time >= high or (step.parent, end) in seen:
                    continue
                seen.add((step.parent, end))
            yield place

    def follow(self, step: Step, visit: _Visit, inside: bool) -> None:
        """The three rules of section 9, in their order."""
        uri, depth = visit.uri, visit.depth + 1
        made = uri in step.outputs
        if step.action == "ADD" and uri in step.children:
            self.follow_parent(step, visit)
        if inside and made:
            for source in step.inputs:
                self.take(source, BEGINNING, step.time + 1, depth)
        if inside and step.lot is not None and (step.action == "ADD" or made):
            lot = lot_uri(uri, step.lot)
            if lot is not None:
                self.take(lot, BEGINNING, END, depth)

    def follow_parent(self, step: Step, visit: _Visit) -> None:
        """The parent for as long as the subject was in it."""
        parent = step.parent
        if parent is None:
            return
        if parent not in self.taken and not self.has_room(parent, visit.depth + 1):
            return
        end = min(visit.end, self.end_of(step, visit.uri, parent))
        self.take(parent, max(visit.start, step.time), end, visit.depth + 1)

    def end_of(self, step: Step, child: str, parent: str) -> int:
        """When the packing of `step` ended for `child`; END if it did not."""
        key = (step.kind, child, parent)
        if key not in self.ends:
            self.ends[key] = sorted(
                other.time
                for chain in (self.peek(child), self.peek(parent))
                for other in (chain.unpackings.get((step.kind, parent), ()) if chain else ())
                if other.closes_all or child in other.children
            )
        times = self.ends[key]
        place = bisect_right(times, step.time)
        return times[place] if place < len(times) else END

    def peek(self, uri: str) -> _Chain | None:
        """A chain that may be absent or missing: the visit that follows will say so, in its place.

        None either way.
        """
        try:
            return self.chain(uri)
        except MissingSubjectError:
            return None


class MissingSubjectError(LookupError):
    """Raised by a `Load` that ought to have a subject's chain, or its absence, and has neither."""

    def __init__(self, uri: str) -> None:
        super().__init__(uri)
        self.uri = uri


def walk(
    subject: str,
    load: Load,
    *,
    max_subjects: int = MAX_SUBJECTS,
    max_visits: int = MAX_VISITS,
    max_depth: int = MAX_DEPTH,
) -> Trace:
    """Everything that belongs to `subject`. What `load` raises passes through.

    A visit that would go to more than `max_subjects` subjects, be more than the `max_visits`th, or
    go deeper than `max_depth` (the subject itself is at 0), is not made; all others are.
    """
    state = _Walk(load, max_subjects, max_visits, max_depth)
    state.take(subject, BEGINNING, END, 0)
    while state.waiting:
        state.visit(state.waiting.popleft())
    story = sorted(state.story.values(), key=lambda told: told[0].order)
    return Trace(tuple(state.taken), tuple(story), tuple(state.absent), state.limit)


# What was taken up of a subject: disjoint, non-touching, rising intervals.


def _gaps(intervals: Sequence[Interval], start: int, end: int) -> tuple[Interval, ...]:
    """The parts of [start, end) that lie in none of the intervals."""
    gaps = []
    place = max(0, bisect_right(intervals, (start, END)) - 1)
    while start < end and place < len(intervals):
        low, high = intervals[place]
        if low > start:
            gaps.append((start, min(low, end)))
        start = max(start, high)
        place += 1
    return (*gaps, (start, end)) if start < end else tuple(gaps)


def _unite(intervals: Sequence[Interval], start: int, end: int) -> list[Interval]:
    """The intervals and [start, end) together."""
    if start >= end:
        return list(intervals)
    apart = [(low, high) for low, high in intervals if high < start or end < low]
    touching = [(low, high) for low, high in intervals if not (high < start or end < low)]
    whole = min([start, *(low for low, _ in touching)]), max([end, *(high for _, high in touching)])
    return sorted([*apart, whole])
