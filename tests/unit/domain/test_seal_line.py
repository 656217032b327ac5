"""Lines of the list of seals: written and read alike, and everything else refused."""

from __future__ import annotations

import json

import pytest

from provenance.domain.canonical import encode, encode_base64
from provenance.domain.seal_line import MAX_LINE_BYTES, MalformedSealLineError, SealLine
from provenance.domain.seal_line import decode_seal_line as decode

SEALED = SealLine(7, 3, b'{"a":1}', b"\x01" * 64)
OWN = SealLine(1, 1, None, None)


@pytest.mark.parametrize("line", [SEALED, OWN])
def test_a_line_is_canonical_and_read_as_it_was_written(line: SealLine) -> None:
    data = line.encode()
    assert data == encode(json.loads(data)) + b"\n"
    assert decode(data.removesuffix(b"\n")) == line


@pytest.mark.parametrize(
    "changes",
    [
        {"index": 0},  # entry 0 is the map head of the empty map
        {"index": "7"},
        {"links": 0},
        {"links": 1.5},
        {"seal": None},  # leaves of nothing
        {"leaves": None},
        {"seal": "text"},
        {"leaves": ""},
        {"leaves": encode_base64(b"\x01" * 33)},
        {"leaves": "AAA"},
        {"more": 1},
    ],
)
def test_another_form_is_refused(changes: dict[str, object]) -> None:
    document = {**json.loads(SEALED.encode()), **changes}
    with pytest.raises(MalformedSealLineError):
        decode(encode(document))


def test_a_missing_member_and_an_endless_line_are_refused() -> None:
    for name in ("index", "leaves", "links", "seal"):
        document = json.loads(SEALED.encode())
        del document[name]
        with pytest.raises(MalformedSealLineError, match=name):
            decode(encode(document))
    with pytest.raises(MalformedSealLineError, match="large"):
        decode(b" " * (MAX_LINE_BYTES + 1))


def test_the_longest_line_that_there_may_be_is_read() -> None:
    seal = encode({"text": "x" * (8_192 - len('{"text":""}'))})
    line = SealLine(2**53 - 1, 2**53 - 1, seal, b"\x02" * 32 * 10_000)
    assert decode(line.encode().removesuffix(b"\n")) == line
