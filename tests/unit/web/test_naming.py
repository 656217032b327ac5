"""Names of subjects in words."""

from __future__ import annotations

import pytest

from provenance.web.naming import lot_of, name_of


@pytest.mark.parametrize(
    ("uri", "kind", "number", "path"),
    [
        ("https://id.gs1.org/01/1/21/A%2FB", "21", "A/B", "/01/1/21/A%2FB"),
        ("https://id.gs1.org/01/1/10/L", "10", "L", "/01/1/10/L"),
        ("https://id.gs1.org/01/1", "01", "1", "/01/1"),
        ("https://id.gs1.org/00/2", "00", "2", "/00/2"),
        ("https://brand.example/x", "", "https://brand.example/x", ""),
        ("urn:x:y", "", "urn:x:y", ""),
        ("https://id.gs1.org/01", "", "https://id.gs1.org/01", ""),
    ],
)
def test_kind_number_and_path(uri: str, kind: str, number: str, path: str) -> None:
    name = name_of(uri)
    assert (name.kind, name.number, name.path) == (kind, number, path)


def test_the_lot_of_an_item() -> None:
    assert lot_of("https://id.gs1.org/01/1/21/S", "L/1") == "https://id.gs1.org/01/1/10/L%2F1"
    assert lot_of("https://id.gs1.org/00/1", "L") == ""
    assert lot_of("urn:x:y", "L") == ""
