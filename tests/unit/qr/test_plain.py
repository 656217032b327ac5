"""Identifiers that are good at sight: never another answer than the general functions give."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qr.errors import QrError
from qr.identifier import canonical_identifier, check_identifier
from qr.plain import find_plain

VECTORS = Path(__file__).parents[2] / "vectors" / "identifiers.json"
TAILS = st.text("019azAZ._-", min_size=0, max_size=18) | st.sampled_from(
    ["01", "21", "10", "..", ".", "-", "0", "253", "%41", "a/b", "a?b", "a#b", "ä", "x" * 20, "a\n"]
)


def require_agreement(text: str) -> bool:
    """Whatever is called plain is good and canonical as the general functions say."""
    found = find_plain(text)
    if found is None:
        return False
    check_identifier(text)
    assert canonical_identifier(text) == found
    return True


@given(
    st.sampled_from(
        [
            "https://id.gs1.org/01/09506000134352/21/",
            "https://id.gs1.org/01/09506000134352/10/",
            "https://id.gs1.org/01/09506000134353/21/",
            "https://id.gs1.org/01/9506000134352/21/",
            "http://id.gs1.org/01/09506000134352/21/",
            "urn:epc:id:sgtin:9506000.013435.",
            "urn:epc:id:sgtin:950600.0013435.",
            "urn:epc:id:sgtin:9506000.01343.",
            "urn:epc:class:lgtin:4012345.012345.",
            "urn:epc:id:gdti:9521234.00002.",
            "urn:epc:id:gdti:952123456789..",
            "urn:epc:id:grai:9506000.00001.",
            "urn:epc:id:sgln:9506000.00001.",
        ]
    ),
    TAILS,
)
def test_any_tail_after_any_head(head: str, tail: str) -> None:
    require_agreement(head + tail)


@given(
    st.sampled_from(["id:sgtin", "id:gdti", "id:grai", "class:lgtin"]),
    st.text("0123456789", min_size=5, max_size=13),
    st.text("0123456789", max_size=8),
)
def test_heads_are_judged_by_the_general_functions(kind: str, prefix: str, reference: str) -> None:
    text = f"urn:epc:{kind}:{prefix}.{reference}.A1"
    try:
        check_identifier(text)
    except QrError:
        assert find_plain(text) is None
    else:
        assert require_agreement(text)


def test_vectors() -> None:
    texts = [case["in"] for case in json.loads(VECTORS.read_text("utf-8"))]
    assert sum(map(require_agreement_or_bad, texts)) >= 5


def require_agreement_or_bad(text: str) -> bool:
    try:
        check_identifier(text)
    except QrError:
        assert find_plain(text) is None
        return False
    return require_agreement(text)


@pytest.mark.parametrize("tail", ["A1", "1.2.3", "a_b-c", "0123456789012345"])
def test_what_is_plain(tail: str) -> None:
    assert require_agreement(f"https://id.gs1.org/01/09506000134352/21/{tail}")
