"""All bad bundles, a module for each group of checks of docs/formats.md section 10.

Each of the modules below registers its own in `FORGERIES` when it is imported.
"""

from __future__ import annotations

from tests.support import (
    forgeries_events,
    forgeries_form,
    forgeries_log,
    forgeries_outside,
    forgeries_signers,
)
from tests.support.forging import FORGERIES

__all__ = [
    "FORGERIES",
    "forgeries_events",
    "forgeries_form",
    "forgeries_log",
    "forgeries_outside",
    "forgeries_signers",
]
