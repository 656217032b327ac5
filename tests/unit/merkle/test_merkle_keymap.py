"""The map against a slow trie written from its definition, and every byte of its proofs."""

from __future__ import annotations

import hashlib
import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merkle.errors import ArgumentError, MapProofError
from merkle.hashing import EMPTY_ROOT
from merkle.keymap import (
    KeyMap,
    PartialMap,
    _Subtree,
    verify_absence,
    verify_presence,
    verify_transition,
)


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def bit(key: bytes, b: int) -> str:
    return f"{int.from_bytes(key, 'big'):0256b}"[b]


def varint(n: int) -> bytes:
    out = b""
    while n >= 128:
        out += bytes([n % 128 + 128])
        n //= 128
    return out + bytes([n])


class SlowTrie:
    """The trie of a set of entries, straight from the definition: no state but the set."""

    def __init__(self, entries: dict[bytes, bytes]) -> None:
        self.entries = entries

    def root(self) -> bytes:
        return self.hash(sorted(self.entries)) if self.entries else sha(b"")

    def hash(self, keys: list[bytes]) -> bytes:
        if len(keys) == 1:
            key = keys[0]
            value = self.entries[key]
            return sha(b"\x00" + varint(32) + key + varint(32) + value)
        b, left, right = self.divide(keys)
        return sha(b"\x01" + varint(b) + self.hash(left) + self.hash(right))

    def divide(self, keys: list[bytes]) -> tuple[int, list[bytes], list[bytes]]:
        b = next(b for b in range(256) if len({bit(key, b) for key in keys}) == 2)
        return b, [k for k in keys if bit(k, b) == "0"], [k for k in keys if bit(k, b) == "1"]

    def proof(self, key: bytes) -> bytes:
        """Presence or absence proof."""
        keys, steps = sorted(self.entries), []
        while len(keys) > 1:
            b, left, right = self.divide(keys)
            keys, other = (left, right) if bit(key, b) == "0" else (right, left)
            steps.insert(0, varint(b) + self.hash(other))
        if keys and keys != [key]:
            found = keys[0]
            steps.insert(0, varint(32) + found + varint(32) + self.entries[found])
        return b"".join(steps)


def spread(*numbers: int) -> list[bytes]:
    """Keys whose bits differ early and late: a number's bits at both ends of the key."""
    return [bytes([n << 5 & 0xE0]) + bytes(30) + bytes([n]) for n in numbers]


KEYS = st.one_of(
    st.binary(min_size=32, max_size=32),
    st.integers(0, 2**256 - 1).map(lambda n: n.to_bytes(32, "big")),
    st.integers(0, 255).map(lambda n: (1 << n).to_bytes(32, "big")),  # deep and thin tries
    st.integers(0, 40).map(lambda n: sha(b"%d" % n)),
)
VALUES = st.binary(min_size=32, max_size=32)
ENTRIES = st.dictionaries(KEYS, VALUES, max_size=24)


@given(ENTRIES, st.randoms(use_true_random=False), KEYS)
def test_the_map_is_the_trie_of_its_definition(entries, randomness, stranger):
    slow = SlowTrie(entries)
    order = list(entries.items())
    randomness.shuffle(order)
    one_by_one = KeyMap()
    for count, (key, value) in enumerate(order):
        assert len(one_by_one) == count
        one_by_one.set(key, bytes(32))
        one_by_one.set(key, value)
    at_once = KeyMap()
    at_once.update(order)
    built = KeyMap.build(order)
    for whole in (one_by_one, at_once, built):
        assert whole.root() == slow.root(), "whatever the order and the way"
        assert len(whole) == len(entries)
        assert list(whole.items()) == sorted(entries.items())
        for key in [*entries, stranger]:
            assert whole.get(key) == entries.get(key)
            assert (key in whole) == (key in entries)
            assert whole.prove(key) == slow.proof(key)
            judge(whole.root(), key, entries.get(key), whole.prove(key))


def judge(root, key, value, proof):
    if value is None:
        verify_absence(root, key, proof)
    else:
        verify_presence(root, key, value, proof)


def refused(root, key, value, proof):
    try:
        judge(root, key, value, proof)
    except MapProofError:
        return True
    return False


def test_every_set_of_three_bit_keys_proves_every_key():
    """All 256 sets out of eight keys: each key is proved to be what it is, and nothing else."""
    keys = spread(*range(8))
    for size in range(9):
        for chosen in itertools.combinations(keys, size):
            entries = {key: sha(key) for key in chosen}
            whole = KeyMap.build(entries.items())
            slow = SlowTrie(entries)
            root = whole.root()
            assert root == slow.root()
            for key in keys:
                proof = whole.prove(key)
                assert proof == slow.proof(key)
                judge(root, key, entries.get(key), proof)
                claim_of_the_contrary = None if key in entries else sha(key)
                for other in keys:
                    assert refused(root, key, claim_of_the_contrary, whole.prove(other))
                assert refused(root, key, sha(b"another value"), proof)


def test_every_tampered_byte_of_a_proof_is_refused():
    entries = {sha(b"k%d" % i): sha(b"v%d" % i) for i in range(40)}
    entries |= {bytes(31) + b"\x01": sha(b"deep"), bytes(32): sha(b"deeper")}  # bit 255: two bytes
    whole = KeyMap.build(entries.items())
    root = whole.root()
    claims = [(key, entries[key]) for key in sorted(entries)[:8]]
    claims += [(sha(b"absent %d" % i), None) for i in range(6)] + [(bytes(31) + b"\x02", None)]
    seen = 0
    for key, value in claims:
        proof = whole.prove(key)
        judge(root, key, value, proof)
        variants = [proof[:cut] for cut in range(len(proof))]
        variants += [proof + b"\x00", b"\x00" + proof, proof + proof, proof[::-1]]
        for place in range(len(proof)):
            for mask in (1, 0x80, 0xFF):
                changed = bytes([proof[place] ^ mask])
                variants.append(proof[:place] + changed + proof[place + 1 :])
            variants.append(proof[:place] + proof[place + 1 :])
            variants.append(proof[:place] + b"\x00" + proof[place:])
        for variant in variants:
            assert variant == proof or refused(root, key, value, variant)
            seen += 1
        assert refused(sha(b"another root"), key, value, proof)
    assert seen > 10_000


def test_padded_and_endless_varints_are_refused():
    entries = {spread(n)[0]: sha(b"%d" % n) for n in range(4)}
    whole = KeyMap.build(entries.items())
    key = spread(0)[0]
    proof = whole.prove(key)
    first = proof[0]
    judge(whole.root(), key, entries[key], proof)
    for padded in (
        bytes([first | 0x80, 0]),
        bytes([first | 0x80, 0x80, 0]),
        bytes([first | 0x80, 2]),
        bytes([first | 0x80]),
        b"\xff" * 10,
    ):
        with pytest.raises(MapProofError):
            verify_presence(whole.root(), key, entries[key], padded + proof[1:])
    for ending in (b"\x80", b"\x00", b"\x80\x01"):
        with pytest.raises(MapProofError):
            verify_presence(whole.root(), key, entries[key], proof + ending)
    absent = spread(7)[0]
    absence = whole.prove(absent)
    assert absence[:1] == b"\x20"
    for padded in (b"\xa0\x00", b"\x1f", b"\x21"):
        with pytest.raises(MapProofError, match=r"not of 32 bytes each"):
            verify_absence(whole.root(), absent, padded + absence[1:])


def test_bits_must_strictly_fall():
    keys = spread(0, 1, 2, 3)
    whole = KeyMap.build((key, sha(key)) for key in keys)
    proof = whole.prove(keys[0])
    steps = [proof[i : i + 33] for i in range(0, len(proof), 33)]
    assert len(steps) == 2
    with pytest.raises(MapProofError, match="does not stand below"):
        verify_presence(whole.root(), keys[0], sha(keys[0]), steps[1] + steps[0])
    with pytest.raises(MapProofError, match="does not stand below"):
        verify_presence(whole.root(), keys[0], sha(keys[0]), steps[0] + steps[0])


def test_the_empty_map():
    empty = KeyMap()
    assert empty.root() == KeyMap.build([]).root() == EMPTY_ROOT
    assert len(empty) == 0
    assert list(empty.items()) == []
    assert empty.get(bytes(32)) is None
    assert empty.prove(bytes(32)) == b""
    verify_absence(EMPTY_ROOT, bytes(32), b"")
    with pytest.raises(MapProofError, match="the map is not empty"):
        verify_absence(sha(b"any other"), bytes(32), b"")
    with pytest.raises(MapProofError):
        verify_presence(EMPTY_ROOT, bytes(32), bytes(32), b"")


def test_a_map_of_one_has_an_empty_presence_proof():
    whole = KeyMap.build([(bytes(32), sha(b"v"))])
    assert whole.prove(bytes(32)) == b""
    verify_presence(whole.root(), bytes(32), sha(b"v"), b"")
    with pytest.raises(MapProofError, match="shows the key itself"):
        verify_absence(whole.root(), bytes(32), b"\x20" + bytes(32) + b"\x20" + sha(b"v"))


def test_an_absence_proof_must_end_where_the_search_ends():
    """The entry of another branch is true, and says nothing about this key."""
    keys = spread(0, 7)
    whole = KeyMap.build((key, sha(key)) for key in keys)
    absent = spread(1)[0]
    honest = whole.prove(absent)
    verify_absence(whole.root(), absent, honest)
    wrong_branch = b"\x20" + keys[1] + b"\x20" + sha(keys[1]) + whole.prove(keys[1])
    with pytest.raises(MapProofError, match="turns away at bit 0"):
        verify_absence(whole.root(), absent, wrong_branch)


@pytest.mark.parametrize("size", [0, 1, 31, 33])
def test_other_sizes_are_refused(size):
    bad, good = bytes(size), bytes(32)
    whole = KeyMap()
    for call in (
        lambda: whole.set(bad, good),
        lambda: whole.set(good, bad),
        lambda: whole.update([(sha(b"fine"), good), (bad, good)]),
        lambda: KeyMap.build([(bad, good)]),
        lambda: whole.get(bad),
        lambda: whole.prove(bad),
        lambda: whole.prove_transition([bad]),
        lambda: PartialMap.read(EMPTY_ROOT, [bad], b""),
        lambda: verify_transition(EMPTY_ROOT, [(bad, good)], b""),
    ):
        with pytest.raises(ArgumentError, match=f"expected 32 bytes, found {size}"):
            call()
    assert len(whole) == 0, "a refused batch changes nothing"
    for call in (
        lambda: verify_presence(bad, good, good, b""),
        lambda: verify_presence(good, bad, good, b""),
        lambda: verify_presence(good, good, bad, b""),
        lambda: verify_absence(bad, good, b""),
        lambda: verify_absence(good, bad, b""),
        lambda: verify_transition(bad, [], b""),
    ):
        with pytest.raises(MapProofError, match=f"expected 32 bytes, found {size}"):
            call()


# --- transitions


def changed(entries, items):
    after = KeyMap.build(entries.items())
    after.update(items)
    return after.root()


@given(ENTRIES, st.lists(st.tuples(KEYS, VALUES), max_size=8), st.data())
def test_a_transition_proof_gives_the_new_root(entries, items, data):
    if entries:
        known = data.draw(st.lists(st.sampled_from(sorted(entries)), max_size=4))
        items = items + [(key, data.draw(VALUES)) for key in known]
    whole = KeyMap.build(entries.items())
    old = whole.root()
    proof = whole.prove_transition(key for key, _ in items)
    assert proof == whole.prove_transition(dict(items))
    new = verify_transition(old, items, proof)
    assert whole.root() == old, "proving changes nothing"
    whole.update(items)
    assert new == whole.root() == SlowTrie(entries | dict(items)).root()


def test_every_transition_of_three_bit_keys():
    keys = spread(*range(8))
    for size in range(9):
        for chosen in itertools.combinations(keys, size):
            entries = {key: sha(key) for key in chosen}
            whole = KeyMap.build(entries.items())
            for key, other in itertools.combinations(keys, 2):
                items = [(key, sha(b"new")), (other, sha(b"newer"))]
                proof = whole.prove_transition(key for key, _ in items)
                expected = SlowTrie(entries | dict(items)).root()
                assert verify_transition(whole.root(), items, proof) == expected


def transition():
    entries = {sha(b"k%d" % i): sha(b"v%d" % i) for i in range(60)}
    entries |= {bytes(31) + b"\x01": sha(b"deep"), bytes(32): sha(b"deeper")}
    whole = KeyMap.build(entries.items())
    items = [
        (sha(b"k3"), sha(b"new")),
        (sha(b"first"), sha(b"x")),
        (bytes(31) + b"\x02", sha(b"y")),
    ]
    return entries, whole, items


def test_every_tampered_byte_of_a_transition_proof_is_refused():
    _, whole, items = transition()
    old, proof = whole.root(), whole.prove_transition(key for key, _ in items)
    variants = [proof[:cut] for cut in range(len(proof))]
    variants += [proof + b"\x00", proof + proof, b"\x02" + old]
    for place in range(len(proof)):
        for mask in (1, 2, 3, 0x80, 0xFF):
            changed_byte = bytes([proof[place] ^ mask])
            variants.append(proof[:place] + changed_byte + proof[place + 1 :])
        variants.append(proof[:place] + proof[place + 1 :])
        variants.append(proof[:place] + b"\x00" + proof[place:])
    assert len(variants) > 5_000
    for variant in variants:
        with pytest.raises(MapProofError):
            verify_transition(old, items, variant)
    with pytest.raises(MapProofError, match="does not lead to the old map root"):
        verify_transition(sha(b"another root"), items, proof)


def test_other_items_need_another_proof():
    """The proof enters exactly the searches of its keys: one key less or more is noticed."""
    _, whole, items = transition()
    old, proof = whole.root(), whole.prove_transition(key for key, _ in items)
    with pytest.raises(MapProofError, match="runs into a subtree hash"):
        verify_transition(old, [*items, (sha(b"k4"), sha(b"sneaked in"))], proof)
    with pytest.raises(MapProofError, match="no key's search enters"):
        verify_transition(old, items[1:], proof)
    other_values = [(key, sha(b"other")) for key, _ in items]
    assert verify_transition(old, other_values, proof) != verify_transition(old, items, proof)


@given(ENTRIES, st.lists(KEYS, max_size=8), st.lists(VALUES, min_size=8, max_size=8))
def test_a_partial_map_answers_for_its_keys_as_the_whole_map_does(entries, strangers, values):
    whole = KeyMap.build(entries.items())
    searched = strangers + sorted(entries)[:4]
    partial = PartialMap.read(whole.root(), searched, whole.prove_transition(searched))
    for key in searched:
        assert partial.get(key) == entries.get(key)
    assert partial.root() == whole.root()
    assert partial.added == 0
    for key, value in zip(searched, values, strict=False):  # one by one, some of them
        partial.update([(key, value)])
        whole.set(key, value)
        assert partial.get(key) == value
        assert partial.root() == whole.root()
        assert partial.added == len(whole) - len(entries)


def test_a_partial_map_knows_nothing_of_other_keys():
    entries, whole, items = transition()
    searched = [key for key, _ in items]
    partial = PartialMap.read(whole.root(), searched, whole.prove_transition(searched))
    for stranger in (sha(b"k4"), sha(b"never seen")):
        with pytest.raises(ArgumentError, match=f"was not read for the key {stranger.hex()}"):
            partial.get(stranger)
        with pytest.raises(ArgumentError, match=f"was not read for the key {stranger.hex()}"):
            partial.update([*items, (stranger, sha(b"v"))])
    assert partial.root() == whole.root(), "a refused batch changes nothing"
    assert partial.get(searched[0]) == entries[searched[0]]


def test_a_partial_map_itself_refuses_to_guess_below_a_subtree_hash():
    partial = KeyMap()
    partial._root = _Subtree(sha(b"unknown below"))
    with pytest.raises(MapProofError, match="runs into a subtree hash"):
        partial.set(bytes(32), bytes(32))
    assert partial.get(bytes(32)) is None
    assert partial.root() == sha(b"unknown below")


def test_a_left_out_or_changed_item_gives_another_root():
    entries, whole, items = transition()
    old = whole.root()
    true_root = changed(entries, items)
    for cut in range(len(items)):
        fewer = items[:cut] + items[cut + 1 :]
        assert (
            verify_transition(old, fewer, whole.prove_transition(key for key, _ in fewer))
            != true_root
        )


def test_a_transition_of_nothing_keeps_the_root():
    _, whole, _ = transition()
    assert verify_transition(whole.root(), [], whole.prove_transition([])) == whole.root()
    assert verify_transition(EMPTY_ROOT, [], b"") == EMPTY_ROOT
    items = [(bytes(32), sha(b"v"))]
    assert KeyMap().prove_transition(key for key, _ in items) == b""
    assert verify_transition(EMPTY_ROOT, items, b"") == KeyMap.build(items).root()
    with pytest.raises(MapProofError):
        verify_transition(EMPTY_ROOT, [], b"\x02" + EMPTY_ROOT[:-1])


def test_malformed_tries_are_refused_by_reason():
    left, right = spread(0, 4)  # differ at bit 0
    leaf_l, leaf_r = b"\x00" + left + sha(b"l"), b"\x00" + right + sha(b"r")
    items = [(left, sha(b"1")), (right, sha(b"2"))]
    for proof, reason in [
        (b"\x01\x00" + leaf_r + leaf_l, "wrong side at bit 0"),
        (b"\x01\x00" + b"\x01\x00" + leaf_l + leaf_l + leaf_r, "bit 0 stands below bit 0"),
        (b"\x01\x80\x00" + leaf_l + leaf_r, "shortest varint"),
        (b"\x01\x80\x02" + leaf_l + leaf_r, "shortest varint"),
        (b"\x01", "shortest varint"),
        (b"\x03" + leaf_l, "runs into"),
        (b"\x01\x00" + leaf_l + leaf_r + b"\x00", "goes on for 1 bytes"),
        (b"\x01\x00" + leaf_l + leaf_r[:-1], "ends early"),
        (b"\x01\x00" + leaf_l + b"\x02" + sha(b"?"), "runs into a subtree hash"),
    ]:
        with pytest.raises(MapProofError, match=reason):
            verify_transition(sha(b"root"), items, proof)


def test_leaves_read_back_and_come_in_order():
    entries = {sha(b"%d" % i): sha(b"v%d" % i) for i in range(50)}
    whole = KeyMap.build(entries.items())
    leaves = list(whole.leaves())
    assert leaves == [key + value for key, value in sorted(entries.items())]
    again = KeyMap.of_leaves(leaves)
    assert (again.root(), len(again)) == (whole.root(), 50)
    assert list(again.items()) == sorted(entries.items())
    assert KeyMap.of_leaves([]).root() == EMPTY_ROOT
    for wrong in ([leaves[1], leaves[0]], [leaves[0], leaves[0]], [*leaves[:9], leaves[3]]):
        with pytest.raises(ArgumentError, match="stands out of order"):
            KeyMap.of_leaves(wrong)


def test_a_batch_hashes_each_touched_node_once(monkeypatch):
    import merkle.keymap as module  # noqa: PLC0415

    counted = []
    inner = module.inner_hash
    monkeypatch.setattr(
        module, "inner_hash", lambda *args: (counted.append(args[0]), inner(*args))[1]
    )
    whole = KeyMap.build((sha(b"%d" % i), sha(b"v")) for i in range(4096))
    whole.root()
    assert len(counted) == 4095
    counted.clear()
    whole.update((sha(b"%d" % i), sha(b"w")) for i in range(1000))
    whole.root()
    assert len(counted) < 4095
    alone = len(counted)
    counted.clear()
    whole.root()
    whole.update((sha(b"%d" % i), sha(b"w")) for i in range(1000))
    assert counted == [], "nothing changed, nothing hashed"
    for i in range(1000):
        whole.set(sha(b"%d" % i), sha(b"x"))
        whole.root()
    assert len(counted) > 4 * alone, "one by one costs a path each"


def test_a_large_map_stays_the_same_trie_under_random_work():
    randomness = random.Random(7)
    entries: dict[bytes, bytes] = {}
    whole = KeyMap()
    for _ in range(30):
        batch = [
            (sha(b"%d" % randomness.randrange(3000)), randomness.randbytes(32)) for _ in range(100)
        ]
        proof = whole.prove_transition(key for key, _ in batch)
        expected = verify_transition(whole.root(), batch, proof)
        whole.update(batch)
        entries |= dict(batch)
        assert whole.root() == expected == KeyMap.build(entries.items()).root()
    assert len(whole) == len(entries)
