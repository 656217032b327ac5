"""One small text from an address: bounded in time, whatever the pace of the sender."""

from __future__ import annotations

import time

import pytest

from provenance.client.fetching import FetchError, fetch
from tests.support.dripping import dripping


def test_a_sender_of_a_byte_now_and_then_meets_the_deadline() -> None:
    """Each byte comes within the time-out; all of them together do not."""
    with dripping() as url:
        started = time.monotonic()
        with pytest.raises(FetchError, match=r"not whole after 0\.5 seconds"):
            fetch(url, timeout_s=0.5)
        assert time.monotonic() - started < 3
