"""What can go wrong in this package, and whose fault it is.

Every error that leaves the package is a :class:`MerkleError`. Three families stand below it:

- :class:`MalformedError`: bytes or text that are not of their format (whoever wrote them);
- :class:`VerificationError`: well-formed evidence that does not prove what it is said to prove;
- :class:`ArgumentError`: the caller asked for something that cannot be (an index outside the tree,
  a hash of the wrong length in a place where the program itself provides it).

Messages name the place, what was expected and what was found. An outage is none of these: whatever
an injected function (fetching a tile, say) raises passes through untouched.
"""

from __future__ import annotations


class MerkleError(Exception):
    """Base of every error that this package raises on purpose."""


class MalformedError(MerkleError):
    """Bytes or text that break the rules of their format."""


class VerificationError(MerkleError):
    """Well-formed evidence that does not prove the claim."""


class ArgumentError(MerkleError):
    """The caller's own values contradict each other; no outside data is to blame."""


class ProofError(VerificationError):
    """An inclusion or consistency proof that does not lead to the root, or is too long or short."""


class TilePathError(MalformedError):
    """Text that is no tile or entry bundle path of C2SP tlog-tiles."""


class TileError(MalformedError):
    """A tile or entry bundle without the length or framing that its address says."""


class NoteError(MalformedError):
    """Bytes that are no C2SP signed note, or text that cannot be made one."""


class VerifierKeyError(MalformedError):
    """Text that is no verifier key, or a key whose id does not fit its name and bytes."""


class NoteSignatureError(VerificationError):
    """A line under a known key whose signature is bad: the whole note is refused."""

    def __init__(self, name: str, key_id: bytes) -> None:
        super().__init__(
            f"the note's signature by {name} (key id {key_id.hex()}) does not verify; "
            "the text was changed, or the key is another one: fetch the note and the key again"
        )
        self.name = name
        self.key_id = key_id


class NoteUnverifiedError(VerificationError):
    """A note on which no line is by a known key."""


class CheckpointError(MalformedError):
    """Text that is no C2SP checkpoint."""


class CheckpointExtensionError(CheckpointError):
    """A checkpoint with extension lines, where none are accepted."""


class CosignatureError(MalformedError):
    """Signature bytes of a cosignature that are not of their form, or a time out of range."""


class WitnessFormError(MalformedError):
    """Bytes that are no request or answer of C2SP tlog-witness."""


class PolicyError(MalformedError):
    """A policy file that breaks a rule of C2SP tlog-policy; `line` counts from 1."""

    def __init__(self, line: int | None, expected: str, found: str, remedy: str) -> None:
        place = f"policy line {line}" if line is not None else "policy"
        super().__init__(f"{place}: expected {expected}, found {found}; {remedy}")
        self.line = line
        self.expected = expected
        self.found = found
        self.remedy = remedy


class ReceiptError(MalformedError):
    """Bytes that are no C2SP tlog-proof."""


class ReceiptVerificationError(VerificationError):
    """A well-formed tlog-proof whose checkpoint the policy does not accept."""


class MapProofError(VerificationError):
    """A map proof that is malformed or does not lead to the root.

    One class for both: a proof comes from one hand, and every fault in it has one consequence.
    """


class MapPageError(MalformedError):
    """A stored page of a map that is absent, or not the one whose hash is known."""
