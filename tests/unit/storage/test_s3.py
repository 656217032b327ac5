"""What only an object store can do wrong, tried against moto's server (tests/support/object_store).

What it has in common with the directory is in test_tiles.py.
"""

from __future__ import annotations

import itertools
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from provenance.storage import s3
from provenance.storage.errors import StoreUnavailableError, StoreUnusableError
from provenance.storage.files import FileConflictError, FileMovedError
from provenance.storage.s3 import ATTEMPTS, PARALLEL, S3TileStore
from provenance.storage.tiles import TileMissingError
from tests.support.object_store import BUCKET, Fault, ObjectStore
from tests.support.processes import free_port, until

TILE = "tile/0/000"
_numbers = itertools.count()


@pytest.fixture
def prefix() -> str:
    return f"faults/{next(_numbers)}"


@pytest.fixture
def store(object_store: ObjectStore, prefix: str) -> S3TileStore:
    return object_store.open(prefix)


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library waits a second and more between attempts; how long is not tested here."""
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", _soon)


def _soon(_self: object, _context: object) -> float:
    return 0.01


@pytest.mark.parametrize("status", [500, 502, 503])
@pytest.mark.parametrize("method", ["PUT", "GET"])
def test_a_store_that_fails_for_a_moment_is_asked_again(
    object_store: ObjectStore, store: S3TileStore, status: int, method: str
) -> None:
    with object_store.failing(Fault("refused", method, "tile", ATTEMPTS - 1, status)):
        store.write_immutable(TILE, b"x")
        assert store.read(TILE) == b"x"
        assert object_store.struck() == ATTEMPTS - 1


def test_a_store_that_goes_on_failing_is_an_outage_and_no_verdict(
    object_store: ObjectStore, store: S3TileStore
) -> None:
    store.write_immutable(TILE, b"x")
    with object_store.failing(Fault("refused", "GET", "tile", 99)):
        with pytest.raises(StoreUnavailableError, match=f"did not do it: reading {TILE}: 500"):
            store.read(TILE)
        assert object_store.struck() == ATTEMPTS, "bounded"
    with (
        object_store.failing(Fault("refused", "PUT", "tile", 99)),
        pytest.raises(StoreUnavailableError, match=r"^s3://tiles/faults/\d+ did not do it: wr"),
    ):
        store.write_immutable(TILE, b"x")
    with (
        object_store.failing(Fault("refused", "GET", "/tiles", 99)),
        pytest.raises(StoreUnavailableError, match="listing tile/: 500"),
    ):
        list(store.paths())


def test_nobody_there_is_an_outage(store: S3TileStore) -> None:
    away = S3TileStore.open(
        "s3://tiles/log", endpoint=f"http://127.0.0.1:{free_port()}", timeout_ms=200
    )
    for ask in (
        lambda: away.read(TILE),
        lambda: away.write_immutable(TILE, b"x"),
        lambda: away.write_checkpoint(b"x"),
        away.read_checkpoint,
        away.prepare,
        lambda: away.discard_partials(TILE),
        lambda: list(away.paths()),
    ):
        with pytest.raises(StoreUnavailableError, match="Could not connect"):
            ask()


def test_a_silent_store_is_an_outage_within_its_time(
    object_store: ObjectStore, prefix: str
) -> None:
    impatient = object_store.open(prefix, timeout_ms=150)
    began = time.monotonic()
    with (
        object_store.failing(Fault("held", "GET", "tile", 99)),
        pytest.raises(StoreUnavailableError, match="Read timeout"),
    ):
        impatient.read(TILE)
    assert time.monotonic() - began < 5


def test_a_tile_that_was_written_though_reported_lost(
    object_store: ObjectStore, store: S3TileStore
) -> None:
    with object_store.failing(Fault("unanswered", "PUT", "tile")):
        store.write_immutable(TILE, b"x")
        assert object_store.struck() == 1
    assert store.read(TILE) == b"x"
    with (
        object_store.failing(Fault("unanswered", "PUT", "tile")),
        pytest.raises(FileConflictError, match="tile/0/000 exists with other contents"),
    ):
        store.write_immutable(TILE, b"y")


def test_a_checkpoint_that_was_written_though_reported_lost(
    object_store: ObjectStore, store: S3TileStore
) -> None:
    for number in range(3):  # the first under If-None-Match, then under If-Match
        with object_store.failing(Fault("unanswered", "PUT", "checkpoint")):
            store.write_checkpoint(b"%d" % number)
            assert object_store.struck() == 1
        assert store.read_checkpoint() == b"%d" % number


def test_a_checkpoint_whose_every_answer_is_lost_may_be_written_again(
    object_store: ObjectStore, store: S3TileStore
) -> None:
    store.write_checkpoint(b"one")
    with object_store.failing(Fault("unanswered", "GET", "checkpoint", 99)):
        # Done at once, then 412, and what is there cannot be read: nobody knows.
        object_store.fault(Fault("unanswered", "PUT", "checkpoint", 99))
        with pytest.raises(StoreUnavailableError):
            store.write_checkpoint(b"two")
    store.write_checkpoint(b"two")
    store.write_checkpoint(b"three")
    assert store.read_checkpoint() == b"three"


def test_a_late_checkpoint_goes_over_no_newer_one(
    object_store: ObjectStore, store: S3TileStore, prefix: str
) -> None:
    """The request left in time and was under way while another sequencer took over."""
    store.write_checkpoint(b"size 1")
    successor = object_store.open(prefix)
    raised: list[Exception] = []

    def write() -> None:
        try:
            store.write_checkpoint(b"size 2")
        except FileMovedError as error:
            raised.append(error)

    object_store.fault(Fault("held", "PUT", "checkpoint"))
    late = threading.Thread(target=write)
    late.start()
    until(lambda: object_store.struck() == 1)
    successor.read_checkpoint()
    successor.write_checkpoint(b"size 3")
    object_store.fault(None)
    late.join()
    assert [type(error) for error in raised] == [FileMovedError]
    assert successor.read_checkpoint() == b"size 3"


def test_two_writes_that_meet_are_tried_again(
    object_store: ObjectStore, store: S3TileStore
) -> None:
    with object_store.failing(Fault("refused", "PUT", "tile", ATTEMPTS - 1, 409)):
        store.write_immutable(TILE, b"x")
    with (
        object_store.failing(Fault("refused", "PUT", "tile", 99, 409)),
        pytest.raises(StoreUnavailableError, match=f"other writes met it {ATTEMPTS} times"),
    ):
        store.write_immutable(TILE, b"x")


def test_a_body_that_breaks_off_is_asked_for_again(
    object_store: ObjectStore, store: S3TileStore
) -> None:
    store.write_immutable(TILE, bytes(100_000))
    with object_store.failing(Fault("broken off", "GET", "tile", ATTEMPTS - 1)):
        assert store.read(TILE) == bytes(100_000)
        assert object_store.struck() == ATTEMPTS - 1
    with (
        object_store.failing(Fault("broken off", "GET", "tile", 99)),
        pytest.raises(StoreUnavailableError, match="reading"),
    ):
        store.read(TILE)


def test_a_checkpoint_that_somebody_removed_is_not_replaced(
    store: S3TileStore, prefix: str
) -> None:
    store.write_checkpoint(b"one")
    store._client.delete_object(Bucket=BUCKET, Key=f"{prefix}/checkpoint")
    with pytest.raises(FileMovedError):
        store.write_checkpoint(b"two")
    assert store.read_checkpoint() is None


def test_a_forbidden_request_is_an_outage_with_its_remedy(
    object_store: ObjectStore, store: S3TileStore
) -> None:
    """Without the right to list, S3 says so of every object that is not there."""
    with (
        object_store.failing(Fault("refused", "GET", "tile", 99, 403)),
        pytest.raises(StoreUnavailableError, match=r"403 .*must allow s3:GetObject.*ListBucket"),
    ):
        store.read(TILE)


def test_a_bucket_that_is_not_there_is_no_missing_tile(object_store: ObjectStore) -> None:
    nowhere = S3TileStore.open("s3://no-such-bucket/log", endpoint=object_store.url)
    for ask in (nowhere.prepare, lambda: nowhere.read(TILE), nowhere.read_checkpoint):
        with pytest.raises(StoreUnavailableError, match=r"NoSuchBucket \(make the bucket no-such-"):
            ask()


def test_a_store_without_conditional_writes_is_refused_at_the_start(
    object_store: ObjectStore, store: S3TileStore
) -> None:
    for _ in range(2):
        store.prepare()
    with (
        object_store.failing(Fault("unconditional", "PUT", "conditional-writes", 99)),
        pytest.raises(StoreUnusableError, match=r"took a write whose condition .* expected 412"),
    ):
        store.prepare()
    assert list(store.paths()) == [], "the probe is no tile"


def test_uploads_of_a_batch_run_side_by_side_and_are_bounded(
    object_store: ObjectStore, store: S3TileStore
) -> None:
    taken = 0

    def files() -> Iterator[tuple[str, bytes]]:
        nonlocal taken
        for number in range(200):
            taken += 1
            yield f"tile/0/{number:03}", b"x"

    object_store.fault(Fault("held", "PUT", "tile", 999))
    writing = threading.Thread(target=store.write_all, args=(files(),))
    writing.start()
    until(lambda: object_store.struck() == PARALLEL)
    time.sleep(0.3)
    assert object_store.struck() == PARALLEL, "so many at a time and no more"
    assert taken <= 2 * PARALLEL + 1, "and not much more is worked out ahead of them"
    object_store.fault(None)
    writing.join()
    assert sum(1 for _ in store.paths()) == 200


def test_one_upload_of_a_batch_that_fails_fails_the_batch(
    object_store: ObjectStore, store: S3TileStore
) -> None:
    files = [(f"tile/0/{number:03}", b"%d" % number) for number in range(100)]
    with (
        object_store.failing(Fault("refused", "PUT", "tile/0/040", 99)),
        pytest.raises(StoreUnavailableError, match="writing tile/0/040: 500"),
    ):
        store.write_all(files)
    with pytest.raises(TileMissingError):
        store.read("tile/0/040")
    store.write_all(files)  # repeated as the sequencer repeats it: what is there is there
    assert {path: store.read(path) for path, _ in files} == dict(files)


def test_without_the_extra_the_remedy_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3.session", None)
    with pytest.raises(StoreUnusableError, match=r"need boto3.*pip install -e '\.\[s3\]'"):
        S3TileStore.open("s3://tiles/log")


def test_missing_credentials_are_an_outage_that_names_them(
    object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    with pytest.raises(StoreUnavailableError, match="Unable to locate credentials"):
        object_store.open("log").read(TILE)


def test_objects_say_how_long_they_may_be_kept(store: S3TileStore, prefix: str) -> None:
    """A CDN may serve the bucket as it is."""
    store.write_immutable(TILE, b"x")
    store.write_checkpoint(b"text")
    for path, kind, cache in (
        (TILE, "application/octet-stream", s3._IMMUTABLE),
        ("checkpoint", "text/plain", "no-cache"),
    ):
        answer = store._client.head_object(Bucket=BUCKET, Key=f"{prefix}/{path}")
        assert (answer["ContentType"], answer["CacheControl"]) == (kind, cache)
