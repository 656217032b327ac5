"""Alembic's entry: runs migrations on the connection that provenance/storage/schema.py hands over.

Called from the `alembic` command there is no such connection; then PROVENANCE_DATABASE names the
database. Everything happens in one transaction on both dialects: an upgrade is whole or did not
happen.
"""

from __future__ import annotations

import os

from alembic import context
from sqlalchemy import Connection

from provenance.storage.session import Database
from provenance.storage.tables import metadata


def run(connection: Connection) -> None:
    """Run what the caller asked for inside the transaction that `connection` has open."""
    context.configure(connection=connection, target_metadata=metadata, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()


def run_from_command() -> None:
    """The same for `alembic upgrade …`, on the database that the environment names."""
    url = os.environ.get("PROVENANCE_DATABASE")
    if not url:
        raise SystemExit("set PROVENANCE_DATABASE to the database URL, e.g. sqlite:///PATH")
    with Database.open(url).write() as connection:
        run(connection)


if context.is_offline_mode():
    raise SystemExit("migrations here are run on a database; --sql is not supported")
given = context.config.attributes.get("connection")
if given is None:
    run_from_command()
else:
    run(given)
