"""provenance receipt: the proof that one event stands in the log, as a file to keep.

    provenance receipt event.json > x.tlog-proof
    provenance receipt --verify x.tlog-proof --policy policy.txt

Exit status when verifying: 0 it holds, 1 it does not (the reason is printed), 2 unusable input.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from merkle.checkpoint import parse_checkpoint
from merkle.errors import MalformedError, MerkleError
from merkle.hashing import leaf_hash
from merkle.note import parse_note
from merkle.policy import Policy
from merkle.receipt import parse_receipt, verify_receipt
from provenance.cli.options import url_option
from provenance.cli.output import json_option, note, result, spoken_errors
from provenance.cli.verify import read, unusable
from provenance.client.api import Api
from provenance.config import Settings
from provenance.crypto.cose import CoseReceiptError, decode_receipt, read_receipt_key
from provenance.crypto.mldsa import is_available, verify_mldsa
from provenance.crypto.signing import verify_ed25519
from provenance.domain import canonical
from provenance.domain.chain import decode_link, subject_key
from provenance.domain.errors import DomainError
from provenance.domain.event import Event, parse_event
from provenance.domain.moments import format_ledger_time
from provenance.domain.seal import SEAL_TYPE
from provenance.platform import Platform
from provenance.services.entry_receipts import prove_entry
from qr.identifier import canonical_identifier

_HASH = re.compile(r"[0-9a-f]{64}")
_COSE_START = b"\xd2"  # CBOR tag 18; a tlog-proof starts with a letter


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which link: that of an event (32-byte hash) on the chain of a canonical subject."""

    event: bytes
    subject: str


@click.command()
@click.argument("event", required=False)
@click.option("--subject", help="On whose chain; default: the event's first subject.")
@click.option("--number", type=click.IntRange(1), help="Which event of an upload, from 1.")
@url_option
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Read the platform's own data directory instead of asking --url.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["tlog-proof", "cose"]),
    default="tlog-proof",
    show_default=True,
    help="C2SP tlog-proof, or a COSE receipt (RFC 9942) of the same leaf.",
)
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="Not stdout.")
@click.option(
    "--verify",
    "check",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Judge this receipt file instead of fetching one.",
)
@click.option(
    "--policy",
    type=click.Path(dir_okay=False, path_type=Path),
    help="With --verify: the reader's own policy file.",
)
@click.option(
    "--receipt-key",
    type=click.Path(dir_okay=False, path_type=Path),
    help="With --verify of a COSE receipt: the note served at /log/receipt-key.",
)
@click.option("--link", help="With --verify of a COSE receipt: the link hash, in hex.")
@json_option
@spoken_errors
def receipt(
    event: str | None,
    subject: str | None,
    number: int | None,
    url: str,
    data: Path | None,
    form: str,
    output: Path | None,
    check: Path | None,
    policy: Path | None,
    receipt_key: Path | None,
    link: str | None,
    as_json: bool,
) -> None:
    """Fetch the receipt of EVENT (a sealed upload, an event's JSON file, or an event hash with
    --subject); or judge one with --verify, and then EVENT is what it must be about."""
    wanted = None if event is None else _wanted(event, subject, number)
    if check is not None:
        _verify(check, wanted, policy, receipt_key, link, as_json)
        return
    if wanted is None:
        raise click.UsageError("name an EVENT, or a receipt with --verify")
    document = _fetch(wanted, url, data, form)
    if output is None:
        click.echo(document, nl=False)
        return
    output.write_bytes(document)
    facts = {"file": str(output), "event": wanted.event.hex(), "subject": wanted.subject}
    result(facts, f"receipt of event {wanted.event.hex()} written to {output}", as_json)


def _wanted(event: str, subject: str | None, number: int | None) -> Wanted:
    if _HASH.fullmatch(event):
        if subject is None:
            raise click.UsageError("an event hash does not tell its subject: add --subject URI")
        return Wanted(bytes.fromhex(event), canonical_identifier(subject))
    found = _read_event(Path(event), number)
    subjects = found.subjects
    chosen = subjects[0] if subject is None else canonical_identifier(subject)
    if chosen not in subjects:
        raise click.UsageError(f"the event is not about {chosen}; it is about {subjects[0]}")
    return Wanted(found.hash, chosen)


def _read_event(path: Path, number: int | None) -> Event:
    """The event of a file: one JSON document, or an upload whose first line is the seal."""
    data = path.read_bytes()
    lines = [line for line in data.split(b"\n") if line]
    if not lines or f'"{SEAL_TYPE}"'.encode() not in lines[0]:
        return parse_event(canonical.encode(canonical.parse(data)))
    if number is None and len(lines) > 2:
        raise click.UsageError(f"{path} holds {len(lines) - 1} events: choose with --number")
    if (number or 1) >= len(lines):
        raise click.UsageError(f"{path} holds {len(lines) - 1} events, not {number or 1}")
    return parse_event(lines[number or 1])


def _fetch(wanted: Wanted, url: str, data: Path | None, form: str) -> bytes:
    if data is None:
        subject = quote(wanted.subject, safe="")
        path = f"/api/v1/subjects/{subject}/events/{wanted.event.hex()}/receipt"
        return Api(url).fetch(f"{path}?format={form}")
    platform = Platform.open(Settings.load(os.environ, data=data))
    try:
        entry = prove_entry(platform.database, platform.tiles, wanted.subject, wanted.event)
        note(f"link {leaf_hash(entry.link).hex()} at index {entry.index}")
        return entry.cose(platform.keys.receipt) if form == "cose" else entry.tlog_proof()
    finally:
        platform.close()


# --- verifying ------------------------------------------------------------------------------------


def _verify(
    path: Path,
    wanted: Wanted | None,
    policy_path: Path | None,
    key_path: Path | None,
    link: str | None,
    as_json: bool,
) -> None:
    if policy_path is None:
        unusable("--verify needs --policy, the reader's own")
    data = read(path, "receipt")
    try:
        policy = Policy.parse(read(policy_path, "policy"))
    except MerkleError as error:
        unusable(f"the policy {policy_path} cannot be used: {error}")
    try:
        if data.startswith(_COSE_START):
            facts = _judge_cose(data, policy, key_path, link)
        else:
            facts = _judge_tlog_proof(data, policy, wanted)
    except MalformedError as error:
        unusable(f"{path}: {error}")
    except (MerkleError, DomainError) as error:
        result({"receipt": "refused", "detail": str(error)}, f"REFUSED: {error}", as_json)
        sys.exit(1)
    words = "\n".join(f"  {name:<8} {value}" for name, value in facts.items())
    result({"receipt": "holds", **facts}, f"HOLDS: {path}\n{words}", as_json)


class _OtherLinkError(DomainError):
    """A good receipt, and not of what it was said to be of."""


def _judge_tlog_proof(data: bytes, policy: Policy, wanted: Wanted | None) -> dict[str, Any]:
    receipt = parse_receipt(data)
    if receipt.extra is None:
        raise _OtherLinkError("the receipt carries no link, so there is nothing to be proved")
    # Before the proof is believed only the form is: `extra` is not authenticated but by the path.
    link = decode_link(receipt.extra)
    mldsa = verify_mldsa if is_available() else None
    verify_receipt(receipt, leaf_hash(receipt.extra), policy, verify_ed25519, mldsa)
    if wanted is not None and (link.event, link.key) != (wanted.event, subject_key(wanted.subject)):
        raise _OtherLinkError(
            f"the receipt is of event {link.event.hex()}, expected {wanted.event.hex()} on the "
            f"chain of {wanted.subject}"
        )
    checkpoint = parse_checkpoint(parse_note(receipt.checkpoint).text)
    return {
        "event": link.event.hex(),
        "link": link.hash.hex(),
        "accepted": format_ledger_time(link.time),
        "log": checkpoint.origin,
        "index": receipt.index,
        "size": checkpoint.size,
    }


def _judge_cose(
    data: bytes, policy: Policy, key_path: Path | None, link: str | None
) -> dict[str, Any]:
    if key_path is None or link is None or not _HASH.fullmatch(link):
        unusable("a COSE receipt needs --receipt-key FILE and --link HASH (64 hex digits)")
    key_note = read(key_path, "receipt key")
    for log in policy.logs:
        judges = policy.log_verifiers(log.origin, verify_ed25519)
        try:
            key = read_receipt_key(key_note, log.origin, judges)
        except CoseReceiptError:
            continue
        decoded = decode_receipt(data)
        root = decoded.verify(bytes.fromhex(link), key)
        return {"link": link, "log": log.origin, "index": decoded.index, "root": root.hex()}
    raise CoseReceiptError(f"no log of the policy signed the receipt key in {key_path}")
