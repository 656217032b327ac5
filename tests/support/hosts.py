"""Machines for tests: network namespaces on a bridge, each with an address of its own.

    198.18.N.1   this machine, where database and object store listen
    198.18.N.2…  the hosts; what runs there (:meth:`Host.command`) reaches the others by the bridge

198.18.0.0/15 is set aside for tests of networks (RFC 2544) and is routed nowhere. Needs root and
`ip` (Debian: iproute2); without them the test is skipped with that reason, and fails in CI.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Network

from tests.support.missing import missing

#: Ranges that are on a bridge of this machine now: the closed network (tests/conftest) is open to
#: them.
BRIDGED: list[IPv4Network] = []

_numbers = itertools.count()


@dataclass(frozen=True)
class Host:
    """A network namespace with one address."""

    name: str
    address: str

    @property
    def command(self) -> tuple[str, ...]:
        """What goes before a command that is to run on this host."""
        return ("ip", "netns", "exec", self.name)

    def cut_off(self) -> None:
        """Nothing leaves the host or reaches it: connections stand, and are silent."""
        _ip("-n", self.name, "link", "set", "eth0", "down")

    def join_again(self) -> None:
        """As before."""
        _ip("-n", self.name, "link", "set", "eth0", "up")


@dataclass(frozen=True)
class Network:
    """The bridge: this machine's address on it, its range, and the hosts."""

    address: str
    range: str
    hosts: tuple[Host, ...]


@contextmanager
def machines(count: int) -> Iterator[Network]:
    """So many hosts on a bridge until the block ends; skips where they cannot be made."""
    _require()
    with ExitStack() as stack:
        bridge, net = _bridge(stack)
        network = IPv4Network(f"{net}.0/24")
        BRIDGED.append(network)
        stack.callback(BRIDGED.remove, network)
        hosts = tuple(_host(stack, bridge, net, number) for number in range(count))
        yield Network(f"{net}.1", str(network), hosts)


def _require() -> None:
    if not sys.platform.startswith("linux"):
        missing("network namespaces are Linux's")
    if os.geteuid() != 0:
        missing("network namespaces of the test's own need root")
    if shutil.which("ip") is None:
        missing("no `ip` here (make setup-test, or apt install iproute2)")
    probe = f"pv{os.getpid()}x"
    made = subprocess.run(
        ["ip", "netns", "add", probe], check=False, capture_output=True, text=True
    )
    if made.returncode:
        missing(f"no network namespaces here: {made.stderr.strip()}")
    _ip("netns", "del", probe)


def _bridge(stack: ExitStack) -> tuple[str, str]:
    """A bridge with an address that nobody has; its name and the first three octets."""
    # Of its own in this process too: the kernel takes its time to remove what is deleted. An
    # interface's name has 15 characters.
    name = f"pv{os.getpid()}{chr(ord('a') + next(_numbers) % 26)}"
    _ip("link", "add", name, "type", "bridge")
    stack.callback(_ip, "link", "del", name)
    taken = subprocess.run(["ip", "-4", "addr"], capture_output=True, text=True, check=True).stdout
    for number in itertools.count(os.getpid()):
        net = f"198.18.{number % 256}"
        if f"{net}." not in taken:
            break
    _ip("addr", "add", f"{net}.1/24", "dev", name)
    _ip("link", "set", name, "up")
    return name, net


def _host(stack: ExitStack, bridge: str, net: str, number: int) -> Host:
    host = Host(f"{bridge}h{number}", f"{net}.{number + 2}")
    here = f"{bridge}v{number}"
    _ip("netns", "add", host.name)
    stack.callback(_ip, "netns", "del", host.name)
    _ip("link", "add", here, "type", "veth", "peer", "name", "eth0", "netns", host.name)
    stack.callback(_ip, "link", "del", here)
    _ip("link", "set", here, "master", bridge, "up")
    _ip("-n", host.name, "addr", "add", f"{host.address}/24", "dev", "eth0")
    for interface in ("eth0", "lo"):
        _ip("-n", host.name, "link", "set", interface, "up")
    return host


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], check=False, capture_output=True, text=True)
    assert not done.returncode, f"ip {' '.join(arguments)}: {done.stderr}"
