"""Colours: two tiers, the dark scheme changes names only, and text can be read (WCAG 2.2,
1.4.3)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

CSS = Path(__file__).resolve().parents[3] / "static/css"
TOKENS = (CSS / "tokens.css").read_text(encoding="utf-8")
LIGHT, DARK = TOKENS.split("@media (prefers-color-scheme: dark)")

#: text role, ground role
PAIRS = [
    ("text", "page"),
    ("text", "surface"),
    ("text", "surface-low"),
    ("text", "accent-ground"),
    ("text-quiet", "page"),
    ("text-quiet", "surface"),
    ("text-quiet", "surface-low"),
    ("text-quiet", "accent-ground"),
    ("accent", "page"),
    ("accent", "surface"),
    ("accent", "accent-ground"),
    ("on-accent", "accent"),
    ("on-field", "good-ground"),
    ("on-field", "server-ground"),
    ("on-field", "bad-ground"),
    ("none-text", "none-ground"),
    ("care-text", "care-ground"),
    ("care-text", "surface"),
    ("bad-text", "bad-wash"),
    ("bad-text", "surface"),
    ("bad-text", "page"),
    ("ornament", "surface"),
]


def declared(text: str) -> dict[str, str]:
    return {name: value.strip() for name, value in re.findall(r"--([a-z-]+):\s*([^;]+);", text)}


NAMES = {name: value for name, value in declared(LIGHT).items() if value.startswith("#")}
ROLES = {
    name: match[1]
    for name, value in declared(LIGHT).items()
    if (match := re.fullmatch(r"var\(--([a-z-]+)\)", value))
}
DARK_NAMES = {name: value for name, value in declared(DARK).items() if value.startswith("#")}


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("text", "ground"), PAIRS)
def test_text_stands_out(scheme: str, text: str, ground: str) -> None:
    names = NAMES if scheme == "light" else {**NAMES, **DARK_NAMES}
    ratio = contrast(names[ROLES[text]], names[ROLES[ground]])
    assert ratio >= 4.5, f"--{text} on --{ground}: {ratio:.2f}"


def test_the_dark_scheme_changes_names_only() -> None:
    assert set(DARK_NAMES) <= set(NAMES)
    assert not set(declared(DARK)) & set(ROLES)


def test_roles_point_to_names_and_stylesheets_use_roles_only() -> None:
    assert set(ROLES.values()) <= set(NAMES)
    for sheet in CSS.glob("*.css"):
        if sheet.name == "tokens.css":
            continue
        text = sheet.read_text(encoding="utf-8")
        used = set(re.findall(r"var\(--([a-z-]+)\)", text))
        assert not used & set(NAMES), sheet.name
        assert not re.search(r"#[0-9a-f]{3,8}\b", text), sheet.name
        local = set(re.findall(r"--([a-z-]+):", text))
        assert used <= set(declared(LIGHT)) | local, sheet.name


def test_only_logical_directions() -> None:
    physical = re.compile(r"\b(margin|padding|border)-(left|right|top|bottom)\b|\b(left|right):")
    for sheet in CSS.glob("*.css"):
        assert not physical.search(sheet.read_text(encoding="utf-8")), sheet.name
