"""A server double that lies, behind it an operator who signs: each lie is refused, and said why.

The same files are judged by the command line here and by the browser's verifier in
tests/browser/test_adversary_parity.py.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner

from merkle.policy import Policy
from provenance.cli import main
from provenance.domain import canonical
from provenance.verify import parse_known, verify_bundle
from tests.support.adversary_corpus import DIRECTORY, adversary_files
from tests.support.lies import LIES
from tests.support.lying import OPERATORS_POLICY, READERS_POLICY, replay, truth

CASES: list[dict[str, Any]] = json.loads((DIRECTORY / "cases.json").read_text("utf-8"))
# The list: what a lying server may do. Each begins the name of at least one lie.
DEMANDED = (
    "omits-the-last-event",
    "omits-an-event-in-the-middle",
    "reorders",
    "forks",
    "replays-a-stale-checkpoint",
    "serves-a-wrong-map-root",
    "swaps",
    "presents-absence",
)


def names(case: dict[str, Any]) -> str:
    return str(case["lie"])


def known_of(case: dict[str, Any]) -> bytes:
    return (DIRECTORY / case["known"]).read_bytes() if "known" in case else b"[]"


def test_the_committed_files_are_what_the_double_serves() -> None:
    made = adversary_files()
    committed = {path.name: path.read_bytes() for path in DIRECTORY.iterdir()}
    assert sorted(committed) == sorted(made)
    different = [name for name in made if committed[name] != made[name]]
    assert not different, "run python -m tests.support.adversary_corpus and look at the difference"
    assert len(CASES) == len(LIES) == 31


def test_every_lie_that_was_asked_for_is_told() -> None:
    for wanted in DEMANDED:
        assert any(case["lie"].startswith(wanted) for case in CASES), wanted
    assert len({case["reason"] for case in CASES}) >= 14


@pytest.mark.parametrize("case", CASES, ids=names)
def test_each_lie_is_refused_with_its_reason(case: dict[str, Any]) -> None:
    lie = LIES[case["lie"]]
    verdict = verify_bundle(
        (DIRECTORY / case["file"]).read_bytes(),
        Policy.parse((DIRECTORY / case["policy"]).read_bytes()),
        now=case["at"],
        known=parse_known(known_of(case)),
    )
    assert (verdict.record, verdict.reason, verdict.place) == ("refused", lie.reason, lie.place)
    assert verdict.document == case["verdict"]


@pytest.mark.parametrize("case", CASES, ids=names)
def test_what_no_verifier_can_see_alone_is_said_to_pass(case: dict[str, Any]) -> None:
    """Under the operator's own policy, with nothing from elsewhere: honest about the limit."""
    data = (DIRECTORY / case["file"]).read_bytes()
    alone = verify_bundle(data, OPERATORS_POLICY, now=case["at"])
    assert (alone.record in ("verified", "absent")) == case["passesAlone"]


def test_the_truth_itself_is_verified_under_both_policies() -> None:
    with truth() as told:
        assert replay(told.entries()).is_right
        for honest in told.passports.values():
            data = canonical.encode(honest.to_json())
            for policy in (READERS_POLICY, OPERATORS_POLICY):
                assert verify_bundle(data, policy, now=told.now).record == "verified"


def test_the_outside_witness_cosigns_a_second_telling_that_only_continues() -> None:
    """So it is no witness that says no to everything: its silence means something."""
    with truth() as told:
        honest = told.passports[4]
        more = told.tell(told.entries())
        data = canonical.encode(more.passport(honest).to_json())
        assert verify_bundle(data, READERS_POLICY, now=told.now).record == "verified"


@pytest.mark.parametrize("case", CASES, ids=names)
def test_the_command_line_refuses_it_too(case: dict[str, Any]) -> None:
    words = ["verify", DIRECTORY / case["file"], "--policy", DIRECTORY / case["policy"]]
    words += ["--at", case["at"], "--json"]
    words += ["--known", DIRECTORY / case["known"]] if "known" in case else []
    ended = CliRunner().invoke(main, [str(word) for word in words])
    assert ended.exit_code == 1
    assert json.loads(ended.stdout) == case["verdict"]
