"""Map deltas: replay is the whole map's own step, and nothing but the true delta explains it."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merkle.errors import TilePathError
from merkle.hashing import EMPTY_ROOT
from merkle.keymap import KeyMap
from merkle.tree import Edge
from provenance.domain.chain import Link
from provenance.domain.delta import (
    MapDelta,
    MapDeltaError,
    decode_delta,
    delta_path,
    parse_delta_path,
    replay,
)
from provenance.domain.ledger import MapHead, SubjectState, apply_link


def sha(text: str) -> bytes:
    return sha256(text.encode()).digest()


@dataclass
class Book:
    """The whole map and all states, moved by the definition: what replay must agree with."""

    keymap: KeyMap = field(default_factory=KeyMap)
    states: dict[bytes, SubjectState] = field(default_factory=dict)
    head: MapHead | None = None

    @property
    def start(self) -> int:
        """The log index of the next link."""
        return 0 if self.head is None else self.head.index + 1

    def link(self, key: bytes, *, seq: int | None = None, tag: str = "") -> Link:
        """A link that extends the subject, or with `seq` one that need not."""
        state = self.states.get(key)
        count = state.count if state else 0
        at = count if seq is None else seq
        prev = state.head if state and at else sha("nobody") if at else None
        return Link(key, at, prev, sha(f"event {tag}"), sha("seal"), 1_700_000_000_000)

    def take(self, links: Sequence[Link]) -> tuple[MapDelta, MapHead | None, MapHead]:
        """The delta of `links`, the head before and the head after; moves on."""
        before, start = self.head, self.start
        keys = {link.key for link in links}
        old = {key: self.states[key] for key in keys if key in self.states}
        delta = MapDelta(start + len(links), old, self.keymap.prove_transition(keys))
        ignored = 0
        for index, link in enumerate(links, start):
            state = apply_link(self.states.get(link.key), link, index)
            if state is None:
                ignored += 1
            else:
                self.states[link.key] = state
                self.keymap.set(link.key, state.value)
        self.head = MapHead(
            index=start + len(links),
            root=self.keymap.root(),
            subjects=len(self.states),
            ignored=(before.ignored if before else 0) + ignored,
            previous=before.index if before else None,
        )
        return delta, before, self.head


def opened(subjects: int = 0) -> Book:
    """A log with its first map head and, asked for, a batch of new subjects."""
    book = Book()
    book.take([])
    if subjects:
        book.take([book.link(sha(str(n))) for n in range(subjects)])
    return book


def batch(book: Book, randomness: Random, size: int) -> list[Link]:
    """Links about known and new subjects; some extend nothing, some follow one another."""
    links: list[Link] = []
    heads: dict[bytes, Link] = {}
    for place in range(size):
        key = sha(str(randomness.randrange(40)))
        kind = randomness.randrange(8)
        if kind == 0:  # stale, or far ahead
            links.append(book.link(key, seq=randomness.randrange(9), tag=f"stale {place}"))
        elif key in heads:
            last = heads[key]
            links.append(replace(last, seq=last.seq + 1, prev=last.hash, event=sha(f"{place}")))
            heads[key] = links[-1]
        else:
            heads[key] = book.link(key, tag=f"{place}")
            links.append(heads[key])
    return links


@given(st.integers(0, 2**32), st.lists(st.integers(0, 12), min_size=1, max_size=8))
def test_replay_is_the_whole_maps_own_step(seed: int, sizes: list[int]) -> None:
    randomness = Random(seed)
    book = opened()
    for size in sizes:
        links = batch(book, randomness, size)
        start = book.start
        delta, before, after = book.take(links)
        assert replay(decode_delta(delta.encode()), before, links, start) == after


def test_random_batches_hold_all_that_can_happen() -> None:
    """Of the random batches above: new subjects, known ones, ignored links, repeated subjects."""
    randomness = Random(3)
    book = opened()
    for _ in range(30):
        book.take(batch(book, randomness, 12))
    assert book.head is not None
    assert book.head.ignored > 30
    assert len(book.states) > 20
    assert max(state.count for state in book.states.values()) > 8


def test_the_first_delta_is_empty() -> None:
    book = Book()
    delta, before, after = book.take([])
    assert delta.encode() == b"prov/map-delta/v1\n" + bytes(12)
    assert replay(delta, before, [], 0) == after == MapHead(0, EMPTY_ROOT, 0, 0, None)


def test_the_bytes_are_those_of_the_format() -> None:
    """Written out from docs/formats.md section 7."""
    book = opened()
    key = sha("only")
    first = book.link(key)
    book.take([first])
    links = [book.link(key, tag="second"), book.link(sha("new"), seq=4)]
    delta, _, _ = book.take(links)
    state = struct.pack(">32sQ32sQ", key, 1, first.hash, 1) + first.hash
    value = sha256(
        b"prov/map-val/v1\0" + struct.pack(">Q", 1) + first.hash + first.hash + struct.pack(">Q", 1)
    ).digest()
    transition = b"\x00" + key + value  # one leaf is the whole trie
    header = b"prov/map-delta/v1\n" + struct.pack(">QI", 5, 1)
    assert delta.encode() == header + state + transition


def story() -> tuple[Book, MapDelta, MapHead, list[Link], int]:
    """A map of thirty subjects and a batch about three of them, two new ones and an ignored one."""
    book = opened(30)
    known = [book.link(sha(str(n)), tag="second") for n in range(3)]
    known[2] = replace(known[2], seq=7)  # ignored, and its subject is named all the same
    links = [*known, book.link(sha("new")), book.link(sha("newer")), book.link(sha("x"), seq=3)]
    start = book.start
    delta, before, after = book.take(links)
    assert before is not None
    assert after.ignored == 2
    assert sorted(delta.states) == sorted(sha(str(n)) for n in range(3))
    return book, delta, before, links, start


def states_with(key: bytes, state: SubjectState | None) -> MapDelta:
    """The story's delta with another state of one subject, or without one."""
    _, delta, _, _, _ = story()
    states = {one: known for one, known in delta.states.items() if one != key}
    return replace(delta, states=states if state is None else {**states, key: state})


def test_a_subject_of_an_ignored_link_has_its_state_too() -> None:
    _, _, before, links, start = story()
    assert reason_of(states_with(sha("2"), None), before, links, start) == "state-missing"


def reason_of(delta: MapDelta, before: MapHead, links: Sequence[Link], start: int) -> str:
    with pytest.raises(MapDeltaError) as caught:
        replay(delta, before, links, start)
    return caught.value.reason


def test_every_false_state_is_refused_by_reason() -> None:
    book, _, before, links, start = story()
    key, stranger = sha("0"), sha("29")
    _, delta, *_ = story()
    old = delta.states[key]
    other = SubjectState(2, old.head, Edge().extend([old.head, old.head]), old.index)
    cases = {
        "state-missing": [states_with(key, None)],
        "state-extra": [
            states_with(stranger, book.states[stranger]),
            states_with(sha("new"), old),
        ],
        "state-false": [
            states_with(key, state)
            for state in (
                replace(old, index=old.index + 1),
                replace(old, head=sha("another head")),
                replace(old, edge=Edge(1, (sha("another edge"),))),
                other,
                delta.states[sha("1")],
            )
        ],
    }
    for reason, deltas in cases.items():
        for delta in deltas:
            assert reason_of(delta, before, links, start) == reason
            assert reason_of(decode_delta(delta.encode()), before, links, start) == reason


def test_a_left_out_link_is_never_the_logs_own_step() -> None:
    """Either the delta does not fit, or the map head that follows is another one."""
    book, delta, before, links, start = story()
    for cut in range(len(links)):
        fewer = links[:cut] + links[cut + 1 :]
        assert reason_of(delta, before, fewer, start) == "index"
        assert reason_of(replace(delta, index=delta.index - 1), before, fewer, start) in {
            "transition",
            "state-extra",
        }
        honest = KeyMap.build((key, state.value) for key, state in before_states(book).items())
        keys = {link.key for link in fewer}
        states = {key: state for key, state in delta.states.items() if key in keys}
        made = MapDelta(delta.index - 1, states, honest.prove_transition(keys))
        found = replay(made, before, fewer, start)
        assert replace(found, index=delta.index) != book.head


def before_states(book: Book) -> dict[bytes, SubjectState]:
    """What the map of `story` held before its last batch."""
    first = opened(30)
    assert set(first.states) < set(book.states)
    return first.states


def test_an_added_changed_or_exchanged_link_is_never_the_logs_own_step() -> None:
    book, delta, before, links, start = story()
    added = [*links, book.link(sha("sneaked in"))]
    assert reason_of(replace(delta, index=delta.index + 1), before, added, start) == "transition"
    for place, link in enumerate(links):
        other = replace(link, event=sha("another event"))
        found = replay(delta, before, [*links[:place], other, *links[place + 1 :]], start)
        ignored = place in (2, 5)  # what an ignored link says is for the log's root to bind
        assert (found == book.head) is ignored
    swapped = [links[1], links[0], *links[2:]]
    assert replay(delta, before, swapped, start) != book.head


def test_another_step_is_refused() -> None:
    _, delta, before, links, start = story()
    assert reason_of(delta, before, links, start + 1) == "index"
    assert reason_of(replace(delta, index=0), before, links, start) == "index"
    other_root = replace(before, root=sha("another map"))
    assert reason_of(delta, other_root, links, start) == "transition"


def test_every_flipped_byte_is_refused() -> None:
    """Every byte of a delta counts: there is one delta for one step."""
    _, delta, before, links, start = story()
    data = delta.encode()
    reasons = set()
    for place in range(len(data)):
        for mask in (1, 0x80):
            flipped = data[:place] + bytes([data[place] ^ mask]) + data[place + 1 :]
            with pytest.raises(MapDeltaError) as caught:
                replay(decode_delta(flipped), before, links, start)
            reasons.add(caught.value.reason)
    assert reasons >= {"malformed", "index", "transition", "state-extra", "state-false"}


def test_every_shortened_or_lengthened_delta_is_refused() -> None:
    _, delta, before, links, start = story()
    data = delta.encode()
    variants = [data[:cut] for cut in range(len(data))]
    variants += [data + b"\0", data + data, b"\0" + data, b""]
    for variant in variants:
        with pytest.raises(MapDeltaError):
            replay(decode_delta(variant), before, links, start)


def packed(*states: tuple[bytes, int, int], index: int = 9) -> bytes:
    """A delta of states (key, count, head index) with edges of zeros and no proof."""
    parts = [b"prov/map-delta/v1\n", struct.pack(">QI", index, len(states))]
    for key, count, at in states:
        parts += (
            struct.pack(">32sQ32sQ", key, count, bytes(32), at),
            bytes(32 * count.bit_count()),
        )
    return b"".join(parts)


ONE, TWO = bytes(31) + b"\x01", bytes(31) + b"\x02"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (packed()[:-1], "expected b'prov/map-delta/v1"),
        (packed().replace(b"v1", b"v2"), "expected b'prov/map-delta/v1"),
        (packed(index=2**53), "index of the map head above 9007199254740991: 9007199254740992"),
        (packed((TWO, 1, 1), (ONE, 1, 1)), "does not stand in rising order"),
        (packed((ONE, 1, 1), (ONE, 1, 1)), "does not stand in rising order"),
        (packed((ONE, 0, 1)), "count 0 or head index 1 .* not below 9"),
        (packed((ONE, 10, 1)), "count 10 or head index 1 .* not below 9"),
        (packed((ONE, 2**63, 1)), "count 9223372036854775808"),
        (packed((ONE, 1, 9)), "head index 9 .* not below 9"),
        (packed((ONE, 3, 1))[:-1], "end inside an edge"),
        (packed((ONE, 3, 1))[:-65], "end inside a state"),
    ],
)
def test_bytes_of_another_form_are_refused(data: bytes, reason: str) -> None:
    with pytest.raises(MapDeltaError, match=reason) as caught:
        decode_delta(data)
    assert caught.value.reason == "malformed"


def test_the_bytes_read_back() -> None:
    assert decode_delta(packed()) == MapDelta(9, {}, b"")
    assert list(decode_delta(packed((ONE, 1, 8), (TWO, 7, 8))).states) == [ONE, TWO]
    assert decode_delta(packed((ONE, 7, 8)) + b"proof").transition == b"proof"


@pytest.mark.parametrize(
    ("index", "path"),
    [
        (0, "map/delta/000"),
        (999, "map/delta/999"),
        (1000, "map/delta/x001/000"),
        (1234067, "map/delta/x001/x234/067"),
        (2**53 - 1, "map/delta/x009/x007/x199/x254/x740/991"),
    ],
)
def test_a_path_names_its_map_head(index: int, path: str) -> None:
    assert delta_path(index) == path
    assert parse_delta_path(path) == index


@pytest.mark.parametrize(
    "path",
    [
        "map/delta/1",
        "map/delta/x000/001",
        "map/delta/000.p/1",
        "map/delta/000/",
        "/map/delta/000",
        "map/delta//000",
        "map/delta/../delta/000",
        "map/delta/x009/x007/x199/x254/x740/992",
        "map/delta/٠٠٠",
        "map/delta/000\n",
        "tile/0/000",
        "map/delta/",
    ],
)
def test_no_other_spelling_is_a_path(path: str) -> None:
    with pytest.raises(TilePathError, match="no path of a map delta"):
        parse_delta_path(path)
