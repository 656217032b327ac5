"""The auditor against a running platform: nothing to find on an honest one, every lie by its name.

The log is real (HTTP, capture, sequencer); lies are told by `tests.support.forged_log`, either in a
served file or, with the log's own keys, in what the log signs.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from merkle.checkpoint import Checkpoint, parse_checkpoint
from merkle.hashing import leaf_hash
from merkle.note import parse_note, sign_note
from merkle.policy import Policy
from merkle.tiles import TileHashReader, addresses_for, decode_bundle, entries_path
from merkle.tree import root_at
from merkle.witness import checkpoint_path
from provenance.client.log_reader import LogReader
from provenance.crypto.signing import Cosigner, NoteSigner, PrivateKey
from provenance.domain import canonical
from provenance.domain.chain import Link, decode_link, subject_key
from provenance.domain.delta import delta_path
from provenance.domain.fork import ForkEvidence, parse_fork
from provenance.domain.ledger import MapHead, decode_entry
from provenance.domain.log_source import LogFileMissingError, LogUnreachableError
from provenance.domain.seal_line import decode_seal_line
from provenance.services.auditing import AuditError, Auditor, AuditReport, choose_policy
from provenance.services.auditing_seals import WITHOUT_LINK
from provenance.services.auditing_tree import Source
from provenance.storage.audit_state import AuditDirectory, AuditStateError
from provenance.storage.tables import uploads
from provenance.storage.tiles import DirectoryTileStore, read_tile
from provenance.verify.forks import verify_fork
from tests.support.builders import Actor, item_event, item_uri
from tests.support.forged_log import Altered, ForgedLog, flipped, gone
from tests.support.served import Served, now, serving

OWN = "links with own proofs, not checked"


@dataclass
class Told:
    """A platform with a history of every kind of thing, and its entries."""

    served: Served
    entries: list[bytes]
    early: Path
    """An audit of the log as it was some batches ago."""

    @property
    def size(self) -> int:
        return len(self.entries)

    def heads(self) -> list[int]:
        return [i for i, entry in enumerate(self.entries) if not entry.startswith(b"{")]

    def links_of(self, uri: str) -> list[int]:
        key = subject_key(uri)
        found = [(i, decode_entry(entry)) for i, entry in enumerate(self.entries)]
        return [i for i, entry in found if isinstance(entry, Link) and entry.key == key]


def wait_for(served: Served) -> int:
    """The size once everything accepted is published."""
    waiting = select(func.count()).where(uploads.c.entries.is_not(None))
    while True:
        with served.platform.database.read() as connection:
            if connection.scalar(waiting) == 0:
                return int(served.api().log()["size"])
        time.sleep(0.02)


def read_entries(served: Served) -> list[bytes]:
    size = wait_for(served)
    reader = LogReader(served.url)
    return [
        entry
        for start in range(0, size, 256)
        for entry in decode_bundle(
            reader.read("log/" + entries_path(start // 256, min(256, size - start)), 2**25),
            min(256, size - start),
        )
    ]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """About 700 entries: registration, roles, a key changed, own proofs, a party without a role."""
    root = tmp_path_factory.mktemp("told")
    with serving(root / "platform") as served:
        brand = served.party("brand")
        actor = Actor(brand.party, brand.key, served.origin)
        capture = served.platform.capture
        capture.submit_batch(actor.sealed([item_event(n) for n in range(100)]))
        wait_for(served)
        early = root / "early"
        assert audit(early, LogReader(served.url)).is_good
        capture.submit_batch(actor.sealed([item_event(n, n + 1) for n in range(250)]))
        capture.submit_event(actor.signed(item_event(7)))
        served.party("nobody", role=None)
        wait_for(served)
        second = PrivateKey.generate()
        served.registrar().rotate_key(brand, second)
        changed = Actor(brand.party, second, served.origin)
        capture.submit_batch(changed.sealed([item_event(n) for n in range(600, 640)]))
        yield Told(served, read_entries(served), early)


def audit(
    directory: Path,
    source: Source,
    *,
    mirrors: Sequence[Source] = (),
    policy: bytes | None = None,
) -> AuditReport:
    """One run over a directory."""
    opened = AuditDirectory(directory)
    try:
        chosen = choose_policy(opened, policy, source)
        return Auditor(opened, source, chosen.policy, now, mirrors=mirrors).run()
    finally:
        opened.close()


def names(report: AuditReport) -> set[tuple[str, str]]:
    """(what, where) of every difference."""
    return {found[:2] for found in (*report.kept, *report.passing)}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def continued(told: Told, tmp_path: Path) -> Path:
    """A directory that has seen the log's beginning."""
    shutil.copytree(told.early, tmp_path / "continued")
    return tmp_path / "continued"


# --- an honest log --------------------------------------------------------------------------------


def test_an_honest_log_has_no_difference(told: Told, state: Path) -> None:
    report = audit(state, LogReader(told.served.url))
    assert report.is_good, report
    assert report.exit_status == 0
    assert (report.size, report.sealed, report.published) == (told.size,) * 3
    heads = told.heads()
    own = report.counts[OWN]
    assert own == 1
    assert report.counts["map heads"] == report.counts["map deltas"] == len(heads)
    assert report.counts["links"] == told.size - len(heads)
    assert report.counts["sealed links"] == told.size - len(heads) - own
    assert report.counts["entry bundles"] == 3
    assert report.counts["tiles"] == 4
    assert report.counts["passports of parties"] == 3
    assert report.counts["checkpoints seen elsewhere"] == 1
    assert report.ignored == 0


def test_the_directory_is_a_mirror_that_others_can_read(told: Told, state: Path) -> None:
    audit(state, LogReader(told.served.url))
    store = DirectoryTileStore(state / "log")
    note = store.read_checkpoint()
    assert note is not None
    checkpoint = parse_checkpoint(parse_note(note).text)
    assert checkpoint.size == told.size
    reader = TileHashReader(lambda path: read_tile(store, path), told.size)
    assert root_at(told.size, reader) == checkpoint.root
    real = LogReader(told.served.url)
    for address in addresses_for(0, told.size):
        assert store.read(address.path()) == real.read(f"log/{address.path()}", 2**25)
    for head in told.heads():
        path = delta_path(head)
        assert store.read(path) == real.read(f"log/{path}", 2**25)
    expected = {a.path() for a in addresses_for(0, told.size)} | set(map(delta_path, told.heads()))
    assert set(store.paths()) == expected


def test_a_second_run_asks_for_little_and_finds_the_same(told: Told, state: Path) -> None:
    first = audit(state, LogReader(told.served.url))
    source = Altered(LogReader(told.served.url))
    second = audit(state, source)
    assert second.counts == first.counts
    assert source.asked == ["log/checkpoint", "api/v1/log/forks"]


def test_it_goes_on_where_it_was(told: Told, continued: Path, state: Path) -> None:
    source = Altered(LogReader(told.served.url))
    report = audit(continued, source)
    assert report.is_good, report
    whole = audit(state, LogReader(told.served.url))
    assert report.size == whole.size
    for what in ("entries", "links", "map heads", "map deltas", "seals", "sealed links", OWN):
        assert report.counts[what] == whole.counts[what], what
    assert f"log/{delta_path(0)}" not in source.asked
    assert set(DirectoryTileStore(continued / "log").paths()) >= set(
        DirectoryTileStore(state / "log").paths()
    )


class Stopped(BaseException):
    """As a kill between two files: nothing catches it."""


@dataclass
class Stopping:
    """A source that ends everything at one of its reads."""

    real: Source
    at: int

    @property
    def url(self) -> str:
        return self.real.url

    def read(self, path: str, most: int) -> bytes:
        self.at -= 1
        if self.at < 0:
            raise Stopped
        return self.real.read(path, most)


def rows(directory: Path) -> list[Any]:
    """What the database says, but for counts of work that was done twice."""
    connection = sqlite3.connect(directory / "audit.sqlite")
    try:
        subjects = connection.execute("SELECT * FROM subjects ORDER BY key").fetchall()
        place = connection.execute("SELECT size, head, ignored, sealed FROM place").fetchall()
        return [subjects, place]
    finally:
        connection.close()


def test_stopped_at_any_file_it_ends_where_it_would_have(
    told: Told, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provenance.services.auditing_entries._COMMIT_ENTRIES", 100)
    monkeypatch.setattr("provenance.services.auditing_seals.PAGE", 3)
    source = Altered(LogReader(told.served.url))
    whole = audit(state, source)
    assert whole.is_good
    for at in range(1, len(source.asked)):
        directory = tmp_path / str(at)
        with pytest.raises(Stopped):
            audit(directory, Stopping(LogReader(told.served.url), at))
        report = audit(directory, LogReader(told.served.url))
        assert report.is_good, (at, report)
        assert rows(directory) == rows(state), at
        assert set(DirectoryTileStore(directory / "log").paths()) == set(
            DirectoryTileStore(state / "log").paths()
        )
        for what in ("entries", "links", "map heads", "sealed links"):
            assert report.counts[what] == whole.counts[what], (at, what)


# --- lies in served files -------------------------------------------------------------------------


def last_bundle(told: Told) -> str:
    return entries_path(told.size // 256, told.size % 256)


def lies_in_files(told: Told) -> dict[str, tuple[str, Callable[[bytes], Any], tuple[str, str]]]:
    """name -> (path, change, (what, where) of the difference)."""
    edge = told.size % 256
    tile = f"tile/0/{told.size // 256:03d}.p/{edge}"
    last = told.heads()[-1]
    entry = len(told.entries[0])
    return {
        "entry": (
            "tile/entries/000",
            flipped(2 + entry + 2 + 20),
            ("leaf hash of entry 1", "tile/entries/000"),
        ),
        "entry in the last bundle": (
            last_bundle(told),
            flipped(2 + 30),
            (f"leaf hash of entry {told.size - edge}", last_bundle(told)),
        ),
        "framing": (
            "tile/entries/001",
            lambda data: data + b"\0",
            ("framing", "tile/entries/001"),
        ),
        "bundle missing": ("tile/entries/001", gone, ("entry bundle", "tile/entries/001")),
        "tile": ("tile/0/001", flipped(32 * 5), ("hash 5", "tile/0/001")),
        "tile missing": ("tile/0/000", gone, ("tile", "tile/0/000")),
        "tile too short": ("tile/0/000", lambda data: data[32:], ("length in bytes", "tile/0/000")),
        "partial tile": (tile, flipped(32 * 3), ("hash 3", tile)),
        "partial tile above": (
            "tile/1/000.p/2",
            flipped(32),
            ("hash 1", "tile/1/000.p/2"),
        ),
        "delta": (
            delta_path(last),
            flipped(18 + 12 + 32),  # the count of its first subject
            ("map delta", delta_path(last)),
        ),
        "delta missing": (delta_path(0), gone, ("map delta", f"log/{delta_path(0)}")),
        "delta of another head": (
            delta_path(last),
            lambda data: data[:18] + bytes(8) + data[26:],
            ("map delta", delta_path(last)),
        ),
    }


@pytest.mark.parametrize("start", ["fresh", "continued"])
def test_every_lie_in_a_file_is_named(
    told: Told, continued: Path, state: Path, tmp_path: Path, start: str
) -> None:
    base = continued if start == "continued" else state
    for name, (path, change, expected) in lies_in_files(told).items():
        if start == "continued" and name in {"delta missing"}:
            continue  # read before
        directory = tmp_path / name
        if start == "continued":
            shutil.copytree(base, directory)
        source = Altered(LogReader(told.served.url), {f"log/{path}": change})
        report = audit(directory, source)
        assert report.exit_status == 1, name
        assert expected in names(report), (name, report)
        assert not report.kept, name  # the log did not sign it
        assert not report.forks, name
        again = audit(directory, LogReader(told.served.url))
        assert again.is_good, name
        assert (again.size, again.sealed) == (told.size, told.size), name


def test_any_flipped_bit_of_the_checkpoint_is_refused(told: Told, state: Path) -> None:
    note = LogReader(told.served.url).read("log/checkpoint", 2**16)
    spare = names_and_ids(note, told.served.origin)
    assert len(spare) < 150
    for place in sorted({*range(0, len(note), 7)} - spare):
        source = Altered(LogReader(told.served.url), {"log/checkpoint": flipped(place)})
        report = audit(state, source)
        assert report.exit_status == 1
        assert names(report) & {("checkpoint", "log/checkpoint"), ("origin", "log/checkpoint")}, (
            place
        )
        assert report.size == 0


def names_and_ids(note: bytes, origin: str) -> set[int]:
    """Where an altered byte makes one of the log's two lines a stranger's, which is passed over:
    the other line is enough (docs/formats.md section 10)."""
    places: set[int] = set()
    start = note.index(b"\n\n") + 2
    for line in note[start:].splitlines(keepends=True):
        name_end = line.index(b" ", 4) + 1
        if line[4 : name_end - 1] == origin.encode():
            places |= {*range(start, start + name_end + 6)}
        start += len(line)
    return places


def test_where_a_partial_file_is_gone_the_full_one_is_read(told: Told, state: Path) -> None:
    """As the C2SP text says: a log that has grown meanwhile has discarded the partial ones."""
    head = next(head for head in told.heads() if head > 100)
    forged = ForgedLog.copy(told.served, told.entries[: head + 1])
    longer = ForgedLog.copy(told.served, told.entries)
    partial = [a.path() for a in addresses_for(0, head + 1) if not a.is_full]
    assert partial == [f"tile/entries/000.p/{head + 1}", f"tile/0/000.p/{head + 1}"]
    source = Altered(longer, {"log/checkpoint": lambda _: forged.note()})
    source.changes |= {f"log/{path}": gone for path in partial}
    report = audit(state, source)
    assert report.size == head + 1
    assert {"log/tile/entries/000", "log/tile/0/000"} <= set(source.asked)
    assert report.is_good, report
    assert DirectoryTileStore(state / "log").read(partial[1]) == longer.read(f"log/{partial[1]}", 0)


# --- lies in the list of seals and in passports ---------------------------------------------------


def relined(change: Callable[[list[dict[str, Any]]], Any]) -> Callable[[bytes], bytes]:
    """The list of seals with its lines changed."""

    def altered(data: bytes) -> bytes:
        lines = [json.loads(line) for line in data.splitlines()]
        changed = change(lines) if lines else lines
        lines = lines if changed is None else changed
        return b"".join(canonical.encode(line) + b"\n" for line in lines)

    return altered


def set_member(place: int, **members: Any) -> Callable[[list[dict[str, Any]]], None]:
    def change(lines: list[dict[str, Any]]) -> None:
        lines[place].update(members)

    return change


def withheld(lines: list[dict[str, Any]]) -> None:
    lines[3].update(seal=None, leaves=None)


def resigned(lines: list[dict[str, Any]]) -> None:
    lines[3]["seal"]["proof"]["created"] = "2020-01-01T00:00:00Z"


def other_leaf(lines: list[dict[str, Any]]) -> None:
    lines[3]["leaves"] = b64encode(bytes(32) * lines[3]["seal"]["size"]).decode()


def fewer_leaves(lines: list[dict[str, Any]]) -> None:
    lines[3]["leaves"] = b64encode(bytes(32)).decode()


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (relined(withheld), "seal"),
        (relined(resigned), "hash"),
        (relined(other_leaf), "root over its leaves"),
        (relined(fewer_leaves), "number of leaves"),
        (relined(lambda lines: lines[:3] + lines[4:]), "seal"),
        (relined(lambda lines: lines[:-1]), "seal"),
        (relined(lambda lines: [lines[1], lines[0], *lines[2:]]), "order"),
        (relined(set_member(3, links=10**9)), "number of links"),
        (relined(set_member(3, links=101)), "kind"),
        (relined(set_member(3, more=1)), "list of seals"),
        (lambda data: data[:-1], "list of seals"),
        (lambda _: b"x\n" * 300, "list of seals"),
        (gone, "list of seals"),
    ],
)
def test_a_list_of_seals_that_lies_is_named(
    told: Told, state: Path, change: Callable[[bytes], Any], what: str
) -> None:
    source = Altered(LogReader(told.served.url), {"api/v1/seals": change})
    report = audit(state, source)
    assert report.exit_status == 1
    assert what in {found[0] for found in report.passing}, report
    assert not report.kept
    assert report.size == told.size  # the entries themselves are right
    assert report.sealed < told.size
    again = audit(state, LogReader(told.served.url))
    assert again.is_good, again
    assert again.sealed == told.size


def test_a_passport_that_does_not_verify_is_named(told: Told, state: Path) -> None:
    path = "api/v1/subjects/https%3A%2F%2Fbrand.example/passport"

    def without_last_event(data: bytes) -> bytes:
        bundle = canonical.parse(data, max_bytes=2**24, max_depth=40)
        bundle["subjects"][0]["links"].pop()
        return canonical.encode(bundle)

    other = LogReader(told.served.url).read(
        "api/v1/subjects/https%3A%2F%2Fnobody.example/passport", 2**24
    )
    for change, what in (
        (without_last_event, "verdict"),
        (lambda _: other, "subject"),
        (lambda _: b"{}", "verdict"),
        (gone, "passport"),
    ):
        report = audit(state, Altered(LogReader(told.served.url), {path: change}))
        assert what in {found[0] for found in report.passing}, what
        assert report.exit_status == 1
    assert audit(state, LogReader(told.served.url)).is_good


# --- lies that the log signed ---------------------------------------------------------------------


def test_a_log_of_ones_own_with_the_same_entries_is_the_same_log(told: Told, state: Path) -> None:
    """The double itself tells no lie of its own."""
    forged = ForgedLog.copy(told.served, told.entries)
    report = audit(state, forged)
    assert report.is_good, report
    assert report.size == told.size


@pytest.mark.parametrize(
    ("lie", "what"),
    [
        ({"root": bytes(32)}, "map root"),
        ({"subjects": 5}, "number of subjects"),
        ({"ignored": 1}, "number of ignored links"),
        ({"previous": 1}, "map head before it"),
        ({"previous": None}, "map head before it"),
        ({"index": 3}, "own index"),
    ],
)
@pytest.mark.parametrize("place", [2, -1])
def test_a_map_head_that_lies_is_kept(
    told: Told, state: Path, lie: dict[str, Any], what: str, place: int
) -> None:
    index = told.heads()[place]
    forged = ForgedLog.copy(told.served, told.entries, lies={index: lie})
    report = audit(state, forged)
    assert {found[:2] for found in report.kept} >= {(what, f"map head at log entry {index}")}
    # The passports come from the true log, so that the fork is seen as well; nothing else is.
    assert [found[0] for found in report.kept if found[0] != "fork"] == [what]
    again = audit(state, forged)  # the place is past it, the difference is not
    assert set(again.kept) == set(report.kept)
    assert again.exit_status == 1
    assert report.size == told.size


def test_a_link_that_continues_nothing_is_kept_and_counted(told: Told, state: Path) -> None:
    index = told.links_of(item_uri(7))[-1]
    link = decode_link(told.entries[index])
    for change in (replace(link, prev=bytes(32)), replace(link, seq=link.seq + 1)):
        forged = ForgedLog.copy(told.served, told.entries, {index: change.encode()})
        report = audit(state / str(change.seq), forged)
        assert ("link", f"log entry {index}") in {found[:2] for found in report.kept}
        assert report.ignored == 1
        assert report.counts["map heads"] == len(told.heads())  # which count it as ignored


def test_ledger_time_that_falls_is_kept(told: Told, state: Path) -> None:
    index = told.links_of(item_uri(7))[-1]
    link = decode_link(told.entries[index])
    changed = replace(link, time=link.time - 10_000_000).encode()
    report = audit(state, ForgedLog.copy(told.served, told.entries, {index: changed}))
    assert ("ledger time", f"log entry {index}") in {found[:2] for found in report.kept}
    assert report.ignored == 0


def test_an_entry_that_is_neither_link_nor_map_head_is_kept(told: Told, state: Path) -> None:
    entries = [*told.entries[: told.heads()[3]]]
    for data in (b"hello", b"{}", told.entries[1].replace(b'"v":1', b'"v":2')):
        forged = ForgedLog.copy(told.served, entries)
        forged.add(data)
        forged.close()
        report = audit(state / data.hex()[:8], forged)
        assert ("kind", f"log entry {len(entries)}") in {found[:2] for found in report.kept}
        assert report.counts["other entries"] == 1


def test_a_log_that_ends_without_a_map_head_is_kept(told: Told, state: Path) -> None:
    end = told.heads()[-1]
    forged = ForgedLog.copy(told.served, told.entries[:end])
    report = audit(state, forged)
    assert ("kind", f"log entry {end - 1}") in {found[:2] for found in report.kept}


def sealed_line(told: Told, index: int) -> dict[str, Any]:
    """The line of the list of seals that covers a log entry."""
    for line in LogReader(told.served.url).read("api/v1/seals?limit=1000", 2**25).splitlines():
        found = decode_seal_line(line)
        if found.index <= index < found.index + found.links:
            return dict(json.loads(line))
    raise AssertionError(index)


def test_a_key_that_was_revoked_by_then_is_kept(told: Told, state: Path) -> None:
    """The log links what the brand sealed with its first key after that key was revoked."""
    brand = "https://brand.example"
    revoked = decode_link(told.entries[told.links_of(brand)[-1]]).time
    index = told.links_of(item_uri(250))[-1]
    link = decode_link(told.entries[index])
    line = sealed_line(told, index)
    for later, code in ((revoked + 1, "key-revoked"), (revoked, None)):
        changed = replace(link, time=later).encode()
        forged = ForgedLog.copy(told.served, told.entries, {index: changed})
        report = audit(state / str(later), forged)
        found = [f for f in report.kept if f[0] == "key"]
        assert bool(found) == (code is not None)
        for what in found:
            assert what[1].startswith(f"seal of log entries {line['index']} to ")
            assert what[3].startswith("key-revoked: ")


def test_a_key_that_was_not_added_yet_is_kept(told: Told, state: Path) -> None:
    index = told.links_of(item_uri(600))[-1]
    link = decode_link(told.entries[index])
    changed = replace(link, time=link.time - 1_000_000).encode()
    report = audit(state, ForgedLog.copy(told.served, told.entries, {index: changed}))
    (found,) = [f for f in report.kept if f[0] == "key"]
    assert found[3].startswith("key-not-yet-valid: ")
    assert "role" in {f[0] for f in report.kept}  # nor was the party accredited by then


def test_a_party_without_a_role_seals_for_itself_only(told: Told, state: Path) -> None:
    """Its own registration is right; the same seal on another subject's chain is not."""
    index = told.links_of("https://nobody.example")[0]
    link = decode_link(told.entries[index])
    changed = replace(link, key=subject_key("urn:example:other")).encode()
    forged = ForgedLog.copy(told.served, told.entries, {index: changed})
    source = Altered(forged)
    report = audit(state, source)
    # With the link moved away, its party has no history either, which is the first to be seen.
    assert "signer" in {f[0] for f in report.kept}


def test_a_seal_with_a_bad_signature_is_kept(told: Told, state: Path) -> None:
    """The log names the seal by its hash, so that it is the log's lie and not the server's."""
    index = told.links_of(item_uri(639))[-1]
    line = sealed_line(told, index)
    seal = line["seal"]
    value = canonical.parse(canonical.encode(seal))
    value["nonce"] = b64encode(bytes(16)).decode()
    data = canonical.encode(value)
    changes = {
        place: replace(decode_link(told.entries[place]), seal=leaf_hash(data)).encode()
        for place in range(line["index"], line["index"] + line["links"])
    }

    def exchange(lines: list[dict[str, Any]]) -> None:
        for one in lines:
            if one["index"] == line["index"]:
                one["seal"] = value

    forged = ForgedLog.copy(told.served, told.entries, changes)
    report = audit(state, Altered(forged, {"api/v1/seals": relined(exchange)}))
    (found,) = [f for f in report.kept if f[0] == "signature"]
    assert found[1].startswith(f"seal of log entries {line['index']} to ")


def test_an_event_that_its_seal_does_not_cover_is_kept(told: Told, state: Path) -> None:
    index = told.links_of(item_uri(600))[-1]
    link = decode_link(told.entries[index])
    changed = replace(link, event=bytes(32)).encode()
    report = audit(state, ForgedLog.copy(told.served, told.entries, {index: changed}))
    assert ("event", f"log entry {index}") in {found[:2] for found in report.kept}


def test_a_sealed_event_that_has_no_link_is_counted(told: Told, state: Path) -> None:
    """Left out, or there before under another seal: from outside the two look the same."""
    forged = ForgedLog.copy(told.served, [*told.entries[:-2], told.entries[-1]])

    def fewer(lines: list[dict[str, Any]]) -> None:
        for line in lines:
            if line["index"] + line["links"] == told.size - 1:
                line["links"] -= 1

    report = audit(state, Altered(forged, {"api/v1/seals": relined(fewer)}))
    assert report.counts[WITHOUT_LINK] == 1
    assert WITHOUT_LINK not in audit(state / "honest", LogReader(told.served.url)).counts


# --- checkpoints that cannot be -------------------------------------------------------------------


def forked(told: Told, size: int) -> ForgedLog:
    """Another history from the second batch on, of `size` entries or one more."""
    heads = told.heads()
    start = heads[1] + 1
    forged = ForgedLog.copy(told.served, told.entries[:start])
    number = 0
    while len(forged.entries) < size:
        key = subject_key(f"urn:example:{number}")
        forged.add(Link(key, 0, None, bytes(32), bytes(32), 0).encode())
        number += 1
        if len(forged.entries) == size - 1:
            forged.close()
    return forged


@pytest.mark.parametrize("size", ["smaller", "same", "larger"])
def test_a_fork_becomes_evidence_that_anybody_can_check(
    told: Told, continued: Path, size: str
) -> None:
    """The checkpoint held, and one that the same key signed over another history."""
    held = parse_checkpoint(parse_note((continued / "log/checkpoint").read_bytes()).text)
    other = forked(told, {"smaller": held.size - 5, "same": held.size, "larger": 600}[size])
    report = audit(continued, other)
    assert report.exit_status == 1
    assert "fork" in {found[0] for found in report.kept}
    (path,) = report.forks
    evidence = parse_fork(path.read_bytes())
    assert path.stem == evidence.hash.hex()
    verify_fork(evidence, Policy.parse((continued / "policy.txt").read_bytes()))
    assert report.size == held.size  # the other branch is not followed
    again = audit(continued, LogReader(told.served.url))
    assert again.size == told.size
    assert again.exit_status == 1  # a fork is never forgotten
    assert again.forks == report.forks


def test_a_fork_between_two_looks_of_an_unfinished_audit(
    told: Told, continued: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was accepted counts, though its entries were not all taken yet."""
    source = Altered(LogReader(told.served.url), {"log/tile/entries/001": gone})
    unfinished = audit(continued, source)
    assert unfinished.published == told.size
    assert unfinished.size < told.size
    report = audit(continued, forked(told, told.size + 5))
    assert len(report.forks) == 1
    smaller = audit(continued, forked(told, told.size - 5))
    assert ("size", "log/checkpoint") in names(smaller)


def test_a_checkpoint_that_goes_back_is_no_fork_and_a_difference(told: Told, state: Path) -> None:
    audit(state, LogReader(told.served.url))
    old = ForgedLog.copy(told.served, told.entries[: told.heads()[2] + 1])
    report = audit(state, old)
    assert names(report) == {("size", "log/checkpoint")}
    assert not report.forks
    assert not report.kept
    assert report.size == told.size


def test_another_origin_is_refused(told: Told, state: Path) -> None:
    forged = ForgedLog.copy(told.served, told.entries)
    note = forged.note(origin="log.example.org/other")
    report = audit(state, Altered(forged, {"log/checkpoint": lambda _: note}))
    assert names(report) == {("checkpoint", "log/checkpoint")}
    assert "log-unknown" in report.passing[0][3]
    # A policy that knows both logs does not make one log of them.
    audit(state, forged)
    other = PrivateKey.generate()
    signer = NoteSigner("log.example.org/other", other)
    both = (state / "policy.txt").read_text() + f"log {signer.vkey.format()}\n"
    lines = sorted(both.splitlines(), key=lambda line: not line.startswith("log "))
    policy = ("\n".join(lines) + "\n").encode()
    text = parse_note(note).text
    signed = parse_note(sign_note(text, [signer]))
    clock = [s for s in parse_note(note).signatures if s.name.endswith("/clock")]
    second = signed.with_signatures(clock).format()
    source = Altered(forged, {"log/checkpoint": lambda _: second})
    report = audit(state, source, policy=policy)
    assert names(report) == {("origin", "log/checkpoint")}


def test_a_checkpoint_without_quorum_of_another_time_or_too_old(told: Told, state: Path) -> None:
    forged = ForgedLog.copy(told.served, told.entries)
    bare = sign_note(
        parse_note(forged.note()).text,
        [NoteSigner(told.served.origin, told.served.platform.keys.log)],
    )
    report = audit(state, Altered(forged, {"log/checkpoint": lambda _: bare}))
    assert "quorum-missing" in report.passing[0][3]
    for seconds, code in ((now() - 90_000, "checkpoint-stale"), (now() + 400, "checkpoint-future")):
        note = forged.note(seconds=seconds)
        report = audit(state, Altered(forged, {"log/checkpoint": lambda _, n=note: n}))  # type: ignore[misc]
        assert names(report) == {("time", "log/checkpoint")}
        assert code in report.passing[0][3]
        assert report.size == told.size  # which is no reason not to look further


# --- elsewhere ------------------------------------------------------------------------------------


@dataclass
class Mirror:
    """Another place that shows a checkpoint."""

    note: bytes
    path: str = "checkpoint"
    url: str = "http://mirror.example"

    def read(self, path: str, most: int) -> bytes:
        if path != self.path:
            raise LogFileMissingError(path)
        return self.note


def test_mirrors_that_agree_and_mirrors_that_do_not(told: Told, state: Path) -> None:
    source = LogReader(told.served.url)
    older = ForgedLog.copy(told.served, told.entries[: told.heads()[2] + 1]).note()
    same = source.read("log/checkpoint", 2**16)
    witness = checkpoint_path(told.served.origin)
    agreeing: list[Source] = [
        Mirror(older),
        Mirror(same, path=witness),
        Mirror(same, path="log/checkpoint"),
    ]
    report = audit(state, source, mirrors=agreeing)
    assert report.is_good, report
    report = audit(state, source, mirrors=[Mirror(forked(told, 300).note())])
    assert ("fork", "http://mirror.example") in names(report)
    assert len(report.forks) == 1


def test_a_mirror_that_is_ahead_is_compared_when_the_log_has_come_so_far(
    told: Told, state: Path
) -> None:
    cut = told.heads()[-3] + 1
    behind = ForgedLog.copy(told.served, told.entries[:cut])
    ahead = forked(told, told.size - 3).note()
    report = audit(state, behind, mirrors=[Mirror(ahead)])
    assert not report.forks
    assert [f for f in report.kept if f[0] == "fork"] == []
    report = audit(state, ForgedLog.copy(told.served, told.entries))
    assert ("fork", "http://mirror.example") in {f[:2] for f in report.kept}
    assert len(report.forks) == 1


def test_a_mirror_with_nothing_or_nonsense_is_named(told: Told, state: Path) -> None:
    source = LogReader(told.served.url)
    report = audit(state, source, mirrors=[Mirror(b"nonsense"), Mirror(b"", path="elsewhere")])
    assert {found[1] for found in report.passing} == {"http://mirror.example"}
    assert len(report.passing) == 2
    assert report.exit_status == 1


def test_evidence_that_the_log_itself_shows_is_kept(told: Told, state: Path) -> None:
    """Found by somebody else: both states are from elsewhere, neither is held here."""
    one, other = forked(told, 200), ForgedLog.copy(told.served, told.entries[:101])
    while len(other.entries) < 200:
        other.close()
    evidence = ForkEvidence(told.served.origin, one.note().decode(), other.note().decode())
    lie = replace(evidence, second=evidence.first)
    shown = canonical.encode([lie.to_json(), {"v": 1}, 7, evidence.to_json()])
    source = Altered(LogReader(told.served.url), {"api/v1/log/forks": lambda _: shown})
    report = audit(state, source)
    assert [found[:2] for found in report.kept] == [("fork", "log/forks")]
    (path,) = report.forks
    assert path.read_bytes() == evidence.encode()
    for nothing in (b"nonsense", b"{}", b"[]"):
        changed = Altered(LogReader(told.served.url), {"api/v1/log/forks": lambda _, n=nothing: n})  # type: ignore[misc]
        assert audit(state / "other", changed).is_good


# --- outages, policies, directories ---------------------------------------------------------------


@dataclass
class Away:
    """A log that answers up to some file and then no more."""

    real: Source
    files: int

    @property
    def url(self) -> str:
        return self.real.url

    def read(self, path: str, most: int) -> bytes:
        self.files -= 1
        if self.files < 0:
            raise LogUnreachableError("nobody answers")
        return self.real.read(path, most)


def test_an_outage_is_no_difference(told: Told, state: Path) -> None:
    for files in (1, 5, 12):
        report = audit(state, Away(LogReader(told.served.url), files))
        assert report.exit_status == 2
        assert report.unreachable == "nobody answers"
        assert report.is_good
    assert audit(state, LogReader(told.served.url)).exit_status == 0


def test_the_policy_is_pinned_at_the_first_contact(told: Told, state: Path) -> None:
    source = LogReader(told.served.url)
    directory = AuditDirectory(state)
    try:
        assert choose_policy(directory, None, source).first_contact
        proposed = source.read("api/v1/policy", 2**16)
        assert directory.read_policy() == proposed
        changed = Altered(source, {"api/v1/policy": lambda _: b"log x\n"})
        assert not choose_policy(directory, None, changed).first_contact
        assert changed.asked == []
        given = b"# mine\n" + proposed
        assert not choose_policy(directory, given, source).first_contact
        assert directory.read_policy() == given
        with pytest.raises(AuditError, match="cannot be used"):
            choose_policy(directory, b"log x\n", source)
        assert directory.read_policy() == given
    finally:
        directory.close()


def test_a_log_that_proposes_no_policy_needs_one(told: Told, state: Path) -> None:
    source = Altered(LogReader(told.served.url), {"api/v1/policy": gone})
    directory = AuditDirectory(state)
    try:
        with pytest.raises(AuditError, match="give yours with --policy"):
            choose_policy(directory, None, source)
    finally:
        directory.close()


def test_a_directory_belongs_to_one_log_and_one_process(told: Told, state: Path) -> None:
    audit(state, LogReader(told.served.url))
    other = NoteSigner("log.example.org/other", PrivateKey.generate()).vkey.format()
    with pytest.raises(AuditError, match="another --state directory"):
        audit(state, LogReader(told.served.url), policy=f"log {other}\nquorum none\n".encode())
    assert audit(state, LogReader(told.served.url)).is_good  # it was not pinned
    directory = AuditDirectory(state)
    try:
        with pytest.raises(AuditStateError, match="another audit works in"):
            AuditDirectory(state)
    finally:
        directory.close()


@pytest.mark.parametrize("kind", ["entries", "0"])
@pytest.mark.parametrize("change", [flipped(40), None])
def test_damage_of_ones_own_directory_accuses_nobody(
    told: Told, state: Path, kind: str, change: Callable[[bytes], bytes] | None
) -> None:
    source = LogReader(told.served.url)
    audit(state, Altered(source, {"api/v1/seals": gone}))
    path = state / f"log/tile/{kind}/001"
    path.unlink() if change is None else path.write_bytes(change(path.read_bytes()))
    with pytest.raises(AuditStateError, match="another --state directory"):
        audit(state, source)


def test_a_damaged_map_accuses_nobody(told: Told, continued: Path) -> None:
    connection = sqlite3.connect(continued / "audit.sqlite")
    with connection:
        connection.execute(
            "UPDATE pages SET hash = zeroblob(32) WHERE id = (SELECT max(id) FROM pages)"
        )
    connection.close()
    with pytest.raises(AuditStateError, match="the audit's directory is damaged"):
        audit(continued, LogReader(told.served.url))


def test_a_directory_of_another_version_is_left_alone(told: Told, continued: Path) -> None:
    connection = sqlite3.connect(continued / "audit.sqlite")
    with connection:
        connection.execute("UPDATE place SET format = 99")
    connection.close()
    with pytest.raises(AuditStateError, match=r"format 99, expected 1"):
        audit(continued, LogReader(told.served.url))


def test_an_empty_log_of_size_zero_is_looked_at(told: Told, state: Path) -> None:
    report = audit(state, ForgedLog(told.served))
    assert report.size == 0
    assert isinstance(decode_entry(told.entries[0]), MapHead)
    assert audit(state, LogReader(told.served.url)).is_good


# --- a hostile server cannot end the audit --------------------------------------------------------


def test_a_checkpoint_that_is_no_utf8_is_a_difference_and_not_kept(told: Told, state: Path) -> None:
    """Taken with its bad bytes replaced, it would be held, and no later run could read it."""
    real = LogReader(told.served.url)
    bad = b"\xe2\x80\x94 \xff AAAAAAA=\n"
    report = audit(state, Altered(real, {"log/checkpoint": lambda note: note + bad}))
    assert names(report) == {("checkpoint", "log/checkpoint")}
    assert "UTF-8" in report.passing[0][2]
    assert audit(state, real).is_good


def signed_state(told: Told, size: int, root: bytes) -> bytes:
    """A state of the log that only its own keys can sign."""
    text = Checkpoint(told.served.origin, size, root).format()
    keys = told.served.platform.keys
    note = parse_note(sign_note(text, [NoteSigner(told.served.origin, keys.log)]))
    clock = Cosigner(f"{told.served.origin}/clock", keys.clock)
    return note.with_signatures([clock.cosign(text.encode(), now())]).format()


def test_an_empty_log_with_a_root_is_kept_wherever_it_is_seen(
    told: Told, continued: Path, state: Path
) -> None:
    """No proof leads from size 0, so it is no evidence of a fork; nor is it a reason to stop."""
    real = LogReader(told.served.url)
    lie = signed_state(told, 0, bytes(32))
    wanted = ("root of no entries", "http://mirror.example")
    report = audit(state, real, mirrors=[Mirror(lie)])
    assert [found[:2] for found in report.kept] == [wanted]
    assert audit(state, real).kept == report.kept
    report = audit(continued, Altered(real, {"log/checkpoint": lambda _: lie}))
    assert ("root of no entries", "log/checkpoint") in names(report)
    empty = signed_state(told, 0, sha256(b"").digest())
    assert audit(state / "other", real, mirrors=[Mirror(empty)]).is_good


def test_a_cosigned_time_beyond_every_calendar_is_a_difference(told: Told, state: Path) -> None:
    forged = ForgedLog.copy(told.served, told.entries)
    note = forged.note(seconds=2**63 - 1)
    report = audit(state, Altered(forged, {"log/checkpoint": lambda _: note}))
    assert names(report) == {("time", "log/checkpoint")}
    assert "checkpoint-future" in report.passing[0][3]
    assert report.as_of is None
    assert report.to_json()["asOf"] is None


def test_a_seal_that_is_too_large_is_kept(told: Told, state: Path) -> None:
    """The log names it by its hash, so that it is the log's lie and not the server's."""
    index = told.links_of(item_uri(639))[-1]
    line = sealed_line(told, index)
    value = {**line["seal"], "nonce": "A" * 60_000}
    data = canonical.encode(value)
    changes = {
        place: replace(decode_link(told.entries[place]), seal=leaf_hash(data)).encode()
        for place in range(line["index"], line["index"] + line["links"])
    }

    def exchange(lines: list[dict[str, Any]]) -> None:
        for one in lines:
            if one["index"] == line["index"]:
                one["seal"] = value

    forged = ForgedLog.copy(told.served, told.entries, changes)
    report = audit(state, Altered(forged, {"api/v1/seals": relined(exchange)}))
    assert "form" in {f[0] for f in report.kept}


def test_another_logs_fork_is_not_this_logs(told: Told, state: Path) -> None:
    """Evidence against a second log of the reader's policy, shown by whoever sits in between."""
    other, key = "log.example.org/other", PrivateKey.generate()
    signer = NoteSigner(other, key)
    real = LogReader(told.served.url)
    proposed = real.read("api/v1/policy", 2**16)
    policy = f"log {signer.vkey.format()}\n".encode() + proposed
    notes = [
        sign_note(Checkpoint(other, 5, bytes([fill]) * 32).format(), [signer]).decode()
        for fill in (1, 2)
    ]
    shown = canonical.encode([ForkEvidence(other, *notes).to_json()])
    report = audit(state, Altered(real, {"api/v1/log/forks": lambda _: shown}), policy=policy)
    assert report.is_good
