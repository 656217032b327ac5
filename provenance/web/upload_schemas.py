"""What is sent to this interface, as marshmallow schemas: events, seals, proofs, disclosures.

They describe (OpenAPI, ``web.description``) and they judge: ``load`` accepts and refuses what the
hot path does. Uploads do not run through them, since that would cost more than all the rest; a test
holds both to one answer over GS1's examples, damaged copies of them and made-up documents
(tests/conformance/test_upload_schema_agreement.py), so nothing here uses the tables by which the
hot path judges. Documents are values that ``canonical.parse`` gave; nothing is asked of a store.

Here: party events, seals and disclosures, and :func:`load_event`, which finds an event's schema by
its type. The events of EPCIS are in ``upload_events``.

Sources: docs/formats.md sections 3 to 5.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from marshmallow import ValidationError, validates_schema
from marshmallow.fields import Nested, Raw

from provenance.domain import canonical
from provenance.domain.party_events import CUSTODIES, REASONS, ROLES
from provenance.services.attaching import AUDIENCES
from provenance.web.upload_events import (
    STANDARD_EVENTS,
    EventSchema,
    ExtensionEventSchema,
    OwnType,
    schema_of,
)
from provenance.web.upload_fields import (
    Base64,
    LedgerTime,
    Many,
    Multikey,
    Names,
    NamesInUse,
    OneOf,
    PartyUri,
    Seconds,
    Signature,
    Text,
    Uri,
    Whole,
    refuse,
)
from provenance.web.upload_parts import Closed, ProofSchema

# --- party events ---------------------------------------------------------------------------------


class Name(Raw):
    """A name in one or more languages."""

    form: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "additionalProperties": {"type": "string", "minLength": 1},
        "minProperties": 1,
        "description": "texts of 1 to 256 bytes under language tags",
    }

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        if not isinstance(value, dict) or not value:
            raise ValidationError("Expected texts under language tags.")
        for language, text in value.items():
            if not re.fullmatch("[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*", language):
                raise ValidationError("A name stands under a language tag.")
            if not isinstance(text, str) or not 1 <= len(text.encode()) <= 256:
                raise ValidationError("A name has 1 to 256 bytes of UTF-8.")
        return value


class PartyEventSchema(EventSchema):
    """What every party event has. The set of members is closed, and none is concealed."""

    event_id = Uri(data_key="eventID", required=True)
    party = PartyUri(data_key="prov:party", required=True)


class _NewKeySchema(PartyEventSchema):
    key = Multikey(data_key="prov:key", required=True)
    custody = OneOf(CUSTODIES, data_key="prov:custody", required=True)
    valid_from = LedgerTime(data_key="prov:validFrom")
    valid_until = LedgerTime(data_key="prov:validUntil")

    @validates_schema(pass_original=True)
    def judge_period(self, _data: Any, original: Mapping[str, Any], **_: Any) -> None:
        """A key does not end before it begins; the text's order is that of time."""
        until = original.get("prov:validUntil")
        if until is not None and original.get("prov:validFrom", until) > until:
            refuse([(("prov:validUntil",), "validUntil is not before validFrom.")])


class PartyRegisteredSchema(_NewKeySchema):
    """A party under its first key, which seals this itself."""

    type = OneOf(["prov:PartyRegistered"], required=True)
    name = Name(data_key="prov:name", required=True, metadata=Name.form)


class KeyAddedSchema(_NewKeySchema):
    """A further key of a party."""

    type = OneOf(["prov:KeyAdded"], required=True)
    possession = Signature(data_key="prov:possession", required=True)


class KeyRevokedSchema(PartyEventSchema):
    """The end of a key."""

    type = OneOf(["prov:KeyRevoked"], required=True)
    key = Multikey(data_key="prov:key", required=True)
    reason = OneOf(REASONS, data_key="prov:reason", required=True)
    compromised_since = LedgerTime(data_key="prov:compromisedSince")

    @validates_schema(pass_original=True)
    def judge_reason(self, _data: Any, original: Mapping[str, Any], **_: Any) -> None:
        """Only a compromised key is doubtful from some time on."""
        if "prov:compromisedSince" in original and original["prov:reason"] != "compromised":
            refuse([(("prov:reason",), "compromisedSince stands with compromised only.")])


class PartyAccreditedSchema(PartyEventSchema):
    """A role granted, by the operator."""

    type = OneOf(["prov:PartyAccredited"], required=True)
    role = OneOf(ROLES, data_key="prov:role", required=True)
    valid_until = LedgerTime(data_key="prov:validUntil")


class AccreditationWithdrawnSchema(PartyEventSchema):
    """A role ended, by the operator."""

    type = OneOf(["prov:AccreditationWithdrawn"], required=True)
    role = OneOf(ROLES, data_key="prov:role", required=True)


# --- seals ----------------------------------------------------------------------------------------


class SealSchema(Closed):
    """One signature over a batch of events (docs/formats.md section 4): the first line of one."""

    type = OneOf(["prov:Seal"], required=True)
    v = Whole(1, 1)
    origin = Text(required=True, description="the log's origin")
    party = Text(required=True, description="URI of the party that signs")
    size = Whole(1, 10_000)
    root = Base64(32, required=True, description="RFC 9162 root over the event hashes")
    created = Seconds(required=True)
    nonce = Base64(16, required=True)
    proof = Nested(ProofSchema, required=True)

    @validates_schema(pass_original=True)
    def judge_together(self, _data: Any, original: Mapping[str, Any], **_: Any) -> None:
        """The proof is of a key of the party; all of it has at most 8,192 canonical bytes."""
        method = original["proof"]["verificationMethod"]
        party = f"{original['party']}#"
        if not method.startswith(party) or method == party:
            refuse([(("proof", "verificationMethod"), "Expected <party>#<multikey>.")])
        if len(canonical.encode(original)) > canonical.MAX_SEAL_BYTES:
            raise ValidationError(f"A seal has at most {canonical.MAX_SEAL_BYTES} bytes.")


# --- disclosures ----------------------------------------------------------------------------------


class DisclosureSchema(Closed):
    """A concealed member, and who may read it."""

    text = Text(required=True, description="a disclosure as it was issued, base64url")
    audience = Many(OneOf(AUDIENCES), least=1, required=True)


class DisclosureLineSchema(Closed):
    """The disclosures of one event; `subject` where it carries its own proof."""

    leaf = Whole(0, 9_999)
    disclosures = Many(Nested(DisclosureSchema), least=1, required=True)
    subject = Text(description="one of the event's subjects")


# --- by type --------------------------------------------------------------------------------------

PARTY_EVENTS: Final[Mapping[str, type[EventSchema]]] = {
    "prov:PartyRegistered": PartyRegisteredSchema,
    "prov:KeyAdded": KeyAddedSchema,
    "prov:KeyRevoked": KeyRevokedSchema,
    "prov:PartyAccredited": PartyAccreditedSchema,
    "prov:AccreditationWithdrawn": AccreditationWithdrawnSchema,
}


def load_event(document: Any) -> Any:
    """The event by the schema of its type; raises marshmallow's ValidationError."""
    if not isinstance(document, dict):
        raise ValidationError("Expected an object.")
    kind = document.get("type")
    known = {**STANDARD_EVENTS, **PARTY_EVENTS}
    if isinstance(kind, str) and kind in known:
        return schema_of(known[kind]).load(document)
    with NamesInUse(Names.of(document)):
        if not isinstance(kind, str) or OwnType().fault(kind) is not None:
            refuse([(("type",), "Not an event of EPCIS or of a party, nor a declared own type.")])
    return schema_of(ExtensionEventSchema).load(document)
