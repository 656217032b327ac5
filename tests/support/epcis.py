"""GS1's example documents as events that stand alone, and systematic damage done to them."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from provenance.domain.documents import parse_document, standalone_events

Step = str | int
WORDS: list[Any] = [None, True, 7, -1, 1.5, "", "word", "not a uri", "urn:x:y"]
WORDS += [[], {}, [7], {"a": 1}]


def counting_random(count: int) -> bytes:
    """`count` bytes that are the same in every run: a test needs no secrets."""
    counting_random.calls += 1  # type: ignore[attr-defined]
    return counting_random.calls.to_bytes(count, "big")  # type: ignore[attr-defined]


counting_random.calls = 0  # type: ignore[attr-defined]


def example_files(shared: Path) -> list[Path]:
    """GS1's example documents, in the order of their paths."""
    return sorted((shared / "data" / "epcis" / "examples").rglob("*.jsonld"))


def example_events(shared: Path) -> list[tuple[str, dict[str, Any]]]:
    """Name and event of all examples. One document names ``eventID`` twice; its last one counts."""
    return [
        (f"{file.stem}[{position}]", event)
        for file in example_files(shared)
        for position, event in enumerate(
            standalone_events(
                parse_document(file.read_bytes(), on_duplicate=lambda _: None), counting_random
            )
        )
    ]


def nodes(value: Any, path: tuple[Step, ...] = ()) -> Iterator[tuple[tuple[Step, ...], Any]]:
    """Every value in `value` with its path, the outermost first."""
    yield path, value
    steps: Any = value.items() if isinstance(value, dict) else ()
    if isinstance(value, list):
        steps = enumerate(value)
    for step, member in steps:
        yield from nodes(member, (*path, step))


def family(path: tuple[Step, ...]) -> str:
    """The path without positions: ``sensorElementList[].sensorReport[].type``."""
    return re.sub(r"\.\[", "[", ".".join("[]" if isinstance(s, int) else s for s in path))


def slim(value: Any) -> Any:
    """A copy without what stands inside extension members: neither judge looks there."""
    if isinstance(value, dict):
        return {
            name: ("text" if ":" in name and isinstance(member, dict | list) else slim(member))
            for name, member in value.items()
        }
    return [slim(item) for item in value] if isinstance(value, list) else value


Damage = Callable[[], dict[str, Any]]


def damages(event: dict[str, Any]) -> Iterator[tuple[str, str, Damage]]:
    """Where, what, and how to make the damaged copy: for every value, every kind of damage."""
    for path, value in nodes(event):
        if path:
            for name, replacement in _replacements(value):
                yield family(path), name, partial(_put, event, path, replacement)
        if path and isinstance(path[-1], str):
            yield family(path), "deleted", partial(_delete, event, path)
            yield family(path), "renamed", partial(_rename, event, path, f"{path[-1]}s")
        if isinstance(value, dict):
            for name in ("_comment", "undeclared:name", "https://example.org/name", "type"):
                yield family(path), f"with {name}", partial(_put, event, (*path, name), "Text")


def _replacements(value: Any) -> Iterator[tuple[str, Any]]:
    for word in WORDS:
        if word != value or type(word) is not type(value):
            yield f"replaced by {word!r}", word
    if isinstance(value, str):
        yield "x added", value + "x"
        yield "blank before", " " + value
        yield "newline after", value + "\n"
        yield "upper case", value.upper()
        yield "another digit", re.sub(r"\d(?=\D*$)", lambda m: str((int(m[0]) + 1) % 10), value)
        yield "umlaut added", value + "ä"
        for text in _TEXTS:
            yield f"replaced by {text!r}", text
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield "negative", -value - 1
        yield "a half more", int(value) + 0.5
        yield "as text", str(value)
    elif isinstance(value, list):
        yield "first twice", [*value[:1], *value]
        yield "with a number", [*value, 7]
        yield "with a word", [*value, "word"]
        yield "as its first", value[0] if value else None
    elif isinstance(value, dict):
        yield "in a list", [value]


_TEXTS = (
    "2026-02-30T00:00:00Z",
    "2099-01-01T00:00:00Z",
    "2005-01-01T00:00:00",
    "2005-01-01T24:00:00Z",
    "2005-01-01T23:59:60Z",
    "yesterday",
    "+15:00",
    "-14:01",
    "ADD",
    "OBSERVE",
    "DELETE",
    "ObjectEvent",
    "AggregationEvent",
    "AssociationEvent",
    "TransactionEvent",
    "TransformationEvent",
    "example:own",
    "nowhere:own",
    "shiping",
    "cbv:BizStep-shipping",
    "cbv:BizStep-shiping",
    "https://ref.gs1.org/cbv/Disp-nothing",
    "urn:epcglobal:cbv:bizstep:shipping",
    "https://ns.gs1.org/cbv/BizStep-shipping",
    "https://gs1.org/voc/Temperature",
    "urn:epc:id:sgtin:0614141.107346.2017",
    "urn:epc:id:sgtin:0614141.1073466.2017",
    "https://id.gs1.org/01/09521141123454/21/S1",
    "https://id.gs1.org/01/09521141123455/21/S1",
    "http://[::1]/a",
    "http://[::1/a",
    "http://exa mple/",
    "a:b#c#d",
    "%41:b",
    "a:%4",
)


def _copy(event: dict[str, Any]) -> dict[str, Any]:
    copied: dict[str, Any] = copy.deepcopy(event)
    return copied


def _put(event: dict[str, Any], path: tuple[Step, ...], value: Any) -> dict[str, Any]:
    copied = _copy(event)
    target: Any = copied
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = copy.deepcopy(value)
    return copied


def _delete(event: dict[str, Any], path: tuple[Step, ...]) -> dict[str, Any]:
    copied = _copy(event)
    target: Any = copied
    for step in path[:-1]:
        target = target[step]
    del target[path[-1]]
    return copied


def _rename(event: dict[str, Any], path: tuple[Step, ...], name: str) -> dict[str, Any]:
    copied = _copy(event)
    target: Any = copied
    for step in path[:-1]:
        target = target[step]
    target[name] = target.pop(path[-1])
    return copied
