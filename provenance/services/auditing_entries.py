"""The log's entries replayed by an outsider: chains, map, map heads, and the deltas beside them.

Every entry comes from a bundle that fits the signed root, so whatever is wrong here was signed by
the log and can never become right: such a difference is *kept* (:class:`Findings`), and the replay
goes on from the entries as they are. What only a served file says (a delta that is missing or does
not replay) is a difference of today.

Compared at every map head: its own index, the map root, the number of subjects and of ignored
links, the map head before it; then the delta, whose old states must be those that we derived and
whose replay must give exactly the entry. Compared at every link: that it continues its subject's
chain (a link that does not is *ignored* by the map, and so in nobody's passport: an event that was
dropped), and that ledger time does not fall along it.

Memory: the links of one batch, the upper part of the map and some of its pages
(:mod:`merkle.pagemap`), the chains and pages of some thousand entries. Rows are written where a
map head ends a batch, so that what is stored is always a state that a map head speaks of.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from merkle.hashing import leaf_hash
from merkle.pagemap import Page, PageMap
from provenance.domain.canonical import encode_base64
from provenance.domain.chain import Link
from provenance.domain.delta import MapDelta, MapDeltaError, decode_delta, delta_path, replay
from provenance.domain.ledger import MapHead, SubjectState, apply_link, decode_entry
from provenance.domain.moments import format_ledger_time
from provenance.services.auditing_tree import Source, fetch
from provenance.services.checking_log import DifferenceError, require_equal, show
from provenance.storage import audit_state as rows
from provenance.storage.audit_state import (
    AuditDirectory,
    AuditStateError,
    ChainState,
    Found,
    Place,
)

MAX_BATCH_LINKS: Final = 400_000
"""Links between two map heads, four uploads of the greatest size: what is held in memory."""

MAX_DELTA_BYTES: Final = 128 * 1024 * 1024

_COMMIT_ENTRIES: Final = 4_096  # entries whose work a kill may cost, at least


@dataclass
class Findings:
    """Differences of this run. `kept` are those that signed content bears for ever."""

    kept: list[Found] = field(default_factory=list)
    passing: list[Found] = field(default_factory=list)

    def keep(self, what: str, where: str, expected: object, found: object) -> None:
        """Something that the log signed is wrong.

        Of more than are stored the rest is dropped: the log is known to be bad, and whoever made it
        so does not get our memory as well.
        """
        if len(self.kept) < rows.MAX_DIFFERENCES:
            self.kept.append((what, where, show(expected), show(found)))

    def note(self, error: DifferenceError) -> None:
        """Something served today is wrong."""
        self.passing.append((error.what, error.where, error.expected, error.found))


class Replay:
    """Entries in, states out. Throw it away after a DifferenceError: it is ahead of its rows."""

    def __init__(
        self, directory: AuditDirectory, source: Source, place: Place, findings: Findings
    ) -> None:
        """Goes on at `place`; raises AuditStateError where the pages held are not its map."""
        self.place = place
        self._directory = directory
        self._source = source
        self._findings = findings
        with directory.database.read() as connection:
            self._map = _load_map(rows.stream_pages(connection), place)
        self._head = None if place.head is None else _head_of(place.head)
        # Pages of the map as of now, None for those that are none any more; not stored yet.
        self._pages: dict[int, Page | None] = {}
        self._index = place.size
        self._ignored = place.ignored
        self._counts: Counter[str] = Counter()
        self._links: list[Link] = []
        self._before: dict[bytes, ChainState | None] = {}
        self._now: dict[bytes, ChainState] = {}  # of all subjects changed since the last commit
        self._kept = len(findings.kept)

    def take(self, entries: Sequence[bytes]) -> None:
        """Neighbouring entries, the first at the index where the last ones ended.

        Raises DifferenceError for a delta that is not right.
        """
        decoded = [decode_entry(entry) for entry in entries]
        self._load(decoded)
        for place, (data, entry) in enumerate(zip(entries, decoded, strict=True), 1):
            if isinstance(entry, Link):
                self._take_link(entry, leaf_hash(data))
            elif isinstance(entry, MapHead):
                self._take_head(entry)
            else:
                where = f"log entry {self._index}"
                self._findings.keep("kind", where, "a link or a map head", data[:60])
                self._counts["other entries"] += 1
            self._index += 1
            self._counts["entries"] += 1
            if isinstance(entry, MapHead) and self._index - self.place.size >= _COMMIT_ENTRIES:
                self.commit(self._index)
                self._load(decoded[place:])

    def finish(self, size: int) -> None:
        """The log ends here; its last entry must be a map head (docs/formats.md section 7).

        Else the place stays where the last commit left it: rows never run ahead of a map head.
        """
        if self._head is not None and self._head.index == size - 1:
            self.commit(size)
        elif size:
            self._findings.keep("kind", f"log entry {size - 1}", "a map head", "something else")

    def tally(self, what: str, count: int = 1) -> None:
        """Count something that was compared and is right."""
        self._counts[what] += count

    def commit(self, size: int) -> None:
        """Everything up to `size` is taken: one transaction."""
        counts = Counter(self.place.counts)
        counts.update(self._counts)
        place = replace(
            self.place,
            size=size,
            head=None if self._head is None else self._head.encode(),
            ignored=self._ignored,
            counts=dict(counts),
        )
        with self._directory.database.write() as connection:
            rows.write_chains(connection, self._now)
            rows.write_pages(connection, self._pages)
            rows.write_differences(connection, self._findings.kept[self._kept :])
            rows.write_place(connection, place)
        self.place = place
        self._kept = len(self._findings.kept)
        self._counts.clear()
        self._pages.clear()
        # What later links of the batch begin from stays; the rest is read again when it is named.
        self._now = {key: chain for key, chain in self._now.items() if key in self._before}

    # Links

    def _load(self, entries: Sequence[Link | MapHead | None]) -> None:
        """Have the chains in memory that these entries name."""
        keys = {entry.key for entry in entries if isinstance(entry, Link)}
        missing = [key for key in keys if key not in self._now]
        with self._directory.database.read() as connection:
            self._now.update(rows.read_chains(connection, missing))

    def _take_link(self, link: Link, link_hash: bytes) -> None:
        where = f"log entry {self._index}"
        if len(self._links) >= MAX_BATCH_LINKS:
            raise DifferenceError(
                "links since the last map head", where, f"at most {MAX_BATCH_LINKS}", "more"
            )
        chain = self._now.get(link.key)
        self._before.setdefault(link.key, chain)
        self._links.append(link)
        self._counts["links"] += 1
        state = apply_link(None if chain is None else chain.state, link, self._index)
        if state is None:
            self._ignored += 1
            self._findings.keep("link", where, _continuing(chain), _of_link(link))
            return
        require_own_hash(state, link_hash, where)
        if chain is not None and link.time < chain.time:
            self._findings.keep(
                "ledger time",
                where,
                f"not before {format_ledger_time(chain.time)}",
                format_ledger_time(link.time),
            )
        self._now[link.key] = ChainState(state, link.time)

    # Map heads

    def _take_head(self, head: MapHead) -> None:
        where = f"map head at log entry {self._index}"
        self._move_map()
        expected = MapHead(
            index=self._index,
            root=self._map.root(),
            subjects=len(self._map),
            ignored=self._ignored,
            previous=None if self._head is None else self._head.index,
        )
        if head == expected:
            self._check_delta(expected)
            self._counts["map heads"] += 1
        for name, words in _HEAD_WORDS.items():
            ours, theirs = getattr(expected, name), getattr(head, name)
            if ours != theirs:
                self._findings.keep(words, where, ours, theirs)
        # What follows is judged by what is true here, so that one lie is reported once.
        self._head = expected
        self._links = []
        self._before = {}

    def _move_map(self) -> None:
        """Set what the batch changed."""
        values = [(key, self._now[key].state.value) for key in self._before if key in self._now]
        changes = self._map.update(values, self._read_pages)
        self._pages.update(changes.pages)
        self._pages.update(dict.fromkeys(changes.removed))

    def _read_pages(self, places: Sequence[int]) -> dict[int, bytes]:
        """Pages as the map has them now: stored ones, and over them those that are not yet."""
        fresh = {n: page.leaves for n in places if (page := self._pages.get(n)) is not None}
        with self._directory.database.read() as connection:
            stored = rows.read_pages(connection, [n for n in places if n not in self._pages])
        return {**stored, **fresh}

    def _check_delta(self, head: MapHead) -> None:
        """The file beside a map head that is right: it must say the same.

        Beside a wrong one nothing is compared, since no delta can explain it.
        """
        path = delta_path(head.index)
        served = fetch(self._source, f"log/{path}", MAX_DELTA_BYTES, "map delta")
        try:
            delta = decode_delta(served)
            self._compare_states(delta, path)
            outcome = replay(delta, self._head, self._links, head.index - len(self._links))
        except MapDeltaError as error:
            raise DifferenceError("map delta", path, "one that replays", error) from error
        require_equal("outcome of the map delta", path, head.format(), outcome.format())
        self._directory.log.write_immutable(path, served)
        self._counts["map deltas"] += 1

    def _compare_states(self, delta: MapDelta, path: str) -> None:
        """The old states that it gives are those that we derived."""
        ours = {key: chain.state for key, chain in self._before.items() if chain is not None}
        require_equal("subjects of the map delta", path, len(ours), len(delta.states))
        for key, state in delta.states.items():
            require_equal(f"old state of {key.hex()}", path, ours.get(key), state)


_HEAD_WORDS: Final = {
    "index": "own index",
    "root": "map root",
    "subjects": "number of subjects",
    "ignored": "number of ignored links",
    "previous": "map head before it",
}


def require_own_hash(state: SubjectState, link_hash: bytes, where: str) -> None:
    """The entry's bytes are those that the link gives when it is written again."""
    require_equal("canonical bytes", where, link_hash, state.head)


def _load_map(pages: Iterable[tuple[int, bytes]], place: Place) -> PageMap:
    """The map as it was at the last map head taken."""
    if place.head is None:
        return PageMap()
    head = _head_of(place.head)
    loaded = PageMap.load(pages, head.subjects)
    if loaded.root() != head.root:
        raise AuditStateError(
            f"the map held has the root {loaded.root().hex()}, expected {head.root.hex()}: the "
            "audit's directory is damaged; audit into another --state directory"
        )
    return loaded


def _head_of(data: bytes) -> MapHead:
    head = decode_entry(data)
    assert isinstance(head, MapHead)  # noqa: S101 -- written by `commit` from one
    return head


def _continuing(chain: ChainState | None) -> str:
    if chain is None:
        return "seq 0 and no link before it"
    return f"seq {chain.state.count} after {encode_base64(chain.state.head)}"


def _of_link(link: Link) -> str:
    prev = "nothing" if link.prev is None else encode_base64(link.prev)
    return f"seq {link.seq} after {prev}, subject {link.key.hex()}"
