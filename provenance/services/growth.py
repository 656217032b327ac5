"""What the log and the map become by a batch of accepted links: computed, nothing written.

The same function serves normal work and recovery, so that what is done again after a crash is what
was done before it. Given equal stored bytes it gives equal results: no clock, no chance.

What the stored tree must be is an argument (:class:`Position`); :func:`grow` refuses tiles that do
not add up to it, so no root is ever computed on top of a damaged right edge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from merkle.errors import MapPageError
from merkle.hashing import EMPTY_ROOT, leaf_hash
from merkle.pagemap import PageChanges, PageMap, ReadPages
from merkle.tiles import (
    TILE_WIDTH,
    TileHashReader,
    addresses_for,
    decode_bundle,
    encode_bundle,
    entries_path,
    tile_hashes,
)
from merkle.tree import MemoryTree
from provenance.domain.chain import ChainStep, MalformedLinkError, decode_step
from provenance.domain.delta import MapDelta, delta_path
from provenance.domain.errors import DomainError
from provenance.domain.ledger import MapHead, SubjectState, apply_link
from provenance.services.observing import SILENT, Observer
from provenance.storage.log import PendingUpload

Fetch = Callable[[str], bytes]
"""The bytes of a tile by its path; raises storage.tiles.TileMissingError."""


ReadStates = Callable[[Sequence[bytes]], Mapping[bytes, SubjectState]]
"""The stored states of those of some subjects, by their keys, that have one."""


class DamagedLogError(DomainError):
    """Stored bytes of our own log are not what was signed or accepted. Nothing may be signed."""

    def __init__(self, what: str, expected: str, found: str) -> None:
        super().__init__(
            f"{what}: expected {expected}, found {found}; run `provenance fsck`, then restore "
            "database, tiles and keys that belong together"
        )
        self.what = what
        self.expected = expected
        self.found = found


@dataclass(frozen=True, slots=True)
class Position:
    """A published state of the log: what a batch grows from.

    `map_head` is the index of the last entry, which is a map head; None for the empty log.
    """

    size: int = 0
    root: bytes = EMPTY_ROOT
    map_root: bytes = EMPTY_ROOT
    subjects: int = 0
    ignored: int = 0
    map_head: int | None = None


@dataclass(frozen=True, slots=True)
class Growth:
    """A batch worked out. `entries` are its links and, as the last one, the map head `head`.

    `delta` is the file that shows others how the map came to `head`; `indexes` are (upload id, log
    index of its first link), `accepted_at` the uploads' ledger times (ms); `states` those of the
    subjects touched; `pages` what the map's stored pages become.
    """

    before: Position
    after: Position
    head: MapHead
    delta: MapDelta
    entries: tuple[bytes, ...]
    indexes: tuple[tuple[int, int], ...]
    accepted_at: tuple[int, ...]
    states: Mapping[bytes, SubjectState]
    pages: PageChanges
    tree: MemoryTree
    fetch: Fetch

    @property
    def links(self) -> int:
        """How many links the batch appends."""
        return len(self.entries) - 1

    def files(self) -> Iterator[tuple[str, bytes]]:
        """(path, bytes) of every file that the growth writes: bundles, tiles, the map delta."""
        for address in addresses_for(self.before.size, self.after.size):
            if address.level is None:
                data = encode_bundle(self._bundle(address.index, address.width))
            else:
                data = tile_hashes(address, self.tree)
            yield address.path(), data
        yield delta_path(self.delta.index), self.delta.encode()

    def _bundle(self, index: int, width: int) -> list[bytes]:
        """The entries of one bundle: older ones from its partial predecessor, then ours."""
        start = index * TILE_WIDTH
        old: list[bytes] = []
        if start < self.before.size:
            count = self.before.size - start
            old = decode_bundle(self.fetch(entries_path(index, count)), count)
        first = start + len(old) - self.before.size
        return old + list(self.entries[first : first + width - len(old)])


def grow(
    before: Position,
    *,
    uploads: Sequence[PendingUpload],
    keymap: PageMap,
    read: ReadPages,
    read_states: ReadStates,
    fetch: Fetch,
    observer: Observer = SILENT,
) -> Growth:
    """Append `uploads`, in order, and a map head to the log.

    `keymap` is the map at `before`, with the pages that `read` gives, and **is moved on**: whoever
    then fails to commit the growth must throw it away. Raises DamagedLogError for tiles that do not
    add up to `before.root`, for pages that are not the map's, for states that it does not hold, and
    for entries that are no links.
    """
    with observer.step("decode"):
        links = [link for upload in uploads for link in decode_upload(upload)]
    try:
        with observer.step("map"):
            visit = keymap.visit({link.key for link in links}, read)
        with observer.step("states"):
            states = _require_states(visit.values, read_states)
            touched, ignored = _apply(before.size, links, states)
        with observer.step("map"):
            pages = visit.set({key: state.value for key, state in touched.items()})
    except MapPageError as error:
        raise DamagedLogError("stored pages of the map", "those published", str(error)) from error
    count = sum(len(upload.entries) for upload in uploads)
    head = MapHead(
        index=before.size + count,
        root=keymap.root(),
        subjects=len(keymap),
        ignored=before.ignored + ignored,
        previous=before.map_head,
    )
    entries = (*(entry for upload in uploads for entry in upload.entries), head.encode())
    with observer.step("tree"):
        tree = read_tree(before, fetch)
        tree.extend([link.hash for link in links] + [leaf_hash(entries[-1])])
    return Growth(
        before=before,
        after=position_after(head, tree.root()),
        head=head,
        delta=MapDelta(head.index, states, visit.proof),
        entries=entries,
        indexes=_indexes(before.size, uploads),
        accepted_at=tuple(upload.accepted_at for upload in uploads),
        states=touched,
        pages=pages,
        tree=tree,
        fetch=fetch,
    )


def position_after(head: MapHead, root: bytes) -> Position:
    """The position of the log whose last entry is `head` and whose tree has `root`."""
    return Position(head.index + 1, root, head.root, head.subjects, head.ignored, head.index)


def read_tree(position: Position, fetch: Fetch) -> MemoryTree:
    """The stored tree, ready to be appended to. Raises DamagedLogError if it has another root."""
    tree = MemoryTree(TileHashReader(fetch, position.size), position.size)
    root = tree.root()
    if root != position.root:
        raise DamagedLogError(
            f"root of the stored tiles at size {position.size}", position.root.hex(), root.hex()
        )
    return tree


def decode_upload(upload: PendingUpload) -> list[ChainStep]:
    """What the ledger needs of an upload's links. Raises DamagedLogError for an entry that is none.

    Canonical bytes to the last digit, as any reader of the log will judge them: what is damaged
    here must not be signed.
    """
    links: list[ChainStep] = []
    try:
        links.extend(map(decode_step, upload.entries))
    except MalformedLinkError as error:
        raise DamagedLogError(
            f"upload {upload.id}, entry {len(links)}", "a link", str(error)
        ) from error
    return links


def _require_states(
    values: Mapping[bytes, bytes | None], read_states: ReadStates
) -> Mapping[bytes, SubjectState]:
    """The stored states of the subjects that the published map holds, as it holds them.

    What is built on them gets signed. Subjects that it does not hold are not asked for: a row that
    a stranger put there is written over with the first link.
    """
    states = read_states([key for key, value in values.items() if value is not None])
    for key, value in values.items():
        state = states.get(key)
        found = None if state is None else state.value
        if found != value:
            raise DamagedLogError(
                f"stored state of the subject {key.hex()}", _show(value), _show(found)
            )
    return states


def _show(value: bytes | None) -> str:
    return "none" if value is None else f"one with the map value {value.hex()}"


def _apply(
    start: int, links: Sequence[ChainStep], states: Mapping[bytes, SubjectState]
) -> tuple[dict[bytes, SubjectState], int]:
    """The states of the subjects that changed, and how many links changed nothing."""
    touched: dict[bytes, SubjectState] = {}
    ignored = 0
    for index, link in enumerate(links, start):
        key = link.key
        state = apply_link(touched.get(key) or states.get(key), link, index)
        if state is None:
            ignored += 1
        else:
            touched[key] = state
    return touched, ignored


def _indexes(start: int, uploads: Sequence[PendingUpload]) -> tuple[tuple[int, int], ...]:
    indexes = []
    for upload in uploads:
        indexes.append((upload.id, start))
        start += len(upload.entries)
    return tuple(indexes)
