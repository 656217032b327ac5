"""A real Chromium, and a tiny server of static files on the loopback, for the tests in this folder.

The browser is the one named by CHROMIUM, else the first of the usual names on PATH.
Without one the tests are skipped on a desk and fail in CI: there a browser is part of the set-up.
"""

from __future__ import annotations

import functools
import mimetypes
import os
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.support.missing import missing

STATIC = Path(__file__).resolve().parents[2] / "static"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One worker has the browser: two would cost twice the memory and no less time."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.xdist_group("browser"))


def _find_browser() -> str:
    named = os.environ.get("CHROMIUM")
    found = shutil.which(named) if named else next(filter(None, map(shutil.which, NAMES)), None)
    if not found:
        missing(
            f"no browser: expected CHROMIUM or one of {', '.join(NAMES)} on PATH, found "
            f"{named or 'none of them'}; Debian: apt install chromium"
        )
    return found


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Headless Chromium."""
    executable = _find_browser()
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        yield running
        running.close()


class _StaticFiles(BaseHTTPRequestHandler):
    """`/static/…` from the checkout, and an empty page at `/` for modules to run in."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/":
            self._answer("text/html; charset=utf-8", b"<!doctype html><title>modules</title>")
            return
        file = (STATIC / path.removeprefix("/static/")).resolve()
        if STATIC in file.parents and file.is_file():
            kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
            self._answer(kind, file.read_bytes())
        else:
            self.send_error(404)

    def _answer(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the tests speak for themselves."""


@pytest.fixture(scope="session")
def static_server() -> Iterator[str]:
    """The server's base URL, without a slash at its end."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _StaticFiles)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="session")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """One profile for module tests; tests of pages open their own."""
    opened = browser.new_context()
    opened.set_default_timeout(30_000)
    yield opened
    opened.close()


class Modules:
    """Runs JavaScript against the modules of static/js/verify in the browser."""

    def __init__(self, page: Page) -> None:
        self._page = page

    def run(self, body: str, argument: Any = None, **names: str) -> Any:
        """The value that `body` returns; it sees `argument` and each module under its name.

        `names` maps a name in `body` to a module, as in ``json="json"``. Bytes travel as hex.
        """
        imports = "".join(
            f"const {name} = await import('/static/js/verify/{module}.js');"
            for name, module in names.items()
        )
        return self._page.evaluate(f"async (argument) => {{ {imports} {body} }}", argument)


@pytest.fixture(scope="session")
def modules(context: BrowserContext, static_server: str) -> Iterator[Modules]:
    """The verifier's modules, loaded by URL as a page would."""
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(static_server + "/")
    yield Modules(page)
    page.close()
    assert not errors


@functools.cache
def has_noble() -> bool:
    """Whether the set-up could copy noble into static/vendor."""
    return (STATIC / "vendor/noble/ed25519/index.js").is_file()


# Only a machine without npm may go without noble, and CI never: where npm is there and noble is
# not, the set-up is broken, and these tests say so by failing.
needs_noble = pytest.mark.skipif(
    not has_noble() and shutil.which("npm") is None and not os.environ.get("CI"),
    reason="npm was not there at set-up",
)

# Tests take the engine as a parameter and start their JavaScript with ENGINE.
ENGINES = ["webcrypto", pytest.param("noble", marks=needs_noble)]
ENGINE = """
const engine = argument.engine === 'noble'
    ? await engines.nobleEngine(engines.nobleFrom('/static/vendor/noble/'))
    : await engines.webCryptoEngine();
if (!engine || engine.name !== argument.engine) throw new Error('no engine ' + argument.engine);
"""
