"""Bundles whose signers might not sign: steps 29 to 34 (authentic)."""

from __future__ import annotations

from hashlib import sha512

from provenance.crypto.small_order import ORDER
from provenance.domain import party_events
from provenance.domain.canonical import encode_base64
from provenance.domain.multibase import decode_multibase, encode_multibase, format_multikey
from tests.support.bundle_stories import (
    CASE,
    GTIN,
    ITEM,
    MILL,
    PALLET,
    cast,
    new_world,
    two_logs_apart,
)
from tests.support.bundles import (
    CONTEXT,
    DAY,
    MINUTE,
    OPERATOR,
    START,
    Actor,
    Json,
    Published,
    World,
    actor,
    make_key,
)
from tests.support.forging import lie, tampering

# --- authentic: steps 29 to 34 --------------------------------------------------------------------


@lie("seal-foreign-log", "seals[0]")
def seal_of_another_log(world: World) -> None:
    """Sealed for one log, replayed to another."""
    (mill,) = cast(world, mill="producer")
    world.seal(mill, world.make(ITEM), origin="elsewhere.example/log")


@lie("seal-foreign-log", "events[0]")
def own_proof_for_another_log(world: World) -> None:
    (mill,) = cast(world, mill="producer")
    world.sign(mill, world.make(ITEM), domain="elsewhere.example/log")


@lie("party-missing", "seals[0]")
def sealed_by_nobody_known(world: World) -> Json:
    cast(world, mill="producer")
    world.seal(actor("ghost"), world.make(ITEM))
    published = world.publish()
    return published.passport(ITEM, more=[MILL])


@tampering("party-missing", "seals[0]")
def party_left_out(_bundle: Json, published: Published) -> Json:
    return published.passport(ITEM, leave_out=[MILL])


@tampering("party-missing", "seals[3]")
def operator_left_out(_bundle: Json, published: Published) -> Json:
    """The accreditation in the mill's chain is the operator's."""
    return published.passport(ITEM, leave_out=[OPERATOR])


@lie("party-missing", OPERATOR)
def operator_left_out_and_not_missed(world: World) -> Json:
    """No event by the operator is here; without its history nobody is accredited."""
    mill = world.register(actor("mill"))
    world.seal(mill, world.make(ITEM))
    return world.publish().passport(ITEM, leave_out=[OPERATOR])


@tampering("seal-signature", "seals[0]")
def seal_changed_in_place(bundle: Json, published: Published) -> Json:
    """The log itself put another nonce into a seal."""
    world = new_world()
    (mill,) = cast(world, mill="producer")
    world.seal(mill, world.make(ITEM), change=lambda s: {**s, "nonce": encode_base64(bytes(16))})
    return world.publish().passport(ITEM)


def _small_order_forgery(seal: Json) -> Json:
    """A signature that the bare equation accepts for any message: A is the neutral point.

    S·B = R + h·A holds for every message once R = S·B, because h·A vanishes. R is an ordinary point
    (another key's), S its secret number: nothing but the rule on keys refuses this.
    """
    other = make_key("small order helper")
    digest = bytearray(sha512(other.seed).digest()[:32])
    digest[0] &= 248
    digest[31] = (digest[31] & 127) | 64
    scalar = int.from_bytes(digest, "little") % ORDER
    neutral = (1).to_bytes(32, "little")
    proof = {
        **seal["proof"],
        "verificationMethod": f"{seal['party']}#{format_multikey(neutral)}",
        "proofValue": encode_multibase(other.public.raw + scalar.to_bytes(32, "little")),
    }
    return {**seal, "proof": proof}


@lie("seal-signature", "seals[0]")
def small_order_key(world: World) -> None:
    (mill,) = cast(world, mill="producer")
    world.seal(mill, world.make(ITEM), change=_small_order_forgery)


def _with_larger_scalar(seal: Json) -> Json:
    """The same signature spelt with S + ℓ: the equation holds, RFC 8032 §5.1.7 refuses it."""
    signature = decode_multibase(seal["proof"]["proofValue"], 64)
    scalar = int.from_bytes(signature[32:], "little") + ORDER
    value = encode_multibase(signature[:32] + scalar.to_bytes(32, "little"))
    return {**seal, "proof": {**seal["proof"], "proofValue": value}}


@lie("seal-signature", "seals[0]")
def malleable_signature(world: World) -> None:
    (mill,) = cast(world, mill="producer")
    world.seal(mill, world.make(ITEM), change=_with_larger_scalar)


@lie("seal-signature", "events[0]")
def malleable_own_proof(world: World) -> None:
    (mill,) = cast(world, mill="producer")
    world.sign(mill, world.make(ITEM), change=_with_larger_scalar)


@lie("seal-signature", "seals[0]")
def seal_without_a_multikey(world: World) -> None:
    (mill,) = cast(world, mill="producer")

    def change(seal: Json) -> Json:
        method = f"{seal['party']}#key-1"
        return {**seal, "proof": {**seal["proof"], "verificationMethod": method}}

    world.seal(mill, world.make(ITEM), change=change)


@lie("event-malformed", "events[0]")
def own_proof_of_another_context(world: World) -> None:
    """The suite would allow contexts added after signing; what was signed must be what is read."""
    (mill,) = cast(world, mill="producer")
    more = [*CONTEXT, {"example": "https://example.org/"}]
    world.sign(mill, world.make(ITEM), change=lambda event: {**event, "@context": more})


@lie("key-unknown", "events[0]")
def key_unknown(world: World) -> None:
    (mill,) = cast(world, mill="producer")
    world.seal(mill.with_key("mill never added"), world.make(ITEM))


@lie("key-unknown", "events[0]")
def signer_is_no_party(world: World) -> None:
    """Its URI has a history, but not that of a party."""
    (mill,) = cast(world, mill="producer")
    ghost = actor("ghost")
    world.seal(mill, world.observe(ghost.uri))
    world.seal(ghost, world.make(ITEM))


@lie("key-revoked", "events[1]")
def key_revoked_before(world: World) -> None:
    (mill,) = cast(world, mill="producer")
    world.seal(mill, world.make(ITEM))
    world.seal(mill, world.key_revoked(mill))
    world.seal(mill, world.observe(ITEM))


@lie("key-expired", "events[1]")
def key_expired(world: World) -> None:
    until = START + DAY
    mill = world.register(actor("mill"), "producer", valid_until=until)
    world.seal(mill, world.make(ITEM), at=until)
    world.seal(mill, world.observe(ITEM), at=until + 1)


@lie("key-not-yet-valid", "events[0]")
def key_not_yet_valid(world: World) -> None:
    (mill,) = cast(world, mill="producer")
    new = mill.with_key("mill 2")
    world.seal(mill, world.key_added(mill, new, valid_from=START + DAY))
    world.seal(new, world.make(ITEM))


@lie("key-not-yet-valid", "events[0]")
def key_used_before_it_was_added(world: World) -> None:
    (mill,) = cast(world, mill="producer")
    new = mill.with_key("mill 2")
    world.seal(new, world.make(ITEM))
    world.seal(mill, world.key_added(mill, new))


@lie("party-not-accredited", "events[0]")
def not_accredited(world: World) -> None:
    mill = world.register(actor("mill"))
    world.seal(mill, world.make(ITEM))


@lie("party-not-accredited", "events[1]")
def accreditation_withdrawn(world: World) -> None:
    (mill,) = cast(world, mill="producer")
    world.seal(mill, world.make(ITEM))
    world.withdraw(mill, "producer")
    world.seal(mill, world.observe(ITEM))


@lie("party-not-accredited", "events[0]")
def accreditation_expired(world: World) -> None:
    mill = world.register(actor("mill"))
    world.accredit(mill, "producer", valid_until=world.clock + MINUTE)
    world.seal(mill, world.make(ITEM), at=world.clock + 1)


@lie("party-history", "subjects[1].links[3]")
def accreditation_taken_twice(world: World) -> None:
    """Withdrawn, and brought back by the log under the operator's old signature."""
    mill = world.register(actor("mill"))
    event = world.complete(party_events.party_accredited(mill.uri, role="producer"))
    (granted,) = world.seal(world.operator, event)
    world.withdraw(mill, "producer")
    world.append(mill.uri, granted.event.hash, granted.seal_hash, world.clock + MINUTE)
    world.seal(mill, world.make(ITEM), at=world.clock + 2 * MINUTE)


@lie("event-not-about-subject", "subjects[1].links[1]")
def accreditation_of_another_party(world: World) -> None:
    """The mall's accreditation, linked to the mill's chain."""
    mill, mall = world.register(actor("mill")), world.register(actor("mall"))
    event = party_events.party_accredited(mall.uri, role="producer")
    world.seal(world.operator, world.complete(event), also_on=[mill.uri])
    world.seal(mill, world.make(ITEM))


@lie("key-unknown", "subjects[2].links[1]")
def operators_uri_registered_by_a_rival(_world: World) -> Json:
    """Whoever stands first on the operator's chain is the operator; the true one cannot follow."""
    world = World()
    world.register(world.operator.with_key("rival"))
    world.accredit(world.operator, "producer")
    mill = world.register(actor("mill"))
    world.accredit(mill, "producer", by=world.operator.with_key("rival"))
    world.seal(mill, world.make(ITEM))
    return world.publish().passport(ITEM)


@lie("key-unknown", "events[0]")
def party_that_begins_with_a_number_sign(world: World) -> None:
    """Where its key's text begins in the verification method must be plain to both verifiers."""
    (mill,) = cast(world, mill="producer")
    world.seal(mill, world.observe("#ghost"))
    world.seal(Actor("#ghost", make_key("ghost")), world.make(ITEM))


@lie("party-history", "subjects[1].links[1]")
def accredited_by_itself(world: World) -> None:
    mill = world.register(actor("mill"))
    world.accredit(mill, "producer", by=mill)
    world.seal(mill, world.make(ITEM))


@lie("party-history", "subjects[1].links[0]")
def registered_by_another_key(world: World) -> None:
    mill = actor("mill")
    event = party_events.party_registered(mill.uri, name={"en": "M"}, key=mill.multikey)
    world.seal(mill.with_key("mill 2"), world.complete(event))
    world.accredit(mill, "producer")
    world.seal(mill, world.make(ITEM))


@lie("party-history", "subjects[1].links[2]")
def registered_twice(world: World) -> None:
    (mill,) = cast(world, mill="producer")
    world.register(mill)
    world.seal(mill, world.make(ITEM))


@lie("party-history", "subjects[1].links[1]")
def registered_into_a_history(world: World) -> None:
    """Something stood on the URI's chain before: a registration is the first link or none."""
    carrier, mill = *cast(world, carrier="logistics"), actor("mill")
    world.seal(carrier, world.observe(mill.uri))
    world.register(mill, "producer")
    world.seal(mill, world.make(ITEM))


@lie("party-history", "subjects[1].links[2]")
def key_added_without_possession(world: World) -> None:
    """Possession signed for another party."""
    (mill,) = cast(world, mill="producer")
    new = mill.with_key("mill 2")
    event = world.key_added(actor("mall"), new)
    world.seal(mill, {**event, "prov:party": mill.uri})
    world.seal(new, world.make(ITEM))


@lie("party-history", "subjects[1].links[2]")
def key_added_with_possession_for_another_log(world: World) -> None:
    """What the new key signed elsewhere does not bring it in here."""
    (mill,) = cast(world, mill="producer")
    new = mill.with_key("mill 2")
    elsewhere = World(origin="elsewhere.example/log").key_added(mill, new)
    world.seal(mill, {**elsewhere, "prov:nonce": world.nonce()})
    world.seal(new, world.make(ITEM))


@lie("party-history", "subjects[1].links[4]")
def revoked_key_added_again(world: World) -> None:
    (mill,) = cast(world, mill="producer")
    new = mill.with_key("mill 2")
    world.seal(mill, world.key_added(mill, new), world.key_revoked(mill))
    world.seal(new, world.key_added(mill, mill))
    world.seal(mill, world.make(ITEM))


@lie("party-history", "subjects[1].links[1]")
def operators_role_granted(world: World) -> None:
    mill = world.register(actor("mill"))
    world.accredit(mill, "operator")
    world.seal(mill, world.make(ITEM))


@lie("party-history", "subjects[1].links[2]")
def party_event_with_an_unknown_member(world: World) -> None:
    (mill,) = cast(world, mill="producer")
    world.seal(mill, {**world.key_revoked(mill), "prov:unless": "it suits us"})
    world.seal(mill, world.make(ITEM))


@lie("key-revoked", "subjects[1].links[3]")
def key_added_with_a_revoked_key(world: World) -> None:
    """A thief with the old key brings in a new one."""
    (mill,) = cast(world, mill="producer")
    new = mill.with_key("thief")
    world.seal(world.operator, world.key_revoked(mill, "compromised"))
    world.seal(mill, world.key_added(mill, new))
    world.seal(new, world.make(ITEM))


@lie("subject-missing", CASE)
def parent_left_out(world: World) -> Json:
    """What happened to the case while the item was inside is kept from the reader."""
    (mill,) = cast(world, mill="producer")
    world.seal(mill, world.make(ITEM), world.pack(CASE, ITEM))
    world.seal(mill, world.observe(CASE, disposition="damaged"))
    return world.publish().passport(ITEM, leave_out=[CASE])


@lie("subject-missing", PALLET)
def grandparent_left_out(world: World) -> Json:
    (mill,) = cast(world, mill="producer")
    world.seal(mill, world.make(ITEM), world.pack(CASE, ITEM), world.pack(PALLET, CASE))
    world.seal(mill, world.observe(PALLET, disposition="damaged"))
    return world.publish().passport(ITEM, leave_out=[PALLET])


@lie("subject-missing", f"{GTIN}/10/L7")
def lot_left_out(world: World) -> Json:
    (mill,) = cast(world, mill="producer")
    world.seal(mill, world.make(ITEM, ilmd={"cbvmda:lotNumber": "L7"}))
    return world.publish().passport(ITEM, leave_out=[f"{GTIN}/10/L7"])


@lie("log-unknown", "checkpoint")
def bundle_of_another_log(_world: World) -> Json:
    """Good in every way, but not of a log that the reader knows."""
    world = two_logs_apart()
    world.register(actor("mill"), "producer")
    world.seal(actor("mill"), world.make(ITEM))
    return world.publish().passport(ITEM)
