"""Party events as their parties send them: each takes effect, and each is refused to a stranger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from provenance.client.errors import ProblemError
from provenance.client.sealing import Signer
from provenance.crypto.signing import PrivateKey
from provenance.domain.moments import parse_ledger_time
from tests.support.served import Served


def party_of(served: Served, signer: Signer) -> dict[str, Any]:
    return served.api().party(signer.party)


def refused(code: str, act: Callable[[], object]) -> None:
    with pytest.raises(ProblemError) as caught:
        act()
    assert caught.value.code == code, str(caught.value)


def test_a_registration_names_the_party_and_its_first_key(served: Served) -> None:
    signer = Signer(served.origin, "https://mill.example", PrivateKey.generate())
    receipt = served.registrar().register(signer, {"en": "Mill", "zh": "磨坊"}, "platform")
    found = party_of(served, signer)
    assert found["name"] == {"en": "Mill", "zh": "磨坊"}
    assert found["rolesNow"] == []
    (record,) = found["keys"].values()
    assert list(found["keys"]) == [signer.key.public.multikey]
    assert (record["custody"], record["addedAt"]) == ("platform", receipt["accepted"])


def test_a_party_registers_once_and_under_its_own_key(served: Served) -> None:
    signer = served.party("once", role=None)
    desk = served.registrar()
    refused("party-registered-already", lambda: desk.register(signer, {"en": "Twice"}))
    stranger = replace(signer, party="https://twice.example")
    desk.register(stranger, {"en": "Another party may use the same key file"})


def test_roles_come_from_the_operator_alone(served: Served) -> None:
    signer = served.party("courier", role="logistics")
    assert party_of(served, signer)["rolesNow"] == ["logistics"]
    desk = served.registrar()
    refused("party-signer", lambda: desk.accredit(signer, signer.party, "brand"))
    refused("party-signer", lambda: desk.withdraw(signer, signer.party, "logistics"))
    desk.withdraw(served.operator, signer.party, "logistics")
    assert party_of(served, signer)["rolesNow"] == []
    refused("party-role-absent", lambda: desk.withdraw(served.operator, signer.party, "logistics"))


def test_an_accreditation_may_end_by_itself(served: Served) -> None:
    signer = served.party("seasonal", role=None)
    ended = parse_ledger_time("2020-01-01T00:00:00.000Z")
    served.registrar().accredit(served.operator, signer.party, "brand", until=ended)
    found = party_of(served, signer)
    assert found["rolesNow"] == []
    assert found["roles"][0]["validUntil"] == "2020-01-01T00:00:00.000Z"


def test_a_further_key_proves_its_possession(served: Served) -> None:
    signer, new = served.party("keyring"), PrivateKey.generate()
    desk = served.registrar()
    desk.add_key(signer, signer.party, new, "platform", until=4_000_000_000_000)
    record = party_of(served, signer)["keys"][new.public.multikey]
    assert (record["custody"], record["validUntil"]) == ("platform", "2096-10-02T07:06:40.000Z")
    refused("party-key-present", lambda: desk.add_key(signer, signer.party, new))


def test_a_key_added_for_one_party_cannot_be_added_to_another(served: Served) -> None:
    """The proof of possession names the party, so it cannot be carried over."""
    one, other, new = served.party("left"), served.party("right"), PrivateKey.generate()
    desk = served.registrar()
    event = desk._key_added(one, one.party, new, "party", None)
    refused(
        "party-key-possession",
        lambda: desk.send(other, [event | {"prov:party": other.party}]),
    )


def test_rotation_leaves_no_moment_without_a_key_and_none_with_the_old(served: Served) -> None:
    signer, new = served.party("rotating"), PrivateKey.generate()
    receipt = served.registrar().rotate_key(signer, new)
    keys = party_of(served, signer)["keys"]
    old = keys[signer.key.public.multikey]
    assert keys[new.public.multikey]["addedAt"] == old["revokedAt"] == receipt["accepted"]
    assert old["reason"] == "superseded"
    refused("key-revoked", lambda: served.registrar().rotate_key(signer, PrivateKey.generate()))
    served.registrar().rotate_key(replace(signer, key=new), PrivateKey.generate())


def test_a_lost_key_is_revoked_and_replaced_by_the_operator(served: Served) -> None:
    signer, new = served.party("forgetful"), PrivateKey.generate()
    desk = served.registrar()
    desk.revoke_key(served.operator, signer.party, signer.key.public.multikey, "lost")
    desk.add_key(served.operator, signer.party, new)
    keys = party_of(served, signer)["keys"]
    assert keys[signer.key.public.multikey]["reason"] == "lost"
    assert "revokedAt" not in keys[new.public.multikey]


def test_a_compromise_says_from_when_on(served: Served) -> None:
    signer = served.party("burgled")
    key = signer.key.public.multikey
    added = parse_ledger_time(party_of(served, signer)["keys"][key]["addedAt"])
    served.registrar().revoke_key(signer, signer.party, key, "compromised", since=added)
    record = party_of(served, signer)["keys"][key]
    assert parse_ledger_time(record["compromisedSince"]) == added


def test_a_compromise_in_the_future_is_refused(served: Served) -> None:
    signer = served.party("fortune-teller")
    key, far = signer.key.public.multikey, 4_000_000_000_000
    desk = served.registrar()
    refused(
        "party-compromised-since",
        lambda: desk.revoke_key(signer, signer.party, key, "compromised", since=far),
    )


def test_nobody_touches_the_keys_of_another_party(served: Served) -> None:
    victim, attacker = served.party("victim"), served.party("attacker")
    desk = served.registrar()
    key = victim.key.public.multikey
    refused("party-signer", lambda: desk.revoke_key(attacker, victim.party, key, "lost"))
    refused("party-signer", lambda: desk.add_key(attacker, victim.party, PrivateKey.generate()))


def test_all_parties_are_listed_page_after_page(served: Served) -> None:
    for number in range(3):
        served.party(f"listed-{number}", role=None)
    uris = [party["uri"] for party in served.api().parties()]
    assert uris == sorted(uris)
    assert {f"https://listed-{number}.example" for number in range(3)} < set(uris)
    assert served.operator.party in uris
