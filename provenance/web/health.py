"""Liveness and readiness, for whoever watches the workers.

`/livez`: the process answers. `/readyz`: the database is reachable, the log has been published, the
operator's key can be read, the stored tiles have the published root, the published checkpoint is
not older than a day (readers would refuse it), and nobody has shown that the log forked (they
refuse that too).

Whether the sequencer keeps up and the witnesses cosign is said in words beside it and makes nobody
unready: pages and proofs are served as well without, and a balancer that took every worker off the
air would make an outage of a delay. `provenance.services.readiness` looks, twice a second at most.
"""

from __future__ import annotations

from flask import Blueprint, Response

from merkle.cosignature import decode_cosignature
from merkle.errors import MerkleError
from merkle.note import parse_note
from provenance.domain.errors import Refusal, UnavailableError
from provenance.services.readiness import Look
from provenance.services.standing import Standing
from provenance.web import problems
from provenance.web.schemas import ReadinessSchema, answer, json_response
from provenance.web.services import platform

blueprint = Blueprint("health", __name__)

MAX_AGE_SECONDS = 86_400
MOST_BEHIND_SECONDS = 60
#: A line that is older than so many intervals at which cosignatures are asked for is old.
REFRESHES = 3


@blueprint.get("/livez")
def show_liveness() -> Response:
    """This process answers."""
    return json_response({"status": "live"})


@blueprint.get("/readyz")
def show_readiness() -> Response:
    """Size and age of the published checkpoint; 503 where readers could not be served."""
    try:
        found = platform().readiness.look()
    except Refusal:
        raise
    except Exception as error:
        problems.LOGGER.warning("not ready", exc_info=error)
        raise UnavailableError(
            "store-unavailable",
            "The store does not answer.",
            remedy="Look at the server's log; nothing that was acknowledged is lost.",
        ) from error
    age = _age(found.note)
    _require_servable(found, age)
    return answer(
        ReadinessSchema(),
        {
            "status": "ready",
            "size": found.size,
            "ageSeconds": age,
            "sequencer": _sequencer(found.standing),
            "witnesses": _witnesses(found.standing),
        },
    )


def _require_servable(found: Look, age: int) -> None:
    """Raises UnavailableError for what makes this worker useless to readers or senders."""
    if found.standing.forks:
        raise UnavailableError(
            "log-forked",
            "The key of this log signed two histories; nothing is published any more.",
            expected="no evidence of that",
            found=f"{found.standing.forks} pieces of evidence",
            remedy="See `provenance fork show`. Keep the pages up, so that readers are told: let "
            "a balancer ask /livez.",
        )
    if found.key_trouble is not None:
        problems.LOGGER.error("not ready: %s", found.key_trouble)
        raise UnavailableError(
            "key-unavailable",
            "This worker cannot read the key that signs receipts.",
            remedy="The server's log says what is wrong.",
        )
    if found.tail_trouble is not None:
        problems.LOGGER.error("not ready: %s", found.tail_trouble)
        raise UnavailableError(
            "tail-damaged",
            "The stored log does not fit its checkpoint.",
            remedy="The server's log says what is wrong; then run `provenance fsck`.",
        )
    if age > MAX_AGE_SECONDS:
        raise UnavailableError(
            "checkpoint-stale",
            "The published checkpoint is too old for readers.",
            expected=f"at most {MAX_AGE_SECONDS} seconds",
            found=f"{age} seconds",
            remedy="Start the sequencer; `provenance serve` runs one, and its log names the "
            "witnesses that do not answer.",
        )


def _sequencer(standing: Standing) -> str:
    """A word: is anybody publishing, and in time? A receipt promises a minute."""
    if standing.lease_left_s <= 0:
        return "absent"
    return "behind" if standing.oldest_unpublished_s > MOST_BEHIND_SECONDS else "current"


def _witnesses(standing: Standing) -> str:
    """A word: has every witness of the policy cosigned what readers see, not long ago?"""
    most = REFRESHES * platform().settings.cosign_refresh_s
    ages = standing.cosigned_s.values()
    return "fresh" if all(age is not None and age <= most for age in ages) else "old"


def _age(note: bytes) -> int:
    """Seconds since the checkpoint's time by our own clock: the time that readers go by, which is
    its quorum's (docs/formats.md step 10), and not that of our clock's fresh line beside old ones.

    Where the quorum is still to come, or none is asked for, the newest line's.
    """
    policy, times = platform().policy, {"": 0}
    for line in parse_note(note).signatures:
        witness = policy.witness_of(line)
        if witness is None:
            continue  # the log's own line
        try:
            seconds = decode_cosignature(line.signature).seconds
        except MerkleError:
            continue  # a kind that carries no time
        times[witness.name] = max(seconds, times.get(witness.name, 0))
    as_of = policy.latest_time(times) or max(times.values())
    return max(0, platform().clock() // 1000 - as_of)
