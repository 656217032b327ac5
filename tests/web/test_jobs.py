"""Resumable uploads over HTTP: draft-ietf-httpbis-resumable-upload, interop version 8, on both
databases."""

from __future__ import annotations

import gzip
import itertools
import json
from typing import Any

import pytest
from werkzeug.test import TestResponse

from provenance.services.backlog import Backlog
from provenance.services.jobs import JobLimits
from provenance.web.description import OPERATIONS
from tests.support.builders import Actor, item_event
from tests.web.problems import check_problem
from tests.web.site import NDJSON, Site, body_of

PARTIAL = "application/partial-upload"
JOBS = "/api/v1/jobs"
_serials = itertools.count(700_000)


@pytest.fixture(scope="module")
def brand(site: Site) -> Actor:
    return site.register("https://uploader.example/")


def batch(site: Site, brand: Actor, count: int = 2) -> bytes:
    at = site.platform.clock() - 1000
    return body_of(brand.sealed([item_event(next(_serials), at=at) for _ in range(count)]))


def begin(site: Site, body: bytes = b"", **headers: str) -> TestResponse:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return site.client.post(JOBS, data=body, content_type=NDJSON, headers=given)


def append(site: Site, job: str, offset: int | str, body: bytes, complete: str) -> TestResponse:
    headers = {"Upload-Offset": str(offset), "Upload-Complete": complete}
    return site.client.patch(job, data=body, content_type=PARTIAL, headers=headers)


def started(site: Site) -> str:
    """A careful creation: empty, not complete."""
    answer = begin(site, Upload_Complete="?0")
    assert answer.status_code == 201
    return str(answer.headers["Location"])


def test_a_careful_creation_then_pieces_then_the_end(site: Site, brand: Actor) -> None:
    one, two = batch(site, brand), batch(site, brand, 3)
    answer = begin(site, Upload_Complete="?0", Upload_Draft_Interop_Version="8")
    assert answer.status_code == 201
    assert answer.headers["Upload-Complete"] == "?0"
    assert answer.headers["Upload-Limit"].startswith("max-size=17179869184, max-age=")
    job = answer.headers["Location"]
    piece = one + two[:100]
    answer = append(site, job, 0, piece, "?0")
    assert (answer.status_code, answer.data) == (204, b"")
    assert answer.headers["Upload-Offset"] == str(len(piece))
    head = site.client.head(job)
    assert head.status_code == 204
    assert head.headers["Upload-Offset"] == str(len(piece))
    assert head.headers["Upload-Complete"] == "?0"
    assert "Upload-Length" not in head.headers
    assert head.headers["Cache-Control"] == "no-store"
    answer = append(site, job, len(piece), two[100:], "?1")
    assert answer.status_code == 200
    assert answer.headers["Upload-Complete"] == "?1"
    done = answer.get_json()
    assert (done["state"], done["events"], done["batches"]) == ("done", 5, 2)
    assert done["received"] == done["consumed"] == done["length"] == len(one + two)
    assert done["eventsPerSecond"] > 0
    receipts = site.client.get(done["receipts"])
    assert receipts.mimetype == NDJSON
    assert [len(json.loads(line)["events"]) for line in receipts.data.splitlines()] == [2, 3]


def test_all_at_once_needs_no_header_of_the_draft(site: Site, brand: Actor) -> None:
    body = batch(site, brand) + batch(site, brand, 1)
    for headers in ({}, {"Upload_Complete": "?1"}, {"Upload_Length": str(len(body))}):
        answer = begin(site, body, **headers)
        assert answer.status_code == 201, answer.data
        assert answer.headers["Upload-Complete"] == "?1"
        assert answer.get_json()["events"] == 3
        assert site.client.head(answer.headers["Location"]).headers["Upload-Complete"] == "?1"


def test_an_empty_last_piece_completes(site: Site, brand: Actor) -> None:
    job, body = started(site), batch(site, brand).removesuffix(b"\n")
    assert append(site, job, 0, body, "?0").status_code == 204
    answer = append(site, job, len(body), b"", "?1")
    assert (answer.status_code, answer.get_json()["events"]) == (200, 2)


def test_a_wrong_offset_is_answered_with_the_right_one(site: Site, brand: Actor) -> None:
    job, body = started(site), batch(site, brand)
    append(site, job, 0, body[:50], "?0")
    answer = append(site, job, 70, body[70:], "?1")
    assert (answer.status_code, answer.headers["Upload-Offset"]) == (409, "50")
    problem = answer.get_json()
    assert problem["type"] == (
        "https://iana.org/assignments/http-problem-types#mismatching-upload-offset"
    )
    assert (problem["expected-offset"], problem["provided-offset"]) == (50, 70)
    assert append(site, job, 50, body[50:], "?1").status_code == 200


def test_after_the_end_nothing_is_appended(site: Site, brand: Actor) -> None:
    body = batch(site, brand)
    job = begin(site, body).headers["Location"]
    answer = append(site, job, len(body), b"", "?1")
    assert answer.status_code == 400
    assert answer.get_json()["type"].endswith("http-problem-types#completed-upload")


def test_two_lengths_that_differ(site: Site, brand: Actor) -> None:
    body = batch(site, brand)
    answer = begin(site, body, Upload_Length=str(len(body) + 1))
    assert answer.status_code == 400
    assert answer.get_json()["type"].endswith("http-problem-types#inconsistent-upload-length")
    job = begin(site, Upload_Complete="?0", Upload_Length=str(len(body))).headers["Location"]
    assert site.client.head(job).headers["Upload-Length"] == str(len(body))
    assert append(site, job, 0, body + b"x", "?1").status_code == 400
    assert append(site, job, 0, body, "?1").status_code == 200


def test_a_cancelled_job_keeps_what_was_accepted(site: Site, brand: Actor) -> None:
    job, body = started(site), batch(site, brand)
    append(site, job, 0, body, "?0")
    assert site.client.delete(job).status_code == 204
    told = site.client.get(job).get_json()
    assert (told["state"], told["events"]) == ("cancelled", 2)
    assert len(site.client.get(told["receipts"]).data.splitlines()) == 1
    problem = check_problem(append(site, job, len(body), b"", "?1"), 409, "job-ended")
    assert problem["accepted"] == {"batches": 1, "events": 2}
    assert site.client.head(job).status_code == 409


def test_a_refusal_says_where_and_how_much_was_accepted(site: Site, brand: Actor) -> None:
    job, body = started(site), batch(site, brand)
    bad = batch(site, brand).replace(b"OBSERVE", b"OBSERVED", 1)
    problem = check_problem(append(site, job, 0, body + bad, "?1"), 422, "event-invalid")
    assert (problem["line"], problem["accepted"]) == (5, {"batches": 1, "events": 2})
    told = site.client.get(job).get_json()
    assert told["state"] == "refused"
    assert (told["refusal"]["code"], told["refusal"]["line"]) == ("event-invalid", 5)
    again = check_problem(append(site, job, len(body), bad, "?1"), 409, "job-ended")
    assert again["refusal"]["violations"]


def test_a_body_that_breaks_off_is_kept_as_far_as_it_came(site: Site, brand: Actor) -> None:
    job, body = started(site), batch(site, brand)
    answer = site.client.patch(
        job,
        data=body[:60],
        content_type=PARTIAL,
        headers={"Upload-Offset": "0", "Upload-Complete": "?1"},
        environ_overrides={"CONTENT_LENGTH": str(len(body))},
    )
    check_problem(answer, 503, "job-interrupted")
    assert site.client.head(job).headers["Upload-Offset"] == "60"
    assert append(site, job, 60, body[60:], "?1").get_json()["events"] == 2


def test_receipts_come_in_pages(site: Site, brand: Actor) -> None:
    body = b"".join(batch(site, brand, 1) for _ in range(5))
    address = begin(site, body).get_json()["receipts"]
    pages = [site.client.get(f"{address}?after={n}&limit=2").data.splitlines() for n in (0, 2, 4)]
    assert [len(page) for page in pages] == [2, 2, 1]
    assert [line for page in pages for line in page] == site.client.get(address).data.splitlines()
    assert site.client.get(f"{address}?after=5").data == b""
    check_problem(site.client.get(f"{address}?limit=101"), 400, "parameter-malformed")


def test_what_is_too_large_is_told_the_limit(
    site: Site, brand: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site.platform.jobs, "limits", JobLimits(job_bytes=2_000))
    for answer in (
        begin(site, Upload_Complete="?0", Upload_Length="2001"),
        append(site, started(site), 0, batch(site, brand, 4), "?0"),
    ):
        check_problem(answer, 413, "too-large")
        assert answer.headers["Upload-Limit"] == "max-size=2000"


def test_options_say_that_uploads_go_on_here(site: Site) -> None:
    answer = site.client.options(JOBS)
    assert answer.headers["Accept-Patch"] == PARTIAL
    assert answer.headers["Upload-Limit"] == "max-size=17179869184"


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ({"Upload-Offset": "0"}, "no such header"),
        ({"Upload-Complete": "?0"}, "no such header"),
        ({"Upload-Offset": "0", "Upload-Complete": "true"}, "true"),
        ({"Upload-Offset": "-1", "Upload-Complete": "?1"}, "-1"),
        ({"Upload-Offset": "0.5", "Upload-Complete": "?1"}, "0.5"),
        ({"Upload-Offset": "1234567890123456", "Upload-Complete": "?1"}, "1234567890123456"),
    ],
)
def test_headers_that_are_missing_or_of_another_form(
    site: Site, headers: dict[str, str], found: str
) -> None:
    answer = site.client.patch(started(site), data=b"x", content_type=PARTIAL, headers=headers)
    problem = check_problem(answer, 400, "upload-header-missing")
    assert problem["found"] == found


def test_other_forms_of_body_are_not_taken(site: Site, brand: Actor) -> None:
    job, body = started(site), batch(site, brand)
    headers = {"Upload-Offset": "0", "Upload-Complete": "?1"}
    answer = site.client.patch(job, data=body, content_type=NDJSON, headers=headers)
    check_problem(answer, 415, "unsupported-media-type")
    answer = site.client.post(JOBS, data=body, content_type=PARTIAL)
    check_problem(answer, 415, "unsupported-media-type")
    answer = begin(site, gzip.compress(body), Content_Encoding="gzip")
    check_problem(answer, 415, "unsupported-content-encoding")


@pytest.mark.parametrize("name", ["0" * 32, "x", "%00", "..%2f"])
def test_an_unknown_job(site: Site, name: str) -> None:
    for method in ("GET", "DELETE"):
        answer = site.client.open(f"{JOBS}/{name}", method=method)
        assert answer.status_code == 404
    assert site.client.head(f"{JOBS}/{name}").status_code == 404


def test_a_full_queue_is_429_with_a_time_to_come_again(
    site: Site, brand: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.submit(brand.sealed([item_event(next(_serials), at=site.platform.clock() - 1000)]))
    full = Backlog(site.platform.database, 0, monotonic=itertools.count().__next__)
    monkeypatch.setattr(site.platform.capture, "_backlog", full)
    body = batch(site, brand)
    job = started(site)
    refused = [
        site.client.post("/api/v1/batches", data=body, content_type=NDJSON),
        begin(site, body),
        append(site, job, 0, body, "?1"),
    ]
    for answer in refused:
        problem = check_problem(answer, 429, "queue-full")
        assert problem["expected"] == "at most 0 links not yet in the log"
        assert int(answer.headers["Retry-After"]) >= 1
    site.publish()
    assert append(site, refused[1].headers["Location"], 0, body, "?1").status_code == 200
    site.publish()
    assert append(site, job, 0, body, "?1").status_code == 200


def test_too_many_jobs_is_429(site: Site, brand: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site.platform.jobs, "limits", JobLimits(most_jobs=1))
    for _ in range(50):  # jobs of which nothing was accepted give way first
        answer = begin(site, batch(site, brand), Upload_Complete="?0")
        if answer.status_code != 201:
            break
    problem: dict[str, Any] = check_problem(answer, 429, "jobs-full")
    assert answer.headers["Retry-After"]
    assert problem["remedy"]


def test_the_description_names_every_operation(site: Site) -> None:
    described = {(m.upper(), p) for p, ms in OPERATIONS.items() for m in ms if p.startswith(JOBS)}
    assert described == {
        ("POST", JOBS),
        ("OPTIONS", JOBS),
        ("GET", JOBS + "/{job}"),
        ("HEAD", JOBS + "/{job}"),
        ("PATCH", JOBS + "/{job}"),
        ("DELETE", JOBS + "/{job}"),
        ("GET", JOBS + "/{job}/receipts"),
    }
