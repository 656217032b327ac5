"""Parts on PostgreSQL: what exists is divided while it is written to, guards hold on each part, and
a question about one subject looks into one table."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, func, insert, select, text
from sqlalchemy.exc import DBAPIError

from provenance.storage import events, schema, tables
from provenance.storage.bulk import insert_rows
from provenance.storage.errors import SchemaError, StoreConflictError
from provenance.storage.histories import read_histories
from provenance.storage.partitions import IDS, begin_part, is_part, list_parts
from provenance.storage.session import Database
from tests.support.processes import until

pytestmark = [
    pytest.mark.postgresql,
    pytest.mark.parametrize("product", ["postgresql"], indirect=True),
]

BEFORE = "0004"


def upload(connection: Connection, *uris: str) -> int:
    """One upload of an event a subject, by the statements of the revision before; its id."""
    rows: list[tuple[Any, ...]] = []
    ids = [
        connection.execute(
            insert(tables.subjects).values(uri=uri, key=uri.encode(), count=0)
        ).inserted_primary_key[0]
        for uri in uris
    ]
    number = connection.execute(
        insert(tables.uploads).values(accepted_at=1, links=len(uris))
    ).inserted_primary_key[0]
    columns = ("upload_id", "leaf", "hash", "bytes", "party_id", "event_time")
    rows = [(number, leaf, b"h", uri.encode(), 1, 1) for leaf, uri in enumerate(uris)]
    insert_rows(connection, tables.events, columns, rows)
    columns = ("subject_id", "seq", "upload_id", "leaf", "ordinal", "event_hash", "bytes")
    rows = [
        (subject, 0, number, leaf, leaf, b"h", uri.encode())
        for leaf, (subject, uri) in enumerate(zip(ids, uris, strict=True))
    ]
    insert_rows(connection, tables.links, columns, rows)
    return int(number)


class Writers:
    """Uploads that never stop, by threads; `written` are the URIs of those that were committed.

    One that lost a race (a deadlock) is done again, as capture does; anything else is a failure.
    """

    def __init__(self, database: Database, threads: int = 3) -> None:
        self.database = database
        self.written: list[str] = []
        self.failures: list[BaseException] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(threads)]

    def __enter__(self) -> Writers:
        for thread in self._threads:
            thread.start()
        self.go_on()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def go_on(self, more: int = 30) -> None:
        """Wait until so many more uploads are committed."""
        goal = len(self.written) + more
        for _ in range(1_000):
            if len(self.written) >= goal or self.failures:
                return
            time.sleep(0.01)
        raise AssertionError("the writers stand still")

    def _run(self, thread: int) -> None:
        number = 0
        while not self._stop.is_set() and not self.failures:
            number += 1
            try:
                uri = f"{thread}-{number}"
                with self.database.write() as connection:
                    upload(connection, f"{uri}-a", f"{uri}-b")
                self.written.append(uri)
            except StoreConflictError:
                number -= 1
            except BaseException as error:
                self.failures.append(error)


def read_back(database: Database) -> list[str]:
    """The URIs of all links and of all events, which must be the same ones."""
    with database.read() as connection:
        links = [bytes(one).decode() for one in connection.scalars(select(tables.links.c.bytes))]
        held = [bytes(one).decode() for one in connection.scalars(select(tables.events.c.bytes))]
    assert sorted(links) == sorted(held)
    return sorted(links)


def parts_of(database: Database) -> set[tuple[str, int, bool]]:
    """(table, number, open) of each part."""
    with database.read() as connection:
        return {(part.table, part.number, part.is_open) for part in list_parts(connection)}


def test_a_database_in_use_is_divided_and_no_row_is_lost(empty_database: Database) -> None:
    schema.upgrade(empty_database, BEFORE)
    with Writers(empty_database) as writers:
        schema.upgrade(empty_database)
        writers.go_on()
    assert writers.failures == []
    expected = [f"{uri}-{side}" for uri in writers.written for side in "ab"]
    assert read_back(empty_database) == sorted(expected)
    with empty_database.read() as connection:
        old = connection.scalar(text("SELECT count(*) FROM links_0"))
        new = connection.scalar(text("SELECT count(*) FROM links_1"))
        least = connection.scalar(text("SELECT min(subject_id) FROM links_1"))
    assert old >= 60
    assert new >= 60
    assert least >= IDS


def test_a_long_reader_delays_the_upgrade_and_the_upgrade_nobody_for_long(
    empty_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema.upgrade(empty_database, "0006")
    monkeypatch.setattr(schema, "ATTEMPTS", 100)
    upgrade = threading.Thread(target=schema.upgrade, args=(empty_database,))
    with empty_database.read() as connection:
        connection.execute(select(tables.links))  # and holds it, as pg_dump does
        upgrade.start()
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'"
        with empty_database.read() as watching:
            until(lambda: watching.scalar(text(waiting)))
        start = time.monotonic()
        with empty_database.read() as other:  # queues behind the upgrade
            other.execute(select(tables.links))
        assert time.monotonic() - start < 6.5
        assert upgrade.is_alive()
    upgrade.join(30)
    schema.check(empty_database)


def test_a_part_is_begun_while_others_write(database: Database) -> None:
    with Writers(database) as writers:
        for table in ("links", "events"):
            with database.write() as connection:
                part = begin_part(connection, table)
            assert (part.table, part.number, part.low, part.high, part.is_open) == (
                *(table, 2, 2 * IDS, 3 * IDS),
                True,
            )
            writers.go_on()
    try:
        assert writers.failures == []
        assert read_back(database) == sorted(
            f"{uri}-{side}" for uri in writers.written for side in "ab"
        )
        with database.read() as connection:
            rows = {
                name: connection.scalar(text(f"SELECT count(*) FROM {name}"))  # noqa: S608
                for name in ("links_1", "links_2", "events_1", "events_2")
            }
        assert all(rows.values()), rows
        assert sum(rows.values()) == 4 * len(writers.written)
        assert parts_of(database) == {
            *(("links", 0, False), ("links", 1, False), ("links", 2, True)),
            *(("events", 0, False), ("events", 1, False), ("events", 2, True)),
        }
    finally:
        with database.write() as connection:
            connection.execute(text("DROP TABLE links_2, events_2"))


def test_nothing_else_has_parts(database: Database) -> None:
    with pytest.raises(SchemaError, match="'uploads' has no parts"), database.write() as connection:
        begin_part(connection, "uploads")


def test_rows_survive_down_and_up(empty_database: Database) -> None:
    schema.upgrade(empty_database, BEFORE)
    with empty_database.write() as connection:
        upload(connection, "old")
    schema.upgrade(empty_database)
    with empty_database.write() as connection:
        upload(connection, "new")
    schema.downgrade(empty_database, BEFORE)
    assert read_back(empty_database) == ["new", "old"]


def test_rights_on_the_old_table_hold_for_the_new_one(empty_database: Database) -> None:
    schema.upgrade(empty_database, BEFORE)
    with empty_database.write() as connection:
        connection.execute(text("CREATE ROLE reader_of_old NOLOGIN"))
        connection.execute(text("GRANT SELECT ON links, events TO reader_of_old"))
        connection.execute(text("GRANT INSERT ON links TO PUBLIC"))
    schema.upgrade(empty_database)
    with empty_database.write() as connection:
        connection.execute(text("SET LOCAL ROLE reader_of_old"))
        assert connection.scalar(select(func.count()).select_from(tables.links)) == 0
        may = (
            "SELECT has_table_privilege('links', 'INSERT'), has_table_privilege('events', 'INSERT')"
        )
        assert tuple(connection.execute(text(may)).one()) == (True, False)
        connection.execute(text("RESET ROLE"))
        connection.execute(text("DROP OWNED BY reader_of_old"))
        connection.execute(text("DROP ROLE reader_of_old"))


@pytest.mark.parametrize(
    "statement", ["UPDATE {0} SET upload_id = 1", "DELETE FROM {0}", "TRUNCATE {0}"]
)
def test_every_part_refuses_change_by_its_own_name(database: Database, statement: str) -> None:
    with database.read() as connection:
        names = [
            name
            for table in ("links", "events")
            for name in connection.scalars(
                text("SELECT relid::regclass::text FROM pg_partition_tree(:table)"),
                {"table": table},
            )
        ]
    assert len(names) == 1 + 1 + 1 + 16 + 1 + 2
    assert sum(map(is_part, names)) == len(names) - 2
    for name in names:
        with (
            pytest.raises((DBAPIError, StoreConflictError), match=f"{name} is append-only"),
            database.write() as connection,
        ):
            connection.execute(text(statement.format(name)))


FILL = (
    "INSERT INTO subjects (uri, key, count) SELECT 's' || n, sha256(n::text::bytea), 0 "
    "FROM generate_series(0, 59999) n",
    "INSERT INTO map_leaves SELECT key, 1, key, key, 0, key, 1 FROM subjects",
    "INSERT INTO parties SELECT 1, 'p', min(id), '{}', 1 FROM subjects",
    "INSERT INTO links SELECT id, 0, min(id) OVER () + id / 1000, id % 1000, 0, key, key || key "
    "FROM subjects",
    "INSERT INTO events SELECT upload_id, leaf, event_hash, bytes, 1, 1 FROM links",
    "ANALYZE subjects, links, events, map_leaves, parties",
)


@pytest.fixture
def filled(database: Database) -> Database:
    """So many rows that the planner has no reason to read whole tables; a chain is one link."""
    with database.write() as connection:
        for statement in FILL:
            connection.execute(text(statement))
    return database


def tables_read(plan: dict[str, Any]) -> Iterator[str]:
    """The parts that a plan looked into, out of EXPLAIN (ANALYZE, FORMAT JSON)."""
    name = plan.get("Relation Name", "")
    if is_part(name) and plan["Actual Loops"]:
        yield name
    for inner in plan.get("Plans", []):
        yield from tables_read(inner)


def explained(connection: Connection, question: Any) -> set[str]:
    """The parts that the statements of `question(connection)` looked into."""
    from sqlalchemy import event  # noqa: PLC0415 -- beside its one use

    found: set[str] = set()

    def explain(_c: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        cursor.execute("EXPLAIN (ANALYZE, FORMAT JSON) " + statement, parameters)
        (document,) = cursor.fetchone()
        plan = document if isinstance(document, list) else json.loads(document)
        found.update(tables_read(plan[0]["Plan"]))

    event.listen(connection, "before_cursor_execute", explain)
    try:
        question(connection)
    finally:
        event.remove(connection, "before_cursor_execute", explain)
    return found


def home(connection: Connection, subject: int) -> str:
    """The table in which a subject's links lie."""
    query = text("SELECT DISTINCT tableoid::regclass::text FROM links WHERE subject_id = :id")
    return str(connection.execute(query, {"id": subject}).scalar_one())


def test_a_chain_is_read_from_one_table(filled: Database) -> None:
    with filled.read() as connection:
        for subject in (IDS, IDS + 1, IDS + 2):
            read = explained(connection, lambda c, s=subject: events.read_chain(c, s))
            assert read == {home(connection, subject)}


def test_a_few_links_are_found_in_the_tables_of_their_subjects(filled: Database) -> None:
    with filled.read() as connection:
        wanted = [
            (link.subject_id, link.event_hash)
            for n in range(3)
            for link in events.read_chain(connection, IDS + n)
        ]
        assert len(events.find_links(connection, wanted)) == 3
        read = explained(connection, lambda c: events.find_links(c, wanted))
        assert read == {home(connection, subject) for subject, _ in wanted}


def test_events_and_histories_look_into_no_other_part(filled: Database) -> None:
    with filled.read() as connection:
        (link,) = events.read_chain(connection, IDS + 7)
        places = [(link.upload_id, link.leaf)]
        assert len(events.read_events(connection, places)) == 1
        assert explained(connection, lambda c: events.read_events(c, places)) == {"events_1"}
        read = explained(connection, lambda c: list(read_histories(c, ["s7"])))
        assert read == {home(connection, IDS + 7), "events_1"}
