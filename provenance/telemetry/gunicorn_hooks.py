"""What gunicorn is told beside its command line (`--config python:provenance.telemetry.…`).

Its messages go where ours go, in the same form; its access log stays off, because the web edge
writes access lines that know the request's id and route, and gunicorn's would know its path.
"""

from __future__ import annotations

import logging
import os
from typing import Any

from gunicorn.glogging import Logger

from provenance.config import Settings
from provenance.telemetry import DIRECTORY_VARIABLE
from provenance.telemetry.logs import configure


class logger_class(Logger):  # type: ignore[misc]  # noqa: N801  the name of gunicorn's setting
    """gunicorn's logger without handlers of its own."""

    def setup(self, cfg: Any) -> None:
        """Also called when gunicorn reloads its configuration."""
        self.cfg = cfg
        self.loglevel = self.LOG_LEVELS.get(cfg.loglevel.lower(), logging.INFO)
        self._access_log_enabled = False
        configure(Settings.load(os.environ), "web")
        self.error_log.handlers.clear()
        self.error_log.propagate = True
        self.error_log.setLevel(self.loglevel)

    def log(self, lvl: int | str, msg: object, *args: Any, **kwargs: Any) -> None:
        """As all below: tells the place that called gunicorn's logger, not that logger itself."""
        level = self.LOG_LEVELS.get(lvl.lower(), logging.INFO) if isinstance(lvl, str) else lvl
        self.error_log.log(level, msg, *args, stacklevel=2, **kwargs)

    def critical(self, msg: object, *args: Any, **kwargs: Any) -> None:
        """See `log`."""
        self.error_log.critical(msg, *args, stacklevel=2, **kwargs)

    def error(self, msg: object, *args: Any, **kwargs: Any) -> None:
        """See `log`."""
        self.error_log.error(msg, *args, stacklevel=2, **kwargs)

    def warning(self, msg: object, *args: Any, **kwargs: Any) -> None:
        """See `log`."""
        self.error_log.warning(msg, *args, stacklevel=2, **kwargs)

    def info(self, msg: object, *args: Any, **kwargs: Any) -> None:
        """See `log`."""
        self.error_log.info(msg, *args, stacklevel=2, **kwargs)

    def debug(self, msg: object, *args: Any, **kwargs: Any) -> None:
        """See `log`."""
        self.error_log.debug(msg, *args, stacklevel=2, **kwargs)

    def exception(self, msg: object, *args: Any, **kwargs: Any) -> None:
        """See `log`."""
        self.error_log.exception(msg, *args, stacklevel=2, **kwargs)


def child_exit(_server: Any, worker: Any) -> None:
    """A worker has ended: what it was doing is no longer under way; what it counted stays."""
    if os.environ.get(DIRECTORY_VARIABLE):
        from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415  only if asked

        mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
