"""The state of a log as text: origin, size, root (C2SP tlog-checkpoint 1.0).

Wire form, the text of a signed note (`merkle.note`):

    <origin>
    <size: decimal, no leading zero>
    <base64 of the 32-byte root>

Rules: the origin is the name of the log's key, so it obeys the rules of key names. Extension lines
are legal in the format, but no tool audits them and ML-DSA signatures do not cover them:
:func:`parse_checkpoint` refuses them, :func:`parse_extended_checkpoint` hands them over apart.
Sizes reach 2^53 − 1, so that every reader, a browser too, holds them exactly.

Source: https://c2sp.org/tlog-checkpoint (1.0).
"""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass
from typing import Final

from merkle.errors import ArgumentError, CheckpointError, CheckpointExtensionError
from merkle.hashing import HASH_SIZE
from merkle.note import decode_strict_base64, is_key_name

MAX_SIZE: Final = 2**53 - 1

_SIZE = re.compile(r"0|[1-9][0-9]{0,15}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The log `origin` has `size` leaves and the 32-byte `root`; `ArgumentError` if it cannot."""

    origin: str
    size: int
    root: bytes

    def __post_init__(self) -> None:
        if not is_key_name(self.origin):
            raise ArgumentError(f"origin {self.origin[:60]!r} is empty or has a space or +")
        if not 0 <= self.size <= MAX_SIZE:
            raise ArgumentError(f"checkpoint size: expected 0..2^53-1, found {self.size}")
        if len(self.root) != HASH_SIZE:
            raise ArgumentError(f"checkpoint root: expected 32 bytes, found {len(self.root)}")

    def format(self) -> str:
        """The three lines, each with its newline."""
        return f"{self.origin}\n{self.size}\n{b64encode(self.root).decode('ascii')}\n"


def parse_checkpoint(text: str) -> Checkpoint:
    """Read a checkpoint of exactly three lines.

    Raises `CheckpointError`, and its subclass `CheckpointExtensionError` if lines follow.
    """
    checkpoint, extensions = parse_extended_checkpoint(text)
    if extensions:
        raise CheckpointExtensionError(
            f"checkpoint of {checkpoint.origin}: expected three lines, found the extension line "
            f"{extensions[0][:60]!r}"
        )
    return checkpoint


def parse_extended_checkpoint(text: str) -> tuple[Checkpoint, tuple[str, ...]]:
    """Read a checkpoint and its extension lines, without newlines; raises `CheckpointError`."""
    if not text.endswith("\n"):
        raise CheckpointError("checkpoint does not end in a newline")
    lines = text[:-1].split("\n")
    if len(lines) < 3:
        raise CheckpointError(
            f"checkpoint: expected origin, size and root, found {len(lines)} lines"
        )
    origin, size, root, *extensions = lines
    if not is_key_name(origin):
        raise CheckpointError(f"checkpoint origin {origin[:60]!r} is empty or has a space or +")
    if any(not line for line in extensions):
        raise CheckpointError("checkpoint has an empty extension line")
    checkpoint = Checkpoint(origin, _parse_size(size), _parse_root(root))
    return checkpoint, tuple(extensions)


def _parse_size(text: str) -> int:
    if not _SIZE.fullmatch(text) or int(text) > MAX_SIZE:
        raise CheckpointError(
            f"checkpoint size: expected a decimal number up to 2^53-1 without leading zero, "
            f"found {text[:60]!r}"
        )
    return int(text)


def _parse_root(text: str) -> bytes:
    try:
        root = decode_strict_base64(text)
    except ValueError as error:
        raise CheckpointError(f"checkpoint root: {error}") from error
    if len(root) != HASH_SIZE:
        raise CheckpointError(f"checkpoint root: expected 32 bytes, found {len(root)}")
    return root
