"""A real EVM node for tests: anvil (npm, devDependencies), on a free port of the loopback address.

Where npm's packages are not installed the tests are skipped with that reason; in CI they fail.
"""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from provenance.client.evm import EvmNode
from tests.support.missing import missing

ROOT = Path(__file__).resolve().parents[2]
CHAIN = 31_337
#: The first account of anvil's published test phrase ("test test … junk"): worthless anywhere else.
SECRET = bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
STRANGER = bytes.fromhex("59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d")


@dataclass
class Chain:
    """A running node; blocks are made for each transaction unless `hold` says otherwise."""

    url: str

    @property
    def node(self) -> EvmNode:
        return EvmNode(self.url, CHAIN)

    def mine(self, blocks: int = 1) -> None:
        """More blocks on the chain."""
        self.node.web3.provider.make_request("anvil_mine", [hex(blocks)])

    def hold(self, holding: bool = True) -> None:
        """Keep transactions waiting, or make blocks for them again."""
        self.node.web3.provider.make_request("evm_setAutomine", [not holding])


def find_anvil() -> Path | None:
    found = sorted((ROOT / "node_modules/@foundry-rs").glob("anvil-*/bin/anvil*"))
    return found[0] if found else None


@contextmanager
def serving_chain() -> Iterator[Chain]:
    """A fresh chain until the block ends."""
    anvil = find_anvil()
    if anvil is None:
        missing("no EVM node: npm's development packages are not installed (make setup-test)")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(anvil), "--silent", "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen([*command, "--chain-id", str(CHAIN)], stdout=subprocess.DEVNULL)
    chain = Chain(f"http://127.0.0.1:{port}")
    try:
        _await(port, process)
        yield chain
    finally:
        process.terminate()
        process.wait(10)


def _await(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        assert process.poll() is None, "anvil has ended"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("anvil does not answer")
