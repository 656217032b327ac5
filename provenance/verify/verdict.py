"""The verdict: what a verifier says about a bundle, and the canonical JSON of it.

Five checks, in the order in which they build on each other: *published* (in the log, cosigned),
*fresh*, *complete* (the map names exactly these links), *unaltered* (events fit links and seals),
*authentic* (keys and roles were valid then). A check is passed, failed or *not checked*; not
checked is never shown as passed.

The bytes are the contract: the phone's verifier gives the same for the same bundle, policy and
time.

Source: docs/formats.md section 11.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from provenance.domain import canonical
from provenance.domain.moments import format_ledger_time, format_seconds
from provenance.domain.party import Standing
from provenance.domain.standing import State

Record = Literal["verified", "refused", "absent", "unusable"]
Check = Literal["pass", "fail", "not-checked"]

CHECKS: Final = ("published", "fresh", "complete", "unaltered", "authentic")
NOT_CHECKED: Final[Check] = "not-checked"


@dataclass(frozen=True, slots=True)
class LogView:
    """Which state of which log was looked at. `as_of` POSIX seconds; None until it was judged."""

    origin: str
    size: int
    as_of: int | None
    cosigners: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The member ``log``."""
        return {
            "origin": self.origin,
            "size": self.size,
            "asOf": None if self.as_of is None else format_seconds(self.as_of),
            "cosigners": list(self.cosigners),
        }


@dataclass(frozen=True, slots=True)
class AnchorView:
    """A checkpoint of `size` that a third party (`kind`) is said to have dated; `time` is text."""

    kind: str
    size: int
    time: str

    def to_json(self) -> dict[str, Any]:
        """One of ``anchors``."""
        return {"kind": self.kind, "size": self.size, "time": self.time}


@dataclass(frozen=True, slots=True)
class Stage:
    """One event of the story. `index` in the bundle's events, `via` the subject that it came by."""

    index: int
    event: bytes
    via: str
    party: str
    roles: tuple[str, ...]
    custody: str
    ledger_time: int
    standing: Standing
    state: State

    @property
    def is_believed(self) -> bool:
        """Whether nobody who may do so has taken it back, and it takes nothing back itself."""
        return self.state in ("believed", "correction")

    def to_json(self) -> dict[str, Any]:
        """One of ``stages``."""
        return {
            "index": self.index,
            "event": canonical.encode_base64(self.event),
            "via": self.via,
            "party": self.party,
            "roles": list(self.roles),
            "custody": self.custody,
            "ledgerTime": format_ledger_time(self.ledger_time),
            "standing": self.standing,
            "state": self.state,
        }


@dataclass(frozen=True, slots=True)
class Signer:
    """A party that sealed stages. `custody` is ``platform`` if any key that it used is."""

    uri: str
    name: Mapping[str, str]
    roles: tuple[str, ...]
    custody: str
    stages: int

    def to_json(self) -> dict[str, Any]:
        """One of ``parties``."""
        return {
            "uri": self.uri,
            "name": dict(self.name),
            "roles": list(self.roles),
            "custody": self.custody,
            "stages": self.stages,
        }


@dataclass(frozen=True, slots=True)
class VerdictWarning:
    """Something that does not refuse the record but that a reader should see."""

    code: str
    place: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The whole verdict. `checks` has all five; `subject` None while the bundle is no bundle."""

    record: Record
    checks: Mapping[str, Check]
    subject: str | None = None
    reason: str | None = None
    place: str | None = None
    log: LogView | None = None
    stages: tuple[Stage, ...] = ()
    parties: tuple[Signer, ...] = ()
    independent: int = 0
    warnings: tuple[VerdictWarning, ...] = field(default=())
    anchors: tuple[AnchorView, ...] = ()

    @property
    def document(self) -> dict[str, Any]:
        """The verdict as JSON values."""
        return {
            "v": 1,
            "subject": self.subject,
            "record": self.record,
            "reason": self.reason,
            "place": self.place,
            "checks": dict(self.checks),
            "log": None if self.log is None else self.log.to_json(),
            "stages": [stage.to_json() for stage in self.stages],
            "parties": [party.to_json() for party in self.parties],
            "independent": self.independent,
            "warnings": [{"code": w.code, "place": w.place} for w in self.warnings],
            "anchors": [anchor.to_json() for anchor in self.anchors],
        }

    def encode(self) -> bytes:
        """Canonical bytes."""
        return canonical.encode(self.document)
