"""Which events are believed: error declarations and what they take back.

A declaration repeats an event with an ``errorDeclaration`` added (EPCIS 2.0 §7.4.1.4). It makes
wrong every event that is no declaration itself, has the same ``eventID``, was sealed by the *same
party*, and is the same but for the members that a repetition changes. Nobody can take back what
another party said: such a declaration changes nothing and is reported.

    believed         stands as it was said
    correction       believed, and named by an effective declaration of its own party
    declared-wrong   taken back
    declaration      an event with ``errorDeclaration``

Events are read as they were sealed, without disclosures. Because a declaration has the same
subjects as what it declares, the events of one chain are enough to judge that chain.

Source: docs/formats.md section 11. The phone's twin is ``static/js/verify/trace.js``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, Literal

from provenance.domain import canonical

State = Literal["believed", "correction", "declared-wrong", "declaration"]

_LEFT_OUT: Final = frozenset(
    {"errorDeclaration", "recordTime", "prov:nonce", "prov:after", "proof"}
)


@dataclass(frozen=True, slots=True)
class Statement:
    """An event document and the party that sealed it."""

    document: Mapping[str, Any]
    party: str

    @property
    def is_declaration(self) -> bool:
        """Whether it has an ``errorDeclaration``, whatever its value."""
        return "errorDeclaration" in self.document

    @property
    def event_id(self) -> str | None:
        """The ``eventID``; None where there is none or it is no string."""
        found = self.document.get("eventID")
        return found if isinstance(found, str) else None

    def content(self) -> bytes:
        """SHA-256 of the canonical bytes of what a declaration must repeat, its eventID too."""
        kept = {name: value for name, value in self.document.items() if name not in _LEFT_OUT}
        return sha256(canonical.encode(kept)).digest()

    def corrections(self) -> Iterator[str]:
        """The ``correctiveEventIDs`` that are strings."""
        declaration = self.document.get("errorDeclaration")
        names = declaration.get("correctiveEventIDs") if isinstance(declaration, dict) else None
        for name in names if isinstance(names, list) else ():
            if isinstance(name, str):
                yield name


@dataclass(frozen=True, slots=True)
class Judgement:
    """A state for each statement, in order, and the places of declarations of others' events."""

    states: tuple[State, ...]
    foreign: tuple[int, ...]


class _Said:
    """What was said, so that a declaration finds at once what it repeats.

    Only of events whose ``eventID`` some declaration has is the content looked at, once for each:
    however many declarations there are, the work grows with the number of events alone.
    """

    def __init__(self, statements: Sequence[Statement]) -> None:
        declared = {statement.event_id for statement in statements if statement.is_declaration}
        declared.discard(None)
        self._places: dict[bytes, dict[str, list[int]]] = {}
        for place, statement in enumerate(statements):
            if not statement.is_declaration and statement.event_id in declared:
                by_party = self._places.setdefault(statement.content(), {})
                by_party.setdefault(statement.party, []).append(place)

    def take(self, declaration: Statement) -> Mapping[str, list[int]]:
        """Places of the events that it repeats, by party; none where it has no ``eventID``."""
        if declaration.event_id is None:
            return {}
        return self._places.get(declaration.content(), {})


def judge(statements: Sequence[Statement]) -> Judgement:
    """Judge statements against each other; their order plays no part."""
    states: list[State] = [
        "declaration" if statement.is_declaration else "believed" for statement in statements
    ]
    foreign = []
    corrections: set[tuple[str, str]] = set()  # (party, eventID)
    said = _Said(statements)
    for index, declaration in enumerate(statements):
        if not declaration.is_declaration:
            continue
        repeated = said.take(declaration)
        if declaration.party in repeated:
            _mark(states, repeated[declaration.party])
            corrections.update((declaration.party, name) for name in declaration.corrections())
        elif repeated:
            foreign.append(index)
    for index, statement in enumerate(statements):
        named = (statement.party, statement.event_id) in corrections
        if named and states[index] == "believed":
            states[index] = "correction"
    return Judgement(tuple(states), tuple(foreign))


def _mark(states: list[State], places: Sequence[int]) -> None:
    """These are wrong; all of them since the first declaration that said so."""
    if states[places[0]] != "declared-wrong":
        for place in places:
            states[place] = "declared-wrong"
