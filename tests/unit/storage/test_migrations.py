"""Migrations that running old code survives: linted by squawk, and written to by every older shape.

A new migration passes the linter without an exception, or brings its own with the reason.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import insert, inspect

from provenance.storage import schema
from provenance.storage.session import Database
from provenance.storage.tables import metadata

SQUAWK = Path(sys.executable).with_name("squawk")

TIMEOUTS = {
    "require-lock-timeout": "before the rule; every connection of ours has lock_timeout",
    "require-statement-timeout": "before the rule; new tables and one short index",
}
NEW = {"prefer-identity": "SQLAlchemy writes BIGSERIAL; ids are given out by us alone"}

EXCEPTIONS: dict[str, dict[str, str]] = {
    "0001": TIMEOUTS
    | NEW
    | {
        "prefer-bigint-over-int": "places in an upload or in one row; none passes 100,000",
        "prefer-text-field": "Alembic's own table, made by Alembic",
    },
    "0002": TIMEOUTS | NEW,
    "0003": TIMEOUTS
    | {"require-concurrent-index-creation": "released; one row an upload, some seconds a million"},
    "0004": TIMEOUTS | NEW,
    "0007": {
        "renaming-table": "the new table takes the name in the same transaction",
        "renaming-object": "the new table takes the name in the same transaction",
        "ban-drop-constraint": "the bound of the part says the same from then on",
        "prefer-bigint-over-int": "the columns are those of 0001",
    },
    "0008": NEW,
}

ROWS: dict[str, dict[str, Any]] = {
    "subjects": {"id": 7, "uri": "s", "key": b"k" * 32, "count": 1, "head": b"h", "time": 1},
    "parties": {"id": 7, "uri": "s", "subject_id": 7, "state": "{}", "updated_at": 1},
    "uploads": {"id": 7, "seal_id": 7, "accepted_at": 1, "links": 1, "entries": b"e"}
    | {"first_index": 1, "answers": b"a", "newest_known": 7},
    "seals": {"id": 7, "hash": b"s", "upload_id": 7, "party_id": 7, "bytes": b"b", "size": 1}
    | {"leaves": b"l" * 32},
    "events": {"upload_id": 7, "leaf": 0, "hash": b"h", "bytes": b"b", "party_id": 7}
    | {"event_time": 1},
    "links": {"subject_id": 7, "seq": 0, "upload_id": 7, "leaf": 0, "ordinal": 0}
    | {"event_hash": b"h", "bytes": b"b"},
    "disclosures": {"upload_id": 7, "leaf": 0, "digest": "d", "text": "t", "audience": "[]"},
    "leases": {"name": "n", "holder": "h", "token": 1, "expires_at": 1},
    "log_state": {"id": 1, "size": 1, "note": b"n", "map_root": b"r", "map_head_index": 0}
    | {"subjects": 1, "ignored": 0, "fence": 1},
    "publication": {"id": 1, "size": 1, "note": b"n", "published_at": 1},
    "map_leaves": {"key": b"k" * 32, "count": 1, "head": b"h", "root": b"r", "head_index": 0}
    | {"edge": b"e", "size": 1},
    "map_pages": {"id": 1, "leaves": b"l", "hash": b"h", "size": 1, "nodes": b"n"},
    "forks": {"id": 7, "hash": b"h", "evidence": b"{}", "source": "s", "found_at": 1},
    "sightings": {"id": 7, "hash": b"h", "size": 1, "note": b"n", "source": "s", "found_at": 1},
    "anchors": {"id": 7, "kind": "evm", "size": 1, "checkpoint": b"c", "requested_at": 1}
    | {"time": 1, "proof": b"{}"},
    "jobs": {"id": 7, "name": "n", "state": "refused", "length": 1, "consumed": 0, "lines": 0}
    | {"tail": 0, "batches": 0, "events": 0, "active_ms": 0, "token": 0, "created_at": 1}
    | {"expires_at": 1, "refusal": "{}"},
    "job_pieces": {"job_id": 7, "ordinal": 0, "bytes": b"b"},
    "job_batches": {"job_id": 7, "ordinal": 0, "seal": None, "leaves": b"l", "answers": b"a"},
}
"""A row of every table, with a value for every column that it ever had."""


def revisions() -> list[str]:
    """All revisions, oldest first."""
    script = ScriptDirectory.from_config(schema.make_config())
    return [one.revision for one in script.walk_revisions()][::-1]


def sql_of(revision: str) -> str:
    """What PostgreSQL is told by one revision, as `alembic upgrade --sql` prints it."""
    known = revisions()
    place = known.index(revision)
    config = schema.make_config()
    config.output_buffer = io.StringIO()
    before = known[place - 1] if place else "base"
    command.upgrade(config, f"{before}:{revision}", sql=True)
    return config.output_buffer.getvalue()


@pytest.mark.parametrize("revision", revisions())
def test_the_linter_finds_what_is_excused_and_nothing_else(revision: str) -> None:
    output = subprocess.run(
        [SQUAWK, "--reporter", "json", "--pg-version", "15.0", "--stdin-filepath", revision],
        input=sql_of(revision),
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    found = {one["rule_name"]: one for one in json.loads(output)}
    assert found.keys() == EXCEPTIONS.get(revision, {}).keys(), found


def test_the_linter_would_find_what_breaks_running_code() -> None:
    careless = (
        "BEGIN;\nSET LOCAL lock_timeout = '5s';\nSET LOCAL statement_timeout = '5s';\n"
        "ALTER TABLE links DROP COLUMN leaf;\n"
        "ALTER TABLE uploads ADD COLUMN reason TEXT NOT NULL;\nCOMMIT;\n"
    )
    output = subprocess.run(
        [SQUAWK, "--reporter", "json", "--pg-version", "15.0", "--stdin-filepath", "careless"],
        input=careless,
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    found = {one["rule_name"] for one in json.loads(output)}
    assert {"ban-drop-column", "adding-required-field"} <= found


def test_every_table_and_column_has_its_row_here() -> None:
    described = {table.name: set(table.c.keys()) for table in metadata.sorted_tables}
    assert described.keys() <= ROWS.keys()
    assert [name for name in described if not described[name] <= ROWS[name].keys()] == []


@pytest.mark.parametrize("revision", revisions())
def test_what_an_older_program_writes_is_still_taken(
    empty_database: Database, revision: str
) -> None:
    schema.upgrade(empty_database, revision)
    with empty_database.read() as connection:
        look = inspect(connection)
        then = {
            name: {column["name"] for column in look.get_columns(name)}
            for name in look.get_table_names()
        }
    schema.upgrade(empty_database)
    written = [table for table in metadata.sorted_tables if table.name in then]
    with empty_database.write() as connection:
        for table in written:
            row = {name: ROWS[table.name][name] for name in then[table.name]}
            connection.execute(insert(table).values(row))
    assert len(written) >= 11
