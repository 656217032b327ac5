"""The policy file: every rule of C2SP tlog-policy, and what reaches a quorum."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merkle.cosignature import CosignatureVerifier, SubtreeVerifier
from merkle.errors import PolicyError
from merkle.note import (
    KIND_COSIGNATURE,
    KIND_ED25519,
    KIND_MLDSA,
    Ed25519Verifier,
    NoteSignature,
    VerifierKey,
)
from merkle.policy import Group, Policy


def vkey(name: str, kind: int, number: int) -> str:
    size = 1312 if kind == KIND_MLDSA else 32
    return VerifierKey.make(name, kind, bytes([number] * size)).format()


LOG = vkey("log.example", KIND_ED25519, 1)
LOG_2 = vkey("log2.example", KIND_ED25519, 2)
W = [vkey(f"w{i}.example/key", KIND_COSIGNATURE, 10 + i) for i in range(6)]
PQ = vkey("pq.example", KIND_MLDSA, 20)
WITNESSES = "".join(f"witness w{i} {key}\n" for i, key in enumerate(W))

FULL = f"""\
# who we trust
   # indented, still a comment

log {LOG} https://log.example/
log\t{LOG_2}
 witness \t w0 {W[0]}   https://w0.example/
witness w1 {W[1]}
witness w2 {W[2]}
group europe 2 w0 w1 w2
witness w3 {W[3]}
witness pq {PQ}
group asia any w3 pq
group world all europe asia
quorum world
"""


def test_a_whole_policy_is_read():
    policy = Policy.parse(FULL)
    assert [(log.origin, log.url) for log in policy.logs] == [
        ("log.example", "https://log.example/"),
        ("log2.example", None),
    ]
    assert [(w.name, w.key.name, w.url) for w in policy.witnesses] == [
        ("w0", "w0.example/key", "https://w0.example/"),
        ("w1", "w1.example/key", None),
        ("w2", "w2.example/key", None),
        ("w3", "w3.example/key", None),
        ("pq", "pq.example", None),
    ]
    assert policy.groups == (
        Group("europe", 2, ("w0", "w1", "w2")),
        Group("asia", 1, ("w3", "pq")),
        Group("world", 2, ("europe", "asia")),
    )
    assert policy.quorum == "world"
    assert Policy.parse(policy.format()) == Policy.parse(FULL.encode()) == policy


def test_the_smallest_policies():
    assert Policy.parse("quorum none\n") == Policy()
    assert Policy().format() == "quorum none\n"
    assert Policy.parse(f"witness w {W[0]}\nquorum w\n").quorum == "w"


def test_a_key_leads_to_its_witness_and_an_origin_to_its_logs():
    policy = Policy.parse(FULL)
    key = policy.witnesses[1].key
    assert policy.witness_of(NoteSignature(key.name, key.key_id, b"")) == policy.witnesses[1]
    assert policy.witness_of(NoteSignature(key.name, bytes(4), b"")) is None
    assert policy.witness_of(NoteSignature("w1", key.key_id, b"")) is None
    assert policy.log_named("log2.example") == (policy.logs[1],)
    assert policy.log_named("log3.example") == ()


def test_verifiers_fit_the_kinds_of_keys():
    policy = Policy.parse(FULL)

    def verify(_key: bytes, _message: bytes, _signature: bytes) -> bool:
        return False

    assert [type(v) for v in policy.log_verifiers("log.example", verify)] == [Ed25519Verifier]
    assert policy.log_verifiers("elsewhere.example", verify) == []
    assert [type(v) for v in policy.witness_verifiers(verify)] == [CosignatureVerifier] * 4
    assert type(policy.witness_verifiers(verify, verify)[-1]) is SubtreeVerifier


def test_one_log_may_have_a_key_of_each_kind():
    post_quantum = vkey("log.example", KIND_MLDSA, 3)
    policy = Policy.parse(f"log {LOG}\nlog {post_quantum}\nquorum none\n")
    assert len(policy.log_named("log.example")) == 2


REFUSED = [  # text, line, expected, found, remedy
    ("", None, "a quorum line", "none", "add"),
    (f"log {LOG}\n", None, "a quorum line", "none", "add"),
    ("quorum none", 1, "a newline", "end of the file", "end the line"),
    ("# c\nquorum none\n# c", 3, "a newline", "end of the file", "end the line"),
    ("quorum none\r\n", 1, "octets", "octet 0D", "LF"),
    ("\nquorum\x00none\n", 2, "octets", "octet 00", "remove"),
    ("# a comment\x7f\nquorum none\n", 1, "octets", "octet 7F", "remove"),
    ("quorum none\nquorum none\n", 2, "one quorum line", "first on line 1", "remove one"),
    ("quorum\n", 1, "quorum <name | none>", "0 items", "that form"),
    ("quorum none none\n", 1, "quorum <name | none>", "2 items", "that form"),
    ("quorum w\n", 1, "a name defined on a line before", "'w'", "add its witness"),
    (f"quorum w\nwitness w {W[0]}\n", 1, "a name defined", "'w'", "above"),
    ("Quorum none\n", 1, "log, witness, group or quorum", "'Quorum'", "comment"),
    ("logs x\nquorum none\n", 1, "log, witness, group or quorum", "'logs'", "correct"),
    ("log\nquorum none\n", 1, "log <vkey>", "0 items", "that form"),
    (f"log {LOG} u v\nquorum none\n", 1, "log <vkey>", "3 items", "that form"),
    ("log rubbish\nquorum none\n", 1, "a verifier key", "rubbish", "copy"),
    (f"log {W[0]}\nquorum none\n", 1, "kind 0x01 or 0x06", "kind 0x04", "ask its owner"),
    (f"log {LOG}\nlog {LOG}\nquorum none\n", 2, "a log key of its own", "log.example", "remove"),
    (
        f"log {LOG}\nlog {vkey('other.example', KIND_ED25519, 1)}\nquorum none\n",
        2, "a log key of its own", "log.example", "remove",
    ),
    (f"witness {W[0]}\nquorum none\n", 1, "witness <name> <vkey>", "1 items", "that form"),
    (f"witness w {W[0]} u v\nquorum none\n", 1, "witness <name> <vkey>", "4 items", "that form"),
    (f"witness w {LOG}\nquorum none\n", 1, "kind 0x04 or 0x06", "kind 0x01", "ask its owner"),
    (f"witness w {W[0][:-4]}\nquorum w\n", 1, "a verifier key", "w0.example", "copy"),
    (
        f"witness a {W[0]}\nwitness b {W[0]}\nquorum a\n",
        2, "a witness key of its own", "w0.example", "remove",
    ),
    (
        f"witness a {W[0]}\nwitness b {vkey('renamed', KIND_COSIGNATURE, 10)}\nquorum a\n",
        2, "a witness key of its own", "w0.example", "remove",
    ),
    (f"witness a {W[0]}\nwitness a {W[1]}\nquorum a\n", 2, "a new name", "line 1", "another name"),
    (f"witness none {W[0]}\nquorum none\n", 1, "other than none", "none", "another"),
    (WITNESSES + "group none any w0\nquorum none\n", 7, "other than none", "none", "another"),
    (WITNESSES + "group w0 any w1\nquorum w0\n", 7, "a new name", "line 1", "another name"),
    (WITNESSES + "group g any\nquorum g\n", 7, "group <name>", "2 items", "that form"),
    (WITNESSES + "group g 0 w0\nquorum g\n", 7, "from 1 to 1", "'0'", "threshold"),
    (WITNESSES + "group g 3 w0 w1\nquorum g\n", 7, "from 1 to 2", "'3'", "threshold"),
    (WITNESSES + "group g 01 w0 w1\nquorum g\n", 7, "from 1 to 2", "'01'", "threshold"),
    (WITNESSES + "group g +1 w0 w1\nquorum g\n", 7, "from 1 to 2", "'+1'", "threshold"),
    (WITNESSES + "group g ALL w0 w1\nquorum g\n", 7, "from 1 to 2", "'ALL'", "threshold"),
    (WITNESSES + f"group g {'9' * 5000} w0\nquorum g\n", 7, "from 1 to 1", "'999", "threshold"),
    (WITNESSES + "group g all w0 w9\nquorum g\n", 7, "a name defined", "'w9'", "above"),
    (WITNESSES + "group g all w0 g\nquorum g\n", 7, "a name defined", "'g'", "above"),
    (WITNESSES + "group g all w0 none\nquorum g\n", 7, "a name defined", "'none'", "above"),
    (WITNESSES + "group g 1 w0 w0\nquorum g\n", 7, "a member once", "'w0'", "one group only"),
    (
        WITNESSES + "group g any w0 w1\ngroup h any w2 w1\nquorum g\n",
        8, "a member once", "'w1' again (first in group 'g')", "one group only",
    ),
    (
        WITNESSES + "group g any w0\ngroup h any g\ngroup i any g\nquorum i\n",
        9, "a member once", "'g'", "one group only",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "expected", "found", "remedy"), REFUSED)
def test_every_broken_rule_names_line_expected_found_and_remedy(
    text, line, expected, found, remedy
):
    with pytest.raises(PolicyError) as told:
        Policy.parse(text)
    error = told.value
    assert error.line == line
    assert expected in error.expected
    assert found in error.found
    assert remedy in error.remedy
    for part in (error.expected, error.found, error.remedy):
        assert part in str(error)
    assert (f"line {line}" in str(error)) == (line is not None)


def test_names_are_opaque_octets():
    raw = b"witness \xff\xfe " + W[0].encode() + "\nwitness w\u00a0x ".encode() + W[1].encode()
    policy = Policy.parse(raw + b"\ngroup g all \xff\xfe w\xc2\xa0x\nquorum g\n")
    names = [w.name for w in policy.witnesses]
    assert [n.encode("utf-8", "surrogateescape") for n in names] == [b"\xff\xfe", b"w\xc2\xa0x"]
    assert Policy.parse(policy.format()) == policy
    assert policy.is_satisfied(names)


def test_many_logs_witnesses_and_groups_are_supported():
    lines = [f"log {vkey(f'l{i}', KIND_ED25519, i)}" for i in range(40)]
    lines += [f"witness w{i} {vkey(f'k{i}', KIND_COSIGNATURE, i)}" for i in range(200)]
    lines += ["group g0 any w0"]
    lines += [f"group g{i} all g{i - 1} w{i}" for i in range(1, 200)]  # deeper than recursion likes
    policy = Policy.parse("\n".join([*lines, "quorum g199"]) + "\n")
    everyone = {f"w{i}" for i in range(200)}
    assert policy.is_satisfied(everyone)
    for missing in ("w0", "w1", "w100", "w199"):
        assert not policy.is_satisfied(everyone - {missing})


def test_a_quorum_of_groups_by_its_truth_table():
    policy = Policy.parse(FULL)
    names = ["w0", "w1", "w2", "w3", "pq"]
    for size in range(6):
        for chosen in itertools.combinations(names, size):
            europe = sum(name in chosen for name in ("w0", "w1", "w2")) >= 2
            asia = "w3" in chosen or "pq" in chosen
            assert policy.is_satisfied(chosen) == (europe and asia)
            assert policy.is_satisfied([*chosen, "stranger", "europe", "asia", "world"]) == (
                europe and asia
            ), "a group's name, or a stranger's, is no cosignature"


def test_a_quorum_of_one_witness_and_of_none():
    one = Policy.parse(WITNESSES + "quorum w1\n")
    assert one.is_satisfied({"w1"})
    assert not one.is_satisfied({"w0", "w2"})
    assert Policy.parse("quorum none\n").is_satisfied(())


def test_the_latest_time_by_example():
    policy = Policy.parse(WITNESSES + "group g 2 w0 w1 w2\nquorum g\n")
    assert policy.latest_time({"w0": 10, "w1": 20, "w2": 30}) == 20
    assert policy.latest_time({"w0": 10, "w1": 10}) == 10
    assert policy.latest_time({"w0": 10, "w3": 99}) is None
    assert policy.latest_time({"w0": 10, "stranger": 99, "w2": 5}) == 5
    assert policy.latest_time({}) is None
    assert Policy.parse("quorum none\n").latest_time({"w0": 10}) is None


@given(
    st.dictionaries(st.sampled_from([f"w{i}" for i in range(6)]), st.integers(0, 8)),
    st.sampled_from(
        ["quorum w2\n", "group g 3 w0 w1 w2 w3\nquorum g\n",
         "group a any w0 w1\ngroup b 2 w2 w3 w4\ngroup c all a b\nquorum c\n"]
    ),
)  # fmt: skip
def test_the_latest_time_is_the_last_moment_that_still_has_a_quorum(times, rest):
    policy = Policy.parse(WITNESSES + rest)
    reached = [
        t for t in range(10) if policy.is_satisfied({n for n, at in times.items() if at >= t})
    ]
    assert policy.latest_time(times) == (max(reached) if reached else None)
