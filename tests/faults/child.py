"""The process that dies: warmed once, then forked for each trial, so that imports are not counted.

    python -m tests.faults.child FD        FD is one end of a socket pair

One JSON line asks for a trial (`target`, and what that needs); the answers are the pid of a fork
that waits, and after a line "go" what it said and how it ended. It speaks through the socket
(`sendto`), never through `write`, so that the calls that are counted are those of the work alone.

Three targets: the sequencer's publication of what waits, on a ledger of tests.support; the capture
of one upload through the web application of a real installation; and a witness that is shown one
checkpoint. Each tries twice, as a process that goes on after a failure does.
"""

from __future__ import annotations

import base64
import ctypes
import json
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from merkle.witness import AddCheckpoint
from provenance.config import Settings
from provenance.platform import Platform, initialise
from provenance.storage import schema
from provenance.storage.session import Database
from provenance.web import create_app
from tests.support.ledger import Ledger
from tests.support.tilelog import TileLog
from tests.support.witnesses import open_desk

_PR_SET_PTRACER = 0x59616D61

Say = Callable[[dict[str, Any]], None]


def publish(job: dict[str, Any], say: Say) -> None:
    """Two rounds of a sequencer; says each checkpoint that came out."""
    ledger = Ledger(Database.open(f"sqlite:///{job['root']}/test.sqlite"), Path(job["root"]))
    ledger.clock.now = job["now"]
    sequencer = ledger.sequencer(holder="child")
    for _ in range(2):
        try:
            published = sequencer.run_once()
        except Exception as error:  # as Sequencer.run, which goes on after any
            say({"error": f"{type(error).__name__}: {error}"[:200]})
        else:
            say({"note": None if published is None else published.note.decode()})


def capture(job: dict[str, Any], say: Say) -> None:
    """One upload to the application, again if it was not accepted; says status and receipt."""
    platform = Platform.open(Settings(data=Path(job["root"])))
    client = create_app(platform).test_client()
    for _ in range(2):
        answer = client.post(
            "/api/v1/batches",
            data=base64.b64decode(job["body"]),
            content_type="application/x-ndjson",
        )
        say({"status": answer.status_code, "answer": answer.get_data(as_text=True)})
        if answer.status_code < 500:
            return


def cosign(job: dict[str, Any], say: Say) -> None:
    """One add-checkpoint to a witness, again if it could not; says what was cosigned."""
    for _ in range(2):
        try:
            desk = open_desk(Path(job["root"]))
            accepted = desk.witness.add_checkpoint(base64.b64decode(job["body"]))
        except Exception as error:  # an answer of status 4xx or 5xx: no cosignature
            say({"error": f"{type(error).__name__}: {error}"[:200]})
        else:
            say({"cosigned": accepted.checkpoint.size})
            return


TARGETS: dict[str, Callable[[dict[str, Any], Say], None]] = {
    "publish": publish,
    "capture": capture,
    "cosign": cosign,
}


def serve(channel: socket.socket) -> None:
    """Trials one after the other until the other end closes."""
    lines = channel.makefile("r", encoding="utf-8")

    def say(message: dict[str, Any]) -> None:
        channel.sendall(json.dumps(message).encode() + b"\n")

    for line in lines:
        job = json.loads(line)
        ready, go = os.pipe()
        pid = os.fork()
        if pid == 0:
            # Where Yama lets only parents trace (ptrace_scope 1), strace is a stranger.
            ctypes.CDLL(None).prctl(_PR_SET_PTRACER, ctypes.c_ulong(-1), 0, 0, 0)
            os.read(ready, 1)
            TARGETS[job["target"]](job, say)
            os._exit(0)
        say({"pid": pid})
        lines.readline()
        os.write(go, b"g")
        os.close(ready)
        os.close(go)
        say({"ended": os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])})


def warm() -> None:
    """Each target once without a fork: whatever is imported late is imported now."""
    root = Path(tempfile.mkdtemp(prefix="warm"))
    initialise(Settings(data=root / "data"))
    capture({"root": root / "data", "body": base64.b64encode(b"{}\n")}, lambda _: None)
    database = Database.open(f"sqlite:///{root}/test.sqlite")
    schema.upgrade(database)
    ledger = Ledger(database, root)
    ledger.sequencer().run_once()
    ledger.accept("a")
    ledger.clock.advance(60_000)
    publish({"root": root, "now": ledger.clock.now}, lambda _: None)
    tiles = TileLog()
    tiles.append(b"entry")
    open_desk(root, tiles)
    body = AddCheckpoint(0, (), tiles.note()).encode()
    cosign({"root": root, "body": base64.b64encode(body)}, lambda _: None)
    shutil.rmtree(root)


if __name__ == "__main__":
    warm()
    serve(socket.socket(fileno=int(sys.argv[1])))
