"""What a witness's key means, believed only when the key itself has signed it.

Whoever writes a policy with a map-aware witness in it reads the witness's `/meaning` once, judges
it here under the very key that the policy will list, and knows what its cosignatures say. Left to
others: the text (`provenance.domain.meaning`), and whether the witness keeps its promise.
"""

from __future__ import annotations

from merkle.errors import MerkleError
from merkle.note import VerifierKey, open_note
from provenance.crypto.errors import CryptoError
from provenance.crypto.signing import note_verifier
from provenance.domain.errors import DomainError
from provenance.domain.meaning import MalformedMeaningError, Meaning, parse_meaning


class MeaningError(DomainError):
    """No meaning of this key: not signed by it, or not of it; the message says which."""


def verify_meaning(note: bytes, key: VerifierKey) -> Meaning:
    """The meaning that `key`, of kind 0x04, has signed for itself. Raises MeaningError."""
    try:
        meaning = parse_meaning(open_note(note, [note_verifier(key)]).text)
    except (MerkleError, CryptoError, MalformedMeaningError) as error:
        raise MeaningError(f"not what {key.name} says of its key: {error}") from error
    if key not in meaning.keys:
        raise MeaningError(f"{key.name} has signed what other keys mean, and not this one")
    return meaning
