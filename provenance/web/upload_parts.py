"""Schemas of what uploaded events are made of: quantities, places, papers, readings, proofs.

Objects that the EPCIS JSON binding leaves open take extension members, which are URIs or CURIEs
with a declared prefix; the others are closed. A member that was concealed leaves ``prov:_sd`` in
its object (docs/formats.md section 3), which then need not have what is named in ``concealable``.

Sources: GS1 EPCIS 2.0 §7.3 and its JSON binding, CBV 2.0; docs/formats.md section 4.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, ClassVar

from marshmallow import INCLUDE, RAISE, Schema, validates_schema
from marshmallow.fields import Nested

from provenance.domain import vocabulary
from provenance.domain.forms import is_uri
from provenance.web.upload_fields import (
    CONCEALED,
    Digests,
    Extension,
    Fault,
    Identifier,
    Many,
    Matching,
    Moment,
    Number,
    OneOf,
    Seconds,
    Text,
    Truth,
    Uri,
    Word,
    extension_faults,
    is_declared,
    refuse,
)

# --- objects, closed and open ---------------------------------------------------------------------


class Closed(Schema):
    """An object with the members that are named here and no other."""

    class Meta:
        unknown = RAISE

    concealable: ClassVar[frozenset[str]] = frozenset()
    """Wire names of members that must be there, or have been concealed."""
    form: ClassVar[Mapping[str, Any]] = {}
    """What JSON Schema can say of the object beyond its members."""

    @validates_schema(skip_on_field_errors=False, pass_original=True)
    def judge_members(self, _data: Any, original: Any, **_: Any) -> None:
        """Members that are not declared above, and those that are missing."""
        if isinstance(original, dict):
            refuse(self.member_faults(original))

    def member_faults(self, original: Mapping[str, Any]) -> Iterator[Fault]:
        """What is wrong with the set of members as such."""
        if CONCEALED not in original:
            for name in sorted(self.concealable - original.keys()):
                yield (name,), "This member is there, or was concealed."


class Open(Closed):
    """An object that takes extension members too."""

    class Meta:
        unknown = INCLUDE

    @cached_property
    def _wire_names(self) -> frozenset[str]:
        return frozenset(wire_names(self))

    def member_faults(self, original: Mapping[str, Any]) -> Iterator[Fault]:
        """Also what is wrong with extension members: with their names, and inside them."""
        yield from super().member_faults(original)
        for name in original.keys() - self._wire_names:
            if (fault := _extension_name_fault(name)) is not None:
                yield (name,), fault
            yield from ((((name, *path)), why) for path, why in extension_faults(original[name]))


def _extension_name_fault(name: str) -> str | None:
    if name.startswith("prov:"):
        return "The namespace prov: has no member of this name here."
    if not is_uri(name):
        return "Neither a member of EPCIS here nor a URI or prefix:name."
    return None if is_declared(name) else "This prefix is not declared in @context."


def wire_names(schema: Schema) -> Iterator[str]:
    """The names under which a schema's members travel."""
    return (field.data_key or name for name, field in schema.fields.items())


# --- the parts of an event ------------------------------------------------------------------------


def disposition_word(**kwargs: Any) -> Word:
    """The state that objects are in."""
    return Word(vocabulary.DISPOSITIONS, "Disp-", **kwargs)


def _holder_type() -> Word:
    return Word(vocabulary.SOURCE_DESTINATION_TYPES, "SDT-")


class QuantitySchema(Closed):
    """A class of objects, and how much or how many of it."""

    epc_class = Identifier(data_key="epcClass", required=True)
    quantity = Number()
    uom = Matching("[A-Z0-9]{2,3}", "a unit of UN/ECE Recommendation 20, such as KGM")
    concealed = Digests()


class PlaceSchema(Open):
    """A read point or a business location."""

    concealable = frozenset({"id"})
    id = Identifier()
    concealed = Digests()


class BizTransactionSchema(Closed):
    """A business paper."""

    concealable = frozenset({"bizTransaction"})
    type = Word(vocabulary.BIZ_TRANSACTION_TYPES, "BTT-")
    biz_transaction = Identifier(data_key="bizTransaction")
    concealed = Digests()


class SourceSchema(Closed):
    """Where, or with whom, a transfer began."""

    concealable = frozenset({"type", "source"})
    type = _holder_type()
    source = Identifier()
    concealed = Digests()


class DestinationSchema(Closed):
    """Where, or with whom, a transfer ends."""

    concealable = frozenset({"type", "destination"})
    type = _holder_type()
    destination = Identifier()
    concealed = Digests()


class PersistentDispositionSchema(Closed):
    """States that objects take on or lose until further notice; one of both at least."""

    form: ClassVar[Mapping[str, Any]] = {"minProperties": 1}
    set = Many(disposition_word(), least=1, unique=True)
    unset = Many(disposition_word(), least=1, unique=True)
    concealed = Digests()

    def member_faults(self, original: Mapping[str, Any]) -> Iterator[Fault]:
        """An empty one says nothing."""
        if not original:
            yield (), "set or unset is there."


class ErrorDeclarationSchema(Open):
    """That an earlier event, which this one repeats, was wrong. Nothing in it is concealed."""

    declaration_time = Moment(data_key="declarationTime", required=True)
    reason = Word(vocabulary.ERROR_REASONS, "ER-")
    corrective_event_ids = Many(Uri(), data_key="correctiveEventIDs")


class IlmdSchema(Open):
    """Master data of an instance or lot: extension members only."""

    concealed = Digests()


class SensorMetadataSchema(Open):
    """What holds for all reports of an element."""

    time = Moment()
    start_time = Moment(data_key="startTime")
    end_time = Moment(data_key="endTime")
    device_id = Identifier(data_key="deviceID")
    device_metadata = Uri(data_key="deviceMetadata")
    raw_data = Uri(data_key="rawData")
    data_processing_method = Uri(data_key="dataProcessingMethod")
    biz_rules = Uri(data_key="bizRules")
    concealed = Digests()


class SensorReportSchema(Open):
    """One reading."""

    concealable = frozenset({"type"})
    type = Word(vocabulary.MEASUREMENT_TYPES, None)
    exception = Word(vocabulary.SENSOR_ALERTS, None)
    device_id = Identifier(data_key="deviceID")
    device_metadata = Uri(data_key="deviceMetadata")
    raw_data = Uri(data_key="rawData")
    data_processing_method = Uri(data_key="dataProcessingMethod")
    biz_rules = Uri(data_key="bizRules")
    time = Moment()
    microorganism = Uri()
    chemical_substance = Uri(data_key="chemicalSubstance")
    coordinate_reference_system = Uri(data_key="coordinateReferenceSystem")
    component = Word(vocabulary.COMPONENTS, "Comp-")
    string_value = Text(data_key="stringValue")
    boolean_value = Truth(data_key="booleanValue")
    hex_binary_value = Matching("[A-Fa-f0-9]+", "hexadecimal digits", data_key="hexBinaryValue")
    uri_value = Uri(data_key="uriValue")
    uom = Text()
    value = Number()
    min_value = Number(data_key="minValue")
    max_value = Number(data_key="maxValue")
    mean_value = Number(data_key="meanValue")
    s_dev = Number(data_key="sDev")
    perc_rank = Number(data_key="percRank")
    perc_value = Number(data_key="percValue")
    concealed = Digests()


class SensorElementSchema(Open):
    """Readings of one device or place."""

    concealable = frozenset({"sensorReport"})
    sensor_metadata = Nested(SensorMetadataSchema, data_key="sensorMetadata")
    sensor_report = Many(Nested(SensorReportSchema), least=1, data_key="sensorReport")
    concealed = Digests()


# --- proofs ---------------------------------------------------------------------------------------


class ProofSchema(Closed):
    """A seal's proof, eddsa-jcs-2022. Whether key and signature are sound is judged with them."""

    type = OneOf(["DataIntegrityProof"], required=True)
    cryptosuite = OneOf(["eddsa-jcs-2022"], required=True)
    proof_purpose = OneOf(["assertionMethod"], data_key="proofPurpose", required=True)
    created = Seconds(required=True)
    verification_method = Text(
        data_key="verificationMethod", required=True, description="<party URI>#<multikey>"
    )
    proof_value = Text(
        data_key="proofValue",
        required=True,
        description="z and base58btc of the 64-byte signature",
    )


class OwnProofSchema(ProofSchema):
    """The proof that an event carries itself."""

    verification_method = Matching(
        r"[^#]+#[\s\S]+", "<party URI>#<multikey>", data_key="verificationMethod", required=True
    )
    domain = Text(required=True, description="the log's origin")
    context = Extension(
        data_key="@context",
        required=True,
        metadata={"description": "exactly the event's @context", "type": "array"},
    )
