"""provenance database: tables made and divided under the owner's URL, without an installation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from provenance.cli import main
from provenance.storage import schema
from provenance.storage.session import Database


def run(*words: str, status: int = 0) -> str:
    result = CliRunner().invoke(main, ["database", *words])
    assert result.exit_code == status, result.output
    return result.output


def test_tables_are_made_and_made_once(empty_database_url: str) -> None:
    for _ in range(2):
        assert "of this program" in run("upgrade", "--database", empty_database_url)
    database = Database.open(empty_database_url)
    schema.check(database)
    database.close()


@pytest.mark.postgresql
@pytest.mark.parametrize("product", ["postgresql"], indirect=True)
def test_parts_are_listed_and_begun(empty_database_url: str) -> None:
    url = ("--database", empty_database_url)
    run("upgrade", *url)
    assert [line.split()[0] for line in run("parts", *url).splitlines() if "open" in line] == [
        "links_1",
        "events_1",
    ]
    found = json.loads(run("parts", "--begin", "events", "--json", *url))["parts"]
    assert [(p["table"], p["number"]) for p in found if p["is_open"]] == [
        ("links", 1),
        ("events", 2),
    ]
    assert found[-1]["low"] == 2_000_000_000_000


@pytest.mark.parametrize("product", ["sqlite"], indirect=True)
def test_sqlite_has_no_parts(database_url: str, tmp_path: Path) -> None:
    words = run("parts", "--data", str(tmp_path), "--database", database_url, status=1)
    assert "only PostgreSQL divides its tables" in words
