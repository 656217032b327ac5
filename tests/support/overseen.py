"""A ledger whose policy names witnesses that are asked over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from merkle.policy import Group, Log, Policy, Witness
from provenance.client.witness import HttpMirror, HttpWitness
from provenance.services.sequencing import ClockCosigning, Sequencer
from provenance.services.witnessing import Witnesses, make_feeders
from provenance.storage.session import Database
from provenance.storage.tiles import LastSigned, TileStore
from tests.support.builders import ORIGIN
from tests.support.ledger import COSIGNER, SIGNER, Ledger
from tests.support.witness_habits import SPECIFICATION, Habits, Served, TestWitness, served

TIMEOUT_MS = 400


class Overseen:
    """`ledger` and its witnesses, each behind a socket until `stack` closes.

    The quorum is `quorum` of the witnesses; the ledger's clock counts for nothing in it.
    """

    def __init__(
        self,
        ledger: Ledger,
        stack: ExitStack,
        *names: str,
        quorum: int | None = None,
        habits: Habits = SPECIFICATION,
    ) -> None:
        self.ledger = ledger
        self.stack = stack
        self.of = {
            name: TestWitness(name, lambda: ledger.clock() // 1000, habits) for name in names
        }
        self.at: dict[str, Served] = {
            name: stack.enter_context(served(witness)) for name, witness in self.of.items()
        }
        self.mirrors: list[str] = []
        self.quorum = len(names) if quorum is None else quorum

    @property
    def policy(self) -> Policy:
        """Our log, its clock, and the witnesses with their addresses."""
        return Policy(
            logs=(Log(SIGNER.vkey),),
            witnesses=(
                Witness("clock", COSIGNER.vkey),
                *(self.of[name].listed(self.at[name].url) for name in self.of),
            ),
            groups=(Group("enough", self.quorum, tuple(self.of)),),
            quorum="enough",
        )

    def sequencer(
        self,
        holder: str = "test",
        policy: Policy | None = None,
        *,
        database: Database | None = None,
        tiles: TileStore | None = None,
        last_signed: LastSigned | None = None,
    ) -> Sequencer:
        """A sequencer with witnesses and mirrors of its own, stopped with the stack.

        Its stores are the ledger's unless others are given.
        """
        ledger, policy = self.ledger, policy or self.policy
        feeders = make_feeders(
            policy, lambda url: HttpWitness(url, timeout_ms=TIMEOUT_MS), ledger.clock
        )
        witnesses = Witnesses(feeders, ledger.clock)
        self.stack.callback(witnesses.stop)
        return Sequencer(
            database or ledger.database,
            tiles or ledger.tiles,
            last_signed or ledger.last_signed,
            signers=[SIGNER],
            policy=policy,
            cosigners=(ClockCosigning(COSIGNER, ledger.clock),),
            clock=ledger.clock,
            holder=holder,
            options=ledger.options,
            witnesses=witnesses,
            mirrors={url: HttpMirror(url, timeout_ms=TIMEOUT_MS) for url in self.mirrors},
            judge=lambda _: ledger.clock(),  # leases run out when a test moves its clock
        )

    def signers(self) -> list[str]:
        """Who signed the published checkpoint: "log", "clock", and the witnesses' names."""
        note = self.ledger.tiles.read_checkpoint()
        assert note is not None
        names = {ORIGIN: "log", COSIGNER.name: "clock"}
        names |= {one.cosigner.name: name for name, one in self.of.items()}
        return [names[name] for name in names_on(note)]


def names_on(note: bytes) -> Sequence[str]:
    """The names on a note's signature lines, in order."""
    block = note.decode().rpartition("\n\n")[2]
    return [line.split(" ")[1] for line in block.splitlines()]
