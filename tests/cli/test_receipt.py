"""provenance receipt: a proof to keep, from the platform or its directory, judged by its reader."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from scitt_cose import verify_receipt
from sigstore._internal.merkle import (
    _chain_border_right,
    _chain_inner,
    _decomp_inclusion_proof,
    _hash_leaf,
)

from merkle.checkpoint import parse_checkpoint
from merkle.note import parse_note
from merkle.receipt import parse_receipt
from provenance.cli import main
from provenance.crypto.cose import format_pem, parse_pem
from provenance.domain.event import parse_event
from tests.cli.conftest import Terminal
from tests.support.served import item, observed


@pytest.fixture(scope="module")
def uploaded(terminal: Terminal) -> Path:
    """An upload of two events about R1 and R2, published."""
    uri, key = terminal.party("keeper")
    file = terminal.folder / "kept.json"
    file.write_text(json.dumps(observed("R1", "R2")), "utf-8")
    terminal.run("seal", file, "--party", uri, "--key", key, remote=True)
    target = terminal.folder / "kept.ndjson"
    terminal.run("upload", target, "--wait", remote=True)
    return target


@pytest.fixture(scope="module")
def policy(terminal: Terminal) -> Path:
    path = terminal.folder / "policy.txt"
    path.write_text(terminal.served.api().policy())
    return path


@pytest.fixture(scope="module")
def proof(terminal: Terminal, uploaded: Path) -> Path:
    path = terminal.folder / "x.tlog-proof"
    words = terminal.run("receipt", uploaded, "--number", "1", "-o", path, remote=True).stdout
    assert f"written to {path}" in words
    return path


def first_event(uploaded: Path) -> bytes:
    return uploaded.read_bytes().split(b"\n")[1]


def root_by_sigstore(index: int, size: int, entry: bytes, path: list[bytes]) -> bytes:
    """Sigstore's own inclusion proof, as `verify_merkle_inclusion` chains it."""
    inner, border = _decomp_inclusion_proof(index, size)
    assert len(path) == inner + border
    return _chain_border_right(_chain_inner(_hash_leaf(entry), path[:inner], index), path[inner:])


def test_a_tlog_proof_holds_under_the_readers_policy(
    terminal: Terminal, uploaded: Path, policy: Path, proof: Path
) -> None:
    facts = terminal.json("receipt", "--verify", proof, "--policy", policy)
    assert facts["receipt"] == "holds"
    assert facts["event"] == parse_event(first_event(uploaded)).hash.hex()
    words = terminal.run("receipt", "--verify", proof, "--policy", policy).stdout
    assert words.startswith(f"HOLDS: {proof}")


def test_an_outside_tree_takes_the_path_to_the_same_root(proof: Path) -> None:
    receipt = parse_receipt(proof.read_bytes())
    checkpoint = parse_checkpoint(parse_note(receipt.checkpoint).text)
    assert receipt.extra is not None
    path = list(receipt.path)
    root = root_by_sigstore(receipt.index, checkpoint.size, receipt.extra, path)
    assert root == checkpoint.root
    altered = bytes([receipt.extra[0] ^ 1]) + receipt.extra[1:]
    assert root_by_sigstore(receipt.index, checkpoint.size, altered, path) != root


def test_a_flipped_bit_anywhere_is_refused_or_unusable(
    terminal: Terminal, policy: Path, proof: Path
) -> None:
    whole = proof.read_bytes()
    altered_file = terminal.folder / "altered.tlog-proof"
    # Not every byte: all of the header, one in 53 of the rest, the last (each costs a command).
    spare = names_and_ids(whole)
    assert 0 < len(spare) < 150
    for place in sorted({*range(40), *range(40, len(whole), 53), len(whole) - 1} - spare):
        altered = bytearray(whole)
        altered[place] ^= 1
        altered_file.write_bytes(altered)
        arguments = ["receipt", "--verify", str(altered_file), "--policy", str(policy)]
        refused = CliRunner().invoke(main, arguments).exit_code in {1, 2}
        assert refused, place


def names_and_ids(whole: bytes) -> set[int]:
    """Where an altered byte makes one of the log's two lines a stranger's, which is passed over:
    the other line is enough (docs/formats.md section 10)."""
    origin = parse_checkpoint(parse_note(parse_receipt(whole).checkpoint).text).origin.encode()
    places: set[int] = set()
    start = 0
    for line in whole.splitlines(keepends=True):
        if line.startswith(b"\xe2\x80\x94 " + origin + b" "):
            places |= {*range(start, start + len(origin) + 5 + 6)}
        start += len(line)
    return places


def test_receipts_name_what_they_are_about(
    terminal: Terminal, uploaded: Path, policy: Path, proof: Path
) -> None:
    event = parse_event(first_event(uploaded)).hash.hex()
    known = ("--verify", proof, "--policy", policy)
    subject = parse_event(first_event(uploaded)).subjects[0]
    terminal.run("receipt", event, "--subject", subject, *known)
    other = terminal.run("receipt", "00" * 32, "--subject", subject, *known, status=1)
    assert "REFUSED: the receipt is of event" in other.stdout
    elsewhere = terminal.run("receipt", event, "--subject", item("R9"), *known, status=1)
    assert "on the chain of" in elsewhere.stdout


def test_an_event_file_and_the_data_directory_give_the_same_leaf(
    terminal: Terminal, uploaded: Path, proof: Path
) -> None:
    file = terminal.folder / "one.json"
    file.write_text(json.dumps(json.loads(first_event(uploaded)), indent=2), "utf-8")
    target = terminal.folder / "local.tlog-proof"
    terminal.run("receipt", file, "--data", terminal.served.settings.data, "-o", target)
    ours, theirs = parse_receipt(target.read_bytes()), parse_receipt(proof.read_bytes())
    assert (ours.index, ours.extra) == (theirs.index, theirs.extra)


def test_a_cose_receipt_is_taken_by_an_outside_reader_and_by_us(
    terminal: Terminal, uploaded: Path, policy: Path, proof: Path
) -> None:
    target = terminal.folder / "x.cose"
    words = ("receipt", uploaded, "--number", "1", "--format", "cose")
    terminal.run(*words, "-o", target, remote=True)
    data = target.read_bytes()
    assert terminal.run(*words, remote=True).stdout_bytes == data
    entry = parse_receipt(proof.read_bytes()).extra
    assert entry is not None
    note = terminal.served.api().fetch("/log/receipt-key")
    pem = note.decode().split("\n", 2)[2].split("\n\n")[0]
    assert format_pem(parse_pem(pem)).strip() == pem.strip()
    assert verify_receipt(data, leaf_entry_hex=entry.hex(), log_public_key_pem=pem).ok
    assert not verify_receipt(data, leaf_entry_hex=entry.hex() + "00", log_public_key_pem=pem).ok

    key = terminal.folder / "receipt-key"
    key.write_bytes(note)
    link = terminal.json("receipt", "--verify", proof, "--policy", policy)["link"]
    judged = ("receipt", "--verify", target, "--policy", policy, "--receipt-key", key)
    assert terminal.json(*judged, "--link", link)["receipt"] == "holds"
    refused = terminal.json(*judged, "--link", "00" * 32, status=1)
    assert "not of this leaf" in refused["detail"]
    terminal.run("receipt", "--verify", target, "--policy", policy, status=2)
    key.write_bytes(note.replace(b"MC", b"MD", 1))
    assert "no log of the policy" in terminal.run(*judged, "--link", link, status=1).stdout


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ((), 2, "name an EVENT"),
        (("00" * 32,), 2, "add --subject URI"),
        (("00" * 32, "--subject", "https://x.example"), 1, "No such event stands"),
        (("--verify", "missing"), 2, "needs --policy"),
    ],
)
def test_what_is_missing_is_said(
    terminal: Terminal, words: tuple[str, ...], status: int, said: str
) -> None:
    assert said in terminal.run("receipt", *words, status=status, remote=True).output


def test_an_upload_of_several_events_asks_which(terminal: Terminal, uploaded: Path) -> None:
    events = len(uploaded.read_bytes().splitlines()) - 1
    if events > 1:
        assert "choose with --number" in terminal.run("receipt", uploaded, status=2).output
    beyond = terminal.run("receipt", uploaded, "--number", "9", status=2)
    assert f"holds {events} events, not 9" in beyond.output
    subject = ("--subject", "https://elsewhere.example")
    foreign = terminal.run("receipt", uploaded, "--number", "1", *subject, status=2)
    assert "the event is not about" in foreign.output


@pytest.mark.parametrize("content", [b"", b"c2sp.org/tlog-proof@v1\n", b"\xd2\x84"])
def test_other_files_are_unusable_or_refused(
    terminal: Terminal, policy: Path, content: bytes
) -> None:
    path = terminal.folder / "odd"
    path.write_bytes(content)
    terminal.run("receipt", "--verify", path, "--policy", policy, status=2)
