"""A passport bundle and the verdict over it, turned into what the page shows.

Pure: bundle, verdict and language in, frozen values out; the template only lays them out.
Everything that parties said is a :class:`~provenance.web.claims.Claim`, so the phone can compare
it with the bundle that it verified itself. A record that does not hold is never told as a story:
on any record but `verified` there are no stages (docs/formats.md section 11), hence nothing to
show.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from merkle.hashing import leaf_hash
from provenance.domain import canonical
from provenance.domain.moments import parse_claimed_time, parse_ledger_time
from provenance.web.claims import Claim, Reader
from provenance.web.display import spelt
from provenance.web.facts import Certificate, Fact, certificates_of, facts_of
from provenance.web.language import Language
from provenance.web.naming import Name, lot_of, name_of
from provenance.web.vocabulary import ROLE_ICONS, STEP_ICONS, bare

_BELIEVED = ("believed", "correction")
_LOT = ("ilmd", "cbvmda:lotNumber")
#: So many dots fit beside each other on the narrowest phone; of a longer route both ends are drawn.
MOST_STOPS = 16


@dataclass(frozen=True, slots=True)
class Signer:
    """A party as it signs. `custodial`: some key that it used here is held by the platform."""

    uri: str
    name: Claim
    roles: tuple[str, ...]
    role_codes: tuple[str, ...]
    icon: str
    custodial: bool
    operator: bool
    stages: int


@dataclass(frozen=True, slots=True)
class Stage:
    """One event of the story. `number` counts from 1 as shown; `links` are (subject, link hash)."""

    number: int
    index: int
    event_hash: str
    icon: str
    title: str
    signer: Signer
    roles: tuple[str, ...]
    custodial: bool
    place: Claim | None
    via: str
    claimed: Claim
    claimed_text: str
    ledger: str
    ledger_text: str
    late: bool
    state: str
    doubtful: bool
    recalled: bool
    see: int | None
    concealed: int
    facts: tuple[Fact, ...]
    certificates: tuple[Certificate, ...]
    raw: str
    key: str
    seal_hash: str
    links: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Product:
    """What the signed events call the subject; each None where nobody said."""

    name: Claim | None
    other_name: Claim | None
    brand: Claim | None
    lot: Claim | None
    made: Claim | None
    expiry: Claim | None
    best_before: Claim | None
    country: Claim | None
    signer: Signer | None
    expired: bool
    recalled_by: Signer | None


@dataclass(frozen=True, slots=True)
class Span:
    """From the first to the last of some times, both as the record has them and in words; one that
    is no span has `last` equal to `first`."""

    first: str
    first_text: str
    last: str
    last_text: str


@dataclass(frozen=True, slots=True)
class Dated:
    """A third party's word: its kind, the time it states, and that in words."""

    kind: str
    time: str
    text: str


@dataclass(frozen=True, slots=True)
class Times:
    """Four times that are never one: claimed by signers, set by the ledger, by cosigners of the
    checkpoint, by third parties who dated one.

    `independent`: some cosigner is not the operator's own clock. `witness` None: none states one.
    """

    claimed: Span
    ledger: Span
    witness: tuple[str, str] | None
    independent: bool
    anchors: tuple[Dated, ...]


@dataclass(frozen=True, slots=True)
class Story:
    """Everything that the passport page shows about a subject.

    `route` has the places from the first to the last; None stands where places are left out.
    """

    subject: Name
    product: Product
    route: tuple[Claim | None, ...]
    stages: tuple[Stage, ...]
    parties: tuple[Signer, ...]
    custodial_parties: int
    times: Times | None  # None without stages
    is_party: bool  # no thing that one could hold in the hand: nothing is said of "this item"


def tell(bundle: dict[str, Any], verdict: dict[str, Any], language: Language, now: int) -> Story:
    """The story of a bundle (parsed) under its verdict; `now` in POSIX seconds, for expiry only."""
    teller = _Teller(bundle, verdict, language)
    stages = teller.stages()
    parties = tuple(teller.signers[party["uri"]] for party in verdict["parties"])
    custodial = sum(1 for signer in parties if signer.custodial and not signer.operator)
    product = teller.product(stages, now)
    return Story(
        subject=name_of(teller.subject),
        product=product,
        route=_shortened(_route(stages)),
        stages=stages,
        parties=parties,
        custodial_parties=custodial,
        times=_times(verdict, stages, language) if stages else None,
        is_party=teller.subject in teller.events_of_parties,
    )


class _Teller:
    def __init__(self, bundle: dict[str, Any], verdict: dict[str, Any], language: Language) -> None:
        self.bundle, self.verdict, self.language = bundle, verdict, language
        self.subject: str = bundle["subject"]
        told = [stage["index"] for stage in verdict["stages"]]
        self.readers = {index: Reader(bundle["events"][index], index) for index in told}
        self.events_of_parties = _party_events(bundle) if told else {}
        operator = "https://" + verdict["log"]["origin"] if verdict["log"] else ""
        self.signers = {
            party["uri"]: self._signer(party, party["uri"] == operator)
            for party in verdict["parties"]
        }
        self.links = _links_by_event(bundle) if told else {}

    def _signer(self, party: dict[str, Any], operator: bool) -> Signer:
        return Signer(
            uri=party["uri"],
            name=self._party_name(party["uri"]),
            roles=tuple(self.language.term("role", role) for role in party["roles"]),
            role_codes=tuple(party["roles"]),
            icon=next((ROLE_ICONS[r] for r in party["roles"] if r in ROLE_ICONS), "building"),
            custodial=party["custody"] == "platform",
            operator=operator,
            stages=party["stages"],
        )

    def _party_name(self, uri: str) -> Claim:
        """The name of its registration, or its URI where it gave none."""
        for index in self.events_of_parties.get(uri, ()):
            reader = Reader(self.bundle["events"][index], index)
            if claim := reader.claim(self.language, "prov:name"):
                return claim
        return Claim(uri, "", "")

    def stages(self) -> tuple[Stage, ...]:
        """Every stage of the verdict, in its order."""
        see, late = self._cross_references(), self._late()
        return tuple(
            self._stage(number, stage, see.get(number), number in late)
            for number, stage in enumerate(self.verdict["stages"], 1)
        )

    def _late(self) -> set[int]:
        """Numbers of stages before which one that claims a later time stood in the ledger.

        Out of order is what matters, not how long after (DESIGN.md, "Late means out of order").
        """
        times = [
            (
                parse_claimed_time(self.readers[stage["index"]].text("eventTime")),
                parse_ledger_time(stage["ledgerTime"]),
            )
            for stage in self.verdict["stages"]
        ]
        # From the latest claim down: the earliest entry among those that claim a later time.
        late: set[int] = set()
        earliest: float = math.inf
        newest_first = sorted(enumerate(times, 1), key=lambda entry: -entry[1][0])
        for _, same in itertools.groupby(newest_first, key=lambda entry: entry[1][0]):
            entered = {number: ledger for number, (_, ledger) in same}
            late |= {number for number, ledger in entered.items() if earliest < ledger}
            earliest = min(earliest, *entered.values())
        return late

    def _stage(self, number: int, stage: dict[str, Any], see: int | None, late: bool) -> Stage:
        language, reader = self.language, self.readers[stage["index"]]
        step = bare(reader.text("bizStep"))
        claimed = reader.text("eventTime")
        key, seal_hash = self._seal(stage["index"])
        return Stage(
            number=number,
            index=stage["index"],
            event_hash=stage["event"],
            icon="pencil" if stage["state"] == "declaration" else STEP_ICONS.get(step, "dot"),
            title=language.term("step", step)
            if step
            else language.term("type", reader.text("type")),
            signer=self.signers[stage["party"]],
            roles=tuple(language.term("role", role) for role in stage["roles"]),
            custodial=stage["custody"] == "platform",
            place=_place(reader, language),
            via=self._via(stage["via"]),
            claimed=Claim(claimed, "", f"{reader.base}/event/eventTime"),
            claimed_text=language.moment(claimed),
            ledger=stage["ledgerTime"],
            ledger_text=language.moment(stage["ledgerTime"]),
            late=late,
            state=stage["state"],
            doubtful=stage["standing"] == "doubtful",
            recalled=_is_recall(reader),
            see=see,
            concealed=reader.concealed,
            facts=facts_of(reader, language),
            certificates=certificates_of(reader, language),
            raw=spelt(json.dumps(reader.event, ensure_ascii=False, indent=1, sort_keys=True)),
            key=key,
            seal_hash=seal_hash,
            links=self.links.get(stage["event"], ()),
        )

    def _via(self, uri: str) -> str:
        """Through what the stage belongs here, in words; "" when it is about the subject itself."""
        if uri == self.subject:
            return ""
        name = name_of(uri)
        key = name.kind if name.kind in ("00", "10", "21", "8003") else "other"
        return self.language.say(
            "stage.via", what=self.language.say(f"stage.via.{key}", id=name.number)
        )

    def _seal(self, index: int) -> tuple[str, str]:
        """Signing key (multikey) and seal hash (base64) of an event of the bundle."""
        entry = self.bundle["events"][index]
        sealed = entry["event"] if entry["seal"] is None else self.bundle["seals"][entry["seal"]]
        method = str(sealed["proof"].get("verificationMethod", ""))
        return method.rpartition("#")[2], canonical.encode_base64(
            leaf_hash(canonical.encode(sealed))
        )

    def _cross_references(self) -> dict[int, int]:
        """stage number -> the stage to look at: wrong -> correction, the two others -> wrong
        one."""
        by_id: dict[tuple[str, str], dict[str, int]] = {}
        for number, stage in enumerate(self.verdict["stages"], 1):
            event_id = self.readers[stage["index"]].text("eventID")
            by_id.setdefault((stage["party"], event_id), {})[stage["state"]] = number
        see: dict[int, int] = {}
        for (party, _), states in by_id.items():
            if "declaration" not in states or "declared-wrong" not in states:
                continue
            wrong, declaration = states["declared-wrong"], states["declaration"]
            see[declaration] = see[wrong] = wrong
            see[wrong] = declaration
            reader = self.readers[self.verdict["stages"][declaration - 1]["index"]]
            named, _, _ = reader.find("errorDeclaration", "correctiveEventIDs")
            for event_id in named if isinstance(named, list) else ():
                if correction := by_id.get((party, str(event_id)), {}).get("correction"):
                    see[wrong], see[correction] = correction, wrong
        return see

    def product(self, stages: Sequence[Stage], now: int) -> Product:
        """Name, brand, lot and dates: from believed events about the subject, else about its
        lot."""
        own = [s for s in stages if s.state in _BELIEVED and not s.via]
        lots = {
            lot_of(self.subject, self.readers[s.index].text(*_LOT))
            for s in own
            if self.readers[s.index].text(*_LOT)
        }
        about = {stage["index"]: stage["via"] for stage in self.verdict["stages"]}
        sources = own + [s for s in stages if s.state in _BELIEVED and about[s.index] in lots]
        named: Stage | None = None

        def first(*names: str) -> Claim | None:
            nonlocal named
            for stage in sources:
                for name in names:
                    claim = self.readers[stage.index].claim(self.language, "ilmd", name)
                    if claim:
                        named = named or stage
                        return claim
            return None

        name = first("trade:productName")
        if name is None and self.subject in self.events_of_parties:
            name = self._party_name(self.subject)
        expiry = first("cbvmda:itemExpirationDate")
        recall = next((s for s in sources if s.recalled), None)
        return Product(
            name=name,
            other_name=_other_name(name, self.language, self.readers, sources),
            brand=first("trade:brand"),
            lot=first("cbvmda:lotNumber"),
            made=first("trade:manufactured", "cbvmda:productionDate"),
            expiry=expiry,
            best_before=first("cbvmda:bestBeforeDate"),
            country=first("cbvmda:countryOfOrigin"),
            signer=named.signer if named else None,
            expired=_is_past(expiry, now),
            recalled_by=recall.signer if recall else None,
        )


def _times(verdict: dict[str, Any], stages: Sequence[Stage], language: Language) -> Times:
    """The four times of a record that has stages."""
    log = verdict["log"]
    as_of = log["asOf"]
    own = f"{log['origin']}/clock"
    return Times(
        claimed=_span([s.claimed.text for s in stages], parse_claimed_time, language),
        ledger=_span([s.ledger for s in stages], parse_ledger_time, language),
        witness=(as_of, language.moment(as_of)) if as_of else None,
        independent=any(name != own for name in log["cosigners"]),
        anchors=tuple(
            Dated(one["kind"], one["time"], language.moment(one["time"]))
            for one in verdict["anchors"]
        ),
    )


def _span(times: Sequence[str], parse: Callable[[str], int], language: Language) -> Span:
    first, last = min(times, key=parse), max(times, key=parse)
    return Span(first, language.moment(first), last, language.moment(last))


def _route(stages: Iterable[Stage]) -> list[Claim]:
    """The places of believed stages by claimed time; one that stays the same is named once."""
    believed = (stage for stage in stages if stage.state in _BELIEVED)
    by_time = sorted(believed, key=lambda stage: parse_claimed_time(stage.claimed.text))
    places = [stage.place for stage in by_time if stage.place is not None]
    return [next(same) for _, same in itertools.groupby(places, key=lambda place: place.text)]


def _shortened(route: Sequence[Claim]) -> tuple[Claim | None, ...]:
    """At most `MOST_STOPS` places, as many from the start as from the end."""
    half = MOST_STOPS // 2
    return (*route[:half], None, *route[-half:]) if len(route) > MOST_STOPS else tuple(route)


def _other_name(
    name: Claim | None, language: Language, readers: dict[int, Reader], sources: Sequence[Stage]
) -> Claim | None:
    """The product's name in the other language, if it has one that differs."""
    for stage in sources:
        claim = readers[stage.index].claim(language.other, "ilmd", "trade:productName")
        if claim and name and claim.text != name.text:
            return claim
    return None


def _place(reader: Reader, language: Language) -> Claim | None:
    """Where, in the signer's words: the read point's name, else the location's."""
    for member in ("readPoint", "bizLocation"):
        for name in ("trade:name", "name"):
            if claim := reader.claim(language, member, name):
                return claim
    return None


def _is_recall(reader: Reader) -> bool:
    """EPCIS 2.0 section 7.4.1.3: a disposition, or one that is set to persist."""
    lasting, _, _ = reader.find("persistentDisposition", "set")
    codes = [reader.text("disposition"), *(lasting if isinstance(lasting, list) else ())]
    return any(bare(str(code)) == "recalled" for code in codes)


def _is_past(date: Claim | None, now: int) -> bool:
    """True when the whole day (UTC) of an expiry date lies behind us."""
    try:
        day = datetime.fromisoformat(date.text[:10] + "T00:00:00+00:00") if date else None
    except ValueError:
        return False
    return day is not None and now >= day.timestamp() + 86_400


def _party_events(bundle: dict[str, Any]) -> dict[str, list[int]]:
    """Party URI -> indexes of the events about it, in the bundle's order."""
    found: dict[str, list[int]] = {}
    for index, entry in enumerate(bundle["events"]):
        party = entry["event"].get("prov:party")
        if isinstance(party, str):
            found.setdefault(party, []).append(index)
    return found


def _links_by_event(bundle: dict[str, Any]) -> dict[str, tuple[tuple[str, str], ...]]:
    """Event hash (base64) -> (subject URI, link hash in base64) of every link that carries it."""
    found: dict[str, list[tuple[str, str]]] = {}
    for subject in bundle["subjects"]:
        for link in subject.get("links", ()):
            link_hash = canonical.encode_base64(leaf_hash(canonical.encode(link)))
            found.setdefault(link["event"], []).append((subject["uri"], link_hash))
    return {event: tuple(pairs) for event, pairs in found.items()}
