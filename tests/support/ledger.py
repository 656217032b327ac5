"""A whole ledger for tests: database, tile directory, keys, clock and sequencers made on demand.

:meth:`Ledger.accept` puts bare links into the database as capture would, without events or seals:
enough for everything that is decided between acceptance and publication, and quick. Tests that look
at events use `provenance.services.capture` itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from sqlalchemy import update

from merkle.note import KIND_COSIGNATURE, KIND_ED25519, Signer, VerifierKey
from merkle.policy import Log, Policy, Witness
from merkle.tiles import encode_bundle
from provenance.crypto.signing import Cosigner, NoteSigner, PrivateKey
from provenance.domain.chain import Link, subject_key
from provenance.services.observing import SILENT, Observer
from provenance.services.sequencing import (
    ClockCosigning,
    Cosigning,
    Sequencer,
    SequencerOptions,
)
from provenance.storage.events import LinkRow, insert_links, insert_upload
from provenance.storage.session import Database
from provenance.storage.subjects import lock_subjects
from provenance.storage.tables import subjects as subject_rows
from provenance.storage.tiles import DirectoryTileStore, LastSigned, TileStore
from tests.support.builders import ORIGIN
from tests.support.clock import FrozenClock

LOG_KEY = PrivateKey.from_seed(sha256(b"log").digest())
CLOCK_KEY = PrivateKey.from_seed(sha256(b"clock").digest())
SIGNER = NoteSigner(ORIGIN, LOG_KEY)
COSIGNER = Cosigner(f"{ORIGIN}/clock", CLOCK_KEY)


def make_policy(quorum: str | None = "clock") -> Policy:
    """A policy of one log and one witness, its own clock."""
    return Policy(
        logs=(Log(SIGNER.vkey),), witnesses=(Witness("clock", COSIGNER.vkey),), quorum=quorum
    )


@dataclass
class Ledger:
    """Everything that one log consists of; `root` is its directory."""

    database: Database
    root: Path
    clock: FrozenClock = field(default_factory=FrozenClock)
    options: SequencerOptions = field(default_factory=SequencerOptions)
    open_tiles: Callable[[], TileStore] | None = None

    @property
    def tiles(self) -> TileStore:
        """The tiles, as another process would open them; a directory unless said otherwise."""
        return self.open_tiles() if self.open_tiles else DirectoryTileStore(self.root / "log")

    @property
    def last_signed(self) -> LastSigned:
        """The copy beside the keys."""
        return LastSigned(self.root / "keys" / "last-signed")

    def sequencer(
        self,
        *,
        database: Database | None = None,
        tiles: TileStore | None = None,
        last_signed: LastSigned | None = None,
        cosigners: Sequence[Cosigning] | None = None,
        policy: Policy | None = None,
        holder: str = "test",
        signers: Sequence[Signer] = (SIGNER,),
        observer: Observer = SILENT,
    ) -> Sequencer:
        """A new sequencer, with any of its parts exchanged."""
        return Sequencer(
            database or self.database,
            tiles or self.tiles,
            last_signed or self.last_signed,
            signers=signers,
            policy=policy or make_policy(),
            cosigners=(ClockCosigning(COSIGNER, self.clock),) if cosigners is None else cosigners,
            clock=self.clock,
            holder=holder,
            options=self.options,
            observer=observer,
            judge=lambda _: self.clock(),  # leases run out when a test moves its clock
        )

    def accept(self, *subjects: str) -> int:
        """Accept one upload with one link on the chain of each subject; its id."""
        wanted = {uri: subject_key(uri) for uri in subjects}
        with self.database.write() as connection:
            rows = lock_subjects(connection, wanted, wanted.__getitem__)
            chains = {uri: (row.count, row.head) for uri, row in rows.items()}
            entries = []
            links = []
            for ordinal, uri in enumerate(subjects):
                seq, prev = chains[uri]
                event = sha256(f"{uri} {seq}".encode()).digest()
                link = Link(wanted[uri], seq, prev, event, sha256(event).digest(), self.clock())
                entries.append(link.encode())
                links.append(LinkRow(rows[uri].id, seq, 0, 0, ordinal, event, entries[-1]))
                chains[uri] = (seq + 1, link.hash)
            upload = insert_upload(
                connection,
                accepted_at=self.clock(),
                entries=entries,
                framed=b"".join(map(_frame, entries)),
            )
            insert_links(
                connection,
                [row._replace(upload_id=upload) for row in links],
            )
            for uri, (count, head) in chains.items():
                connection.execute(
                    update(subject_rows)
                    .where(subject_rows.c.id == rows[uri].id)
                    .values(count=count, head=head, time=self.clock())
                )
            return upload


def _frame(entry: bytes) -> bytes:
    return encode_bundle([entry])


def vkeys() -> tuple[VerifierKey, VerifierKey]:
    """The log's and the clock's verifier keys."""
    return (
        VerifierKey.make(ORIGIN, KIND_ED25519, LOG_KEY.public.raw),
        VerifierKey.make(f"{ORIGIN}/clock", KIND_COSIGNATURE, CLOCK_KEY.public.raw),
    )
