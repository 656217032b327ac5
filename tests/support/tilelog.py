"""A small C2SP tile log in memory, honest or lying, with a real HTTP server in front of it.

:class:`TileLog` grows by entries and signs whatever it is told to; `files` are what its readers
get, by path below the prefix, and a test may change them. :func:`serving_files` is the server:
`trouble` maps a path to what shall go wrong there.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from merkle.checkpoint import Checkpoint
from merkle.hashing import leaf_hash
from merkle.note import sign_note
from merkle.proofs import prove_consistency
from merkle.tiles import addresses_for, encode_bundle, tile_hashes
from merkle.tree import MemoryTree
from provenance.crypto.signing import NoteSigner, PrivateKey


class TileLog:
    """A log of `origin`, with a key of its own. Sizes below the present one stay readable."""

    def __init__(self, origin: str = "log.example/test", seed: bytes = b"\x01" * 32) -> None:
        self.signer = NoteSigner(origin, PrivateKey.from_seed(seed))
        self.entries: list[bytes] = []
        self.tree = MemoryTree()
        self.files: dict[str, bytes] = {}

    @property
    def origin(self) -> str:
        return self.signer.name

    @property
    def vkey(self) -> str:
        return self.signer.vkey.format()

    @property
    def size(self) -> int:
        return len(self.entries)

    def append(self, *entries: bytes) -> None:
        """Append, and write the tiles and bundles of the new size."""
        before = self.size
        self.entries += entries
        self.tree.extend(map(leaf_hash, entries))
        for address in addresses_for(before, self.size):
            if address.level is None:
                start = address.index * 256
                data = encode_bundle(self.entries[start : start + address.width])
            else:
                data = tile_hashes(address, self.tree)
            self.files[address.path()] = data
        self.files["checkpoint"] = self.note()

    def root(self, size: int | None = None) -> bytes:
        return self.tree.root(size)

    def checkpoint(self, size: int | None = None) -> Checkpoint:
        size = self.size if size is None else size
        return Checkpoint(self.origin, size, self.root(size))

    def note(self, size: int | None = None) -> bytes:
        """The signed checkpoint at a size."""
        return sign_note(self.checkpoint(size).format(), [self.signer])

    def sign(self, size: int, root: bytes) -> bytes:
        """A signed checkpoint that says anything."""
        return sign_note(Checkpoint(self.origin, size, root).format(), [self.signer])

    def proof(self, old: int, new: int | None = None) -> tuple[bytes, ...]:
        """The consistency proof between two sizes; empty from 0."""
        new = self.size if new is None else new
        return tuple(prove_consistency(old, new, self.tree)) if old else ()

    def discard_partials(self) -> None:
        """Forget partial files whose full one exists, as the specification allows."""
        for path in [p for p in self.files if ".p/" in p and p.partition(".p/")[0] in self.files]:
            del self.files[path]


def numbered(start: int, end: int) -> Sequence[bytes]:
    """Entries that say their own index."""
    return [b"entry %d" % number for number in range(start, end)]


Trouble = Callable[[BaseHTTPRequestHandler], bool]
"""Given the request's handler; True when it has answered by itself."""


@dataclass
class FileServer:
    """A running server; `asked` holds the paths in order."""

    url: str
    asked: list[str] = field(default_factory=list)
    trouble: dict[str, Trouble] = field(default_factory=dict)
    connections: int = 0


@contextmanager
def serving_files(files: Mapping[str, bytes], prefix: str = "/log") -> Iterator[FileServer]:
    """The files at `prefix` on a free loopback port until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # head and body go out in two pieces

        def setup(self) -> None:
            super().setup()
            shown.connections += 1

        def do_GET(self) -> None:
            path = self.path.removeprefix(prefix + "/")
            shown.asked.append(path)
            trouble = shown.trouble.get(path)
            if trouble is not None and trouble(self):
                return
            data = files.get(path)
            respond(self, 404 if data is None else 200, data or b"nothing here")

        def log_message(self, *args: Any) -> None:
            pass

    host = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    host.daemon_threads = True
    host.block_on_close = False
    shown = FileServer(f"http://127.0.0.1:{host.server_address[1]}{prefix}")
    thread = threading.Thread(target=host.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield shown
    finally:
        host.shutdown()
        thread.join()
        host.server_close()


def respond(handler: BaseHTTPRequestHandler, status: int, data: bytes, **headers: str) -> None:
    """One whole answer; `Content_Length="9"` and the like replace or add headers."""
    handler.send_response(status)
    for name, text in ({"Content_Length": str(len(data))} | headers).items():
        handler.send_header(name.replace("_", "-"), text)
    handler.end_headers()
    handler.wfile.write(data)


def times(count: int, trouble: Trouble) -> Trouble:
    """The first `count` requests go wrong, later ones do not."""
    left = [count]

    def limited(handler: BaseHTTPRequestHandler) -> bool:
        left[0] -= 1
        return left[0] >= 0 and trouble(handler)

    return limited


def status(code: int, **headers: str) -> Trouble:
    """Answers with a status and nothing of use."""

    def answer(handler: BaseHTTPRequestHandler) -> bool:
        respond(handler, code, b"no", **headers)
        return True

    return answer


def hang_up(handler: BaseHTTPRequestHandler) -> bool:
    """Closes the connection without a word."""
    handler.close_connection = True
    handler.connection.close()
    return True


def trickle(handler: BaseHTTPRequestHandler) -> bool:
    """Sends a byte now and then, for ever."""
    handler.send_response(200)
    handler.send_header("Content-Length", "8192")
    handler.end_headers()
    try:
        for _ in range(200):
            handler.wfile.write(b"\0")
            handler.wfile.flush()
            time.sleep(0.05)
    except OSError:
        pass
    handler.close_connection = True
    return True
