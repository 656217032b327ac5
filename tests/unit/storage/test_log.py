"""The log's rows: what is pending, what is signed, what is published."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import update

from provenance.storage import log
from provenance.storage.log import (
    LogState,
    Publication,
    StateConflictError,
    UploadDamagedError,
)
from provenance.storage.session import Database
from provenance.storage.tables import uploads
from tests.support.ledger import Ledger

STATE = LogState(3, b"note 3", b"m" * 32, 2, 1, 0, fence=5)


@pytest.fixture
def ledger(database: Database, tmp_path: Path) -> Ledger:
    return Ledger(database, tmp_path)


def commit(database: Database, old: LogState | None, new: LogState) -> None:
    with database.write() as connection:
        log.commit_state(connection, old, new)


def test_the_signed_state_moves_from_exactly_the_old_one(database: Database) -> None:
    commit(database, None, STATE)
    grown = replace(STATE, size=9, note=b"note 9", fence=6)
    commit(database, STATE, grown)
    with database.read() as connection:
        assert log.read_state(connection) == grown


@pytest.mark.parametrize(
    "old",
    [
        None,
        replace(STATE, size=2),
        replace(STATE, note=b"another note of the same size"),
    ],
)
def test_another_old_state_is_a_conflict(database: Database, old: LogState | None) -> None:
    commit(database, None, STATE)
    with pytest.raises(StateConflictError):
        commit(database, old, replace(STATE, size=9, note=b"note 9"))
    with database.read() as connection:
        assert log.read_state(connection) == STATE


def test_an_older_token_is_fenced_off(database: Database) -> None:
    commit(database, None, STATE)
    with pytest.raises(StateConflictError, match="fence up to 4, found size 3 and fence 5"):
        commit(database, STATE, replace(STATE, size=9, fence=4))


def test_nothing_is_replaced_where_nothing_is(database: Database) -> None:
    with pytest.raises(StateConflictError, match="found none"):
        commit(database, STATE, replace(STATE, size=9))


def test_a_publication_never_goes_back(database: Database) -> None:
    with database.read() as connection:
        assert log.read_publication(connection) is None
    for size, note in ((1, b"a"), (5, b"b"), (5, b"fresher")):
        with database.write() as connection:
            log.write_publication(connection, Publication(size, note, 7))
    with (
        pytest.raises(StateConflictError, match="up to 4, found 5"),
        database.write() as connection,
    ):
        log.write_publication(connection, Publication(4, b"c", 8))
    with database.read() as connection:
        assert log.read_publication(connection) == Publication(5, b"fresher", 7)


def test_pending_uploads_come_in_order_and_within_the_bound(ledger: Ledger) -> None:
    ids = [
        ledger.accept("a", "b"),
        ledger.accept("c"),
        ledger.accept("a", "d", "e"),
        ledger.accept("f"),
    ]
    with ledger.database.read() as connection:
        assert log.pending_ids(connection, 100) == ids
        assert log.pending_ids(connection, 3) == ids[:2]
        assert log.pending_ids(connection, 1) == ids[:1]  # never divided
        assert [len(u.entries) for u in log.load_uploads(connection, ids)] == [2, 1, 3, 1]
        assert log.pending_links(connection) == 7


def test_indexes_are_given_once(ledger: Ledger) -> None:
    one, two = ledger.accept("a"), ledger.accept("b")
    with ledger.database.write() as connection:
        log.assign_indexes(connection, [(one, 10), (two, 11)])
        log.assign_indexes(connection, [])
    with ledger.database.read() as connection:
        assert log.pending_ids(connection, 10) == []
        assert [u.first_index for u in log.unpublished_uploads(connection, 11)] == [11]
    with (
        pytest.raises(StateConflictError, match="expected 1"),
        ledger.database.write() as connection,
    ):
        log.assign_indexes(connection, [(one, 20)])


def test_coverage_follows_the_publication(ledger: Ledger) -> None:
    upload = ledger.accept("a", "b")

    def covered() -> bool | None:
        with ledger.database.read() as connection:
            return log.is_covered(connection, upload)

    assert covered() is False  # not sequenced, nothing published
    with ledger.database.write() as connection:
        log.assign_indexes(connection, [(upload, 4)])
        log.write_publication(connection, Publication(5, b"x", 0))
    assert covered() is False  # its second link is at 5
    with ledger.database.write() as connection:
        log.write_publication(connection, Publication(6, b"x", 0))
    assert covered() is True
    with ledger.database.read() as connection:
        assert log.is_covered(connection, upload + 1) is None


def test_a_damaged_upload_is_named(ledger: Ledger) -> None:
    upload = ledger.accept("a")
    with ledger.database.write() as connection:
        connection.execute(update(uploads).values(entries=b"\0\5abc"))
    with (
        pytest.raises(UploadDamagedError, match=f"upload {upload}: expected the bytes of 1 links"),
        ledger.database.read() as connection,
    ):
        log.load_uploads(connection, log.pending_ids(connection, 10))
