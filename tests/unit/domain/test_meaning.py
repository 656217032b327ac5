"""What a witness's key means, as text: there and back, and never a checkpoint."""

from __future__ import annotations

import pytest

from merkle.checkpoint import parse_extended_checkpoint
from merkle.errors import MerkleError
from merkle.note import KIND_COSIGNATURE, VerifierKey
from provenance.domain.meaning import KINDS, MalformedMeaningError, Meaning, parse_meaning

NAME = "witness.example/w1"
KEY = VerifierKey.parse("witness.example/w1+3534bab8+BKw+i4N7WzZeaLkDr6y70dRH/kqLQifWC7zzvpmK6Htk")
OTHER = VerifierKey.make(NAME, KIND_COSIGNATURE, b"\x07" * 32)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("keys", [(KEY,), (KEY, OTHER)])
def test_meanings_go_there_and_back(kind, keys) -> None:
    meaning = Meaning(NAME, kind, keys)
    assert parse_meaning(meaning.format()) == meaning
    assert meaning.in_words


def test_the_text_is_that_of_the_document() -> None:
    assert Meaning(NAME, "map", (KEY,)).format() == (
        f"prov/witness-meaning/v1\n{NAME}\nmap\n{KEY.format()}\n"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_no_meaning_is_a_checkpoint(kind) -> None:
    with pytest.raises(MerkleError):
        parse_extended_checkpoint(Meaning(NAME, kind, (KEY,)).format())


def test_a_name_of_digits_could_be_taken_for_a_size() -> None:
    digits = VerifierKey.make("12345", KIND_COSIGNATURE, b"\x07" * 32)
    with pytest.raises(MalformedMeaningError, match="digits alone"):
        Meaning("12345", "plain", (digits,))


def test_a_meaning_has_keys_of_its_own_name() -> None:
    with pytest.raises(MalformedMeaningError):
        Meaning(NAME, "plain", ())
    with pytest.raises(MalformedMeaningError):
        Meaning("another.example", "plain", (KEY,))


GOOD = Meaning(NAME, "plain", (KEY,)).format()


@pytest.mark.parametrize(
    "text",
    [
        "",
        GOOD[:-1],
        GOOD + "\n",
        GOOD + "more\n",
        GOOD.replace("v1", "v2"),
        GOOD.replace("plain", "Plain"),
        GOOD.replace("plain", "maps"),
        GOOD.replace("plain\n", ""),
        GOOD.replace(KEY.format() + "\n", ""),
        GOOD.replace(f"\n{NAME}\n", "\nanother.example\n"),
        GOOD.replace("3534bab8", "3534bab9"),
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(MalformedMeaningError):
        parse_meaning(text)
