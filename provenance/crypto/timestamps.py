"""Time-stamp tokens (RFC 3161): an authority signs that it saw a digest at a time.

A token is believed under root certificates that somebody chose: status granted, chain and purpose
of the certificate, signature, digest; and, for who asked, the nonce of the question. A reader
verifies it again, against roots of its own. Whether a certificate was revoked is not asked: that
would need the authority's presence, now and for ever.

Sources: RFC 3161, RFC 5816. ASN.1 and signatures: rfc3161-client. HTTP: ``client.timestamp``.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from pathlib import Path
from typing import Final

from cryptography.x509 import Certificate, load_pem_x509_certificates
from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    TimeStampResponse,
    VerificationError,
    Verifier,
    VerifierBuilder,
    decode_timestamp_response,
)

from provenance.domain.anchoring import AnchorError

MAX_TOKEN_BYTES: Final = 32_768
"""Tokens take 1.5 to 7 kB; what is larger is no token of an authority that we would name."""

_GRANTED: Final = bytes.fromhex("3003020100")  # PKIStatusInfo with the status 0

Root = Certificate
"""A root certificate under which authorities are believed."""


def load_roots(path: Path) -> tuple[Root, ...]:
    """The root certificates of a PEM file; raises AnchorError."""
    try:
        return tuple(load_pem_x509_certificates(path.read_bytes()))
    except (OSError, ValueError) as error:
        raise AnchorError(f"{path} holds no root certificates in PEM: {error}") from error


class TimestampQuery:
    """One question to an authority: when did you see the SHA-256 of `text`? With a nonce."""

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._request = (
            TimestampRequestBuilder()
            .data(text)
            .hash_algorithm(HashAlgorithm.SHA256)
            .nonce(nonce=True)
            .cert_request(cert_request=True)
            .build()
        )

    def encode(self) -> bytes:
        """DER of a TimeStampReq."""
        return self._request.as_bytes()

    def verify(self, data: bytes, roots: Sequence[Root]) -> int:
        """The time (milliseconds) that this answer states; raises AnchorError as `verify_token`,
        and for an answer to another question."""
        builder = VerifierBuilder.from_request(self._request)
        return _judge(_decode(data), self._text, _with_roots(builder, roots))


def verify_token(data: bytes, text: bytes, roots: Sequence[Root]) -> int:
    """The time (milliseconds) at which an authority under `roots` saw the SHA-256 of `text`.

    `data` is the DER of a TimeStampResp or of its token alone. Raises AnchorError.
    """
    if not roots:
        raise AnchorError("no root certificate is given, so no authority can be believed")
    return _judge(_decode(data), text, _with_roots(VerifierBuilder(), roots))


def _with_roots(builder: VerifierBuilder, roots: Sequence[Root]) -> Verifier:
    for root in dict.fromkeys(roots):
        builder = builder.add_root_certificate(root)
    return builder.build()


def _judge(response: TimeStampResponse, text: bytes, verifier: Verifier) -> int:
    try:
        verifier.verify_message(response, text)
        moment = response.tst_info.gen_time
    except (VerificationError, ValueError) as error:
        raise AnchorError(f"the time-stamp token is not good: {error}") from error
    return int(moment.astimezone(UTC).timestamp() * 1000)


def _decode(data: bytes) -> TimeStampResponse:
    for candidate in (data, _sequence(_GRANTED + data)):
        try:
            return decode_timestamp_response(candidate)
        except ValueError:
            continue
    raise AnchorError(f"{len(data)} bytes that are no time-stamp response and no token")


def _sequence(content: bytes) -> bytes:
    """DER: a SEQUENCE around `content`."""
    if len(content) < 0x80:
        return b"\x30" + bytes([len(content)]) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return b"\x30" + bytes([0x80 | len(length)]) + length + content
