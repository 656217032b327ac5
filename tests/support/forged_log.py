"""A server double that lies to an auditor: a real platform behind it, and its own signing keys.

:class:`Altered` passes on what a real platform serves, but for chosen paths. :class:`ForgedLog`
serves a whole log of its own, with any entries, well signed by the platform's keys and with every
tile in its place; map heads and deltas are made honestly unless a lie is asked for. What is no file
of the log (seals, passports) comes from the real platform.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from merkle.checkpoint import Checkpoint
from merkle.hashing import leaf_hash
from merkle.keymap import KeyMap
from merkle.note import parse_note, sign_note
from merkle.tiles import TILE_WIDTH, TileAddress, encode_bundle, parse_path, tile_hashes
from merkle.tree import MemoryTree
from provenance.client.log_reader import LogReader
from provenance.crypto.signing import Cosigner, NoteSigner
from provenance.domain.chain import Link
from provenance.domain.delta import MapDelta, delta_path
from provenance.domain.ledger import MapHead, SubjectState, apply_link, decode_entry
from provenance.domain.log_source import LogFileMissingError
from provenance.services.auditing_tree import Source
from tests.support.served import Served, now

Change = Callable[[bytes], bytes | None]
"""What becomes of a file's bytes; None for a file that is not there."""


@dataclass
class Altered:
    """A source whose files at `changes` are changed; `asked` are all paths that were asked for."""

    real: Source
    changes: dict[str, Change] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.real.url

    def read(self, path: str, most: int) -> bytes:
        self.asked.append(path)
        data = self.real.read(path, most)
        change = self.changes.get(path.partition("?")[0])
        if change is None:
            return data
        changed = change(data)
        if changed is None:
            raise LogFileMissingError(path)
        return changed


def flipped(place: int) -> Change:
    """One bit of the byte at `place` flipped."""
    return lambda data: data[:place] + bytes([data[place] ^ 1]) + data[place:][1:]


def gone(_: bytes) -> None:
    """The file is not there."""
    return


class ForgedLog:
    """Entries of one's own under the keys of `served`."""

    def __init__(self, served: Served) -> None:
        self.entries: list[bytes] = []
        self._served = served
        self._real = LogReader(served.url)
        self._files: dict[str, bytes] = {}
        self._tree = MemoryTree()
        self._map = KeyMap()
        self._states: dict[bytes, SubjectState] = {}
        self._ignored = 0
        self._previous: int | None = None
        self._links: list[Link] = []

    @property
    def url(self) -> str:
        return self._served.url

    @classmethod
    def copy(
        cls,
        served: Served,
        entries: Iterable[bytes],
        changes: Mapping[int, bytes] = {},
        lies: Mapping[int, Mapping[str, Any]] = {},
    ) -> ForgedLog:
        """The entries, some of them exchanged; `lies` are fields of the map heads at an index."""
        forged = cls(served)
        for index, entry in enumerate(entries):
            if index in changes:
                forged.add(changes[index])
            elif isinstance(decode_entry(entry), Link):
                forged.add(entry)
            else:
                forged.close(**lies.get(index, {}))
        return forged

    def add(self, entry: bytes) -> None:
        """One entry that is no map head (or one that is a lie altogether)."""
        decoded = decode_entry(entry)
        if isinstance(decoded, Link):
            self._links.append(decoded)
        self._append(entry)

    def close(self, **lies: Any) -> None:
        """The batch's map head, with these fields instead of the true ones, and its delta."""
        index = len(self.entries)
        keys = {link.key for link in self._links}
        old = {key: self._states[key] for key in keys if key in self._states}
        proof = self._map.prove_transition(keys)
        for place, link in enumerate(self._links, index - len(self._links)):
            state = apply_link(self._states.get(link.key), link, place)
            if state is None:
                self._ignored += 1
            else:
                self._states[link.key] = state
        named = [key for key in keys if key in self._states]
        self._map.update((key, self._states[key].value) for key in named)
        head = MapHead(index, self._map.root(), len(self._map), self._ignored, self._previous)
        self._files[delta_path(index)] = MapDelta(index, old, proof).encode()
        self._append(replace(head, **lies).encode())
        self._previous = index
        self._links = []

    def _append(self, entry: bytes) -> None:
        self.entries.append(entry)
        self._tree.append(leaf_hash(entry))

    def note(self, *, origin: str | None = None, seconds: int | None = None) -> bytes:
        """The checkpoint over all entries, signed and cosigned."""
        checkpoint = Checkpoint(self._served.origin, len(self.entries), self._tree.root())
        text = (checkpoint if origin is None else replace(checkpoint, origin=origin)).format()
        keys = self._served.platform.keys
        note = parse_note(sign_note(text, [NoteSigner(checkpoint.origin, keys.log)]))
        clock = Cosigner(f"{self._served.origin}/clock", keys.clock)
        line = clock.cosign(text.encode(), now() if seconds is None else seconds)
        return note.with_signatures([line]).format()

    def read(self, path: str, most: int) -> bytes:
        """A file of this log, or the real platform's answer."""
        name = path.removeprefix("log/")
        if name == path:
            return self._real.read(path, most)
        if name == "checkpoint":
            return self.note()
        if name in self._files:
            return self._files[name]
        if not name.startswith("tile/"):
            raise LogFileMissingError(name)
        return self._tile(parse_path(name))

    def _tile(self, address: TileAddress) -> bytes:
        size = len(self.entries) >> (8 * (address.level or 0))
        if address.index * TILE_WIDTH + address.width > size:
            raise LogFileMissingError(address.path())
        if address.level is not None:
            return tile_hashes(address, self._tree)
        start = address.index * TILE_WIDTH
        return encode_bundle(self.entries[start : start + address.width])
