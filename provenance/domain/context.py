"""An event's ``@context``: which vocabularies its names belong to. Never fetched.

A single event carries its own (docs/formats.md section 2):

    ["https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld",
     {"prov": "https://provenance.example/ns/v1/"}]

with further entries as needed. EPCIS's context must be there by its address and ``prov`` must be
declared as ours, so that what was signed means the same to any reader of JSON-LD. An entry of the
event's own may add names and prefixes, but not give EPCIS's another meaning (its context protects
them, so a JSON-LD processor would fail on the attempt).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from provenance.domain import forms
from provenance.domain.forms import Report, Where

EPCIS_CONTEXT: Final = "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"
PROV_NAMESPACE: Final = "https://provenance.example/ns/v1/"
PROV_CONTEXT: Final[Mapping[str, str]] = {"prov": PROV_NAMESPACE}

# Addresses under which EPCIS 2.0's context is met in documents: the standard's, and the one of its
# draft that older programs write.
EPCIS_CONTEXTS: Final = frozenset(
    {
        EPCIS_CONTEXT,
        "https://ref.gs1.org/standards/epcis/epcis-context.jsonld",
        "https://gs1.github.io/EPCIS/epcis-context.jsonld",
    }
)
# Prefixes that EPCIS's context declares itself, and cbvmda, which the standard's own texts use so.
EPCIS_PREFIXES: Final = frozenset(
    {"epcis", "cbv", "cbvmda", "gs1", "rdfs", "owl", "xsd", "dcterms", "prov"}
)
MAX_ENTRIES: Final = 32

_PROTECTED: Final = frozenset(
    [
        "id",
        "type",
        "eventTime",
        "recordTime",
        "eventTimeZoneOffset",
        "eventID",
        "certificationInfo",
        "errorDeclaration",
        "action",
        "bizStep",
        "disposition",
        "persistentDisposition",
        "readPoint",
        "bizLocation",
        "bizTransactionList",
        "sourceList",
        "destinationList",
        "sensorElementList",
        "epcList",
        "quantityList",
        "childEPCs",
        "childQuantityList",
        "parentID",
        "inputEPCList",
        "inputQuantityList",
        "outputEPCList",
        "outputQuantityList",
        "transformationID",
        "ilmd",
        "epcis",
        "ObjectEvent",
        "AggregationEvent",
        "TransactionEvent",
        "TransformationEvent",
        "AssociationEvent",
    ]
)


def prefixes_of(context: object) -> frozenset[str]:
    """The prefixes that may stand before a colon: EPCIS's own and those of the context's objects.

    Total: a context of another form gives what can be read of it; `check_context` finds the fault.
    """
    declared = set(EPCIS_PREFIXES)
    for entry in context if isinstance(context, list) else [context]:
        if isinstance(entry, dict):
            declared.update(name for name, meaning in entry.items() if _is_term(meaning))
    return frozenset(declared)


def _is_term(meaning: object) -> bool:
    return isinstance(meaning, str) or (isinstance(meaning, dict) and "@id" in meaning)


def check_context(value: Any, where: Where, report: Report) -> None:
    """Judge an event's ``@context``; a checker as ``domain.forms`` describes them."""
    if not isinstance(value, list) or len(value) > MAX_ENTRIES:
        report.add(where, f'["{EPCIS_CONTEXT}", {json.dumps(PROV_CONTEXT)}]', value)
        return
    for position, entry in enumerate(value):
        if isinstance(entry, dict):
            _check_names(entry, (where, position), report)
        elif not forms.is_uri(entry):
            report.add((where, position), "the address of a context, or an object", entry)
        if entry in value[:position]:
            report.add((where, position), "each entry only once", entry)
    if not any(isinstance(entry, str) and entry in EPCIS_CONTEXTS for entry in value):
        report.add(where, f"the entry {EPCIS_CONTEXT}", value)
    if not any(isinstance(entry, dict) and "prov" in entry for entry in value):
        report.add(where, f"the entry {json.dumps(PROV_CONTEXT)}", value)


def _check_names(entry: Mapping[str, Any], where: Where, report: Report) -> None:
    for name, meaning in entry.items():
        if name == "prov" and meaning != PROV_NAMESPACE:
            report.add((where, name), f'"{PROV_NAMESPACE}"', meaning)
        elif name in _PROTECTED:
            report.add((where, name), "no new meaning for a name of EPCIS", meaning)


def merge_contexts(*contexts: object) -> list[Any]:
    """One list of all entries in order, each once, ended by the ``prov`` declaration if missing.

    None and missing contexts count as empty; a single entry as a list of one.
    """
    merged: list[Any] = []
    for context in contexts:
        if context is None:
            continue
        for entry in context if isinstance(context, list) else [context]:
            if entry not in merged:
                merged.append(entry)
    if not any(isinstance(entry, dict) and "prov" in entry for entry in merged):
        merged.append(dict(PROV_CONTEXT))
    return merged
