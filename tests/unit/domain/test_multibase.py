"""Base58btc and multikeys: one spelling for one value."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.domain.multibase import (
    MultibaseError,
    decode_multibase,
    encode_multibase,
    format_multikey,
    parse_multikey,
)


@given(st.binary(max_size=66))
def test_bytes_read_back(data: bytes) -> None:
    assert decode_multibase(encode_multibase(data), len(data)) == data


@given(st.text(alphabet="z123456789ABCxyz0OIl", max_size=12), st.integers(0, 8))
def test_what_is_accepted_is_what_encoding_gives(text: str, size: int) -> None:
    try:
        data = decode_multibase(text, size)
    except MultibaseError:
        return
    assert len(data) == size
    assert encode_multibase(data) == text


@pytest.mark.parametrize(
    ("data", "text"),
    [
        # draft-msporny-base58 §5, with the multibase prefix
        (b"Hello World!", "z2NEpo7TZRRrLZSi2U"),
        (
            b"The quick brown fox jumps over the lazy dog.",
            "zUSm3fpXnKG5EUBx2ndxBDMPVciP5hGey2Jh4NDv6gmeo1LkMeiKrLJUUBk6Z",
        ),
        (bytes.fromhex("0000287fb4cd"), "z11233QC4"),
        (b"", "z"),
        (b"\0\0", "z11"),
    ],
)
def test_published_examples(data: bytes, text: str) -> None:
    assert encode_multibase(data) == text
    assert decode_multibase(text, len(data)) == data


@pytest.mark.parametrize(
    ("text", "size", "reason"),
    [
        ("", 0, "expected z"),
        ("m" + "A" * 43, 32, "expected z"),
        ("z0", 1, "'0' is no base58btc letter"),
        ("zl", 1, "no base58btc letter"),
        ("z 2", 1, "no base58btc letter"),
        ("z2", 2, "exactly 2 bytes"),  # a leading zero byte would be a 1
        ("z12", 1, "exactly 1 bytes"),
        ("z5R", 1, "exactly 1 bytes"),  # 256
        ("z" + "2" * 1_000_000, 32, "expected z"),
    ],
)
def test_other_text_is_refused(text: str, size: int, reason: str) -> None:
    with pytest.raises(MultibaseError, match=reason):
        decode_multibase(text, size)


@given(st.binary(min_size=32, max_size=32))
def test_multikeys_read_back(key: bytes) -> None:
    text = format_multikey(key)
    assert text.startswith("z6Mk")
    assert parse_multikey(text) == key


def test_a_key_of_another_kind_is_no_multikey_of_ours() -> None:
    secp256k1 = encode_multibase(b"\xe7\x01" + bytes(32))
    with pytest.raises(MultibaseError, match="Ed25519 multikey"):
        parse_multikey(secp256k1)
