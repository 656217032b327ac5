"""Every system call that a durable write makes fails once (EIO), fails from then on (ENOSPC), or
is where the process is killed; then another process comes, and nothing is missing.

Three targets: the publication of a batch that crosses a tile's border (254 entries and three more:
full tile, second level, discarded partial tiles), the capture of an upload through the web
application, and a witness's cosignature. Method: tests/faults/system_calls.py; source: Tessera's
test of its POSIX store.
"""

from __future__ import annotations

import base64
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from merkle.checkpoint import Checkpoint, parse_checkpoint
from merkle.note import parse_note
from merkle.witness import AddCheckpoint
from provenance.client.sealing import SealedBatch, Signer
from provenance.config import Settings
from provenance.platform import Platform
from provenance.services.capture import Capture, Limits
from provenance.services.witness import WitnessRefusal
from provenance.storage import log
from provenance.storage.session import Database
from provenance.storage.tiles import LastSigned
from tests.faults.evidence import audit, disagreeing, notes, seen
from tests.faults.installation import body, fsck, install, not_once, sealed
from tests.faults.system_calls import Injection, Trial, Warmed, require_strace
from tests.support.builders import ORIGIN, Actor, World, item_event, make_key
from tests.support.ledger import Ledger
from tests.support.tilelog import TileLog, numbered
from tests.support.tried import Tried
from tests.support.witnesses import open_desk

pytestmark = pytest.mark.sqlite(
    reason="breaks our own calls; a server's are its own, which others test"
)

KINDS = ("EIO", "ENOSPC", "KILL")


@pytest.fixture(scope="module")
def warmed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warmed]:
    require_strace()
    with Warmed(tmp_path_factory.mktemp("strace")) as process:
        yield process


def injections(counted: Trial, kind: str) -> list[Injection]:
    """Every call of every name that the run without a fault made."""
    return [
        Injection(call, kind, number)
        for call, times in sorted(counted.calls.items())
        for number in range(1, times + 1)
    ]


def say(tried: Tried, kind: str, done: Counter[str], counted: Trial, lost: list[str]) -> None:
    """One row for the kind, with how many of which call were broken."""
    note = ", ".join(f"{call} {done[call]}/{counted.calls[call]}" for call in sorted(done))
    tried.row(f"system call: {kind}", sum(done.values()), lost, f"({note})")
    # A run after a fault may make one call less than the run that was counted, not many.
    assert sum(done.values()) >= 0.95 * sum(counted.calls.values())


# --- publication ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def waiting(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Actor]:
    """A log of 254 entries, and an upload of two links that waits: with its map head, three."""
    root = tmp_path_factory.mktemp("waiting")
    shutil.copy(migrated_sqlite, root / "test.sqlite")
    ledger = reopened(root)
    world = World(door(ledger), ledger.clock)
    brand = world.party("brand")
    sequencer = ledger.sequencer()
    sequencer.run_once()
    # Genesis, three links of parties and a map head are there already.
    world.capture.submit_batch(brand.sealed([item_event(*range(249))]))
    sequencer.run_once()
    sequencer.release()
    world.capture.submit_batch(brand.sealed([item_event(0, 1_000)]))
    ledger.database.close()
    return root, brand


def reopened(root: Path) -> Ledger:
    return Ledger(Database.open(f"sqlite:///{root}/test.sqlite"), root)


def door(ledger: Ledger) -> Capture:
    return Capture(ledger.database, ORIGIN, make_key("operator"), ledger.clock, Limits())


def said(trial: Trial) -> set[Checkpoint]:
    """The checkpoints that the process gave out."""
    given = [message.get("note") for message in trial.said]
    return {parse_checkpoint(parse_note(note.encode()).text) for note in given if note}


@pytest.mark.parametrize("kind", KINDS)
def test_publication(
    kind: str, warmed: Warmed, waiting: tuple[Path, Actor], tmp_path: Path, tried: Tried
) -> None:
    made, brand = waiting
    job: dict[str, Any] = {"target": "publish", "now": brand.clock.now}
    counted = warmed.trial(job | {"root": str(shutil.copytree(made, tmp_path / "counted"))})
    assert [checkpoint.size for checkpoint in said(counted)] == [257]
    assert {"openat", "write", "pwrite64", "fsync", "fdatasync"} <= set(counted.calls)
    assert any(call.startswith("link") for call in counted.calls)
    assert any(call.startswith("rename") for call in counted.calls)
    lost: list[str] = []
    done: Counter[str] = Counter()
    for injection in injections(counted, kind):
        root = shutil.copytree(made, tmp_path / "trial")
        trial = warmed.trial(job | {"root": str(root)}, injection)
        done[injection.call] += trial.injected
        lost += [f"{injection}: {what}" for what in after_publication(root, brand, trial)]
        shutil.rmtree(root)
    say(tried, kind, done, counted, lost)


def after_publication(root: Path, brand: Actor, trial: Trial) -> Iterator[str]:
    """What is missing or contradictory when another sequencer has gone on; nothing."""
    ledger = reopened(root)
    checkpoints = seen(ledger) | said(trial)
    audit(ledger)
    ledger.clock.advance(60_000)  # the lease of the dead has expired
    sequencer = ledger.sequencer(holder="following")
    sequencer.run_once()
    event = item_event(0, 2_000, at=ledger.clock.now)
    following = door(ledger).submit_batch(brand.sealed([event])).upload_id
    sequencer.run_once()
    with ledger.database.read() as connection:
        if not log.is_covered(connection, following - 1):
            yield "the accepted upload"
        if not log.is_covered(connection, following):
            yield "the next batch"
    audit(ledger)
    yield from disagreeing(ledger.tiles, checkpoints | seen(ledger))
    ledger.database.close()


# --- capture --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Signer]:
    """A real installation and the brand that may upload to it."""
    data = tmp_path_factory.mktemp("installed") / "data"
    return data, install(Settings(data=data))


@pytest.mark.parametrize("kind", KINDS)
def test_capture(
    kind: str, warmed: Warmed, installed: tuple[Path, Signer], tmp_path: Path, tried: Tried
) -> None:
    made, brand = installed
    batch = sealed(brand, "ONE", "TWO", "ONE")
    job = {"target": "capture", "body": base64.b64encode(body(batch)).decode()}
    counted = warmed.trial(job | {"root": str(shutil.copytree(made, tmp_path / "counted"))})
    assert [message["status"] for message in counted.said] == [201]
    assert {"openat", "pwrite64", "fdatasync"} <= set(counted.calls)
    lost: list[str] = []
    done: Counter[str] = Counter()
    for injection in injections(counted, kind):
        data = shutil.copytree(made, tmp_path / "data")
        trial = warmed.trial(job | {"root": str(data)}, injection)
        done[injection.call] += trial.injected
        statuses = {message["status"] for message in trial.said}
        # A key file that cannot be read is a fault on our side; all else is an outage.
        assert statuses <= ({201, 500, 503} if injection.call == "openat" else {201, 503})
        lost += [f"{injection}: {what}" for what in after_capture(data, batch, trial)]
        shutil.rmtree(data)
    say(tried, kind, done, counted, lost)


def after_capture(data: Path, batch: SealedBatch, trial: Trial) -> Iterator[str]:
    """What is missing when the platform has started again and the sender has sent again."""
    receipts = [json.loads(m["answer"]) for m in trial.said if m["status"] == 201]
    platform = Platform.open(Settings(data=data))
    fsck(platform)
    again = platform.capture.submit_batch(batch.lines())
    if receipts and (again.created or again.receipt != receipts[0]):
        yield "an acknowledged upload"
    last_signed = LastSigned(platform.settings.keys / "last-signed")
    before = {*notes(platform.database, platform.tiles, last_signed)}
    published = platform.sequencer.run_once()
    assert published is not None
    fsck(platform)
    yield from not_once(platform.tiles, published.size, [again.receipt])
    signed = [parse_checkpoint(parse_note(note).text) for note in (*before, published.note)]
    yield from disagreeing(platform.tiles, signed)
    platform.close()


# --- the witness ----------------------------------------------------------------------------------


def grown(*entries: bytes) -> TileLog:
    """A log of 254 entries, which the witness has cosigned, and what came after them."""
    log = TileLog()
    log.append(*numbered(0, 254))
    log.append(*entries)
    return log


@pytest.mark.parametrize("kind", KINDS)
def test_cosigning(kind: str, warmed: Warmed, tmp_path: Path, tried: Tried) -> None:
    made = tmp_path / "made"
    made.mkdir()
    open_desk(made, grown()).follow(grown())
    honest = grown(b"a", b"b", b"c")
    request = AddCheckpoint(254, honest.proof(254), honest.note()).encode()
    job = {"target": "cosign", "body": base64.b64encode(request).decode()}
    counted = warmed.trial(job | {"root": str(shutil.copytree(made, tmp_path / "counted"))})
    assert counted.said == [{"cosigned": 257}]
    assert {"openat", "pwrite64", "fdatasync", "unlink"} <= set(counted.calls)
    lost: list[str] = []
    done: Counter[str] = Counter()
    for injection in injections(counted, kind):
        root = shutil.copytree(made, tmp_path / "trial")
        trial = warmed.trial(job | {"root": str(root)}, injection)
        done[injection.call] += trial.injected
        lost += [f"{injection}: {what}" for what in after_cosigning(root, honest, trial)]
        shutil.rmtree(root)
    say(tried, kind, done, counted, lost)


def after_cosigning(root: Path, honest: TileLog, trial: Trial) -> Iterator[str]:
    """What the witness has forgotten when it has started again; nothing."""
    desk = open_desk(root)
    size = desk.size(honest)
    answered = {"cosigned": 257} in trial.said
    if size not in ({257} if answered else {254, 257}):
        yield f"what was cosigned at 257: it stands at {size}"
    other = grown(b"x", b"y", b"z")
    if size == 257:
        for old, proof in ((257, ()), (257, other.proof(254)), (254, other.proof(254))):
            with pytest.raises(WitnessRefusal):  # a second history at the same size
                desk.add(old, proof, other.note())
    honest = grown(b"a", b"b", b"c", b"d")
    desk.require_good(desk.follow(honest), honest.note())
