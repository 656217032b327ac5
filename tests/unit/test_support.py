"""The tests' own ground: the network is closed and time stands still."""

from __future__ import annotations

import socket

import pytest

from tests.conftest import NetworkClosedError
from tests.support.clock import START, FrozenClock
from tests.support.tried import Tried


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "example.org"])
def test_nothing_outside_this_machine_is_reached(host: str) -> None:
    with pytest.raises(NetworkClosedError):
        socket.create_connection((host, 80), timeout=1)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "localhost"])
def test_this_machine_is_reached(host: str) -> None:
    with socket.create_server((host, 0)) as server:
        socket.create_connection(server.getsockname()).close()


def test_addresses_are_judged_when_a_socket_is_used_directly() -> None:
    with socket.socket() as plain, pytest.raises(NetworkClosedError):
        plain.connect(("192.0.2.1", 80))
    with socket.socket() as plain, pytest.raises(NetworkClosedError):
        plain.connect_ex(("192.0.2.1", 80))


def test_time_stands_still_unless_moved(clock: FrozenClock) -> None:
    assert clock() == clock() == START
    assert clock.advance(1_500) == START + 1_500
    assert clock.seconds == START // 1000 + 1


def test_a_loss_fails_the_test_and_stands_in_the_summary() -> None:
    rows: list[object] = []
    tried = Tried("a fault", lambda _, row: rows.append(row))
    tried.row("killed", 3)
    with pytest.raises(AssertionError, match=r"killed: lost \['one'\]"):
        tried.row("killed", 3, ["one"])
    with pytest.raises(AssertionError, match="never came to the fault"):
        tried.row("killed", 0)
    assert rows[1] == ["a fault", "killed", 3, ["one"], ""]
