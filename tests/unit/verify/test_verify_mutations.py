"""Nothing in a bundle can be changed without notice: every member, one after the other."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from merkle.policy import Policy
from provenance.verify import Verdict, verify_bundle
from tests.support.bundle_corpus import USUAL_POLICY, all_cases
from tests.support.bundles import NOW, encode

POLICY = Policy.parse(USUAL_POLICY)
Path = tuple[str | int, ...]


def judge(document: Any) -> Verdict:
    data = document if isinstance(document, bytes) else encode(document)
    return verify_bundle(data, POLICY, now=NOW)


def bundle(name: str) -> Any:
    return json.loads(all_cases()[name].data)


def leaves(value: Any, path: Path = ()) -> Iterator[Path]:
    """Paths of everything that is no object and no array with something in it."""
    members: Any = value.items() if isinstance(value, dict) else ()
    members = enumerate(value) if isinstance(value, list) else members
    found = False
    for step, member in members:
        found = True
        yield from leaves(member, (*path, step))
    if not found:
        yield path


def changed(document: Any, path: Path, value: Any) -> Any:
    """A copy with another value at `path`; `value` may be a function of the old one."""
    copied = copy.deepcopy(document)
    place = copied
    for step in path[:-1]:
        place = place[step]
    old = place[path[-1]]
    place[path[-1]] = value(old) if callable(value) else value
    return copied


def another(old: Any) -> Any:
    """A value of the same kind that is another one."""
    if isinstance(old, bool) or old is None:
        return 0
    if isinstance(old, (int, float)):
        return old + 1
    if isinstance(old, str):
        # A letter in the middle, so that base64 stays canonical and texts keep their form.
        at = len(old) // 2
        return old[:at] + ("B" if old[at : at + 1] == "A" else "A") + old[at + 1 :]
    return ["x"] if isinstance(old, list) else {"x": 1}


@pytest.mark.parametrize("name", ["own-proof", "key-rotated", "declared-wrong-and-corrected"])
def test_no_value_can_be_changed(name: str) -> None:
    good = bundle(name)
    assert judge(good).record == "verified"
    paths = list(leaves(good))
    assert len(paths) > 200
    for path in paths:
        assert judge(changed(good, path, another)).record in ("refused", "unusable"), path


@pytest.mark.parametrize("replacement", [None, True, -1, 1.5, "", "A", [], {}, [None]])
def test_no_value_can_be_of_another_kind(replacement: Any) -> None:
    good = bundle("own-proof")
    for path in leaves(good):
        broken = changed(good, path, copy.deepcopy(replacement))
        if encode(broken) != encode(good):
            assert judge(broken).record in ("refused", "unusable"), path


def test_no_member_can_be_left_out() -> None:
    good = bundle("item-case-pallet")
    containers = {path[:n] for path in leaves(good) for n in range(1, len(path) + 1)}
    assert len(containers) > 500
    for path in sorted(containers, key=repr):
        broken = copy.deepcopy(good)
        place = broken
        for step in path[:-1]:
            place = place[step]
        del place[path[-1]]
        assert judge(broken).record in ("refused", "unusable"), path


def test_bytes_can_be_anything() -> None:
    """No flipped bit, cut or insertion makes it crash, or verify with another story."""
    good = all_cases()["own-proof"].data
    story = judge(good).encode()
    dice = random.Random(7)
    for _ in range(400):
        data = bytearray(good)
        for _ in range(dice.choice([1, 1, 1, 2, 5])):
            at = dice.randrange(len(data))
            data[at : at + dice.choice([1, 1, 1, 0, 9])] = dice.randbytes(dice.choice([1, 1, 0, 3]))
        verdict = judge(bytes(data))
        assert verdict.record != "verified" or verdict.encode() == story


def test_the_order_of_seals_and_events_is_free() -> None:
    """They are found by index and hash; only what comes first in the bundle is named first."""
    good = bundle("item-case-pallet")
    told = [stage.event for stage in judge(good).stages]
    order = list(range(len(good["seals"])))[::-1]
    good["seals"] = [good["seals"][n] for n in order]
    for member in good["events"]:
        member["seal"] = order.index(member["seal"])
    good["events"].reverse()
    verdict = judge(good)
    assert verdict.record == "verified"
    assert [stage.event for stage in verdict.stages] == told


def test_more_subjects_do_no_harm() -> None:
    good = bundle("own-proof")
    others = bundle("absent-subject")
    assert judge(good).record == "verified"
    good["subjects"].append(others["subjects"][0])
    # Its absence proof is of another map: each proof is judged, needed or not.
    assert judge(good).reason == "map-absence"


def test_nothing_of_the_verdict_is_taken_from_an_unverified_bundle() -> None:
    broken = changed(bundle("own-proof"), ("subjects", 0, "map"), "")
    verdict = judge(broken)
    assert verdict.record == "refused"
    assert (verdict.stages, verdict.parties, verdict.independent) == ((), (), 0)
    assert verdict.log is not None
    assert verdict.log.origin == "log.example/2026"
