"""The five party events, sealed and sent: register, accredit, add, rotate and revoke keys.

An event of a party is an event like any other (docs/formats.md section 5): sealed by the party's
own key or by the operator's, appended to the party's chain, published in the log.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from provenance.client.api import Api
from provenance.client.batches import Contents
from provenance.client.sealing import Random, Signer, prepare, seal_events
from provenance.client.upload import verify_receipt
from provenance.crypto.signing import PrivateKey
from provenance.domain import party_events as rules
from provenance.domain.context import EPCIS_CONTEXT, PROV_CONTEXT
from provenance.domain.moments import format_ledger_time
from provenance.domain.party_events import operator_uri


@dataclass(frozen=True, slots=True)
class Registrar:
    """Sends party events to one platform. `now` is POSIX seconds at the time of the command."""

    api: Api
    now: int
    random: Random

    def register(
        self, signer: Signer, name: Mapping[str, str], custody: str = "party"
    ) -> dict[str, Any]:
        """A new party, sealed by its own first key: possession of the key is proved by that."""
        event = rules.party_registered(
            signer.party, name=name, key=signer.key.public.multikey, custody=custody
        )
        return self.send(signer, [event])

    def accredit(
        self, operator: Signer, party: str, role: str, until: int | None = None
    ) -> dict[str, Any]:
        """The operator grants a role; `until` is milliseconds since 1970."""
        return self.send(operator, [rules.party_accredited(party, role=role, valid_until=until)])

    def withdraw(self, operator: Signer, party: str, role: str) -> dict[str, Any]:
        """The operator ends a role."""
        return self.send(operator, [rules.accreditation_withdrawn(party, role=role)])

    def add_key(
        self,
        signer: Signer,
        party: str,
        new: PrivateKey,
        custody: str = "party",
        until: int | None = None,
    ) -> dict[str, Any]:
        """A further key, which proves its possession by a signature of its own."""
        return self.send(signer, [self._key_added(signer, party, new, custody, until)])

    def rotate_key(self, signer: Signer, new: PrivateKey, custody: str = "party") -> dict[str, Any]:
        """New key in, signing key out, under one seal: there is no moment with neither."""
        revoked = rules.key_revoked(
            signer.party, key=signer.key.public.multikey, reason="superseded"
        )
        added = self._key_added(signer, signer.party, new, custody, None)
        return self.send(signer, [added, revoked])

    def revoke_key(
        self, signer: Signer, party: str, key: str, reason: str, since: int | None = None
    ) -> dict[str, Any]:
        """Ends a key now; `since` (milliseconds) says from when on its events are doubtful."""
        event = rules.key_revoked(party, key=key, reason=reason, compromised_since=since)
        return self.send(signer, [event])

    def _key_added(
        self, signer: Signer, party: str, new: PrivateKey, custody: str, until: int | None
    ) -> dict[str, Any]:
        multikey = new.public.multikey
        message = rules.possession_message(origin=signer.origin, party=party, key=multikey)
        return rules.key_added(
            party, key=multikey, custody=custody, possession=new.sign(message), valid_until=until
        )

    def send(self, signer: Signer, events: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Seals the events with one signature, uploads them and returns the checked receipt."""
        ready = [event for raw in events for event in complete(raw, self.now, self.random)]
        (batch,) = seal_events(ready, signer, now=self.now, random=self.random)
        receipt = self.api.post_batch(batch.lines).receipt
        contents = Contents(signer.origin, batch.seal_hash, batch.event_hashes)
        verify_receipt(receipt, self.api.party(operator_uri(signer.origin)), contents)
        return receipt


def complete(event: Mapping[str, Any], now: int, random: Random) -> list[dict[str, Any]]:
    """A party event's own members with all that makes an event; `now` is POSIX seconds."""
    common = {
        "@context": [EPCIS_CONTEXT, dict(PROV_CONTEXT)],
        "eventTime": format_ledger_time(now * 1000),
        "eventTimeZoneOffset": "+00:00",
        "eventID": uuid.UUID(bytes=random(16), version=4).urn,
    }
    return prepare(common | dict(event), random=random)
