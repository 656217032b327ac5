"""Builds static/verifier.html: the verifier as one file that works from a disk, without a network.

And static/js/passport.js: the passport page's script with all its modules in one file. Together
they compress to three quarters of what they take one by one, and a phone asks once for them
instead of forty times.

    python -m provenance.verifierpage        writes the file; a test proves that it is in step
    provenance build-verifier --policy FILE -o OWN.html     one with a policy pinned in it

The page's parts are in static/verifier (page.html with its places in double braces, page.css,
page.js and what it imports), the verifier itself in static/js/verify. Every module becomes a
function that is called once, in the order of the imports, so that what is shipped reads as it was
written: no bundler, no minifier, nothing between the source that was reviewed and the file that is
published but this page of code.

The content security policy of the file names the one script and the one style by their SHA-256 and
allows nothing else: no network, no further script, no form target.

Only the import and export forms that our modules use are understood; any other is an error here,
and not a page that breaks later.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path

STATIC = Path(__file__).resolve().parents[1] / "static"
ENTRY = "verifier/page.js"
TARGET = "verifier.html"
PASSPORT_ENTRY = "js/pages/passport.js"
PASSPORT_TARGET = "js/passport.js"
PINNED = "verifier/pinned.js"
_NOTHING_PINNED = "export const PINNED_POLICY = null;"

_IMPORT = re.compile(r"^import \{([^}]*)\} from '(\.[^']*)';\n", re.MULTILINE)
_PASSED_ON = re.compile(r"^export \{([^}]*)\} from '(\.[^']*)';\n", re.MULTILINE)
_EXPORT = re.compile(
    r"^export ((?:async )?function\*? |class |const )([A-Za-z_$][\w$]*)", re.MULTILINE
)
_LEFT_OVER = re.compile(r"^(?:import|export)\b.*", re.MULTILINE)
# What would end the script element early, or put its parser into another state.
_DANGEROUS = re.compile(r"</script|<!--|<script", re.IGNORECASE)


class VerifierPageError(Exception):
    """A module or the page's frame has a form that this builder does not understand."""


def build(static: Path = STATIC, policy: str | None = None) -> str:
    """The text of the whole page, the same for the same sources; `policy` is pinned in it."""
    script = "\n'use strict';\n" + _bundle(static, ENTRY) + "\n"
    if policy is not None:
        script = _pin(script, policy)
    style = "\n" + (static / "verifier/page.css").read_text(encoding="utf-8")
    if _DANGEROUS.search(script) or "</style" in style.lower():
        raise VerifierPageError("a source holds text that would end its element early")
    parts = {
        "script-hash": _csp_hash(script),
        "style-hash": _csp_hash(style),
        "script": script,
        "style": style,
    }
    frame = (static / "verifier/page.html").read_text(encoding="utf-8")
    missing = [name for name in parts if frame.count("{{" + name + "}}") != 1]
    if missing:
        raise VerifierPageError(f"page.html must have {{{{{missing[0]}}}}} exactly once")
    return re.sub(r"\{\{([a-z-]+)\}\}", lambda match: parts[match[1]], frame)


def build_passport_script(static: Path = STATIC) -> str:
    """The passport page's script and all that it imports, as one ES module."""
    return _bundle(static, PASSPORT_ENTRY) + "\n"


def write_passport_script(static: Path = STATIC) -> Path:
    """Write the passport page's script and say where it is."""
    target = static / PASSPORT_TARGET
    target.write_text(build_passport_script(static), encoding="utf-8")
    return target


def write(static: Path = STATIC, policy: str | None = None, target: Path | None = None) -> Path:
    """Write the page (static/verifier.html unless told) and say where it is."""
    target = target or static / TARGET
    target.write_text(build(static, policy), encoding="utf-8")
    return target


def _pin(script: str, policy: str) -> str:
    """The page's script with the policy's text in it; ``<`` escaped, so that it ends no element."""
    unexported = _NOTHING_PINNED.removeprefix("export ")
    if script.count(unexported) != 1:
        raise VerifierPageError(f"{PINNED} must have {_NOTHING_PINNED} exactly once")
    text = json.dumps(policy).replace("<", "\\u003c")
    return script.replace(unexported, f"const PINNED_POLICY = {text};")


def _csp_hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return "sha256-" + base64.b64encode(digest).decode("ascii")


def _bundle(static: Path, entry: str) -> str:
    """All modules that `entry` needs, each before the ones that import it."""
    done: dict[str, str] = {}
    _add(static, entry, done, ())
    return "\n".join(done.values())


def _add(static: Path, path: str, done: dict[str, str], importers: tuple[str, ...]) -> None:
    if path in importers:
        raise VerifierPageError(f"modules import each other in a circle: {[*importers, path]}")
    if path in done:
        return
    source = (static / path).read_text(encoding="utf-8")
    for match in [*_IMPORT.finditer(source), *_PASSED_ON.finditer(source)]:
        _add(static, _resolve(static, path, match[2]), done, (*importers, path))
    done[path] = _wrap(static, path, source)


def _resolve(static: Path, importer: str, imported: str) -> str:
    root = static.resolve()
    return (root / importer).parent.joinpath(imported).resolve().relative_to(root).as_posix()


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _variable(path: str) -> str:
    return "$" + re.sub(r"[^a-zA-Z0-9]+", "_", path.removesuffix(".js"))


def _wrap(static: Path, path: str, source: str) -> str:
    """One module as a constant that holds its exports."""
    exported: list[str] = []

    def imports(match: re.Match[str]) -> str:
        names = ", ".join(_names(match[1]))
        return f"const {{ {names} }} = {_variable(_resolve(static, path, match[2]))};\n"

    def passed_on(match: re.Match[str]) -> str:
        exported.extend(_names(match[1]))
        return imports(match)

    def export(match: re.Match[str]) -> str:
        exported.append(match[2])
        return match[1] + match[2]

    body = _PASSED_ON.sub(passed_on, _IMPORT.sub(imports, source))
    body = _EXPORT.sub(export, body)
    left_over = _LEFT_OVER.search(body)
    if left_over:
        raise VerifierPageError(f"{path}: not understood: {left_over[0].strip()}")
    return (
        f"// ---- {path}\nconst {_variable(path)} = (() => {{\n{body.rstrip()}\n\n"
        f"return {{ {', '.join(exported)} }};\n}})();\n"
    )


if __name__ == "__main__":
    print(write())
    print(write_passport_script())
