"""The details of one stage: what an event says beside its step, place and time, as labelled claims.

Only members whose meaning is known are given words (EPCIS 2.0 sections 7.3 and 7.4, CBV 2.0, and
the few members of their own namespaces that the demonstration's profile uses); everything is in
the raw event below.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from provenance.web.claims import Claim, Reader, number
from provenance.web.display import drawn
from provenance.web.language import Language
from provenance.web.naming import name_of
from provenance.web.vocabulary import bare

_UNITS = {"KGM": "kg", "GRM": "g", "LTR": "l", "MTR": "m", "CEL": " °C", "P1": " %", "H87": ""}
_SENSORS = {"Temperature": "fact.temperature", "RelativeHumidity": "fact.humidity"}
_PLAIN = (
    ("fact.vessel", "trade:vessel"),
    ("fact.voyage", "trade:voyage"),
    ("fact.container", "trade:container"),
    ("fact.clearance", "trade:clearance"),
    ("fact.note", "trade:note"),
)


@dataclass(frozen=True, slots=True)
class Fact:
    """A label and what stands beside it: claims (compared on the phone) and plain words between."""

    label: str
    parts: tuple[Claim | str, ...]


@dataclass(frozen=True, slots=True)
class Certificate:
    """A document outside the ledger, named by its hash."""

    name: Claim | None
    number: Claim | None
    result: Claim | None
    hash: Claim | None


def facts_of(reader: Reader, language: Language) -> tuple[Fact, ...]:
    """Every fact that we have words for, in reading order."""
    return tuple(
        fact
        for group in (_states, _quantities, _whereabouts, _documents, _sensors, _plain)
        for fact in group(reader, language)
    )


def certificates_of(reader: Reader, language: Language) -> tuple[Certificate, ...]:
    """`trade:certificate` where there is one, else each `certificationInfo` (EPCIS 2.0 section
    7.4.2)."""
    parts = ("name", "number", "result", "sha256")
    claims = [reader.claim(language, "trade:certificate", part) for part in parts]
    if any(claims):
        return (Certificate(*claims),)
    info, _, _ = reader.find("certificationInfo")
    paths: list[tuple[str | int, ...]] = [("certificationInfo",)]
    if isinstance(info, list):
        paths = [("certificationInfo", index) for index in range(len(info))]
    infos = (reader.claim(language, *path) for path in paths)
    return tuple(Certificate(claim, None, None, None) for claim in infos if claim)


def _states(reader: Reader, language: Language) -> Iterator[Fact]:
    if code := bare(reader.text("disposition")):
        yield Fact(language.say("fact.disposition"), (language.term("disposition", code),))
    if claim := reader.claim(language, "errorDeclaration", "reason"):
        yield Fact(language.say("fact.reason"), (claim,))
    if claim := reader.claim(language, "ilmd", "trade:productName"):
        yield Fact(language.say("fact.product"), (claim,))


def _quantities(reader: Reader, language: Language) -> Iterator[Fact]:
    for member, label in (
        ("quantityList", "fact.quantity"),
        ("inputQuantityList", "fact.made-from"),
        ("outputQuantityList", "fact.quantity"),
        ("childQuantityList", "fact.quantity"),
    ):
        for index in list(reader.items(member))[:4]:
            if claim := reader.claim(language, member, index, "quantity"):
                unit = reader.text(member, index, "uom")
                words = _UNITS.get(unit, f" {drawn(unit)}" if unit else "")
                kind = name_of(reader.text(member, index, "epcClass"))
                yield Fact(language.say(label), (claim, words, f" ({drawn(kind.number)})"))
    for member in ("childEPCs", "epcList", "outputEPCList"):
        if (count := len(list(reader.items(member)))) > 1:
            yield Fact(language.say("fact.quantity"), (language.counted("fact.units", count),))


def _whereabouts(reader: Reader, language: Language) -> Iterator[Fact]:
    if parent := reader.claim(language, "parentID"):
        inside = reader.text("action") != "DELETE"
        label = language.say("fact.inside" if inside else "fact.taken-out")
        yield Fact(label, (_subject(parent, language),))


def _subject(claim: Claim, language: Language) -> str:
    name = name_of(claim.text)
    key = name.kind if name.kind in ("00", "10", "21", "8003") else "other"
    return language.say(f"stage.via.{key}", id=name.number)


def _documents(reader: Reader, language: Language) -> Iterator[Fact]:
    for index in list(reader.items("bizTransactionList"))[:6]:
        if claim := reader.claim(language, "bizTransactionList", index, "bizTransaction"):
            kind = bare(reader.text("bizTransactionList", index, "type"))
            label = language.term("document", kind) if kind else language.say("fact.document")
            yield Fact(label, (claim,))


def _sensors(reader: Reader, language: Language) -> Iterator[Fact]:
    for element in list(reader.items("sensorElementList"))[:4]:
        for report in list(reader.items("sensorElementList", element, "sensorReport"))[:4]:
            value, _, _ = reader.find("sensorElementList", element, "sensorReport", report)
            if isinstance(value, dict) and (fact := _reading(value, language)):
                yield fact


def _reading(report: dict[str, Any], language: Language) -> Fact | None:
    kind = str(report.get("type", "")).rsplit("-", 1)[-1].rsplit(":", 1)[-1]
    unit = _UNITS.get(str(report.get("uom", "")), drawn(f" {report.get('uom', '')}").rstrip())
    shown = {
        name: number(report[name])
        for name in ("value", "minValue", "maxValue", "meanValue")
        if isinstance(report.get(name), int | float) and not isinstance(report[name], bool)
    }
    label = language.say(_SENSORS.get(kind, "fact.sensor"), type=kind)
    if "minValue" in shown and "maxValue" in shown:
        key = "fact.range" if "meanValue" in shown else "fact.range.plain"
        places = {
            "low": shown["minValue"],
            "high": shown["maxValue"],
            "mean": shown.get("meanValue"),
        }
        return Fact(label, (language.say(key, unit=unit, **places),))
    return Fact(label, (shown["value"] + unit,)) if "value" in shown else None


def _plain(reader: Reader, language: Language) -> Iterator[Fact]:
    for label, member in _PLAIN:
        if claim := reader.claim(language, member):
            yield Fact(language.say(label), (claim,))
    amount = reader.claim(language, "trade:declaredValue", "amount")
    currency = reader.claim(language, "trade:declaredValue", "currency")
    if amount and currency:
        yield Fact(language.say("fact.declared"), (amount, " ", currency))
