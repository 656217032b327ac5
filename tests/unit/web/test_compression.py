"""Comments are left out of scripts on the way, and nothing else."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from provenance.web.compression import without_comments

SCRIPTS = sorted((Path(__file__).resolve().parents[3] / "static/js").rglob("*.js"))


def test_only_what_stands_on_lines_of_its_own() -> None:
    script = b"""/** a */
let x = '/** b */';
  /**
   * c
   */
call(); /** d */
  // e
end(); // f
"""
    assert (
        without_comments(script)
        == b"""let x = '/** b */';
call(); /** d */
end(); // f
"""
    )


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_what_is_left_out_of_our_scripts_is_comment(script: Path) -> None:
    text = script.read_text(encoding="utf-8")
    rest = iter(without_comments(text.encode()).decode().splitlines())
    wanted = next(rest, None)
    for line in text.splitlines():
        if line == wanted and not re.match(r"\s*(/\*\*|//|\*)", line):
            wanted = next(rest, None)
        else:
            assert re.match(r"\s*(/\*\*|//|\*(?:[ /]|$))", line), line
    assert wanted is None


def test_what_is_left_is_still_a_program(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node to parse with")
    for number, script in enumerate(SCRIPTS):
        copy = tmp_path / f"{number}.mjs"
        copy.write_bytes(without_comments(script.read_bytes()))
    copies = sorted(map(str, tmp_path.glob("*.mjs")))
    for start in range(0, len(copies), 8):
        for name in copies[start : start + 8]:
            done = subprocess.run([node, "--check", name], capture_output=True, check=False)
            assert done.returncode == 0, done.stderr.decode()
