"""The records' half of `provenance fsck`: events, seals, chains, uploads, parties, disclosures.

Every hash is made anew from stored bytes, every signature verified, every column compared with the
bytes that it is an index over. Streams of the same uploads run side by side, so that each table is
read once and memory holds one upload at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from operator import attrgetter
from typing import Any, Generic, NamedTuple, TypeVar

from merkle.errors import TileError
from merkle.hashing import HASH_SIZE, leaf_hash
from merkle.tiles import decode_bundle
from merkle.tree import root_of
from provenance.crypto.integrity import verify_proof
from provenance.crypto.signing import PublicKey, verify_ed25519
from provenance.domain import canonical
from provenance.domain.chain import Link, MalformedLinkError, decode_link, subject_key
from provenance.domain.disclosure import digest
from provenance.domain.errors import DomainError
from provenance.domain.event import Event, MalformedEventError, read_event
from provenance.domain.party import Party, apply_event, is_party_event, operator_uri
from provenance.domain.proof import Proof
from provenance.domain.seal import Seal, own_proof, parse_seal
from provenance.services.checking_log import DifferenceError, Tally, require_equal
from provenance.storage.audit import (
    ChainRow,
    PartyChainRow,
    StoredDisclosure,
    StoredEvent,
    UploadLink,
    UploadRow,
)

T = TypeVar("T")


# --- chains ---------------------------------------------------------------------------------------


def check_chains(rows: Iterator[ChainRow], tally: Tally) -> None:
    """Every subject's chain from its first link to the head in its row."""
    for _, chain in groupby(rows, key=attrgetter("subject_id")):
        _check_chain(chain, tally)


def _check_chain(chain: Iterator[ChainRow], tally: Tally) -> None:
    count = 0
    head: bytes | None = None
    time: int | None = None
    row = None
    for row in chain:
        where = f"subject {row.uri}"
        if not count:
            require_equal("map key", where, subject_key(row.uri), row.key)
        if row.canonical is None:
            break
        where = f"{where}, link {count}"
        link = _decode(row.canonical, where)
        require_equal("seq", where, count, link.seq)
        require_equal("seq (column)", where, count, row.seq)
        require_equal("key", where, row.key, link.key)
        require_equal("prev", where, _text(head), _text(link.prev))
        require_equal("event (column)", where, link.event, row.event_hash)
        if time is not None and link.time < time:
            raise DifferenceError("time", where, f"not before {time}", link.time)
        count, head, time = count + 1, leaf_hash(row.canonical), link.time
        tally("chained links", 1)
    assert row is not None  # noqa: S101 -- a group has at least one row
    where = f"subject {row.uri}"
    require_equal("number of links", where, count, row.count)
    require_equal("head", where, _text(head), _text(row.head))
    require_equal("time", where, time, row.time)
    tally("subjects", 1)


def _decode(data: bytes, where: str) -> Link:
    try:
        return decode_link(data)
    except MalformedLinkError as error:
        raise DifferenceError("bytes", where, "a link", error) from error


def _text(value: bytes | None) -> str:
    return "nothing" if value is None else value.hex()


# --- uploads --------------------------------------------------------------------------------------


class _Checked(NamedTuple):
    """What is kept of an event while its upload's links are looked at."""

    hash: bytes
    seal_hash: bytes
    subjects: tuple[str, ...]


class UploadCheck:
    """Goes through uploads, events and links side by side. `registered`: parties that came up."""

    def __init__(self, origin: str, tally: Tally) -> None:
        self.registered: set[str] = set()
        self._origin = origin
        self._tally = tally

    def check_all(
        self,
        uploads: Iterator[UploadRow],
        events: Iterator[StoredEvent],
        links: Iterator[UploadLink],
    ) -> None:
        """Every upload with its seal, its events and its links."""
        events_of = _Groups(events)
        links_of = _Groups(links)
        for upload in uploads:
            self._check_upload(upload, events_of.take(upload.id), links_of.take(upload.id))
            self._tally("uploads", 1)

    def _check_upload(
        self, upload: UploadRow, events: Iterator[StoredEvent], links: Iterator[UploadLink]
    ) -> None:
        where = f"upload {upload.id}"
        require_equal("seal (column)", where, upload.found_seal_id, upload.seal_id)
        seal = None if upload.seal is None else self._check_seal(upload, where)
        checked: dict[int, _Checked] = {}
        for row in events:
            place = f"event {row.leaf} of {where}"
            checked[row.leaf] = self._check_event(row, upload, seal, place)
            self._tally("events", 1)
        self._check_links(upload, list(links), checked)

    def _check_seal(self, upload: UploadRow, where: str) -> Seal:
        where = f"seal of {where}"
        data, leaves = upload.seal or b"", upload.leaves or b""
        require_equal("hash", where, leaf_hash(data), upload.seal_hash)
        seal: Seal = _read(parse_seal, data, where)
        require_equal("canonical bytes", where, seal.canonical, data)
        require_equal("origin", where, self._origin, seal.origin)
        require_equal("party (column)", where, seal.party, upload.party)
        require_equal("size (column)", where, seal.size, upload.size)
        require_equal("length of its leaves", where, seal.size * HASH_SIZE, len(leaves))
        hashes = [leaves[i : i + HASH_SIZE] for i in range(0, len(leaves), HASH_SIZE)]
        require_equal("root", where, root_of(hashes), seal.root)
        _verify(seal.document, seal.proof, where)
        self._tally("seals", 1)
        return seal

    def _check_event(
        self, row: StoredEvent, upload: UploadRow, seal: Seal | None, where: str
    ) -> _Checked:
        require_equal("hash", where, leaf_hash(row.canonical), row.hash)
        event: Event = _read(lambda data: read_event(canonical.parse(data)), row.canonical, where)
        require_equal("canonical bytes", where, event.canonical, row.canonical)
        require_equal("event time (column)", where, event.event_time, row.event_time)
        if is_party_event(event.document):
            self.registered.add(str(event.document["prov:party"]))
        if seal is None:
            proof = self._check_own_proof(event, where)
            require_equal("party (column)", where, proof.party, row.party)
            return _Checked(event.hash, event.hash, event.subjects)
        start = row.leaf * HASH_SIZE
        sealed = (upload.leaves or b"")[start : start + HASH_SIZE]
        require_equal("hash under its seal", where, sealed, row.hash)
        require_equal("party (column)", where, seal.party, row.party)
        return _Checked(event.hash, seal.hash, event.subjects)

    def _check_own_proof(self, event: Event, where: str) -> Proof:
        proof: Proof | None = _read(own_proof, event.document, where)
        if proof is None:
            raise DifferenceError("proof", where, "a seal or an own proof", "none")
        require_equal("domain of its proof", where, self._origin, proof.domain)
        _verify(event.document, proof, where)
        self._tally("own proofs", 1)
        return proof

    def _check_links(
        self,
        upload: UploadRow,
        links: list[UploadLink],
        events: Mapping[int, _Checked],
    ) -> None:
        where = f"upload {upload.id}"
        require_equal("number of links", where, upload.links, len(links))
        linked: dict[int, set[str]] = {leaf: set() for leaf in events}
        for ordinal, row in enumerate(links):
            place = f"link {ordinal} of {where}"
            require_equal("ordinal", place, ordinal, row.ordinal)
            if row.leaf not in events:
                raise DifferenceError("event", place, f"event {row.leaf} of the upload", "none")
            event = events[row.leaf]
            link = _decode(row.canonical, place)
            require_equal("event", place, event.hash, link.event)
            require_equal("seal", place, event.seal_hash, link.seal)
            require_equal("time", place, upload.accepted_at, link.time)
            linked[row.leaf].add(row.uri)
        for leaf, uris in linked.items():
            subjects = events[leaf].subjects
            require_equal(
                "subjects with a link", f"event {leaf} of {where}", sorted(subjects), sorted(uris)
            )
        self._check_entries(upload, links, where)

    def _check_entries(self, upload: UploadRow, links: list[UploadLink], where: str) -> None:
        if upload.entries is None:
            if upload.first_index is None:
                raise DifferenceError("copy of the links", where, "bytes to be sequenced", "none")
            return
        try:
            entries = decode_bundle(upload.entries, upload.links)
        except TileError as error:
            raise DifferenceError("copy of the links", where, "whole", error) from error
        for ordinal, (row, entry) in enumerate(zip(links, entries, strict=True)):
            require_equal(f"copy of link {ordinal}", where, row.canonical, entry)
        self._tally("copies of links", len(entries))


class _Groups(Generic[T]):
    """A stream in order of `upload_id`, handed out upload by upload, never held as a whole."""

    def __init__(self, rows: Iterator[T]) -> None:
        self._groups = groupby(rows, key=attrgetter("upload_id"))
        self._key: int | None = -1
        self._rows: Iterator[T] = iter(())

    def take(self, upload_id: int) -> Iterator[T]:
        """The rows of one upload; ids must rise. Rows of no upload are counted elsewhere."""
        while self._key is not None and self._key < upload_id:
            self._key, self._rows = next(self._groups, (None, iter(())))
        return self._rows if self._key == upload_id else iter(())


def _read(read: Any, value: Any, where: str) -> Any:
    """What `read` makes of stored bytes, which passed it once; a refusal now is a difference."""
    try:
        return read(value)
    except (DomainError, MalformedEventError) as error:
        raise DifferenceError("bytes", where, "what was accepted", error) from error


def _verify(document: Mapping[str, Any], proof: Proof, where: str) -> None:
    try:
        verify_proof(document, PublicKey.from_multikey(proof.multikey))
    except DomainError as error:
        raise DifferenceError("signature", where, f"good under {proof.multikey}", error) from error


# --- parties --------------------------------------------------------------------------------------


def check_parties(rows: Iterator[PartyChainRow], origin: str, tally: Tally) -> set[str]:
    """Every party's stored state equals the replay of its chain; the parties that were there.

    `rows` has the operator first: the others' events may be sealed by it.
    """
    operator: Party | None = None
    seen: set[str] = set()
    for uri, chain in groupby(rows, key=attrgetter("uri")):
        party: Party | None = None
        stored = ""
        for row in chain:
            stored = row.state
            party = _apply(party, row, origin, operator)
        if party is None:
            raise DifferenceError("chain", f"party {uri}", "a registration", "none")
        found = canonical.encode(_read(canonical.parse, stored.encode(), f"state of party {uri}"))
        require_equal("state", f"party {uri}", canonical.encode(party.to_json()), found)
        if uri == operator_uri(origin):
            operator = party
        seen.add(uri)
        tally("parties", 1)
    return seen


def _apply(
    party: Party | None, row: PartyChainRow, origin: str, operator: Party | None
) -> Party | None:
    document = canonical.parse(row.event)
    if not is_party_event(document):
        return party
    where = f"party {row.uri}, link {row.seq}"
    proof = _read(own_proof, document, where)
    if proof is None:
        proof = _read(parse_seal, row.seal or b"", where).proof
    try:
        return apply_event(
            party,
            document,
            signer=proof.party,
            key=proof.multikey,
            at=_decode(row.link, where).time,
            seq=row.seq,
            origin=origin,
            operator=operator,
            verify=verify_ed25519,
        )
    except DomainError as error:
        raise DifferenceError("party event", where, "one that its rules allow", error) from error


# --- disclosures ----------------------------------------------------------------------------------


def check_disclosures(rows: Iterator[StoredDisclosure], tally: Tally) -> None:
    """Each text has its digest, and its event carries that digest."""
    for row in rows:
        where = f"disclosure {row.digest} of event {row.leaf} of upload {row.upload_id}"
        require_equal("digest", where, digest(row.text), row.digest)
        if f'"{row.digest}"'.encode() not in (row.event or b""):
            raise DifferenceError("event", where, "one that carries the digest", "none")
        tally("disclosures", 1)
