"""How the cost of a link changes as the log grows: a sequencer alone, and links made up for it.

Uploads are put where capture puts them (`uploads`, with the links' bytes), a thousand links each,
without events, seals or subjects: all that the sequencer reads is real, and nothing else is there
to be paid for. Keys are hashes, as those of real subjects. Of each round one link in so many is
about a subject that has a history already; the others begin one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from hashlib import sha256
from random import Random
from typing import Any, Final

from merkle.hashing import leaf_hash
from merkle.tiles import frame_entries
from provenance.bench.steps import StepTimes
from provenance.domain.chain import Link
from provenance.platform import Platform
from provenance.storage import events as event_rows

Say = Callable[[str], None]

UPLOAD: Final = 1_000
"""Links in one upload."""

OLD: Final = 10
"""One link in so many extends a history."""

_REMEMBERED: Final = 100_000  # histories that may be extended


class Growing:
    """Links for a log that grows; see the module text."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._chance = Random(1)  # noqa: S311  a sample
        self._known: list[tuple[bytes, int, bytes]] = []  # key, next seq, newest link
        self._made = 0

    def accept(self, links: int) -> None:
        """Have so many links wait for the sequencer."""
        for _ in range(0, links, UPLOAD):
            entries = [self._link() for _ in range(UPLOAD)]
            with self._platform.database.write() as connection:
                event_rows.insert_upload(
                    connection,
                    accepted_at=self._platform.clock(),
                    entries=entries,
                    framed=frame_entries(entries),
                )

    def _link(self) -> bytes:
        self._made += 1
        event = sha256(b"event %d" % self._made).digest()
        seal = sha256(b"seal %d" % (self._made // UPLOAD)).digest()
        place = self._chance.randrange(len(self._known)) if self._known else 0
        is_old = bool(self._known) and self._made % OLD == 0
        key, seq, prev = self._known[place] if is_old else (sha256(event).digest(), 0, None)
        entry = Link(key, seq, prev, event, seal, self._platform.clock()).encode()
        head = (key, seq + 1, leaf_hash(entry))
        if is_old:
            self._known[place] = head
        elif len(self._known) < _REMEMBERED:
            self._known.append(head)
        return entry


def measure(platform: Platform, links: int, step: int, say: Say) -> dict[str, Any]:
    """Microseconds a link for every `step` links until there are `links`, processor and clock."""
    growing = Growing(platform)
    times = platform.observer
    facts: dict[str, Any] = {}
    for start in range(0, links, step):
        growing.accept(step)
        if isinstance(times, StepTimes):
            times.clear()
        wall, used = time.perf_counter(), time.process_time()
        while platform.sequencer.run_once() is not None:
            pass
        spent = (time.process_time() - used, time.perf_counter() - wall)
        words = f"{start + step:,} links: µs a link, processor"
        facts[words] = round(1e6 * spent[0] / step, 1)
        facts[f"{start + step:,} links: µs a link, by the clock"] = round(1e6 * spent[1] / step, 1)
        say(f"{words}: {facts[words]}")
    platform.sequencer.release()
    return facts
