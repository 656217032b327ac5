"""What can be wrong with what somebody gave us, and whose fault it is.

One base class, :class:`DomainError`. Everything that a caller may be told about a refused upload or
a refused question is a :class:`Refusal`: a stable ``code`` (a slug that documents and tests name),
the place (line and JSON path), what was expected, what was found and the remedy. The classes below
it say whose fault it is; the web layer turns classes into HTTP statuses and nothing else does.
An outage of ours is never one of these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


class DomainError(Exception):
    """Base of every error that `provenance` raises on purpose."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule: where (JSON path such as ``$.epcList[0]``), what was expected and found."""

    path: str
    expected: str
    found: str


class Refusal(DomainError):  # noqa: N818  an answer that carries a reason, not a mishap
    """A request that is answered with "no" and the reason.

    `line` counts from 1 in an uploaded body (the seal is line 1). `extra` holds further members for
    the answer, JSON values only (for instance ``head``, the current head on a conflict).
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        line: int | None = None,
        path: str | None = None,
        expected: str | None = None,
        found: str | None = None,
        remedy: str | None = None,
        violations: tuple[Violation, ...] = (),
        extra: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.line = line
        self.path = path
        self.expected = expected
        self.found = found
        self.remedy = remedy
        self.violations = violations
        self.extra = extra or {}

    def at_line(self, line: int) -> Refusal:
        """The same refusal, now knowing on which line of the body it happened."""
        self.line = line
        return self

    def __str__(self) -> str:
        place = f"line {self.line}: " if self.line is not None else ""
        where = f" at {self.path}" if self.path else ""
        facts = f" (expected {self.expected}, found {self.found})" if self.expected else ""
        return f"{place}{self.detail}{where}{facts}"


class MalformedInputError(Refusal):
    """The bytes are not what the format demands (HTTP 400)."""


class TooLargeError(Refusal):
    """A limit on size, count or time was passed (HTTP 413)."""


class UnsupportedError(Refusal):
    """A media type or content coding that we do not read (HTTP 415)."""


class InvalidContentError(Refusal):
    """Well-formed, but breaks a rule of the model, or a signature does not verify (HTTP 422)."""


class ForbiddenError(Refusal):
    """The signer is unknown, its key is not valid now, or it lacks the role (HTTP 403)."""


class ConflictError(Refusal):
    """The state has moved on since the caller looked (HTTP 409)."""


class NotFoundError(Refusal):
    """No such thing here (HTTP 404)."""


class UnavailableError(Refusal):
    """We cannot answer now; nothing was stored; try again (HTTP 503)."""


class BusyError(UnavailableError):
    """A queue of ours is as long as it may get; nothing was stored; come again (HTTP 429)."""
