"""The map's pages as rows."""

from __future__ import annotations

from functools import partial
from hashlib import sha256
from random import Random

from sqlalchemy import update

from merkle.pagemap import PageChanges, PageMap, pages_of
from merkle.tree import Edge
from provenance.domain.ledger import SubjectState
from provenance.storage import keymap, mappages
from provenance.storage.session import Connection, Database
from provenance.storage.tables import map_pages


def sha(text: str) -> bytes:
    return sha256(text.encode()).digest()


def rows(connection: Connection, above: int = 0) -> dict[int, bytes]:
    return dict(mappages.read_hashes(connection, above=above))


def test_pages_are_written_changed_cut_and_read_back(database: Database) -> None:
    """A map that grows batch by batch out of its stored pages, and one that follows it."""
    chance = Random(4)
    held: dict[bytes, bytes] = {}
    paged, follower = PageMap(3), PageMap(3)
    cut = 0
    for size in range(1, 13):
        batch = {sha(str(chance.randrange(400))): chance.randbytes(32) for _ in range(60)}
        held |= batch
        with database.read() as connection:
            changes = paged.update(batch.items(), partial(mappages.read_pages, connection))
        cut += len(changes.removed)
        with database.write() as connection:
            mappages.write_pages(connection, changes, size)
        with database.read() as connection:
            if size % 3 == 0:
                follower.follow(rows(connection, size - 3).items(), len(held))
                assert follower.root() == paged.root()
            expected = dict(pages_of(sorted(held.items())))
            assert rows(connection) == {place: page.hash for place, page in expected.items()}
            pages = mappages.read_pages(connection, [*expected, 1, 2**60])
            assert pages == {place: page.leaves for place, page in expected.items()}
            assert mappages.read_stored(connection, [*expected, 1, 2**60]) == {
                place: (page.leaves, page.summary) for place, page in expected.items()
            }
            assert mappages.count_pages(connection) == len(expected)
            fresh = PageMap.load(rows(connection).items(), len(held))
            assert fresh.root() == paged.root()
    assert cut > 8


def test_nodes_that_the_revision_before_left_behind_are_worked_out_again(
    database: Database,
) -> None:
    """It changes leaves and hash and does not know the column; or it wrote the row, without it."""
    keys = [sha(str(n)) for n in range(300)]
    paged = PageMap()
    with database.write() as connection:
        changes = paged.update([(key, sha("v")) for key in keys], lambda _: {})
        mappages.write_pages(connection, changes, 1)
        changes = paged.update([(key, sha("w")) for key in keys[:200]], lambda _: {})
        for place, page in changes.pages.items():
            connection.execute(
                update(map_pages)
                .where(map_pages.c.id == place)
                .values(leaves=page.leaves, hash=page.hash, size=2)
            )
        connection.execute(update(map_pages).where(map_pages.c.id % 3 == 0).values(nodes=None))
    with database.read() as connection:
        read = partial(mappages.read_stored, connection)
        fresh = PageMap.load(rows(connection).items(), len(keys))
        proofs = fresh.proofs(keys, read)
        assert proofs == paged.proofs(keys, lambda _: {})
        changes = fresh.update([(key, sha("x")) for key in keys[100:]], read)
        assert all(page.is_sound for page in changes.pages.values())


def test_only_newer_pages_are_told(database: Database) -> None:
    first = pages_of(sorted((sha(str(n)), sha("v")) for n in range(200)))
    changes = PageChanges(dict(first))
    places = sorted(changes.pages)
    with database.write() as connection:
        mappages.write_pages(connection, changes, 7)
        mappages.write_pages(connection, PageChanges({places[2]: changes.pages[places[2]]}), 12)
        mappages.write_pages(connection, PageChanges(), 13)
    with database.read() as connection:
        assert sorted(rows(connection)) == places
        assert list(rows(connection, 7)) == [places[2]]
        assert rows(connection, 12) == {}


def test_many_pages_in_one_call(database: Database) -> None:
    page = next(pages_of([(sha("a"), sha("v"))]))[1]
    many = dict.fromkeys(range(5_000, 7_500), page)
    with database.write() as connection:
        mappages.write_pages(connection, PageChanges(many), 1)
    with database.read() as connection:
        assert len(mappages.read_pages(connection, list(many))) == 2_500
        assert mappages.read_pages(connection, []) == {}
    with database.write() as connection:
        mappages.write_pages(connection, PageChanges({}, list(many)[:2_499]), 2)
        assert mappages.count_pages(connection) == 1


def test_pages_are_made_out_of_leaves_when_they_lack_some(database: Database) -> None:
    states = {
        sha(str(n)): SubjectState(1, sha(f"{n}"), Edge(1, (sha(f"{n}"),)), n) for n in range(3_000)
    }
    with database.write() as connection:
        assert not mappages.is_behind(connection), "no leaves, no pages"
        keymap.write_states(connection, dict(list(states.items())[:40]), 3)
        assert mappages.is_behind(connection)
        mappages.fill(connection, 3)
        assert not mappages.is_behind(connection)
        keymap.write_states(connection, states, 9)  # by code that knows of no pages
        assert mappages.is_behind(connection)
        mappages.fill(connection, 9)
        assert not mappages.is_behind(connection)
    values = sorted((key, state.value) for key, state in states.items())
    expected = dict(pages_of(values))
    with database.read() as connection:
        assert rows(connection) == {place: page.hash for place, page in expected.items()}
        assert rows(connection, 8) == rows(connection)
        assert rows(connection, 9) == {}
        found = mappages.read_pages(connection, list(expected))
    assert found == {place: page.leaves for place, page in expected.items()}
