"""Who may import whom (DESIGN.md, "Rooms"): read from the source, so that no arrow turns around."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

#: Room: what of ours it may import, and what of others beside the standard library.
ROOMS: dict[str, tuple[set[str], set[str]]] = {
    "merkle": ({"merkle"}, set()),
    "qr": ({"qr"}, {"qrcode"}),
    "provenance/domain": ({"merkle", "qr"}, {"rfc8785", "msgspec"}),
    "provenance/crypto": (
        {"merkle", "provenance.domain"},
        {"cryptography", "nacl", "cbor2", "rfc3161_client"},
    ),
    "provenance/verify": ({"merkle", "qr", "provenance.domain", "provenance.crypto"}, set()),
    "provenance/storage": (
        {"merkle", "provenance.domain"},
        {"sqlalchemy", "alembic", "psycopg", "boto3", "botocore"},
    ),
    "provenance/services": (
        {"merkle", "qr", *(f"provenance.{room}" for room in ("domain", "crypto", "storage"))}
        | {"provenance.verify"},  # the auditor judges as any reader does
        set(),
    ),
    "provenance/client": ({"merkle", "provenance.domain", "provenance.crypto"}, {"urllib3"}),
    "provenance/telemetry": (
        {"merkle", "provenance.config", "provenance.platform", "provenance.domain"}
        | {"provenance.services"},
        {"prometheus_client", "opentelemetry", "gunicorn", "msgspec"},
    ),
    "provenance/web": (
        {"merkle", "qr", "provenance.config", "provenance.platform"}
        | {f"provenance.{room}" for room in ("domain", "crypto", "verify", "services")},
        {"flask", "marshmallow", "apispec", "werkzeug", "markupsafe"},
    ),
}


def imports(path: Path) -> set[str]:
    """Modules that a file imports, absolute names."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module)
    return found


def is_allowed(module: str, room: str) -> bool:
    ours, others = ROOMS[room]
    own = room.replace("/", ".")
    top = module.partition(".")[0]
    if top in {"merkle", "qr", "provenance"}:
        return any(module == name or module.startswith(f"{name}.") for name in {own, *ours})
    return top in sys.stdlib_module_names or top in others


@pytest.mark.parametrize("room", ROOMS)
def test_arrows_point_one_way(room: str) -> None:
    files = sorted((ROOT / room).rglob("*.py"))
    assert files
    wrong = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in files
        for module in sorted(imports(path))
        if not is_allowed(module, room)
    ]
    assert not wrong


def test_only_the_renderer_imports_qrcode() -> None:
    users = {p.name for p in (ROOT / "qr").rglob("*.py") if any("qrcode" in m for m in imports(p))}
    assert users == {"render.py"}
