"""What can be wrong with an identifier, a Digital Link URI or a symbol.

One base class, :class:`QrError`. Each error holds, as far as it applies, the application identifier
that it is about, what was expected, what was found and the remedy.
"""

from __future__ import annotations


class QrError(Exception):
    """Base of every error that `qr` raises on purpose.

    `ai` is a GS1 application identifier such as `01`, or None where none is concerned.
    """

    def __init__(
        self,
        detail: str,
        *,
        expected: str,
        found: str,
        remedy: str,
        ai: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.expected = expected
        self.found = found
        self.remedy = remedy
        self.ai = ai

    def __str__(self) -> str:
        place = f" in AI ({self.ai})" if self.ai else ""
        return (
            f"{self.detail}{place}: expected {self.expected}, found {self.found}; "
            f"remedy: {self.remedy}"
        )


class Gs1ValueError(QrError):
    """A value does not fit its application identifier; `ai` is always set."""


class IdentifierError(QrError):
    """A malformed EPC URN, or an identifier that breaks a rule of GS1."""


class UnknownSchemeError(IdentifierError):
    """An EPC URN of a scheme that has no Digital Link form here."""


class DigitalLinkError(QrError):
    """A URI is no GS1 Digital Link; `rule` is the number of the broken parsing rule.

    Rules 1 to 13 are listed in `qr/digital_link.py`; 0 is our own limit on length and parts.
    """

    def __init__(
        self,
        rule: int,
        detail: str,
        *,
        expected: str,
        found: str,
        remedy: str,
        ai: str | None = None,
    ) -> None:
        super().__init__(detail, expected=expected, found=found, remedy=remedy, ai=ai)
        self.rule = rule


class RenderError(QrError):
    """The text cannot be made into a symbol (empty, too long, or too big a picture)."""
