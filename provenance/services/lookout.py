"""What others hold of our log: witnesses and mirrors, asked all at once and in bounded time.

Asked before a sequencer signs for the first time under a lease (:meth:`Oversight.look_around`) and
again whenever it refreshes the age of its checkpoint. One thread a place and a question; a place
that has not answered yet is not asked again. An answer is judged by
:mod:`provenance.services.forks`; what speaks against this log ends in SequencerRefusalError, what
cannot be read in a warning, for whoever runs a mirror must not be able to stop a log by nonsense.

A witness can stop it by a number alone: the size in its 409, where it shows nothing. The operator
chose it to be heeded, and the error names it.

A witness without a monitoring path (404) is asked in another way: with our own published
checkpoint and ``old 0``, to which it answers 409 and its size.

Sources: C2SP tlog-witness (monitoring), tlog-tiles (checkpoint of a mirror).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from provenance.domain.errors import Refusal
from provenance.services.forks import ForkWatch, behind, require_whole
from provenance.services.witnessing import (
    Feeder,
    Proposal,
    ShowsCheckpoint,
    WitnessAlarm,
    Witnesses,
    ask_for_checkpoint,
)
from provenance.storage import log
from provenance.storage.errors import StorageError
from provenance.storage.session import Database

_logger = logging.getLogger(__name__)

Ask = Callable[[Proposal | None], bytes | None]
"""A note that is not judged yet, None for none. Raises CosigningError, WitnessAlarm."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The answer of one place. `note` None: it holds nothing of this log, or does not say what.

    `trouble` says why there is no answer; `alarm` that a witness contradicts this log.
    """

    place: str
    note: bytes | None = None
    trouble: str | None = None
    alarm: WitnessAlarm | None = None


class Lookout:
    """Everybody who can be asked. One sequencer thread calls this; the lock owns the rest."""

    def __init__(self, places: dict[str, Ask]) -> None:
        """`places` by what people call them, such as ``witness blue``."""
        self._places = places
        self._news = threading.Condition()
        self._under_way: set[str] = set()
        self._seen: list[Seen] = []

    @property
    def places(self) -> frozenset[str]:
        """All names."""
        return frozenset(self._places)

    def ask(self, places: Iterable[str], proposal: Proposal | None) -> None:
        """Ask these; returns at once. `proposal` is our published checkpoint, if there is one."""
        with self._news:
            for place in sorted(set(places) - self._under_way):
                self._under_way.add(place)
                threading.Thread(
                    target=self._look, args=(place, proposal), name=place, daemon=True
                ).start()

    def wait(self, seconds: float) -> None:
        """Until all that were asked have answered, or time is up."""
        end = time.monotonic() + seconds
        with self._news:
            while self._under_way and (remaining := end - time.monotonic()) > 0:
                self._news.wait(remaining)

    def take(self) -> list[Seen]:
        """The answers since the last call."""
        with self._news:
            seen, self._seen = self._seen, []
            return seen

    def _look(self, place: str, proposal: Proposal | None) -> None:
        try:
            seen = Seen(place, self._places[place](proposal))
        except WitnessAlarm as alarm:
            seen = Seen(place, alarm.shown, alarm=alarm)
        except Exception as error:  # whatever it is, the others' answers count
            seen = Seen(place, trouble=str(error))
        with self._news:
            self._seen.append(seen)
            self._under_way.discard(place)
            self._news.notify_all()


def ask_witness(feeder: Feeder, origin: str) -> Ask:
    """How a witness is asked."""

    def ask(proposal: Proposal | None) -> bytes | None:
        note = feeder.show(origin)
        if note is None and proposal is not None:
            feeder.probe(proposal)
        return note

    return ask


def ask_mirror(mirror: ShowsCheckpoint, name: str, origin: str) -> Ask:
    """How a mirror is asked; one that has no checkpoint yet says nothing."""

    def ask(_proposal: Proposal | None) -> bytes | None:
        return ask_for_checkpoint(mirror, name, origin)

    return ask


class Oversight:
    """What the sequencer asks of others, and what it lets them say to it. One thread calls this."""

    def __init__(
        self,
        database: Database,
        watch: ForkWatch,
        witnesses: Witnesses,
        mirrors: Mapping[str, ShowsCheckpoint],
        origin: str,
    ) -> None:
        """`mirrors` by their address."""
        self._database = database
        self._watch = watch
        self._witnesses = witnesses
        self._feeders = {f"witness {feeder.name}": feeder for feeder in witnesses.feeders}
        places = {name: ask_witness(feeder, origin) for name, feeder in self._feeders.items()}
        for url, mirror in mirrors.items():
            places[f"mirror {url}"] = ask_mirror(mirror, f"mirror {url}", origin)
        self._lookout = Lookout(places)
        self._heard: set[str] = set()  # places that have said what they hold, in this lease

    def forget(self) -> None:
        """Another lease: all must be asked anew."""
        self._heard.clear()

    def look_around(self, published: Proposal | None, seconds: float) -> set[str]:
        """Ask all who have not answered in this lease; those that still have not.

        Raises SequencerRefusalError if evidence is stored, or comes.
        """
        with self._database.read() as connection:
            signed = log.read_state(connection)
            require_whole(connection, 0 if signed is None else signed.size)
        self._watch.settle()
        missing = self._lookout.places - self._heard
        if missing:
            self._lookout.ask(missing, published)
            self._lookout.wait(seconds)
            self.listen()
        silent = set(self._lookout.places - self._heard)
        if silent:
            _logger.warning(
                "sequencer: not known what these hold of our log: %s", ", ".join(sorted(silent))
            )
        return silent

    def ask_again(self, published: Proposal | None) -> None:
        """Ask all, and let the answers come to `listen`."""
        self._lookout.ask(self._lookout.places, published)

    def listen(self) -> None:
        """Take in what others have answered. Raises SequencerRefusalError."""
        with self._asking_anew_after_an_outage():
            for seen in self._lookout.take():
                if seen.alarm is not None:
                    self._witnesses.set_aside(seen.alarm)
                elif seen.trouble is not None:
                    _logger.warning("sequencer: no word of what it holds: %s", seen.trouble)
                elif self._accept(seen):
                    self._heard.add(seen.place)
        self.hear_alarms()

    def hear_alarms(self) -> None:
        """What witnesses answered that no honest log can get. Raises SequencerRefusalError."""
        with self._asking_anew_after_an_outage():
            for alarm in self._witnesses.take_alarms():
                self._hear(alarm)

    @contextmanager
    def _asking_anew_after_an_outage(self) -> Iterator[None]:
        """What was said and could not be judged or kept must be said again before we sign more."""
        try:
            yield
        except StorageError:
            self.forget()
            raise

    def _accept(self, seen: Seen) -> bool:
        """Does a place's answer say what it holds? Raises SequencerRefusalError if that is bad."""
        if seen.note is None:
            return True
        size = self._judge(seen.note, seen.place)
        feeder = self._feeders.get(seen.place)
        if size is not None and feeder is not None and feeder.held is None:
            feeder.held = size
        return size is not None

    def _hear(self, alarm: WitnessAlarm) -> None:
        if alarm.shown is not None:
            self._judge(alarm.shown, f"witness {alarm.witness}")
        # Read now: while we asked, another sequencer may have taken over and signed more.
        with self._database.read() as connection:
            state = log.read_state(connection)
        signed = 0 if state is None else state.size
        if alarm.size is not None and alarm.size > signed:
            raise behind(f"witness {alarm.witness}", alarm.size, signed)

    def _judge(self, note: bytes, place: str) -> int | None:
        """The size of a note that is of our history; None if it is no checkpoint of this log.

        Raises SequencerRefusalError for one that is not of our history.
        """
        try:
            finding = self._watch.receive(note, place)
        except StorageError:  # an outage is a refusal too, but never a verdict on what was shown
            raise
        except Refusal as error:
            _logger.warning("sequencer: what %s shows is not understood: %s", place, error)
            return None
        if finding.relation == "ahead":
            raise behind(place, finding.checkpoint.size, finding.signed)
        if finding.relation == "conflicting":
            with self._database.read() as connection:
                require_whole(connection, finding.signed)
        return finding.checkpoint.size
