"""Every write of the sequencer x {failed, failed but kept} x {the process goes on, restart}.

The shape is that of Sunlight's test of its sequencing: a log of 254 entries; three more, which
cross the border of a tile, with one write broken; once more at the same size with that write still
broken; then it is mended, and three or one more are added, so that the next size has the same tiles
or other ones. fsck passes after each of these steps, and what had become of the batch after the
first failure is a table (`LEFT`).

Our staging is the uploads' own copy of their links, which capture writes and the publication drops:
there is no write of the sequencer's before the checkpoint's row.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from merkle.checkpoint import Checkpoint, parse_checkpoint
from merkle.note import parse_note
from provenance.services.capture import Capture, Limits
from provenance.services.sequencing import Sequencer
from provenance.storage import log
from provenance.storage.session import Database
from tests.faults.evidence import audit, disagreeing, seen
from tests.faults.stores import Breaker, FaultyDatabase, FaultyLastSigned, FaultyTiles, Mode
from tests.support.builders import ORIGIN, Actor, World, item_event, make_key
from tests.support.databases import DEFAULT, PostgresServer
from tests.support.ledger import Ledger
from tests.support.tried import Tried

NOTHING, SIGNED, AHEAD, PUBLISHED = (
    "nothing changed",
    "signed, not published",
    "file ahead of the row",
    "published",
)

LEFT: dict[str, tuple[str, str]] = {
    "commit/leases": (NOTHING, NOTHING),
    "commit/log_state": (NOTHING, SIGNED),
    "last-signed": (SIGNED, SIGNED),
    "tile/entries": (SIGNED, SIGNED),
    "tile/level": (SIGNED, SIGNED),
    "map/delta": (SIGNED, SIGNED),
    "checkpoint": (SIGNED, AHEAD),
    "commit/publication": (AHEAD, PUBLISHED),
    "discard": (PUBLISHED, PUBLISHED),
}
"""What a broken write leaves: when it was lost, and when it was kept though reported lost."""


@dataclass
class Place:
    """One log of 254 entries, and its brand."""

    ledger: Ledger
    brand: Actor
    serial: int = 10_000

    def accept(self, links: int) -> int:
        """One upload of so many links, some of them on older chains; its id."""
        serials = [self.serial % 240, *range(self.serial, self.serial + links - 1)]
        self.serial += links
        door = Capture(
            self.ledger.database, ORIGIN, make_key("operator"), self.ledger.clock, Limits()
        )
        event = item_event(*serials, at=self.ledger.clock.now)
        return door.submit_batch(self.brand.sealed([event])).upload_id

    def sequencer(self, breaker: Breaker, holder: str) -> Sequencer:
        """A sequencer whose stores are all behind the breaker."""
        return self.ledger.sequencer(
            database=FaultyDatabase(self.ledger.database, breaker),
            tiles=FaultyTiles(self.ledger.tiles, breaker),
            last_signed=FaultyLastSigned(self.ledger.last_signed, breaker),
            holder=holder,
        )

    def left(self) -> str:
        """How far the batch after 254 has come."""
        with self.ledger.database.read() as connection:
            state, row = log.read_state(connection), log.read_publication(connection)
        file = self.ledger.tiles.read_checkpoint()
        assert state is not None
        assert row is not None
        assert file is not None
        size = parse_checkpoint(parse_note(file).text).size
        grown = (state.size > 254, size > 254, row.size > 254)
        return {
            (False, False, False): NOTHING,
            (True, False, False): SIGNED,
            (True, True, False): AHEAD,
            (True, True, True): PUBLISHED,
        }[grown]


@dataclass(frozen=True)
class Base:
    """A log that every case begins with a copy of."""

    root: Path
    url: str
    brand: Actor
    server: PostgresServer | None

    @contextmanager
    def copied(self, root: Path) -> Iterator[Ledger]:
        """Its own files and its own database, until the block ends."""
        shutil.copytree(self.root, root)
        url = f"sqlite:///{root}/test.sqlite" if self.server is None else self.server.copy(self.url)
        database = Database.open(url)
        try:
            yield Ledger(database, root)
        finally:
            database.close()
            shutil.rmtree(root)
            if self.server is not None:
                self.server.drop(url)


@pytest.fixture(scope="module")
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Base:
    """254 entries: genesis, three links of parties with a map head, 248 links and a map head."""
    root = tmp_path_factory.mktemp("base")
    server: PostgresServer | None = None
    if DEFAULT == "postgresql":
        server = request.getfixturevalue("postgres_server")
        url = server.take()
    else:
        shutil.copy(request.getfixturevalue("migrated_sqlite"), root / "test.sqlite")
        url = f"sqlite:///{root}/test.sqlite"
    ledger = Ledger(Database.open(url), root)
    world = World(
        Capture(ledger.database, ORIGIN, make_key("operator"), ledger.clock, Limits()),
        ledger.clock,
    )
    brand = world.party("brand")
    world.capture.submit_batch(brand.sealed([item_event(*range(249))]))
    sequencer = ledger.sequencer()
    sequencer.run_once()
    published = sequencer.run_once()
    assert published is not None
    assert published.size == 254
    sequencer.release()
    ledger.database.close()
    return Base(root, url, brand, server)


def kind_of(step: str) -> str:
    """The row of `LEFT` to which a write belongs."""
    if step.startswith("discard "):
        return "discard"
    head, _, rest = step.partition("/")
    if head == "tile":
        return "tile/entries" if rest.startswith("entries") else "tile/level"
    return "map/delta" if head == "map" else step


@pytest.mark.parametrize("after", ["goes on", "restart"])
@pytest.mark.parametrize("mode", ["lost", "kept"])
def test_store_matrix(base: Base, tmp_path: Path, mode: Mode, after: str, tried: Tried) -> None:
    lost: list[str] = []
    broken: Counter[str] = Counter()
    for more in (2, 1):  # links of the upload after the mending; its map head is one more
        for at in range(60):
            with base.copied(tmp_path / "case") as ledger:
                place = Place(ledger, base.brand)
                step, complaints = one_case(place, at, mode, after == "restart", more)
            if step is None:
                break
            broken[kind_of(step)] += 1
            lost += [f"{step}: {what}" for what in complaints]
        assert at > len(LEFT), "every write was broken, until there was none left"
    assert set(broken) == set(LEFT)
    for kind, times in broken.items():
        left = LEFT[kind][mode == "kept"]
        tried.row(f"write of {kind} {mode}", times, lost, f"({left}; then all of it published)")


def one_case(
    place: Place, at: int, mode: Mode, restart: bool, more: int
) -> tuple[str | None, list[str]]:
    """Breaks write `at` twice, mends it, goes on; its name (None: no such write) and complaints."""
    ledger = place.ledger
    breaker = Breaker(at, mode)
    uploads = [place.accept(2)]
    sequencer = place.sequencer(breaker, "first")
    checkpoints = seen(ledger)
    failed = fails(sequencer)
    if not breaker.broke:
        assert not failed
        return None, []
    step = breaker.steps[at]
    assert failed, f"{step} failed, and nobody heard of it"
    assert place.left() == LEFT[kind_of(step)][mode == "kept"], step
    checkpoints |= seen(ledger)
    audit(ledger)

    breaker.at, breaker.name = None, step
    ledger.clock.advance(60_000)  # a lease that nobody knows to have been taken runs out
    if restart:
        sequencer = place.sequencer(breaker, "second")
    fails(sequencer)
    checkpoints |= seen(ledger)
    audit(ledger)

    breaker.mend()
    uploads.append(place.accept(more))
    ledger.clock.advance(60_000)
    if restart:
        sequencer = place.sequencer(breaker, "third")
    return step, list(complaints_after(place, sequencer, uploads, checkpoints))


def fails(sequencer: Sequencer) -> bool:
    """One round; did it end with the injected failure?"""
    try:
        sequencer.run_once()
    except Exception as error:
        assert "injected" in str(error)
        return True
    return False


def complaints_after(
    place: Place, sequencer: Sequencer, uploads: list[int], checkpoints: set[Checkpoint]
) -> Iterator[str]:
    """Two rounds (what was left, then what came since), and all must be there."""
    ledger = place.ledger
    sequencer.run_once()
    sequencer.run_once()
    audit(ledger)
    with ledger.database.read() as connection:
        yield from (f"upload {one}" for one in uploads if not log.is_covered(connection, one))
        if log.pending_links(connection):
            yield "links that wait for ever"
    yield from disagreeing(ledger.tiles, checkpoints | seen(ledger))
