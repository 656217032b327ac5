"""A meaning counts when the key itself has signed it, of itself."""

from __future__ import annotations

import pytest

from merkle.note import Note, VerifierKey
from provenance.crypto.signing import Cosigner, NoteSigner, PrivateKey
from provenance.domain.meaning import Meaning
from provenance.verify.meanings import MeaningError, verify_meaning

NAME = "witness.example/w1"
COSIGNER = Cosigner(NAME, PrivateKey.from_seed(b"\x31" * 32))
OTHER = Cosigner(NAME, PrivateKey.from_seed(b"\x32" * 32))
MEANING = Meaning(NAME, "map", (COSIGNER.vkey,))


def note(text: str, *signers: Cosigner) -> bytes:
    lines = tuple(signer.cosign(text.encode(), 1_800_000_000) for signer in signers)
    return Note(text, lines).format()


def test_what_the_key_has_signed_of_itself_is_what_it_means() -> None:
    assert verify_meaning(note(MEANING.format(), COSIGNER), COSIGNER.vkey) == MEANING
    both = Meaning(NAME, "plain", (OTHER.vkey, COSIGNER.vkey))
    assert verify_meaning(note(both.format(), OTHER, COSIGNER), COSIGNER.vkey) == both


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (note(MEANING.format(), OTHER), "known key"),
        (note(MEANING.format(), COSIGNER).replace(b"\nmap\n", b"\nplain\n"), "does not verify"),
        (note(Meaning(NAME, "map", (OTHER.vkey,)).format(), COSIGNER), "other keys"),
        (note("log.example\n1\nx\n", COSIGNER), "expected prov/witness-meaning"),
        (b"", "empty line"),
    ],
)
def test_anything_else_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(MeaningError, match=reason):
        verify_meaning(data, COSIGNER.vkey)


def test_a_key_that_cannot_be_a_witness_has_no_meaning() -> None:
    log_key = NoteSigner(NAME, COSIGNER.key).vkey
    with pytest.raises(MeaningError):
        verify_meaning(note(MEANING.format(), COSIGNER), log_key)
    small = VerifierKey.make(NAME, 4, bytes([1]) + bytes(31))
    with pytest.raises(MeaningError, match="small order"):
        verify_meaning(note(MEANING.format(), COSIGNER), small)
