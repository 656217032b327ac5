"""The protocol's cases asked of any witness: which answers are those of C2SP tlog-witness?

The witness must know a log made for this (its key is a file, its name comes from the key), and is
then asked the cases of :data:`CASES` in order over HTTP. The log's entries follow from their
numbers, so that nothing but the key has to be kept: how far an earlier run came is asked of the
witness itself. Only histories that belong together are ever offered in a way that a right witness
accepts, so that a log may be used again; those that do not are offered where a 200 is the fault to
be found.

A case is data: a name, the requests it makes of the present :class:`Standing`, and what must come
back. Cases of a first contact are passed over when the witness has seen the log before. Where the
specification leaves an answer open, several are right.

Source: https://c2sp.org/tlog-witness (1.0 with the edits up to July 2026).
"""

from __future__ import annotations

import threading
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

import urllib3

from merkle.checkpoint import Checkpoint
from merkle.cosignature import decode_cosignature
from merkle.errors import MerkleError
from merkle.hashing import EMPTY_ROOT, leaf_hash
from merkle.note import NoteSignature, VerifierKey, open_note, parse_note, sign_note
from merkle.proofs import prove_consistency
from merkle.tree import MemoryTree
from merkle.witness import (
    ADD_CHECKPOINT,
    SIZE_TYPE,
    AddCheckpoint,
    checkpoint_path,
    format_size,
    parse_cosignatures,
    parse_size,
)
from provenance.client.errors import ClientError
from provenance.client.log_reader import LogReader, check_log_url
from provenance.crypto.signing import NoteSigner, PrivateKey, note_verifier
from provenance.domain.log_source import LogSourceError

_MAX_ANSWER_BYTES: Final = 64 * 1024
_JUNK: Final = leaf_hash(b"junk")


class WitnessUnreachableError(ClientError):
    """The witness gave no answer at all."""


class WitnessUnpreparedError(ClientError):
    """The witness does not know the log of the test: its cases would say nothing."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request; `size` is that of the checkpoint sent, where a 200 would mean it is cosigned."""

    method: Literal["GET", "POST"]
    path: str
    body: bytes = b""
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: `kind` is the media type without parameters."""

    status: int
    kind: str
    body: bytes

    def in_words(self) -> str:
        """Status, and the body where it is the answer."""
        words = str(self.status)
        if self.status == 409:
            words += f" {self.kind or 'no type'} {self.body[:40].decode('utf-8', 'replace')!r}"
        return words


class ConformanceLog:
    """The log of the test, whole from its key: entry n says its number."""

    def __init__(self, key: PrivateKey) -> None:
        self.signer = NoteSigner(f"conformance.example/{key.public.raw.hex()[:16]}", key)
        self._tree = MemoryTree()

    @property
    def origin(self) -> str:
        """The log's name."""
        return self.signer.name

    @property
    def vkey(self) -> str:
        """The key that the witness must be told."""
        return self.signer.vkey.format()

    def root(self, size: int) -> bytes:
        """The root at any size."""
        for number in range(self._tree.size, size):
            self._tree.append(leaf_hash(b"conformance %d" % number))
        return self._tree.root(size)

    def text(self, size: int, root: bytes | None = None) -> str:
        """The checkpoint's text, over the log's own root or another."""
        return Checkpoint(self.origin, size, self.root(size) if root is None else root).format()

    def note(self, size: int, root: bytes | None = None) -> bytes:
        """The signed checkpoint."""
        return sign_note(self.text(size, root), [self.signer])

    def proof(self, old: int, new: int) -> tuple[bytes, ...]:
        """The consistency proof; empty from size 0."""
        self.root(new)
        return tuple(prove_consistency(old, new, self._tree)) if old else ()


@dataclass
class Standing:
    """Where the test stands: the log, what the witness has cosigned, whose key it is."""

    log: ConformanceLog
    known: int = 0
    """The size that the witness last cosigned, as it says or as it answered."""
    key: VerifierKey | None = None
    """The witness's key, where the caller knows it."""

    def add(
        self,
        old: int,
        size: int,
        *,
        proof: Sequence[bytes] | None = None,
        note: bytes | None = None,
    ) -> Request:
        """A request, right in all that is not given."""
        hashes = self.log.proof(old, size) if proof is None else tuple(proof)
        return self.raw(AddCheckpoint(old, hashes, note or self.log.note(size)).encode(), size=size)

    def raw(self, body: bytes, size: int | None = None) -> Request:
        """A request of any bytes."""
        return Request("POST", ADD_CHECKPOINT, body, size)


@dataclass(frozen=True, slots=True)
class Expected:
    """What is right: one of these statuses; with 409, the size known; with 200, good lines.

    `note`: the body is a whole cosigned checkpoint (the monitoring path).
    """

    statuses: tuple[int, ...]
    note: bool = False

    def in_words(self, standing: Standing) -> str:
        """For the table."""
        words = " or ".join(map(str, self.statuses))
        if 409 in self.statuses:
            words += f" {SIZE_TYPE} {format_size(standing.known).decode()!r}"
        return words

    def fault(self, standing: Standing, request: Request, reply: Reply) -> str:
        """What is wrong with the reply; empty if nothing is."""
        if reply.status not in self.statuses:
            return "status"
        if reply.status == 409:
            right = (reply.kind, reply.body) == (SIZE_TYPE, format_size(standing.known))
            return "" if right else "type or size"
        if reply.status == 200:
            note = reply.body if self.note else _note_of(request) + reply.body
            return _line_fault(note, reply.body, standing, whole=self.note)
        return ""


@dataclass(frozen=True, slots=True)
class Case:
    """One row: `make` gives the requests, several are sent at once.

    `first`: only for a log that the witness has never cosigned. Of several requests exactly one is
    cosigned and the others are told the new size.
    """

    name: str
    expected: Expected
    make: Callable[[Standing], Sequence[Request]]
    first: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a case; `same` is None when it was passed over. `fault` says what differs."""

    name: str
    expected: str
    found: str
    same: bool | None
    fault: str = ""


def _note_of(request: Request) -> bytes:
    return request.body.partition(b"\n\n")[2]


def _line_fault(note: bytes, lines: bytes, standing: Standing, *, whole: bool) -> str:
    """What is wrong with an answer of 200: its form, and the signature if the key is known."""
    try:
        found = parse_note(note).signatures if whole else parse_cosignatures(lines)
        if standing.key is None:
            ours = [line for line in found if line.name != standing.log.origin]
            if not ours:
                return "no cosignature"
            if not whole:
                for line in ours:
                    decode_cosignature(line.signature)
            return ""
        open_note(note, [note_verifier(standing.key)])
    except MerkleError as error:
        return str(error)
    return ""


def _one(make: Callable[[Standing], Request]) -> Callable[[Standing], Sequence[Request]]:
    return lambda standing: (make(standing),)


def _malformed(change: Callable[[bytes], bytes]) -> Callable[[Standing], Sequence[Request]]:
    """A request that would be right, with its bytes changed; taken all the same, it counts."""

    def make(standing: Standing) -> Request:
        right = standing.add(standing.known, standing.known + 1)
        return replace(right, body=change(right.body))

    return _one(make)


def _other_key(standing: Standing) -> Request:
    signer = NoteSigner(standing.log.origin, PrivateKey.from_seed(b"\x11" * 32))
    size = standing.known + 1
    return standing.add(standing.known, size, note=sign_note(standing.log.text(size), [signer]))


def _bad_signature(standing: Standing) -> Request:
    size = standing.known + 1
    (line,) = parse_note(standing.log.note(size)).signatures
    bad = NoteSignature(line.name, line.key_id, bytes([line.signature[0] ^ 1]) + line.signature[1:])
    note = standing.log.text(size).encode() + b"\n" + bad.format().encode()
    return standing.add(standing.known, size, note=note)


def _unknown_log(standing: Standing) -> Request:
    other = ConformanceLog(PrivateKey.from_seed(b"\x12" * 32))
    return standing.raw(AddCheckpoint(0, (), other.note(1)).encode())


def _with_lines(count: int, length: int) -> Callable[[Standing], Sequence[Request]]:
    """Growth by one, with made-up lines of unknown keys beside the log's own."""

    def make(standing: Standing) -> Request:
        size = standing.known + 1
        lines = [
            NoteSignature(f"grease.example/{n}", bytes([n, 2, 3, 4]), bytes(length))
            for n in range(count)
        ]
        note = parse_note(standing.log.note(size)).with_signatures(lines).format()
        return standing.add(standing.known, size, note=note)

    return _one(make)


def _extended(standing: Standing) -> Request:
    text = standing.log.text(standing.known) + "an extension line\n"
    note = sign_note(text, [standing.log.signer])
    return standing.add(standing.known, standing.known, proof=(), note=note)


def _line(value: bytes) -> bytes:
    return b64encode(value) + b"\n"


GOOD: Final = Expected((200,))
CONFLICT: Final = Expected((409,))
REFUSED: Final = Expected((422,))
MALFORMED: Final = Expected((400,))

#: In the order in which they are asked. The first one also finds out where the witness stands.
CASES: Final[tuple[Case, ...]] = (
    Case("first contact with old > 0", CONFLICT, _one(lambda s: s.add(1, 2)), first=True),
    Case(
        "first contact, proof with old 0",
        REFUSED,
        _one(lambda s: s.add(0, 2, proof=(_JUNK,))),
        first=True,
    ),
    Case(
        'size 0 with a root other than H("")',
        REFUSED,
        _one(lambda s: s.add(0, 0, note=s.log.note(0, _JUNK))),
        first=True,
    ),
    Case(
        'size 0 with the root H("")',
        GOOD,
        _one(lambda s: s.add(0, 0, note=s.log.note(0, EMPTY_ROOT))),
        first=True,
    ),
    Case("new log, old 0", GOOD, _one(lambda s: s.add(0, 3)), first=True),
    Case(
        "old is smaller than last cosigned",
        CONFLICT,
        _one(lambda s: s.add(s.known - 1, s.known + 1)),
    ),
    Case(
        "old is larger than last cosigned",
        CONFLICT,
        _one(lambda s: s.add(s.known + 1, s.known + 2)),
    ),
    Case("old 0 for a known log", CONFLICT, _one(lambda s: s.add(0, s.known + 1))),
    Case("growth without proof", REFUSED, _one(lambda s: s.add(s.known, s.known + 2, proof=()))),
    Case(
        "growth with a wrong hash in the proof",
        REFUSED,
        _one(
            lambda s: s.add(
                s.known, s.known + 2, proof=(_JUNK, *s.log.proof(s.known, s.known + 2)[1:])
            )
        ),
    ),
    Case(
        "growth with a hash too many in the proof",
        REFUSED,
        _one(
            lambda s: s.add(s.known, s.known + 2, proof=(*s.log.proof(s.known, s.known + 2), _JUNK))
        ),
    ),
    Case(
        "growth to another root",
        REFUSED,
        _one(lambda s: s.add(s.known, s.known + 2, note=s.log.note(s.known + 2, _JUNK))),
    ),
    Case("growth with a good proof", GOOD, _one(lambda s: s.add(s.known, s.known + 2))),
    Case("a long way with a good proof", GOOD, _one(lambda s: s.add(s.known, s.known + 300))),
    Case("same size again (refresh)", GOOD, _one(lambda s: s.add(s.known, s.known))),
    Case(
        "same size again with a proof",
        REFUSED,
        _one(lambda s: s.add(s.known, s.known, proof=(_JUNK,))),
    ),
    Case(
        "same size, other root (fork)",
        REFUSED,
        _one(lambda s: s.add(s.known, s.known, note=s.log.note(s.known, _JUNK))),
    ),
    Case(
        "old > size",
        MALFORMED,
        _one(lambda s: s.add(s.known, s.known - 1, proof=())),
    ),
    Case("unknown origin", Expected((404,)), _one(_unknown_log)),
    Case("no signature by the log's key", Expected((403,)), _one(_other_key)),
    Case("bad signature of the log's key", Expected((403,)), _one(_bad_signature)),
    Case("no body", MALFORMED, _one(lambda s: s.raw(b""))),
    Case("no old line", MALFORMED, _malformed(lambda b: b.partition(b"\n")[2])),
    Case(
        "old line in other words", MALFORMED, _malformed(lambda b: b.replace(b"old ", b"size ", 1))
    ),
    Case(
        "old with a leading zero", MALFORMED, _malformed(lambda b: b.replace(b"old ", b"old 0", 1))
    ),
    Case("old with a sign", MALFORMED, _malformed(lambda b: b.replace(b"old ", b"old +", 1))),
    Case(
        "proof line that is no base64",
        MALFORMED,
        _malformed(lambda b: b.replace(b"\n", b"\n!!!!\n", 1)),
    ),
    Case(
        "proof line of 31 bytes",
        MALFORMED,
        _malformed(lambda b: b.replace(b"\n", b"\n" + _line(_JUNK[:31]), 1)),
    ),
    Case(
        "64 proof lines",
        MALFORMED,
        _malformed(lambda b: b.replace(b"\n", b"\n" + _line(_JUNK) * 64, 1)),
    ),
    Case("no empty line", MALFORMED, _one(lambda s: s.raw(b"old 0\n"))),
    Case("no checkpoint", MALFORMED, _one(lambda s: s.raw(b"old 0\n\n"))),
    Case(
        "checkpoint without signature lines",
        MALFORMED,
        _one(lambda s: s.raw(f"old {s.known}\n\n{s.log.text(s.known)}".encode())),
    ),
    Case("extension line in the checkpoint", Expected((200, 400)), _one(_extended)),
    Case("further lines of unknown keys", GOOD, _with_lines(3, 64)),
    Case("a request of 30,000 bytes", GOOD, _with_lines(9, 2428)),
    Case(
        "two sizes at once",
        Expected((200, 409)),
        lambda s: (s.add(s.known, s.known + 1), s.add(s.known, s.known + 2)),
    ),
    Case("old after all that", CONFLICT, _one(lambda s: s.add(s.known - 1, s.known + 1))),
    Case(
        "newest checkpoint is shown",
        Expected((200,), note=True),
        _one(lambda s: Request("GET", checkpoint_path(s.log.origin))),
    ),
    Case(
        "newest checkpoint of an unknown log",
        Expected((404,)),
        _one(lambda _: Request("GET", checkpoint_path("nobody.example"))),
    ),
)


@dataclass
class Conformance:
    """One run against the witness at `url` (its submission prefix)."""

    url: str
    log: ConformanceLog
    key: VerifierKey | None = None
    monitoring_url: str | None = None
    timeout_seconds: float = 30.0
    _pool: urllib3.PoolManager = field(
        default_factory=lambda: urllib3.PoolManager(retries=False, maxsize=4), init=False
    )

    def run(self) -> list[Outcome]:
        """Every case, in order. Raises WitnessUnreachableError, WitnessUnpreparedError."""
        standing = Standing(self.log, key=self.key)
        return [self._ask(case, standing) for case in CASES]

    def _ask(self, case: Case, standing: Standing) -> Outcome:
        if case.first and standing.known:
            return _passed_over(case)
        requests = case.make(standing)
        expected = case.expected.in_words(standing)
        replies = self._send(requests)
        if case is CASES[0] and self._has_met(standing, replies[0]):
            return _passed_over(case)
        if len(requests) > 1:
            return _race(case.name, standing, requests, replies)
        fault = case.expected.fault(standing, requests[0], replies[0])
        self._note_cosigned(standing, requests, replies)
        return Outcome(case.name, expected, replies[0].in_words(), not fault, fault)

    def _has_met(self, standing: Standing, reply: Reply) -> bool:
        """What the first answer says about earlier runs."""
        if reply.status == 404:
            raise WitnessUnpreparedError(
                f"{self.url} does not know the log of this test; add it there: {self.log.vkey}"
            )
        try:
            size = parse_size(reply.body) if reply.status == 409 else 0
        except MerkleError:
            size = 0
        standing.known = size
        return size > 0

    @staticmethod
    def _note_cosigned(
        standing: Standing, requests: Sequence[Request], replies: Sequence[Reply]
    ) -> None:
        sizes = [r.size for r, reply in zip(requests, replies, strict=True) if reply.status == 200]
        standing.known = max([standing.known, *(size for size in sizes if size is not None)])

    def _send(self, requests: Sequence[Request]) -> list[Reply]:
        """All of them at once, each over a connection of its own."""
        replies: list[Reply | Exception] = [WitnessUnreachableError("no answer")] * len(requests)

        def send(place: int) -> None:
            try:
                replies[place] = self._send_one(requests[place])
            except ClientError as error:
                replies[place] = error

        threads = [threading.Thread(target=send, args=(place,)) for place in range(len(requests))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        answered = []
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
            answered.append(reply)
        return answered

    def _send_one(self, request: Request) -> Reply:
        prefix = self.url if request.method == "POST" else self.monitoring_url or self.url
        try:
            answer = self._pool.request(
                request.method,
                f"{check_log_url(prefix)}/{request.path}",
                body=request.body if request.method == "POST" else None,
                redirect=False,
                preload_content=False,
                timeout=self.timeout_seconds,
            )
            body = answer.read(_MAX_ANSWER_BYTES)
            # Kept for the next request only when it was read to its end.
            answer.release_conn() if answer.closed else answer.close()
        except urllib3.exceptions.HTTPError as error:
            raise WitnessUnreachableError(f"{prefix}: {type(error).__name__}: {error}") from error
        kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        return Reply(answer.status, kind, body)


def _passed_over(case: Case) -> Outcome:
    return Outcome(case.name, "a first contact", "not asked: it has cosigned for the log", None)


def read_meaning(url: str, timeout_seconds: float = 30.0) -> bytes:
    """The note at ``/meaning`` of the witness at `url`, not judged.

    Raises WitnessUnreachableError, also for a witness that publishes none.
    """
    reader = LogReader(url, timeout_seconds=timeout_seconds)
    try:
        return reader.read("meaning", _MAX_ANSWER_BYTES)
    except LogSourceError as error:
        raise WitnessUnreachableError(f"no meaning is published there: {error}") from error
    finally:
        reader.close()


def _race(
    name: str, standing: Standing, requests: Sequence[Request], replies: Sequence[Reply]
) -> Outcome:
    """Of requests that start from one size only one can be cosigned: then the size is another."""
    winners = [r for r, reply in zip(requests, replies, strict=True) if reply.status == 200]
    expected = "one 200, one 409"
    found = ", ".join(sorted(str(reply.status) for reply in replies))
    same = len(winners) == 1 and found == "200, 409"
    Conformance._note_cosigned(standing, requests, replies)
    return Outcome(name, expected, found, same, "" if same else "both or none were cosigned")
