"""The forms of EPCIS 2.0 events, member by member: our own table of the standard's model.

One row a member, one :class:`~provenance.domain.forms.ObjectForm` a type. Only what a single member
can show is judged here; what members say together is in ``event_rules``. Objects that the JSON
binding leaves open take extension members (URI or declared CURIE), the others do not.

A member that was concealed (docs/formats.md section 3) leaves ``prov:_sd`` behind; then those
required members that may be concealed need not be there. `kept` names the ones that may not.

Source: GS1 EPCIS 2.0 §7.3 and §7.4, CBV 2.0, the EPCIS 2.0 JSON binding.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from provenance.domain import context, vocabulary
from provenance.domain.forms import (
    Check,
    ObjectForm,
    anything,
    base64_of,
    boolean,
    identifier,
    list_of,
    matching,
    number,
    one_of,
    one_or_list_of,
    string,
    time,
    uri,
    word,
)

NONCE_SIZE: Final = 16
HASH_SIZE: Final = 32

biz_step = word(vocabulary.BIZ_STEPS, "the business steps", "BizStep-")
disposition = word(vocabulary.DISPOSITIONS, "the dispositions", "Disp-")
transaction_type = word(vocabulary.BIZ_TRANSACTION_TYPES, "the transaction types", "BTT-")
holder_type = word(vocabulary.SOURCE_DESTINATION_TYPES, "the source and destination types", "SDT-")
error_reason = word(vocabulary.ERROR_REASONS, "the error reasons", "ER-")
component = word(vocabulary.COMPONENTS, "the components", "Comp-")
sensor_alert = word(vocabulary.SENSOR_ALERTS, "the sensor alerts", None)
measurement_type = word(vocabulary.MEASUREMENT_TYPES, "the measurement types", None)

zone_offset = matching(r"[+-](?:(?:0\d|1[0-3]):[0-5]\d|14:00)", "an offset from -14:00 to +14:00")
# UN/ECE Recommendation 20 codes; which of them exist is not judged.
unit = matching(r"[A-Z0-9]{2,3}", "a unit of 2 or 3 characters, such as KGM")
hex_binary = matching(r"[A-Fa-f0-9]+", "hexadecimal digits")

# --- the parts ------------------------------------------------------------------------------------

quantity_element = ObjectForm(
    {"epcClass": identifier, "quantity": number, "uom": unit},
    required=frozenset({"epcClass"}),
    kept=frozenset({"epcClass"}),
    is_open=False,
)
place = ObjectForm({"id": identifier}, required=frozenset({"id"}))
biz_transaction = ObjectForm(
    {"type": transaction_type, "bizTransaction": identifier},
    required=frozenset({"bizTransaction"}),
    is_open=False,
)
source = ObjectForm(
    {"type": holder_type, "source": identifier},
    required=frozenset({"type", "source"}),
    is_open=False,
)
destination = ObjectForm(
    {"type": holder_type, "destination": identifier},
    required=frozenset({"type", "destination"}),
    is_open=False,
)
persistent_disposition = ObjectForm(
    {
        "set": list_of(disposition, least=1, unique=True),
        "unset": list_of(disposition, least=1, unique=True),
    },
    is_open=False,
)
error_declaration = ObjectForm(
    {"declarationTime": time, "reason": error_reason, "correctiveEventIDs": list_of(uri)},
    required=frozenset({"declarationTime"}),
    may_conceal=False,
)
ilmd = ObjectForm({})
sensor_metadata = ObjectForm(
    {
        "time": time,
        "startTime": time,
        "endTime": time,
        "deviceID": identifier,
        "deviceMetadata": uri,
        "rawData": uri,
        "dataProcessingMethod": uri,
        "bizRules": uri,
    }
)
sensor_report = ObjectForm(
    {
        "type": measurement_type,
        "exception": sensor_alert,
        "deviceID": identifier,
        "deviceMetadata": uri,
        "rawData": uri,
        "dataProcessingMethod": uri,
        "bizRules": uri,
        "time": time,
        "microorganism": uri,
        "chemicalSubstance": uri,
        "coordinateReferenceSystem": uri,
        "component": component,
        "stringValue": string,
        "booleanValue": boolean,
        "hexBinaryValue": hex_binary,
        "uriValue": uri,
        "uom": string,
        **dict.fromkeys(("value", "minValue", "maxValue", "meanValue"), number),
        **dict.fromkeys(("sDev", "percRank", "percValue"), number),
    },
    required=frozenset({"type"}),
)
sensor_element = ObjectForm(
    {"sensorMetadata": sensor_metadata, "sensorReport": list_of(sensor_report, least=1)},
    required=frozenset({"sensorReport"}),
)

# --- the events -----------------------------------------------------------------------------------

_IDENTITY: Final[Mapping[str, Check]] = {
    "@context": context.check_context,
    "type": uri,  # the type has chosen the form; this only keeps the table whole
    "eventTime": time,
    "eventTimeZoneOffset": zone_offset,
    "eventID": uri,
    "prov:nonce": base64_of(NONCE_SIZE),
    "prov:after": one_or_list_of(base64_of(HASH_SIZE), unique=True),
    "proof": anything,  # judged as a whole by event_rules, through domain.seal
}
_COMMON: Final[Mapping[str, Check]] = {
    **_IDENTITY,
    "recordTime": time,
    "certificationInfo": one_or_list_of(uri),
    "errorDeclaration": error_declaration,
}
_WHY_AND_WHERE: Final[Mapping[str, Check]] = {
    "bizStep": biz_step,
    "disposition": disposition,
    "readPoint": place,
    "bizLocation": place,
    "bizTransactionList": list_of(biz_transaction),
    "sourceList": list_of(source),
    "destinationList": list_of(destination),
    "sensorElementList": list_of(sensor_element),
}
_ACTION: Final[Mapping[str, Check]] = {"action": one_of(vocabulary.ACTIONS)}
_EPCS: Final = list_of(identifier, unique=True)
_QUANTITIES: Final = list_of(quantity_element)
_CHILDREN: Final[Mapping[str, Check]] = {
    "parentID": identifier,
    "childEPCs": list_of(identifier),
    "childQuantityList": _QUANTITIES,
}
_ALWAYS: Final = frozenset({"@context", "type", "eventTime", "eventTimeZoneOffset", "prov:nonce"})


def _event(members: Mapping[str, Check], *required: str) -> ObjectForm:
    """An event's form; of its required members only ``bizTransactionList`` may be concealed."""
    needed = _ALWAYS | set(required)
    known = {**_COMMON, **_WHY_AND_WHERE, **members, "type": _typed}
    return ObjectForm(known, required=needed, kept=needed - {"bizTransactionList"})


def _typed(value: object, where: object, report: object) -> None:
    """The type was looked at before this form was chosen."""


OBJECT_EVENT: Final = _event(
    {
        **_ACTION,
        "epcList": _EPCS,
        "quantityList": _QUANTITIES,
        "persistentDisposition": persistent_disposition,
        "ilmd": ilmd,
    },
    "action",
)
AGGREGATION_EVENT: Final = _event({**_ACTION, **_CHILDREN}, "action")
ASSOCIATION_EVENT: Final = _event({**_ACTION, **_CHILDREN}, "action", "parentID")
TRANSACTION_EVENT: Final = _event(
    {
        **_ACTION,
        "parentID": identifier,
        "epcList": list_of(identifier),
        "quantityList": _QUANTITIES,
        "bizTransactionList": list_of(biz_transaction, least=1),
    },
    "action",
    "bizTransactionList",
)
TRANSFORMATION_EVENT: Final = _event(
    {
        "inputEPCList": _EPCS,
        "inputQuantityList": _QUANTITIES,
        "outputEPCList": _EPCS,
        "outputQuantityList": _QUANTITIES,
        "transformationID": identifier,
        "persistentDisposition": persistent_disposition,
        "ilmd": ilmd,
    }
)
# EPCIS defines only the common members for a type of somebody's own. Ours may also say why and
# where, because the place is then its subject.
EXTENSION_EVENT: Final = _event({"transformationID": identifier})
# Its own members, which are closed, are judged by party_events.validate_party_event.
PARTY_EVENT: Final = ObjectForm(_IDENTITY, required=_ALWAYS | {"eventID"}, may_conceal=False)

FORMS: Final[Mapping[str, ObjectForm]] = {
    "ObjectEvent": OBJECT_EVENT,
    "AggregationEvent": AGGREGATION_EVENT,
    "AssociationEvent": ASSOCIATION_EVENT,
    "TransactionEvent": TRANSACTION_EVENT,
    "TransformationEvent": TRANSFORMATION_EVENT,
}
