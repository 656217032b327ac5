"""What gunicorn is told beside its command line (`--config python:provenance.telemetry.…`)."""

from __future__ import annotations

import os
from typing import Any

from provenance.telemetry import DIRECTORY_VARIABLE


def child_exit(_server: Any, worker: Any) -> None:
    """A worker has ended: what it was doing is no longer under way; what it counted stays."""
    if os.environ.get(DIRECTORY_VARIABLE):
        from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415  only if asked

        mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
