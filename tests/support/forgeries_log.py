"""Bundles against which the log's own proofs speak: steps 4 to 20 (published, fresh, complete)."""

from __future__ import annotations

from collections.abc import Callable

from merkle.note import NoteSignature
from provenance.domain.canonical import decode_base64, encode_base64
from tests.support.bundle_stories import (
    GTIN,
    ITEM,
    OTHER_ITEM,
    cast,
)
from tests.support.bundles import (
    DAY,
    NOW,
    START,
    Json,
    Published,
    World,
    bit_flipped,
    cosigner,
    policy_text,
)
from tests.support.forging import lie, tampering

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


@tampering("map-absence", "subjects[0]")
def absence_of_another_spelling(_bundle: Json, published: Published) -> Json:
    """The item is there; what the map has never seen is its identifier as a brand's web address."""
    other = published.passport(ITEM.replace("id.gs1.org", "brand.example"))
    assert "absence" in other["subjects"][0]
    return other


@tampering("map-absence", "subjects[0]")
def absence_of_a_malformed_identifier(_bundle: Json, published: Published) -> Json:
    return published.passport("urn:epc:id:sgtin:1.2.3")


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
