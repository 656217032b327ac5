"""Every line that a running platform writes, with marked payload thrown at it from all sides.

Marks stand in events, subjects, party names, headers, paths, queries, refused documents, malformed
HTTP and in the texts of exceptions inside (the test breaks tables under the running platform, so
that the database's errors quote rows). No line of any process may hold one, in any coding.
"""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import socket
import sys
import urllib.parse
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import pytest

from provenance.client.api import Api
from provenance.client.errors import ClientError
from provenance.client.party_events import Registrar
from provenance.client.sealing import Signer, prepare, seal_events
from provenance.config import Settings
from provenance.crypto.signing import PrivateKey, load_key
from provenance.domain.party_events import operator_uri
from provenance.platform import initialise
from provenance.storage.session import Database
from tests.support.otlp import collecting
from tests.support.processes import Serve, free_port, serve, until
from tests.support.served import now, observed

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="looks at processes through /proc"
)

MARK = "QZMARKQZ"
CLIENT = "127.0.0.77"
PATHS = (
    f"/01/09506000134352/21/{MARK}",
    f"/01/{MARK}/21/1",
    f"/log/tile/0/{MARK}",
    f"/api/v1/subjects/{MARK}",
    f"/{MARK}?{MARK}={MARK}",
    f"/api/v1/batches/{MARK}?wait={MARK}",
    f"/static/{MARK}.css",
    f"/livez?{MARK}",
    f"/api/v1/jobs/{MARK}",
    f"/api/v1/seals?from={MARK}",
)
BODIES = (
    f'{{"{MARK}":1,"{MARK}":2}}'.encode(),
    f'{{"type":"{MARK}"}}'.encode(),
    f"{MARK}".encode(),
    b"\xff" + MARK.encode(),
)
RAW = (
    f"{MARK} / HTTP/1.1\r\nHost: {MARK}\r\n\r\n",
    f"GET /{MARK} {MARK}/9.9\r\n\r\n",
    f"GET / HTTP/1.1\r\nHost: x\r\n{MARK} {MARK}: {MARK}\r\n\r\n",
    f"GET / HTTP/1.1\r\nHost: x\r\nX-Long: {MARK * 4_000}\r\n\r\n",
    f"GET /{MARK * 4_000} HTTP/1.1\r\nHost: x\r\n\r\n",
    f"POST /api/v1/batches HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\n"
    f"Transfer-Encoding: chunked\r\n\r\n{MARK}\r\n",
    f"POST /api/v1/batches HTTP/1.1\r\nHost: x\r\nContent-Length: {MARK}\r\n\r\n",
)


def ask(
    running: Serve, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[HTTPResponse, bytes]:
    """One request from an address of its own."""
    parts = urllib.parse.urlsplit(running.url)
    connection = HTTPConnection(str(parts.hostname), parts.port, 30, source_address=(CLIENT, 0))
    marked = {
        "User-Agent": MARK,
        "Cookie": f"session={MARK}",
        "Authorization": f"Bearer {MARK}",
        "Referer": f"https://{MARK}.example/",
        "X-Request-Id": MARK,
        "Accept-Language": MARK,
    }
    connection.request(method, path, body, {**marked, **headers})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer, content


def throw(running: Serve, raw: str) -> None:
    parts = urllib.parse.urlsplit(running.url)
    with socket.create_connection((parts.hostname, parts.port), 10, (CLIENT, 0)) as connection:
        connection.sendall(raw.encode())
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(10)
        try:
            while connection.recv(65_536):
                pass
        except ConnectionError:
            pass


def signer(running: Serve, data: Path) -> Signer:
    api = Api(running.url)
    origin = str(api.log()["origin"])
    made = Signer(origin, f"https://{MARK.lower()}.example", PrivateKey.generate())
    desk = Registrar(api, now(), os.urandom)
    desk.register(made, {"en": MARK})
    operator = Signer(origin, operator_uri(origin), load_key(data / "keys" / "operator.key"))
    desk.accredit(operator, made.party, "brand")
    return made


def sealed(who: Signer, serial: str) -> list[bytes]:
    document = observed(f"{MARK}{serial}", **{"ex:note": MARK})
    (batch,) = seal_events(prepare(document, random=os.urandom), who, now=now(), random=os.urandom)
    return list(batch.lines())


def lines(running: Serve) -> list[dict[str, Any]]:
    """Every line is one JSON object: nothing writes past the handler."""
    return [json.loads(line) for line in running.messages.splitlines()]


def spellings() -> Iterator[str]:
    """The mark as it could come through a coding."""
    yield MARK
    yield MARK.lower()
    yield MARK.encode().hex()
    for shift in range(3):
        text = base64.b64encode(b"x" * shift + MARK.encode()).decode()
        yield text[4:-4]


def test_no_line_of_any_process_holds_payload_and_every_request_is_found_by_its_id(
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"
    initialise(Settings(data=data))
    more = {"PROVENANCE_LOG_LEVEL": "debug", "PROVENANCE_METRICS": f"127.0.0.1:{free_port()}"}
    with serve(data, "--workers", "2", more=more) as running:
        until(running.is_ready)
        who = signer(running, data)
        body = b"\n".join(sealed(who, "A"))
        ids: dict[str, int] = {}

        def note(answer: HTTPResponse) -> int:
            found = answer.headers["X-Request-Id"]
            assert re.fullmatch(r"[0-9a-f]{32}", found)
            ids[found] = answer.status
            return answer.status

        ndjson = {"Content-Type": "application/x-ndjson"}
        answer, content = ask(running, "POST", "/api/v1/batches?wait=published", body, **ndjson)
        assert note(answer) == 201
        for path in PATHS:
            note(ask(running, "GET", path)[0])
        for refused in BODIES:
            answer, _ = ask(running, "POST", "/api/v1/batches", refused, **ndjson)
            assert note(answer) in (400, 422)
        seal = base64.b64decode(json.loads(content)["seal"]).hex()
        for refused in BODIES:
            address = f"/api/v1/batches/{seal}/disclosures"
            answer, _ = ask(running, "POST", address, refused, **ndjson)
            assert note(answer) in (400, 422)
        note(ask(running, "POST", f"/api/v1/jobs?{MARK}", BODIES[2], **ndjson)[0])
        note(ask(running, "PATCH", f"/api/v1/jobs/{MARK}", BODIES[2], **ndjson)[0])
        note(ask(running, MARK, "/")[0])
        for raw in RAW:
            throw(running, raw)
        faults = list(_break_and_ask(running, data, who, note))
        assert [status for status, _ in faults] == [500] * len(faults)
        until(lambda: any("round failed" in line["message"] for line in lines(running)), 20)
        assert running.stop(signal.SIGTERM) == 0
        said, found = running.messages, lines(running)
    for spelling in spellings():
        assert spelling not in said
    assert CLIENT not in said
    accesses = {line["request"]: line for line in found if line["logger"] == "provenance.access"}
    assert {name: accesses[name]["status"] for name in ids} == ids
    for _, request in faults:
        told = [line for line in found if line.get("request") == request and "exception" in line]
        assert told, request  # the id that the caller was given leads to the fault
        assert told[0]["level"] == "ERROR"
    assert {line["process"] for line in found} == {"serve", "web", "sequencer"}
    others = [line["at"] for line in found if line["logger"] == "gunicorn.error"]
    assert len(others) >= 5  # it had much to say of RAW
    assert all(place.startswith("gunicorn/workers/") for place in others), others
    assert all(len(line) < 8_000 for line in said.splitlines())


def _break_and_ask(running: Serve, data: Path, who: Signer, note: Any) -> Iterator[tuple[int, str]]:
    """Requests that end in an exception whose text quotes rows; (status, request id)."""
    upload = b"\n".join(sealed(who, "B"))
    _take_away(data, "events")
    ndjson = {"Content-Type": "application/x-ndjson"}
    answer, content = ask(running, "POST", "/api/v1/batches", upload, **ndjson)
    yield note(answer), json.loads(content)["request"]
    _take_away(data, "subjects", "uploads")  # the sequencer's round, too
    path = f"/01/09506000134352/21/{MARK}A"
    answer, content = ask(running, "GET", path, None, Accept="application/json")
    yield note(answer), json.loads(content)["request"]


def _take_away(data: Path, *names: str) -> None:
    database = Database.open(Settings(data=data).database_url, timeout_ms=30_000)
    with database.write() as connection:
        for name in names:
            connection.exec_driver_sql(f"ALTER TABLE {name} RENAME TO {name}_away")
    database.close()


def test_addresses_are_logged_where_the_setting_says_so(tmp_path: Path) -> None:
    data = tmp_path / "data"
    initialise(Settings(data=data))
    more = {"PROVENANCE_LOG_CLIENTS": "on", "PROVENANCE_LOG_FORMAT": "text"}
    with serve(data, more=more) as running:
        until(running.is_ready)
        ask(running, "GET", f"/livez?{MARK}")
        until(lambda: f"client={CLIENT}" in running.messages)
        assert re.search(
            r"^\S+Z INFO provenance\.access: answered request=[0-9a-f]{32} method=GET "
            rf"route=/livez status=200 duration_ms=[\d.]+ body_bytes=0 client={CLIENT}$",
            running.messages,
            re.M,
        )
        assert MARK not in running.messages


def test_a_platform_that_cannot_start_says_why_in_lines(tmp_path: Path) -> None:
    data = tmp_path / "data"
    initialise(Settings(data=data))
    (data / "keys" / "clock.key").chmod(0o644)
    with serve(data) as running:
        with pytest.raises((ClientError, AssertionError)):
            until(running.is_ready, 30)
        assert running.process.wait(60) == 1
        assert "is open to others" in running.messages


def test_traces_of_all_processes_reach_a_collector_and_hold_no_payload(tmp_path: Path) -> None:
    data = tmp_path / "data"
    initialise(Settings(data=data))
    with collecting() as collector:
        more = {"PROVENANCE_TRACES": collector.url, "PROVENANCE_METRICS": f"[::1]:{free_port()}"}
        with serve(data, more=more) as running:
            until(running.is_ready)
            body = b"\n".join(sealed(signer(running, data), "A"))
            path, ndjson = "/api/v1/batches?wait=published", "application/x-ndjson"
            answer, _ = ask(running, "POST", path, body, **{"Content-Type": ndjson})
            assert answer.status == 201
            request = answer.headers["X-Request-Id"]
            assert running.stop(signal.SIGTERM) == 0
    parts = {seen.name: seen.resource["provenance.process"] for seen in collector.spans}
    assert parts["append"] == "web"
    assert parts["publish"] == "sequencer"
    (span,) = [s for s in collector.spans if s.attributes.get("provenance.request_id") == request]
    assert span.attributes["provenance.events.new"] == 1
    sent = b"".join(collector.bodies)
    for spelling in spellings():
        assert spelling.encode() not in sent
    assert CLIENT.encode() not in sent
