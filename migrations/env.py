"""Alembic's entry: runs migrations on the connection that provenance/storage/schema.py hands over.

Called from the `alembic` command there is no such connection; then PROVENANCE_DATABASE names the
database. Everything that the caller asks for happens in one transaction on both dialects;
storage/schema.py asks for one revision at a time.

`alembic upgrade 0004:head --sql` prints what PostgreSQL would be told, a transaction a revision,
for those who want to read it first and for the linter of the tests. It needs no database.
"""

from __future__ import annotations

import os
from typing import Any

from alembic import context
from sqlalchemy import Connection

from provenance.storage.partitions import is_part
from provenance.storage.session import Database
from provenance.storage.tables import metadata


def run(connection: Connection) -> None:
    """Run what the caller asked for inside the transaction that `connection` has open."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        transactional_ddl=True,
        include_name=_is_described,
    )
    with context.begin_transaction():
        context.run_migrations()


def run_from_command() -> None:
    """The same for `alembic upgrade …`, on the database that the environment names."""
    url = os.environ.get("PROVENANCE_DATABASE")
    if not url:
        raise SystemExit("set PROVENANCE_DATABASE to the database URL, e.g. sqlite:///PATH")
    with Database.open(url).write() as connection:
        run(connection)


def print_sql() -> None:
    """What PostgreSQL would be told."""
    context.configure(
        dialect_name="postgresql",
        literal_binds=True,
        transaction_per_migration=True,
        # Otherwise every % is doubled, for a driver that is not there.
        dialect_opts={"paramstyle": "named"},
    )
    with context.begin_transaction():
        context.run_migrations()


def _is_described(name: str | None, kind: str, _: Any) -> bool:
    """Parts belong to a table of the description and are not described themselves."""
    return not (kind == "table" and name is not None and is_part(name))


if context.is_offline_mode():
    print_sql()
elif (given := context.config.attributes.get("connection")) is None:
    run_from_command()
else:
    run(given)
