"""Transactions: durable or nothing, one snapshot, errors that say whose fault, forks."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import DBAPIError

from provenance.domain.errors import UnavailableError
from provenance.storage.errors import (
    SchemaError,
    StorageError,
    StoreConflictError,
    StoreUnavailableError,
)
from provenance.storage.session import Database, Replica
from provenance.storage.tables import leases


def _insert(database: Database, name: str) -> None:
    with database.write() as connection:
        connection.execute(insert(leases).values(name=name, holder="h", token=1, expires_at=1))


def _names(database: Database) -> set[str]:
    with database.read() as connection:
        return set(connection.scalars(select(leases.c.name)))


def test_a_write_is_kept_when_the_block_ends(database: Database, database_url: str) -> None:
    _insert(database, "a")
    again = Database.open(database_url)
    assert _names(again) == {"a"}
    again.close()


def test_an_exception_in_the_block_undoes_all_of_it(database: Database) -> None:
    with pytest.raises(RuntimeError, match="stop"), database.write() as connection:
        connection.execute(insert(leases).values(name="a", holder="h", token=1, expires_at=1))
        raise RuntimeError("stop")
    assert _names(database) == set()


def test_a_read_is_one_snapshot(database: Database) -> None:
    with database.read() as connection:
        before = set(connection.scalars(select(leases.c.name)))
        _insert(database, "a")
        assert set(connection.scalars(select(leases.c.name))) == before == set()
    assert _names(database) == {"a"}


def test_a_read_cannot_write(database: Database) -> None:
    with pytest.raises((DBAPIError, StorageError)), database.read() as connection:
        connection.execute(insert(leases).values(name="a", holder="h", token=1, expires_at=1))
    assert _names(database) == set()
    _insert(database, "b")  # the same pooled connection can write again


def test_a_name_that_is_taken_is_a_lost_race(database: Database) -> None:
    _insert(database, "a")
    with pytest.raises(StoreConflictError):
        _insert(database, "a")


def test_a_broken_rule_of_ours_is_no_race(database: Database) -> None:
    with pytest.raises(DBAPIError), database.write() as connection:
        connection.execute(text("INSERT INTO leases (name) VALUES ('a')"))  # holder is missing


def test_a_missing_table_is_no_outage(empty_database: Database) -> None:
    with pytest.raises(DBAPIError), empty_database.read() as connection:
        connection.execute(select(leases))


def test_writers_wait_for_one_another(database: Database) -> None:
    def add() -> None:
        for _ in range(20):
            with database.write() as connection:
                token = connection.scalar(select(leases.c.token).with_for_update())
                connection.execute(update(leases).values(token=token + 1))

    _insert(database, "a")
    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as connection:
        assert connection.scalar(select(leases.c.token)) == 81


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_database_opened_before_a_fork_works_on_both_sides(database: Database) -> None:
    _insert(database, "parent before")
    child = os.fork()
    if child == 0:
        try:
            _insert(database, "child")
            os._exit(0 if "parent before" in _names(database) else 1)
        except BaseException:
            os._exit(2)
    _insert(database, "parent after")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert _names(database) == {"parent before", "parent after", "child"}


@pytest.mark.parametrize("product", ["sqlite"], indirect=True)
def test_sqlite_is_durable_and_shared(database: Database) -> None:
    with database.read() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "query_only")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "query_only": 1}


@pytest.mark.postgresql
@pytest.mark.parametrize("product", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    ("said", "used"),
    [
        # An acknowledgement must not depend on what a server, a database or a role has switched off
        ("off", "on"),
        ("local", "on"),
        # and never be worth less than what they ask for.
        ("remote_write", "remote_write"),
        ("on", "on"),
        ("remote_apply", "remote_apply"),
    ],
)
def test_a_commit_waits_at_least_for_what_the_server_says(
    database_url: str, said: str, used: str
) -> None:
    careless = Database.open(f"{database_url}&options=-csynchronous_commit%3D{said}")
    with careless.write() as connection:
        assert connection.scalar(text("SHOW synchronous_commit")) == used
    careless.close()


@pytest.mark.postgresql
@pytest.mark.parametrize("product", ["postgresql"], indirect=True)
def test_a_primary_is_no_replica(database_url: str) -> None:
    replica = Replica.open(database_url)
    with (
        pytest.raises(StoreUnavailableError, match="is a primary, a read replica was expected"),
        replica.read(),
    ):
        pass
    replica.close()


@pytest.mark.postgresql
@pytest.mark.parametrize("product", ["postgresql"], indirect=True)
def test_postgresql_does_not_wait_for_ever(database: Database, database_url: str) -> None:
    _insert(database, "a")
    impatient = Database.open(database_url, timeout_ms=100)
    with database.write() as connection:
        connection.execute(select(leases).with_for_update())
        with pytest.raises(StoreUnavailableError, match="lock timeout"), impatient.write() as other:
            other.execute(select(leases).with_for_update())
    impatient.close()


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///:memory:",
        "mysql://localhost/x",
        "postgresql+asyncpg://localhost/x",
        "nonsense",
    ],
)
def test_urls_that_cannot_be_served(url: str) -> None:
    with pytest.raises(SchemaError):
        Database.open(url)


def test_no_connection_is_made_before_it_is_needed(tmp_path: Path) -> None:
    Database.open(f"sqlite:///{tmp_path / 'none' / 'x.sqlite'}").close()
    assert list(tmp_path.iterdir()) == []


def test_an_unreachable_database_is_an_outage(tmp_path: Path) -> None:
    database = Database.open(f"sqlite:///{tmp_path / 'missing' / 'x.sqlite'}")
    with pytest.raises(StoreUnavailableError) as refused, database.read() as connection:
        connection.execute(text("SELECT 1"))
    assert isinstance(refused.value, UnavailableError)
    assert refused.value.remedy


def test_a_disk_that_fails_is_reported_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waiting for a turn is for other processes that open the file, not for a broken disk."""
    (tmp_path / "x.sqlite-wal").mkdir()
    monkeypatch.setattr("time.sleep", lambda _: pytest.fail("waited"))
    database = Database.open(f"sqlite:///{tmp_path / 'x.sqlite'}")
    with pytest.raises(StoreUnavailableError, match="disk"), database.write() as connection:
        connection.execute(text("CREATE TABLE t (a)"))
