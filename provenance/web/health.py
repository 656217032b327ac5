"""Liveness and readiness, for whoever watches the workers.

`/livez`: the process answers. `/readyz`: the database is reachable, the log has been published, and
the published checkpoint is not older than a day (readers would refuse it), and nobody has shown
that the log forked (they refuse that too).
"""

from __future__ import annotations

from flask import Blueprint, Response

from merkle.cosignature import decode_cosignature
from merkle.errors import MerkleError
from merkle.note import parse_note
from provenance.domain.errors import Refusal, UnavailableError
from provenance.web import problems
from provenance.web.schemas import ReadinessSchema, answer, json_response
from provenance.web.services import platform

blueprint = Blueprint("health", __name__)

MAX_AGE_SECONDS = 86_400


@blueprint.get("/livez")
def show_liveness() -> Response:
    """This process answers."""
    return json_response({"status": "live"})


@blueprint.get("/readyz")
def show_readiness() -> Response:
    """Size and age of the published checkpoint; 503 where readers could not be served."""
    try:
        size, note = platform().prover.published()
        age = _age(note)
        forks = platform().forks.count()
    except Refusal:
        raise
    except Exception as error:
        problems.LOGGER.warning("not ready", exc_info=error)
        raise UnavailableError(
            "store-unavailable",
            "The store does not answer.",
            remedy="Look at the server's log; nothing that was acknowledged is lost.",
        ) from error
    if forks:
        raise UnavailableError(
            "log-forked",
            "The key of this log signed two histories; nothing is published any more.",
            expected="no evidence of that",
            found=f"{forks} pieces of evidence",
            remedy="See `provenance fork show`. Keep the pages up, so that readers are told: let "
            "a balancer ask /livez.",
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
    return answer(ReadinessSchema(), {"status": "ready", "size": size, "ageSeconds": age})


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
