"""An installation: made once, kept for ever, refused when it contradicts itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from merkle.note import KIND_ED25519, KIND_MLDSA, open_note, parse_note
from merkle.policy import Policy
from provenance.config import Settings
from provenance.crypto.cose import read_receipt_key
from provenance.crypto.mldsa import MldsaPrivateKey, save_mldsa_key, verify_mldsa
from provenance.crypto.signing import PrivateKey, save_key, verify_ed25519
from provenance.domain.party import Party
from provenance.platform import (
    KEY_FILES,
    MLDSA_KEY,
    RECEIPT_KEY,
    RECEIPT_KEY_FILE,
    Platform,
    PlatformError,
    initialise,
)
from provenance.services.capture import Capture
from provenance.services.querying import find_party
from provenance.services.recovery import SequencerRefusalError
from provenance.verify import verify_bundle
from tests.support.builders import encode
from tests.web.site import Site

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "data", database=database_url, operator_name="Example Operator")


def operator_of(platform: Platform) -> Party:
    party = find_party(platform.database, platform.operator)
    assert party is not None
    return party


def files_of(directory: Path) -> dict[str, bytes]:
    names = ("origin", "policy.txt", *(f"keys/{name}" for name in KEY_FILES))
    return {name: (directory / name).read_bytes() for name in names}


def test_a_new_installation_is_ready_to_be_verified(settings: Settings) -> None:
    initialise(settings)
    platform = Platform.open(settings)
    operator = operator_of(platform)
    assert operator.name == {"en": "Example Operator"}
    assert set(operator.keys) == {platform.keys.operator.public.multikey}
    bundle = encode(platform.prover.passport(platform.operator))
    policy = Policy.parse(settings.policy_file.read_text())
    verdict = verify_bundle(bundle, policy, now=platform.clock() // 1000)
    assert verdict.document["record"] == "verified"
    assert verdict.document["log"]["cosigners"] == [f"{platform.origin}/clock"]
    platform.close()


def test_names_keys_and_policy_have_their_forms(settings: Settings) -> None:
    initialise(settings)
    platform = Platform.open(settings)
    assert platform.origin.startswith("log.localhost/")
    assert len(platform.origin.removeprefix("log.localhost/")) == 8
    assert platform.log_vkey in settings.policy_file.read_text()
    assert settings.keys.stat().st_mode & 0o777 == 0o700
    for name in KEY_FILES:
        assert (settings.keys / name).stat().st_mode & 0o777 == 0o600
    keys = platform.keys
    assert len({keys.log.seed, keys.clock.seed, keys.operator.seed}) == 3
    platform.close()


def test_again_changes_nothing(settings: Settings) -> None:
    initialise(settings)
    before = files_of(settings.data)
    platform = Platform.open(settings)
    size, _ = platform.prover.published()
    initialise(settings)
    assert files_of(settings.data) == before
    assert platform.prover.published()[0] == size
    platform.close()


def test_a_named_log_keeps_its_name(settings: Settings, database_url: str) -> None:
    named = Settings(data=settings.data, database=database_url, origin="log.example.org/1")
    initialise(named)
    assert Platform.open(settings).origin == "log.example.org/1"
    renamed = Settings(data=settings.data, database=database_url, origin="log.example.org/2")
    for attempt in (initialise, Platform.open):
        with pytest.raises(PlatformError, match="a log keeps its name"):
            attempt(renamed)


_START = """
import sys
from pathlib import Path
from provenance.config import Settings
from provenance.platform import initialise
initialise(Settings(data=Path(sys.argv[1]), database=sys.argv[2]))
"""


def test_two_processes_that_start_at_once_make_one_installation(
    tmp_path: Path, empty_database_url: str
) -> None:
    command = [sys.executable, "-c", _START, str(tmp_path / "data"), empty_database_url]
    starting = [
        subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(3)
    ]
    for process in starting:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    platform = Platform.open(Settings(data=tmp_path / "data", database=empty_database_url))
    with platform.database.read() as connection:
        assert connection.scalar(text("SELECT count(*) FROM parties")) == 1
        assert connection.scalar(text("SELECT count(*) FROM links")) == 1
    assert platform.prover.published()[0] == 3  # genesis, the registration, its map head
    platform.close()


def test_a_start_that_broke_off_is_completed(settings: Settings) -> None:
    settings.keys.mkdir(parents=True)
    (settings.keys / "log.key.new").write_text("half a key")
    initialise(settings)
    assert not (settings.keys / "log.key.new").exists()
    Platform.open(settings).close()


def loaded(platform: Platform) -> set[str]:
    """The private keys that this process has read."""
    return {"log", "clock", "operator"} & platform.keys.__dict__.keys()


def test_each_process_reads_the_keys_of_its_work_and_no_other(settings: Settings) -> None:
    """A web worker that is broken into gives away receipts, not the log."""
    initialise(settings)
    web = Platform.open(settings)
    assert web.log_vkey in settings.policy_file.read_text()
    web.prover.passport(web.operator)
    assert loaded(web) == set()
    assert isinstance(web.capture, Capture)
    assert loaded(web) == {"operator"}
    web.close()
    sequencing = Platform.open(settings)
    assert sequencing.sequencer.run_once() is None
    assert loaded(sequencing) == {"log", "clock"}
    sequencing.close()


def test_a_web_worker_works_where_the_logs_keys_cannot_be_read(settings: Settings) -> None:
    initialise(settings)
    for name in ("log.key", "clock.key"):
        (settings.keys / name).write_text("not for this process")
    web = Platform.open(settings)
    assert web.prover.passport(web.operator)["subjects"][0]["uri"] == web.operator
    assert web.capture.submit_event is not None
    with pytest.raises(PlatformError, match=r"(log|clock)\.key is not one line"):
        _ = web.sequencer
    web.close()


def test_a_key_that_is_not_the_policys_is_refused_by_those_who_may_read_it(
    settings: Settings,
) -> None:
    initialise(settings)
    (settings.keys / "log.key").unlink()
    save_key(settings.keys / "log.key", PrivateKey.generate())
    with pytest.raises(PlatformError, match="does not name this log: expected a line `log "):
        initialise(settings)
    platform = Platform.open(settings)
    with pytest.raises(SequencerRefusalError, match="does not list it"):
        _ = platform.sequencer
    platform.close()


def test_nothing_is_made_by_opening(settings: Settings) -> None:
    with pytest.raises(PlatformError, match=r"log\.key"):
        Platform.open(settings)
    assert not settings.data.exists()


@pytest.mark.parametrize("name", ["origin", "policy.txt", *(f"keys/{name}" for name in KEY_FILES)])
def test_a_lost_file_is_never_replaced_under_a_log(settings: Settings, name: str) -> None:
    initialise(settings)
    (settings.data / name).unlink()
    with pytest.raises(PlatformError, match=f"{name} is missing: restore"):
        initialise(settings)
    assert not (settings.data / name).exists()


def test_a_key_that_others_can_read_is_refused(settings: Settings) -> None:
    initialise(settings)
    (settings.keys / "operator.key").chmod(0o640)
    with pytest.raises(PlatformError, match="chmod 600"):
        Platform.open(settings)


@pytest.mark.parametrize("name", ["origin", "policy.txt"])
def test_a_missing_file_is_named(settings: Settings, name: str) -> None:
    initialise(settings)
    (settings.data / name).unlink()
    with pytest.raises(PlatformError, match=f"{name} is missing"):
        Platform.open(settings)


def test_a_policy_that_does_not_know_this_log_is_refused(settings: Settings) -> None:
    initialise(settings)
    settings.policy_file.write_text("quorum none\n")
    with pytest.raises(PlatformError, match="does not name this log"):
        Platform.open(settings)
    settings.policy_file.write_text("quorum\n")
    with pytest.raises(PlatformError, match=r"policy\.txt"):
        Platform.open(settings)


def test_an_operators_own_policy_is_kept(settings: Settings) -> None:
    initialise(settings)
    longer = settings.policy_file.read_text().replace("quorum", "# our own\nquorum")
    settings.policy_file.write_text(longer)
    initialise(settings)
    assert settings.policy_file.read_text() == longer


# --- the second key of the log, and the key of receipts -------------------------------------------


def published_lines(platform: Platform) -> list[int]:
    """Bytes of signature in the published checkpoint's lines under the log's own name."""
    _, note = platform.prover.published()
    lines = parse_note(note).signatures
    return [len(line.signature) for line in lines if line.name == platform.origin]


def test_checkpoints_are_signed_twice_and_the_policy_lists_both_keys(settings: Settings) -> None:
    initialise(settings)
    platform = Platform.open(settings)
    kinds = [log.key.kind for log in platform.policy.log_named(platform.origin)]
    assert kinds == [KIND_ED25519, KIND_MLDSA]
    assert published_lines(platform) == [64, 8 + 2_420]
    _, note = platform.prover.published()
    judges = platform.policy.log_verifiers(platform.origin, verify_ed25519, verify_mldsa)
    assert len(open_note(note, judges).verified) == 2
    assert (settings.keys / MLDSA_KEY).stat().st_mode & 0o777 == 0o600
    platform.close()


def test_a_log_made_without_the_second_key_gets_it_and_keeps_its_policy(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as older:
        older.setattr("provenance.platform.is_available", lambda: False)
        initialise(settings)
        assert not (settings.keys / MLDSA_KEY).exists()
    policy = settings.policy_file.read_bytes()
    (settings.keys / RECEIPT_KEY).unlink()
    initialise(settings)
    assert (settings.keys / MLDSA_KEY).exists()
    assert (settings.keys / RECEIPT_KEY).exists()
    assert settings.policy_file.read_bytes() == policy
    platform = Platform.open(settings)
    site = Site(platform)
    site.register("https://new.example", None)
    site.publish()
    assert published_lines(platform) == [64, 8 + 2_420]
    verdict = verify_bundle(
        encode(platform.prover.passport(platform.operator)),
        Policy.parse(policy),
        now=platform.clock() // 1000,
    )
    assert verdict.document["record"] == "verified"  # a line under an unknown key says nothing
    platform.close()


def test_a_lost_second_key_is_not_replaced_by_another(settings: Settings) -> None:
    initialise(settings)
    (settings.keys / MLDSA_KEY).unlink()
    with pytest.raises(PlatformError, match=r"log-mldsa\.key is missing: restore it"):
        initialise(settings)
    assert not (settings.keys / MLDSA_KEY).exists()


def test_a_second_key_of_another_log_is_noticed(settings: Settings) -> None:
    initialise(settings)
    (settings.keys / MLDSA_KEY).unlink()
    save_mldsa_key(settings.keys / MLDSA_KEY, MldsaPrivateKey.generate())
    with pytest.raises(PlatformError, match="lists another ML-DSA-44 key"):
        initialise(settings)


def test_the_receipt_key_is_published_under_the_logs_signature(settings: Settings) -> None:
    initialise(settings)
    platform = Platform.open(settings)
    path = settings.tiles / RECEIPT_KEY_FILE
    judges = platform.policy.log_verifiers(platform.origin, verify_ed25519)
    key = read_receipt_key(path.read_bytes(), platform.origin, judges)
    assert key == platform.keys.receipt.public
    assert key not in {platform.keys.log.public, platform.keys.clock.public}
    platform.close()
    (settings.keys / RECEIPT_KEY).unlink()  # lost: another one is made, and said to be it
    initialise(settings)
    assert read_receipt_key(path.read_bytes(), platform.origin, judges) != key
