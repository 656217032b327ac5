"""The small checkers that an event's forms are made of, and the report that they write into.

A checker takes ``(value, where, report)`` and adds a violation for what is wrong; it returns
nothing and raises nothing. `where` is a chain of steps, innermost last, that is turned into a JSON
path (``$.epcList[0]``) only when something is wrong: a good event never pays for a path. Checkers
are built once, at import; no pattern is compiled and no table made while events are judged.

The forms themselves are in ``event_forms``; rules over several members are in ``event_rules``.

Sources: RFC 3986 (URI), RFC 3339 (times), EPCIS 2.0 JSON binding; where we are stricter than GS1's
JSON schema, the rule is named in tests/conformance/test_epcis_schema_agreement.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address
from typing import Any, Final, TypeAlias

from provenance.domain.canonical import Base64Error, decode_base64, decode_base64url
from provenance.domain.errors import Violation
from provenance.domain.moments import MomentError, parse_claimed_time
from provenance.domain.vocabulary import is_misspelt_word
from provenance.domain.wire import shorten
from qr.errors import QrError
from qr.identifier import check_identifier
from qr.plain import find_plain

MAX_VIOLATIONS: Final = 50
CONCEALED: Final = "prov:_sd"
DIGEST_SIZE: Final = 32

Where: TypeAlias = Any  # None for the event itself, else (where, member name or position)
_PLAIN_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(slots=True)
class Report:
    """What was found in one event so far, and what its ``@context`` lets names mean.

    `any_prefix` lets undeclared prefixes stand: an event that declares an earlier one wrong must
    repeat it exactly, slips included (``event_rules`` says more).
    """

    prefixes: frozenset[str] = frozenset()
    any_prefix: bool = False
    violations: list[Violation] = field(default_factory=list)

    def add(self, where: Where, expected: str, found: object) -> None:
        """Note one violation; beyond 50 none is kept, since nobody reads on."""
        if len(self.violations) < MAX_VIOLATIONS:
            self.violations.append(Violation(format_path(where), expected, show(found)))


class Absent:
    """Stands in a report for a member that is not there."""


def show(found: object) -> str:
    """`found` as JSON, at most 80 characters; "nothing" where nothing stood."""
    if found is Absent:
        return "nothing"
    return shorten(json.dumps(found, ensure_ascii=False, default=str))


def format_path(where: Where) -> str:
    """The JSON path of a chain of steps: ``$.epcList[0]``, ``$['prov:nonce']``."""
    steps = []
    while where is not None:
        where, step = where
        if isinstance(step, int):
            steps.append(f"[{step}]")
        elif _PLAIN_NAME.fullmatch(step):
            steps.append(f".{step}")
        else:
            steps.append("['" + step.replace("\\", "\\\\").replace("'", "\\'") + "']")
    return "$" + "".join(reversed(steps))


Check: TypeAlias = Callable[[Any, Where, Report], None]

# --- URIs, CURIEs and names -----------------------------------------------------------------------

# RFC 3986 appendix A. An IPv6 host is matched loosely here and judged by `ipaddress`; "IPvFuture"
# (never assigned) is refused.
_PCHAR = r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@]|%[0-9A-Fa-f]{2})"
_REG_NAME = r"(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})*+"
_USER = r"(?:(?:[A-Za-z0-9\-._~!$&'()*+,;=:]|%[0-9A-Fa-f]{2})*@)?"
_AUTHORITY = rf"{_USER}(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|{_REG_NAME})(?::[0-9]*+)?"
_URI: Final = re.compile(
    rf"[A-Za-z][A-Za-z0-9+.\-]*+:(?://{_AUTHORITY}(?:/{_PCHAR}*+)*+|/?(?:{_PCHAR}++(?:/{_PCHAR}*+)*+)?)"
    rf"(?:\?(?:{_PCHAR}|[/?])*+)?(?:#(?:{_PCHAR}|[/?])*+)?"
)

# What may stand before a colon without being declared in @context: schemes that are in use for
# identifiers. Any other prefix that no context declares is taken for a slip (exmaple:colour).
_SCHEMES: Final = frozenset({"urn", "did", "ni", "tag", "data", "mailto", "tel", "geo", "info"})


def is_uri(value: object) -> bool:
    """Whether `value` is a string that is an RFC 3986 URI (a CURIE is one too, by its form)."""
    if not isinstance(value, str):
        return False
    match = _URI.fullmatch(value)
    return match is not None and (match["v6"] is None or _is_ipv6(match["v6"]))


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except AddressValueError:
        return False
    return True


def is_declared(text: str, report: Report) -> bool:
    """Whether what stands before the first colon is declared, or needs no declaration."""
    prefix, _, rest = text.partition(":")
    if prefix in report.prefixes or rest.startswith("//") or prefix.lower() in _SCHEMES:
        return True
    return report.any_prefix


def uri(value: Any, where: Where, report: Report) -> None:
    """A URI of any kind."""
    if not is_uri(value):
        report.add(where, "a URI (RFC 3986)", value)


def identifier(value: Any, where: Where, report: Report) -> None:
    """A URI that, if it looks like a GS1 key, is a good one: length, characters, check digit."""
    if isinstance(value, str) and find_plain(value) is not None:
        return
    if not is_uri(value):
        report.add(where, "a URI (RFC 3986)", value)
        return
    fault = _identifier_fault(value)
    if fault is not None:
        report.add(where, fault, value)


# Places, parties and devices stand in every event of a batch: remembering costs less than judging.
@lru_cache(maxsize=4096)
def _identifier_fault(text: str) -> str | None:
    try:
        check_identifier(text)
    except QrError as error:
        return f"a GS1 identifier by its rules: {error.expected} ({error.detail}; {error.remedy})"
    return None


def extension_name(name: str, where: Where, report: Report) -> None:
    """A member name that is not EPCIS's own: a URI, or a CURIE whose prefix @context declares."""
    if name.startswith("prov:"):
        report.add((where, name), "a member of the prov: namespace that has a meaning here", name)
    elif not is_uri(name):
        report.add((where, name), "a member of EPCIS here, or a URI or prefix:name", name)
    elif not is_declared(name, report):
        report.add((where, name), f"the prefix {name.partition(':')[0]} declared in @context", name)


# --- words and numbers ----------------------------------------------------------------------------

_ANOTHER_CBV: Final = re.compile(r"urn:epcglobal:cbv|https?://ns\.gs1\.org/cbv/")
_ANOTHER_VOC: Final = re.compile(r"https?://(?:www\.)?gs1\.org/voc/")


def word(words: frozenset[str], name: str, stem: str | None) -> Check:
    """One of `words`, or somebody's own URI or declared CURIE.

    `stem` is the Core Business Vocabulary's ("BizStep-"), None for the GS1 Web Vocabulary.
    Spellings of the standard's own words that the JSON binding does not allow are refused.
    """
    foreign = _ANOTHER_VOC if stem is None else _ANOTHER_CBV
    expected = f"a word of {name}, or an own URI or prefix:name"

    def check(value: Any, where: Where, report: Report) -> None:
        if isinstance(value, str) and value in words:
            return
        if not is_uri(value) or foreign.match(value):
            report.add(where, expected, value)
        elif not is_declared(value, report):
            report.add(where, f"{expected} whose prefix @context declares", value)
        elif stem is not None and is_misspelt_word(value, stem, words):
            report.add(where, f"a word of {name} after {stem}", value)

    return check


def one_of(words: frozenset[str]) -> Check:
    """One of a few fixed words."""
    expected = " or ".join(sorted(words))

    def check(value: Any, where: Where, report: Report) -> None:
        if not isinstance(value, str) or value not in words:
            report.add(where, expected, value)

    return check


def matching(pattern: str, expected: str) -> Check:
    """A string that `pattern` matches from end to end."""
    compiled = re.compile(pattern, re.ASCII)

    def check(value: Any, where: Where, report: Report) -> None:
        if not isinstance(value, str) or compiled.fullmatch(value) is None:
            report.add(where, expected, value)

    return check


def number(value: Any, where: Where, report: Report) -> None:
    """A JSON number; true and false are none."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        report.add(where, "a number", value)


def boolean(value: Any, where: Where, report: Report) -> None:
    """true or false."""
    if not isinstance(value, bool):
        report.add(where, "true or false", value)


def string(value: Any, where: Where, report: Report) -> None:
    """Any string."""
    if not isinstance(value, str):
        report.add(where, "a string", value)


def time(value: Any, where: Where, report: Report) -> None:
    """An RFC 3339 date-time with offset, of a day that exists; no leap second (domain.moments)."""
    try:
        if isinstance(value, str):
            parse_claimed_time(value)
            return
    except MomentError:
        pass
    report.add(where, "an RFC 3339 date-time with offset, of a day that exists", value)


def base64_of(size: int) -> Check:
    """Standard base64 with padding of exactly `size` bytes."""

    def check(value: Any, where: Where, report: Report) -> None:
        try:
            decode_base64(value, size)
        except Base64Error:
            report.add(where, f"base64 of {size} bytes, with padding", value)

    return check


# --- lists and objects ----------------------------------------------------------------------------


def list_of(check: Check, *, least: int = 0, unique: bool = False) -> Check:
    """An array of at least `least` members, each good by `check`; `unique` strings stand once."""
    expected = f"an array of at least {least}" if least else "an array"

    def check_list(value: Any, where: Where, report: Report) -> None:
        if not isinstance(value, list) or len(value) < least:
            report.add(where, expected, value)
            return
        for position, item in enumerate(value):
            check(item, (where, position), report)
        if unique and len(value) > 1:
            _require_distinct(value, where, report)

    return check_list


def _require_distinct(value: list[Any], where: Where, report: Report) -> None:
    seen = set()
    for position, item in enumerate(value):
        if isinstance(item, str):
            if item in seen:
                report.add((where, position), "each only once", item)
            seen.add(item)


def one_or_list_of(check: Check, *, unique: bool = False) -> Check:
    """One value, or an array of such."""
    many = list_of(check, unique=unique)

    def check_either(value: Any, where: Where, report: Report) -> None:
        (many if isinstance(value, list) else check)(value, where, report)

    return check_either


def digests(value: Any, where: Where, report: Report) -> None:
    """``prov:_sd``: base64url digests of 32 bytes, in the order of their code points, each once."""
    if not isinstance(value, list) or not value:
        report.add(where, "an array of at least one digest", value)
        return
    for position, item in enumerate(value):
        try:
            good = len(decode_base64url(item)) == DIGEST_SIZE
        except Base64Error:
            good = False
        if not good:
            report.add((where, position), "base64url of 32 bytes, without padding", item)
        elif position and isinstance(value[position - 1], str) and value[position - 1] >= item:
            report.add((where, position), "digests sorted by code point, each once", item)


def anything(value: Any, where: Where, report: Report) -> None:
    """The value of an extension: free, but for the digests of what was concealed inside it."""
    if isinstance(value, dict):
        for name, member in value.items():
            (digests if name == CONCEALED else anything)(member, (where, name), report)
    elif isinstance(value, list):
        for position, item in enumerate(value):
            anything(item, (where, position), report)


@dataclass(frozen=True, slots=True)
class ObjectForm:
    """An object: which members it has, by which checker, and which must be there.

    `required` members must stand there, unless the object says (``prov:_sd``) that something was
    concealed and the member is one that may be: those in `kept` may not. `is_open` allows extension
    members; `may_conceal` allows ``prov:_sd``.
    """

    members: Mapping[str, Check]
    required: frozenset[str] = frozenset()
    kept: frozenset[str] = frozenset()
    is_open: bool = True
    may_conceal: bool = True

    def __call__(self, value: Any, where: Where, report: Report) -> None:
        """Judge `value`; see the module's text for what a checker does."""
        if not isinstance(value, dict):
            report.add(where, "an object", value)
            return
        for name, member in value.items():
            self.judge_member(name, member, where, report)
        for name in self.missing(value.keys()):
            report.add((where, name), "this member", Absent)

    def judge_member(self, name: str, member: Any, where: Where, report: Report) -> None:
        """Judge one member by itself; whether others must stand beside it, `missing` says."""
        check = self.members.get(name)
        if check is not None:
            check(member, (where, name), report)
        else:
            self._further(name, member, where, report)

    def missing(self, names: Set[str]) -> list[str]:
        """The members, sorted, that an object with these `names` lacks."""
        if self.required <= names:
            return []
        needed = self.kept if self.may_conceal and CONCEALED in names else self.required
        return sorted(needed - names)

    def _further(self, name: str, member: Any, where: Where, report: Report) -> None:
        if name == CONCEALED and self.may_conceal:
            digests(member, (where, name), report)
        elif self.is_open:
            extension_name(name, where, report)
            anything(member, (where, name), report)
        else:
            report.add((where, name), "no member of this name", name)
