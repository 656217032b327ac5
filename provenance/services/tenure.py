"""A lease as its holder has it: taken, prolonged, given up; kept up while the holder is busy.

Whether a lease stands is judged by one clock: that of the database, where the database is a server
(:func:`provenance.storage.leases.read_clock`). Hosts whose clocks disagree then neither take a
lease that is alive nor wait for one that is dead. This process's own clock says only when to ask
for more time, which is a question of how long and not of what time it is.

Two threads at most: the holder's own, and between :meth:`kept_up`'s begin and end a keeper. The
keeper is there for work that takes longer than the lease without a write between: loading a large
map would otherwise hand the lease to and fro between two processes that both load. A holder that
is stopped or hung loses it all the same: a stopped process has no keeper either, and the keeper of
a thread that does not come by for `patience_s` gives up.

Nothing here makes a write safe: :meth:`renew` inside its transaction does (storage/leases.py).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from provenance.storage import leases
from provenance.storage.errors import StorageError
from provenance.storage.leases import Lease, LeaseLostError
from provenance.storage.session import Connection, Database

LeaseClock = Callable[[Connection], int]
"""Milliseconds since 1970 by the clock that judges leases."""

_logger = logging.getLogger(__name__)


class Tenure:
    """The lease `name` for one holder. `term_ms` is how long it stands without being prolonged.

    `clock` is this process's, in milliseconds; `judge` the clock of leases, unless told otherwise
    the database's. `holder` is for people.
    """

    def __init__(
        self,
        database: Database,
        name: str,
        holder: str,
        *,
        term_ms: int,
        clock: Callable[[], int],
        judge: LeaseClock | None = None,
        patience_s: float = 60,
    ) -> None:
        self._database = database
        self._name = name
        self._holder = holder
        self._term_ms = term_ms
        self._clock = clock
        self._judge = judge or (lambda connection: leases.read_clock(connection, clock()))
        self._patience_s = patience_s
        self._lock = threading.Lock()  # owns the two below
        self._lease: Lease | None = None
        self._prolonged_at = 0
        self._came_by = time.monotonic()

    @property
    def is_ours(self) -> bool:
        """Was it ours when it was last looked at?"""
        return self._lease is not None

    @property
    def is_fresh(self) -> bool:
        """Ours, with more than half of its time left."""
        self._came_by = time.monotonic()
        age = self._clock() - self._prolonged_at
        return self._lease is not None and 0 <= age < self._term_ms // 2

    def take(self, above: Callable[[Connection], int]) -> bool:
        """Take the lease if it is free; `above` reads the largest token that was ever seen.

        Waiting costs one short read and no write. Raises StoreUnavailableError.
        """
        self._came_by = time.monotonic()
        with self._database.read() as connection:
            if not leases.is_free(connection, self._name, now=self._judge(connection)):
                return False
        with self._database.write() as connection:
            before = self._clock()
            lease = leases.acquire(
                connection,
                self._name,
                self._holder,
                now=self._judge(connection),
                term=self._term_ms,
                above=above(connection),
            )
            with self._lock:
                self._lease, self._prolonged_at = lease, before
        return lease is not None

    def renew(self, connection: Connection) -> Lease:
        """Prolong the lease, and lock it until the transaction ends.

        Raises LeaseLostError, and then it is no longer ours.
        """
        self._came_by = time.monotonic()
        assert self._lease is not None  # noqa: S101 -- every round begins by holding it
        try:
            return self._prolong(connection, self._lease)
        except LeaseLostError:
            self.forget()
            raise

    def forget(self) -> None:
        """Think of it as another's from now on."""
        with self._lock:
            self._lease = None

    def release(self) -> None:
        """Give it up, so that the next one need not wait."""
        with self._lock:
            lease, self._lease = self._lease, None
        if lease is not None:
            with self._database.write() as connection:
                leases.release(connection, lease)

    @contextmanager
    def kept_up(self) -> Iterator[None]:
        """A keeper prolongs the lease, whenever it is ours, until the block ends."""
        ended = threading.Event()
        keeper = threading.Thread(target=self._keep_up, args=(ended,), daemon=True)
        keeper.start()
        try:
            yield
        finally:
            ended.set()
            keeper.join()

    def _keep_up(self, ended: threading.Event) -> None:
        while not ended.wait(self._term_ms / 4000):
            lease = self._lease
            hung = time.monotonic() - self._came_by > self._patience_s
            if lease is None or hung or self._clock() - self._prolonged_at < self._term_ms // 3:
                continue
            try:
                with self._database.write() as connection:
                    self._prolong(connection, lease)
            except LeaseLostError:
                continue  # its holder hears of it at its next write, which is refused
            except StorageError as error:
                _logger.warning("lease %s: not prolonged: %s", self._name, error)

    def _prolong(self, connection: Connection, lease: Lease) -> Lease:
        before = self._clock()
        longer = leases.renew(connection, lease, now=self._judge(connection), term=self._term_ms)
        with self._lock:
            if self._lease is not None and self._lease.token == lease.token:
                self._lease, self._prolonged_at = longer, before
        return longer
