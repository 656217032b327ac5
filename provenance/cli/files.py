"""provenance seal, provenance upload: from an EPCIS file to a receipt."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click

from provenance.cli.options import (
    key_option,
    now_seconds,
    party_option,
    random_bytes,
    signer_for,
    url_option,
)
from provenance.cli.output import json_option, note, progress, result, spoken_errors
from provenance.client.api import Api
from provenance.client.batches import Outline, survey
from provenance.client.errors import SealingError
from provenance.client.sealing import (
    MAX_EVENTS,
    Concealment,
    SealedBatch,
    disclosures_path,
    prepare,
    seal_events,
    write_batch,
)
from provenance.client.transfer import PATIENCE, Transfer, end_jobs
from provenance.client.upload import Upload, send
from provenance.domain.documents import parse_document

MAX_DOCUMENT_BYTES = 256 * 2**20


def read_concealment(text: str) -> Concealment:
    """``PATH=role,role``: the JSON path of a member and the roles that may be shown it."""
    path, found, roles = text.rpartition("=")
    if not found or not path or not roles:
        raise click.BadParameter(f"expected PATH=role,role, found {text!r}", param_hint="--conceal")
    return Concealment(path, tuple(role.strip() for role in roles.split(",")))


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@party_option
@key_option
@url_option
@click.option("--output", "-o", type=click.Path(path_type=Path), help="Default: FILE with .ndjson.")
@click.option(
    "--conceal",
    multiple=True,
    metavar="PATH=ROLES",
    help="Conceal a member, name its readers: \"$['trade:declaredValue']=customs\". Repeatable.",
)
@click.option(
    "--batch",
    "most",
    type=click.IntRange(1, MAX_EVENTS),
    default=MAX_EVENTS,
    show_default=True,
    help="Events under one seal, at most; more make several files.",
)
@click.option(
    "--origin", default=None, help="The log's name, to seal without a network; else --url is asked."
)
@click.option(
    "--last-of-duplicates",
    "lenient",
    is_flag=True,
    help="Where a member stands twice in its object, take the last and say so; else refuse.",
)
@json_option
@spoken_errors
def seal(
    file: Path,
    party: str,
    key_path: Path,
    url: str,
    output: Path | None,
    conceal: tuple[str, ...],
    most: int,
    origin: str | None,
    lenient: bool,
    as_json: bool,
) -> None:
    """Validate the events of an EPCIS 2.0 JSON document and seal them with one signature."""
    signer = signer_for(Api(url), party, key_path, origin)
    document = parse_document(
        file.read_bytes(), max_bytes=MAX_DOCUMENT_BYTES, on_duplicate=_warner(file, lenient)
    )
    batches = seal_events(
        prepare(document, random=random_bytes),
        signer,
        now=now_seconds(),
        random=random_bytes,
        conceal=[read_concealment(text) for text in conceal],
        most=most,
    )
    names = _names(output or file.with_suffix(".ndjson"), len(batches))
    _write(batches, names)
    events = sum(len(batch.events) for batch in batches)
    concealed = sum(len(texts) for batch in batches for texts in batch.disclosures)
    result(
        {
            "files": [str(name) for name in names],
            "events": events,
            "concealed": concealed,
            "seals": [batch.seal_hash.hex() for batch in batches],
        },
        f"sealed {events} events into {', '.join(map(str, names))}",
        as_json,
    )


def _names(target: Path, count: int) -> list[Path]:
    if count == 1:
        return [target]
    return [target.with_suffix(f".{number}{target.suffix}") for number in range(1, count + 1)]


def _write(batches: Sequence[SealedBatch], names: Sequence[Path]) -> None:
    for name in names:
        if name.exists():
            # Sealed again, the same events get new nonces and would be recorded a second time.
            raise SealingError(
                f"{name} is there already. Uploading it again is harmless; sealing again would "
                "record the same events twice. To seal anew: remove it, or name another with -o"
            )
    for name, batch in zip(names, batches, strict=True):
        write_batch(batch, name)


def _warner(file: Path, lenient: bool) -> Callable[[str], None] | None:
    def warn(name: str) -> None:
        note(f"{file}: the member {name!r} stands twice in one object; the last one is sealed")

    return warn if lenient else None


@click.command()
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@url_option
@click.option("--wait", is_flag=True, help="Wait until a published checkpoint covers the events.")
@click.option(
    "--connections",
    type=click.IntRange(1, 16),
    default=4,
    show_default=True,
    help="How many to use at once.",
)
@click.option(
    "--cancel",
    is_flag=True,
    help="Send nothing: tell the platform that large uploads of these files end where they are.",
)
@json_option
@spoken_errors
def upload(
    files: tuple[Path, ...], url: str, wait: bool, connections: int, cancel: bool, as_json: bool
) -> None:
    """Upload sealed files; each receipt is checked and kept beside its file. Again is harmless.

    A file of several uploads one after the other (as `cat` makes it) goes in parts, over several
    connections, and goes on by itself after lost connections and restarts, and, when the command is
    given again, after it was ended here. What goes over different connections may be recorded in
    another order than it is given in; --connections 1 keeps the order.
    """
    api = Api(url)
    if cancel:
        ended = sum(end_jobs(api, file) for file in files)
        result({"ended": ended}, f"{ended} unfinished uploads ended", as_json)
        return
    outlines = [(file, survey(file)) for file in files]
    api.live()  # a wrong address is told at once; from here on restarts are waited for
    api = Api(url, attempts=PATIENCE)
    total = sum(outline.events for _, outline in outlines)
    with progress(total, files[0].name if len(files) == 1 else f"{len(files)} files") as advance:
        done = _upload_all(api, outlines, wait, connections, _one_at_a_time(advance))
    for entry in done:
        _note(entry)
    result({"uploads": done}, f"{total} events uploaded", as_json)


def _upload_all(
    api: Api,
    outlines: Sequence[tuple[Path, Outline]],
    wait: bool,
    connections: int,
    advance: Callable[[int], None],
) -> list[dict[str, Any]]:
    """Small files beside each other, then the large ones, each over all connections."""
    done: dict[Path, dict[str, Any]] = {}
    small = [file for file, outline in outlines if outline.batches == 1]
    with ThreadPoolExecutor(connections) as pool:
        try:
            entries = pool.map(lambda file: _upload_small(api, file, wait, advance), small)
            done |= zip(small, entries, strict=True)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    for file, outline in outlines:
        if outline.batches > 1:
            _require_no_disclosures(file)
            transfer = Transfer(api, file, outline.origin, connections=connections, advance=advance)
            entry = {"file": str(file), "receipt": str(transfer.run()), "events": outline.events}
            entry |= {"published": transfer.wait_until_published()} if wait else {}
            done[file] = entry
    return [done[file] for file, _ in outlines]


def _require_no_disclosures(file: Path) -> None:
    secret = disclosures_path(file)
    if secret.exists():
        raise SealingError(
            f"{secret} belongs to one batch, and {file} holds several: upload the files that "
            "`provenance seal` made, each with its disclosures beside it"
        )


def _upload_small(
    api: Api, file: Path, wait: bool, advance: Callable[[int], None]
) -> dict[str, Any]:
    posted = send(api, Upload(file), wait=wait, advance=advance)
    kept = file.with_name(file.name + ".receipt")
    kept.write_text(json.dumps(posted.receipt, indent=2) + "\n", "utf-8")
    entry = {"file": str(file), "receipt": str(kept), "events": len(posted.receipt["events"])}
    entry["accepted"] = posted.receipt["accepted"]
    return entry | ({"published": posted.published} if wait else {})


def _note(entry: dict[str, Any]) -> None:
    when = f" {entry['accepted']}" if "accepted" in entry else ""
    note(f"{entry['file']}: {entry['events']} events accepted{when}, receipt in {entry['receipt']}")
    if entry.get("published") is False:
        note(
            f"{entry['file']}: not in a published checkpoint after a minute; is the sequencer "
            "running?"
        )


def _one_at_a_time(advance: Callable[[int], None]) -> Callable[[int], None]:
    lock = threading.Lock()

    def locked(steps: int) -> None:
        with lock:
            advance(steps)

    return locked
