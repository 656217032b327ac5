"""The witness over real HTTP: gunicorn as `provenance witness serve` starts it, asked by hand.

The protocol's own table is `provenance.client.witness_conformance`, which is run here against ours
and must find nothing; below it, what the table does not ask: odd requests, limits, overload.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from merkle.note import VerifierKey, open_note
from merkle.witness import AddCheckpoint, checkpoint_path
from provenance.client.witness_conformance import CASES, Conformance, ConformanceLog
from provenance.crypto.signing import PrivateKey, note_verifier
from provenance.domain.meaning import Meaning, parse_meaning
from provenance.web.witness import MAX_BODY_BYTES, SLOTS
from tests.support.tilelog import TileLog, numbered
from tests.support.witness_process import WitnessProcess, witness_process
from tests.support.witnesses import NAME

TABLE = ConformanceLog(PrivateKey.from_seed(b"\x21" * 32))


@pytest.fixture(scope="module")
def log() -> TileLog:
    log = TileLog()
    log.append(*numbered(0, 40))
    return log


@pytest.fixture(scope="module")
def witness(tmp_path_factory: pytest.TempPathFactory, log: TileLog) -> Iterator[WitnessProcess]:
    folder: Path = tmp_path_factory.mktemp("witness")
    options = ("--log", log.vkey, "--log", TABLE.vkey, "--url", "https://witness.example")
    with witness_process(folder, *options) as running:
        yield running


@pytest.fixture(scope="module")
def vkey(witness: WitnessProcess) -> VerifierKey:
    return VerifierKey.parse(witness.facts()["keys"][0])


def test_every_case_of_the_protocol_is_answered_as_specified(
    witness: WitnessProcess, vkey: VerifierKey
) -> None:
    """At first contact, and again: cases that only a new log can show are passed over then."""
    first = [case.name for case in CASES if case.first]
    for expected in ([], first):
        outcomes = Conformance(witness.url, TABLE, vkey).run()
        assert [outcome for outcome in outcomes if outcome.same is False] == []
        assert [outcome.name for outcome in outcomes if outcome.same is None] == expected
        assert len(outcomes) == len(CASES) == 39


def test_what_is_shown_is_what_was_cosigned(
    witness: WitnessProcess, vkey: VerifierKey, log: TileLog
) -> None:
    path = f"/{checkpoint_path(log.origin)}"
    assert witness.ask("GET", path).status == 404
    answer = witness.add(0, (), log.note(7))
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
    shown = witness.ask("GET", path)
    assert shown.data == log.note(7) + answer.data
    opened = open_note(shown.data, [note_verifier(vkey), note_verifier(log.signer.vkey)])
    assert len(opened.verified) == 2
    head = witness.ask("HEAD", path)
    assert (head.status, head.data) == (200, b"")
    assert head.headers["Content-Length"] == str(len(shown.data))


def test_it_says_who_it_is_and_what_it_means(
    witness: WitnessProcess, vkey: VerifierKey, log: TileLog
) -> None:
    facts = witness.facts()
    line = f"witness {NAME} {vkey.format()} https://witness.example"
    assert (facts["name"], facts["policy"]) == (NAME, [line])
    assert [entry["origin"] for entry in facts["logs"]] == sorted([TABLE.origin, log.origin])
    words = witness.ask("GET", "/").data.decode()
    assert line in words.splitlines()
    assert facts["meaning"]["text"] in words
    note = open_note(witness.ask("GET", "/meaning").data, [note_verifier(vkey)])
    assert parse_meaning(note.text) == Meaning(NAME, "plain", (vkey,))


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/add-checkpoint", 405),
        ("PUT", "/add-checkpoint", 405),
        ("POST", "/", 405),
        ("DELETE", "/meaning", 405),
        ("POST", "/add-checkpoint/", 404),
        ("POST", "//add-checkpoint", 404),
        ("POST", "/add-checkpoint?old=1", 404),
        ("GET", "/?x", 404),
        ("GET", "/robots.txt", 404),
        ("GET", "/" + "A" * 64 + "/checkpoint", 404),
        ("GET", "/" + "a" * 63 + "/checkpoint", 404),
        ("GET", "/" + "a" * 64 + "/checkpoint/", 404),
        ("GET", "/" + "a" * 64 + "/../meaning", 404),
        ("GET", "/" + "0" * 64, 404),
    ],
)
def test_other_addresses_and_methods_are_refused(
    witness: WitnessProcess, method: str, path: str, status: int
) -> None:
    answer = raw(witness, f"{method} {path} HTTP/1.1\r\nHost: w\r\nContent-Length: 0\r\n\r\n")
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    if status == 405:
        assert b"\r\nAllow: " in answer


def raw(witness: WitnessProcess, text: str | bytes, *, half_close: bool = True) -> bytes:
    """What comes back for these very bytes."""
    port = int(witness.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(text.encode() if isinstance(text, str) else text)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
        return answer


def post(head: str, body: bytes) -> bytes:
    return f"POST /add-checkpoint HTTP/1.1\r\nHost: w\r\n{head}\r\n\r\n".encode() + body


def test_a_body_that_is_too_long_is_not_taken_in(witness: WitnessProcess) -> None:
    answer = raw(witness, post(f"Content-Length: {MAX_BODY_BYTES + 1}", b""))
    assert answer.startswith(b"HTTP/1.1 413 ")
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    answer = raw(witness, post("Transfer-Encoding: chunked", chunk + b"1\r\nx\r\n0\r\n\r\n"))
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_body_may_come_in_chunks(witness: WitnessProcess, log: TileLog) -> None:
    body = AddCheckpoint(99, (), log.note(99 - 60)).encode()
    cut = len(body) // 2
    chunks = (
        b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in (body[:cut], body[cut:])) + b"0\r\n\r\n"
    )
    answer = raw(witness, post("Transfer-Encoding: chunked", chunks))
    assert b"above the checkpoint's size 39" in answer


def test_a_body_that_breaks_off_is_malformed(witness: WitnessProcess, log: TileLog) -> None:
    body = AddCheckpoint(0, (), log.note()).encode()
    answer = raw(witness, post(f"Content-Length: {len(body) + 5}", body))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"ended after" in answer


@pytest.mark.parametrize("chunks", [b"zz\r\nab\r\n", b"5\r\nabcdefgh\r\n0\r\n\r\n", b"5\r\nab"])
def test_broken_chunks_are_malformed(witness: WitnessProcess, chunks: bytes) -> None:
    answer = raw(witness, post("Transfer-Encoding: chunked", chunks))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert "Traceback" not in witness.messages


def test_a_coded_body_is_refused(witness: WitnessProcess) -> None:
    answer = raw(witness, post("Content-Encoding: gzip\r\nContent-Length: 3", b"abc"))
    assert answer.startswith(b"HTTP/1.1 415 ")


def test_connections_are_kept_alive(witness: WitnessProcess, log: TileLog) -> None:
    one = post("Content-Length: 5", b"old 0")
    answer = raw(witness, one + one + one.replace(b"Host", b"Connection: close\r\nHost"))
    assert answer.count(b"HTTP/1.1 400 ") == 3


def test_lines_about_requests_hold_nothing_of_their_payload(
    witness: WitnessProcess, log: TileLog
) -> None:
    secret = b"SECRET-PAYLOAD"
    witness.ask("POST", "/add-checkpoint", b"old " + secret + b"\n\n" + secret)
    witness.add(3, (), log.note(9))
    last = witness.lines[-1]
    assert (last["status"], last["old"], last["size"], last["origin"]) == (409, 3, 9, log.origin)
    assert last["ms"] >= 0
    assert "SECRET" not in witness.messages
    assert max(len(line) for line in witness.messages.splitlines()) < 700


#: The real command with less patience for bodies, so that the test takes two seconds and not ten.
IMPATIENT = """
from provenance.web import witness
witness.BODY_SECONDS = 2.0
from provenance.cli import main
main()
"""


def test_more_requests_than_can_be_judged_are_told_to_come_again(
    tmp_path: Path, log: TileLog
) -> None:
    body = AddCheckpoint(0, (), log.note()).encode()
    with (
        witness_process(tmp_path, "--log", log.vkey, script=IMPATIENT) as witness,
        ExitStack() as held,
    ):
        port = int(witness.url.rpartition(":")[2])
        began = time.monotonic()
        slow = [
            held.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
            for _ in range(SLOTS)
        ]
        for connection in slow:  # each holds a place for a body that never ends
            connection.sendall(post("Content-Length: 60000", body[:100]))
        time.sleep(0.5)
        answer = witness.add(0, (), log.note())
        assert (answer.status, answer.headers["Retry-After"]) == (429, "1")
        assert witness.ask("GET", "/meaning").status == 200, "readers always find a thread"
        for connection in slow:
            assert connection.recv(65536).startswith(b"HTTP/1.1 400 ")
        assert 1.9 < time.monotonic() - began < 15
        assert witness.add(0, (), log.note()).status == 200


def test_nothing_in_the_answers_can_be_run_or_cached(witness: WitnessProcess) -> None:
    for path in ("/", "/meaning", "/none"):
        answer = witness.ask("GET", path)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
    assert json.loads(json.dumps(witness.facts()))["submit"] == "/add-checkpoint"
