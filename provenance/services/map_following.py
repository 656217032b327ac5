"""A map-aware witness's slow part: follow a log's map up to a checkpoint, in the background.

A witness that meets a log for the first time replays it from entry 0, which may take hours; the
request that asks for it may take seconds. So each log has at most one follower's thread here: a
request waits for it as long as its patience lasts and is then told to come again; the thread goes
on. How far it has come is kept in the state file every few seconds, so that a restart loses
nothing that matters.

Kept progress is a beginning that no signed root has vouched for yet. It is only ever a place to go
on from: what is handed out is a position that met the checkpoint's root. If a check that began at
such a place fails, it is made once more from the last cosigned one, so that a log which once served
bad bytes can come back.

A request that waits holds one of the few places in which checkpoints are judged, and anybody can
send a log's public checkpoint: only `MOST_WAITING` wait, the others are told to come again at once
(and find the answer then), or one log's first check would keep all other logs out.

A refusal is remembered for a minute for that very checkpoint: a log that asks again and again does
not make us replay again and again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from merkle.checkpoint import Checkpoint
from provenance.domain.errors import DomainError
from provenance.domain.log_source import LogMalformedError, LogMismatchError, LogSource
from provenance.domain.map_replay import MapPosition, MapRefusedError, follow_map
from provenance.storage.witness_state import WitnessState

REFUSALS = (MapRefusedError, LogMismatchError, LogMalformedError)
"""What is the log's fault. All else that a source raises is an outage."""

MOST_WAITING = 8
"""Requests that wait for checks at once: below the witness's places (`web.witness.SLOTS`)."""

_REMEMBERED_SECONDS = 60.0


class NotYetError(DomainError):
    """The check is still under way; come again after `retry_after` seconds."""

    def __init__(self, origin: str, size: int | None, retry_after: int) -> None:
        place = "has just begun" if size is None else f"has come to entry {size}"
        super().__init__(f"the check of the map of {origin} {place}; ask again")
        self.retry_after = retry_after


@dataclass
class _Task:
    """One run of the check, done or not. Written by its thread, read after `done` is set."""

    checkpoint: Checkpoint
    start: MapPosition | None = None
    """Where the log's task before this one ended well, whoever asked for that."""
    done: threading.Event = field(default_factory=threading.Event)
    reached: int | None = None
    result: MapPosition | None = None
    error: Exception | None = None
    ended: float = 0.0


class MapFollower:
    """Takes the maps of logs forward; one thread a log at most. Safe to share by threads."""

    def __init__(
        self,
        state: WitnessState,
        open_source: Callable[[str], LogSource],
        *,
        patience_seconds: float = 8.0,
        keep_every_seconds: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`open_source` makes the source of a log's configured URL; nothing else is ever read."""
        self._state = state
        self._open_source = open_source
        self._patience = patience_seconds
        self._keep_every = keep_every_seconds
        self._clock = clock
        self._tasks: dict[str, _Task] = {}
        self._sources: dict[str, LogSource] = {}
        self._waiting = 0
        self._lock = threading.Lock()  # owns the dictionaries and the number that waits

    def reach(self, checkpoint: Checkpoint, url: str) -> MapPosition:
        """The position at the checkpoint, whose map was found right.

        Raises one of `REFUSALS` (the map is wrong, or the log's bytes are), LogUnreachableError,
        NotYetError, and StoreUnavailableError when progress could not be kept.
        """
        task = self._task(checkpoint, url)
        if task.checkpoint != checkpoint:
            raise NotYetError(checkpoint.origin, task.reached, 1)
        if not self._wait(task):
            raise NotYetError(checkpoint.origin, task.reached, 5)
        if task.error is not None:
            raise task.error
        assert task.result is not None  # noqa: S101  # done without an error has a result
        return task.result

    def _wait(self, task: _Task) -> bool:
        """Is the task done, after as long as this request may wait for it?"""
        with self._lock:
            if self._waiting >= MOST_WAITING:
                return task.done.is_set()
            self._waiting += 1
        try:
            return task.done.wait(self._patience)
        finally:
            with self._lock:
                self._waiting -= 1

    def _task(self, checkpoint: Checkpoint, url: str) -> _Task:
        """The log's task: the one that runs, or that has the answer, or a new one."""
        with self._lock:
            task = self._tasks.get(checkpoint.origin)
            if task is not None and (not task.done.is_set() or self._is_answer(task, checkpoint)):
                return task
            source = self._sources.get(url)
            if source is None:
                source = self._sources[url] = self._open_source(url)
            task = _Task(checkpoint, None if task is None else task.result)
            self._tasks[checkpoint.origin] = task
        threading.Thread(
            target=self._run, args=(task, source), name="map-check", daemon=True
        ).start()
        return task

    def _is_answer(self, task: _Task, checkpoint: Checkpoint) -> bool:
        if task.checkpoint != checkpoint:
            return False
        if task.error is None:
            return True
        return isinstance(task.error, REFUSALS) and self._clock() - task.ended < _REMEMBERED_SECONDS

    def _run(self, task: _Task, source: LogSource) -> None:
        try:
            task.result = self._follow(task, source)
        except Exception as error:  # handed to whoever waits, whatever it is
            task.error = error
        task.ended = self._clock()
        task.done.set()

    def _follow(self, task: _Task, source: LogSource) -> MapPosition:
        origin = task.checkpoint.origin
        known = self._state.cosigned(origin)
        trusted = MapPosition() if known is None or known.position is None else known.position
        further = [
            start
            for start in (task.start, self._state.progress(origin))
            if start is not None and trusted.size < start.size <= task.checkpoint.size
        ]
        if further:
            try:
                return self._forward(task, source, max(further, key=lambda start: start.size))
            except REFUSALS:
                self._state.drop_progress(origin)  # perhaps it was bad: once more without it
        try:
            return self._forward(task, source, trusted)
        except REFUSALS:
            self._state.drop_progress(origin)
            raise

    def _forward(self, task: _Task, source: LogSource, position: MapPosition) -> MapPosition:
        kept = self._clock()
        for step in follow_map(source, position, task.checkpoint):
            position = step
            task.reached = position.size
            if self._clock() - kept >= self._keep_every:
                self._state.keep_progress(task.checkpoint.origin, position)
                kept = self._clock()
        return position
