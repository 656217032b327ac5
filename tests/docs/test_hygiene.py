"""No committed file names a machine's path or a package registry's address; CI skips nothing."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.missing import missing

ROOT = Path(__file__).resolve().parents[2]
REGISTRY = re.compile(
    r"--(?:extra-)?index-url|\"resolved\": *\"http|https?://[^ \"]*/simple/?(?:[\"\s]|$)|"
    r"registry *= *\"?https?:|source = \{ registry"
)
PATHS = re.compile(r"(?:^|[^A-Za-z0-9_.])/(?:work|home|root)/")


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name]


def test_no_registry_address_and_no_machine_path_is_committed() -> None:
    found = []
    for path in tracked():
        if path == Path(__file__) or not path.is_file():
            continue
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{path}: {match[0]!r}" for match in REGISTRY.finditer(text)]
        found += [f"{path}: {match[0]!r}" for match in PATHS.finditer(text)]
    assert not found


def test_what_a_machine_lacks_is_a_failure_in_ci() -> None:
    """Each skip at run time goes through tests/support/missing.py; CI must not skip a judge."""
    calling = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "tests").rglob("*.py")
        if "pytest.skip(" in path.read_text("utf-8") or "importorskip" in path.read_text("utf-8")
    ]
    assert sorted(calling) == ["tests/docs/test_hygiene.py", "tests/support/missing.py"]


def test_missing_skips_with_the_words_and_fails_where_ci_is_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no compiler"):
        missing("no compiler")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no compiler"):
        missing("no compiler")
