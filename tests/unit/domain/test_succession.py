"""The text by which a log's key passes to the next: four lines, one spelling."""

import pytest

from merkle.note import KIND_COSIGNATURE, KIND_ED25519, VerifierKey
from provenance.domain.succession import MalformedSuccessionError, Succession, parse_succession

ORIGIN = "log.example/2026"
OLD, NEW = (VerifierKey.make(ORIGIN, KIND_ED25519, bytes([n]) * 32) for n in (1, 2))


def test_the_text_is_read_back():
    text = Succession(OLD, NEW).format()
    assert text == f"prov/log-key-succession/v1\n{ORIGIN}\n{OLD.format()}\n{NEW.format()}\n"
    assert parse_succession(text) == Succession(OLD, NEW)
    assert parse_succession(text).origin == ORIGIN


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n\n\n",
        Succession(OLD, NEW).format().removesuffix("\n"),
        Succession(OLD, NEW).format() + "\n",
        Succession(OLD, NEW).format().replace("/v1", "/v2"),
        Succession(OLD, NEW).format().replace(ORIGIN, "other.example/log", 1),
        Succession(OLD, NEW).format().replace(ORIGIN, "other.example/log"),
        Succession(OLD, NEW).format().replace("\n", "\r\n"),
    ],
)
def test_another_text_is_refused(text):
    with pytest.raises(MalformedSuccessionError):
        parse_succession(text)


def test_two_different_signing_keys_of_one_log_are_needed():
    foreign = VerifierKey.make("other.example/log", KIND_ED25519, bytes([3]) * 32)
    cosigner = VerifierKey.make(ORIGIN, KIND_COSIGNATURE, bytes([3]) * 32)
    for old, new in ((OLD, OLD), (OLD, foreign), (foreign, NEW), (OLD, cosigner), (cosigner, NEW)):
        with pytest.raises(MalformedSuccessionError):
            Succession(old, new)
