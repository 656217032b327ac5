"""provenance serve: web workers and the sequencer under one command.

Three kinds of process: this one (the supervisor), gunicorn with its workers (`app:app`), and the
sequencer. They share nothing but the data directory and the database. The supervisor ends both when
it is told to stop (SIGTERM, SIGINT) or when either ends by itself; half a platform never stays up.
Where several machines make one platform, each runs both or one of them (`parts`), and supervisors
know nothing of each other: the lease in the database says which sequencer works.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import IO

import click

from merkle.errors import MerkleError
from provenance.cli.options import data_option, database_option
from provenance.cli.output import spoken_errors
from provenance.config import PREFIX, Settings
from provenance.domain.errors import DomainError
from provenance.platform import Platform, initialise, require_complete
from provenance.services.forks import LogForkedError
from provenance.services.observing import Observer
from provenance.storage.errors import StorageError
from provenance.telemetry import DIRECTORY_VARIABLE, begin
from provenance.telemetry.listener import Listener
from provenance.telemetry.logs import configure

ROOT = Path(__file__).resolve().parents[2]
_LOGGER = logging.getLogger("provenance.serve")
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_STOP_SECONDS = 30
_WATCH_SECONDS = 0.2
_START_SECONDS = 60
_PR_SET_PDEATHSIG = 1


class AddressTakenError(DomainError):
    """Nobody can listen there; the message names host, port and reason."""


@click.command()
@data_option
@database_option
@click.option("--host", default=None, help="Address to listen on [default: 127.0.0.1].")
@click.option("--port", type=int, default=None, help="Port to listen on [default: 8000].")
@click.option("--workers", type=int, default=None, help="Web processes [default: 2].")
@click.option("--origin", default=None, help="Name of the log; chosen once, at the first start.")
@click.option("--base-url", default=None, help="Where readers reach us, if not at HOST:PORT.")
@click.option(
    "--parts",
    type=click.Choice(["all", "web", "sequencer"]),
    default=None,
    help="What to run on this machine [default: all].",
)
@spoken_errors
def serve(
    data: Path,
    database: str | None,
    host: str | None,
    port: int | None,
    workers: int | None,
    origin: str | None,
    base_url: str | None,
    parts: str | None,
) -> None:
    """Run the platform: web workers and sequencer. Ctrl-C or SIGTERM stops both cleanly."""
    settings = Settings.load(
        os.environ,
        data=data,
        database=database,
        host=host,
        port=port,
        workers=workers,
        origin=origin,
        base_url=base_url,
        parts=parts,
    )
    if settings.parts != "sequencer":
        require_free_address(settings)
    configure(settings, "serve")
    if settings.parts == "web":
        require_complete(settings)
    else:
        initialise(settings)
    sys.exit(Supervisor(settings).run())


@click.command(hidden=True)
@spoken_errors
def sequence() -> None:
    """The sequencer's process, as `serve` starts it (settings from the environment)."""
    stop = threading.Event()
    # A handler would run inside Event.wait of this very thread and could find its lock taken, so a
    # thread of its own waits for the signals. Blocked before any other thread is there, traces'
    # too: whichever did not block them would be ended by them, and the process with it.
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
    threading.Thread(target=_stop_when_told, args=(stop,), daemon=True).start()
    settings = Settings.load(os.environ)
    observer = begin(settings, "sequencer")
    try:
        _sequence(settings, observer, stop)
    except (DomainError, MerkleError, StorageError, OSError) as error:
        _LOGGER.critical("the sequencer ends: %s", error)
        sys.exit(1)


def _sequence(settings: Settings, observer: Observer, stop: threading.Event) -> None:
    platform = Platform.open(settings, observer)
    if platform.anchor_kinds:
        # Made here, so that certificates or a key that cannot be read are said at the start; a
        # thread of its own, so that a slow third party holds up no publication.
        anchoring = platform.anchoring
        threading.Thread(target=anchoring.run, args=(stop,), daemon=True).start()
    try:
        platform.sequencer.run(stop)
    except LogForkedError as error:
        # Nothing is signed any more, but readers must be told: the web workers go on.
        _LOGGER.critical("the log has stopped for good: %s", error)
        stop.wait()
    finally:
        platform.close()


def _stop_when_told(stop: threading.Event) -> None:
    signal.sigwait(_STOP_SIGNALS)
    stop.set()


def environment(settings: Settings) -> dict[str, str]:
    """The environment in which a child reads the same settings, whatever its directory."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(PREFIX)}
    path = settings.database.removeprefix("sqlite:///")
    if path != settings.database:
        settings = replace(settings, database=f"sqlite:///{Path(path).absolute()}")
    return kept | settings.to_environment()


class Supervisor:
    """Starts the two children, waits, and ends them together."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._told_to_stop = False  # a plain flag: a signal handler must take no lock
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def run(self) -> int:
        """Runs until told to stop (returns 0) or until a child ends by itself (returns 1)."""
        for number in _STOP_SIGNALS:  # SIGINT too where a script's shell started us with it ignored
            signal.signal(number, self._stop)
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup stays nohup
            signal.signal(signal.SIGHUP, self._stop)
        env = environment(self._settings)
        listener = self._listener(env)
        try:
            for name, command in self._commands():
                self._children[name] = spawn(command, env)
            threading.Thread(target=self._announce, daemon=True).start()
            if listener is not None:
                listener.start()
            return self._watch()
        finally:
            self._end_children()
            if listener is not None:
                listener.stop()

    def _commands(self) -> Iterator[tuple[str, list[str]]]:
        if self._settings.parts != "web":
            yield "sequencer", [sys.executable, "-m", "provenance.cli", "sequence"]
        if self._settings.parts != "sequencer":
            yield "web", gunicorn_command(self._settings)

    def _listener(self, env: dict[str, str]) -> Listener | None:
        """Bound before anything starts, answering after: a taken address stops us at once."""
        env.pop(DIRECTORY_VARIABLE, None)  # one that was left over would be written into
        if self._settings.metrics_address is None:
            return None
        listener = Listener(self._settings)
        env[DIRECTORY_VARIABLE] = str(listener.directory)
        return listener

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._told_to_stop = True

    def _watch(self) -> int:
        while not self._told_to_stop:
            for name, child in self._children.items():
                if child.poll() is not None:
                    _LOGGER.error(
                        "the %s process ended with status %d; stopping", name, child.returncode
                    )
                    return 1
            time.sleep(_WATCH_SECONDS)
        return 0

    def _end_children(self) -> None:
        for child in self._children.values():
            if child.poll() is None:
                child.terminate()
        deadline = time.monotonic() + _STOP_SECONDS
        for name, child in self._children.items():
            try:
                child.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _LOGGER.warning(
                    "the %s process did not stop within %d s; ending it", name, _STOP_SECONDS
                )
                child.kill()
                child.wait()

    def _announce(self) -> None:
        if self._settings.parts == "sequencer":
            _LOGGER.info("sequencer started, data in %s", self._settings.data)
        elif wait_until_ready(self._settings, lambda: self._told_to_stop):
            _LOGGER.info(
                "listening on %s, data in %s", self._settings.public_url, self._settings.data
            )
        elif not self._told_to_stop:
            _LOGGER.error(
                "not ready after %d s: see /readyz and the messages above", _START_SECONDS
            )


def gunicorn_command(settings: Settings) -> list[str]:
    """gunicorn over app:app; threads, as a worker waits on the database and for publication."""
    return [
        *(sys.executable, "-m", "gunicorn", "app:app"),
        *("--bind", f"{_bracketed(settings.host)}:{settings.port}"),
        *("--workers", str(settings.workers), "--worker-class", "gthread", "--threads", "8"),
        *("--timeout", "120", "--graceful-timeout", "20", "--keep-alive", "15"),
        *("--limit-request-line", "8190", "--log-level", "warning"),
        *("--config", "python:provenance.telemetry.gunicorn_hooks"),
        "--no-control-socket",  # its place is one a user, and two platforms may run for one
    ]


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def spawn(
    command: list[str], env: Mapping[str, str], output: IO[bytes] | None = None
) -> subprocess.Popen[bytes]:
    """A process of ours that never outlives this one; what it says goes to `output`, if given."""
    # A session of its own: Ctrl-C on the terminal reaches the supervisor alone, which then ends the
    # children in order. Should the supervisor be killed outright, the kernel ends them (Linux).
    return subprocess.Popen(  # noqa: S603  our own interpreter, arguments from checked settings
        command,
        env=env,
        cwd=ROOT,  # where app.py lies; a file of that name where the operator stands is not ours
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
        preexec_fn=_die_with_parent(),  # noqa: PLW1509  no thread of ours runs yet
    )


def _die_with_parent() -> Callable[[], None] | None:
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def arrange() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it ended before the line above could take effect
            os.kill(os.getpid(), signal.SIGTERM)

    return arrange


def require_free_address(settings: Settings) -> None:
    """Raises AddressTakenError where gunicorn would try, wait and give up."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise AddressTakenError(
                f"cannot listen on {settings.host}, port {settings.port}: {error.strerror}; "
                "choose another with --host and --port"
            ) from error


def wait_until_ready(settings: Settings, stopped: Callable[[], bool]) -> bool:
    """Polls /readyz for up to a minute; False when stopped or out of time."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104
    url = f"http://{_bracketed(host)}:{settings.port}/readyz"
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and not stopped():
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                if answer.status == 200:
                    return True
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    return False
