"""Passports ready to send: bundle bytes, entity tag, and the server's own verdict on demand.

A bundle is a function of subject, published checkpoint, stored evidence of a fork and confirmed
anchors, so it is kept under the hash of these until the next publication pushes it out. The verdict
is judged anew when it is a minute old: it depends on the time. Shared by the threads of a worker;
the lock guards the dictionary only, so two threads may build the same bundle once, which costs work
and nothing else.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from merkle.hashing import leaf_hash
from provenance.domain import canonical
from provenance.domain.errors import MalformedInputError
from provenance.verify import verify_bundle
from qr.errors import QrError
from qr.identifier import canonical_identifier

if TYPE_CHECKING:
    from provenance.platform import Platform

KEPT = 256
MOST_KEPT_BYTES = 512 * 1024
#: Of bundles as bytes, in all; parsed they take about six times as much, in each worker.
MOST_KEPT_IN_ALL = 16 * 1024 * 1024
VERDICT_SECONDS = 60


@dataclass(slots=True)
class ReadyPassport:
    """`data` are the bundle's canonical bytes, `etag` changes with checkpoint and subject."""

    subject: str
    bundle: dict[str, Any]
    data: bytes
    etag: str
    verdict: dict[str, Any] | None = None
    judged_at: int = 0

    @property
    def is_absent(self) -> bool:
        """True when the bundle proves that there is no history."""
        return "absence" in self.bundle["subjects"][0]


class Passports:
    """Builds, keeps and judges passports for one worker."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._kept: OrderedDict[str, ReadyPassport] = OrderedDict()
        self._kept_bytes = 0
        self._lock = threading.Lock()

    def get(self, uri: str) -> ReadyPassport:
        """The passport of any spelling of a subject's identifier, as of the published checkpoint.

        Raises MalformedInputError for a malformed identifier, UnavailableError before the first
        publication.
        """
        subject = canonical_subject(uri)
        note, evidence, anchors = self._platform.prover.seen()
        etag = _etag(note, evidence, anchors, subject)
        with self._lock:
            if (kept := self._kept.get(etag)) is not None:
                self._kept.move_to_end(etag)
                return kept
        bundle = self._platform.prover.passport(subject)
        data = canonical.encode(bundle)
        # The log may have grown meanwhile: the tag says what the bundle itself stands on. An anchor
        # confirmed in this very moment is sent under the old tag once, and from then under its own.
        evidence = b"".join(leaf_hash(canonical.encode(one)) for one in bundle.get("forks", ()))
        etag = _etag(bundle["checkpoint"].encode(), evidence, anchors, subject)
        ready = ReadyPassport(subject, bundle, data, etag)
        if len(data) <= MOST_KEPT_BYTES:
            self._keep(ready)
        return ready

    def judge(self, ready: ReadyPassport) -> dict[str, Any]:
        """The server's verdict (docs/formats.md section 11) by its own policy, as of now."""
        now = self._platform.clock() // 1000
        if ready.verdict is None or not 0 <= now - ready.judged_at < VERDICT_SECONDS:
            ready.verdict = verify_bundle(ready.data, self._platform.policy, now=now).document
            ready.judged_at = now
        return ready.verdict

    def _keep(self, ready: ReadyPassport) -> None:
        with self._lock:
            if (other := self._kept.pop(ready.etag, None)) is not None:
                self._kept_bytes -= len(other.data)
            self._kept[ready.etag] = ready
            self._kept_bytes += len(ready.data)
            while len(self._kept) > KEPT or self._kept_bytes > MOST_KEPT_IN_ALL:
                _, oldest = self._kept.popitem(last=False)
                self._kept_bytes -= len(oldest.data)


def _etag(note: bytes, evidence: bytes, anchors: int, subject: str) -> str:
    parts = note, evidence, b"%d" % anchors, subject.encode()
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:32]


def canonical_subject(uri: str) -> str:
    """The canonical identifier; a malformed EPC URN or text that is no identifier is refused."""
    if not uri or len(uri) > 2048 or any(ord(character) < 0x20 for character in uri):
        raise MalformedInputError(
            "identifier-malformed",
            "This is not an identifier.",
            expected="1 to 2,048 characters without control characters",
            found=repr(uri[:40]),
        )
    try:
        return canonical_identifier(uri)
    except QrError as error:
        raise refusal_of(error) from error


def refusal_of(error: QrError) -> MalformedInputError:
    """What the label library says, as a refusal; a wrong check digit has a code of its own."""
    expected, found = error.expected, error.found
    code = "identifier-malformed"
    if expected.startswith("check digit "):
        code = "check-digit"
        expected, found = (
            expected.removeprefix("check digit ").partition(" ")[0],
            _last_digit(found),
        )
    return MalformedInputError(
        code, error.detail, expected=expected, found=found, remedy=error.remedy
    )


def _last_digit(found: str) -> str:
    digits = "".join(character for character in found if character.isdigit())
    return digits[-1:] or found
