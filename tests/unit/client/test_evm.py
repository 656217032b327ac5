"""EVM anchors against a real node: the contract's rules, and requests that survive any crash."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from web3 import Web3
from web3.exceptions import ContractCustomError

from merkle.checkpoint import Checkpoint
from provenance.client.evm import (
    EvmAnchor,
    EvmNode,
    address_of,
    load_account_key,
    save_account_key,
)
from provenance.domain.anchoring import AnchorError, AnchorSupersededError
from tests.support.evm import CHAIN, SECRET, STRANGER, Chain, serving_chain
from tests.support.missing import missing

ROOT = Path(__file__).resolve().parents[3]
ARTIFACT = ROOT / "provenance/client/checkpoint_anchor.json"


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    with serving_chain() as running:
        yield running


@pytest.fixture
def contract(chain: Chain) -> str:
    return chain.node.deploy(SECRET)


def text_of(size: int, fill: int = 1, origin: str = "log.example/1") -> bytes:
    return Checkpoint(origin, size, bytes([fill]) * 32).format().encode()


def anchor_in(
    chain: Chain, contract: str, *, secret: bytes = SECRET, confirmations: int = 1
) -> EvmAnchor:
    return EvmAnchor(chain.node, contract, secret, confirmations=confirmations)


def test_the_committed_bytecode_is_that_of_the_source() -> None:
    if shutil.which("node") is None or not (ROOT / "node_modules/solc").exists():
        missing("no compiler: npm's development packages are not installed (make setup-test)")
    compiled = subprocess.run(
        ["node", "scripts/compile_contract.mjs", "--print"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert compiled.stdout == ARTIFACT.read_text("utf-8")


def test_a_checkpoint_is_anchored_confirmed_and_verified(chain: Chain, contract: str) -> None:
    anchor = anchor_in(chain, contract)
    text = text_of(5)
    assert anchor.poll(text) is None
    assert anchor.request(text) is None
    confirmed = anchor.poll(text)
    assert confirmed is not None
    assert abs(confirmed.time / 1000 - time.time()) < 60
    assert confirmed.proof["contract"] == contract
    assert confirmed.proof["chain"] == CHAIN
    assert chain.node.verify(text, confirmed.proof) == confirmed.time
    assert anchor.request(text) == confirmed  # asking again changes nothing


def test_confirmation_waits_for_enough_blocks(chain: Chain, contract: str) -> None:
    anchor = anchor_in(chain, contract, confirmations=3)
    anchor.request(text_of(5))
    assert anchor.poll(text_of(5)) is None
    chain.mine()
    assert anchor.poll(text_of(5)) is None
    chain.mine()
    confirmed = anchor.poll(text_of(5))
    assert confirmed is not None
    with pytest.raises(AnchorError, match="blocks confirm the anchor, expected 99"):
        chain.node.verify(text_of(5), confirmed.proof, confirmations=99)


def test_what_is_under_way_is_not_sent_twice(chain: Chain, contract: str) -> None:
    chain.hold()
    try:
        anchor_in(chain, contract).request(text_of(5))
        sent = pending(chain)
        # Another process, or this one after a crash: it knows nothing but the chain.
        assert anchor_in(chain, contract).request(text_of(5)) is None
        assert pending(chain) == sent == 1
    finally:
        chain.hold(False)
        chain.mine()
    assert anchor_in(chain, contract).poll(text_of(5)) is not None


def pending(chain: Chain) -> int:
    answer = chain.node.web3.provider.make_request("txpool_status", [])
    return int(answer["result"]["pending"], 16)


def test_a_smaller_checkpoint_is_given_up_and_another_root_is_an_alarm(
    chain: Chain, contract: str
) -> None:
    anchor = anchor_in(chain, contract)
    anchor.request(text_of(9))
    with pytest.raises(AnchorSupersededError, match="holds size 9, above 5"):
        anchor.request(text_of(5))
    with pytest.raises(AnchorError, match="one key has signed two histories"):
        anchor.request(text_of(9, fill=2))
    assert anchor.request(text_of(3, origin="log.example/2")) is None  # another log begins anew
    assert anchor.poll(text_of(3, origin="log.example/2")) is not None


def test_a_contract_that_holds_what_it_never_announced_confirms_nothing(
    chain: Chain, contract: str
) -> None:
    anchor_in(chain, contract).request(text_of(5))
    # The first member of mapping slot 0 under this origin: its root, exchanged behind the event.
    slot = Web3.keccak(sha256(b"log.example/1").digest() + bytes(32))
    chain.node.web3.provider.make_request(
        "anvil_setStorageAt", [contract, "0x" + slot.hex().removeprefix("0x"), "0x" + "02" * 32]
    )
    with pytest.raises(AnchorError, match="whose event is of something else"):
        anchor_in(chain, contract).poll(text_of(5, fill=2))


@pytest.mark.parametrize(
    ("size", "fill", "secret", "reason"),
    [
        (8, 1, SECRET, "GoesBack"),
        (0, 1, SECRET, "Empty"),
        (9, 2, SECRET, "ChangesRoot"),
        (10, 1, STRANGER, "NotTheOwner"),
    ],
)
def test_the_contract_itself_refuses(
    chain: Chain, contract: str, size: int, fill: int, secret: bytes, reason: str
) -> None:
    anchor_in(chain, contract).request(text_of(9))
    functions = chain.node.contract(contract).functions
    origin_hash = sha256(b"log.example/1").digest()
    call = functions.anchor(origin_hash, size, bytes([fill]) * 32)
    with pytest.raises(ContractCustomError) as caught:
        call.call({"from": address_of(secret)})
    assert selector(reason) in str(caught.value)
    assert functions.newest(origin_hash).call()[:2] == [9, b"\x01" * 32]


def selector(name: str) -> str:
    abi = json.loads(ARTIFACT.read_text())["abi"]
    (error,) = [one for one in abi if one["type"] == "error" and one["name"] == name]
    kinds = ",".join(one["type"] for one in error["inputs"])
    return "0x" + Web3.keccak(text=f"{name}({kinds})")[:4].hex()


def test_verifying_compares_all_that_the_proof_says(chain: Chain, contract: str) -> None:
    anchor = anchor_in(chain, contract)
    anchor.request(text_of(5))
    confirmed = anchor.poll(text_of(5))
    assert confirmed is not None
    node = chain.node
    other = node.deploy(SECRET)
    altered: list[tuple[dict[str, Any], bytes]] = [
        ({"block": confirmed.proof["block"] + 1}, text_of(5)),
        ({"contract": other}, text_of(5)),
        ({"transaction": "0x" + "11" * 32}, text_of(5)),
        ({"chain": 1}, text_of(5)),
        ({}, text_of(6)),
        ({}, text_of(5, fill=2)),
        ({}, text_of(5, origin="log.example/2")),
    ]
    for changes, text in altered:
        with pytest.raises(AnchorError):
            node.verify(text, {**confirmed.proof, **changes})


def test_a_node_of_another_chain_is_refused_before_anything_is_signed(
    chain: Chain, contract: str
) -> None:
    node = EvmNode(chain.url, 1)
    with pytest.raises(AnchorError, match=f"serves chain {CHAIN}, expected 1"):
        EvmAnchor(node, contract, SECRET, confirmations=1).request(text_of(5))
    with pytest.raises(AnchorError, match="serves chain"):
        node.deploy(SECRET)


def test_a_node_that_is_away_is_an_error() -> None:
    node = EvmNode("http://127.0.0.1:9", CHAIN, timeout_s=0.5)
    with pytest.raises(AnchorError, match="the EVM node fails"):
        EvmAnchor(node, "0x" + "00" * 20, SECRET, confirmations=1).poll(text_of(5))


def test_without_web3_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "web3", None)
    with pytest.raises(AnchorError, match=r"checkout, .venv/bin/pip install -e '.\[evm\]'"):
        EvmNode("http://127.0.0.1:9", CHAIN).verify(
            text_of(5), {"chain": CHAIN, "transaction": "0x"}
        )


def test_an_account_key_comes_back_from_its_file(tmp_path: Path) -> None:
    save_account_key(tmp_path / "evm.key", SECRET)
    assert (tmp_path / "evm.key").stat().st_mode & 0o777 == 0o600
    assert load_account_key(tmp_path / "evm.key") == SECRET
    assert address_of(SECRET) == "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
