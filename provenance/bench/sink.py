"""A WSGI application that reads what is sent and forgets it: the ceiling of HTTP alone."""

from __future__ import annotations

from flask import Flask, request

from provenance.web.bodies import split_lines

app = Flask(__name__)


@app.post("/<path:_>")
def take(_: str) -> str:
    """Read the body in lines, as an upload is read."""
    chunks = iter(lambda: request.stream.read(65_536), b"")
    return str(sum(1 for _line in split_lines(chunks, 65_536)))
