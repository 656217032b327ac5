"""What an operator sees of a running platform: metrics, log lines, traces.

Three modules that know nothing of each other, and know the outside libraries that services and web
must not know: :mod:`metrics` (Prometheus), :mod:`logs` (the standard library's logging),
:mod:`traces` (OpenTelemetry, imported only when asked for). :func:`begin` is called once by each
process of the platform, before anything else.
"""

from __future__ import annotations

import os
from typing import Final

from provenance.config import Settings
from provenance.domain.errors import DomainError
from provenance.services.observing import SILENT, Both, Observer
from provenance.telemetry.logs import configure

DIRECTORY_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
"""prometheus_client decides by it, when it is imported, whether numbers go into files."""


class TracesMissingError(DomainError):
    """Traces are wanted and OpenTelemetry is not installed."""


def begin(settings: Settings, process: str) -> Observer:
    """Arrange this process's log lines; its observer, as the settings want it.

    `process` is its part of the platform: web or sequencer.
    Metrics are counted where somebody collects them: in the children of `provenance serve`, which
    names the directory in the environment.
    """
    configure(settings, process)
    # Imported only where it is used: nobody else pays for it.
    observer = SILENT
    if settings.traces:
        observer = _traces(settings, process)
    if settings.metrics and os.environ.get(DIRECTORY_VARIABLE):
        from provenance.telemetry.metrics import Metrics  # noqa: PLC0415

        metrics = Metrics()
        observer = metrics if observer is SILENT else Both(metrics, observer)
    return observer


def _traces(settings: Settings, process: str) -> Observer:
    try:
        from provenance.telemetry.traces import Traces  # noqa: PLC0415
    except ImportError as error:
        raise TracesMissingError(
            f"PROVENANCE_TRACES is set, but {error.name} is not installed: run "
            ".venv/bin/pip install -e '.[traces]' in the checkout, or leave the setting empty"
        ) from error
    return Traces(settings.traces, process, tell_witnesses=settings.trace_witnesses == "on")
