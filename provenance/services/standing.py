"""The ledger's standing as numbers that somebody can watch: queue, ages, sizes.

    storage.gauges (one snapshot) + the policy + the time  ->  Standing

Ages are seconds by our own clock, never negative: a time ahead of it counts as now. What is absent
stays absent (None, or no member in a mapping), so that "no cosignature" is not mistaken for an old
or a fresh one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from merkle.note import parse_note
from merkle.policy import Policy
from provenance.services.sequencing import LEASE
from provenance.services.witnessing import time_of
from provenance.storage import gauges
from provenance.storage.session import Database


@dataclass(frozen=True, slots=True)
class Standing:
    """Ages and times left in seconds, the rest are counts.

    `queue_…`: accepted and without an index. `oldest_unpublished_s`: age of the oldest upload that
    no reader can see yet, 0 when there is none. `published` and `signed` count log entries.
    `checkpoint_s`: since the published checkpoint was last cosigned by our clock and written, None
    before the first. `cosigned_s`: for each witness of the policy the age of its line on the
    published checkpoint, None where it has none. `lease_left_s`: 0 when nobody holds the lease;
    `lease_terms`: how often it changed hands. `anchored_s`: age of the newest anchor by kind, None
    while it is pending.
    """

    queue_uploads: int
    queue_links: int
    oldest_unpublished_s: float
    published: int
    signed: int
    subjects: int
    ignored: int
    checkpoint_s: float | None
    cosigned_s: Mapping[str, float | None]
    forks: int
    lease_left_s: float
    lease_terms: int
    anchored_s: Mapping[str, float | None]


def read_standing(
    database: Database,
    policy: Policy,
    clock: Callable[[], int],
    anchor_kinds: tuple[str, ...] = (),
) -> Standing:
    """How the ledger stands. `clock` gives milliseconds. Raises StoreUnavailableError."""
    with database.read() as connection:
        found = gauges.read_standing(connection, lease=LEASE, anchor_kinds=anchor_kinds)
    now = clock()

    def age(then: int | None) -> float | None:
        return None if then is None else max(0, now - then) / 1000

    publication, signed = found.publication, found.signed
    note = None if publication is None else publication.note
    return Standing(
        queue_uploads=found.queue.uploads,
        queue_links=found.queue.links,
        oldest_unpublished_s=age(found.queue.oldest_unpublished_at) or 0.0,
        published=0 if publication is None else publication.size,
        signed=0 if signed is None else signed.size,
        subjects=0 if signed is None else signed.subjects,
        ignored=0 if signed is None else signed.ignored,
        checkpoint_s=age(None if publication is None else publication.published_at),
        cosigned_s={name: age(time) for name, time in cosigned_at(policy, note).items()},
        forks=found.forks,
        lease_left_s=max(0, found.lease_expires_at - now) / 1000,
        lease_terms=found.lease_token,
        anchored_s={kind: age(time) for kind, time in found.anchored_at.items()},
    )


def cosigned_at(policy: Policy, note: bytes | None) -> dict[str, int | None]:
    """When each witness of `policy` says that it cosigned `note` (ms); None without a line.

    Lines are not verified here: what is published was verified before. Names that are no UTF-8
    are shown with replacement characters.
    """
    times: dict[str, int | None] = {witness.name: None for witness in policy.witnesses}
    for line in () if note is None else parse_note(note).signatures:
        witness = policy.witness_of(line)
        if witness is not None and (seconds := time_of(line)):
            times[witness.name] = max(seconds * 1000, times[witness.name] or 0)
    return {
        name.encode("utf-8", "surrogateescape").decode("utf-8", "replace"): time
        for name, time in times.items()
    }
