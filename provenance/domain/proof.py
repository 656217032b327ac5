"""The ``proof`` member of a signed document, as a value and by its form.

    {"created":"2026-11-23T15:00:00Z","cryptosuite":"eddsa-jcs-2022",
     "proofPurpose":"assertionMethod","proofValue":"z…","type":"DataIntegrityProof",
     "verificationMethod":"<party URI>#<multikey>"}

with, in an event's own proof, ``domain`` (the log's origin) and ``@context`` (exactly the event's).
No other member is allowed: what a verifier of ours does not understand must not stand inside
something that it calls verified.

Form only (docs/formats.md section 8): whether the multikey and the signature are sound is judged
with the signature, in ``provenance.crypto.integrity``; whether the key may speak for the party, in
``provenance.domain.party``. The phone's twin is ``static/js/verify/seal.js``.

Source: W3C Data Integrity EdDSA Cryptosuites 1.0 §3.3 (eddsa-jcs-2022), Data Integrity 1.0 §2.1.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from provenance.domain import wire
from provenance.domain.wire import FormError

PROOF_TYPE: Final = "DataIntegrityProof"
CRYPTOSUITE: Final = "eddsa-jcs-2022"
PURPOSE: Final = "assertionMethod"

_FIXED: Final = {"type": PROOF_TYPE, "cryptosuite": CRYPTOSUITE, "proofPurpose": PURPOSE}
_MEMBERS: Final = frozenset({*_FIXED, "created", "verificationMethod", "proofValue"})


@dataclass(frozen=True, slots=True)
class Proof:
    """What a proof says, as text that stood there and was not yet judged.

    `party` and `multikey` are the two sides of the ``#`` in the verification method, `value` the
    multibase text of the signature, `created` POSIX time as ``YYYY-MM-DDTHH:MM:SSZ``, `domain` None
    where the member is absent.
    """

    party: str
    multikey: str
    value: str
    created: str
    domain: str | None


def read_proof(value: object, *, further: Collection[str] = (), party: str | None = None) -> Proof:
    """The proof that a parsed JSON value is; raises FormError for any other form.

    `further` are members that must stand there besides the six. `party`, where it is known, is
    what the verification method must begin with; otherwise the first ``#`` ends the party.
    """
    members = wire.read_object(value, _MEMBERS | set(further))
    for name, expected in _FIXED.items():
        wire.read_constant(members, name, expected)
    signer, multikey = _split_method(wire.read_string(members, "verificationMethod"), party)
    return Proof(
        party=signer,
        multikey=multikey,
        value=wire.read_string(members, "proofValue"),
        created=wire.read_seconds(members, "created"),
        domain=wire.read_string(members, "domain") if "domain" in members else None,
    )


def _split_method(method: str, party: str | None) -> tuple[str, str]:
    if party is None:
        signer, _, multikey = method.partition("#")
        if signer and multikey:
            return signer, multikey
    elif method.startswith(f"{party}#") and len(method) > len(party) + 1:
        return party, method[len(party) + 1 :]
    raise FormError("verificationMethod", f"{party or '<party URI>'}#<multikey>", method)


def format_method(party: str, multikey: str) -> str:
    """The verification method of a party's key: ``<party URI>#<multikey>``."""
    return f"{party}#{multikey}"
