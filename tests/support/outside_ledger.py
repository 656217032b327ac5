"""What software of others is shown: a real platform's output, fetched as anybody would fetch it.

`provenance serve` runs as the process that an operator starts. Its policy wants a cosignature from
each of three witnesses by others before a checkpoint is published, so everything here went through
them. Uploads come in through the interface; then every file that the log serves, some passports and
the proofs are fetched over HTTP and mirrored into a directory.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

from merkle.checkpoint import Checkpoint, parse_checkpoint
from merkle.note import VerifierKey, parse_note
from merkle.policy import Policy
from merkle.proofs import prove_inclusion
from merkle.tiles import TILE_WIDTH, TileHashReader, decode_bundle, entries_path, parse_path
from provenance.client.api import Api
from provenance.client.party_events import Registrar
from provenance.client.sealing import Signer, prepare, seal_events
from provenance.config import Settings
from provenance.crypto.signing import PrivateKey
from provenance.domain.canonical import decode_base64, encode_base64
from provenance.domain.chain import subject_key
from provenance.domain.ledger import map_value, parse_map_head
from provenance.domain.party_events import operator_uri
from provenance.platform import Platform, initialise
from tests.support.outside import Flip, Outside
from tests.support.outside_witnesses import OutsideWitness, outside_witnesses
from tests.support.processes import Serve, serve, until
from tests.support.served import item, now, observed

BATCHES = (1, 3, 40, 256, 5, 300, 2, 17)
"""Events in each upload: the log grows past two full tiles, in steps that end at odd places."""

_KINDS = {"tile": "tile", "map": "delta", "passports": "passport", "receipts": "receipt"}


@dataclass
class OutsideLedger:
    """A running platform and all that it served at one moment.

    `files` are the log's, by path below ``/log/``; `passports` and `receipts` by name (a receipt
    is a tlog-proof); `checkpoints` every published one that was seen while the log grew, oldest
    first.
    """

    folder: Path
    serve: Serve
    api: Api
    policy: Policy
    witnesses: list[OutsideWitness]
    log_keys: list[VerifierKey]
    files: dict[str, bytes] = field(default_factory=dict)
    passports: dict[str, bytes] = field(default_factory=dict)
    receipts: dict[str, bytes] = field(default_factory=dict)
    checkpoints: list[bytes] = field(default_factory=list)

    @property
    def origin(self) -> str:
        """The log's name."""
        return self.log_keys[0].name

    @property
    def url(self) -> str:
        """The log's prefix."""
        return f"{self.serve.url}/log/"

    @property
    def keys(self) -> list[str]:
        """Every verifier key whose line a published checkpoint bears, the log's first."""
        witnesses = [witness.key for witness in self.policy.witnesses]
        return [key.format() for key in (*self.log_keys, *witnesses)]

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """The mirrored one."""
        return read_checkpoint(self.files["checkpoint"])

    @cached_property
    def entries(self) -> list[bytes]:
        """All entries, out of the mirrored bundles."""
        size, found = self.checkpoint.size, []
        for start in range(0, size, TILE_WIDTH):
            width = min(TILE_WIDTH, size - start)
            found += decode_bundle(self.files[entries_path(start // TILE_WIDTH, width)], width)
        return found

    @property
    def mirror(self) -> Path:
        """The directory that :func:`write_mirror` filled."""
        return self.folder / "mirror"

    def kind_of(self, path: str) -> str:
        """What kind of file stands at a path of the mirror."""
        if path.startswith("tile/entries/"):
            return "bundle"
        return _KINDS.get(path.partition("/")[0], path)

    @property
    def paths(self) -> list[str]:
        """Everything that was served and mirrored."""
        return list(self._served())

    def _served(self) -> dict[str, bytes]:
        passports = {f"passports/{name}.json": data for name, data in self.passports.items()}
        receipts = {f"receipts/{name}.tlog-proof": data for name, data in self.receipts.items()}
        return self.files | passports | receipts

    def bytes_of(self, path: str) -> bytes:
        """A mirrored file or passport."""
        return self._served()[path]


def read_checkpoint(note: bytes) -> Checkpoint:
    """The three lines, not verified."""
    return parse_checkpoint(parse_note(note).text)


@contextmanager
def outside_ledger(outside: Outside, folder: Path) -> Iterator[OutsideLedger]:
    """The platform with its witnesses, grown and mirrored; it runs until the block ends."""
    settings = Settings(data=folder / "data")
    initialise(settings)
    platform = Platform.open(settings)
    policy, origin = platform.policy, platform.origin
    operator = Signer(origin, operator_uri(origin), platform.keys.operator)
    platform.close()
    log_keys = [log.key for log in policy.log_named(origin)]
    with outside_witnesses(outside, folder / "witnesses", log_keys[0]) as witnesses:
        settings.policy_file.write_text(_policy_with(policy, witnesses))
        with serve(settings.data) as running:
            _wait_until_ready(running)
            ledger = OutsideLedger(
                folder,
                running,
                Api(running.url),
                Policy.parse(settings.policy_file.read_text()),
                witnesses,
                log_keys,
            )
            _grow(ledger, operator)
            _fetch(ledger, settings.tiles)
            _write_mirror(ledger)
            yield ledger


def _policy_with(policy: Policy, witnesses: list[OutsideWitness]) -> str:
    """The installation's own policy, and all of the witnesses as a further condition."""
    kept = [line for line in policy.format().splitlines() if not line.startswith("quorum")]
    kept += [f"witness {witness.name} {witness.vkey} {witness.url}" for witness in witnesses]
    names = " ".join([policy.witnesses[0].name, *(witness.name for witness in witnesses)])
    kept += [f"group everybody all {names}", "quorum everybody"]
    return "".join(f"{line}\n" for line in kept)


def _wait_until_ready(running: Serve) -> None:
    until(running.is_ready)


def _grow(ledger: OutsideLedger, operator: Signer) -> None:
    registrar = Registrar(ledger.api, now(), os.urandom)
    brand = Signer(ledger.origin, "https://brand.example", PrivateKey.generate())
    registrar.register(brand, {"en": "Brand"})
    registrar.accredit(operator, brand.party, "brand")
    serial = 0
    for number, count in enumerate(BATCHES):
        serials = [str(serial + i) for i in range(count)]
        # Some subjects of the batch before once more, so that chains and deltas have a past.
        again = [str(i) for i in range(max(0, serial - 3), serial)] + (["0"] if number else [])
        document = observed(*serials, *again)
        for event in document["epcisBody"]["eventList"][:1]:
            event |= {"action": "ADD", "ilmd": {"cbvmda:lotNumber": "L7"}}
            event["bizStep"] = "commissioning"
        _upload(ledger, brand, document)
        serial += count
        ledger.checkpoints.append(ledger.api.fetch("/log/checkpoint"))


def _upload(ledger: OutsideLedger, signer: Signer, document: dict[str, Any]) -> None:
    events = prepare(document, random=os.urandom)
    for batch in seal_events(events, signer, now=now(), random=os.urandom):
        posted = ledger.api.post_batch(batch.lines, wait=True)
        assert posted.published, "the witnesses of others have cosigned it"


def _fetch(ledger: OutsideLedger, tiles: Path) -> None:
    """Everything over HTTP; the directory only says which names there are."""
    names = [
        file.relative_to(tiles).as_posix()
        for top in ("tile", "map")
        for file in sorted((tiles / top).rglob("*"))
        if file.is_file() and not file.name.startswith(".")
    ]
    for name in ["checkpoint", *names]:
        ledger.files[name] = ledger.api.fetch(f"/log/{name}")
    for serial in ("0", "1", "44", "300", "303"):
        ledger.passports[f"item-{serial}"] = ledger.api.passport(item(serial))
    for name, uri in (("operator", f"https://{ledger.origin}"), ("brand", "https://brand.example")):
        ledger.passports[name] = ledger.api.passport(uri)
    for serial in ("0", "44", "303"):
        subject = json.loads(ledger.passports[f"item-{serial}"])["subjects"][0]
        for link in subject["links"][:2]:
            event = decode_base64(link["event"], 32).hex()
            address = f"/api/v1/subjects/{quote(subject['uri'], safe='')}/events/{event}/receipt"
            name = f"item-{serial}-{link['seq']}"
            ledger.receipts[name] = ledger.api.fetch(f"{address}?format=tlog-proof")


def _write_mirror(ledger: OutsideLedger) -> None:
    wanted = {path: ledger.bytes_of(path) for path in ledger.paths}
    wanted["keys.txt"] = "".join(f"{key}\n" for key in ledger.keys).encode()
    wanted["log.vkey"] = f"{ledger.keys[0]}\n".encode()
    wanted["policy.txt"] = ledger.api.policy().encode()
    wanted["proofs.json"] = json.dumps(proofs(ledger)).encode()
    for path, data in wanted.items():
        file = ledger.mirror / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)


def proofs(ledger: OutsideLedger) -> dict[str, list[dict[str, Any]]]:
    """Inclusion at several sizes, consistency of all pairs of checkpoints, the passports' map."""
    seen = [read_checkpoint(note) for note in ledger.checkpoints]
    found: dict[str, list[dict[str, Any]]] = {"Inclusion": [], "Consistency": [], "Map": []}
    tiles = TileHashReader(ledger.files.__getitem__, ledger.checkpoint.size)
    for state in seen:
        for index in {0, 1, state.size // 2, state.size - 2, state.size - 1} | _every(
            ledger, state
        ):
            path = prove_inclusion(index, state.size, tiles)
            found["Inclusion"].append(
                {
                    "Index": index,
                    "Size": state.size,
                    "Root": encode_base64(state.root),
                    "Path": [encode_base64(value) for value in path],
                }
            )
    for i, old in enumerate(seen):
        for new in seen[i:]:
            address = f"/api/v1/log/consistency?from={old.size}&to={new.size}"
            found["Consistency"].append(
                {
                    "Old": old.size,
                    "New": new.size,
                    "OldRoot": encode_base64(old.root),
                    "NewRoot": encode_base64(new.root),
                    "Path": json.loads(ledger.api.fetch(address))["proof"],
                }
            )
    for passport in ledger.passports.values():
        found["Map"] += _map_proofs(json.loads(passport))
    return found


def _every(ledger: OutsideLedger, state: Checkpoint) -> set[int]:
    """At the last size, every entry."""
    return set(range(state.size)) if state.size == ledger.checkpoint.size else set()


def _map_proofs(passport: dict[str, Any]) -> list[dict[str, str]]:
    root = parse_map_head(passport["mapHead"]["entry"]).root
    found = []
    for subject in passport["subjects"]:
        value = subject.get("value")
        parts = b""
        if value is not None:
            head, own = decode_base64(value["head"], 32), decode_base64(value["root"], 32)
            parts = map_value(value["count"], head, own, value["index"])
        found.append(
            {
                "Root": encode_base64(root),
                "Key": encode_base64(subject_key(subject["uri"])),
                "Value": encode_base64(parts),
                "Proof": subject["map"] if value is not None else subject["absence"],
            }
        )
    return found


class LyingServer:
    """The mirror over HTTP at `url`, with one bit of one file flipped where `flip` is set."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.flip: Flip | None = None
        liar = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                path = self.path.removeprefix("/log/")
                data = files.get(path)
                if data is not None and liar.flip is not None and liar.flip.path == path:
                    data = liar.flip.apply(data)
                self.send_response(404 if data is None else 200)
                self.send_header("Content-Length", str(len(data or b"")))
                self.end_headers()
                self.wfile.write(data or b"")

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing."""

        class Server(ThreadingHTTPServer):
            def handle_error(self, request: Any, client_address: Any) -> None:
                """A reader that saw enough hangs up."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/log/"

    def close(self) -> None:
        """Stops serving."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def is_current(path: str, size: int) -> bool:
    """Does a log of `size` entries imply this tile or bundle, or is it an older partial one?"""
    address = parse_path(path)
    there = (size >> (8 * (address.level or 0))) - address.index * TILE_WIDTH
    return address.width == min(there, TILE_WIDTH)
