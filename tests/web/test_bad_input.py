"""Bad input, one test a defect: a clear problem document, the right status, and nothing changed."""

from __future__ import annotations

import gzip
import io
import json
import threading
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from werkzeug.test import TestResponse

from provenance.domain import canonical
from provenance.domain.event import check_event
from provenance.storage.session import Database
from tests.support.audit import snapshot
from tests.support.builders import Actor, complete, item_event, item_uri, make_key
from tests.web.problems import check_problem
from tests.web.site import NDJSON, Site, body_of

BATCHES = "/api/v1/batches"
KIB = 1024


@pytest.fixture(scope="module")
def brand(site: Site) -> Actor:
    """A registered and accredited party."""
    return site.register("https://brand.example/", "brand")


@pytest.fixture
def unchanged(site: Site, brand: Actor) -> Iterator[None]:
    """Whatever a test sends, the store is as it was."""
    before = snapshot(site.platform.database)
    yield
    assert snapshot(site.platform.database) == before


def event(*serials: int, site: Site, **members: Any) -> dict[str, Any]:
    """An event of this very moment: the platform's clock is the machine's."""
    return item_event(*serials, at=site.platform.clock() - 1000, **members)


def post(site: Site, body: bytes, **options: Any) -> TestResponse:
    """Upload `body` as a batch."""
    given = {"data": body, "content_type": NDJSON, **options}
    return site.client.post(BATCHES, **given)


def post_stream(site: Site, stream: Any, length: int | None) -> TestResponse:
    """Upload from a stream; `length` is the Content-Length, None for a chunked body."""
    body = (
        {"CONTENT_LENGTH": str(length)} if length is not None else {"wsgi.input_terminated": True}
    )
    environ = {"wsgi.input": stream, **body}
    return site.client.post(BATCHES, content_type=NDJSON, environ_overrides=environ)


def sealed(brand: Actor, site: Site, *serials: int) -> list[bytes]:
    return brand.sealed([event(serial, site=site) for serial in serials])


@pytest.mark.usefixtures("unchanged")
class TestRefused:
    """Refusals of the upload interface."""

    def test_wrong_signature(self, site: Site, brand: Actor) -> None:
        lines = sealed(brand.with_key(make_key("another")), site, 1)
        seal = json.loads(lines[0])
        seal["proof"]["verificationMethod"] = brand.method
        forged = [canonical.encode(seal), *lines[1:]]
        problem = check_problem(post(site, body_of(forged)), 422, "seal-signature")
        assert problem["line"] == 1

    def test_unknown_key(self, site: Site, brand: Actor) -> None:
        lines = sealed(brand.with_key(make_key("never added")), site, 1)
        problem = check_problem(post(site, body_of(lines)), 403, "key-unknown")
        assert problem["line"] == 1

    def test_unknown_party(self, site: Site) -> None:
        nobody = site.actor("https://nobody.example/")
        check_problem(post(site, body_of(sealed(nobody, site, 1))), 403, "party-unknown")

    def test_a_party_whose_name_postgresql_cannot_hold(self, site: Site) -> None:
        nobody = site.actor("https://nobody.example/\0")
        check_problem(post(site, body_of(sealed(nobody, site, 1))), 403, "party-unknown")
        check_problem(post(site, nobody.signed(event(1, site=site))), 403, "party-unknown")

    def test_a_party_without_a_role(self, site: Site, idle: Actor) -> None:
        check_problem(post(site, body_of(sealed(idle, site, 1))), 403, "party-not-accredited")

    def test_revoked_key(self, site: Site, revoked: Actor) -> None:
        check_problem(post(site, body_of(sealed(revoked, site, 1))), 403, "key-revoked")

    @pytest.mark.parametrize(
        ("damage", "status", "code"),
        [
            (lambda line: line.replace(b'{"@', b'{"action":"ADD","@', 1), 400, "duplicate-key"),
            (lambda line: line[:-1] + b',"x:n":9007199254740993}', 400, "number-range"),
            (lambda line: line[:-1] + b',"x:n":1e400}', 400, "number-range"),
            (lambda line: line[:-1] + b',"x:n":' + b"[" * 40 + b"]" * 40 + b"}", 400, "too-deep"),
            (lambda line: line[:-1] + b',"x:n":"\xff"}', 400, "not-utf8"),
            (lambda line: line[:-1] + b',"x:n":"\\ud800"}', 400, "lone-surrogate"),
            (lambda line: line[:-1], 400, "not-json"),
            (lambda _: b"", 400, "not-json"),
        ],
    )
    def test_json_that_is_not_read(
        self, site: Site, brand: Actor, damage: Callable[[bytes], bytes], status: int, code: str
    ) -> None:
        lines = sealed(brand, site, 1, 2)
        lines[2] = damage(lines[2])
        problem = check_problem(post(site, body_of(lines)), status, code)
        assert problem["line"] == 3

    def test_a_depth_bomb_as_the_whole_body(self, site: Site) -> None:
        problem = check_problem(post(site, b"[" * 40_000), 400, "too-deep")
        assert problem["line"] == 1

    def test_an_oversized_line(self, site: Site, brand: Actor) -> None:
        lines = sealed(brand, site, 1)
        lines.append(b'{"x":"' + b"a" * 50 * KIB)
        problem = check_problem(post(site, body_of(lines)), 413, "too-large")
        assert problem["line"] == 3
        assert "49,152" in problem["expected"]

    def test_an_oversized_line_is_not_read_to_its_end(self, site: Site) -> None:
        stream = Endless(b"a" * 64 * KIB)
        response = post_stream(site, stream, None)
        check_problem(response, 413, "too-large")
        assert stream.given <= 256 * KIB

    def test_a_body_larger_than_taken_is_refused_before_it_is_read(self, site: Site) -> None:
        most = site.platform.settings.max_body_bytes
        stream = Endless(b"{}\n")
        response = post_stream(site, stream, most + 1)
        problem = check_problem(response, 413, "too-large")
        assert f"{most:,}" in problem["expected"]
        assert stream.given == 0

    def test_a_truncated_upload(self, site: Site, brand: Actor) -> None:
        body = body_of(sealed(brand, site, 1, 2))
        cut = io.BytesIO(body[:-200])
        response = post_stream(site, cut, len(body))
        check_problem(response, 400, "body-truncated")

    def test_fewer_events_than_the_seal_says(self, site: Site, brand: Actor) -> None:
        lines = sealed(brand, site, 1, 2)
        check_problem(post(site, body_of(lines[:2])), 400, "upload-truncated")

    def test_more_events_than_the_seal_says(self, site: Site, brand: Actor) -> None:
        lines = sealed(brand, site, 1)
        problem = check_problem(post(site, body_of([*lines, lines[1]])), 400, "upload-overlong")
        assert problem["line"] == 3

    def test_an_empty_body(self, site: Site) -> None:
        check_problem(post(site, b""), 400, "upload-truncated")

    def test_a_truncated_gzip_stream(self, site: Site, brand: Actor) -> None:
        body = gzip.compress(body_of(sealed(brand, site, 1)))[:-5]
        response = post(site, body, headers={"Content-Encoding": "gzip"})
        check_problem(response, 400, "body-truncated")

    def test_what_says_gzip_and_is_not(self, site: Site) -> None:
        response = post(site, b"{}", headers={"Content-Encoding": "gzip"})
        check_problem(response, 400, "not-gzip")

    def test_a_gzip_bomb_of_one_line(self, site: Site) -> None:
        bomb = gzip.compress(b"[" * (64 * KIB * KIB))
        assert len(bomb) < 70 * KIB
        response = post(site, bomb, headers={"Content-Encoding": "gzip"})
        problem = check_problem(response, 413, "too-large")
        assert problem["line"] == 1

    def test_a_gzip_bomb_of_many_lines(
        self, site: Site, monkeypatch: pytest.MonkeyPatch, brand: Actor
    ) -> None:
        # What the reader is asked for is counted: the bomb's end is never inflated.
        inflated = count_inflated(monkeypatch)
        most = site.platform.settings.max_body_bytes
        lines = sealed(brand, site, 1)
        filler = (b" " * 40_000 + b"\n") * (2 * most // 40_000)
        bomb = gzip.compress(lines[0] + b"\n" + filler, 1)
        response = post(site, bomb, headers={"Content-Encoding": "gzip"})
        assert response.status_code in (400, 413)
        assert sum(inflated) <= most + 64 * KIB

    @pytest.mark.parametrize(
        ("options", "code"),
        [
            ({"headers": {"Content-Encoding": "br"}}, "unsupported-content-encoding"),
            ({"headers": {"Content-Encoding": "gzip, gzip"}}, "unsupported-content-encoding"),
            ({"content_type": "application/json"}, "unsupported-media-type"),
            ({"content_type": "text/csv"}, "unsupported-media-type"),
            ({"content_type": ""}, "unsupported-media-type"),
        ],
    )
    def test_a_form_that_is_not_read(self, site: Site, options: dict[str, Any], code: str) -> None:
        check_problem(post(site, b"{}\n", **options), 415, code)

    def test_nothing_to_wait_for(self, site: Site, brand: Actor) -> None:
        url = f"{BATCHES}?wait=forever"
        body = body_of(sealed(brand, site, 77))
        response = site.client.post(url, data=body, content_type=NDJSON)
        check_problem(response, 400, "parameter-unknown")

    def test_an_event_that_breaks_the_model(self, site: Site, brand: Actor) -> None:
        good = event(1, site=site)
        line = canonical.encode({**good, "bizStep": "no such step"})
        seal = brand.seal([check_event(good).hash])
        response = post(site, body_of([canonical.encode(seal), line]))
        problem = check_problem(response, 422, "event-invalid")
        assert problem["violations"][0]["path"] == "$.bizStep"
        assert problem["line"] == 2

    def test_a_bad_check_digit_in_an_event(self, site: Site, brand: Actor) -> None:
        good = event(1, site=site)
        bad = {**good, "epcList": ["https://id.gs1.org/01/09506000134353/21/1"]}
        seal = brand.seal([check_event(good).hash])
        response = post(site, body_of([canonical.encode(seal), canonical.encode(bad)]))
        problem = check_problem(response, 422, "event-invalid")
        assert "check digit 2" in problem["violations"][0]["expected"]

    def test_disclosures_for_an_unknown_seal(self, site: Site) -> None:
        url = f"{BATCHES}/{'ab' * 32}/disclosures"
        line = b'{"leaf":0,"disclosures":[{"text":"eA","audience":["public"]}]}\n'
        response = site.client.post(url, data=line, content_type=NDJSON)
        assert response.status_code in (404, 422)
        check_problem(response, response.status_code, problem_code(response))

    def test_disclosures_for_a_subject_that_postgresql_cannot_hold(self, site: Site) -> None:
        line = (
            b'{"leaf":0,"subject":"a\\u0000","disclosures":[{"text":"e","audience":["public"]}]}\n'
        )
        response = site.client.post(
            f"{BATCHES}/{'ab' * 32}/disclosures", data=line, content_type=NDJSON
        )
        check_problem(response, 404, "seal-unknown")

    @pytest.mark.parametrize("name", ["zz", "AB" * 32, "ab" * 31, "ab" * 33])
    def test_a_seal_hash_that_is_none(self, site: Site, name: str) -> None:
        check_problem(site.client.get(f"{BATCHES}/{name}"), 400, "seal-hash-malformed")

    def test_an_unknown_batch(self, site: Site) -> None:
        check_problem(site.client.get(f"{BATCHES}/{'ab' * 32}"), 404, "seal-unknown")


class TestRepeated:
    """What is sent twice is appended once."""

    def test_a_second_upload_of_the_same_seal(self, site: Site, brand: Actor) -> None:
        body = body_of(sealed(brand, site, 501, 502))
        first = post(site, body)
        assert first.status_code == 201, first.text
        before = snapshot(site.platform.database)
        second = post(site, body)
        assert second.status_code == 200
        assert second.data == first.data
        assert snapshot(site.platform.database) == before

    def test_its_receipt_stays_at_its_location(self, site: Site, brand: Actor) -> None:
        first = post(site, body_of(sealed(brand, site, 503)))
        again = site.client.get(first.headers["Location"])
        assert again.status_code == 200
        assert again.data == first.data

    def test_gzip_and_plain_are_the_same_upload(self, site: Site, brand: Actor) -> None:
        body = body_of(sealed(brand, site, 504))
        packed = gzip.compress(body[:300]) + gzip.compress(body[300:])
        first = post(site, packed, headers={"Content-Encoding": "gzip"})
        assert first.status_code == 201, first.text
        assert post(site, body).data == first.data

    def test_two_uploads_racing_for_one_head(self, site: Site, brand: Actor) -> None:
        post(site, body_of(sealed(brand, site, 505)))
        head = head_of(site.platform.database, item_uri(505))
        bodies = [
            body_of(brand.sealed([{**event(505, site=site), "prov:after": head}])) for _ in range(2)
        ]
        answers: list[TestResponse] = []
        gate = threading.Barrier(2)

        def run(body: bytes) -> None:
            gate.wait()
            answers.append(post(site, body))

        threads = [threading.Thread(target=run, args=(body,)) for body in bodies]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        winner, loser = sorted(answers, key=lambda answer: answer.status_code)
        assert winner.status_code == 201, winner.text
        problem = check_problem(loser, 409, "head-moved")
        assert head_of(site.platform.database, item_uri(505)) in json.dumps(problem)


class TestResolver:
    """Codes that are not codes, and codes that nobody has used."""

    def test_a_bad_check_digit_says_which_was_expected(self, site: Site) -> None:
        response = site.client.get("/01/09521234543214", headers={"Accept": "application/json"})
        problem = check_problem(response, 400, "check-digit")
        assert (problem["expected"], problem["found"]) == ("3", "4")

    def test_and_says_so_in_words_to_a_browser(self, site: Site) -> None:
        response = site.client.get("/01/09521234543214", headers={"Accept": "text/html"})
        assert response.status_code == 400
        assert "ends in 3, this one in 4" in response.text

    @pytest.mark.parametrize(
        "path",
        [
            "/01/9521234543213",
            "/01/09521234543213/21/",
            "/01/09521234543213//21/S1",
            "/01/09521234543213/99/x",
            "/01/09521234543213/21/S1/10/L1",
            "/01/09521234543213/21/a%00b",
            "/01/09521234543213/21/a%2",
            "/01/09521234543213/21/%C3%BC",
            "/01/09521234543213?21=S1",
            "/01/09521234543213/21/" + "9" * 21,
            "/gtin/09521234543213/21/S1/8018",
        ],
    )
    def test_links_that_break_a_rule(self, site: Site, path: str) -> None:
        response = site.client.get(path, headers={"Accept": "application/json"})
        assert response.status_code in (400, 404), response.text
        if path.endswith("/"):  # one slash at the end is tolerated, an empty value is not
            assert response.status_code == 400
        check_problem(response, response.status_code, problem_code(response))

    def test_an_unknown_subject(self, site: Site) -> None:
        response = site.client.get("/01/09521234543213", headers={"Accept": "application/json"})
        problem = check_problem(response, 404, "subject-unknown")
        proof = site.client.get(problem["passport"])
        assert proof.status_code == 200
        assert "absence" in proof.get_json()["subjects"][0]

    def test_an_unknown_subject_as_a_page(self, site: Site) -> None:
        response = site.client.get("/01/09521234543213", headers={"Accept": "text/html"})
        assert response.status_code == 404
        assert "We have no record of this code" in response.text

    @pytest.mark.parametrize("uri", ["urn:epc:id:sgtin:x", "", "a%00b", "x" * 3000])
    def test_identifiers_that_are_none(self, site: Site, uri: str) -> None:
        response = site.client.get(f"/api/v1/subjects/{uri}/passport")
        assert response.status_code in (400, 404)
        check_problem(response, response.status_code, problem_code(response))

    def test_a_party_that_nobody_registered(self, site: Site) -> None:
        response = site.client.get("/api/v1/parties/https%3A%2F%2Fnobody.example")
        check_problem(response, 404, "party-unknown")


class TestTiles:
    """Nothing but a tile or a map delta can be named below /log/."""

    @pytest.mark.parametrize(
        "name",
        [
            "../keys/log.key",
            "..%2Fkeys%2Flog.key",
            "%2e%2e/keys/log.key",
            "tile/0/../../../origin",
            "tile/0/..%2f..%2forigin",
            "tile/0/000%00",
            "tile/0/1",
            "tile/0/x001",
            "tile/64/000",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/00/000",
            "tile/-1/000",
            "tile/entries/000/",
            "tile//0/000",
            "map/delta/1",
            "map/delta/000.p/1",
            "map/delta/x000/001",
            "map/delta/../../keys/log.key",
            "map/delta/",
            "map/000",
            "tile",
            "checkpoint/",
        ],
    )
    def test_traversal_and_other_names(self, site: Site, name: str) -> None:
        response = site.client.get(f"/log/{name}")
        check_problem(response, 400, "tile-path-malformed")

    def test_a_tile_that_is_not_there(self, site: Site) -> None:
        check_problem(site.client.get("/log/tile/0/x999/999"), 404, "tile-missing")


class Endless:
    """A body that never ends, counting what was taken."""

    def __init__(self, chunk: bytes) -> None:
        self._chunk = chunk
        self.given = 0

    def read(self, size: int = -1) -> bytes:
        part = self._chunk[:size] if size >= 0 else self._chunk
        self.given += len(part)
        return part

    readline = read

    def readinto(self, buffer: bytearray) -> int:
        part = self.read(len(buffer))
        buffer[: len(part)] = part
        return len(part)


@pytest.fixture(scope="module")
def idle(site: Site) -> Actor:
    """Registered, but nobody has given it a role."""
    return site.register("https://idle.example/", None)


@pytest.fixture(scope="module")
def revoked(site: Site) -> Actor:
    """A party whose key has been revoked, by the operator."""
    actor = site.register("https://former.example/", "brand")
    members = actor.revocation(actor.key, reason="lost")
    now = site.platform.clock()
    site.submit(site.operator.sealed([complete(_without_times(members), at=now)]))
    return actor


def _without_times(members: dict[str, Any]) -> dict[str, Any]:
    drop = {"@context", "eventID", "eventTime", "eventTimeZoneOffset", "prov:nonce"}
    return {name: value for name, value in members.items() if name not in drop}


def head_of(database: Database, uri: str) -> str:
    """The head link of a subject's chain, base64."""
    heads = {found: head for found, _, head, _ in snapshot(database)["heads"]}
    return canonical.encode_base64(heads[uri])


def problem_code(response: TestResponse) -> str:
    """The code that the answer gives, where several would do."""
    return str(response.get_json()["type"]).removeprefix("/problems/")


def count_inflated(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Lengths of all that zlib gives out while a test runs."""
    counted: list[int] = []
    real = zlib.decompressobj

    class Counting:
        def __init__(self, bits: int) -> None:
            self._real = real(bits)

        def decompress(self, data: bytes, size: int) -> bytes:
            out = self._real.decompress(data, size)
            counted.append(len(out))
            return out

        def __getattr__(self, name: str) -> Any:
            return getattr(self._real, name)

    monkeypatch.setattr("provenance.web.bodies.zlib.decompressobj", Counting)
    return counted
