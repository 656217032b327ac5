"""Errors of the client: we will not send this, the platform said no, or it could not be reached."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from provenance.domain.errors import DomainError, Refusal


class ClientError(DomainError):
    """Base of the client's errors."""


class SealingError(ClientError):
    """What was asked for cannot be sealed as it is; nothing was written and nothing was sent."""


class EventRefusedError(SealingError):
    """One event would be refused by every platform. `position` counts from 1 in the document."""

    def __init__(self, position: int, event_id: str, refusal: Refusal) -> None:
        self.position = position
        self.refusal = refusal
        lines = [f"event {position} ({event_id}): {refusal}", *_violations(refusal.violations)]
        super().__init__("\n".join(lines))


class UnreachableError(ClientError):
    """No answer, or only 429 and 5xx, after every attempt; the same may be tried again."""


class RetryError(UnreachableError):
    """One attempt came to nothing: no answer, or 429 or 5xx. `pause_s`: how long the platform asked
    us to wait, None if it said nothing."""

    def __init__(self, words: str, pause_s: float | None = None) -> None:
        super().__init__(words)
        self.pause_s = pause_s


class ReceiptError(ClientError):
    """The platform answered with a receipt that does not fit what was sent."""


class ProblemError(ClientError):
    """The platform refused: `document` is its RFC 9457 document, `status` the HTTP status."""

    def __init__(self, status: int, document: dict[str, Any]) -> None:
        self.status = status
        self.document = document
        super().__init__(_in_words(status, document))

    @property
    def code(self) -> str:
        """The last part of the problem's type, such as ``head-moved``."""
        return str(self.document.get("type", "")).replace("#", "/").rsplit("/", 1)[-1]


def _in_words(status: int, document: dict[str, Any]) -> str:
    place = [f"line {document['line']}"] if document.get("line") else []
    place += [str(document["path"])] if document.get("path") else []
    words = ", ".join([f"refused with {status}", *place]) + ": "
    words += str(document.get("detail") or document.get("title") or "no reason given")
    if document.get("expected"):
        words += f" (expected {document['expected']}, found {document.get('found')})"
    for violation in document.get("violations", [])[:5]:
        words += (
            f"\n  {violation['path']}: expected {violation['expected']}, found {violation['found']}"
        )
    if document.get("remedy"):
        words += f"\n  {document['remedy']}"
    return words


def _violations(violations: Iterable[Any]) -> list[str]:
    return [f"  {v.path}: expected {v.expected}, found {v.found}" for v in violations]
