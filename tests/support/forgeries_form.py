"""Bundles that are no bundles, or not of their form: steps 1 to 3 of docs/formats.md section 10."""

from __future__ import annotations

from provenance.domain.canonical import encode_base64
from tests.support.bundle_stories import (
    OTHER_ITEM,
)
from tests.support.bundles import (
    Json,
    Published,
)
from tests.support.forging import raw, tampering

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
