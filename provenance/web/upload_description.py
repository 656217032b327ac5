"""Uploads in the OpenAPI document: components made of the schemas, and the request bodies.

OpenAPI 3.1 has no word for a body of many JSON documents, one a line. The convention here: the
media type's `schema` is a string, and beside it stand `x-firstItemSchema` for the first line,
where that is another than the rest, and `x-itemSchema` for every further one, named after the
`itemSchema` that OpenAPI 3.2 has for the purpose.

An event's schema follows from its `type`. That is said with a discriminator where every name is
known, and with `oneOf` around them, since an own type may have any name with a colon in it.

What JSON Schema can say is exact but for words of prose: it accepts all that is accepted, and some
of what is refused (check digits, members against each other, prefixes that nobody declared).
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any, Final

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from marshmallow import Schema
from marshmallow.fields import Field

from provenance.config import Settings
from provenance.domain.canonical import MAX_DEPTH, MAX_EVENT_BYTES, MAX_SEAL_BYTES
from provenance.domain.seal import MAX_EVENTS
from provenance.web import upload_examples as examples
from provenance.web import upload_parts as parts
from provenance.web.upload_events import STANDARD_EVENTS, ExtensionEventSchema, schema_of
from provenance.web.upload_fields import CONCEALED, OneOrMany
from provenance.web.upload_rules import MAX_SUBJECTS
from provenance.web.upload_schemas import (
    PARTY_EVENTS,
    DisclosureLineSchema,
    DisclosureSchema,
    SealSchema,
)

#: In this order none is met before it is registered, and none is given a name by accident.
_SCHEMAS: Final[tuple[type[Schema], ...]] = (
    parts.QuantitySchema,
    parts.PlaceSchema,
    parts.BizTransactionSchema,
    parts.SourceSchema,
    parts.DestinationSchema,
    parts.PersistentDispositionSchema,
    parts.ErrorDeclarationSchema,
    parts.IlmdSchema,
    parts.SensorMetadataSchema,
    parts.SensorReportSchema,
    parts.SensorElementSchema,
    parts.ProofSchema,
    parts.OwnProofSchema,
    *STANDARD_EVENTS.values(),
    ExtensionEventSchema,
    *PARTY_EVENTS.values(),
    SealSchema,
    DisclosureSchema,
    DisclosureLineSchema,
)


def _name_of(schema: type[Schema]) -> str:
    return schema.__name__.removesuffix("Schema")


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


# --- request bodies -------------------------------------------------------------------------------

_DEFAULTS: Final = {setting.name: setting.default for setting in fields(Settings)}
_BODY_BYTES: Final = (
    f"At most {_DEFAULTS['max_body_bytes']:,} bytes, also decoded (PROVENANCE_MAX_BODY_BYTES); "
    "the content coding gzip is allowed."
)
_JSON: Final = (
    f"strict I-JSON (RFC 7493) in UTF-8, at most {MAX_DEPTH} levels deep, names once in an object"
)
_EVENT_LIMITS: Final = (
    f"An event has at most {MAX_EVENT_BYTES:,} bytes, as sent and in canonical form, and 1 to "
    f"{MAX_SUBJECTS:,} subjects."
)
_LINK_LIMITS: Final = (
    f"At most {MAX_EVENTS:,} events and {_DEFAULTS['max_upload_links']:,} links, one for each "
    f"subject of an event (PROVENANCE_MAX_UPLOAD_LINKS). A seal has at most {MAX_SEAL_BYTES:,} "
    f"bytes. {_EVENT_LIMITS}"
)


def _signed(name: str) -> dict[str, Any]:
    return {"allOf": [_ref(name), {"required": ["proof"]}]}


def _lines(*documents: Mapping[str, Any]) -> str:
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in documents)


def _ndjson(description: str, example: str, item: str, first: str | None = None) -> dict[str, Any]:
    where = "each line" if first is None else "each further line, x-firstItemSchema the first one"
    text = f"One document a line: {_JSON}. x-itemSchema describes {where}."
    media = {
        "schema": {"type": "string", "description": text},
        "x-itemSchema": _ref(item),
        "example": example,
    }
    if first is not None:
        media["x-firstItemSchema"] = _ref(first)
    content = {"application/x-ndjson": media}
    return {"required": True, "description": description, "content": content}


BATCH_BODY: Final = _ndjson(
    "The seal, then exactly as many events as it says, without proofs and in its order; or, "
    f"without a seal, events that each carry their own proof. {_LINK_LIMITS} {_BODY_BYTES}",
    _lines(examples.SEAL, examples.REGISTRATION),
    item="Event",
    first="FirstLine",
)
JOB_BODY: Final = _ndjson(
    f"Uploads one after the other, in all at most {_DEFAULTS['max_job_bytes']:,} bytes "
    f"(PROVENANCE_MAX_JOB_BYTES); may be empty. Each of them: {_LINK_LIMITS}",
    _lines(examples.SEAL, examples.REGISTRATION, examples.EVENT),
    item="JobLine",
)
DISCLOSURES_BODY: Final = _ndjson(
    f"One line for each event that has any, at most {MAX_EVENTS:,} of at most "
    f"{MAX_EVENT_BYTES:,} bytes. {_BODY_BYTES}",
    _lines(examples.DISCLOSURES),
    item="DisclosureLine",
)
EVENT_BODY: Final[dict[str, Any]] = {
    "required": True,
    "description": f"One EPCIS 2.0 event with its own proof: {_JSON}. {_EVENT_LIMITS}",
    "content": {
        media_type: {"schema": _signed("Event"), "example": examples.EVENT}
        for media_type in ("application/json", "application/ld+json")
    },
}


# --- components -----------------------------------------------------------------------------------


def add_upload_schemas(spec: APISpec, plugin: MarshmallowPlugin) -> None:
    """Name every schema of an upload in `spec`, and the choices among them."""
    assert plugin.converter is not None  # noqa: S101 -- made when the spec took the plugin
    plugin.converter.add_attribute_function(_one_or_many)  # type: ignore[no-untyped-call]
    for schema in _SCHEMAS:
        spec.components.schema(_name_of(schema), _further(schema), schema=schema)
    for name, text, choice in _choices():
        spec.components.schema(name, {"description": text, **choice})


def _further(schema: type[Schema]) -> dict[str, Any]:
    """What a schema class says beside its fields."""
    further: dict[str, Any] = {"description": inspect.getdoc(schema)}
    instance = schema_of(schema)
    if isinstance(instance, parts.Closed):
        further |= instance.form
        if instance.concealable:
            there = {"required": sorted(instance.concealable)}
            further["anyOf"] = [there, {"required": [CONCEALED]}]
    if isinstance(instance, parts.Open):
        known = {"enum": sorted(parts.wire_names(instance))}
        own = {"pattern": "^(?!prov:)[^:]+:", "description": "a URI, or prefix:name"}
        further["propertyNames"] = {"anyOf": [known, own]}
    return further


def _choices() -> Iterator[tuple[str, str, dict[str, Any]]]:
    yield "EpcisEvent", "An event of one of the five types of EPCIS 2.0.", _by_type(STANDARD_EVENTS)
    yield "PartyEvent", "What happens to a party (docs/formats.md, 5).", _by_type(PARTY_EVENTS)
    kinds = [_ref(name) for name in ("EpcisEvent", "PartyEvent", "ExtensionEvent")]
    yield "Event", "An event: the bytes that are sealed, hashed and kept.", {"oneOf": kinds}
    for name, text, event in (
        ("FirstLine", "The first line of an upload.", _signed("Event")),
        ("JobLine", "Any line of uploads that follow one another.", _ref("Event")),
    ):
        yield name, text, {"oneOf": [_ref("Seal"), event]}


def _by_type(schemas: Mapping[str, type[Schema]]) -> dict[str, Any]:
    mapping = {kind: _ref(_name_of(schema))["$ref"] for kind, schema in schemas.items()}
    one_of = [{"$ref": reference} for reference in mapping.values()]
    return {"oneOf": one_of, "discriminator": {"propertyName": "type", "mapping": mapping}}


def _one_or_many(_converter: object, field: Field[Any], ret: dict[str, Any]) -> dict[str, Any]:
    """apispec takes a list for a list; this one may be a single item too."""
    if not isinstance(field, OneOrMany):
        return {}
    names = [name for name in ("type", "items", "minItems", "uniqueItems") if name in ret]
    many = {name: ret.pop(name) for name in names}
    return {"anyOf": [many["items"], many]}
