"""Migrations: up, down, up; they make what tables.py describes; two at once; the guards."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, insert, inspect, select, text
from sqlalchemy.exc import DBAPIError

from provenance.storage import schema, tables
from provenance.storage.errors import SchemaError, StoreConflictError
from provenance.storage.partitions import is_part
from provenance.storage.session import Database


def _tables(database: Database) -> set[str]:
    """Without the parts of tables: test_partitions.py looks at those."""
    with database.read() as connection:
        names = inspect(connection).get_table_names()
    return {name for name in names if not is_part(name)}


def _is_described(name: str | None, kind: str, _: Any) -> bool:
    return not (kind == "table" and name is not None and is_part(name))


def test_up_down_up_gives_exactly_the_described_tables(empty_database: Database) -> None:
    described = {table.name for table in tables.metadata.sorted_tables}
    schema.upgrade(empty_database)
    assert _tables(empty_database) == described | {"alembic_version"}
    schema.downgrade(empty_database)
    assert _tables(empty_database) == {"alembic_version"}
    schema.upgrade(empty_database)
    with empty_database.write() as connection:
        opts = {"compare_type": True, "include_name": _is_described}
        context = MigrationContext.configure(connection, opts=opts)
        assert compare_metadata(context, tables.metadata) == []


def test_upgrade_again_changes_nothing(database: Database) -> None:
    schema.upgrade(database)
    schema.check(database)


def test_two_starts_at_once_migrate_once(empty_database_url: str) -> None:
    failures: list[BaseException] = []
    barrier = threading.Barrier(4)

    def start() -> None:
        database = Database.open(empty_database_url)
        try:
            barrier.wait()
            schema.upgrade(database)
        except BaseException as error:
            failures.append(error)
        finally:
            database.close()

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_check_names_the_remedy_without_tables(empty_database: Database) -> None:
    with pytest.raises(SchemaError, match="no tables yet"):
        schema.check(empty_database)


def test_check_refuses_a_newer_database(empty_database: Database) -> None:
    database = empty_database
    schema.upgrade(database)
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaError, match="version 9999, this program needs"):
        schema.check(database)
    with pytest.raises(SchemaError, match="version 9999, which this program does not know"):
        schema.upgrade(database)


def _fill(connection: Connection) -> None:
    connection.execute(
        insert(tables.subjects).values(id=1, uri="s", key=b"k" * 32, count=1, head=b"h", time=1)
    )
    connection.execute(
        insert(tables.parties).values(id=1, uri="s", subject_id=1, state="{}", updated_at=1)
    )
    connection.execute(insert(tables.uploads).values(id=1, accepted_at=1, links=1))
    connection.execute(
        insert(tables.seals).values(
            hash=b"s", upload_id=1, party_id=1, bytes=b"b", size=1, leaves=b"l" * 32
        )
    )
    connection.execute(
        insert(tables.events).values(
            upload_id=1, leaf=0, hash=b"e", bytes=b"b", party_id=1, event_time=1
        )
    )
    connection.execute(
        insert(tables.links).values(
            subject_id=1, seq=0, upload_id=1, leaf=0, ordinal=0, event_hash=b"e", bytes=b"b"
        )
    )
    connection.execute(
        insert(tables.forks).values(id=1, hash=b"f", evidence=b"{}", source="witness", found_at=1)
    )


@pytest.mark.parametrize("table", [table.name for table in tables.APPEND_ONLY])
@pytest.mark.parametrize("statement", ["UPDATE {0} SET {1} = {1}", "DELETE FROM {0}"])
def test_written_rows_are_never_changed(database: Database, table: str, statement: str) -> None:
    column = next(iter(tables.metadata.tables[table].c)).name
    with database.write() as connection:
        _fill(connection)
        before = connection.execute(select(tables.metadata.tables[table])).all()
    # SQLite calls it a constraint that failed, PostgreSQL a restriction violated.
    with (
        pytest.raises((DBAPIError, StoreConflictError), match=f"{table} is append-only"),
        database.write() as connection,
    ):
        connection.execute(text(statement.format(table, column)))
    with database.read() as connection:
        assert connection.execute(select(tables.metadata.tables[table])).all() == before
    assert len(before) == 1


@pytest.mark.postgresql
@pytest.mark.parametrize("product", ["postgresql"], indirect=True)  # SQLite has no TRUNCATE
@pytest.mark.parametrize("table", [table.name for table in tables.APPEND_ONLY])
def test_truncate_is_refused_too(database: Database, table: str) -> None:
    with (
        pytest.raises((DBAPIError, StoreConflictError), match="append-only"),
        database.write() as connection,
    ):
        connection.execute(text(f"TRUNCATE {table} CASCADE"))
