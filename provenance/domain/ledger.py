"""What the log's entries do to the map: the total function from entries to subjects' states.

Every entry of the log is a link (``domain.chain``) or a *map head*, which commits to the map over
all entries before it (docs/formats.md section 7):

    prov/map-head/v1\\n
    <number of entries before this one = its own index>\\n
    <base64 map root after those entries>\\n
    <number of subjects>\\n
    <number of links ignored so far>\\n
    <index of the previous map-head entry, or ->\\n

A subject's map value is ``H("prov/map-val/v1\\0" ‖ u64 count ‖ head ‖ root ‖ u64 index)``: how many
links, the newest link's hash, the RFC 9162 root over all its link hashes, and where in the log the
newest stands.

The function is *total*: any sequence of links has exactly one outcome. A link that does not extend
its subject's head changes nothing and is counted as ignored, so that whoever replays the log
(fsck, a witness that checks the map) never has to ask what we would have done. Time plays no part
in it: a falling time is for the verifier to refuse.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from merkle.hashing import HASH_SIZE
from merkle.tree import Edge
from provenance.domain.canonical import Base64Error, decode_base64, encode_base64
from provenance.domain.chain import ChainStep, Link, MalformedLinkError, decode_link
from provenance.domain.errors import DomainError
from provenance.domain.wire import MAX_INTEGER, shorten

_VALUE_DOMAIN: Final = b"prov/map-val/v1\0"
_VALUE: Final = struct.Struct(f">{len(_VALUE_DOMAIN)}sQ{HASH_SIZE}s{HASH_SIZE}sQ")
_HEAD_LINE: Final = "prov/map-head/v1"
_NUMBER: Final = r"(0|[1-9][0-9]{0,15})"
_HEAD: Final = re.compile(
    rf"{_HEAD_LINE}\n{_NUMBER}\n([A-Za-z0-9+/]{{43}}=)\n{_NUMBER}\n{_NUMBER}\n(?:{_NUMBER}|-)\n"
)


class MalformedMapHeadError(DomainError):
    """Text or bytes that are no map head."""


def map_value(count: int, head: bytes, root: bytes, index: int) -> bytes:
    """The 32 bytes that the map holds for a subject.

    `count` is the number of its links (≥ 1), `head` the hash of the newest, `root` the RFC 9162
    root over all of them, `index` the newest one's index in the log.
    """
    return sha256(_VALUE.pack(_VALUE_DOMAIN, count, head, root, index)).digest()


@dataclass(frozen=True, slots=True)
class MapHead:
    """The map's state after the first `index` entries, itself the entry at `index`.

    `root` 32 bytes; `subjects` their number; `ignored` how many links so far extended nothing;
    `previous` the index of the map head before this one, None for the first.
    """

    index: int
    root: bytes
    subjects: int
    ignored: int
    previous: int | None

    def format(self) -> str:
        """The text; its ASCII bytes are the log entry."""
        previous = "-" if self.previous is None else str(self.previous)
        return (
            f"{_HEAD_LINE}\n{self.index}\n{encode_base64(self.root)}\n"
            f"{self.subjects}\n{self.ignored}\n{previous}\n"
        )

    def encode(self) -> bytes:
        """The log entry."""
        return self.format().encode("ascii")


def parse_map_head(text: str) -> MapHead:
    """The map head of its text; raises MalformedMapHeadError. Exact inverse of `MapHead.format`.

    Form only: six lines, whole numbers without leading zeros up to 2^53 − 1, canonical base64 of 32
    bytes. Whether the index is the right one is for whoever knows where the entry stands.
    """
    match = _HEAD.fullmatch(text)
    if match is None:
        raise MalformedMapHeadError(f"expected the six lines of a map head, found {shorten(text)}")
    index, root, subjects, ignored, previous = match.groups()
    numbers = [int(number) for number in (index, subjects, ignored, previous or "0")]
    if max(numbers) > MAX_INTEGER:
        raise MalformedMapHeadError(
            f"a number of the map head is above {MAX_INTEGER}: {max(numbers)}"
        )
    try:
        root_bytes = decode_base64(root, HASH_SIZE)
    except Base64Error as error:
        raise MalformedMapHeadError(f"the map root is not canonical base64: {root}") from error
    return MapHead(
        index=numbers[0],
        root=root_bytes,
        subjects=numbers[1],
        ignored=numbers[2],
        previous=None if previous is None else numbers[3],
    )


def decode_entry(data: bytes) -> Link | MapHead | None:
    """What an entry of the log is, or None if it is neither a link nor a map head.

    None is an answer and no error: an entry that is neither changes nothing (the function is
    total).
    """
    try:
        if data.startswith(b"{"):
            return decode_link(data)
        return parse_map_head(data.decode("ascii"))
    except (MalformedLinkError, MalformedMapHeadError, UnicodeDecodeError):
        return None


@dataclass(frozen=True, slots=True)
class SubjectState:
    """A subject as the map sees it. `count` = `edge.size`; `head` 32 bytes; `index` of the head."""

    count: int
    head: bytes
    edge: Edge
    index: int

    @property
    def root(self) -> bytes:
        """The RFC 9162 root over the subject's link hashes."""
        return self.edge.root()

    @property
    def value(self) -> bytes:
        """The map value, 32 bytes."""
        return map_value(self.count, self.head, self.root, self.index)


def apply_link(
    state: SubjectState | None, link: Link | ChainStep, index: int
) -> SubjectState | None:
    """The subject's state after `link` at log index `index`, or None if the link is ignored.

    `state` is that of the link's own key, None if it has none yet. The link counts exactly if its
    `seq` is the next one and its `prev` the head's hash (null at the first). A link of another
    subject, a stale one, a repeated one are ignored: their `prev` is not this head, since a head's
    hash covers its key and its seq.
    """
    if state is None:
        if link.seq or link.prev is not None:
            return None
        value = link.hash
        return SubjectState(1, value, Edge(1, (value,)), index)
    if link.seq != state.count or link.prev != state.head:
        return None
    value = link.hash
    return SubjectState(state.count + 1, value, state.edge.append(value), index)
