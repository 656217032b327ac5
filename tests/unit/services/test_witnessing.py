"""The log's side of the witness protocol, against real HTTP servers with every habit there is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from merkle.checkpoint import Checkpoint
from merkle.hashing import leaf_hash
from merkle.note import Note, NoteSignature, parse_note, sign_note
from merkle.policy import Policy
from merkle.proofs import prove_consistency
from merkle.tree import MemoryTree
from merkle.witness import SIZE_TYPE, parse_add_checkpoint
from provenance.client.witness import MAX_BODY_BYTES, HttpMirror, HttpWitness
from provenance.crypto.signing import Cosigner, note_verifier
from provenance.services.witnessing import (
    CosigningError,
    Feeder,
    Proposal,
    WitnessAlarm,
    Witnesses,
    ask_for_checkpoint,
    make_feeders,
)
from tests.support.builders import ORIGIN, make_key
from tests.support.clock import FrozenClock
from tests.support.ledger import COSIGNER, SIGNER
from tests.support.witness_habits import (
    AICS,
    SPECIFICATION,
    TRANSPARENCY_DEV,
    Habits,
    Reply,
    Served,
    TestWitness,
    drip,
    hang_up,
    served,
)

TIMEOUT_MS = 400


class Log:
    """A log in memory; `branch` makes another history from some leaf on."""

    def __init__(self, size: int, branch: int | None = None) -> None:
        self.tree = MemoryTree()
        for n in range(size):
            other = branch is not None and n >= branch
            self.tree.append(leaf_hash(b"other %d" % n if other else b"entry %d" % n))

    def propose(self, size: int) -> Proposal:
        checkpoint = Checkpoint(ORIGIN, size, self.tree.root(size))
        note = parse_note(sign_note(checkpoint.format(), [SIGNER]))
        return Proposal(note, checkpoint, lambda old: prove_consistency(old, size, self.tree))


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


class Pair:
    """A witness behind a socket and the feeder that asks it."""

    def __init__(self, stack: ExitStack, clock: FrozenClock, habits: Habits = SPECIFICATION):
        self.witness = TestWitness("blue", lambda: clock() // 1000, habits)
        self.served: Served = stack.enter_context(served(self.witness))
        self.feeder = Feeder(
            "blue",
            note_verifier(self.witness.cosigner.vkey),
            HttpWitness(self.served.url, timeout_ms=TIMEOUT_MS),
            clock,
        )


@pytest.fixture
def pair(stack: ExitStack, clock: FrozenClock) -> Pair:
    return Pair(stack, clock)


def is_good(pair: Pair, proposal: Proposal, line: NoteSignature) -> bool:
    verifier = note_verifier(pair.witness.cosigner.vkey)
    return verifier.verify(proposal.note.text.encode(), line.signature)


# --- both columns of the table --------------------------------------------------------------------


@pytest.mark.parametrize("habits", [SPECIFICATION, AICS, TRANSPARENCY_DEV])
class TestHabits:
    """What an honest log and a forked one get from each implementation."""

    def test_growth_from_first_contact_on(
        self, stack: ExitStack, clock: FrozenClock, habits: Habits
    ) -> None:
        pair, log = Pair(stack, clock, habits), Log(400)
        for size in (1, 2, 3, 255, 256, 257, 400, 400):
            proposal = log.propose(size)
            assert is_good(pair, proposal, pair.feeder.cosign(proposal))
        assert pair.served.asked == [0, 1, 2, 3, 255, 256, 257, 400]
        assert pair.served.connections == 1  # kept alive

    def test_a_witness_that_we_know_nothing_of_is_asked_once_more(
        self, stack: ExitStack, clock: FrozenClock, habits: Habits
    ) -> None:
        pair, log = Pair(stack, clock, habits), Log(30)
        pair.feeder.cosign(log.propose(20))
        pair.feeder.held = None  # as after a restart of ours
        proposal = log.propose(30)
        assert is_good(pair, proposal, pair.feeder.cosign(proposal))
        assert pair.served.asked == [0, 0, 20]

    def test_a_witness_that_moved_on_through_somebody_else(
        self, stack: ExitStack, clock: FrozenClock, habits: Habits
    ) -> None:
        pair, log = Pair(stack, clock, habits), Log(30)
        other = Feeder("blue", pair.feeder._verifier, pair.feeder._transport, clock)
        pair.feeder.cosign(log.propose(10))
        other.cosign(log.propose(20))
        pair.feeder.cosign(log.propose(30))
        assert pair.served.asked[-2:] == [10, 20]

    def test_a_witness_that_lost_its_state_begins_anew(
        self, stack: ExitStack, clock: FrozenClock, habits: Habits
    ) -> None:
        pair, log = Pair(stack, clock, habits), Log(30)
        pair.feeder.cosign(log.propose(10))
        pair.witness.held = None
        proposal = log.propose(30)
        assert is_good(pair, proposal, pair.feeder.cosign(proposal))

    def test_the_same_size_again_refreshes_the_time(
        self, stack: ExitStack, clock: FrozenClock, habits: Habits
    ) -> None:
        pair, proposal = Pair(stack, clock, habits), Log(9).propose(9)
        first = pair.feeder.cosign(proposal)
        clock.advance(60_000)
        second = pair.feeder.cosign(proposal)
        assert first != second
        assert is_good(pair, proposal, second)

    @pytest.mark.parametrize("size", [10, 12])
    def test_another_history_is_an_alarm_whatever_they_call_it(
        self, stack: ExitStack, clock: FrozenClock, habits: Habits, size: int
    ) -> None:
        """422 and 409 with nothing in it mean the same."""
        pair = Pair(stack, clock, habits)
        pair.feeder.cosign(Log(10).propose(10))
        with pytest.raises(WitnessAlarm) as caught:
            pair.feeder.cosign(Log(12, branch=5).propose(size))
        assert caught.value.size is None
        assert caught.value.shown == (pair.witness.note if habits.monitoring else None)
        # Never a reason to try again: the one request, and a look at what it shows.
        assert len(pair.served.asked) == 2

    def test_a_larger_size_than_ours_is_an_alarm_that_names_it(
        self, stack: ExitStack, clock: FrozenClock, habits: Habits
    ) -> None:
        pair, log = Pair(stack, clock, habits), Log(20)
        Feeder("blue", pair.feeder._verifier, pair.feeder._transport, clock).cosign(log.propose(20))
        with pytest.raises(WitnessAlarm, match="holds size 20 of this log, above ours") as caught:
            pair.feeder.cosign(log.propose(10))
        assert caught.value.size == 20

    def test_a_log_that_it_does_not_know_how_to_verify(
        self, stack: ExitStack, clock: FrozenClock, habits: Habits
    ) -> None:
        """403 or 500 or whatever: a failure of this witness, and no alarm."""
        pair = Pair(stack, clock, habits)
        pair.witness._log = note_verifier(COSIGNER.vkey)
        with pytest.raises(CosigningError, match=r"status (403|500)") as caught:
            pair.feeder.cosign(Log(3).propose(3))
        assert not isinstance(caught.value, WitnessAlarm)


def test_only_the_logs_own_lines_are_sent(pair: Pair) -> None:
    """The proposal's note is sent as it is; the sequencer makes it of the log's lines alone."""
    proposal = Log(3).propose(3)
    pair.feeder.cosign(proposal)
    ((_, path, body),) = pair.served.requests
    assert path == "/add-checkpoint"
    assert parse_add_checkpoint(body).checkpoint == proposal.note.format()


# --- answers that no table lists ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "what"),
    [
        (Reply(409), "409 without a size"),
        (Reply(409, b"no such size\n", SIZE_TYPE), "409 without a size"),
        (Reply(409, b"<html>", "text/html"), "409 without a size"),
        (Reply(409, b"07\n", SIZE_TYPE), "409 without a size"),
        (Reply(409, b"5\n", SIZE_TYPE), "409 with the size 5 that was sent"),
        (Reply(409, b"9007199254740991\n", SIZE_TYPE), "above ours"),
        (Reply(422), "422 for a proof out of our own tiles"),
    ],
)
def test_alarms(pair: Pair, reply: Reply, what: str) -> None:
    log = Log(8)
    pair.feeder.cosign(log.propose(5))
    pair.witness.scripted = [reply]
    with pytest.raises(WitnessAlarm, match=what) as caught:
        pair.feeder.cosign(log.propose(8))
    assert caught.value.shown == pair.witness.note


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200),
        Reply(200, b"\n"),
        Reply(200, b"nonsense"),
        Reply(200, b"nonsense\n"),
        Reply(200, b"\xff\n"),
        Reply(200, b"\xe2\x80\x94 blue.example/w AAAA\n"),
        Reply(200, b"-" * (MAX_BODY_BYTES + 1)),
        Reply(200, COSIGNER.cosign(Log(8).propose(8).note.text.encode(), 5).format().encode() * 17),
        Reply(200, COSIGNER.cosign(Log(8).propose(8).note.text.encode(), 5).format().encode()),
        Reply(301),
        Reply(400),
        Reply(404),
        Reply(429),
        Reply(500),
        Reply(503),
        Reply(200, b"", seconds=2 * TIMEOUT_MS / 1000),
        hang_up,
        drip,
    ],
    ids=[
        *("empty", "a newline", "no line end", "no line", "no UTF-8", "short", "huge"),
        *("17 lines", "a foreign key's line", "redirect", "malformed", "unknown log"),
        *("overload", "fault", "away", "slow", "hung up", "dripping"),
    ],
)
def test_failures_that_are_no_alarm(pair: Pair, reply: Reply | Callable[..., None]) -> None:
    log = Log(8)
    pair.feeder.cosign(log.propose(5))
    # A connection that breaks is tried once more: it may have been one kept alive for too long.
    pair.witness.scripted = [reply, reply] if reply is hang_up else [reply]
    begun = time.monotonic()
    with pytest.raises(CosigningError) as caught:
        pair.feeder.cosign(log.propose(8))
    assert not isinstance(caught.value, WitnessAlarm)
    assert time.monotonic() - begun < 10 * TIMEOUT_MS / 1000
    pair.witness.scripted = []
    proposal = log.propose(8)
    assert is_good(pair, proposal, pair.feeder.cosign(proposal))


def test_a_409_is_worth_one_more_try_and_no_third(pair: Pair) -> None:
    log = Log(8)
    pair.feeder.cosign(log.propose(5))
    pair.witness.scripted = [Reply(409, b"3\n", SIZE_TYPE), Reply(409, b"4\n", SIZE_TYPE)]
    with pytest.raises(CosigningError, match="409 again") as caught:
        pair.feeder.cosign(log.propose(8))
    assert not isinstance(caught.value, WitnessAlarm)
    assert pair.served.asked == [0, 5, 3]


def test_a_dead_address() -> None:
    with pytest.raises(ConnectionError):
        HttpWitness("http://127.0.0.1:9", timeout_ms=TIMEOUT_MS).add_checkpoint(b"")


def test_a_connection_that_was_closed_meanwhile_is_made_anew(pair: Pair) -> None:
    log = Log(8)
    pair.feeder.cosign(log.propose(5))
    pair.witness.scripted = [hang_up]
    proposal = log.propose(8)
    assert is_good(pair, proposal, pair.feeder.cosign(proposal))


def test_of_all_lines_only_the_good_one_of_its_own_key_is_taken(pair: Pair) -> None:
    proposal = Log(8).propose(8)
    text, now = proposal.note.text.encode(), pair.witness._clock()
    good = pair.witness.cosigner.cosign(text, now)
    forged = Cosigner(pair.witness.cosigner.name, make_key("forger")).cosign(text, now)
    lines = [
        COSIGNER.cosign(text, now),
        NoteSignature(good.name, good.key_id, forged.signature),
        NoteSignature(good.name, good.key_id, b"short"),
        good,
        pair.witness.cosigner.cosign(text, now - 60),
        good,
        pair.witness.cosigner.cosign(text, now + 3_600),
        pair.witness.cosigner.cosign(b"another text\n", now),
    ]
    body = "".join(line.format() for line in lines).encode()
    pair.witness.scripted = [Reply(200, body)]
    assert pair.feeder.cosign(proposal) == good


@pytest.mark.parametrize("ahead", [3_600, -3_601, -2_000_000_000])
def test_a_time_from_the_future_from_long_ago_or_none_is_not_taken(
    pair: Pair, clock: FrozenClock, ahead: int
) -> None:
    """Readers would refuse the whole checkpoint for the first two, if the second were counted in
    the place of an honest witness's; the third says nothing (time 0)."""
    proposal = Log(8).propose(8)
    seconds = max(0, clock.seconds + ahead)
    line = pair.witness.cosigner.cosign(proposal.note.text.encode(), seconds)
    pair.witness.scripted = [Reply(200, line.format().encode())]
    with pytest.raises(CosigningError, match="for the present time, found 1 under that key"):
        pair.feeder.cosign(proposal)


# --- what others hold -----------------------------------------------------------------------------


def test_the_monitoring_path(pair: Pair) -> None:
    assert pair.feeder.show(ORIGIN) is None
    pair.feeder.cosign(Log(8).propose(8))
    assert pair.feeder.show(ORIGIN) == pair.witness.note


@pytest.mark.parametrize("habits", [AICS, TRANSPARENCY_DEV])
def test_without_a_monitoring_path_the_size_is_learnt_by_asking(
    stack: ExitStack, clock: FrozenClock, habits: Habits
) -> None:
    pair, log = Pair(stack, clock, habits), Log(8)
    other = Feeder("blue", pair.feeder._verifier, pair.feeder._transport, clock)
    pair.feeder.probe(log.propose(3))
    assert pair.feeder.held == 3  # it held nothing, and cosigned
    other.cosign(log.propose(5))
    pair.feeder.probe(log.propose(8))
    assert pair.feeder.held == 5
    other.cosign(log.propose(8))
    with pytest.raises(WitnessAlarm, match="holds size 8"):
        pair.feeder.probe(log.propose(6))


def test_probing_a_witness_that_does_not_know_us_or_is_ill(pair: Pair) -> None:
    pair.witness.scripted = [Reply(404), Reply(500)]
    pair.feeder.probe(Log(3).propose(3))
    assert pair.feeder.held is None
    with pytest.raises(CosigningError, match="status 500"):
        pair.feeder.probe(Log(3).propose(3))


def test_mirrors(stack: ExitStack) -> None:
    note = Log(3).propose(3).note.format()
    answers = [Reply(200, note), Reply(404), Reply(500), hang_up, hang_up]
    mirror = stack.enter_context(served(lambda *_: answers.pop(0)))
    asked = HttpMirror(mirror.url + "/log/", timeout_ms=TIMEOUT_MS)
    assert ask_for_checkpoint(asked, "mirror", ORIGIN) == note
    assert ask_for_checkpoint(asked, "mirror", ORIGIN) is None
    with pytest.raises(CosigningError, match="mirror: status 500"):
        ask_for_checkpoint(asked, "mirror", ORIGIN)
    with pytest.raises(CosigningError, match="mirror: "):
        ask_for_checkpoint(asked, "mirror", ORIGIN)
    assert {path for _, path, _ in mirror.requests} == {"/log/checkpoint"}


# --- all together ---------------------------------------------------------------------------------


class Field:
    """Some witnesses and the collector that asks them."""

    def __init__(self, stack: ExitStack, clock: FrozenClock, *names: str) -> None:
        self.clock = clock
        self.of = {name: TestWitness(name, lambda: clock() // 1000) for name in names}
        self.at = {name: stack.enter_context(served(self.of[name])) for name in names}
        listed = [self.of[name].listed(self.at[name].url) for name in names]
        policy = Policy(witnesses=(*listed, TestWitness("silent", lambda: 0).listed(None)))
        feeders = make_feeders(policy, lambda url: HttpWitness(url, timeout_ms=TIMEOUT_MS), clock)
        assert [feeder.name for feeder in feeders] == list(names)
        self.witnesses = Witnesses(feeders, clock)
        stack.callback(self.witnesses.stop)

    def wait(self, names: int, seconds: float = 20) -> float:
        """How long it took."""
        begun = time.monotonic()
        self.witnesses.wait(lambda answered: len(answered) >= names, seconds)
        return time.monotonic() - begun

    def signers(self, note: Note) -> list[str]:
        return [line.name.partition(".")[0] for line in self.witnesses.lines(note.text)]


def test_all_are_asked_at_once_and_the_quickest_are_enough(
    stack: ExitStack, clock: FrozenClock
) -> None:
    field = Field(stack, clock, "a", "b", "c", "d")
    field.of["a"].scripted = [Reply(200, b"", seconds=0.3)]
    field.of["b"].scripted = [hang_up] * 20
    proposal = Log(8).propose(8)
    field.witnesses.ask(proposal, 0)
    assert field.wait(2) < 5
    assert set(field.signers(proposal.note)) == {"c", "d"}


def test_late_answers_are_kept(stack: ExitStack, clock: FrozenClock) -> None:
    field = Field(stack, clock, "a", "b")
    field.of["a"].scripted = [Reply(503), Reply(503), None]
    proposal = Log(8).propose(8)
    field.witnesses.ask(proposal, 0)
    field.wait(1)
    field.wait(2)  # it is tried again by itself
    assert field.signers(proposal.note) == ["a", "b"]
    assert field.at["a"].asked == [0, 0, 0]
    assert field.witnesses.troubles() == []


def test_a_witness_in_its_pause_is_not_waited_for(stack: ExitStack, clock: FrozenClock) -> None:
    field = Field(stack, clock, "a")
    field.of["a"].scripted = [Reply(500)] * 20
    field.witnesses.ask(Log(8).propose(8), 0)
    assert field.wait(1, 0.2) < 5
    assert field.witnesses.troubles() == ["witness a: status 500"]


def test_what_was_cosigned_for_an_older_checkpoint_is_dropped(
    stack: ExitStack, clock: FrozenClock
) -> None:
    field, log = Field(stack, clock, "a"), Log(9)
    old, new = log.propose(8), log.propose(9)
    field.witnesses.ask(old, 0)
    field.wait(1)
    field.witnesses.ask(new, 0)
    field.wait(1)
    assert field.signers(old.note) == []
    assert field.signers(new.note) == ["a"]
    assert field.at["a"].asked == [0, 8]


def test_only_lines_that_are_too_old_are_asked_for_again(
    stack: ExitStack, clock: FrozenClock
) -> None:
    field, proposal = Field(stack, clock, "a"), Log(8).propose(8)
    field.witnesses.ask(proposal, 0)
    field.wait(1)
    (first,) = field.witnesses.lines(proposal.note.text)
    clock.advance(60_000)
    field.witnesses.ask(proposal, clock.seconds - 61)
    field.wait(1)
    assert field.witnesses.lines(proposal.note.text) == [first]
    field.witnesses.ask(proposal, clock.seconds)
    field.wait(1)
    (second,) = field.witnesses.lines(proposal.note.text)
    assert second != first
    assert field.at["a"].asked == [0, 8]


def test_a_witness_that_is_away_leaves_its_older_line(stack: ExitStack, clock: FrozenClock) -> None:
    field, proposal = Field(stack, clock, "a"), Log(8).propose(8)
    field.witnesses.ask(proposal, 0)
    field.wait(1)
    first = field.witnesses.lines(proposal.note.text)
    clock.advance(60_000)
    field.of["a"].scripted = [Reply(503)] * 20
    field.witnesses.ask(proposal, clock.seconds)
    field.wait(1, 0.1)
    assert field.witnesses.lines(proposal.note.text) == first
    clock.advance(-86_400_000)  # put right: what was cosigned is from the future now
    assert field.witnesses.lines(proposal.note.text) == []


def test_an_alarm_ends_the_waiting_and_the_asking(stack: ExitStack, clock: FrozenClock) -> None:
    field, log = Field(stack, clock, "a", "b"), Log(9)
    field.of["a"].scripted = [Reply(422)]
    field.of["b"].scripted = [Reply(503)] * 20
    field.witnesses.ask(log.propose(8), 0)
    field.wait(2)
    (alarm,) = field.witnesses.take_alarms()
    assert alarm.witness == "a"
    assert field.witnesses.take_alarms() == []
    field.witnesses.ask(log.propose(9), 0)
    field.wait(2, 0.2)
    assert len(field.at["a"].asked) == 1
    assert field.witnesses.troubles()[0].endswith("set aside until a restart")


def test_a_store_that_fails_while_a_proof_is_read_is_a_failure_of_ours(
    stack: ExitStack, clock: FrozenClock
) -> None:
    field, log = Field(stack, clock, "a"), Log(9)
    field.witnesses.ask(log.propose(8), 0)
    field.wait(1)
    broken, whole = [OSError("disk")], log.propose(9)

    def prove(old: int) -> list[bytes]:
        if broken:
            raise broken.pop()
        return list(whole.prove(old))

    field.witnesses.ask(Proposal(whole.note, whole.checkpoint, prove), 0)
    field.wait(1)
    assert field.signers(whole.note) == ["a"]


def test_the_threads_end_and_begin_again(stack: ExitStack, clock: FrozenClock) -> None:
    def running() -> set[str]:
        return {t.name for t in threading.enumerate() if t.name.startswith("witness ")}

    field, log = Field(stack, clock, "a", "b"), Log(9)
    field.witnesses.ask(log.propose(8), 0)
    field.wait(2)
    assert {"witness a", "witness b"} <= running()
    field.witnesses.stop()
    deadline = time.monotonic() + 20
    while {"witness a", "witness b"} & running():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    field.witnesses.ask(log.propose(9), 0)
    field.wait(2)
    assert field.signers(log.propose(9).note) == ["a", "b"]


def test_lines_of_before_a_restart_are_known(stack: ExitStack, clock: FrozenClock) -> None:
    field, proposal = Field(stack, clock, "a"), Log(8).propose(8)
    line = field.of["a"].cosigner.cosign(proposal.note.text.encode(), clock.seconds)
    field.witnesses.know(proposal.note.text, [COSIGNER.cosign(b"x\n", 1), line])
    field.witnesses.ask(proposal, clock.seconds - 60)
    assert field.wait(1) < 5
    assert field.witnesses.lines(proposal.note.text) == [line]
    assert field.at["a"].asked == []
