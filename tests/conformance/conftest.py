"""The platform that software of others judges: one for all tests of test_outside_*."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.outside import Outside, installed
from tests.support.outside_ledger import OutsideLedger, outside_ledger


@pytest.fixture(scope="session")
def outside() -> Outside:
    """The tools; a skip with the reason, or a failure with CI set, where they are not."""
    return installed()


@pytest.fixture(scope="session")
def ledger(outside: Outside, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OutsideLedger]:
    """A running platform, witnessed by others, and all that it served."""
    with outside_ledger(outside, tmp_path_factory.mktemp("outside")) as grown:
        yield grown
