"""A capture service on each database product, with the operator registered, and an audit after."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from provenance.services.capture import Capture, Limits
from provenance.storage.session import Database
from tests.support.audit import audit
from tests.support.builders import ORIGIN, World, make_key
from tests.support.clock import FrozenClock

LIMITS = Limits(max_events=50, max_links=200)


@pytest.fixture
def capture(database: Database, clock: FrozenClock) -> Capture:
    """Capture with small limits, so that tests can reach them."""
    return Capture(database, ORIGIN, make_key("operator"), clock, LIMITS)


@pytest.fixture
def world(database: Database, capture: Capture, clock: FrozenClock) -> Iterator[World]:
    """A log with its operator. Whatever the test did, the rows fit together afterwards."""
    yield World(capture, clock)
    audit(database)
