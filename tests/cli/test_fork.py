"""provenance fork: a checkpoint from a file compared, evidence shown, and `serve` that goes on."""

from __future__ import annotations

import json
import signal
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from merkle.checkpoint import Checkpoint
from merkle.hashing import leaf_hash
from merkle.note import sign_note
from merkle.tree import root_of
from provenance.cli import main
from provenance.config import Settings
from provenance.crypto.signing import NoteSigner, load_key
from provenance.platform import Platform, initialise
from tests.support.processes import serve, until


def run(*words: str | Path, status: int = 0) -> Result:
    result = CliRunner().invoke(main, [*map(str, words)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == status, result.output
    return result


@pytest.fixture
def data(tmp_path: Path) -> Path:
    initialise(Settings(data=tmp_path / "data"))
    return tmp_path / "data"


def other(data: Path, size: int) -> Path:
    """A file with a checkpoint under the log's key of another history."""
    origin = (data / "origin").read_text().strip()
    root = root_of([leaf_hash(b"other %d" % n) for n in range(size)])
    signer = NoteSigner(origin, load_key(data / "keys" / "log.key"))
    path = data.parent / f"seen-{size}"
    path.write_bytes(sign_note(Checkpoint(origin, size, root).format(), [signer]))
    return path


def test_a_checkpoint_of_ours_is_consistent(data: Path) -> None:
    said = run("fork", "add", data / "log" / "checkpoint", "--data", data)
    assert said.stdout.startswith("consistent: the log had this root at size ")
    assert run("fork", "show", "--data", data).stdout.startswith(
        "nothing is known to speak against"
    )


def test_another_history_is_shown_and_kept(data: Path) -> None:
    words = ("fork", "add", other(data, 2), "--data", data, "--source", "a newspaper")
    found = json.loads(run(*words, "--json", status=1).stdout)
    assert (found["known"], found["size"], found["stored"]) == ("conflicting", 2, True)
    assert "FORKED: the log's key signed another history at size 2" in run(*words, status=1).stdout
    shown = json.loads(run("fork", "show", "--data", data, "--json", status=1).stdout)
    assert [one["evidence"] for one in shown["found"]] == [found["evidence"]]
    assert "at a newspaper" in run("fork", "show", "--data", data, status=1).stdout


def test_a_larger_one_is_ahead(data: Path) -> None:
    said = run("fork", "add", other(data, 99), "--data", data, status=1).stdout
    assert said.startswith("AHEAD: the log's key signed size 99")
    assert "AHEAD: size 99 is held by" in run("fork", "show", "--data", data, status=1).stdout


def test_what_is_no_checkpoint_of_ours_ends_with_2(data: Path, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"words")
    assert (
        "no signed checkpoint"
        in run("fork", "add", tmp_path / "x", "--data", data, status=2).stderr
    )


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at processes")
def test_a_forked_log_is_still_served(data: Path) -> None:
    """Readers must be told. The same when it is started with the evidence already there."""
    with serve(data) as running:
        until(running.is_ready)
        request = urllib.request.Request(
            running.url + "/api/v1/log/checkpoints",
            data=other(data, 2).read_bytes(),
            headers={"Content-Type": "text/plain"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 201
        until(lambda: "the log has stopped for good" in running.messages)
        assert forks(running.url) == 1
        assert running.process.poll() is None
        assert running.stop(signal.SIGTERM) == 0
    published = (data / "log" / "checkpoint").read_bytes()
    with serve(data) as again:
        until(lambda: forks(again.url) == 1)
        until(lambda: "the log has stopped for good" in again.messages)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(again.url + "/readyz", timeout=10)
        assert refused.value.code == 503
        refused.value.close()
        assert again.stop(signal.SIGTERM) == 0
    assert (data / "log" / "checkpoint").read_bytes() == published
    platform = Platform.open(Settings(data=data))
    assert platform.forks.count() == 1
    platform.close()


def forks(url: str) -> int:
    """How many /api/v1/log says there are; -1 while nobody answers."""
    try:
        with urllib.request.urlopen(url + "/api/v1/log", timeout=10) as answer:
            return int(json.load(answer)["forks"])
    except OSError:
        return -1
