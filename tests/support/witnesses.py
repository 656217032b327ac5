"""Witnesses for tests, in this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from merkle.note import VerifierKey, open_note
from merkle.witness import AddCheckpoint
from provenance.crypto.signing import note_verifier
from provenance.domain.log_source import LogSource
from provenance.domain.meaning import Kind
from provenance.services.map_following import MapFollower
from provenance.services.witness import Accepted, Witness, add_log, establish
from provenance.storage.witness_state import WitnessState
from tests.support.clock import FrozenClock
from tests.support.tilelog import TileLog

NAME = "witness.example/w1"


@dataclass
class Desk:
    """A witness with its state, its clock, and short ways to ask it."""

    witness: Witness
    state: WitnessState
    clock: FrozenClock

    @property
    def vkey(self) -> VerifierKey:
        return self.witness.meaning.keys[0]

    def add(self, old: int, proof: tuple[bytes, ...], note: bytes) -> Accepted:
        """One request."""
        return self.witness.add_checkpoint(AddCheckpoint(old, proof, note).encode())

    def follow(self, log: TileLog) -> Accepted:
        """The log's present checkpoint, honestly, from where the witness stands."""
        old = self.size(log)
        return self.add(old, log.proof(old), log.note())

    def size(self, log: TileLog) -> int:
        """The size last cosigned."""
        known = self.state.cosigned(log.origin)
        return 0 if known is None else known.checkpoint.size

    def require_good(self, accepted: Accepted, note: bytes) -> int:
        """The lines open the note under the witness's key alone; the time they state."""
        opened = open_note(note + accepted.format(), [note_verifier(self.vkey)])
        assert len(opened.verified) == 1
        return int.from_bytes(opened.verified[0].signature[:8], "big")


def open_desk(
    folder: Path,
    *logs: TileLog,
    kind: Kind = "plain",
    source: Callable[[str], LogSource] | None = None,
    url: str = "http://127.0.0.1:9/log",
    **options: float,
) -> Desk:
    """A witness over `folder`'s state; logs are read by `source` when it is a map-aware one."""
    state, meaning, cosigner = establish(
        folder / "witness.sqlite", folder / "witness.key", NAME, kind
    )
    for log in logs:
        add_log(state, log.vkey, url if kind == "map" else None)
    clock = FrozenClock()
    follower = MapFollower(state, source, **options) if source else None
    return Desk(Witness(state, meaning, [cosigner], lambda: clock.seconds, follower), state, clock)
