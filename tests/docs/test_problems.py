"""docs/problems.md lists exactly the codes that the source can answer with, and their statuses."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import provenance
from provenance.domain.errors import Refusal
from provenance.web import problems

ROOT = Path(__file__).resolve().parents[2]
SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
ROW = re.compile(r"^\| `([a-z0-9-]+)` \|(?: ([0-9, ]+) \|)?", re.M)
DOCUMENTED = {
    code: {int(text) for text in re.findall(r"\d+", statuses)}
    for code, statuses in ROW.findall((ROOT / "docs/problems.md").read_text("utf-8"))
}
#: Built from parts at run time: `f"too-many-{what}"`, codes handed on by name, the web layer's own.
BUILT = {"too-many-events", "too-many-links", "check-digit", "digital-link-malformed"}
READING = {"not-utf8", "too-deep", "not-json", "duplicate-key", "number-range", "lone-surrogate"}


def refusals() -> dict[str, type[Refusal]]:
    """Every class of refusal there is, by its name."""
    for module in pkgutil.walk_packages(provenance.__path__, "provenance."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    pending: list[type[Refusal]] = [Refusal]
    found: dict[str, type[Refusal]] = {}
    while pending:
        kind = pending.pop()
        found[kind.__name__] = kind
        pending += kind.__subclasses__()
    return found


def calls(kinds: dict[str, type[Refusal]]) -> Iterator[tuple[str, type[Refusal]]]:
    """(first argument, class) of each place where a refusal is made under a literal code."""
    for path in (ROOT / "provenance").rglob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and node.name in kinds:
                yield from _literals(node, kinds[node.name], "__init__")
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                kind = kinds.get(node.func.id)
                # A class with a code of its own takes something else as its first argument.
                if kind is not None and kind.__init__ is Refusal.__init__:
                    yield from _first(node, kind)


def _literals(node: ast.AST, kind: type[Refusal], name: str) -> Iterator[tuple[str, type[Refusal]]]:
    for inner in ast.walk(node):
        if isinstance(inner, ast.Call) and getattr(inner.func, "attr", "") == name:
            yield from _first(inner, kind)


def _first(call: ast.Call, kind: type[Refusal]) -> Iterator[tuple[str, type[Refusal]]]:
    value = call.args[0].value if call.args and isinstance(call.args[0], ast.Constant) else None
    if isinstance(value, str) and SLUG.fullmatch(value):
        yield value, kind


def party_codes() -> set[str]:
    """Party rules and key reasons are handed on by name inside one module."""
    source = (ROOT / "provenance/domain/party.py").read_text("utf-8")
    return set(re.findall(r'"((?:party|key)-[a-z-]+)"', source))


def test_every_code_of_the_source_is_documented_and_no_other() -> None:
    made = {code for code, _ in calls(refusals())}
    from_http = set(problems._HTTP_CODES.values())
    assert made | party_codes() | from_http | BUILT | READING == set(DOCUMENTED)


def test_each_status_is_the_one_that_the_class_gets() -> None:
    for code, kind in calls(refusals()):
        statuses = DOCUMENTED[code]
        if statuses and code != "internal":
            assert problems.status_of(kind.__new__(kind)) in statuses, code
    for status, code in problems._HTTP_CODES.items():
        assert status in DOCUMENTED[code]
    assert all(HTTPStatus(status) for statuses in DOCUMENTED.values() for status in statuses)
