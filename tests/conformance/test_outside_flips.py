"""Any single flipped bit in any served file is caught by software of others, and by ours.

The judge over x/mod, formats and torchwood runs once over all flips, and our own functions over the
same ones; the slower tools are each shown some. Who caught what is printed at the end of the run
and kept in .outside/table.txt.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator

import pytest

from provenance.domain.canonical import encode_base64
from tests.support.outside import TABLE, Catches, Flip, Outside
from tests.support.outside_flips import (
    Ours,
    coarse,
    current_files,
    ed25519_keys,
    flips_of,
    read_by,
)
from tests.support.outside_ledger import LyingServer, OutsideLedger


@pytest.fixture(scope="module")
def catches(outside: Outside) -> Iterator[Catches]:
    """Who caught what; the table is written when this module ends."""
    counted = Catches()
    yield counted
    TABLE.write_text(counted.table(), "utf-8")


@pytest.fixture(scope="module")
def flips(ledger: OutsideLedger) -> dict[str, list[Flip]]:
    """The flips of each file of the mirror, passports and receipts included."""
    kinds = {path: ledger.kind_of(path) for path in ledger.paths}
    return {path: flips_of(path, kinds[path], ledger.bytes_of(path)) for path in kinds}


def _shown(ledger: OutsideLedger, flip: Flip) -> str:
    """Where a flip is, for a message: the bytes around it."""
    data = ledger.bytes_of(flip.path)
    around = data[max(0, flip.offset - 30) : flip.offset], data[flip.offset : flip.offset + 30]
    return f"{flip} {around}"


def _by_kind(ledger: OutsideLedger, flips: list[Flip]) -> dict[str, list[Flip]]:
    kinds: dict[str, list[Flip]] = defaultdict(list)
    for flip in flips:
        kinds[ledger.kind_of(flip.path)].append(flip)
    return kinds


def test_every_flip_is_caught_by_the_judge_over_xmod_and_torchwood(
    outside: Outside, ledger: OutsideLedger, flips: dict[str, list[Flip]], catches: Catches
) -> None:
    for kind, shown in _by_kind(ledger, [flip for some in flips.values() for flip in some]).items():
        _, reasons = outside.judge(ledger.mirror, shown)
        catches.add("x/mod, formats, torchwood", kind, map(bool, reasons))
        missed = [flip for flip, reason in zip(shown, reasons, strict=True) if not reason]
        assert not missed, [_shown(ledger, flip) for flip in missed[:20]]


@pytest.mark.parametrize("kind", ["checkpoint", "tile", "bundle", "delta", "receipt"])
def test_every_flip_is_caught_by_our_own_verifier(
    ledger: OutsideLedger, flips: dict[str, list[Flip]], catches: Catches, kind: str
) -> None:
    ours = Ours(ledger)
    shown = [flip for path in flips if ledger.kind_of(path) == kind for flip in flips[path]]
    reasons = [ours.objection(flip) for flip in shown]
    catches.add("ours", kind, map(bool, reasons))
    missed = [flip for flip, reason in zip(shown, reasons, strict=True) if not reason]
    assert shown
    assert not missed, [_shown(ledger, flip) for flip in missed[:20]]


def test_every_flip_in_a_passport_is_caught_by_our_own_verifier(
    ledger: OutsideLedger, flips: dict[str, list[Flip]], catches: Catches
) -> None:
    """But where formats.md section 11 looks away: addresses in the policy that is proposed.

    Nothing is judged by that policy, and whoever asks at a wrong address verifies what comes back.
    """
    ours = Ours(ledger)
    shown = [flip for path in flips if ledger.kind_of(path) == "passport" for flip in flips[path]]
    missed = [flip for flip in shown if not ours.objection(flip)]
    told = [flip for flip in shown if not _in_proposed_address(ledger, flip)]
    catches.add("ours", "passport", [flip not in missed for flip in told])
    assert len(told) > 0.98 * len(shown)
    assert not set(missed) & set(told), [_shown(ledger, flip) for flip in missed[:20]]


def _in_proposed_address(ledger: OutsideLedger, flip: Flip) -> bool:
    data = ledger.bytes_of(flip.path)
    return any(
        begin <= flip.offset < begin + len(witness.url)
        for witness in ledger.witnesses
        if (begin := data.find(witness.url.encode())) >= 0
    )


def test_our_own_verifier_has_nothing_against_what_was_not_flipped(ledger: OutsideLedger) -> None:
    ours = Ours(ledger)
    for path in ledger.paths:
        assert not ours.objection(Flip(path, 0, 0)), path


def test_tessera_fsck_catches_flips(
    outside: Outside, ledger: OutsideLedger, flips: dict[str, list[Flip]], catches: Catches
) -> None:
    server = LyingServer(ledger.files)
    key = ledger.mirror / "log.vkey"
    try:
        assert outside.fsck(server.url, key)[0], "the mirror itself is good"
        for path in current_files(ledger):
            shown = coarse(read_by(ledger, flips[path], ledger.log_keys[:1]), 4)
            caught = []
            for flip in shown:
                server.flip = flip
                caught.append(not outside.fsck(server.url, key)[0])
            catches.add("Tessera fsck", ledger.kind_of(path), caught)
            assert all(caught), [flip for flip, good in zip(shown, caught, strict=True) if not good]
    finally:
        server.close()


def test_aics_tlog_catches_flips(
    outside: Outside, ledger: OutsideLedger, flips: dict[str, list[Flip]], catches: Catches
) -> None:
    known = ed25519_keys(ledger)
    shown = [
        flip
        for path in current_files(ledger)
        for flip in coarse(read_by(ledger, flips[path], known), 60)
    ]
    answers = outside.oracle(
        "aics_flips",
        mirror=str(ledger.mirror),
        keys=ledger.keys,
        flips=[[flip.path, flip.offset, flip.mask] for flip in shown],
    )
    for kind, some in _by_kind(ledger, shown).items():
        caught = [answer for flip, answer in zip(shown, answers, strict=True) if flip in some]
        catches.add("aics-tlog", kind, caught)
    assert all(answers), [flip for flip, good in zip(shown, answers, strict=True) if not good]


def test_pymerkle_catches_flipped_entries(
    outside: Outside, ledger: OutsideLedger, catches: Catches
) -> None:
    size, root = ledger.checkpoint.size, ledger.checkpoint.root.hex()
    caught = []
    for index in (0, 1, 255, 256, size - 2, size - 1):
        entries = [encode_base64(entry) for entry in ledger.entries]
        entries[index] = encode_base64(Flip("", index % 32, 4).apply(ledger.entries[index]))
        caught.append(outside.oracle("pymerkle_roots", entries=entries, sizes=[size]) != [root])
    catches.add("pymerkle", "bundle", caught)
    assert all(caught)


def test_sigstore_catches_flips_of_entries_and_of_proofs(
    outside: Outside, ledger: OutsideLedger, catches: Catches
) -> None:
    made = json.loads((ledger.mirror / "proofs.json").read_text())["Inclusion"]
    entries = [encode_base64(entry) for entry in ledger.entries]
    spoilt = [encode_base64(Flip("", 9, 1).apply(entry)) for entry in ledger.entries]
    answers = outside.oracle("sigstore_inclusion", entries=spoilt, proofs=made)
    catches.add("sigstore", "bundle", [not answer for answer in answers])
    other = encode_base64(Flip("", 31, 128).apply(ledger.checkpoint.root))
    changed = [
        {**proof, "Root": other} for proof in made if proof["Size"] == ledger.checkpoint.size
    ]
    refused = outside.oracle("sigstore_inclusion", entries=entries, proofs=changed)
    catches.add("sigstore", "checkpoint", [not answer for answer in refused])
    assert not any(answers)
    assert not any(refused)
