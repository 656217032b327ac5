"""A log as somebody outside reads it: files by number, and what may go wrong on the way.

Whoever checks a log from outside (a witness that checks the map, an auditor) is written against
:class:`LogSource` and does not care where the bytes come from; `provenance.client.log_reader` gets
them over HTTP. Nothing that a source gives is authenticated: :func:`follow` is how entries come to
count, by hashing them onto an edge that is known and meeting a root that is signed.

Three kinds of mishap, never to be mixed: the log could not be read now (an outage, no verdict), it
answered with what is not of its form, and it answered with what is not what it signed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from merkle.checkpoint import Checkpoint
from merkle.hashing import leaf_hash
from merkle.tree import Edge
from provenance.domain.errors import DomainError


class LogSourceError(DomainError):
    """Base of what reading a log from outside may raise."""


class LogUnreachableError(LogSourceError):
    """No answer, too slow an answer, or one that says "not now". Says nothing about the log."""


class LogFileMissingError(LogUnreachableError):
    """The log answers, and does not have the file (yet). `path` is the file's."""

    def __init__(self, path: str) -> None:
        super().__init__(f"the log has no file {path}")
        self.path = path


class LogMalformedError(LogSourceError):
    """The log gave bytes that are not of their form, or more of them than there can be."""


class LogMismatchError(LogSourceError):
    """The entries given are not those over which the root was signed."""


class LogSource(Protocol):
    """The files of one C2SP tile log. Every method raises LogUnreachableError, LogMalformedError.

    `size` is that of a signed checkpoint: only files that it implies are asked for, and where a
    partial one is gone the full one is cut (tlog-tiles 0.1.0, "Partial Tiles").
    """

    def checkpoint(self) -> bytes:
        """The published checkpoint, a signed note; not judged."""
        ...

    def tile(self, level: int, index: int, size: int) -> bytes:
        """The hashes of a tile as far as a log of `size` entries fills it."""
        ...

    def entries(self, start: int, end: int, size: int) -> Iterator[Sequence[bytes]]:
        """The entries ``[start, end)``, in order, some at a time (never more than a bundle)."""
        ...

    def map_delta(self, index: int) -> bytes:
        """The map delta of the map head at `index`; only its length is bounded here."""
        ...


@dataclass(frozen=True, slots=True)
class Stretch:
    """Neighbouring entries: `start` is the index of the first, `edge` the tree after the last."""

    start: int
    entries: Sequence[bytes]
    edge: Edge


def follow(source: LogSource, edge: Edge, checkpoint: Checkpoint) -> Iterator[Stretch]:
    """The entries after `edge`, up to the checkpoint's end, one bundle in memory at a time.

    Raises LogMismatchError at the end when they do not lead to the checkpoint's root (and at once
    when it is smaller than what is known): **nothing yielded counts before the iterator has ended
    by itself.** What `edge` stands for must be known to be the log's beginning.
    """
    if checkpoint.size < edge.size:
        raise LogMismatchError(
            f"{checkpoint.origin} has {checkpoint.size} entries, expected {edge.size} at least"
        )
    start = edge.size
    for entries in source.entries(start, checkpoint.size, checkpoint.size):
        edge = edge.extend(leaf_hash(entry) for entry in entries)
        yield Stretch(start, entries, edge)
        start = edge.size
    if edge.size != checkpoint.size or edge.root() != checkpoint.root:
        raise LogMismatchError(
            f"the entries of {checkpoint.origin} do not lead to the root that it signed at size "
            f"{checkpoint.size}"
        )
