"""ML-DSA-44 as lines of notes need it: a yes or a no for any bytes."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from provenance.crypto.mldsa import is_available, verify_mldsa

KEY = MLDSA44PrivateKey.from_seed_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()
SIGNATURE = KEY.sign(b"a checkpoint")


def test_it_is_available_where_this_runs():
    assert is_available()


def test_a_signature_is_good_for_its_message_and_key_alone():
    assert verify_mldsa(PUBLIC, b"a checkpoint", SIGNATURE)
    assert not verify_mldsa(PUBLIC, b"another", SIGNATURE)
    other = MLDSA44PrivateKey.from_seed_bytes(bytes(32)).public_key().public_bytes_raw()
    assert not verify_mldsa(other, b"a checkpoint", SIGNATURE)


def test_a_signature_under_a_context_is_another_one():
    under = KEY.sign(b"a checkpoint", b"a context")
    assert not verify_mldsa(PUBLIC, b"a checkpoint", under)


@pytest.mark.parametrize("place", [0, 31, 32, 1_200, 2_335, 2_336, 2_419])
def test_any_flipped_bit_is_noticed(place):
    altered = bytearray(SIGNATURE)
    altered[place] ^= 1
    assert not verify_mldsa(PUBLIC, b"a checkpoint", bytes(altered))


@pytest.mark.parametrize(
    ("public", "signature"),
    [
        (b"", SIGNATURE),
        (PUBLIC[:-1], SIGNATURE),
        (PUBLIC + b"\0", SIGNATURE),
        (bytes(1_312), SIGNATURE),
        (PUBLIC, b""),
        (PUBLIC, SIGNATURE[:-1]),
        (PUBLIC, SIGNATURE + b"\0"),
        (PUBLIC, b"\xff" * 2_420),
    ],
)
def test_other_bytes_are_refused_and_never_an_error(public, signature):
    assert not verify_mldsa(public, b"a checkpoint", signature)
