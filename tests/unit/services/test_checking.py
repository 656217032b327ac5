"""`provenance fsck`: good as it is, and every altered byte or row is found where it is."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from merkle.checkpoint import Checkpoint
from merkle.note import sign_note
from merkle.tiles import encode_bundle
from provenance.domain import canonical
from provenance.domain.disclosure import conceal
from provenance.domain.party import operator_uri
from provenance.services.capture import Capture, Limits
from provenance.services.checking import FsckReport, fsck
from provenance.services.sequencing import CosigningError, QuorumError
from provenance.storage.session import Database
from provenance.storage.tiles import read_tile
from tests.support.builders import ORIGIN, World, item_event, item_uri, make_key
from tests.support.clock import START, FrozenClock
from tests.support.ledger import COSIGNER, SIGNER, Ledger

pytestmark = pytest.mark.sqlite(reason="alters copies of a file; kinds of rows are tried on both")


def build(ledger: Ledger) -> None:
    """A log of three published batches, with every kind of thing in it and something pending."""
    capture = Capture(ledger.database, ORIGIN, make_key("operator"), ledger.clock, Limits())
    world = World(capture, ledger.clock)
    sequencer = ledger.sequencer()
    sequencer.run_once()
    brand = world.party("brand")
    logistics = world.party("logistics", "logistics")
    second = make_key("brand 2")
    capture.submit_batch(brand.sealed([brand.addition(second)]))
    event = item_event(1, 2, bizStep="commissioning", action="ADD")
    hidden, texts = conceal(event, ["$.bizStep"], random.Random(1).randbytes)
    accepted = capture.submit_batch(brand.sealed([hidden, *(item_event(n) for n in range(1, 40))]))
    sequencer.run_once()
    ledger.clock.advance(1_000)
    capture.submit_event(logistics.signed(item_event(1, 7, at=ledger.clock.now)))
    capture.submit_batch(brand.with_key(second).sealed([brand.revocation(brand.key)]))
    capture.submit_batch(logistics.sealed([item_event(*range(300, 560))]))
    sequencer.run_once()
    known = item_event(2)
    for _ in range(2):  # the second time under another seal: an upload without links
        capture.submit_batch(logistics.sealed([known]))
    sequencer.run_once()
    sequencer.release()
    shown = [{"text": text, "audience": ["public"]} for text in texts]
    line = canonical.encode({"leaf": 0, "disclosures": shown})
    capture.submit_disclosures(canonical.decode_base64(accepted.receipt["seal"]), [line])
    capture.submit_batch(logistics.sealed([item_event(3)]))  # not sequenced yet


@pytest.fixture(scope="module")
def built(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That log on SQLite, in a directory to be copied."""
    directory = tmp_path_factory.mktemp("built")
    shutil.copy(migrated_sqlite, directory / "test.sqlite")
    database = Database.open(f"sqlite:///{directory / 'test.sqlite'}")
    build(Ledger(database, directory))
    database.close()
    return directory


@pytest.fixture
def ledger(built: Path, tmp_path: Path) -> Iterator[Ledger]:
    """A copy of it for each test."""
    root = tmp_path / "copy"
    shutil.copytree(built, root)
    database = Database.open(f"sqlite:///{root / 'test.sqlite'}")
    yield Ledger(database, root, FrozenClock(START + 1_000))
    database.close()


def check(ledger: Ledger, **changes: object) -> FsckReport:
    return fsck(
        ledger.database,
        ledger.tiles,
        ORIGIN,
        SIGNER.vkey,
        last_signed=ledger.last_signed,
        cosigners=[COSIGNER.vkey],
        **changes,  # type: ignore[arg-type]
    )


def test_a_good_log_is_good_and_counted(database: Database, tmp_path: Path) -> None:
    ledger = Ledger(database, tmp_path)
    build(ledger)
    seen: list[tuple[str, int, int | None]] = []
    report = check(ledger, progress=lambda *step: seen.append(step))
    assert report.difference is None
    assert report.is_good
    checked = report.checked
    assert checked["map heads"] == checked["map deltas"] == 4
    assert checked["checkpoints"] == 4
    assert checked["map pages"] > 8
    assert checked["seals"] == 12
    assert checked["own proofs"] == 1
    assert checked["parties"] == 3
    assert checked["disclosures"] == 1
    assert checked["copies of links"] == 1
    assert checked["events"] == 5 + 1 + 40 + 1 + 1 + 1 + 1 + 1
    assert checked["chained links"] == checked["links"] + 1
    assert checked["older partial files"] == 2
    assert seen[-1][0] == "disclosures"
    assert report.to_json()["good"] is True


def test_an_empty_database_is_good(database: Database, tmp_path: Path) -> None:
    assert check(Ledger(database, tmp_path)).is_good


def test_differences_are_found_on_each_database(database: Database, tmp_path: Path) -> None:
    """The rest of this file alters copies of a SQLite file; the streams are the same on both."""
    ledger = Ledger(database, tmp_path)
    build(ledger)
    for sql, where in (
        # PostgreSQL's ids do not begin at 1.
        (
            "UPDATE events SET event_time = 0 WHERE upload_id = (SELECT min(id) + 6 FROM uploads)",
            "event 0 of upload",
        ),
        (
            "UPDATE subjects SET count = count + 1 WHERE id = (SELECT min(id) + 3 FROM subjects)",
            "subject",
        ),
        ("UPDATE map_pages SET size = 1", "map page"),
        ("UPDATE map_leaves SET head_index = head_index + 1", "map leaf"),
        ("DELETE FROM links WHERE upload_id = (SELECT min(id) + 6 FROM uploads)", "log entry"),
    ):
        alter(ledger, sql)
        assert where in found(check(ledger))[1]


def test_what_is_signed_and_not_published_is_replayed(ledger: Ledger) -> None:
    def away(_: object) -> list[object]:
        raise CosigningError("no answer")

    with pytest.raises(QuorumError):
        ledger.sequencer(cosigners=[away]).run_once()  # type: ignore[list-item]
    report = check(ledger)
    assert report.difference is None
    assert report.checked["uploads signed and not yet published"] == 1
    assert report.checked["map heads"] == 5
    alter(ledger, "UPDATE log_state SET subjects = subjects + 1")
    assert found(check(ledger)) == ("subjects", "log_state")


# --- files ----------------------------------------------------------------------------------------


def test_any_flipped_bit_in_any_served_file_is_found(ledger: Ledger) -> None:
    chance = random.Random(7)
    paths = [f"log/{path}" for path in ledger.tiles.paths()]
    tried = 0
    for name in [*sorted(paths), "log/checkpoint", "keys/last-signed"]:
        file = ledger.root / name
        good = file.read_bytes()
        places = {0, len(good) - 1, *(chance.randrange(len(good)) for _ in range(3))}
        for place in places:
            bit = 1 << chance.randrange(8)
            file.write_bytes(good[:place] + bytes([good[place] ^ bit]) + good[place + 1 :])
            report = check(ledger)
            assert report.difference is not None, (name, place, bit)
            tried += 1
        file.write_bytes(good)
    assert tried >= 45
    assert check(ledger).is_good


def test_every_missing_or_shortened_file_is_found(ledger: Ledger) -> None:
    with ledger.database.read() as connection:
        size = connection.exec_driver_sql("SELECT size FROM publication").scalar_one()
    assert size == 315
    paths = [path for path in ledger.tiles.paths() if not _is_older(path, size)]
    assert len(paths) == 5 + 4  # and a map delta for each map head
    for path in paths:
        file = ledger.root / "log" / path
        good = file.read_bytes()
        file.write_bytes(good[:-1])
        assert path in str(check(ledger).difference)
        file.unlink()
        assert found(check(ledger)) == ("file", path)
        file.write_bytes(good)


def test_a_map_delta_where_no_map_head_stands_is_found(ledger: Ledger) -> None:
    ledger.tiles.write_immutable("map/delta/314", ledger.tiles.read("map/delta/314"))
    ledger.tiles.write_immutable("map/delta/x001/000", b"of a batch that is not published")
    assert check(ledger).is_good
    ledger.tiles.write_immutable("map/delta/313", b"")
    assert found(check(ledger)) == ("file", "map/delta/313")


def test_a_map_delta_is_compared_before_its_batch_is_published(ledger: Ledger) -> None:
    """A crash between the commit and the publication: no delta, or the right one."""
    sequencer = ledger.sequencer(cosigners=[])
    ledger.clock.advance(60_000)
    with pytest.raises(QuorumError):
        sequencer.run_once()
    (path,) = set(ledger.tiles.paths()) - set(check_paths(ledger))
    report = check(ledger)
    assert report.is_good
    assert report.checked["map deltas"] == 5
    file = ledger.root / "log" / path
    good = file.read_bytes()
    file.write_bytes(good + b"\0")
    assert found(check(ledger)) == (f"bytes from {len(good)}", path)
    file.unlink()
    assert check(ledger).checked["map deltas"] == 4


def test_missing_map_deltas_can_be_written_again(ledger: Ledger) -> None:
    """A log that was begun before there were deltas: told, and what is told is the right one."""
    deltas = [path for path in ledger.tiles.paths() if path.startswith("map/")]
    good = {path: ledger.tiles.read(path) for path in deltas}
    for path in deltas[1:]:
        (ledger.root / "log" / path).unlink()
    told: dict[str, bytes] = {}
    report = check(ledger, missing=told.__setitem__)
    assert report.is_good
    assert told == {path: good[path] for path in deltas[1:]}
    assert report.checked["map deltas that were missing"] == 3
    assert report.checked["map deltas"] == 1
    assert found(check(ledger))[0] == "file"
    check(ledger, missing=ledger.tiles.write_immutable)
    assert check(ledger).checked["map deltas"] == 4
    altered = ledger.root / "log" / deltas[0]
    altered.write_bytes(good[deltas[0]] + b"x")
    assert found(check(ledger, missing=told.__setitem__))[1] == deltas[0]


def check_paths(ledger: Ledger) -> list[str]:
    """All files but the newest map delta."""
    newest = max(path for path in ledger.tiles.paths() if path.startswith("map/"))
    return [path for path in ledger.tiles.paths() if path != newest]


def _is_older(path: str, size: int) -> bool:
    full, partial, width = path.partition(".p/")
    last = {"tile/0/001": size % 256, "tile/entries/001": size % 256, "tile/1/000": 1}
    return bool(partial) and int(width) != last.get(full)


def test_a_difference_is_named_exactly(ledger: Ledger) -> None:
    tile = ledger.root / "log" / "tile/0/000"
    good = tile.read_bytes()
    bad = good[:64] + bytes(32) + good[96:]
    tile.write_bytes(bad)
    difference = check(ledger).difference
    assert difference is not None
    assert (difference.what, difference.where) == ("hash 2", "tile/0/000")
    assert (difference.expected, difference.found) == (good[64:96].hex(), bytes(32).hex())
    assert str(difference).startswith("hash 2 of tile/0/000: expected ")
    tile.write_bytes(good)
    bundle = ledger.root / "log" / "tile/entries/000"
    entries = read_tile(ledger.tiles, "tile/entries/000")
    bundle.write_bytes(entries.replace(b'"seq":0', b'"seq":1', 1))
    assert found(check(ledger)) == ("bytes (database against entry bundle)", "log entry 1")
    bundle.write_bytes(encode_bundle([b"x"] * 256))
    assert found(check(ledger)) == ("kind", "log entry 0")
    bundle.write_bytes(entries)
    stray = ledger.root / "log" / "tile" / "notes.txt"
    stray.write_bytes(b"")
    assert found(check(ledger)) == ("name", "file tile/notes.txt")


# --- rows -----------------------------------------------------------------------------------------


def alter(ledger: Ledger, sql: str) -> None:
    """Change rows as somebody with the database's own rights could: guards switched off first."""
    with ledger.database.write() as connection:
        if ledger.database.dialect == "postgresql":
            for table in ("links", "events", "seals"):
                connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
        else:
            names = connection.exec_driver_sql(
                "SELECT name FROM sqlite_master WHERE type = 'trigger'"
            ).scalars()
            for name in list(names):
                connection.exec_driver_sql(f"DROP TRIGGER {name}")
        connection.exec_driver_sql(sql)


def found(report: FsckReport) -> tuple[str, str]:
    """What and where."""
    assert report.difference is not None
    return report.difference.what, report.difference.where


def flip(ledger: Ledger, table: str, column: str, position: int) -> None:
    """Change one bit of a column of one row."""
    with ledger.database.read() as connection:
        rows = connection.exec_driver_sql(f"SELECT rowid, {column} FROM {table}")  # noqa: S608
        row = sorted(rows)[ROWS.get(table, 0)]
    good = bytes(row[1])
    bad = good[:position] + bytes([good[position] ^ 1]) + good[position + 1 :]
    value = f"X'{bad.hex()}'"
    alter(ledger, f"UPDATE {table} SET {column} = {value} WHERE rowid = {row[0]}")  # noqa: S608


ROWS = {"links": 8, "events": 8, "seals": 5, "subjects": 4, "map_leaves": 4, "map_pages": 4}
"""Which row is changed: one that is published."""


@pytest.mark.parametrize(
    ("table", "column", "position", "where"),
    [
        ("links", "bytes", 20, "log entry"),
        ("links", "bytes", 200, "log entry"),
        ("links", "event_hash", 0, "subject"),
        ("events", "bytes", 40, "event"),
        ("events", "hash", 31, "event"),
        ("seals", "bytes", 100, "seal of upload"),
        ("seals", "hash", 5, "seal of upload"),
        ("seals", "leaves", 31, "seal of upload"),
        ("subjects", "key", 3, "subject"),
        ("subjects", "head", 3, "subject"),
        ("map_leaves", "head", 3, "map leaf"),
        ("map_leaves", "root", 3, "map leaf"),
        ("map_leaves", "edge", 3, "map leaf"),
        ("map_leaves", "key", 3, "map leaf"),
        ("map_pages", "leaves", 3, "map page"),
        ("map_pages", "leaves", 40, "map page"),
        ("map_pages", "hash", 3, "map page"),
        ("log_state", "note", 40, "the database's signed state"),
        ("log_state", "map_root", 4, "log_state"),
        ("publication", "note", 30, "the database's publication"),
        ("publication", "note", 200, "the database's publication"),
    ],
)
def test_a_changed_bit_in_any_column_is_found(
    ledger: Ledger, table: str, column: str, position: int, where: str
) -> None:
    flip(ledger, table, column, position)
    assert where in found(check(ledger))[1]


@pytest.mark.parametrize(
    ("sql", "what", "where"),
    [
        ("UPDATE log_state SET size = size + 1", "size (column)", "signed state"),
        ("UPDATE log_state SET map_head_index = 0", "index of the map head", "log_state"),
        ("UPDATE log_state SET ignored = 1", "ignored links", "log_state"),
        ("UPDATE publication SET size = size + 1", "size (column)", "publication"),
        ("UPDATE map_leaves SET count = count + 1 WHERE head_index = 1", "count", "map leaf"),
        ("UPDATE map_leaves SET head_index = 2 WHERE head_index = 1", "log index", "map leaf"),
        ("UPDATE map_leaves SET size = 1 WHERE head_index = 1", "size that set it", "map leaf"),
        ("DELETE FROM map_leaves WHERE head_index = 1", "number", "map leaves"),
        ("DELETE FROM map_pages WHERE id = (SELECT max(id) FROM map_pages)", "row", "map page"),
        ("UPDATE map_pages SET id = 1 WHERE id = (SELECT max(id) FROM map_pages)", "row", "page 1"),
        ("INSERT INTO map_pages (id, leaves, hash, size) "
         "SELECT 1, leaves, hash, size FROM map_pages LIMIT 1", "row", "map page 1"),
        ("UPDATE map_pages SET size = size - 1", "size that set it", "map page"),
        ("UPDATE map_pages SET size = 1", "size that set it", "map page"),
        ("UPDATE uploads SET first_index = first_index + 1 WHERE id = 4", "row", "log entry"),
        ("UPDATE uploads SET first_index = 900 WHERE first_index IS NULL", "link", "index 900"),
        ("UPDATE uploads SET links = links + 1 WHERE id = 4", "number of links", "upload 4"),
        ("UPDATE uploads SET accepted_at = 5 WHERE id = 4", "time", "link 0 of upload 4"),
        ("UPDATE uploads SET seal_id = NULL WHERE id = 4", "seal (column)", "upload 4"),
        ("UPDATE uploads SET entries = NULL", "copy of the links", "upload"),
        ("DELETE FROM links WHERE upload_id = 4 AND ordinal = 0", "database row", "log entry"),
        ("DELETE FROM events WHERE upload_id = 4 AND leaf = 0", "event", "link 0 of upload 4"),
        ("UPDATE links SET leaf = leaf + 1 WHERE upload_id = 4", "", "upload 4"),
        ("UPDATE subjects SET count = count + 1 WHERE id = 4", "number of links", "subject"),
        ("UPDATE subjects SET time = time + 1 WHERE id = 4", "time", "subject"),
        ("UPDATE events SET event_time = 0 WHERE leaf = 1", "event time (column)", "event 1"),
        ("UPDATE events SET party_id = 1 WHERE upload_id = 7", "party (column)", "event 0"),
        ("UPDATE seals SET party_id = 1 WHERE upload_id = 7", "party (column)", "seal of"),
        ("UPDATE parties SET subject_id = 4 WHERE subject_id = 2", "subject", "party"),
        ("UPDATE disclosures SET text = 'WyJhIl0'", "digest", "disclosure"),
        ("UPDATE disclosures SET leaf = 1", "event", "disclosure"),
        ("INSERT INTO events SELECT 999, 0, hash, bytes, party_id, event_time FROM events "
         "WHERE upload_id = 4 AND leaf = 0", "events of no upload", "database"),
        ("UPDATE links SET subject_id = 999 WHERE subject_id = 4", "links of no", "database"),
    ],
)  # fmt: skip
def test_altered_rows_are_found(ledger: Ledger, sql: str, what: str, where: str) -> None:
    alter(ledger, sql)
    report = check(ledger)
    assert report.difference is not None, sql
    assert what in report.difference.what
    assert where in report.difference.where


def test_a_party_that_is_not_what_its_chain_says_is_found(ledger: Ledger) -> None:
    """A key or a role put into the projection by hand would let somebody sign."""
    new = '{"role": "customs", "heldFrom": "2026-01-01T00:00:00.000Z"}'
    change = f"""state = replace(state, '"roles": [', '"roles": [{new}, ')"""
    alter(ledger, f"UPDATE parties SET {change} WHERE uri = 'https://brand.example'")  # noqa: S608
    assert found(check(ledger)) == ("state", "party https://brand.example")


def test_a_party_without_a_row_is_found(ledger: Ledger) -> None:
    operator = operator_uri(ORIGIN)
    alter(ledger, f"UPDATE parties SET uri = 'https://x.example' WHERE uri = '{operator}'")  # noqa: S608
    report = check(ledger)
    assert report.difference is not None
    assert operator in f"{report.difference.expected} {report.difference.found}"


def test_an_exchanged_event_under_a_good_seal_is_found(ledger: Ledger) -> None:
    """Bytes and hash altered together still do not fit the seal."""
    alter(
        ledger,
        "UPDATE events SET bytes = (SELECT bytes FROM events WHERE upload_id = 7 AND leaf = 1), "
        "hash = (SELECT hash FROM events WHERE upload_id = 7 AND leaf = 1), event_time = "
        "(SELECT event_time FROM events WHERE upload_id = 7 AND leaf = 1) "
        "WHERE upload_id = 7 AND leaf = 0",
    )
    assert found(check(ledger))[0] == "hash under its seal"


# --- checkpoints ----------------------------------------------------------------------------------


def test_a_checkpoint_of_another_tree_under_the_right_key_is_found(
    ledger: Ledger,
) -> None:
    """The log key signed a fork somewhere: each place where it may lie is looked at."""
    forged = sign_note(Checkpoint(ORIGIN, 200, b"f" * 32).format(), [SIGNER])
    good = ledger.tiles.read_checkpoint()
    assert good is not None
    ledger.tiles.write_checkpoint(forged)
    assert found(check(ledger)) == ("root", "the published checkpoint file")
    ledger.tiles.write_checkpoint(good)
    ledger.last_signed.write(forged)
    assert found(check(ledger))[1] == "the copy of the last signed checkpoint beside the keys"
    ahead = sign_note(Checkpoint(ORIGIN, 9_000, b"f" * 32).format(), [SIGNER])
    ledger.last_signed.write(ahead)
    assert found(check(ledger))[0] == "size"


def test_the_wrong_verifier_key_is_found(ledger: Ledger) -> None:
    report = fsck(ledger.database, ledger.tiles, ORIGIN, COSIGNER.vkey)
    assert found(report)[0] in ("signature", "signed note")


def test_a_signed_log_without_a_signed_state_is_found(ledger: Ledger) -> None:
    alter(ledger, "DELETE FROM log_state")
    assert found(check(ledger))[0] == "signed state"


def test_uris_of_subjects_are_hashed_again(ledger: Ledger) -> None:
    alter(ledger, f"UPDATE subjects SET uri = 'https://x.example' WHERE uri = '{item_uri(7)}'")  # noqa: S608
    assert found(check(ledger)) == ("map key", "subject https://x.example")
