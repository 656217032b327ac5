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
are hashes), and a bounded number of pages that were used last. Pages lie elsewhere. They are asked
for through a function (:data:`ReadPages`), never one by one where several are needed, and each is
compared with the hash that is held here: a page of another time, or a damaged one, is refused and
makes no proof.

Left to others: where pages and hashes are stored, in which transaction; locking. Not safe for use
by several threads at once.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from merkle.errors import ArgumentError, MapPageError
from merkle.hashing import EMPTY_ROOT, HASH_SIZE
from merkle.keymap import KeyMap
from merkle.mapnode import (
    KEY_SIZE,
    TAG_INNER,
    TAG_SUBTREE,
    VALUE_SIZE,
    VARINTS,
    bit_of,
    collect,
    divide,
    inner_hash,
    require_key,
)

PAGE_LEAVES: Final = 32
"""Most leaves in a page above the last depth."""

MAX_DEPTH: Final = 62
"""Where pages are not cut any more: places then have 63 bits, a signed column's positive range."""

CACHED_PAGES: Final = 2_048
"""Pages kept in memory unless told otherwise: about 13 MB."""

LEAF_SIZE: Final = KEY_SIZE + VALUE_SIZE

ReadPages = Callable[[Sequence[int]], Mapping[int, bytes]]
"""The leaves of the pages at these places, as they were when their hashes were; absent ones left
out. Whatever it raises passes through."""

_T = TypeVar("_T")
_CHUNK: Final = 256  # pages brought into memory at a time
_INNER: Final = b"\x01"
_PAGE: Final = b"\x02"
_NODE_SIZE: Final = 1 + HASH_SIZE  # kind ‖ hash


@dataclass(frozen=True, slots=True)
class Page:
    """A page as stored: `leaves` are key ‖ value in order of keys, `hash` that of their trie."""

    leaves: bytes
    hash: bytes


@dataclass(frozen=True, slots=True)
class PageChanges:
    """What an update did to the stored pages: new bytes by place, and places that are pages no
    more."""

    pages: dict[int, Page] = field(default_factory=dict)
    removed: list[int] = field(default_factory=list)


class PageMap:
    """The map; see the module text. `cached` is the number of pages kept in memory."""

    def __init__(self, cached: int = CACHED_PAGES) -> None:
        self._levels = tuple(_Level(depth) for depth in range(MAX_DEPTH + 1))
        self._count = 0
        self._capacity = cached
        self._cache: OrderedDict[int, KeyMap] = OrderedDict()

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
            loaded._put(place, _PAGE + value)
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
            self._put(place, _PAGE + value)
            self._cache.pop(place, None)
            places.append(place)
        self._rehash_above(places)
        self._count = count

    def __len__(self) -> int:
        return self._count

    def root(self) -> bytes:
        """The root hash, 32 bytes; `EMPTY_ROOT` for the empty map."""
        return self._node(1)[1:] or EMPTY_ROOT

    # Questions

    def get(self, key: bytes, read: ReadPages) -> bytes | None:
        """The value of `key`, or None.

        Raises `MapPageError`; `ArgumentError` for a key that is not 32 bytes.
        """
        return self.values((key,), read)[key]

    def values(self, keys: Iterable[bytes], read: ReadPages) -> dict[bytes, bytes | None]:
        """The values of many keys; None for one that is not in the map. Errors as for `get`."""
        return {
            key: None if page is None else page.get(key) for key, page, _ in self._ask(keys, read)
        }

    def prove(self, key: bytes, read: ReadPages) -> bytes:
        """The presence or absence proof of `KeyMap.prove`. Errors as for `get`."""
        return self.proofs((key,), read)[key]

    def proofs(self, keys: Iterable[bytes], read: ReadPages) -> dict[bytes, bytes]:
        """The proofs of many keys. Errors as for `get`."""
        return {
            key: b"" if page is None else page.prove(key) + b"".join(reversed(steps))
            for key, page, steps in self._ask(keys, read)
        }

    def _ask(
        self, keys: Iterable[bytes], read: ReadPages
    ) -> Iterator[tuple[bytes, KeyMap | None, list[bytes]]]:
        """For each key, in order of keys: the page at which its search ends, the steps above it."""
        for some in _chunks(sorted(set(keys))):
            found = {key: self._search(key) for key in some}
            places = dict.fromkeys(place for place, _ in found.values() if place)
            pages = self._open_pages(list(places), read)
            for key, (place, steps) in found.items():
                yield key, pages.get(place), steps

    def prove_transition(self, keys: Iterable[bytes], read: ReadPages) -> bytes:
        """The proof of `KeyMap.prove_transition`. Errors as for `get`."""
        searched = list(dict.fromkeys(keys))
        for key in searched:
            require_key(key)
        parts: list[bytes] = []
        entered: list[tuple[int, int, list[bytes]]] = []
        if self._node(1):
            self._enter(1, searched, parts, entered)
        for some in _chunks(entered):
            pages = self._open_pages([place for _, place, _ in some], read)
            for position, place, below in some:
                parts[position] = pages[place].prove_transition(below)
        return b"".join(parts)

    def _enter(
        self,
        place: int,
        keys: Sequence[bytes],
        parts: list[bytes],
        entered: list[tuple[int, int, list[bytes]]],
    ) -> None:
        """Append the proof from `place` down, with a gap for each page that a search enters.

        `entered` gets (position of the gap, place, keys). At most 63 calls deep.
        """
        node = self._node(place)
        if not keys:
            parts += (bytes([TAG_SUBTREE]), node[1:])
            return
        if node[:1] == _PAGE:
            entered.append((len(parts), place, list(keys)))
            parts.append(b"")
            return
        depth = place.bit_length() - 1
        left, right = self._node(2 * place), self._node(2 * place + 1)
        if left and right:
            parts += (bytes([TAG_INNER]), VARINTS[depth])
            left_keys, right_keys = divide(keys, depth)
            self._enter(2 * place, left_keys, parts, entered)
            self._enter(2 * place + 1, right_keys, parts, entered)
        else:
            self._enter(2 * place + (not left), keys, parts, entered)

    def _search(self, key: bytes) -> tuple[int, list[bytes]]:
        """The place of the page at which a search for `key` ends, and the proof's steps above it.

        Place 0 for the empty map. Steps from the root down.
        """
        require_key(key)
        steps: list[bytes] = []
        place, depth = 1, 0
        node = self._node(1)
        while node[:1] == _INNER:
            turned = 2 * place + (bit_of(key, depth) != 0)
            node, other = self._node(turned), self._node(turned ^ 1)
            if not node:
                turned ^= 1
                node = other
            elif other:
                steps.append(VARINTS[depth] + other[1:])
            place = turned
            depth += 1
        return (place if node else 0), steps

    # Changes

    def update(self, items: Iterable[tuple[bytes, bytes]], read: ReadPages) -> PageChanges:
        """Set many values; what has to be stored. Sizes are checked before anything is changed.

        Until that is stored, pages that fall out of memory cannot be read again (`MapPageError`).
        After an error, the map is half changed: throw it away. Memory: the changed pages.
        """
        groups: dict[int, list[tuple[bytes, bytes]]] = defaultdict(list)
        for item in sorted(collect(items).items()):
            groups[self._destination(item[0])].append(item)
        changes = PageChanges()
        for places in _chunks(list(groups)):
            pages = self._open_pages([place for place in places if self._node(place)], read)
            for place in places:
                self._set(place, pages.get(place), groups[place], changes)
        self._rehash_above(changes.pages)
        return changes

    def _destination(self, key: bytes) -> int:
        """The place at which `key` belongs: of a page, or an empty one where a page shall begin."""
        place, depth = 1, 0
        while self._node(place)[:1] == _INNER:
            place = 2 * place + (bit_of(key, depth) != 0)
            depth += 1
        return place

    def _set(
        self,
        place: int,
        known: KeyMap | None,
        items: Sequence[tuple[bytes, bytes]],
        changes: PageChanges,
    ) -> None:
        page = KeyMap() if known is None else known
        before = len(page)
        page.update(items)
        self._count += len(page) - before
        if page.root() == self._node(place)[1:]:
            return  # every value was there already
        if known is not None and _is_overfull(page, place):
            changes.removed.append(place)
            self._cache.pop(place, None)
        self._settle(place, page, changes)

    def _settle(self, place: int, page: KeyMap, changes: PageChanges) -> None:
        """Put a page at a place, cut as often as it must be; at most 63 calls deep."""
        if not _is_overfull(page, place):
            value = page.root()
            leaves = b"".join(page.leaves())
            changes.pages[place] = Page(leaves, value)
            self._put(place, _PAGE + value)
            self._keep(place, page)
            return
        for side, half in enumerate(divide(list(page.leaves()), place.bit_length() - 1)):
            if half:
                self._settle(2 * place + side, KeyMap.of_leaves(half), changes)

    # Places

    def _node(self, place: int) -> bytes:
        """Kind ‖ hash of what stands at a place; empty if nothing does."""
        depth = place.bit_length() - 1
        return self._levels[depth].get(place ^ 1 << depth) if depth <= MAX_DEPTH else b""

    def _put(self, place: int, node: bytes) -> None:
        depth = place.bit_length() - 1
        if not 0 <= depth <= MAX_DEPTH or place < 1 or len(node) != _NODE_SIZE:
            raise MapPageError(f"no page at {place} with a hash of {len(node) - 1} bytes can be")
        self._levels[depth].put(place ^ 1 << depth, node)

    def _rehash(self, place: int) -> None:
        """Hash of an inner place from what stands below; what was a page there is one no more."""
        left, right = self._node(2 * place), self._node(2 * place + 1)
        if left and right:
            value = inner_hash(place.bit_length() - 1, left[1:], right[1:])
        else:
            value = (left or right)[1:]
        self._cache.pop(place, None)
        self._put(place, _INNER + value)

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

    def _open_pages(self, places: Sequence[int], read: ReadPages) -> dict[int, KeyMap]:
        """The pages at these places, from memory or read in one call. Raises `MapPageError`."""
        missing = [place for place in places if place not in self._cache]
        data = read(missing) if missing else {}
        opened = {place: self._open(place, data.get(place)) for place in missing}
        found = {one: opened[one] if one in opened else self._cache[one] for one in places}
        for place, page in found.items():
            self._keep(place, page)
        return found

    def _open(self, place: int, leaves: bytes | None) -> KeyMap:
        if leaves is None:
            raise MapPageError(f"page {place} of the map is not there")
        if len(leaves) % LEAF_SIZE:
            raise MapPageError(f"page {place} of the map: {len(leaves)} bytes are no whole leaves")
        some = split_leaves(leaves)
        try:
            page = KeyMap.of_leaves(some)
        except ArgumentError as error:
            raise MapPageError(f"page {place} of the map: {error}") from error
        # The hash does not say where a page lies; an insertion relies on it.
        if some and not _holds(place, some[0]) & _holds(place, some[-1]):
            raise MapPageError(f"page {place} of the map holds keys that belong elsewhere")
        expected = self._node(place)[1:]
        if page.root() != expected:
            raise MapPageError(
                f"page {place} of the map: expected the hash {expected.hex()}, "
                f"found {page.root().hex()}"
            )
        return page

    def _keep(self, place: int, page: KeyMap) -> None:
        self._cache[place] = page
        self._cache.move_to_end(place)
        while len(self._cache) > self._capacity:
            self._cache.popitem(last=False)


class _Level:
    """The nodes at one depth, by prefix: in a dict while they are few, then in one array.

    Where keys are hashes, all levels but the last one or two are full. A level that somebody made
    deep on purpose holds few nodes and costs what they cost.
    """

    __slots__ = ("_all", "_few", "_width")

    def __init__(self, depth: int) -> None:
        self._width = 1 << depth
        self._few: dict[int, bytes] = {}
        self._all: bytearray | None = None

    def get(self, prefix: int) -> bytes:
        """The node, or nothing."""
        if self._all is None:
            return self._few.get(prefix, b"")
        start = prefix * _NODE_SIZE
        if not self._all[start]:
            return b""
        return bytes(self._all[start : start + _NODE_SIZE])

    def put(self, prefix: int, node: bytes) -> None:
        """Set a node."""
        if self._all is not None:
            start = prefix * _NODE_SIZE
            self._all[start : start + _NODE_SIZE] = node
            return
        self._few[prefix] = node
        if 4 * len(self._few) > self._width:  # from here on the array is the smaller one
            few, self._few = self._few, {}
            self._all = bytearray(self._width * _NODE_SIZE)
            for place, one in few.items():
                self.put(place, one)

    def parents(self) -> Iterator[int]:
        """The places one level above under which something stands, each once."""
        above = self._width >> 1
        if self._all is None:
            yield from {above | prefix >> 1 for prefix in self._few}
            return
        for prefix in range(above):
            start = 2 * prefix * _NODE_SIZE
            if self._all[start] or self._all[start + _NODE_SIZE]:
                yield above | prefix


def split_leaves(leaves: bytes) -> list[bytes]:
    """The leaves of a page, key ‖ value; its length is a multiple of 64."""
    return [leaves[start : start + LEAF_SIZE] for start in range(0, len(leaves), LEAF_SIZE)]


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
            leaves = b"".join(self._ahead[:count])
            del self._ahead[:count]
            yield place, Page(leaves, KeyMap.of_leaves(split_leaves(leaves)).root())

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


def _holds(place: int, leaf: bytes) -> bool:
    """Does the leaf's key begin with the prefix of the place?"""
    depth = place.bit_length() - 1
    return int.from_bytes(leaf[:8], "big") >> 64 - depth == place ^ 1 << depth


def _is_overfull(page: KeyMap, place: int) -> bool:
    return len(page) > PAGE_LEAVES and place.bit_length() <= MAX_DEPTH


def _chunks(values: Sequence[_T]) -> Iterator[Sequence[_T]]:
    for start in range(0, len(values), _CHUNK):
        yield values[start : start + _CHUNK]
