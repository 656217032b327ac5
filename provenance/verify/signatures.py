"""Authentic, first half: every seal is for this log, by a party that is here, and well signed.

Steps 29 to 31 of docs/formats.md section 10. Keys and signatures are judged by the one strict
Ed25519 rule of ``provenance.crypto.signing``. Whether the key was the party's at the time comes
after (``verify.parties``), when the parties' own histories, which are made of such events, can be
believed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from provenance.crypto.errors import CryptoError
from provenance.crypto.integrity import verify_proof
from provenance.crypto.signing import PublicKey
from provenance.domain.passport import Passport
from provenance.domain.seal import Seal
from provenance.verify.evidence import Evidence
from provenance.verify.refusal import RefusedError


def verify_signatures(
    passport: Passport, events: tuple[Evidence, ...], origin: str, present: Collection[str]
) -> None:
    """Steps 29 to 31, all seals first, then events with their own proof; raises RefusedError.

    `origin` is the checkpoint's, `present` the URIs of the bundle's present subjects.
    """
    for place, for_origin, party, key, document in _sealings(passport, events):
        if for_origin != origin:
            raise RefusedError("seal-foreign-log", place)
        if party not in present:
            raise RefusedError("party-missing", place)
        try:
            verify_proof(document, PublicKey.from_multikey(key))
        except CryptoError as error:
            raise RefusedError("seal-signature", place) from error


def _sealings(
    passport: Passport, events: tuple[Evidence, ...]
) -> Iterator[tuple[str, str | None, str, str, Mapping[str, Any]]]:
    """Place, origin, party, multikey and signed document of everything that was signed."""
    for index, seal in enumerate(passport.seals):
        yield f"seals[{index}]", seal.origin, seal.party, seal.key, seal.document
    for evidence in events:
        proof = evidence.sealing
        if not isinstance(proof, Seal):
            document = evidence.event.document
            yield evidence.place, proof.domain, proof.party, proof.multikey, document
