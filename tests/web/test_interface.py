"""The interface for programs: what it answers, with which headers, and how it fails."""

from __future__ import annotations

import gzip
import json
import threading
from dataclasses import replace
from typing import Any

import jsonschema
import pytest

from merkle.checkpoint import parse_checkpoint
from merkle.hashing import leaf_hash
from merkle.note import parse_note
from merkle.policy import Group, Policy, Witness
from merkle.tiles import addresses_for, decode_bundle, entries_path
from provenance.crypto.signing import Cosigner
from provenance.domain.chain import decode_link
from provenance.domain.delta import decode_delta, delta_path
from provenance.domain.ledger import MapHead, decode_entry
from provenance.domain.seal_line import decode_seal_line
from provenance.verify import verify_bundle
from provenance.web.description import OPERATIONS
from provenance.web.headers import CONTENT_SECURITY_POLICY
from tests.support.builders import item_event, item_uri, make_key
from tests.web.problems import check_problem
from tests.web.site import NDJSON, Site, body_of

Told = tuple[Site, str]
JSON = {"Accept": "application/json"}


def path_of(uri: str) -> str:
    return uri.removeprefix("https://id.gs1.org")


class TestPassports:
    """Bundles, by subject and by Digital Link."""

    def test_one_subject_two_addresses_one_bundle(self, told: Told) -> None:
        site, uri = told
        by_link = site.client.get(path_of(uri), headers=JSON)
        encoded = uri.replace(":", "%3A").replace("/", "%2F")
        by_name = site.client.get(f"/api/v1/subjects/{encoded}/passport")
        unescaped = site.client.get(f"/api/v1/subjects/{uri}/passport")
        assert by_link.status_code == by_name.status_code == unescaped.status_code == 200
        assert by_link.data == by_name.data == unescaped.data
        assert by_name.headers["Access-Control-Allow-Origin"] == "*"

    def test_it_verifies_by_the_policy_that_is_offered(self, told: Told) -> None:
        site, uri = told
        policy = Policy.parse(site.client.get("/api/v1/policy").data)
        data = site.client.get(path_of(uri), headers=JSON).data
        verdict = verify_bundle(data, policy, now=site.platform.clock() // 1000)
        assert verdict.document["record"] == "verified"

    def test_the_entity_tag_saves_the_second_transfer(self, told: Told) -> None:
        site, uri = told
        first = site.client.get(path_of(uri), headers=JSON)
        again = site.client.get(
            path_of(uri), headers={**JSON, "If-None-Match": first.headers["ETag"]}
        )
        assert again.status_code == 304
        assert not again.data

    def test_the_entity_tag_changes_with_the_log(self, tmp_path: Any) -> None:
        site = Site.make(tmp_path / "site")
        brand = site.register("https://brand.example/")
        tags = set()
        for _ in range(2):
            site.submit(brand.sealed([item_event(1, at=site.platform.clock() - 1000)]))
            site.publish()
            tags.add(site.client.get(path_of(item_uri(1)), headers=JSON).headers["ETag"])
        assert len(tags) == 2

    def test_head_has_the_length_and_no_body(self, told: Told) -> None:
        site, uri = told
        whole = site.client.get(path_of(uri), headers=JSON)
        head = site.client.head(path_of(uri), headers=JSON)
        assert head.status_code == 200
        assert head.headers["Content-Length"] == whole.headers["Content-Length"]
        assert not head.data

    def test_representations_are_chosen_by_accept(self, told: Told) -> None:
        site, uri = told
        kinds = {
            "text/html,application/xhtml+xml,*/*;q=0.8": "text/html",
            "application/json": "application/json",
            "application/json;q=0.9, text/html;q=0.1": "application/json",
            "*/*": "text/html",
        }
        for accept, kind in kinds.items():
            answer = site.client.get(path_of(uri), headers={"Accept": accept})
            assert answer.mimetype == kind, accept
            assert "Accept" in answer.headers["Vary"], accept
        refused = site.client.get(path_of(uri), headers={"Accept": "image/png"})
        check_problem(refused, 406, "not-acceptable")

    def test_an_escaped_slash_in_a_serial_stays_one(self, told: Told) -> None:
        site, _ = told
        answer = site.client.get("/01/09521234543213/21/A%2FB", headers=JSON)
        problem = check_problem(answer, 404, "subject-unknown")
        assert problem["found"] == "https://id.gs1.org/01/09521234543213/21/A%2FB"

    def test_one_slash_at_the_end_is_tolerated(self, told: Told) -> None:
        site, uri = told
        assert site.client.get(path_of(uri) + "/", headers=JSON).status_code == 200
        assert site.client.get(path_of(uri) + "//", headers=JSON).status_code == 400

    def test_a_code_typed_in_leads_to_its_page(self, told: Told) -> None:
        site, uri = told
        for code in (uri, path_of(uri), "https://elsewhere.example" + path_of(uri)):
            answer = site.client.get("/lookup", query_string={"code": code, "lang": "zh"})
            assert answer.status_code == 303
            assert answer.headers["Location"] == path_of(uri) + "?lang=zh"
        number = site.client.get("/lookup", query_string={"code": "9521234543213"})
        assert number.headers["Location"].startswith("/01/09521234543213?")
        wrong = site.client.get("/lookup", query_string={"code": "9521234543214"}, headers=JSON)
        check_problem(wrong, 400, "check-digit")
        check_problem(site.client.get("/lookup", headers=JSON), 400, "code-missing")


class TestLog:
    """Checkpoint and tiles for monitors and mirrors."""

    def test_the_checkpoint_is_a_note_of_this_log(self, told: Told) -> None:
        site, _ = told
        answer = site.client.get("/log/checkpoint")
        checkpoint = parse_checkpoint(parse_note(answer.data).text)
        facts = site.client.get("/api/v1/log").get_json()
        assert (checkpoint.origin, checkpoint.size) == (facts["origin"], facts["size"])
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert answer.headers["Cache-Control"] == "no-cache"

    def test_every_tile_of_its_size_is_there_and_immutable(self, told: Told) -> None:
        site, _ = told
        size = site.client.get("/api/v1/log").get_json()["size"]
        for address in addresses_for(0, size):
            answer = site.client.get(f"/log/{address.path()}")
            assert answer.status_code == 200, address
            assert "immutable" in answer.headers["Cache-Control"]
            assert answer.mimetype == "application/octet-stream"
            assert answer.headers["Access-Control-Allow-Origin"] == "*"

    def test_the_delta_of_every_map_head_is_there_and_immutable(self, told: Told) -> None:
        site, _ = told
        size = site.client.get("/api/v1/log").get_json()["size"]
        bundles = [address for address in addresses_for(0, size) if address.level is None]
        heads = []
        for address in bundles:
            data = site.client.get(f"/log/{address.path()}").data
            entries = map(decode_entry, decode_bundle(data, address.width))
            heads += [entry for entry in entries if isinstance(entry, MapHead)]
        assert len(heads) > 1
        for head in heads:
            answer = site.client.get(f"/log/{delta_path(head.index)}")
            assert answer.status_code == 200
            assert "immutable" in answer.headers["Cache-Control"]
            assert answer.mimetype == "application/octet-stream"
            assert answer.headers["Access-Control-Allow-Origin"] == "*"
            assert decode_delta(answer.data).index == head.index
        check_problem(site.client.get(f"/log/{delta_path(size)}"), 404, "tile-missing")

    def test_options_tell_other_origins_what_they_may(self, told: Told) -> None:
        site, uri = told
        for path in ("/log/checkpoint", path_of(uri), "/api/v1/subjects/x/passport"):
            answer = site.client.options(path, headers={"Origin": "https://other.example"})
            assert answer.status_code == 200
            assert answer.headers["Access-Control-Allow-Origin"] == "*"
            assert "GET" in answer.headers["Access-Control-Allow-Methods"]
        upload = site.client.options("/api/v1/batches")
        assert "Access-Control-Allow-Origin" not in upload.headers


class TestSeals:
    """Who sealed which links, for auditors."""

    def test_every_link_of_the_log_has_its_line(self, told: Told) -> None:
        site, _ = told
        answer = site.client.get("/api/v1/seals")
        assert answer.mimetype == "application/x-ndjson"
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        lines = [decode_seal_line(line) for line in answer.data.splitlines()]
        size = site.client.get("/api/v1/log").get_json()["size"]
        covered = {line.index + i for line in lines for i in range(line.links)}
        entries = read_entries(site, size)
        heads = {index for index, entry in enumerate(entries) if not entry.startswith(b"{")}
        assert covered == set(range(size)) - heads
        for line in lines:
            assert line.seal is not None
            named = {decode_link(entries[line.index + i]).seal for i in range(line.links)}
            assert named == {leaf_hash(line.seal)}

    def test_pages_join_without_a_gap(self, told: Told) -> None:
        site, _ = told
        whole = site.client.get("/api/v1/seals").data.splitlines()
        after, joined = 0, []
        while page := site.client.get(f"/api/v1/seals?limit=3&after={after}").data.splitlines():
            assert len(page) <= 3
            joined += page
            after = json.loads(page[-1])["index"]
        assert joined == whole

    def test_nothing_of_what_events_say_is_told(self, told: Told) -> None:
        site, uri = told
        text = site.client.get("/api/v1/seals?limit=1000").get_data(as_text=True)
        assert uri not in text
        assert "epcList" not in text
        assert "bizStep" not in text

    @pytest.mark.parametrize(
        "query",
        ["limit=0", "limit=1001", "limit=x", "after=-1", "after=9007199254740992", "after="],
    )
    def test_parameters_that_are_none(self, told: Told, query: str) -> None:
        check_problem(told[0].client.get(f"/api/v1/seals?{query}"), 400, "parameter-malformed")


def read_entries(site: Site, size: int) -> list[bytes]:
    """All entries of a small log."""
    entries: list[bytes] = []
    while len(entries) < size:
        width = min(256, size - len(entries))
        data = site.client.get("/log/" + entries_path(len(entries) // 256, width)).data
        entries += decode_bundle(data, width)
    return entries


class TestParties:
    """Parties as seen now."""

    def test_all_and_one(self, told: Told) -> None:
        site, _ = told
        listed = site.client.get("/api/v1/parties").get_json()["parties"]
        assert [party["uri"] for party in listed] == sorted(party["uri"] for party in listed)
        shop = next(party for party in listed if party["name"]["en"].startswith("West Lake"))
        assert shop["rolesNow"] == ["retailer"]
        one = site.client.get("/api/v1/parties/" + shop["uri"].replace("/", "%2F")).get_json()
        assert one == shop
        assert "platform" in json.dumps(one)
        assert site.client.get(one["passport"]).status_code == 200

    def test_pages_of_them_join_without_a_gap(self, told: Told) -> None:
        site, _ = told
        whole = site.client.get("/api/v1/parties").get_json()["parties"]
        url, joined = "/api/v1/parties?limit=3", []
        while url:
            page = site.client.get(url).get_json()
            joined += page["parties"]
            url = page.get("next")
        assert joined == whole

    @pytest.mark.parametrize("limit", ["0", "1001", "x", "-1", "١"])
    def test_a_limit_that_is_none(self, told: Told, limit: str) -> None:
        answer = told[0].client.get("/api/v1/parties", query_string={"limit": limit})
        check_problem(answer, 400, "parameter-malformed")


class TestWaiting:
    """`?wait=published`."""

    def test_the_answer_comes_when_a_checkpoint_covers_it(self, tmp_path: Any) -> None:
        site = Site.make(tmp_path / "site")
        brand = site.register("https://brand.example/")
        body = body_of(brand.sealed([item_event(9, at=site.platform.clock() - 1000)]))
        answers = []

        def upload() -> None:
            url = "/api/v1/batches?wait=published"
            answers.append(site.client.post(url, data=body, content_type=NDJSON))

        thread = threading.Thread(target=upload)
        thread.start()
        thread.join(0.3)
        assert thread.is_alive(), "answered before anything was published"
        site.publish()
        thread.join(10)
        assert answers[0].status_code == 201
        assert answers[0].headers["Provenance-Published"] == "yes"
        assert site.client.get(path_of(item_uri(9)), headers=JSON).status_code == 200

    def test_and_says_pending_when_none_does_in_time(
        self, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("provenance.web.batches.WAIT_SECONDS", 0.1)
        site = Site.make(tmp_path / "site")
        brand = site.register("https://brand.example/")
        event = brand.signed(item_event(9, at=site.platform.clock() - 1000))
        answer = site.client.post(
            "/api/v1/events?wait=published", data=event, content_type="application/json"
        )
        assert answer.status_code == 201
        assert answer.headers["Provenance-Published"] == "pending"


class TestFailures:
    """Every failure is the one document, or a page for a browser."""

    @pytest.mark.parametrize(
        ("method", "path", "status", "code"),
        [
            ("GET", "/api/v1/nothing", 404, "not-found"),
            ("GET", "/nothing", 404, "not-found"),
            ("GET", "/api/v1/batches", 405, "method-not-allowed"),
            ("DELETE", "/api/v1/log", 405, "method-not-allowed"),
            ("POST", "/log/checkpoint", 405, "method-not-allowed"),
            ("PUT", "/01/09521234543213", 405, "method-not-allowed"),
            ("GET", "/static/nothing.css", 404, "not-found"),
            ("GET", "/api/v1/subjects/x", 404, "not-found"),
        ],
    )
    def test_errors_of_the_framework(
        self, told: Told, method: str, path: str, status: int, code: str
    ) -> None:
        answer = told[0].client.open(path, method=method)
        check_problem(answer, status, code)
        if status == 405:
            assert answer.headers["Allow"]

    def test_a_browser_gets_a_page_and_a_program_on_the_same_path_does_not(
        self, told: Told
    ) -> None:
        page = told[0].client.get("/nothing", headers={"Accept": "text/html"})
        assert (page.status_code, page.mimetype) == (404, "text/html")
        api = told[0].client.get("/api/v1/nothing", headers={"Accept": "text/html"})
        check_problem(api, 404, "not-found")

    def test_our_own_fault_shows_nothing_of_the_inside(
        self, told: Told, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail() -> None:
            raise RuntimeError("secret /srv/site/main.py")

        site, _ = told
        monkeypatch.setattr(site.platform.prover, "published", fail)
        answer = site.client.get("/api/v1/log")
        problem = check_problem(answer, 500, "internal")
        assert "secret" not in answer.text
        assert problem["request"] in caplog.text
        page = site.client.get("/", headers={"Accept": "text/html"})
        assert page.status_code == 500
        assert "secret" not in page.text

    def test_a_store_that_does_not_answer_is_not_ready(
        self, told: Told, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail() -> None:
            raise OSError("no route")

        site, _ = told
        assert site.client.get("/readyz").get_json()["status"] == "ready"
        monkeypatch.setattr(site.platform.prover, "published", fail)
        answer = site.client.get("/readyz")
        check_problem(answer, 503, "store-unavailable")
        assert answer.headers["Retry-After"]
        assert site.client.get("/livez").status_code == 200

    def test_a_log_that_stands_still_is_not_ready(
        self, told: Told, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        site, _ = told
        later = site.platform.clock() + 2 * 86_400_000
        monkeypatch.setattr(site.platform, "clock", lambda: later)
        check_problem(site.client.get("/readyz"), 503, "checkpoint-stale")

    @pytest.mark.parametrize(("hours", "ready"), [(25, False), (23, True), (None, True)])
    def test_it_is_as_old_as_its_quorum_says(
        self, told: Told, monkeypatch: pytest.MonkeyPatch, hours: int | None, ready: bool
    ) -> None:
        """Our own clock's line is fresh at each refresh, whoever else has been away for days."""
        site, _ = told
        size, note = site.platform.prover.published()
        far = Cosigner("far.example", make_key("far"))
        policy = site.platform.policy
        clock = policy.witnesses[0].name
        asking = replace(
            policy,
            witnesses=(*policy.witnesses, Witness("far", far.vkey)),
            groups=(Group("both", 2, (clock, "far")),),
            quorum="both",
        )
        signed = parse_note(note)
        lines = []  # None: the quorum is still to come
        if hours is not None:
            seconds = site.platform.clock() // 1000 - 3600 * hours
            lines.append(far.cosign(signed.text.encode(), seconds))
        shown = signed.with_signatures(lines).format()
        monkeypatch.setattr(site.platform, "policy", asking)
        monkeypatch.setattr(site.platform.prover, "published", lambda: (size, shown))
        answer = site.client.get("/readyz")
        if ready:
            assert answer.status_code == 200
        else:
            check_problem(answer, 503, "checkpoint-stale")


class TestHeaders:
    """Security headers, on everything."""

    @pytest.mark.parametrize("path", ["/", "/livez", "/nothing", "/static/css/base.css"])
    def test_the_strict_policy_is_everywhere(self, told: Told, path: str) -> None:
        answer = told[0].client.get(path, headers={"Accept": "text/html"})
        assert answer.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
        assert "unsafe" not in CONTENT_SECURITY_POLICY
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "Set-Cookie" not in answer.headers
        assert "Strict-Transport-Security" not in answer.headers

    def test_https_is_held_to_https(self, told: Told) -> None:
        answer = told[0].client.get("/", base_url="https://id.example")
        assert answer.headers["Strict-Transport-Security"].startswith("max-age=")

    def test_the_verifier_file_states_its_own_policy(self, told: Told) -> None:
        answer = told[0].client.get("/verifier.html")
        policy = answer.headers["Content-Security-Policy"]
        assert answer.status_code == 200
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert "sha256-" in policy

    def test_text_is_compressed_for_those_who_ask(self, told: Told) -> None:
        site, uri = told
        for path in (path_of(uri), "/static/css/base.css", "/static/js/verify/verdict.js"):
            plain = site.client.get(path, headers={"Accept": "text/html"})
            packed = site.client.get(
                path, headers={"Accept": "text/html", "Accept-Encoding": "gzip"}
            )
            assert packed.headers["Content-Encoding"] == "gzip"
            assert "Accept-Encoding" in packed.headers["Vary"]
            unpacked = gzip.decompress(packed.data)
            assert len(packed.data) < len(plain.data)
            if not path.endswith(".js"):
                assert unpacked == plain.data


class TestDescription:
    """The OpenAPI document says what there is."""

    def test_every_route_is_described_and_nothing_else(self, told: Told) -> None:
        site, _ = told
        # HEAD and OPTIONS are answered everywhere; where they mean something, that is described.
        acting = {"get", "post", "put", "patch", "delete"}
        described = {
            (path, method) for path, methods in OPERATIONS.items() for method in acting & {*methods}
        }
        names = {
            "<seal>": "{seal}",
            "<job>": "{job}",
            "<path:uri>": "{uri}",
            "<path:path>": "{path}",
        }
        routed = set()
        for rule in site.app.url_map.iter_rules():
            path = rule.rule.replace("<path:rest>", "{uri}/passport")
            for old, new in names.items():
                path = path.replace(old, new)
            if path.startswith(("/api/", "/log/", "/livez", "/readyz")):
                methods = {m.lower() for m in rule.methods or ()} & acting
                routed |= {(path, method) for method in methods}
        routed.discard(("/api/v1/openapi.json", "get"))
        # One route of Flask's serves both, since a subject's URI is read with its escapes intact.
        routed.add(("/api/v1/subjects/{uri}/events/{event}/receipt", "get"))
        assert routed == described

    def test_the_document_is_whole(self, told: Told) -> None:
        document = told[0].client.get("/api/v1/openapi.json").get_json()
        assert document["openapi"].startswith("3.1")
        schemas = document["components"]["schemas"]
        for reference in _references(document):
            assert reference.removeprefix("#/components/schemas/") in schemas, reference
        for schema in schemas.values():
            jsonschema.Draft202012Validator.check_schema(schema)

    def test_answers_fit_it(self, told: Told) -> None:
        site, _ = told
        document = site.client.get("/api/v1/openapi.json").get_json()
        for path, name in (
            ("/api/v1/log", "Log"),
            ("/api/v1/parties", "Parties"),
            ("/readyz", "Readiness"),
            ("/api/v1/nothing", "Problem"),
        ):
            schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
            jsonschema.validate(site.client.get(path).get_json(), schema)


def _references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*(_references(member) for member in value.values()))
    if isinstance(value, list):
        return set().union(*(_references(item) for item in value))
    return set()
