"""The witness as a use case: what it cosigns, what it refuses, and what it never does.

The protocol's table over HTTP is in tests/web/test_witness.py; here are the rules behind it, the
races, and a machine that tries to lead it astray.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from base64 import b64encode
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from merkle.errors import VerifierKeyError
from merkle.hashing import EMPTY_ROOT, leaf_hash
from merkle.note import NoteSignature, VerifierKey, open_note, parse_note, sign_note
from merkle.tree import MemoryTree
from provenance.crypto.errors import InadmissibleKeyError, KeyFileError
from provenance.crypto.signing import Cosigner, NoteSigner, PrivateKey, note_verifier
from provenance.domain.meaning import Meaning, parse_meaning
from provenance.services.witness import (
    MalformedRequestError,
    ProofRefusedError,
    SizeConflictError,
    UnknownLogError,
    UnsignedError,
    Witness,
    WitnessRefusal,
    WitnessSetupError,
    add_log,
    establish,
)
from provenance.storage.witness_state import WitnessState
from tests.support.clock import START
from tests.support.tilelog import TileLog, numbered
from tests.support.witnesses import NAME, Desk, open_desk


@pytest.fixture
def log() -> TileLog:
    log = TileLog()
    log.append(*numbered(0, 20))
    return log


@pytest.fixture
def desk(tmp_path: Path, log: TileLog) -> Desk:
    return open_desk(tmp_path, log)


def fork_of(log: TileLog, size: int) -> TileLog:
    """The same log, which told another story from `size` - 1 on."""
    other = TileLog()
    other.append(*log.entries[: size - 1], b"another story")
    return other


# --- what it cosigns


def test_a_log_is_followed_from_its_beginning(desk: Desk, log: TileLog) -> None:
    for old, new in [(0, 5), (5, 6), (6, 16), (16, 20)]:
        accepted = desk.add(old, log.proof(old, new), log.note(new))
        assert desk.require_good(accepted, log.note(new)) == desk.clock.seconds
        assert accepted.checkpoint == log.checkpoint(new)


def test_the_same_size_again_gives_a_fresh_time(desk: Desk, log: TileLog) -> None:
    desk.follow(log)
    desk.clock.advance(60_000)
    accepted = desk.add(20, (), log.note())
    assert desk.require_good(accepted, log.note()) == START // 1000 + 60


def test_the_empty_tree_can_be_cosigned_and_left(desk: Desk, log: TileLog) -> None:
    assert desk.add(0, (), log.note(0)).checkpoint.root == EMPTY_ROOT
    assert desk.size(log) == 0
    desk.add(0, (), log.note(0))
    assert desk.add(0, (), log.note(20)).checkpoint.size == 20


def test_lines_of_others_are_dropped_and_the_logs_kept(desk: Desk, log: TileLog) -> None:
    grease = NoteSignature("grease.example", b"\1\2\3\4", b"anything")
    note = parse_note(log.note()).with_signatures([grease]).format()
    desk.add(0, (), note)
    kept = parse_note(desk.state.cosigned(log.origin).note)
    assert [line.name for line in kept.signatures] == [log.origin, NAME]


def test_any_key_of_a_log_may_sign(desk: Desk, log: TileLog) -> None:
    successor = NoteSigner(log.origin, PrivateKey.from_seed(b"\x09" * 32))
    note = sign_note(log.checkpoint().format(), [successor])
    with pytest.raises(UnsignedError):
        desk.add(0, (), note)
    add_log(desk.state, successor.vkey.format(), None)
    desk.add(0, (), note)
    desk.add(20, (), log.note())


def test_logs_do_not_touch_each_other(desk: Desk, log: TileLog) -> None:
    other = TileLog("log.example/other", b"\x08" * 32)
    other.append(*numbered(0, 3))
    add_log(desk.state, other.vkey, None)
    desk.follow(log)
    desk.follow(other)
    assert (desk.size(log), desk.size(other)) == (20, 3)


# --- what it refuses


def test_another_old_size_is_told_the_right_one(desk: Desk, log: TileLog) -> None:
    for old in (1, 20):
        with pytest.raises(SizeConflictError) as caught:
            desk.add(old, log.proof(old), log.note())
        assert caught.value.size == 0
    desk.add(0, (), log.note(5))
    for old in (0, 4, 6, 20):
        with pytest.raises(SizeConflictError) as caught:
            desk.add(old, log.proof(old), log.note())
        assert caught.value.size == 5


def test_every_hash_of_a_proof_counts(desk: Desk, log: TileLog) -> None:
    desk.add(0, (), log.note(7))
    proof = log.proof(7)
    wrong = [proof[:-1], (*proof, proof[0]), proof[1:], (), proof[::-1]]
    wrong += [(*proof[:n], leaf_hash(b"x"), *proof[n + 1 :]) for n in range(len(proof))]
    for other in wrong:
        with pytest.raises(ProofRefusedError):
            desk.add(7, tuple(other), log.note())
    assert desk.size(log) == 7
    desk.add(7, proof, log.note())


def test_forks_are_refused_whatever_proof_they_bring(desk: Desk, log: TileLog) -> None:
    desk.add(0, (), log.note(10))
    fork = fork_of(log, 10)
    with pytest.raises(ProofRefusedError, match="forked"):
        desk.add(10, (), fork.note())
    fork.append(*numbered(10, 20))
    with pytest.raises(ProofRefusedError):
        desk.add(10, fork.proof(10), fork.note())
    with pytest.raises(ProofRefusedError):
        desk.add(10, log.proof(10), fork.note())


def test_from_nothing_nothing_is_proved(desk: Desk, log: TileLog) -> None:
    with pytest.raises(ProofRefusedError, match="no proof is expected"):
        desk.add(0, log.proof(3), log.note())
    with pytest.raises(ProofRefusedError, match="size 0"):
        desk.add(0, (), log.sign(0, log.root()))


def test_an_old_size_above_the_checkpoints_is_malformed(desk: Desk, log: TileLog) -> None:
    with pytest.raises(MalformedRequestError, match="above"):
        desk.add(6, (), log.note(5))
    desk.add(0, (), log.note(6))
    with pytest.raises(MalformedRequestError, match="above"):
        desk.add(6, (), log.note(5))


def test_unknown_logs_and_unsigned_checkpoints_are_told_apart(desk: Desk, log: TileLog) -> None:
    stranger = TileLog("log.example/stranger")
    stranger.append(b"entry")
    with pytest.raises(UnknownLogError):
        desk.follow(stranger)
    impostor = TileLog(log.origin, b"\x0a" * 32)
    impostor.append(b"entry")
    with pytest.raises(UnsignedError, match="known key"):
        desk.add(0, (), impostor.note())
    changed = log.note().replace(b"\n20\n", b"\n21\n")
    with pytest.raises(UnsignedError, match="does not verify"):
        desk.add(0, (), changed)
    # Before anything about sizes is told: what we hold is said only to the log itself.
    with pytest.raises(UnsignedError):
        desk.add(7, (), impostor.note())


def test_extension_lines_are_refused(desk: Desk, log: TileLog) -> None:
    note = sign_note(log.checkpoint().format() + "more\n", [log.signer])
    with pytest.raises(MalformedRequestError, match="extension"):
        desk.add(0, (), note)


@pytest.mark.parametrize(
    "body", [b"", b"old 0\n", b"old 0\n\nno checkpoint", b"old 00\n\n", b"\xff" * 50]
)
def test_what_cannot_be_read_is_malformed(desk: Desk, body: bytes) -> None:
    with pytest.raises(MalformedRequestError):
        desk.witness.add_checkpoint(body)


def test_a_refusal_changes_nothing(desk: Desk, log: TileLog) -> None:
    desk.add(0, (), log.note(10))
    before = desk.state.path.read_bytes()
    fork = fork_of(log, 10)
    for old, proof, note in [
        (0, (), log.note()),
        (10, (), fork.note()),
        (10, (), log.note()),
        (11, (), log.note(10)),
        (10, (), log.sign(10, EMPTY_ROOT)),
    ]:
        with pytest.raises(WitnessRefusal):
            desk.add(old, proof, note)
    assert desk.state.path.read_bytes() == before


# --- races


@pytest.mark.parametrize("known", [0, 5])
def test_of_two_forks_that_race_at_most_one_root_is_cosigned(
    tmp_path: Path, log: TileLog, known: int
) -> None:
    desk = open_desk(tmp_path, log)
    if known:
        desk.add(0, (), log.note(known))
    forks = [fork_of(log, 20), log]
    start, roots, refused = threading.Barrier(16), [], []

    def race(number: int) -> None:
        told = forks[number % 2]
        # Every other pair over a witness of its own: the state is shared by processes, too.
        at = desk if number % 4 < 2 else open_desk(tmp_path, log)
        start.wait()
        try:
            roots.append(at.add(known, told.proof(known), told.note()).checkpoint.root)
        except (SizeConflictError, ProofRefusedError) as error:
            refused.append(error)

    threads = [threading.Thread(target=race, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(roots) + len(refused) == 16
    assert len(roots) == 1, "the others' old size is no longer ours"


def test_a_growing_log_that_races_with_itself_never_goes_back(tmp_path: Path) -> None:
    log = TileLog()
    log.append(*numbered(0, 64))
    desk = open_desk(tmp_path, log)
    answered: list[int] = []
    sizes = iter(range(1, 65))
    lock = threading.Lock()

    def feed() -> None:
        while True:
            with lock:
                size = next(sizes, None)
            if size is None:
                return
            old = desk.size(log)
            try:
                proof = log.proof(old, size) if old <= size else ()
                accepted = desk.add(old, proof, log.note(size))
            except (SizeConflictError, MalformedRequestError):
                continue
            with lock:
                answered.append(accepted.checkpoint.size)

    threads = [threading.Thread(target=feed) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert desk.size(log) == max(answered)
    assert len(set(answered)) == len(answered)


# --- key, state and meaning belong together


def test_the_meaning_is_signed_by_the_key_of_the_policy(desk: Desk) -> None:
    opened = open_note(desk.witness.meaning_note, [note_verifier(desk.vkey)])
    assert parse_meaning(opened.text) == Meaning(NAME, "plain", (desk.vkey,))


def test_a_witness_is_the_same_after_a_restart(tmp_path: Path, log: TileLog) -> None:
    first = open_desk(tmp_path, log)
    first.add(0, (), log.note(5))
    second = open_desk(tmp_path)
    assert second.vkey == first.vkey
    second.add(5, log.proof(5), log.note())


def test_a_state_of_one_meaning_refuses_another(tmp_path: Path) -> None:
    paths = tmp_path / "w.sqlite", tmp_path / "w.key"
    establish(*paths, NAME, "plain")
    with pytest.raises(WitnessSetupError, match="meaning 'plain', not 'map'"):
        establish(*paths, NAME, "map")
    with pytest.raises(WitnessSetupError, match=r"of the witness witness\.example/w1"):
        establish(*paths, "another.example", "plain")
    _, meaning, _ = establish(*paths, None, "plain")
    assert meaning.name == NAME


def test_a_key_that_lost_its_memory_does_not_cosign_again(tmp_path: Path) -> None:
    paths = tmp_path / "w.sqlite", tmp_path / "w.key"
    establish(*paths, NAME, "plain")
    paths[0].unlink()
    with pytest.raises(WitnessSetupError, match="lost its memory"):
        establish(*paths, NAME, "plain")
    assert not paths[0].exists()


def test_a_state_does_not_take_another_key(tmp_path: Path) -> None:
    paths = tmp_path / "w.sqlite", tmp_path / "w.key"
    establish(*paths, NAME, "plain")
    establish(tmp_path / "v.sqlite", tmp_path / "v.key", NAME, "plain")
    with pytest.raises(WitnessSetupError, match="another key"):
        establish(paths[0], tmp_path / "v.key", NAME, "plain")
    paths[1].unlink()
    with pytest.raises(KeyFileError):
        establish(*paths, NAME, "plain")
    assert not paths[1].exists(), "a key is not made anew for an old state"


@pytest.mark.parametrize("crash", ["before the key", "before the bond"])
def test_a_first_start_that_was_cut_short_is_completed(tmp_path: Path, crash: str) -> None:
    paths = tmp_path / "w.sqlite", tmp_path / "w.key"
    WitnessState.create(paths[0])
    if crash == "before the bond":
        whole = tmp_path / "whole"
        whole.mkdir()
        establish(whole / "w.sqlite", whole / "w.key", NAME, "plain")
        shutil.copy2(whole / "w.key", paths[1])
    state, meaning, cosigner = establish(*paths, NAME, "plain")
    assert state.meaning() == meaning
    assert meaning.keys == (cosigner.vkey,)


def test_a_first_start_needs_a_name(tmp_path: Path) -> None:
    paths = tmp_path / "w.sqlite", tmp_path / "w.key"
    for _ in range(2):
        with pytest.raises(WitnessSetupError, match="--name"):
            establish(*paths, None, "plain")
        assert not paths[1].exists()
    WitnessState.create(paths[0])
    with pytest.raises(WitnessSetupError, match="--name"):
        establish(*paths, None, "plain")


def test_a_witness_is_not_put_together_from_parts_of_two(tmp_path: Path) -> None:
    state, meaning, cosigner = establish(tmp_path / "w.sqlite", tmp_path / "w.key", NAME, "plain")
    other = Cosigner(NAME, PrivateKey.from_seed(b"\x0b" * 32))
    with pytest.raises(WitnessSetupError, match="not those of the meaning"):
        Witness(state, meaning, [other], lambda: 0)
    with pytest.raises(WitnessSetupError, match="another witness"):
        Witness(state, Meaning(NAME, "plain", (other.vkey,)), [other], lambda: 0)
    aware, means, key = establish(tmp_path / "m.sqlite", tmp_path / "m.key", NAME, "map")
    with pytest.raises(WitnessSetupError, match="follows maps"):
        Witness(aware, means, [key], lambda: 0)
    assert cosigner.vkey != key.vkey


def test_only_keys_that_can_sign_checkpoints_make_a_log(desk: Desk) -> None:
    with pytest.raises(InadmissibleKeyError, match="kind 0x01"):
        add_log(desk.state, desk.vkey.format(), None)
    small = VerifierKey.make("log.example/small", 1, bytes([1]) + bytes(31))
    with pytest.raises(InadmissibleKeyError, match="small order"):
        add_log(desk.state, small.format(), None)
    with pytest.raises(VerifierKeyError):
        add_log(desk.state, "log.example/none", None)


def test_a_map_aware_witness_must_know_where_a_log_is_read(tmp_path: Path, log: TileLog) -> None:
    state, _, _ = establish(tmp_path / "m.sqlite", tmp_path / "m.key", NAME, "map")
    with pytest.raises(WitnessSetupError, match="say where"):
        add_log(state, log.vkey, None)
    add_log(state, log.vkey, "https://log.example/log")
    assert add_log(state, log.vkey, None).url == "https://log.example/log"


# --- a machine that tries to lead it astray


class Astray(RuleBasedStateMachine):
    """Two histories of one log, which part at entry 6, both signed; requests of every kind.

    The machine notes what was ever cosigned. Whatever it is told: never two roots of one size,
    never a smaller size after a larger one, never a step between the two histories.
    """

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.logs = [TileLog(), TileLog()]
        self.logs[0].append(*numbered(0, 24))
        self.logs[1].append(*numbered(0, 6), *numbered(100, 118))
        self.desk = open_desk(self.folder, self.logs[0])
        self.roots: dict[int, bytes] = {}
        self.sizes: list[int] = []

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            shutil.rmtree(self.folder)

    def ask(self, old: int, proof: tuple[bytes, ...], note: bytes) -> None:
        try:
            accepted = self.desk.add(old, proof, note)
        except WitnessRefusal:
            return
        point = accepted.checkpoint
        assert self.roots.setdefault(point.size, point.root) == point.root
        self.sizes.append(point.size)

    @rule(told=st.integers(0, 1), size=st.integers(0, 24))
    def honest(self, told: int, size: int) -> None:
        log, old = self.logs[told], self.desk.size(self.logs[0])
        proof = log.proof(old, size) if old <= size else ()
        self.ask(old, proof, log.note(size))

    @rule(
        told=st.integers(0, 1),
        proved=st.integers(0, 1),
        old=st.integers(0, 24),
        ends=st.tuples(st.integers(0, 24), st.integers(0, 24)),
        size=st.integers(0, 24),
    )
    def any_request(
        self, told: int, proved: int, old: int, ends: tuple[int, int], size: int
    ) -> None:
        low, high = sorted(ends)
        self.ask(old, self.logs[proved].proof(low, high), self.logs[told].note(size))

    @rule(size=st.integers(0, 24), root=st.sampled_from([EMPTY_ROOT, b"\x07" * 32]))
    def any_root(self, size: int, root: bytes) -> None:
        log = self.logs[0]
        self.ask(self.desk.size(log), (), log.sign(size, root))

    @rule()
    def restart(self) -> None:
        self.desk = open_desk(self.folder)

    @invariant()
    def never_back(self) -> None:
        assert self.sizes == sorted(self.sizes)

    @invariant()
    def one_history(self) -> None:
        above = {size: root for size, root in self.roots.items() if size > 6}
        told = [all(log.root(size) == root for size, root in above.items()) for log in self.logs]
        # A made-up root may be cosigned from size 0 alone: nothing is known then.
        first = [size for size in self.sizes if size][:1]
        made_up = bool(first) and self.roots[first[0]] not in {
            log.root(first[0]) for log in self.logs
        }
        assert made_up or not above or any(told)


Astray.TestCase.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
TestNeverAstray = Astray.TestCase


def test_the_machine_would_notice(tmp_path: Path) -> None:
    """The two histories of the machine do part, and both are well signed."""
    first, second = TileLog(), TileLog()
    first.append(*numbered(0, 24))
    second.append(*numbered(0, 6), *numbered(100, 118))
    assert first.root(6) == second.root(6)
    assert first.root(7) != second.root(7)
    tree = MemoryTree()
    tree.extend(map(leaf_hash, second.entries))
    assert b64encode(tree.root()) in second.note()
    assert first.vkey == second.vkey
