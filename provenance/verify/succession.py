"""The log's keys that a reader accepts: those of its policy, and those that they passed on to.

Steps 5a and 5b of docs/formats.md section 10. The notes are gone through once, in their order: a
chain of three keys works oldest first, and no order of notes makes a loop. A note that passes on a
key which the reader does not accept is passed over: a reader whose policy already has the new key
need not know the old one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from merkle.errors import NoteError, NoteSignatureError, NoteUnverifiedError
from merkle.note import Ed25519Verifier, VerifierKey, open_note, parse_note
from merkle.policy import Log, Policy
from provenance.crypto.signing import verify_ed25519
from provenance.domain.succession import (
    MalformedSuccessionError,
    Succession,
    parse_succession,
)
from provenance.verify.refusal import RefusedError


@dataclass(frozen=True, slots=True)
class Accepted:
    """The reader's policy with the keys that were passed on to; `places` of notes that counted."""

    policy: Policy
    places: tuple[str, ...]


def accept_successors(notes: Sequence[str], origin: str, policy: Policy) -> Accepted:
    """Follow the notes from the keys of `policy`; raises RefusedError (steps 5a and 5b)."""
    places = []
    for index, note in enumerate(notes):
        place = f"succession[{index}]"
        succession = _read(note, origin, place)
        if _is_known(succession.new, policy) or not _is_log_key(succession.old, policy):
            continue
        _verify(note, succession, place)
        policy = replace(policy, logs=(*policy.logs, Log(succession.new)))
        places.append(place)
    return Accepted(policy, tuple(places))


def _read(note: str, origin: str, place: str) -> Succession:
    """Step 5a. Two keys under one id could not be told apart in a note's lines."""
    try:
        succession = parse_succession(parse_note(note.encode("utf-8")).text)
    except (NoteError, MalformedSuccessionError) as error:
        raise RefusedError("succession-malformed", place) from error
    if succession.origin != origin or succession.old.key_id == succession.new.key_id:
        raise RefusedError("succession-malformed", place)
    return succession


def _is_known(key: VerifierKey, policy: Policy) -> bool:
    """By name and id, as lines of notes name keys: two under one id could not be told apart."""
    known = [log.key for log in policy.logs] + [witness.key for witness in policy.witnesses]
    return (key.name, key.key_id) in {(other.name, other.key_id) for other in known}


def _is_log_key(key: VerifierKey, policy: Policy) -> bool:
    return key in {log.key for log in policy.logs}


def _verify(note: str, succession: Succession, place: str) -> None:
    """Step 5b: a good line by both keys, and none by either that is bad."""
    keys = (succession.old, succession.new)
    try:
        opened = open_note(note.encode("utf-8"), [Ed25519Verifier(k, verify_ed25519) for k in keys])
    except (NoteSignatureError, NoteUnverifiedError) as error:
        raise RefusedError("succession-signature", place) from error
    if {key.key_id for key in keys} != {line.key_id for line in opened.verified}:
        raise RefusedError("succession-signature", place)
