"""A whole log with its operator and one brand, on each database product."""

from __future__ import annotations

from pathlib import Path

import pytest

from provenance.services.capture import Capture, Limits
from provenance.storage.session import Database
from tests.support.builders import ORIGIN, Actor, World, make_key
from tests.support.clock import FrozenClock
from tests.support.ledger import Ledger


@pytest.fixture
def ledger(database: Database, tmp_path: Path, clock: FrozenClock) -> Ledger:
    """Nothing signed yet."""
    return Ledger(database, tmp_path, clock)


@pytest.fixture
def world(ledger: Ledger) -> World:
    """Capture for that log; the operator is registered."""
    key = make_key("operator")
    return World(Capture(ledger.database, ORIGIN, key, ledger.clock, Limits()), ledger.clock)


@pytest.fixture
def brand(world: World) -> Actor:
    """A registered brand."""
    return world.party("brand")
