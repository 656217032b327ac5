"""A page without node objects against the trie of objects, and a batch's one walk against the old
functions that went through the map once for each question.

`KeyMap` is the oracle throughout: its roots and proofs are themselves held against a slow trie.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from merkle import pagemap
from merkle.errors import ArgumentError, MapPageError
from merkle.hashing import EMPTY_ROOT
from merkle.keymap import KeyMap, verify_transition
from merkle.mappage import FEW, Page, split_leaves
from merkle.pagemap import PageChanges, PageMap, StoredPage, pages_of
from tests.unit.merkle.test_merkle_pagemap import random_keys, sha


def map_of(leaves: Sequence[bytes]) -> KeyMap:
    return KeyMap.build((leaf[:32], leaf[32:]) for leaf in leaves)


def random_leaves(chance: Random, count: int) -> list[bytes]:
    return sorted(key + chance.randbytes(32) for key in set(random_keys(chance, count)))


def again(page: Page) -> Page:
    """The page as read back with its summary: nothing of it is believed."""
    back = Page.stored(page.leaves, page.summary, page.hash)
    return page if back is None else back


# --- one page -------------------------------------------------------------------------------------


@settings(max_examples=300)
@given(st.integers(0, 2**32), st.integers(1, 40), st.booleans())
def test_a_page_is_the_trie_of_its_leaves(seed: int, count: int, stored: bool) -> None:
    chance = Random(seed)
    leaves = random_leaves(chance, count)
    page, whole = Page.of_leaves(leaves), map_of(leaves)
    if stored:
        page = again(page)
    assert page.hash == whole.root()
    assert split_leaves(page.leaves) == leaves
    assert len(page) == len(whole)
    asked = [leaf[:32] for leaf in leaves[:5]] + random_keys(chance, 5)
    for key in asked:
        way = page.way(key)
        assert page.is_proved(way)
        assert page.find(key) == way[1]
        assert page.value(key, way[1]) == whole.get(key)
        assert page.prove(key, way) == whole.prove(key)
        assert page.prove_way(way) == page.prove_ways([key]) == whole.prove_transition([key])
    assert page.prove_ways(asked) == whole.prove_transition(asked)


@settings(max_examples=300)
@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(1, 2 * FEW), st.booleans())
def test_a_changed_page_is_the_page_of_the_changed_leaves(
    seed: int, count: int, changes: int, stored: bool
) -> None:
    chance = Random(seed)
    leaves = random_leaves(chance, count)
    page, whole = Page.of_leaves(leaves), map_of(leaves)
    if stored and changes < FEW:
        page = again(page)
    keys = [leaf[:32] for leaf in leaves] + random_keys(chance, 5)
    new = [key + chance.randbytes(32) for key in set(chance.choices(keys, k=changes))]
    changed = page.with_leaves(new)
    whole.update((leaf[:32], leaf[32:]) for leaf in new)
    expected = Page.of_leaves(list(whole.leaves()))
    assert changed.hash == whole.root()
    assert (changed.leaves, changed.summary) == (expected.leaves, expected.summary)
    one = chance.choice(new)
    same = changed.with_leaf(one, changed.way(one[:32]))
    assert same is changed, "the value was there already"


@settings(max_examples=100)
@given(st.integers(0, 2**32), st.integers(2, 60))
def test_a_cut_page_gives_the_pages_of_both_sides(seed: int, count: int) -> None:
    chance = Random(seed)
    leaves = random_leaves(chance, count)
    page = Page.of_leaves(leaves)
    depth = min(page.bits)
    for above in range(depth):
        assert page in page.cut(above), "they all stand on one side"
    left, right = page.cut(depth)
    assert left is not None
    assert right is not None
    assert left.leaves + right.leaves == page.leaves
    for half in (left, right):
        expected = Page.of_leaves(split_leaves(half.leaves))
        assert (half.hash, half.summary) == (expected.hash, expected.summary)


def test_the_empty_page_and_the_smallest() -> None:
    assert Page.of_leaves([]).hash == EMPTY_ROOT
    (leaf,) = random_leaves(Random(1), 1)
    page = Page.of_leaves([leaf])
    assert page.summary == b""
    assert page.hash == map_of([leaf]).root()
    assert Page.stored(leaf, b"", page.hash) is None, "one hash is no more than it costs to read"


def test_leaves_out_of_order_are_refused() -> None:
    leaves = random_leaves(Random(2), 5)
    for bad in ([*leaves, leaves[0]], [leaves[0], *leaves], leaves[::-1]):
        with pytest.raises(ArgumentError, match="stands out of order"):
            Page.of_leaves(bad)


def test_no_byte_on_a_way_can_be_changed_unseen() -> None:
    """Every byte of leaves and summary is flipped; a way that uses it is no longer proved.

    What lies beside a way may be wrong: then it is another way's to see.
    """
    leaves = random_leaves(Random(3), 9)
    page = Page.of_leaves(leaves)
    keys = [leaf[:32] for leaf in leaves]
    for data, where in ((page.leaves, 0), (page.summary, 1)):
        for place in range(len(data)):
            flipped = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
            given_ = (flipped, page.summary) if where == 0 else (page.leaves, flipped)
            bad = Page.stored(*given_, page.hash)
            assert bad is not None
            for key in keys:
                way = bad.way(key)
                if bad.is_proved(way):
                    assert bad.leaf(way[1]) == page.leaf(page.find(key))
                    assert bad.prove_way(way) == page.prove_way(page.way(key))
            assert not all(bad.is_proved(bad.way(key)) for key in keys)


# --- one walk -------------------------------------------------------------------------------------


class Store:
    """Stored pages with their summaries, as a database has them."""

    def __init__(self, chance: Random | None = None, damages: bool = False) -> None:
        self.pages: dict[int, Page] = {}
        self.chance = chance
        self.damages = damages

    def read(self, places: Sequence[int]) -> dict[int, StoredPage]:
        return {n: self._shown(self.pages[n]) for n in places if n in self.pages}

    def _shown(self, page: Page) -> StoredPage:
        """With its summary; where there is chance, sometimes with none, or with a damaged one."""
        kind = 0 if self.chance is None else self.chance.randrange(4)
        if kind == 1:
            return page.leaves
        if kind == 2:
            return page.leaves, b""
        if kind == 3 and page.summary and self.damages:
            assert self.chance is not None
            place = self.chance.randrange(len(page.summary))
            wrong = bytearray(page.summary)
            wrong[place] ^= 1 << self.chance.randrange(8)
            return page.leaves, bytes(wrong)
        return page.leaves, page.summary

    def apply(self, changes: PageChanges) -> None:
        for place in changes.removed:
            del self.pages[place]
        self.pages |= changes.pages


@pytest.mark.parametrize("leaves", [1, 2, 5, 32])
@pytest.mark.parametrize("depth", [3, 9, pagemap.MAX_DEPTH])
@pytest.mark.parametrize("damages", [False, True])
def test_one_walk_says_and_does_what_the_separate_questions_did(
    monkeypatch: pytest.MonkeyPatch, leaves: int, depth: int, damages: bool
) -> None:
    """Values, transition and change at once; over summaries that are right, absent or wrong."""
    monkeypatch.setattr(pagemap, "PAGE_LEAVES", leaves)
    monkeypatch.setattr(pagemap, "MAX_DEPTH", depth)
    chance = Random(leaves * 100 + depth)
    for _ in range(25):
        keys = random_keys(chance, 60)
        whole, store, paged = KeyMap(), Store(chance, damages), PageMap(chance.choice([1, 3, 100]))
        for _ in range(8):
            named = chance.sample(keys, chance.randrange(1, 25))
            visit = paged.visit(named, store.read)
            assert visit.values == {key: whole.get(key) for key in named}
            assert visit.proof == whole.prove_transition(named)
            touched = {key: chance.randbytes(32) for key in named if chance.randrange(5)}
            old = whole.root()
            store.apply(visit.set(touched))
            whole.update(touched.items())
            assert paged.root() == whole.root()
            assert len(paged) == len(whole)
            proof = KeyMap.build(whole.items())  # a third opinion: the verifiers' own replay
            assert proof.root() == whole.root()
            if len(touched) == len(named):
                assert verify_transition(old, touched.items(), visit.proof) == paged.root()
        canonical = dict(pages_of(whole.items()))
        assert store.pages.keys() == canonical.keys()
        for place, page in canonical.items():
            assert store.pages[place].leaves == page.leaves
            assert store.pages[place].hash == page.hash
            # A wrong byte beside the ways that were gone is handed on, and seen by who goes there.
            assert store.damages or store.pages[place].summary == page.summary


def test_only_keys_that_were_looked_up_can_be_set() -> None:
    paged, store = PageMap(), Store()
    visit = paged.visit([sha("a")], store.read)
    for items, reason in [
        ({sha("b"): sha("v")}, "only keys that were looked up together"),
        ({sha("a"): b"v"}, "map value: expected 32 bytes, found 1"),
    ]:
        with pytest.raises(ArgumentError, match=reason):
            visit.set(items)
    assert len(paged) == 0


def test_a_wrong_summary_costs_time_and_a_wrong_leaf_is_refused() -> None:
    items = [(sha(str(n)), sha("v")) for n in range(400)]
    paged, store = PageMap(), Store()
    store.apply(paged.update(items, store.read))
    key = items[0][0]
    place = paged._search(key)[0]
    page = store.pages[place]

    def opened(leaves: bytes, summary: bytes) -> PageMap:
        rows = [(n, one.hash) for n, one in store.pages.items()]
        loaded = PageMap.load(rows, len(items))
        store.pages[place] = Page(leaves, summary[: len(page) - 1], summary[len(page) - 1 :], b"")
        return loaded

    wrong = bytes(len(page.summary))
    asked = opened(page.leaves, wrong)
    assert asked.get(key, store.read) == sha("v")
    store.pages[place] = page
    at = page.find(key) * 64 + 40
    flipped = page.leaves[:at] + bytes([page.leaves[at] ^ 1]) + page.leaves[at + 1 :]
    for summary in (page.summary, wrong):
        asked = opened(flipped, summary)
        for question in (
            lambda asked=asked: asked.get(key, store.read),
            lambda asked=asked: asked.visit([key], store.read),
            lambda asked=asked: asked.update([(key, sha("w"))], store.read),
        ):
            with pytest.raises(MapPageError, match=f"page {place} of the map: expected the hash"):
                question()
        store.pages[place] = page
