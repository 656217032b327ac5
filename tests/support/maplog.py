"""A small log with a map in it, as the platform writes one, or as a lying platform would.

Each :meth:`MapLog.publish` is one batch: links, then the map head, and the delta beside it. The
`lie` makes one batch dishonest in one way; all else about it is right, signatures included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from hashlib import sha256

from merkle.keymap import KeyMap
from provenance.domain.chain import Link
from provenance.domain.delta import MapDelta, delta_path
from provenance.domain.ledger import MapHead, SubjectState, apply_link
from provenance.domain.map_replay import GENESIS
from tests.support.clock import START
from tests.support.tilelog import TileLog

Change = Callable[[MapHead], MapHead]


class MapLog(TileLog):
    """Starts with the genesis entry published."""

    def __init__(self, origin: str = "log.example/map", seed: bytes = b"\x02" * 32) -> None:
        super().__init__(origin, seed)
        self.map = KeyMap()
        self.states: dict[bytes, SubjectState] = {}
        self.head = GENESIS
        self.files[delta_path(0)] = MapDelta(0, {}, b"").encode()
        self.append(GENESIS.encode())

    def link(self, subject: str, event: str = "event") -> Link:
        """The next link of a subject, as of what is published."""
        state = self.states.get(key(subject))
        return Link(
            key=key(subject),
            seq=0 if state is None else state.count,
            prev=None if state is None else state.head,
            event=sha256(event.encode()).digest(),
            seal=sha256(b"seal").digest(),
            time=START,
        )

    def publish(
        self,
        *links: Link,
        forget: Iterable[Link] = (),
        change_head: Change | None = None,
        change_delta: Callable[[MapDelta], MapDelta] | None = None,
        head_last: bool = True,
    ) -> MapHead:
        """Append the links and their map head.

        Lies: links in `forget` stand in the log and are left out of the map and its delta;
        `change_head` and `change_delta` have the last word; without `head_last` no head is written.
        """
        start = self.size
        counted = [link for link in links if link not in tuple(forget)]
        keys = {link.key for link in counted}
        old = {key: self.states[key] for key in keys if key in self.states}
        delta = MapDelta(start + len(links), old, self.map.prove_transition(keys))
        ignored = 0
        for index, link in enumerate(links, start):
            if link not in counted:
                continue
            state = apply_link(self.states.get(link.key), link, index)
            if state is None:
                ignored += 1
            else:
                self.states[link.key] = state
        self.map.update((key, self.states[key].value) for key in keys if key in self.states)
        self.head = MapHead(
            index=start + len(links),
            root=self.map.root(),
            subjects=len(self.map),
            ignored=self.head.ignored + ignored,
            previous=self.head.index,
        )
        self.head = change_head(self.head) if change_head else self.head
        delta = change_delta(delta) if change_delta else delta
        self.files[delta_path(delta.index)] = delta.encode()
        tail = [self.head.encode()] if head_last else []
        self.append(*(link.encode() for link in links), *tail)
        return self.head

    def grow(self, batches: int, width: int = 3) -> None:
        """Honest batches over a few dozen subjects, new ones and old ones."""
        for batch in range(batches):
            names = {f"subject {(self.size + batch * 7 + n) % 40}" for n in range(width)}
            self.publish(*(self.link(name, f"{self.size}") for name in sorted(names)))


def key(subject: str) -> bytes:
    """A subject's key."""
    return sha256(subject.encode()).digest()


def wrong_root(head: MapHead) -> MapHead:
    """The same map head over another map."""
    return replace(head, root=sha256(head.root).digest())
