"""Tells the story to a running platform: registers parties, seals, uploads, fetches the passport.

Everything goes the way a partner's data goes: each party signs its own events with its own key, the
files are uploaded over HTTP by the client, receipts are checked. Telling it again is harmless: keys
and sealed files are kept in `folder`, and a seal that arrived already is answered with its receipt.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from merkle.policy import Policy
from provenance.client.api import Api
from provenance.client.errors import ClientError, ProblemError
from provenance.client.party_events import Registrar
from provenance.client.sealing import Concealment, Random, Signer, prepare, seal_events, write_batch
from provenance.client.upload import Upload, send
from provenance.crypto.signing import PrivateKey, load_key, save_key
from provenance.domain.party_events import operator_uri
from provenance.verify import verify_bundle

STORY = Path(__file__).parent / "story"
Advance = Callable[[int], None]


class TellingError(ClientError):
    """The story could not be told to its end."""


@dataclass(frozen=True, slots=True)
class Chapter:
    """One upload: whose document it is and what is concealed in it."""

    document: str
    party: str
    conceal: tuple[Concealment, ...]

    def events(self) -> list[dict[str, Any]]:
        """The document as it stands in the story."""
        return list(self._parsed()["epcisBody"]["eventList"])

    def _parsed(self) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads((STORY / f"{self.document}.json").read_text("utf-8"))
        return parsed

    def prepared(self, random: Random) -> list[dict[str, Any]]:
        """Its events, each able to stand alone."""
        return prepare(self._parsed(), random=random)


@dataclass(frozen=True, slots=True)
class Story:
    """The whole of story.json."""

    subject: str
    parties: tuple[dict[str, Any], ...]
    chapters: tuple[Chapter, ...]

    @classmethod
    def load(cls) -> Story:
        """The story that is shipped."""
        raw = json.loads((STORY / "story.json").read_text("utf-8"))
        chapters = tuple(
            Chapter(
                entry["document"],
                entry["party"],
                tuple(
                    Concealment(rule["path"], tuple(rule["audience"]))
                    for rule in entry.get("conceal", [])
                ),
            )
            for entry in raw["uploads"]
        )
        return cls(raw["subject"], tuple(raw["parties"]), chapters)

    def event_count(self) -> int:
        """How many events it has."""
        return sum(len(chapter.events()) for chapter in self.chapters)


class Teller:
    """Tells a story to one platform. `folder` keeps keys and sealed files between two tellings."""

    def __init__(
        self,
        story: Story,
        api: Api,
        folder: Path,
        operator_key: PrivateKey,
        *,
        clock: Callable[[], int],
        random: Random,
    ) -> None:
        self._story = story
        self._api = api
        self._folder = folder
        self._clock = clock
        self._random = random
        self._origin = str(api.log()["origin"])
        self._operator = Signer(self._origin, operator_uri(self._origin), operator_key)
        folder.mkdir(parents=True, exist_ok=True)

    def tell(self, advance: Advance) -> None:
        """Registers and accredits the parties, uploads every chapter, waits for publication.

        Raises TellingError if the whole was accepted and not published within a minute.
        """
        signers = {str(party["id"]): self._enrol(party) for party in self._story.parties}
        *before, last = self._story.chapters
        for chapter in before:
            send(self._api, self._sealed(chapter, signers[chapter.party]), advance=advance)
        upload = self._sealed(last, signers[last.party])
        if not send(self._api, upload, wait=True, advance=advance).published:
            raise TellingError("the story is stored, but not published: is the sequencer running?")

    def _enrol(self, party: dict[str, Any]) -> Signer:
        signer = Signer(self._origin, str(party["uri"]), self._key_of(str(party["id"])))
        registrar = Registrar(self._api, self._clock(), self._random)
        known = self._known(signer.party)
        if known is None:
            registrar.register(signer, party["name"], str(party["custody"]))
            known = {"roles": []}
        if party["role"] not in {grant["role"] for grant in known["roles"]}:
            registrar.accredit(self._operator, signer.party, str(party["role"]))
        return signer

    def _known(self, uri: str) -> dict[str, Any] | None:
        try:
            return self._api.party(uri)
        except ProblemError as problem:
            if problem.status == 404:
                return None
            raise

    def _key_of(self, name: str) -> PrivateKey:
        path = self._folder / f"{name}.key"
        if not path.exists():
            save_key(path, PrivateKey.generate(self._random))
        return load_key(path)

    def _sealed(self, chapter: Chapter, signer: Signer) -> Upload:
        path = self._folder / f"{chapter.document}.ndjson"
        if not path.exists():
            (batch,) = seal_events(
                chapter.prepared(self._random),
                signer,
                now=self._clock(),
                random=self._random,
                conceal=chapter.conceal,
            )
            write_batch(batch, path)
        return Upload(path)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a telling left: files to verify, the page to open, and the verdict reached here."""

    bundle: Path
    policy: Path
    subject: str
    page: str
    verdict: dict[str, Any]


def fetch_outcome(story: Story, api: Api, folder: Path, policy: Path, now: int) -> Outcome:
    """Fetches the passport like any reader, keeps it as a file and verifies it under `policy`."""
    bundle = folder / "passport.json"
    bundle.write_bytes(api.passport(story.subject))
    trusted = Policy.parse(policy.read_text("utf-8"))
    verdict = json.loads(verify_bundle(bundle.read_bytes(), trusted, now=now).encode())
    page = story.subject.removeprefix("https://id.gs1.org")
    return Outcome(bundle, policy, story.subject, page, verdict)
