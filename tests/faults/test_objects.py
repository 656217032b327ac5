"""A log whose tiles lie in a bucket: published, served, checked, and going on after every fault."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from werkzeug.test import TestResponse

from merkle.tiles import addresses_for
from provenance.config import Settings
from provenance.platform import Platform, initialise
from provenance.services.sequencing import SequencerRefusalError
from provenance.storage import log
from provenance.storage.errors import StoreUnavailableError
from provenance.storage.s3 import ATTEMPTS, S3TileStore
from provenance.web import create_app
from tests.faults.evidence import audit, require_one_history, seen
from tests.faults.installation import fsck, install, links_of, not_once, sealed
from tests.support.builders import Actor, World, item_event
from tests.support.ledger import Ledger
from tests.support.object_store import Fault, ObjectStore

pytestmark = pytest.mark.usefixtures("object_store")


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """How long the library waits between attempts is not tested here."""
    name = "botocore.retries.standard.ExponentialBackoff.delay_amount"
    monkeypatch.setattr(name, lambda _self, _context: 0.01)


@pytest.fixture
def bucket(object_store: ObjectStore, tmp_path: Path) -> Callable[[], S3TileStore]:
    """Opens a prefix of this test's own."""
    prefix = "/".join(tmp_path.parts[-2:])
    return lambda: object_store.open(prefix)


@pytest.fixture
def ledger(ledger: Ledger, bucket: Callable[[], S3TileStore]) -> Ledger:
    """The same log with its tiles in the bucket."""
    ledger.open_tiles = bucket
    return ledger


#: What happens to the requests of one batch; whether the round fails by it.
FAULTS = {
    "a bundle cannot be written": (Fault("refused", "PUT", "tile/entries", 99), True),
    "a tile cannot be written": (Fault("refused", "PUT", "tile/0", 99), True),
    "a tile is written though reported lost": (Fault("unanswered", "PUT", "tile/0", 99), True),
    "its answer is lost but once": (Fault("unanswered", "PUT", "tile/0", 1), False),
    "a map delta cannot be written": (Fault("refused", "PUT", "map/delta", 99), True),
    "the checkpoint cannot be written": (Fault("refused", "PUT", "checkpoint", 99), True),
    "it is written, reported lost": (Fault("unanswered", "PUT", "checkpoint", ATTEMPTS), True),
    "reported lost but once": (Fault("unanswered", "PUT", "checkpoint", 1), False),
    "partial tiles cannot be discarded": (Fault("refused", "POST", "", 99), True),
    "the right edge cannot be read": (Fault("refused", "GET", "tile", 99), True),
    "it breaks off for a moment": (Fault("broken off", "GET", "tile", ATTEMPTS - 1), False),
}


def test_each_request_of_a_batch_fails_and_the_log_goes_on(
    ledger: Ledger, world: World, brand: Actor, object_store: ObjectStore
) -> None:
    ledger.sequencer().run_once()
    checkpoints = seen(ledger)
    for number, (what, (fault, fails)) in enumerate(FAULTS.items()):
        event = item_event(*range(number * 300, number * 300 + 300))  # crosses a tile's border
        upload = world.capture.submit_batch(brand.sealed([event])).upload_id
        ledger.clock.advance(60_000)  # whoever held the lease is dead
        sequencer = ledger.sequencer(holder="faulty")
        with object_store.failing(fault):
            if fails:
                with pytest.raises(StoreUnavailableError):
                    sequencer.run_once()
            else:
                sequencer.run_once()
            assert object_store.struck() >= min(fault.times, ATTEMPTS), what
        checkpoints |= seen(ledger)
        audit(ledger)
        if number % 2:  # the same process goes on, or another one comes
            sequencer.run_once()
        else:
            ledger.clock.advance(60_000)
            ledger.sequencer(holder="next").run_once()
        checkpoints |= seen(ledger)
        with ledger.database.read() as connection:
            assert log.is_covered(connection, upload), what
    audit(ledger)
    require_one_history(ledger, checkpoints)


def test_an_old_database_is_noticed_by_the_bucket_alone(
    ledger: Ledger, world: World, brand: Actor
) -> None:
    """The checkpoint and the copy beside the keys are gone; one listing shows a larger log."""
    ledger.sequencer().run_once()
    store = ledger.tiles
    size = len(list(store.paths()))
    assert size >= 3
    store.write_immutable("tile/0/000.p/200", b"x" * 32 * 200)
    ledger.clock.advance(60_000)
    with pytest.raises(SequencerRefusalError, match=r"holds tile/0/000\.p/200 of a larger log"):
        ledger.sequencer().start()


def test_only_the_tile_that_the_log_ended_in_is_asked_for_partials(ledger: Ledger) -> None:
    """A large batch fills hundreds of tiles at once; two requests for each would take minutes."""
    asked: list[str] = []

    class Counted(S3TileStore):
        def discard_partials(self, path: str) -> None:
            asked.append(path)
            super().discard_partials(path)

    store = ledger.tiles
    assert isinstance(store, S3TileStore)
    counted = Counted(store._client, store._bucket, store._prefix.rstrip("/"))
    sequencer = ledger.sequencer(tiles=counted)
    sequencer.start()
    ledger.accept("https://id.example/first")
    sequencer.run_once()
    ledger.accept(*(f"https://id.example/{number}" for number in range(1100)))
    sequencer.run_once()
    assert sorted(asked) == ["tile/0/000", "tile/entries/000"]
    assert not [path for path in store.paths() if path.startswith("tile/0/000.p")]


# The whole platform


def problem(answer: TestResponse) -> tuple[int, str]:
    """Status and type of a problem document."""
    assert answer.json is not None
    return answer.status_code, answer.json["type"]


def installed(object_store: ObjectStore, tmp_path: Path) -> Settings:
    return Settings(
        data=tmp_path / "data",
        tiles_url=object_store.tiles_url("/".join(tmp_path.parts[-2:])),
        s3_endpoint=object_store.url,
        s3_timeout_ms=2_000,
    )


def test_a_platform_serves_its_log_out_of_the_bucket(
    object_store: ObjectStore, tmp_path: Path
) -> None:
    settings = installed(object_store, tmp_path)
    brand = install(settings)
    platform = Platform.open(settings)
    receipt = platform.capture.submit_batch(sealed(brand, "ONE", "TWO").lines()).receipt
    published = platform.sequencer.run_once()
    assert published is not None
    platform.sequencer.release()
    client = create_app(platform).test_client()
    assert client.get("/log/checkpoint").data == published.note
    for address in addresses_for(0, published.size):
        answer = client.get(f"/log/{address.path()}")
        assert answer.data == platform.tiles.read(address.path())
    assert client.get(f"/log/map/delta/{published.size - 1:03}").status_code == 200
    assert problem(client.get("/log/tile/0/999")) == (404, "/problems/tile-missing")
    assert client.get("/log/receipt-key").status_code == 200
    assert not not_once(platform.tiles, published.size, [receipt])
    assert links_of(receipt)
    fsck(platform)
    held = {file.name for file in settings.tiles.iterdir()}
    assert held == {"receipt-key"}, "nothing of the log lies in the data directory"
    platform.close()


def test_a_bucket_that_is_away_is_an_outage_for_readers_and_no_verdict(
    object_store: ObjectStore, tmp_path: Path
) -> None:
    settings = installed(object_store, tmp_path)
    install(settings)
    platform = Platform.open(settings)
    client = create_app(platform).test_client()
    path = next(one for one in platform.tiles.paths() if one.startswith("tile/0/"))
    with object_store.failing(Fault("refused", "GET", "tile/0", 99)):
        answer = client.get(f"/log/{path}")
    assert problem(answer) == (503, "/problems/store-unavailable")
    assert client.get(f"/log/{path}").status_code == 200
    platform.close()


def test_starting_again_is_harmless(object_store: ObjectStore, tmp_path: Path) -> None:
    settings = installed(object_store, tmp_path)
    for _ in range(2):
        initialise(settings)
    platform = Platform.open(settings)
    fsck(platform)
    platform.close()
