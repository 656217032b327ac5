"""The total function of the log: any sequence of links has one outcome, and only heads move on."""

from __future__ import annotations

import struct
from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merkle.tree import Edge, root_of
from provenance.domain.chain import Link
from provenance.domain.ledger import (
    MalformedMapHeadError,
    MapHead,
    SubjectState,
    apply_link,
    decode_entry,
    map_value,
    parse_map_head,
)

SEAL = b"\2" * 32
TIME = 1_763_910_000_000


def link(key: int, seq: int, prev: bytes | None, event: int = 0) -> Link:
    return Link(bytes([key]) * 32, seq, prev, bytes([event]) * 32, SEAL, TIME)


def replay(links: list[Link]) -> tuple[dict[bytes, SubjectState], int]:
    states: dict[bytes, SubjectState] = {}
    ignored = 0
    for index, entry in enumerate(links):
        after = apply_link(states.get(entry.key), entry, index)
        if after is None:
            ignored += 1
        else:
            states[entry.key] = after
    return states, ignored


def slow_replay(links: list[Link]) -> tuple[dict[bytes, list[tuple[int, Link]]], int]:
    """The rule as the page words it: whole chains kept, nothing clever."""
    chains: dict[bytes, list[tuple[int, Link]]] = {}
    ignored = 0
    for index, entry in enumerate(links):
        chain = chains.setdefault(entry.key, [])
        head = chain[-1][1].hash if chain else None
        if entry.prev == head and entry.seq == len(chain):
            chain.append((index, entry))
        else:
            ignored += 1
    return {key: chain for key, chain in chains.items() if chain}, ignored


@st.composite
def sequences(draw: st.DrawFn) -> list[Link]:
    """Good links mixed with stale, repeated, skipping and foreign ones."""
    made: list[Link] = []
    heads: dict[int, tuple[int, bytes | None]] = {}
    for step in range(draw(st.integers(0, 25))):
        key = draw(st.integers(1, 3))
        count, head = heads.get(key, (0, None))
        fresh = link(key, count, head, event=step)
        kinds = ["good", "good", "good", "skip", "rewrite", "detached", "foreign", "repeat"]
        match draw(st.sampled_from(kinds)):
            case "good":
                heads[key] = (count + 1, fresh.hash)
                made.append(fresh)
            case "skip":
                made.append(replace(fresh, seq=count + 1))
            case "rewrite":
                made.append(replace(fresh, seq=max(0, count - 1)))
            case "detached":
                made.append(replace(fresh, prev=bytes(32)))
            case "foreign":  # another subject's head under this key
                made.append(replace(fresh, key=bytes([key % 3 + 1]) * 32))
                heads = _heads_after(made)
            case "repeat":
                if made:
                    made.append(draw(st.sampled_from(made)))
    return made


def _heads_after(links: list[Link]) -> dict[int, tuple[int, bytes | None]]:
    chains, _ = slow_replay(links)
    return {key[0]: (len(chain), chain[-1][1].hash) for key, chain in chains.items()}


@given(sequences())
def test_any_sequence_has_the_outcome_of_the_slow_rule(links: list[Link]) -> None:
    states, ignored = replay(links)
    chains, slow_ignored = slow_replay(links)
    assert ignored == slow_ignored
    assert states.keys() == chains.keys()
    for key, chain in chains.items():
        state = states[key]
        hashes = [entry.hash for _, entry in chain]
        assert state.count == len(chain) == state.edge.size
        assert state.head == hashes[-1]
        assert state.root == root_of(hashes)
        assert state.index == chain[-1][0]
        assert state.value == map_value(len(chain), hashes[-1], root_of(hashes), chain[-1][0])


def test_each_way_of_not_extending_a_head() -> None:
    first = link(1, 0, None)
    state = apply_link(None, first, 0)
    assert state == SubjectState(1, first.hash, Edge().append(first.hash), 0)
    second = link(1, 1, first.hash)
    assert apply_link(state, second, 5) is not None
    assert apply_link(state, first, 1) is None  # repeated
    assert apply_link(state, replace(second, seq=2), 1) is None  # a gap
    assert apply_link(state, replace(second, seq=0), 1) is None  # stale
    assert apply_link(state, replace(second, prev=None), 1) is None
    assert apply_link(state, replace(second, prev=bytes(32)), 1) is None
    assert apply_link(None, second, 1) is None  # nothing to extend
    assert apply_link(None, replace(first, prev=bytes(32)), 1) is None


def test_time_plays_no_part() -> None:
    first = link(1, 0, None)
    state = apply_link(None, first, 0)
    assert apply_link(state, replace(link(1, 1, first.hash), time=TIME - 1), 1) is not None


def test_map_value_is_that_of_the_format_page() -> None:
    expected = b"prov/map-val/v1\0" + struct.pack(">Q", 3) + b"h" * 32 + b"r" * 32
    assert map_value(3, b"h" * 32, b"r" * 32, 7) == sha256(expected + struct.pack(">Q", 7)).digest()


counts = st.integers(0, 2**53 - 1)
heads = st.builds(
    MapHead,
    index=counts,
    root=st.binary(min_size=32, max_size=32),
    subjects=counts,
    ignored=counts,
    previous=st.none() | counts,
)
HEAD = MapHead(9, bytes(32), 4, 1, None)


@given(heads)
def test_map_heads_read_back(head: MapHead) -> None:
    assert parse_map_head(head.format()) == head == decode_entry(head.encode())


def test_text_of_the_format_page() -> None:
    root = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
    assert HEAD.format() == f"prov/map-head/v1\n9\n{root}\n4\n1\n-\n"
    assert replace(HEAD, previous=3).format().endswith("\n3\n")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("v1", "v2"),
        ("\n9\n", "\n09\n"),
        ("\n9\n", "\n-9\n"),
        ("\n9\n", "\n9007199254740992\n"),
        ("\n9\n", "\n99999999999999999999\n"),
        ("AA=", "AB="),
        ("AA=\n", "=\n"),
        ("\n-\n", "\n-"),
        ("\n-\n", "\n-\n\n"),
        ("\n-\n", "\n\n"),
        ("\n4\n", "\n4\r\n"),
        ("\n4\n", "\n٤\n"),  # a digit of another script
    ],
)
def test_other_text_is_no_map_head(old: str, new: str) -> None:
    text = HEAD.format()
    assert old in text
    with pytest.raises(MalformedMapHeadError):
        parse_map_head(text.replace(old, new, 1))


def test_entries_are_links_map_heads_or_nothing() -> None:
    first = link(1, 0, None)
    assert decode_entry(first.encode()) == first
    for data in (b"", b"{}", b"{", b"prov/map-head/v1\n", b"\xff", first.encode() + b"\n"):
        assert decode_entry(data) is None
