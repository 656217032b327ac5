"""provenance witness as processes: what survives a kill, and what the commands say.

The witness is started as somebody would start it, the logs are real, and the map-aware one reads a
whole platform.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import urllib3
from click.testing import CliRunner, Result
from werkzeug.serving import make_server

from merkle.note import VerifierKey, open_note, parse_note
from merkle.proofs import prove_consistency
from merkle.tiles import TileHashReader
from merkle.witness import parse_cosignatures, parse_size
from provenance.cli import main
from provenance.client.log_reader import LogReader
from provenance.client.sealing import prepare, seal_events
from provenance.client.witness_conformance import ConformanceLog
from provenance.crypto.signing import Cosigner, load_key, note_verifier
from provenance.domain.delta import delta_path
from provenance.storage.witness_state import WitnessState
from provenance.web.witness import WitnessApp
from tests.support.maplog import MapLog, wrong_root
from tests.support.processes import until
from tests.support.served import Served, now, observed, serving
from tests.support.tilelog import TileLog, numbered, serving_files
from tests.support.witness_process import WitnessProcess, witness_process
from tests.support.witnesses import NAME, open_desk


def run(*words: str | Path, status: int = 0) -> Result:
    result = CliRunner().invoke(main, ["witness", *map(str, words)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == status, result.output
    return result


def key_of(folder: Path) -> VerifierKey:
    return VerifierKey.parse(run("key", "--state", folder / "witness.sqlite").stdout.split()[2])


@pytest.fixture
def log() -> TileLog:
    log = TileLog()
    log.append(*numbered(0, 30))
    return log


# --- what survives


#: The real command, but killed the moment after the first commit that keeps a checkpoint.
KILLED_AFTER_COMMIT = """
import os, signal
from contextlib import contextmanager
from provenance.domain.delta import delta_path
from provenance.storage.witness_state import WitnessState
whole = WitnessState.change
@contextmanager
def killed(self):
    with whole(self) as change:
        yield change
    os.kill(os.getppid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
WitnessState.change = killed
from provenance.cli import main
main()
"""


def test_a_kill_between_commit_and_answer_forgets_nothing(tmp_path: Path, log: TileLog) -> None:
    folder = tmp_path / "w"
    with witness_process(folder, "--log", log.vkey, script=KILLED_AFTER_COMMIT) as witness:
        with pytest.raises(urllib3.exceptions.HTTPError):
            witness.add(0, (), log.note(10))
        witness.process.wait(30)
    with witness_process(folder) as witness:
        answer = witness.add(0, (), log.note(10))
        assert (answer.status, parse_size(answer.data)) == (409, 10)
        fork = TileLog()
        fork.append(*log.entries[:9], b"another story")
        assert witness.add(10, (), fork.note()).status == 422
        assert witness.add(10, (), log.note(10)).status == 200


def test_what_was_answered_survives_every_kill(tmp_path: Path) -> None:
    log = TileLog()
    log.append(*numbered(0, 2_000))
    folder = tmp_path / "w"
    answered = 0
    for round_number in range(5):
        with witness_process(folder, "--log", log.vkey) as witness:
            held = parse_size(witness.add(1_999, (), log.note()).data)
            assert held >= answered, f"round {round_number}: an answered checkpoint was forgotten"
            killer = threading.Timer(0.15 * (round_number + 1), witness.kill)
            killer.start()
            size = held
            try:
                while size < 1_999:
                    reply = witness.add(size, log.proof(size, size + 1), log.note(size + 1))
                    assert reply.status == 200
                    size = answered = size + 1
            except urllib3.exceptions.HTTPError:
                pass
            killer.join()
    assert answered > 0
    state = WitnessState(folder / "witness.sqlite")
    known = state.cosigned(log.origin)
    assert known is not None
    assert known.checkpoint == log.checkpoint(known.checkpoint.size)
    assert known.checkpoint.size in {answered, answered + 1}


def test_two_processes_on_one_state_never_cosign_two_roots(tmp_path: Path, log: TileLog) -> None:
    folder = tmp_path / "w"
    fork = TileLog()
    fork.append(*log.entries[:29], b"another story")
    with (
        witness_process(folder, "--log", log.vkey) as first,
        witness_process(folder) as second,
    ):
        assert first.facts()["keys"] == second.facts()["keys"]
        assert first.add(0, (), log.note(5)).status == 200
        start, statuses = threading.Barrier(8), []

        def race(number: int) -> None:
            witness, told = (first, second)[number % 2], (log, fork)[number // 2 % 2]
            start.wait()
            statuses.append((number // 2 % 2, witness.add(5, told.proof(5), told.note()).status))

        threads = [threading.Thread(target=race, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(statuses) == 8
    assert [status for _, status in statuses].count(200) == 1
    assert {status for _, status in statuses} == {200, 409}


def test_it_stops_cleanly_and_leaves_one_file(tmp_path: Path, log: TileLog) -> None:
    folder = tmp_path / "w"
    with witness_process(folder, "--log", log.vkey) as witness:
        assert witness.follow(log, 0).status == 200
        witness.process.terminate()
        assert witness.process.wait(30) == 0
    assert {p.name for p in folder.iterdir() if p.suffix != ".log"} == {
        "witness.sqlite",
        "witness.key",
    }


# --- map-aware


def test_a_whole_platform_is_followed_map_and_all(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as platform:
        url = f"{platform.url}/log"
        reader = LogReader(url)
        log = f"{platform.platform.log_vkey}={url}"
        with witness_process(tmp_path / "w", "--check-map", "--log", log) as witness:
            vkey = VerifierKey.parse(witness.facts()["keys"][0])
            assert witness.facts()["meaning"]["kind"] == "map"
            sizes, old = [], 0
            for serial in ("ONE", "TWO"):
                publish(platform, serial)
                note = reader.checkpoint()
                size = int(note.split(b"\n")[1])
                proof = proof_over(platform, old, size)
                answer = witness.add(old, proof, note)
                assert answer.status == 200, answer.data
                open_note(note + answer.data, [note_verifier(vkey)])
                sizes.append(size)
                old = size
            assert 0 < sizes[0] < sizes[1]
        reader.close()


def publish(platform: Served, serial: str) -> None:
    """One party, one event, published."""
    signer = platform.party(f"maker-{serial.lower()}")
    (batch,) = seal_events(
        prepare(observed(serial), random=os.urandom), signer, now=now(), random=os.urandom
    )
    assert platform.api().post_batch(batch.lines, wait=True).published


def proof_over(platform: Served, old: int, size: int) -> tuple[bytes, ...]:
    def fetch(path: str) -> bytes:
        return platform.api().fetch(f"/log/{path}")

    return tuple(prove_consistency(old, size, TileHashReader(fetch, size))) if old else ()


def test_a_lying_log_is_refused_with_the_reason_and_a_silent_one_is_an_outage(
    tmp_path: Path,
) -> None:
    log = MapLog()
    log.grow(3)
    with serving_files(log.files) as files:
        options = ("--check-map", "--log", f"{log.vkey}={files.url}")
        with witness_process(tmp_path / "w", *options) as witness:
            assert witness.follow(log, 0).status == 200
            honest = log.size
            log.publish(log.link("a"), change_head=wrong_root)
            refused = witness.follow(log, honest)
            assert (refused.status, b"expected root" in refused.data) == (422, True)
            forgiven = witness.add(honest, (), log.note(honest))
            assert forgiven.status == 200, "what was right stays right"
    other = MapLog("log.example/silent")
    options = ("--check-map", "--log", f"{other.vkey}={files.url}")
    with witness_process(tmp_path / "v", *options) as witness:
        silent = witness.follow(other, 0)
        assert (silent.status, "Retry-After" in silent.headers) == (503, True)


def test_a_long_first_check_is_told_to_come_again_until_it_has_caught_up(tmp_path: Path) -> None:
    log = MapLog()
    log.grow(4)
    let_through = threading.Event()

    def slow(_handler: Any) -> bool:
        assert let_through.wait(60)
        return False

    with serving_files(log.files) as files:
        files.trouble[delta_path(log.head.index)] = slow
        options = ("--check-map", "--patience", "0.2", "--log", f"{log.vkey}={files.url}")
        with witness_process(tmp_path / "w", *options) as witness:
            early = witness.follow(log, 0)
            assert (early.status, early.headers["Retry-After"]) == (503, "5")
            assert b"ask again" in early.data
            let_through.set()
            until(lambda: witness.follow(log, 0).status == 200)
            assert len(set(files.asked)) == len(files.asked), "nothing was read twice"


# --- the commands


def test_the_meaning_of_a_key_is_read_and_judged(tmp_path: Path, log: TileLog) -> None:
    folder = tmp_path / "w"
    with witness_process(folder, "--check-map") as witness:
        vkey = witness.facts()["keys"][0]
        said = run("meaning", witness.url, "--vkey", vkey).stdout
        assert said.startswith(f"{NAME}: map\n")
        assert json.loads(run("meaning", witness.url, "--vkey", vkey, "--json").stdout) == {
            "name": NAME,
            "meaning": "map",
            "text": witness.facts()["meaning"]["text"],
        }
        run("key", "--state", tmp_path / "other.sqlite", "--name", NAME)
        stranger = run("key", "--state", tmp_path / "other.sqlite").stdout.split()[2]
        refused = run("meaning", witness.url, "--vkey", stranger, status=1)
        assert "not what witness.example/w1 says" in refused.stderr
    with serving_files({}) as nobody:
        refused = run("meaning", nobody.url, "--vkey", vkey, status=1)
        assert "no meaning is published" in refused.stderr


def test_key_makes_state_and_key_once_and_shows_the_policy_line(tmp_path: Path) -> None:
    state = tmp_path / "w.sqlite"
    made = run("key", "--state", state, "--name", NAME).stdout
    words = made.split()
    assert words[:2] == ["witness", NAME]
    assert run("key", "--state", state).stdout == made
    shown = json.loads(run("key", "--state", state, "--json").stdout)
    assert (shown["vkey"], shown["meaning"]) == (words[2], "plain")
    assert load_key(tmp_path / "w.key").public.raw == VerifierKey.parse(words[2]).public_key
    refused = run("key", "--state", state, "--check-map", status=1)
    assert "one key keeps one meaning" in refused.stderr


def test_serve_refuses_what_does_not_belong_together(tmp_path: Path, log: TileLog) -> None:
    state = tmp_path / "w.sqlite"
    run("key", "--state", state, "--name", NAME, "--check-map")
    for words, reason in [
        (("--state", state), "one key keeps one meaning"),
        (("--state", state, "--check-map", "--name", "other"), f"the witness {NAME}"),
        (("--state", tmp_path / "new.sqlite"), "give --name"),
        (("--state", state, "--check-map", "--log", log.vkey), "say where"),
        (("--state", state, "--check-map", "--log", f"{log.vkey}=ftp://x/log"), "expected http"),
        (("--state", state, "--check-map", "--log", "nonsense"), "expected <name>"),
        (("--state", tmp_path / "n.sqlite", "--key", tmp_path / "w.key", "--name", NAME), "memory"),
    ]:
        assert reason in run("serve", *words, status=1).stderr
    assert "HOST:PORT" in run("serve", "--state", state, "--listen", "8100", status=2).stderr


def test_logs_are_added_while_it_runs(tmp_path: Path, log: TileLog) -> None:
    folder = tmp_path / "w"
    with witness_process(folder) as witness:
        assert witness.follow(log, 0).status == 404
        state = ("--state", folder / "witness.sqlite")
        said = run("add-log", log.vkey, *state).stdout
        assert said == f"cosigns {log.origin} (1 key)\n"
        assert witness.follow(log, 0).status == 200
        there = f"{log.vkey}=https://l.example/log"
        facts = json.loads(run("add-log", there, *state, "--json").stdout)
        assert facts == {"origin": log.origin, "keys": [log.vkey], "url": "https://l.example/log"}
    assert "no state" in run("add-log", log.vkey, "--state", tmp_path / "none", status=1).stderr


def test_conformance_from_its_first_call_to_its_verdict(tmp_path: Path) -> None:
    folder, key = tmp_path / "w", tmp_path / "conformance.key"
    with witness_process(folder) as witness:
        words = ("conformance", witness.url, "--log-key", key)
        vkey = run(*words, status=2).stdout.strip()
        assert vkey == ConformanceLog(load_key(key)).vkey
        assert "does not know the log" in run(*words, status=2).stderr
        run("add-log", vkey, "--state", folder / "witness.sqlite")
        table = run(*words, "--vkey", key_of(folder).format()).stdout.splitlines()
        assert [cell.strip() for cell in table[0].split("|")] == [
            "case",
            "expected",
            "found",
            "same?",
        ]
        assert table[-1] == "0 of 39 answers differ"
        again = json.loads(run(*words, "--json").stdout)
        assert again["differ"] == 0
        assert [c["same"] for c in again["cases"]].count(None) == 5
        stranger = ConformanceLog(load_key(folder / "witness.key")).vkey
        wrong = run(*words, "--vkey", stranger, status=1).stdout
        assert "NO: " in wrong
    assert "Error: " in run(*words, status=2).stderr, "nobody answers any more"


# --- a witness that errs is found out


Wsgi = Callable[[dict[str, Any], Any], Any]


@contextmanager
def erring(folder: Path, err: Callable[[Wsgi], Wsgi]) -> Iterator[tuple[str, Path]]:
    """Our witness with something wrong in front of it: its address and the test log's key file."""
    key = folder / "conformance.key"
    run("conformance", "http://127.0.0.1:9", "--log-key", key, status=2)
    desk = open_desk(folder)
    desk.state.add_log(VerifierKey.parse(ConformanceLog(load_key(key)).vkey), None)
    server = make_server("127.0.0.1", 0, err(WitnessApp(desk.witness)), threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}", key
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def changed(change: Callable[[str, list[Any], bytes], tuple[str, list[Any], bytes]]) -> Any:
    """A layer that changes answers."""

    def layer(app: Wsgi) -> Wsgi:
        def call(environ: dict[str, Any], start: Any) -> Any:
            kept: list[Any] = []
            body = b"".join(app(environ, lambda *args: kept.extend(args)))
            status, headers, body = change(kept[0], kept[1], body)
            headers = [(n, v) for n, v in headers if n != "Content-Length"]
            start(status, [*headers, ("Content-Length", str(len(body)))])
            return [body]

        return call

    return layer


def without_size(status: str, headers: list[Any], body: bytes) -> Any:
    return (status, headers, b"") if status.startswith("409") else (status, headers, body)


def without_type(status: str, headers: list[Any], body: bytes) -> Any:
    if status.startswith("409"):
        headers = [(n, v) for n, v in headers if n != "Content-Type"]
    return status, headers, body


def fork_is_conflict(status: str, headers: list[Any], body: bytes) -> Any:
    return ("409 Conflict", headers, b"") if b"forked" in body else (status, headers, body)


def fails_on_bad_signatures(status: str, headers: list[Any], body: bytes) -> Any:
    wrong = status.startswith("403") and b"does not verify" in body
    return ("500 Oh", headers, b"") if wrong else (status, headers, body)


def says_nothing(status: str, headers: list[Any], body: bytes) -> Any:
    return (status, headers, b"") if status.startswith("200") else (status, headers, body)


def signs_something_else(status: str, headers: list[Any], body: bytes) -> Any:
    if not status.startswith("200") or body.startswith(b"{") or b"\n\n" in body:
        return status, headers, body
    (line,) = parse_cosignatures(body)
    bad = line.signature[:-1] + bytes([line.signature[-1] ^ 1])
    return status, headers, type(line)(line.name, line.key_id, bad).format().encode()


@pytest.mark.parametrize(
    ("change", "cases"),
    [
        (without_size, {"old is smaller than last cosigned", "old 0 for a known log"}),
        (without_type, {"old is smaller than last cosigned", "old 0 for a known log"}),
        (fork_is_conflict, {"same size, other root (fork)"}),
        (fails_on_bad_signatures, {"bad signature of the log's key"}),
        (says_nothing, {"new log, old 0", "growth with a good proof"}),
        (signs_something_else, {"new log, old 0", "same size again (refresh)"}),
    ],
)
def test_each_answer_that_differs_is_named(tmp_path: Path, change: Any, cases: set[str]) -> None:
    with erring(tmp_path, changed(change)) as (url, key):
        vkey = key_of(tmp_path).format()
        words = ("conformance", url, "--log-key", key, "--vkey", vkey, "--json")
        found = json.loads(run(*words, status=1).stdout)
    differ = {case["name"] for case in found["cases"] if case["same"] is False}
    assert cases <= differ
    assert found["differ"] == len(differ)
    assert "unknown origin" not in differ


def test_a_witness_that_forgets_to_check_is_found_out(tmp_path: Path) -> None:
    """One that cosigns whatever the log has signed: the table's 422s and 409s come back as 200."""

    def careless(app: Wsgi) -> Wsgi:
        key = load_key(tmp_path / "witness.key")

        def call(environ: dict[str, Any], start: Any) -> Any:
            if environ["REQUEST_METHOD"] != "POST":
                return app(environ, start)
            body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
            note = body.partition(b"\n\n")[2]
            line = Cosigner(NAME, key).cosign(parse_note(note).text.encode(), 1)
            start("200 OK", [("Content-Type", "text/plain")])
            return [line.format().encode()]

        return call

    with erring(tmp_path, lenient(careless)) as (url, key):
        found = json.loads(run("conformance", url, "--log-key", key, "--json", status=1).stdout)
    differ = {case["name"] for case in found["cases"] if case["same"] is False}
    assert {
        "first contact with old > 0",
        "growth without proof",
        "same size, other root (fork)",
        "unknown origin",
        "no signature by the log's key",
        "two sizes at once",
    } <= differ


def lenient(inner: Callable[[Wsgi], Wsgi]) -> Callable[[Wsgi], Wsgi]:
    """What cannot even be read is answered 400, as any server would."""

    def layer(app: Wsgi) -> Wsgi:
        judged = inner(app)

        def call(environ: dict[str, Any], start: Any) -> Any:
            try:
                return judged(environ, start)
            except Exception:  # whatever a careless witness falls over
                start("400 Bad Request", [])
                return [b""]

        return call

    return layer


def test_the_process_is_really_the_command(tmp_path: Path, log: TileLog) -> None:
    """Two starts of one state are one witness, and its first words name key and meaning."""
    folder = tmp_path / "w"
    with witness_process(folder, "--log", log.vkey) as witness:
        first: WitnessProcess = witness
        assert key_of(folder).format() in first.messages
        assert "largest tree of its origin" in first.messages
        assert f"cosigns {log.origin} (1 key)" in first.messages
