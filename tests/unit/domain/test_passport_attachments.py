"""The optional members of a bundle: forks, policy, succession, anchors."""

from __future__ import annotations

import json
from typing import Any

import pytest

from provenance.domain.canonical import encode_base64
from provenance.domain.fork import ForkEvidence
from provenance.domain.passport import Anchor, PassportError, read_passport
from tests.support.bundle_corpus import all_cases
from tests.support.bundles import encode

HASH = bytes(range(32))
FORK = ForkEvidence("log.example/2026", "one note", "another", HASH, (HASH,))
STAMP = Anchor(
    "rfc3161", "a note", (HASH,), "2026-11-23T15:00:00Z", {"token": encode_base64(b"DER")}
)
DEPOSIT = Anchor(
    "evm",
    "a note",
    (),
    "2026-11-23T15:00:00Z",
    {"chain": 1, "contract": "0x" + "aB" * 20, "transaction": "0x" + "0f" * 32, "block": 7},
)
NAMES = ("forks", "policy", "succession", "anchors")


def bundle() -> Any:
    return {
        **json.loads(all_cases()["own-proof"].data),
        "forks": [FORK.to_json()],
        "policy": "quorum none\n",
        "succession": ["a note"],
        "anchors": [STAMP.to_json(), DEPOSIT.to_json()],
    }


def test_they_are_read_and_written_again() -> None:
    passport = read_passport(encode(bundle()))
    assert passport.forks == (FORK,)
    assert passport.policy == "quorum none\n"
    assert passport.succession == ("a note",)
    assert passport.anchors == (STAMP, DEPOSIT)
    assert passport.to_json() == bundle()


def test_each_may_be_missing_and_a_list_of_none_is_as_good_as_that() -> None:
    document = {**bundle(), "forks": [], "succession": [], "anchors": []}
    del document["policy"]
    passport = read_passport(encode(document))
    assert (passport.forks, passport.policy, passport.succession, passport.anchors) == (
        (), None, (), (),
    )  # fmt: skip
    assert not set(NAMES) & passport.to_json().keys()


def test_an_empty_policy_is_one_that_the_platform_proposes() -> None:
    passport = read_passport(encode({**bundle(), "policy": ""}))
    assert passport.policy == ""
    assert passport.to_json()["policy"] == ""


def place_of(document: Any) -> str:
    with pytest.raises(PassportError) as caught:
        read_passport(encode(document))
    assert (caught.value.code, caught.value.usable) == ("bundle-malformed", True)
    return caught.value.place


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [None, 7, {}, True])
def test_none_of_them_may_be_anything_else(name: str, value: Any) -> None:
    assert place_of({**bundle(), name: value}) == name


@pytest.mark.parametrize(("name", "most"), [("forks", 8), ("succession", 8), ("anchors", 16)])
def test_their_number_is_limited_before_any_is_looked_at(name: str, most: int) -> None:
    assert place_of({**bundle(), name: [7] * most}) == f"{name}[0]"
    assert place_of({**bundle(), name: [7] * (most + 1)}) == name


def test_a_policy_is_no_longer_than_anybody_needs() -> None:
    assert read_passport(encode({**bundle(), "policy": "é" * 32_768})).policy is not None
    assert place_of({**bundle(), "policy": "é" * 32_768 + "a"}) == "policy"


@pytest.mark.parametrize("first", range(4))
def test_they_are_read_in_this_order_after_the_events(first: int) -> None:
    document = {**bundle(), **dict.fromkeys(NAMES[first:], 7)}
    assert place_of(document) == NAMES[first]
    assert place_of({**document, "events": 7}) == "events"


MALFORMED: list[tuple[str, tuple[Any, ...], Any]] = [
    ("forks[0]", ("forks", 0, "v"), 2),
    ("forks[0]", ("forks", 0, "more"), 1),
    ("forks[0]", ("forks", 0, "root"), "AA=="),
    ("forks[0]", ("forks", 0, "proof"), ["AA=="]),
    ("succession[0]", ("succession", 0), None),
    ("anchors[0]", ("anchors", 0, "kind"), "sundial"),
    ("anchors[0]", ("anchors", 0, "kind"), "evm"),
    ("anchors[0]", ("anchors", 0, "kind"), "toString"),
    ("anchors[0]", ("anchors", 0, "kind"), None),
    ("anchors[0]", ("anchors", 0, "checkpoint"), 1),
    ("anchors[0]", ("anchors", 0, "consistency"), None),
    ("anchors[0]", ("anchors", 0, "consistency", 0), "AA=="),
    ("anchors[0]", ("anchors", 0, "time"), "2026-11-23T15:00:00.000Z"),
    ("anchors[0]", ("anchors", 0, "time"), "2026-02-30T15:00:00Z"),
    ("anchors[0]", ("anchors", 0, "more"), 1),
    ("anchors[0]", ("anchors", 0, "proof"), []),
    ("anchors[0]", ("anchors", 0, "proof", "token"), "not base64"),
    ("anchors[0]", ("anchors", 0, "proof", "token"), 1),
    ("anchors[0]", ("anchors", 0, "proof", "more"), 1),
    ("anchors[1]", ("anchors", 1, "kind"), "rfc3161"),
    ("anchors[1]", ("anchors", 1, "proof", "chain"), -1),
    ("anchors[1]", ("anchors", 1, "proof", "block"), True),
    ("anchors[1]", ("anchors", 1, "proof", "contract"), "0x" + "ab" * 19),
    ("anchors[1]", ("anchors", 1, "proof", "contract"), "0x" + "ab" * 20 + "\n"),
    ("anchors[1]", ("anchors", 1, "proof", "transaction"), "0f" * 32),
    ("anchors[1]", ("anchors", 1, "proof", "transaction"), 1),
    ("anchors[1]", ("anchors", 1, "proof", "more"), 1),
]


@pytest.mark.parametrize(("place", "path", "value"), MALFORMED)
def test_the_nearest_member_is_named(place: str, path: tuple[Any, ...], value: Any) -> None:
    document = bundle()
    target = document
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = value
    assert place_of(document) == place
