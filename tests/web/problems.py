"""The one shape check that every refused request of every test passes."""

from __future__ import annotations

import json
import re
from typing import Any

from werkzeug.test import TestResponse

MEMBERS = {
    "type": str,
    "title": str,
    "status": int,
    "detail": str,
    "line": int,
    "path": str,
    "expected": str,
    "found": str,
    "remedy": str,
    "violations": list,
}
INTERNALS = re.compile(r"Traceback|File \"|sqlalchemy|psycopg|sqlite3|/srv/|\.py\b", re.I)


def check_problem(response: TestResponse, status: int, code: str) -> dict[str, Any]:
    """Assert that `response` is a problem document of this status and code; the document."""
    text = response.get_data(as_text=True)
    assert response.status_code == status, text
    assert response.mimetype == "application/problem+json"
    document: dict[str, Any] = json.loads(text)
    assert document["type"] == f"/problems/{code}", text
    assert document["status"] == status
    for name in ("title", "detail"):
        assert document[name].strip(), f"{name} is empty"
    for name, value in document.items():
        assert isinstance(value, MEMBERS.get(name, object)), name
    for violation in document.get("violations", []):
        assert set(violation) == {"path", "expected", "found"}
    assert not INTERNALS.search(text), text
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    return document
