"""Subjects, links and events by the batch: sizes beyond one statement, guards, odd names."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from provenance.storage import tables
from provenance.storage.bulk import MAX_VARIABLES
from provenance.storage.errors import StoreConflictError, StoreInconsistentError
from provenance.storage.events import (
    EventRow,
    LinkRow,
    SealRow,
    find_links,
    find_seal,
    find_sealed_upload,
    insert_events,
    insert_links,
    insert_seal,
    insert_upload,
    newest_acceptance,
    read_chain,
    read_events,
    read_seals,
)
from provenance.storage.parties import find_parties, insert_party, lock_parties, update_party
from provenance.storage.session import Database
from provenance.storage.subjects import HeadMove, find_subjects, lock_subjects, move_heads

ODD = [
    'say "hello"',
    "it's",
    "100 %",
    "a\\b",
    "日本酒",
    "😀",
    "",
    " ",
    "a,b",
    "%s",
    "?",
    ":x",
    "{}",
]


def test_subjects_are_created_once_and_found_again(database: Database) -> None:
    wanted = {uri: bytes([n]) * 32 for n, uri in enumerate(ODD)}
    with database.write() as connection:
        first = lock_subjects(connection, wanted, wanted.__getitem__)
    with database.write() as connection:
        again = lock_subjects(connection, [*wanted, "new"], lambda _: b"n" * 32)
    assert {uri: row for uri, row in again.items() if uri != "new"} == first
    assert {uri: row.key for uri, row in first.items()} == wanted
    with database.read() as connection:
        assert find_subjects(connection, [*ODD, "absent"]) == first
        assert find_subjects(connection, []) == {}


def test_more_rows_than_one_statement_holds(database: Database) -> None:
    count = MAX_VARIABLES // 5 + 3
    wanted = {f"s{n}": n.to_bytes(32, "big") for n in range(count)}
    with database.write() as connection:
        subjects = lock_subjects(connection, wanted, wanted.__getitem__)
        moves = [HeadMove(row.id, 0, None, 1, row.key) for row in subjects.values()]
        move_heads(connection, moves, 7)
        insert_links(
            connection,
            (LinkRow(row.id, 0, 1, n, n, row.key, b"x") for n, row in enumerate(subjects.values())),
        )
        insert_events(connection, (EventRow(1, n, b"h", b"{}", 1, -1) for n in range(count)))
    with database.read() as connection:
        found = find_links(connection, [(row.id, row.key) for row in subjects.values()] * 3)
        assert len(found) == count
        assert len(read_events(connection, [(1, n) for n in range(count * 3)])) == count
        heads = find_subjects(connection, list(wanted)).values()
        assert {(row.count, row.head == row.key, row.time) for row in heads} == {(1, True, 7)}


@pytest.mark.parametrize(
    ("old_count", "old_head"), [(1, None), (0, b"h" * 32), (0, b"")], ids=["count", "head", "empty"]
)
def test_a_head_moves_only_from_where_it_was(
    database: Database, old_count: int, old_head: bytes | None
) -> None:
    with database.write() as connection:
        row = lock_subjects(connection, ["a"], lambda _: b"k" * 32)["a"]
    with (
        pytest.raises(StoreConflictError, match="expected to move 1 heads, moved 0"),
        database.write() as connection,
    ):
        move_heads(connection, [HeadMove(row.id, old_count, old_head, 2, b"n" * 32)], 1)
    with database.read() as connection:
        assert find_subjects(connection, ["a"])["a"] == row


def test_a_place_on_a_chain_is_taken_once(database: Database) -> None:
    link = LinkRow(1, 0, 1, 0, 0, b"e" * 32, b"x")
    with database.write() as connection:
        insert_links(connection, [link])
    with pytest.raises(StoreConflictError), database.write() as connection:
        insert_links(connection, [LinkRow(1, 0, 2, 0, 0, b"f" * 32, b"y")])
    with database.read() as connection:
        assert read_chain(connection, 1) == [link]


def test_nothing_to_insert(database: Database) -> None:
    with database.write() as connection:
        insert_links(connection, [])
        insert_events(connection, [])
        assert find_links(connection, []) == {}
        assert read_events(connection, []) == {}
        assert read_seals(connection, []) == {}
        assert newest_acceptance(connection) is None


def test_a_chain_is_read_up_to_a_length(database: Database) -> None:
    rows = [LinkRow(5, n, 1, n, n, bytes([n]), b"x") for n in range(4)]
    with database.write() as connection:
        insert_links(connection, reversed(rows))
    with database.read() as connection:
        assert read_chain(connection, 5) == rows
        assert read_chain(connection, 5, 2) == rows[:2]
        assert read_chain(connection, 6) == []


def _party(database: Database) -> int:
    with database.write() as connection:
        subject = lock_subjects(connection, ["p"], lambda _: b"k" * 32)["p"]
        return insert_party(connection, "p", subject.id, "{}", 1)


def test_seals_and_their_uploads(database: Database) -> None:
    party = _party(database)
    with database.write() as connection:
        upload = insert_upload(connection, accepted_at=5, entries=[b"x"], framed=b"\0\1x")
        insert_seal(
            connection,
            upload_id=upload,
            party_id=party,
            seal_hash=b"s" * 32,
            canonical=b"{}",
            leaves=b"l" * 64,
            answers=b"a",
        )
    with database.read() as connection:
        assert read_seals(connection, [upload, 99]) == {
            upload: SealRow(upload, b"s" * 32, b"{}", 2, b"l" * 64)
        }
        assert find_seal(connection, b"s" * 32) == read_seals(connection, [upload])[upload]
        assert find_seal(connection, b"t" * 32) is None
        assert find_sealed_upload(connection, b"t" * 32) is None
        stored = find_sealed_upload(connection, b"s" * 32)
        assert stored is not None
        assert (stored.upload_id, stored.accepted_at, stored.links) == (upload, 5, 1)
        assert newest_acceptance(connection) == 5


def test_an_upload_without_links_has_nothing_to_wait_for(database: Database) -> None:
    with database.write() as connection:
        upload = insert_upload(connection, accepted_at=5, entries=[], framed=b"")
    with database.read() as connection:
        row = connection.execute(
            select(tables.uploads.c.first_index, tables.uploads.c.entries).where(
                tables.uploads.c.id == upload
            )
        ).one()
        assert tuple(row) == (0, None)


def test_a_seal_without_its_answer_is_an_inconsistency(database: Database) -> None:
    party = _party(database)
    with database.write() as connection:
        upload = insert_upload(connection, accepted_at=5, entries=[], framed=b"")
        connection.execute(
            tables.seals.insert().values(
                hash=b"s", upload_id=upload, party_id=party, bytes=b"", size=1, leaves=b"l" * 32
            )
        )
    with pytest.raises(StoreInconsistentError), database.read() as connection:
        find_sealed_upload(connection, b"s")


def test_parties_change_their_state_under_their_lock(database: Database) -> None:
    party = _party(database)
    with database.write() as connection:
        lock_parties(connection, ["p", "unknown"], exclusive=True)
        update_party(connection, party, '{"a":1}', 9)
        lock_parties(connection, [], exclusive=False)
    with database.read() as connection:
        assert find_parties(connection, ["p"])["p"].state == '{"a":1}'
        assert find_parties(connection, []) == {}
        assert connection.scalar(select(func.max(tables.parties.c.updated_at))) == 9
    with pytest.raises(StoreConflictError), database.write() as connection:
        update_party(connection, party + 1, "{}", 9)
