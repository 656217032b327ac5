"""provenance policy: shown in words, tried on a checkpoint, pinned for `verify`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from merkle.note import KIND_COSIGNATURE, VerifierKey
from provenance.cli import main
from provenance.cli.policy import pinned_path
from provenance.domain.canonical import encode_base64
from tests.support.bundle_corpus import DIRECTORY
from tests.support.bundle_stories import ITEM
from tests.support.bundles import NOW, ORIGIN, bit_flipped, policy_text
from tests.support.forgeries_outside import parted
from tests.support.forging import plain_world
from tests.support.served import serving
from tests.support.stories_log import SECOND, quantum_policy


def run(*words: str | Path | int, status: int = 0) -> Result:
    result = CliRunner().invoke(main, [*map(str, words)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == status, result.output
    return result


def facts(*words: str | Path | int, status: int = 0) -> dict[str, Any]:
    document = json.loads(run(*words, "--json", status=status).stdout)
    assert isinstance(document, dict)
    return document


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "mine.txt"
    path.write_text(policy_text())
    return path


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "checkpoint"
    path.write_text(plain_world().publish().note)
    return path


# --- show -----------------------------------------------------------------------------------------


def test_show_says_in_words_what_is_enough(policy: Path) -> None:
    words = run("policy", "show", policy).stdout
    assert f"log {ORIGIN}: Ed25519 key " in words
    assert f"witness clock: {ORIGIN}/clock (Ed25519, the operator's own)" in words
    assert "witness harbour: harbour.example/w1 (Ed25519)" in words
    assert "enough: all of (clock, any of (harbour, archive))" in words
    shown = facts("policy", "show", policy)
    assert [one["own"] for one in shown["witnesses"]] == [True, False, False]
    assert [one["code"] for one in shown["warnings"]] == ["one-outside"]


@pytest.mark.parametrize(
    ("text", "warnings"),
    [
        (policy_text("clock"), [("operator-alone", "quorum"), ("not-counted", "harbour")]),
        (policy_text("none"), [("no-quorum", "quorum")]),
        (policy_text("harbour", ["clock", "harbour"]), [("one-outside", "quorum")]),
        ("quorum none\n", [("no-log", "quorum"), ("no-quorum", "quorum")]),
        (policy_text(log_key=["log", SECOND]), [("key-passing-on", ORIGIN)]),
        (quantum_policy(ed25519=False), [("post-quantum-only", ORIGIN)]),
        (
            policy_text("enough").replace("group outside any", "group outside all"),
            [],
        ),
    ],
)
def test_show_says_what_a_policy_leaves_open(
    tmp_path: Path, text: str, warnings: list[tuple[str, str]]
) -> None:
    path = tmp_path / "policy.txt"
    path.write_text(text)
    shown = facts("policy", "show", path)
    found = [(one["code"], one["place"]) for one in shown["warnings"]]
    assert [one for one in found if one in warnings] == warnings
    assert bool(found) == bool(warnings)
    words = run("policy", "show", path).stdout
    assert all(f"warning {code} ({place}): " in words for code, place in found)


def test_show_knows_the_logs_own_key_under_a_witness_name(tmp_path: Path) -> None:
    """Whoever signs the log signs the cosignature: that no other hand is there must be said."""
    log = policy_text().splitlines()[0]
    public = VerifierKey.parse(log.split()[1]).public_key
    twin = VerifierKey.make("harbour.example/w1", KIND_COSIGNATURE, public).format()
    path = tmp_path / "p.txt"
    path.write_text(f"{log}\nwitness harbour {twin}\nquorum harbour\n")
    shown = facts("policy", "show", path)
    assert [one["code"] for one in shown["warnings"]] == ["operator-alone"]


def test_show_and_check_read_what_a_platform_serves(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as served:
        shown = facts("policy", "show", served.url)
        assert shown == facts("policy", "show", f"{served.url}/api/v1/policy")
        assert [one["code"] for one in shown["warnings"]] == ["operator-alone"]
        live = ("--checkpoint", f"{served.url}/log/checkpoint")
        found = facts("policy", "check", served.url, *live)
        assert found["satisfied"]
        assert found["origin"] == served.origin
        assert found["missing"] == []
        for wrong in (f"{served.url}/none", served.url + ":1/x", "http://127.0.0.1:1/policy"):
            assert "cannot be had" in run("policy", "show", wrong, status=2).stderr


def test_what_is_no_policy_is_said_with_line_and_remedy(tmp_path: Path) -> None:
    path = tmp_path / "policy.txt"
    path.write_text("quorum enough\n")
    for command in ("show", "check"):
        said = run("policy", command, path, status=2).stderr
        assert said.startswith(f"unusable: the policy {path} cannot be used: ")
        assert "line 1" in said
    assert "cannot be read" in run("policy", "show", tmp_path / "none", status=2).stderr


# --- check ----------------------------------------------------------------------------------------


def test_check_says_who_cosigned_and_when(policy: Path, checkpoint: Path) -> None:
    words = run("policy", "check", policy, "--checkpoint", checkpoint, "--at", NOW).stdout
    assert words.startswith("SATISFIED")
    assert "clock: cosigned at 2026-11-23T14:59:20Z, 40 s ago" in words
    assert "archive: no line" in words
    found = facts("policy", "check", policy, "--checkpoint", checkpoint, "--at", NOW)
    assert found["asOf"] == "2026-11-23T14:59:00Z"
    assert (found["satisfied"], found["missing"]) == (True, ["archive"])
    assert found["cosigned"] == {
        "clock": "2026-11-23T14:59:20Z",
        "harbour": "2026-11-23T14:59:00Z",
    }


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--at", NOW + 86_400), "checkpoint-stale"),
        (("--at", NOW, "--max-age", 59), "checkpoint-stale"),
        (("--at", NOW - 1_000), "checkpoint-future"),
    ],
)
def test_check_judges_age(
    policy: Path, checkpoint: Path, options: tuple[str | int, ...], reason: str
) -> None:
    words = ("policy", "check", policy, "--checkpoint", checkpoint, *options)
    found = facts(*words, status=1)
    assert (found["satisfied"], found["reason"]) == (False, reason)
    assert run(*words, status=1).stdout.startswith(f"NOT SATISFIED: {reason}")


def test_check_says_why_a_checkpoint_does_not_satisfy(policy: Path, checkpoint: Path) -> None:
    note = checkpoint.read_text()
    words = ("policy", "check", policy, "--checkpoint", checkpoint, "--at", NOW)
    text, _, lines = note.partition("\n\n")
    log, clock, harbour = lines.splitlines()
    head, _, signature = harbour.rpartition(" ")
    cases = {
        "quorum-missing": f"{text}\n\n{log}\n{clock}\n",
        "checkpoint-signature": f"{text}\n\n{log}\n{clock}\n{head} {bit_flipped(signature, 40)}\n",
        "checkpoint-malformed": text,
        "log-unknown": note.replace(ORIGIN, "other.example", 1),
    }
    for reason, content in cases.items():
        checkpoint.write_text(content)
        assert facts(*words, status=1)["reason"] == reason
    assert "cannot be read" in run(*words[:4], policy / "x", status=2).stderr


def test_check_says_a_time_that_no_calendar_has(policy: Path, checkpoint: Path) -> None:
    """A witness may state any time up to 2^63 - 1 s; that is an answer about it, not a crash."""
    late = {"clock": 2**63 - 1, "harbour": NOW - 60}
    checkpoint.write_text(plain_world().publish(late).note)
    words = ("policy", "check", policy, "--checkpoint", checkpoint, "--at", NOW)
    assert facts(*words)["cosigned"]["clock"] == f"{2**63 - 1} s since 1970"
    assert f"clock: cosigned at {2**63 - 1} s since 1970" in run(*words).stdout
    checkpoint.write_text(plain_world().publish(dict.fromkeys(late, 2**63 - 1)).note)
    assert facts(*words, status=1)["reason"] == "checkpoint-future"


# --- pin, and verify by it ------------------------------------------------------------------------


def test_verify_uses_the_pinned_policy_and_says_so(policy: Path) -> None:
    bundle = DIRECTORY / "item-many-parties.json"
    verify = ("verify", bundle, "--at", NOW)
    assert "--policy" in run(*verify, status=2).stderr
    assert "no policy is pinned" in run("policy", "pin", status=2).stderr
    assert run("policy", "pin", policy).stdout.startswith(f"pinned: {pinned_path()}\nlog {ORIGIN}")
    policy.unlink()  # what is pinned is a copy
    told = run(*verify)
    assert told.stdout.startswith("VERIFIED")
    assert f"by your pinned policy {pinned_path()}" in told.stderr
    assert "the operator's own" in run("policy", "pin").stdout
    run("policy", "pin", "--forget")
    assert not pinned_path().exists()
    run(*verify, status=2)


def test_a_named_policy_wins_over_the_pinned_one(policy: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text(policy_text(origin="other.example/log"))
    run("policy", "pin", other)
    bundle = DIRECTORY / "item-many-parties.json"
    assert facts("verify", bundle, "--at", NOW, status=1)["reason"] == "log-unknown"
    told = run("verify", bundle, "--at", NOW, "--policy", policy)
    assert "pinned" not in told.stderr


def test_half_a_policy_is_not_pinned(policy: Path, tmp_path: Path) -> None:
    run("policy", "pin", policy)
    kept = pinned_path().read_bytes()
    half = tmp_path / "half.txt"
    half.write_bytes(kept[:-20])
    assert "cannot be used" in run("policy", "pin", half, status=2).stderr
    assert pinned_path().read_bytes() == kept


# --- verify --known -------------------------------------------------------------------------------


def test_verify_takes_what_the_reader_knows_from_elsewhere(policy: Path, tmp_path: Path) -> None:
    published = plain_world().publish()
    bundle = tmp_path / "bundle.json"
    bundle.write_text(json.dumps(published.passport(ITEM)))
    own, seen, evidence = (tmp_path / name for name in ("own", "seen", "evidence.json"))
    own.write_text(published.note)
    seen.write_text(parted().note)
    evidence.write_text(json.dumps([published.fork_from(parted()).to_json()]))
    words = ("verify", bundle, "--policy", policy, "--at", NOW)
    assert facts(*words, "--known", own)["record"] == "verified"
    for path in (seen, evidence):
        found = facts(*words, "--known", own, "--known", path, status=1)
        assert (found["reason"], found["place"]) == ("log-forked", "known[1]")
    for content in (b"\xff", b"{}", b'{"v":1}', b"[1]"):
        own.write_bytes(content)
        said = run(*words, "--known", own, status=2).stderr
        assert said.startswith(f"unusable: {own}: ")


def test_verify_shows_anchors_as_said_and_not_as_checked(policy: Path) -> None:
    words = run("verify", DIRECTORY / "anchored.json", "--policy", policy, "--at", NOW).stdout
    assert "by rfc3161, said to be of 2026-11-20T08:00:00Z (not checked)" in words
    assert encode_base64(b"judged by others") not in words
