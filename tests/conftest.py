"""What every test stands on: no outside network, a clock that stands still, the shared vectors.

Fixtures of databases, builders and the like live in tests/support and are registered here.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.support.clock import FrozenClock
from tests.support.hosts import BRIDGED
from tests.support.missing import missing

pytest_plugins = [
    "tests.support.databases",
    "tests.support.grouping",
    "tests.support.object_store",
    "tests.support.outside_summary",
    "tests.support.tried",
]

settings.register_profile(
    "project",
    # Two cores are shared with other work: a slow moment is no failure of ours.
    deadline=None,
    max_examples=60,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.register_profile("thorough", settings.get_profile("project"), max_examples=2_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "project"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The directory of outside vectors and data beside the checkout."""
    path = Path(__file__).resolve().parents[2] / "shared"
    if not path.is_dir():
        missing(f"outside vectors expected at {path}, found none")
    return path


@pytest.fixture
def clock() -> FrozenClock:
    """2026-11-23T15:00:00.000Z until a test moves it."""
    return FrozenClock()


class NetworkClosedError(AssertionError):
    """A test tried to leave this machine."""


def _is_local(address: Any) -> bool:
    if not isinstance(address, tuple):
        return True  # a unix socket's path
    host = str(address[0])
    if host in {"", "localhost"}:
        return True
    try:
        found = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return found.is_loopback or any(found in network for network in BRIDGED)


@pytest.fixture(autouse=True, scope="session")
def closed_network() -> Iterator[None]:
    """Sockets of this process reach this machine only; names of others are not even looked up."""
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex
    getaddrinfo = socket.getaddrinfo

    def guarded_connect(self: socket.socket, address: Any) -> None:
        _refuse_outside(address)
        connect(self, address)

    def guarded_connect_ex(self: socket.socket, address: Any) -> int:
        _refuse_outside(address)
        return connect_ex(self, address)

    def guarded_getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        text = host.decode() if isinstance(host, bytes) else host
        if text is not None:
            _refuse_outside((text,))
        return getaddrinfo(host, *args, **kwargs)

    patch = pytest.MonkeyPatch()
    patch.setattr(socket.socket, "connect", guarded_connect)
    patch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
    patch.setattr(socket, "getaddrinfo", guarded_getaddrinfo)
    yield
    patch.undo()


def _refuse_outside(address: Any) -> None:
    if not _is_local(address):
        raise NetworkClosedError(f"the network is closed in tests; asked for {address!r}")
