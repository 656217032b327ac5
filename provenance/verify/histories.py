"""Complete: for every subject, the map's word on it and exactly the links that the map names.

Steps 12 to 20 of docs/formats.md section 10. A subject's map value binds the number of its links,
the newest one's hash and the root over all; the links hang together by ``seq`` and ``prev``. So
nothing can be left out, put in or changed, at either end or between. An absent subject is *proved*
absent.
"""

from __future__ import annotations

from merkle.checkpoint import Checkpoint
from merkle.errors import MapProofError, ProofError
from merkle.keymap import verify_absence, verify_presence
from merkle.proofs import verify_inclusion
from merkle.tree import root_of
from provenance.domain.chain import Link, subject_key
from provenance.domain.ledger import map_value
from provenance.domain.passport import AbsentSubject, PresentSubject
from provenance.verify.refusal import RefusedError
from qr.errors import QrError
from qr.identifier import canonical_identifier


def verify_history(
    subject: PresentSubject | AbsentSubject, place: str, map_root: bytes, checkpoint: Checkpoint
) -> None:
    """Steps 12 to 20 for one subject at `place` (``subjects[i]``); raises RefusedError."""
    key = subject_key(subject.uri)
    if isinstance(subject, AbsentSubject):
        _verify_absence(subject, key, place, map_root)
        return
    _verify_presence(subject, key, place, map_root)
    hashes = _verify_links(subject.links, key, place)
    value = subject.value
    if len(hashes) != value.count:
        raise RefusedError("history-incomplete", place)
    if hashes[-1] != value.head or root_of(hashes) != value.root:
        raise RefusedError("history-altered", place)
    try:
        verify_inclusion(
            value.head, value.index, checkpoint.size, subject.inclusion, checkpoint.root
        )
    except ProofError as error:
        raise RefusedError("link-inclusion", place) from error


def _verify_absence(subject: AbsentSubject, key: bytes, place: str, map_root: bytes) -> None:
    """Histories stand under canonical identifiers: that another spelling has none says nothing."""
    if not _is_canonical(subject.uri):
        raise RefusedError("map-absence", place)
    try:
        verify_absence(map_root, key, subject.absence)
    except MapProofError as error:
        raise RefusedError("map-absence", place) from error


def _is_canonical(uri: str) -> bool:
    try:
        return canonical_identifier(uri) == uri
    except QrError:
        return False


def _verify_presence(subject: PresentSubject, key: bytes, place: str, map_root: bytes) -> None:
    value = subject.value
    bound = map_value(value.count, value.head, value.root, value.index)
    try:
        verify_presence(map_root, key, bound, subject.map)
    except MapProofError as error:
        raise RefusedError("map-presence", place) from error


def _verify_links(links: tuple[Link, ...], key: bytes, place: str) -> list[bytes]:
    """Steps 14 to 17 for each link; the links' hashes."""
    hashes: list[bytes] = []
    for seq, link in enumerate(links):
        where = f"{place}.links[{seq}]"
        if link.key != key:
            raise RefusedError("link-foreign", where)
        if link.seq != seq:
            raise RefusedError("link-order", where)
        if link.prev != (hashes[-1] if hashes else None):
            raise RefusedError("link-broken", where)
        if seq and link.time < links[seq - 1].time:
            raise RefusedError("link-time", where)
        hashes.append(link.hash)
    return hashes
