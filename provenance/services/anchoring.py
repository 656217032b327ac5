"""Anchors: now and then a published checkpoint is shown to third parties who date it.

Runs beside the sequencer, in a thread of its own, so that a slow authority holds up no publication.
A round for each third party: what is pending is asked after; when nothing is pending, the log has
grown since the last anchor and `interval_ms` have passed, the newest published checkpoint is asked
for. The order, and what a crash after each step leaves:

1. The row, pending, committed. A crash leaves a request that nobody has heard of; the next round
   makes it again, which adapters allow.
2. The third party is asked. A crash leaves its answer unheard; the next round asks after it.
3. The row is confirmed. From here on passports carry it.

Failures are logged and tried again in the next round; an anchor stays "pending" until somebody has
really said something. A third party says what it likes; what could not stand in a bundle (a time
that no calendar has, a number that is none) is a failure too, for a confirmed row is in every
passport after it, and readers refuse a bundle for one malformed member. What an anchor is worth to
a reader: docs/formats.md sections 8 and 11.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Final

from merkle.checkpoint import parse_checkpoint
from merkle.note import Note, parse_note
from provenance.domain import canonical
from provenance.domain.anchoring import Anchor, AnchorError, AnchorSupersededError, Confirmed
from provenance.domain.canonical import Base64Error
from provenance.domain.moments import format_seconds
from provenance.domain.passport import read_anchor
from provenance.domain.wire import FormError
from provenance.services.observing import SILENT, Observer
from provenance.storage import anchors as rows
from provenance.storage.anchors import AnchorRow
from provenance.storage.errors import StoreConflictError
from provenance.storage.log import read_publication
from provenance.storage.session import Database

_ED25519_LINE: Final = 64
_logger = logging.getLogger(__name__)


class Anchoring:
    """One thread's work. `clock` gives milliseconds since 1970."""

    def __init__(
        self,
        database: Database,
        anchors: Sequence[Anchor],
        *,
        clock: Callable[[], int],
        interval_ms: int,
        observer: Observer = SILENT,
    ) -> None:
        self._database = database
        self._anchors = tuple(anchors)
        self._clock = clock
        self._interval_ms = interval_ms
        self._observer = observer

    @property
    def kinds(self) -> tuple[str, ...]:
        """The third parties that are configured."""
        return tuple(anchor.kind for anchor in self._anchors)

    def run(self, stop: threading.Event, *, pause_ms: int = 1_000) -> None:
        """Rounds until `stop` is set."""
        while not stop.is_set():
            self.run_once()
            stop.wait(pause_ms / 1000)

    def run_once(self) -> None:
        """One round; whatever fails is logged, and no third party suffers from another."""
        for anchor in self._anchors:
            try:
                self._advance(anchor)
            except AnchorError as error:
                _logger.warning("anchors: %s: %s", anchor.kind, error)
            except Exception:
                # The store is away, or a bug of ours: the log must go on being published.
                _logger.exception("anchors: %s: round failed", anchor.kind)

    def _advance(self, anchor: Anchor) -> None:
        with self._database.read() as connection:
            newest = rows.find_newest(connection, anchor.kind)
        if newest is not None and newest.time is None:
            self._settle(anchor, newest)
            return
        if newest is not None and self._clock() - newest.requested_at < self._interval_ms:
            return
        fresh = self._begin(anchor.kind, 0 if newest is None else newest.size)
        if fresh is not None:
            self._settle(anchor, fresh)

    def _begin(self, kind: str, above: int) -> AnchorRow | None:
        """Step 1 for the newest published checkpoint; None if the log has not grown."""
        with self._database.read() as connection:
            publication = read_publication(connection)
        if publication is None or publication.size <= above:
            return None
        note = _by_the_log_alone(publication.note)
        try:
            with self._database.write() as connection:
                rows.insert_pending(connection, kind, publication.size, note, self._clock())
                return rows.find_newest(connection, kind)
        except StoreConflictError:
            return None  # another process of ours was first

    def _settle(self, anchor: Anchor, row: AnchorRow) -> None:
        """Steps 2 and 3."""
        text = parse_note(row.checkpoint).text.encode()
        try:
            with self._observer.step("anchor"):
                confirmed = anchor.poll(text) or anchor.request(text)
        except AnchorSupersededError as error:
            _logger.warning("anchors: %s: size %d is given up: %s", anchor.kind, row.size, error)
            with self._database.write() as connection:
                rows.drop_pending(connection, row.id)
            return
        if confirmed is not None:
            self._confirm(row, confirmed)

    def _confirm(self, row: AnchorRow, confirmed: Confirmed) -> None:
        _require_form(row, confirmed)
        with self._database.write() as connection:
            rows.confirm(
                connection, row.id, confirmed.time, canonical.encode(dict(confirmed.proof))
            )


def _require_form(row: AnchorRow, confirmed: Confirmed) -> None:
    """Raise AnchorError for an answer that would make the bundles malformed which carry it."""
    try:
        read_anchor(
            {
                "kind": row.kind,
                "checkpoint": row.checkpoint.decode(),
                "consistency": [],
                "time": format_seconds(confirmed.time // 1000),
                "proof": dict(confirmed.proof),
            }
        )
    except (FormError, Base64Error, OverflowError) as error:
        raise AnchorError(f"the answer cannot stand in a passport: {error}") from error


def _by_the_log_alone(note: bytes) -> bytes:
    """The note with the log's Ed25519 lines: cosignatures and the long second line, which would be
    carried in every passport, date nothing here."""
    whole = parse_note(note)
    origin = parse_checkpoint(whole.text).origin
    lines = tuple(
        line
        for line in whole.signatures
        if line.name == origin and len(line.signature) == _ED25519_LINE
    )
    return Note(whole.text, lines).format()
