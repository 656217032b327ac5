"""Schemas of uploaded events of EPCIS, and of own types.

What a member may be stands in ``upload_fields`` and ``upload_parts``, what members say together in
``upload_rules``; a type says which of these it has. Party events: ``upload_schemas``.

Source: GS1 EPCIS 2.0 §7.4; docs/formats.md section 2.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, ClassVar, Final

from marshmallow import Schema, post_load, validates_schema
from marshmallow.fields import Nested, Raw

from provenance.domain import canonical, vocabulary
from provenance.domain.context import EPCIS_CONTEXTS, MAX_ENTRIES, PROV_NAMESPACE
from provenance.domain.forms import is_uri
from provenance.web import upload_rules
from provenance.web.upload_fields import (
    Base64,
    Digests,
    Fault,
    Identifier,
    Many,
    Matching,
    Moment,
    Names,
    NamesInUse,
    OneOf,
    OneOrMany,
    Uri,
    Word,
    is_declared,
    refuse,
)
from provenance.web.upload_parts import (
    BizTransactionSchema,
    Closed,
    DestinationSchema,
    ErrorDeclarationSchema,
    IlmdSchema,
    Open,
    OwnProofSchema,
    PersistentDispositionSchema,
    PlaceSchema,
    QuantitySchema,
    SensorElementSchema,
    SourceSchema,
    disposition_word,
    wire_names,
)
from provenance.web.upload_rules import Rule

# --- events ---------------------------------------------------------------------------------------


class ContextEntries(Raw):
    """An event's ``@context``: EPCIS's by its address, ours, and perhaps further ones."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        refuse(_context_faults(value))
        return value


def _context_faults(value: Any) -> Iterator[Fault]:
    if not isinstance(value, list) or len(value) > MAX_ENTRIES:
        yield (), f"Expected a list of at most {MAX_ENTRIES} entries."
        return
    for position, entry in enumerate(value):
        if isinstance(entry, dict):
            yield from (((position, name), why) for name, why in _redefinitions(entry))
        elif not is_uri(entry):
            yield (position,), "Neither the address of a context nor an object."
        if entry in value[:position]:
            yield (position,), "This entry stands there before."
    if not EPCIS_CONTEXTS.intersection(entry for entry in value if isinstance(entry, str)):
        yield (), "The context of EPCIS 2.0 is not there."
    if not any(isinstance(entry, dict) and "prov" in entry for entry in value):
        yield (), "The prefix prov is not declared."


def _redefinitions(entry: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, meaning in entry.items():
        if name == "prov" and meaning != PROV_NAMESPACE:
            yield name, f"prov is {PROV_NAMESPACE}."
        elif name in _standard_names():
            yield name, "A name of EPCIS has its meaning already."


class EventSchema(Closed):
    """What every event has."""

    context = ContextEntries(
        data_key="@context",
        required=True,
        metadata={
            "type": "array",
            "items": {"anyOf": [{"type": "string", "format": "uri"}, {"type": "object"}]},
            "minItems": 2,
            "maxItems": MAX_ENTRIES,
            "description": "EPCIS's context by its address, and prov declared; never fetched",
        },
    )
    event_time = Moment(data_key="eventTime", required=True)
    event_time_zone_offset = Matching(
        r"[+-](?:(?:0\d|1[0-3]):[0-5]\d|14:00)",
        "an offset from -14:00 to +14:00",
        data_key="eventTimeZoneOffset",
        required=True,
    )
    event_id = Uri(data_key="eventID")
    nonce = Base64(16, data_key="prov:nonce", required=True)
    after = OneOrMany(Base64(32), unique=True, data_key="prov:after")
    proof = Nested(OwnProofSchema)

    needs: ClassVar[tuple[Rule, ...]] = ()
    """Which members the type must have."""
    sense: ClassVar[tuple[Rule, ...]] = ()
    """What must make sense, unless the event declares an earlier one wrong."""

    def load(self, data: Any, **kwargs: Any) -> Any:
        """marshmallow's, with the prefixes that this event declares (`validate` knows none)."""
        with NamesInUse(Names.of(data)):
            return super().load(data, **kwargs)

    @validates_schema(skip_on_field_errors=False, pass_original=True)
    def judge_proof_context(self, _data: Any, original: Any, **_: Any) -> None:
        """An own proof has exactly the event's ``@context``."""
        proof = original.get("proof") if isinstance(original, dict) else None
        if isinstance(proof, dict) and "@context" in proof:
            # Canonical bytes, since Python holds True equal to 1.
            ours, theirs = (canonical.encode(held.get("@context")) for held in (original, proof))
            if ours != theirs:
                refuse([(("proof", "@context"), "Expected exactly the event's @context.")])

    @validates_schema(pass_original=True)
    def judge_together(self, _data: Any, original: Mapping[str, Any], **_: Any) -> None:
        """Members against each other, once the set of them is right."""
        if any(self.member_faults(original)):
            return
        applied = self.needs if "errorDeclaration" in original else (*self.needs, *self.sense)
        refuse(fault for rule in applied for fault in rule(original))

    @post_load(pass_original=True)
    def judge_whole(self, data: Any, original: Mapping[str, Any], **_: Any) -> Any:
        """Subjects and size."""
        refuse(self.whole_faults(original))
        return data

    def whole_faults(self, original: Mapping[str, Any]) -> Iterator[Fault]:
        """What is wrong with an event that is good in all else."""
        return upload_rules.whole_faults(original)


class EpcisEventSchema(EventSchema, Open):
    """What every event of EPCIS, or of an own type, may say besides."""

    sense = upload_rules.SENSE
    record_time = Moment(data_key="recordTime")
    certification_info = OneOrMany(Uri(), data_key="certificationInfo")
    error_declaration = Nested(ErrorDeclarationSchema, data_key="errorDeclaration")
    biz_step = Word(vocabulary.BIZ_STEPS, "BizStep-", data_key="bizStep")
    disposition = disposition_word()
    read_point = Nested(PlaceSchema, data_key="readPoint")
    biz_location = Nested(PlaceSchema, data_key="bizLocation")
    biz_transaction_list = Many(Nested(BizTransactionSchema), data_key="bizTransactionList")
    source_list = Many(Nested(SourceSchema), data_key="sourceList")
    destination_list = Many(Nested(DestinationSchema), data_key="destinationList")
    sensor_element_list = Many(Nested(SensorElementSchema), data_key="sensorElementList")
    concealed = Digests()


def _action() -> OneOf:
    return OneOf(vocabulary.ACTIONS, required=True)


def _epcs(name: str, *, unique: bool = True) -> Many:
    return Many(Identifier(), unique=unique, data_key=name)


def _quantities(name: str) -> Many:
    return Many(Nested(QuantitySchema), data_key=name)


class ObjectEventSchema(EpcisEventSchema):
    """Something happened to objects."""

    needs = (upload_rules.needs_object, upload_rules.gives_ilmd_at_birth)
    type = OneOf(["ObjectEvent"], required=True)
    action = _action()
    epc_list = _epcs("epcList")
    quantity_list = _quantities("quantityList")
    persistent_disposition = Nested(PersistentDispositionSchema, data_key="persistentDisposition")
    ilmd = Nested(IlmdSchema)


class AggregationEventSchema(EpcisEventSchema):
    """Objects were put into, seen in, or taken out of another."""

    needs = (upload_rules.needs_children,)
    sense = (upload_rules.has_parent, *upload_rules.SENSE)
    type = OneOf(["AggregationEvent"], required=True)
    action = _action()
    parent_id = Identifier(data_key="parentID")
    child_epcs = _epcs("childEPCs", unique=False)
    child_quantity_list = _quantities("childQuantityList")


class AssociationEventSchema(AggregationEventSchema):
    """Objects were tied to another, such as a sensor to a container."""

    type = OneOf(["AssociationEvent"], required=True)
    parent_id = Identifier(data_key="parentID", required=True)


class TransactionEventSchema(EpcisEventSchema):
    """Objects became part of a business transaction, or ceased to be."""

    concealable = frozenset({"bizTransactionList"})
    needs = (upload_rules.needs_goods,)
    type = OneOf(["TransactionEvent"], required=True)
    action = _action()
    parent_id = Identifier(data_key="parentID")
    epc_list = _epcs("epcList", unique=False)
    quantity_list = _quantities("quantityList")
    biz_transaction_list = Many(
        Nested(BizTransactionSchema), least=1, data_key="bizTransactionList"
    )


class TransformationEventSchema(EpcisEventSchema):
    """Objects became others."""

    needs = (upload_rules.needs_both_sides,)
    type = OneOf(["TransformationEvent"], required=True)
    input_epc_list = _epcs("inputEPCList")
    input_quantity_list = _quantities("inputQuantityList")
    output_epc_list = _epcs("outputEPCList")
    output_quantity_list = _quantities("outputQuantityList")
    transformation_id = Identifier(data_key="transformationID")
    persistent_disposition = Nested(PersistentDispositionSchema, data_key="persistentDisposition")
    ilmd = Nested(IlmdSchema)


class OwnType(Uri):
    """A type of somebody's own: a URI or declared CURIE that is not in our namespace."""

    form: ClassVar[Mapping[str, Any]] = {"format": "uri", "pattern": "^(?!prov:)[^:]+:"}

    def fault(self, text: str) -> str | None:
        if is_uri(text) and not text.startswith("prov:") and is_declared(text):
            return None
        return "Neither an event of EPCIS nor of a party nor an own type with a declared prefix."


class ExtensionEventSchema(EpcisEventSchema):
    """An event of an own type; its subject is its place, its device or its transformation.

    The rules of sense are stated for the standard's types, and are not applied to it.
    """

    sense = ()
    type = OwnType(required=True)
    transformation_id = Identifier(data_key="transformationID")


STANDARD_EVENTS: Final[Mapping[str, type[EventSchema]]] = {
    "ObjectEvent": ObjectEventSchema,
    "AggregationEvent": AggregationEventSchema,
    "AssociationEvent": AssociationEventSchema,
    "TransactionEvent": TransactionEventSchema,
    "TransformationEvent": TransformationEventSchema,
}


@cache
def schema_of(kind: type[Schema]) -> Schema:
    """The one object of a schema class that everybody uses."""
    return kind()


@cache
def _standard_names() -> frozenset[str]:
    """The names that EPCIS's context gives a meaning: types, members of events, and two more."""
    members = {name for kind in STANDARD_EVENTS.values() for name in wire_names(schema_of(kind))}
    ours = {name for name in members if name.startswith(("@", "prov:"))} | {"proof"}
    return frozenset((members - ours) | STANDARD_EVENTS.keys() | {"id", "epcis"})
