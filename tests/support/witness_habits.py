"""Witnesses behind real HTTP, each with the habits of one implementation, or with bad ones.

:class:`Habits` says where witnesses in the field differ (docs: the table of the protocol's cases);
:class:`TestWitness` keeps state and checks as a witness does; :func:`served` puts any answering
function behind a socket. What a scripted answer cannot say in bytes (silence, dripping, a broken
connection) is done to the socket itself.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from merkle.checkpoint import Checkpoint, parse_checkpoint
from merkle.errors import MerkleError, ProofError
from merkle.note import Note, Verifier, open_note
from merkle.policy import Witness
from merkle.proofs import verify_consistency
from merkle.witness import (
    SIZE_TYPE,
    AddCheckpoint,
    checkpoint_path,
    format_size,
    parse_add_checkpoint,
)
from provenance.crypto.signing import Cosigner, note_verifier
from tests.support.builders import ORIGIN, make_key
from tests.support.ledger import SIGNER


@dataclass(frozen=True)
class Reply:
    """An answer; `seconds` of silence before it."""

    status: int
    body: bytes = b""
    kind: str = "text/plain"
    seconds: float = 0.0


Answering = Callable[[str, str, bytes], "Reply | Callable[[socket.socket], None]"]
"""(method, path, body) -> the answer, or what is done to the connection instead of one."""


@dataclass
class Served:
    """A listening server. `requests` are (method, path, body); `connections` counts those made."""

    url: str
    requests: list[tuple[str, str, bytes]] = field(default_factory=list)
    connections: int = 0

    @property
    def asked(self) -> list[int]:
        """The old sizes of the add-checkpoint requests."""
        return [parse_add_checkpoint(b).old for m, _, b in self.requests if m == "POST"]


@contextmanager
def served(answering: Answering, port: int = 0) -> Iterator[Served]:
    """Serve until the block ends; connections are kept alive."""
    seen = Served("")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Head and body leave in one piece, or the other side's delayed ACK would hold the second.
        wbufsize = -1

        def setup(self) -> None:
            seen.connections += 1
            super().setup()

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers.get("Content-Length", "0"))))

        def do_GET(self) -> None:
            self._answer(b"")

        def _answer(self, body: bytes) -> None:
            seen.requests.append((self.command, self.path, body))
            reply = answering(self.command, self.path, body)
            if not isinstance(reply, Reply):
                self.close_connection = True
                reply(self.connection)
                return
            time.sleep(reply.seconds)
            self.send_response(reply.status)
            self.send_header("Content-Type", reply.kind)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)
            self.wfile.flush()

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: the tests speak for themselves."""

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that went away is what some tests are about."""

    server = Quiet(("127.0.0.1", port), Handler)
    seen.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def hang_up(connection: socket.socket) -> None:
    """Close without an answer."""
    connection.shutdown(socket.SHUT_RDWR)


def drip(connection: socket.socket) -> None:
    """A body that comes byte by byte and never ends."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n")
    try:
        while True:
            connection.sendall(b"-")
            time.sleep(0.02)
    except OSError:
        return


@dataclass(frozen=True)
class Habits:
    """Where witnesses differ, each field one row of the table; as the specification has it."""

    fork: int = 422
    fork_says_size: bool = False
    first_contact: int = 409
    """For an old size above 0 on first contact: 409 and ``0``, or 200 without a look."""
    bad_signature: int = 403
    monitoring: bool = True
    most_bytes: int = 65_536


SPECIFICATION = Habits()
AICS = Habits(monitoring=False)
TRANSPARENCY_DEV = Habits(
    fork=409, first_contact=200, bad_signature=500, monitoring=False, most_bytes=16_384
)


class TestWitness:
    """A witness of one log with a clock (POSIX seconds) of its own; thread-safe."""

    __test__ = False

    def __init__(
        self,
        name: str,
        clock: Callable[[], int],
        habits: Habits = SPECIFICATION,
        log: Verifier | None = None,
    ) -> None:
        self.name = name
        self.cosigner = Cosigner(f"{name}.example/w", make_key(f"witness {name}"))
        self.habits = habits
        self.held: Checkpoint | None = None
        self.note: bytes | None = None
        self.scripted: list[Reply | Callable[[socket.socket], None] | None] = []
        """Answers to the next add-checkpoint requests; None means: as it would."""
        self._clock = clock
        self._log = log or note_verifier(SIGNER.vkey)
        self._lock = threading.Lock()

    def listed(self, url: str | None) -> Witness:
        """Its line in a policy."""
        return Witness(self.name, self.cosigner.vkey, url)

    def __call__(self, method: str, path: str, body: bytes) -> Reply | Callable[..., None]:
        with self._lock:
            if method == "GET":
                return self._show(path)
            if self.scripted and (reply := self.scripted.pop(0)) is not None:
                return reply
            return self._add(body)

    def _show(self, path: str) -> Reply:
        wanted = f"/{checkpoint_path(ORIGIN)}"
        if not self.habits.monitoring or path != wanted or self.note is None:
            return Reply(404)
        return Reply(200, self.note)

    def _add(self, body: bytes) -> Reply:
        if len(body) > self.habits.most_bytes:
            return Reply(400)
        try:
            request = parse_add_checkpoint(body)
        except MerkleError:
            return Reply(400)
        try:
            opened = open_note(request.checkpoint, [self._log])
        except MerkleError:
            return Reply(self.habits.bad_signature)
        checkpoint = parse_checkpoint(opened.text)
        if request.old > checkpoint.size:
            return Reply(400)
        refused = self._refuse(request, checkpoint)
        return refused or self._cosign(checkpoint, request.checkpoint)

    def _refuse(self, request: AddCheckpoint, new: Checkpoint) -> Reply | None:
        held = self.held
        if held is None:
            if request.old and self.habits.first_contact == 409:
                return Reply(409, b"0\n", SIZE_TYPE)
            return Reply(422) if request.proof and not request.old else None
        if request.old != held.size:
            return Reply(409, format_size(held.size), SIZE_TYPE)
        if held.size == new.size and held.root != new.root:
            says = format_size(held.size) if self.habits.fork_says_size else b""
            return Reply(self.habits.fork, says if self.habits.fork == 409 else b"")
        try:
            verify_consistency(held.size, new.size, held.root, new.root, request.proof)
        except ProofError:
            return Reply(422)
        return None

    def _cosign(self, checkpoint: Checkpoint, note: bytes) -> Reply:
        opened = open_note(note, [self._log])
        line = self.cosigner.cosign(opened.text.encode(), self._clock())
        self.held = checkpoint
        self.note = Note(opened.text, (*opened.verified, line)).format()
        return Reply(200, line.format().encode())
