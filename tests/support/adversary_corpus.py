"""The lies as files: `python -m tests.support.adversary_corpus` writes them anew.

All in tests/vectors/adversary:

<lie>.json             the passport that the lying server hands out
<lie>.known.json       what the reader has from elsewhere, where it has anything
careful.policy.txt     a reader who asks for an outside witness that checks the map
operators.policy.txt   a reader who lets the operator vouch for itself
cases.json             each lie: told in a sentence, what it is judged with, and the verdict
README.md              the same for people
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from provenance.domain import canonical
from provenance.verify import parse_known, verify_bundle
from tests.support.lies import LIES, Lie
from tests.support.lying import OPERATORS_POLICY, READERS_POLICY, truth

DIRECTORY = Path(__file__).resolve().parents[1] / "vectors" / "adversary"
POLICIES = {"careful.policy.txt": READERS_POLICY, "operators.policy.txt": OPERATORS_POLICY}

README = """# A server that lies

Each file is what a lying server handed out for one product. Behind it stands an operator who owns
the log's key and its clock's, and really signs; the history that it lies about was made by the real
platform. `cases.json` says for each what the reader judges it with and what the verdict must be.
They are data for whoever writes a verifier: no code of ours is needed to use them.

    provenance verify {example}.json --policy careful.policy.txt --at {at}

- `policy`: `careful.policy.txt` asks for an outside witness that replays the map; it is the
  witness's *missing* line that shows many lies. `operators.policy.txt` lets the operator's own
  clock be enough.
- `known`: what the reader has from elsewhere: evidence of a fork, or a checkpoint seen before
  (docs/formats.md section 10).
- `at`: POSIX seconds at which it is judged; the greatest age is a day.
- `passesAlone`: a reader with `operators.policy.txt` and nothing from elsewhere *believes* this
  lie. No verifier can help there: every signature, proof and map is consistent. That is what
  outside witnesses are for, and why `provenance policy show` warns of such a policy.

What shows a lie is always one of these: the true checkpoint (its tree and its map), its age, the
outside witness that does not cosign, what the reader knows from elsewhere, or what the parties
themselves signed.

| lie | what is served | refused with | place | operator's policy alone |
|---|---|---|---|---|
"""


def policy_name(lie: Lie) -> str:
    """The file of a lie's policy."""
    return next(name for name, policy in POLICIES.items() if policy is lie.policy)


@cache
def adversary_files() -> dict[str, bytes]:
    """Name and bytes of every file."""
    files = {name: policy.format().encode() for name, policy in POLICIES.items()}
    cases = []
    for name, lie in sorted(LIES.items()):
        with truth() as told:
            served = lie.tell(told)
            at = told.now + served.later
        files[f"{name}.json"] = canonical.encode(served.passport.to_json())
        known = json.dumps(list(served.known)).encode() + b"\n"
        if served.known:
            files[f"{name}.known.json"] = known
        cases.append(_case(lie, at, files[f"{name}.json"], known))
    files["cases.json"] = _lines(cases)
    files["README.md"] = _readme(cases).encode()
    return files


def _case(lie: Lie, at: int, data: bytes, known: bytes) -> dict[str, Any]:
    """The entry of a lie; `verdict` is the whole one, `reason` and `place` are written by hand."""
    verdict = verify_bundle(data, lie.policy, now=at, known=parse_known(known))
    return {
        "lie": lie.name,
        "about": lie.about,
        "file": f"{lie.name}.json",
        "policy": policy_name(lie),
        **({"known": f"{lie.name}.known.json"} if known.strip() != b"[]" else {}),
        "at": at,
        "reason": lie.reason,
        "place": lie.place,
        "passesAlone": lie.passes_alone,
        "verdict": verdict.document,
    }


def _readme(cases: list[dict[str, Any]]) -> str:
    rows = [
        f"| `{c['lie']}` | {c['about']} | `{c['reason']}` | `{c['place']}` | "
        f"{'passes' if c['passesAlone'] else 'refused'} |"
        for c in cases
    ]
    first = next(c for c in cases if c["lie"] == "omits-the-last-event")
    head = README.replace("{example}", first["lie"]).replace("{at}", str(first["at"]))
    return head + "\n".join(rows) + "\n"


def _lines(entries: list[dict[str, Any]]) -> bytes:
    lines = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries)
    return f"[\n{lines}\n]\n".encode()


def write() -> int:
    """Write all files, remove what is no longer made; the number of lies."""
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    files = adversary_files()
    for old in DIRECTORY.iterdir():
        if old.name not in files:
            old.unlink()
    for name, data in files.items():
        (DIRECTORY / name).write_bytes(data)
    return len(LIES)


if __name__ == "__main__":
    print(f"{write()} lies in {DIRECTORY}")
