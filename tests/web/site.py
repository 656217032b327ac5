"""A whole installation for HTTP tests: platform, application, parties, and the shipped story in it.

Uploads go through `capture` or over HTTP, as a test wants; the sequencer runs when told to. Nothing
is imitated: keys sign, the log publishes, passports verify.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flask import Flask
from flask.testing import FlaskClient

from provenance.config import Settings
from provenance.demo.telling import Story
from provenance.domain import canonical, disclosure, party_events
from provenance.domain.seal import parse_seal
from provenance.platform import Platform, initialise
from provenance.web import create_app
from tests.support.builders import Actor, complete, make_key
from tests.web.randomness import counting_random

NDJSON = "application/x-ndjson"


class BufferedClient(FlaskClient):
    """Reads each answer whole and closes it, as a server does when it has sent it."""

    def open(self, *args: Any, **kwargs: Any) -> Any:
        return super().open(*args, **{"buffered": True, **kwargs})


class PlatformClock:
    """The platform's own clock as builders want it."""

    def __init__(self, platform: Platform) -> None:
        self._clock = platform.clock

    @property
    def now(self) -> int:
        return self._clock()

    @property
    def seconds(self) -> int:
        return self._clock() // 1000


@dataclass
class Site:
    """One installation with its application."""

    platform: Platform
    app: Flask = field(init=False)

    def __post_init__(self) -> None:
        self.app = create_app(self.platform)
        self.app.test_client_class = BufferedClient

    @classmethod
    def make(cls, directory: Path, database: str = "", **settings: Any) -> Site:
        """A new installation in `directory`, published and empty but for the operator."""
        chosen = Settings(
            data=directory,
            database=database,
            origin="log.example.test/products",
            operator_name="Test operator",
            **settings,
        )
        initialise(chosen)
        return cls(Platform.open(chosen))

    @property
    def client(self) -> FlaskClient:
        """A new client of the application."""
        return self.app.test_client()

    def publish(self) -> None:
        """Let the sequencer take what has been accepted."""
        sequencer = self.platform.sequencer
        assert sequencer.start()
        sequencer.run_once()
        sequencer.release()

    def actor(self, uri: str, *, key: str | None = None) -> Actor:
        """A party that nobody has registered yet; its key follows from its name."""
        clock: Any = PlatformClock(self.platform)
        return Actor(uri, make_key(key or uri), self.platform.origin, clock)

    @property
    def operator(self) -> Actor:
        """The operator, with its real key."""
        clock: Any = PlatformClock(self.platform)
        key = self.platform.keys.operator
        return Actor(self.platform.operator, key, self.platform.origin, clock)

    def submit(self, lines: Sequence[bytes]) -> None:
        """Upload without HTTP."""
        self.platform.capture.submit_batch(iter(lines))

    def register(
        self,
        uri: str,
        role: str | None = "brand",
        *,
        name: dict[str, str] | None = None,
        custody: str = "party",
    ) -> Actor:
        """A registered party, accredited unless `role` is None."""
        actor = self.actor(uri)
        members = party_events.party_registered(
            uri, name=name or {"en": uri}, key=actor.multikey, custody=custody
        )
        now = self.platform.clock()
        self.submit(actor.sealed([complete(members, at=now)]))
        if role is not None:
            granted = complete(party_events.party_accredited(uri, role=role), at=now)
            self.submit(self.operator.sealed([granted]))
        return actor

    def tell_story(self) -> str:
        """The story that `provenance demo` tells; the URI of its can."""
        story = Story.load()
        actors = {
            party["id"]: self.register(
                party["uri"], party["role"], name=party["name"], custody=party["custody"]
            )
            for party in story.parties
        }
        for chapter in story.chapters:
            self._tell(chapter, actors[chapter.party])
        self.publish()
        return story.subject

    def _tell(self, chapter: Any, actor: Actor) -> None:
        events, texts = [], []
        paths = [rule.path for rule in chapter.conceal]
        for plain in chapter.prepared(counting_random):
            event, disclosures = disclosure.conceal(plain, paths, counting_random)
            events.append(event)
            texts.append(disclosures)
        lines = actor.sealed(events)
        self.submit(lines)
        attached = [
            canonical.encode(
                {
                    "leaf": leaf,
                    "disclosures": [{"text": text, "audience": ["customs"]} for text in given],
                }
            )
            for leaf, given in enumerate(texts)
            if given
        ]
        if attached:
            self.platform.capture.submit_disclosures(parse_seal(lines[0]).hash, attached)


def body_of(lines: Sequence[bytes]) -> bytes:
    """An upload as it goes over the wire."""
    return b"".join(line + b"\n" for line in lines)
