"""Options that several commands share, each explained once."""

from __future__ import annotations

import os
import time
from pathlib import Path

import click

from provenance.client.api import Api
from provenance.client.sealing import Signer
from provenance.crypto.signing import PrivateKey, load_key

url_option = click.option(
    "--url",
    envvar="PROVENANCE_BASE_URL",
    default="http://127.0.0.1:8000",
    show_default=True,
    help="The platform's address.",
)
party_option = click.option("--party", required=True, help="The party's URI.")
key_option = click.option(
    "--key",
    "key_path",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File of the private key that signs (made by: provenance key new).",
)
data_option = click.option(
    "--data",
    envvar="PROVENANCE_DATA",
    default="data",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The platform's data directory.",
)
database_option = click.option(
    "--database",
    envvar="PROVENANCE_DATABASE",
    default=None,
    help="SQLAlchemy URL, such as postgresql+psycopg://…; without it SQLite in the data directory.",
)


def random_bytes(count: int) -> bytes:
    """The system's generator."""
    return os.urandom(count)


def now_seconds() -> int:
    """POSIX seconds of the system's clock."""
    return int(time.time())


def signer_for(api: Api, party: str, key_path: Path, origin: str | None = None) -> Signer:
    """A signer for the log of that name, or else for the one that the platform runs."""
    key = load(key_path)  # first: a key file that cannot be used needs no network to be refused
    return Signer(origin=origin or str(api.log()["origin"]), party=party, key=key)


def load(key_path: Path) -> PrivateKey:
    """The private key of a file."""
    return load_key(key_path)
