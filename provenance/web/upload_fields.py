"""marshmallow fields for the values of which uploads are made.

Each refuses exactly what the hot path refuses, by its own means: the checkers of ``domain.forms``
and ``domain.wire`` are not used here, so that a test can hold the two against each other
(tests/conformance/test_upload_schema_agreement.py). Shared are the tables of words and the pure
functions that say what a URI, a GS1 key, a moment or a base64 text is; each of those has referees
of its own.

marshmallow's own fields convert (``"yes"`` is true, ``"7"`` a number); what is signed must not be
read in two ways, so these only look. A field's ``form`` is what JSON Schema can say of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, TypeAlias

from marshmallow import ValidationError, fields
from marshmallow.exceptions import SCHEMA
from marshmallow.experimental.context import Context

from provenance.domain import vocabulary
from provenance.domain.canonical import Base64Error, decode_base64, decode_base64url
from provenance.domain.context import EPCIS_PREFIXES
from provenance.domain.forms import is_uri
from provenance.domain.moments import MomentError, parse_claimed_time, parse_ledger_time
from provenance.domain.multibase import MultibaseError, decode_multibase, parse_multikey
from qr.errors import QrError
from qr.identifier import canonical_identifier, check_identifier

CONCEALED: Final = "prov:_sd"
Fault: TypeAlias = tuple[tuple[str | int, ...], str]
"""Where, as steps down from the value that is judged, and what is wrong there."""


def nest(faults: Iterable[Fault]) -> dict[Any, Any]:
    """Faults in the shape of marshmallow's messages: a tree of names and positions."""
    tree: dict[Any, Any] = {}
    for path, message in faults:
        at = tree
        for step in path:
            at = at.setdefault(step, {})
        at.setdefault(SCHEMA, []).append(message)
    return tree


def refuse(faults: Iterable[Fault]) -> None:
    """ValidationError with all of `faults`, if there are any."""
    if tree := nest(faults):
        raise ValidationError(tree)


# --- names: which prefixes stand for something ----------------------------------------------------


@dataclass(frozen=True, slots=True)
class Names:
    """The prefixes that an event may use. `any_prefix`: it repeats an event declared wrong."""

    prefixes: frozenset[str] = EPCIS_PREFIXES
    any_prefix: bool = False

    @classmethod
    def of(cls, event: Any) -> Names:
        """Those that EPCIS's context and the event's own ``@context`` declare."""
        if not isinstance(event, dict):
            return cls()
        context = event.get("@context")
        entries = context if isinstance(context, list) else [context]
        declared = {
            name
            for entry in entries
            if isinstance(entry, dict)
            for name, meaning in entry.items()
            if isinstance(meaning, str) or (isinstance(meaning, dict) and "@id" in meaning)
        }
        return cls(EPCIS_PREFIXES | declared, "errorDeclaration" in event)


NamesInUse = Context[Names]
_NO_NAMES: Final = Names()
# Schemes that need no declaration, as an identifier with an authority (scheme://) needs none.
_SCHEMES: Final = ("urn", "did", "ni", "tag", "data", "mailto", "tel", "geo", "info")


def is_declared(text: str) -> bool:
    """Whether what stands before the colon means something in the event that is being loaded."""
    names = NamesInUse.get(_NO_NAMES)
    prefix, _, rest = text.partition(":")
    known = prefix in names.prefixes or prefix.lower() in _SCHEMES
    return known or rest.startswith("//") or names.any_prefix


# --- strings --------------------------------------------------------------------------------------


class Text(fields.String):
    """A string; subclasses say with ``fault`` what they find wrong with one."""

    form: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, *, data_key: str | None = None, required: bool = False, **form: Any) -> None:
        super().__init__(data_key=data_key, required=required, metadata={**self.form, **form})

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
        text: str = super()._deserialize(value, *args, **kwargs)
        fault = self.fault(text)
        if fault is not None:
            raise ValidationError(fault)
        return text

    def fault(self, text: str) -> str | None:  # noqa: ARG002  for subclasses
        """What is wrong with `text`, None if nothing."""
        return None


class Matching(Text):
    """A string that a pattern matches from end to end; the pattern is ECMAScript's too."""

    def __init__(self, pattern: str, what: str, **kwargs: Any) -> None:
        super().__init__(pattern=f"^(?:{pattern})$", description=what, **kwargs)
        self._pattern = re.compile(pattern, re.ASCII)
        self._what = what

    def fault(self, text: str) -> str | None:
        return None if self._pattern.fullmatch(text) else f"Expected {self._what}."


class OneOf(Text):
    """One of a few fixed words."""

    def __init__(self, words: Iterable[str], **kwargs: Any) -> None:
        self._words = tuple(sorted(words))
        super().__init__(enum=list(self._words), **kwargs)

    def fault(self, text: str) -> str | None:
        return None if text in self._words else f"Expected {' or '.join(self._words)}."


class Uri(Text):
    """An RFC 3986 URI, or a CURIE, which is one by its form."""

    form: ClassVar[Mapping[str, Any]] = {"format": "uri"}

    def fault(self, text: str) -> str | None:
        return None if is_uri(text) else "Not a URI (RFC 3986)."


class Identifier(Uri):
    """A URI that, where it looks like a GS1 key, is a good one: length, characters, check digit."""

    form: ClassVar[Mapping[str, Any]] = {
        "format": "uri",
        "description": "a URI; a GS1 key in it must be right",
    }

    def fault(self, text: str) -> str | None:
        if (fault := super().fault(text)) is not None:
            return fault
        try:
            check_identifier(text)
        except QrError as error:
            return f"Not a GS1 identifier by its rules: {error}."
        return None


class PartyUri(Text):
    """An ASCII URI without fragment that is its own canonical identifier."""

    form: ClassVar[Mapping[str, Any]] = {
        "pattern": '^[a-z][a-z0-9+.-]*:[!"$-~]+$',
        "maxLength": 1_024,
    }

    def fault(self, text: str) -> str | None:
        scheme, colon, rest = text.partition(":")
        printable = rest and all("!" <= letter <= "~" and letter != "#" for letter in rest)
        if not (colon and printable and re.fullmatch("[a-z][a-z0-9+.-]*", scheme)):
            return "Not an ASCII URI without fragment."
        try:
            if len(text) <= self.form["maxLength"] and canonical_identifier(text) == text:
                return None
        except QrError:
            pass
        return "Not a canonical identifier of at most 1,024 characters."


class Word(Text):
    """A word of one of the standard's lists, or an own URI or declared CURIE.

    `stem` is the list's in the Core Business Vocabulary, None for one of the GS1 Web Vocabulary.
    The standard's own words have no second spelling in the JSON binding.
    """

    def __init__(self, words: frozenset[str], stem: str | None, **kwargs: Any) -> None:
        self._words = words
        self._stem = stem
        own = {"format": "uri", "pattern": ":", "description": "an own URI or declared CURIE"}
        super().__init__(anyOf=[{"enum": sorted(words)}, own], **kwargs)

    def fault(self, text: str) -> str | None:
        if text in self._words:
            return None
        if not is_uri(text):
            return "Neither a word of the list nor a URI or prefix:name."
        if not is_declared(text):
            return "This prefix is not declared in @context."
        if self._is_another_spelling(text):
            return "A word of the standard stands here bare, as in its list."
        return None

    def _is_another_spelling(self, text: str) -> bool:
        if self._stem is None:
            return re.match(r"https?://(www\.)?gs1\.org/voc/", text) is not None
        if re.match(r"urn:epcglobal:cbv|https?://ns\.gs1\.org/cbv/", text):
            return True
        return vocabulary.is_misspelt_word(text, self._stem, self._words)


# --- moments and bytes ----------------------------------------------------------------------------


class Moment(Text):
    """A claimed time: an RFC 3339 date-time with offset, of a day that exists, no leap second."""

    form: ClassVar[Mapping[str, Any]] = {"format": "date-time"}

    def fault(self, text: str) -> str | None:
        try:
            parse_claimed_time(text)
        except MomentError:
            return "Not an RFC 3339 date-time with offset, of a day that exists."
        return None


class Seconds(Moment):
    """A moment in the form of proofs, ``YYYY-MM-DDTHH:MM:SSZ``."""

    form: ClassVar[Mapping[str, Any]] = {
        "format": "date-time",
        "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$",
    }

    def fault(self, text: str) -> str | None:
        if len(text) == len("YYYY-MM-DDTHH:MM:SSZ") and text[10] == "T" and text[-1] == "Z":
            return super().fault(text)
        return "Not YYYY-MM-DDTHH:MM:SSZ."


class LedgerTime(Text):
    """A moment in the form of links, ``YYYY-MM-DDTHH:MM:SS.mmmZ``."""

    form: ClassVar[Mapping[str, Any]] = {
        "format": "date-time",
        "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$",
    }

    def fault(self, text: str) -> str | None:
        try:
            parse_ledger_time(text)
        except MomentError:
            return "Not YYYY-MM-DDTHH:MM:SS.mmmZ."
        return None


class Base64(Text):
    """Standard base64 with padding of so many bytes, in the one spelling that they have."""

    def __init__(self, size: int, **kwargs: Any) -> None:
        self._size = size
        length = -(-size // 3) * 4
        description = f"{size} bytes in standard base64 with padding"
        form = {"minLength": length, "maxLength": length, "contentEncoding": "base64"}
        super().__init__(**{**form, "description": description, **kwargs})

    def fault(self, text: str) -> str | None:
        try:
            decode_base64(text, self._size)
        except Base64Error:
            return f"Not base64 of {self._size} bytes, with padding."
        return None


class Multikey(Text):
    """The multikey of an Ed25519 key; whether it is a point of the curve is judged with it."""

    form: ClassVar[Mapping[str, Any]] = {"pattern": "^z6Mk[1-9A-HJ-NP-Za-km-z]+$"}

    def fault(self, text: str) -> str | None:
        try:
            parse_multikey(text)
        except MultibaseError:
            return "Not the multikey of an Ed25519 key (z6Mk…)."
        return None


class Signature(Text):
    """Multibase base58btc of 64 bytes."""

    form: ClassVar[Mapping[str, Any]] = {"pattern": "^z[1-9A-HJ-NP-Za-km-z]+$"}

    def fault(self, text: str) -> str | None:
        try:
            decode_multibase(text, 64)
        except MultibaseError:
            return "Not z and base58btc of 64 bytes."
        return None


# --- numbers and truth ----------------------------------------------------------------------------


class Number(fields.Float):
    """A JSON number, as it is: neither text nor a truth value."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.make_error("invalid", input=value)
        return value


class Whole(fields.Integer):
    """A whole number in ``[low, high]``."""

    def __init__(self, low: int, high: int, *, data_key: str | None = None) -> None:
        limits = {"minimum": low, "maximum": high}
        super().__init__(strict=True, required=True, data_key=data_key, metadata=limits)
        self._range = low, high

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> int:
        number: int = super()._deserialize(value, *args, **kwargs)
        low, high = self._range
        if not low <= number <= high:
            raise ValidationError(f"Expected a whole number from {low} to {high}.")
        return number


class Truth(fields.Boolean):
    """true or false, and no word for them."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> bool:
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return value


# --- lists and free values ------------------------------------------------------------------------


class Many(fields.List[Any]):
    """An array of at least `least` items; `unique` strings stand in it once."""

    def __init__(
        self,
        inner: fields.Field[Any],
        *,
        least: int = 0,
        unique: bool = False,
        data_key: str | None = None,
        required: bool = False,
    ) -> None:
        form = {
            **({"minItems": least} if least else {}),
            **({"uniqueItems": True} if unique else {}),
        }
        super().__init__(inner, data_key=data_key, required=required, metadata=form)
        self._least = least
        self._unique = unique

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(value, list) or len(value) < self._least:
            raise ValidationError(f"Expected an array of at least {self._least}.")
        messages: dict[Any, Any] = {}
        try:
            super()._deserialize(value, *args, **kwargs)
        except ValidationError as error:
            messages.update(error.messages_dict)
        for position, item in enumerate(value) if self._unique else ():
            if isinstance(item, str) and item in value[:position]:
                messages.setdefault(position, ["This stands there before."])
        if messages:
            raise ValidationError(messages)
        return value


class OneOrMany(Many):
    """One item, or an array of such."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(value, list):
            return super()._deserialize(value, *args, **kwargs)
        return self.inner.deserialize(value, **kwargs)


class Digests(fields.Raw):
    """``prov:_sd``: digests of the members that were taken out of the object (formats, 3)."""

    form: ClassVar[Mapping[str, Any]] = {
        "type": "array",
        "items": {"type": "string", "pattern": "^[A-Za-z0-9_-]{43}$"},
        "minItems": 1,
        "uniqueItems": True,
        "description": "digests of concealed members, base64url, sorted by code point",
    }

    def __init__(self) -> None:
        super().__init__(data_key=CONCEALED, metadata=self.form)

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        refuse(_digest_faults(value))
        return value


def _digest_faults(value: Any) -> Iterator[Fault]:
    if not isinstance(value, list) or not value:
        yield (), "Expected an array of at least one digest."
        return
    before = ""
    for position, item in enumerate(value):
        if not _is_digest(item):
            yield (position,), "Not base64url of 32 bytes, without padding."
        elif item <= before:
            yield (position,), "Digests are sorted by code point, each once."
        before = item if isinstance(item, str) else ""


def _is_digest(item: Any) -> bool:
    try:
        return len(decode_base64url(item)) == 32
    except Base64Error:
        return False


class Extension(fields.Raw):
    """A value that is free, but for the digests of what was concealed in it."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        refuse(extension_faults(value))
        return value


def extension_faults(value: Any) -> Iterator[Fault]:
    """What is wrong inside the value of an extension member."""
    inner: Iterable[tuple[str | int, Any]] = ()
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    for step, item in inner:
        found = _digest_faults(item) if step == CONCEALED else extension_faults(item)
        yield from (((step, *path), message) for path, message in found)
