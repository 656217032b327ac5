"""Bad bundles: each with one defect, and the reason and the place that its verdict must give.

Two kinds. A *forger* changes a good bundle (`tampering`): the log's proofs are against it. A
*lying log* or a careless one (`lie`) takes in what it must not and proves it well: only the later
checks can tell.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from hashlib import sha512
from typing import Any

from merkle.note import NoteSignature
from provenance.crypto.small_order import ORDER
from provenance.domain import party_events
from provenance.domain.canonical import decode_base64, encode_base64
from provenance.domain.multibase import decode_multibase, encode_multibase, format_multikey
from tests.support.bundle_stories import (
    CASE,
    GTIN,
    ITEM,
    MILL,
    OTHER_ITEM,
    PALLET,
    Made,
    cast,
    new_world,
    two_logs_apart,
)
from tests.support.bundles import (
    CONTEXT,
    DAY,
    MINUTE,
    NOW,
    OPERATOR,
    START,
    Actor,
    Json,
    Published,
    World,
    actor,
    bit_flipped,
    cosigner,
    encode,
    make_key,
    policy_text,
)

FORGERIES: dict[str, Callable[[], Made]] = {}


def _refused(reason: str, place: str | None, **more: Any) -> Callable[[bytes], Made]:
    record = more.pop("record", "refused")
    return lambda data: Made(data, record, reason, place, **more)


def tampering(
    reason: str, place: str | None, **more: Any
) -> Callable[[Callable[[Json, Published], Json | None]], Callable[[], Made]]:
    """The good bundle of `plain_world`, after the decorated function changed it (in place)."""

    def register(change: Callable[[Json, Published], Json | None]) -> Callable[[], Made]:
        def build() -> Made:
            published = plain_world().publish()
            bundle = published.passport(ITEM)
            changed = change(bundle, published)
            return _refused(reason, place, **more)(encode(bundle if changed is None else changed))

        return _register(change.__name__, build)

    return register


def lie(
    reason: str, place: str | None, **more: Any
) -> Callable[[Callable[[World], Any]], Callable[[], Made]]:
    """The bundle that a log makes after the decorated function filled its world.

    What the function returns, if it is a bundle, is taken instead.
    """

    def register(fill: Callable[[World], Any]) -> Callable[[], Made]:
        def build() -> Made:
            world = new_world()
            made = fill(world)
            bundle = made if isinstance(made, dict) else world.publish().passport(ITEM)
            return _refused(reason, place, **more)(encode(bundle))

        return _register(fill.__name__, build)

    return register


def raw(reason: str, **more: Any) -> Callable[[Callable[[bytes], bytes]], Callable[[], Made]]:
    """The good bundle's bytes, changed: record `unusable`."""

    def register(change: Callable[[bytes], bytes]) -> Callable[[], Made]:
        def build() -> Made:
            good = encode(plain_world().publish().passport(ITEM))
            return _refused(reason, "bundle", record="unusable", **more)(change(good))

        return _register(change.__name__, build)

    return register


def _register(name: str, build: Callable[[], Made]) -> Callable[[], Made]:
    title = name.replace("_", "-")
    assert title not in FORGERIES, title
    FORGERIES[title] = build
    return build


def plain_world() -> World:
    """The operator, a mill, an item with three links, another item with one.

    Subjects of the item's bundle: 0 the item, 1 the mill, 2 the operator. Events: 0 making, 1 and 2
    observations under one seal, 3 the mill's registration, 4 its accreditation, 5 the operator's
    registration. Seals: 0 of event 0, 1 of 1 and 2, then one for each.
    """
    world = new_world()
    (mill,) = cast(world, mill="producer")
    world.seal(mill, world.make(ITEM, at=START))
    world.seal(
        mill,
        world.observe(ITEM, at=START + DAY, bizStep="packing"),
        world.observe(ITEM, OTHER_ITEM, at=START + 2 * DAY, bizStep="shipping"),
        at=START + 3 * DAY,
    )
    return world


# --- unusable: steps 1 and 2 ----------------------------------------------------------------------


@raw("not-utf8")
def not_utf8(data: bytes) -> bytes:
    return data.replace(b'"Mill"', b'"M\xefll"')


@raw("not-utf8")
def byte_order_mark(data: bytes) -> bytes:
    return b"\xef\xbb\xbf" + data


@raw("too-deep")
def depth_bomb(data: bytes) -> bytes:
    return data[:-1] + b',"z":' + b"[" * 20_000 + b"]" * 20_000 + b"}"


@raw("too-deep")
def one_level_too_deep(data: bytes) -> bytes:
    return data[:-1] + b',"z":' + b"[" * 40 + b"]" * 40 + b"}"


@raw("not-json")
def not_json(data: bytes) -> bytes:
    return data[:-1]


@raw("not-json")
def something_after_it(data: bytes) -> bytes:
    return data + b"{}"


@raw("duplicate-key")
def duplicate_key(data: bytes) -> bytes:
    """The second name is spelt with an escape."""
    name = b'"prov:custody":'
    return data.replace(name, b'"prov:custod\\u0079":"platform",' + name, 1)


@raw("number-range")
def number_out_of_range(data: bytes) -> bytes:
    return data.replace(b'"leaf":0', b'"leaf":9007199254740992', 1)


@raw("lone-surrogate")
def lone_surrogate(data: bytes) -> bytes:
    return data.replace(b'"Mill"', b'"Mill\\ud83d"', 1)


@raw("not-a-passport")
def not_a_passport(data: bytes) -> bytes:
    return data.replace(b'"prov:Passport"', b'"prov:Recipe"', 1)


@raw("not-a-passport")
def passport_of_version_two(data: bytes) -> bytes:
    assert data.endswith(b'"v":1}')
    return data[:-2] + b"2}"


@raw("not-a-passport")
def an_array(_data: bytes) -> bytes:
    return b'["prov:Passport"]'


@raw("number-range")
def number_beyond_all_doubles(data: bytes) -> bytes:
    """Infinity to one reader, an error to another, if neither is told what to say."""
    return data.replace(b'"leaf":0', b'"leaf":1e400', 1)


@raw("duplicate-key")
def prototype_twice(data: bytes) -> bytes:
    """In JavaScript this name is special unless objects have no prototype."""
    return data[:-1] + b',"__proto__":1,"__proto__":1}'


# --- malformed: step 3 ----------------------------------------------------------------------------


@tampering("bundle-malformed", "bundle")
def unknown_member(bundle: Json, _: Published) -> None:
    bundle["verdict"] = "verified"


@tampering("bundle-malformed", "bundle")
def member_by_way_of_the_prototype(bundle: Json, _: Published) -> None:
    """`seals` is there only for who asks a prototype."""
    bundle["__proto__"] = {"seals": bundle.pop("seals")}


@tampering("bundle-malformed", "seals")
def member_missing(bundle: Json, _: Published) -> None:
    del bundle["seals"]


@tampering("bundle-malformed", "subject")
def subject_of_another_name(bundle: Json, _: Published) -> None:
    bundle["subject"] = OTHER_ITEM


@tampering("bundle-malformed", "checkpoint")
def checkpoint_no_text(bundle: Json, _: Published) -> None:
    bundle["checkpoint"] = [bundle["checkpoint"]]


@tampering("bundle-malformed", "mapHead")
def map_head_hash_too_short(bundle: Json, _: Published) -> None:
    bundle["mapHead"]["proof"][0] = encode_base64(bytes(31))


@tampering("bundle-malformed", "subjects")
def no_subjects(bundle: Json, _: Published) -> None:
    bundle["subjects"] = []


@tampering("bundle-malformed", "subjects[3]")
def subject_twice(bundle: Json, _: Published) -> None:
    bundle["subjects"].append(bundle["subjects"][1])


@tampering("bundle-malformed", "subjects[1]")
def subject_present_and_absent(bundle: Json, _: Published) -> None:
    bundle["subjects"][1]["absence"] = ""


@tampering("bundle-malformed", "subjects[0]")
def subject_without_links(bundle: Json, _: Published) -> None:
    bundle["subjects"][0]["links"] = []


@tampering("bundle-malformed", "subjects[0]")
def link_time_of_no_calendar(bundle: Json, _: Published) -> None:
    bundle["subjects"][0]["links"][0]["time"] = "2026-02-30T12:00:00.000Z"


@tampering("bundle-malformed", "subjects[0]")
def base64_not_canonical(bundle: Json, _: Published) -> None:
    """The unused bits of the last letter are not zero: other text, same bytes."""
    link = bundle["subjects"][0]["links"][0]
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = letters.index(link["event"][42])
    link["event"] = link["event"][:42] + letters[last + 1] + "="


@tampering("bundle-malformed", "seals[1]")
def seal_for_too_many(bundle: Json, _: Published) -> None:
    bundle["seals"][1]["size"] = 10_001


@tampering("bundle-malformed", "seals[0]")
def seal_by_another_method(bundle: Json, _: Published) -> None:
    method = bundle["seals"][0]["proof"]["verificationMethod"]
    bundle["seals"][0]["proof"]["verificationMethod"] = method.replace("mill", "mall")


@tampering("bundle-malformed", "events[0]")
def seal_index_out_of_range(bundle: Json, _: Published) -> None:
    bundle["events"][0]["seal"] = len(bundle["seals"])


# --- published: steps 4 to 9 ----------------------------------------------------------------------


@tampering("checkpoint-malformed", "checkpoint")
def checkpoint_without_signatures(bundle: Json, _: Published) -> None:
    bundle["checkpoint"] = bundle["checkpoint"].partition("\n\n")[0] + "\n\n"


@tampering("checkpoint-malformed", "checkpoint")
def checkpoint_with_extension(bundle: Json, published: Published) -> None:
    bundle["checkpoint"] = published.world.publish(extension="map root elsewhere\n").note


@tampering("log-unknown", "checkpoint", policy=policy_text(origin="other.example/log"))
def foreign_log(_bundle: Json, _: Published) -> None:
    pass


@tampering("checkpoint-signature", "checkpoint", policy=policy_text(log_key="another log key"))
def log_of_another_key(_bundle: Json, _: Published) -> None:
    """The same name, another key: the witnesses' lines alone are not enough."""


@tampering("checkpoint-signature", "checkpoint")
def bad_log_signature(bundle: Json, _: Published) -> None:
    _change_note_line(bundle, 0, lambda line: bit_flipped(line, 40))


@tampering("checkpoint-signature", "checkpoint")
def bad_witness_signature(bundle: Json, _: Published) -> None:
    _change_note_line(bundle, 2, lambda line: bit_flipped(line, 40))


@tampering("checkpoint-signature", "checkpoint")
def cosignature_of_a_later_time(bundle: Json, _: Published) -> None:
    """The time is inside what the witness signed."""
    _change_note_line(bundle, 2, lambda line: bit_flipped(line, 11))


@tampering("checkpoint-signature", "checkpoint")
def checkpoint_of_a_later_size(bundle: Json, _: Published) -> None:
    origin, size, rest = bundle["checkpoint"].split("\n", 2)
    bundle["checkpoint"] = f"{origin}\n{int(size) + 1}\n{rest}"


def _change_note_line(bundle: Json, number: int, change: Callable[[str], str]) -> None:
    text, _, block = bundle["checkpoint"].rpartition("\n\n")
    lines = block.splitlines()
    head, _, signature = lines[number].rpartition(" ")
    lines[number] = f"{head} {change(signature)}"
    bundle["checkpoint"] = text + "\n\n" + "\n".join(lines) + "\n"


@tampering("quorum-missing", "checkpoint")
def cosigned_by_the_clock_alone(bundle: Json, published: Published) -> None:
    bundle["checkpoint"] = published.world.publish({"clock": NOW}).note


@tampering("quorum-missing", "checkpoint")
def cosigned_twice_by_the_clock(bundle: Json, published: Published) -> None:
    """Two good lines by one witness are one witness."""
    note = published.world.publish({"clock": NOW}).note
    text = note.rpartition("\n\n")[0] + "\n"
    bundle["checkpoint"] = note + cosigner("clock").cosign(text.encode(), NOW - 5).format()


@tampering("quorum-missing", "checkpoint")
def cosigned_by_others_keys(bundle: Json, published: Published) -> None:
    """A line that says the outside witness's name, with a key id that is not its."""
    note = published.world.publish({"clock": NOW}).note
    line = NoteSignature("harbour.example/w1", b"\0\0\0\1", bytes(72)).format()
    bundle["checkpoint"] = note + line


@tampering("map-head-malformed", "mapHead")
def map_head_of_another_index(bundle: Json, published: Published) -> None:
    """An older map head, well included in the log, but not its last entry."""
    bundle["mapHead"]["entry"] = published.world.entries[0].decode()


@tampering("map-head-malformed", "mapHead")
def map_head_with_leading_zero(bundle: Json, _: Published) -> None:
    bundle["mapHead"]["entry"] = bundle["mapHead"]["entry"].replace("v1\n", "v1\n0", 1)


@tampering("map-head-inclusion", "mapHead")
def wrong_map_head(bundle: Json, _: Published) -> None:
    """Another map root under a log that did not commit to it."""
    lines = bundle["mapHead"]["entry"].split("\n")
    lines[2] = bit_flipped(lines[2])
    bundle["mapHead"]["entry"] = "\n".join(lines)


@tampering("map-head-inclusion", "mapHead")
def map_head_proof_truncated(bundle: Json, _: Published) -> None:
    bundle["mapHead"]["proof"].pop()


# --- fresh: steps 10 and 11 -----------------------------------------------------------------------


@tampering("checkpoint-future", "checkpoint", now=NOW - 361)
def checkpoint_from_the_future(_bundle: Json, _: Published) -> None:
    """The quorum's time is NOW − 60."""


@tampering("checkpoint-stale", "checkpoint", now=NOW - 60 + 86_401)
def stale_checkpoint(_bundle: Json, _: Published) -> None:
    pass


@tampering("checkpoint-stale", "checkpoint", max_age=59)
def stale_for_a_strict_reader(_bundle: Json, _: Published) -> None:
    pass


@tampering("checkpoint-stale", "checkpoint")
def cosigned_at_time_zero(bundle: Json, published: Published) -> None:
    """The clock is fresh, but the quorum needs the other, whose time is that of 1970."""
    bundle["checkpoint"] = published.world.publish({"clock": NOW, "harbour": 0}).note


@tampering("checkpoint-future", "checkpoint")
def cosigned_at_the_end_of_time(bundle: Json, published: Published) -> None:
    ends = {"clock": 2**63 - 1, "harbour": 2**63 - 1}
    bundle["checkpoint"] = published.world.publish(ends).note


# --- complete: steps 12 to 20 ---------------------------------------------------------------------


@tampering("map-absence", "subjects[0]")
def absence_claimed_for_a_present_subject(bundle: Json, published: Published) -> Json:
    """With the proof that another subject is absent."""
    other = published.passport(f"{GTIN}/21/NEVER")
    other["subject"] = other["subjects"][0]["uri"] = ITEM
    assert bundle["checkpoint"] == other["checkpoint"]
    return other


@tampering("map-absence", "subjects[0]")
def absence_with_an_empty_proof(_bundle: Json, published: Published) -> Json:
    other = published.passport(f"{GTIN}/21/NEVER")
    other["subjects"][0]["absence"] = ""
    return other


@tampering("map-presence", "subjects[0]")
def map_value_of_another_count(bundle: Json, _: Published) -> None:
    """The newest event dropped, and the map's word changed to fit."""
    subject = bundle["subjects"][0]
    subject["links"].pop()
    subject["value"]["count"] -= 1


@tampering("map-presence", "subjects[0]")
def map_proof_altered(bundle: Json, _: Published) -> None:
    bundle["subjects"][0]["map"] = bit_flipped(bundle["subjects"][0]["map"], 5)


@tampering("map-presence", "subjects[0]")
def map_proof_with_a_padded_bit_number(bundle: Json, _: Published) -> None:
    """The same number in two bytes instead of one: another proof for the same claim."""
    proof = decode_base64(bundle["subjects"][0]["map"])
    assert proof[0] < 0x80
    bundle["subjects"][0]["map"] = encode_base64(bytes([proof[0] | 0x80, 0]) + proof[1:])


@tampering("map-presence", "subjects[0]")
def head_link_at_another_index(bundle: Json, _: Published) -> None:
    """The index is in what the map binds: no other entry can stand in for the head."""
    bundle["subjects"][0]["value"]["index"] -= 1


@tampering("link-foreign", "subjects[0].links[2]")
def link_of_another_subject(bundle: Json, published: Published) -> None:
    other = published.passport(OTHER_ITEM)["subjects"][0]["links"][0]
    bundle["subjects"][0]["links"][2] = other


@tampering("link-order", "subjects[0].links[0]")
def links_swapped(bundle: Json, _: Published) -> None:
    links = bundle["subjects"][0]["links"]
    links[0], links[1] = links[1], links[0]


@tampering("link-order", "subjects[0].links[1]")
def middle_event_dropped(bundle: Json, _: Published) -> None:
    del bundle["subjects"][0]["links"][1]


@tampering("link-broken", "subjects[0].links[1]")
def middle_event_dropped_and_renumbered(bundle: Json, _: Published) -> None:
    links = bundle["subjects"][0]["links"]
    del links[1]
    links[1]["seq"] = 1


@tampering("link-broken", "subjects[0].links[0]")
def first_link_with_a_predecessor(bundle: Json, _: Published) -> None:
    links = bundle["subjects"][0]["links"]
    links[0]["prev"] = links[1]["prev"]


@tampering("history-incomplete", "subjects[0]")
def last_event_dropped(bundle: Json, _: Published) -> None:
    bundle["subjects"][0]["links"].pop()


@tampering("history-altered", "subjects[0]")
def last_link_at_another_time(bundle: Json, _: Published) -> None:
    bundle["subjects"][0]["links"][2]["time"] = "2026-11-20T00:00:00.000Z"


@tampering("link-inclusion", "subjects[0]")
def truncated_inclusion(bundle: Json, _: Published) -> None:
    bundle["subjects"][0]["inclusion"].pop()


@tampering("link-inclusion", "subjects[0]")
def inclusion_with_a_hash_too_many(bundle: Json, _: Published) -> None:
    bundle["subjects"][0]["inclusion"].append(encode_base64(bytes(32)))


@lie("link-time", "subjects[0].links[1]")
def link_time_going_back(world: World) -> None:
    (mill,) = cast(world, mill="producer")
    world.seal(mill, world.make(ITEM), at=START + DAY)
    world.seal(mill, world.observe(ITEM), at=START + DAY - 1)


# --- unaltered: steps 21 to 28 --------------------------------------------------------------------


@tampering("event-altered", "events[1]")
def event_byte_altered(bundle: Json, _: Published) -> None:
    bundle["events"][1]["event"]["bizStep"] = "pecking"


@tampering("event-altered", "events[0]")
def seals_swapped(bundle: Json, _: Published) -> None:
    seals = bundle["seals"]
    seals[0], seals[1] = seals[1], seals[0]


@tampering("event-altered", "events[1]")
def inner_node_as_leaf(bundle: Json, _: Published) -> None:
    """A path that would be right if the event were an inner node of its seal's tree."""
    member = bundle["events"][1]
    member["path"], member["leaf"] = [], 0


@tampering("event-altered", "events[2]")
def leaf_of_another_place(bundle: Json, _: Published) -> None:
    bundle["events"][2]["leaf"] = 0


@tampering("event-malformed", "events[0]")
def event_of_an_unknown_type(bundle: Json, _: Published) -> None:
    bundle["events"][0]["event"]["type"] = "prov:PartyPraised"


@tampering("event-malformed", "events[0]")
def event_without_time_zone(bundle: Json, _: Published) -> None:
    bundle["events"][0]["event"]["eventTime"] = "2026-11-01T12:00:00"


@tampering("event-malformed", "events[0]")
def event_time_that_is_no_text(bundle: Json, _: Published) -> None:
    bundle["events"][0]["event"]["eventTime"] = {}


@tampering("event-malformed", "events[0]")
def event_without_subject(bundle: Json, _: Published) -> None:
    bundle["events"][0]["event"]["epcList"] = []


@tampering("event-malformed", "events[0]")
def event_with_a_malformed_name(bundle: Json, _: Published) -> None:
    bundle["events"][0]["event"]["epcList"] = ["urn:epc:id:sgtin:12.34"]


@tampering("event-malformed", "events[0]")
def event_too_deep_by_itself(bundle: Json, _: Published) -> None:
    """33 levels: within the bundle's 40, above an event's 32."""
    value: Any = []
    for _level in range(31):
        value = [value]
    bundle["events"][0]["event"]["example:deep"] = value


@tampering("event-malformed", "events[0]")
def event_too_large(bundle: Json, _: Published) -> None:
    bundle["events"][0]["event"]["example:note"] = "x" * 49_152


@tampering("event-malformed", "events[0]")
def no_seal_and_no_proof(bundle: Json, _: Published) -> None:
    bundle["events"][0]["seal"] = None


@tampering("disclosure-unmatched", "events[0]")
def disclosure_of_nothing(bundle: Json, _: Published) -> None:
    bundle["events"][0]["disclosures"] = ["WyJzYWx0IiwgIm5hbWUiLCAxXQ"]


@tampering("event-unlinked", "events[6]")
def event_that_was_never_linked(bundle: Json, published: Published) -> None:
    """Well sealed, but the log has never seen it."""
    other = copy.deepcopy(published.world)
    other.seal(actor("mill"), other.observe(ITEM))
    extra = other.publish().passport(ITEM)
    bundle["seals"].append(extra["seals"][extra["events"][3]["seal"]])
    bundle["events"].append({**extra["events"][3], "seal": len(bundle["seals"]) - 1})


@tampering("event-unlinked", "events[6]")
def event_twice(bundle: Json, _: Published) -> None:
    bundle["events"].append(bundle["events"][0])


@tampering("event-missing", "subjects[0].links[2]")
def event_left_out(bundle: Json, _: Published) -> None:
    del bundle["events"][2]


@tampering("seal-mismatch", "subjects[0].links[0]")
def sealed_again_by_the_same_party(bundle: Json, published: Published) -> None:
    """A second seal of the same party over the same event: good, but not the one in the link."""
    world = copy.deepcopy(published.world)
    event = bundle["events"][0]["event"]
    (again,) = world.seal(actor("mill"), event, not_on=[ITEM])
    bundle["seals"][0] = again.seal


@lie("event-not-about-subject", "subjects[0].links[1]")
def linked_to_a_stranger(world: World) -> None:
    (mill,) = cast(world, mill="producer")
    world.seal(mill, world.make(ITEM))
    world.seal(mill, world.observe(OTHER_ITEM), also_on=[ITEM])


@lie("event-missing-on-chain", "events[1]")
def event_missing_on_a_second_chain(world: World) -> None:
    """The log linked the packing to the item and kept it from the case's history."""
    (mill,) = cast(world, mill="producer")
    world.seal(mill, world.make(ITEM))
    world.seal(mill, world.pack(CASE, ITEM), not_on=[CASE])
    world.seal(mill, world.observe(CASE))


@lie("event-missing-on-chain", "events[0]")
def event_on_an_absent_subject(world: World) -> Json:
    (mill,) = cast(world, mill="producer")
    world.seal(mill, world.pack(CASE, ITEM), not_on=[CASE])
    return world.publish().passport(ITEM)


# --- authentic: steps 29 to 34 --------------------------------------------------------------------


@lie("seal-foreign-log", "seals[0]")
def seal_of_another_log(world: World) -> None:
    """Sealed for one log, replayed to another."""
    (mill,) = cast(world, mill="producer")
    world.seal(mill, world.make(ITEM), origin="elsewhere.example/log")


@lie("seal-foreign-log", "events[0]")
def own_proof_for_another_log(world: World) -> None:
    (mill,) = cast(world, mill="producer")
    world.sign(mill, world.make(ITEM), domain="elsewhere.example/log")


@lie("party-missing", "seals[0]")
def sealed_by_nobody_known(world: World) -> Json:
    cast(world, mill="producer")
    world.seal(actor("ghost"), world.make(ITEM))
    published = world.publish()
    return published.passport(ITEM, more=[MILL])


@tampering("party-missing", "seals[0]")
def party_left_out(_bundle: Json, published: Published) -> Json:
    return published.passport(ITEM, leave_out=[MILL])


@tampering("party-missing", "seals[3]")
def operator_left_out(_bundle: Json, published: Published) -> Json:
    """The accreditation in the mill's chain is the operator's."""
    return published.passport(ITEM, leave_out=[OPERATOR])


@lie("party-missing", OPERATOR)
def operator_left_out_and_not_missed(world: World) -> Json:
    """No event by the operator is here; without its history nobody is accredited."""
    mill = world.register(actor("mill"))
    world.seal(mill, world.make(ITEM))
    return world.publish().passport(ITEM, leave_out=[OPERATOR])


@tampering("seal-signature", "seals[0]")
def seal_changed_in_place(bundle: Json, published: Published) -> Json:
    """The log itself put another nonce into a seal."""
    world = new_world()
    (mill,) = cast(world, mill="producer")
    world.seal(mill, world.make(ITEM), change=lambda s: {**s, "nonce": encode_base64(bytes(16))})
    return world.publish().passport(ITEM)


def _small_order_forgery(seal: Json) -> Json:
    """A signature that the bare equation accepts for any message: A is the neutral point.

    S·B = R + h·A holds for every message once R = S·B, because h·A vanishes. R is an ordinary point
    (another key's), S its secret number: nothing but the rule on keys refuses this.
    """
    other = make_key("small order helper")
    digest = bytearray(sha512(other.seed).digest()[:32])
    digest[0] &= 248
    digest[31] = (digest[31] & 127) | 64
    scalar = int.from_bytes(digest, "little") % ORDER
    neutral = (1).to_bytes(32, "little")
    proof = {
        **seal["proof"],
        "verificationMethod": f"{seal['party']}#{format_multikey(neutral)}",
        "proofValue": encode_multibase(other.public.raw + scalar.to_bytes(32, "little")),
    }
    return {**seal, "proof": proof}


@lie("seal-signature", "seals[0]")
def small_order_key(world: World) -> None:
    (mill,) = cast(world, mill="producer")
    world.seal(mill, world.make(ITEM), change=_small_order_forgery)


def _with_larger_scalar(seal: Json) -> Json:
    """The same signature spelt with S + ℓ: the equation holds, RFC 8032 §5.1.7 refuses it."""
    signature = decode_multibase(seal["proof"]["proofValue"], 64)
    scalar = int.from_bytes(signature[32:], "little") + ORDER
    value = encode_multibase(signature[:32] + scalar.to_bytes(32, "little"))
    return {**seal, "proof": {**seal["proof"], "proofValue": value}}


@lie("seal-signature", "seals[0]")
def malleable_signature(world: World) -> None:
    (mill,) = cast(world, mill="producer")
    world.seal(mill, world.make(ITEM), change=_with_larger_scalar)


@lie("seal-signature", "events[0]")
def malleable_own_proof(world: World) -> None:
    (mill,) = cast(world, mill="producer")
    world.sign(mill, world.make(ITEM), change=_with_larger_scalar)


@lie("seal-signature", "seals[0]")
def seal_without_a_multikey(world: World) -> None:
    (mill,) = cast(world, mill="producer")

    def change(seal: Json) -> Json:
        method = f"{seal['party']}#key-1"
        return {**seal, "proof": {**seal["proof"], "verificationMethod": method}}

    world.seal(mill, world.make(ITEM), change=change)


@lie("event-malformed", "events[0]")
def own_proof_of_another_context(world: World) -> None:
    """The suite would allow contexts added after signing; what was signed must be what is read."""
    (mill,) = cast(world, mill="producer")
    more = [*CONTEXT, {"example": "https://example.org/"}]
    world.sign(mill, world.make(ITEM), change=lambda event: {**event, "@context": more})


@lie("key-unknown", "events[0]")
def key_unknown(world: World) -> None:
    (mill,) = cast(world, mill="producer")
    world.seal(mill.with_key("mill never added"), world.make(ITEM))


@lie("key-unknown", "events[0]")
def signer_is_no_party(world: World) -> None:
    """Its URI has a history, but not that of a party."""
    (mill,) = cast(world, mill="producer")
    ghost = actor("ghost")
    world.seal(mill, world.observe(ghost.uri))
    world.seal(ghost, world.make(ITEM))


@lie("key-revoked", "events[1]")
def key_revoked_before(world: World) -> None:
    (mill,) = cast(world, mill="producer")
    world.seal(mill, world.make(ITEM))
    world.seal(mill, world.key_revoked(mill))
    world.seal(mill, world.observe(ITEM))


@lie("key-expired", "events[1]")
def key_expired(world: World) -> None:
    until = START + DAY
    mill = world.register(actor("mill"), "producer", valid_until=until)
    world.seal(mill, world.make(ITEM), at=until)
    world.seal(mill, world.observe(ITEM), at=until + 1)


@lie("key-not-yet-valid", "events[0]")
def key_not_yet_valid(world: World) -> None:
    (mill,) = cast(world, mill="producer")
    new = mill.with_key("mill 2")
    world.seal(mill, world.key_added(mill, new, valid_from=START + DAY))
    world.seal(new, world.make(ITEM))


@lie("key-not-yet-valid", "events[0]")
def key_used_before_it_was_added(world: World) -> None:
    (mill,) = cast(world, mill="producer")
    new = mill.with_key("mill 2")
    world.seal(new, world.make(ITEM))
    world.seal(mill, world.key_added(mill, new))


@lie("party-not-accredited", "events[0]")
def not_accredited(world: World) -> None:
    mill = world.register(actor("mill"))
    world.seal(mill, world.make(ITEM))


@lie("party-not-accredited", "events[1]")
def accreditation_withdrawn(world: World) -> None:
    (mill,) = cast(world, mill="producer")
    world.seal(mill, world.make(ITEM))
    world.withdraw(mill, "producer")
    world.seal(mill, world.observe(ITEM))


@lie("party-not-accredited", "events[0]")
def accreditation_expired(world: World) -> None:
    mill = world.register(actor("mill"))
    world.accredit(mill, "producer", valid_until=world.clock + MINUTE)
    world.seal(mill, world.make(ITEM), at=world.clock + 1)


@lie("party-history", "subjects[1].links[3]")
def accreditation_taken_twice(world: World) -> None:
    """Withdrawn, and brought back by the log under the operator's old signature."""
    mill = world.register(actor("mill"))
    event = world.complete(party_events.party_accredited(mill.uri, role="producer"))
    (granted,) = world.seal(world.operator, event)
    world.withdraw(mill, "producer")
    world.append(mill.uri, granted.event.hash, granted.seal_hash, world.clock + MINUTE)
    world.seal(mill, world.make(ITEM), at=world.clock + 2 * MINUTE)


@lie("event-not-about-subject", "subjects[1].links[1]")
def accreditation_of_another_party(world: World) -> None:
    """The mall's accreditation, linked to the mill's chain."""
    mill, mall = world.register(actor("mill")), world.register(actor("mall"))
    event = party_events.party_accredited(mall.uri, role="producer")
    world.seal(world.operator, world.complete(event), also_on=[mill.uri])
    world.seal(mill, world.make(ITEM))


@lie("key-unknown", "subjects[2].links[1]")
def operators_uri_registered_by_a_rival(_world: World) -> Json:
    """Whoever stands first on the operator's chain is the operator; the true one cannot follow."""
    world = World()
    world.register(world.operator.with_key("rival"))
    world.accredit(world.operator, "producer")
    mill = world.register(actor("mill"))
    world.accredit(mill, "producer", by=world.operator.with_key("rival"))
    world.seal(mill, world.make(ITEM))
    return world.publish().passport(ITEM)


@lie("key-unknown", "events[0]")
def party_that_begins_with_a_number_sign(world: World) -> None:
    """Where its key's text begins in the verification method must be plain to both verifiers."""
    (mill,) = cast(world, mill="producer")
    world.seal(mill, world.observe("#ghost"))
    world.seal(Actor("#ghost", make_key("ghost")), world.make(ITEM))


@lie("party-history", "subjects[1].links[1]")
def accredited_by_itself(world: World) -> None:
    mill = world.register(actor("mill"))
    world.accredit(mill, "producer", by=mill)
    world.seal(mill, world.make(ITEM))


@lie("party-history", "subjects[1].links[0]")
def registered_by_another_key(world: World) -> None:
    mill = actor("mill")
    event = party_events.party_registered(mill.uri, name={"en": "M"}, key=mill.multikey)
    world.seal(mill.with_key("mill 2"), world.complete(event))
    world.accredit(mill, "producer")
    world.seal(mill, world.make(ITEM))


@lie("party-history", "subjects[1].links[2]")
def registered_twice(world: World) -> None:
    (mill,) = cast(world, mill="producer")
    world.register(mill)
    world.seal(mill, world.make(ITEM))


@lie("party-history", "subjects[1].links[1]")
def registered_into_a_history(world: World) -> None:
    """Something stood on the URI's chain before: a registration is the first link or none."""
    carrier, mill = *cast(world, carrier="logistics"), actor("mill")
    world.seal(carrier, world.observe(mill.uri))
    world.register(mill, "producer")
    world.seal(mill, world.make(ITEM))


@lie("party-history", "subjects[1].links[2]")
def key_added_without_possession(world: World) -> None:
    """Possession signed for another party."""
    (mill,) = cast(world, mill="producer")
    new = mill.with_key("mill 2")
    event = world.key_added(actor("mall"), new)
    world.seal(mill, {**event, "prov:party": mill.uri})
    world.seal(new, world.make(ITEM))


@lie("party-history", "subjects[1].links[2]")
def key_added_with_possession_for_another_log(world: World) -> None:
    """What the new key signed elsewhere does not bring it in here."""
    (mill,) = cast(world, mill="producer")
    new = mill.with_key("mill 2")
    elsewhere = World(origin="elsewhere.example/log").key_added(mill, new)
    world.seal(mill, {**elsewhere, "prov:nonce": world.nonce()})
    world.seal(new, world.make(ITEM))


@lie("party-history", "subjects[1].links[4]")
def revoked_key_added_again(world: World) -> None:
    (mill,) = cast(world, mill="producer")
    new = mill.with_key("mill 2")
    world.seal(mill, world.key_added(mill, new), world.key_revoked(mill))
    world.seal(new, world.key_added(mill, mill))
    world.seal(mill, world.make(ITEM))


@lie("party-history", "subjects[1].links[1]")
def operators_role_granted(world: World) -> None:
    mill = world.register(actor("mill"))
    world.accredit(mill, "operator")
    world.seal(mill, world.make(ITEM))


@lie("party-history", "subjects[1].links[2]")
def party_event_with_an_unknown_member(world: World) -> None:
    (mill,) = cast(world, mill="producer")
    world.seal(mill, {**world.key_revoked(mill), "prov:unless": "it suits us"})
    world.seal(mill, world.make(ITEM))


@lie("key-revoked", "subjects[1].links[3]")
def key_added_with_a_revoked_key(world: World) -> None:
    """A thief with the old key brings in a new one."""
    (mill,) = cast(world, mill="producer")
    new = mill.with_key("thief")
    world.seal(world.operator, world.key_revoked(mill, "compromised"))
    world.seal(mill, world.key_added(mill, new))
    world.seal(new, world.make(ITEM))


@lie("subject-missing", CASE)
def parent_left_out(world: World) -> Json:
    """What happened to the case while the item was inside is kept from the reader."""
    (mill,) = cast(world, mill="producer")
    world.seal(mill, world.make(ITEM), world.pack(CASE, ITEM))
    world.seal(mill, world.observe(CASE, disposition="damaged"))
    return world.publish().passport(ITEM, leave_out=[CASE])


@lie("subject-missing", PALLET)
def grandparent_left_out(world: World) -> Json:
    (mill,) = cast(world, mill="producer")
    world.seal(mill, world.make(ITEM), world.pack(CASE, ITEM), world.pack(PALLET, CASE))
    world.seal(mill, world.observe(PALLET, disposition="damaged"))
    return world.publish().passport(ITEM, leave_out=[PALLET])


@lie("subject-missing", f"{GTIN}/10/L7")
def lot_left_out(world: World) -> Json:
    (mill,) = cast(world, mill="producer")
    world.seal(mill, world.make(ITEM, ilmd={"cbvmda:lotNumber": "L7"}))
    return world.publish().passport(ITEM, leave_out=[f"{GTIN}/10/L7"])


@lie("log-unknown", "checkpoint")
def bundle_of_another_log(_world: World) -> Json:
    """Good in every way, but not of a log that the reader knows."""
    world = two_logs_apart()
    world.register(actor("mill"), "producer")
    world.seal(actor("mill"), world.make(ITEM))
    return world.publish().passport(ITEM)
