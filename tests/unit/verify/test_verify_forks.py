"""Fork evidence: every pair of states that cannot both be is seen, no pair that can be is."""

from dataclasses import replace

import pytest

from merkle.checkpoint import Checkpoint
from merkle.hashing import leaf_hash
from merkle.note import Note, NoteSignature, parse_note, sign_note
from merkle.policy import Policy
from merkle.proofs import prove_consistency
from merkle.tree import MemoryTree
from provenance.crypto.signing import NoteSigner
from provenance.domain.fork import ForkEvidence
from provenance.verify.forks import ForkEvidenceError, verify_fork
from tests.support.bundles import NOW, ORIGIN, cosigner, make_key, policy_text

POLICY = Policy.parse(policy_text())
SIZES = range(1, 18)


def tree(size: int, name: str = "told to one", common: int = 0) -> MemoryTree:
    """`common` leaves that all such trees have, then leaves of this name."""
    made = MemoryTree()
    made.extend(leaf_hash(f"{'both' if i < common else name} {i}".encode()) for i in range(size))
    return made


def signed(of: MemoryTree, origin: str = ORIGIN, key: str = "log") -> str:
    text = Checkpoint(origin, of.size, of.root()).format()
    return sign_note(text, [NoteSigner(origin, make_key(key))]).decode()


def evidence(first: MemoryTree, second: MemoryTree) -> ForkEvidence:
    if first.size == second.size:
        return ForkEvidence(ORIGIN, signed(first), signed(second))
    proof = tuple(prove_consistency(first.size, second.size, second))
    beginning = second.root(first.size)
    return ForkEvidence(ORIGIN, signed(first), signed(second), beginning, proof)


def refused(fork: ForkEvidence, message: str, policy: Policy = POLICY) -> None:
    with pytest.raises(ForkEvidenceError, match=message):
        verify_fork(fork, policy)


@pytest.mark.parametrize("second", SIZES)
def test_two_histories_are_seen_at_every_pair_of_sizes_and_every_point_of_parting(second):
    for first in range(1, second + 1):
        for common in range(first):
            pair = tree(first, common=common), tree(second, "told to another", common)
            verify_fork(evidence(*pair), POLICY)


@pytest.mark.parametrize("second", SIZES)
def test_a_log_that_only_grew_is_never_accused(second):
    for first in range(1, second + 1):
        refused(evidence(tree(first), tree(second)), "same root|continues")


def test_each_altered_dropped_and_added_hash_makes_the_proof_worthless():
    fork = evidence(tree(5), tree(13, "told to another"))
    for index, value in enumerate(fork.proof):
        altered = bytes([value[0] ^ 1]) + value[1:]
        proofs = [
            (*fork.proof[:index], altered, *fork.proof[index + 1 :]),
            (*fork.proof[:index], *fork.proof[index + 1 :]),
            (*fork.proof[:index], value, *fork.proof[index:]),
        ]
        for proof in proofs:
            refused(replace(fork, proof=proof), "proof")
    refused(replace(fork, root=bytes(32)), "proof")
    refused(replace(fork, root=None), "beginning is needed")


def test_the_root_that_the_log_did_sign_cannot_be_called_another():
    grown = evidence(tree(8), tree(13))
    refused(replace(grown, root=bytes(32)), "old root|proof")


def test_between_equal_sizes_nothing_may_be_proved():
    fork = evidence(tree(4), tree(4, "told to another"))
    refused(replace(fork, root=bytes(32)), "root null")
    refused(replace(fork, proof=(bytes(32),)), "proof empty")


def test_the_smaller_state_comes_first_and_the_empty_log_conflicts_with_nothing():
    fork = evidence(tree(4), tree(9, "told to another"))
    refused(replace(fork, first=fork.second, second=fork.first), "rising order")
    refused(replace(fork, first=signed(MemoryTree())), "found 0 and 9")


@pytest.mark.parametrize("member", ["first", "second"])
def test_both_states_bear_a_good_line_of_the_log(member):
    fork = evidence(tree(4), tree(4, "told to another"))
    note = getattr(fork, member)
    text, _, lines = note.rpartition("\n\n")
    good = lines.removesuffix("\n")
    bad = good[:-10] + ("A" if good[-10] != "A" else "B") + good[-9:]
    witness = cosigner("clock").cosign((text + "\n").encode(), NOW).format()
    own = tree(4, "made up by somebody")
    for wrong in (
        f"{text}\n\n{bad}\n",
        f"{note}{bad}\n",  # a second line of the same key that is bad
        f"{text}\n\n{witness}",
        signed(own, key="a forger"),
        signed(own, origin="other.example/log"),
        text,
        note.replace("\n\n", "\nextension\n\n", 1),
        "\ud800",
    ):
        refused(replace(fork, **{member: wrong}), "not a checkpoint signed by|expected the origin")


def test_a_log_that_the_reader_does_not_know_proves_nothing():
    fork = evidence(tree(4), tree(4, "told to another"))
    stranger = Policy.parse(policy_text(origin="other.example/log"))
    refused(fork, "no signature is by a known key", stranger)
    refused(replace(fork, origin="other.example/log"), "no signature", stranger)
    refused(replace(fork, origin="other.example/log"), "not a checkpoint signed by")


def test_lines_of_witnesses_and_strangers_change_nothing():
    fork = evidence(tree(4), tree(4, "told to another"))
    text = fork.first.partition("\n\n")[0] + "\n"
    good = NoteSignature(ORIGIN, *_line(fork.first))
    bad_witness = NoteSignature("harbour.example/w1", cosigner("harbour").vkey.key_id, bytes(72))
    note = Note(text, (bad_witness, good)).format().decode()
    verify_fork(replace(fork, first=note), POLICY)


def _line(note: str) -> tuple[bytes, bytes]:
    line = parse_note(note.encode()).signatures[0]
    return line.key_id, line.signature
