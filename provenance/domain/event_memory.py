"""Events judged by what was judged before: the fast door of capture.

The events of one partner are alike. Its places, its parties and its business steps stand in
thousands of them, letter for letter, and only the item, the time and the nonce are new. So an event
is taken apart at its members without reading them, and each member's bytes are looked up among
those that were found good before *for this very member of this type of event under this context*.
What is not there is judged by the same checkers as ever (:mod:`provenance.domain.event_forms`) and
then remembered; rules over several members (:mod:`provenance.domain.event_rules`) are applied to
every event anew. There is no second table of rules.

:func:`find_good_event` gives an event only if ``event.parse_event`` would give the same one, and
None for everything else: whether it is bad, or odd, or only too rare to be quick about, the long
way says. It never refuses.

Why the line itself is the canonical form (RFC 8785) when this says so: its members stand in order,
once each, without white space (the parts joined again are the line); each member's bytes are their
own canonical form (:mod:`provenance.domain.certain`, or a pattern that allows one spelling only).

What is remembered is bounded: some thousand values of at most 512 bytes for the whole process, the
least recently used forgotten first. A remembered value is shared by the events that hold it, so
documents must not be changed; nobody does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, Final, TypeAlias

import msgspec

from provenance.domain import canonical, wire
from provenance.domain.canonical import MAX_DEPTH, MAX_EVENT_BYTES
from provenance.domain.certain import has_no_traps, parse_certain
from provenance.domain.context import prefixes_of
from provenance.domain.event_forms import FORMS
from provenance.domain.event_rules import judge_together
from provenance.domain.forms import Report
from provenance.domain.moments import MomentError, parse_claimed_time
from provenance.domain.proof import Proof
from provenance.domain.seal import own_proof
from provenance.domain.wire import FormError
from qr.plain import find_plain

Read: TypeAlias = Callable[[bytes], Any]
"""From a member's bytes to its value. Raises _UnsureError: take the long way."""

_SPLIT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_JOIN: Final = msgspec.json.Encoder()
_TEXTS: Final = msgspec.json.Decoder(list[str])

_REMEMBERED: Final = 4_096
_MOST_REMEMBERED_BYTES: Final = 512
# A line that begins so and lacks one of them is no event, or one for the long way.
_NEEDED: Final = frozenset({"@context", "type", "eventTime"})
_LONG_WAY: Final = frozenset({"errorDeclaration"})  # loosens the rules for all other members


class _UnsureError(Exception):
    """Not certainly good."""


@dataclass(frozen=True, slots=True)
class GoodEvent:
    """A line that is a valid event and its own canonical form.

    `document` is the event as ``canonical.parse`` would give it, its ``proof`` (if it has one)
    judged by nobody yet; `parts` are the members' bytes; `event_time` claimed microseconds.
    """

    document: Mapping[str, Any]
    parts: Mapping[str, bytes]
    event_time: int


def find_good_event(line: bytes) -> GoodEvent | None:
    """The event of a line if it is certainly good; see the module text for None."""
    if len(line) > MAX_EVENT_BYTES or not has_no_traps(line):
        return None
    try:
        raw = _SPLIT.decode(line)
        if not raw.keys() >= _NEEDED or _JOIN.encode(raw) != line:
            return None
        parts = {name: bytes(part) for name, part in raw.items()}
        shape = _shape(tuple(parts), parts["type"], parts["@context"])
        document = {
            name: read(part)
            for read, (name, part) in zip(shape.readers, parts.items(), strict=True)
        }
        report = Report(shape.prefixes)
        judge_together(shape.kind, document, report)
        if report.violations:
            return None
        return GoodEvent(document, parts, parse_claimed_time(document["eventTime"]))
    except (msgspec.DecodeError, UnicodeDecodeError, MomentError, _UnsureError):
        return None


@dataclass(frozen=True, slots=True)
class SignedParts:
    """An event's own proof, of its form, and the two canonical texts that it signs.

    `options` is the proof without ``proofValue``, `unsigned` the event without ``proof``.
    """

    proof: Proof
    options: bytes
    unsigned: bytes


# A proof in the order of its canonical form; what is new in every event stands apart.
_PROOF: Final = re.compile(
    rb'(\{"@context":.*?,)"created":"([0-9TZ:-]{20})",(.*?)'
    rb'"proofValue":"(z[1-9A-HJ-NP-Za-km-z]{1,100})",(.*\})',
    re.DOTALL,
)
_SAMPLE_CREATED: Final = "1970-01-01T00:00:00Z"
_SAMPLE_VALUE: Final = "z"


def find_signed_parts(good: GoodEvent) -> SignedParts | None:
    """What the event's own ``proof`` signs, if its form is certainly good; see `find_good_event`.

    The signature itself is judged by nobody here.
    """
    match = _PROOF.fullmatch(good.parts["proof"])
    if match is None:
        return None
    head, created, middle, value, tail = match.groups()
    try:
        around = _proof_around(head, middle, tail, good.parts["@context"])
        wire.read_seconds({"created": created.decode("ascii")}, "created")
    except (_UnsureError, FormError):
        return None
    proof = replace(around, created=created.decode("ascii"), value=value.decode("ascii"))
    options = b"".join((head, b'"created":"', created, b'",', middle, tail))
    unsigned = {name: msgspec.Raw(part) for name, part in good.parts.items() if name != "proof"}
    return SignedParts(proof, options, _JOIN.encode(unsigned))


@lru_cache(maxsize=1_024)
def _proof_around(head: bytes, middle: bytes, tail: bytes, context: bytes) -> Proof:
    """The proof with samples in the two places; raises _UnsureError if the form is not certain.

    The samples must come out as the members that they are meant to be: the same words inside
    another member would be found there in every proof with this surrounding.
    """
    whole = (
        f'"created":"{_SAMPLE_CREATED}",'.encode(),
        middle,
        f'"proofValue":"{_SAMPLE_VALUE}",'.encode(),
    )
    value = _parse(b"".join((head, *whole, tail)))
    found = (value.get("created"), value.get("proofValue"))
    if found != (_SAMPLE_CREATED, _SAMPLE_VALUE):
        raise _UnsureError
    try:
        proof = own_proof({"@context": _parse(context), "proof": value})
    except FormError as error:
        raise _UnsureError from error
    assert proof is not None  # noqa: S101 -- there is a proof
    return proof


@dataclass(frozen=True, slots=True)
class _Shape:
    """Which members an event has: type, a reader for each in order, the context's prefixes."""

    kind: str
    readers: tuple[Read, ...]
    prefixes: frozenset[str]


@lru_cache(maxsize=1_024)
def _shape(names: tuple[str, ...], type_: bytes, context: bytes) -> _Shape:
    """The shape of an event with exactly these members; raises _UnsureError if there is none."""
    kind = str(parse_certain(type_))  # a type that is no string makes no name of a form
    form = FORMS.get(kind)
    if form is None or len(context) > _MOST_REMEMBERED_BYTES or _LONG_WAY.intersection(names):
        raise _UnsureError
    if list(names) != sorted(names) or form.missing(set(names)):
        raise _UnsureError
    readers = tuple(_reader(kind, context, name) for name in names)
    return _Shape(kind, readers, _prefixes(context))


def _reader(kind: str, context: bytes, name: str) -> Read:
    if name == "type":
        return lambda _: kind
    judge = partial(_judge, kind, context, name)
    special = _READERS.get(name)
    if special is not None:
        return partial(special, judge)
    remembered = partial(_remembered, kind, context, name)
    return lambda data: (remembered if len(data) <= _MOST_REMEMBERED_BYTES else judge)(data)


def _judge(kind: str, context: bytes, name: str, data: bytes) -> Any:
    """The value of one member, by the checkers that judge it in any event of this type."""
    value = _parse(data)
    report = Report(_prefixes(context))
    FORMS[kind].judge_member(name, value, None, report)
    if report.violations:
        raise _UnsureError
    return value


_remembered: Final = lru_cache(maxsize=_REMEMBERED)(_judge)


@lru_cache(maxsize=64)
def _prefixes(context: bytes) -> frozenset[str]:
    return prefixes_of(_parse(context))


def _parse(data: bytes) -> Any:
    """The value of bytes that are their own canonical form; raises _UnsureError for others."""
    depth = MAX_DEPTH - 1  # the event itself is one level
    value = parse_certain(data, max_depth=depth)
    if value is not None:
        return value
    try:  # fractions, for one: a sensor's readings
        value = canonical.parse(data, max_depth=depth)
        if canonical.encode(value) == data:
            return value
    except canonical.MalformedJsonError:
        pass
    raise _UnsureError


# --- members that are new in every event: remembering them would only push out what comes again ---

_TIME: Final = re.compile(rb'"([0-9TZ:.+-]{20,40})"')
# 16 bytes are 21 letters, 2 bits of a 22nd, and the padding (RFC 4648 section 4).
_EVENT_ID: Final = re.compile(
    rb'"(urn:uuid:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}'
    rb'|ni:///sha-256;[0-9a-f]{64}\?ver=CBV2\.0)"'
)
_NONCE: Final = re.compile(rb'"([A-Za-z0-9+/]{21}[AQgw]==)"')


def _read_time(judge: Read, data: bytes) -> Any:
    match = _TIME.fullmatch(data)
    # Whether there is such a time is judged with the event's time, which everybody needs anyway.
    return match[1].decode("ascii") if match else judge(data)


def _read_event_id(judge: Read, data: bytes) -> Any:
    match = _EVENT_ID.fullmatch(data)  # the two kinds of EPCIS 2.0 section 8.9; URIs both
    return match[1].decode("ascii") if match else judge(data)


def _read_nonce(judge: Read, data: bytes) -> Any:
    match = _NONCE.fullmatch(data)
    return match[1].decode("ascii") if match else judge(data)


def _read_identifiers(judge: Read, data: bytes) -> Any:
    values = _TEXTS.decode(data)
    if _JOIN.encode(values) != data or len(set(values)) != len(values):
        return judge(data)
    for value in values:
        if find_plain(value) is None:
            return judge(data)
    return values


def _judge_anew(judge: Read, data: bytes) -> Any:
    return judge(data)


def _leave(_judge: Read, data: bytes) -> Any:
    """The proof: its form is judged with its signature, by whoever may read this event."""
    return _parse(data)


_READERS: Final[Mapping[str, Callable[[Read, bytes], Any]]] = {
    "eventTime": _read_time,
    "prov:nonce": _read_nonce,
    "eventID": _read_event_id,
    "recordTime": _judge_anew,
    "proof": _leave,
    **dict.fromkeys(("epcList", "childEPCs", "inputEPCList", "outputEPCList"), _read_identifiers),
}
