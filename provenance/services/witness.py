"""The witness: it cosigns a log's newest checkpoint, and never one that denies what it cosigned.

One use case, C2SP tlog-witness ``add-checkpoint``, in this order:

1. the request's form and the checkpoint's (`MalformedRequestError`);
2. is the log known (`UnknownLogError`), has it signed (`UnsignedError`);
3. is the old size ours (`SizeConflictError`), does the proof lead on (`ProofRefusedError`);
4. map-aware only: follow the map up to the checkpoint (`MapUncheckedError` and the follower's own);
5. one transaction: step 3 **again**, on what the state says now; cosign; write; commit;
6. only then the answer. A crash before the commit leaves a state that never knew of the checkpoint
   and a signature that nobody has; one after it, a checkpoint that the log will ask for again.

Step 3 stands twice because step 4 takes long and must hold no lock: the first time it spares work,
the second time it counts. The map's position needs no second look, since it belongs to the
checkpoint itself and not to what was cosigned before.

Extension lines are refused: a monitor is shown one checkpoint a size, so a second text over the
same tree could be shown to some readers and to no monitor. Signature lines of keys that are not the
log's are dropped: what we keep and show is what we judged.

What a cosignature under this key means is `provenance.domain.meaning`; the state is bound to it.
Source: https://c2sp.org/tlog-witness; docs/formats.md, "Witness".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from merkle.checkpoint import Checkpoint, parse_checkpoint
from merkle.errors import (
    MalformedError,
    NoteSignatureError,
    NoteUnverifiedError,
    ProofError,
)
from merkle.hashing import EMPTY_ROOT
from merkle.note import (
    KIND_ED25519,
    Note,
    NoteSignature,
    OpenedNote,
    VerifierKey,
    open_note,
    parse_note,
)
from merkle.proofs import verify_consistency
from merkle.witness import AddCheckpoint, parse_add_checkpoint
from provenance.crypto.errors import InadmissibleKeyError
from provenance.crypto.signing import Cosigner, PrivateKey, load_key, note_verifier, save_key
from provenance.domain.errors import DomainError
from provenance.domain.map_replay import MapPosition
from provenance.domain.meaning import Kind, Meaning
from provenance.services.map_following import MapFollower
from provenance.storage.witness_state import Cosigned, KnownLog, WitnessState


class WitnessRefusal(DomainError):  # noqa: N818  an answer that carries a reason, not a mishap
    """A checkpoint that is not cosigned, and why."""


class MalformedRequestError(WitnessRefusal):
    """The request cannot be read, or says what no log may say (HTTP 400)."""


class UnsignedError(WitnessRefusal):
    """No good signature by a key of the log (HTTP 403)."""


class UnknownLogError(WitnessRefusal):
    """This witness does not know the origin (HTTP 404)."""


class SizeConflictError(WitnessRefusal):
    """The old size is not the one last cosigned, which is `size` (HTTP 409)."""

    def __init__(self, size: int) -> None:
        super().__init__(f"the size last cosigned is {size}")
        self.size = size


class ProofRefusedError(WitnessRefusal):
    """The checkpoint is not shown to continue what was cosigned (HTTP 422)."""


class MapUncheckedError(WitnessRefusal):
    """A map-aware witness knows no address at which to read this log (HTTP 503)."""


class WitnessSetupError(DomainError):
    """Key, state, name and meaning do not belong together; the message says what to do."""


class Cosigning(Protocol):
    """One cosigning key of this witness."""

    @property
    def vkey(self) -> VerifierKey:
        """What a policy lists."""
        ...

    def cosign(self, text: bytes, seconds: int) -> NoteSignature:
        """The line over a checkpoint's text at POSIX `seconds`."""
        ...


@dataclass(frozen=True, slots=True)
class Accepted:
    """A checkpoint that was cosigned: ours are the `lines`."""

    checkpoint: Checkpoint
    lines: tuple[NoteSignature, ...]

    def format(self) -> bytes:
        """The answer's body."""
        return "".join(line.format() for line in self.lines).encode()


class Witness:
    """One witness over one state. Safe to share by threads and to make before a fork."""

    def __init__(
        self,
        state: WitnessState,
        meaning: Meaning,
        cosigners: Sequence[Cosigning],
        clock: Callable[[], int],
        follower: MapFollower | None = None,
    ) -> None:
        """`clock` gives POSIX seconds. A follower is given exactly when the meaning is ``map``.

        Raises WitnessSetupError when state, meaning and keys are not of one witness.
        """
        if tuple(cosigner.vkey for cosigner in cosigners) != meaning.keys:
            raise WitnessSetupError("the cosigning keys are not those of the meaning")
        if state.meaning() != meaning:
            raise WitnessSetupError(f"{state.path} is the state of another witness, key or meaning")
        if (follower is not None) != (meaning.kind == "map"):
            raise WitnessSetupError("a map-aware witness follows maps, a plain one does not")
        self.meaning = meaning
        self._state = state
        self._cosigners = tuple(cosigners)
        self._clock = clock
        self._follower = follower
        text, now = meaning.format(), clock()
        lines = tuple(cosigner.cosign(text.encode(), now) for cosigner in cosigners)
        self.meaning_note = Note(text, lines).format()
        """The meaning signed by every key of this witness, as of its start."""

    def logs(self) -> list[KnownLog]:
        """The logs that this witness cosigns for."""
        return self._state.logs()

    def newest(self, origin_hash: str) -> bytes | None:
        """The newest checkpoint cosigned for the log with this hash of its origin, or None."""
        return self._state.note_by_hash(origin_hash)

    def add_checkpoint(self, body: bytes) -> Accepted:
        """Judge one request and cosign; see the module text.

        Raises WitnessRefusal, the follower's errors, StoreUnavailableError.
        """
        request, checkpoint = _read(body)
        log = self._state.log(checkpoint.origin)
        if log is None:
            raise UnknownLogError(f"unknown log {checkpoint.origin[:120]}")
        opened = _open(request, log)
        if request.old > checkpoint.size:
            raise MalformedRequestError(
                f"old size {request.old} is above the checkpoint's size {checkpoint.size}"
            )
        known = self._state.cosigned(log.origin)
        _require_continuation(known, request, checkpoint)
        position = self._position(known, checkpoint, log)
        return self._cosign(request, checkpoint, opened, position)

    def _position(
        self, known: Cosigned | None, checkpoint: Checkpoint, log: KnownLog
    ) -> MapPosition | None:
        if self._follower is None:
            return None
        if known is not None and known.checkpoint == checkpoint:
            return known.position  # the same tree again, for a fresh time
        if log.url is None:
            raise MapUncheckedError(f"no address is known at which to read {log.origin}")
        return self._follower.reach(checkpoint, log.url)

    def _cosign(
        self,
        request: AddCheckpoint,
        checkpoint: Checkpoint,
        opened: OpenedNote,
        position: MapPosition | None,
    ) -> Accepted:
        text = opened.text.encode()
        with self._state.change() as change:
            _require_continuation(change.cosigned(checkpoint.origin), request, checkpoint)
            now = self._clock()
            lines = tuple(cosigner.cosign(text, now) for cosigner in self._cosigners)
            note = Note(opened.text, (*opened.verified, *lines)).format()
            change.keep(Cosigned(checkpoint, note, position))
        return Accepted(checkpoint, lines)


def _read(body: bytes) -> tuple[AddCheckpoint, Checkpoint]:
    try:
        request = parse_add_checkpoint(body)
        return request, parse_checkpoint(parse_note(request.checkpoint).text)
    except MalformedError as error:
        raise MalformedRequestError(str(error)) from error


def _open(request: AddCheckpoint, log: KnownLog) -> OpenedNote:
    try:
        return open_note(request.checkpoint, [note_verifier(key) for key in log.keys])
    except (NoteSignatureError, NoteUnverifiedError) as error:
        raise UnsignedError(str(error)) from error


def _require_continuation(
    known: Cosigned | None, request: AddCheckpoint, checkpoint: Checkpoint
) -> None:
    """Raise unless `checkpoint` continues what was cosigned, as the request shows."""
    size = 0 if known is None else known.checkpoint.size
    if request.old != size:
        raise SizeConflictError(size)
    if checkpoint.size == 0 and checkpoint.root != EMPTY_ROOT:
        raise ProofRefusedError("a tree of size 0 has the root SHA-256 of nothing")
    if size == 0:
        if request.proof:
            raise ProofRefusedError("from size 0 nothing is to be proved: no proof is expected")
        return
    assert known is not None  # noqa: S101  # its size is not 0
    try:
        verify_consistency(
            size, checkpoint.size, known.checkpoint.root, checkpoint.root, request.proof
        )
    except ProofError as error:
        raise ProofRefusedError(str(error)) from error


def known_log_key(text: str) -> VerifierKey:
    """The key of a log that may be added: of kind 0x01, admissible.

    Raises VerifierKeyError, InadmissibleKeyError. A log's ML-DSA line (kind 0x06) stands beside its
    Ed25519 line and needs no key here: lines of unknown keys are passed over.
    """
    key = VerifierKey.parse(text)
    if key.kind != KIND_ED25519:
        raise InadmissibleKeyError(f"key {key.name}: expected kind 0x01, found 0x{key.kind:02x}")
    note_verifier(key)
    return key


def add_log(state: WitnessState, vkey: str, url: str | None) -> KnownLog:
    """Know a log, or one more key of it; an address once known stays unless another is given.

    Raises VerifierKeyError, InadmissibleKeyError, and WitnessSetupError for a log without an
    address where maps are to be checked.
    """
    key = known_log_key(vkey)
    meaning, known = state.meaning(), state.log(key.name)
    if meaning and meaning.kind == "map" and url is None and (known is None or known.url is None):
        raise WitnessSetupError(
            f"{meaning.name} checks maps: say where {key.name} is read, VKEY=https://HOST/log"
        )
    state.add_log(key, url)
    log = state.log(key.name)
    assert log is not None  # noqa: S101  # just written
    return log


def establish(
    state_path: Path, key_path: Path, name: str | None, kind: Kind
) -> tuple[WitnessState, Meaning, Cosigner]:
    """The state and the key of a witness, made together at the first start.

    The state comes first, then the key, then the bond between them; a crash in between leaves what
    the next call completes, since nothing has been cosigned. From then on neither is ever made anew
    for the other: a witness without its memory could be led to cosign a second history.
    Raises WitnessSetupError, KeyFileError, WitnessStateError.
    """
    if not state_path.exists():
        if key_path.exists():
            raise WitnessSetupError(
                f"{key_path} exists and the state {state_path} does not: a key that has lost its "
                "memory must not cosign again; restore the state, or retire this key and make "
                "another under a new name"
            )
        if name is None:
            raise WitnessSetupError("a new witness needs a name: give --name")
        state = WitnessState.create(state_path)
    state = WitnessState(state_path)
    bound = state.meaning()
    if bound is None and name is None:
        raise WitnessSetupError("a new witness needs a name: give --name")
    if bound is None and not key_path.exists():
        save_key(key_path, PrivateKey.generate())
    cosigner = Cosigner(name or (bound.name if bound else ""), load_key(key_path))
    meaning = Meaning(cosigner.name, kind, (cosigner.vkey,))
    if bound is not None and bound != meaning:
        raise WitnessSetupError(_what_differs(bound, meaning, state_path))
    state.bind(meaning)
    return state, meaning, cosigner


def _what_differs(bound: Meaning, asked: Meaning, path: Path) -> str:
    if bound.name != asked.name:
        return f"{path} is the state of the witness {bound.name}, not of {asked.name}"
    if bound.kind != asked.kind:
        return (
            f"the key of {path} was published with the meaning '{bound.kind}', not '{asked.kind}'; "
            "one key keeps one meaning: start with the other option, or make a new witness with a "
            "state and a key of its own"
        )
    return (
        f"{path} belongs to another key of {bound.name}; give --key the file that it was made with"
    )
