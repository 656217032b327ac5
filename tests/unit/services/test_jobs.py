"""Jobs: whatever pieces the bytes come in, and wherever they break off, each batch is there once,
and the offset says exactly what need not be sent again."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from provenance.domain.errors import (
    BusyError,
    ConflictError,
    MalformedInputError,
    NotFoundError,
    Refusal,
    TooLargeError,
    UnavailableError,
)
from provenance.services.backlog import Backlog
from provenance.services.capture import Capture
from provenance.services.jobs import UNPROVEN_KEEP_MS, JobLimits, JobRow, Jobs
from provenance.storage.errors import StoreUnavailableError
from provenance.storage.session import Database
from provenance.storage.tables import events, job_batches, job_pieces
from provenance.storage.tables import jobs as job_rows
from tests.support.builders import Actor, World, item_event, make_key
from tests.support.clock import FrozenClock

_serials = itertools.count(1_000)
LIMITS = JobLimits(most_jobs=3, job_bytes=1_000_000, batch_bytes=60_000, keep_ms=3_600_000)


@pytest.fixture
def jobs(database: Database, world: World) -> Jobs:
    return Jobs(database, world.capture, world.clock, LIMITS)


@pytest.fixture
def brand(world: World) -> Actor:
    return world.party("brand")


def new_event() -> dict[str, Any]:
    return item_event(next(_serials))


def batches(brand: Actor, *sizes: int) -> list[bytes]:
    """Sealed batches of these sizes as the bytes that are sent."""
    return [
        b"".join(line + b"\n" for line in brand.sealed([new_event() for _ in range(size)]))
        for size in sizes
    ]


def own_proofs(brand: Actor, count: int) -> bytes:
    return b"".join(brand.signed(new_event()) + b"\n" for _ in range(count))


def cut(body: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


def broken_after(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """What the web layer gives when the sender goes away."""
    yield from chunks
    raise MalformedInputError("body-truncated", "The body ended before its end.")


def stored_events(database: Database) -> int:
    with database.read() as connection:
        return int(connection.scalar(select(func.count()).select_from(events)) or 0)


def rows_of(database: Database, table: Any) -> int:
    with database.read() as connection:
        return int(connection.scalar(select(func.count()).select_from(table)) or 0)


def go_on(jobs: Jobs, name: str, body: bytes, *, whole: bool = False) -> JobRow:
    """As a sender does: ask for the offset, send what is behind it."""
    offset = jobs.fix_offset(name).offset
    return jobs.receive(jobs.begin(name, offset, None), [body[offset:]], whole=whole)


class TestCutting:
    """Where a batch ends follows from its first line."""

    @pytest.mark.parametrize("size", [1, 7, 300, 100_000])
    def test_chunks_of_any_size_give_the_same_batches(
        self, jobs: Jobs, brand: Actor, size: int
    ) -> None:
        body = b"".join(batches(brand, 1, 3, 2))
        done = jobs.receive(jobs.create(len(body)), cut(body, size), whole=True)
        assert (done.state, done.batches, done.events) == ("done", 3, 6)
        assert (done.offset, done.lines) == (len(body), 9)

    def test_both_forms_of_upload_may_follow_each_other(self, jobs: Jobs, brand: Actor) -> None:
        one, two = batches(brand, 2, 1)
        body = own_proofs(brand, 3) + one + own_proofs(brand, 2) + two
        done = jobs.receive(jobs.create(None), [body], whole=True)
        assert (done.batches, done.events, done.lines) == (4, 8, 10)
        seals = [json.loads(line)["seal"] for line in jobs.receipts(done.name, 0, 100)]
        assert [seal is None for seal in seals] == [True, False, True, False]

    def test_many_own_proofs_are_accepted_in_parts(
        self, jobs: Jobs, brand: Actor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("provenance.services.intake.OWN_PROOFS", 4)
        done = jobs.receive(jobs.create(None), [own_proofs(brand, 10)], whole=True)
        assert (done.batches, done.events) == (3, 10)
        given = [len(json.loads(line)["events"]) for line in jobs.receipts(done.name, 0, 100)]
        assert given == [4, 4, 2]

    def test_the_last_line_needs_no_line_feed_and_others_may_end_in_cr_lf(
        self, jobs: Jobs, brand: Actor
    ) -> None:
        body = batches(brand, 2)[0].replace(b"\n", b"\r\n").removesuffix(b"\r\n")
        done = jobs.receive(jobs.create(len(body)), cut(body, 50), whole=True)
        assert (done.state, done.events, done.offset) == ("done", 2, len(body))

    def test_an_empty_body_is_a_job_of_nothing(self, jobs: Jobs, brand: Actor) -> None:
        done = jobs.receive(jobs.create(0), [], whole=True)
        assert (done.state, done.events) == ("done", 0)


class TestGoingOn:
    """An interruption costs what came since the last durable place, and nothing else."""

    @given(stops=st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=5).map(sorted))
    def test_broken_off_anywhere_and_again_it_ends_with_each_batch_once(
        self, database: Database, jobs: Jobs, brand: Actor, stops: list[tuple[float, bool]]
    ) -> None:
        body = b"".join(batches(brand, 2, 1, 3)) + own_proofs(brand, 3)
        before = stored_events(database)
        job = jobs.create(len(body))
        for part, meant in stops:
            end = round(part * len(body))
            offset = jobs.fix_offset(job.name).offset
            begun = jobs.begin(job.name, offset, len(body))
            piece = body[offset : max(offset, end)]
            if meant:
                kept = jobs.receive(begun, [piece], whole=False)
                assert kept.offset == offset + len(piece), "what was acknowledged is kept"
            else:
                with pytest.raises(UnavailableError, match="broke off"):
                    jobs.receive(begun, broken_after(cut(piece, 97)), whole=True)
            assert jobs.look(job.name).offset >= offset
        done = go_on(jobs, job.name, body, whole=True)
        assert (done.state, done.events) == ("done", 9)
        assert stored_events(database) - before == 9
        assert rows_of(database, job_pieces) == 0

    def test_a_crash_before_the_row_moved_makes_the_sender_repeat_itself(
        self, database: Database, world: World, brand: Actor
    ) -> None:
        """The row lags at most a second: here it lags for ever, and then the worker dies."""
        jobs = Jobs(database, world.capture, world.clock, LIMITS, keep_seconds=1e9)
        body = b"".join(batches(brand, 1, 1, 1))
        job = jobs.create(len(body))

        def dies() -> Iterator[bytes]:
            yield body
            raise KeyboardInterrupt

        before = stored_events(database)
        with pytest.raises(KeyboardInterrupt):
            jobs.receive(job, dies(), whole=True)
        assert stored_events(database) - before == 3
        assert jobs.look(job.name).offset == 0
        done = go_on(jobs, job.name, body, whole=True)
        assert (done.state, done.batches, done.events) == ("done", 3, 3)
        assert stored_events(database) - before == 3
        assert len(list(jobs.receipts(job.name, 0, 100))) == 3

    def test_an_outage_ends_the_request_and_not_the_job(
        self, database: Database, world: World, brand: Actor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        jobs = Jobs(database, world.capture, world.clock, LIMITS)
        one, two = batches(brand, 2, 2)
        job, submit, calls = jobs.create(None), world.capture.submit_batch, itertools.count()

        def away(lines: Iterable[bytes]) -> Any:
            if next(calls) == 1:
                raise StoreUnavailableError("gone")
            return submit(lines)

        monkeypatch.setattr(world.capture, "submit_batch", away)
        with pytest.raises(UnavailableError, match="gone"):
            jobs.receive(job, [one + two], whole=True)
        assert jobs.look(job.name).offset == len(one)
        assert go_on(jobs, job.name, one + two, whole=True).events == 4

    def test_receipts_are_those_that_single_uploads_would_have_got(
        self, jobs: Jobs, world: World, brand: Actor
    ) -> None:
        one, two = batches(brand, 2, 1)
        done = jobs.receive(jobs.create(None), [one + two], whole=True)
        again = [world.capture.submit_batch(iter(body.splitlines())).body for body in (one, two)]
        assert list(jobs.receipts(done.name, 0, 100)) == again
        assert list(jobs.receipts(done.name, 1, 100)) == again[1:]
        assert list(jobs.receipts(done.name, 0, 1)) == again[:1]
        assert list(jobs.receipts(done.name, 2, 1)) == []

    def test_own_proofs_keep_the_receipt_that_was_signed_for_them(
        self, jobs: Jobs, brand: Actor, clock: FrozenClock
    ) -> None:
        done = jobs.receive(jobs.create(None), [own_proofs(brand, 2)], whole=True)
        first = list(jobs.receipts(done.name, 0, 100))
        clock.advance(60_000)
        assert list(jobs.receipts(done.name, 0, 100)) == first
        assert json.loads(first[0])["seal"] is None


class TestTwoAtOnce:
    """The later request goes on; the earlier can move nothing any more."""

    @pytest.mark.parametrize("later", ["fix_offset", "begin"])
    def test_the_earlier_one_is_told_and_moves_nothing(
        self, database: Database, world: World, brand: Actor, later: str
    ) -> None:
        jobs = Jobs(database, world.capture, world.clock, LIMITS, keep_seconds=0)
        one, two = batches(brand, 1, 1)
        job = jobs.create(None)
        act: dict[str, Callable[[], object]] = {
            "fix_offset": lambda: jobs.fix_offset(job.name),
            "begin": lambda: jobs.begin(job.name, len(one), None),
        }

        def overtaken() -> Iterator[bytes]:
            yield one
            act[later]()
            yield two

        with pytest.raises(ConflictError) as caught:
            jobs.receive(job, overtaken(), whole=True)
        assert caught.value.code == "job-taken-over"
        assert jobs.look(job.name).offset == len(one)
        before = stored_events(database)
        done = go_on(jobs, job.name, one + two, whole=True)
        assert (done.events, stored_events(database)) == (2, before), "accepted by the first one"

    def test_a_cancelled_job_takes_nothing_more_and_keeps_what_it_had(
        self, database: Database, world: World, brand: Actor
    ) -> None:
        jobs = Jobs(database, world.capture, world.clock, LIMITS, keep_seconds=0)
        one, two = batches(brand, 1, 2)
        job = jobs.create(None)

        def cancelled() -> Iterator[bytes]:
            yield one
            jobs.cancel(job.name)
            yield two[:-5]

        with pytest.raises(ConflictError) as caught:
            jobs.receive(job, cancelled(), whole=False)
        assert (caught.value.code, caught.value.found) == ("job-ended", "a cancelled one")
        for act in (
            lambda: jobs.fix_offset(job.name),
            lambda: jobs.begin(job.name, len(one), None),
        ):
            with pytest.raises(ConflictError) as caught:
                act()
            assert caught.value.extra["accepted"] == {"batches": 1, "events": 1}
        assert len(list(jobs.receipts(job.name, 0, 9))) == 1
        assert jobs.cancel(job.name).state == "cancelled"
        assert rows_of(database, job_pieces) == 0


class TestRefusals:
    """What ends a job names the line of the whole body, and what was accepted before."""

    def test_the_first_bad_batch_ends_it(self, jobs: Jobs, brand: Actor) -> None:
        one, two, three = batches(brand, 2, 2, 1)
        bad = two.replace(b"inspecting", b"destroying", 1)
        job = jobs.create(None)
        with pytest.raises(Refusal) as caught:
            jobs.receive(job, [one + bad + three], whole=True)
        assert (caught.value.code, caught.value.line) == ("seal-root-mismatch", 4)
        assert caught.value.extra["accepted"] == {"batches": 1, "events": 2}
        ended = jobs.look(job.name)
        assert (ended.state, ended.events, ended.consumed) == ("refused", 2, len(one))
        assert json.loads(ended.refusal or "")["line"] == 4
        with pytest.raises(ConflictError) as caught:
            jobs.begin(job.name, len(one), None)
        assert caught.value.extra["refusal"]["code"] == "seal-root-mismatch"

    @pytest.mark.parametrize(
        ("change", "code", "line"),
        [
            (lambda body: body[: body.rindex(b"\n", 0, -1)], "upload-truncated", 5),
            (lambda body: body + b"\n", "not-json", 7),
            (lambda body: body + b"{}\n", "proof-missing", 7),
            (lambda body: body + b'{"type":"prov:Seal"}\n', "seal-malformed", 7),
            (lambda body: body + b'{"type":"prov:Seal","size":true}\n', "seal-malformed", 7),
            (lambda body: body + b" " * 50_000, "too-large", 7),
            (lambda body: body + b" " * 50_000 + b"\n", "too-large", 7),
        ],
    )
    def test_its_line_is_counted_in_the_whole_body(
        self, jobs: Jobs, brand: Actor, change: Callable[[bytes], bytes], code: str, line: int
    ) -> None:
        body = change(b"".join(batches(brand, 2, 2)))
        with pytest.raises(Refusal) as caught:
            jobs.receive(jobs.create(None), cut(body, 999), whole=True)
        assert (caught.value.code, caught.value.line) == (code, line)

    def test_a_batch_beyond_its_room_is_refused_while_it_is_read(
        self, jobs: Jobs, brand: Actor
    ) -> None:
        (body,) = batches(brand, 50)
        small = replace(LIMITS, batch_bytes=len(body) - 1)
        jobs.limits = small
        with pytest.raises(TooLargeError) as caught:
            jobs.receive(jobs.create(None), [body], whole=True)
        assert caught.value.line == 51

    def test_what_a_stranger_sends_is_refused_at_its_first_line(
        self, jobs: Jobs, world: World
    ) -> None:
        stranger = world.actor("stranger")
        (body,) = batches(stranger, 20)
        lines = iter(body.splitlines(keepends=True))
        with pytest.raises(Refusal) as caught:
            jobs.receive(jobs.create(None), lines, whole=True)
        assert (caught.value.code, caught.value.line) == ("party-unknown", 1)
        assert len(list(lines)) == 20, "no event was even read"

    def test_a_length_is_said_once(self, jobs: Jobs, brand: Actor) -> None:
        (body,) = batches(brand, 1)
        job = jobs.create(len(body) + 1)
        with pytest.raises(MalformedInputError) as caught:
            jobs.begin(job.name, 0, len(body))
        assert caught.value.code == "inconsistent-upload-length"
        with pytest.raises(MalformedInputError) as caught:
            jobs.receive(job := jobs.begin(job.name, 0, None), [body], whole=True)
        assert caught.value.code == "inconsistent-upload-length"
        assert jobs.look(job.name).state == "refused"

    def test_bytes_beyond_the_length_end_the_job(self, jobs: Jobs, brand: Actor) -> None:
        one, two = batches(brand, 1, 1)
        job = jobs.create(len(one) + 10)
        with pytest.raises(MalformedInputError) as caught:
            jobs.receive(job, [one, two], whole=False)
        assert caught.value.code == "inconsistent-upload-length"
        assert (jobs.look(job.name).state, jobs.look(job.name).events) == ("refused", 1)

    def test_a_job_beyond_its_greatest_size_is_refused_before_or_while_it_comes(
        self, jobs: Jobs, brand: Actor
    ) -> None:
        jobs.limits = replace(LIMITS, job_bytes=100)
        with pytest.raises(TooLargeError):
            jobs.create(101)
        with pytest.raises(TooLargeError) as caught:
            jobs.receive(jobs.create(None), batches(brand, 1), whole=True)
        assert caught.value.code == "too-large"

    def test_an_offset_that_is_not_the_jobs_is_told_the_right_one(
        self, jobs: Jobs, brand: Actor
    ) -> None:
        one, two = batches(brand, 1, 1)
        job = jobs.receive(jobs.create(None), [one + two[:10]], whole=False)
        for offset in (0, len(one), job.offset + 1):
            with pytest.raises(ConflictError) as caught:
                jobs.begin(job.name, offset, None)
            assert caught.value.code == "mismatching-upload-offset"
            assert caught.value.extra == {
                "expected-offset": len(one) + 10,
                "provided-offset": offset,
            }
        assert go_on(jobs, job.name, one + two, whole=True).events == 2

    def test_a_complete_upload_takes_nothing_more(self, jobs: Jobs, brand: Actor) -> None:
        done = jobs.receive(jobs.create(None), batches(brand, 1), whole=True)
        with pytest.raises(MalformedInputError) as caught:
            jobs.begin(done.name, done.offset, None)
        assert caught.value.code == "completed-upload"
        assert jobs.fix_offset(done.name).state == "done"

    def test_an_unknown_job(self, jobs: Jobs) -> None:
        for act in (jobs.look, jobs.fix_offset, jobs.cancel, lambda n: jobs.begin(n, 0, None)):
            with pytest.raises(NotFoundError):
                act("0" * 32)


class TestBounds:
    """Nothing grows without end, and whoever cannot sign keeps nobody out."""

    def test_jobs_of_which_nothing_was_accepted_give_way(
        self, database: Database, jobs: Jobs, brand: Actor
    ) -> None:
        proven = jobs.receive(jobs.create(None), batches(brand, 1), whole=False)
        for _ in range(10):
            jobs.create(None)
        assert rows_of(database, job_rows) == LIMITS.most_jobs
        assert jobs.look(proven.name).events == 1

    def test_when_all_are_in_earnest_the_next_is_told_to_come_again(
        self, jobs: Jobs, brand: Actor, clock: FrozenClock
    ) -> None:
        started = [
            jobs.receive(jobs.create(None), batches(brand, 1), whole=False)
            for _ in range(LIMITS.most_jobs)
        ]
        with pytest.raises(BusyError) as caught:
            jobs.create(None)
        assert caught.value.code == "jobs-full"
        jobs.cancel(started[0].name)
        jobs.create(None)

    def test_a_job_expires_and_is_forgotten_later(
        self, database: Database, jobs: Jobs, brand: Actor, clock: FrozenClock
    ) -> None:
        job = jobs.receive(jobs.create(None), [batches(brand, 1)[0] + b"{"], whole=False)
        clock.advance(LIMITS.keep_ms)
        assert jobs.is_expired(jobs.look(job.name))
        with pytest.raises(ConflictError) as caught:
            jobs.fix_offset(job.name)
        assert caught.value.found == "an expired one"
        assert len(list(jobs.receipts(job.name, 0, 9))) == 1
        clock.advance(LIMITS.keep_ms)
        jobs.create(None)
        with pytest.raises(NotFoundError):
            jobs.look(job.name)
        assert [rows_of(database, table) for table in (job_pieces, job_batches)] == [0, 0]

    def test_a_job_of_nothing_is_soon_forgotten(self, jobs: Jobs, clock: FrozenClock) -> None:
        job = jobs.create(None)
        clock.advance(UNPROVEN_KEEP_MS)
        jobs.create(None)
        with pytest.raises(NotFoundError):
            jobs.look(job.name)

    def test_names_cannot_be_guessed(self, jobs: Jobs) -> None:
        names = {jobs.create(None).name for _ in range(20)}
        assert len(names) == 20
        assert all(len(bytes.fromhex(name)) == 16 for name in names)


class TestBacklog:
    """While too much waits for the log, nothing more is accepted."""

    def test_uploads_are_told_to_come_again_and_a_job_goes_on_later(
        self, database: Database, clock: FrozenClock, world: World, brand: Actor
    ) -> None:
        times = itertools.count()
        backlog = Backlog(database, 6, monotonic=lambda: float(next(times)))
        capture = Capture(database, world.origin, make_key("operator"), clock, backlog=backlog)
        jobs = Jobs(database, capture, clock, LIMITS)
        body = b"".join(batches(brand, 4, 4))
        job = jobs.create(None)
        with pytest.raises(BusyError) as caught:
            jobs.receive(job, [body], whole=True)
        assert caught.value.code == "queue-full"
        waiting = jobs.look(job.name)
        assert (waiting.state, waiting.events) == ("receiving", 4)
        with pytest.raises(BusyError):
            capture.submit_event(brand.signed(new_event()))
        assert go_on(Jobs(database, world.capture, clock, LIMITS), job.name, body, whole=True)

    def test_it_is_counted_twice_a_second_at_most(self, database: Database) -> None:
        now = [0.0]
        backlog = Backlog(database, 1, monotonic=lambda: now[0])
        backlog.require_room()
        database.close()
        for now[0] in (0.1, 0.4):
            backlog.require_room()
