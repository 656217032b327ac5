"""Reading a signed event for showing: every value comes with the place in the bundle it stands at.

A page must not say more than the record. So each signed value that it shows is a :class:`Claim`:
the text, its language and a JSON pointer (RFC 6901) into the bundle. The page carries the
pointers, and the phone looks each one up in the bundle that it has verified and compares
(static/js/components/ claims.js). A pointer may step through a disclosure:
`/events/3/disclosures/0/2/en` is the member `en` of the value (element 2) of that disclosure,
decoded.

Nothing here is trusted to have a form beyond what the verifier demands: a member of an odd type is
skipped and stays visible in the raw event.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from provenance.domain.canonical import decode_base64url, encode
from provenance.domain.errors import DomainError
from provenance.web.display import drawn
from provenance.web.language import Language


@dataclass(frozen=True, slots=True)
class Claim:
    """A signed value as text, its BCP 47 language ("" = none) and its JSON pointer in the
    bundle. `shown` is how it looks on the page."""

    text: str
    lang: str
    source: str
    concealed: bool = False  # it was opened from a concealed member

    @property
    def shown(self) -> str:
        """The text as `display.drawn` has it: a page shows this and no phone expects another."""
        return drawn(self.text)


class Reader:
    """One event of a bundle, `events[index]`, read member by member through its disclosures."""

    def __init__(self, entry: dict[str, Any], index: int) -> None:
        self.event: dict[str, Any] = entry["event"]
        self.base = f"/events/{index}"
        self._opened = [
            (f"{self.base}/disclosures/{number}/2", *decoded)
            for number, text in enumerate(entry.get("disclosures", []))
            if (decoded := _decode(text)) is not None
        ]

    def find(self, *path: str | int) -> tuple[Any, str, bool]:
        """The value at `path`, its pointer, and whether it was concealed; (None, "", False) if
        absent."""
        value: Any = self.event
        pointer, concealed = f"{self.base}/event", False
        for step in path:
            if isinstance(step, int):
                if not isinstance(value, list) or step >= len(value):
                    return None, "", False
                value, pointer = value[step], f"{pointer}/{step}"
            elif isinstance(value, dict) and step in value:
                value, pointer = value[step], f"{pointer}/{escape(step)}"
            elif isinstance(value, dict) and (opened := self._open(value, step)):
                pointer, value, concealed = *opened, True
            else:
                return None, "", False
        return value, pointer, concealed

    def claim(self, language: Language, *path: str | int) -> Claim | None:
        """The text, number or localised text at `path` as a claim; None if there is none.

        A step `trade:x` is also looked for as `prov:x`: both prefixes are in use for what the page
        shows, `trade:` where the member may be concealed (docs/formats.md section 3).
        """
        value, pointer, concealed = self.find(*path)
        if pointer == "" and (other := _respelt(path)) != path:
            value, pointer, concealed = self.find(*other)
        if isinstance(value, dict):
            code = language.code if language.code in value else next(iter(sorted(value)), "")
            return (
                Claim(value[code], _tag(code), f"{pointer}/{escape(code)}", concealed)
                if isinstance(value.get(code), str)
                else None
            )
        if isinstance(value, bool) or not isinstance(value, str | int | float) or value == "":
            return None
        return Claim(number(value), "", pointer, concealed)

    def items(self, *path: str | int) -> Iterator[int]:
        """The indexes of the list at `path`; none if there is no list."""
        value, _, _ = self.find(*path)
        yield from range(len(value) if isinstance(value, list) else 0)

    def text(self, *path: str | int) -> str:
        """The string at `path`, or ""."""
        value, _, _ = self.find(*path)
        return value if isinstance(value, str) else ""

    @property
    def concealed(self) -> int:
        """How many members are concealed and not opened in this cut."""
        digests = _count_digests(self.event) + sum(_count_digests(v) for _, _, v in self._opened)
        return max(0, digests - len(self._opened))

    def _open(self, holder: dict[str, Any], name: str) -> tuple[str, Any] | None:
        """The disclosed member `name` of an object that has concealed members: (pointer, value)."""
        if not isinstance(holder.get("prov:_sd"), list):
            return None
        return next(((p, value) for p, n, value in self._opened if n == name), None)


def _respelt(path: tuple[str | int, ...]) -> tuple[str | int, ...]:
    return tuple(
        "prov:" + step.removeprefix("trade:")
        if isinstance(step, str) and step.startswith("trade:")
        else step
        for step in path
    )


def number(value: str | float) -> str:
    """A JSON value as ECMAScript writes it, so that page and phone compare like with like."""
    return value if isinstance(value, str) else encode(value).decode()  # RFC 8785 section 3.2.2.3


def escape(step: str) -> str:
    """A member's name as a step of a JSON pointer (RFC 6901 section 3)."""
    return step.replace("~", "~0").replace("/", "~1")


def _tag(code: str) -> str:
    return {"zh": "zh-Hans"}.get(code, code)


def _decode(text: object) -> tuple[str, Any] | None:
    """(name, value) of a disclosure; None for anything else (the verifier has its own opinion)."""
    try:
        parts = json.loads(decode_base64url(text))
    except (DomainError, ValueError):
        return None
    if isinstance(parts, list) and len(parts) == 3 and isinstance(parts[1], str):
        return parts[1], parts[2]
    return None


def _count_digests(value: Any) -> int:
    if isinstance(value, dict):
        own = value.get("prov:_sd")
        return (len(own) if isinstance(own, list) else 0) + sum(
            _count_digests(member) for name, member in value.items() if name != "prov:_sd"
        )
    return sum(_count_digests(item) for item in value) if isinstance(value, list) else 0
