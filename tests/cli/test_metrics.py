"""`provenance serve` with metrics: one scrape speaks for all its processes, and only where told."""

from __future__ import annotations

import os
import signal
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from provenance.client.api import Api
from provenance.client.errors import ProblemError
from provenance.client.party_events import Registrar
from provenance.client.sealing import Signer, prepare, seal_events
from provenance.config import Settings
from provenance.crypto.signing import PrivateKey, load_key
from provenance.domain.party_events import operator_uri
from provenance.platform import initialise
from tests.support.processes import Serve, children, free_port, serve, until
from tests.support.served import now, observed

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="looks at processes through /proc"
)


class Scrape:
    """One answer of the listener."""

    def __init__(self, port: int) -> None:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            self.text = answer.read().decode()
        self._values = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(self.text)
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float | None:
        return self._values.get((f"provenance_{name}", frozenset(labels.items())))

    def events(self) -> float | None:
        return self.value("events_total", outcome="new")


def party(running: Serve, data: Path) -> Signer:
    api = Api(running.url)
    origin = str(api.log()["origin"])
    signer = Signer(origin, "https://brand.example", PrivateKey.generate())
    desk = Registrar(api, now(), os.urandom)
    desk.register(signer, {"en": "brand"})
    operator = Signer(origin, operator_uri(origin), load_key(data / "keys" / "operator.key"))
    desk.accredit(operator, signer.party, "brand")
    return signer


def upload(running: Serve, signer: Signer, serial: str, count: int) -> None:
    document = observed(*(f"{serial}{number}" for number in range(count)))
    batches = seal_events(
        prepare(document, random=os.urandom), signer, now=now(), random=os.urandom
    )
    for batch in batches:
        assert Api(running.url).post_batch(batch.lines, wait=True).published


def worker_pids(running: Serve) -> list[int]:
    return children(running.child("gunicorn"))


def test_a_scrape_is_the_sum_of_all_processes_and_outlives_a_worker(tmp_path: Path) -> None:
    data, port = tmp_path / "data", free_port()
    initialise(Settings(data=data))
    more = {"PROVENANCE_METRICS": f"127.0.0.1:{port}"}
    with serve(data, "--workers", "3", more=more) as running:
        until(running.is_ready)
        signer = party(running, data)
        before = Scrape(port).events()
        assert before == 2  # registration and accreditation
        for number in range(8):  # each over a new connection: any of the three may take it
            upload(running, signer, f"A{number}X", 5)
        assert Scrape(port).events() == before + 40
        (victim, *_) = worker_pids(running)
        os.kill(victim, signal.SIGKILL)
        until(lambda: len(worker_pids(running)) == 3 and victim not in worker_pids(running))
        for number in range(4):
            upload(running, signer, f"B{number}X", 5)
        with pytest.raises(ProblemError, match="line 1"):
            Api(running.url).post_batch(lambda: [b"{]"])
        found = Scrape(port)
        assert found.events() == before + 60
        assert found.value("http_requests_in_progress") == 0
        assert found.value("refusals_total", code="not-json") == 1
        # The sequencer's own process, and the database that all of them share.
        assert found.value("published_links_total") == 62
        assert found.value("publication_delay_seconds_count") == 14
        assert (found.value("sequencer_step_seconds_count", step="publish") or 0) > 1
        until(lambda: Scrape(port).value("queue_uploads") == 0)
        assert found.value("store_up") == 1
        (where,) = _directories(running)
        assert where.stat().st_mode & 0o777 == 0o700
        _refuses(running.url + "/metrics", 404)
        _refuses(f"http://127.0.0.1:{port}/", 404)
        assert running.stop(signal.SIGTERM) == 0
    assert not where.exists()


def _refuses(url: str, status: int) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(url, timeout=10)
    assert refused.value.code == status
    refused.value.close()


def _directories(running: Serve) -> set[Path]:
    environ = Path(f"/proc/{running.child('sequence')}/environ").read_bytes().split(b"\0")
    prefix = b"PROMETHEUS_MULTIPROC_DIR="
    return {Path(os.fsdecode(e.removeprefix(prefix))) for e in environ if e.startswith(prefix)}


def test_without_the_setting_nothing_listens_and_nothing_is_counted(tmp_path: Path) -> None:
    data = tmp_path / "data"
    initialise(Settings(data=data))
    with serve(data, more={"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "left-over")}) as running:
        until(running.is_ready)
        assert _directories(running) == set()
        listening = {
            fields[9]
            for fields in map(str.split, Path("/proc/net/tcp").read_text().splitlines()[1:])
            if fields[3] == "0A"
        }
        for pid in (running.process.pid, running.child("sequence")):
            assert not listening & set(_sockets(pid))


def _sockets(pid: int) -> Iterator[str]:
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            yield str(descriptor.readlink()).removeprefix("socket:[").removesuffix("]")


def test_a_taken_address_is_said_before_anything_starts(tmp_path: Path) -> None:
    data = tmp_path / "data"
    initialise(Settings(data=data))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with serve(data, more={"PROVENANCE_METRICS": f"127.0.0.1:{port}"}) as running:
            assert running.process.wait(60) == 1
            assert f"cannot listen for metrics on 127.0.0.1, port {port}" in running.messages
            assert "PROVENANCE_METRICS" in running.messages
            assert children(running.process.pid) == []
