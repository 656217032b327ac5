"""provenance seal, upload, verify: from an EPCIS file to a verdict that needs nobody."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from provenance.domain.canonical import encode_base64
from tests.cli.conftest import Terminal
from tests.support.served import item, observed


@pytest.fixture(scope="module")
def who(terminal: Terminal) -> tuple[str | Path, ...]:
    uri, key = terminal.party("sealer")
    return ("--party", uri, "--key", key)


def document(folder: Path, name: str, *serials: str, **members: Any) -> Path:
    path = folder / f"{name}.json"
    path.write_text(json.dumps(observed(*serials, **members)), "utf-8")
    return path


def test_seal_and_upload_twice(terminal: Terminal, who: Any) -> None:
    file = document(terminal.folder, "twice", "T1", "T2")
    sealed = terminal.json("seal", file, *who, remote=True)
    target = terminal.folder / "twice.ndjson"
    assert sealed["files"] == [str(target)]
    assert (sealed["events"], sealed["concealed"]) == (2, 0)
    first = terminal.json("upload", target, "--wait", remote=True)["uploads"][0]
    assert (first["events"], first["published"]) == (2, True)
    kept = Path(first["receipt"])
    receipt = json.loads(kept.read_text())
    assert receipt["seal"] == encode_base64(bytes.fromhex(sealed["seals"][0]))
    again = terminal.run("upload", target, remote=True)
    assert again.stdout == "2 events uploaded\n"
    assert json.loads(kept.read_text()) == receipt
    bundle = json.loads(terminal.served.api().passport(item("T1")))
    assert bundle["subjects"][0]["value"]["count"] == 1


def test_sealing_needs_no_network_when_the_log_is_named(terminal: Terminal, who: Any) -> None:
    file = document(terminal.folder, "offline", "O1")
    nowhere = ("--url", "http://127.0.0.1:9")
    terminal.run("seal", file, *who, "--origin", terminal.served.origin, *nowhere)
    assert terminal.json("upload", terminal.folder / "offline.ndjson", remote=True)["uploads"]
    other = document(terminal.folder, "foreign", "O2")
    terminal.run("seal", other, *who, "--origin", "log.example.org", *nowhere)
    target = terminal.folder / "foreign.ndjson"
    refused = terminal.run("upload", target, status=1, remote=True)
    assert "signed for another log" in refused.stderr


def test_seal_cuts_a_long_document_into_files(terminal: Terminal, who: Any) -> None:
    file = document(terminal.folder, "long", *(f"L{number}" for number in range(5)))
    sealed = terminal.json("seal", file, *who, "--batch", "2", remote=True)
    assert [Path(name).name for name in sealed["files"]] == [
        f"long.{number}.ndjson" for number in (1, 2, 3)
    ]
    done = terminal.json("upload", *sealed["files"], remote=True)["uploads"]
    assert [entry["events"] for entry in done] == [2, 2, 1]


def test_files_joined_by_cat_are_one_large_upload(terminal: Terminal, who: Any) -> None:
    file = document(terminal.folder, "many", *(f"CAT{number}" for number in range(9)))
    sealed = terminal.json("seal", file, *who, "--batch", "2", remote=True)
    joined = terminal.folder / "joined.ndjson"
    joined.write_bytes(b"".join(Path(name).read_bytes() for name in sealed["files"]))
    for _ in range(2):
        (done,) = terminal.json("upload", joined, "--wait", remote=True)["uploads"]
        assert (done["events"], done["published"]) == (9, True)
        assert done["receipt"] == f"{joined}.receipts.ndjson"
        receipts = [json.loads(line) for line in Path(done["receipt"]).read_bytes().splitlines()]
        seals = [bytes.fromhex(seal) for seal in sealed["seals"]]
        assert [receipt["seal"] for receipt in receipts] == list(map(encode_base64, seals))
    bundle = json.loads(terminal.served.api().passport(item("CAT8")))
    assert bundle["subjects"][0]["value"]["count"] == 1
    joined.with_name("joined.ndjson.disclosures").touch()
    refused = terminal.run("upload", joined, status=1, remote=True)
    assert "belongs to one batch" in refused.stderr
    told = terminal.run("upload", joined, "--cancel", remote=True)
    assert told.stdout == "0 unfinished uploads ended\n"


def test_a_small_file_too_waits_for_a_platform_that_is_busy_or_restarts(
    terminal: Terminal, who: Any
) -> None:
    file = document(terminal.folder, "patient", "PA1")
    terminal.run("seal", file, *who, remote=True)
    terminal.served.flaw.plan = ["lost"] * 3 + ["full"] * 6 + ["busy"] * 6
    done = terminal.json("upload", terminal.folder / "patient.ndjson", remote=True)["uploads"]
    assert not terminal.served.flaw.plan
    assert done[0]["events"] == 1


def test_on_a_terminal_a_bar_shows_events_per_second(terminal: Terminal, who: Any) -> None:
    file = document(terminal.folder, "bar", "BAR1", "BAR2", "BAR3")
    sealed = terminal.json("seal", file, *who, "--batch", "1", remote=True)
    joined = terminal.folder / "bar.all.ndjson"
    joined.write_bytes(b"".join(Path(name).read_bytes() for name in sealed["files"]))
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    command = [sys.executable, "-m", "provenance.cli", "upload", str(joined)]
    try:
        subprocess.run([*command, "--url", terminal.served.url], stderr=theirs, check=True)
        shown = os.read(ours, 65_536).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert "bar.all.ndjson" in shown
    assert "3/3" in shown
    assert "events/s" in shown


def test_several_files_in_one_command_keep_their_order_in_the_answer(
    terminal: Terminal, who: Any
) -> None:
    files = []
    for name, serials in (("first", ["F1"]), ("second", ["F2", "F3", "F4"]), ("third", ["F5"])):
        made = document(terminal.folder, name, *serials)
        files.append(terminal.json("seal", made, *who, "--batch", "3", remote=True)["files"][0])
    large = terminal.folder / "large.ndjson"
    large.write_bytes(Path(files[0]).read_bytes() + Path(files[1]).read_bytes())
    given = [files[0], large, files[2]]
    done = terminal.json("upload", *given, "--connections", "2", remote=True)["uploads"]
    assert [(entry["file"], entry["events"]) for entry in done] == [
        (str(given[0]), 1),
        (str(large), 4),
        (str(given[2]), 1),
    ]


def test_sealing_again_is_refused_because_it_would_record_twice(
    terminal: Terminal, who: Any
) -> None:
    file = document(terminal.folder, "again", "AG1")
    terminal.run("seal", file, *who, remote=True)
    before = (terminal.folder / "again.ndjson").read_bytes()
    refused = terminal.run("seal", file, *who, status=1, remote=True)
    assert "would record the same events twice" in refused.stderr
    assert (terminal.folder / "again.ndjson").read_bytes() == before
    terminal.run("seal", file, *who, "-o", terminal.folder / "anew.ndjson", remote=True)


def test_conceal_keeps_the_value_out_of_the_upload(terminal: Terminal, who: Any) -> None:
    file = document(terminal.folder, "secret", "C1", **{"ex:price": "417.25"})
    rule = ("--conceal", "$['ex:price']=customs, brand")
    assert terminal.json("seal", file, *who, *rule, remote=True)["concealed"] == 1
    target = terminal.folder / "secret.ndjson"
    assert b"417.25" not in target.read_bytes()
    terminal.run("upload", target, "--wait", remote=True)
    assert b"417.25" not in terminal.served.api().passport(item("C1"))


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("$['ex:price']", "expected PATH=role,role"),
        ("=customs", "expected PATH=role,role"),
        ("$['ex:price']=custom", "expected one or more of"),
        ("$['ex:prize']=customs", "no event has a member at $['ex:prize']"),
        ("$.eventTime=customs", "cannot be concealed"),
        ("ex:price=customs", "JSON path"),
    ],
)
def test_a_wrong_concealment_seals_nothing(
    terminal: Terminal, who: Any, tmp_path: Path, rule: str, words: str
) -> None:
    file = document(tmp_path, "wrong", "W1", **{"ex:price": 1})
    status = 2 if "PATH" in words else 1
    refused = terminal.run("seal", file, *who, "--conceal", rule, status=status, remote=True)
    assert words in refused.stderr
    assert [entry.name for entry in tmp_path.iterdir()] == ["wrong.json"]


def test_a_bad_document_is_refused_on_this_side(
    terminal: Terminal, who: Any, tmp_path: Path
) -> None:
    file = document(tmp_path, "bad", "B1", "B2", action="GROW")
    refused = terminal.run("seal", file, *who, status=1, remote=True)
    assert "event 1 (urn:uuid:" in refused.stderr
    assert "$.action" in refused.stderr
    file.write_text('{"type":"EPCISDocument"}')
    assert "$.epcisBody" in terminal.run("seal", file, *who, status=1, remote=True).stderr
    file.write_text('{"type":')
    assert "not JSON" in terminal.run("seal", file, *who, status=1, remote=True).stderr


def test_a_member_that_stands_twice_is_the_senders_decision(
    terminal: Terminal, who: Any, tmp_path: Path
) -> None:
    file = document(tmp_path, "double", "D1")
    text = file.read_text().replace('"action":', '"action": "ADD", "action":')
    file.write_text(text)
    assert "action" in terminal.run("seal", file, *who, status=1, remote=True).stderr
    taken = terminal.run("seal", file, *who, "--last-of-duplicates", remote=True)
    assert "'action' stands twice" in taken.stderr
    event = json.loads((tmp_path / "double.ndjson").read_bytes().splitlines()[1])
    assert event["action"] == "OBSERVE"


def test_a_party_without_a_role_records_nothing(terminal: Terminal, tmp_path: Path) -> None:
    uri, key = terminal.party("guest", None)
    file = document(tmp_path, "guest", "G1")
    terminal.run("seal", file, "--party", uri, "--key", key, remote=True)
    refused = terminal.run("upload", tmp_path / "guest.ndjson", status=1, remote=True)
    assert "refused with 403" in refused.stderr
    assert not (tmp_path / "guest.ndjson.receipt").exists()


# --- verify ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def passport(terminal: Terminal, who: Any, tmp_path_factory: Any) -> Path:
    """A folder with bundle.json and policy.txt, and nothing else of the platform."""
    folder: Path = tmp_path_factory.mktemp("reader")
    terminal.run("seal", document(folder, "v", "V1"), *who, remote=True)
    terminal.run("upload", folder / "v.ndjson", "--wait", remote=True)
    (folder / "bundle.json").write_bytes(terminal.served.api().passport(item("V1")))
    (folder / "absent.json").write_bytes(terminal.served.api().passport(item("NEVER")))
    shutil.copy(terminal.served.settings.policy_file, folder / "policy.txt")
    return folder


def judge(
    terminal: Terminal, folder: Path, bundle: str, *options: str, status: int
) -> dict[str, Any]:
    words = ("verify", folder / bundle, "--policy", folder / "policy.txt", *options)
    return terminal.json(*words, status=status)


def test_verify_says_verified_with_exit_status_0(terminal: Terminal, passport: Path) -> None:
    verdict = judge(terminal, passport, "bundle.json", status=0)
    assert (verdict["record"], verdict["reason"], len(verdict["stages"])) == ("verified", None, 1)
    policy = passport / "policy.txt"
    words = terminal.run("verify", passport / "bundle.json", "--policy", policy).stdout
    assert words.startswith(f"VERIFIED: {item('V1')}\n")
    for check in ("published", "fresh", "complete", "unaltered", "authentic"):
        assert f"{check:<10} pass" in words
    assert f"cosigned by {terminal.served.origin}/clock" in words


def change_event(bundle: dict[str, Any]) -> None:
    place = next(i for i, e in enumerate(bundle["events"]) if "bizStep" in e["event"])
    bundle["events"][place]["event"]["bizStep"] = "destroying"


def drop_link(bundle: dict[str, Any]) -> None:
    signer = next(entry for entry in bundle["subjects"] if entry["uri"].endswith("sealer.example"))
    signer["links"].pop()


def change_name(bundle: dict[str, Any]) -> None:
    place = next(i for i, e in enumerate(bundle["events"]) if "prov:name" in e["event"])
    bundle["events"][place]["event"]["prov:name"] = {"en": "Somebody else"}


def change_signature(bundle: dict[str, Any]) -> None:
    head, _, signature = bundle["checkpoint"].rpartition(" ")
    flipped = "A" if signature[20] != "A" else "B"
    bundle["checkpoint"] = f"{head} {signature[:20]}{flipped}{signature[21:]}"


TAMPERED: list[tuple[Callable[[dict[str, Any]], None], str, str]] = [
    (change_event, "event-altered", "events["),
    (drop_link, "history-incomplete", "subjects["),
    (change_name, "event-altered", "events["),
    (change_signature, "checkpoint-signature", "checkpoint"),
    (lambda bundle: bundle["events"].pop(), "event-missing", "subjects["),
    (lambda bundle: bundle.update(note="hello"), "bundle-malformed", "bundle"),
]


@pytest.mark.parametrize(("tamper", "reason", "place"), TAMPERED)
def test_verify_refuses_a_tampered_bundle_with_its_reason_and_exit_status_1(
    terminal: Terminal,
    passport: Path,
    tmp_path: Path,
    tamper: Callable[[dict[str, Any]], None],
    reason: str,
    place: str,
) -> None:
    bundle = json.loads((passport / "bundle.json").read_bytes())
    tamper(bundle)
    changed = tmp_path / "changed.json"
    changed.write_text(json.dumps(bundle))
    policy = ("--policy", passport / "policy.txt")
    verdict = terminal.json("verify", changed, *policy, status=1)
    assert (verdict["record"], verdict["reason"]) == ("refused", reason)
    assert verdict["place"].startswith(place)
    words = terminal.run("verify", changed, *policy, status=1).stdout
    assert f"reason {reason} at {place}" in words
    assert words.startswith("REFUSED: ")


def test_verify_says_absent_with_exit_status_1(terminal: Terminal, passport: Path) -> None:
    verdict = judge(terminal, passport, "absent.json", status=1)
    assert (verdict["record"], verdict["reason"]) == ("absent", None)


def test_verify_judges_age_by_the_readers_own_clock(terminal: Terminal, passport: Path) -> None:
    later = str(4_000_000_000)
    stale = judge(terminal, passport, "bundle.json", "--at", later, status=1)
    assert stale["reason"] == "checkpoint-stale"
    patient = ("--at", later, "--max-age", "4000000000")
    assert judge(terminal, passport, "bundle.json", *patient, status=0)["record"] == "verified"
    early = judge(terminal, passport, "bundle.json", "--at", "1000000000", status=1)
    assert early["reason"] == "checkpoint-future"


def test_verify_knows_no_log_but_those_of_the_policy(
    terminal: Terminal, passport: Path, tmp_path: Path
) -> None:
    terminal.json("init", "--data", tmp_path / "other", "--origin", "log.example.org")
    policy = tmp_path / "other" / "policy.txt"
    verdict = terminal.json("verify", passport / "bundle.json", "--policy", policy, status=1)
    assert verdict["reason"] == "log-unknown"


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "not-json"), (b"\xff", "not-utf8"), (b"{}", "not-a-passport"), (b"[" * 50, "too-deep")],
)
def test_verify_says_unusable_with_exit_status_2(
    terminal: Terminal, passport: Path, tmp_path: Path, content: bytes, reason: str
) -> None:
    file = tmp_path / "unusable.json"
    file.write_bytes(content)
    policy = ("--policy", passport / "policy.txt")
    verdict = terminal.json("verify", file, *policy, status=2)
    assert (verdict["record"], verdict["reason"]) == ("unusable", reason)
    assert terminal.run("verify", file, *policy, status=2).stdout.startswith(f"UNUSABLE: {file}")


def test_verify_without_its_files_is_unusable_input(terminal: Terminal, passport: Path) -> None:
    bundle, policy = passport / "bundle.json", passport / "policy.txt"
    missing = terminal.run("verify", passport / "none.json", "--policy", policy, status=2)
    assert "none.json" in missing.stderr
    no_policy = terminal.run("verify", bundle, "--policy", bundle, status=2)
    assert no_policy.stderr.startswith("unusable: ")
    assert "--policy" in terminal.run("verify", bundle, status=2).stderr
