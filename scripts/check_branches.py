"""At least 95 % of branches covered in each of the packages that the project stands on.

Reads .coverage (through `coverage json`) and judges every package by itself: one well-covered
package must not pay for another. Run by `make test` after the tests.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

LEAST = 95.0
PACKAGES = ("merkle", "qr", "provenance/domain", "provenance/crypto", "provenance/verify")


def main() -> int:
    """Print a line a package; 1 if one of them lies below."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "coverage.json"
        command = [sys.executable, "-m", "coverage", "json", "--quiet", "-o", str(report)]
        subprocess.run(command, check=True)  # noqa: S603 -- our own interpreter and arguments
        files = json.loads(report.read_text("utf-8"))["files"]
    below = 0
    for package in PACKAGES:
        summaries = [entry["summary"] for name, entry in files.items() if _within(name, package)]
        total = sum(summary["num_branches"] for summary in summaries)
        covered = sum(summary["covered_branches"] for summary in summaries)
        share = 100 * covered / total if total else 0.0
        print(f"branches of {package}: {covered} of {total} = {share:.1f} % (least {LEAST} %)")
        below += share < LEAST
    return 1 if below else 0


def _within(name: str, package: str) -> bool:
    return Path(name).as_posix().startswith(f"{package}/")


if __name__ == "__main__":
    sys.exit(main())
