"""Request ids, what an observer is told of each request, and what problem documents say of them."""

from __future__ import annotations

import gzip
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from provenance.platform import Platform
from provenance.services.observing import request_context
from provenance.web import watching
from tests.support.builders import item_event
from tests.support.observing import Recorder
from tests.web.problems import check_problem
from tests.web.site import NDJSON, Site, body_of

MADE = re.compile(r"[0-9a-f]{32}")


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site.make(tmp_path_factory.mktemp("watched"))
    yield site
    site.platform.close()


@pytest.fixture
def watched(quiet: Site) -> Iterator[tuple[Site, Recorder]]:
    """The site under an observer of the test's own."""
    recorder = Recorder()
    platform = Platform.open(quiet.platform.settings, recorder)
    yield Site(platform), recorder
    platform.close()


def test_every_answer_bears_an_id_and_each_another(quiet: Site) -> None:
    ids = {
        quiet.client.get(path).headers["X-Request-Id"]
        for path in ("/", "/livez", "/nothing", "/static/css/base.css", "/log/checkpoint", "/a//b")
    }
    assert len(ids) == 6
    assert all(MADE.fullmatch(found) for found in ids)


@pytest.mark.parametrize(
    ("headers", "kept"),
    [
        ({"X-Request-Id": "AB" * 8}, "ab" * 8),
        ({"X-Request-Id": "f" * 64}, "f" * 64),
        (
            {"X-Request-Id": "123e4567-e89b-12d3-a456-426614174000"},
            "123e4567-e89b-12d3-a456-426614174000",
        ),
        ({"Traceparent": f"00-{'7' * 32}-{'1' * 16}-01"}, "7" * 32),
        ({"X-Request-Id": "a" * 16, "Traceparent": f"00-{'7' * 32}-{'1' * 16}-01"}, "a" * 16),
        ({"X-Request-Id": "Möbelhaus", "Traceparent": f"00-{'7' * 32}-{'1' * 16}-01"}, "7" * 32),
    ],
)
def test_an_id_that_is_brought_is_kept(quiet: Site, headers: dict[str, str], kept: str) -> None:
    answer = quiet.client.get("/livez", headers=headers)
    assert answer.headers["X-Request-Id"] == kept


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Request-Id": "a-customer-of-ours"},  # words do not belong into log lines
        {"X-Request-Id": "f" * 65},
        {"X-Request-Id": "f" * 15},
        {"X-Request-Id": "f" * 16 + " " + "f"},
        {"X-Request-Id": "٣" * 20},
        {"X-Request-Id": ""},
        {"Traceparent": f"00-{'g' * 32}-{'1' * 16}-01"},
        {"Traceparent": f"00-{'7' * 32}"},
    ],
)
def test_an_id_that_may_not_stand_in_a_log_is_replaced(
    quiet: Site, headers: dict[str, str]
) -> None:
    answer = quiet.client.get("/livez", headers=headers)
    assert MADE.fullmatch(answer.headers["X-Request-Id"])
    assert answer.headers["X-Request-Id"] not in headers.values()


def test_a_problem_document_names_the_request(quiet: Site) -> None:
    answer = quiet.client.get("/api/v1/nothing", headers={"X-Request-Id": "c0ffee" * 3})
    problem = check_problem(answer, 404, "not-found")
    assert problem["request"] == "c0ffee" * 3 == answer.headers["X-Request-Id"]


def test_the_observer_is_told_rule_status_and_bytes_and_never_the_path(
    watched: tuple[Site, Recorder],
) -> None:
    site, recorder = watched
    actor = site.register("https://brand.example")
    body = body_of(actor.sealed([item_event(1)]))
    site.client.post("/api/v1/batches?wait=", data=b"", content_type=NDJSON)
    site.client.post("/api/v1/batches", data=body, content_type=NDJSON)
    site.client.get("/01/09506000134352/21/SECRET?key=SECRET")
    site.client.get("/api/v1/log/SECRET")
    told = [(e.method, e.route, e.status, e.body_bytes) for e in recorder.exchanges]
    assert told[1] == ("POST", "/api/v1/batches", 201, len(body))
    assert told[2][:2] == ("GET", "/<page:path>")
    assert told[3][:3] == ("GET", "unmatched", 404)
    assert "SECRET" not in repr(recorder)
    assert all(0 <= exchange.seconds < 60 for exchange in recorder.exchanges)
    assert recorder.refusals == ["parameter-unknown", "not-found"]
    assert recorder.steps.count("+request") == recorder.steps.count("-request") == 4


def test_made_up_methods_and_paths_are_told_under_one_name(
    watched: tuple[Site, Recorder],
) -> None:
    site, recorder = watched
    for number in range(5):
        site.client.open(f"/nothing/{number}", method=f"X{number}")
    assert {(e.method, e.route) for e in recorder.exchanges} == {("other", watching.UNMATCHED)}


def test_a_body_is_counted_as_it_was_sent_also_without_its_length(
    watched: tuple[Site, Recorder],
) -> None:
    site, recorder = watched
    body = gzip.compress(b"x" * 5_000)
    site.client.post(
        "/api/v1/batches",
        input_stream=io.BytesIO(body),
        headers={"Content-Encoding": "gzip", "Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": True},
        content_type=NDJSON,
    )
    assert recorder.exchanges[-1].body_bytes == len(body)


def test_nothing_of_a_request_stays_behind_in_its_thread(watched: tuple[Site, Recorder]) -> None:
    site, _ = watched
    seen: list[str] = []

    @site.app.get("/inside")
    def inside() -> str:
        context = request_context.get()
        assert context is not None
        seen.append(context.id)
        return context.route

    answer = site.client.get("/inside")
    assert (answer.text, answer.headers["X-Request-Id"]) == ("/inside", seen[0])
    assert request_context.get() is None


def test_ids_are_random_when_none_is_brought() -> None:
    assert len({watching.request_id(None, None) for _ in range(100)}) == 100


def test_metrics_are_nothing_that_the_public_reaches(quiet: Site, tmp_path: Path) -> None:
    check_problem(quiet.client.get("/metrics"), 404, "not-found")
