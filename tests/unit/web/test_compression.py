"""Comments are left out of scripts on the way, and nothing else."""

from __future__ import annotations

import gc
import re
import shutil
import subprocess
import warnings
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import create_environ

from provenance.web.compression import register, without_comments
from tests.support.missing import missing

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
        missing("no node to parse with: apt install nodejs npm")
    for number, script in enumerate(SCRIPTS):
        copy = tmp_path / f"{number}.mjs"
        copy.write_bytes(without_comments(script.read_bytes()))
    copies = sorted(map(str, tmp_path.glob("*.mjs")))
    for start in range(0, len(copies), 8):
        for name in copies[start : start + 8]:
            done = subprocess.run([node, "--check", name], capture_output=True, check=False)
            assert done.returncode == 0, done.stderr.decode()


def test_the_file_is_closed_even_where_the_server_never_closes_the_answer(tmp_path: Path) -> None:
    (tmp_path / "long.css").write_text("p { color: red }\n" * 200)
    app = Flask(__name__, static_folder=str(tmp_path), static_url_path="/static")
    register(app)
    environ = create_environ("/static/long.css", headers={"Accept-Encoding": "gzip"})
    heads: list[Any] = []
    for _ in ("read and compressed", "kept compressed"):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            list(app(dict(environ), lambda *head: heads.append(head)))
            gc.collect()
        assert [str(one.message) for one in caught] == []
    assert [dict(head[1])["Content-Encoding"] for head in heads] == ["gzip", "gzip"]
