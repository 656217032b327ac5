"""Bundles of a log that forked, or whose key the wrong hand passed on: steps 5a, 5b and 6a."""

from __future__ import annotations

from merkle.note import KIND_MLDSA, sign_note
from provenance.crypto.signing import NoteSigner
from tests.support.bundle_stories import ITEM, OTHER_ITEM, Made, cast
from tests.support.bundles import (
    NOW,
    ORIGIN,
    START,
    Json,
    Published,
    bit_flipped,
    encode,
    make_key,
    policy_text,
    succession,
)
from tests.support.forging import forgery, plain_world, tampering
from tests.support.mldsa import mldsa_vkey
from tests.support.stories_log import FIRST, SECOND, THIRD, quantum_policy, stamp, worthless

# --- form: step 3 ---------------------------------------------------------------------------------


@tampering("bundle-malformed", "forks")
def too_many_forks(bundle: Json, published: Published) -> None:
    bundle["forks"] = [published.fork_from(published).to_json()] * 9


@tampering("bundle-malformed", "forks[1]")
def fork_with_a_stranger_member(bundle: Json, published: Published) -> None:
    fork = published.fork_from(published).to_json()
    bundle["forks"] = [fork, {**fork, "found": "yesterday"}]


@tampering("bundle-malformed", "policy")
def policy_no_text(bundle: Json, _: Published) -> None:
    bundle["policy"] = None


@tampering("bundle-malformed", "policy")
def policy_too_long(bundle: Json, _: Published) -> None:
    bundle["policy"] = "#" * 65_535 + "é"


@tampering("bundle-malformed", "succession")
def too_many_successions(bundle: Json, _: Published) -> None:
    bundle["succession"] = [succession(FIRST, SECOND)] * 9


@tampering("bundle-malformed", "succession[0]")
def succession_no_text(bundle: Json, _: Published) -> None:
    bundle["succession"] = [{"note": succession(FIRST, SECOND)}]


@tampering("bundle-malformed", "anchors[1]")
def anchor_of_an_unknown_kind(bundle: Json, published: Published) -> None:
    bundle["anchors"] = [stamp(published.note), {**stamp(published.note), "kind": "sundial"}]


@tampering("bundle-malformed", "anchors")
def too_many_anchors(bundle: Json, published: Published) -> None:
    bundle["anchors"] = [stamp(published.note)] * 17


# --- the log's key: steps 5a and 5b ---------------------------------------------------------------


def _signed_by_second(bundle: Json, published: Published, *notes: str) -> None:
    """The checkpoint under the second key alone, and these notes."""
    bundle["checkpoint"] = published.world.publish(log_keys=[SECOND]).note
    bundle["succession"] = list(notes)


@tampering("checkpoint-signature", "checkpoint")
def another_log_key_without_succession(bundle: Json, published: Published) -> None:
    _signed_by_second(bundle, published)


@tampering("succession-malformed", "succession[1]")
def succession_no_note(bundle: Json, published: Published) -> None:
    _signed_by_second(bundle, published, succession(FIRST, SECOND), "trust the new key\n")


@tampering("succession-malformed", "succession[0]")
def succession_of_five_lines(bundle: Json, published: Published) -> None:
    text = succession(FIRST, SECOND).partition("\n\n")[0] + "\nand all keys after it\n"
    signers = [NoteSigner(ORIGIN, make_key(key)) for key in (FIRST, SECOND)]
    _signed_by_second(bundle, published, sign_note(text, signers).decode())


@tampering("succession-malformed", "succession[0]")
def succession_of_another_log(bundle: Json, published: Published) -> None:
    _signed_by_second(bundle, published, succession(FIRST, SECOND, origin="other.example/log"))


@tampering("succession-malformed", "succession[0]")
def succession_to_itself(bundle: Json, _: Published) -> None:
    bundle["succession"] = [succession(FIRST, FIRST, signed_by=[FIRST])]


@tampering("succession-malformed", "succession[0]")
def succession_to_a_key_of_another_kind(bundle: Json, _: Published) -> None:
    """A post-quantum key is one more key of the log, not the next."""
    new = mldsa_vkey(ORIGIN)
    assert new.kind == KIND_MLDSA
    old = NoteSigner(ORIGIN, make_key(FIRST))
    text = f"prov/log-key-succession/v1\n{ORIGIN}\n{old.vkey.format()}\n{new.format()}\n"
    bundle["succession"] = [sign_note(text, [old]).decode()]


@tampering("succession-signature", "succession[0]")
def succession_signed_by_the_new_key_alone(bundle: Json, published: Published) -> None:
    """Anybody can name a log's key and sign with another."""
    _signed_by_second(bundle, published, succession(FIRST, SECOND, signed_by=[SECOND]))


@tampering("succession-signature", "succession[0]")
def succession_signed_by_the_old_key_alone(bundle: Json, published: Published) -> None:
    _signed_by_second(bundle, published, succession(FIRST, SECOND, signed_by=[FIRST]))


@tampering("succession-signature", "succession[0]")
def succession_signed_by_strangers(bundle: Json, published: Published) -> None:
    _signed_by_second(bundle, published, succession(FIRST, SECOND, signed_by=["x", "y"]))


@tampering("succession-signature", "succession[0]")
def succession_with_a_bad_line(bundle: Json, published: Published) -> None:
    note = succession(FIRST, SECOND)
    head, _, signature = note.splitlines()[-2].rpartition(" ")
    bad = f"{head} {bit_flipped(signature, 40)}\n"
    _signed_by_second(bundle, published, note + bad)


@tampering("succession-signature", "succession[1]")
def succession_broken_in_its_second_step(bundle: Json, published: Published) -> None:
    bundle["checkpoint"] = published.world.publish(log_keys=[THIRD]).note
    bundle["succession"] = [
        succession(FIRST, SECOND),
        succession(SECOND, THIRD, signed_by=[FIRST, THIRD]),
    ]


@tampering("checkpoint-signature", "checkpoint")
def succession_from_a_key_that_nobody_pinned(bundle: Json, published: Published) -> None:
    """Passed over, well signed as it is: it starts from a forger's key."""
    _signed_by_second(bundle, published, succession("a forger", SECOND))


# --- forks: step 6a -------------------------------------------------------------------------------


def other_history(log_key: str = "log") -> Published:
    """The same beginning as `plain_world`, and then something else."""
    world = plain_world()
    world.log_key = log_key
    (lab,) = cast(world, lab="laboratory")
    world.seal(lab, world.observe(OTHER_ITEM, at=START))
    return world.publish()


def parted() -> Published:
    """As long as `plain_world`, with another last event."""
    world = plain_world()
    world.entries[-1], world.entries[-2] = world.entries[-2], world.entries[-1]
    return world.publish()


def _evidence(published: Published) -> Json:
    """Of two states of another length: the shorter one tells the last events otherwise."""
    return other_history().fork_from(parted()).to_json()


@tampering("log-forked", "forks[0]")
def forked_at_two_sizes(bundle: Json, published: Published) -> None:
    """Neither state is the bundle's: the log has signed both, and that is enough."""
    bundle["forks"] = [_evidence(published)]


@tampering("log-forked", "forks[7]")
def forked_at_one_size(bundle: Json, published: Published) -> None:
    """After seven pieces that prove nothing, one that does."""
    bundle["forks"] = [*worthless()[1][:7], published.fork_from(parted()).to_json()]


@tampering("log-forked", "forks[0]")
def forked_and_not_cosigned(bundle: Json, published: Published) -> None:
    """Two histories weigh more than a witness that is missing."""
    bundle["forks"] = [_evidence(published)]
    bundle["checkpoint"] = published.world.publish({"clock": NOW}).note


@tampering("log-forked", "forks[0]")
def forked_under_the_next_key(bundle: Json, published: Published) -> None:
    """The old key told one history, its successor another."""
    bundle["succession"] = [succession(FIRST, SECOND)]
    bundle["forks"] = [other_history(SECOND).fork_from(parted()).to_json()]


@tampering("checkpoint-signature", "checkpoint")
def forked_but_not_of_this_log(bundle: Json, published: Published) -> None:
    """Whoever has no signature of the log is told so first."""
    bundle["forks"] = [_evidence(published)]
    bundle["checkpoint"] = published.world.publish(log_keys=["a forger"]).note


@forgery("log-forked", "known[1]")
def fork_known_to_the_reader() -> Made:
    published = plain_world().publish()
    known = [published.note, _evidence(published)]
    return Made(encode(published.passport(ITEM)), known=known)


@forgery("log-forked", "known[0]")
def another_state_seen_before() -> Made:
    """The reader kept the note of a checkpoint of this size, with another root."""
    published = plain_world().publish()
    return Made(encode(published.passport(ITEM)), known=[parted().note])


# --- the post-quantum line: step 6 ----------------------------------------------------------------


@tampering(
    "checkpoint-signature",
    "checkpoint",
    policy=quantum_policy(),
    without_mldsa=("verified", None, None),
)
def bad_post_quantum_line(bundle: Json, published: Published) -> None:
    """Who can judge it must; who cannot passes it over."""
    note = published.world.publish(mldsa=True).note
    text, _, block = note.rpartition("\n\n")
    lines = block.splitlines()
    head, _, signature = lines[1].rpartition(" ")
    lines[1] = f"{head} {bit_flipped(signature, 400)}"
    bundle["checkpoint"] = text + "\n\n" + "\n".join(lines) + "\n"


@tampering("quorum-missing", "checkpoint", policy=quantum_policy(witness=True))
def post_quantum_witness_missing(_bundle: Json, _: Published) -> None:
    assert "pq" not in policy_text()
