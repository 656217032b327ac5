"""Tell a log of a checkpoint that was seen: it answers whether that is a state of its own.

Whoever holds two states that cannot both be sends each to the log: an honest operator whose key was
stolen learns of it so, stores the evidence and stops publishing (docs/formats.md section 8).

The answer of a log that is under suspicion is read with a bound, and only to be shown.
"""

from __future__ import annotations

from typing import Final

import urllib3

from provenance.client.errors import UnreachableError
from provenance.client.log_reader import check_log_url

PATH: Final = "/api/v1/log/checkpoints"
_MAX_ANSWER_BYTES: Final = 256 * 1024
_SECONDS: Final = 30.0


def report_checkpoint(url: str, note: str) -> tuple[int, str]:
    """POST the note to the platform at `url`; HTTP status and the answer's text, cut if long.

    Raises UnreachableError, and LogAddressError for what is no address.
    """
    address = check_log_url(url) + PATH
    timeout = urllib3.Timeout(connect=5.0, read=_SECONDS)
    with urllib3.PoolManager(retries=False, timeout=timeout) as pool:
        try:
            answer = pool.request(
                "POST",
                address,
                body=note.encode("utf-8", "surrogateescape"),
                headers={"Content-Type": "text/plain; charset=utf-8"},
                redirect=False,
                preload_content=False,
            )
            try:
                text = answer.read(_MAX_ANSWER_BYTES).decode("utf-8", "replace")
            finally:
                answer.close()
        except urllib3.exceptions.HTTPError as error:
            raise UnreachableError(f"{address}: {type(error).__name__}: {error}") from error
    return answer.status, text
