"""The sequencer and its witnesses: quorums, both policies of publication, age, and refusals."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from merkle.checkpoint import Checkpoint, parse_checkpoint
from merkle.hashing import leaf_hash
from merkle.note import parse_note, sign_note
from merkle.policy import Group, Witness
from merkle.tree import root_of
from provenance.crypto.signing import Cosigner
from provenance.domain.fork import parse_fork
from provenance.services.forks import ForkWatch, LogBehindError, LogForkedError
from provenance.services.sequencing import QuorumError, Sequencer
from provenance.services.witnessing import time_of
from provenance.storage import forks, log
from provenance.storage.session import Database
from provenance.verify.forks import verify_fork
from tests.support.builders import ORIGIN, make_key
from tests.support.clock import FrozenClock
from tests.support.ledger import COSIGNER, SIGNER, Ledger, make_policy
from tests.support.overseen import Overseen
from tests.support.witness_habits import (
    AICS,
    SPECIFICATION,
    TRANSPARENCY_DEV,
    Habits,
    Reply,
    hang_up,
    served,
)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.fixture
def ledger(database: Database, tmp_path: Path, clock: FrozenClock) -> Ledger:
    made = Ledger(database, tmp_path, clock)
    made.options = replace(made.options, witness_wait_ms=4_000)
    return made


def upgrading(ledger: Ledger) -> None:
    ledger.options = replace(ledger.options, publication="upgrade")


def sizes(ledger: Ledger) -> tuple[int, int]:
    """(signed, published)."""
    with ledger.database.read() as connection:
        state, publication = log.read_state(connection), log.read_publication(connection)
    return (state.size if state else 0, publication.size if publication else 0)


def until(condition: Callable[[], object], act: Callable[[], object]) -> None:
    """Acts until the condition holds."""
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        act()
        time.sleep(0.01)


def sign(size: int, root: bytes) -> bytes:
    return sign_note(Checkpoint(ORIGIN, size, root).format(), [SIGNER])


def other_history(size: int) -> bytes:
    """A checkpoint under the log's key that is not of this log."""
    return sign(size, root_of([leaf_hash(b"other %d" % n) for n in range(size)]))


def own(ledger: Ledger) -> bytes:
    note = ledger.tiles.read_checkpoint()
    assert note is not None
    return note


def evidence(ledger: Ledger) -> list[forks.StoredFork]:
    with ledger.database.read() as connection:
        return forks.read_forks(connection)


# --- quorums --------------------------------------------------------------------------------------


@pytest.mark.parametrize("habits", [SPECIFICATION, AICS, TRANSPARENCY_DEV])
def test_all_witnesses_cosign_a_growing_log(
    ledger: Ledger, stack: ExitStack, habits: Habits
) -> None:
    field = Overseen(ledger, stack, "a", "b", habits=habits)
    sequencer = field.sequencer()
    assert sequencer.run_once() is not None
    for batch in (1, 300, 2):
        ledger.accept(*(f"{batch} {n}" for n in range(batch)))
        assert sequencer.run_once() is not None
        assert field.signers() == ["log", "clock", "a", "b"]
    assert sizes(ledger) == (307, 307)
    ledger.clock.advance(60_000)
    ledger.accept("after a restart")
    assert field.sequencer("successor").run_once() is not None
    assert field.signers() == ["log", "clock", "a", "b"]


@pytest.mark.parametrize("dead", [1, 2])
def test_k_of_n(ledger: Ledger, stack: ExitStack, dead: int) -> None:
    field = Overseen(ledger, stack, "a", "b", "c", quorum=2)
    for name in list(field.of)[:dead]:
        field.of[name].scripted = [Reply(503)] * 1_000
    if dead == 1:
        assert field.sequencer().run_once() is not None
        assert field.signers() == ["log", "clock", "b", "c"]
        return
    with pytest.raises(QuorumError, match=r"more than \['c', 'clock'\]; witness a: status 503"):
        field.sequencer().run_once()
    assert sizes(ledger) == (1, 0)


def test_groups_of_groups(ledger: Ledger, stack: ExitStack) -> None:
    """One of (a, b) and c: b and c are enough, a and b are not."""
    field = Overseen(ledger, stack, "a", "b", "c")
    policy = replace(
        field.policy,
        groups=(Group("either", 1, ("a", "b")), Group("enough", 2, ("either", "c"))),
    )
    ledger.options = replace(ledger.options, witness_wait_ms=100)
    field.of["c"].scripted = [Reply(500)] * 1_000
    sequencer = field.sequencer(policy=policy)
    with pytest.raises(QuorumError):
        sequencer.run_once()
    field.of["a"].scripted = [hang_up] * 1_000
    field.of["c"].scripted = []
    until(lambda: sizes(ledger) == (1, 1), lambda: _try(sequencer))
    assert {"b", "c"} <= set(field.signers())


def _try(sequencer: Sequencer) -> None:
    try:
        sequencer.run_once()
    except QuorumError:
        return


def test_a_batch_waits_for_its_quorum_and_nothing_is_lost(ledger: Ledger, stack: ExitStack) -> None:
    field = Overseen(ledger, stack, "a")
    sequencer = field.sequencer()
    sequencer.run_once()
    field.of["a"].scripted = [Reply(503), Reply(200, b"nonsense\n"), Reply(429)]
    impatient = sequencer
    impatient.options = replace(ledger.options, witness_wait_ms=0)
    ledger.accept("a")
    with pytest.raises(QuorumError):
        impatient.run_once()
    assert sizes(ledger) == (3, 1)
    ledger.accept("b")
    until(lambda: sizes(ledger) == (5, 5), lambda: _try(impatient))
    assert field.signers() == ["log", "clock", "a"]


def test_a_late_witness_is_added_when_there_is_nothing_else_to_do(
    ledger: Ledger, stack: ExitStack
) -> None:
    field = Overseen(ledger, stack, "a", "b", quorum=1)
    sequencer = field.sequencer()
    field.of["a"].scripted = [Reply(503)]
    first = sequencer.run_once()
    assert first is not None
    assert field.signers() == ["log", "clock", "b"]
    until(lambda: len(field.signers()) == 4, sequencer.run_once)
    assert set(field.signers()) == {"log", "clock", "a", "b"}
    with ledger.database.read() as connection:
        publication = log.read_publication(connection)
    assert publication is not None
    assert publication.note == own(ledger)
    assert sequencer.run_once() is None


# --- publish and upgrade --------------------------------------------------------------------------


def test_upgrade_publishes_at_once_and_adds_what_comes(ledger: Ledger, stack: ExitStack) -> None:
    upgrading(ledger)
    field = Overseen(ledger, stack, "a", "b")
    field.of["a"].scripted = [Reply(503), None]
    sequencer = field.sequencer()
    first = sequencer.run_once()
    assert first is not None
    assert field.signers()[:2] == ["log", "clock"]
    until(lambda: len(field.signers()) == 4, sequencer.run_once)
    assert set(field.signers()) == {"log", "clock", "a", "b"}
    assert parse_note(own(ledger)).text == parse_note(first.note).text


def test_upgrade_goes_on_without_any_witness(ledger: Ledger, stack: ExitStack) -> None:
    upgrading(ledger)
    field = Overseen(ledger, stack, "a")
    field.of["a"].scripted = [hang_up] * 1_000
    sequencer = field.sequencer()
    sequencer.run_once()
    for n in range(3):
        ledger.accept(str(n))
        until(lambda n=n: sizes(ledger) == (3 + 2 * n, 3 + 2 * n), sequencer.run_once)
    assert field.signers() == ["log", "clock"]


def test_under_load_each_checkpoint_has_its_quorum_before_the_next(
    ledger: Ledger, stack: ExitStack
) -> None:
    """Else no reader who demands the quorum would ever find a checkpoint to accept."""
    upgrading(ledger)
    field = Overseen(ledger, stack, "a")
    sequencer = field.sequencer()
    seen = []
    for n in range(6):
        ledger.accept(str(n))
        sequencer.run_once()
        seen.append((sizes(ledger)[1], "a" in field.signers()))
    assert (1, True) in seen or (3, True) in seen
    by_size: dict[int, bool] = {}
    for size, has in seen:
        by_size[size] = by_size.get(size, False) or has
    assert all(has for size, has in by_size.items() if size < max(by_size))


def test_cosignatures_that_a_dead_process_took_along_are_asked_for_again(
    ledger: Ledger, stack: ExitStack
) -> None:
    """As `initialise` does: it publishes and ends before anybody has answered."""
    upgrading(ledger)
    field = Overseen(ledger, stack, "a")
    field.of["a"].scripted = [Reply(503)]
    first = field.sequencer()
    assert first.start()
    first.release()
    assert field.signers() == ["log", "clock"]
    successor = field.sequencer("successor")
    until(lambda: "a" in field.signers(), successor.run_once)


# --- age ------------------------------------------------------------------------------------------


def times(field: Overseen) -> dict[str, int]:
    lines = parse_note(own(field.ledger)).signatures[1:]
    return {line.name.split(".")[0]: time_of(line) for line in lines}


def test_age_is_refreshed_by_all(ledger: Ledger, stack: ExitStack) -> None:
    field = Overseen(ledger, stack, "a", "b")
    sequencer = field.sequencer()
    sequencer.run_once()
    begun = ledger.clock.seconds
    assert set(times(field).values()) == {begun}
    ledger.clock.advance(ledger.options.refresh_ms)
    published = sequencer.run_once()
    assert published is not None
    assert published.refreshed
    assert set(times(field).values()) == {ledger.clock.seconds}
    assert field.at["a"].asked == [0, 1]


def test_a_witness_that_is_away_at_a_refresh_leaves_its_older_line(
    ledger: Ledger, stack: ExitStack
) -> None:
    field = Overseen(ledger, stack, "a", "b")
    sequencer = field.sequencer()
    sequencer.run_once()
    begun = ledger.clock.seconds
    ledger.clock.advance(ledger.options.refresh_ms)
    sequencer.options = replace(ledger.options, witness_wait_ms=200)
    field.of["b"].scripted = [Reply(503)] * 1_000
    assert sequencer.run_once() is not None
    assert (times(field)["a"], times(field)["b"]) == (ledger.clock.seconds, begun)
    field.of["b"].scripted = []
    until(lambda: times(field)["b"] == ledger.clock.seconds, sequencer.run_once)


def test_a_restart_keeps_the_lines_of_witnesses_that_are_away(
    ledger: Ledger, stack: ExitStack
) -> None:
    field = Overseen(ledger, stack, "a", "b", quorum=1)
    first = field.sequencer()
    first.run_once()
    until(lambda: len(field.signers()) == 4, first.run_once)
    first.release()
    ledger.clock.advance(ledger.options.refresh_ms)
    field.of["b"].scripted = [Reply(503)] * 1_000
    assert field.sequencer("second").run_once() is not None
    assert set(field.signers()) == {"log", "clock", "a", "b"}
    assert times(field)["b"] < times(field)["a"]


# --- two sequencers -------------------------------------------------------------------------------


def test_two_sequencers_with_the_same_witnesses(ledger: Ledger, stack: ExitStack) -> None:
    field = Overseen(ledger, stack, "a", "b")
    one, two = field.sequencer("one"), field.sequencer("two")
    assert one.run_once() is not None
    assert two.run_once() is None
    for n, (leaving, coming) in enumerate([(one, two), (two, one), (one, two)]):
        leaving.release()
        ledger.accept(str(n))
        assert coming.run_once() is not None
    assert sizes(ledger) == (7, 7)
    assert field.signers() == ["log", "clock", "a", "b"]


def test_one_that_slept_is_not_told_that_its_log_is_behind(
    ledger: Ledger, stack: ExitStack
) -> None:
    """The witness holds more than it knows, because its successor went on: no alarm."""
    field = Overseen(ledger, stack, "a")
    sleeper, successor = field.sequencer("sleeper"), field.sequencer("successor")
    sleeper.run_once()
    ledger.accept("a")
    asleep, awake = threading.Event(), threading.Event()
    cosign = sleeper._cosign

    def slow(*args: object) -> object:
        asleep.set()
        assert awake.wait(30)
        return cosign(*args)  # type: ignore[arg-type]

    sleeper._cosign = slow  # type: ignore[method-assign, assignment]
    failures: list[BaseException] = []

    def work() -> None:
        try:
            sleeper.run_once()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert asleep.wait(30)
    ledger.clock.advance(ledger.options.lease_ms)
    ledger.accept("b")
    until(lambda: sizes(ledger) == (5, 5), successor.run_once)
    awake.set()
    thread.join(30)
    assert [type(error).__name__ for error in failures] != ["LogBehindError"]
    assert sizes(ledger) == (5, 5)
    ledger.accept("c")
    assert successor.run_once() is not None


# --- what others hold -----------------------------------------------------------------------------


@pytest.mark.parametrize("habits", [SPECIFICATION, AICS, TRANSPARENCY_DEV])
def test_a_witness_that_holds_more_stops_the_log(
    ledger: Ledger, stack: ExitStack, habits: Habits
) -> None:
    """A new database under old keys: the witness remembers what this one does not."""
    field = Overseen(ledger, stack, "a", habits=habits)
    witness = field.of["a"]
    note = other_history(9)
    witness.held = parse_checkpoint(parse_note(note).text)
    witness.note = note
    sequencer = field.sequencer()
    with pytest.raises(
        LogBehindError, match=r"witness a holds size 9 of this log, but .* size"
    ) as e:
        sequencer.run_once()
    assert "Restore the newest backup" in str(e.value)
    assert sizes(ledger)[1] == 0  # nothing that anybody could see
    if habits.monitoring:
        assert sizes(ledger) == (0, 0)  # and nothing was signed
        # It was shown, under our signature: no restart and no other process forgets it.
        witness.held = witness.note = None
        ledger.clock.advance(ledger.options.lease_ms)
        with pytest.raises(LogBehindError, match="witness a holds size 9"):
            field.sequencer("another").run_once()


@pytest.mark.parametrize("habits", [SPECIFICATION, AICS, TRANSPARENCY_DEV])
def test_a_witness_with_another_history_of_the_same_size(
    ledger: Ledger, stack: ExitStack, habits: Habits
) -> None:
    """With a monitoring path there is evidence; without, the witness is never asked again."""
    field = Overseen(ledger, stack, "a", habits=habits)
    sequencer = field.sequencer()
    sequencer.run_once()
    note = other_history(3)
    field.of["a"].held = parse_checkpoint(parse_note(note).text)
    field.of["a"].note = note
    ledger.accept("a")
    if not habits.monitoring:
        with pytest.raises(QuorumError, match="set aside until a restart"):
            sequencer.run_once()
        asked = len(field.at["a"].asked)
        with pytest.raises(QuorumError):
            sequencer.run_once()
        assert len(field.at["a"].asked) == asked
        assert evidence(ledger) == []
        return
    with pytest.raises(LogForkedError, match="signed two histories"):
        sequencer.run_once()
    (stored,) = evidence(ledger)
    assert stored.source == "witness a"
    verify_fork(parse_fork(stored.evidence), make_policy())
    assert sizes(ledger) == (3, 1)


def test_evidence_stops_every_sequencer_and_stays(ledger: Ledger, stack: ExitStack) -> None:
    field = Overseen(ledger, stack, "a")
    sequencer = field.sequencer()
    sequencer.run_once()
    ledger.accept("a", "b")
    sequencer.run_once()
    watch = ForkWatch(ledger.database, ledger.tiles, sequencer._log_verifiers, ORIGIN, ledger.clock)
    published = own(ledger)
    finding = watch.receive(other_history(2), "a reader")
    assert finding.relation == "conflicting"
    assert finding.is_new
    for worker in (sequencer, field.sequencer("other")):
        with pytest.raises(LogForkedError, match="begin a new log under another origin"):
            worker.run_once()
        ledger.clock.advance(60_000)
    with pytest.raises(LogForkedError):
        field.sequencer("third").run(threading.Event())
    assert own(ledger) == published


def test_evidence_that_comes_between_commit_and_publication(
    ledger: Ledger, stack: ExitStack
) -> None:
    """A transaction that publishes looks again, whatever the round had seen when it began."""
    field = Overseen(ledger, stack, "a")
    sequencer = field.sequencer()
    sequencer.run_once()
    watch = ForkWatch(ledger.database, ledger.tiles, sequencer._log_verifiers, ORIGIN, ledger.clock)
    cosign = sequencer._cosign

    def meanwhile(*args: object) -> object:
        watch.receive(other_history(1), "a reader")
        return cosign(*args)  # type: ignore[arg-type]

    sequencer._cosign = meanwhile  # type: ignore[method-assign, assignment]
    ledger.accept("a")
    with pytest.raises(LogForkedError):
        sequencer.run_once()
    assert sizes(ledger) == (3, 1)


def test_a_mirror_that_holds_more_or_another_history(ledger: Ledger, stack: ExitStack) -> None:
    ledger.sequencer().run_once()
    ledger.clock.advance(60_000)
    answers = [Reply(200, own(ledger))]
    mirror = stack.enter_context(served(lambda *_: answers[0]))
    field = Overseen(ledger, stack, "a")
    field.mirrors = [mirror.url + "/log"]
    first = field.sequencer()
    ledger.accept("a")
    assert first.run_once() is not None
    first.release()
    answers[0] = Reply(200, other_history(8))
    with pytest.raises(LogBehindError, match=f"mirror {mirror.url}/log holds size 8"):
        field.sequencer().run_once()
    ledger.clock.advance(60_000)
    answers[0] = Reply(200, other_history(2))
    # What was seen once is not forgotten because something else is shown now.
    with pytest.raises(LogBehindError, match="holds size 8"):
        field.sequencer().run_once()


def test_a_mirror_of_another_history_is_noticed_at_a_refresh(
    ledger: Ledger, stack: ExitStack
) -> None:
    ledger.sequencer().run_once()
    ledger.clock.advance(60_000)
    answers = [Reply(200, own(ledger))]
    mirror = stack.enter_context(served(lambda *_: answers[0]))
    field = Overseen(ledger, stack, "a")
    field.mirrors = [mirror.url]
    sequencer = field.sequencer()
    ledger.accept("a", "b")
    assert sequencer.run_once() is not None
    answers[0] = Reply(200, other_history(3))
    ledger.clock.advance(ledger.options.refresh_ms)
    with pytest.raises(LogForkedError, match="signed two histories"):
        until(lambda: False, sequencer.run_once)
    (stored,) = evidence(ledger)
    assert stored.source == f"mirror {mirror.url}"


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, b"nonsense"),
        Reply(200, COSIGNER.cosign(b"x\n", 1).format().encode()),
        Reply(404),
        Reply(500),
        hang_up,
    ],
    ids=["nonsense", "no note", "none", "ill", "gone"],
)
def test_a_mirror_that_says_nothing_stops_nothing(
    ledger: Ledger, stack: ExitStack, reply: Reply
) -> None:
    mirror = stack.enter_context(served(lambda *_: reply))
    field = Overseen(ledger, stack, "a")
    field.mirrors = [mirror.url]
    assert field.sequencer().run_once() is not None
    assert sizes(ledger) == (1, 1)


def test_nothing_is_signed_before_a_quorum_has_said_what_it_holds(
    ledger: Ledger, stack: ExitStack
) -> None:
    ledger.options = replace(ledger.options, witness_wait_ms=500)
    field = Overseen(ledger, stack, "a", "b")
    show = field.of["b"]._show
    field.of["b"]._show = lambda _: Reply(503)  # type: ignore[method-assign]
    sequencer = field.sequencer()
    for _ in range(2):
        with pytest.raises(QuorumError, match=r"nothing is signed before .* from witness b"):
            sequencer.run_once()
    assert sizes(ledger) == (0, 0)
    field.of["b"]._show = show  # type: ignore[method-assign]
    assert sequencer.run_once() is not None
    assert len([1 for method, _, _ in field.at["a"].requests if method == "GET"]) == 1


def test_a_witness_that_nobody_can_ask_has_said_nothing(ledger: Ledger, stack: ExitStack) -> None:
    """One of two is enough, and one has no address: the other must speak before we sign again."""
    ledger.options = replace(ledger.options, witness_wait_ms=500)
    field = Overseen(ledger, stack, "a")
    listed = field.policy
    mute = Witness("mute", Cosigner("mute.example", make_key("mute")).vkey)
    policy = replace(
        listed,
        witnesses=(*listed.witnesses, mute),
        groups=(Group("enough", 1, ("a", "mute")),),
    )
    first = field.sequencer(policy=policy)
    assert first.run_once() is not None
    first.release()
    field.of["a"]._show = lambda _: Reply(503)  # type: ignore[method-assign]
    ledger.accept("after a restore")
    with pytest.raises(QuorumError, match=r"nothing is signed before .* from witness a"):
        field.sequencer("restored", policy).run_once()
    assert sizes(ledger) == (1, 1)


def test_under_upgrade_silent_witnesses_are_a_warning(
    ledger: Ledger, stack: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    upgrading(ledger)
    field = Overseen(ledger, stack, "a")
    field.of["a"]._show = lambda _: Reply(503)  # type: ignore[method-assign]
    assert field.sequencer().run_once() is not None
    assert "not known what these hold of our log: witness a" in caplog.text


def test_all_are_asked_again_under_another_lease(ledger: Ledger, stack: ExitStack) -> None:
    field = Overseen(ledger, stack, "a")
    sequencer = field.sequencer()
    for n in range(3):
        ledger.accept(str(n))
        sequencer.run_once()
        sequencer.release()
    assert len([1 for method, _, _ in field.at["a"].requests if method == "GET"]) == 3
