"""The corpus of bundles as files: `python -m tests.support.bundle_corpus` writes it anew.

    tests/vectors/bundles/<case>.json     the bundle's bytes
    tests/vectors/bundles/policy.txt      the reader's policy; <case>.policy.txt where it is another
    tests/vectors/bundles/<case>.known.json  what the reader has from elsewhere, if anything
    tests/vectors/bundles/cases.json      what each case is judged with, and what must come of it
    tests/vectors/bundles/verdicts.json   the whole verdict of each, both verifiers' bytes

A committed file changes only when a format does: then every verifier out there changes too.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from merkle.policy import Policy
from provenance.verify import parse_known, verify_bundle
from tests.support.bundle_forgeries import FORGERIES
from tests.support.bundle_stories import Made
from tests.support.bundles import policy_text
from tests.support.mldsa import keep_used
from tests.support.stories import STORIES

DIRECTORY = Path(__file__).resolve().parents[1] / "vectors" / "bundles"
USUAL_POLICY = policy_text()


@cache
def all_cases() -> dict[str, Made]:
    """Every case by name, in a fixed order."""
    built = {**STORIES, **FORGERIES}
    return {name: built[name]() for name in sorted(built)}


def judge(made: Made) -> bytes:
    """The verdict's bytes by the Python verifier."""
    policy = Policy.parse(made.policy or USUAL_POLICY)
    known = parse_known(encode_known(made))
    verdict = verify_bundle(made.data, policy, now=made.now, max_age=made.max_age, known=known)
    return verdict.encode()


def encode_known(made: Made) -> bytes:
    """What the reader has from elsewhere, as the file of it."""
    return json.dumps(list(made.known)).encode() + b"\n"


def corpus_files() -> dict[str, bytes]:
    """Name and bytes of every file of the corpus."""
    cases = all_cases()
    files = {"policy.txt": USUAL_POLICY.encode()}
    for name, made in cases.items():
        files[f"{name}.json"] = made.data
        if made.policy is not None:
            files[f"{name}.policy.txt"] = made.policy.encode()
        if made.known:
            files[f"{name}.known.json"] = encode_known(made)
    files["cases.json"] = _lines([_entry(name, made) for name, made in cases.items()])
    verdicts = [
        {"file": f"{name}.json", "verdict": json.loads(judge(made))} for name, made in cases.items()
    ]
    files["verdicts.json"] = _lines(verdicts)
    return files


def _entry(name: str, made: Made) -> dict[str, Any]:
    policy = {} if made.policy is None else {"policy": f"{name}.policy.txt"}
    known = {"known": f"{name}.known.json"} if made.known else {}
    without = dict(zip(("record", "reason", "place"), made.without_mldsa or (), strict=False))
    return {
        "file": f"{name}.json",
        "now": made.now,
        "maxAge": made.max_age,
        **policy,
        **known,
        "record": made.record,
        "reason": made.reason,
        "place": made.place,
        **({"withoutMldsa": without} if without else {}),
    }


def _lines(entries: list[dict[str, Any]]) -> bytes:
    """A JSON array with one entry a line: differences can be read."""
    lines = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries)
    return f"[\n{lines}\n]\n".encode()


def write_corpus() -> int:
    """Write all files, remove what is no longer made; the number of cases."""
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    files = corpus_files()
    for old in DIRECTORY.iterdir():
        if old.name not in files:
            old.unlink()
    for name, data in files.items():
        (DIRECTORY / name).write_bytes(data)
    keep_used()
    return len(all_cases())


if __name__ == "__main__":
    print(f"{write_corpus()} cases in {DIRECTORY}")
