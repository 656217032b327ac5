"""Two judges of uploaded lines held against each other: the hot path, and marshmallow's schemas.

A judge says which JSON paths it finds fault with, None if it accepts; ``$`` where it names none.
Names stand bare in them (``$.prov:nonce``), since the hot path writes some so and some in brackets.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias
from zlib import crc32

from marshmallow import ValidationError
from marshmallow.exceptions import SCHEMA

from provenance.domain import canonical
from provenance.domain.errors import Refusal
from provenance.domain.event import InvalidEventError, read_line
from provenance.domain.forms import MAX_VIOLATIONS, format_path
from provenance.domain.seal import parse_seal
from provenance.services.attaching import read_disclosure_line
from provenance.web.upload_events import schema_of
from provenance.web.upload_schemas import DisclosureLineSchema, SealSchema, load_event
from tests.support.epcis import damages

THOROUGH: Final = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"

Found: TypeAlias = frozenset[str] | None
Judge: TypeAlias = Callable[[bytes], Found]


def by_hot_path(read: Callable[[bytes], Any]) -> Judge:
    """What `read` refuses, by the paths that its refusal names."""

    def judge(line: bytes) -> Found:
        try:
            read(line)
        except InvalidEventError as error:
            return frozenset(_bare(violation.path) for violation in error.violations)
        except Refusal as refusal:
            return frozenset({_bare(refusal.path or "$")})
        return None

    return judge


def by_schema(load: Callable[[Any], Any]) -> Judge:
    """What `load` refuses of the documents that strict JSON lets pass (`domain.canonical`)."""

    def judge(line: bytes) -> Found:
        try:
            load(canonical.parse(line))
        except ValidationError as error:
            return frozenset(map(_bare, paths(error.messages)))
        except Refusal as refusal:
            return frozenset({refusal.path or "$"})
        return None

    return judge


def paths(messages: Any, where: Any = None) -> Iterator[str]:
    """The JSON paths at which marshmallow has something to say."""
    if not isinstance(messages, dict):
        yield format_path(where)
        return
    for step, inner in messages.items():
        yield from paths(inner, where if step == SCHEMA else (where, step))


def _bare(path: str) -> str:
    return re.sub(r"\['(.*?)'\]", r".\1", path)


EVENTS = (by_hot_path(lambda line: read_line(line).check()), by_schema(load_event))
SEALS = (by_hot_path(parse_seal), by_schema(schema_of(SealSchema).load))
DISCLOSURES = (
    by_hot_path(lambda line: read_disclosure_line(1, line)),
    by_schema(schema_of(DisclosureLineSchema).load),
)


def damaged(
    document: dict[str, Any], tried: set[Any], one_in: int, *, always: str = "deleted"
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Damaged copies: what `always` names and one in `one_in` others, all in the thorough profile.

    `tried` remembers over several documents what of a type was damaged how; once is enough.
    """
    for where, what, make in damages(document):
        kind = (document.get("type"), where, what)
        sampled = THOROUGH or what == always or crc32(repr(kind).encode()) % one_in == 0
        if kind in tried or not sampled:
            continue
        tried.add(kind)
        copied = make()
        try:
            canonical.encode(copied)
        except canonical.MalformedJsonError:  # a number of GS1's that canonical JSON cannot hold
            continue
        yield f"{where} {what}", copied


@dataclass
class Tally:
    """How two judges got on: `counts` of accepted, refused, and how alike the paths were."""

    judges: tuple[Judge, Judge]
    counts: Counter[str] = field(default_factory=Counter)

    def take(self, line: bytes, what: str) -> Found:
        """Hear both on a line, assert that they agree, and give what the schema found."""
        hot, schema = (judge(line) for judge in self.judges)
        assert (hot is None) == (schema is None), f"{what}: hot path {hot}, schema {schema}"
        if hot is None or schema is None:
            self.counts["accepted"] += 1
        else:
            self.counts["refused"] += 1
            self.counts[_likeness(hot, schema)] += 1
        return schema

    @property
    def share_alike(self) -> float:
        """Of the refusals, how many named the same members, or one judge all the other's."""
        apart = self.counts["apart"] + self.counts["overlapping"]
        return 1 - apart / self.counts["refused"]


def _likeness(hot: frozenset[str], schema: frozenset[str]) -> str:
    if hot == schema:
        return "same"
    # Closed forms are read to the first fault, events to the fiftieth.
    if hot <= schema and (len(hot) == 1 or len(hot) == MAX_VIOLATIONS):
        return "first"
    if all(any(_is_in(theirs, ours) for ours in hot) for theirs in schema):
        return "inside"
    return "overlapping" if hot & schema else "apart"


def _is_in(path: str, outer: str) -> bool:
    """Whether `path` is `outer`, or a member of what stands there."""
    return path == outer or path.startswith((f"{outer}.", f"{outer}["))
