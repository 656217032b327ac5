"""provenance party …, provenance key …: who signs, with which keys, in which roles."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import click

from provenance.cli.options import (
    key_option,
    load,
    now_seconds,
    party_option,
    random_bytes,
    signer_for,
    url_option,
)
from provenance.cli.output import json_option, note, result, spoken_errors
from provenance.client.api import Api
from provenance.client.party_events import Registrar
from provenance.client.sealing import Signer
from provenance.crypto.signing import PrivateKey, save_key
from provenance.domain.moments import parse_claimed_time
from provenance.domain.party_events import REASONS, ROLES, operator_uri

custody_option = click.option(
    "--custody",
    type=click.Choice(["party", "platform"]),
    default="party",
    show_default=True,
    help="Who holds the private key, as you declare it; 'platform' is shown on every passport.",
)
new_key_option = click.option(
    "--new-key",
    "new_key_path",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File of the further key.",
)
operator_option = click.option(
    "--operator-key",
    "operator_path",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The operator's key file (DATA/keys/operator.key).",
)


@click.group()
def party() -> None:
    """Register and accredit parties, look them up."""


@click.group()
def key() -> None:
    """Make, add, rotate and revoke keys."""


def registrar(url: str) -> Registrar:
    """A registrar for the platform at `url`, with the system's clock and randomness."""
    return Registrar(Api(url), now_seconds(), random_bytes)


def answered(receipt: dict[str, Any], words: str, as_json: bool) -> None:
    """Prints the receipt of a party event."""
    result(receipt, f"{words} at {receipt['accepted']}", as_json)


@party.command()
@party_option
@key_option
@url_option
@click.option("--name", required=True, help="Name in English.")
@click.option("--name-zh", help="Name in Chinese.")
@custody_option
@json_option
@spoken_errors
def register(
    party: str,
    key_path: Path,
    url: str,
    name: str,
    name_zh: str | None,
    custody: str,
    as_json: bool,
) -> None:
    """Register a party under its first key, which signs the registration."""
    desk = registrar(url)
    names = {"en": name} | ({"zh": name_zh} if name_zh else {})
    receipt = desk.register(signer_for(desk.api, party, key_path), names, custody)
    answered(receipt, f"registered {party}", as_json)


def _operator(desk: Registrar, operator_path: Path) -> Signer:
    origin = str(desk.api.log()["origin"])
    return Signer(origin, operator_uri(origin), load(operator_path))


def milliseconds(text: str | None) -> int | None:
    """Milliseconds since 1970 of an RFC 3339 option value."""
    return None if text is None else parse_claimed_time(text) // 1000


@party.command()
@party_option
@operator_option
@url_option
@click.option(
    "--role", required=True, type=click.Choice(sorted(ROLES)), help="What the party may vouch for."
)
@click.option("--until", help="RFC 3339 time at which the accreditation ends by itself.")
@json_option
@spoken_errors
def accredit(
    party: str, operator_path: Path, url: str, role: str, until: str | None, as_json: bool
) -> None:
    """Grant a party a role (the operator signs)."""
    desk = registrar(url)
    receipt = desk.accredit(_operator(desk, operator_path), party, role, milliseconds(until))
    answered(receipt, f"accredited {party} as {role}", as_json)


@party.command()
@party_option
@operator_option
@url_option
@click.option(
    "--role", required=True, type=click.Choice(sorted(ROLES)), help="What the party may vouch for."
)
@json_option
@spoken_errors
def withdraw(party: str, operator_path: Path, url: str, role: str, as_json: bool) -> None:
    """End a role of a party (the operator signs)."""
    desk = registrar(url)
    receipt = desk.withdraw(_operator(desk, operator_path), party, role)
    answered(receipt, f"withdrew the role {role} of {party}", as_json)


@party.command("list")
@url_option
@json_option
@spoken_errors
def list_parties(url: str, as_json: bool) -> None:
    """All parties with their roles."""
    parties = list(Api(url).parties())
    words = "\n".join(_in_words(entry) for entry in parties) or "no party yet"
    result({"parties": parties}, words, as_json)


@party.command()
@click.argument("uri")
@url_option
@json_option
@spoken_errors
def show(uri: str, url: str, as_json: bool) -> None:
    """One party with its keys and roles."""
    found = Api(url).party(uri)
    keys = "\n".join(f"  key {name}: {_key_words(state)}" for name, state in found["keys"].items())
    result(found, _in_words(found) + "\n" + keys, as_json)


def _in_words(entry: dict[str, Any]) -> str:
    roles = ", ".join(entry["rolesNow"]) or "no role now"
    name = entry["name"].get("en") or next(iter(entry["name"].values()))
    return f"{entry['uri']}  {name}  ({roles})"


def _key_words(state: dict[str, Any]) -> str:
    held = f"declared as held by the {state['custody']}"
    words = f"{held}, added {state['addedAt']}"
    words += f", valid until {state['validUntil']}" if "validUntil" in state else ""
    words += f", revoked {state['revokedAt']} ({state['reason']})" if "revokedAt" in state else ""
    since = state.get("compromisedSince")
    return words + (f", doubtful since {since}" if since else "")


@key.command("new")
@click.argument("file", type=click.Path(exists=False, path_type=Path))
@json_option
@spoken_errors
def new_key(file: Path, as_json: bool) -> None:
    """Make a private key file (readable by its owner only) and print its public multikey."""
    made = PrivateKey.generate(secrets.token_bytes)
    save_key(file, made)
    note(f"private key in {file}: keep it, and keep a copy off this machine")
    result({"file": str(file), "multikey": made.public.multikey}, made.public.multikey, as_json)


@key.command("add")
@party_option
@key_option
@new_key_option
@url_option
@custody_option
@click.option("--until", help="RFC 3339 time at which the key ends by itself.")
@json_option
@spoken_errors
def add_key(
    party: str,
    key_path: Path,
    new_key_path: Path,
    url: str,
    custody: str,
    until: str | None,
    as_json: bool,
) -> None:
    """Add a further key; the present key signs and the new one proves its possession."""
    desk = registrar(url)
    signer = signer_for(desk.api, party, key_path)
    receipt = desk.add_key(signer, party, load(new_key_path), custody, milliseconds(until))
    answered(receipt, f"added {load(new_key_path).public.multikey}", as_json)


@key.command("rotate")
@party_option
@key_option
@new_key_option
@url_option
@custody_option
@json_option
@spoken_errors
def rotate_key(
    party: str, key_path: Path, new_key_path: Path, url: str, custody: str, as_json: bool
) -> None:
    """Put a new key in the place of the present one, under one seal."""
    desk = registrar(url)
    receipt = desk.rotate_key(signer_for(desk.api, party, key_path), load(new_key_path), custody)
    answered(receipt, f"rotated to {load(new_key_path).public.multikey}", as_json)


@key.command("revoke")
@party_option
@key_option
@url_option
@click.option("--revoke", "multikey", required=True, help="The multikey to revoke (z6Mk…).")
@click.option(
    "--reason", required=True, type=click.Choice(sorted(REASONS)), help="Why the key ends."
)
@click.option(
    "--compromised-since", help="RFC 3339 time; later events under the key become doubtful."
)
@click.option("--as-operator", is_flag=True, help="The key file is the operator's (a lost key).")
@json_option
@spoken_errors
def revoke_key(
    party: str,
    key_path: Path,
    url: str,
    multikey: str,
    reason: str,
    compromised_since: str | None,
    as_operator: bool,
    as_json: bool,
) -> None:
    """Revoke a key from now on; earlier events stand."""
    desk = registrar(url)
    signer = _operator(desk, key_path) if as_operator else signer_for(desk.api, party, key_path)
    since = milliseconds(compromised_since)
    receipt = desk.revoke_key(signer, party, multikey, reason, since)
    answered(receipt, f"revoked {multikey}", as_json)


@key.command("list")
@party_option
@url_option
@json_option
@spoken_errors
def list_keys(party: str, url: str, as_json: bool) -> None:
    """The keys of a party and what became of them."""
    keys = Api(url).party(party)["keys"]
    words = "\n".join(f"{name}: {_key_words(state)}" for name, state in keys.items())
    result({"party": party, "keys": keys}, words, as_json)
