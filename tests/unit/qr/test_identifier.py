"""The canonical identifier (shared vectors) and the strict check at the door."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qr import digital_link, identifier
from qr.errors import DigitalLinkError, IdentifierError
from qr.gs1 import PRIMARY_KEYS
from qr.identifier import canonical_identifier, check_identifier

VECTORS = Path(__file__).parents[2] / "vectors" / "identifiers.json"
CASES: list[dict[str, Any]] = json.loads(VECTORS.read_text("utf-8"))


def test_the_corpus_is_whole() -> None:
    assert len(CASES) >= 160
    assert sum(case["out"] is None for case in CASES) >= 25
    assert len({case["in"] for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: ascii(case["in"])[:70])
def test_vector(case: dict[str, Any]) -> None:
    if case["out"] is None:
        with pytest.raises(IdentifierError) as caught:
            canonical_identifier(case["in"])
        assert caught.value.detail == "malformed EPC URN"
        assert caught.value.ai and caught.value.expected and caught.value.remedy
    else:
        assert canonical_identifier(case["in"]) == case["out"]
        # Canonical is canonical: once more changes nothing.
        assert canonical_identifier(case["out"]) == case["out"]


def test_the_fixed_list_of_keys_is_still_that_of_gs1() -> None:
    assert identifier._KEYS == PRIMARY_KEYS


PARTS = st.sampled_from(
    ["01", "00", "10", "21", "22", "235", "414", "254", "8003", "", "x", "09521234543213", "%41"]
)


@given(st.lists(PARTS, max_size=9), st.sampled_from(["", "?21=x", "#/01/1", "?a#b"]))
def test_canonical_is_idempotent_and_host_does_not_matter(parts: list[str], tail: str) -> None:
    path = "/".join(parts)
    first = canonical_identifier(f"https://a.example/{path}{tail}")
    second = canonical_identifier(f"http://b.example:81/{path}{tail}")
    assert canonical_identifier(first) == first
    if first.startswith("https://id.gs1.org/"):
        assert first == second
    else:
        assert first == f"https://a.example/{path}{tail}"


@given(st.text(max_size=40))
def test_any_text_has_a_canonical_identifier(text: str) -> None:
    for prefix in ("", "https://a.example/01/", "https://a.example/01/1/21/"):
        result = canonical_identifier(prefix + text)
        assert canonical_identifier(result) == result


@given(st.text(max_size=30))
def test_a_strict_link_names_what_its_canonical_identifier_names(tail: str) -> None:
    uri = "https://brand.example/01/09521234543213/10/L/21/" + tail
    try:
        link = digital_link.parse(uri)
    except DigitalLinkError:
        return
    expected = digital_link.build(link.key, {"21": link.values["21"]}).canonical()
    assert canonical_identifier(uri) == expected


GOOD = [
    "",
    "did:web:brand.example",
    "https://brand.example/",
    "https://brand.example/parties/mill?x=1#y",
    "https://brand.example/2026/01/report/x",
    "https://brand.example/401/report/x",
    "https://brand.example/%FF/01/1/2",
    "https://id.gs1.org.example/none",
    "ftp://id.gs1.org/01/1",
    "urn:epc:id:gid:95100000.12345.400",
    "urn:epc:id:bic:CSQU3054383",
    "urn:epc:tag:sgtin-96:3.0614141.812345.6789",
    "urn:epc:id:sgtin:0614141.112345.400",
    "urn:epc:idpat:sgtin:0614141.112345.*",
    "https://id.gs1.org/01/09521234543213",
    "https://brand.example/p/01/09521234543213/10/L/21/S1?17=261231&utm=x",
    "HTTPS://BRAND.EXAMPLE/01/09521234543213",
    "https://id.gs1.org/8004/061414112345400",
]
BAD = [
    ("urn:epc:id:sgtin:0614141.11234.400", "01", "malformed EPC URN"),
    ("urn:epc:id:sgtin:0614141.112345." + "x" * 21, "21", "too long"),
    ("urn:epc:id:sgtin:0614141.112345.%C3%A9", "21", "wrong character"),
    ("urn:epc:id:sgcn:4012345.67890.A", "255", "wrong character"),
    ("urn:epc:id:itip:4012345.012345.03.02.9", "8006", "wrong value"),
    ("urn:epc:id:sgtn:0614141.112345.400", None, "no Digital Link"),
    ("urn:epc:class:sgtin:0614141.112345.400", None, "no Digital Link"),
    ("https://brand.example/01/09521234543214", "01", "wrong value"),
    ("https://brand.example/01/0952123454321", "01", "too short"),
    ("https://brand.example/01/9521234543213/21/S", "01", "too short"),
    # Such a path would be read as a GTIN for ever after; it must be named otherwise.
    ("https://brand.example/2026/01/report", "01", "wrong character"),
    ("https://id.gs1.org/01/09521234543213/99/X", "01", "not the qualifiers"),
    ("https://id.gs1.org/01/09521234543213/", None, "slash at the end"),
    ("https://id.gs1.org/gtin/09521234543213", None, "no GS1 key"),
    ("https://id.gs1.org", None, "no GS1 key"),
    ("https://brand.example/01/09521234543213/21/S/10/L", "01", "not the qualifiers"),
    ("https://brand.example/01/09521234543213/21/a b", None, "character not allowed"),
    ("https://brand.example/01/09521234543213?21=S", "21", "no data attribute"),
    ("Https://brand.example/01/09521234543213", None, "wrong scheme"),
    ("https://user@brand.example/01/09521234543213", None, "wrong host"),
]


@pytest.mark.parametrize("text", GOOD)
def test_good_identifiers_and_those_of_others_pass(text: str) -> None:
    check_identifier(text)


@pytest.mark.parametrize(("text", "ai", "detail"), BAD)
def test_what_looks_like_gs1_must_be_right(text: str, ai: str | None, detail: str) -> None:
    with pytest.raises(IdentifierError) as caught:
        check_identifier(text)
    error = caught.value
    assert error.ai == ai
    assert detail in error.detail
    assert error.expected and error.found and error.remedy


def test_a_wrong_check_digit_names_ai_expected_found_and_remedy() -> None:
    with pytest.raises(IdentifierError) as caught:
        check_identifier("https://id.gs1.org/01/09521234543214/21/S1")
    assert str(caught.value) == (
        "wrong value of the GTIN in AI (01): expected check digit 3 at the end, "
        "found '09521234543214'; remedy: compare the value with the label or the master data"
    )
