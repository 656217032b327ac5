"""Project Wycheproof's Ed25519 vectors: malformed, malleable and plain wrong signatures."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from provenance.crypto.signing import verify_ed25519


def test_all_151_verdicts_are_ours(shared: Path) -> None:
    suite = json.loads((shared / "vectors" / "wycheproof" / "ed25519_test.json").read_text())
    seen: Counter[str] = Counter()
    for group in suite["testGroups"]:
        key = bytes.fromhex(group["publicKey"]["pk"])
        for test in group["tests"]:
            message, signature = bytes.fromhex(test["msg"]), bytes.fromhex(test["sig"])
            good = verify_ed25519(key, message, signature)
            assert good == (test["result"] == "valid"), (test["tcId"], test["comment"])
            seen[test["result"]] += 1
    assert seen == {"valid": 88, "invalid": 63}
