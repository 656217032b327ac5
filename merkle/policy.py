"""Which logs a reader knows, which witnesses, and how many of them are enough: C2SP tlog-policy.

Text, one statement a line, items separated by spaces or tabs; empty lines and ``#`` lines are
skipped:

    log <vkey> [<url>]
    witness <name> <vkey> [<url>]
    group <name> <k | all | any> <member> …
    quorum <name | none>

Rules: every line ends in a newline; octets 0x09, 0x0A, 0x20-0x7E and 0x80-0xFF only; names are
opaque octets (bytes that are no UTF-8 are kept as surrogate escapes). A name is used only after the
line that defines it and is a member at most once over all groups; `none` names nothing. Exactly one
quorum line. No two log lines and no two witness lines wrap the same public key: keys are compared,
not names. A log's key is of kind 0x01 or 0x06, a witness's of kind 0x04 or 0x06.

The policy is pinned by the reader and never taken from the page that it is to judge.

Source: https://c2sp.org/tlog-policy.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from merkle.cosignature import CosignatureVerifier, SubtreeVerifier
from merkle.errors import PolicyError, VerifierKeyError
from merkle.note import (
    KIND_COSIGNATURE,
    KIND_ED25519,
    KIND_MLDSA,
    Ed25519Verifier,
    NoteSignature,
    Verifier,
    VerifierKey,
    VerifyFunction,
)

_BAD_OCTET = re.compile(rb"[^\x09\x0a\x20-\x7e\x80-\xff]")
_THRESHOLD = re.compile(r"[1-9][0-9]{0,8}")


@dataclass(frozen=True, slots=True)
class Log:
    """A known log; its origin is the name of its key."""

    key: VerifierKey
    url: str | None = None

    @property
    def origin(self) -> str:
        """The first line of the log's checkpoints."""
        return self.key.name


@dataclass(frozen=True, slots=True)
class Witness:
    """A known witness under the policy's own name for it, which need not be its key's name."""

    name: str
    key: VerifierKey
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Satisfied when at least `threshold` (1..n) of its members are."""

    name: str
    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """A well-formed policy. Groups stand in the order of their lines; quorum None means ``none``.

    Made by `parse`, which keeps the rules above; a policy put together by hand is read back through
    ``Policy.parse(policy.format())`` to be checked.
    """

    logs: tuple[Log, ...] = ()
    witnesses: tuple[Witness, ...] = ()
    groups: tuple[Group, ...] = ()
    quorum: str | None = None

    @classmethod
    def parse(cls, text: str | bytes) -> Policy:
        """Read a policy; raises `PolicyError` naming line, expected, found and remedy."""
        data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
        reader = _Reader()
        for number, items in _statements(data):
            reader.read(number, items)
        return reader.finish()

    def format(self) -> str:
        """The policy as text; `parse` reads it back. Group thresholds are written as numbers."""
        lines = [_join("log", log.key.format(), log.url) for log in self.logs]
        lines += [_join("witness", w.name, w.key.format(), w.url) for w in self.witnesses]
        lines += [_join("group", g.name, str(g.threshold), *g.members) for g in self.groups]
        lines.append(_join("quorum", self.quorum or "none"))
        return "".join(lines)

    def log_named(self, origin: str) -> tuple[Log, ...]:
        """The logs of that origin: none, one, or one for each kind of key."""
        return tuple(log for log in self.logs if log.origin == origin)

    def witness_of(self, line: NoteSignature) -> Witness | None:
        """The witness whose key a note's signature line bears, or None."""
        for witness in self.witnesses:
            if (witness.key.name, witness.key.key_id) == (line.name, line.key_id):
                return witness
        return None

    def log_verifiers(
        self,
        origin: str,
        verify_ed25519: VerifyFunction,
        verify_mldsa: VerifyFunction | None = None,
    ) -> list[Verifier]:
        """Note verifiers for the log of that origin; without a function, none for ML-DSA keys."""
        return [
            judge
            for log in self.log_named(origin)
            if (judge := _verifier(log.key, verify_ed25519, verify_mldsa)) is not None
        ]

    def witness_verifiers(
        self, verify_ed25519: VerifyFunction, verify_mldsa: VerifyFunction | None = None
    ) -> list[Verifier]:
        """Note verifiers for all witnesses; without a function, none for ML-DSA keys."""
        return [
            judge
            for witness in self.witnesses
            if (judge := _verifier(witness.key, verify_ed25519, verify_mldsa)) is not None
        ]

    def is_satisfied(self, names: Collection[str]) -> bool:
        """Do cosignatures by the witnesses of these policy names reach the quorum?

        Other names count for nothing. A quorum of ``none`` is always reached.
        """
        if self.quorum is None:
            return True
        satisfied = {witness.name for witness in self.witnesses} & set(names)
        for group in self.groups:  # members are defined before their group: one pass is enough
            if sum(member in satisfied for member in group.members) >= group.threshold:
                satisfied.add(group.name)
        return self.quorum in satisfied

    def latest_time(self, times: Mapping[str, int]) -> int | None:
        """The latest T such that cosignatures with time >= T reach the quorum.

        `times` maps a witness's policy name to its time (POSIX seconds). None when even all of them
        do not reach it, and under a quorum of ``none``, which states no time.
        """
        if self.quorum is None:
            return None
        for candidate in sorted(set(times.values()), reverse=True):
            if self.is_satisfied({name for name, time in times.items() if time >= candidate}):
                return candidate
        return None


def _join(*items: str | None) -> str:
    return " ".join(item for item in items if item is not None) + "\n"


def _verifier(
    key: VerifierKey, verify_ed25519: VerifyFunction, verify_mldsa: VerifyFunction | None
) -> Verifier | None:
    if key.kind == KIND_ED25519:
        return Ed25519Verifier(key, verify_ed25519)
    if key.kind == KIND_COSIGNATURE:
        return CosignatureVerifier(key, verify_ed25519)
    return SubtreeVerifier(key, verify_mldsa) if verify_mldsa is not None else None


def _statements(data: bytes) -> Iterator[tuple[int, list[str]]]:
    """Line number (from 1) and items of each line that says something."""
    lines = data.split(b"\n")
    if lines.pop():
        raise PolicyError(
            len(lines) + 1, "a newline at its end", "the end of the file", "end the line"
        )
    for number, line in enumerate(lines, 1):
        bad = _BAD_OCTET.search(line)
        if bad is not None:
            raise PolicyError(
                number,
                "octets 09, 20-7E and 80-FF",
                f"octet {bad[0].hex().upper()}",
                "remove it, and end lines with LF alone",
            )
        items = [item.decode("utf-8", "surrogateescape") for item in re.split(rb"[ \t]+", line)]
        items = [item for item in items if item]
        if items and not items[0].startswith("#"):
            yield number, items


@dataclass(slots=True)
class _Reader:
    """Reads statements in order and keeps what the rules need to look back at."""

    logs: list[Log] = field(default_factory=list)
    witnesses: list[Witness] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    quorum: str | None = None
    quorum_line: int | None = None
    defined: dict[str, int] = field(default_factory=dict)  # name -> line
    member_of: dict[str, str] = field(default_factory=dict)  # member -> its one group

    def read(self, number: int, items: list[str]) -> None:
        """Take one statement."""
        word, *rest = items
        if word == "log":
            self._read_log(number, rest)
        elif word == "witness":
            self._read_witness(number, rest)
        elif word == "group":
            self._read_group(number, rest)
        elif word == "quorum":
            self._read_quorum(number, rest)
        else:
            raise PolicyError(
                number,
                "log, witness, group or quorum",
                _show(word),
                "correct the word, or put # in front of a comment",
            )

    def finish(self) -> Policy:
        """The whole policy, once all lines are read."""
        if self.quorum_line is None:
            raise PolicyError(
                None,
                "a quorum line",
                "none",
                'add "quorum <name>", or "quorum none" to ask for none',
            )
        return Policy(tuple(self.logs), tuple(self.witnesses), tuple(self.groups), self.quorum)

    def _read_log(self, number: int, items: list[str]) -> None:
        if not 1 <= len(items) <= 2:
            raise _wrong_count(number, "log <vkey> [<url>]", items)
        key = _read_key(number, items[0], (KIND_ED25519, KIND_MLDSA))
        self._refuse_same_key(number, key, [log.key for log in self.logs], "log")
        self.logs.append(Log(key, items[1] if len(items) == 2 else None))

    def _read_witness(self, number: int, items: list[str]) -> None:
        if not 2 <= len(items) <= 3:
            raise _wrong_count(number, "witness <name> <vkey> [<url>]", items)
        key = _read_key(number, items[1], (KIND_COSIGNATURE, KIND_MLDSA))
        self._refuse_same_key(number, key, [w.key for w in self.witnesses], "witness")
        self._define(number, items[0])
        self.witnesses.append(Witness(items[0], key, items[2] if len(items) == 3 else None))

    def _read_group(self, number: int, items: list[str]) -> None:
        if len(items) < 3:
            raise _wrong_count(number, "group <name> <k | all | any> <member> …", items)
        name, rule, *members = items
        threshold = _read_threshold(number, rule, len(members))
        for member in members:
            self._use(number, member)
            holder = self.member_of.setdefault(member, name)
            if holder != name or members.count(member) > 1:
                raise PolicyError(
                    number,
                    "each name to be a member once over all groups",
                    f"{_show(member)} again (first in group {_show(holder)})",
                    "name it in one group only",
                )
        self._define(number, name)
        self.groups.append(Group(name, threshold, tuple(members)))

    def _read_quorum(self, number: int, items: list[str]) -> None:
        if len(items) != 1:
            raise _wrong_count(number, "quorum <name | none>", items)
        if self.quorum_line is not None:
            raise PolicyError(
                number,
                "one quorum line",
                f"a second one (first on line {self.quorum_line})",
                "remove one of them",
            )
        if items[0] != "none":
            self._use(number, items[0])
            self.quorum = items[0]
        self.quorum_line = number

    def _define(self, number: int, name: str) -> None:
        if name == "none":
            raise PolicyError(
                number,
                "a name other than none",
                "none",
                'choose another: "quorum none" has a meaning',
            )
        first = self.defined.setdefault(name, number)
        if first != number:
            raise PolicyError(
                number,
                "a new name",
                f"{_show(name)}, defined on line {first}",
                "choose another name",
            )

    def _use(self, number: int, name: str) -> None:
        if name not in self.defined:
            raise PolicyError(
                number,
                "a name defined on a line before",
                _show(name),
                "add its witness or group line above this one",
            )

    def _refuse_same_key(
        self, number: int, key: VerifierKey, known: list[VerifierKey], word: str
    ) -> None:
        for other in known:
            if other.public_key == key.public_key:
                raise PolicyError(
                    number,
                    f"a {word} key of its own",
                    f"the key of {word} {_show(other.name)} again",
                    "remove one of the two lines",
                )


def _read_key(number: int, text: str, kinds: tuple[int, ...]) -> VerifierKey:
    try:
        key = VerifierKey.parse(text)
    except VerifierKeyError as error:
        raise PolicyError(
            number, "a verifier key", str(error), "copy the key from its owner again"
        ) from error
    if key.kind not in kinds:
        wanted = " or ".join(f"0x{kind:02x}" for kind in kinds)
        raise PolicyError(
            number,
            f"a key of kind {wanted}",
            f"kind 0x{key.kind:02x}",
            "ask its owner for the key meant for this use",
        )
    return key


def _read_threshold(number: int, rule: str, members: int) -> int:
    if rule == "any":
        return 1
    if rule == "all":
        return members
    if not _THRESHOLD.fullmatch(rule) or int(rule) > members:
        raise PolicyError(
            number,
            f"any, all or a number from 1 to {members}",
            _show(rule),
            "correct the threshold or the list of members",
        )
    return int(rule)


def _wrong_count(number: int, form: str, items: list[str]) -> PolicyError:
    return PolicyError(
        number, form, f"{len(items)} items after the first word", "write the line in that form"
    )


def _show(name: str) -> str:
    """A name for a message: at most 60 characters, escapes visible."""
    return ascii(name[:60])
