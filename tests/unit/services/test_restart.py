"""A restart reads the map's hashes and the log's right edge: never the history from its beginning.

Two logs, one five times as long as the other, are opened by a fresh sequencer and a fresh prover;
what they ask the database and which files they read is written down and must be the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import event as sql_event

from provenance.services.proving import Prover
from provenance.storage.session import Database
from provenance.storage.tiles import DirectoryTileStore
from tests.support.builders import ORIGIN
from tests.support.ledger import Ledger


class WatchedTiles(DirectoryTileStore):
    """Writes down which files are read; not those that are looked for beyond the end."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.read_paths: list[str] = []

    def read(self, path: str) -> bytes:
        data = super().read(path)
        self.read_paths.append(path)
        return data


@contextmanager
def watched(database: Database) -> Iterator[list[str]]:
    """The statements that read, in the block."""
    seen: list[str] = []

    def note(*given: Any) -> None:
        if given[2].lstrip().startswith(("SELECT", "WITH")):
            seen.append(given[2])

    sql_event.listen(database.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        sql_event.remove(database.engine, "before_cursor_execute", note)


def opened_again(ledger: Ledger, links: int) -> tuple[list[str], list[str]]:
    """Grow to so many links in batches; (statements, files read) of who then starts afresh."""
    before = ledger.sequencer(holder="before")
    before.start()
    for start in range(0, links, 250):
        ledger.accept(*(f"subject {n}" for n in range(start, start + 250)))
        assert before.run_once() is not None
    before.release()
    ledger.accept("subject 3", "new")
    tiles = WatchedTiles(ledger.root / "log")
    with watched(ledger.database) as seen:
        sequencer = ledger.sequencer(tiles=tiles, holder="after")
        assert sequencer.start()
        Prover(ledger.database, tiles, ORIGIN).passport("nobody")
        published = sequencer.run_once()
    assert published is not None
    assert published.size > links
    sequencer.release()
    return seen, sorted(set(tiles.read_paths))


def test_a_restart_asks_for_no_more_of_a_longer_log(database: Database, tmp_path: Path) -> None:
    ledger = Ledger(database, tmp_path)
    short, few = opened_again(ledger, 500)
    assert len(few) < 12, few
    # On the same log, which by then has all these subjects and 2,500 links more.
    long, more = opened_again(ledger, 2_500)
    assert len(long) == len(short)
    assert len(more) <= len(few) + 2, more
    for statement in long:
        assert not re.search(r"\b(?:FROM|JOIN) (?:links|events|seals)\b", statement), statement
        if "map_leaves" in statement:  # some keys, or the newest size, of which there is an index
            assert "WHERE" in statement or "max(map_leaves.size)" in statement, statement
