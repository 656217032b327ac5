"""provenance init and fsck: an installation is made once, and every stored byte can be doubted."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from provenance.cli import main
from tests.cli.conftest import Terminal
from tests.support.served import observed, serving

pytestmark = pytest.mark.sqlite(
    reason="installations are copied with their database, and bits of its file flipped"
)


def run(*words: str | Path, status: int = 0) -> Result:
    result = CliRunner().invoke(main, [*map(str, words)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == status, result.output
    return result


def contents(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in files
        if "sqlite" not in path.name
    }


def test_init_makes_an_installation_once(tmp_path: Path) -> None:
    data = tmp_path / "data"
    words = ("init", "--data", data, "--origin", "log.example.org/2026", "--operator-name", "Op")
    made = json.loads(run(*words, "--json").stdout)
    assert made == {
        "data": str(data),
        "origin": "log.example.org/2026",
        "policy": str(data / "policy.txt"),
    }
    before = contents(data)
    assert "keys/log.key" in before
    again = run("init", "--data", data)
    assert again.stdout.startswith("log log.example.org/2026 in ")
    assert contents(data) == before
    checked = json.loads(run("fsck", "--data", data, "--json").stdout)
    assert checked["good"]
    assert checked["checked"]["parties"] == 1


def test_a_log_keeps_its_name(tmp_path: Path) -> None:
    run("init", "--data", tmp_path / "data", "--origin", "one.example.org")
    refused = run("init", "--data", tmp_path / "data", "--origin", "two.example.org", status=1)
    assert "a log keeps its name" in refused.stderr


def test_what_is_wrong_with_a_setting_is_said(tmp_path: Path) -> None:
    refused = run("init", "--data", tmp_path, "--origin", "https://log.example.org/", status=1)
    assert "PROVENANCE_ORIGIN is 'https://log.example.org/'" in refused.stderr
    assert "no scheme" in refused.stderr


def test_a_misspelt_setting_is_not_silently_without_effect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHROMIUM", "chromium")  # is for tests and bench, and no setting
    run("init", "--data", tmp_path / "data")
    monkeypatch.setenv("PROVENANCE_WORKER", "3")
    refused = run("init", "--data", tmp_path / "data", status=1)
    assert "unknown setting PROVENANCE_WORKER" in refused.stderr


def test_fsck_of_nothing_says_what_to_do(tmp_path: Path) -> None:
    assert "provenance init" in run("fsck", "--data", tmp_path / "none", status=2).stderr


# --- fsck over damage -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation at rest, with products, parties and a concealed member."""
    folder = tmp_path_factory.mktemp("stored")
    with serving(folder / "data", origin="log.example.org") as served:
        terminal = Terminal(served, folder)
        uri, key = terminal.party("keeper")
        file = folder / "events.json"
        serials = [f"F{number}" for number in range(20)]
        file.write_text(json.dumps(observed(*serials, **{"ex:price": 5})))
        who = ("--party", uri, "--key", key, "--conceal", "$['ex:price']=customs")
        terminal.run("seal", file, *who, remote=True)
        terminal.run("upload", folder / "events.ndjson", "--wait", remote=True)
    return folder / "data"


@pytest.fixture
def copied(stored: Path, tmp_path: Path) -> Path:
    shutil.copytree(stored, tmp_path / "data")
    return tmp_path / "data"


def test_fsck_of_a_sound_installation(stored: Path) -> None:
    words = run("fsck", "--data", stored)
    assert words.stdout.endswith("everything fits\n")
    report = json.loads(run("fsck", "--data", stored, "--json").stdout)
    assert report["difference"] is None
    assert (report["checked"]["events"], report["checked"]["disclosures"]) == (23, 20)


def flip(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def flip_file(pattern: str, place: int) -> Callable[[Path], None]:
    def change(data: Path) -> None:
        path = max(data.glob(pattern), key=lambda found: found.stat().st_size)
        path.chmod(0o644)
        path.write_bytes(flip(path.read_bytes(), place))

    return change


def flip_row(table: str, column: str, place: int) -> Callable[[Path], None]:
    """One bit of the last row, past every guard of the database, as a failing disk would do it."""

    def change(data: Path) -> None:
        database = sqlite3.connect(data / "provenance.sqlite", isolation_level=None)
        guards = database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        for (name,) in guards.fetchall():
            database.execute(f"DROP TRIGGER {name}")
        (row, value) = database.execute(
            f"SELECT rowid, {column} FROM {table} ORDER BY rowid DESC LIMIT 1"  # noqa: S608
        ).fetchone()
        raw = value if isinstance(value, bytes) else str(value).encode()
        changed = flip(raw, place)
        database.execute(
            f"UPDATE {table} SET {column} = ? WHERE rowid = ?",  # noqa: S608
            (changed if isinstance(value, bytes) else changed.decode(), row),
        )
        database.close()

    return change


DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "a tile": (flip_file("log/tile/0/000*/*", 40), "tile"),
    "an entry bundle": (flip_file("log/tile/entries/000*/*", 60), "log entry"),
    "the checkpoint": (flip_file("log/checkpoint", 30), "checkpoint"),
    "the last signed checkpoint": (flip_file("keys/last-signed", 30), "beside the keys"),
    "an event": (flip_row("events", "bytes", 300), "upload"),
    "a link": (flip_row("links", "bytes", 60), ""),
    "a seal": (flip_row("seals", "bytes", 200), "upload"),
    "the seal's leaves": (flip_row("seals", "leaves", 3), "upload"),
    "a head": (flip_row("subjects", "head", 5), "subject"),
    "a party": (flip_row("parties", "state", 30), "party"),
    "the map": (flip_row("map_leaves", "head", 1), "map"),
    "a page of the map": (flip_row("map_pages", "leaves", 50), "map page"),
    "a map delta": (flip_file("log/map/delta/*", 40), "map/delta/"),
    "a disclosure": (flip_row("disclosures", "text", 20), ""),
}


def test_fsck_writes_map_deltas_only_when_all_else_fits(copied: Path) -> None:
    deltas = sorted((copied / "log" / "map" / "delta").iterdir())
    good = [path.read_bytes() for path in deltas]
    for path in deltas:
        path.unlink()
    flip_row("map_leaves", "head", 1)(copied)
    run("fsck", "--data", copied, "--write-deltas", status=1)
    assert not any(path.exists() for path in deltas)
    flip_row("map_leaves", "head", 1)(copied)  # as it was
    report = json.loads(run("fsck", "--data", copied, "--json", status=1).stdout)
    assert report["difference"]["found"] == "nothing"
    run("fsck", "--data", copied, "--write-deltas")
    assert [path.read_bytes() for path in deltas] == good
    run("fsck", "--data", copied)


@pytest.mark.parametrize("name", DAMAGE)
def test_fsck_names_one_flipped_bit(copied: Path, name: str) -> None:
    damage, where = DAMAGE[name]
    damage(copied)
    report = json.loads(run("fsck", "--data", copied, "--json", status=1).stdout)
    assert not report["good"]
    assert where in f"{report['difference']['what']} of {report['difference']['where']}"
    words = run("fsck", "--data", copied, status=1).stdout
    assert f"DIFFERENCE: {report['difference']['what']} of {report['difference']['where']}" in words


@pytest.mark.parametrize("where", [0.3, 0.6, 0.9])
def test_fsck_of_a_database_that_is_broken_as_a_file(copied: Path, where: float) -> None:
    """Whatever the database itself makes of it: never "everything fits", never a traceback."""
    path = copied / "provenance.sqlite"
    data = path.read_bytes()
    place = int(len(data) * where)
    path.write_bytes(data[:place] + b"\xff" * 4096 + data[place + 4096 :])
    result = CliRunner().invoke(main, ["fsck", "--data", str(copied)])
    if result.exit_code == 1:
        assert "DIFFERENCE" in result.stdout
    else:
        assert result.exit_code == 2
        assert result.stderr.startswith("Error: ")


def test_fsck_notices_what_is_gone(copied: Path) -> None:
    shutil.rmtree(copied / "log" / "tile" / "0")
    report: dict[str, Any] = json.loads(run("fsck", "--data", copied, "--json", status=1).stdout)
    assert "tile" in report["difference"]["where"]
