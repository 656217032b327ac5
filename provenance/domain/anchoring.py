"""What a third party's word about a checkpoint is, whoever the third party is.

An anchor says that a checkpoint existed at a time: that of a time-stamp authority, or of a block.
What is anchored is the checkpoint's text (three lines, without signatures). An anchor is an extra:
it is asked for after publication, confirmed some time later, and never decides whether a record
holds. Adapters: ``client.timestamp`` (RFC 3161), ``client.evm``. When to ask is for
``services.anchoring``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from provenance.domain.errors import DomainError

KINDS = ("rfc3161", "evm")


class AnchorError(DomainError):
    """The third party cannot be used now: no answer, or one that is not what was asked for."""


class AnchorSupersededError(AnchorError):
    """The third party already holds a later checkpoint: this one will never be confirmed."""


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A third party's word: `time` is its own, milliseconds since 1970; `proof` by kind as in
    docs/formats.md section 8."""

    time: int
    proof: Mapping[str, Any]


class Anchor(Protocol):
    """One third party. Both calls may be repeated without harm, after a crash too."""

    @property
    def kind(self) -> str:
        """One of `KINDS`."""
        ...

    def request(self, text: bytes) -> Confirmed | None:
        """Ask it to date a checkpoint's text; None while the answer is still pending.

        Raises AnchorError; AnchorSupersededError where asking again is of no use.
        """
        ...

    def poll(self, text: bytes) -> Confirmed | None:
        """What has become of a request made earlier; None while it is pending or was lost.

        Raises as `request`.
        """
        ...
