"""What metrics and log lines cost a request, by themselves: processor time, in microseconds.

    .venv/bin/python scripts/watching_cost.py

Everything that one uploaded event is told to the observer, into the files of prometheus_client's
multiprocess mode, and the one line that is logged of it, into a file. Medians of 15 rounds of 2,000
calls. Whole requests vary by more than this from one to the next, so that the difference of two
runs of a platform shows it only on a machine that does nothing else.
"""

from __future__ import annotations

import logging
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from provenance.config import Settings
from provenance.services.observing import Exchange, RequestContext, request_context
from provenance.telemetry import DIRECTORY_VARIABLE
from provenance.telemetry.logs import configure
from provenance.web.watching import ACCESS, request_id

ROUNDS, TIMES = 15, 2_000
ROUTE = "/api/v1/events"


def microseconds(work: Callable[[], object]) -> float:
    """Processor time of one call: the median of several rounds."""
    rounds = []
    for _ in range(ROUNDS):
        start = time.process_time()
        for _ in range(TIMES):
            work()
        rounds.append((time.process_time() - start) / TIMES * 1e6)
    return statistics.median(rounds)


def main() -> None:
    folder = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))  # noqa: S108
    os.environ[DIRECTORY_VARIABLE] = str(folder)
    from provenance.telemetry.metrics import Metrics  # noqa: PLC0415  after the variable is set

    metrics = Metrics()
    context = RequestContext(request_id(None, None), "POST", ROUTE)
    exchange = Exchange("POST", ROUTE, 201, 0.003, 900)

    def told() -> None:
        with metrics.request(context, None):
            with metrics.step("admission"):
                pass
            with metrics.step("transaction"), metrics.step("append"):
                pass
            metrics.accepted(events=1, known=0, links=1)
            metrics.answered(exchange)

    with (folder / "lines").open("wb", buffering=0) as lines:
        configure(Settings(data=folder), "web", write=lines.write, is_terminal=False)
        request_context.set(context)
        extra = {"exchange": exchange, "client": "192.0.2.1"}
        for name, work in (
            ("metrics of one event", told),
            ("its log line", lambda: ACCESS.info("answered", extra=extra)),
            ("a request id", lambda: request_id(None, None)),
        ):
            print(f"{name:24}{microseconds(work):8.1f} µs")
    logging.shutdown()
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
