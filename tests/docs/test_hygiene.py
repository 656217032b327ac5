"""No committed file names a machine's path or a package registry's address."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

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
