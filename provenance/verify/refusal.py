"""The one error inside the verifier: a check that failed, with its reason and its place.

Both are words of docs/formats.md section 10, shown to people through the page and the command line:
`reason` is a code such as ``link-broken``, `place` where in the bundle, such as
``subjects[2].links[0]``. The first refusal is the verdict.
"""

from __future__ import annotations

from provenance.domain.errors import DomainError


class RefusedError(DomainError):
    """A step of section 10 failed."""

    def __init__(self, reason: str, place: str) -> None:
        super().__init__(f"{reason} at {place}")
        self.reason = reason
        self.place = place
