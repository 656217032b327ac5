"""The lies of `tests.support.lying`, each with the verdict that must come of it.

    @lie("history-incomplete", "subjects[0]")
    def omits_the_last_event(truth): …                 the bundle that the server double serves

The docstring of a lie is told to those who read the data files (tests/vectors/adversary/README.md).
`passes_alone`: a reader who lets the operator vouch for itself, and knows nothing from elsewhere,
believes it. That is no defect of the verifier, and it is tested too: nobody shall think otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from merkle.policy import Policy
from provenance.domain import canonical, party_events
from provenance.domain.chain import Link, decode_link, subject_key
from provenance.domain.event import read_event
from provenance.domain.passport import AbsentSubject, BundledEvent, Passport, PresentSubject
from provenance.domain.seal import parse_seal
from tests.support.builders import ORIGIN, Actor, complete, item_event, item_uri, make_key
from tests.support.clock import START
from tests.support.lying import (
    COSIGNER,
    ITEM,
    MINUTE,
    OPERATORS_POLICY,
    READERS_POLICY,
    Told,
    Truth,
    event_hash,
    parse_note,
    replay,
)

DAY = 86_400


@dataclass(frozen=True)
class Served:
    """What the double serves; `known` what the reader has from elsewhere, `later` seconds pass."""

    passport: Passport
    known: tuple[Any, ...] = ()
    later: int = 0


@dataclass(frozen=True)
class Lie:
    """One lie. `tell` makes it; `policy` is the reader's."""

    name: str
    about: str
    reason: str
    place: str
    policy: Policy
    passes_alone: bool
    tell: Callable[[Truth], Served]


LIES: dict[str, Lie] = {}


def lie(
    reason: str, place: str, *, policy: Policy = READERS_POLICY, passes_alone: bool = False
) -> Callable[[Callable[[Truth], Served | Passport]], None]:
    """Register a lie under its function's name."""

    def register(make: Callable[[Truth], Served | Passport]) -> None:
        def tell(truth: Truth) -> Served:
            made = make(truth)
            return made if isinstance(made, Served) else Served(made)

        name = make.__name__.replace("_", "-")
        about = " ".join((make.__doc__ or "").split())
        assert about, name
        LIES[name] = Lie(name, about, reason, place, policy, passes_alone, tell)

    return register


def with_item(honest: Passport, **changes: Any) -> Passport:
    """The passport with something else about its own subject."""
    own = honest.subjects[0]
    assert isinstance(own, PresentSubject)
    return replace(honest, subjects=(replace(own, **changes), *honest.subjects[1:]))


def own(passport: Passport) -> PresentSubject:
    subject = passport.subjects[0]
    assert isinstance(subject, PresentSubject)
    return subject


def on_item(link: Link) -> bool:
    return link.key == subject_key(ITEM)


def without_event(truth: Truth, number: int) -> Told:
    """Another history, in which the item's event of this number never was."""
    gone = own(truth.passports[4]).links[number].event
    return truth.rewritten(lambda links: [link for link in links if link.event != gone])


# --- it omits the last event ----------------------------------------------------------------------


@lie("history-incomplete", "subjects[0]")
def omits_the_last_event(truth: Truth) -> Passport:
    """The newest event and its link are left out, under the true checkpoint and the true map."""
    honest = truth.passports[4]
    links = own(honest).links[:-1]
    told = {link.event for one in honest.subjects[1:] for link in getattr(one, "links", ())}
    told |= {link.event for link in links}
    events = tuple(one for one in honest.events if event_hash(one) in told)
    return replace(with_item(honest, links=links), events=events)


@lie("map-presence", "subjects[0]")
def omits_the_last_event_and_says_the_map_agrees(truth: Truth) -> Passport:
    """The item as it stood one event ago, its old map value and its old proof, under the true
    checkpoint of today."""
    old = own(truth.passports[3])
    honest = truth.passports[4]
    events = truth.passports[3].events
    return replace(honest, subjects=(old, *honest.subjects[1:]), events=events)


@lie("quorum-missing", "checkpoint", passes_alone=True)
def omits_the_last_event_from_the_map(truth: Truth) -> Passport:
    """The log has the event, and the operator signs a map that leaves it out. Every proof fits.
    The witness that checks the map does not cosign; a reader who asks for its line is not fooled.
    """
    entries = truth.entries()
    last = own(truth.passports[4]).links[-1].event
    kept = [e for e in entries if not e.startswith(b"{") or decode_link(e).event != last]
    return truth.tell(entries, believing=kept).passport(truth.passports[4])


@lie("checkpoint-stale", "checkpoint")
def omits_the_last_event_by_an_old_checkpoint(truth: Truth) -> Served:
    """Yesterday's passport, true as it was, served on the day after the event."""
    return Served(truth.passports[3], later=DAY + 60)


# --- it omits one in the middle -------------------------------------------------------------------


@lie("link-order", "subjects[0].links[1]")
def omits_an_event_in_the_middle(truth: Truth) -> Passport:
    """A link and its event are left out, under the true checkpoint."""
    honest = truth.passports[4]
    links = own(honest).links
    gone = links[1].event
    events = tuple(one for one in honest.events if event_hash(one) != gone)
    return replace(with_item(honest, links=(links[0], *links[2:])), events=events)


@lie("event-missing", "subjects[0].links[1]")
def omits_what_a_link_in_the_middle_stands_for(truth: Truth) -> Passport:
    """The link is shown, its event is not."""
    honest = truth.passports[4]
    gone = own(honest).links[1].event
    return replace(honest, events=tuple(one for one in honest.events if event_hash(one) != gone))


@lie("link-broken", "subjects[0].links[1]")
def omits_an_event_and_numbers_the_rest_anew(truth: Truth) -> Passport:
    """The links after the one left out are numbered anew, but hang on what is no longer there."""
    honest = truth.passports[4]
    links = own(honest).links
    kept = (links[0], *(replace(link, seq=link.seq - 1) for link in links[2:]))
    gone = links[1].event
    events = tuple(one for one in honest.events if event_hash(one) != gone)
    return replace(with_item(honest, links=kept), events=events)


@lie("quorum-missing", "checkpoint", passes_alone=True)
def omits_an_event_in_the_middle_of_another_history(truth: Truth) -> Passport:
    """The whole log is written anew without the event, and signed. The witness has seen another
    beginning and does not cosign."""
    return without_event(truth, 1).passport(truth.passports[4])


# --- it reorders ----------------------------------------------------------------------------------


def _swapped(links: tuple[Link, ...]) -> tuple[Link, ...]:
    return (links[0], links[2], links[1], *links[3:])


@lie("link-order", "subjects[0].links[1]")
def reorders_two_events(truth: Truth) -> Passport:
    """Two links change places, under the true checkpoint."""
    honest = truth.passports[4]
    return with_item(honest, links=_swapped(own(honest).links))


@lie("link-time", "subjects[0].links[3]", policy=OPERATORS_POLICY)
def reorders_a_history_with_its_times(truth: Truth) -> Passport:
    """The log is written anew with the last two events in another order, each with its own time,
    and signed; the map agrees. Time runs backwards, which no reader takes, however little it asks.
    """

    def change(links: list[Link]) -> list[Link]:
        item = [link for link in links if on_item(link)]
        rest = [link for link in links if not on_item(link)]
        return [*rest, item[0], item[1], item[3], item[2]]

    return truth.rewritten(change).passport(truth.passports[4])


@lie("quorum-missing", "checkpoint", passes_alone=True)
def reorders_a_history_and_its_times(truth: Truth) -> Passport:
    """The log is written anew with two events in another order and times that fit. The witness
    does not cosign what does not continue what it saw."""

    def change(links: list[Link]) -> list[Link]:
        item = [link for link in links if on_item(link)]
        rest = [link for link in links if not on_item(link)]
        swapped = [item[0], replace(item[3], time=item[1].time), item[1], item[2]]
        return [*rest, *swapped]

    return truth.rewritten(change).passport(truth.passports[4])


# --- it forks -------------------------------------------------------------------------------------


def parted(truth: Truth) -> Told:
    """As many entries as the truth, with another last batch: one reader is told of a recall."""
    entries = truth.entries()
    links = truth.links()
    gone = own(truth.passports[4]).links[-1].event
    kept = [link for link in links if link.event != gone]
    beginning = entries[: truth.sizes[3]]
    third = item_uri(3)
    event = read_event(item_event(1, 3, at=START + 3 * MINUTE, disposition="recalled"))
    tail = []
    for uri in (ITEM, third):
        chain = [link for link in kept if link.key == subject_key(uri)]
        prev = chain[-1].hash if chain else None
        tail.append(
            Link(subject_key(uri), len(chain), prev, event.hash, event.hash, truth.ledger.clock())
        )
    return truth.tell([*beginning, *(link.encode() for link in tail)])


@lie("log-forked", "known[0]", policy=OPERATORS_POLICY, passes_alone=True)
def forks_and_the_reader_has_the_evidence(truth: Truth) -> Served:
    """Two histories of one length, both signed. This reader is shown the one; somebody who was
    shown the other made evidence of the two notes, and gave it to the reader."""
    other = parted(truth)
    evidence = other.evidence_against(truth.notes[4])
    return Served(truth.passports[4], known=(evidence.to_json(),))


@lie("log-forked", "known[0]", policy=OPERATORS_POLICY, passes_alone=True)
def forks_and_the_reader_saw_the_other_side(truth: Truth) -> Served:
    """The reader kept the note of a checkpoint of this length, with another root."""
    return Served(truth.passports[4], known=(parted(truth).note,))


@lie("log-forked", "known[1]", policy=OPERATORS_POLICY, passes_alone=True)
def forks_at_another_length(truth: Truth) -> Served:
    """The log is written anew, and is longer now than what was seen; the proof that it begins
    otherwise goes with both notes. The first item that the reader brings is an honest note."""
    told = truth.rewritten(lambda links: [*links[:-3], *links[-2:], _one_more(truth)])
    evidence = told.evidence_against(truth.notes[3])
    return Served(truth.passports[4], known=(truth.notes[3], evidence.to_json()))


def _one_more(truth: Truth) -> Link:
    event = read_event(item_event(9))
    key = subject_key(item_uri(9))
    return Link(key, 0, None, event.hash, event.hash, truth.ledger.clock())


@lie("log-forked", "forks[0]")
def forks_and_a_mirror_attaches_the_evidence(truth: Truth) -> Passport:
    """Whoever hands a passport on may attach what speaks against its log."""
    evidence = parted(truth).evidence_against(truth.notes[4])
    return replace(truth.passports[4], forks=(evidence,))


@lie("quorum-missing", "checkpoint", passes_alone=True)
def forks_and_shows_the_side_that_no_witness_saw(truth: Truth) -> Passport:
    """The other side of the fork, in which the item was never shipped, signed by the operator
    alone."""
    gone = own(truth.passports[4]).links[-1].event
    beginning = truth.entries()[: truth.sizes[3]]
    told = truth.tell([*beginning, _one_more(truth).encode()])
    assert gone not in {link.event for link in told.mapped.links[subject_key(ITEM)]}
    return told.passport(truth.passports[4])


# --- it replays a stale checkpoint ----------------------------------------------------------------


@lie("checkpoint-stale", "checkpoint")
def replays_a_stale_checkpoint(truth: Truth) -> Served:
    """The newest that there is, two days later."""
    return Served(truth.passports[4], later=2 * DAY)


@lie("checkpoint-stale", "checkpoint", passes_alone=True)
def replays_a_stale_checkpoint_under_a_fresh_clock(truth: Truth) -> Served:
    """The operator's clock cosigns the old state again today. The age of a checkpoint is that of
    the quorum, and the witness said no more since."""
    old = truth.passports[3]
    text = parse_note(old.checkpoint.encode()).text
    fresh = COSIGNER.cosign(text.encode(), truth.now + 2 * DAY - 60).format()
    return Served(replace(old, checkpoint=old.checkpoint + fresh), later=2 * DAY)


@lie("checkpoint-future", "checkpoint", policy=OPERATORS_POLICY)
def dates_a_checkpoint_ahead(truth: Truth) -> Passport:
    """So that it stays fresh for long, the operator's clock says next week."""
    honest = truth.passports[4]
    text = parse_note(honest.checkpoint.encode()).text
    ahead = COSIGNER.cosign(text.encode(), truth.now + 7 * DAY).format()
    return replace(honest, checkpoint=honest.checkpoint + ahead)


# --- it serves a wrong map root -------------------------------------------------------------------


@lie("map-head-inclusion", "mapHead")
def serves_a_wrong_map_root(truth: Truth) -> Passport:
    """A map without the last event, under a map head that the log did not commit to."""
    honest = truth.passports[4]
    old = honest.map_head.entry.split("\n")
    old[2] = truth.passports[3].map_head.entry.split("\n")[2]
    return replace(honest, map_head=replace(honest.map_head, entry="\n".join(old)))


@lie("map-head-malformed", "mapHead")
def serves_an_older_map_root(truth: Truth) -> Passport:
    """The map head of the state before, which the log does hold, but not as its last entry."""
    honest = truth.passports[4]
    return replace(honest, map_head=truth.passports[3].map_head)


@lie("quorum-missing", "checkpoint", passes_alone=True)
def signs_a_wrong_map_root(truth: Truth) -> Passport:
    """The log is true, entry by entry; the map head that the operator signs is of a map in which
    the item's history ends after its first event. Who replays the map sees it."""
    entries = truth.entries()
    return truth.tell(entries, believing=entries[: truth.sizes[1]]).passport(truth.passports[4])


# --- it swaps keys in a party's chain -------------------------------------------------------------


def impostor(truth: Truth) -> Actor:
    """The mill's name under a key of the operator's making."""
    return truth.mill.with_key(make_key("the operator's own key for the mill"))


def _registration(truth: Truth) -> int:
    """Where the mill's registration stands in the honest bundle."""
    documents = [one.document for one in truth.passports[4].events]
    return next(
        index
        for index, document in enumerate(documents)
        if document["type"] == "prov:PartyRegistered" and document["prov:party"] == truth.mill.uri
    )


@lie("event-altered", "events[4]")
def swaps_the_key_in_a_registration(truth: Truth) -> Passport:
    """The mill's registration is shown with another key in it."""
    honest, place = truth.passports[4], _registration(truth)
    one = honest.events[place]
    document = {**one.document, "prov:key": impostor(truth).multikey}
    events = (*honest.events[:place], replace(one, document=document), *honest.events[place + 1 :])
    return replace(honest, events=events)


@lie("event-unlinked", "events[4]")
def swaps_a_registration_for_one_sealed_anew(truth: Truth) -> Passport:
    """A registration with another key, well sealed by that key, in the place of the mill's own."""
    honest, place = truth.passports[4], _registration(truth)
    seal, one = sealed(impostor(truth), impostor(truth).registration(), len(honest.seals))
    events = (*honest.events[:place], one, *honest.events[place + 1 :])
    return replace(honest, seals=(*honest.seals, seal), events=events)


def sealed(who: Actor, document: dict[str, Any], number: int) -> tuple[Any, BundledEvent]:
    """One event under a seal of its own, which is to be the bundle's seal of this number."""
    seal_line, event_line = who.sealed([document])
    event = canonical.parse(event_line)
    assert isinstance(event, dict)
    return parse_seal(seal_line), BundledEvent(event, number, 0, ())


@lie("key-unknown", "events[7]")
def signs_with_a_key_that_the_party_never_had(truth: Truth) -> Passport:
    """An event in the mill's name under a key that is on no chain of it, truly logged and mapped,
    truly cosigned: log, map and witness judge no signatures, the reader does."""
    honest = truth.passports[4]
    seal, one = sealed(impostor(truth), item_event(1, at=START + 4 * MINUTE), len(honest.seals))
    told = truth.tell([*truth.entries(), _next_link(truth, ITEM, one, seal).encode()])
    return told.passport(replace(honest, seals=(*honest.seals, seal)), one)


def _next_link(truth: Truth, uri: str, one: BundledEvent, seal: Any) -> Link:
    chain = [link for link in truth.links() if link.key == subject_key(uri)]
    prev = chain[-1].hash if chain else None
    time = truth.ledger.clock()
    return Link(subject_key(uri), len(chain), prev, event_hash(one), seal.hash, time)


@lie("party-history", "subjects[1].links[2]")
def adds_a_key_to_a_party_without_its_possession(truth: Truth) -> Passport:
    """A second key on the mill's own chain, truly logged, mapped and cosigned, sealed by the
    operator, but with a proof of possession by another key than the one added."""
    honest, new = truth.passports[4], impostor(truth)
    false = truth.world.operator.key.sign(
        party_events.possession_message(origin=ORIGIN, party=new.uri, key=new.multikey)
    )
    document = complete(
        party_events.key_added(new.uri, key=new.multikey, possession=false), at=truth.ledger.clock()
    )
    seal, one = sealed(truth.world.operator, document, len(honest.seals))
    told = truth.tell([*truth.entries(), _next_link(truth, new.uri, one, seal).encode()])
    return told.passport(replace(honest, seals=(*honest.seals, seal)), one)


@lie("quorum-missing", "checkpoint", passes_alone=True)
def swaps_a_partys_key_in_another_history(truth: Truth) -> Passport:
    """The whole log is written anew: the mill registered with a key of the operator's making, and
    everything of the mill's was sealed by it. All signatures are good; only the witness remembers.
    """
    honest, new = truth.passports[4], impostor(truth)
    seals, events, renamed = list(honest.seals), [], {}
    for one in honest.events:
        assert one.seal is not None
        if honest.seals[one.seal].party != truth.mill.uri:
            events.append(one)
            continue
        document = dict(one.document)
        if document["type"] == "prov:PartyRegistered":
            document["prov:key"] = new.multikey
        seal, again = sealed(new, document, len(seals))
        seals.append(seal)
        events.append(again)
        renamed[event_hash(one)] = (event_hash(again), seal.hash)

    def change(links: list[Link]) -> list[Link]:
        return [
            replace(link, event=renamed[link.event][0], seal=renamed[link.event][1])
            if link.event in renamed
            else link
            for link in links
        ]

    told = truth.rewritten(change)
    return told.passport(replace(honest, seals=tuple(seals), events=tuple(events)))


# --- it presents absence for a present subject ----------------------------------------------------


def absent(honest: Passport, proof: bytes) -> Passport:
    return replace(honest, subjects=(AbsentSubject(ITEM, proof),), seals=(), events=())


@lie("map-absence", "subjects[0]")
def presents_absence_by_anothers_proof(truth: Truth) -> Passport:
    """A true proof that some other identifier has no history, given out as the item's."""
    proof = replay(truth.entries()).map.prove(subject_key(item_uri(404)))
    return absent(truth.passports[4], proof)


@lie("map-absence", "subjects[0]")
def presents_absence_by_an_old_proof(truth: Truth) -> Passport:
    """The item was absent, before it was made; the proof of that day, under today's checkpoint."""
    proof = replay(truth.entries()[: truth.sizes[1] - 2]).map.prove(subject_key(ITEM))
    return absent(truth.passports[4], proof)


@lie("map-absence", "subjects[0]")
def presents_absence_by_the_proof_of_presence(truth: Truth) -> Passport:
    """The proof that the item is there, given out as one that it is not."""
    return absent(truth.passports[4], own(truth.passports[4]).map)


@lie("quorum-missing", "checkpoint", passes_alone=True)
def presents_absence_by_a_map_that_forgot(truth: Truth) -> Passport:
    """The log has the item; the operator signs a map without it, and proves absence from that."""
    entries = truth.entries()
    kept = [e for e in entries if not e.startswith(b"{") or not on_item(decode_link(e))]
    return truth.tell(entries, believing=kept).passport(truth.passports[4])
