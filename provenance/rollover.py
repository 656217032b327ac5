"""The log's key passes to the next one: `provenance log succeed`, then `provenance log retire`.

    DIR/keys/log.key         the key that readers have pinned
    DIR/keys/log-next.key    the next one, while both sign
    DIR/succession.json      notes by which keys were passed on, oldest first (docs/formats.md 8)
    DIR/policy.txt           lists the keys that sign: one, both, one

*succeed* makes the next key, has both keys sign the note that passes the log on, and lists the new
key in the policy beside the old one. From the next start of the server every checkpoint bears a
line by each; passports carry the note, so that readers who pinned the old key alone can follow, and
new readers pin both. *retire* ends that: the old key leaves the policy and is destroyed.

Order, and what a crash leaves. The signers are those keys of the two files that the policy lists,
so the policy is the switch, and it is replaced whole. succeed: key, note, policy; a crash before
the last changes nothing, and running it again takes up what is there. retire: policy, then the new
key under the old one's name; a crash between the two leaves a log that signs with the new key, and
running it again finishes.

Left to others: what a note must be (``domain.succession``), who believes it
(``verify.succession``).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from merkle.errors import NoteUnverifiedError
from merkle.note import KIND_ED25519, Ed25519Verifier, VerifierKey, open_note, parse_note, sign_note
from merkle.policy import Policy
from provenance.config import Settings
from provenance.crypto.signing import (
    NoteSigner,
    PrivateKey,
    load_key,
    save_key,
    verify_ed25519,
)
from provenance.domain.passport import MAX_SUCCESSIONS
from provenance.domain.succession import Succession, parse_succession
from provenance.platform import (
    LOG_KEY,
    NEXT_LOG_KEY,
    SUCCESSION_FILE,
    Platform,
    PlatformError,
    read_succession,
    taking_turns,
)
from provenance.storage.files import DurableDirectory, sync_directory
from provenance.storage.log import read_state


@dataclass(frozen=True, slots=True)
class Rollover:
    """What was done: the key that signed until now, the one that does from now on, the note."""

    old: VerifierKey
    new: VerifierKey
    note: str


def succeed(settings: Settings) -> Rollover:
    """Pass the log's key on; raises PlatformError while an earlier one is still passing on."""
    with taking_turns(settings.data):
        platform = Platform.open(settings)
        try:
            return _succeed(settings, platform)
        finally:
            platform.close()


def _succeed(settings: Settings, platform: Platform) -> Rollover:
    old = NoteSigner(platform.origin, platform.keys.log)
    listed = _listed(platform.policy, platform.origin)
    if listed != [old.vkey]:
        raise PlatformError(
            f"{settings.policy_file} lists {len(listed)} keys of this log: the last succession is "
            "not finished; run `provenance log retire` first"
        )
    if not (settings.keys / NEXT_LOG_KEY).exists():
        _make_next_key(settings.keys)
    new = NoteSigner(platform.origin, load_key(settings.keys / NEXT_LOG_KEY))
    note = sign_note(Succession(old.vkey, new.vkey).format(), [old, new]).decode()
    _add_note(settings, note)
    _change_policy(settings, lambda line: _with_successor(line, old.vkey, new.vkey))
    return Rollover(old.vkey, new.vkey, note)


def _make_next_key(directory: Path) -> None:
    """Under its name at once or not at all: a crash leaves at most a ``.new`` file."""
    fresh = directory / f"{NEXT_LOG_KEY}.new"
    fresh.unlink(missing_ok=True)
    save_key(fresh, PrivateKey.generate())
    fresh.rename(directory / NEXT_LOG_KEY)
    sync_directory(directory)


def _listed(policy: Policy, origin: str) -> list[VerifierKey]:
    return [log.key for log in policy.log_named(origin) if log.key.kind == KIND_ED25519]


def _add_note(settings: Settings, note: str) -> None:
    """The newest `MAX_SUCCESSIONS` notes; signing is deterministic, so a repetition adds none."""
    notes = list(read_succession(settings.data))
    if note not in notes:
        notes.append(note)
    data = json.dumps(notes[-MAX_SUCCESSIONS:], ensure_ascii=False, indent=1) + "\n"
    DurableDirectory(settings.data).replace(SUCCESSION_FILE, data.encode())


def _change_policy(settings: Settings, change: Callable[[str], list[str]]) -> None:
    """Replace each line of the policy's text by others; comments and the rest stay as they are."""
    lines = settings.policy_file.read_bytes().decode("utf-8", "surrogateescape").split("\n")[:-1]
    changed = "".join(f"{line}\n" for old in lines for line in change(old))
    Policy.parse(changed)
    data = changed.encode("utf-8", "surrogateescape")
    mode = settings.policy_file.stat().st_mode & 0o777
    DurableDirectory(settings.data).replace(settings.policy_file.name, data, mode)


def _with_successor(line: str, old: VerifierKey, new: VerifierKey) -> list[str]:
    items = line.split()
    if items[:2] != ["log", old.format()]:
        return [line]
    return [line, " ".join(["log", new.format(), *items[2:]])]


def _without(line: str, key: VerifierKey) -> list[str]:
    return [] if line.split()[:2] == ["log", key.format()] else [line]


def retire(settings: Settings) -> Rollover:
    """End the time of two keys; raises PlatformError if there is none, or if it is too early."""
    with taking_turns(settings.data):
        if not (settings.keys / NEXT_LOG_KEY).exists():
            raise PlatformError(
                f"{settings.keys / NEXT_LOG_KEY} is not there: no key is being passed on; "
                "`provenance log succeed` starts it"
            )
        platform = Platform.open(settings)
        try:
            done = _retire(settings, platform)
        finally:
            platform.close()
        # The old key's bytes are gone with this: whoever found them later could sign for readers
        # who have not renewed their pin.
        (settings.keys / NEXT_LOG_KEY).replace(settings.keys / LOG_KEY)
        sync_directory(settings.keys)
        return done


def _retire(settings: Settings, platform: Platform) -> Rollover:
    old = NoteSigner(platform.origin, platform.keys.log).vkey
    new = NoteSigner(platform.origin, load_key(settings.keys / NEXT_LOG_KEY)).vkey
    note = _note_between(settings, old, new)
    if new not in _listed(platform.policy, platform.origin):
        raise PlatformError(
            f"{settings.policy_file} does not list the next key: run `provenance log succeed` again"
        )
    _require_signed(platform, new)
    _change_policy(settings, lambda line: _without(line, old))
    return Rollover(old, new, note)


def _note_between(settings: Settings, old: VerifierKey, new: VerifierKey) -> str:
    wanted = Succession(old, new)
    for note in read_succession(settings.data):
        if parse_succession(parse_note(note.encode()).text) == wanted:
            return note
    raise PlatformError(
        f"{settings.data / SUCCESSION_FILE} holds no note from the old key to the new one, so "
        "readers could not follow; run `provenance log succeed` again"
    )


def _require_signed(platform: Platform, new: VerifierKey) -> None:
    """The newest checkpoint bears the new key's line: without it the log could not go on."""
    with platform.database.read() as connection:
        state = read_state(connection)
    try:
        if state is not None:
            open_note(state.note, [Ed25519Verifier(new, verify_ed25519)])
            return
    except NoteUnverifiedError:
        pass
    raise PlatformError(
        "no new checkpoint was signed with the next key yet: restart the server, and let at least "
        "one event come in before the old key retires"
    )
