"""The sequencer's process ends without a word at one of its writes; the next one finds the rest.

Not an exception that is caught on its way: the process is gone (`os._exit`), with a transaction
open where there was one, as after `kill -9`.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from provenance.services.capture import Capture, Limits
from provenance.services.checking import fsck
from provenance.storage import log
from provenance.storage.session import Database
from tests.support.builders import ORIGIN, World, item_event, make_key
from tests.support.ledger import SIGNER, Ledger

CHILD = """
import os, sys
from pathlib import Path
from provenance.storage.session import Database
from tests.faults import stores
from tests.support.ledger import Ledger

class Killer(stores.Breaker):
    def run(self, name, write):
        broken = self.break_now(name)
        if not broken or self.mode == "kept":
            write()
        if broken:
            os._exit(9)

url, root, at, mode, now = sys.argv[1:]
ledger = Ledger(Database.open(url), Path(root))
ledger.clock.now = int(now)
killer = Killer(int(at), mode)
ledger.sequencer(
    tiles=stores.FaultyTiles(ledger.tiles, killer),
    last_signed=stores.FaultyLastSigned(ledger.last_signed, killer),
    holder="killed",
).run_once()
"""


@pytest.mark.parametrize(
    ("at", "mode"), [(0, "lost"), (1, "kept"), (4, "kept"), (6, "lost"), (6, "kept"), (7, "kept")]
)
def test_the_log_goes_on_after_a_killed_sequencer(
    database: Database, tmp_path: Path, at: int, mode: str
) -> None:
    ledger = Ledger(database, tmp_path)
    capture = Capture(database, ORIGIN, make_key("operator"), ledger.clock, Limits())
    world = World(capture, ledger.clock)
    ledger.sequencer().run_once()
    upload = capture.submit_batch(world.party("brand").sealed([item_event(*range(300))])).upload_id
    ledger.clock.advance(60_000)
    url = database.url.render_as_string(hide_password=False)
    arguments = [url, str(tmp_path), str(at), mode, str(ledger.clock.now)]
    child = subprocess.run(
        [sys.executable, "-c", CHILD, *arguments],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert child.returncode == 9, child.stderr.decode()
    ledger.clock.advance(60_000)
    sequencer = ledger.sequencer(holder="next")
    assert sequencer.start()
    sequencer.run_once()
    with database.read() as connection:
        assert log.is_covered(connection, upload)
    report = fsck(database, ledger.tiles, ORIGIN, SIGNER.vkey, last_signed=ledger.last_signed)
    assert report.difference is None
    assert report.checked["links"] == 303
