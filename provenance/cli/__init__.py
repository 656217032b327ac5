"""The command line: thin over services and client, one module a subject."""

from __future__ import annotations

import click

from provenance.cli.anchor import anchor
from provenance.cli.audit import audit
from provenance.cli.bench import bench
from provenance.cli.database import database
from provenance.cli.demo import demo
from provenance.cli.files import seal, upload
from provenance.cli.fork import fork
from provenance.cli.log import log
from provenance.cli.operate import build_verifier, fsck, init
from provenance.cli.parties import key, party
from provenance.cli.policy import policy
from provenance.cli.receipt import receipt
from provenance.cli.serve import sequence, serve
from provenance.cli.verify import verify
from provenance.cli.witness import witness


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="provenance")
def main() -> None:
    """Product histories that a shopper's own phone can verify."""


for _command in (
    *(serve, init, demo, party, key, seal, upload, verify, fsck, fork, bench, build_verifier),
    *(audit, witness, log, policy, sequence, receipt, anchor, database),
):
    main.add_command(_command)
