"""The demonstration's story: it holds what was promised, and telling it twice changes nothing."""

from __future__ import annotations

import importlib
import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from merkle.policy import Policy
from provenance.crypto.signing import load_key
from provenance.demo.telling import STORY, Outcome, Story, Teller, fetch_outcome
from provenance.verify import verify_bundle
from tests.support.served import Served, now, serving

# By name: the attribute `demo` of the package is the command.
demo = importlib.import_module("provenance.cli.demo")


def teller(served: Served, folder: Path) -> Teller:
    operator = load_key(served.settings.keys / "operator.key")
    return Teller(Story.load(), served.api(), folder, operator, clock=now, random=os.urandom)


def outcome(served: Served, folder: Path) -> Outcome:
    return fetch_outcome(Story.load(), served.api(), folder, served.settings.policy_file, now())


def test_the_story_is_verified_and_telling_it_again_is_harmless(
    database_url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "demo"
    with serving(tmp_path / "data", database=database_url) as served:
        told: list[int] = []
        teller(served, folder).tell(told.append)
        assert sum(told) == Story.load().event_count()
        first = fetch_outcome(
            Story.load(), served.api(), folder, served.settings.policy_file, now()
        )
        size = served.api().log()["size"]
        teller(served, folder).tell(told.append)
        again = fetch_outcome(
            Story.load(), served.api(), folder, served.settings.policy_file, now()
        )
        assert served.api().log()["size"] == size, "nothing was appended"
    assert (first.verdict["record"], first.verdict["warnings"]) == ("verified", [])
    assert again.verdict["stages"] == first.verdict["stages"]
    check_promises(first.verdict, json.loads(first.bundle.read_bytes()))
    policy = Policy.parse(first.policy.read_bytes())
    assert verify_bundle(first.bundle.read_bytes(), policy, now=now()).document == first.verdict


def check_promises(verdict: dict[str, Any], bundle: dict[str, Any]) -> None:
    """Late, corrected, concealed, custodial; six parties and more; every history that belongs."""
    stages = verdict["stages"]
    events = [bundle["events"][stage["index"]]["event"] for stage in stages]
    states = [stage["state"] for stage in stages if stage["state"] != "believed"]
    # The two last ones were sealed together: their order is that of their hashes.
    assert states[0] == "declared-wrong"
    assert sorted(states[1:]) == ["correction", "declaration"]
    recorded = [stage["ledgerTime"] for stage in stages]
    late = [
        i for i, time in enumerate(recorded) if any(time > after for after in recorded[i + 1 :])
    ]
    assert [events[i]["bizStep"] for i in late] == ["sensor_reporting"]
    assert [event["bizStep"] for event in events if "prov:_sd" in event] == ["shipping"]
    assert "41904" not in json.dumps(bundle)
    assert len(verdict["parties"]) == 7
    custody = {party["uri"][-4:]: party["custody"] for party in verdict["parties"]}
    assert [uri for uri, held in custody.items() if held == "platform"] == ["0075"]
    assert verdict["independent"] == 6
    via = {stage["via"].removeprefix("https://id.gs1.org") for stage in stages}
    kinds = {path.split("/")[-2] for path in via}
    assert kinds == {"21", "10", "00"}, "the item, lots and inputs, case and pallet"


def test_two_hundred_items_go_into_the_cases() -> None:
    cans: set[str] = set()
    for document in STORY.glob("*-packing.json"):
        for event in json.loads(document.read_text("utf-8"))["epcisBody"]["eventList"]:
            cans |= {epc for epc in event.get("childEPCs", []) if "/21/" in epc}
    assert len(cans) == 216


def test_a_taken_port_gives_way_to_a_free_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        chosen = demo.choose_port("127.0.0.1", port)
        assert chosen not in (0, port)
    assert demo.choose_port("127.0.0.1", chosen) == chosen


def test_an_address_that_is_not_ours_is_said() -> None:
    with pytest.raises(demo.DemoError, match=r"no port to listen on at 192\.0\.2\.1"):
        demo.choose_port("192.0.2.1", 0)


def test_away_from_a_terminal_the_demo_keeps_to_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(demo, "network_address", lambda: "10.0.0.7")
    assert demo.choose_host("auto") == "127.0.0.1"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert demo.choose_host("auto") == "10.0.0.7"
    assert demo.choose_host(None) == "127.0.0.1"
    assert demo.choose_host("192.168.1.4") == "192.168.1.4"
    monkeypatch.setattr(demo, "network_address", lambda: None)
    assert demo.choose_host("auto") == "127.0.0.1"
