"""The HTTP client: what it tries again, what is final, and how a refusal reads."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from provenance.client.api import Api
from provenance.client.errors import ProblemError, UnreachableError

Answer = tuple[int, dict[str, str], bytes]


@contextmanager
def server(answers: list[Answer]) -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """A loopback server that gives `answers` in order and keeps what it was sent."""
    seen: list[tuple[str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            self._answer(self._body())

        def _body(self) -> bytes:
            if "Content-Length" in self.headers:
                return self.rfile.read(int(self.headers["Content-Length"]))
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        def _answer(self, body: bytes) -> None:
            seen.append((self.path, body))
            status, headers, content = answers.pop(0)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: Any) -> None:
            pass

    host = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=host.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{host.server_address[1]}", seen
    finally:
        host.shutdown()
        thread.join()
        host.server_close()


def pauses() -> tuple[list[float], Any]:
    taken: list[float] = []
    return taken, taken.append


def test_a_batch_is_sent_whole_again_after_503_and_429() -> None:
    taken, sleep = pauses()
    answers: list[Answer] = [
        (503, {}, b"{}"),
        (429, {"Retry-After": "7"}, b"{}"),
        (201, {}, b'{"type":"prov:CaptureReceipt"}'),
    ]
    with server(answers) as (url, seen):
        receipt = Api(url, sleep=sleep).post_batch(lambda: [b"one", b"two"])
    assert receipt.receipt == {"type": "prov:CaptureReceipt"}
    assert seen == [("/api/v1/batches", b"one\ntwo\n")] * 3
    assert taken == [0.25, 7.0]


def test_waiting_for_publication_is_asked_for_in_the_query() -> None:
    with server([(201, {}, b"{}")]) as (url, seen):
        Api(url).post_event(b"{}", wait=True)
    assert seen == [("/api/v1/events?wait=published", b"{}")]


def test_a_refusal_is_final_and_names_place_expected_found_and_remedy() -> None:
    problem = {
        "type": "/problems/event-invalid",
        "detail": "the event breaks the event model",
        "line": 3,
        "violations": [{"path": "$.action", "expected": "ADD", "found": "GROW"}],
        "remedy": "mend it",
    }
    answers: list[Answer] = [(422, {}, json.dumps(problem).encode())]
    with server(answers) as (url, seen), pytest.raises(ProblemError) as caught:
        Api(url).post_batch(lambda: [b"x"])
    assert len(seen) == 1
    assert caught.value.code == "event-invalid"
    words = str(caught.value)
    assert "line 3" in words
    assert "$.action: expected ADD, found GROW" in words
    assert "mend it" in words


def test_a_refusal_without_a_problem_document_still_shows_its_words() -> None:
    with server([(404, {}, b"nothing here"), (400, {}, b"[1]")]) as (url, _):
        with pytest.raises(ProblemError, match="nothing here"):
            Api(url).fetch("/x")
        with pytest.raises(ProblemError, match="1"):
            Api(url).fetch("/x")


def test_a_platform_that_cannot_be_reached_is_tried_five_times() -> None:
    taken, sleep = pauses()
    with pytest.raises(UnreachableError, match="tried 5 times"):
        Api("http://127.0.0.1:9", sleep=sleep).log()
    assert len(taken) == 4


def test_an_answer_that_is_no_object_is_not_taken_for_one() -> None:
    with server([(200, {}, b"[]")]) as (url, _), pytest.raises(UnreachableError, match="object"):
        Api(url).log()


def test_identifiers_are_escaped_whole_in_paths() -> None:
    with server([(200, {}, b"{}"), (200, {}, b"bundle"), (200, {}, b"")]) as (url, seen):
        api = Api(url)
        api.party("https://id.gs1.org/417/9521234000020")
        assert api.passport("https://id.gs1.org/01/x") == b"bundle"
        api.post_disclosures(b"\xab" * 32, [{"leaf": 0}])
    paths = [path for path, _ in seen]
    assert paths[0] == "/api/v1/parties/https%3A%2F%2Fid.gs1.org%2F417%2F9521234000020"
    assert paths[1] == "/api/v1/subjects/https%3A%2F%2Fid.gs1.org%2F01%2Fx/passport"
    assert paths[2] == f"/api/v1/batches/{'ab' * 32}/disclosures"
