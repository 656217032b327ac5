"""The lying server's passports on the phone: the same refusals as in Python, byte for byte."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from provenance.domain import canonical
from tests.browser.conftest import ENGINES, Modules
from tests.browser.test_verify_parity import judge_bundles

ADVERSARY = Path(__file__).resolve().parents[1] / "vectors/adversary"


@pytest.mark.parametrize("engine", ENGINES)
def test_each_lie_gets_the_same_verdict(modules: Modules, engine: str) -> None:
    cases = json.loads((ADVERSARY / "cases.json").read_text("utf-8"))
    assert len(cases) >= 31
    arguments = [
        {
            "bundle": base64.b64encode((ADVERSARY / case["file"]).read_bytes()).decode(),
            "policy": (ADVERSARY / case["policy"]).read_text("utf-8"),
            "known": (ADVERSARY / case["known"]).read_text("utf-8") if "known" in case else "[]",
            "now": case["at"],
            "maxAge": 86_400,
        }
        for case in cases
    ]
    answers = judge_bundles(modules, engine, arguments)
    for case, answer in zip(cases, answers, strict=True):
        assert answer.encode() == canonical.encode(case["verdict"]), case["lie"]
        assert case["verdict"]["record"] == "refused"
