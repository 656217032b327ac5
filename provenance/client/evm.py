"""Checkpoints in an EVM contract (contracts/CheckpointAnchor.sol): a block's time dates them.

The contract keeps the newest size and root of a log, never lets them shrink or change, and emits an
event for each; the block of that event is the anchor. A request sends one transaction and does not
wait; it is confirmed when `confirmations` blocks, the event's own counted, stand on the chain.
Nothing is kept here between the two: what is under way is read from the chain, so a crash between
sending and hearing costs nothing. The chain's id is pinned: a node of another chain is refused
before anything is signed.

web3.py is an optional extra of this package, so it is imported when first needed. Its answers come
from a node that the operator (or the reader who verifies) chose: who asks a node believes it.

Interface and bytecode: ``checkpoint_anchor.json``, made by scripts/compile_contract.mjs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache, wraps
from hashlib import sha256
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from merkle.checkpoint import Checkpoint, parse_checkpoint
from provenance.crypto.keyfiles import read_key_file, write_key_file
from provenance.domain.anchoring import AnchorError, AnchorSupersededError, Confirmed

KEY_PREFIX: Final = bytes.fromhex("8126")
"""Multicodec secp256k1-priv (0x1301) as a varint: what a key file holds before the secret."""
KEY_SIZE: Final = 32

_P = ParamSpec("_P")
_R = TypeVar("_R")


def save_account_key(path: Path, secret: bytes) -> None:
    """Write the secret of an EVM account (32 bytes), readable by the owner alone; KeyFileError."""
    write_key_file(path, KEY_PREFIX, secret)


def load_account_key(path: Path) -> bytes:
    """The secret that :func:`save_account_key` wrote; raises KeyFileError."""
    return read_key_file(path, KEY_PREFIX, KEY_SIZE, "the key of an EVM account")


def address_of(secret: bytes) -> str:
    """The account's address, in the mixed case of EIP-55."""
    return str(_account(secret).address)


def _spoken(
    function: Callable[Concatenate[Any, _P], _R],
) -> Callable[Concatenate[Any, _P], _R]:
    """Whatever node and library throw becomes an AnchorError; only that crosses this edge."""

    @wraps(function)
    def spoken(self: Any, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return function(self, *args, **kwargs)
        except AnchorError:
            raise
        except Exception as error:
            # web3.py has some forty kinds, and passes on those of requests, json and eth_abi.
            raise AnchorError(f"the EVM node fails: {type(error).__name__}: {error}") from error

    return spoken


class EvmNode:
    """A node at `url`, which must serve the chain `chain`."""

    def __init__(self, url: str, chain: int, *, timeout_s: float = 10.0) -> None:
        self.chain = chain
        self._url = url
        self._timeout_s = timeout_s
        self._connected: Any = None

    @property
    def web3(self) -> Any:
        """The connection, once the node has named the right chain."""
        if self._connected is None:
            web3 = _import("web3")
            options = {"timeout": self._timeout_s}
            node = web3.Web3(web3.HTTPProvider(self._url, request_kwargs=options))
            found = int(node.eth.chain_id)
            if found != self.chain:
                raise AnchorError(f"the node serves chain {found}, expected {self.chain}")
            self._connected = node
        return self._connected

    @_spoken
    def deploy(self, secret: bytes) -> str:
        """Put the contract on the chain; its address, once the transaction has succeeded."""
        artifact = _artifact()
        contract = self.web3.eth.contract(abi=artifact["abi"], bytecode=artifact["bytecode"])
        sent = self.send(secret, contract.constructor())
        receipt = self.web3.eth.wait_for_transaction_receipt(sent, timeout=120)
        if receipt["status"] != 1:
            raise AnchorError("the contract could not be deployed: the transaction was reverted")
        return str(receipt["contractAddress"])

    def send(self, secret: bytes, call: Any) -> bytes:
        """Sign and send a transaction of that account; the hash, without waiting."""
        account = _account(secret)
        nonce = self.web3.eth.get_transaction_count(account.address)
        unsigned = call.build_transaction(
            {"from": account.address, "nonce": nonce, "chainId": self.chain}
        )
        signed = account.sign_transaction(unsigned)
        return bytes(self.web3.eth.send_raw_transaction(signed.raw_transaction))

    def contract(self, address: str) -> Any:
        """The contract at that address."""
        checked = self.web3.to_checksum_address(address)
        return self.web3.eth.contract(address=checked, abi=_artifact()["abi"])

    @_spoken
    def verify(self, text: bytes, proof: Mapping[str, Any], confirmations: int = 1) -> int:
        """The time (milliseconds) of the block in which this anchor of `text` stands.

        `proof` is that of docs/formats.md section 8. Raises AnchorError where the chain says
        otherwise. That the contract is one which never goes back is for who knows its address.
        """
        if proof["chain"] != self.chain:
            raise AnchorError(f"the anchor is on chain {proof['chain']}, the node on {self.chain}")
        receipt = self.web3.eth.get_transaction_receipt(proof["transaction"])
        if receipt["status"] != 1 or receipt["blockNumber"] != proof["block"]:
            raise AnchorError(f"block {proof['block']} holds no such transaction that succeeded")
        checkpoint = _checkpoint(text)
        events = (
            self.contract(proof["contract"])
            .events.Anchored()
            .process_receipt(receipt, errors=_import("web3.logs").DISCARD)
        )
        if not any(_is_of(event, proof["contract"], checkpoint) for event in events):
            raise AnchorError("the transaction did not anchor this checkpoint in this contract")
        depth = self.web3.eth.block_number - proof["block"] + 1
        if depth < confirmations:
            raise AnchorError(f"{depth} blocks confirm the anchor, expected {confirmations}")
        return int(self.web3.eth.get_block(proof["block"])["timestamp"]) * 1000


class EvmAnchor:
    """A contract of ours; an Anchor of kind ``evm``. `secret` is the key of the contract's owner.

    `confirmations` counts blocks, the one with the event included.
    """

    kind = "evm"

    def __init__(self, node: EvmNode, contract: str, secret: bytes, *, confirmations: int) -> None:
        self._node = node
        self._address = contract
        self._secret = secret
        self._confirmations = confirmations

    @_spoken
    def request(self, text: bytes) -> Confirmed | None:
        """Send the checkpoint, unless it is there or something of ours is under way already."""
        checkpoint = _checkpoint(text)
        if self._block_of(checkpoint) is not None:
            return self._confirmed(checkpoint)
        address = _account(self._secret).address
        count = self._node.web3.eth.get_transaction_count
        if count(address, "pending") > count(address, "latest"):
            return None
        call = self._node.contract(self._address).functions.anchor(
            _origin_hash(checkpoint), checkpoint.size, checkpoint.root
        )
        self._node.send(self._secret, call)
        return None

    @_spoken
    def poll(self, text: bytes) -> Confirmed | None:
        """The anchor, once the contract holds it and enough blocks stand on it."""
        return self._confirmed(_checkpoint(text))

    def _block_of(self, checkpoint: Checkpoint) -> int | None:
        """The block that holds this checkpoint as the newest; None while an older one is."""
        contract = self._node.contract(self._address)
        size, root, block = contract.functions.newest(_origin_hash(checkpoint)).call()
        if size < checkpoint.size:
            return None
        if size == checkpoint.size and bytes(root) != checkpoint.root:
            raise AnchorError(
                f"the contract {self._address} holds root {bytes(root).hex()} for size {size}, "
                f"this log has {checkpoint.root.hex()}: one key has signed two histories"
            )
        if size > checkpoint.size:
            raise AnchorSupersededError(f"the contract holds size {size}, above {checkpoint.size}")
        return int(block)

    def _confirmed(self, checkpoint: Checkpoint) -> Confirmed | None:
        block = self._block_of(checkpoint)
        web3 = self._node.web3
        if block is None or web3.eth.block_number - block + 1 < self._confirmations:
            return None
        contract = self._node.contract(self._address)
        filters = {"originHash": _origin_hash(checkpoint), "size": checkpoint.size}
        (event,) = contract.events.Anchored().get_logs(
            from_block=block, to_block=block, argument_filters=filters
        )
        if not _is_of(event, self._address, checkpoint) or event["blockNumber"] != block:
            raise AnchorError(
                f"the contract {self._address} names block {block}, whose event is of something "
                "else: no reader could verify that anchor"
            )
        proof = {
            "chain": self._node.chain,
            "contract": str(event["address"]),
            "transaction": "0x" + bytes(event["transactionHash"]).hex(),
            "block": block,
        }
        return Confirmed(int(web3.eth.get_block(block)["timestamp"]) * 1000, proof)


def _checkpoint(text: bytes) -> Checkpoint:
    return parse_checkpoint(text.decode())


def _origin_hash(checkpoint: Checkpoint) -> bytes:
    return sha256(checkpoint.origin.encode()).digest()


def _is_of(event: Any, contract: str, checkpoint: Checkpoint) -> bool:
    """Whether a decoded event of the receipt is this checkpoint's, from this contract."""
    said = event["args"]
    return (
        str(event["address"]).lower() == contract.lower()
        and bytes(said["originHash"]) == _origin_hash(checkpoint)
        and said["size"] == checkpoint.size
        and bytes(said["root"]) == checkpoint.root
    )


def _account(secret: bytes) -> Any:
    return _import("eth_account").Account.from_key(secret)


@cache
def _artifact() -> dict[str, Any]:
    text = files("provenance.client").joinpath("checkpoint_anchor.json").read_text("utf-8")
    artifact: dict[str, Any] = json.loads(text)
    return artifact


def _import(name: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise AnchorError(
            "anchors in an EVM contract need web3.py, which is not part of the ordinary install: "
            "in the checkout, .venv/bin/pip install -e '.[evm]'"
        ) from error
