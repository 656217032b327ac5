"""The roles of docs/postgresql.md, as written there: they suffice, and allow nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError

from provenance.config import Settings
from provenance.domain import canonical
from provenance.platform import Platform, initialise, system_clock
from provenance.storage import partitions, schema, tables
from provenance.storage.forks import StoredFork, add_fork
from provenance.storage.jobs import find_job, forget_expired
from provenance.storage.session import Database
from provenance.verify import verify_bundle
from tests.faults.installation import body, fsck, install, sealed
from tests.support.databases import PostgresServer
from tests.support.served import item

pytestmark = pytest.mark.postgresql

PAGE = Path(__file__).resolve().parents[3] / "docs" / "postgresql.md"


@dataclass(frozen=True)
class Roles:
    """URLs of one database for its owner and for the program."""

    owner: str
    app: str


def statements() -> tuple[list[str], list[str]]:
    """What the page tells a superuser to do, and then the owner."""
    roles = PAGE.read_text("utf-8").partition("## Roles")[2].partition("\n## ")[0]
    blocks = re.findall(r"```sql\n(.*?)```", roles, re.DOTALL)
    first, second = ([one.strip() for one in block.split(";") if one.strip()] for block in blocks)
    return first, second


@pytest.fixture
def roles(postgres_server: PostgresServer) -> Iterator[Roles]:
    as_superuser, as_owner = statements()
    for statement in as_superuser:
        postgres_server.run(statement)
    url = make_url(postgres_server.url("provenance"))
    made = Roles(
        *(
            url.set(username=name).render_as_string(hide_password=False)
            for name in ("provenance_owner", "provenance_app")
        )
    )
    owner = Database.open(made.owner)
    schema.upgrade(owner)
    with owner.write() as connection:
        for statement in as_owner:
            connection.execute(text(statement))
    owner.close()
    yield made
    postgres_server.drop(postgres_server.url("provenance"))
    postgres_server.run("DROP ROLE provenance_app")
    postgres_server.run("DROP ROLE provenance_owner")


def test_the_program_runs_under_its_role(roles: Roles, tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "data", database=roles.app)
    brand = install(settings)
    initialise(settings)  # as every start does
    platform = Platform.open(settings)
    try:
        for serials in (("A", "B"), ("B", "C")):
            platform.capture.submit_batch(sealed(brand, *serials).lines())
            assert platform.sequencer.run_once() is not None
        bundle = canonical.encode(platform.prover.passport(item("B")))
        now = system_clock() // 1000
        assert verify_bundle(bundle, platform.policy, now=now).record == "verified"
        fsck(platform)
        with platform.database.write() as connection:
            assert add_fork(connection, StoredFork(b"h", b"{}", "a witness", 1))
        platform.sequencer.release()
    finally:
        platform.close()


def test_large_uploads_come_and_go_under_that_role(roles: Roles, tmp_path: Path) -> None:
    brand = install(settings := Settings(data=tmp_path / "data", database=roles.app))
    platform = Platform.open(settings)
    try:
        jobs, whole = platform.jobs, body(sealed(brand, "J"))
        job = jobs.create(len(whole))
        job = jobs.receive(jobs.begin(job.name, 0, None), [whole[:100]], whole=False)
        job = jobs.receive(jobs.begin(job.name, 100, None), [whole[100:]], whole=True)
        assert job.batches == 1
        other = jobs.create(len(whole))
        jobs.receive(jobs.begin(other.name, 0, None), [whole[:100]], whole=False)
        jobs.cancel(other.name)
        with platform.database.write() as connection:
            forget_expired(connection, 10**15, 0, 10)
        with platform.database.read() as connection:
            assert find_job(connection, job.name) is None
    finally:
        platform.close()


def test_every_table_is_there_to_be_read_and_written(roles: Roles) -> None:
    """A table that is missing on the page would be missed in production only."""
    database = Database.open(roles.app)
    with database.read() as connection:
        for table in tables.metadata.sorted_tables:
            for right in ("SELECT", "INSERT"):
                query = text("SELECT has_table_privilege(:table, :right)")
                assert connection.scalar(query, {"table": table.name, "right": right}), table.name
    database.close()


@pytest.mark.parametrize("table", [table.name for table in tables.APPEND_ONLY])
def test_the_program_may_change_nothing_that_is_append_only(roles: Roles, table: str) -> None:
    database = Database.open(roles.app)
    column = next(iter(tables.metadata.tables[table].c)).name
    for statement in (
        f"UPDATE {table} SET {column} = {column}",  # noqa: S608
        f"DELETE FROM {table}",  # noqa: S608
        f"TRUNCATE {table}",
        f"ALTER TABLE {table} DISABLE TRIGGER ALL",
        f"DROP TABLE {table}",
        "SET session_replication_role = replica",
    ):
        refused = pytest.raises(DBAPIError, match=r"permission denied|must be owner")
        with refused, database.write() as connection:
            connection.execute(text(statement))
    database.close()


def test_the_program_cannot_reach_a_part_or_make_one(roles: Roles) -> None:
    database = Database.open(roles.app)
    with pytest.raises(DBAPIError, match="permission denied"), database.write() as connection:
        connection.execute(text("DELETE FROM links_1_3"))
    with (
        pytest.raises(DBAPIError, match=r"permission denied|must be owner"),
        database.write() as connection,
    ):
        partitions.begin_part(connection, "links")
    database.close()


def test_the_owner_begins_a_part_that_the_program_then_writes_to(
    roles: Roles, tmp_path: Path
) -> None:
    settings = Settings(data=tmp_path / "data", database=roles.app)
    brand = install(settings)
    owner = Database.open(roles.owner)
    for table in ("links", "events"):
        with owner.write() as connection:
            partitions.begin_part(connection, table)
    platform = Platform.open(settings)
    platform.capture.submit_batch(sealed(brand, "NEW").lines())
    platform.close()
    with owner.read() as connection:
        query = "SELECT (SELECT count(*) FROM links_2), (SELECT count(*) FROM events_2)"
        assert tuple(connection.execute(text(query)).one()) == (1, 1)
    owner.close()
