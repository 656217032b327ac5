"""Uploads that are refused: the class, the code and the line of each, and nothing changed after it."""

# ruff: noqa: E501, ARG005 -- the table of refusals has one row a line, each a function of the scene

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from provenance.crypto.signing import PrivateKey
from provenance.domain import canonical
from provenance.domain.errors import (
    ForbiddenError,
    InvalidContentError,
    MalformedInputError,
    Refusal,
    TooLargeError,
)
from provenance.domain.party import Party
from provenance.services.admission import MAX_WITHOUT_ROLE
from provenance.services.capture import Capture, Limits
from provenance.storage.session import Database
from tests.support.audit import snapshot
from tests.support.builders import (
    ORIGIN,
    Actor,
    World,
    encode,
    item_event,
    make_key,
)


@dataclass
class Scene:
    """Some parties in different standing."""

    world: World
    brand: Actor
    pending: Actor
    stranger: Actor

    def sealed_lines(self, *lines: bytes) -> list[bytes]:
        """A good seal over these bytes as leaves, whatever they are."""
        from merkle.hashing import leaf_hash  # noqa: PLC0415 -- read beside its use

        return [encode(self.brand.seal([leaf_hash(line) for line in lines])), *lines]

    def without(self, name: str) -> list[bytes]:
        event = item_event(1)
        del event[name]
        return self.sealed_lines(encode(event))

    def resealed(self, **changes: Any) -> list[bytes]:
        return self.brand.sealed([item_event(1)], **changes)

    def flipped(self, upload: list[bytes], old: bytes, new: bytes) -> list[bytes]:
        assert old in upload[0]
        return [upload[0].replace(old, new), *upload[1:]]


@pytest.fixture
def scene(world: World) -> Scene:
    return Scene(world, world.party("brand"), world.party("pending", None), world.actor("stranger"))


Make = Callable[[Scene], list[bytes]]


def _two_events(scene: Scene) -> list[bytes]:
    return scene.brand.sealed([item_event(1), item_event(2)])


def _swapped(scene: Scene) -> list[bytes]:
    upload = _two_events(scene)
    return [upload[0], upload[2], upload[1]]


def _bad_second_event(scene: Scene) -> list[bytes]:
    return scene.sealed_lines(encode(item_event(1)), encode({**item_event(2), "action": "EAT"}))


def _future(scene: Scene) -> list[bytes]:
    return scene.brand.sealed([item_event(1, at=scene.world.clock.now + 120_001)])


def _deep(scene: Scene) -> list[bytes]:
    return scene.sealed_lines(b'{"a":' * 33 + b"1" + b"}" * 33)


def _own(scene: Scene, **changes: Any) -> bytes:
    return scene.brand.signed({**item_event(1), **changes})


def _own_tampered(scene: Scene) -> list[bytes]:
    return [_own(scene).replace(b"inspecting", b"destroying")]


def _own_under_a_seal(scene: Scene) -> list[bytes]:
    return scene.sealed_lines(_own(scene))


def _own_for_another_log(scene: Scene) -> list[bytes]:
    return [Actor(scene.brand.uri, scene.brand.key, "log.example.test/other").signed(item_event(1))]


def _own_without_domain(scene: Scene) -> list[bytes]:
    document = canonical.parse(_own(scene))
    del document["proof"]["domain"]
    return [encode(document)]


def _many_subjects(scene: Scene) -> list[bytes]:
    return scene.brand.sealed([item_event(*range(150)), item_event(*range(150, 201))])


def _wide_seal(scene: Scene) -> list[bytes]:
    seal = scene.brand.sealed([item_event(1)])[0]
    return [seal[:-1] + b" " * 8_200 + b"}"]


def _pending_many(scene: Scene) -> list[bytes]:
    events = [scene.pending.addition(make_key(str(i))) for i in range(MAX_WITHOUT_ROLE + 1)]
    return scene.pending.sealed(events)


def _stranger_many(scene: Scene) -> list[bytes]:
    return [encode(scene.stranger.seal([bytes(32)] * (MAX_WITHOUT_ROLE + 1)))]


def _stranger_registers_other_key(scene: Scene) -> list[bytes]:
    event = scene.stranger.with_key(make_key("other")).registration()
    return scene.stranger.sealed([event])


def _stranger_registers_then_sells(scene: Scene) -> list[bytes]:
    return scene.stranger.sealed([scene.stranger.registration(), item_event(1)])


def _unknown_key(scene: Scene) -> list[bytes]:
    return scene.brand.with_key(make_key("never added")).sealed([item_event(1)])


def _long_subject(scene: Scene) -> list[bytes]:
    event = {**item_event(1), "epcList": ["https://example.org/" + "a" * 2_000]}
    return scene.sealed_lines(encode(event))


CASES: list[tuple[str, Make, type[Refusal], str, int | None]] = [
    # name, upload, class, code, line
    ("empty", lambda s: [], MalformedInputError, "upload-truncated", None),
    ("no JSON at all", lambda s: [b"hello"], MalformedInputError, "not-json", 1),
    ("no object", lambda s: [b"[1]"], InvalidContentError, "proof-missing", 1),
    ("event without seal or proof", lambda s: [encode(item_event(1))], InvalidContentError, "proof-missing", 1),
    # the seal
    ("seal without nonce", lambda s: s.flipped(s.resealed(), b'"nonce"', b'"onceN"'), MalformedInputError, "seal-malformed", 1),
    ("seal of size 0", lambda s: s.resealed(size=0), MalformedInputError, "seal-malformed", 1),
    ("seal with one member more", lambda s: s.resealed(extra=1), MalformedInputError, "seal-malformed", 1),
    ("seal too large", _wide_seal, TooLargeError, "too-large", 1),
    ("seal for another log", lambda s: s.resealed(origin="log.example.test/other"), InvalidContentError, "seal-foreign-log", 1),
    ("seal changed after signing", lambda s: s.flipped(s.resealed(), b'"size":1', b'"size":2'), InvalidContentError, "seal-signature", 1),
    ("more events than allowed", lambda s: [encode(s.brand.seal([bytes(32)] * 51))], TooLargeError, "too-many-events", 1),
    # the signer
    ("unknown party", lambda s: s.stranger.sealed([item_event(1)]), ForbiddenError, "party-unknown", 2),
    ("unknown party, many events", _stranger_many, ForbiddenError, "party-unknown", 1),
    ("unknown party registers a key that did not seal", _stranger_registers_other_key, ForbiddenError, "party-unknown", 2),
    ("unknown party registers and goes on", _stranger_registers_then_sells, ForbiddenError, "party-unknown", 3),
    ("unknown key", _unknown_key, ForbiddenError, "key-unknown", 1),
    ("no role", lambda s: s.pending.sealed([item_event(1)]), ForbiddenError, "party-not-accredited", 2),
    ("no role, many events", _pending_many, ForbiddenError, "party-not-accredited", 1),
    # the events
    ("fewer events than sealed", lambda s: _two_events(s)[:2], MalformedInputError, "upload-truncated", 2),
    ("more events than sealed", lambda s: [*_two_events(s), b"{}"], MalformedInputError, "upload-overlong", 4),
    ("events in another order", _swapped, InvalidContentError, "seal-root-mismatch", 1),
    ("event not of the model", _bad_second_event, InvalidContentError, "event-invalid", 3),
    ("event without nonce", lambda s: s.without("prov:nonce"), InvalidContentError, "event-invalid", 2),
    ("event without subject", lambda s: s.without("epcList"), InvalidContentError, "event-invalid", 2),
    ("event from the future", _future, InvalidContentError, "event-from-the-future", 2),
    ("event with a duplicate key", lambda s: s.sealed_lines(b'{"a":1,"a":2}'), MalformedInputError, "duplicate-key", 2),
    ("event too deep", _deep, MalformedInputError, "too-deep", 2),
    ("event with a number out of range", lambda s: s.sealed_lines(b'{"a":1e400}'), MalformedInputError, "number-range", 2),
    ("event not UTF-8", lambda s: s.sealed_lines(b'{"a":"\xff"}'), MalformedInputError, "not-utf8", 2),
    ("event with a lone surrogate", lambda s: s.sealed_lines(rb'{"a":"\ud800"}'), MalformedInputError, "lone-surrogate", 2),
    ("event too large", lambda s: s.sealed_lines(b'{"a":"' + b"x" * 49_152 + b'"}'), TooLargeError, "too-large", 2),
    ("event under a seal with a proof of its own", _own_under_a_seal, InvalidContentError, "proof-unexpected", 2),
    ("subject too long to be indexed", _long_subject, InvalidContentError, "event-invalid", 2),
    ("more links than allowed", _many_subjects, TooLargeError, "too-many-links", 3),
    # own proofs
    ("own proof, event changed", _own_tampered, InvalidContentError, "seal-signature", 1),
    ("own proof for another log", _own_for_another_log, InvalidContentError, "seal-foreign-log", 1),
    ("own proof without domain", _own_without_domain, InvalidContentError, "proof-malformed", 1),
    ("own proof, not of the model", lambda s: [_own(s, action="EAT")], InvalidContentError, "event-invalid", 1),
    ("own proof, unknown party", lambda s: [s.stranger.signed(item_event(1))], ForbiddenError, "party-unknown", 1),
    ("own proof, no role", lambda s: [_own(s), s.pending.signed(item_event(1))], ForbiddenError, "party-not-accredited", 2),
    ("own proofs, then a seal", lambda s: [_own(s), s.resealed()[0]], InvalidContentError, "proof-malformed", 2),
    ("more own proofs than allowed", lambda s: [_own(s) for _ in range(51)], TooLargeError, "too-many-events", None),
]  # fmt: skip


@pytest.mark.parametrize(("make", "kind", "code", "line"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])  # fmt: skip
def test_refused_with_its_reason_and_nothing_stored(
    scene: Scene,
    database: Database,
    make: Make,
    kind: type[Refusal],
    code: str,
    line: int | None,
) -> None:
    upload = make(scene)
    before = snapshot(database)
    with pytest.raises(Refusal) as refused:
        scene.world.capture.submit_batch(iter(upload))
    assert isinstance(refused.value, kind)
    assert (refused.value.code, refused.value.line) == (code, line)
    assert refused.value.expected, "the sender is told what was expected"
    assert snapshot(database) == before


def test_violations_name_the_members(scene: Scene) -> None:
    with pytest.raises(InvalidContentError) as refused:
        scene.world.capture.submit_batch(_bad_second_event(scene))
    assert [violation.path for violation in refused.value.violations] == ["$.action"]


def test_exactly_the_tolerance_ahead_is_accepted(scene: Scene) -> None:
    event = item_event(1, at=scene.world.clock.now + 120_000)
    assert scene.world.capture.submit_batch(scene.brand.sealed([event])).created


@pytest.mark.parametrize(
    "spoil",
    [
        lambda s: s.resealed(origin="log.example.test/other"),
        lambda s: s.flipped(s.resealed(), b'"size":1', b'"size":2'),
        lambda s: s.brand.with_key(make_key("never added")).sealed([item_event(1)]),
        _stranger_many,
    ],
    ids=["foreign log", "bad signature", "unknown key", "too many without a role"],
)
def test_no_event_is_read_before_the_seal_is_good(scene: Scene, spoil: Make) -> None:
    upload = spoil(scene)

    def only_the_seal() -> Iterator[bytes]:
        yield upload[0]
        pytest.fail("an event was read")

    with pytest.raises(Refusal):
        scene.world.capture.submit_batch(only_the_seal())


def test_reading_stops_at_the_first_line_too_many(scene: Scene) -> None:
    upload = _two_events(scene)

    def endless() -> Iterator[bytes]:
        yield from upload
        yield upload[1]
        pytest.fail("a second surplus line was read")

    with pytest.raises(MalformedInputError) as refused:
        scene.world.capture.submit_batch(endless())
    assert refused.value.code == "upload-overlong"


def test_a_refusal_of_the_reader_passes_through(scene: Scene, database: Database) -> None:
    upload = _two_events(scene)
    before = snapshot(database)

    def broken() -> Iterator[bytes]:
        yield from upload[:2]
        raise MalformedInputError("body-truncated", "the body ended before its end")

    with pytest.raises(MalformedInputError) as refused:
        scene.world.capture.submit_batch(broken())
    assert refused.value.code == "body-truncated"
    assert snapshot(database) == before


def test_a_body_of_one_event_takes_no_seal(scene: Scene) -> None:
    with pytest.raises(InvalidContentError) as refused:
        scene.world.capture.submit_event(scene.resealed()[0])
    assert refused.value.code == "proof-malformed"


def test_a_key_of_small_order_never_registers(scene: Scene, database: Database) -> None:
    # The identity point, with R = identity and S = 0: OpenSSL alone would verify any message.
    from provenance.domain.multibase import encode_multibase, format_multikey  # noqa: PLC0415

    identity = bytes([1]) + bytes(31)
    multikey = format_multikey(identity)
    registration = {**scene.stranger.registration(), "prov:key": multikey}
    upload = scene.stranger.sealed([registration])
    seal = canonical.parse(upload[0])
    seal["proof"]["verificationMethod"] = f"{scene.stranger.uri}#{multikey}"
    seal["proof"]["proofValue"] = encode_multibase(identity + bytes(32))
    before = snapshot(database)
    with pytest.raises(InvalidContentError) as refused:
        scene.world.capture.submit_batch([encode(seal), upload[1]])
    assert refused.value.code == "seal-signature"
    assert snapshot(database) == before


def test_default_limits_are_those_of_the_formats(database: Database) -> None:
    assert Limits() == Limits(max_events=10_000, max_links=100_000, clock_tolerance_ms=120_000)
    assert Capture(database, ORIGIN, PrivateKey.from_seed(bytes(32)), lambda: 0)


def test_projection_is_readable_json(scene: Scene, database: Database) -> None:
    import json  # noqa: PLC0415

    states = {uri: Party.from_json(json.loads(text)) for uri, text in snapshot(database)["states"]}
    assert states[scene.brand.uri].roles_at(scene.world.clock.now) == ("brand",)
    assert states[scene.pending.uri].roles_at(scene.world.clock.now) == ()
