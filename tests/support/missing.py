"""What only some machines have: a test that needs it says so, and in CI it fails.

The one place that skips at run time (tests/docs/test_hygiene.py holds to it), so that no check by
software of others is ever left out of CI by a quiet skip.
"""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def missing(what: str) -> NoReturn:
    """Skips the test with these words; with CI set, fails it."""
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)
