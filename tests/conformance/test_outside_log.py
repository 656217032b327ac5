"""Software of others accepts what a running platform serves: notes, tiles, proofs, the map.

Nothing here is a fixture of theirs or a fake of ours: `provenance serve` made every byte.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from provenance.domain.canonical import encode_base64
from tests.support.outside import Outside, run
from tests.support.outside_ledger import OutsideLedger, read_checkpoint


@pytest.fixture(scope="module")
def made(ledger: OutsideLedger) -> dict[str, list[dict[str, Any]]]:
    """The proofs that the platform made."""
    return json.loads((ledger.mirror / "proofs.json").read_text())


@pytest.fixture(scope="module")
def entries(ledger: OutsideLedger) -> list[str]:
    """All entries, as they travel to another process."""
    return [encode_base64(entry) for entry in ledger.entries]


def test_the_log_is_large_enough_to_mean_something(ledger: OutsideLedger) -> None:
    assert ledger.checkpoint.size > 2 * 256
    assert {"tile/0/000", "tile/0/001", "tile/1/000.p/2", "tile/entries/001"} <= ledger.files.keys()
    assert any(path.startswith("tile/0/002.p/") for path in ledger.files)
    assert len({read_checkpoint(note).size for note in ledger.checkpoints}) == len(
        ledger.checkpoints
    )


def test_xmod_formats_and_torchwood_accept_every_file_and_proof(
    outside: Outside, ledger: OutsideLedger, made: dict[str, list[dict[str, Any]]]
) -> None:
    accepted, _ = outside.judge(ledger.mirror)
    print(accepted)
    kinds = [ledger.kind_of(path) for path in ledger.files]
    for kind in ("checkpoint", "tile", "bundle", "delta"):
        assert accepted[kind] == kinds.count(kind), kind
    assert accepted["passport"] == len(ledger.passports)
    assert accepted["receipt"] == len(ledger.receipts) >= 4
    assert accepted["inclusion proof"] == len(made["Inclusion"]) > ledger.checkpoint.size
    assert accepted["consistency proof"] == len(made["Consistency"])
    assert accepted["presence proof"] + accepted["absence proof"] == len(made["Map"])
    assert accepted["absence proof"] >= 1, "a lot without history is in a passport"


def test_the_map_judge_is_of_the_version_whose_cases_are_ours(
    outside: Outside, shared: Path
) -> None:
    folder = shared / "vectors" / "mpt"
    done = run(outside.program("judge"), "mpt", folder / "treehash.json", folder / "lookup.json")
    assert (done.returncode, done.stdout) == (0, "9 31\n"), done.stderr


def test_tessera_fsck_accepts_the_running_log(outside: Outside, ledger: OutsideLedger) -> None:
    good, words = outside.fsck(ledger.url, ledger.mirror / "log.vkey")
    assert good, words


def test_tessera_fsck_accepts_the_directory_as_a_cdn_would_serve_it(
    outside: Outside, ledger: OutsideLedger
) -> None:
    good, words = outside.fsck(f"file://{ledger.mirror}/", ledger.mirror / "log.vkey")
    assert good, words


def test_pymerkle_computes_every_root_that_was_signed(
    outside: Outside, ledger: OutsideLedger, entries: list[str]
) -> None:
    seen = [read_checkpoint(note) for note in ledger.checkpoints]
    roots = outside.oracle("pymerkle_roots", entries=entries, sizes=[state.size for state in seen])
    assert roots == [state.root.hex() for state in seen]


def test_sigstore_accepts_our_inclusion_proofs_and_no_others(
    outside: Outside, entries: list[str], made: dict[str, list[dict[str, Any]]]
) -> None:
    good = made["Inclusion"]
    assert all(outside.oracle("sigstore_inclusion", entries=entries, proofs=good))
    swapped = [{**proof, "Entry": (proof["Index"] + 1) % proof["Size"]} for proof in good]
    assert not any(outside.oracle("sigstore_inclusion", entries=entries, proofs=swapped))


def test_aics_tlog_accepts_our_proofs(
    outside: Outside, entries: list[str], made: dict[str, list[dict[str, Any]]]
) -> None:
    answers = outside.oracle("aics_proofs", entries=entries, proofs=made)
    assert len(answers) == len(made["Inclusion"]) + len(made["Consistency"])
    assert all(answers)


def test_aics_tlog_reads_the_running_log_with_every_witness_wanted(
    outside: Outside, ledger: OutsideLedger, tmp_path: Path
) -> None:
    log, *others = ledger.keys
    witnesses = [f"--witness-key={key}" for key in others if key in _witness_keys(ledger)]
    words = [f"--log-key={log}", f"--tiles={ledger.url}"]
    tool = outside.script("aics-tlog")
    quorum = [*witnesses, f"--quorum={len(witnesses)}"]
    checked = run(tool, "verify-checkpoint", *words, *quorum)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    leaf, old = tmp_path / "leaf", tmp_path / "old"
    leaf.write_bytes(ledger.entries[300])
    included = run(tool, "verify-inclusion", f"--leaf={leaf}", "--index=300", *words)
    assert included.returncode == 0, included.stdout + included.stderr
    old.write_bytes(ledger.checkpoints[2])
    grown = run(tool, "verify-consistency", f"--old-checkpoint={old}", *words)
    assert grown.returncode == 0, grown.stdout + grown.stderr


def _witness_keys(ledger: OutsideLedger) -> set[str]:
    return {witness.key.format() for witness in ledger.policy.witnesses}
