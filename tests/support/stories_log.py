"""Good bundles of a log that changes: its key, its policy, its anchors, its second signature."""

from __future__ import annotations

from merkle.checkpoint import Checkpoint
from merkle.note import sign_note
from merkle.tree import root_of
from provenance.crypto.signing import NoteSigner
from provenance.domain.canonical import encode_base64
from tests.support.bundle_stories import ITEM, OTHER_ITEM, Made, cast, new_world, story, warn
from tests.support.bundles import (
    NOW,
    ORIGIN,
    START,
    Json,
    Published,
    World,
    bit_flipped,
    encode,
    make_key,
    policy_text,
    succession,
)
from tests.support.mldsa import mldsa_line, mldsa_vkey

FIRST, SECOND, THIRD = "log", "log, the second", "log, the third"


def made_world() -> World:
    """A mill and an item with one link."""
    world = new_world()
    (mill,) = cast(world, mill="producer")
    world.seal(mill, world.make(ITEM, at=START))
    return world


def with_members(published: Published, subject: str = ITEM, **members: object) -> bytes:
    return encode({**published.passport(subject), **members})


# --- the log's key passes on ----------------------------------------------------------------------


@story
def log_key_succeeded() -> Made:
    """Both keys sign while one passes to the other; the reader has pinned the old one."""
    published = made_world().publish(log_keys=[FIRST, SECOND])
    return Made(
        with_members(published, succession=[succession(FIRST, SECOND)]),
        tells={"warnings": [warn("log-key-succeeded", "succession[0]")]},
    )


@story
def log_key_succeeded_twice() -> Made:
    """Only the third key signs any more."""
    notes = [succession(FIRST, SECOND), succession(SECOND, THIRD)]
    return Made(
        with_members(made_world().publish(log_keys=[THIRD]), succession=notes),
        tells={"warnings": [warn("log-key-succeeded", f"succession[{i}]") for i in (0, 1)]},
    )


@story
def log_key_pinned_anew() -> Made:
    """A reader that has the new key alone need not know the old one, nor be warned."""
    return Made(
        with_members(
            made_world().publish(log_keys=[SECOND]), succession=[succession(FIRST, SECOND)]
        ),
        policy=policy_text(log_key=SECOND),
        tells={"warnings": []},
    )


@story
def log_key_both_pinned() -> Made:
    """A policy may have both keys of one log: then nothing has to be passed on."""
    return Made(
        with_members(
            made_world().publish(log_keys=[SECOND]), succession=[succession(FIRST, SECOND)]
        ),
        policy=policy_text(log_key=[FIRST, SECOND]),
        tells={"warnings": []},
    )


@story
def log_key_in_a_loop() -> Made:
    """Back to a key that is accepted already: passed over, however it is signed."""
    notes = [succession(FIRST, SECOND), succession(SECOND, FIRST, signed_by=[SECOND])]
    return Made(
        with_members(made_world().publish(log_keys=[SECOND]), succession=notes),
        tells={"warnings": [warn("log-key-succeeded", "succession[0]")]},
    )


@story
def log_key_notes_out_of_order() -> Made:
    """The notes are gone through once: the later step stands first and finds nothing to start."""
    notes = [succession(SECOND, THIRD), succession(FIRST, SECOND)]
    return Made(
        with_members(made_world().publish(log_keys=[SECOND]), succession=notes),
        tells={"warnings": [warn("log-key-succeeded", "succession[1]")]},
    )


# --- the policy that the platform proposes --------------------------------------------------------


@story
def policy_proposed_and_pinned() -> Made:
    """Order, comments and URLs are no difference; nor is another log that the reader knows."""
    lines = policy_text().splitlines()
    log, *rest = lines
    proposed = ["# as of today", *rest[:3], f"{log}  https://log.example/", *rest[3:]]
    foreign = NoteSigner("other.example/log", make_key("another log")).vkey.format()
    published = made_world().publish()
    return Made(
        with_members(published, policy="\n".join(proposed).replace("any", "1") + "\n"),
        policy=f"log {foreign}\n" + policy_text(),
        tells={"warnings": []},
    )


@story
def policy_that_differs() -> Made:
    """The platform would be content with its own clock."""
    return Made(
        with_members(made_world().publish(), policy=policy_text("clock")),
        tells={"warnings": [warn("policy-differs", "policy")]},
    )


@story
def policy_that_is_none() -> Made:
    return Made(
        with_members(made_world().publish(), policy="trust us\n"),
        tells={"warnings": [warn("policy-differs", "policy")]},
    )


# --- anchors --------------------------------------------------------------------------------------

TIME = "2026-11-20T08:00:00Z"


def stamp(note: str, consistency: tuple[bytes, ...] = (), time: str = TIME) -> Json:
    return {
        "kind": "rfc3161",
        "checkpoint": note,
        "consistency": [encode_base64(value) for value in consistency],
        "time": time,
        "proof": {"token": encode_base64(b"judged by others")},
    }


def deposit(note: str) -> Json:
    proof = {
        "chain": 31_337,
        "contract": "0x" + "5f" * 20,
        "transaction": "0x" + "Ab" * 32,
        "block": 12,
    }
    return {**stamp(note), "kind": "evm", "proof": proof}


def grown() -> tuple[Published, Published]:
    """Two states of one log, the later one the bundle's."""
    world = made_world()
    early = world.publish()
    (mill,) = cast(world, lab="laboratory")
    world.seal(mill, world.observe(ITEM, OTHER_ITEM))
    return early, world.publish()


@story
def anchored() -> Made:
    early, late = grown()
    anchors = [
        stamp(early.note, late.consistency(early.size)),
        deposit(late.note),
        stamp(early.note, late.consistency(early.size), "2026-11-21T09:30:00Z"),
    ]
    return Made(
        with_members(late, anchors=anchors),
        tells={
            "warnings": [],
            "anchors": [
                {"kind": "rfc3161", "size": early.size, "time": TIME},
                {"kind": "evm", "size": late.size, "time": TIME},
                {"kind": "rfc3161", "size": early.size, "time": "2026-11-21T09:30:00Z"},
            ],
        },
    )


@story
def anchors_of_other_things() -> Made:
    """Each is passed over with a word; the record stands without them."""
    early, late = grown()
    proof = late.consistency(early.size)
    text = early.note.partition("\n\n")[0] + "\n"
    foreign = Checkpoint("other.example/log", late.size, root_of(late.hashes))
    empty = Checkpoint(ORIGIN, 0, root_of([]))
    signers = [NoteSigner(ORIGIN, make_key(FIRST))]
    other = World().publish()
    return Made(
        with_members(
            late,
            anchors=[
                stamp(early.note, proof[:-1]),
                stamp(early.note, (bytes(32), *proof[1:])),
                stamp(other.note, late.consistency(other.size)[::-1]),
                stamp(sign_note(foreign.format(), signers).decode()),
                stamp(sign_note(text, [NoteSigner(ORIGIN, make_key(SECOND))]).decode(), proof),
                stamp(text, proof),
                stamp(sign_note(empty.format(), signers).decode()),
                deposit(late.note),
            ],
        ),
        tells={
            "warnings": [warn("anchor-unusable", f"anchors[{i}]") for i in range(7)],
            "anchors": [{"kind": "evm", "size": late.size, "time": TIME}],
        },
    )


@story
def absent_under_an_anchored_log() -> Made:
    """Absence has its log's warnings and anchors too, and no story."""
    early, late = grown()
    bundle = with_members(
        late,
        "https://id.gs1.org/01/09506000134352/21/NEVER",
        policy="",
        succession=[succession(FIRST, SECOND)],
        anchors=[stamp(early.note, late.consistency(early.size)), stamp("no note")],
    )
    return Made(
        bundle,
        record="absent",
        tells={
            "warnings": [
                warn("log-key-succeeded", "succession[0]"),
                warn("policy-differs", "policy"),
                warn("anchor-unusable", "anchors[1]"),
            ],
            "anchors": [{"kind": "rfc3161", "size": early.size, "time": TIME}],
        },
    )


# --- evidence that proves nothing -----------------------------------------------------------------


def worthless() -> tuple[Published, list[Json]]:
    """A state, and evidence against its log that anybody could make up."""
    early, late = grown()
    good = late.fork_from(early).to_json()
    forged = made_world()
    forged.log_key = "a forger"
    elsewhere = World(origin="other.example/log", log_key=FIRST)
    text, _, line = late.note.partition("\n\n")
    head, _, signature = line.split("\n")[0].rpartition(" ")
    return late, [
        good,
        {**good, "root": encode_base64(bytes(32))},
        {**good, "root": None, "proof": []},
        late.fork_from(late).to_json(),
        late.fork_from(forged.publish()).to_json(),
        {**late.fork_from(elsewhere.publish()).to_json(), "proof": []},
        {**good, "second": f"{text}\n\n{head} {bit_flipped(signature, 40)}\n"},
        {**good, "origin": "other.example/log"},
    ]


@story
def forks_that_prove_nothing() -> Made:
    published, forks = worthless()
    return Made(with_members(published, forks=forks), tells={"warnings": []})


@story
def known_states_that_prove_nothing() -> Made:
    """A state seen before, one of another size, a stranger's: none conflicts with the bundle's."""
    early, late = grown()
    published, forks = worthless()
    assert published.note == late.note
    forged = late.note.replace("\n\n", "x\n\n", 1)
    return Made(
        with_members(late),
        known=[late.note, early.note, World().publish().note, forged, "no note", *forks],
        tells={"warnings": []},
    )


# --- post-quantum lines ---------------------------------------------------------------------------


def quantum_policy(*, ed25519: bool = True, witness: bool = False) -> str:
    """The usual policy with the log's post-quantum key, beside the other or alone."""
    log, *rest = policy_text("pq" if witness else "enough").splitlines()
    lines = [log] if ed25519 else []
    lines.append(f"log {mldsa_vkey(ORIGIN).format()}")
    if witness:
        lines.append(f"witness pq {mldsa_vkey('quantum.example/w1').format()}")
    return "\n".join([*lines, *rest]) + "\n"


@story
def post_quantum_line() -> Made:
    return Made(with_members(made_world().publish(mldsa=True)), policy=quantum_policy())


@story
def post_quantum_line_missing() -> Made:
    """One good line by the log is enough, whichever it is."""
    return Made(with_members(made_world().publish()), policy=quantum_policy())


@story
def post_quantum_log_alone() -> Made:
    return Made(
        with_members(made_world().publish(mldsa=True)),
        policy=quantum_policy(ed25519=False),
        without_mldsa=("refused", "checkpoint-signature", "checkpoint"),
    )


@story
def post_quantum_witness() -> Made:
    published = made_world().publish(mldsa=True)
    text = published.note.partition("\n\n")[0] + "\n"
    published.note += mldsa_line("quantum.example/w1", text.encode(), NOW - 30).format()
    return Made(
        with_members(published),
        policy=quantum_policy(witness=True),
        tells={
            "log": {
                "origin": ORIGIN,
                "size": published.size,
                "asOf": "2026-11-23T14:59:30Z",
                "cosigners": ["clock", "harbour", "pq"],
            }
        },
        without_mldsa=("refused", "quorum-missing", "checkpoint"),
    )
