"""The list of seals as rows: in the order of the log, in pages that join, published ones only."""

from __future__ import annotations

from pathlib import Path

import pytest

from merkle.hashing import leaf_hash
from provenance.domain import canonical
from provenance.domain.seal import parse_seal
from provenance.domain.seal_line import SealLine
from provenance.services.capture import Capture, Limits
from provenance.storage import seals
from provenance.storage.session import Database
from tests.support.builders import ORIGIN, World, item_event, make_key
from tests.support.ledger import Ledger


def pages(database: Database, limit: int) -> list[list[SealLine]]:
    """All pages, one after the other."""
    found: list[list[SealLine]] = []
    after = 0
    while True:
        with database.read() as connection:
            page = list(seals.read_page(connection, after, limit))
        if not page:
            return found
        found.append(page)
        after = page[-1].index


def test_pages_join_into_the_published_uploads(database: Database, tmp_path: Path) -> None:
    ledger = Ledger(database, tmp_path)
    capture = Capture(database, ORIGIN, make_key("operator"), ledger.clock, Limits())
    world = World(capture, ledger.clock)
    sequencer = ledger.sequencer()
    sequencer.run_once()
    brand = world.party("brand")
    known = brand.sealed([item_event(1, 2), item_event(3)])
    capture.submit_batch(known)
    capture.submit_event(brand.signed(item_event(4)))
    sequencer.run_once()
    # Nothing new in it: it has a seal and no link, so it stands nowhere in the log.
    capture.submit_batch(brand.sealed([canonical.parse(line) for line in known[1:]]))
    sequencer.run_once()
    waiting = item_event(5)
    capture.submit_batch(brand.sealed([waiting]))
    whole = pages(database, 1_000)
    assert len(whole) == 1
    lines = whole[0]
    # Entry 0 is the map head of the empty map, which was published first and alone.
    assert [(line.index, line.links) for line in lines] == [(1, 1), (2, 1), (3, 1), (4, 3), (7, 1)]
    assert [line.seal is None for line in lines] == [False, False, False, False, True]
    seal = parse_seal(lines[3].seal or b"")
    assert seal.canonical == known[0]
    assert lines[3].leaves == b"".join(leaf_hash(line) for line in known[1:])
    for limit in (1, 2, 4):
        joined = pages(database, limit)
        assert [line for page in joined for line in page] == lines
        assert max(map(len, joined)) == limit


def test_a_page_is_bounded_by_bytes_too(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(database, tmp_path)
    capture = Capture(database, ORIGIN, make_key("operator"), ledger.clock, Limits())
    sequencer = ledger.sequencer()
    sequencer.run_once()
    World(capture, ledger.clock).party("brand")
    sequencer.run_once()
    lines = pages(database, 1_000)[0]
    assert len(lines) == 3
    monkeypatch.setattr(seals, "MAX_PAGE_BYTES", 2 * (8_192 + 32))
    assert pages(database, 1_000) == [lines[:2], lines[2:]]
    monkeypatch.setattr(seals, "MAX_PAGE_BYTES", 1)  # one upload there is always
    assert pages(database, 1_000) == [[line] for line in lines]


def test_nothing_is_listed_before_the_first_publication(database: Database) -> None:
    with database.read() as connection:
        assert seals.read_page(connection, 0, 10) == []
