"""The corpus: good bundles, and bad ones with one defect each, judged for reason and place."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from merkle.policy import Policy
from provenance.verify import verify_bundle
from tests.support.bundle_corpus import (
    DIRECTORY,
    USUAL_POLICY,
    all_cases,
    corpus_files,
    judge,
)
from tests.support.bundle_forgeries import FORGERIES
from tests.support.stories import STORIES

CASES = 204
FORMATS = Path(__file__).resolve().parents[3] / "docs" / "formats.md"
# Codes of section 1 that no committed file shows: a bundle above 16 MiB (tested below).
NOT_IN_FILES = {"too-large"}
ABOUT_THE_LOG = {"log-key-succeeded", "policy-differs", "anchor-unusable"}


def test_the_committed_files_are_what_the_builder_makes() -> None:
    made = corpus_files()
    committed = {path.name: path.read_bytes() for path in DIRECTORY.iterdir()}
    assert sorted(committed) == sorted(made)
    different = [name for name in made if committed[name] != made[name]]
    assert not different, "run python -m tests.support.bundle_corpus and look at the difference"
    assert len(json.loads(made["cases.json"])) == len(STORIES) + len(FORGERIES) == CASES


@pytest.mark.parametrize("name", sorted({**STORIES, **FORGERIES}))
def test_verdict(name: str) -> None:
    made = all_cases()[name]
    verdict = json.loads(judge(made))
    assert (verdict["record"], verdict["reason"], verdict["place"]) == (
        made.record,
        made.reason,
        made.place,
    )
    for member, expected in made.tells.items():
        assert verdict[member] == expected
    for member, told in made.stages.items():
        assert [stage[member] for stage in verdict["stages"]] == list(told)


@pytest.mark.parametrize("name", sorted({**STORIES, **FORGERIES}))
def test_checks_say_where_it_ended(name: str) -> None:
    verdict = json.loads(judge(all_cases()[name]))
    order = ("published", "fresh", "complete", "unaltered", "authentic")
    found = [verdict["checks"][check] for check in order]
    if verdict["record"] == "verified":
        assert set(found) - {"not-checked"} == {"pass"}
        assert found.count("not-checked") == (verdict["log"]["asOf"] is None)
    elif verdict["record"] == "absent":
        assert found == ["pass"] * 3 + ["not-checked"] * 2
    elif verdict["subject"] is None:
        assert found == ["not-checked"] * 5
    else:
        passed = found.index("fail")
        assert found == ["pass"] * passed + ["fail"] + ["not-checked"] * (4 - passed)
    if verdict["record"] != "verified":
        told = (verdict["stages"], verdict["parties"], verdict["independent"])
        assert told == ([], [], 0)
    if verdict["record"] not in ("verified", "absent"):
        assert (verdict["warnings"], verdict["anchors"]) == ([], [])
    if verdict["record"] == "absent":
        assert {warning["code"] for warning in verdict["warnings"]} <= ABOUT_THE_LOG


def _codes_of_the_format() -> set[str]:
    """Every reason that docs/formats.md sections 1, 5 and 10 name."""
    text = FORMATS.read_text("utf-8")
    table = text[text.index("## 10.") : text.index("Where several steps")]
    codes = set()
    for row in re.findall(r"^\|.*\|$", table, re.MULTILINE):
        for code in re.findall(r"`([a-z]+(?:-[a-z]+)+)`", row.rsplit("|", 2)[1]):
            codes.add(code)
    limits = text[: text.index("## 2.")]
    codes |= set(re.findall(r"^\| `([a-z0-9-]+)` \|", limits, re.MULTILINE))
    codes |= set(re.findall(r"→ `(key-[a-z-]+)`", text))
    return codes


def test_every_reason_of_the_format_is_shown_by_some_case() -> None:
    shown = {made.reason for made in all_cases().values()} - {None}
    assert len(shown) >= 40
    assert shown == _codes_of_the_format() - NOT_IN_FILES


def test_every_warning_of_the_format_is_shown_by_some_case() -> None:
    warned = {
        warning["code"]
        for made in all_cases().values()
        for warning in json.loads(judge(made))["warnings"]
    }
    assert warned == ABOUT_THE_LOG | {
        "key-doubtful",
        "declaration-foreign",
        "subject-without-history",
        "trace-limit",
    }


def test_a_bundle_above_16_mib_is_not_even_parsed() -> None:
    made = all_cases()["own-proof"]
    data = made.data + b" " * (16 * 1024 * 1024 + 1 - len(made.data))
    policy = Policy.parse(USUAL_POLICY)
    verdict = verify_bundle(data, policy, now=made.now)
    assert (verdict.record, verdict.reason, verdict.place) == ("unusable", "too-large", "bundle")
    assert verify_bundle(data[:-1], policy, now=made.now).record == "verified"


def test_the_same_bundle_gives_the_same_bytes() -> None:
    made = all_cases()["item-many-parties"]
    assert judge(made) == judge(made)
