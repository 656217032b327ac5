"""What can be wrong with a key, a signature or a key file. All are refusals of what was given."""

from __future__ import annotations

from provenance.domain.errors import DomainError


class CryptoError(DomainError):
    """Base of this package's errors. Never an outage: nothing here waits for anybody."""


class InadmissibleKeyError(CryptoError):
    """32 bytes (or some other number) that may not stand as an Ed25519 public key, and why."""


class SignatureError(CryptoError):
    """A signature that does not verify under the strict rule, and why."""


class ProofError(SignatureError):
    """A Data Integrity proof that is not of our form, or does not belong to its document."""


class KeyFileError(CryptoError):
    """A private key file that is not there, is readable by others, or is not of our form."""
