"""provenance demo: the whole way on one machine, from EPCIS files to a verdict on the phone."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from provenance.cli.options import data_option, database_option, now_seconds, random_bytes
from provenance.cli.output import note, progress, result, spoken_errors
from provenance.cli.serve import environment, spawn, wait_until_ready
from provenance.cli.verify import in_words
from provenance.client.api import Api
from provenance.config import Settings
from provenance.crypto.signing import load_key
from provenance.demo.telling import Outcome, Story, Teller, fetch_outcome
from provenance.domain.errors import DomainError
from qr.render import terminal

_STOP_SECONDS = 60


class DemoError(DomainError):
    """The demo cannot go on; the message says what to do."""


@click.command()
@data_option
@database_option
@click.option(
    "--host",
    default=None,
    help="Address to listen on. 'auto': this machine's network address when run on a terminal, so "
    "that a phone on the same network can open the page. [default: 127.0.0.1]",
)
@click.option(
    "--port", type=int, default=8000, show_default=True, help="0 or a taken port: any free one."
)
@click.option("--once", is_flag=True, help="Do not stay up: tell the story, verify, stop.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@spoken_errors
def demo(
    data: Path, database: str | None, host: str | None, port: int, once: bool, as_json: bool
) -> None:
    """Start a platform, tell the story of a can of infant formula, show its passport."""
    for number in (signal.SIGTERM, signal.SIGINT):  # each as Ctrl-C: the platform stops with us
        signal.signal(number, signal.default_int_handler)
    address = choose_host(host)
    settings = Settings.load(
        os.environ,
        data=data,
        database=database,
        host=address,
        port=choose_port(address, port),
        operator_name="Provenance demo operator",
    )
    with running(settings) as server:
        outcome = tell(settings)
        show(settings, outcome, as_json)
        if not once:
            stay(server)
    if outcome.verdict["record"] != "verified":
        sys.exit(1)


def choose_host(host: str | None) -> str:
    """`auto` is the private network address of this machine on a terminal, else loopback."""
    if host != "auto":
        return host or "127.0.0.1"
    found = network_address() if sys.stdout.isatty() else None
    if found:
        note(f"listening on {found}: anyone on this network can see it (HOST=127.0.0.1: only you)")
    return found or "127.0.0.1"


def network_address() -> str | None:
    """The address that this machine would use towards its network; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(
                ("192.0.2.1", 9)
            )  # TEST-NET-1, RFC 5737: connecting UDP only picks a route
            address = str(probe.getsockname()[0])
        except OSError:
            return None
    return None if address.startswith("127.") else address


def choose_port(host: str, wanted: int) -> int:
    """`wanted` if it is free, else any free one."""
    for port in (wanted, 0):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
                return int(probe.getsockname()[1])
            except OSError as error:
                trouble = error
    raise DemoError(f"no port to listen on at {host}: {trouble}")


@contextmanager
def running(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    """`provenance serve` as a process of its own, ready; stopped at the end."""
    data = str(settings.data.absolute())
    command = [sys.executable, "-m", "provenance.cli", "serve", "--data", data]
    # A line for each request would bury what is shown here.
    quiet = replace(settings, log_level="warning") if settings.log_level == "info" else settings
    server = spawn(command, environment(quiet))
    try:
        if not wait_until_ready(settings, lambda: server.poll() is not None):
            raise DemoError("the platform did not start; its messages are above")
        yield server
    finally:
        if server.poll() is None:
            server.terminate()
        server.wait(_STOP_SECONDS)


def tell(settings: Settings) -> Outcome:
    """The story, through the real client, with a progress bar."""
    story = Story.load()
    api = Api(f"http://{settings.host}:{settings.port}")
    folder = settings.data / "demo"
    operator = load_key(settings.keys / "operator.key")
    clock = now_seconds
    with progress(story.event_count(), "uploading the story") as advance:
        Teller(story, api, folder, operator, clock=clock, random=random_bytes).tell(advance)
    return fetch_outcome(story, api, folder, settings.policy_file, clock())


def show(settings: Settings, outcome: Outcome, as_json: bool) -> None:
    """The result: one JSON object, or verdict, link and QR code."""
    link = settings.public_url + outcome.page
    document: dict[str, Any] = {
        "bundle": str(outcome.bundle.absolute()),
        "policy": str(outcome.policy.absolute()),
        "page": outcome.page,
        "subject": outcome.subject,
        "data": str(settings.data.absolute()),
        "url": link,
        "record": outcome.verdict["record"],
    }
    words = "\n".join(
        [
            in_words(outcome.verdict, outcome.bundle),
            "",
            terminal(link),
            f"  {link}",
            "",
            "  check it without us:",
            f"    .venv/bin/provenance verify {outcome.bundle} --policy {outcome.policy}",
            "    or open static/verifier.html and drop these two files into it",
        ]
    )
    result(document, words, as_json)


def stay(server: subprocess.Popen[bytes]) -> None:
    """Until Ctrl-C, or until the platform ends."""
    note("Ctrl-C stops the platform")
    try:
        server.wait()
    except KeyboardInterrupt:
        note("stopping")
