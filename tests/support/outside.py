"""Software of others that judges our output: where it is, how each program is asked.

`scripts/setup_outside.sh` puts it into ``.outside`` (git ignores it). Where it could not, the tests
that need it are skipped with the reason; with CI set they fail. Every tool runs as a process of its
own and sees nothing but files and addresses: none is imported here.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.missing import missing

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / ".outside"
TABLE = HOME / "table.txt"
PROGRAMS = ("judge", "fsck", "litewitness", "omniwitness")
SCRIPTS = ("aics-tlog", "aics-witness")
ORACLES = ROOT / "tests" / "conformance" / "outside_oracles.py"


@dataclass(frozen=True)
class Flip:
    """One bit of one served file: the byte at `offset` is xored with `mask`."""

    path: str
    offset: int
    mask: int

    def apply(self, data: bytes) -> bytes:
        """The file's bytes with the bit flipped."""
        changed = bytearray(data)
        changed[self.offset] ^= self.mask
        return bytes(changed)


@dataclass(frozen=True)
class Outside:
    """The installed tools."""

    def program(self, name: str) -> Path:
        """A Go program."""
        return HOME / "bin" / name

    def script(self, name: str) -> Path:
        """A command of the Python environment."""
        return HOME / "venv" / "bin" / name

    def judge(
        self, directory: Path, flips: Sequence[Flip] = ()
    ) -> tuple[dict[str, int], list[str]]:
        """x/mod, formats, torchwood: what they accepted, by kind; and why each flip was refused.

        An empty reason means that nobody noticed.
        """
        lines = "".join(f"{flip.path} {flip.offset} {flip.mask}\n" for flip in flips)
        done = run(self.program("judge"), "log", directory, given=lines)
        assert done.returncode == 0, done.stderr
        accepted, *answers = done.stdout.splitlines()
        assert len(answers) == len(flips)
        assert not any(answer.startswith("- ") for answer in answers), "a flip was not understood"
        return json.loads(accepted), ["" if answer == "-" else answer for answer in answers]

    def fsck(self, url: str, log_key: Path) -> tuple[bool, str]:
        """Tessera's fsck; it says so when a log is good, and exits with 0 in any case.

        At v1.0.4 a worker ends at the first difference and the one that feeds it waits for ever,
        so there are more workers than files.
        """
        done = run(
            *(
                self.program("fsck"),
                f"--storage_url={url}",
                f"--public_key={log_key}",
                "--ui=false",
                "--N=64",
            )
        )
        words = done.stdout + done.stderr
        return done.returncode == 0 and "Successfully fsck'd log" in words, words

    def oracle(self, name: str, **question: Any) -> Any:
        """A question to one of the Python packages (tests/conformance/outside_oracles.py)."""
        python = HOME / "venv" / "bin" / "python"
        done = run(python, ORACLES, name, given=json.dumps(question))
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


def run(*command: str | Path, given: str = "") -> subprocess.CompletedProcess[str]:
    """A program to its end, with text going in."""
    words = [str(word) for word in command]
    return subprocess.run(
        words, input=given, capture_output=True, text=True, timeout=300, check=False
    )


def installed() -> Outside:
    """The tools, or the end of the test: skipped where they could not be had, failed with CI."""
    lacking = [name for name in PROGRAMS if not (HOME / "bin" / name).exists()]
    lacking += [name for name in SCRIPTS if not (HOME / "venv" / "bin" / name).exists()]
    if lacking:
        missing(
            f"software of others is not set up ({', '.join(lacking)}): make setup-test says why"
        )
    return Outside()


@dataclass
class Catches:
    """Who noticed how many of the flipped bits that it was shown, by kind of file."""

    seen: dict[tuple[str, str], list[int]] = field(default_factory=dict)

    def add(self, judge: str, kind: str, answers: Iterable[bool]) -> None:
        """Count what one judge said of some flips."""
        caught = [bool(answer) for answer in answers]
        count = self.seen.setdefault((judge, kind), [0, 0])
        count[0] += sum(caught)
        count[1] += len(caught)

    def table(self) -> str:
        """A row for each judge, a column for each kind of file: caught / tried."""
        kinds = list(dict.fromkeys(kind for _, kind in self.seen))
        judges = list(dict.fromkeys(judge for judge, _ in self.seen))
        rows = [["flipped bits caught / tried", *kinds]]
        rows += [[judge, *(self._cell(judge, kind) for kind in kinds)] for judge in judges]
        widths = [max(len(row[column]) for row in rows) for column in range(len(kinds) + 1)]
        return "".join(
            "  ".join(
                cell.ljust(width) if not column else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            + "\n"
            for row in rows
        )

    def _cell(self, judge: str, kind: str) -> str:
        counts = self.seen.get((judge, kind))
        return "–" if counts is None else f"{counts[0]}/{counts[1]}"
