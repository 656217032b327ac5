"""Who signed the links: every seal that the log names, and whether its key was valid then.

The list of seals (docs/formats.md section 14) is walked beside the mirrored entries, so that each
link has exactly one seal. For each upload: the seal's hash is the one that its links name, its root
is that over its leaves, every link's event is one of them, the signature is good, and the key was
its party's and valid at the links' ledger time. Parties are what their chains make them: their
passports are fetched, verified as any reader verifies them, held against the links that the log
has, and replayed by the one function that capture and every verifier use (`domain.party`).

A party without a role may seal events about itself only (docs/formats.md section 5). Events are not
public by index, so that is judged by the subject: the links of such a seal are all the party's own.

A seal may cover events that have no link here: one that stood on its chains before is answered with
the links that it has. An operator that leaves a sealed event out looks the same from outside, so
these are counted; the party that sealed has a signed receipt, which names every event's links.

**Not checked**, and counted as such: links whose events carry their own proofs. Such a proof covers
the event, which is not public by index; whoever has the passport of its subject checks it there.

What the log or a seal that it names says is kept when it is wrong; what only the list or a passport
says ends the walk, which goes on from there another day.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import quote

from merkle.errors import TileError
from merkle.hashing import HASH_SIZE, leaf_hash
from merkle.policy import Policy
from merkle.tiles import TILE_WIDTH, TileAddress, decode_bundle
from merkle.tree import root_of
from provenance.crypto.errors import CryptoError
from provenance.crypto.integrity import verify_proof
from provenance.crypto.signing import PublicKey
from provenance.domain import canonical
from provenance.domain.canonical import MAX_BUNDLE_BYTES, MalformedJsonError
from provenance.domain.chain import Link, subject_key
from provenance.domain.ledger import decode_entry
from provenance.domain.party import KeyRefusedError, Party
from provenance.domain.passport import Passport, PresentSubject, read_passport
from provenance.domain.seal import MalformedSealError, Seal, read_seal
from provenance.domain.seal_line import (
    MAX_LINE_BYTES,
    MalformedSealLineError,
    SealLine,
    decode_seal_line,
)
from provenance.services.auditing_entries import MAX_BATCH_LINKS, Findings
from provenance.services.auditing_tree import Source, fetch
from provenance.services.checking_log import DifferenceError, require_equal
from provenance.storage import audit_state as rows
from provenance.storage.audit_state import AuditDirectory, AuditStateError, PartyState, Place
from provenance.verify import verify_bundle
from provenance.verify.evidence import collect_evidence
from provenance.verify.parties import judge_parties

PAGE: Final = 200
MAX_PAGE_BYTES: Final = 16 * 1024 * 1024
"""More than the platform sends in one page (4 MiB as stored, in base64)."""

WITHOUT_LINK: Final = "sealed events without a link in their upload"

_ANY_AGE: Final = 2**53  # a party's passport is judged for what it holds, not for its age
_MAX_PARTY_URI: Final = 2_048
_KEPT_PARTIES: Final = 10_000

See = Callable[[str, str], None]
"""Told of every signed checkpoint that comes along: its note, and where it was seen."""


class SealWalk:
    """The links of the entries taken, upload by upload."""

    def __init__(
        self,
        directory: AuditDirectory,
        source: Source,
        policy: Policy,
        origin: str,
        findings: Findings,
        see: See,
    ) -> None:
        self._see = see
        self._directory = directory
        self._source = source
        self._policy = policy
        self._origin = origin
        self._findings = findings
        self._parties: dict[str, Party | None] = {}
        self._counts: Counter[str] = Counter()
        self._kept = len(findings.kept)

    def walk(self, place: Place, now: int, advance: Callable[[int], None]) -> Place:
        """From `place.sealed` to `place.size`; where it came to. `now` in POSIX seconds.

        Raises DifferenceError where what is served does not let it go on; the rows then hold how
        far it came. `advance` is told of entries gone past.
        """
        entries = _Entries(self._directory, place.sealed, place.size)
        after = max(0, place.sealed - 1)
        while entries.index < place.size:
            page = self._page(after)
            started = entries.index
            for line in page:
                if line.index >= place.size:
                    break  # published since we looked at the checkpoint
                self._take(line, entries, now)
                after = line.index
            if not page or page[-1].index >= place.size:
                entries.skip_to(place.size)
            place = self._commit(place, entries.index)
            advance(entries.index - started)
        return place

    def _commit(self, place: Place, sealed: int) -> Place:
        counts = Counter(place.counts)
        counts.update(self._counts)
        self._counts.clear()
        place = replace(place, sealed=sealed, counts=dict(counts))
        with self._directory.database.write() as connection:
            rows.write_differences(connection, self._findings.kept[self._kept :])
            rows.write_place(connection, place)
        self._kept = len(self._findings.kept)
        return place

    def _page(self, after: int) -> list[SealLine]:
        path = f"api/v1/seals?after={after}&limit={PAGE}"
        data = fetch(self._source, path, MAX_PAGE_BYTES, "list of seals")
        lines = data.split(b"\n")
        if lines.pop() or len(lines) > PAGE or any(len(x) > MAX_LINE_BYTES for x in lines):
            raise DifferenceError("list of seals", path, f"at most {PAGE} whole lines", "others")
        try:
            page = [decode_seal_line(line) for line in lines]
        except MalformedSealLineError as error:
            raise DifferenceError("list of seals", path, "lines of its form", error) from error
        for line in page:
            if line.index <= after:
                raise DifferenceError("order", path, f"an index above {after}", line.index)
            after = line.index
        return page

    # One upload

    def _take(self, line: SealLine, entries: _Entries, now: int) -> None:
        entries.skip_to(line.index)
        links = entries.take(line.links)
        if line.seal is None:
            self._take_own_proofs(line, links)
            return
        where = f"seal of log entries {line.index} to {line.index + line.links - 1}"
        for link in links:
            require_equal("hash", where, link.seal, leaf_hash(line.seal))
        seal = self._check_seal(line, where)
        if seal is None:
            return
        leaves = line.leaves or b""
        events = {leaves[i : i + HASH_SIZE] for i in range(0, len(leaves), HASH_SIZE)}
        for place, link in enumerate(links, line.index):
            if link.event not in events:
                self._findings.keep(
                    "event", f"log entry {place}", "one that its seal covers", link.event
                )
        without = len(events - {link.event for link in links})
        if without:
            self._counts[WITHOUT_LINK] += without
        self._judge_key(seal, links, where, now)
        self._counts["seals"] += 1
        self._counts["sealed links"] += len(links)

    def _take_own_proofs(self, line: SealLine, links: list[Link]) -> None:
        """An own proof's seal hash is its event's: if not, a seal is being withheld."""
        for place, link in enumerate(links, line.index):
            if link.seal != link.event:
                raise DifferenceError("seal", f"log entry {place}", "the seal it names", "none")
        self._counts["links with own proofs, not checked"] += len(links)

    def _check_seal(self, line: SealLine, where: str) -> Seal | None:
        """The seal that the log names, if it is one and well signed; else it is kept as wrong."""
        data, leaves = line.seal or b"", line.leaves or b""
        try:
            seal = read_seal(canonical.parse(data))
        except (MalformedJsonError, MalformedSealError) as error:
            self._findings.keep("form", where, "a seal", error)
            return None
        hashes = [leaves[i : i + HASH_SIZE] for i in range(0, len(leaves), HASH_SIZE)]
        require_equal("number of leaves", where, seal.size, len(hashes))
        require_equal("root over its leaves", where, seal.root, root_of(hashes))
        if seal.origin != self._origin:
            self._findings.keep("origin", where, self._origin, seal.origin)
        try:
            verify_proof(seal.document, PublicKey.from_multikey(seal.key))
        except CryptoError as error:
            self._findings.keep("signature", where, f"good under {seal.key}", error)
            return None
        return seal

    def _judge_key(self, seal: Seal, links: list[Link], where: str, now: int) -> None:
        party = self._party(seal.party, now)
        if party is None:
            self._findings.keep("signer", where, "a registered party", seal.party)
            return
        own = subject_key(seal.party)
        for at in sorted({link.time for link in links}):
            try:
                if party.judge_key(seal.key, at) == "doubtful":
                    self._counts["seals under doubtful keys"] += 1
            except KeyRefusedError as error:
                self._findings.keep(
                    "key", where, f"a key of {seal.party} valid then", f"{error.code}: {error}"
                )
            if party.roles_at(at):
                continue
            if any(link.key != own for link in links if link.time == at):
                self._findings.keep("role", where, f"a role of {seal.party} then", "none")

    # Parties

    def _party(self, uri: str, now: int) -> Party | None:
        """The party as its chain makes it; None where the log has no such party."""
        if len(self._parties) >= _KEPT_PARTIES:
            self._parties.clear()  # the rows have them
        if uri not in self._parties:
            self._parties[uri] = self._read_party(uri, now)
        return self._parties[uri]

    def _read_party(self, uri: str, now: int) -> Party | None:
        key = subject_key(uri)
        with self._directory.database.read() as connection:
            chain = rows.read_chains(connection, [key]).get(key)
            held = rows.read_party(connection, uri)
        if chain is None or len(uri) > _MAX_PARTY_URI:
            return None
        is_same = held is not None and held.count == chain.state.count
        if held is not None and is_same and held.head != chain.state.head:
            where = f"passport of {uri} as verified before"
            self._findings.keep("newest link", where, chain.state.head, held.head)
            held = None
        if held is None or held.count < chain.state.count:
            verified = self._verify(uri, now)
            if verified is None:
                return None
            held = verified
        return Party.from_json(json.loads(held.state))

    def _verify(self, uri: str, now: int) -> PartyState | None:
        """Fetch the passport, verify it, hold it against the log; None if it shows no party."""
        where = f"passport of {uri}"
        path = f"api/v1/subjects/{quote(uri, safe='')}/passport"
        data = fetch(self._source, path, MAX_BUNDLE_BYTES, "passport")
        verdict = verify_bundle(data, self._policy, now=now, max_age=_ANY_AGE)
        if verdict.record != "verified":
            raise DifferenceError(
                "verdict", where, "verified", f"{verdict.record}, {verdict.reason}"
            )
        passport = read_passport(data)
        require_equal("subject", where, uri, passport.subject)
        self._see(passport.checkpoint, where)
        subject = passport.subjects[0]
        if not isinstance(subject, PresentSubject):
            raise DifferenceError("history", where, "the links that the log has", "none")
        self._require_same_chain(subject, where)
        party = _party_of(passport, self._origin)
        self._counts["passports of parties"] += 1
        if party is None:
            return None
        state = json.dumps(party.to_json())
        found = PartyState(len(subject.links), subject.links[-1].hash, state)
        with self._directory.database.write() as connection:
            rows.write_party(connection, uri, found)
        return found

    def _require_same_chain(self, subject: PresentSubject, where: str) -> None:
        """The chain begins with the one that the entries taken make."""
        key = subject_key(subject.uri)
        with self._directory.database.read() as connection:
            ours = rows.read_chains(connection, [key])[key].state
        hashes = [link.hash for link in subject.links[: ours.count]]
        require_equal("number of links", where, ours.count, len(hashes))
        require_equal("root over its links", where, ours.root, root_of(hashes))


def _party_of(passport: Passport, origin: str) -> Party | None:
    """The party that a verified passport is about, replayed as its verifier did."""
    believed = judge_parties(passport, collect_evidence(passport), origin)
    return believed.parties.get(passport.subject)


@dataclass
class _Entries:
    """The mirrored entries from `index` to `size`, bundle by bundle."""

    directory: AuditDirectory
    index: int
    size: int

    def __post_init__(self) -> None:
        self._bundle: list[bytes] = []
        self._number = -1

    def skip_to(self, index: int) -> None:
        """Go past entries that no upload brought; a link among them has no seal."""
        if index < self.index:
            raise DifferenceError("order", "list of seals", f"{self.index} or more", index)
        while self.index < min(index, self.size):
            if isinstance(decode_entry(self._read()), Link):
                raise DifferenceError(
                    "seal", f"log entry {self.index}", "a line in the list of seals", "none"
                )
            self.index += 1

    def take(self, count: int) -> list[Link]:
        """The next `count` entries, which are links."""
        if count > min(self.size - self.index, MAX_BATCH_LINKS):
            raise DifferenceError(
                "number of links",
                f"list of seals, log entry {self.index}",
                f"at most {min(self.size - self.index, MAX_BATCH_LINKS)}",
                count,
            )
        return [self._next_link() for _ in range(count)]

    def _next_link(self) -> Link:
        link = decode_entry(self._read())
        if not isinstance(link, Link):
            raise DifferenceError(
                "kind",
                f"log entry {self.index}",
                "a link, says the list of seals",
                "something else",
            )
        self.index += 1
        return link

    def _read(self) -> bytes:
        number, offset = divmod(self.index, TILE_WIDTH)
        if number != self._number or offset >= len(self._bundle):
            self._bundle = self._read_bundle(number)
            self._number = number
        return self._bundle[offset]

    def _read_bundle(self, number: int) -> list[bytes]:
        """A mirrored bundle that still fits its mirrored tile: damage of ours accuses nobody."""
        for width in range(TILE_WIDTH, 0, -1):
            data = self.directory.read_mirrored(TileAddress(None, number, width).path())
            if data is not None:
                break
        tile = self.directory.read_mirrored(TileAddress(0, number, width).path())
        try:
            entries = decode_bundle(data or b"", width)
        except TileError:
            entries = []
        if not entries or b"".join(map(leaf_hash, entries)) != tile:
            raise AuditStateError(
                f"the mirror's bundle {number} is damaged or lost; audit into another --state "
                "directory"
            )
        return entries
