"""Large uploads: whatever connections, platform and the program itself do, every event ends up
there once, with a receipt that fits, and nothing is sent again that has one."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, func, select

from provenance.client import batches as client_batches
from provenance.client.api import Api
from provenance.client.batches import Batch, exact_contents, find_batches, survey
from provenance.client.errors import ProblemError, ReceiptError, SealingError, UnreachableError
from provenance.client.keepsake import Keepsake, receipts_path, unfinished_path
from provenance.client.sealing import Signer, prepare, seal_events, sign_event
from provenance.client.transfer import Transfer, end_jobs
from provenance.client.upload import verify_receipt
from provenance.domain.party_events import operator_uri
from provenance.storage.tables import events, job_batches, job_pieces, jobs
from tests.support.served import Served, item, now, observed

_numbers = itertools.count()


@pytest.fixture(scope="module")
def brand(served: Served) -> Signer:
    return served.party("hauler")


def sealed(brand: Signer, *sizes: int) -> list[bytes]:
    """Batches of these sizes as bytes of a file."""
    made = []
    for size in sizes:
        document = observed(*(f"H{next(_numbers)}" for _ in range(size)))
        (batch,) = seal_events(
            prepare(document, random=os.urandom), brand, now=now(), random=os.urandom
        )
        made.append(b"".join(line + b"\n" for line in batch.lines()))
    return made


def own(brand: Signer, count: int) -> bytes:
    document = observed(*(f"H{next(_numbers)}" for _ in range(count)))
    prepared = prepare(document, random=os.urandom)
    return b"".join(sign_event(event, brand, now=now()) + b"\n" for event in prepared)


def written(folder: Path, *parts: bytes) -> Path:
    path = folder / "big.ndjson"
    path.write_bytes(b"".join(parts))
    return path


def transfer(served: Served, file: Path, **changes: Any) -> Transfer:
    given: dict[str, Any] = {"connections": 3, "segment_bytes": 3_000, "sleep": lambda _: None}
    return Transfer(served.api(), file, served.origin, **(given | changes))


def stored(served: Served) -> int:
    with served.platform.database.read() as connection:
        return int(connection.scalar(select(func.count()).select_from(events)) or 0)


def require_receipts(served: Served, file: Path) -> int:
    """Each batch's receipt stands in its place and fits; how many there are."""
    operator = served.api().party(operator_uri(served.origin))
    lines = receipts_path(file).read_bytes().splitlines()
    for batch, line in zip(find_batches(file), lines, strict=True):
        verify_receipt(json.loads(line), operator, exact_contents(file, batch))
    assert not unfinished_path(file).exists()
    return len(lines)


def sent_by(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of all appends from now on."""
    sizes: list[int] = []
    append = Api.append_to_job

    def counted(self: Api, job: str, offset: int, body: Any, size: int, **rest: Any) -> None:
        sizes.append(size)
        append(self, job, offset, body, size, **rest)

    monkeypatch.setattr(Api, "append_to_job", counted)
    return sizes


class TestWell:
    """Nothing goes wrong."""

    def test_a_file_of_many_batches_over_three_connections(
        self, served: Served, brand: Signer, tmp_path: Path
    ) -> None:
        file = written(tmp_path, *sealed(brand, *[3] * 12), own(brand, 4), *sealed(brand, 1))
        before, told = stored(served), []
        sending = transfer(served, file, advance=told.append)
        assert sending.run() == receipts_path(file)
        assert sum(told) == stored(served) - before == 41
        assert require_receipts(served, file) == 14
        assert sending.wait_until_published()
        bundle = json.loads(served.api().passport(item(f"H{next(_numbers) - 1}")))
        assert bundle["subjects"][0]["value"]["count"] == 1

    def test_again_sends_nothing(
        self, served: Served, brand: Signer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = written(tmp_path, *sealed(brand, 2, 2, 2))
        transfer(served, file).run()
        first, sizes, told = receipts_path(file).read_bytes(), sent_by(monkeypatch), []
        transfer(served, file, advance=told.append).run()
        assert (sizes, sum(told)) == ([], 6)
        assert receipts_path(file).read_bytes() == first

    def test_what_is_new_in_the_file_is_sent(
        self, served: Served, brand: Signer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one, two, three = sealed(brand, 2, 2, 2)
        transfer(served, written(tmp_path, one, two)).run()
        sizes = sent_by(monkeypatch)
        transfer(served, file := written(tmp_path, one, three)).run()
        assert sum(sizes) == len(three)
        assert require_receipts(served, file) == 2

    def test_own_proofs_are_cut_where_the_platform_cuts_them(
        self, served: Served, brand: Signer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(client_batches, "OWN_PROOFS", 3)
        monkeypatch.setattr("provenance.services.intake.OWN_PROOFS", 3)
        file = written(tmp_path, own(brand, 8), *sealed(brand, 2), own(brand, 2))
        transfer(served, file).run()
        assert require_receipts(served, file) == 5

    def test_lines_that_are_not_canonical_are_recognised_all_the_same(
        self, served: Served, brand: Signer, tmp_path: Path
    ) -> None:
        loose = [
            json.dumps(json.loads(line)).encode() + b"\r\n"
            for part in sealed(brand, 2, 1)
            for line in part.splitlines()
        ]
        file = written(tmp_path, *loose, b"\n \n")
        transfer(served, file).run()
        assert require_receipts(served, file) == 2


class TestTrouble:
    """Connections and platform."""

    @pytest.mark.parametrize(
        "plan",
        [
            ["busy", "well", "full", "busy", "well", "full"],
            ["lost"] * 6,
            ["well", "cut", "cut", "cut", "cut"],
            ["lost", "well", "cut", "full", "lost", "busy", "cut", "lost", "cut"],
        ],
    )
    def test_a_bad_network_loses_and_doubles_nothing(
        self, served: Served, brand: Signer, tmp_path: Path, plan: list[str]
    ) -> None:
        file = written(tmp_path, *sealed(brand, *[2] * 9))
        before, told = stored(served), []
        served.flaw.plan = list(plan)
        transfer(served, file, advance=told.append, connections=2).run()
        assert not served.flaw.plan
        assert sum(told) == stored(served) - before == 18
        assert require_receipts(served, file) == 9

    def test_the_platform_forgets_the_job(
        self, served: Served, brand: Signer, tmp_path: Path
    ) -> None:
        file = written(tmp_path, *sealed(brand, *[2] * 6))
        before, told = stored(served), []

        def forget(count: int) -> None:
            told.append(count)
            if len(told) == 3:
                with served.platform.database.write() as connection:
                    for table in (job_pieces, job_batches, jobs):
                        connection.execute(delete(table))

        transfer(served, file, advance=forget, connections=1).run()
        assert sum(told) == stored(served) - before == 12
        assert require_receipts(served, file) == 6

    def test_it_waits_as_long_as_it_was_asked_to(
        self, served: Served, brand: Signer, tmp_path: Path
    ) -> None:
        waits: list[float] = []
        served.flaw.plan = ["well", "full", "busy"]
        file = written(tmp_path, *sealed(brand, 1, 1))
        transfer(served, file, connections=1, sleep=waits.append).run()
        assert waits == [0.0, 0.0]

    def test_it_gives_up_when_nothing_moves(
        self, served: Served, brand: Signer, tmp_path: Path
    ) -> None:
        file = written(tmp_path, *sealed(brand, 1, 1))
        served.flaw.plan = ["busy"] * 1_000
        with pytest.raises(UnreachableError, match="run it again to go on"):
            transfer(served, file, connections=1).run()
        served.flaw.plan = []
        transfer(served, file).run()
        assert require_receipts(served, file) == 2


class TestKilled:
    """The program itself ends, and is started again."""

    @pytest.mark.parametrize("after", [1, 3, 5])
    def test_it_goes_on_behind_what_has_receipts(
        self,
        served: Served,
        brand: Signer,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        after: int,
    ) -> None:
        parts = sealed(brand, *[2] * 6)
        file = written(tmp_path, *parts)
        before, told = stored(served), []

        def killed(count: int) -> None:
            told.append(count)
            if len(told) == after:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            transfer(served, file, advance=killed, connections=1, segment_bytes=1).run()
        assert unfinished_path(file).exists()
        assert not receipts_path(file).exists()
        with unfinished_path(file).open("ab") as torn:
            torn.write(b'{"at":0,"receipt":{"v":')  # the machine went down as well
        sizes = sent_by(monkeypatch)
        transfer(served, file, connections=1).run()
        assert sum(sizes) == sum(map(len, parts[after:])), "nothing that had its receipt"
        assert stored(served) - before == 12
        assert require_receipts(served, file) == 6

    def test_its_job_is_ended_by_the_next_run_or_on_demand(
        self, served: Served, brand: Signer, tmp_path: Path
    ) -> None:
        file = written(tmp_path, *sealed(brand, 1, 1, 1))

        def killed(_: int) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            transfer(served, file, advance=killed, connections=1, segment_bytes=1).run()
        with Keepsake(file) as kept:
            (job,) = kept.jobs
        assert served.api().show_job(job)["state"] == "receiving"
        assert end_jobs(served.api(), file) == 1
        assert served.api().show_job(job)["state"] == "cancelled"
        transfer(served, file).run()
        assert end_jobs(served.api(), file) == 0
        assert require_receipts(served, file) == 3

    def test_a_receipt_that_does_not_fit_is_not_believed_because_it_lies_there(
        self, served: Served, brand: Signer, tmp_path: Path
    ) -> None:
        one, two = sealed(brand, 1, 1)
        transfer(served, file := written(tmp_path, one, two)).run()
        kept = receipts_path(file)
        kept.write_bytes(b"".join(reversed(kept.read_bytes().splitlines(keepends=True))))
        transfer(served, file).run()
        assert require_receipts(served, file) == 2


class TestRefusals:
    """What is final."""

    def test_a_refusal_names_the_files_line_and_what_came_before_has_receipts(
        self, served: Served, brand: Signer, tmp_path: Path
    ) -> None:
        parts = sealed(brand, 2, 2, 2, 2, 2)
        bad = parts[3].replace(b"inspecting", b"destroying", 1)
        file = written(tmp_path, *parts[:3], bad, parts[4])
        with pytest.raises(ProblemError) as caught:
            transfer(served, file, connections=1, segment_bytes=len(b"".join(parts[:2]))).run()
        assert caught.value.code == "seal-root-mismatch"
        assert caught.value.document["line"] == 10
        with Keepsake(file) as kept:
            found = [kept.receipt(batch) is not None for batch in find_batches(file)]
        assert found == [True, True, True, False, False]
        file.write_bytes(b"".join(parts))
        transfer(served, file).run()
        assert require_receipts(served, file) == 5

    def test_a_refusal_whose_answer_was_lost_is_told_all_the_same(
        self, served: Served, brand: Signer, tmp_path: Path
    ) -> None:
        one, two = sealed(brand, 1, 1)
        file = written(tmp_path, one, two.replace(b"inspecting", b"destroying", 1))
        served.flaw.plan = ["well", "lost"]
        with pytest.raises(ProblemError) as caught:
            transfer(served, file, connections=1).run()
        assert (caught.value.code, caught.value.document["line"]) == ("seal-root-mismatch", 3)

    @pytest.mark.parametrize(
        "change",
        [
            lambda _: [],
            lambda _: [b"{"],
            lambda lines: [lines[0].replace(b'"accepted":"2', b'"accepted":"3')],
        ],
    )
    def test_a_receipt_that_is_none_is_not_kept(
        self,
        served: Served,
        brand: Signer,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        change: Callable[[list[bytes]], list[bytes]],
    ) -> None:
        file = written(tmp_path, *sealed(brand, 1, 1))
        asked = Api.job_receipts
        monkeypatch.setattr(Api, "job_receipts", lambda *given: change(asked(*given)))
        with pytest.raises(ReceiptError):
            transfer(served, file, connections=1).run()
        with Keepsake(file) as kept:
            assert not any(kept.receipt(batch) for batch in find_batches(file))


class TestFiles:
    """What is no upload file is refused before anything is sent."""

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (lambda _: b"", "an empty file"),
            (lambda body: body[: body.rindex(b"\n", 0, -1) + 1], "is for 2 events, found 1"),
            (lambda body: body + b"\n" + body, "line 7 is empty"),
            (lambda body: body + b'{"type":"prov:Seal"}\n', "line 7"),
            (lambda body: body + b'{"type":"prov:Seal\n', "line 7"),
            (lambda _: b'{"type":"ObjectEvent"}\n', "expected a seal on line 1"),
        ],
    )
    def test_it_says_where(
        self, brand: Signer, tmp_path: Path, change: Callable[[bytes], bytes], words: str
    ) -> None:
        with pytest.raises(SealingError, match=words):
            survey(written(tmp_path, change(b"".join(sealed(brand, 2, 2)))))

    def test_an_outline_and_batches_that_cover_the_file(
        self, served: Served, brand: Signer, tmp_path: Path
    ) -> None:
        file = written(tmp_path, *sealed(brand, 2, 1), own(brand, 3))
        outline = survey(file)
        assert (outline.origin, outline.batches, outline.events) == (served.origin, 3, 6)
        found: list[Batch] = list(find_batches(file))
        assert [(batch.line, batch.lines) for batch in found] == [(1, 3), (4, 2), (6, 3)]
        assert [batch.start for batch in found[1:]] == [batch.end for batch in found[:-1]]
        assert found[-1].end == file.stat().st_size
