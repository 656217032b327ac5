"""Which answers of a replica count, and who may hold one at all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from provenance.services.reading import Reader, Seen, read_seen
from provenance.storage.session import Database, Replica

PROVENANCE = Path(__file__).resolve().parents[3] / "provenance"

NOW = Seen(size=10, published_at=5_000, note=b"log.example\n10\n", forks=(b"f",), anchors=2)


@pytest.mark.parametrize(
    ("there", "covers"),
    [
        (NOW, True),
        (replace(NOW, size=11, published_at=5_250), True),
        (replace(NOW, size=9), False),
        (replace(NOW, published_at=4_999), False),  # the same tree under older cosignatures
        (replace(NOW, forks=()), False),
        (replace(NOW, forks=(b"f", b"g")), True),
        (replace(NOW, anchors=1), False),
        (replace(NOW, size=99, note=b"other.example\n99\n"), False),
        (Seen(0, 0, b"", (), 0), False),
    ],
)
def test_what_a_replica_must_have(there: Seen, covers: bool) -> None:
    assert there.covers(NOW) is covers


def test_without_a_replica_the_database_answers(database: Database) -> None:
    assert Reader(database).answer(read_seen) == Seen(0, 0, b"", (), 0)


def test_nobody_else_knows_of_replicas() -> None:
    """Capture, sequencer, forks, anchors, receipts: none could be given one by mistake."""
    names = {
        str(path.relative_to(PROVENANCE))
        for path in PROVENANCE.rglob("*.py")
        if "Replica" in path.read_text("utf-8")
    }
    assert names == {"storage/session.py", "services/reading.py", "platform.py"}
    assert not issubclass(Replica, Database)
    assert not hasattr(Replica, "write")
