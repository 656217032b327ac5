"""What this installation was told: one frozen value, read once at start.

Every setting can be given as an environment variable ``PROVENANCE_<NAME>`` (the field's name in
upper case) or as a command option; an option wins. Units stand in the names: ``_bytes``, ``_ms``
(milliseconds), ``_s`` (seconds). Nothing here has an unsafe default: the server listens on the
loopback address only, and there is no secret among the settings, because keys are files in the data
directory that :mod:`provenance.platform` makes.

The limits of docs/formats.md itself (49,152 bytes for an event, 8,192 for a seal) are no settings:
a verifier far away holds them too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from provenance.domain.errors import DomainError

PREFIX: Final = "PROVENANCE_"

# docs/formats.md section 1: what every verifier refuses to read, so no operator can raise it.
MAX_EVENT_BYTES: Final = 49_152
MAX_SEAL_BYTES: Final = 8_192

# C2SP tlog-checkpoint: a scheme-less URL without trailing slash; signed-note names hold no space
# and no "+". At most 255 bytes for the length byte of the ML-DSA message (tlog-cosignature), less
# the 6 bytes of "/clock", the name of our own cosigner.
_ORIGIN: Final = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::[0-9]+)?(?:/[A-Za-z0-9._~-]+)*")
_MAX_ORIGIN_CHARACTERS: Final = 249

# A bucket's name as Amazon has it; in the prefix only what no store and no URL spells otherwise.
_BUCKET_URL: Final = re.compile(
    r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](?:/(?!\.+(?:/|$))[A-Za-z0-9._-]+)*"
)


class SettingsError(DomainError):
    """A setting that cannot be; the message names it, what was found and what to write instead."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings, checked. Build with :meth:`load` (environment and options) or by keyword.

    Raises :class:`SettingsError` when a value is out of its range.
    """

    data: Path
    """Directory of this installation: keys, tiles, policy and, by default, the database."""
    database: str = ""
    """SQLAlchemy URL; empty means ``sqlite:///DATA/provenance.sqlite``."""
    read_database: str = ""
    """URL of a read replica (a standby of the PostgreSQL database), asked for passports and the
    list of seals while it has all that is published; empty: the database answers everything."""
    origin: str = ""
    """Name of the log; empty means the one kept in ``DATA/origin``, made at the first start."""
    base_url: str = ""
    """Where readers reach us, without trailing slash; empty means ``http://HOST:PORT``."""
    operator_name: str = "Platform operator"
    """The operator's name (English) in its registration; read at the first start only."""

    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 2
    """Web processes. The sequencer is one more."""
    parts: str = "all"
    """What `provenance serve` runs on this machine: ``web`` workers, the ``sequencer``, or ``all``
    of it. A machine of web workers alone needs neither the log's key nor the clock's."""

    max_seal_events: int = 10_000
    """Events in one upload; docs/formats.md section 4 allows no more than 10,000."""
    max_body_bytes: int = 64 * 1024 * 1024
    """One request's body, decompressed."""
    max_upload_links: int = 100_000
    """Links that one upload may append: 10,000 events of 1,000 subjects would be ten million."""
    max_pending_links: int = 500_000
    """Accepted links that may wait for the sequencer before uploads are told to come again."""
    max_worker_uploads: int = 6
    """Bodies that one web process takes in at once; it has 8 threads, and readers need some."""
    max_jobs: int = 64
    """Unfinished jobs (large resumable uploads) at a time; each may keep one unfinished batch."""
    max_job_bytes: int = 16 * 1024 * 1024 * 1024
    """One job's body; it passes through and is not kept."""
    job_keep_s: int = 86_400
    """How long a job is remembered after its last byte, finished or not."""
    clock_tolerance_s: int = 120
    """How far ahead of our clock a claimed event time may lie before the event is refused."""

    publish_interval_ms: int = 250
    """Pause between two looks of the sequencer for new uploads."""
    cosign_refresh_s: int = 300
    """With no new entry the same checkpoint is cosigned again this often: it stays fresh."""
    lease_s: int = 4
    """A sequencer that has not renewed its lease for so long has lost it; another one that waits
    goes on within so long and one `publish_interval_ms`."""
    publication: str = "wait"
    """``wait``: a checkpoint is published when the policy's quorum has cosigned it. ``upgrade``:
    at once, and again as cosignatures come; readers who demand the quorum wait for them."""
    witness_timeout_ms: int = 2_000
    """How long a witness or a mirror may take for one answer."""
    mirrors: str = ""
    """Addresses of copies of the log, separated by commas: ``<address>/checkpoint`` is compared
    with what we signed."""
    anchor_interval_s: int = 3_600
    """How often, at most, a log that has grown is shown to each third party that dates it."""
    tsa_url: str = ""
    """Address of an RFC 3161 time-stamp authority; empty: none is asked."""
    tsa_certificates: str = ""
    """File of the authority's root certificates (PEM), without which no token is believed."""
    evm_url: str = ""
    """Address of an EVM node (JSON-RPC); empty: none is asked. Needs the extra ``evm``."""
    evm_chain: int = 0
    """Id of the chain that the node must serve."""
    evm_contract: str = ""
    """Address of our CheckpointAnchor contract (`provenance anchor deploy`)."""
    evm_key: str = ""
    """File of the account that owns the contract (`provenance anchor key`)."""
    evm_confirmations: int = 12
    """Blocks on the chain, the anchor's own counted, before an anchor is confirmed."""
    tiles_url: str = ""
    """``s3://BUCKET[/PREFIX]``: tiles and checkpoint lie there; empty: in ``DATA/log``. Needs the
    extra ``s3``; credentials come from the environment or the machine's role, as boto3 finds
    them."""
    s3_endpoint: str = ""
    """Address of an object store other than Amazon's."""
    s3_region: str = ""
    """Region of the bucket; empty: as boto3 finds it."""
    s3_timeout_ms: int = 5_000
    """How long one attempt may take to connect, or an answer be silent; four attempts are made."""
    database_timeout_ms: int = 10_000
    """How long a writer waits for another one before it answers "unavailable"."""

    metrics: str = ""
    """``HOST:PORT`` on which `provenance serve` answers Prometheus (docs/operating.md); empty: no
    metrics. The host is an IP address or ``localhost``, and should not be one of the public's."""
    log_format: str = "auto"
    """Form of log lines: ``json``, ``text``, or ``auto``: text on a terminal, else JSON."""
    log_level: str = "info"
    """The least that our own code logs: ``debug``, ``info`` (a line for each request),
    ``warning`` or ``error``."""
    log_clients: str = "off"
    """``on``: access lines name the client's address, which is personal data in many places."""
    traces: str = ""
    """Whole address of an OpenTelemetry collector (OTLP over HTTP); empty: no traces. Needs the
    extra ``traces``."""
    trace_witnesses: str = "off"
    """``on``: requests to witnesses bear a `traceparent`, if there are traces."""

    def __post_init__(self) -> None:
        for name, low, high in _RANGES:
            _check_range(name, getattr(self, name), low, high)
        if not str(self.data) or str(self.data) == ".":
            raise _refused("data", str(self.data), "a directory of its own, for instance ./data")
        if self.origin:
            check_origin(self.origin)
        _check_database("database", self.database)
        _check_replica(self)
        _check_base_url(self.base_url)
        for name, words in _WORDS:
            if getattr(self, name) not in words:
                expected = f"{', '.join(words[:-1])} or {words[-1]}"
                raise _refused(name, getattr(self, name), expected)
        for url in self.mirror_urls:
            _check_mirror(url)
        _check_anchors(self)
        _check_metrics(self.metrics)
        _check_traces(self.traces)
        _check_tiles(self)
        if not self.operator_name.strip() or len(self.operator_name) > 200:
            raise _refused("operator_name", self.operator_name, "a name of 1 to 200 characters")

    @classmethod
    def load(cls, environ: Mapping[str, str], **options: Any) -> Settings:
        """Settings from `environ` and command `options` (None = not given); options win.

        Raises :class:`SettingsError` for a missing data directory, an unknown ``PROVENANCE_…`` name
        (a misspelt setting must not be silently without effect) and any value out of range.
        """
        values = _from_environment(environ)
        values.update({name: value for name, value in options.items() if value is not None})
        if unknown := values.keys() - {field.name for field in fields(cls)}:
            raise SettingsError(f"unknown settings: {', '.join(sorted(unknown))}")
        if not str(values.get("data", "")):
            raise SettingsError("data is not set: give --data DIR or PROVENANCE_DATA=DIR")
        values["data"] = Path(values["data"])
        return cls(**values)

    def to_environment(self) -> dict[str, str]:
        """The variables from which :meth:`load` makes these very settings in a child process."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        values["data"] = self.data.absolute()
        return {PREFIX + name.upper(): str(value) for name, value in values.items()}

    @property
    def database_url(self) -> str:
        """The database to open, with the default filled in."""
        return self.database or f"sqlite:///{(self.data / 'provenance.sqlite').absolute()}"

    @property
    def public_url(self) -> str:
        """Where readers reach us, without trailing slash, with the default filled in."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.base_url or f"http://{host}:{self.port}"

    @property
    def mirror_urls(self) -> tuple[str, ...]:
        """The addresses in `mirrors`."""
        return tuple(url.strip() for url in self.mirrors.split(",") if url.strip())

    @property
    def metrics_address(self) -> tuple[str, int] | None:
        """Host (without brackets) and port of `metrics`; None when there shall be none."""
        if not self.metrics:
            return None
        host, _, port = self.metrics.rpartition(":")
        return host.removeprefix("[").removesuffix("]"), int(port)

    @property
    def keys(self) -> Path:
        """Directory of ``log.key``, ``clock.key`` and ``operator.key``, mode 0700."""
        return self.data / "keys"

    @property
    def tiles(self) -> Path:
        """Directory of the log's tiles and checkpoint, served as ``/log/``; with `tiles_url` of
        ``receipt-key`` alone."""
        return self.data / "log"

    @property
    def policy_file(self) -> Path:
        """The policy that a reader may take along (C2SP tlog-policy)."""
        return self.data / "policy.txt"

    @property
    def origin_file(self) -> Path:
        """Where the log's name is kept once it is chosen."""
        return self.data / "origin"


_RANGES: Final = (
    ("port", 0, 65_535),
    ("workers", 1, 256),
    ("max_seal_events", 1, 10_000),
    ("max_body_bytes", MAX_EVENT_BYTES + MAX_SEAL_BYTES, 1024 * 1024 * 1024),
    ("max_upload_links", 1_000, 1_000_000),
    ("max_pending_links", 1_000, 100_000_000),
    ("max_worker_uploads", 1, 7),
    ("max_jobs", 1, 10_000),
    ("max_job_bytes", 1024 * 1024, 2**50),
    ("job_keep_s", 60, 2_592_000),
    ("clock_tolerance_s", 0, 86_400),
    ("publish_interval_ms", 10, 30_000),
    ("cosign_refresh_s", 1, 43_200),
    ("lease_s", 2, 30),
    ("witness_timeout_ms", 50, 15_000),
    ("anchor_interval_s", 1, 31_536_000),
    ("evm_chain", 0, 2**53 - 1),
    ("evm_confirmations", 1, 10_000),
    ("s3_timeout_ms", 100, 60_000),
    ("database_timeout_ms", 100, 60_000),
)
_WORDS: Final = (
    ("parts", ("all", "web", "sequencer")),
    ("publication", ("wait", "upgrade")),
    ("log_format", ("auto", "json", "text")),
    ("log_level", ("debug", "info", "warning", "error")),
    ("log_clients", ("off", "on")),
    ("trace_witnesses", ("off", "on")),
)


def check_origin(origin: str) -> None:
    """Refuse a name that cannot be a log's: SettingsError says which form is expected."""
    if len(origin) > _MAX_ORIGIN_CHARACTERS or not _ORIGIN.fullmatch(origin):
        raise _refused(
            "origin",
            origin,
            "a host name in lower case and perhaps a path, no scheme, no slash at the end, "
            f"at most {_MAX_ORIGIN_CHARACTERS} characters (for instance log.example.org/2026)",
        )


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    known = {PREFIX + field.name.upper(): field for field in fields(Settings)}
    values: dict[str, Any] = {}
    for variable, text in environ.items():
        if not variable.startswith(PREFIX):
            continue
        if variable not in known:
            raise SettingsError(f"unknown setting {variable}; known are {', '.join(sorted(known))}")
        field = known[variable]
        values[field.name] = _integer(variable, text) if field.type == "int" else text
    return values


def _integer(variable: str, text: str) -> int:
    if not re.fullmatch(r"-?[0-9]+", text, re.ASCII):
        raise _refused(variable, text, "a whole number in digits")
    return int(text)


def _check_range(name: str, value: Any, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise _refused(name, str(value), f"a whole number from {low} to {high}")


def _check_database(name: str, url: str) -> None:
    if url and not url.startswith(("sqlite:///", "postgresql://", "postgresql+psycopg://")):
        # The URL may hold a password: say the scheme only.
        raise _refused(
            name,
            url.partition(":")[0] + ":…",
            "sqlite:///PATH or postgresql://USER@HOST/NAME",
        )


def _check_replica(settings: Settings) -> None:
    _check_database("read_database", settings.read_database)
    if not settings.read_database:
        return
    for name in ("read_database", "database"):
        if not getattr(settings, name).startswith("postgresql"):
            found = getattr(settings, name).partition(":")[0] or "sqlite"
            raise _refused(
                name, found + ":…", "postgresql://USER@HOST/NAME: only PostgreSQL has read replicas"
            )


def _check_base_url(url: str) -> None:
    if not url:
        return
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.netloc or url.endswith("/"):
        raise _refused("base_url", url, "http(s)://HOST[:PORT][/PATH] without a slash at the end")
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise _refused("base_url", url, "no query, no fragment and no user name in it")


def _check_mirror(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.netloc or "@" in parts.netloc:
        raise _refused("mirrors", url, "http(s)://HOST[:PORT][/PATH], several separated by commas")


def _check_anchors(settings: Settings) -> None:
    """What belongs together is given together: half a third party would be one that never says
    anything."""
    for name in ("tsa_url", "evm_url"):
        url = getattr(settings, name)
        parts = urlsplit(url)
        if url and (parts.scheme not in {"http", "https"} or not parts.netloc):
            # An EVM node's address often holds its customer's secret: say the scheme only.
            raise _refused(name, url.partition(":")[0] + ":…", "http(s)://HOST[:PORT][/PATH]")
    if settings.tsa_url and not settings.tsa_certificates:
        raise _refused("tsa_certificates", "", "a PEM file, since tsa_url is set")
    if not settings.evm_url:
        return
    if not re.fullmatch(r"0x[0-9a-fA-F]{40}", settings.evm_contract):
        raise _refused(
            "evm_contract", settings.evm_contract, "0x and 40 hex digits, since evm_url is set"
        )
    if not settings.evm_key:
        raise _refused("evm_key", "", "a key file, since evm_url is set")
    if not settings.evm_chain:
        raise _refused("evm_chain", "0", "the chain's id, since evm_url is set")


def _check_tiles(settings: Settings) -> None:
    if settings.tiles_url and not _BUCKET_URL.fullmatch(settings.tiles_url):
        raise _refused(
            "tiles_url", settings.tiles_url, "s3://BUCKET[/PREFIX] without a slash at the end"
        )
    for name in ("s3_endpoint", "s3_region"):
        if getattr(settings, name) and not settings.tiles_url:
            raise _refused("tiles_url", "", f"s3://BUCKET[/PREFIX], since {name} is set")
    parts = urlsplit(settings.s3_endpoint)
    if settings.s3_endpoint and (
        parts.scheme not in {"http", "https"} or not parts.netloc or "@" in parts.netloc
    ):
        # Somebody may have written credentials into it: say the scheme only.
        found = settings.s3_endpoint.partition(":")[0] + ":…"
        raise _refused("s3_endpoint", found, "http(s)://HOST[:PORT] without a user name")


def _refused(name: str, found: str, expected: str) -> SettingsError:
    variable = name if name.startswith(PREFIX) else PREFIX + name.upper()
    return SettingsError(f"setting {variable} is {found!r}; expected {expected}")


def _check_traces(url: str) -> None:
    parts = urlsplit(url)
    if url and (parts.scheme not in {"http", "https"} or not parts.netloc or "@" in parts.netloc):
        # The address of a hosted collector may hold its customer's secret: say the scheme only.
        raise _refused("traces", url.partition(":")[0] + ":…", "http(s)://HOST[:PORT]/v1/traces")


def _check_metrics(address: str) -> None:
    if not address:
        return
    expected = "IP:PORT, such as 127.0.0.1:9464 or [::1]:9464, or nothing"
    host, _, port = address.rpartition(":")
    if not re.fullmatch(r"[0-9]{1,5}", port, re.ASCII) or int(port) > 65_535:
        raise _refused("metrics", address, expected)
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if bare == "localhost":
        return
    try:
        version = ip_address(bare).version
    except ValueError as error:
        raise _refused("metrics", address, expected) from error
    if (version == 6) != (bare != host):
        raise _refused("metrics", address, expected)
