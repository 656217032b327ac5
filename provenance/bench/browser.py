"""The phone's verifier, timed in a real Chromium: static/js/verify as the page loads it.

Needs Playwright for Python and a Chromium (CHROMIUM, or one of the usual names on PATH);
:func:`verify_in_chromium` raises BrowserMissingError where either is not there. What is timed is
the verification alone: bundle and policy lie in memory, modules are loaded, the engine is chosen.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass

from provenance.bench.timing import Figure
from provenance.domain.errors import DomainError

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]

#: Runs in a page of the platform itself. Signatures alone: the same engine over one good signature.
_SCRIPT = """
async ([bundle, policy, now, rounds, signatures]) => {
  const verifier = await import('/static/js/verify/index.js');
  const { SELF_TEST } = await import('/static/js/verify/ed25519.js');
  const engine = await verifier.findEngine(verifier.nobleFrom('/static/vendor/noble/'));
  const bytes = new TextEncoder().encode(bundle);
  const { publicKey, message, signature } = SELF_TEST;
  const times = [], alone = [];
  let record = null;
  for (let round = -2; round < rounds; round += 1) {
    const start = performance.now();
    record = (await verifier.verifyBundle(bytes, policy, { now, engine })).record;
    const middle = performance.now();
    for (let i = 0; i < signatures; i += 1) await engine.verify(publicKey, message, signature);
    if (round >= 0) { times.push(middle - start); alone.push(performance.now() - middle); }
  }
  return { record, engine: engine.name, times, alone };
}
"""


class BrowserMissingError(DomainError):
    """No Playwright or no Chromium; the message says what to install."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds of each round: the verification, and as many signature checks by themselves."""

    verifying: Figure
    signatures: Figure


def find_browser() -> str:
    """The program to start; raises BrowserMissingError."""
    named = os.environ.get("CHROMIUM")
    found = shutil.which(named) if named else next(filter(None, map(shutil.which, NAMES)), None)
    if not found:
        raise BrowserMissingError(
            f"no Chromium on PATH ({', '.join(NAMES)}); install one, or name it with CHROMIUM=..."
        )
    return found


def verify_in_chromium(
    base_url: str, bundle: bytes, policy: str, *, now: int, rounds: int, signatures: int
) -> Timing:
    """Times `rounds` verifications, after two that do not count; `now` is POSIX seconds."""
    try:
        from playwright.sync_api import sync_playwright  # noqa: PLC0415  installed for tests only
    except ImportError as error:
        raise BrowserMissingError("no Playwright here (make test installs it)") from error
    executable = find_browser()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=_ARGUMENTS)
        try:
            page = browser.new_page()
            page.goto(base_url + "/")
            given = [bundle.decode(), policy, now, rounds, signatures]
            answer = page.evaluate(_SCRIPT, given)
        finally:
            browser.close()
    if answer["record"] != "verified":
        raise BrowserMissingError(f"Chromium says {answer['record']} of the benchmark's bundle")
    name = f"verify the passport of 12 events in Chromium ({answer['engine']})"
    return Timing(
        Figure(name, "ms", tuple(answer["times"])),
        Figure("signatures alone", "ms", tuple(answer["alone"])),
    )
