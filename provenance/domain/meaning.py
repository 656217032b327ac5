"""What a witness's key means: a published promise, bound to the key.

A cosignature says by its format that the checkpoint is the largest consistent tree that the witness
has seen. A *map-aware* witness promises more: the map that rides in the log is right. A reader can
count on that only if the promise stands somewhere in the witness's own name, and if one key always
means one set of promises. So every witness publishes a note, signed under its own cosigning keys:

    prov/witness-meaning/v1
    <name of the witness>
    <plain | map>
    <vkey>                      one line for each key of which this is the meaning
    …

The lines of the note are of the kinds that the keys have anyway (0x04: a cosignature with its
time), so that the very vkey of a policy opens it. No reader can take the note for a cosigned
checkpoint: the second line of a checkpoint is a number, and no name of a witness is made of digits
alone (:class:`Meaning` refuses such a name).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, get_args

from merkle.errors import VerifierKeyError
from merkle.note import VerifierKey
from provenance.domain.errors import DomainError
from provenance.domain.wire import shorten

HEADER: Final = "prov/witness-meaning/v1"
Kind = Literal["plain", "map"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

IN_WORDS: Final[dict[Kind, str]] = {
    "plain": (
        "A cosignature under this key says: at its time, this checkpoint was the largest tree of "
        "its origin that this witness had seen, consistent with every one that it cosigned before. "
        "It says nothing about what the entries mean."
    ),
    "map": (
        "A cosignature under this key says: at its time, this checkpoint was the largest tree of "
        "its origin that this witness had seen, consistent with every one that it cosigned before; "
        "and this witness has read every entry of it, has recomputed every map head in it from the "
        "map head before and the links between, and its last entry is a map head. So the map in "
        "the log is right: no link of a subject is left out."
    ),
}


class MalformedMeaningError(DomainError):
    """Text that is no meaning of a witness's key."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """The witness `name` promises `kind` with each of `keys` (at least one, all under its name).

    Raises MalformedMeaningError for values that no witness may have.
    """

    name: str
    kind: Kind
    keys: tuple[VerifierKey, ...]

    def __post_init__(self) -> None:
        if not self.keys or any(key.name != self.name for key in self.keys):
            raise MalformedMeaningError(f"expected one key at least, all named {self.name[:60]!r}")
        if re.fullmatch(r"[0-9]+", self.name):
            raise MalformedMeaningError(
                f"{self.name[:60]!r}: a witness's name is not made of digits alone"
            )

    def format(self) -> str:
        """The note's text; `parse_meaning` reads it back."""
        return "".join(
            f"{line}\n"
            for line in (HEADER, self.name, self.kind, *(key.format() for key in self.keys))
        )

    @property
    def in_words(self) -> str:
        """The promise, for people."""
        return IN_WORDS[self.kind]


def parse_meaning(text: str) -> Meaning:
    """The meaning of a note's text; raises MalformedMeaningError. Signatures are not judged."""
    lines = text.split("\n")
    if len(lines) < 5 or lines[0] != HEADER or lines[-1]:
        raise MalformedMeaningError(f"expected {HEADER} and three lines, found {shorten(text)}")
    name, kind, *keys = lines[1:-1]
    for known in KINDS:
        if kind == known:
            try:
                return Meaning(name, known, tuple(VerifierKey.parse(key) for key in keys))
            except VerifierKeyError as error:
                raise MalformedMeaningError(f"meaning of {name[:60]!r}: {error}") from error
    raise MalformedMeaningError(f"expected plain or map, found {kind[:60]!r}")
