"""Members of an event that are signed but not shown: concealed, disclosed, still provable.

A concealed member is taken out of its object; the object carries `prov:_sd`, the digests of what
was taken, sorted so that their order tells nothing. The disclosure travels apart and can be erased
without breaking a hash or a signature (docs/formats.md section 3):

    disclosure = base64url(UTF-8 of ["<salt>", "<name>", <value>])      unpadded, hashed as issued
    digest     = base64url(SHA-256(ASCII of the disclosure))            unpadded, 43 characters

    {"bizStep": "shipping", "ex:price": 12}
    {"bizStep": "shipping", "prov:_sd": ["X9yH0Ajr..."]}  +  "WyJfMjZi..."

Who may read which disclosure is left to the services, form and signature of the event to `event`
and `seal`.

Rules: subjects, type, identity and time of an event stay in sight (:func:`is_concealable`), because
they decide on which chains the event stands and how it is traced. A disclosure fits exactly one
place or is refused. Nothing given is changed; every function returns new values.

Sources: RFC 9901 (SD-JWT) sections 4.2.1 (disclosure), 4.2.3 (digest), 7.1 (a digest found twice).
"""

from __future__ import annotations

import copy
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from provenance.domain.canonical import (
    MAX_DEPTH,
    Base64Error,
    Json,
    MalformedJsonError,
    decode_base64url,
    encode,
    encode_base64url,
    parse,
)
from provenance.domain.errors import InvalidContentError

SD = "prov:_sd"
SALT_SIZE = 16

Step = str | int
Document = dict[str, Any]

# Members of the event itself that cannot be concealed (docs/formats.md section 3).
UNCONCEALABLE = frozenset(
    {
        "@context",
        "type",
        "eventID",
        "eventTime",
        "eventTimeZoneOffset",
        "action",
        "parentID",
        "epcList",
        "quantityList",
        "childEPCs",
        "childQuantityList",
        "inputEPCList",
        "inputQuantityList",
        "outputEPCList",
        "outputQuantityList",
        "transformationID",
        "errorDeclaration",
        "proof",
    }
)
# Inside these nothing can be concealed either.
_CLOSED = frozenset({"@context", "errorDeclaration", "proof"})
_QUANTITIES = frozenset(name for name in UNCONCEALABLE if name.lower().endswith("quantitylist"))
# Where subjects come from, and where they come from only if none of these names one.
_SUBJECTS = _QUANTITIES | {"parentID", "epcList", "childEPCs", "inputEPCList", "outputEPCList"}
_FALLBACKS = frozenset({"readPoint", "bizLocation", "sensorElementList"})


class ConcealmentError(InvalidContentError):
    """A path names no member, one that must stay in sight, or one that is already gone."""

    def __init__(self, path: str, expected: str, found: str) -> None:
        super().__init__(
            "not-concealable",
            "this member cannot be concealed",
            path=path,
            expected=expected,
            found=found,
            remedy="conceal another member, or none; write paths as $.a[0].b or $.a['ex:b']",
        )


class DisclosureError(InvalidContentError):
    """A disclosure fits nowhere in its event (`disclosure-unmatched`). `index` counts from 0."""

    def __init__(self, index: int, expected: str, found: str) -> None:
        super().__init__(
            "disclosure-unmatched",
            f"disclosure {index} does not fit the event",
            expected=expected,
            found=found,
            remedy="send the disclosures of this very event, as they were issued and in that order",
        )
        self.index = index


def digest(disclosure: str) -> str:
    """The digest of a disclosure as it was issued (RFC 9901 section 4.2.3); ASCII text only."""
    return encode_base64url(hashlib.sha256(disclosure.encode("ascii")).digest())


def is_concealable(event: Document, steps: Sequence[Step]) -> bool:
    """Whether the member at `steps` (names and indices from the event down) may be concealed."""
    names = [step for step in steps if isinstance(step, str)]
    if not names or not isinstance(steps[-1], str) or names[-1].startswith("prov:"):
        return False
    top = names[0]
    if len(steps) == 1:
        return top not in UNCONCEALABLE and not _is_fallback(event, top)
    if top in _CLOSED or _is_fallback(event, top):
        return False
    return not (top in _QUANTITIES and names[1:] == ["epcClass"])


def conceal(
    event: Document, paths: Sequence[str], random: Callable[[int], bytes]
) -> tuple[Document, list[str]]:
    """`event` without the members at `paths`, and one disclosure for each path, in their order.

    A path is `$.name`, `[index]` and `['name']` in a row, ending in a member's name. Of two paths
    one inside the other the outer comes first; its disclosure then carries the inner digest.
    `random(n)` gives n fresh random bytes; 16 are taken for each member. Raises
    :class:`ConcealmentError`.
    """
    concealed = copy.deepcopy(event)
    disclosures: list[str] = []
    salts = [encode_base64url(random(SALT_SIZE)) for _ in paths]
    # The last path first, so that an inner member is gone before the outer one is taken with it.
    for path, salt in zip(reversed(paths), reversed(salts), strict=True):
        steps = parse_path(path)
        if not is_concealable(event, steps):
            raise ConcealmentError(path, "a member that may be concealed", "one that must be seen")
        parent = _find_parent(concealed, path, steps)
        name = str(steps[-1])
        held = parent.get(SD, [])
        if not isinstance(held, list) or not all(isinstance(text, str) for text in held):
            raise ConcealmentError(path, f"{SD} as a list of digests", "another value beside it")
        disclosure = encode_base64url(encode([salt, name, parent.pop(name)]))
        parent[SD] = sorted([*held, digest(disclosure)])
        disclosures.append(disclosure)
    return concealed, disclosures[::-1]


def apply(event: Document, disclosures: Iterable[str]) -> Document:
    """`event` with the disclosed members back in their objects; `prov:_sd` stays as it was.

    Applied in the order given. Raises :class:`DisclosureError` for the first that does not fit.
    """
    shown = copy.deepcopy(event)
    places: dict[str, list[_Place]] = {}
    _note_places(places, shown, (), 1)
    for index, disclosure in enumerate(disclosures):
        name, value, depth = _read(index, disclosure)
        place = _fitting_place(index, digest(disclosure), places)
        if name in place.members:
            raise DisclosureError(index, "a member that is not there yet", ascii(name))
        steps = (*place.steps, name)
        if not is_concealable(event, steps):
            raise DisclosureError(index, "a member that may be concealed", ascii(name))
        if place.depth + depth > MAX_DEPTH:
            raise DisclosureError(index, f"at most {MAX_DEPTH} levels", "more")
        place.members[name] = value
        _note_places(places, value, steps, place.depth + 1)
    return shown


def parse_path(path: str) -> tuple[Step, ...]:
    """The steps of a JSON path (RFC 9535, names and non-negative indices only).

    `$.sourceList[0].source` is `("sourceList", 0, "source")`. Raises :class:`ConcealmentError`.
    """
    steps: list[Step] = []
    at = 1 if path.startswith("$") else -1
    while 0 <= at < len(path):
        match = _STEP.match(path, at)
        at = match.end() if match else -1
        if match:
            steps.append(_read_step(match))
    if at < 0 or not steps:
        raise ConcealmentError(path, "a JSON path to a member", "another text")
    return tuple(steps)


_STEP = re.compile(
    r"""\.(?P<name>[^\W\d][\w]*)            # RFC 9535 section 2.5.1.2, shorthand
      | \[(?P<index>0|[1-9][0-9]{0,5})\]
      | \['(?P<single>(?:[^'\\]|\\.)*)'\]
      | \["(?P<double>(?:[^"\\]|\\.)*)"\]
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class _Place:
    """An object of the event that lacks members: where it is, how deep, and which digests."""

    members: Document
    steps: tuple[Step, ...]
    depth: int
    digests: tuple[str, ...]


def _read_step(match: re.Match[str]) -> Step:
    if match["name"] is not None:
        return match["name"]
    if match["index"] is not None:
        return int(match["index"])
    quoted = match["single"] if match["single"] is not None else match["double"]
    return re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL)


def _find_parent(event: Document, path: str, steps: tuple[Step, ...]) -> Document:
    """The object from which the member at `steps` is to be taken."""
    at: Any = event
    for depth, step in enumerate(steps):
        known = isinstance(at, list) if isinstance(step, int) else isinstance(at, dict)
        if not known or (step >= len(at) if isinstance(step, int) else step not in at):
            raise ConcealmentError(path, "a member that is there", f"nothing at step {depth + 1}")
        parent, at = at, at[step]
    members: Document = parent
    return members


def _places(value: Json, steps: tuple[Step, ...], depth: int) -> Iterator[_Place]:
    """Every object with digests in `value`, which stands at `steps`, `depth` levels deep."""
    if isinstance(value, dict):
        held = value.get(SD)
        if isinstance(held, list):
            digests = tuple(text for text in held if isinstance(text, str))
            yield _Place(value, steps, depth, digests)
        for name, inner in value.items():
            yield from _places(inner, (*steps, name), depth + 1)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _places(inner, (*steps, index), depth + 1)


def _note_places(
    places: dict[str, list[_Place]], value: Json, steps: tuple[Step, ...], depth: int
) -> None:
    """Enter the places in `value` under each digest that they hold, as often as they hold it.

    An index, since one event can have a hundred thousand disclosures, each inside another.
    """
    for place in _places(value, steps, depth):
        for text in place.digests:
            places.setdefault(text, []).append(place)


def _fitting_place(index: int, wanted: str, places: Mapping[str, Sequence[_Place]]) -> _Place:
    # RFC 9901 section 7.1 step 4: a digest that stands twice is refused.
    held = places.get(wanted, ())
    if len(held) != 1:
        raise DisclosureError(index, f"the digest {wanted} once in the event", f"{len(held)} times")
    return held[0]


def _read(index: int, disclosure: object) -> tuple[str, Json, int]:
    """Name, value and the value's own depth (0 for what is no object or array)."""
    try:
        value = parse(decode_base64url(disclosure))
    except (Base64Error, MalformedJsonError) as error:
        _refuse(index, error.found)
    if not isinstance(value, list) or len(value) != 3:
        _refuse(index, "other JSON")
    salt, name, content = value
    if not isinstance(salt, str) or not isinstance(name, str):
        _refuse(index, "other JSON")
    return name, content, _depth(content)


def _refuse(index: int, found: str | None) -> NoReturn:
    raise DisclosureError(index, "base64url of a JSON array [salt, name, value]", found or "")


def _depth(value: Json) -> int:
    inner = value.values() if isinstance(value, dict) else value
    if not isinstance(value, dict | list):
        return 0
    return 1 + max(map(_depth, inner), default=0)


def _is_fallback(event: Document, name: str) -> bool:
    """Whether `name` may be what the event is about, since no other member says it."""
    return name in _FALLBACKS and all(event.get(other, []) == [] for other in _SUBJECTS)
