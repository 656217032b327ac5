"""A real time-stamp authority for tests: `openssl ts` behind HTTP on the loopback address.

Its certification authority is made anew for each: a root, and a certificate for time-stamping
alone. The answer to a query can be exchanged (`authority.answer`), as a bad authority would.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

# Without `certs`: the unordered set of certificates that openssl would add is refused as bad DER.
_CONFIGURATION = """
[ req ]
distinguished_name = name
prompt = no
[ name ]
CN = Test authority
[ root ]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
subjectKeyIdentifier = hash
[ stamping ]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[ tsa ]
default_tsa = chosen
[ chosen ]
serial = serial
crypto_device = builtin
signer_cert = tsa.pem
signer_key = tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha512
accuracy = secs:1
ordering = yes
tsa_name = no
ess_cert_id_alg = sha256
"""


@dataclass
class Authority:
    """A running authority; `roots` is the PEM file of its root certificate."""

    folder: Path
    url: str = ""
    answer: Callable[[bytes], tuple[int, bytes]] = field(init=False)
    asked: int = 0

    def __post_init__(self) -> None:
        self.answer = self.stamp

    @property
    def roots(self) -> Path:
        return self.folder / "root.pem"

    def stamp(self, query: bytes) -> tuple[int, bytes]:
        """Status 200 and what `openssl ts -reply` says."""
        (self.folder / "query").write_bytes(query)
        _openssl(
            self.folder,
            *("ts", "-reply", "-config", "tsa.cnf", "-queryfile", "query", "-out", "reply"),
        )
        return 200, (self.folder / "reply").read_bytes()


def _openssl(folder: Path, *words: str) -> None:
    done = subprocess.run(["openssl", *words], cwd=folder, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def make_authority(folder: Path) -> Authority:
    """Keys and certificates in `folder`; nothing runs yet."""
    (folder / "tsa.cnf").write_text(_CONFIGURATION)
    (folder / "serial").write_text("01\n")
    new = ("req", "-config", "tsa.cnf", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
    _openssl(
        folder,
        *(*new, "-x509", "-nodes", "-keyout", "root.key", "-out", "root.pem"),
        *("-days", "30", "-subj", "/CN=Test root", "-extensions", "root"),
    )
    _openssl(
        folder,
        *(*new, "-nodes", "-keyout", "tsa.key", "-out", "tsa.csr", "-subj", "/CN=Test TSA"),
    )
    _openssl(
        folder,
        *("x509", "-req", "-in", "tsa.csr", "-CA", "root.pem", "-CAkey", "root.key"),
        *("-CAcreateserial", "-out", "tsa.pem", "-days", "20"),
        *("-extfile", "tsa.cnf", "-extensions", "stamping"),
    )
    return Authority(folder)


@contextmanager
def serving_authority() -> Iterator[Authority]:
    """An authority that answers at `url` until the block ends."""
    assert shutil.which("openssl"), "the tests of time stamps need the openssl command"
    with tempfile.TemporaryDirectory() as name:
        authority = make_authority(Path(name))

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.headers["Content-Type"] == "application/timestamp-query"
                authority.asked += 1
                status, reply = authority.answer(body)
                self.send_response(status)
                self.send_header("Content-Type", "application/timestamp-reply")
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        authority.url = f"http://127.0.0.1:{server.server_port}/"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield authority
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
