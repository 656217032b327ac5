"""docs/formats.md and the corpus: no reason that a verifier may give is without a case."""

from __future__ import annotations

import json
import re
from pathlib import Path

from merkle.policy import Policy
from provenance.domain.canonical import MAX_BUNDLE_BYTES
from provenance.verify import verify_bundle
from provenance.web.words import PHRASES

ROOT = Path(__file__).resolve().parents[2]
FORMATS = (ROOT / "docs/formats.md").read_text("utf-8")
BUNDLES = ROOT / "tests/vectors/bundles"
CASES = json.loads((BUNDLES / "cases.json").read_text("utf-8"))
#: A file of 16 MiB has no place in the corpus; the test below makes one.
WITHOUT_FILE = {"too-large"}


def section(number: int) -> str:
    return FORMATS.split(f"\n## {number}. ")[1].split("\n## ")[0]


def reasons() -> set[str]:
    """Codes of section 1, of the table of section 10, and the key reasons of section 5."""
    reading = set(re.findall(r"^\| `([a-z0-9-]+)` \|", section(1), re.M))
    rows = [row for row in section(10).splitlines() if row.startswith("|")]
    verifying = {code for row in rows for code in re.findall(r"`([a-z]+(?:-[a-z]+)+)`", row)}
    keys = set(re.findall(r"`(key-[a-z-]+)`", section(5)))
    return (reading | verifying | keys) - {"not-checked"}


def test_every_reason_occurs_in_the_corpus() -> None:
    seen = {case["reason"] for case in CASES} - {None}
    assert len(reasons()) >= 44
    assert seen == reasons() - WITHOUT_FILE


def test_every_record_occurs_in_the_corpus() -> None:
    assert {case["record"] for case in CASES} == {"verified", "refused", "absent", "unusable"}


def test_a_bundle_that_is_too_large_is_unusable() -> None:
    policy = Policy.parse((BUNDLES / "policy.txt").read_bytes())
    verdict = verify_bundle(b" " * (MAX_BUNDLE_BYTES + 1), policy, now=0).document
    assert (verdict["record"], verdict["reason"]) == ("unusable", "too-large")


def test_the_page_has_words_for_every_reason() -> None:
    for reason in reasons():
        assert all(PHRASES[f"reason.{reason}"]), reason
