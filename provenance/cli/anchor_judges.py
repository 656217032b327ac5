"""Anchors judged by what a reader believes: roots of time-stamp authorities, an EVM node.

Beside the verdict and never part of it: a record holds or does not hold whatever third parties say.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from merkle.errors import MerkleError
from merkle.note import parse_note
from provenance.client.evm import EvmNode
from provenance.crypto.timestamps import load_roots, verify_token
from provenance.domain.anchoring import AnchorError
from provenance.domain.moments import format_seconds


@dataclass(frozen=True, slots=True)
class Judges:
    """What a reader judges anchors by: roots of authorities, a node. Either may be missing."""

    certificates: Path | None
    evm_url: str | None

    def judge(self, anchor: Mapping[str, Any]) -> dict[str, Any]:
        """``kind``, ``time`` as stated, and ``result`` (good, bad, not-checked; why bad)."""
        said = {"kind": anchor["kind"], "time": anchor["time"]}
        try:
            found = self._time_of(anchor)
        except (AnchorError, MerkleError) as error:
            return {**said, "result": "bad", "detail": str(error)}
        if found is None:
            return {**said, "result": "not-checked"}
        if format_seconds(found // 1000) != anchor["time"]:
            detail = f"the time that is proved is {format_seconds(found // 1000)}"
            return {**said, "result": "bad", "detail": detail}
        return {**said, "result": "good"}

    def _time_of(self, anchor: Mapping[str, Any]) -> int | None:
        text = parse_note(anchor["checkpoint"].encode()).text.encode()
        proof = anchor["proof"]
        if anchor["kind"] == "rfc3161" and self.certificates is not None:
            return verify_token(b64decode(proof["token"]), text, load_roots(self.certificates))
        if anchor["kind"] == "evm" and self.evm_url is not None:
            return EvmNode(self.evm_url, proof["chain"]).verify(text, proof)
        return None


def judges_options(command: Any) -> Any:
    """``--tsa-certificates`` and ``--evm-url``, for every command that judges anchors."""
    certificates = click.option(
        "--tsa-certificates",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Root certificates (PEM) under which you believe time-stamp authorities.",
    )
    node = click.option("--evm-url", help="An EVM node that you believe.")
    return certificates(node(command))


def in_words(found: Sequence[Mapping[str, Any]]) -> str:
    """A line for each judged anchor."""
    return "\n".join(
        f"  anchor {one['kind']:<8} {one['time']} {one['result']}"
        + (f": {one['detail']}" if "detail" in one else "")
        for one in found
    )
