"""The bounded reader: limits while reading, whatever the pieces in which a body arrives."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.domain.errors import MalformedInputError, Refusal, TooLargeError
from provenance.web import bodies


def pieces(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    """`data` cut into pieces of these sizes, again and again."""
    place = turn = 0
    while place < len(data):
        size = sizes[turn % len(sizes)]
        yield data[place : place + size]
        place, turn = place + size, turn + 1


def code_of(chunks: Iterable[object]) -> str:
    with pytest.raises(Refusal) as caught:
        list(chunks)
    return caught.value.code


CUTS = st.lists(st.integers(1, 40), min_size=1, max_size=5)


@given(st.lists(st.binary(max_size=30)), CUTS, st.booleans())
def test_lines_come_out_as_an_editor_counts_them(
    lines: list[bytes], cuts: list[int], ended: bool
) -> None:
    lines = [line.replace(b"\n", b"").replace(b"\r", b"") for line in lines]
    body = b"\n".join(lines) + (b"\n" if ended else b"")
    expected = body.split(b"\n")
    if expected[-1] == b"":
        expected.pop()
    assert list(bodies.split_lines(pieces(body, cuts), 30)) == expected


@given(CUTS)
def test_a_carriage_return_before_the_end_is_taken_off_and_not_counted(cuts: list[int]) -> None:
    body = b"a" * 10 + b"\r\n" + b"b" * 10 + b"\r"
    assert list(bodies.split_lines(pieces(body, cuts), 10)) == [b"a" * 10, b"b" * 10]


@given(st.integers(1, 6), CUTS)
def test_the_first_line_too_long_is_named(before: int, cuts: list[int]) -> None:
    body = b"ok\n" * before + b"x" * 11 + b"\nok\n"
    with pytest.raises(TooLargeError) as caught:
        list(bodies.split_lines(pieces(body, cuts), 10))
    assert caught.value.line == before + 1


def test_a_long_line_is_refused_before_its_end_arrives() -> None:
    given_out = []

    def endless() -> Iterator[bytes]:
        while True:
            given_out.append(1)
            yield b"x" * 100

    assert code_of(bodies.split_lines(endless(), 1_000)) == "too-large"
    assert len(given_out) <= 12


@given(st.binary(max_size=5_000), CUTS, st.integers(1, 700))
def test_gzip_comes_out_whole_whatever_the_cuts(data: bytes, cuts: list[int], size: int) -> None:
    packed = gzip.compress(data)
    out = list(bodies.inflate(pieces(packed, cuts), 5_000, size))
    assert b"".join(out) == data
    assert all(len(piece) <= size for piece in out)


@given(st.lists(st.binary(max_size=300), max_size=5), CUTS)
def test_members_follow_one_another(parts: list[bytes], cuts: list[int]) -> None:
    packed = b"".join(map(gzip.compress, parts))
    assert b"".join(bodies.inflate(pieces(packed, cuts), 10_000)) == b"".join(parts)


@given(st.binary(min_size=1, max_size=2_000), st.data())
def test_a_stream_cut_anywhere_is_truncated(data: bytes, draw: st.DataObject) -> None:
    packed = gzip.compress(data)
    end = draw.draw(st.integers(1, len(packed) - 1))
    assert code_of(bodies.inflate([packed[:end]], 10_000)) == "body-truncated"


def test_a_bomb_costs_what_the_limit_costs() -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)
    out = 0
    with pytest.raises(TooLargeError):
        for piece in bodies.inflate([bomb], 100_000):
            out += len(piece)
    assert out <= 100_000


def test_a_million_empty_members_are_refused() -> None:
    empty = gzip.compress(b"")
    assert code_of(bodies.inflate([empty * 20_000], 1_000)) == "too-large"


@pytest.mark.parametrize(
    "tail", [b"x", b"\0" * 20, zlib.compress(b"raw")], ids=["byte", "padding", "zlib"]
)
def test_nothing_may_follow_the_last_member(tail: bytes) -> None:
    code = code_of(bodies.inflate([gzip.compress(b"data") + tail], 1_000))
    assert code in ("not-gzip", "body-truncated")


def test_a_flipped_byte_is_noticed() -> None:
    packed = bytearray(gzip.compress(b"data" * 100))
    packed[-5] ^= 1  # in the check sum
    assert code_of(bodies.inflate([bytes(packed)], 1_000)) == "not-gzip"


def test_less_than_promised_is_truncated() -> None:
    assert code_of(bodies.read_chunks(io.BytesIO(b"12345"), 10, 6)) == "body-truncated"
    assert list(bodies.read_chunks(io.BytesIO(b"12345"), 10, 5)) == [b"12345"]


def test_more_than_the_limit_is_too_large_however_it_is_promised() -> None:
    assert code_of(bodies.read_chunks(io.BytesIO(b"x" * 11), 10, None)) == "too-large"
    assert b"".join(bodies.read_chunks(io.BytesIO(b"x" * 10), 10, None)) == b"x" * 10


def test_a_connection_that_breaks_is_a_truncated_body() -> None:
    class Broken:
        def read(self, size: int, /) -> bytes:
            raise ConnectionResetError

    with pytest.raises(MalformedInputError) as caught:
        list(bodies.read_chunks(Broken(), 10, 5))
    assert caught.value.code == "body-truncated"
