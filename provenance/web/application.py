"""The WSGI application, put together."""

from __future__ import annotations

import posixpath
from pathlib import Path
from typing import TYPE_CHECKING

from flask import Flask, request

from provenance.domain.errors import NotFoundError
from provenance.web import (
    batches,
    bodies,
    compression,
    description,
    display,
    forks,
    headers,
    health,
    jobs,
    log,
    pages,
    parties,
    problems,
    receipts,
    resolver,
    seals,
    subjects,
    watching,
)
from provenance.web.passports import Passports
from provenance.web.slots import Slots

if TYPE_CHECKING:
    from provenance.platform import Platform

#: The phone's side lies beside the Python packages (DESIGN.md, "The parts").
STATIC = Path(__file__).resolve().parents[2] / "static"


def create_app(platform: Platform) -> Flask:
    """The application over one platform. Opens nothing: safe to call before workers fork."""
    app = Flask(__name__, static_folder=str(STATIC), static_url_path="/static")
    # A doubled slash or one at the end is a different address, not one to be repaired by a
    # redirect.
    app.url_map.merge_slashes = False
    app.url_map.converters["page"] = resolver.PageConverter
    app.url_map.strict_slashes = True
    app.config["MAX_CONTENT_LENGTH"] = None  # bodies.py limits while it reads
    app.config["SEND_FILE_MAX_AGE_DEFAULT"] = (
        None  # no-cache: modules of one version belong together
    )
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True
    app.jinja_env.filters["breakable"] = pages.breakable
    app.jinja_env.filters["drawn"] = display.drawn
    app.extensions["platform"] = platform
    app.extensions["passports"] = Passports(platform)
    app.extensions["slots"] = Slots(platform.settings.max_worker_uploads)
    watching.register(app)
    app.before_request(_refuse_odd_static)
    problems.register(app)
    # After-request functions run last first: headers see what compression is about to send.
    compression.register(app)
    headers.register(app)
    bodies.register(app, platform.settings.max_body_bytes)
    for part in (
        batches,
        jobs,
        parties,
        subjects,
        receipts,
        seals,
        log,
        forks,
        health,
        description,
        resolver,
    ):
        app.register_blueprint(part.blueprint)
    return app


def _refuse_odd_static() -> None:
    """A static file has one address: no `//`, no `.`, no slash at its end, and no hidden file."""
    if request.endpoint != "static":
        return
    name = str((request.view_args or {}).get("filename", ""))
    if name != posixpath.normpath(name) or any(part.startswith(".") for part in name.split("/")):
        raise NotFoundError("not-found", f"There is nothing at {request.path}.")
