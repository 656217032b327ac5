"""What can go wrong with the store: it is away, somebody was faster, or it is not what we expect.

One base class, :class:`StorageError`. An outage is never a verdict: :class:`StoreUnavailableError`
is also a refusal of kind "unavailable" (HTTP 503), so that any caller which lets it pass tells the
reader "not now" and never "not so". Rows that contradict each other are
:class:`StoreInconsistentError`: our bug or somebody's hand in the database, and never an answer.
"""

from __future__ import annotations

from provenance.domain.errors import UnavailableError


class StorageError(Exception):
    """Base of every error that the storage package raises on purpose."""


class StoreUnavailableError(StorageError, UnavailableError):
    """The database could not be reached, was busy too long, or reported that a commit failed.

    Or the same of the tiles: a disk or an object store.

    Nothing was acknowledged. Whether a commit reported as failed was kept is unknown until asked
    again; every write of ours may therefore be repeated without harm.
    """

    def __init__(self, what: str, *, store: str = "the database") -> None:
        super().__init__(
            "store-unavailable",
            f"{store} did not do it: {what}",
            remedy="try again in a few seconds; repeating an upload never appends twice",
        )


class StoreConflictError(StorageError):
    """Another writer was faster (unique constraint, guard, deadlock). Rolled back; run it again."""


class StoreInconsistentError(StorageError):
    """Stored rows contradict each other; `provenance fsck` finds the first difference."""


class StoreUnusableError(StorageError):
    """A store can never do what is asked of it as things are; the message names the remedy."""


class SchemaError(StorageError):
    """The tables are missing, older or newer than this code; the message names the remedy."""
