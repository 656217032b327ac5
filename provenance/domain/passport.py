"""The passport bundle: everything that a phone needs to check one subject's history, in one JSON.

    {"v":1,"type":"prov:Passport","subject":…,"checkpoint":…,"mapHead":{…},
     "subjects":[…],"seals":[…],"events":[…],
     "forks":[…]?,"policy":…?,"succession":[…]?,"anchors":[…]?}

docs/formats.md section 8 has it all. :func:`read_passport` does steps 1 to 3 of section 10: the
form is judged, nothing is believed. :meth:`Passport.to_json` is its inverse and makes bundles.

Refusals name a place as section 10 does (``subjects[2]``); the order of the checks is part of the
format, since the first failure is the verdict and two implementations must agree on it.

Whether it is true is for ``provenance.verify``. Twin: ``static/js/verify/passport.js``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from provenance.domain import canonical, wire
from provenance.domain.canonical import (
    MAX_BUNDLE_BYTES,
    Base64Error,
    MalformedJsonError,
    decode_base64,
    encode_base64,
)
from provenance.domain.chain import MAX_URI_BYTES, Link, MalformedLinkError, read_link
from provenance.domain.errors import DomainError
from provenance.domain.fork import ForkEvidence, read_fork
from provenance.domain.moments import format_ledger_time
from provenance.domain.seal import MalformedSealError, Seal, read_seal
from provenance.domain.wire import FormError

PASSPORT_TYPE: Final = "prov:Passport"
MAX_BUNDLE_DEPTH: Final = 40  # an event of the full depth of 32 stands four levels down
MAX_SUBJECTS: Final = 1_024
MAX_FORKS: Final = 8
MAX_SUCCESSIONS: Final = 8
MAX_ANCHORS: Final = 16
MAX_POLICY_BYTES: Final = 65_536

_MEMBERS: Final = frozenset(
    {"v", "type", "subject", "checkpoint", "mapHead", "subjects", "seals", "events"}
    | {"forks", "policy", "succession", "anchors"}
)
_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}")
_TRANSACTION: Final = re.compile(r"0x[0-9a-fA-F]{64}")
_T = TypeVar("_T")


class PassportError(DomainError):
    """Bytes that are no bundle; `code` and `place` are those of steps 1 to 3.

    `usable` is False where they are not even a passport (steps 1 and 2): nobody claimed anything.
    """

    def __init__(self, code: str, place: str, detail: str, *, usable: bool) -> None:
        super().__init__(f"{place}: {detail}")
        self.code = code
        self.place = place
        self.usable = usable


@dataclass(frozen=True, slots=True)
class MapHeadProof:
    """The map head's text and the path (32-byte hashes) that shows it to be the last entry."""

    entry: str
    proof: tuple[bytes, ...]

    def to_json(self) -> dict[str, Any]:
        """The member ``mapHead``."""
        return {"entry": self.entry, "proof": _hashes(self.proof)}


@dataclass(frozen=True, slots=True)
class MapEntry:
    """What the map says of a subject: number of links, newest link's hash, root, its log index."""

    count: int
    head: bytes
    root: bytes
    index: int


@dataclass(frozen=True, slots=True)
class PresentSubject:
    """A subject with its whole history: all links, the map's word on them, and both proofs."""

    uri: str
    links: tuple[Link, ...]
    value: MapEntry
    map: bytes
    inclusion: tuple[bytes, ...]

    def to_json(self) -> dict[str, Any]:
        """One of ``subjects``."""
        value = self.value
        return {
            "uri": self.uri,
            "links": [link_document(link) for link in self.links],
            "value": {
                "count": value.count,
                "head": encode_base64(value.head),
                "root": encode_base64(value.root),
                "index": value.index,
            },
            "map": encode_base64(self.map),
            "inclusion": _hashes(self.inclusion),
        }


@dataclass(frozen=True, slots=True)
class AbsentSubject:
    """A subject that the map is said not to have, with the proof of that."""

    uri: str
    absence: bytes

    def to_json(self) -> dict[str, Any]:
        """One of ``subjects``."""
        return {"uri": self.uri, "absence": encode_base64(self.absence)}


@dataclass(frozen=True, slots=True)
class BundledEvent:
    """An event and how it hangs on its seal.

    `seal` is an index into the bundle's seals, None for an event that carries its own proof; `leaf`
    and `path` its place in the seal's tree and the way to the root.
    """

    document: Mapping[str, Any]
    seal: int | None
    leaf: int
    path: tuple[bytes, ...]
    disclosures: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """One of ``events``; ``disclosures`` only where there are any."""
        members = {
            "event": self.document,
            "seal": self.seal,
            "leaf": self.leaf,
            "path": _hashes(self.path),
        }
        return {**members, "disclosures": list(self.disclosures)} if self.disclosures else members


@dataclass(frozen=True, slots=True)
class Anchor:
    """A checkpoint (signed note) that some third party is said to have dated.

    `kind` is ``rfc3161`` or ``evm``, `time` text ``YYYY-MM-DDTHH:MM:SSZ``, `consistency` the proof
    from that checkpoint to the bundle's; `proof` what the third party gave, by kind:
    ``{"token"}`` or ``{"chain","contract","transaction","block"}``.
    """

    kind: str
    checkpoint: str
    consistency: tuple[bytes, ...]
    time: str
    proof: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """One of ``anchors``."""
        return {
            "kind": self.kind,
            "checkpoint": self.checkpoint,
            "consistency": _hashes(self.consistency),
            "time": self.time,
            "proof": dict(self.proof),
        }


@dataclass(frozen=True, slots=True)
class Passport:
    """A bundle of the right form. `subjects[0]` is the one that it is about.

    The last four are left out of the JSON where there are none: evidence that the log has forked,
    the text of the policy that the platform proposes (None: none), notes by which the log's key
    passes to the next, anchors.
    """

    checkpoint: str
    map_head: MapHeadProof
    subjects: tuple[PresentSubject | AbsentSubject, ...]
    seals: tuple[Seal, ...]
    events: tuple[BundledEvent, ...]
    forks: tuple[ForkEvidence, ...] = ()
    policy: str | None = None
    succession: tuple[str, ...] = ()
    anchors: tuple[Anchor, ...] = ()

    @property
    def subject(self) -> str:
        """The canonical identifier that the passport is about."""
        return self.subjects[0].uri

    def to_json(self) -> dict[str, Any]:
        """The bundle as JSON values."""
        members: dict[str, Any] = {
            "v": 1,
            "type": PASSPORT_TYPE,
            "subject": self.subject,
            "checkpoint": self.checkpoint,
            "mapHead": self.map_head.to_json(),
            "subjects": [subject.to_json() for subject in self.subjects],
            "seals": [seal.document for seal in self.seals],
            "events": [event.to_json() for event in self.events],
        }
        optional: dict[str, Any] = {
            "forks": [fork.to_json() for fork in self.forks],
            "policy": self.policy,
            "succession": list(self.succession),
            "anchors": [anchor.to_json() for anchor in self.anchors],
        }
        empty: tuple[Any, ...] = (None, [])
        return members | {name: value for name, value in optional.items() if value not in empty}


def link_document(link: Link) -> dict[str, Any]:
    """A link as JSON values; its canonical bytes are `link.encode()`."""
    return {
        "v": 1,
        "key": encode_base64(link.key),
        "seq": link.seq,
        "prev": None if link.prev is None else encode_base64(link.prev),
        "event": encode_base64(link.event),
        "seal": encode_base64(link.seal),
        "time": format_ledger_time(link.time),
    }


def _hashes(values: Sequence[bytes]) -> list[str]:
    return [encode_base64(value) for value in values]


# --- reading --------------------------------------------------------------------------------------


def read_passport(data: bytes) -> Passport:
    """The bundle of its bytes (at most 16 MiB); raises PassportError (steps 1 to 3)."""
    document = _parse(data)
    unknown = sorted(document.keys() - _MEMBERS)
    if unknown:
        raise _malformed("bundle", f"no member is called {unknown[0]}")
    subject = _at("subject", wire.read_string, document, "subject")
    checkpoint = _at("checkpoint", wire.read_string, document, "checkpoint")
    map_head = _at("mapHead", _read_map_head, document.get("mapHead"))
    subjects = _read_subjects(document.get("subjects"))
    if subject != subjects[0].uri:
        raise _malformed("subject", "it is not the uri of subjects[0]")
    seals = _read_list("seals", document.get("seals"), read_seal)
    events = _read_list("events", document.get("events"), lambda v: _read_event(v, len(seals)))
    return Passport(
        checkpoint,
        map_head,
        subjects,
        seals,
        events,
        forks=_read_few(document, "forks", read_fork, MAX_FORKS),
        policy=_at("policy", _read_policy, document["policy"]) if "policy" in document else None,
        succession=_read_few(document, "succession", _read_text, MAX_SUCCESSIONS),
        anchors=_read_few(document, "anchors", read_anchor, MAX_ANCHORS),
    )


def _parse(data: bytes) -> dict[str, Any]:
    try:
        document = canonical.parse(data, max_bytes=MAX_BUNDLE_BYTES, max_depth=MAX_BUNDLE_DEPTH)
    except MalformedJsonError as error:
        raise PassportError(error.code, "bundle", str(error), usable=False) from error
    if isinstance(document, dict) and document.get("type") == PASSPORT_TYPE:
        version = document.get("v")
        if wire.is_integer(version) and version == 1:
            return document
    detail = f"expected an object of type {PASSPORT_TYPE} and v 1"
    raise PassportError("not-a-passport", "bundle", detail, usable=False)


def _malformed(place: str, detail: str) -> PassportError:
    return PassportError("bundle-malformed", place, detail, usable=True)


def _at(place: str, read: Callable[..., _T], *arguments: Any) -> _T:
    """What `read` gives; whatever is wrong with the form of it is wrong at `place`."""
    try:
        return read(*arguments)
    except (FormError, Base64Error, MalformedLinkError, MalformedSealError) as error:
        raise _malformed(place, str(error)) from error
    except KeyError as error:
        raise _malformed(place, "expected a member of this name, found nothing") from error


def _read_list(name: str, value: Any, read: Callable[[Any], _T]) -> tuple[_T, ...]:
    if not isinstance(value, list):
        raise _malformed(name, "expected an array")
    return tuple(_at(f"{name}[{index}]", read, item) for index, item in enumerate(value))


def _read_few(
    document: Mapping[str, Any], name: str, read: Callable[[Any], _T], most: int
) -> tuple[_T, ...]:
    """A list that may be missing; its length is looked at first."""
    value = document.get(name, [])
    if isinstance(value, list) and len(value) > most:
        raise _malformed(name, f"expected at most {most}, found {len(value)}")
    return _read_list(name, value, read)


def _read_text(value: Any) -> str:
    if not isinstance(value, str):
        raise FormError("", "a string", value)
    return value


def _read_policy(value: Any) -> str:
    text = _read_text(value)
    if len(text.encode("utf-8")) > MAX_POLICY_BYTES:
        raise FormError("", f"at most {MAX_POLICY_BYTES} bytes of UTF-8", text)
    return text


def _read_hashes(value: Any, member: str) -> tuple[bytes, ...]:
    if not isinstance(value, list):
        raise FormError(member, "an array of hashes", value)
    return tuple(decode_base64(text, wire.HASH_SIZE) for text in value)


def _read_map_head(value: Any) -> MapHeadProof:
    members = wire.read_object(value, {"entry", "proof"})
    return MapHeadProof(wire.read_string(members, "entry"), _read_hashes(members["proof"], "proof"))


def _read_subjects(value: Any) -> tuple[PresentSubject | AbsentSubject, ...]:
    if isinstance(value, list) and not 1 <= len(value) <= MAX_SUBJECTS:
        raise _malformed("subjects", f"expected 1 to {MAX_SUBJECTS} subjects, found {len(value)}")
    seen: set[str] = set()

    def read(item: Any) -> PresentSubject | AbsentSubject:
        subject = _read_subject(item)
        if subject.uri in seen:
            raise FormError("uri", "a uri that did not stand before", subject.uri)
        seen.add(subject.uri)
        return subject

    return _read_list("subjects", value, read)


def _read_subject(value: Any) -> PresentSubject | AbsentSubject:
    if isinstance(value, dict) and "absence" in value:
        members = wire.read_object(value, {"uri", "absence"})
        return AbsentSubject(_read_uri(members), decode_base64(members["absence"]))
    members = wire.read_object(value, {"uri", "links", "value", "map", "inclusion"})
    links = members["links"]
    if not isinstance(links, list) or not links:
        raise FormError("links", "an array of at least one link", links)
    return PresentSubject(
        uri=_read_uri(members),
        links=tuple(read_link(link) for link in links),
        value=_read_map_entry(members["value"]),
        map=decode_base64(members["map"]),
        inclusion=_read_hashes(members["inclusion"], "inclusion"),
    )


def _read_uri(members: Mapping[str, Any]) -> str:
    uri = wire.read_string(members, "uri")
    if not 1 <= len(uri.encode("utf-8")) <= MAX_URI_BYTES:
        raise FormError("uri", f"1 to {MAX_URI_BYTES} bytes of UTF-8", uri)
    return uri


def _read_map_entry(value: Any) -> MapEntry:
    members = wire.read_object(value, {"count", "head", "root", "index"})
    return MapEntry(
        count=wire.read_integer(members, "count"),
        head=wire.read_bytes(members, "head"),
        root=wire.read_bytes(members, "root"),
        index=wire.read_integer(members, "index"),
    )


def _read_event(value: Any, seal_count: int) -> BundledEvent:
    members = wire.read_object(value, {"event", "seal", "leaf", "path"}, {"disclosures"})
    if not isinstance(members["event"], dict):
        raise FormError("event", "an object", members["event"])
    seal = members["seal"]
    if seal is not None:
        seal = wire.read_integer(members, "seal", 0, seal_count - 1)
    disclosures = members.get("disclosures", [])
    if not isinstance(disclosures, list) or not all(isinstance(d, str) for d in disclosures):
        raise FormError("disclosures", "an array of strings", disclosures)
    return BundledEvent(
        document=members["event"],
        seal=seal,
        leaf=wire.read_integer(members, "leaf"),
        path=_read_hashes(members["path"], "path"),
        disclosures=tuple(disclosures),
    )


def read_anchor(value: Any) -> Anchor:
    """One of ``anchors``, its form alone; raises FormError, Base64Error."""
    members = wire.read_object(value, {"kind", "checkpoint", "consistency", "time", "proof"})
    kind = wire.read_string(members, "kind")
    read_proof = _ANCHOR_PROOFS.get(kind)
    if read_proof is None:
        raise FormError("kind", " or ".join(_ANCHOR_PROOFS), kind)
    return Anchor(
        kind=kind,
        checkpoint=wire.read_string(members, "checkpoint"),
        consistency=_read_hashes(members["consistency"], "consistency"),
        time=wire.read_seconds(members, "time"),
        proof=read_proof(members["proof"]),
    )


def _read_token(value: Any) -> Mapping[str, Any]:
    members = wire.read_object(value, {"token"})
    decode_base64(members["token"])
    return members


def _read_transaction(value: Any) -> Mapping[str, Any]:
    members = wire.read_object(value, {"chain", "contract", "transaction", "block"})
    wire.read_integer(members, "chain")
    wire.read_integer(members, "block")
    for name, form in (("contract", _ADDRESS), ("transaction", _TRANSACTION)):
        if not form.fullmatch(wire.read_string(members, name)):
            raise FormError(name, f"a string {form.pattern}", members[name])
    return members


_ANCHOR_PROOFS: Final[Mapping[str, Callable[[Any], Mapping[str, Any]]]] = {
    "rfc3161": _read_token,
    "evm": _read_transaction,
}
