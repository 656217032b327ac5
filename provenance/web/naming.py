"""What to call a subject in words: kind and short number of its canonical identifier.

    https://id.gs1.org/01/09521234543213/21/S1  ->  Name("21", "S1", …), "item S1"
    https://id.gs1.org/00/095212340000010005    ->  Name("00", "095212340000010005", …)

Canonical identifiers have one form (docs/formats.md section 2), so this only splits.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

ROOT = "https://id.gs1.org/"


@dataclass(frozen=True, slots=True)
class Name:
    """`kind` is the finest application identifier ("" if not GS1), `number` its value, `key` the
    first."""

    uri: str
    kind: str
    number: str
    key: str

    @property
    def path(self) -> str:
        """Where our own site shows this subject: its Digital Link path, "" if it has none."""
        return self.uri[len(ROOT) - 1 :] if self.kind else ""


def name_of(uri: str) -> Name:
    """Split a canonical identifier; anything that is not GS1 is its own number."""
    if not uri.startswith(ROOT):
        return Name(uri, "", uri, uri)
    parts = uri.removeprefix(ROOT).split("/")
    if len(parts) < 2 or len(parts) % 2:
        return Name(uri, "", uri, uri)
    return Name(uri, parts[-2], unquote(parts[-1]), unquote(parts[1]))


def lot_of(uri: str, lot: str) -> str:
    """The canonical identifier of lot `lot` of the same trade item as `uri` (AI 01)."""
    stem = urlsplit(uri).path.split("/")[2] if uri.startswith(ROOT + "01/") else ""
    return f"{ROOT}01/{stem}/10/{quote(lot, safe='-._~')}" if stem else ""
