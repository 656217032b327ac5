"""Parties: who may sign, with which key, in which role, and from when to when.

A party is what the events on its own chain make it (docs/formats.md section 5). :func:`apply_event`
is the one place where that is decided: capture asks it before it admits an event, every verifier
when it replays the chain. Time here is always *ledger time* (integer milliseconds): a party cannot
antedate the use of its key, because it does not choose that time.

Rules that the code below keeps:

- a key enters once, by the registration that it seals itself or by an addition that it signed too;
- a key that was revoked never comes back; a later revocation can only make the judgement stricter;
- only the operator grants and withdraws roles; the role ``operator`` is held by the operator alone;
- all ends are inclusive: what stood at ledger time t is not undone by an event of the same t.
  Without that, two uploads within one millisecond could turn a good history into a refused one.

Signatures are not judged here: `signer` and `key` come from a seal that was verified, and the one
signature inside an event (``prov:possession``) is checked by the function that is passed in.

Left to others: the form of the documents (``domain.party_events``, re-exported here), the chain
(``domain.chain``). The phone's twin is ``static/js/verify/party.js``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from provenance.domain.errors import ForbiddenError, InvalidContentError, Violation
from provenance.domain.moments import format_ledger_time, parse_ledger_time
from provenance.domain.multibase import decode_multibase, parse_multikey
from provenance.domain.party_events import (
    ACCREDITED,
    CUSTODIES,
    KEY_ADDED,
    KEY_REVOKED,
    OPERATOR_ROLE,
    PARTY_EVENT_TYPES,
    REASONS,
    REGISTERED,
    ROLES,
    WITHDRAWN,
    accreditation_withdrawn,
    is_party_event,
    is_party_uri,
    key_added,
    key_revoked,
    operator_uri,
    party_accredited,
    party_registered,
    possession_message,
    validate_party_event,
)

__all__ = [
    "ACCREDITED",
    "CUSTODIES",
    "KEY_ADDED",
    "KEY_REVOKED",
    "OPERATOR_ROLE",
    "PARTY_EVENT_TYPES",
    "REASONS",
    "REGISTERED",
    "ROLES",
    "WITHDRAWN",
    "KeyRecord",
    "KeyRefusedError",
    "Party",
    "PartyRuleError",
    "RoleGrant",
    "Standing",
    "accreditation_withdrawn",
    "apply_event",
    "is_party_event",
    "is_party_uri",
    "key_added",
    "key_revoked",
    "operator_uri",
    "party_accredited",
    "party_registered",
    "possession_message",
    "validate_party_event",
]

Standing = Literal["stands", "doubtful"]
# (public key of 32 bytes, message, signature of 64 bytes) -> good? `crypto.signing.verify_ed25519`.
Verify = Callable[[bytes, bytes, bytes], bool]

_KEY_REMEDIES: Final = {
    "key-unknown": "add the key to the party first, or seal with a key that the party has",
    "key-not-yet-valid": "wait until the key is valid, or seal with another key",
    "key-expired": "add a new key and seal with it",
    "key-revoked": "seal with another key of the party",
}


class PartyRuleError(InvalidContentError):
    """A party event that may not be: its form, its signer, or what it asks for.

    Codes: ``party-event-malformed`` ``party-registered-already`` ``party-not-registered``
    ``party-signer`` ``party-key-present`` ``party-key-absent`` ``party-key-possession``
    ``party-compromised-since`` ``party-role-absent``. A verifier says ``party-history`` for all.
    """


class KeyRefusedError(ForbiddenError):
    """A key that may not speak for its party at that time; `code` is the reason of section 5."""

    def __init__(self, code: str, multikey: str, party: str, at: int, fact: str) -> None:
        super().__init__(
            code,
            f"the key {multikey} of {party} {fact}",
            expected=f"a key of the party that is valid at {format_ledger_time(at)}",
            found=fact,
            remedy=_KEY_REMEDIES[code],
        )


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """One key of a party and what became of it. All times ledger milliseconds; None: not said."""

    custody: str
    added: int
    valid_from: int | None = None
    valid_until: int | None = None
    revoked: int | None = None
    reason: str | None = None
    compromised_since: int | None = None

    def refusal_at(self, at: int) -> tuple[str, str] | None:
        """Why the key may not be used then: the code of section 5 and the fact; None if it may."""
        start = self.added if self.valid_from is None else max(self.added, self.valid_from)
        if at < start:
            return "key-not-yet-valid", f"is valid from {format_ledger_time(start)}"
        if self.valid_until is not None and at > self.valid_until:
            return "key-expired", f"was valid until {format_ledger_time(self.valid_until)}"
        if self.revoked is not None and at > self.revoked:
            return "key-revoked", f"was revoked at {format_ledger_time(self.revoked)}"
        return None

    def is_doubtful_at(self, at: int) -> bool:
        """Whether the key is known to have been in other hands by then."""
        return self.compromised_since is not None and at >= self.compromised_since


@dataclass(frozen=True, slots=True)
class RoleGrant:
    """One grant of a role, `start` to the earlier of `until` and `withdrawn`, ends included."""

    role: str
    start: int
    until: int | None = None
    withdrawn: int | None = None

    def holds_at(self, at: int) -> bool:
        """Whether the role is held under this grant at `at`."""
        return (
            self.start <= at
            and (self.until is None or at <= self.until)
            and (self.withdrawn is None or at <= self.withdrawn)
        )


@dataclass(frozen=True, slots=True)
class Party:
    """A party as its chain has made it so far. `keys` by multikey, in order of addition."""

    uri: str
    name: Mapping[str, str]
    keys: Mapping[str, KeyRecord] = field(default_factory=dict)
    roles: tuple[RoleGrant, ...] = ()

    def judge_key(self, multikey: str, at: int) -> Standing:
        """How an event stands that this key sealed at ledger time `at`; raises KeyRefusedError."""
        record = self.keys.get(multikey)
        if record is None:
            fact = "is not a key of this party"
            raise KeyRefusedError("key-unknown", multikey, self.uri, at, fact)
        refusal = record.refusal_at(at)
        if refusal is not None:
            raise KeyRefusedError(refusal[0], multikey, self.uri, at, refusal[1])
        return "doubtful" if record.is_doubtful_at(at) else "stands"

    def roles_at(self, at: int) -> tuple[str, ...]:
        """The roles held at ledger time `at`, sorted, each once."""
        return tuple(sorted({grant.role for grant in self.roles if grant.holds_at(at)}))

    def to_json(self) -> dict[str, Any]:
        """The party as JSON values, times as text; inverse of `from_json`."""
        return {
            "uri": self.uri,
            "name": dict(self.name),
            "keys": {
                multikey: _drop_none(
                    custody=record.custody,
                    addedAt=_text(record.added),
                    validFrom=_text(record.valid_from),
                    validUntil=_text(record.valid_until),
                    revokedAt=_text(record.revoked),
                    reason=record.reason,
                    compromisedSince=_text(record.compromised_since),
                )
                for multikey, record in self.keys.items()
            },
            "roles": [
                _drop_none(
                    role=grant.role,
                    heldFrom=_text(grant.start),
                    validUntil=_text(grant.until),
                    withdrawnAt=_text(grant.withdrawn),
                )
                for grant in self.roles
            ],
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Party:
        """The party of `to_json`. Our own stored state, not input: of another form is our bug."""
        return cls(
            uri=document["uri"],
            name=dict(document["name"]),
            keys={
                multikey: KeyRecord(
                    custody=record["custody"],
                    added=parse_ledger_time(record["addedAt"]),
                    valid_from=_time(record, "validFrom"),
                    valid_until=_time(record, "validUntil"),
                    revoked=_time(record, "revokedAt"),
                    reason=record.get("reason"),
                    compromised_since=_time(record, "compromisedSince"),
                )
                for multikey, record in document["keys"].items()
            },
            roles=tuple(
                RoleGrant(
                    role=grant["role"],
                    start=parse_ledger_time(grant["heldFrom"]),
                    until=_time(grant, "validUntil"),
                    withdrawn=_time(grant, "withdrawnAt"),
                )
                for grant in document["roles"]
            ),
        )


def _drop_none(**members: str | None) -> dict[str, str]:
    return {name: value for name, value in members.items() if value is not None}


def _text(time: int | None) -> str | None:
    return None if time is None else format_ledger_time(time)


def _time(members: Mapping[str, Any], name: str) -> int | None:
    return parse_ledger_time(members[name]) if name in members else None


# --- what a party event does ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Act:
    """One party event about to take effect: the document and the circumstances of its sealing."""

    document: Mapping[str, Any]
    signer: str
    key: str
    at: int
    origin: str
    operator: Party | None
    verify: Verify

    @property
    def subject(self) -> str:
        """The party that the event is about."""
        return str(self.document["prov:party"])

    def time(self, name: str) -> int | None:
        """A time member as milliseconds, None where it is not there."""
        return _time(self.document, name)

    def refuse(
        self, code: str, detail: str, expected: str, found: str, remedy: str
    ) -> PartyRuleError:
        """The refusal of this event."""
        return PartyRuleError(code, detail, expected=expected, found=found, remedy=remedy)


def apply_event(
    party: Party | None,
    document: Mapping[str, Any],
    *,
    signer: str,
    key: str,
    at: int,
    seq: int,
    origin: str,
    operator: Party | None,
    verify: Verify,
) -> Party:
    """The party after one party event on its chain.

    `party` is its state so far (None before the registration), `signer` and `key` (multikey) those
    of the verified seal, `at` the link's ledger time in ms, `seq` the link's place on the chain
    from 0, `origin` the log's. `operator` is the operator's state, and is not looked at while the
    party *is* the operator. `verify` judges the possession signature strictly, and says no for a
    key that is no admissible point.

    Raises PartyRuleError, or KeyRefusedError for the key that sealed it.
    """
    violations = validate_party_event(document)
    if violations:
        raise _malformed(tuple(violations))
    act = _Act(document, signer, key, at, origin, operator, verify)
    if document["type"] == REGISTERED:
        return _register(party, act, seq)
    if party is None:
        raise act.refuse(
            "party-not-registered",
            f"{act.subject} is not registered",
            "a registration as the first event on the party's chain",
            str(document["type"]),
            "register the party first",
        )
    _require_signer(party, act)
    return _EFFECTS[str(document["type"])](party, act)


def _malformed(violations: tuple[Violation, ...]) -> PartyRuleError:
    first = violations[0]
    return PartyRuleError(
        "party-event-malformed",
        "the party event is not of its form",
        path=first.path,
        expected=first.expected,
        found=first.found,
        remedy="see docs/formats.md section 5",
        violations=violations,
    )


def _register(party: Party | None, act: _Act, seq: int) -> Party:
    if party is not None or seq != 0:
        raise act.refuse(
            "party-registered-already",
            f"{act.subject} has a history already",
            "a registration as the very first event on the chain",
            f"place {seq} on the chain",
            "register under another URI, or add a key to the party that is there",
        )
    if (act.signer, act.key) != (act.subject, act.document["prov:key"]):
        raise act.refuse(
            "party-signer",
            "a registration is sealed by the key that it brings",
            f"{act.subject}#{act.document['prov:key']}",
            f"{act.signer}#{act.key}",
            "seal the registration as that party with that key",
        )
    is_operator = act.subject == operator_uri(act.origin)
    roles = (RoleGrant(OPERATOR_ROLE, act.at),) if is_operator else ()
    registered = Party(act.subject, dict(act.document["prov:name"]), _with_key({}, act), roles)
    registered.judge_key(act.key, act.at)
    return registered


def _require_signer(party: Party, act: _Act) -> None:
    """Who may seal: the party (for its own keys) or the operator; with a key that is valid now."""
    own = act.document["type"] in (KEY_ADDED, KEY_REVOKED)
    if act.signer == party.uri and (own or party.uri == operator_uri(act.origin)):
        party.judge_key(act.key, act.at)
    elif act.signer == operator_uri(act.origin) and act.operator is not None:
        act.operator.judge_key(act.key, act.at)
    else:
        raise act.refuse(
            "party-signer",
            f"{act.signer} may not seal {act.document['type']} for {party.uri}",
            f"{party.uri} or the operator" if own else f"the operator {operator_uri(act.origin)}",
            act.signer,
            "let the party or the operator seal it" if own else "let the operator seal it",
        )


def _with_key(keys: Mapping[str, KeyRecord], act: _Act) -> dict[str, KeyRecord]:
    record = KeyRecord(
        custody=act.document["prov:custody"],
        added=act.at,
        valid_from=act.time("prov:validFrom"),
        valid_until=act.time("prov:validUntil"),
    )
    return {**keys, act.document["prov:key"]: record}


def _add_key(party: Party, act: _Act) -> Party:
    multikey = act.document["prov:key"]
    if multikey in party.keys:
        raise act.refuse(
            "party-key-present",
            f"{party.uri} has or had the key {multikey}",
            "a key that was never added before",
            multikey,
            "make a new key",
        )
    message = possession_message(origin=act.origin, party=party.uri, key=multikey)
    signature = decode_multibase(act.document["prov:possession"], 64)
    if not act.verify(parse_multikey(multikey), message, signature):
        raise act.refuse(
            "party-key-possession",
            f"the key {multikey} did not sign for {party.uri}",
            "its signature of the canonical possession document of docs/formats.md section 5",
            act.document["prov:possession"],
            "sign with the new key for this party and this log's origin",
        )
    return replace(party, keys=_with_key(party.keys, act))


def _revoke_key(party: Party, act: _Act) -> Party:
    multikey = act.document["prov:key"]
    record = party.keys.get(multikey)
    if record is None:
        raise act.refuse(
            "party-key-absent",
            f"{party.uri} never had the key {multikey}",
            "a key of the party",
            multikey,
            "look at the party's keys and name one of them",
        )
    since = act.time("prov:compromisedSince")
    if since is not None and since > act.at:
        raise act.refuse(
            "party-compromised-since",
            "a key cannot be known to be compromised in the future",
            f"not after {format_ledger_time(act.at)}",
            format_ledger_time(since),
            "give the earliest time at which the key may have been in other hands",
        )
    known = [time for time in (record.compromised_since, since) if time is not None]
    revoked = replace(
        record,
        revoked=act.at if record.revoked is None else record.revoked,
        reason=act.document["prov:reason"],
        compromised_since=min(known, default=None),
    )
    return replace(party, keys={**party.keys, multikey: revoked})


def _accredit(party: Party, act: _Act) -> Party:
    grant = RoleGrant(act.document["prov:role"], act.at, act.time("prov:validUntil"))
    return replace(party, roles=(*party.roles, grant))


def _withdraw(party: Party, act: _Act) -> Party:
    role = act.document["prov:role"]
    if role not in party.roles_at(act.at):
        raise act.refuse(
            "party-role-absent",
            f"{party.uri} does not hold the role {role}",
            "a role that is held at the time",
            ", ".join(party.roles_at(act.at)) or "no role",
            "look at the party's roles and name one of them",
        )
    roles = tuple(
        replace(grant, withdrawn=act.at)
        if grant.role == role and grant.withdrawn is None
        else grant
        for grant in party.roles
    )
    return replace(party, roles=roles)


_EFFECTS: Final[Mapping[str, Callable[[Party, _Act], Party]]] = {
    KEY_ADDED: _add_key,
    KEY_REVOKED: _revoke_key,
    ACCREDITED: _accredit,
    WITHDRAWN: _withdraw,
}
