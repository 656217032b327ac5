"""Links: one spelling, whatever way they are read; keys that no two subjects share."""

from __future__ import annotations

import struct
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merkle.hashing import leaf_hash
from provenance.domain import canonical
from provenance.domain.canonical import encode_base64
from provenance.domain.chain import Link, MalformedLinkError, decode_link, read_link, subject_key

hashes = st.binary(min_size=32, max_size=32)
links = st.builds(
    Link,
    key=hashes,
    seq=st.integers(0, 2**53 - 1),
    prev=st.none() | hashes,
    event=hashes,
    seal=hashes,
    time=st.integers(0, 253_402_300_799_999),
)
LINK = Link(bytes(32), 0, None, b"\1" * 32, b"\2" * 32, 1_763_910_000_123)


@given(links)
def test_links_read_back_and_are_canonical(link: Link) -> None:
    data = link.encode()
    document = canonical.parse(data)
    assert canonical.encode(document) == data
    assert decode_link(data) == link == read_link(document)
    assert link.hash == leaf_hash(data)


def test_bytes_of_the_format_page() -> None:
    assert LINK.encode() == (
        b'{"event":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=",'
        b'"key":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","prev":null,'
        b'"seal":"AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=","seq":0,'
        b'"time":"2025-11-23T15:00:00.123Z","v":1}'
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"v":1', b'"v":2'),
        (b'"v":1', b'"v": 1'),
        (b'"seq":0', b'"seq":00'),
        (b'"seq":0', b'"seq":-1'),
        (b'"seq":0', b'"seq":9007199254740992'),
        (b'"seq":0', b'"seq":0.0'),
        (b"AAA=", b"AAB="),  # stray bits: another spelling of the same 32 bytes
        (b'"prev":null', b'"prev":""'),
        (b"15:00:00.123Z", b"25:00:00.123Z"),
        (b"15:00:00.123Z", b"15:00:00.12Z"),
        (b"2025-11-23", b"2025-02-30"),
        (b'{"event"', b'{"a":1,"event"'),
        (b'"v":1}', b'"v":1}\n'),
        (b"AQE", b"\xff\xfe\xfd"),
    ],
)
def test_other_bytes_are_no_link(old: bytes, new: bytes) -> None:
    data = LINK.encode()
    assert old in data
    with pytest.raises(MalformedLinkError):
        decode_link(data.replace(old, new, 1))


def document(**changes: Any) -> dict[str, Any]:
    return {**canonical.parse(LINK.encode()), **changes}


@pytest.mark.parametrize("name", sorted(canonical.parse(LINK.encode())))
def test_every_member_must_be_there(name: str) -> None:
    changed = document()
    del changed[name]
    with pytest.raises(MalformedLinkError, match=f"{name}: expected a member"):
        read_link(changed)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("v", True, "v: expected 1"),
        ("seq", True, "whole number"),
        ("seq", "0", "whole number"),
        ("event", None, "base64 of 32 bytes"),
        ("prev", encode_base64(bytes(31)), "base64 of 32 bytes"),
        ("time", 7, "YYYY-MM-DD"),
        ("note", 1, "no member of this name"),
    ],
)
def test_every_member_has_its_form(name: str, value: Any, reason: str) -> None:
    with pytest.raises(MalformedLinkError, match=reason):
        read_link(document(**{name: value}))


def test_a_first_link_with_prev_has_the_form_of_a_link() -> None:
    # Its place in a chain is judged with another reason, by whoever judges chains.
    link = replace(LINK, prev=bytes(32))
    assert decode_link(link.encode()) == link


def test_no_member_can_be_changed_unseen() -> None:
    other = b"\7" * 32
    changed = [
        replace(LINK, key=other),
        replace(LINK, seq=1),
        replace(LINK, prev=other),
        replace(LINK, event=other),
        replace(LINK, seal=other),
        replace(LINK, time=LINK.time + 1),
    ]
    assert len({link.hash for link in [LINK, *changed]}) == 7


def test_subject_keys_are_those_of_the_format_page() -> None:
    uri = "https://id.gs1.org/01/09506000134352/21/ä"
    name = uri.encode()
    expected = b"prov/map-key/v1\0" + struct.pack(">H", len(name)) + name + b"\x03abc"
    assert subject_key(uri, b"abc") == sha256(expected).digest()
    assert subject_key(uri) != subject_key(uri, b"abc")


@given(st.text(max_size=8), st.binary(max_size=4), st.text(max_size=8), st.binary(max_size=4))
def test_no_two_subjects_share_a_key(a: str, b: bytes, c: str, d: bytes) -> None:
    assert (subject_key(a, b) == subject_key(c, d)) == ((a, b) == (c, d))


def test_lengths_have_their_limits() -> None:
    subject_key("a" * 65_535, bytes(255))
    with pytest.raises(ValueError, match="65536 bytes"):
        subject_key("a" * 65_536)
    with pytest.raises(ValueError, match="secret of 256"):
        subject_key("a", bytes(256))
