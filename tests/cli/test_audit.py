"""provenance audit: what it says, how it ends, and that it goes on after kill -9."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import sqlite3
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

from click.testing import CliRunner

from merkle.note import parse_note
from provenance import rollover
from provenance.cli import main
from provenance.cli.audit import in_words, printable
from provenance.client.log_reader import LogReader
from provenance.services.auditing import AuditReport
from provenance.storage.tiles import DirectoryTileStore
from tests.cli.conftest import Terminal
from tests.support.builders import Actor, item_event
from tests.support.forged_log import Altered, ForgedLog, flipped
from tests.support.processes import serve, until
from tests.support.served import Served, serving


@contextmanager
def answering(source: Any, posted: list[bytes]) -> Iterator[str]:
    """A source behind HTTP; bodies of POST requests go to `posted`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            try:
                self._answer(200, source.read(self.path.removeprefix("/"), 2**27))
            except Exception:
                self._answer(404, b"")

        def do_POST(self) -> None:
            posted.append(self.rfile.read(int(self.headers["Content-Length"])))
            self._answer(200, b'{"known":"consistent"}')

        def _answer(self, status: int, data: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: the tests speak for themselves."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_an_honest_log_in_words_and_as_json(terminal: Terminal) -> None:
    state = terminal.folder / "audit"
    url = terminal.served.url
    terminal.party("audited")
    first = terminal.run("audit", url, "--state", state)
    assert "First contact: the policy that" in first.stderr
    for line in (state / "policy.txt").read_text().splitlines():
        assert line[:300] in first.stderr  # a post-quantum key is longer than a terminal likes
    assert first.stdout.endswith("no difference\n")
    again = terminal.json("audit", url, "--state", state)
    assert again["good"]
    assert again["differences"] == again["forks"] == []
    assert again["size"] == again["sealed"] == again["published"] > 0
    assert again["origin"] == terminal.served.origin
    assert again["asOf"].endswith("Z")
    assert again["checked"]["map heads"] == again["checked"]["map deltas"]
    quiet = terminal.run("audit", url, "--state", state)
    assert quiet.stderr == ""  # the policy is pinned; and no bar where nobody watches


def test_the_policy_of_ones_own(terminal: Terminal) -> None:
    policy = terminal.served.settings.policy_file
    state = terminal.folder / "own"
    result = terminal.run("audit", terminal.served.url, "--state", state, "--policy", policy)
    assert "First contact" not in result.stderr
    assert (state / "policy.txt").read_bytes() == policy.read_bytes()


def test_a_difference_is_named_and_ends_with_1(terminal: Terminal) -> None:
    source = Altered(LogReader(terminal.served.url), {"log/map/delta/000": flipped(5)})
    with answering(source, []) as url:
        found = terminal.run("audit", url, "--state", terminal.folder / "bad", status=1)
        assert "DIFFERENCE (served): map delta of map/delta/000\n  expected " in found.stdout
        assert "no difference" not in found.stdout
        document = terminal.json("audit", url, "--state", terminal.folder / "bad", status=1)
    (difference,) = document["differences"]
    assert difference["where"] == "map/delta/000"
    assert set(difference) == {"what", "where", "expected", "found", "kept"}
    assert not difference["kept"]


def test_what_others_say_cannot_steer_the_terminal() -> None:
    assert printable("a\x1b[2Jb\nc\u202ed") == "a\\x1b[2Jb\\nc\\u202ed"
    assert printable("漆 é") == "漆 é"
    assert len(printable("x" * 10_000)) == 1_001


def test_many_differences_are_counted_and_not_all_shown() -> None:
    many = tuple((f"what {n}", "where", "expected", "found\x07") for n in range(60))
    report = AuditReport(*("http://log.example", None, 0, 0, None, None, {}, 0, many, (), (), None))
    words = in_words(report)
    assert words.count("DIFFERENCE (signed)") == 50
    assert "and 10 more (signed); --json has all" in words
    assert "\x07" not in words
    assert len(report.to_json()["differences"]) == 60
    assert report.exit_status == 1


def test_nobody_there_ends_with_2(terminal: Terminal) -> None:
    away = "http://127.0.0.1:9"
    nothing = terminal.run("audit", away, "--state", terminal.folder / "away", status=2)
    assert "Error: http://127.0.0.1:9/api/v1/policy: " in nothing.stderr
    state = terminal.folder / "gone"
    terminal.run("audit", terminal.served.url, "--state", state)
    later = terminal.run("audit", away, "--state", state, status=2)
    assert "COULD NOT LOOK: http://127.0.0.1:9/log/checkpoint: " in later.stdout
    assert terminal.run("audit", "ftp://x", "--state", state, status=2).stderr.startswith("Error: ")


def test_a_fork_is_kept_and_both_states_are_reported(terminal: Terminal) -> None:
    served = terminal.served
    state = terminal.folder / "forked"
    terminal.run("audit", served.url, "--state", state)
    held = (state / "log/checkpoint").read_bytes()
    other = ForgedLog(served)
    other.close()
    other.add(b"another history")
    while len(other.entries) < 2_000:
        other.close()
    posted: list[bytes] = []
    with answering(other, posted) as url:
        words = ("audit", url, "--state", state, "--report")
        found = terminal.run(*words, status=1)
    assert "FORK: evidence in " in found.stdout
    (path,) = (state / "forks").iterdir()
    evidence = json.loads(path.read_bytes())
    assert evidence["first"].encode() == held
    assert [body.decode() for body in posted] == [evidence["first"], evidence["second"]]
    assert found.stderr.count("reported ") == 2


def test_it_follows_until_it_is_interrupted(terminal: Terminal) -> None:
    state = terminal.folder / "followed"
    command = [sys.executable, "-m", "provenance.cli", "audit", terminal.served.url]
    command += ["--state", str(state), "--follow", "1", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        terminal.party("followed")
        end = time.monotonic() + 60
        while True:
            next_one = json.loads(process.stdout.readline())
            if next_one["size"] > first["size"]:
                break
            assert time.monotonic() < end
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, said
    assert "Interrupted; the next run goes on from here." in said


def test_the_logs_key_passed_on_is_followed_and_pinned(tmp_path: Path) -> None:
    state, data = tmp_path / "state", tmp_path / "data"

    def audit(url: str, status: int, *more: str | Path) -> dict[str, Any]:
        words = ["audit", url, "--state", state, "--json", *more]
        result = CliRunner().invoke(main, [*map(str, words)])
        assert result.exit_code == status, result.output
        return dict(json.loads(result.stdout))

    with serving(data) as served:
        # Without the post-quantum key, which stays the same and would vouch for the new one alone.
        lines = served.settings.policy_file.read_text().splitlines(keepends=True)
        pin = tmp_path / "pin.txt"
        pin.write_text("".join(one for one in lines if len(one) < 1_000))
        assert audit(served.url, 0, "--policy", pin)["succeeded"] == []
        origin, settings = served.origin, served.settings
        old = (state / "policy.txt").read_bytes()
    done = rollover.succeed(settings)
    with serving(data) as served:
        served.party("between")
        until(lambda: len(parse_note(served.platform.prover.published()[1]).signatures) == 4)
        assert audit(served.url, 0)["succeeded"] == []  # the pinned key signs as well
    rollover.retire(settings)
    with serving(data) as served:
        served.party("after")
        until(lambda: len(parse_note(served.platform.prover.published()[1]).signatures) == 3)
        lost = Altered(
            LogReader(served.url),
            {f"api/v1/subjects/https%3A%2F%2F{quote(origin, safe='')}/passport": without_notes},
        )
        with answering(lost, []) as url:
            (found,) = audit(url, 1)["differences"]
        assert found["found"].startswith("checkpoint-signature")
        assert (state / "policy.txt").read_bytes() == old
        report = audit(served.url, 0)
        assert report["succeeded"] == [done.new.format()]
        assert report["size"] == report["published"]
        assert done.new.format() in (state / "policy.txt").read_text()
        again = audit(served.url, 0)
        assert again["succeeded"] == []
        assert again["size"] == again["sealed"]


def without_notes(data: bytes) -> bytes:
    """A passport that does not carry how the log's key was passed on."""
    bundle = json.loads(data)
    del bundle["succession"]
    return json.dumps(bundle).encode()


def test_on_a_terminal_there_are_bars(tmp_path: Path) -> None:
    with serving(tmp_path / "platform") as served:
        terminal, inside = pty.openpty()
        fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
        command = [sys.executable, "-m", "provenance.cli", "audit", served.url]
        command += ["--state", str(tmp_path / "state")]
        process = subprocess.Popen(command, stdout=inside, stderr=inside)
        os.close(inside)
        shown = b""
        with suppress(OSError):  # which is how a terminal says that nobody writes to it any more
            while data := os.read(terminal, 65_536):
                shown += data
        os.close(terminal)
        assert process.wait(60) == 0, shown
    for what in (b"entries: 100%", b"seals: 100%"):
        assert what in shown


def fill(served: Served) -> None:
    """Enough that a run takes a while."""
    signer = served.party("many")
    actor = Actor(signer.party, signer.key, served.origin)
    for start in range(0, 6_000, 300):
        events = [item_event(n) for n in range(start, start + 300)]
        served.platform.capture.submit_batch(actor.sealed(events))
    api = served.api()
    while api.log()["size"] < 6_000:
        time.sleep(0.05)


def test_killed_again_and_again_it_ends_where_it_would_have(tmp_path: Path) -> None:
    """kill -9 at moments that differ; at the end the same rows and files as without."""
    with serving(tmp_path / "platform") as served:
        fill(served)

        def start(state: Path) -> subprocess.Popen[bytes]:
            command = [sys.executable, "-m", "provenance.cli", "audit", served.url]
            return subprocess.Popen(
                [*command, "--state", str(state)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )

        whole = start(tmp_path / "whole")
        assert whole.wait(120) == 0, whole.communicate()
        whole.communicate()
        killed, wait = 0, 0.9
        while True:
            process = start(tmp_path / "killed")
            try:
                process.wait(wait)
            except subprocess.TimeoutExpired:
                os.kill(process.pid, signal.SIGKILL)
            output = process.communicate()
            if process.returncode == 0:
                break
            assert process.returncode == -signal.SIGKILL, output
            killed += 1
            wait *= 1.25  # a machine that is busy needs longer to get anywhere
        assert killed > 0
    assert rows(tmp_path / "killed") == rows(tmp_path / "whole")
    assert files(tmp_path / "killed") == files(tmp_path / "whole")


def rows(state: Path) -> list[Any]:
    connection = sqlite3.connect(state / "audit.sqlite")
    try:
        return [
            connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()  # noqa: S608
            for table in ("subjects", "pages", "differences")
        ] + connection.execute("SELECT size, head, ignored, sealed FROM place").fetchall()
    finally:
        connection.close()


def files(state: Path) -> dict[str, bytes]:
    store = DirectoryTileStore(state / "log")
    return {path: store.read(path) for path in store.paths()}


def test_against_the_platform_as_an_operator_starts_it(tmp_path: Path) -> None:
    with serve(tmp_path / "data") as running:
        end = time.monotonic() + 60
        while not running.is_ready():
            assert time.monotonic() < end
            time.sleep(0.1)
        command = [sys.executable, "-m", "provenance.cli", "audit", running.url, "--json"]
        done = subprocess.run(
            [*command, "--state", str(tmp_path / "state"), "--mirror", running.url],
            capture_output=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["good"]
    assert document["checked"]["seals"] == 1  # the operator's own registration
