"""The log's key passes on while the platform runs: readers of either pin are served all the way."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from merkle.note import KIND_ED25519, parse_note
from merkle.policy import Log, Policy
from provenance import rollover
from provenance.cli import main
from provenance.config import Settings
from provenance.domain.passport import MAX_SUCCESSIONS
from provenance.platform import NEXT_LOG_KEY, Platform, PlatformError, initialise
from provenance.storage import files
from tests.support.served import Served, serving

ORIGIN = "log.example/rollover"


def run(*words: str | Path, status: int = 0) -> Result:
    result = CliRunner().invoke(main, [*map(str, words)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == status, result.output
    return result


def verdict(passport: Path, policy: Path, status: int = 0) -> dict[str, Any]:
    found = run("verify", passport, "--policy", policy, "--json", status=status).stdout
    document = json.loads(found)
    assert isinstance(document, dict)
    return document


def warnings(passport: Path, policy: Path) -> list[tuple[str, str]]:
    found = verdict(passport, policy)
    assert found["record"] == "verified"
    return [(warning["code"], warning["place"]) for warning in found["warnings"]]


def fetch(served: Served, name: str, folder: Path) -> Path:
    """A new party's passport, over HTTP, once its registration is published."""
    party = served.party(name)
    target = folder / f"{name}.json"
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        target.write_bytes(served.api().passport(party.party))
        if "absence" not in json.loads(target.read_bytes())["subjects"][0]:
            return target
        time.sleep(0.05)
    raise AssertionError(f"{party.party} was not published in 30 s")


def pins(data: Path, folder: Path, name: str, keys: slice, *, second: bool = True) -> Path:
    """A reader's own policy: the platform's, with some of its Ed25519 log keys only."""
    policy = Policy.parse((data / "policy.txt").read_bytes())
    log = [one for one in policy.logs if one.key.kind == KIND_ED25519]
    others = [one for one in policy.logs if one.key.kind != KIND_ED25519 and second]
    kept = Policy((*log[keys], *others), policy.witnesses, policy.groups, policy.quorum)
    target = folder / f"{name}.policy.txt"
    target.write_text(kept.format())
    return target


def log_lines(served: Served) -> set[bytes]:
    note = parse_note(served.platform.prover.published()[1])
    ours = [line for line in note.signatures if line.name == served.origin]
    return {line.key_id for line in ours if len(line.signature) == 64}  # the Ed25519 ones


def test_a_whole_rollover_through_the_running_services(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving(data, origin=ORIGIN) as served:
        first = fetch(served, "first", tmp_path)
        old_pin = pins(data, tmp_path, "old", slice(None))
        assert warnings(first, old_pin) == []
        # The post-quantum key stays what it is through a rollover; who pins it needs no succession.
        ed25519_pin = pins(data, tmp_path, "ed25519", slice(None), second=False)
        told = json.loads(run("log", "succeed", "--data", data, "--json").stdout)
        # Nothing changes for a server that runs: it signs as before until it is started anew.
        assert warnings(fetch(served, "second", tmp_path), old_pin) == []
    assert "is not finished" in run("log", "succeed", "--data", data, status=1).stderr
    both = pins(data, tmp_path, "both", slice(None))
    new_pin = pins(data, tmp_path, "new", slice(1, None))
    assert told["new"] in new_pin.read_text()
    assert told["old"] not in new_pin.read_text()
    run("log", "retire", "--data", data, "--yes", status=1)  # too early: nobody saw the new key

    with serving(data) as served:
        third = fetch(served, "third", tmp_path)
        assert len(log_lines(served)) == 2
        assert json.loads(third.read_bytes())["succession"] == [told["succession"]]
        succeeded = ("log-key-succeeded", "succession[0]")
        assert warnings(third, old_pin) == [succeeded, ("policy-differs", "policy")]
        assert warnings(third, both) == []
        assert warnings(third, new_pin) == [("policy-differs", "policy")]
    run("log", "retire", "--data", data, "--yes")

    with serving(data) as served:
        fourth = fetch(served, "fourth", tmp_path)
        (line,) = log_lines(served)
        assert line.hex() in told["new"]
        assert warnings(fourth, old_pin) == [succeeded, ("policy-differs", "policy")]
        assert warnings(fourth, new_pin) == []
    assert json.loads(run("fsck", "--data", data, "--json").stdout)["good"]
    assert not (data / "keys" / NEXT_LOG_KEY).exists()

    bundle = json.loads(fourth.read_bytes())
    stolen = tmp_path / "stolen.json"
    del bundle["succession"]
    stolen.write_text(json.dumps(bundle))
    assert verdict(stolen, ed25519_pin, status=1)["reason"] == "checkpoint-signature"
    text, _, lines = told["succession"].rpartition("\n\n")
    bundle["succession"] = [f"{text}\n\n{lines.splitlines()[1]}\n"]  # the new key's line alone
    stolen.write_text(json.dumps(bundle))
    refused = verdict(stolen, ed25519_pin, status=1)
    assert (refused["reason"], refused["place"]) == ("succession-signature", "succession[0]")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = Settings(data=tmp_path / "data", origin=ORIGIN)
    initialise(made)
    return made


def sequenced(settings: Settings) -> Platform:
    """The platform after its sequencer ran once; with a new registration in the log."""
    platform = Platform.open(settings)
    assert platform.sequencer.start()
    platform.sequencer.run_once()
    platform.sequencer.release()
    return platform


def test_what_the_operator_wrote_in_the_policy_stays(settings: Settings) -> None:
    text = settings.policy_file.read_text()
    first, rest = text.split("\n", 1)
    settings.policy_file.write_text(f"# ours\n{first} https://log.example/\n{rest}# end\n")
    done = rollover.succeed(settings)
    assert settings.policy_file.read_text() == (
        f"# ours\n{first} https://log.example/\n"
        f"log {done.new.format()} https://log.example/\n{rest}# end\n"
    )


@pytest.mark.parametrize("step", range(3))
def test_a_crash_while_passing_on_is_mended_by_doing_it_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """The disk fails at the key, the note, the policy; the log goes on as before, then as told."""
    before = settings.policy_file.read_bytes()
    counted = 0

    def failing(path: Path) -> None:
        nonlocal counted
        counted += 1
        if counted == step + 1:
            raise OSError(28, "no space left")
        original(path)

    original = files.sync_directory
    monkeypatch.setattr(files, "sync_directory", failing)
    monkeypatch.setattr(rollover, "sync_directory", failing)
    with pytest.raises(OSError, match="no space"):
        rollover.succeed(settings)
    monkeypatch.undo()
    Platform.open(settings).close()
    if settings.policy_file.read_bytes() == before:
        sequenced(settings).close()
        done = rollover.succeed(settings)
        assert len(json.loads((settings.data / "succession.json").read_text())) == 1
        assert done.new.format() in settings.policy_file.read_text()
    else:  # the last step failed after it was done
        assert step == 2
        with pytest.raises(PlatformError, match="not finished"):
            rollover.succeed(settings)
    sequenced(settings).close()


def test_retiring_twice_or_without_a_next_key_is_refused(settings: Settings) -> None:
    with pytest.raises(PlatformError, match="no key is being passed on"):
        rollover.retire(settings)
    rollover.succeed(settings)
    with pytest.raises(PlatformError, match="no new checkpoint was signed with the next key"):
        rollover.retire(settings)


def test_a_crash_while_retiring_leaves_a_log_that_signs_with_the_new_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    with serving(data, origin=ORIGIN):
        pass
    settings = Settings(data=data)
    done = rollover.succeed(settings)
    with serving(data) as served:
        fetch(served, "one", tmp_path)

    def failing(path: Path, target: Path) -> Path:
        if path.name == NEXT_LOG_KEY:
            raise OSError(5, "the disk is gone")
        return original(path, target)

    original = Path.replace
    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(OSError, match="the disk is gone"):
        rollover.retire(settings)
    monkeypatch.undo()
    assert done.old.format() not in settings.policy_file.read_text()
    with serving(data) as served:  # initialises as well, and finds nothing to complain of
        fetch(served, "two", tmp_path)
        assert log_lines(served) == {done.new.key_id}
    assert rollover.retire(settings).new == done.new
    with serving(data) as served:
        fetch(served, "three", tmp_path)
        assert log_lines(served) == {done.new.key_id}


def test_a_passport_carries_the_newest_notes_only(settings: Settings) -> None:
    """More than a bundle may hold: who slept through eight keys must pin anew."""
    notes = [f"note {n}" for n in range(MAX_SUCCESSIONS)]
    (settings.data / "succession.json").write_text(json.dumps(notes))
    rollover.succeed(settings)
    kept = json.loads((settings.data / "succession.json").read_text())
    assert len(kept) == MAX_SUCCESSIONS
    assert kept[:-1] == notes[1:]


@pytest.mark.parametrize("text", ["{}", "[1]", "no json"])
def test_a_spoilt_file_of_notes_is_named(settings: Settings, text: str) -> None:
    (settings.data / "succession.json").write_text(text)
    with pytest.raises(PlatformError, match=r"succession\.json"):
        Platform.open(settings)


def test_a_policy_may_list_a_key_that_we_do_not_have(settings: Settings) -> None:
    """Somebody edits the policy by hand: what signs is what both know."""
    policy = Policy.parse(settings.policy_file.read_bytes())
    stranger = rollover.succeed(settings).new
    (settings.keys / NEXT_LOG_KEY).unlink()
    assert Log(stranger) not in policy.logs
    platform = sequenced(settings)
    assert [one.vkey for one in platform.log_signers()] == [policy.logs[0].key]
    platform.close()
