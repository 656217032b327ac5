"""The five party events as documents: their names, their form, and how to make them.

    prov:PartyRegistered         prov:name  prov:key  prov:custody, perhaps prov:validFrom
                                 and prov:validUntil
    prov:KeyAdded                the same without prov:name, and prov:possession
    prov:KeyRevoked              prov:key  prov:reason, perhaps prov:compromisedSince
    prov:PartyAccredited         prov:role, perhaps prov:validUntil
    prov:AccreditationWithdrawn  prov:role

each with ``prov:party`` and the members that every event of ours has. The set of members is closed:
a verifier that would pass over a member could pass over a condition.

Form only. What an event does to a party, and who may seal it: ``domain.party``. The members that
all events share: ``domain.event``. The phone's twin is ``static/js/verify/party.js``.

Source: docs/formats.md section 5.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from provenance.domain import canonical
from provenance.domain.errors import Violation
from provenance.domain.moments import MomentError, format_ledger_time, parse_ledger_time
from provenance.domain.multibase import (
    MultibaseError,
    decode_multibase,
    encode_multibase,
    parse_multikey,
)
from qr.errors import QrError
from qr.identifier import canonical_identifier

REGISTERED: Final = "prov:PartyRegistered"
KEY_ADDED: Final = "prov:KeyAdded"
KEY_REVOKED: Final = "prov:KeyRevoked"
ACCREDITED: Final = "prov:PartyAccredited"
WITHDRAWN: Final = "prov:AccreditationWithdrawn"

OPERATOR_ROLE: Final = "operator"
ROLES: Final = ("brand", "producer", "logistics", "laboratory", "customs", "retailer", "auditor")
REASONS: Final = ("superseded", "lost", "compromised", "ceased")
CUSTODIES: Final = ("party", "platform")
MAX_URI_LENGTH: Final = 1_024
MAX_NAME_BYTES: Final = 256

_COMMON: Final = frozenset(
    {"@context", "type", "eventID", "eventTime", "eventTimeZoneOffset", "proof"}
    | {"prov:nonce", "prov:after", "prov:party"}
)
# Members of each type in the order of the table, with whether they must be there.
_MEMBERS: Final[Mapping[str, Mapping[str, bool]]] = {
    REGISTERED: {
        "prov:name": True,
        "prov:key": True,
        "prov:custody": True,
        "prov:validFrom": False,
        "prov:validUntil": False,
    },
    KEY_ADDED: {
        "prov:key": True,
        "prov:custody": True,
        "prov:validFrom": False,
        "prov:validUntil": False,
        "prov:possession": True,
    },
    KEY_REVOKED: {"prov:key": True, "prov:reason": True, "prov:compromisedSince": False},
    ACCREDITED: {"prov:role": True, "prov:validUntil": False},
    WITHDRAWN: {"prov:role": True},
}
PARTY_EVENT_TYPES: Final = frozenset(_MEMBERS)

_URI: Final = re.compile(r"[a-z][a-z0-9+.-]*:[!\"$-~]+")
_LANGUAGE: Final = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")
_POSSESSION_SIZE: Final = 64


def is_party_event(document: Mapping[str, Any]) -> bool:
    """Whether the document's type is one of the five; its form is not judged."""
    kind = document.get("type")
    return isinstance(kind, str) and kind in PARTY_EVENT_TYPES


def operator_uri(origin: str) -> str:
    """The URI of the party that runs the log of that origin."""
    return f"https://{origin}"


def possession_message(*, origin: str, party: str, key: str) -> bytes:
    """What a key signs to be added: canonical bytes that bind it to one party on one log."""
    return canonical.encode(
        {"key": key, "origin": origin, "party": party, "type": "prov:KeyPossession"}
    )


# --- form -----------------------------------------------------------------------------------------


def validate_party_event(document: Mapping[str, Any]) -> list[Violation]:
    """What is wrong with the form of a party event, in the order of its table; empty if nothing.

    `document` is of one of the five types. Nothing about signatures, keys' points or history.
    """
    kind = document["type"]
    wanted = _MEMBERS[kind]
    found = [
        Violation(f"$.{name}", f"no member of this name in {kind}", "a member")
        for name in sorted(document.keys() - _COMMON - wanted.keys())
    ]
    for name in ("prov:party", *wanted):
        if name in document:
            found += _judge(name, document[name])
        elif wanted.get(name, True):
            found.append(Violation(f"$.{name}", _EXPECTED[name], "nothing"))
    return found or _judge_together(document)


def _judge(name: str, value: object) -> list[Violation]:
    if _FORMS[name](value):
        return []
    return [Violation(f"$.{name}", _EXPECTED[name], _shorten(value))]


def _judge_together(document: Mapping[str, Any]) -> list[Violation]:
    """Rules over two members, each of the right form by itself."""
    since, until = document.get("prov:validFrom"), document.get("prov:validUntil")
    if since is not None and until is not None and since > until:  # text order is time order
        return [Violation("$.prov:validUntil", f"not before {since}", until)]
    reason = document.get("prov:reason")
    if "prov:compromisedSince" in document and reason != "compromised":
        return [Violation("$.prov:reason", "compromised, with prov:compromisedSince", str(reason))]
    return []


def is_party_uri(value: object) -> bool:
    """Whether a value can name a party: an ASCII URI without fragment, spelt canonically."""
    if not isinstance(value, str) or len(value) > MAX_URI_LENGTH or not _URI.fullmatch(value):
        return False
    try:
        return canonical_identifier(value) == value
    except QrError:
        return False


def _is_name(value: object) -> bool:
    return (
        isinstance(value, dict)
        and bool(value)
        and all(_LANGUAGE.fullmatch(language) for language in value)
        and all(
            isinstance(text, str) and 1 <= len(text.encode("utf-8")) <= MAX_NAME_BYTES
            for text in value.values()
        )
    )


def _is_multikey(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(parse_multikey(value))
    except MultibaseError:
        return False


def _is_signature(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(decode_multibase(value, _POSSESSION_SIZE))
    except MultibaseError:
        return False


def _is_time(value: object) -> bool:
    try:
        return isinstance(value, str) and parse_ledger_time(value) is not None
    except MomentError:
        return False


def _one_of(values: tuple[str, ...]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, str) and value in values


_FORMS: Final[Mapping[str, Callable[[object], bool]]] = {
    "prov:party": is_party_uri,
    "prov:name": _is_name,
    "prov:key": _is_multikey,
    "prov:custody": _one_of(CUSTODIES),
    "prov:validFrom": _is_time,
    "prov:validUntil": _is_time,
    "prov:possession": _is_signature,
    "prov:reason": _one_of(REASONS),
    "prov:compromisedSince": _is_time,
    "prov:role": _one_of(ROLES),
}
_TIME_FORM: Final = "YYYY-MM-DDTHH:MM:SS.mmmZ"
_EXPECTED: Final[Mapping[str, str]] = {
    "prov:party": "an ASCII URI without fragment, its own canonical identifier",
    "prov:name": 'language tags with text of 1 to 256 bytes, such as {"en": "Example Mill"}',
    "prov:key": "the multikey of an Ed25519 key (z6Mk…)",
    "prov:custody": " or ".join(CUSTODIES),
    "prov:validFrom": _TIME_FORM,
    "prov:validUntil": _TIME_FORM,
    "prov:possession": "z and base58btc of the new key's 64-byte signature",
    "prov:reason": "one of " + ", ".join(REASONS),
    "prov:compromisedSince": _TIME_FORM,
    "prov:role": "one of " + ", ".join(ROLES),
}


def _shorten(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 80 else text[:79] + "…"


# --- builders: documents without @context, eventID, times and nonce, which the client adds ------


def party_registered(
    party: str,
    *,
    name: Mapping[str, str],
    key: str,
    custody: str = "party",
    valid_from: int | None = None,
    valid_until: int | None = None,
) -> dict[str, Any]:
    """A new party under its first key, which must seal this. `key` a multikey, times in ms."""
    return {
        "type": REGISTERED,
        "prov:party": party,
        "prov:name": dict(name),
        "prov:key": key,
        "prov:custody": custody,
        **_times(valid_from=valid_from, valid_until=valid_until),
    }


def key_added(
    party: str,
    *,
    key: str,
    possession: bytes,
    custody: str = "party",
    valid_from: int | None = None,
    valid_until: int | None = None,
) -> dict[str, Any]:
    """A further key. `possession` is its own signature (64 bytes) of `possession_message`."""
    return {
        "type": KEY_ADDED,
        "prov:party": party,
        "prov:key": key,
        "prov:custody": custody,
        "prov:possession": encode_multibase(possession),
        **_times(valid_from=valid_from, valid_until=valid_until),
    }


def key_revoked(
    party: str, *, key: str, reason: str, compromised_since: int | None = None
) -> dict[str, Any]:
    """The end of a key; doubtful from `compromised_since` (ms, with reason ``compromised``)."""
    return {
        "type": KEY_REVOKED,
        "prov:party": party,
        "prov:key": key,
        "prov:reason": reason,
        **_times(compromised_since=compromised_since),
    }


def party_accredited(party: str, *, role: str, valid_until: int | None = None) -> dict[str, Any]:
    """A role granted by the operator, until `valid_until` (ms) where that is given."""
    times = _times(valid_until=valid_until)
    return {"type": ACCREDITED, "prov:party": party, "prov:role": role, **times}


def accreditation_withdrawn(party: str, *, role: str) -> dict[str, Any]:
    """A role ended by the operator."""
    return {"type": WITHDRAWN, "prov:party": party, "prov:role": role}


def _times(**times: int | None) -> dict[str, str]:
    names = {
        "valid_from": "prov:validFrom",
        "valid_until": "prov:validUntil",
        "compromised_since": "prov:compromisedSince",
    }
    return {names[n]: format_ledger_time(time) for n, time in times.items() if time is not None}
