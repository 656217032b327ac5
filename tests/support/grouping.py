"""Which tests share one worker of pytest-xdist (`--dist loadgroup`), since what they use is dear.

The mark `xdist_group` has no effect under pytest 9.2 with pytest-xdist 3.8: the plugin appends the
group to a private attribute that pytest no longer reads. So the scheduler is told by the path.
"""

from __future__ import annotations

from typing import Any

import pytest

GROUPS = {
    "tests/conformance/test_outside_": "outside",
    "tests/faults/test_replica": "replica",
}
"""By the beginning of a test's path: one running platform, its witnesses and its table; one pair of
PostgreSQL servers."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: Any, log: Any) -> Any:
    """The scheduler of `loadgroup`, with our groups in it; another one is left as it is."""
    if config.getvalue("dist") != "loadgroup":
        return None
    from xdist.scheduler import LoadGroupScheduling  # noqa: PLC0415  only where xdist is at work

    class Grouped(LoadGroupScheduling):
        def _split_scope(self, nodeid: str) -> str:
            for beginning, group in GROUPS.items():
                if nodeid.startswith(beginning):
                    return group
            return str(super()._split_scope(nodeid))

    return Grouped(config, log)
