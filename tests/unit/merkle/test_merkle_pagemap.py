"""The map in pages against the map in memory: same roots, same proofs, and pages that are its own.

`KeyMap` is the oracle, itself held against a slow trie in `test_merkle_keymap`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from merkle import pagemap
from merkle.errors import ArgumentError, MapPageError
from merkle.hashing import EMPTY_ROOT
from merkle.keymap import KeyMap, PartialMap
from merkle.pagemap import MAX_DEPTH, PAGE_LEAVES, PageMap, pages_of, split_leaves

Items = list[tuple[bytes, bytes]]


def sha(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


class Store:
    """Stored pages, as a database has them; counts what is asked of it."""

    def __init__(self) -> None:
        self.pages: dict[int, bytes] = {}
        self.hashes: dict[int, bytes] = {}
        self.asked: list[list[int]] = []

    def read(self, places: Sequence[int]) -> dict[int, bytes]:
        self.asked.append(list(places))
        return {place: self.pages[place] for place in places if place in self.pages}

    def apply(self, changes: pagemap.PageChanges) -> None:
        for place in changes.removed:
            del self.pages[place], self.hashes[place]
        for place, page in changes.pages.items():
            self.pages[place] = page.leaves
            self.hashes[place] = page.hash


def build(items: Iterable[tuple[bytes, bytes]], *, cached: int = 64) -> tuple[PageMap, Store]:
    store = Store()
    paged = PageMap(cached)
    store.apply(paged.update(items, store.read))
    return paged, store


def random_keys(chance: Random, count: int) -> list[bytes]:
    """Keys as hashes are, and beside them clusters that agree in up to 255 bits."""
    keys: list[bytes] = []
    while len(keys) < count:
        kind = chance.randrange(4)
        if kind == 0 or not keys:
            keys.append(chance.randbytes(32))
        elif kind == 1:  # near to another one
            flipped = 1 << chance.randrange(256)
            keys.append((int.from_bytes(chance.choice(keys), "big") ^ flipped).to_bytes(32, "big"))
        else:  # below a prefix of another one
            keep = chance.randrange(0, 70)
            near = int.from_bytes(chance.choice(keys), "big") >> (256 - keep) << (256 - keep)
            keys.append((near | chance.getrandbits(256 - keep)).to_bytes(32, "big"))
    return keys


def require_same(paged: PageMap, store: Store, whole: KeyMap, keys: Sequence[bytes]) -> None:
    assert paged.root() == whole.root()
    assert len(paged) == len(whole)
    for key in keys:
        assert paged.get(key, store.read) == whole.get(key)
        assert paged.prove(key, store.read) == whole.prove(key)
    assert paged.values(keys, store.read) == {key: whole.get(key) for key in keys}
    assert paged.proofs(keys, store.read) == {key: whole.prove(key) for key in keys}
    assert paged.prove_transition(keys, store.read) == whole.prove_transition(keys)
    canonical = dict(pages_of(whole.items()))
    assert {place: page.leaves for place, page in canonical.items()} == store.pages
    assert {place: page.hash for place, page in canonical.items()} == store.hashes
    loaded = PageMap.load(store.hashes.items(), len(whole))
    assert loaded.root() == whole.root()
    assert loaded.prove_transition(keys, store.read) == whole.prove_transition(keys)


@pytest.mark.parametrize("leaves", [1, 2, 5])
@pytest.mark.parametrize("depth", [3, 9, MAX_DEPTH])
def test_a_thousand_random_maps_are_the_same_map(
    monkeypatch: pytest.MonkeyPatch, leaves: int, depth: int
) -> None:
    """Small pages make deep trees of pages out of few keys; a low last depth makes long pages."""
    monkeypatch.setattr(pagemap, "PAGE_LEAVES", leaves)
    monkeypatch.setattr(pagemap, "MAX_DEPTH", depth)
    chance = Random(leaves * 100 + depth)
    for _ in range(120):
        keys = random_keys(chance, chance.randrange(1, 40))
        held = keys[: chance.randrange(len(keys) + 1)]
        whole = KeyMap()
        store = Store()
        paged = PageMap(chance.choice([1, 3, 100]))
        while held:
            some, held = held[:7], held[7:]
            items = [(key, chance.randbytes(32)) for key in some]
            items += [(key, chance.randbytes(32)) for key, _ in list(whole.items())[:2]]
            whole.update(items)
            store.apply(paged.update(items, store.read))
        require_same(paged, store, whole, keys)


@settings(max_examples=60)
@given(st.integers(0, 2**32), st.integers(0, 400))
def test_maps_in_pages_of_full_size(seed: int, count: int) -> None:
    chance = Random(seed)
    keys = random_keys(chance, count + 3)
    whole = KeyMap.build((key, chance.randbytes(32)) for key in keys[:count])
    paged, store = build(whole.items())
    require_same(paged, store, whole, chance.sample(keys, min(len(keys), 12)))


def test_a_large_map_stays_the_same_under_random_work() -> None:
    chance = Random(11)
    whole, store, paged = KeyMap(), Store(), PageMap(50)
    for _ in range(25):
        items = [(sha(str(chance.randrange(6_000))), chance.randbytes(32)) for _ in range(300)]
        keys = [key for key, _ in items]
        proof = paged.prove_transition(keys, store.read)
        assert proof == whole.prove_transition(keys)
        partial = PartialMap.read(whole.root(), keys, proof)
        partial.update(items)
        store.apply(paged.update(items, store.read))
        whole.update(items)
        assert paged.root() == whole.root() == partial.root()
    require_same(paged, store, whole, [sha(str(n)) for n in range(200)])
    assert max(map(len, store.pages.values())) <= 64 * PAGE_LEAVES


def test_the_empty_map() -> None:
    store = Store()
    for paged in (PageMap(), PageMap.load([], 0)):
        assert paged.root() == EMPTY_ROOT
        assert len(paged) == 0
        assert paged.get(bytes(32), store.read) is None
        assert paged.prove(bytes(32), store.read) == b""
        assert paged.prove_transition([bytes(32)], store.read) == b""
        assert paged.values([bytes(32)], store.read) == {bytes(32): None}
        assert paged.proofs([bytes(32)], store.read) == {bytes(32): b""}
        assert paged.update([], store.read) == pagemap.PageChanges()
    assert list(pages_of([])) == []
    assert store.asked == []


def test_a_page_is_cut_when_it_overflows_and_its_row_goes() -> None:
    keys = sorted(sha(str(n)) for n in range(PAGE_LEAVES))
    store = Store()
    paged = PageMap()
    changes = paged.update(((key, key) for key in keys), store.read)
    assert list(changes.pages) == [1]
    assert changes.removed == []
    assert changes.pages[1].leaves == b"".join(key + key for key in keys)
    store.apply(changes)
    changes = paged.update([(sha("one more"), bytes(32))], store.read)
    assert changes.removed == [1]
    assert sorted(changes.pages) == [2, 3]
    halves = [split_leaves(changes.pages[place].leaves) for place in (2, 3)]
    assert all(leaf[0] < 0x80 for leaf in halves[0])
    assert all(leaf[0] >= 0x80 for leaf in halves[1])
    assert sum(map(len, halves)) == PAGE_LEAVES + 1


def test_values_that_are_there_already_change_no_page() -> None:
    items = [(sha(str(n)), sha("v")) for n in range(200)]
    paged, store = build(items)
    assert paged.update(items, store.read) == pagemap.PageChanges()
    changes = paged.update([(items[0][0], sha("w")), *items[1:]], store.read)
    assert len(changes.pages) == 1
    assert changes.removed == []


def test_keys_made_alike_on_purpose_cost_a_page_a_bit_and_no_more() -> None:
    """33 keys that agree in 60 bits: a chain of inner places, each a few bytes."""
    items = [(bytes(7) + bytes([n & 15]) + sha(str(n))[8:], sha("v")) for n in range(33)]
    paged, store = build(items)
    whole = KeyMap.build(items)
    require_same(paged, store, whole, [key for key, _ in items])
    assert len(store.pages) <= 4
    deepest = max(place.bit_length() for place in store.pages)
    assert deepest > 60


def test_below_the_last_depth_a_page_gets_longer() -> None:
    items = [(bytes(8) + sha(str(n))[8:], sha("v")) for n in range(100)]
    paged, store = build(items)
    assert list(store.pages) == [1 << MAX_DEPTH]
    require_same(paged, store, KeyMap.build(items), [key for key, _ in items[:9]] + [b"\xff" * 32])
    assert max(store.pages) < 2**63


# --- pages that lie elsewhere ---------------------------------------------------------------------


def test_another_process_follows_by_places_and_hashes() -> None:
    """As a web worker does: over several publications at once, and over pages that were cut."""
    chance = Random(5)
    writer, store = build([(sha(str(n)), sha("v")) for n in range(40)])
    reader = PageMap.load(store.hashes.items(), len(writer))
    keys = [sha(str(n)) for n in range(900)]
    changed: dict[int, bytes] = {}
    followed = 0
    for _ in range(60):
        items = [(sha(str(chance.randrange(900))), chance.randbytes(32)) for _ in range(25)]
        changes = writer.update(items, store.read)
        store.apply(changes)
        for place in changes.removed:
            changed.pop(place, None)
        changed |= {place: page.hash for place, page in changes.pages.items()}
        if chance.randrange(3) == 0:
            order = list(changed.items())
            chance.shuffle(order)
            reader.follow(order, len(writer))
            changed = {}
            followed += 1
            assert reader.root() == writer.root()
            assert len(reader) == len(writer)
            for key in chance.sample(keys, 20):
                assert reader.prove(key, store.read) == writer.prove(key, store.read)
    assert followed > 10


def test_pages_are_read_together_and_kept() -> None:
    items = [(sha(str(n)), sha("v")) for n in range(2_000)]
    whole, store = build(items)
    paged = PageMap.load(store.hashes.items(), len(whole), cached=300)
    keys = [key for key, _ in items[:40]]
    paged.values(keys, store.read)
    (asked,) = store.asked
    assert 20 < len(asked) <= 40
    for key in keys:
        paged.get(key, store.read)
        paged.prove(key, store.read)
    paged.prove_transition(keys, store.read)
    assert len(store.asked) == 1, "everything was there"
    paged.prove_transition((key for key, _ in items), store.read)
    assert len(store.asked) == 2
    assert len(store.pages) <= 256


def test_memory_holds_no_more_pages_than_told_and_reads_no_more_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pagemap, "PAGE_LEAVES", 1)
    items = [(sha(str(n)), sha("v")) for n in range(1_000)]
    whole, store = build(items)
    paged = PageMap.load(store.hashes.items(), len(whole), cached=10)
    keys = [key for key, _ in items]
    assert set(paged.values(keys, store.read).values()) == {sha("v")}
    assert [len(asked) for asked in store.asked] == [256, 256, 256, 232]
    proof = paged.prove_transition(keys, store.read)
    assert proof == KeyMap.build(items).prove_transition(keys)
    paged.update(((key, sha("w")) for key in keys), store.read)
    assert max(map(len, store.asked)) <= 256
    assert len(paged._cache) == 10


def test_a_page_that_is_not_the_one_is_refused() -> None:
    items = [(sha(str(n)), sha("v")) for n in range(500)]
    whole, store = build(items)
    key = items[3][0]
    (place,) = {
        place
        for place, leaves in store.pages.items()
        if any(leaf[:32] == key for leaf in split_leaves(leaves))
    }
    good = store.pages[place]
    other = next(leaves for one, leaves in store.pages.items() if one != place)
    for bad, reason in [
        (None, f"page {place} of the map is not there"),
        (good[:-1], "no whole leaves"),
        (good[:-64], "expected the hash"),
        (good[:40] + bytes([good[40] ^ 1]) + good[41:], "expected the hash"),
        (other, "keys that belong elsewhere"),
        (good[64:128] + good[:64] + good[128:], "stands out of order"),
        (good[:64] + good, "stands out of order"),
        (other[:64] + good if other < good else good + other[:64], "keys that belong elsewhere"),
        (b"", "expected the hash"),
    ]:
        fresh = PageMap.load(store.hashes.items(), len(whole))
        store.pages.pop(place)
        if bad is not None:
            store.pages[place] = bad
        for ask in (
            lambda fresh=fresh: fresh.get(key, store.read),
            lambda fresh=fresh: fresh.prove(key, store.read),
            lambda fresh=fresh: fresh.prove_transition([key], store.read),
            lambda fresh=fresh: fresh.values([key], store.read),
            lambda fresh=fresh: fresh.proofs([key], store.read),
            lambda fresh=fresh: fresh.update([(key, sha("w"))], store.read),
        ):
            with pytest.raises(MapPageError, match=reason):
                ask()
        store.pages[place] = good
        assert fresh.get(key, store.read) == sha("v")


def test_a_page_at_another_place_is_refused_though_the_root_is_right() -> None:
    """A place with one side empty hands its hash on, so the root does not tell it."""
    items = [(sha(str(n)), sha("v")) for n in range(30)]
    whole, store = build(items)
    leaves, value = store.pages.pop(1), store.hashes.pop(1)
    moved = PageMap.load([(2, value)], len(whole))
    store.pages[2] = leaves
    assert moved.root() == whole.root()
    with pytest.raises(MapPageError, match="page 2 of the map holds keys that belong elsewhere"):
        moved.get(items[0][0], store.read)


def test_rows_that_cannot_be_pages_are_refused() -> None:
    for place in (0, -1, 1 << 63):
        with pytest.raises(MapPageError, match=f"no page at {place} "):
            PageMap.load([(place, bytes(32))], 1)
    with pytest.raises(MapPageError, match="with a hash of 31 bytes"):
        PageMap.load([(1, bytes(31))], 1)


def test_keys_and_values_have_their_sizes() -> None:
    store = Store()
    paged = PageMap()
    for bad in (b"", bytes(31), bytes(33)):
        for ask in (
            lambda bad=bad: paged.get(bad, store.read),
            lambda bad=bad: paged.prove(bad, store.read),
            lambda bad=bad: paged.prove_transition([bad], store.read),
            lambda bad=bad: paged.proofs([bad], store.read),
            lambda bad=bad: paged.update([(bad, bytes(32))], store.read),
            lambda bad=bad: paged.update([(bytes(32), bad)], store.read),
            lambda bad=bad: list(pages_of([(bad, bytes(32))])),
        ):
            with pytest.raises(ArgumentError, match=f"expected 32 bytes, found {len(bad)}"):
                ask()
    assert len(paged) == 0


def test_paging_a_stream_wants_its_order() -> None:
    items = sorted((sha(str(n)), sha("v")) for n in range(100))
    swapped = [*items[:50], items[51], items[50], *items[52:]]
    with pytest.raises(ArgumentError, match="does not stand in rising order"):
        list(pages_of(swapped))
    with pytest.raises(ArgumentError, match="does not stand in rising order"):
        list(pages_of([items[0], items[0]]))
