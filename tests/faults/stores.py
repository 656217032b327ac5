"""Stores that fail at a chosen write: the write lost, or kept though it is reported lost."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

from sqlalchemy import Connection, event

from provenance.storage.errors import StoreUnavailableError
from provenance.storage.session import Database
from provenance.storage.tiles import LastSigned, TileStore

Mode = Literal["lost", "kept"]


class InjectedError(OSError):
    """The failure that a test asked for."""


class Breaker:
    """Counts writes over all stores and breaks the one numbered `at` (from 0); None breaks none.

    `steps` names every write that came, so that a test can see that all of them were broken once.
    Every write called `name` is broken as well: a store that stays broken at one place.
    """

    def __init__(self, at: int | None, mode: Mode, name: str | None = None) -> None:
        self.at = at
        self.mode = mode
        self.name = name
        self.steps: list[str] = []

    def break_now(self, name: str) -> bool:
        """Is this the write to break?"""
        self.steps.append(name)
        return self.at == len(self.steps) - 1 or name == self.name

    def mend(self) -> None:
        """Break nothing from now on."""
        self.at = self.name = None

    @property
    def broke(self) -> bool:
        """Did it come to the write to break?"""
        return self.at is not None and len(self.steps) > self.at

    def run(self, name: str, write: Callable[[], None]) -> None:
        """Do a write, or fail before or after it."""
        broken = self.break_now(name)
        if not broken or self.mode == "kept":
            write()
        if broken:
            raise InjectedError(f"injected: {name} {self.mode}")


class FaultyTiles:
    """A tile store in front of a real one."""

    def __init__(self, real: TileStore, breaker: Breaker) -> None:
        self._real = real
        self._breaker = breaker

    def prepare(self) -> None:
        self._real.prepare()

    def read(self, path: str) -> bytes:
        return self._real.read(path)

    def paths(self) -> Iterator[str]:
        return self._real.paths()

    def read_checkpoint(self) -> bytes | None:
        return self._real.read_checkpoint()

    def write_immutable(self, path: str, data: bytes) -> None:
        self._breaker.run(path, lambda: self._real.write_immutable(path, data))

    def write_all(self, files: Iterable[tuple[str, bytes]]) -> None:
        for path, data in files:
            self.write_immutable(path, data)

    def forms(self, path: str) -> list[str]:
        return self._real.forms(path)

    def discard_partials(self, path: str) -> None:
        self._breaker.run(f"discard {path}", lambda: self._real.discard_partials(path))

    def write_checkpoint(self, data: bytes) -> None:
        self._breaker.run("checkpoint", lambda: self._real.write_checkpoint(data))


class FaultyLastSigned(LastSigned):
    """The copy beside the keys."""

    def __init__(self, real: LastSigned, breaker: Breaker) -> None:
        super().__init__(real.path)
        self._breaker = breaker

    def write(self, note: bytes) -> None:
        self._breaker.run("last-signed", lambda: super(FaultyLastSigned, self).write(note))


class FaultyDatabase(Database):
    """Commits that fail, or that happen and are reported as failed (a connection lost then).

    A commit's name says which of the sequencer's it is, by the tables that it writes:
    `commit/log_state` (the checkpoint's row), `commit/publication` (with the map's rows), or else
    `commit/` and the tables.
    """

    def __init__(self, real: Database, breaker: Breaker) -> None:
        super().__init__(real.url)
        self._breaker = breaker

    @contextmanager
    def write(self) -> Iterator[Connection]:
        tables: set[str] = set()

        def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            if found := _WRITES.match(statement):
                tables.add(found[1])

        with super().write() as connection:
            event.listen(connection, "before_cursor_execute", note)
            yield connection
            broken = self._breaker.break_now(f"commit/{_name_of(tables)}")
            if broken and self._breaker.mode == "lost":
                raise StoreUnavailableError("injected: commit lost")
        if broken:
            raise StoreUnavailableError("injected: commit kept")


_WRITES = re.compile(r"(?:INSERT(?: OR \w+)? INTO|UPDATE|DELETE FROM) (\w+)")


def _name_of(tables: set[str]) -> str:
    known = [name for name in ("log_state", "publication") if name in tables]
    return known[0] if known else "+".join(sorted(tables))
