"""provenance anchor: third parties who date checkpoints, and what they said.

None of it decides whether a record holds; it says when a checkpoint was seen by somebody else.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from pathlib import Path

import click

from provenance.cli.anchor_judges import Judges, in_words, judges_options
from provenance.cli.options import data_option, database_option
from provenance.cli.output import errors_end_with, json_option, result, spoken_errors
from provenance.client.evm import KEY_SIZE, EvmNode, address_of, load_account_key, save_account_key
from provenance.config import Settings
from provenance.domain.anchoring import AnchorError
from provenance.platform import Platform
from provenance.services.anchored import list_anchors

_MOST_LISTED = 100


@click.group()
def anchor() -> None:
    """Checkpoints that third parties dated: a time-stamp authority, an EVM contract."""


@anchor.command(name="list")
@data_option
@database_option
@json_option
@spoken_errors
def list_(data: Path, database: str | None, as_json: bool) -> None:
    """Show the last hundred anchors, newest first, pending ones too."""
    platform = Platform.open(Settings.load(os.environ, data=data, database=database))
    try:
        found = list_anchors(platform.database, _MOST_LISTED)
    finally:
        platform.close()
    words = [
        f"{one['kind']:<8} size {one['size']:<10} {one['state']:<10} {one['time'] or ''}".rstrip()
        for one in found
    ]
    result({"anchors": found}, "\n".join(words) or "no checkpoint was anchored yet", as_json)


@anchor.command()
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path))
@json_option
@spoken_errors
def key(path: Path, as_json: bool) -> None:
    """Make the key of an EVM account in the file PATH; its address must be given funds."""
    secret = secrets.token_bytes(KEY_SIZE)
    address = address_of(secret)  # first: without web3 no file is left behind
    save_account_key(path, secret)
    result({"file": str(path), "address": address}, f"{address} (key in {path})", as_json)


@anchor.command()
@click.option("--evm-url", required=True, help="The node (JSON-RPC).")
@click.option("--chain", type=int, required=True, help="The id of the chain that it must serve.")
@click.option(
    "--key",
    "key_path",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Key file of the account that pays and will own the contract.",
)
@json_option
@spoken_errors
def deploy(evm_url: str, chain: int, key_path: Path, as_json: bool) -> None:
    """Put the anchoring contract on a chain, once; its address is a setting from then on."""
    address = EvmNode(evm_url, chain).deploy(load_account_key(key_path))
    result(
        {"contract": address, "chain": chain},
        f"contract {address} on chain {chain}; set PROVENANCE_EVM_CONTRACT={address} and "
        f"PROVENANCE_EVM_CHAIN={chain}",
        as_json,
    )


@anchor.command()
@click.argument("bundle", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@judges_options
@json_option
@errors_end_with(2)
def verify(bundle: Path, tsa_certificates: Path | None, evm_url: str | None, as_json: bool) -> None:
    """Judge the anchors of a passport bundle by your own roots and node.

    Whether their checkpoints belong to the passport's log is for `provenance verify`. Exit status 0
    when none is bad, 1 when one is, 2 if the file cannot be read.
    """
    try:
        document = json.loads(bundle.read_bytes())
        judges = Judges(tsa_certificates, evm_url)
        found = [judges.judge(one) for one in document.get("anchors", ())]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise AnchorError(f"{bundle} is no passport bundle: {error}") from error
    result({"anchors": found}, in_words(found) or "the bundle has no anchors", as_json)
    sys.exit(1 if any(one["result"] == "bad" for one in found) else 0)
