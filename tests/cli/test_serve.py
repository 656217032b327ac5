"""provenance serve as processes: it starts whole, stops whole, and never leaves half a platform."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
from pathlib import Path

import pytest

from merkle.note import open_note
from merkle.policy import Policy
from provenance.client.api import Api
from provenance.client.errors import ProblemError
from provenance.client.party_events import Registrar
from provenance.client.sealing import Signer, prepare, seal_events
from provenance.config import Settings
from provenance.crypto.signing import PrivateKey, load_key
from provenance.domain.party_events import operator_uri
from provenance.platform import Platform, initialise
from provenance.services.witnessing import witness_verifiers
from tests.support.databases import copy_installation
from tests.support.outside_witness import held, require_witness, witness
from tests.support.processes import Serve, children, free_port, is_alive, serve, until
from tests.support.served import now, observed

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="looks at processes through /proc"
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh installation, to be copied: making one costs more than starting it."""
    data = tmp_path_factory.mktemp("made") / "data"
    initialise(Settings(data=data))
    return data


@pytest.fixture
def data(made: Path, tmp_path: Path) -> Path:
    return copy_installation(made, tmp_path / "data")


def party(running: Serve, data: Path, name: str) -> Signer:
    api = Api(running.url)
    origin = str(api.log()["origin"])
    signer = Signer(origin, f"https://{name}.example", PrivateKey.generate())
    operator = Signer(origin, operator_uri(origin), load_key(data / "keys" / "operator.key"))
    desk = Registrar(api, now(), os.urandom)
    desk.register(signer, {"en": name})
    desk.accredit(operator, signer.party, "brand")
    return signer


def publish(running: Serve, signer: Signer, serial: str) -> bool:
    """Uploads one event and waits; whether a checkpoint covered it."""
    (batch,) = seal_events(
        prepare(observed(serial), random=os.urandom), signer, now=now(), random=os.urandom
    )
    return Api(running.url).post_batch(batch.lines, wait=True).published


def all_gone(family: list[int]) -> bool:
    return not any(map(is_alive, family))


def test_two_on_one_directory_take_turns_and_sigterm_stops_one_cleanly(data: Path) -> None:
    with serve(data) as first:
        until(first.is_ready)
        with serve(data) as second:
            until(second.is_ready)
            signer = party(first, data, "turns")
            assert publish(first, signer, "ONE")
            assert publish(second, signer, "TWO"), "the first one's sequencer publishes for both"
            family = children(first.process.pid)
            assert len(family) >= 3, "sequencer, gunicorn, a worker"
            assert first.stop(signal.SIGTERM) == 0, first.messages
            assert all_gone(family)
            assert publish(second, signer, "THREE"), "its sequencer takes over"
            assert second.stop(signal.SIGINT) == 0, second.messages
    assert "Traceback" not in first.messages + second.messages


def test_an_answer_that_is_ready_before_the_upload_has_ended_is_not_lost(data: Path) -> None:
    """A known seal is answered after its first line; the receipt is large, and so is the rest."""
    with serve(data) as running:
        until(running.is_ready)
        signer = party(running, data, "large")
        document = observed(*(f"LARGE{number}" for number in range(4_000)))
        batch, other = (
            seal_events(prepare(document, random=os.urandom), signer, now=now(), random=os.urandom)[
                0
            ]
            for _ in range(2)
        )
        api = Api(running.url, sleep=lambda _: pytest.fail("the answer was lost"))
        first = api.post_batch(batch.lines)
        assert [api.post_batch(batch.lines).receipt for _ in range(3)] == [first.receipt] * 3
        broken = [other.seal, b'{"a":1,"a":2}', *other.events[1:]]
        for _ in range(3):
            with pytest.raises(ProblemError, match="line 2"):
                api.post_batch(lambda: broken)


def test_a_killed_supervisor_leaves_no_orphan(data: Path) -> None:
    with serve(data) as running:
        until(running.is_ready)
        family = children(running.process.pid)
        assert len(family) >= 3
        running.stop(signal.SIGKILL)
        until(lambda: all_gone(family), 30)


@pytest.mark.parametrize(("name", "part"), [("sequencer", "sequence"), ("web", "gunicorn")])
def test_a_child_that_dies_takes_the_platform_with_it(data: Path, name: str, part: str) -> None:
    with serve(data) as running:
        until(running.is_ready)
        family = children(running.process.pid)
        os.kill(running.child(part), signal.SIGKILL)
        assert running.process.wait(60) == 1
        assert f"the {name} process ended with status -9" in running.messages
        until(lambda: all_gone(family), 30)


def test_a_taken_port_is_said_before_anything_is_made(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = int(taken.getsockname()[1])
        with serve(tmp_path / "data", port=port) as running:
            assert running.process.wait(60) == 1
            assert f"cannot listen on 127.0.0.1, port {port}: " in running.messages
            assert "choose another" in running.messages
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("options", [(), ("--check-map",)], ids=["plain", "map-aware"])
def test_a_first_start_with_a_witness_whose_quorum_is_waited_for(
    data: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    """A map-aware one reads our tiles over HTTP, and cannot before the web workers are up."""
    settings, port = Settings(data=data), free_port()
    platform = Platform.open(settings)
    log = platform.log_vkey + (f"=http://127.0.0.1:{port}/log" if options else "")
    with witness(tmp_path, log, *options) as listed:
        require_witness(settings, listed)
        with serve(data, port=port) as running:
            until(running.is_ready)
            assert publish(running, party(running, data, "witnessed"), "ONE")
            policy = Policy.parse(settings.policy_file.read_bytes())
            size = int(Api(running.url).log()["size"])
            assert held(listed, platform.origin) == size
            note = Api(running.url).fetch("/log/checkpoint")
            opened = open_note(note, witness_verifiers(policy))
            assert {line.name for line in opened.verified} == {
                one.key.name for one in policy.witnesses
            }
            assert running.stop(signal.SIGTERM) == 0, running.messages


@pytest.mark.sqlite(reason="copies the file; test_restore_drill restores PostgreSQL")
def test_a_sequencer_that_may_not_sign_stops_the_platform_with_its_reason(tmp_path: Path) -> None:
    """As after a restore of an old database: what was signed last is not in it."""
    data = tmp_path / "data"
    initialise(Settings(data=data))
    kept = data.parent / "old.sqlite"
    shutil.copy(data / "provenance.sqlite", kept)
    with serve(data) as running:
        until(running.is_ready)
        publish(running, party(running, data, "restored"), "ONE")
        assert running.stop(signal.SIGTERM) == 0
    for path in data.glob("provenance.sqlite*"):
        path.unlink()
    shutil.copy(kept, data / "provenance.sqlite")
    with serve(data) as running:
        assert running.process.wait(60) == 1
        assert "refusing to sign" in running.messages
