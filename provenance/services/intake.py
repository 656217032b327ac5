"""Cut a job's stream of bytes into batches, and accept each as soon as it is whole.

A job's body is uploads one after the other (docs/formats.md section 17): a seal's line and its
events, the next seal's line and its events; or events with their own proofs, of which up to 1,000
at a time are accepted together. Where a batch ends follows from its first line, so that a stream
that is broken off can go on at any such place.

Nothing here is held in memory but one line and what admission holds of one batch. The raw bytes
since the last whole batch lie in a temporary file: if the stream ends among them, they are the
job's *tail*, which its next request begins with.

Each batch is a durable transaction of its own through :class:`~provenance.services.capture.Capture`
and therefore exactly once, however often its bytes come: what this module does not know, and need
not, is whether anybody was told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import Final

from provenance.domain import canonical, wire
from provenance.domain.canonical import MAX_SEAL_BYTES
from provenance.domain.errors import Refusal, TooLargeError, UnavailableError
from provenance.domain.receipt import read_receipt
from provenance.domain.seal import MAX_EVENTS, SEAL_TYPE, is_seal
from provenance.domain.wire import FormError
from provenance.services.capture import Accepted, Capture
from provenance.services.receipts import SignedReceipt
from provenance.storage.jobs import BatchRow

OWN_PROOFS: Final = 1_000
"""Events with their own proofs that are accepted together, at most."""

_SEAL_MARK: Final = SEAL_TYPE.encode()
_IN_MEMORY: Final = 262_144
_PIECE: Final = 1_048_576


class BrokenOffError(Exception):
    """The sender's bytes ended before their time; the cause says how."""


class _UnfinishedError(Exception):
    """The bytes of this request end inside a batch, as its sender said that they may."""


@dataclass(frozen=True, slots=True)
class Taken:
    """One accepted batch: its size in bytes, lines and events, and what is remembered of it."""

    size: int
    lines: int
    events: int
    row: BatchRow


class Intake:
    """One request's share of a job's body; begins where a batch begins.

    `chunks` may raise: that is the sender's bytes breaking off. `most` is the greatest size in
    bytes of a line without its end, `room` that of a batch. `whole`: the body ends where the chunks
    do.
    """

    def __init__(
        self, capture: Capture, chunks: Iterable[bytes], *, most: int, room: int, whole: bool
    ) -> None:
        self._capture = capture
        self._lines = _Lines(chunks, most, whole)
        self._room = room
        # Closed by close(): it outlives any block of ours, for the tail is read at the end.
        self._spool: SpooledTemporaryFile[bytes] = SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115
        self._size = self._count = 0  # bytes and lines since the last whole batch

    def batches(self) -> Iterator[Taken]:
        """Each batch once it is accepted, until the bytes end.

        Raises BrokenOffError, and what :meth:`Capture.submit_batch` raises, its `line` counted from
        1 in the batch. What had been accepted before stays so.
        """
        while (first := self._next()) is not None:
            try:
                taken = self._take(first)
            except _UnfinishedError:
                return
            self._begin_anew()
            yield taken

    def tail(self) -> Iterator[bytes]:
        """The raw bytes behind the last whole batch, in pieces; once, when the chunks are used up.

        The size of all of them is at most `room` and a line.
        """
        self._spool.write(self._lines.rest)
        self._spool.seek(0)
        while piece := self._spool.read(_PIECE):
            yield piece

    @property
    def tail_size(self) -> int:
        """How many bytes :meth:`tail` gives."""
        return self._size + len(self._lines.rest)

    def close(self) -> None:
        """Give the temporary file back."""
        self._spool.close()

    # -- one batch ---------------------------------------------------------------------------------

    def _take(self, first: bytes) -> Taken:
        size = _sealed_events(first)
        rest = self._own_proofs() if size is None else self._events(size)
        feed = _without_ends(first, rest)
        accepted = self._capture.submit_batch(feed)
        for _ in feed:  # nobody looked at the events of a seal that was known
            pass
        events = self._count - (size is not None)
        return Taken(self._size, self._count, events, _remembered(accepted))

    def _events(self, size: int) -> Iterator[bytes]:
        for _ in range(size):
            line = self._next()
            if line is None:
                if self._lines.whole:
                    return  # admission says what is missing
                raise _UnfinishedError
            yield line

    def _own_proofs(self) -> Iterator[bytes]:
        """Where the run of them is cut makes no difference, so the end of the bytes cuts it too."""
        while self._count < OWN_PROOFS and (line := self._next()) is not None:
            if _SEAL_MARK in line and _sealed_events(line) is not None:
                self._undo(line)
                return
            yield line

    def _next(self) -> bytes | None:
        line = self._lines.next(self._count + 1)
        if line is None:
            return None
        self._size += len(line)
        self._count += 1
        if self._size > self._room:
            raise TooLargeError(
                "too-large",
                "The batch is larger than is taken here.",
                line=self._count,
                expected=f"at most {self._room:,} bytes",
                found="more",
                remedy="Seal fewer events together.",
            )
        self._spool.write(line)
        return line

    def _undo(self, line: bytes) -> None:
        self._lines.give_back(line)
        self._size -= len(line)
        self._count -= 1
        self._spool.seek(self._size)
        self._spool.truncate()

    def _begin_anew(self) -> None:
        self._size = self._count = 0
        self._spool.seek(0)
        self._spool.truncate()


class _Lines:
    """Lines with their ends out of chunks of any size; `rest` are the bytes behind the last one."""

    def __init__(self, chunks: Iterable[bytes], most: int, whole: bool) -> None:
        self._chunks = iter(chunks)
        self._most = most
        self._ready: list[bytes] = []  # reversed
        self.whole = whole
        self.rest = b""

    def next(self, number: int) -> bytes | None:
        """The next line, which will be line `number` of its batch; None where the bytes end."""
        while not self._ready:
            try:
                chunk = next(self._chunks, None)
            except UnavailableError:
                raise  # our own store, while it gives the tail back
            except Refusal as refusal:
                raise BrokenOffError from refusal
            if chunk is None:
                return self._last(number)
            *lines, self.rest = (self.rest + chunk).split(b"\n")
            self._ready = [line + b"\n" for line in reversed(lines)]
            if len(self.rest) > self._most + 1 and not self._ready:
                raise self._too_long(number)
        return self._bounded(self._ready.pop(), number)

    def give_back(self, line: bytes) -> None:
        """That line comes next again."""
        self._ready.append(line)

    def _last(self, number: int) -> bytes | None:
        """A body may end without a line feed; a piece of one only pauses there."""
        if not self.whole or not self.rest:
            return None
        line, self.rest = self.rest, b""
        return self._bounded(line, number)

    def _bounded(self, line: bytes, number: int) -> bytes:
        if len(line) > self._most + 2:
            raise self._too_long(number)
        return line

    def _too_long(self, number: int) -> TooLargeError:
        return TooLargeError(
            "too-large",
            "A line is longer than an event may be.",
            line=number,
            expected=f"at most {self._most:,} bytes on a line",
            found=f"more than {self._most:,} bytes",
            remedy="Put large attachments elsewhere and record their hash.",
        )


def _without_ends(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first.removesuffix(b"\n").removesuffix(b"\r")
    for line in rest:
        yield line.removesuffix(b"\n").removesuffix(b"\r")


def _sealed_events(line: bytes) -> int | None:
    """How many events follow this line if it is a seal, else None.

    A seal is known by the text of its type: one that spells it with escapes is taken for an event
    without a proof, and refused. 0 for one that is not of its form; admission says what is wrong.
    """
    if _SEAL_MARK not in line:
        return None
    try:
        document = canonical.parse(line.rstrip(b"\r\n"), max_bytes=MAX_SEAL_BYTES)
    except Refusal:
        return None
    if not is_seal(document):
        return None
    try:
        return int(wire.read_integer(document, "size", 1, MAX_EVENTS))
    except (KeyError, FormError):
        return 0


def _remembered(accepted: Accepted) -> BatchRow:
    if accepted.seal is not None:
        return BatchRow(accepted.seal, None, None)
    document = accepted.receipt
    events = read_receipt(document).events
    del document["events"]
    receipt = SignedReceipt(canonical.encode(document), events)
    return BatchRow(None, b"".join(entry.event for entry in events), receipt.pack())
