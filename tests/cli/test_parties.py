"""provenance party, provenance key: the whole life of a party from the command line."""

from __future__ import annotations

import stat
from typing import Any

import pytest

from tests.cli.conftest import Terminal


def keys_of(terminal: Terminal, uri: str) -> dict[str, Any]:
    keys = terminal.json("key", "list", "--party", uri, remote=True)["keys"]
    assert isinstance(keys, dict)
    return keys


def multikey(terminal: Terminal, name: str) -> str:
    """A new key file's public half, as the command prints it."""
    printed = terminal.json("key", "new", terminal.folder / f"{name}.key")
    return str(printed["multikey"])


def test_a_key_file_is_private_and_never_overwritten(terminal: Terminal) -> None:
    path = terminal.folder / "mine.key"
    result = terminal.run("key", "new", path)
    assert result.stdout.startswith("z6Mk")
    assert "keep it" in result.stderr
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes()
    assert before.strip() not in result.stdout.encode()
    refused = terminal.run("key", "new", path, status=1)
    assert "cannot write the key file" in refused.stderr
    assert path.read_bytes() == before


def test_register_accredit_show_withdraw(terminal: Terminal) -> None:
    key = terminal.key("dairy")
    uri = "https://dairy.example"
    register = ("party", "register", "--party", uri, "--key", key, "--name", "Dairy")
    receipt = terminal.json(*register, "--name-zh", "乳业", remote=True)
    assert receipt["type"] == "prov:CaptureReceipt"
    grant = ("--party", uri, "--role", "producer", "--operator-key", terminal.operator_key)
    words = terminal.run("party", "accredit", *grant, remote=True).stdout
    assert words.startswith(f"accredited {uri} as producer at 20")
    shown = terminal.json("party", "show", uri, remote=True)
    assert (shown["name"], shown["rolesNow"]) == ({"en": "Dairy", "zh": "乳业"}, ["producer"])
    words = terminal.run("party", "show", uri, remote=True).stdout
    assert f"{uri}  Dairy  (producer)" in words
    assert "held by the party, added 20" in words
    terminal.json("party", "withdraw", *grant, remote=True)
    assert "(no role now)" in terminal.run("party", "show", uri, remote=True).stdout


def test_list_shows_everybody(terminal: Terminal) -> None:
    uri, _ = terminal.party("listed", "retailer")
    operator = f"https://{terminal.served.origin}"
    words = terminal.run("party", "list", remote=True).stdout.splitlines()
    assert f"{uri}  listed  (retailer)" in words
    assert any(line.startswith(operator) and line.endswith("(operator)") for line in words)
    listed = {party["uri"] for party in terminal.json("party", "list", remote=True)["parties"]}
    assert {uri, operator} <= listed


def test_an_accreditation_until_a_day(terminal: Terminal) -> None:
    uri, _ = terminal.party("until", None)
    grant = ("--party", uri, "--role", "brand", "--operator-key", terminal.operator_key)
    until = "2031-05-01T00:00:00+02:00"
    terminal.json("party", "accredit", *grant, "--until", until, remote=True)
    (role,) = terminal.json("party", "show", uri, remote=True)["roles"]
    assert role["validUntil"] == "2031-04-30T22:00:00.000Z"
    refused = terminal.run("party", "accredit", *grant, "--until", "soon", status=1, remote=True)
    assert "RFC 3339" in refused.stderr


def test_add_rotate_and_revoke_keys(terminal: Terminal) -> None:
    uri, key = terminal.party("keyholder")
    second, third = multikey(terminal, "second"), multikey(terminal, "third")
    who = ("--party", uri, "--key", key)
    new = ("--new-key", terminal.folder / "second.key", "--custody", "platform")
    terminal.json("key", "add", *who, *new, remote=True)
    assert keys_of(terminal, uri)[second]["custody"] == "platform"
    words = terminal.run("key", "list", "--party", uri, remote=True).stdout
    assert f"{second}: declared as held by the platform, added" in words
    rotated = terminal.run(
        "key", "rotate", *who, "--new-key", terminal.folder / "third.key", remote=True
    )
    assert rotated.stdout.startswith(f"rotated to {third} at ")
    (old,) = [state for state in keys_of(terminal, uri).values() if "revokedAt" in state]
    assert old["reason"] == "superseded"
    # The rotated key can do nothing more; the new one can.
    revoke = ("key", "revoke", "--party", uri, "--revoke", second, "--reason", "ceased")
    refused = terminal.run(*revoke, "--key", key, status=1, remote=True)
    assert "refused with 403" in refused.stderr
    terminal.json(*revoke, "--key", terminal.folder / "third.key", remote=True)
    assert keys_of(terminal, uri)[second]["reason"] == "ceased"


def test_a_compromised_key_says_since_when(terminal: Terminal) -> None:
    uri, key = terminal.party("burgled")
    ((name, state),) = keys_of(terminal, uri).items()
    revoke = ("key", "revoke", "--party", uri, "--key", key, "--revoke", name)
    since = ("--compromised-since", state["addedAt"])
    refused = terminal.run(*revoke, "--reason", "lost", *since, status=1, remote=True)
    assert "compromised, with prov:compromisedSince" in refused.stderr
    terminal.json(*revoke, "--reason", "compromised", *since, remote=True)
    words = terminal.run("key", "list", "--party", uri, remote=True).stdout
    assert "(compromised)" in words
    assert f"doubtful since {state['addedAt']}" in words


def test_a_lost_key_is_revoked_by_the_operator(terminal: Terminal) -> None:
    uri, _ = terminal.party("forgetful")
    ((name, _),) = keys_of(terminal, uri).items()
    terminal.json(
        *("key", "revoke", "--party", uri, "--key", terminal.operator_key, "--as-operator"),
        *("--revoke", name, "--reason", "lost"),
        remote=True,
    )
    assert keys_of(terminal, uri)[name]["reason"] == "lost"


def test_who_is_not_the_operator_accredits_nobody(terminal: Terminal) -> None:
    uri, key = terminal.party("ambitious")
    grant = ("party", "accredit", "--party", uri, "--role", "customs", "--operator-key", key)
    assert "refused with 403" in terminal.run(*grant, status=1, remote=True).stderr


def test_an_unknown_party_is_said_to_be_unknown(terminal: Terminal) -> None:
    refused = terminal.run("party", "show", "https://nobody.example", status=1, remote=True)
    assert "refused with 404: No party is registered under this URI" in refused.stderr


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_a_key_file_that_others_can_read_is_not_used(terminal: Terminal, mode: int) -> None:
    path = terminal.key(f"open-{mode:o}")
    path.chmod(mode)
    register = ("party", "register", "--party", "https://open.example", "--key", path)
    refused = terminal.run(*register, "--name", "Open", status=1, remote=True)
    assert f"chmod 600 {path}" in refused.stderr


def test_a_platform_that_is_away_is_named(terminal: Terminal, monkeypatch: Any) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setattr("provenance.client.api._ATTEMPTS", 1)
    gone = terminal.run("party", "list", "--url", "http://127.0.0.1:9", status=1)
    assert "http://127.0.0.1:9/api/v1/parties" in gone.stderr
