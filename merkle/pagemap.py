"""The map of :mod:`merkle.keymap` beyond memory: its leaves in pages, its upper nodes as hashes.

Same roots, same proofs, byte for byte. The trie is cut by key prefix. The place of a prefix of
`depth` bits is the number ``2^depth + prefix`` (1 is the empty prefix, below `n` lie `2n` and
`2n + 1`). At a place stands

- nothing, when no key has the prefix;
- a *page*, when at most 32 keys have it and more than 32 have the prefix one bit shorter (or there
  is none shorter): their leaves, key ‖ value, 64 bytes each in order of keys;
- otherwise an inner place, with something at one or both of the two places below.

So the pages follow from the set of keys alone, whatever the order in which they came; keys are
never removed, and a page only ever gives way to pages below it. At depth 62 a page is not cut any
more (its place must fit into 63 bits) and just gets longer; no 33 keys agree in 62 bits unless
somebody hashed 2^62 times and more for them.

An inner place with one side empty hands on what stands below: the trie has nodes with two children
only. A search ignores the key's bit there, as a search in the trie does; an insertion does not, and
starts a page on the empty side.

In memory: 33 bytes for each place that is not empty, level by level (about 3 bytes a key where keys
are hashes), and a bounded number of pages that were used last. Pages (:mod:`merkle.mappage`) lie
elsewhere. They are asked for through a function (:data:`ReadPages`), never one by one where several
are needed, and what is taken from one is compared with the hash that is held here: a page of
another time, or a damaged one, is refused and makes no proof.

A batch goes through the map once (:class:`Visit`): down to the pages of its keys, writing the
transition's proof on the way; with the values found there its maker works out the new ones; then up
again, each place once.

Left to others: where pages and hashes are stored, in which transaction; locking. Not safe for use
by several threads at once.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, TypeVar

from merkle.errors import ArgumentError, MapPageError
from merkle.hashing import EMPTY_ROOT, HASH_SIZE
from merkle.maplevel import INNER, NONE, PAGE, Level, divide_below
from merkle.mapnode import VARINTS, bit_of, collect, require_key
from merkle.mappage import (
    FEW,
    INNER_STEPS,
    LEAF_SIZE,
    SUBTREE_TAG,
    Page,
    Way,
    split_leaves,
)

__all__ = ["Page", "PageChanges", "PageMap", "ReadPages", "Visit", "pages_of", "split_leaves"]

PAGE_LEAVES: Final = 32
"""Most leaves in a page above the last depth."""

MAX_DEPTH: Final = 62
"""Where pages are not cut any more: places then have 63 bits, a signed column's positive range."""

CACHED_PAGES: Final = 2_048
"""Pages kept in memory unless told otherwise: about 5 MB."""

StoredPage = bytes | tuple[bytes, bytes]
"""A page's leaves, or its leaves and its summary (`Page.summary`; empty if there is none)."""

ReadPages = Callable[[Sequence[int]], Mapping[int, StoredPage]]
"""The pages at these places, as they were when their hashes were; absent ones left out. Whatever it
raises passes through."""

_T = TypeVar("_T")
_CHUNK: Final = 256  # pages brought into memory at a time


@dataclass(frozen=True, slots=True)
class PageChanges:
    """What an update did to the stored pages: new ones by place, and places that are pages no
    more."""

    pages: dict[int, Page] = field(default_factory=dict)
    removed: list[int] = field(default_factory=list)


class PageMap:
    """The map; see the module text. `cached` is the number of pages kept in memory."""

    def __init__(self, cached: int = CACHED_PAGES) -> None:
        self._levels = tuple(Level(depth) for depth in range(MAX_DEPTH + 1))
        self._count = 0
        self._capacity = cached
        self._cache: dict[int, Page] = {}  # the last used at the end

    @classmethod
    def load(
        cls, rows: Iterable[tuple[int, bytes]], count: int, *, cached: int = CACHED_PAGES
    ) -> PageMap:
        """The map of `count` keys whose pages have these places and hashes, in any order.

        Whoever loads it compares `root`: nothing is believed of rows.
        """
        loaded = cls(cached)
        loaded._count = count
        for place, value in rows:
            loaded._put(place, PAGE, value)
        for level in reversed(loaded._levels[1:]):
            for parent in level.parents():
                loaded._rehash(parent)
        return loaded

    def follow(self, rows: Iterable[tuple[int, bytes]], count: int) -> None:
        """Take over pages that another process set since: places and hashes, in any order.

        A page that was cut is known by the pages below it. `count` is that of the keys now.
        """
        places = []
        for place, value in rows:
            self._put(place, PAGE, value)
            self._cache.pop(place, None)
            places.append(place)
        self._rehash_above(places)
        self._count = count

    def __len__(self) -> int:
        return self._count

    def root(self) -> bytes:
        """The root hash, 32 bytes; `EMPTY_ROOT` for the empty map."""
        return self._levels[0].hash(0) if self._kind(1) else EMPTY_ROOT

    # Questions

    def get(self, key: bytes, read: ReadPages) -> bytes | None:
        """The value of `key`, or None.

        Raises `MapPageError`; `ArgumentError` for a key that is not 32 bytes.
        """
        return self.values((key,), read)[key]

    def values(self, keys: Iterable[bytes], read: ReadPages) -> dict[bytes, bytes | None]:
        """The values of many keys; None for one that is not in the map. Errors as for `get`."""
        return {
            key: None if page is None else page.value(key, way[1])
            for key, page, way, _ in self._ask(keys, read)
        }

    def prove(self, key: bytes, read: ReadPages) -> bytes:
        """The presence or absence proof of `KeyMap.prove`. Errors as for `get`."""
        return self.proofs((key,), read)[key]

    def proofs(self, keys: Iterable[bytes], read: ReadPages) -> dict[bytes, bytes]:
        """The proofs of many keys. Errors as for `get`."""
        return {
            key: b"" if page is None else page.prove(key, way) + b"".join(reversed(steps))
            for key, page, way, steps in self._ask(keys, read)
        }

    def _ask(
        self, keys: Iterable[bytes], read: ReadPages
    ) -> Iterator[tuple[bytes, Page | None, Way, list[bytes]]]:
        """For each key, in order of keys: its page, its way there, the steps above the page."""
        for some in _chunks(sorted(set(keys))):
            found = {key: self._search(key) for key in some}
            below: dict[int, list[bytes]] = defaultdict(list)
            for key, (place, _) in found.items():
                if place:
                    below[place].append(key)
            opened = self._open_pages(below, read)
            for key, (place, steps) in found.items():
                page, ways = opened.get(place, (None, {}))
                way = _NOWHERE if page is None else ways.get(key) or page.way(key)
                yield key, page, way, steps

    def prove_transition(self, keys: Iterable[bytes], read: ReadPages) -> bytes:
        """The proof of `KeyMap.prove_transition`. Errors as for `get`."""
        return self.visit(keys, read).proof

    def visit(self, keys: Iterable[bytes], read: ReadPages) -> Visit:
        """Go down to the pages of these keys. Errors as for `get`.

        Memory: those pages. One visit at a time: a change makes what others hold stale.
        """
        return Visit(self, sorted(set(keys)), read)

    def _search(self, key: bytes) -> tuple[int, list[bytes]]:
        """The place of the page at which a search for `key` ends, and the proof's steps above it.

        Place 0 for the empty map. Steps from the root down.
        """
        require_key(key)
        steps: list[bytes] = []
        place, depth = 1, 0
        kind = self._kind(1)
        while kind == INNER:
            turned = 2 * place + (bit_of(key, depth) != 0)
            kind, other = self._kind(turned), self._kind(turned ^ 1)
            if not kind:
                turned ^= 1
                kind = other
            elif other:
                steps.append(VARINTS[depth] + self._hash(turned ^ 1))
            place = turned
            depth += 1
        return (place if kind else 0), steps

    # Changes

    def update(self, items: Iterable[tuple[bytes, bytes]], read: ReadPages) -> PageChanges:
        """Set many values; what has to be stored. Sizes are checked before anything is changed.

        Until that is stored, pages that fall out of memory cannot be read again (`MapPageError`).
        After an error, the map is half changed: throw it away. Memory: the pages of these keys.
        """
        collected = collect(items)
        return self.visit(collected, read).set(collected)

    def _destination(self, key: bytes) -> int:
        """The place at which `key` belongs: of a page, or an empty one where a page shall begin."""
        place, depth = 1, 0
        while self._kind(place) == INNER:
            place = 2 * place + (bit_of(key, depth) != 0)
            depth += 1
        return place

    def _replace(self, place: int, page: Page | None, new: Page, changes: PageChanges) -> None:
        """Have `new` where `page` was."""
        if page is not None:
            if new.hash == page.hash:
                return  # every value was there already
            self._count -= len(page)
            if _is_overfull(new, place):
                changes.removed.append(place)
                self._cache.pop(place, None)
        self._count += len(new)
        self._settle(place, new, changes)

    def _settle(self, place: int, page: Page, changes: PageChanges) -> None:
        """Put a page at a place, cut as often as it must be; at most 63 calls deep."""
        if not _is_overfull(page, place):
            changes.pages[place] = page
            self._put(place, PAGE, page.hash)
            self._cache[place] = page
            return
        for side, half in enumerate(page.cut(place.bit_length() - 1)):
            if half is not None:
                self._settle(2 * place + side, half, changes)
        self._rehash(place)

    # Places

    def _kind(self, place: int) -> int:
        """What stands at a place."""
        depth = place.bit_length() - 1
        return self._levels[depth].kind(place ^ 1 << depth) if depth <= MAX_DEPTH else NONE

    def _hash(self, place: int) -> bytes:
        """The hash of what stands there."""
        depth = place.bit_length() - 1
        return self._levels[depth].hash(place ^ 1 << depth)

    def _put(self, place: int, kind: int, value: bytes) -> None:
        depth = place.bit_length() - 1
        if not 0 <= depth <= MAX_DEPTH or place < 1 or len(value) != HASH_SIZE:
            raise MapPageError(f"no page at {place} with a hash of {len(value)} bytes can be")
        self._levels[depth].put(place ^ 1 << depth, kind, value)

    def _rehash(self, place: int) -> None:
        """Hash of an inner place from what stands below; what was a page there is one no more."""
        depth = place.bit_length() - 1
        prefix = place ^ 1 << depth
        below = self._levels[depth + 1].children(prefix)
        if len(below) > HASH_SIZE:
            below = sha256(INNER_STEPS[depth] + below).digest()  # mapnode.inner_hash
        level = self._levels[depth]
        if level.kind(prefix) == PAGE:
            self._cache.pop(place, None)
        level.put(prefix, INNER, below)

    def _rehash_above(self, places: Iterable[int]) -> None:
        """Each place above these once, from the deepest up."""
        waiting: list[set[int]] = [set() for _ in self._levels]
        for place in places:
            waiting[place.bit_length() - 1].add(place)
        for depth in range(MAX_DEPTH, 0, -1):
            parents = {place >> 1 for place in waiting[depth]}
            for parent in parents:
                self._rehash(parent)
            waiting[depth - 1] |= parents

    # Pages in memory

    def _open_pages(
        self, wanted: Mapping[int, Sequence[bytes]], read: ReadPages
    ) -> dict[int, tuple[Page, dict[bytes, Way]]]:
        """The pages at these places, right as far as the keys go that are wanted of each.

        With those of their ways that had to be found for that. From memory or read in one call.
        Raises `MapPageError`.
        """
        missing = [place for place in wanted if place not in self._cache]
        data = read(missing) if missing else {}
        pages = {place: self._cache.pop(place) for place in wanted if place in self._cache}
        pages |= {place: self._open(place, data.get(place)) for place in missing}
        found = {}
        for place, keys in wanted.items():
            found[place] = page, _ = self._require(place, pages[place], keys)
            self._cache[place] = page
        self._trim()
        return found

    def _require(
        self, place: int, page: Page, keys: Sequence[bytes]
    ) -> tuple[Page, dict[bytes, Way]]:
        """The page, if the ways of these keys lead to the hash that is held here."""
        if page.is_sound:
            return page, {}
        if len(keys) < FEW:
            ways = {key: page.way(key) for key in keys}
            if all(map(page.is_proved, ways.values())):
                return page, ways
        return self._work_out(place, page.leaves), {}

    def _open(self, place: int, stored: StoredPage | None) -> Page:
        if stored is None:
            raise MapPageError(f"page {place} of the map is not there")
        leaves, summary = stored if isinstance(stored, tuple) else (stored, b"")
        if len(leaves) % LEAF_SIZE:
            raise MapPageError(f"page {place} of the map: {len(leaves)} bytes are no whole leaves")
        page = Page.stored(leaves, summary, self._hash(place))
        # The hash does not say where a page lies; an insertion relies on it.
        if page is not None and _holds(place, leaves) and _holds(place, leaves[-LEAF_SIZE:]):
            return page
        return self._work_out(place, leaves)

    def _work_out(self, place: int, leaves: bytes) -> Page:
        """The page of these leaves and of nothing else."""
        try:
            page = Page.of_leaves(split_leaves(leaves))
        except ArgumentError as error:
            raise MapPageError(f"page {place} of the map: {error}") from error
        if leaves and not _holds(place, leaves) & _holds(place, leaves[-LEAF_SIZE:]):
            raise MapPageError(f"page {place} of the map holds keys that belong elsewhere")
        expected = self._hash(place)
        if page.hash != expected:
            raise MapPageError(
                f"page {place} of the map: expected the hash {expected.hex()}, "
                f"found {page.hash.hex()}"
            )
        return page

    def _trim(self) -> None:
        """Forget the pages that were used longest ago, beyond those that may be kept."""
        cache = self._cache
        while len(cache) > self._capacity:
            del cache[next(iter(cache))]


class Visit:
    """Some keys looked up in a map together: `values`, None for absent ones; `proof`, that of
    `KeyMap.prove_transition`. Then `set`, once."""

    def __init__(self, keymap: PageMap, keys: Sequence[bytes], read: ReadPages) -> None:
        """Use `PageMap.visit`; `keys` rise."""
        for key in keys:
            require_key(key)
        self._map = keymap
        self._parts: list[bytes] = []
        self._inner: list[int] = []  # places gone through, each before those below it
        self._entered: list[tuple[int, int, Sequence[bytes]]] = []  # part, place of a page, keys
        self._astray: set[bytes] = set()  # keys whose search ends on a page that is not theirs
        self._pages: list[tuple[Page, Way | None]] = []  # as `_entered`; the way of a single key
        self.values: dict[bytes, bytes | None] = dict.fromkeys(keys)
        kind = keymap._kind(1)
        if kind and keys:
            self._enter(1, kind, keys, in_order=True)
        elif kind:
            self._parts.append(SUBTREE_TAG + keymap.root())
        else:
            self._astray.update(keys)
        for some in _chunks(self._entered):
            self._open(some, read)
        self.proof = b"".join(self._parts)

    def _enter(self, place: int, kind: int, keys: Sequence[bytes], *, in_order: bool) -> None:
        """Append the proof from `place` down, with a gap for each page that a search enters.

        `in_order`: no key has gone astray above, so that they lie in order of their bits here. At
        most 63 calls deep.
        """
        if len(keys) == 1:
            self._enter_alone(place, kind, keys[0])
            return
        if kind == PAGE:
            self._entered.append((len(self._parts), place, keys))
            self._parts.append(b"")
            return
        self._inner.append(place)
        depth = place.bit_length() - 1
        left, right = divide_below(keys, place, depth, in_order=in_order)
        below = self._map._levels[depth + 1]
        prefix = 2 * (place ^ 1 << depth)
        kinds = below.kinds(prefix >> 1)
        if not (kinds[0] and kinds[1]):  # all go where there is something, whatever their bit says
            self._astray.update(left if kinds[1] else right)
            side = int(kinds[0] == NONE)
            whole = in_order and not (left and right)
            self._enter(2 * place + side, kinds[side], keys, in_order=whole)
            return
        self._parts.append(INNER_STEPS[depth])
        for side, some in enumerate((left, right)):
            if some:
                self._enter(2 * place + side, kinds[side], some, in_order=in_order)
            else:
                self._parts.append(SUBTREE_TAG + below.hash(prefix + side))

    def _enter_alone(self, place: int, kind: int, key: bytes) -> None:
        """The same for one key: most of a batch's way through a large map, hence in one loop."""
        levels, parts = self._map._levels, self._parts
        bits = int.from_bytes(key[:8], "big")
        depth = place.bit_length() - 1
        behind: list[bytes] = []  # what stands on the right of the way, from the top down
        while kind == INNER:
            self._inner.append(place)
            prefix = place ^ 1 << depth
            side = bits >> 63 - depth & 1
            below = levels[depth + 1]
            kinds = below.kinds(prefix)
            if kinds[0] and kinds[1]:
                other = SUBTREE_TAG + below.hash(2 * prefix + 1 - side)
                parts.append(INNER_STEPS[depth])
                (parts if side else behind).append(other)
            elif not kinds[side]:
                self._astray.add(key)
                side = 1 - side
            place = 2 * place + side
            kind = kinds[side]
            depth += 1
        self._entered.append((len(parts), place, (key,)))
        parts.append(b"")
        behind.reverse()
        parts += behind

    def _open(self, entered: Sequence[tuple[int, int, Sequence[bytes]]], read: ReadPages) -> None:
        opened = self._map._open_pages({place: keys for _, place, keys in entered}, read)
        for position, place, keys in entered:
            page, ways = opened[place]
            if len(keys) == 1:
                (key,) = keys
                way = ways.get(key) or page.way(key)
                self.values[key] = page.value(key, way[1])
                self._parts[position] = page.prove_way(way)
                self._pages.append((page, way))
                continue
            for key in keys:
                self.values[key] = page.value(key, page.find(key))
            self._parts[position] = page.prove_ways(keys)
            self._pages.append((page, None))

    def set(self, items: Mapping[bytes, bytes]) -> PageChanges:
        """Set values of keys that were looked up; what has to be stored. See `PageMap.update`.

        Raises `ArgumentError` for any other key and for values that are not 32 bytes.
        """
        if not items.keys() <= self.values.keys():
            raise ArgumentError("only keys that were looked up together can be set")
        collect(items.items())
        changes = PageChanges()
        here = items.keys() - self._astray
        for (_, place, keys), (page, way) in zip(self._entered, self._pages, strict=True):
            leaves = [key + items[key] for key in keys if key in here]
            if leaves:
                changed = page.with_leaf(leaves[0], way) if way else page.with_leaves(leaves)
                self._map._replace(place, page, changed, changes)
        astray: dict[int, list[bytes]] = defaultdict(list)
        for key in sorted(items.keys() & self._astray):
            astray[self._map._destination(key)].append(key + items[key])
        for place, leaves in astray.items():
            self._map._replace(place, None, Page.of_leaves(leaves), changes)
        for place in reversed(self._inner):
            self._map._rehash(place)
        self._map._trim()
        return changes


def pages_of(items: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[int, Page]]:
    """Every page of the map of `items`, which come in rising order of their keys.

    In the order of keys, and with 33 items in memory. Raises `ArgumentError` for another order.
    """
    yield from _Paging(items).pages(1)


class _Paging:
    """Cuts a stream of leaves: whether a prefix is a page shows 32 leaves later."""

    def __init__(self, items: Iterable[tuple[bytes, bytes]]) -> None:
        self._items = iter(items)
        self._ahead: list[bytes] = []
        self._last = b""

    def pages(self, place: int) -> Iterator[tuple[int, Page]]:
        """The pages at and below a place, whose leaves come next in the stream."""
        depth = place.bit_length() - 1
        self._fill(PAGE_LEAVES + 1)
        count = self._count(place, depth)
        if count > PAGE_LEAVES and depth < MAX_DEPTH:
            yield from self.pages(2 * place)
            yield from self.pages(2 * place + 1)
            return
        while count == len(self._ahead) and self._fill(count + 1):  # the last depth takes all
            count = self._count(place, depth)
        if count:
            leaves = self._ahead[:count]
            del self._ahead[:count]
            yield place, Page.of_leaves(leaves)

    def _count(self, place: int, depth: int) -> int:
        """How many of the leaves ahead belong to the place."""
        after = (place + 1 - (1 << depth)) << (64 - depth)  # in the first 64 bits of a key
        if after >> 64:
            return len(self._ahead)
        return bisect_left(self._ahead, after.to_bytes(8, "big"))

    def _fill(self, number: int) -> bool:
        """Have `number` leaves ahead; False if the stream ends before."""
        while len(self._ahead) < number:
            item = next(self._items, None)
            if item is None:
                return False
            ((key, value),) = collect([item]).items()
            if key <= self._last:
                raise ArgumentError(f"the key {key.hex()} does not stand in rising order")
            self._last = key
            self._ahead.append(key + value)
        return True


def _holds(place: int, leaves: bytes) -> bool:
    """Does the first leaf's key begin with the prefix of the place?"""
    depth = place.bit_length() - 1
    return int.from_bytes(leaves[:8], "big") >> 64 - depth == place ^ 1 << depth


def _is_overfull(page: Page, place: int) -> bool:
    return len(page) > PAGE_LEAVES and place.bit_length() <= MAX_DEPTH


def _chunks(values: Sequence[_T]) -> Iterator[Sequence[_T]]:
    for start in range(0, len(values), _CHUNK):
        yield values[start : start + _CHUNK]


_NOWHERE: Final[Way] = ([], 0)
