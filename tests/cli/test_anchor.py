"""provenance anchor, and anchors beside a verdict: a running platform, an authority, a chain."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from provenance.cli import main
from provenance.client.api import Api
from provenance.client.evm import address_of, load_account_key
from provenance.config import Settings, SettingsError
from provenance.platform import Platform, initialise
from tests.support.authority import Authority, make_authority, serving_authority
from tests.support.evm import CHAIN, SECRET, Chain, serving_chain
from tests.support.processes import serve, until


def run(*words: str | Path, status: int = 0) -> Result:
    result = CliRunner().invoke(main, [*map(str, words)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == status, result.output
    return result


@dataclass
class World:
    """A platform that anchors with both, and a passport of it."""

    settings: Settings
    authority: Authority
    chain: Chain
    bundle: Path

    @property
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.bundle.read_bytes())
        return found


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("anchored")
    with serving_authority() as authority, serving_chain() as chain:
        key = folder / "evm.key"
        told = run("anchor", "key", key, "--json")
        address = json.loads(told.stdout)["address"]
        assert address == address_of(load_account_key(key))
        give(chain, address)
        on_chain = ("--evm-url", chain.url, "--chain", str(CHAIN), "--key", key)
        deployed = run("anchor", "deploy", *on_chain, "--json")
        settings = Settings(
            data=folder / "data",
            tsa_url=authority.url,
            tsa_certificates=str(authority.roots),
            evm_url=chain.url,
            evm_chain=CHAIN,
            evm_contract=json.loads(deployed.stdout)["contract"],
            evm_key=str(key),
            evm_confirmations=1,
        )
        initialise(settings)
        assert "no checkpoint was anchored yet" in run("anchor", "list", *at(settings)).stdout
        platform = Platform.open(settings)
        platform.anchoring.run_once()
        platform.anchoring.run_once()
        bundle = folder / "passport.json"
        bundle.write_bytes(json.dumps(platform.prover.passport(platform.operator)).encode())
        platform.close()
        yield World(settings, authority, chain, bundle)


def at(settings: Settings) -> tuple[str, str]:
    return "--data", str(settings.data)


def give(chain: Chain, address: str) -> None:
    """Funds for an account, from the first of the chain's own."""
    web3 = chain.node.web3
    sent = web3.eth.send_transaction({"from": address_of(SECRET), "to": address, "value": 10**18})
    web3.eth.wait_for_transaction_receipt(sent, timeout=30)


def test_what_was_asked_and_answered_is_listed(world: World) -> None:
    words = run("anchor", "list", *at(world.settings)).stdout.splitlines()
    assert [line.split()[0] for line in words] == ["evm", "rfc3161"]
    assert all(" confirmed " in line for line in words)
    listed = json.loads(run("anchor", "list", *at(world.settings), "--json").stdout)["anchors"]
    assert {one["state"] for one in listed} == {"confirmed"}


def test_a_reader_judges_by_roots_and_node_of_its_own(world: World) -> None:
    unjudged = run("anchor", "verify", world.bundle).stdout
    assert unjudged.count("not-checked") == 2
    mine = ("--tsa-certificates", world.authority.roots, "--evm-url", world.chain.url)
    judged = json.loads(run("anchor", "verify", world.bundle, *mine, "--json").stdout)["anchors"]
    assert [(one["kind"], one["result"]) for one in judged] == [
        ("evm", "good"),
        ("rfc3161", "good"),
    ]
    assert all(abs(parse(one["time"]) - time.time()) < 300 for one in judged)


def parse(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_the_verdict_stays_what_it_is_and_what_is_bad_is_said_beside_it(
    world: World, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    policy = ("--policy", world.settings.policy_file)
    plain = json.loads(run("verify", world.bundle, *policy, "--json").stdout)
    assert "anchorChecks" not in plain
    mine = ("--tsa-certificates", world.authority.roots, "--evm-url", world.chain.url)
    words = run("verify", world.bundle, *policy, *mine).stdout
    assert words.startswith("VERIFIED")
    assert words.count(" good") == 2

    other = make_authority(tmp_path_factory.mktemp("other"))
    changed = world.document
    changed["anchors"][0]["time"] = "2020-01-01T00:00:00Z"
    bad = tmp_path / "bad.json"
    bad.write_text(json.dumps(changed))
    theirs = ("--tsa-certificates", other.roots, "--evm-url", world.chain.url)
    found = json.loads(run("verify", bad, *policy, *theirs, "--json").stdout)
    assert found["record"] == "verified"  # an anchor decides nothing
    evm, rfc3161 = found["anchorChecks"]
    assert (evm["result"], rfc3161["result"]) == ("bad", "bad")
    assert evm["detail"].startswith("the time that is proved is ")
    assert "not good" in rfc3161["detail"]
    run("anchor", "verify", bad, *theirs, status=1)


def test_an_anchor_of_another_log_is_not_judged_for_this_one(world: World, tmp_path: Path) -> None:
    changed = world.document
    changed["anchors"][1]["checkpoint"] = changed["anchors"][1]["checkpoint"].replace(
        "\n\n", "\n\n— stranger AAAAAAA=\n"
    )
    changed["anchors"][1]["consistency"] = ["A" * 43 + "="]
    odd = tmp_path / "odd.json"
    odd.write_text(json.dumps(changed))
    words = ("--policy", world.settings.policy_file, "--tsa-certificates", world.authority.roots)
    found = json.loads(run("verify", odd, *words, "--json").stdout)
    assert [warning["place"] for warning in found["warnings"]] == ["anchors[1]"]
    assert [one["kind"] for one in found["anchorChecks"]] == ["evm"]


def test_other_files_are_no_bundles(tmp_path: Path) -> None:
    path = tmp_path / "odd.json"
    for content in ("", "[]", '{"anchors":[{}]}'):
        path.write_text(content)
        assert "no passport bundle" in run("anchor", "verify", path, status=2).stderr
    path.write_text("{}")
    assert "no anchors" in run("anchor", "verify", path).stdout


def test_a_key_is_never_overwritten_and_needs_web3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("anchor", "key", tmp_path / "evm.key")
    assert "cannot write" in run("anchor", "key", tmp_path / "evm.key", status=1).stderr
    monkeypatch.setitem(sys.modules, "eth_account", None)
    refused = run("anchor", "key", tmp_path / "other.key", status=1)
    assert ".venv/bin/pip install -e '.[evm]'" in refused.stderr
    assert not (tmp_path / "other.key").exists()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at processes")
def test_a_served_platform_anchors_by_itself_and_an_authority_that_fails_holds_up_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving_authority() as authority:
        settings = Settings(data=tmp_path / "data")
        initialise(settings)
        authority.answer = lambda _: (503, b"")
        with serve(
            settings.data,
            more={
                "PROVENANCE_TSA_URL": authority.url,
                "PROVENANCE_TSA_CERTIFICATES": str(authority.roots),
                "PROVENANCE_ANCHOR_INTERVAL_S": "1",
            },
        ) as running:
            until(running.is_ready)
            until(lambda: authority.asked > 1)
            api = Api(running.url)

            def state() -> list[str]:
                answer = json.loads(api.fetch("/api/v1/anchors"))
                assert answer["configured"] == ["rfc3161"]
                return [one["state"] for one in answer["anchors"]]

            assert state() == ["pending"]
            assert running.is_ready()
            authority.answer = authority.stamp
            until(lambda: state() == ["confirmed"])
            assert "answers with status 503" in running.messages


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"tsa_url": "http://tsa.example"}, "PROVENANCE_TSA_CERTIFICATES"),
        ({"tsa_url": "ftp://tsa.example"}, "PROVENANCE_TSA_URL"),
        ({"evm_url": "https://user:secret@node.example"}, "PROVENANCE_EVM_CONTRACT"),
        ({"evm_url": "ws://secret.example"}, "PROVENANCE_EVM_URL"),
        ({"evm_url": "http://n", "evm_contract": "0x" + "1" * 40}, "PROVENANCE_EVM_KEY"),
        (
            {"evm_url": "http://n", "evm_contract": "0x" + "1" * 40, "evm_key": "k"},
            "PROVENANCE_EVM_CHAIN",
        ),
    ],
)
def test_half_a_third_party_is_refused(tmp_path: Path, given: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingsError, match=named) as caught:
        Settings(data=tmp_path, **given)
    assert "secret" not in str(caught.value)
