"""The log's key passes to the next one: the text that both keys sign.

    prov/log-key-succession/v1
    <origin>
    <old verifier key>
    <new verifier key>

The old key's line says that the log's operator wants the new one; the new key's line shows that who
holds it takes part. A reader that has pinned the old key can follow, and sees that it did: nobody
has to send a new policy to every phone on one day.

What it cannot do: help after the old key was stolen. Whoever holds it can sign a succession too,
as it could sign a checkpoint; against that stand the witnesses, whom the quorum asks for.

Form only; who is believed is for ``provenance.verify.succession``. Source: docs/formats.md
section 8.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from merkle.errors import VerifierKeyError
from merkle.note import KIND_ED25519, VerifierKey
from provenance.domain.errors import DomainError

LABEL: Final = "prov/log-key-succession/v1"


class MalformedSuccessionError(DomainError):
    """A text that is no succession of a log's key."""


@dataclass(frozen=True, slots=True)
class Succession:
    """`old` and `new` are two different Ed25519 keys (kind 0x01) of one log.

    Raises MalformedSuccessionError if they are not.
    """

    old: VerifierKey
    new: VerifierKey

    def __post_init__(self) -> None:
        if self.old.name != self.new.name:
            raise MalformedSuccessionError(
                f"a key of {self.old.name} is followed by one of {self.new.name}: expected one log"
            )
        if {self.old.kind, self.new.kind} != {KIND_ED25519}:
            raise MalformedSuccessionError("expected two keys of kind 0x01")
        if self.old.public_key == self.new.public_key:
            raise MalformedSuccessionError("a key cannot follow itself")

    @property
    def origin(self) -> str:
        """The log whose key it is."""
        return self.old.name

    def format(self) -> str:
        """The text to be signed, four lines."""
        return f"{LABEL}\n{self.origin}\n{self.old.format()}\n{self.new.format()}\n"


def parse_succession(text: str) -> Succession:
    """Read the four lines; raises MalformedSuccessionError."""
    lines = text.split("\n")
    if len(lines) != 5 or lines[0] != LABEL or lines[4]:
        raise MalformedSuccessionError(f"expected four lines, the first {LABEL}")
    try:
        succession = Succession(VerifierKey.parse(lines[2]), VerifierKey.parse(lines[3]))
    except VerifierKeyError as error:
        raise MalformedSuccessionError(str(error)) from error
    if succession.origin != lines[1]:
        raise MalformedSuccessionError(
            f"expected keys of {lines[1]}, found those of {succession.origin}"
        )
    return succession
