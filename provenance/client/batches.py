"""The batches of an upload file, found without reading it into memory.

An upload file holds uploads one after the other (docs/formats.md section 17): a seal's line and its
events, the next seal's line and its events; or events with their own proofs, of which up to 1,000
make a batch, as they do on the platform. So `cat` makes one large file of several.

Lines are hashed as they stand. Where a line is not canonical the platform names another hash; then
:func:`exact_contents` gives those that it must name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from merkle.hashing import leaf_hash
from provenance.client.errors import SealingError
from provenance.domain import canonical
from provenance.domain.errors import Refusal
from provenance.domain.seal import SEAL_TYPE, MalformedSealError, is_seal, read_seal

OWN_PROOFS: Final = 1_000
"""Events with their own proofs that the platform takes together (docs/formats.md section 17)."""

_SEAL_MARK: Final = SEAL_TYPE.encode()


@dataclass(frozen=True, slots=True)
class Contents:
    """What an upload says: its log, its seal's hash (None: own proofs) and its event hashes."""

    origin: str
    seal: bytes | None
    events: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch of a file: bytes `[start, end)`, its first line's number from 1, its hashes.

    `seal` and `events` are leaf hashes of the lines as they stand.
    """

    start: int
    end: int
    line: int
    seal: bytes | None
    events: tuple[bytes, ...]

    @property
    def lines(self) -> int:
        """How many lines it has."""
        return len(self.events) + (self.seal is not None)

    def contents(self, origin: str) -> Contents:
        """What its receipt must name if its lines are canonical."""
        return Contents(origin, self.seal, self.events)


@dataclass(frozen=True, slots=True)
class Outline:
    """What a file holds: `origin` is the log that its first line is for."""

    origin: str
    batches: int
    events: int


def survey(path: Path) -> Outline:
    """Goes through the whole file; raises SealingError for what is no upload file."""
    origin, batches, events = "", 0, 0
    for batch in find_batches(path):
        if not batches:
            origin = exact_contents(path, batch).origin
        batches += 1
        events += len(batch.events)
    if not batches:
        raise SealingError(f"{path}: expected a seal and events, found an empty file")
    return Outline(origin, batches, events)


def find_batches(path: Path) -> Iterator[Batch]:
    """Batches in order, each with its hashes; raises SealingError where one is not whole."""
    with path.open("rb") as file:
        reader = _Reader(path, file)
        while (first := reader.next()) is not None:
            start, number = reader.place - len(first), reader.number
            size = _sealed_events(path, number, first)
            if size is None:
                events = (_hash(first), *reader.own_proofs(OWN_PROOFS - 1))
                yield Batch(start, reader.place, number, None, events)
            else:
                events = tuple(reader.events(size, number))
                yield Batch(start, reader.place, number, _hash(first), events)


def exact_contents(path: Path, batch: Batch) -> Contents:
    """What the batch's receipt must name, however its lines are written."""
    with path.open("rb") as file:
        file.seek(batch.start)
        lines = file.read(batch.end - batch.start).splitlines()
    documents = [parse_line(path, number, line) for number, line in enumerate(lines, batch.line)]
    hashes = tuple(leaf_hash(canonical.encode(document)) for document in documents)
    if batch.seal is not None:
        return Contents(str(documents[0].get("origin")), hashes[0], hashes[1:])
    proof = documents[0].get("proof")
    if not isinstance(proof, dict):
        raise SealingError(
            f"{path}: expected a seal on line {batch.line}, or events that carry a proof each; "
            "make the file with `provenance seal`"
        )
    return Contents(str(proof.get("domain")), None, hashes)


class _Reader:
    """Lines with their ends; `place` is the byte behind the last one, `number` its number."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.place = self.number = 0
        self._path = path
        self._file = file

    def next(self) -> bytes | None:
        """The next line; None at the end of the file."""
        line = self._file.readline()
        if not line:
            return None
        if not line.strip():
            if not self._file.read().strip():
                return None  # nothing but white space is left
            raise SealingError(f"{self._path}: line {self.number + 1} is empty")
        self.place += len(line)
        self.number += 1
        return line

    def events(self, size: int, seal: int) -> Iterator[bytes]:
        """The hashes of a seal's events."""
        for found in range(size):
            line = self.next()
            if line is None:
                raise SealingError(
                    f"{self._path}: the seal on line {seal} is for {size} events, found {found}"
                )
            yield _hash(line)

    def own_proofs(self, most: int) -> Iterator[bytes]:
        """The hashes of further events with their own proofs, up to the next seal."""
        for _ in range(most):
            line = self.next()
            if line is None:
                return
            if _SEAL_MARK in line and _sealed_events(self._path, self.number, line) is not None:
                self.place -= len(line)
                self.number -= 1
                self._file.seek(self.place)
                return
            yield _hash(line)


def _hash(line: bytes) -> bytes:
    return leaf_hash(line.removesuffix(b"\n").removesuffix(b"\r"))


def _sealed_events(path: Path, number: int, line: bytes) -> int | None:
    """How many events follow this line if it is a seal, else None."""
    if _SEAL_MARK not in line:
        return None
    document = parse_line(path, number, line.rstrip(b"\r\n"))
    if not is_seal(document):
        return None
    try:
        return read_seal(document).size
    except MalformedSealError as error:
        raise SealingError(f"{path}: {error.at_line(number)}") from error


def parse_line(path: Path, number: int, line: bytes) -> dict[str, Any]:
    """The object on a line; raises SealingError with its place."""
    try:
        document = canonical.parse(line)
    except Refusal as refusal:
        raise SealingError(f"{path}: {refusal.at_line(number)}") from refusal
    if not isinstance(document, dict):
        raise SealingError(f"{path}: line {number}: expected an object")
    return document
