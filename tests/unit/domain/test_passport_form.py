"""The bundle's form: what is read is what is written, and where something is wrong is named."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from provenance.domain.chain import read_link
from provenance.domain.passport import (
    AbsentSubject,
    PassportError,
    PresentSubject,
    link_document,
    read_passport,
)
from tests.support.bundle_corpus import all_cases
from tests.support.bundles import encode


def bundle(name: str = "own-proof") -> Any:
    return json.loads(all_cases()[name].data)


def verified() -> list[str]:
    return [name for name, made in all_cases().items() if made.record in ("verified", "absent")]


@pytest.mark.parametrize("name", verified())
def test_reading_and_writing_are_inverse(name: str) -> None:
    passport = read_passport(all_cases()[name].data)
    assert encode(passport.to_json()) == encode(bundle(name))
    assert read_passport(encode(passport.to_json())) == passport


def test_links_are_written_as_they_are_hashed() -> None:
    passport = read_passport(all_cases()["own-proof"].data)
    subject = passport.subjects[0]
    assert isinstance(subject, PresentSubject)
    for link in subject.links:
        assert encode(link_document(link)) == link.encode()
        assert read_link(link_document(link)) == link


def test_an_absent_subject_is_another_kind() -> None:
    (subject,) = read_passport(all_cases()["absent-subject"].data).subjects
    assert isinstance(subject, AbsentSubject)
    assert subject.uri.endswith("/21/A2")


def test_a_disclosure_list_may_be_empty_or_missing() -> None:
    document = bundle()
    document["events"][0]["disclosures"] = []
    assert read_passport(encode(document)).events[0].disclosures == ()
    assert "disclosures" not in read_passport(encode(document)).events[0].to_json()


def refusal(document: Any) -> tuple[str, str, bool]:
    with pytest.raises(PassportError) as caught:
        read_passport(document if isinstance(document, bytes) else encode(document))
    return caught.value.code, caught.value.place, caught.value.usable


@pytest.mark.parametrize("document", [[], None, 1, "x", {}, {"type": "prov:Passport"}])
def test_other_json_is_no_passport(document: Any) -> None:
    assert refusal(document) == ("not-a-passport", "bundle", False)


@pytest.mark.parametrize("version", [True, "1", 2, None, 1.5])
def test_another_version_is_no_passport(version: Any) -> None:
    assert refusal({**bundle(), "v": version}) == ("not-a-passport", "bundle", False)


def test_what_is_no_json_is_named_by_its_rule() -> None:
    assert refusal(b'{"v":1,"v":1}') == ("duplicate-key", "bundle", False)


MALFORMED: list[tuple[str, tuple[Any, ...], Any]] = [
    ("subject", ("subject",), 7),
    ("checkpoint", ("checkpoint",), None),
    ("mapHead", ("mapHead",), []),
    ("mapHead", ("mapHead", "entry"), 1),
    ("mapHead", ("mapHead", "proof"), "x"),
    ("mapHead", ("mapHead", "more"), 1),
    ("subjects", ("subjects",), {}),
    ("subjects", ("subjects",), []),
    ("subjects[1]", ("subjects", 1), 7),
    ("subjects[1]", ("subjects", 1, "uri"), ""),
    ("subjects[1]", ("subjects", 1, "uri"), "x" * 65_536),
    ("subjects[1]", ("subjects", 1, "uri"), 1),
    ("subjects[1]", ("subjects", 1, "links"), []),
    ("subjects[1]", ("subjects", 1, "links"), {}),
    ("subjects[1]", ("subjects", 1, "links", 0), None),
    ("subjects[1]", ("subjects", 1, "links", 0, "seq"), -1),
    ("subjects[1]", ("subjects", 1, "links", 0, "more"), 1),
    ("subjects[1]", ("subjects", 1, "value", "count"), 1.5),
    ("subjects[1]", ("subjects", 1, "value", "head"), "AAAA"),
    ("subjects[1]", ("subjects", 1, "value", "more"), 1),
    ("subjects[1]", ("subjects", 1, "map"), "AAA"),
    ("subjects[1]", ("subjects", 1, "inclusion"), None),
    ("subjects[1]", ("subjects", 1, "inclusion", 0), 7),
    ("subjects[1]", ("subjects", 1, "absence"), ""),
    ("subjects[0]", ("subjects", 0), {"uri": "x", "absence": 7}),
    ("seals", ("seals",), {}),
    ("seals[0]", ("seals", 0, "nonce"), "AAAA"),
    ("seals[0]", ("seals", 0, "created"), "2026-11-23"),
    ("seals[0]", ("seals", 0, "proof", "domain"), "x"),
    ("events", ("events",), None),
    ("events[0]", ("events", 0, "event"), []),
    ("events[0]", ("events", 0, "seal"), True),
    ("events[0]", ("events", 0, "seal"), 99),
    ("events[0]", ("events", 0, "leaf"), -1),
    ("events[0]", ("events", 0, "path"), 1),
    ("events[0]", ("events", 0, "disclosures"), [1]),
    ("events[0]", ("events", 0, "disclosures"), "x"),
    ("events[0]", ("events", 0, "more"), 1),
    ("bundle", ("more",), 1),
]


@pytest.mark.parametrize(("place", "path", "value"), MALFORMED)
def test_the_nearest_member_is_named(place: str, path: tuple[Any, ...], value: Any) -> None:
    document = bundle()
    target = document
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = value
    assert refusal(document) == ("bundle-malformed", place, True)


ORDER = ["bundle", "subject", "checkpoint", "mapHead", "subjects", "seals", "events"]


@pytest.mark.parametrize("first", range(len(ORDER)))
def test_the_first_in_the_order_of_the_format_is_named(first: int) -> None:
    document = bundle()
    for name in ORDER[first:]:
        document["more" if name == "bundle" else name] = 7
    assert refusal(document)[1] == ORDER[first]
    missing = copy.deepcopy(bundle())
    for name in ORDER[max(first, 1) :]:
        del missing[name]
    assert refusal(missing)[1] == ORDER[max(first, 1)]


def test_the_subject_is_compared_after_the_subjects_were_read() -> None:
    document = {**bundle(), "subject": "urn:x:other"}
    assert refusal({**document, "seals": 7})[1] == "subject"
    document["subjects"][2] = 7
    assert refusal(document)[1] == "subjects[2]"


def test_more_than_1024_subjects_are_not_looked_at() -> None:
    document = bundle()
    document["subjects"] = [7] * 1_024
    assert refusal(document)[1] == "subjects[0]"
    document["subjects"].append(7)
    assert refusal(document)[1] == "subjects"
