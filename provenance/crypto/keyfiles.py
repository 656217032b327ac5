"""Files that keep a private key: one line of multibase text, readable by the owner alone.

A two-byte prefix (multicodec) tells what the secret bytes are, so that a key of one kind is never
taken for one of another. Which prefixes there are, and what a seed is good for, belongs to
:mod:`provenance.crypto.signing` and :mod:`provenance.crypto.mldsa`.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from provenance.crypto.errors import KeyFileError
from provenance.domain.multibase import MultibaseError, decode_multibase, encode_multibase


def write_key_file(path: Path, prefix: bytes, seed: bytes) -> None:
    """Write a secret of a kind. Never overwrites: a key that signed a log must not vanish.

    The file and its directory are on disk when this returns; a crash before that leaves no file or
    an incomplete one, which :func:`read_key_file` refuses. Raises KeyFileError if the file exists
    or cannot be written.
    """
    text = encode_multibase(prefix + seed) + "\n"
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise KeyFileError(f"cannot write the key file {path}: {error.strerror}") from error
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def read_key_file(path: Path, prefix: bytes, size: int, what: str) -> bytes:
    """The `size` secret bytes of a file that :func:`write_key_file` wrote with the same `prefix`.

    Raises KeyFileError if the file is missing, of another form or kind (`what` names the one that
    is expected), or open to group or others: then the remedy is ``chmod 600``, and a new key if
    somebody may have read it.
    """
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise KeyFileError(f"cannot read the key file {path}: {error}") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        found = stat.S_IMODE(mode)
        raise KeyFileError(
            f"the key file {path} is open to others (mode {found:04o}, expected 0600);"
            f" run: chmod 600 {path}"
        )
    try:
        data = decode_multibase(text.removesuffix("\n"), len(prefix) + size)
    except MultibaseError:
        # The error's text would show the file's first letters, which may be those of a key.
        raise KeyFileError(f"the key file {path} is not one line of multibase text") from None
    if not data.startswith(prefix):
        raise KeyFileError(f"the key file {path} does not hold {what}")
    return data[len(prefix) :]
