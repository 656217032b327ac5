"""One installation: its directory, its keys, its database, and the services wired to them.

    DIR/keys/log.key         signs checkpoints                    (mode 0600, made once)
    DIR/keys/log-next.key    signs them too while the log's key passes on (``provenance.rollover``)
    DIR/keys/log-mldsa.key   signs them a second time, against quantum computers (ML-DSA-44)
    DIR/keys/receipt.key     signs COSE receipts
    DIR/keys/clock.key       cosigns them with our time
    DIR/keys/operator.key    the operator's party key: receipts, accreditations
    DIR/keys/last-signed     newest checkpoint that this machine signed; not part of a restore
    DIR/origin               the log's name, chosen at the first start and never changed
    DIR/succession.json      notes by which the log's key was passed on, if it ever was
    DIR/policy.txt           what a reader takes along: log key, witnesses, quorum
    DIR/log/                 checkpoint and tiles, unless a bucket is named; receipt-key, the
                             public half of receipt.key
    DIR/provenance.sqlite    the database, unless another one is named

:func:`initialise` makes all that is missing and changes nothing that is there;
:meth:`Platform.open` makes nothing and refuses what is incomplete. Each key has one purpose: the
log's key never signs a receipt, the clock's key nothing but cosignatures. Each is read when it is
first used and not before: a web worker, which only capture makes ask for `operator.key`, never has
the log's key in its memory, and the sequencer never the operator's. Under separate users the files
may therefore belong to whoever uses them; :meth:`Platform.open` asks only that they exist.

Two processes may initialise at once: a lock on the directory makes them take turns.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import secrets
import socket
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from merkle.errors import PolicyError
from merkle.note import KIND_ED25519, KIND_MLDSA, VerifierKey
from merkle.policy import Log, Policy, Witness
from provenance.client.evm import EvmAnchor, EvmNode, load_account_key
from provenance.client.party_events import complete
from provenance.client.sealing import Signer, seal_events
from provenance.client.timestamp import TimestampAuthority
from provenance.client.witness import HttpMirror, HttpWitness
from provenance.config import MAX_EVENT_BYTES, Settings, check_origin
from provenance.crypto.cose import receipt_key_note
from provenance.crypto.errors import KeyFileError
from provenance.crypto.mldsa import (
    MldsaNoteSigner,
    MldsaPrivateKey,
    is_available,
    load_mldsa_key,
    save_mldsa_key,
)
from provenance.crypto.signing import (
    Cosigner,
    NoteSigner,
    PrivateKey,
    load_key,
    save_key,
    verify_ed25519,
)
from provenance.crypto.timestamps import load_roots
from provenance.domain.anchoring import Anchor
from provenance.domain.errors import DomainError
from provenance.domain.party import operator_uri, party_registered
from provenance.services.anchoring import Anchoring
from provenance.services.backlog import Backlog
from provenance.services.capture import Capture, Limits
from provenance.services.forks import ForkWatch, LogForkedError
from provenance.services.jobs import JobLimits, Jobs
from provenance.services.observing import SILENT, ObservedWitness, Observer
from provenance.services.proving import Proposal, Prover
from provenance.services.readiness import Readiness
from provenance.services.reading import Reader
from provenance.services.sequencing import (
    ClockCosigning,
    QuorumError,
    Sequencer,
    SequencerOptions,
)
from provenance.services.standing import read_standing
from provenance.services.witnessing import Witnesses, make_feeders
from provenance.storage import schema
from provenance.storage.files import DurableDirectory
from provenance.storage.log import read_state
from provenance.storage.parties import find_parties
from provenance.storage.s3 import S3TileStore
from provenance.storage.session import Database, Replica
from provenance.storage.tiles import DirectoryTileStore, LastSigned, TileStore

LOG_KEY: Final = "log.key"
CLOCK_KEY: Final = "clock.key"
OPERATOR_KEY: Final = "operator.key"
KEY_FILES: Final = (LOG_KEY, CLOCK_KEY, OPERATOR_KEY)
WEB_KEY_FILES: Final = (OPERATOR_KEY,)
"""What must lie on a machine of web workers alone; `receipt.key` only for COSE receipts."""
NEXT_LOG_KEY: Final = "log-next.key"
SUCCESSION_FILE: Final = "succession.json"
MLDSA_KEY: Final = "log-mldsa.key"
RECEIPT_KEY: Final = "receipt.key"
RECEIPT_KEY_FILE: Final = "receipt-key"
"""In the log's directory: the receipt key's public half, under the log key's signature."""

REPLICA_TIMEOUT_MS: Final = 2_000
"""How long a reader waits for a replica's connection before the primary is asked."""

_logger = logging.getLogger(__name__)


class PlatformError(DomainError):
    """The installation is incomplete or contradicts itself; the message names file and remedy."""


def system_clock() -> int:
    """Milliseconds since 1970 by this machine's clock."""
    return time.time_ns() // 1_000_000


class Keys:
    """The installation's private keys, each read from its file when it is first asked for.

    A key that cannot be read, or that others could read, is then a PlatformError naming the file.
    Without `log_mldsa` a log works as well, so that one may be missing (None).
    """

    def __init__(self, directory: Path, required: Sequence[str] = KEY_FILES) -> None:
        """Raises PlatformError if one of those is missing or open to others; reads none of them."""
        self._directory = directory
        for name in required:
            _require_private(directory / name)

    @cached_property
    def log(self) -> PrivateKey:
        """Signs checkpoints."""
        return self._load(LOG_KEY)

    @cached_property
    def next_log(self) -> PrivateKey | None:
        """Signs checkpoints too, once the policy lists it; None while no key is passing on."""
        return self._load(NEXT_LOG_KEY) if (self._directory / NEXT_LOG_KEY).exists() else None

    @cached_property
    def log_mldsa(self) -> MldsaPrivateKey | None:
        """Signs checkpoints a second time; None without the file, or without the algorithm."""
        path = self._directory / MLDSA_KEY
        if not path.exists() or not is_available():
            return None
        try:
            return load_mldsa_key(path)
        except KeyFileError as error:
            raise PlatformError(str(error)) from error

    @cached_property
    def receipt(self) -> PrivateKey:
        """Signs COSE receipts, and nothing else."""
        return self._load(RECEIPT_KEY)

    @cached_property
    def clock(self) -> PrivateKey:
        """Cosigns them with our time."""
        return self._load(CLOCK_KEY)

    @cached_property
    def operator(self) -> PrivateKey:
        """Signs receipts and the operator's own events."""
        return self._load(OPERATOR_KEY)

    def _load(self, name: str) -> PrivateKey:
        try:
            return load_key(self._directory / name)
        except KeyFileError as error:
            raise PlatformError(str(error)) from error


def _require_private(path: Path) -> None:
    """As `load_key` will see it, but at the start and without its contents."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        raise PlatformError(
            f"{path} is missing; `provenance init` makes keys for a new log, those of an "
            "existing one are restored, or copied from another of its machines"
        ) from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise PlatformError(f"{path} is open to others; run: chmod 600 {path}")


class Platform:
    """An opened installation. Cheap to make, connects when first used, safe before a fork."""

    def __init__(
        self,
        settings: Settings,
        keys: Keys,
        origin: str,
        policy: Policy,
        observer: Observer = SILENT,
    ) -> None:
        self.settings = settings
        self.observer = observer
        """Is told what capture, sequencer, anchoring and the web edge do."""
        self.keys = keys
        self.origin = origin
        self.policy = policy
        self.clock = system_clock
        self.database = Database.open(
            settings.database_url, timeout_ms=settings.database_timeout_ms
        )
        self.replica: Replica | None = None
        if settings.read_database:
            # Readers do not wait for a replica: the primary answers as well.
            timeout_ms = min(settings.database_timeout_ms, REPLICA_TIMEOUT_MS)
            self.replica = Replica.open(settings.read_database, timeout_ms=timeout_ms)
        self.tiles = _open_tiles(settings)
        # Made here, not when first used: threads that ask at once would each load the hashes.
        proposal = Proposal(policy.format(), read_succession(settings.data))
        self.reader = Reader(self.database, self.replica)
        """Answers questions about what is published, from a read replica where one keeps up."""
        self.prover = Prover(self.database, self.tiles, self.origin, proposal, self.reader)
        """Builds passports; holds the hashes above the map's pages once asked."""
        self.forks = ForkWatch(
            self.database,
            self.tiles,
            policy.log_verifiers(origin, verify_ed25519),
            origin,
            self.clock,
        )
        """Compares checkpoints that others hold with this log."""

    @classmethod
    def open(cls, settings: Settings, observer: Observer = SILENT) -> Platform:
        """The installation in ``settings.data``; raises PlatformError if it is not complete.

        That `log.key` is the key of the policy is for the sequencer to see, which may read it.
        """
        keys = Keys(settings.keys, WEB_KEY_FILES if settings.parts == "web" else KEY_FILES)
        origin = _read_origin(settings)
        if origin is None:
            raise PlatformError(
                f"{settings.origin_file} is missing: run `provenance init --data {settings.data}`"
            )
        policy = _read_policy(settings.policy_file)
        _require_own_log(settings, policy, origin)
        return cls(settings, keys, origin, policy, observer)

    @property
    def operator(self) -> str:
        """The operator's URI."""
        return operator_uri(self.origin)

    @property
    def log_vkey(self) -> str:
        """The log's verifier key as text (C2SP signed-note): what readers pin."""
        return _log_key(self.policy, self.origin).format()

    @cached_property
    def capture(self) -> Capture:
        """The way into the ledger."""
        settings = self.settings
        return Capture(
            self.database,
            self.origin,
            self.keys.operator,
            self.clock,
            Limits(
                max_events=settings.max_seal_events,
                max_links=settings.max_upload_links,
                clock_tolerance_ms=settings.clock_tolerance_s * 1000,
            ),
            self.observer,
            Backlog(self.database, settings.max_pending_links),
        )

    @cached_property
    def jobs(self) -> Jobs:
        """The way into the ledger for uploads that take long."""
        settings = self.settings
        limits = JobLimits(
            most_jobs=settings.max_jobs,
            job_bytes=settings.max_job_bytes,
            batch_bytes=settings.max_body_bytes,
            line_bytes=MAX_EVENT_BYTES,
            keep_ms=settings.job_keep_s * 1000,
        )
        return Jobs(self.database, self.capture, self.clock, limits)

    @cached_property
    def readiness(self) -> Readiness:
        """Whether this process can serve."""
        return Readiness(
            lambda: self.prover.published(),  # noqa: PLW0108  looked up when it is called
            lambda: read_standing(self.database, self.policy, self.clock),
            self.tiles,
            lambda: self.keys.operator,
        )

    @cached_property
    def sequencer(self) -> Sequencer:
        """The one that makes the log grow; for one thread of one process."""
        settings = self.settings
        cosigner = Cosigner(f"{self.origin}/clock", self.keys.clock)
        timeout_ms = settings.witness_timeout_ms
        feeders = make_feeders(
            self.policy,
            lambda url: ObservedWitness(
                HttpWitness(url, timeout_ms=timeout_ms, more=self.observer.outgoing), self.observer
            ),
            self.clock,
        )
        return Sequencer(
            self.database,
            self.tiles,
            LastSigned(settings.keys / "last-signed"),
            signers=self._checkpoint_signers(),
            policy=self.policy,
            cosigners=(ClockCosigning(cosigner, self.clock),),
            clock=self.clock,
            # Two containers may agree in host name and process id.
            holder=f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}",
            options=SequencerOptions(
                lease_ms=settings.lease_s * 1000,
                refresh_ms=settings.cosign_refresh_s * 1000,
                interval_ms=settings.publish_interval_ms,
                publication="wait" if settings.publication == "wait" else "upgrade",
                # Room for one 409 and the request that it calls for.
                witness_wait_ms=2 * timeout_ms,
            ),
            witnesses=Witnesses(feeders, self.clock),
            mirrors={url: HttpMirror(url, timeout_ms=timeout_ms) for url in settings.mirror_urls},
            observer=self.observer,
        )

    def log_signers(self) -> tuple[NoteSigner, ...]:
        """Those keys of ours that the policy lists: one, or two while one passes on to the next."""
        listed = {log.key for log in self.policy.log_named(self.origin)}
        keys = [key for key in (self.keys.log, self.keys.next_log) if key is not None]
        signers = [NoteSigner(self.origin, key) for key in keys]
        # Our first key even if no policy lists it: the sequencer says what is wrong with that.
        return tuple(one for one in signers if one.vkey in listed) or (signers[0],)

    @cached_property
    def anchoring(self) -> Anchoring:
        """Shows published checkpoints to the third parties of the settings; for one thread.

        Raises AnchorError or KeyFileError where certificates or key cannot be read.
        """
        settings = self.settings
        parties: list[Anchor] = []
        if settings.tsa_url:
            roots = load_roots(Path(settings.tsa_certificates))
            parties.append(TimestampAuthority(settings.tsa_url, roots))
        if settings.evm_url:
            node = EvmNode(settings.evm_url, settings.evm_chain)
            key = load_account_key(Path(settings.evm_key))
            confirmations = settings.evm_confirmations
            parties.append(EvmAnchor(node, settings.evm_contract, key, confirmations=confirmations))
        interval_ms = settings.anchor_interval_s * 1000
        return Anchoring(
            self.database,
            parties,
            clock=self.clock,
            interval_ms=interval_ms,
            observer=self.observer,
        )

    @property
    def anchor_kinds(self) -> tuple[str, ...]:
        """The third parties that are configured, by kind."""
        configured = {"rfc3161": self.settings.tsa_url, "evm": self.settings.evm_url}
        return tuple(kind for kind, url in configured.items() if url)

    def _checkpoint_signers(self) -> tuple[NoteSigner | MldsaNoteSigner, ...]:
        """Ed25519 first: every reader can verify it. ML-DSA-44 beside it, for those who can."""
        if (key := self.keys.log_mldsa) is None:
            return self.log_signers()
        return *self.log_signers(), MldsaNoteSigner(self.origin, key, lambda: self.clock() // 1000)

    def close(self) -> None:
        """Close the database's connections."""
        self.database.close()
        if self.replica is not None:
            self.replica.close()


def _open_tiles(settings: Settings) -> TileStore:
    """The store that the settings name; raises StoreUnusableError where boto3 is missing."""
    if not settings.tiles_url:
        return DirectoryTileStore(settings.tiles)
    return S3TileStore.open(
        settings.tiles_url,
        endpoint=settings.s3_endpoint,
        region=settings.s3_region,
        timeout_ms=settings.s3_timeout_ms,
    )


def initialise(settings: Settings) -> None:
    """Make what is missing of an installation, up to a published log with a registered operator.

    Repeatable; a crash anywhere in it is mended by running it again. Raises PlatformError,
    SchemaError, StoreUnusableError and StoreUnavailableError; nothing that exists is ever
    overwritten.
    """
    # Group may read (a web server for the tiles); others may not: concealed members lie here.
    settings.data.mkdir(mode=0o750, parents=True, exist_ok=True)
    with taking_turns(settings.data):
        database = Database.open(settings.database_url, timeout_ms=settings.database_timeout_ms)
        try:
            schema.upgrade(database)
            _refuse_losses(settings, database)
        finally:
            database.close()
        _make_keys(settings.keys)
        keys = Keys(settings.keys)
        origin = _read_origin(settings) or _choose_origin(settings, keys.log)
        _make_mldsa_key(settings, origin)
        if not settings.policy_file.exists():
            _write_policy(settings, origin, keys)
        platform = Platform.open(settings)
        try:
            _require_own_key(settings, platform)
            platform.tiles.prepare()
            _publish_receipt_key(platform)
            _begin(platform)
        finally:
            platform.close()


def require_complete(settings: Settings) -> None:
    """For a machine of web workers alone: all they need is there, and nothing is made.

    Keys, origin and policy were copied from a machine on which `initialise` ran, which also brought
    the tables to this version. Raises PlatformError, SchemaError, StoreUnavailableError.
    """
    platform = Platform.open(settings)
    try:
        schema.check(platform.database)
        with platform.database.read() as connection:
            if read_state(connection) is None:
                raise PlatformError(
                    "the database holds no log yet: start a machine with the sequencer first"
                )
    finally:
        platform.close()


def _begin(platform: Platform) -> None:
    """Genesis, the operator's registration, and the checkpoint that shows it.

    While another process holds the sequencer's lease, that one does the publishing. So does the
    sequencer of `provenance serve` where witnesses have not cosigned yet: one that checks the map
    reads our tiles over HTTP and cannot before the web workers are up. A log that has forked is
    opened as it is, so that readers can be told.
    """
    sequencer = platform.sequencer
    try:
        started = _try(sequencer.start)
        _register_operator(platform)
        if started:
            _try(sequencer.run_once)
    finally:
        sequencer.release()


def _try(step: Callable[[], Any]) -> bool:
    """Did it come to something? Waiting for witnesses is no failure, and a fork is told later."""
    try:
        return bool(step())
    except QuorumError as error:
        _logger.warning("the first checkpoints wait for their cosignatures: %s", error)
    except LogForkedError as error:
        _logger.error("%s", error)  # noqa: TRY400  the message says it all
    return False


@contextmanager
def taking_turns(directory: Path) -> Iterator[None]:
    """Nobody else changes the installation meanwhile."""
    handle = os.open(directory / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)  # which gives the lock back, as does the end of the process


# --- keys, origin, policy -------------------------------------------------------------------------


def _refuse_losses(settings: Settings, database: Database) -> None:
    """A log that exists has its files; new ones in their place would be another log's."""
    files = [settings.keys / name for name in KEY_FILES]
    missing = [
        str(path)
        for path in (*files, settings.origin_file, settings.policy_file)
        if not path.exists()
    ]
    if not missing:
        return
    with database.read() as connection:
        if read_state(connection) is not None:
            raise PlatformError(
                f"the database holds a log, but {', '.join(missing)} is missing: restore what is "
                "missing, or start a new log with another database"
            )


def _make_keys(directory: Path) -> None:
    directory.mkdir(mode=0o700, exist_ok=True)
    for name in (*KEY_FILES, RECEIPT_KEY):  # the last one came later: older logs get it now
        if not (directory / name).exists():
            _make_key(directory / name, lambda path: save_key(path, PrivateKey.generate()))


def _make_mldsa_key(settings: Settings, origin: str) -> None:
    """The second key of the log, for a new log and for one that was made without it.

    A policy that exists is the operator's: it is not changed, and readers pass over lines under a
    key that it does not list. Where it lists one, that very key must come back.
    """
    path = settings.keys / MLDSA_KEY
    if path.exists() or not is_available():
        return
    if settings.policy_file.exists():
        policy = _read_policy(settings.policy_file)
        if any(log.key.kind == KIND_MLDSA for log in policy.log_named(origin)):
            raise PlatformError(
                f"{settings.policy_file} lists an ML-DSA-44 key of this log, but {path} is "
                "missing: restore it, or take that line out of the policy"
            )
    _make_key(path, lambda fresh: save_mldsa_key(fresh, MldsaPrivateKey.generate()))


def _make_key(path: Path, save: Callable[[Path], None]) -> None:
    """A new key under its name at once or not at all: a crash leaves at most a ``.new`` file."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    save(fresh)
    fresh.rename(path)
    handle = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _read_origin(settings: Settings) -> str | None:
    """The log's name as chosen; raises PlatformError where the settings now say another one."""
    try:
        origin = settings.origin_file.read_text(encoding="ascii").removesuffix("\n")
    except FileNotFoundError:
        return None
    if settings.origin and settings.origin != origin:
        raise PlatformError(
            f"this log's origin is {origin} ({settings.origin_file}), the settings say "
            f"{settings.origin}: a log keeps its name; leave the setting out, or use another "
            "data directory for another log"
        )
    return origin


def _choose_origin(settings: Settings, log_key: PrivateKey) -> str:
    origin = settings.origin or "log.localhost/" + sha256(log_key.public.raw).hexdigest()[:8]
    check_origin(origin)
    DurableDirectory(settings.data).write_once(
        settings.origin_file.name, (origin + "\n").encode("ascii")
    )
    return origin


def _write_policy(settings: Settings, origin: str, keys: Keys) -> None:
    """The first policy: our log, and our own clock as the one witness. Operators add others."""
    clock = Cosigner(f"{origin}/clock", keys.clock)
    logs = [Log(NoteSigner(origin, keys.log).vkey)]
    if keys.log_mldsa is not None:
        logs.append(Log(_mldsa_vkey(origin, keys.log_mldsa)))
    policy = Policy(
        logs=tuple(logs),
        witnesses=(Witness(clock.name, clock.vkey),),
        quorum=clock.name,
    )
    DurableDirectory(settings.data).write_once(
        settings.policy_file.name, policy.format().encode("ascii")
    )


def _read_policy(path: Path) -> Policy:
    try:
        return Policy.parse(path.read_bytes())
    except FileNotFoundError as error:
        raise PlatformError(f"{path} is missing: run `provenance init`") from error
    except PolicyError as error:
        raise PlatformError(f"{path}: {error}") from error


def read_succession(data: Path) -> tuple[str, ...]:
    """The notes by which the log's key was passed on, oldest first; raises PlatformError."""
    path = data / SUCCESSION_FILE
    try:
        notes = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return ()
    except ValueError as error:
        raise PlatformError(
            f"{path} is not the JSON that `provenance log` wrote: {error}"
        ) from error
    if not isinstance(notes, list) or not all(isinstance(note, str) for note in notes):
        raise PlatformError(f"{path}: expected a list of signed notes, found something else")
    return tuple(notes)


def _log_key(policy: Policy, origin: str) -> VerifierKey:
    """The Ed25519 key of our log in the policy; of two, the older, which stands first."""
    for known in policy.log_named(origin):
        if known.key.kind == KIND_ED25519:
            return known.key
    raise PlatformError(f"the policy names no key of the log {origin}")


def _require_own_log(settings: Settings, policy: Policy, origin: str) -> None:
    try:
        _log_key(policy, origin)
    except PlatformError as error:
        raise PlatformError(
            f"{settings.policy_file} does not name this log: expected a line `log KEY` with the "
            f"key of {origin}; readers could not verify anything with it"
        ) from error


def _mldsa_vkey(origin: str, key: MldsaPrivateKey) -> VerifierKey:
    return VerifierKey.make(origin, KIND_MLDSA, key.public)


def _require_own_key(settings: Settings, platform: Platform) -> None:
    """A key in the policy is that of log.key, or of its successor; only who reads them can tell."""
    own = NoteSigner(platform.origin, platform.keys.log).vkey.format()
    listed = {log.key.format() for log in platform.policy.log_named(platform.origin)}
    if not {signer.vkey.format() for signer in platform.log_signers()} & listed:
        raise PlatformError(
            f"{settings.policy_file} does not name this log: expected a line `log {own}`, found "
            f"`log {platform.log_vkey}`; restore the policy and {LOG_KEY} that belong together"
        )
    second = platform.keys.log_mldsa
    known = {log.key for log in platform.policy.log_named(platform.origin)}
    if second is not None and any(key.kind == KIND_MLDSA for key in known):
        vkey = _mldsa_vkey(platform.origin, second)
        if vkey not in known:
            raise PlatformError(
                f"{settings.policy_file} lists another ML-DSA-44 key of this log than that of "
                f"{MLDSA_KEY} (id {vkey.key_id.hex()}): restore the two that belong together"
            )


def _publish_receipt_key(platform: Platform) -> None:
    """Put the receipt key's public half where readers find it, under the log key's signature.

    Written again when either key is another one now; an unchanged file keeps its bytes.
    """
    note = receipt_key_note(platform.log_signers()[0], platform.keys.receipt.public)
    path = platform.settings.tiles / RECEIPT_KEY_FILE
    if not path.exists() or path.read_bytes() != note:
        DurableDirectory(platform.settings.tiles).replace(RECEIPT_KEY_FILE, note)


# --- the operator as a party ----------------------------------------------------------------------


def _register_operator(platform: Platform) -> None:
    """The operator's first event, through the ordinary door; nothing if it is there already."""
    with platform.database.read() as connection:
        if find_parties(connection, [platform.operator]):
            return
    now = platform.clock() // 1000
    key = platform.keys.operator
    name = {"en": platform.settings.operator_name}
    members = party_registered(
        platform.operator, name=name, key=key.public.multikey, custody="party"
    )
    signer = Signer(platform.origin, platform.operator, key)
    events = complete(members, now, secrets.token_bytes)
    (batch,) = seal_events(events, signer, now=now, random=secrets.token_bytes)
    platform.capture.submit_batch(list(batch.lines()))
