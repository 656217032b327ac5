"""Copies what a browser needs of @noble/ed25519 and @noble/hashes into static/vendor/noble.

Run by scripts/setup.sh after `npm ci`, which checked the packages against package-lock.json. What
is copied is not committed: the hashes in the lock file are the record of what it was. Layout, which
static/js/verify/engines.js (`nobleFrom`) relies on:

    static/vendor/noble/ed25519/index.js
    static/vendor/noble/hashes/sha2.js, and what it imports, by relative paths

Ends with a message and exit status 1 when a package is missing, has another version than
package.json says, or imports a file that the list below does not have.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
FILES = {
    "@noble/ed25519": ("index.js", "LICENSE"),
    "@noble/hashes": ("sha2.js", "_md.js", "_u64.js", "utils.js", "LICENSE"),
}
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)  # they show imports in their examples
_IMPORT = re.compile(r"^(?:import|export)\b[^;]*?\bfrom\s*[\"']([^\"']+)[\"']", re.MULTILINE)


def _stop(message: str) -> NoReturn:
    sys.exit(f"vendor_noble: {message}")


def _check(source: Path, name: str, wanted: str) -> None:
    manifest = source / "package.json"
    if not manifest.is_file():
        _stop(f"{name} is not installed; run: npm ci --ignore-scripts")
    found = json.loads(manifest.read_text())["version"]
    if found != wanted:
        _stop(f"{name}: expected {wanted}, found {found}; run: npm ci --ignore-scripts")
    known = {f"./{file}" for file in FILES[name]}
    for file in (file for file in FILES[name] if file.endswith(".js")):
        for imported in _IMPORT.findall(_COMMENT.sub("", (source / file).read_text())):
            if imported not in known:
                _stop(f"{name}/{file} imports {imported}; add it to FILES in {__file__}")


def main() -> None:
    """Check all, then copy all."""
    wanted = json.loads((ROOT / "package.json").read_text())["dependencies"]
    for name in FILES:
        _check(ROOT / "node_modules" / name, name, wanted[name])
    for name, files in FILES.items():
        target = ROOT / "static" / "vendor" / "noble" / name.removeprefix("@noble/")
        target.mkdir(parents=True, exist_ok=True)
        for file in files:
            shutil.copyfile(ROOT / "node_modules" / name / file, target / file)


if __name__ == "__main__":
    main()
