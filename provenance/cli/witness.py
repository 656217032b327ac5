"""provenance witness …: a witness that anyone can run, and the table that tells how one answers.

    provenance witness serve --name witness.example/w1 --log VKEY=https://ledger.example/log

One file of state and one of the key, made together at the first start. The server is gunicorn in
this very process (one worker, threads): nothing is read from the environment, and nothing of the
platform is needed.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from gunicorn.app.base import BaseApplication

from merkle.note import VerifierKey
from provenance.cli.options import now_seconds
from provenance.cli.output import errors_end_with, json_option, note, result, spoken_errors
from provenance.client.log_reader import LogReader, check_log_url
from provenance.client.witness_conformance import (
    Conformance,
    ConformanceLog,
    Outcome,
    read_meaning,
)
from provenance.crypto.signing import PrivateKey, load_key, save_key
from provenance.domain.meaning import Kind
from provenance.services.map_following import MapFollower
from provenance.services.witness import Witness, add_log, establish
from provenance.storage.witness_state import KnownLog, WitnessState
from provenance.verify.meanings import verify_meaning
from provenance.web.witness import BODY_SECONDS, SLOTS, WitnessApp

_THREADS = SLOTS + 4

state_option = click.option(
    "--state",
    "state_path",
    default="witness.sqlite",
    show_default=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The one file of what must never be forgotten; made at the first start.",
)
key_option = click.option(
    "--key",
    "key_path",
    default=None,
    type=click.Path(dir_okay=False, path_type=Path),
    help="File of the cosigning key, made with the state [default: beside it, ending in .key].",
)
name_option = click.option(
    "--name", default=None, help="The witness's name, such as witness.example/w1; the first time."
)
check_map_option = click.option(
    "--check-map",
    is_flag=True,
    help="Replay each log's map and cosign only if it is right; the key then means that.",
)


class ListenError(click.BadParameter):
    """An address that is not HOST:PORT."""


@click.group()
def witness() -> None:
    """Cosign the checkpoints of logs, as a witness that anyone can run."""


@witness.command()
@click.option(
    "--listen", default="127.0.0.1:8100", show_default=True, help="HOST:PORT to listen on."
)
@name_option
@state_option
@key_option
@click.option(
    "--log",
    "logs",
    multiple=True,
    metavar="VKEY[=URL]",
    help="A log to cosign for, and its address; may be repeated, and is remembered.",
)
@check_map_option
@click.option(
    "--patience",
    default=8.0,
    show_default=True,
    help="Seconds that a request waits for a map check; then it goes on in the background.",
)
@click.option("--url", default=None, help="Where the world reaches this witness, to be shown.")
@spoken_errors
def serve(
    listen: str,
    name: str | None,
    state_path: Path,
    key_path: Path | None,
    logs: tuple[str, ...],
    check_map: bool,
    patience: float,
    url: str | None,
) -> None:
    """Run a witness. Ctrl-C or SIGTERM stops it cleanly."""
    bind = _address(listen)
    state, means, cosigner = establish(
        state_path, _key_path(state_path, key_path), name, _kind(check_map)
    )
    for text in logs:
        add_log(state, *_split(text))
    follower = MapFollower(state, LogReader, patience_seconds=patience) if check_map else None
    served = Witness(state, means, [cosigner], now_seconds, follower)
    _write_lines_to_stderr()
    note(f"{means.name} listens on {bind}; its key: {cosigner.vkey.format()}")
    note(means.in_words)
    for log in state.logs():
        note(f"cosigns {_in_words(log)}")
    _Server(WitnessApp(served, url=url), bind).run()


@witness.command()
@name_option
@state_option
@key_option
@check_map_option
@json_option
@spoken_errors
def key(
    name: str | None, state_path: Path, key_path: Path | None, check_map: bool, as_json: bool
) -> None:
    """Show the witness's key as a policy lists it; make state and key the first time."""
    _, means, cosigner = establish(
        state_path, _key_path(state_path, key_path), name, _kind(check_map)
    )
    vkey = cosigner.vkey.format()
    facts = {"name": means.name, "vkey": vkey, "meaning": means.kind, "text": means.in_words}
    result(facts, f"witness {means.name} {vkey}", as_json)


@witness.command(name="add-log")
@click.argument("log", metavar="VKEY[=URL]")
@state_option
@json_option
@spoken_errors
def add_one_log(log: str, state_path: Path, as_json: bool) -> None:
    """Cosign for one more log, or accept one more key of it; a running witness sees it at once."""
    known = add_log(WitnessState(state_path), *_split(log))
    facts = {"origin": known.origin, "keys": [k.format() for k in known.keys], "url": known.url}
    result(facts, f"cosigns {_in_words(known)}", as_json)


@witness.command()
@click.argument("url")
@click.option("--vkey", required=True, help="The witness's key, as your policy lists it.")
@json_option
@spoken_errors
def meaning(url: str, vkey: str, as_json: bool) -> None:
    """Read what the key of the witness at URL means, as the key itself has signed it."""
    found = verify_meaning(read_meaning(url), VerifierKey.parse(vkey))
    facts = {"name": found.name, "meaning": found.kind, "text": found.in_words}
    result(facts, f"{found.name}: {found.kind}\n{found.in_words}", as_json)


@witness.command()
@click.argument("url")
@click.option(
    "--log-key",
    "log_key_path",
    default="conformance.key",
    show_default=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Key file of the log that the test plays; made the first time.",
)
@click.option("--vkey", default=None, help="The witness's key: its cosignatures are then verified.")
@click.option("--monitoring-url", default=None, help="Monitoring prefix, if it is another one.")
@json_option
@errors_end_with(2)
def conformance(
    url: str, log_key_path: Path, vkey: str | None, monitoring_url: str | None, as_json: bool
) -> None:
    """Ask the witness at URL every case of the protocol; 1 when an answer differs.

    The witness must know the log of the test. The first time, its key is made and shown, and the
    exit status is 2: add it to the witness, then run the command again.
    """
    check_log_url(url)
    if not log_key_path.exists():
        save_key(log_key_path, PrivateKey.generate())
        log = ConformanceLog(load_key(log_key_path))
        note(f"made {log_key_path}; tell the witness to cosign for this log, then run this again:")
        click.echo(log.vkey)
        sys.exit(2)
    log = ConformanceLog(load_key(log_key_path))
    key = None if vkey is None else VerifierKey.parse(vkey)
    outcomes = Conformance(url, log, key, monitoring_url).run()
    differ = [outcome for outcome in outcomes if outcome.same is False]
    facts = {"witness": url, "log": log.vkey, "cases": [asdict(outcome) for outcome in outcomes]}
    words = f"{_table(outcomes)}\n{len(differ)} of {len(outcomes)} answers differ"
    result(facts | {"differ": len(differ)}, words, as_json)
    sys.exit(1 if differ else 0)


def _table(outcomes: Sequence[Outcome]) -> str:
    """case | expected | found | same?"""
    rows = [("case", "expected", "found", "same?")]
    for outcome in outcomes:
        same = {True: "yes", False: f"NO: {outcome.fault}", None: "-"}[outcome.same]
        rows.append((outcome.name, outcome.expected, outcome.found, same))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        " | ".join((*(text.ljust(width) for text, width in zip(row, widths, strict=False)), row[3]))
        for row in rows
    )


def _key_path(state_path: Path, key_path: Path | None) -> Path:
    return key_path or state_path.with_suffix(".key")


def _kind(check_map: bool) -> Kind:
    return "map" if check_map else "plain"


def _split(text: str) -> tuple[str, str | None]:
    """``VKEY[=URL]``: base64 may itself end in ``=``, so the address is known by its scheme."""
    match = re.fullmatch(r"(.+?)=([a-z]+://.*)", text)
    return (match[1], check_log_url(match[2])) if match else (text, None)


def _address(listen: str) -> str:
    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit() or not int(port) < 65_536:
        raise ListenError(f"expected HOST:PORT such as 127.0.0.1:8100, found {listen!r}")
    return listen


def _in_words(log: KnownLog) -> str:
    place = f", read at {log.url}" if log.url else ""
    return f"{log.origin} ({len(log.keys)} {'key' if len(log.keys) == 1 else 'keys'}{place})"


def _write_lines_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logger = logging.getLogger("provenance.witness")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False


class _Server(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn around one application object."""

    def __init__(self, application: WitnessApp, bind: str) -> None:
        self._application = application
        self._bind = bind
        super().__init__()

    def load_config(self) -> None:
        """One worker: the limit on requests under way is one process's (`WitnessApp`)."""
        values: dict[str, Any] = {
            "bind": self._bind,
            "workers": 1,
            "worker_class": "gthread",
            "threads": _THREADS,
            "timeout": 120,
            "graceful_timeout": int(BODY_SECONDS) + 10,
            "keepalive": 75,  # a log asks every few seconds, and is to keep its connection
            "limit_request_line": 1024,
            "limit_request_fields": 50,
            "loglevel": "warning",
            "control_socket_disable": True,
        }
        for name, value in values.items():
            self.cfg.set(name, value)

    def load(self) -> WitnessApp:
        """The application."""
        return self._application
