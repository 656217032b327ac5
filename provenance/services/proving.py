"""Passports: everything that a reader needs to check one subject, out of the published log.

    with one snapshot:  publication -> map brought to exactly that size
                        history of the subject -> trace -> histories it leads to -> …
                        histories of the parties that sealed any of it, and of the operator
    then:               map proofs, log proofs, seals with paths, the bundle

Everything in a bundle belongs to one published checkpoint. Of the map only the hashes above its
pages are in memory (merkle.pagemap), and they move on with each publication; pages are read in the
passport's own snapshot. A passport that was begun under an older publication than the hashes now
are of is begun again (rarely more than once: a publication takes place a few times a second at
most).

What never changes is remembered: a history under the map value that names it, hashes of full
subtrees of the log, tiles, seals' trees. So a passport of a subject seen before costs its proofs,
and the chain of a brand's keys is read once, not once a passport. Nothing here is believed by
anybody: a wrong memory would give a bundle that does not verify.

A bundle that no verifier would read (docs/formats.md section 1: 16 MiB) is refused, and one that
is certain to become so before its rows are read: a place that a sensor names every minute has more
links than any page could hold.

Left to others: what a trace is (`domain.trace`), the bundle's form (`domain.passport`), who may see
which disclosure (here: what is public).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from merkle.errors import MapPageError
from merkle.pagemap import PageMap
from merkle.proofs import prove_inclusion
from merkle.tiles import TILE_WIDTH, TileHashReader, decode_bundle, entries_path
from merkle.tree import HashReader, MemoryTree
from provenance.domain.canonical import MAX_BUNDLE_BYTES
from provenance.domain.chain import subject_key
from provenance.domain.errors import TooLargeError, UnavailableError
from provenance.domain.fork import ForkEvidence, parse_fork
from provenance.domain.ledger import MapHead, decode_entry
from provenance.domain.party import operator_uri
from provenance.domain.passport import (
    MAX_FORKS,
    AbsentSubject,
    BundledEvent,
    MapHeadProof,
    Passport,
    PresentSubject,
)
from provenance.domain.seal import Seal, parse_seal
from provenance.domain.trace import Step, walk
from provenance.services.anchored import bundle_anchors, bytes_of
from provenance.services.cache import Cache
from provenance.services.histories import History, Place, StoredEvent, load_histories
from provenance.services.reading import Reader
from provenance.storage import log, mappages
from provenance.storage.anchors import AnchorRow, count_confirmed, find_covering
from provenance.storage.disclosures import DisclosureRow, read_disclosures
from provenance.storage.errors import StoreInconsistentError
from provenance.storage.events import read_seals
from provenance.storage.forks import read_forks
from provenance.storage.histories import count_links
from provenance.storage.log import Publication
from provenance.storage.session import Connection, Database
from provenance.storage.tiles import TileStore, read_tile
from qr.identifier import canonical_identifier

_ATTEMPTS = 8

MOST_LINKS = 20_000
"""Links in one passport: with its event, and that one's path or seal, none takes less than 840
bytes, so that more of them never fit 16 MiB."""

# Upper bounds of what stands in a bundle, commas included.
_LINK_BYTES = 290
_HASH_BYTES = 47
_FRAME_BYTES = 80  # around an event: names, two numbers
_SUBJECT_BYTES = 300  # around a subject: names, map value


@dataclass(frozen=True, slots=True)
class _SealTree:
    seal: Seal
    tree: MemoryTree


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """What one passport stands on. `head` is the published map head and its proof."""

    publication: Publication
    head: MapHeadProof


@dataclass(frozen=True, slots=True)
class Proposal:
    """What the platform has to say to its readers in every passport, beside proofs.

    `policy` is the text of the policy that it proposes, `succession` the notes by which the log's
    key was passed on, oldest first.
    """

    policy: str | None = None
    succession: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """An upper bound of the bytes that it takes in a bundle."""
        return 100 + 2 * sum(len(text) for text in (self.policy or "", *self.succession))


NOTHING_PROPOSED = Proposal()


class _MovedOnError(Exception):
    """The map in memory is already that of a later publication than this passport's."""


@dataclass(frozen=True, slots=True)
class _Found:
    """The rows of one passport, all of one snapshot."""

    snapshot: _Snapshot
    collection: _Collection
    seals: dict[int, _SealTree]
    disclosures: Mapping[Place, Sequence[DisclosureRow]]
    forks: tuple[ForkEvidence, ...]
    proofs: dict[str, bytes]
    covering: Sequence[AnchorRow]


class Prover:
    """Builds passports for all threads of one process. Loads the map's hashes when first asked.

    They take about 4 bytes a subject, and some tenths of a second to load for a million of them.
    """

    def __init__(
        self,
        database: Database,
        tiles: TileStore,
        origin: str,
        proposal: Proposal = NOTHING_PROPOSED,
        reader: Reader | None = None,
    ) -> None:
        """`reader` is where histories are read, unless told otherwise `database` itself."""
        self._proposal = proposal
        self._database = database
        self._reader = reader or Reader(database)
        self._tiles = tiles
        self.operator = operator_uri(origin)
        self._lock = threading.RLock()  # owns the three below
        self._keymap = PageMap()
        self._size = 0
        self._head: MapHeadProof | None = None
        self._histories: Cache[bytes, History] = Cache(50_000, lambda one: len(one.links))
        self._seals: Cache[int, _SealTree] = Cache(400_000, lambda one: one.tree.size + 1)
        self._tile_bytes: Cache[str, bytes] = Cache(2_000)
        self._hashes: Cache[tuple[int, int], bytes] = Cache(200_000)

    def published(self) -> tuple[int, bytes]:
        """Size and note (with cosignatures) of what readers may see.

        Raises UnavailableError before the first publication.
        """
        with self._database.read() as connection:
            publication = _read_publication(connection)
        return publication.size, publication.note

    def seen(self) -> tuple[bytes, bytes, int]:
        """What a passport stands on: the published note, the names of the evidence that it must
        carry (their hashes in a row), and how many anchors are confirmed. Raises as `published`.
        """
        with self._database.read() as connection:
            publication = _read_publication(connection)
            forks = read_forks(connection, MAX_FORKS)
            anchors = count_confirmed(connection)
        return publication.note, b"".join(fork.hash for fork in forks), anchors

    def is_covered(self, upload_id: int) -> bool:
        """Are all links of an accepted upload published? False for an upload that is not there."""
        with self._database.read() as connection:
            return bool(log.is_covered(connection, upload_id))

    def passport(self, uri: str) -> dict[str, Any]:
        """The bundle of docs/formats.md section 8 for any spelling of a subject's identifier.

        For a subject without history: the bundle that proves its absence. The value shares parts
        with later ones and is not to be changed. Raises qr.errors.QrError for a malformed EPC URN,
        UnavailableError before the first publication, TooLargeError (`passport-too-large`) for more
        than a bundle can hold, StoreInconsistentError.
        """
        subject = canonical_identifier(uri)
        for _ in range(_ATTEMPTS):
            try:
                return self._passport(subject)
            except _MovedOnError:
                continue
        raise UnavailableError(
            "log-moving",
            f"the log was published {_ATTEMPTS} times while one passport was made, or its database "
            "was replaced by an older one",
            remedy="try again; if it happens again, restart the server and run `provenance fsck`",
        )

    def _passport(self, subject: str) -> dict[str, Any]:
        found = self._reader.answer(lambda connection: self._gather(connection, subject))
        snapshot, collection, seals = found.snapshot, found.collection, found.seals
        disclosures, covering, size = found.disclosures, found.covering, found.collection.size
        subjects = self._subjects(collection, found.proofs)
        anchors = bundle_anchors(covering, size, self.reader(size))
        numbers = {upload: number for number, upload in enumerate(seals)}
        texts = {place: tuple(row.text for row in rows) for place, rows in disclosures.items()}
        events = collection.events()
        bundled = tuple(
            _bundle(one, seals.get(one.place[0]), numbers, texts.get(one.place, ()))
            for one in events
        )
        collection.require_room(
            sum(_proof_bytes(one) for one in subjects)
            + sum(len(one.seal.canonical) + 1 for one in seals.values())
            + sum(_HASH_BYTES * len(one.path) + _FRAME_BYTES for one in bundled)
            + sum(len(text) + 3 for some in texts.values() for text in some)
            + self._proposal.size
            + bytes_of(anchors)
        )
        return Passport(
            checkpoint=snapshot.publication.note.decode(),
            map_head=snapshot.head,
            subjects=subjects,
            seals=tuple(one.seal for one in seals.values()),
            events=bundled,
            forks=found.forks,
            policy=self._proposal.policy,
            succession=self._proposal.succession,
            anchors=anchors,
        ).to_json()

    def _gather(self, connection: Connection, subject: str) -> _Found:
        """All rows of one passport, out of one snapshot; raises _MovedOnError."""
        snapshot = self._follow(connection)
        size = snapshot.publication.size
        collection = _Collection(self, connection, size)
        collection.collect(subject)
        collection.require_room()
        forks = read_forks(connection, MAX_FORKS)
        return _Found(
            snapshot,
            collection,
            seals=self._load_seals(connection, collection.uploads()),
            disclosures=read_disclosures(connection, collection.concealing()),
            forks=tuple(parse_fork(row.evidence) for row in forks),
            proofs=self._map_proofs(connection, collection.order, size),
            covering=collection.covering_anchors(),
        )

    # The map

    def _follow(self, connection: Connection) -> _Snapshot:
        """Bring the map to the publication of this snapshot. Raises _MovedOnError if it is past."""
        publication = _read_publication(connection)
        with self._lock:
            if self._size > publication.size:
                raise _MovedOnError
            if self._size < publication.size or self._head is None:
                self._move(connection, publication)
            assert self._head is not None  # noqa: S101 -- set by _move
            return _Snapshot(publication, self._head)

    def _move(self, connection: Connection, publication: Publication) -> None:
        """Take over the hashes of pages that are newer than ours; the lock is held.

        All is read before anything is changed, so that an outage leaves the map as it was. A map
        that does not fit its map head is thrown away, and read anew by whoever asks next.
        """
        head = self._read_head(publication.size)
        proof = prove_inclusion(head.index, publication.size, self.reader(publication.size))
        with closing(mappages.read_hashes(connection, above=self._size)) as hashes:
            if self._size:
                self._keymap.follow(list(hashes), head.subjects)
            else:
                self._keymap = PageMap.load(hashes, head.subjects)
        root = self._keymap.root()
        if root != head.root:
            self._size, self._keymap, self._head = 0, PageMap(), None
            raise _wrong_map(connection, head, root)
        self._size, self._head = publication.size, MapHeadProof(head.format(), tuple(proof))

    def _read_head(self, size: int) -> MapHead:
        index, place = divmod(size - 1, TILE_WIDTH)
        data = read_tile(self._tiles, entries_path(index, place + 1))
        head = decode_entry(decode_bundle(data, place + 1)[-1])
        if not isinstance(head, MapHead) or head.index != size - 1:
            raise StoreInconsistentError(f"entry {size - 1} is not the map head of its size")
        return head

    def require_size(self, size: int) -> None:
        """Raise _MovedOnError unless the map is still that of `size`; the lock is held."""
        if self._size != size:
            raise _MovedOnError

    @contextmanager
    def _map(self, size: int) -> Iterator[PageMap]:
        """The map of `size`, which stays so in the block; raises _MovedOnError.

        Pages are read in the block, under the lock: what is read must be of the hashes' own size,
        and a reading takes less than a publication that would wait for it.
        """
        with self._lock:
            self.require_size(size)
            try:
                yield self._keymap
            except MapPageError as error:
                raise StoreInconsistentError(f"{error}; run `provenance fsck`") from error

    def values(
        self, connection: Connection, uris: Sequence[str], size: int
    ) -> dict[str, bytes | None]:
        """The map values of subjects at `size`; None for one that is absent."""
        keys = {uri: subject_key(uri) for uri in uris}
        read = partial(mappages.read_stored, connection)
        with self._map(size) as keymap:
            found = keymap.values(keys.values(), read)
        return {uri: found[key] for uri, key in keys.items()}

    def _map_proofs(
        self, connection: Connection, uris: Sequence[str], size: int
    ) -> dict[str, bytes]:
        """The map's proof for each subject, of its value or of its absence."""
        keys = {uri: subject_key(uri) for uri in uris}
        read = partial(mappages.read_stored, connection)
        with self._map(size) as keymap:
            found = keymap.proofs(keys.values(), read)
        return {uri: found[key] for uri, key in keys.items()}

    def _subjects(
        self, collection: _Collection, proofs: Mapping[str, bytes]
    ) -> tuple[PresentSubject | AbsentSubject, ...]:
        """The collected subjects in the bundle's order, with their proofs."""
        reader = self.reader(collection.size)
        subjects: list[PresentSubject | AbsentSubject] = []
        for uri in collection.order:
            history = collection.histories.get(uri)
            if history is None:
                subjects.append(AbsentSubject(uri, proofs[uri]))
                continue
            inclusion = tuple(prove_inclusion(history.entry.index, collection.size, reader))
            subjects.append(
                PresentSubject(uri, history.links, history.entry, proofs[uri], inclusion)
            )
        return tuple(subjects)

    # Stored things that never change

    def histories(
        self, connection: Connection, values: Mapping[str, bytes], links: int = 0
    ) -> dict[str, History]:
        """The histories that the map values name, remembered or read in one statement.

        `links` are there already; TooLargeError if these bring them above MOST_LINKS.
        """
        found = {}
        missing = []
        for uri, value in values.items():
            history = self._histories.get(value)
            if history is None:
                missing.append(uri)
            else:
                found[uri] = history
        links += sum(len(history.links) for history in found.values())
        links += count_links(connection, missing) if missing else 0
        if links > MOST_LINKS:
            raise _too_large(next(iter(values)), "links", MOST_LINKS, links)
        for history in load_histories(connection, missing):
            if history.value != values[history.uri]:
                raise StoreInconsistentError(
                    f"{history.uri}: the stored leaf is not the map's; run `provenance fsck`"
                )
            self._histories.put(history.value, history)
            found[history.uri] = history
        if len(found) != len(values):
            absent = sorted(values.keys() - found.keys())
            raise StoreInconsistentError(f"no history is stored for {absent[0]}")
        return found

    def _load_seals(self, connection: Connection, uploads: Sequence[int]) -> dict[int, _SealTree]:
        """Seals by upload id, in the order given; uploads of events with own proofs have none."""
        known = {upload: self._seals.get(upload) for upload in uploads}
        rows = read_seals(connection, [upload for upload, one in known.items() if one is None])
        for upload, row in rows.items():
            tree = MemoryTree()
            tree.extend(row.leaves[i : i + 32] for i in range(0, len(row.leaves), 32))
            known[upload] = one = _SealTree(parse_seal(row.canonical), tree)
            self._seals.put(upload, one)
        return {upload: one for upload, one in known.items() if one is not None}

    def reader(self, size: int) -> HashReader:
        """Hashes of the log's subtrees, remembered: a full subtree never changes."""
        return _RememberingReader(TileHashReader(self._fetch, size), self._hashes)

    def _fetch(self, path: str) -> bytes:
        data = self._tile_bytes.get(path)
        if data is None:
            data = read_tile(self._tiles, path)
            self._tile_bytes.put(path, data)
        return data


class _Collection:
    """The histories of one passport, found by walking; `order` is that of the bundle."""

    def __init__(self, prover: Prover, connection: Connection, size: int) -> None:
        self.size = size
        self.order: tuple[str, ...] = ()
        self.histories: dict[str, History] = {}
        self._prover = prover
        self._connection = connection
        self._asked: set[str] = set()

    def collect(self, subject: str) -> None:
        """Load the subject, what its trace visits, and the parties."""
        self._load([subject])
        if subject not in self.histories:
            self.order = (subject,)  # proved absent: nobody sealed anything
            return
        order = dict.fromkeys(self._trace(subject))
        while missing := [uri for uri in self._parties(order) if uri not in order]:
            self._load(missing)
            order.update(dict.fromkeys(missing))
        self.order = tuple(order)

    def _trace(self, subject: str) -> Sequence[str]:
        """Walk until every subject visited is loaded: one round, and one load, a level."""
        while True:
            missing: dict[str, None] = {}

            def load(uri: str, missing: dict[str, None] = missing) -> Sequence[Step] | None:
                if uri not in self._asked:
                    missing[uri] = None
                    return ()  # as if it led nowhere; the next round knows better
                history = self.histories.get(uri)
                return None if history is None else history.steps

            trace = walk(subject, load)
            if not missing:
                return trace.subjects
            self._load(list(missing))

    def _parties(self, uris: Mapping[str, None]) -> list[str]:
        signers = dict.fromkeys(
            one.party
            for uri in uris
            if (history := self.histories.get(uri)) is not None
            for one in history.events
        )
        return [*signers, self._prover.operator]

    def require_room(self, more: int = 0) -> None:
        """Refuse what is too much for a bundle: links, events and `more` bytes beside them."""
        links = sum(len(history.links) for history in self.histories.values())
        size = more + _LINK_BYTES * links + sum(len(one.event.canonical) for one in self.events())
        if size > MAX_BUNDLE_BYTES:
            raise _too_large(self.order[0], "bytes", MAX_BUNDLE_BYTES, size)

    def _load(self, uris: Sequence[str]) -> None:
        values = self._prover.values(self._connection, uris, self.size)
        present = {uri: value for uri, value in values.items() if value is not None}
        links = sum(len(history.links) for history in self.histories.values())
        self.histories.update(self._prover.histories(self._connection, present, links))
        self._asked.update(uris)

    def events(self) -> list[StoredEvent]:
        """Every event once, in the order of subjects and links."""
        found: dict[Place, StoredEvent] = {}
        for uri in self.order:
            if (history := self.histories.get(uri)) is not None:
                for one in history.events:
                    found.setdefault(one.place, one)
        return list(found.values())

    def uploads(self) -> list[int]:
        """Uploads whose seals are needed, in order of first use."""
        return list(dict.fromkeys(one.place[0] for one in self.events() if not one.own_proof))

    def covering_anchors(self) -> Sequence[AnchorRow]:
        """For each kind the earliest confirmed anchor that the subject's whole history is under."""
        history = self.histories.get(self.order[0])
        if history is None:
            return ()
        return find_covering(self._connection, history.entry.index, self.size)

    def concealing(self) -> list[Place]:
        """Events to which disclosures may apply."""
        return [one.place for one in self.events() if one.concealing]


class _RememberingReader:
    """A `HashReader` in front of another that keeps what it read."""

    def __init__(self, behind: HashReader, memory: Cache[tuple[int, int], bytes]) -> None:
        self._behind = behind
        self._memory = memory

    def read_hash(self, level: int, index: int) -> bytes:
        """See `merkle.tree.HashReader.read_hash`."""
        known = self._memory.get((level, index))
        if known is None:
            known = self._behind.read_hash(level, index)
            self._memory.put((level, index), known)
        return known


def _wrong_map(connection: Connection, head: MapHead, root: bytes) -> Exception:
    """Why the stored pages do not make the map of the map head."""
    if mappages.is_behind(connection):
        return UnavailableError(
            "log-moving",
            "the map of this log is being cut into pages, once, after an upgrade",
            remedy="start the sequencer (`provenance serve` does), which does it, then ask again",
        )
    return StoreInconsistentError(
        f"map of the stored pages at size {head.index + 1}: expected root {head.root.hex()}, "
        f"found {root.hex()}; run `provenance fsck`"
    )


def _proof_bytes(subject: PresentSubject | AbsentSubject) -> int:
    size = _SUBJECT_BYTES + 2 * len(subject.uri.encode())
    if isinstance(subject, AbsentSubject):
        return size + 4 * len(subject.absence) // 3
    return size + 4 * len(subject.map) // 3 + _HASH_BYTES * len(subject.inclusion)


def _too_large(subject: str, unit: str, most: int, found: int) -> TooLargeError:
    return TooLargeError(
        "passport-too-large",
        f"the history of {subject[:200]} and those that it leads to are too long for a passport",
        expected=f"at most {most:,} {unit}",
        found=f"{found:,} {unit}",
        remedy="ask for the passport of a single item or lot; the whole log can be read at /log/",
    )


def _read_publication(connection: Connection) -> Publication:
    publication = log.read_publication(connection)
    if publication is None:
        raise UnavailableError(
            "not-published-yet",
            "this log has not published anything yet",
            remedy="start the sequencer (`provenance serve` does), then ask again",
        )
    return publication


def _bundle(
    one: StoredEvent,
    sealed: _SealTree | None,
    numbers: Mapping[int, int],
    disclosures: tuple[str, ...],
) -> BundledEvent:
    document = one.event.document
    if one.own_proof:
        return BundledEvent(document, None, 0, (), disclosures)
    upload, leaf = one.place
    if sealed is None:
        raise StoreInconsistentError(f"upload {upload} has no seal; run `provenance fsck`")
    path = prove_inclusion(leaf, sealed.tree.size, sealed.tree)
    return BundledEvent(document, numbers[upload], leaf, tuple(path), disclosures)
