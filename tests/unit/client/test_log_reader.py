"""A log read from outside over real HTTP: what is asked for, what is refused, what is tried again.

The server is a real one with files of a real log; each trouble is what a bad network or a bad log
does to one path.
"""

from __future__ import annotations

import gzip
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import pytest

from merkle.errors import ArgumentError
from merkle.hashing import leaf_hash
from merkle.tiles import encode_bundle
from merkle.tree import Edge, MemoryTree
from provenance.client.log_reader import LogAddressError, LogReader
from provenance.domain.log_source import (
    LogFileMissingError,
    LogMalformedError,
    LogMismatchError,
    LogSourceError,
    LogUnreachableError,
    follow,
)
from tests.support.tilelog import (
    FileServer,
    TileLog,
    hang_up,
    numbered,
    respond,
    serving_files,
    status,
    times,
    trickle,
)


@pytest.fixture
def log() -> TileLog:
    log = TileLog()
    log.append(*numbered(0, 100))
    log.append(*numbered(100, 600))
    return log


@pytest.fixture
def server(log: TileLog) -> Iterator[FileServer]:
    with serving_files(log.files) as served:
        yield served


@pytest.fixture
def reader(server: FileServer) -> Iterator[LogReader]:
    reader = LogReader(server.url, sleep=lambda _: None)
    yield reader
    reader.close()


def everything(reader: LogReader, start: int, end: int, size: int) -> list[bytes]:
    return [entry for part in reader.entries(start, end, size) for entry in part]


# --- what is asked for


def test_the_checkpoint_is_given_as_it_is(reader: LogReader, log: TileLog) -> None:
    assert reader.checkpoint() == log.note()


@pytest.mark.parametrize(
    ("start", "end", "paths"),
    [
        (0, 0, []),
        (0, 1, ["000"]),
        (255, 257, ["000", "001"]),
        (256, 512, ["001"]),
        (512, 600, ["002.p/88"]),
        (599, 600, ["002.p/88"]),
        (0, 600, ["000", "001", "002.p/88"]),
        (600, 600, []),
    ],
)
def test_entries_come_by_bundles_and_no_file_too_many_is_read(
    reader: LogReader, server: FileServer, start: int, end: int, paths: list[str]
) -> None:
    assert everything(reader, start, end, 600) == list(numbered(start, end))
    assert server.asked == [f"tile/entries/{path}" for path in paths]


def test_a_partial_file_that_is_gone_is_cut_from_the_full_one(
    reader: LogReader, server: FileServer, log: TileLog
) -> None:
    log.discard_partials()
    assert everything(reader, 0, 100, 100) == list(numbered(0, 100))
    assert reader.tile(0, 0, 100) == b"".join(map(leaf_hash, numbered(0, 100)))
    assert server.asked == [
        "tile/entries/000.p/100",
        "tile/entries/000",
        "tile/0/000.p/100",
        "tile/0/000",
    ]


def test_tiles_are_those_that_the_size_implies(reader: LogReader, log: TileLog) -> None:
    assert reader.tile(0, 2, 600) == log.files["tile/0/002.p/88"]
    assert reader.tile(1, 0, 600) == log.files["tile/1/000.p/2"]


@pytest.mark.parametrize(("level", "index"), [(0, 3), (1, 1), (2, 0), (0, -1)])
def test_tiles_that_no_such_log_has_are_not_asked_for(
    reader: LogReader, server: FileServer, level: int, index: int
) -> None:
    with pytest.raises(ArgumentError):
        reader.tile(level, index, 600)
    assert server.asked == []


@pytest.mark.parametrize(("start", "end", "size"), [(-1, 5, 600), (5, 4, 600), (0, 601, 600)])
def test_entries_outside_the_log_are_not_asked_for(
    reader: LogReader, server: FileServer, start: int, end: int, size: int
) -> None:
    with pytest.raises(ArgumentError):
        reader.entries(start, end, size)
    assert server.asked == []


# --- what is tried again, and what is an outage


@pytest.mark.parametrize("trouble", [hang_up, status(429), status(503, Retry_After="1")])
def test_what_passes_is_tried_again(reader: LogReader, server: FileServer, trouble) -> None:
    server.trouble["checkpoint"] = times(2, trouble)
    assert reader.checkpoint().startswith(b"log.example/test\n600\n")
    assert len(server.asked) == 3


@pytest.mark.parametrize("trouble", [hang_up, status(500), status(502), status(504)])
def test_what_does_not_pass_is_an_outage(reader: LogReader, server: FileServer, trouble) -> None:
    server.trouble["checkpoint"] = trouble
    with pytest.raises(LogUnreachableError, match="checkpoint"):
        reader.checkpoint()
    assert len(server.asked) == 3


def test_a_lost_half_is_an_outage_and_not_a_short_file(
    reader: LogReader, server: FileServer, log: TileLog
) -> None:
    half = log.files["tile/0/000"][:4096]

    def broken(handler: BaseHTTPRequestHandler) -> bool:
        respond(handler, 200, half, Content_Length="8192")
        return hang_up(handler)

    server.trouble["tile/0/000"] = broken
    with pytest.raises(LogUnreachableError):
        reader.tile(0, 0, 600)


def test_nobody_there_is_an_outage() -> None:
    with serving_files({}) as server:
        url = server.url
    with pytest.raises(LogUnreachableError):
        LogReader(url, sleep=lambda _: None).checkpoint()


def test_a_slow_sender_meets_the_time_limit(server: FileServer) -> None:
    server.trouble["tile/0/000"] = trickle
    reader = LogReader(server.url, timeout_seconds=0.3)
    with pytest.raises(LogUnreachableError, match=r"0\.3 seconds"):
        reader.tile(0, 0, 600)
    reader.close()


def test_the_time_limit_is_for_all_attempts_together(server: FileServer) -> None:
    server.trouble["checkpoint"] = status(503)
    reader = LogReader(server.url, timeout_seconds=0.1, sleep=lambda _: time.sleep(0.15))
    with pytest.raises(LogUnreachableError, match="status 503"):
        reader.checkpoint()
    assert len(server.asked) == 1
    reader.close()


def test_a_missing_file_is_said_to_be_missing(reader: LogReader, server: FileServer) -> None:
    with pytest.raises(LogFileMissingError, match=r"no file tile/entries/003$"):
        everything(reader, 768, 1000, 1024)
    with pytest.raises(LogFileMissingError, match=r"no file tile/entries/003\.p/32$"):
        everything(reader, 768, 800, 800)
    assert server.asked[1:] == ["tile/entries/003.p/32", "tile/entries/003"]


def test_a_connection_serves_many_files(reader: LogReader, server: FileServer) -> None:
    for _ in range(3):
        everything(reader, 0, 600, 600)
    assert (len(server.asked), server.connections) == (9, 1)


# --- what is refused


def test_redirects_are_not_followed(reader: LogReader, server: FileServer) -> None:
    server.trouble["checkpoint"] = status(302, Location="/log/tile/0/000")
    with pytest.raises(LogMalformedError, match="found 302"):
        reader.checkpoint()
    assert server.asked == ["checkpoint"]


@pytest.mark.parametrize("code", [201, 204, 206, 400, 403, 410])
def test_any_other_status_is_refused(reader: LogReader, server: FileServer, code: int) -> None:
    server.trouble["tile/0/000"] = status(code)
    with pytest.raises(LogMalformedError, match=str(code)):
        reader.tile(0, 0, 600)


def test_a_coding_is_refused(reader: LogReader, server: FileServer, log: TileLog) -> None:
    packed = gzip.compress(log.note())

    def coded(handler: BaseHTTPRequestHandler) -> bool:
        respond(handler, 200, packed, Content_Encoding="gzip")
        return True

    server.trouble["checkpoint"] = coded
    with pytest.raises(LogMalformedError, match="coding"):
        reader.checkpoint()


def test_a_file_is_never_read_beyond_its_limit(reader: LogReader, log: TileLog) -> None:
    log.files["tile/0/000"] += b"\0"
    with pytest.raises(LogMalformedError, match="more than 8192 bytes"):
        reader.tile(0, 0, 600)
    log.files["checkpoint"] = b"x" * 1_000_000
    with pytest.raises(LogMalformedError, match="more than"):
        reader.checkpoint()


def test_files_of_a_wrong_length_or_framing_are_refused(reader: LogReader, log: TileLog) -> None:
    log.files["tile/0/002.p/88"] = log.files["tile/0/002.p/88"][:-1]
    with pytest.raises(LogMalformedError, match="expected 2816 bytes, found 2815"):
        reader.tile(0, 2, 600)
    log.files["tile/entries/001"] = log.files["tile/entries/001"][:-1]
    with pytest.raises(LogMalformedError, match="tile/entries/001"):
        everything(reader, 0, 600, 600)
    log.files["tile/entries/001"] = encode_bundle(numbered(256, 511))
    with pytest.raises(LogMalformedError, match="ends inside"):
        everything(reader, 0, 600, 600)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "log.example",
        "ftp://log.example/log",
        "file:///etc/passwd",
        "http:///log",
        "https://user:word@log.example/log",
        "https://log.example/log?x=1",
        "https://log.example/log#x",
        "https://log.example:99999/log",
        "https://log.example/lo\ng",
    ],
)
def test_addresses_at_which_no_log_can_be_are_refused(url: str) -> None:
    with pytest.raises(LogAddressError):
        LogReader(url)


# --- entries that count


@pytest.mark.parametrize("known", [0, 1, 255, 256, 257, 599, 600])
def test_following_leads_from_any_edge_to_the_signed_root(
    reader: LogReader, log: TileLog, known: int
) -> None:
    seen = known
    edge = Edge.read(known, log.tree)
    for stretch in follow(reader, edge, log.checkpoint()):
        assert stretch.start == seen
        assert list(stretch.entries) == list(numbered(seen, stretch.edge.size))
        assert stretch.edge == Edge.read(stretch.edge.size, log.tree)
        seen = stretch.edge.size
    assert seen == 600


def test_entries_under_another_root_never_end_well(reader: LogReader, log: TileLog) -> None:
    bundle = bytearray(log.files["tile/entries/001"])
    bundle[-1] ^= 1
    log.files["tile/entries/001"] = bytes(bundle)
    with pytest.raises(LogMismatchError, match="size 600"):
        list(follow(reader, Edge(), log.checkpoint()))


def test_a_beginning_that_is_not_the_logs_never_ends_well(reader: LogReader, log: TileLog) -> None:
    other = MemoryTree()
    other.extend(map(leaf_hash, numbered(1, 101)))
    with pytest.raises(LogMismatchError, match="do not lead"):
        list(follow(reader, Edge.read(100, other), log.checkpoint()))
    with pytest.raises(LogMismatchError, match="expected 100 at least"):
        list(follow(reader, Edge.read(100, log.tree), log.checkpoint(99)))


def test_what_a_log_does_wrong_has_one_base_class() -> None:
    kinds = (LogUnreachableError, LogFileMissingError, LogMalformedError, LogMismatchError)
    assert all(issubclass(kind, LogSourceError) for kind in kinds)
    assert not issubclass(LogMalformedError, LogUnreachableError)


def test_map_deltas_are_named_by_their_map_head_and_bounded(
    reader: LogReader, server: FileServer, log: TileLog
) -> None:
    log.files |= {"map/delta/000": b"first", "map/delta/x001/234": b"x" * 5000}
    assert reader.map_delta(0) == b"first"
    assert len(reader.map_delta(1234)) == 5000
    small = LogReader(server.url, max_delta_bytes=4999)
    with pytest.raises(LogMalformedError, match="more than 4999 bytes"):
        small.map_delta(1234)
    with pytest.raises(LogFileMissingError):
        reader.map_delta(5)
    small.close()
