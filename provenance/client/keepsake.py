"""The receipts of a large upload, kept beside its file while it goes on.

    FILE.receipts.ndjson.part   while it goes on; what a later run finds done already
    FILE.receipts.ndjson        when every batch has its receipt: one a line, in the file's order

Each line of the unfinished file is JSON: ``{"at":<first byte of the batch>,"receipt":{…}}`` or
``{"job":"<path>"}``, a job that this upload has begun and perhaps not ended. A line that is not
whole (the machine went down) is the last one and is dropped. Nothing in it is believed because it
stands there: whoever goes on checks each receipt against the file again.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from provenance.client.batches import Batch
from provenance.client.errors import SealingError


def receipts_path(file: Path) -> Path:
    """Where the receipts of a finished large upload are kept."""
    return file.with_name(file.name + ".receipts.ndjson")


def unfinished_path(file: Path) -> Path:
    """Where they are kept until then."""
    return file.with_name(file.name + ".receipts.ndjson.part")


class Keepsake:
    """The unfinished receipts file, open for more; shared by threads."""

    def __init__(self, file: Path) -> None:
        """Opens it, with what an earlier run left in it."""
        self._target = receipts_path(file)
        self._path = unfinished_path(file)
        self._lock = threading.Lock()
        self._places: dict[int, tuple[int, int]] = {}  # batch -> where its receipt's line lies
        self.jobs: list[str] = []
        self._file = self._path.open("a+b")
        self._end = self._read()

    def __enter__(self) -> Keepsake:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def receipt(self, batch: Batch) -> bytes | None:
        """The receipt kept for the batch that begins there, or None."""
        with self._lock:
            place = self._places.get(batch.start)
            if place is None:
                return None
            self._file.seek(place[0])
            line = self._file.read(place[1])
        return _receipt_in(line)

    def keep(self, batch: Batch, receipt: bytes) -> None:
        """`receipt`: canonical JSON, checked. A later one for the same batch counts."""
        with self._lock:
            place = self._append(b'{"at":%d,"receipt":%b}\n' % (batch.start, receipt))
            self._places[batch.start] = place

    def keep_job(self, job: str) -> None:
        """A job was begun."""
        with self._lock:
            self._append(json.dumps({"job": job}).encode() + b"\n")
            self.jobs.append(job)

    def finish(self, batches: Iterable[Batch]) -> Path:
        """Every batch has its receipt: writes them in order, and the unfinished file goes.

        Raises SealingError if one is missing: the file changed under our hands.
        """
        finished = self._target.with_name(self._target.name + ".new")
        with finished.open("wb") as target:
            for batch in batches:
                receipt = self.receipt(batch)
                if receipt is None:
                    raise SealingError(f"{self._path}: no receipt for line {batch.line}")
                target.write(receipt + b"\n")
            target.flush()
            os.fsync(target.fileno())
        finished.rename(self._target)
        self._path.unlink()
        return self._target

    def _append(self, line: bytes) -> tuple[int, int]:
        self._file.write(line)  # opened for appending: always at the end
        self._file.flush()
        place = self._end, len(line)
        self._end += len(line)
        return place

    def _read(self) -> int:
        """Where the last whole line ends; what lies behind it is cut off."""
        self._file.seek(0)
        place = 0
        for line in self._file:
            if not line.endswith(b"\n"):
                break
            entry = _entry(line)
            if "job" in entry:
                self.jobs.append(str(entry["job"]))
            elif isinstance(at := entry.get("at"), int):
                self._places[at] = place, len(line)
            place += len(line)
        self._file.truncate(place)
        return place


def read_finished(file: Path, batches: Iterable[Batch]) -> Iterable[tuple[Batch, bytes]]:
    """Each batch with the receipt that an earlier run left for it; ends where one is missing."""
    path = receipts_path(file)
    if not path.exists():
        return
    with path.open("rb") as kept:
        for batch, line in zip(batches, kept, strict=False):
            yield batch, line.rstrip(b"\n")


def _entry(line: bytes) -> dict[str, object]:
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}


def _receipt_in(line: bytes) -> bytes:
    """The receipt's own bytes out of a line of ours."""
    return line[line.index(b',"receipt":') + len(b',"receipt":') : -2]
