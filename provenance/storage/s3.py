"""Tiles as objects in an S3 bucket, under the same promises as the directory (storage.tiles).

    s3://BUCKET/PREFIX/tile/0/x001/234      immutable: PUT with If-None-Match: *
    s3://BUCKET/PREFIX/map/delta/x001/234   the same
    s3://BUCKET/PREFIX/checkpoint           PUT with If-Match: the ETag that was read
    s3://BUCKET/PREFIX/conditional-writes   the probe of :meth:`S3TileStore.prepare`

What a directory does by link and rename a bucket does by conditional writes. A PUT that must make
an object and finds one there is answered 412; then the bytes are compared: the same bytes are
success, for the write before this one did survive and only its answer was lost. The checkpoint goes
over exactly the one that this process read or wrote last, so that a sequencer that slept through
its lease cannot put an older one over a newer one, however late its request arrives.

Every request has a time limit and is tried a bounded number of times, by the library after
connection errors, time-outs and 5xx, and here where a body broke off or the store says that two
conditional writes met (409). All of them may be repeated without harm. What fails for good is
StoreUnavailableError; that an object is not there is TileMissingError, and nothing else is: without
the right to list, S3 answers 403 for a missing object, and that is an outage with its remedy.

Credentials come from the environment, the shared files or the machine's role, as boto3 finds them:
never from a setting, never into a log. boto3 is the optional extra ``s3``, imported when a store is
opened.

Sources: Amazon S3 User Guide, "Add preconditions to S3 operations with conditional requests" and
"Amazon S3 data consistency model" (strong for reads and lists); RFC 9110 section 13.1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from http import HTTPStatus
from importlib import import_module
from typing import Any, Final
from urllib.parse import urlsplit

from provenance.domain.delta import DELTA_PREFIX
from provenance.storage.errors import StoreUnavailableError, StoreUnusableError
from provenance.storage.files import FileConflictError, FileMovedError
from provenance.storage.tiles import (
    CHECKPOINT,
    TileMissingError,
    require_path,
)

PARALLEL: Final = 16
"""Uploads of one batch that are under way at once; a connection each."""
ATTEMPTS: Final = 4
"""How often one request is sent at most."""
PROBE: Final = "conditional-writes"

_IMMUTABLE: Final = "public, max-age=31536000, immutable"
_CHANGING: Final = "no-cache"
_UNREAD: Final = object()


class _ConditionError(Exception):
    """The condition of a write does not hold (412, or 404 for If-Match): nothing was written."""


class _MissingError(Exception):
    """There is no such object."""


class _MetAnotherError(Exception):
    """Two conditional writes met (409): nothing is known, ask again."""


class S3TileStore:
    """Tiles below a prefix of a bucket. Threads may share it; open it after a fork, not before."""

    def __init__(self, client: Any, bucket: str, prefix: str = "") -> None:
        """`client` is boto3's for S3; `prefix` without slash at either end, may be empty."""
        self._client = client
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self.url = f"s3://{bucket}/{prefix}".rstrip("/")
        self._etag: Any = _UNREAD  # of the checkpoint last read or written; None: there was none

    @classmethod
    def open(
        cls, url: str, *, endpoint: str = "", region: str = "", timeout_ms: int = 5_000
    ) -> S3TileStore:
        """The store at ``s3://BUCKET[/PREFIX]``; nothing is asked yet.

        `endpoint` is empty for Amazon's own; `timeout_ms` bounds one attempt, for connecting and
        for each silence in an answer. Raises StoreUnusableError without boto3.
        """
        parts = urlsplit(url)
        session, config = _library("boto3.session"), _library("botocore.config")
        client = session.Session().client(
            "s3",
            endpoint_url=endpoint or None,
            region_name=region or None,
            config=config.Config(
                connect_timeout=timeout_ms / 1000,
                read_timeout=timeout_ms / 1000,
                retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
                max_pool_connections=2 * PARALLEL,
                # The names of other stores seldom resolve with a bucket before them.
                s3={"addressing_style": "path" if endpoint else "auto"},
                # Stores other than Amazon's refuse the newer checksums. Without them the signature
                # covers the body's SHA-256, which the store compares as well.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )
        return cls(client, parts.netloc, parts.path.strip("/"))

    def prepare(self) -> None:
        """See that the bucket is there and keeps conditions; StoreUnusableError where it does not.

        A store that passes over If-None-Match or If-Match looks the same until two write at once.
        """
        with suppress(_ConditionError):  # from an earlier start
            self._put(PROBE, b"tested at every start\n", _CHANGING, IfNoneMatch="*")
        for condition in ({"IfNoneMatch": "*"}, {"IfMatch": f'"{"0" * 32}"'}):
            try:
                self._put(PROBE, b"tested at every start\n", _CHANGING, **condition)
            except _ConditionError:
                continue
            raise StoreUnusableError(
                f"{self.url}: the object store took a write whose condition {condition} does not "
                "hold; expected 412. Two sequencers could overwrite each other there: use a store "
                "with conditional writes, or the directory"
            )

    def read(self, path: str) -> bytes:
        require_path(path)
        found = self._get(path)
        if found is None:
            raise TileMissingError(path)
        return found[0]

    def write_immutable(self, path: str, data: bytes) -> None:
        require_path(path)
        try:
            self._put(path, data, _IMMUTABLE, IfNoneMatch="*")
        except _ConditionError:
            found = self._get(path)
            if found is None:  # discarded between the two requests; then it was published
                raise StoreUnavailableError(f"{path} came and went", store=self.url) from None
            if found[0] != data:
                raise FileConflictError(f"{self.url}/{path}") from None

    def write_all(self, files: Iterable[tuple[str, bytes]]) -> None:
        pending: set[Future[None]] = set()
        # Made for each batch: threads do not survive a fork, and cost little beside the requests.
        with ThreadPoolExecutor(PARALLEL, "upload") as pool:
            try:
                for path, data in files:
                    if len(pending) >= 2 * PARALLEL:  # what waits is held in memory
                        done, pending = wait(pending, return_when=FIRST_COMPLETED)
                        _require_done(done)
                    pending.add(pool.submit(self.write_immutable, path, data))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        _require_done(pending)

    def forms(self, path: str) -> list[str]:
        require_path(path)
        # Names end in three digits, so nothing else begins like this; compared all the same.
        return [one for one in self._list(path) if one == path or one.startswith(f"{path}.p/")]

    def discard_partials(self, path: str) -> None:
        require_path(path)
        names = list(self._list(f"{path}.p/"))  # at most 255: one request may name 1,000
        if not names:
            return
        objects = [{"Key": self._prefix + name} for name in names]
        with self._spoken(f"discarding the partial tiles of {path}"):
            self._client.delete_objects(
                Bucket=self._bucket, Delete={"Objects": objects, "Quiet": True}
            )  # what it could not delete stays: a copy that nothing depends on

    def paths(self) -> Iterator[str]:
        for top in ("tile/", DELTA_PREFIX):
            yield from self._list(top)

    def read_checkpoint(self) -> bytes | None:
        found = self._get(CHECKPOINT)
        self._etag = None if found is None else found[1]
        return None if found is None else found[0]

    def write_checkpoint(self, data: bytes) -> None:
        if self._etag is _UNREAD:
            self.read_checkpoint()
        condition = {"IfNoneMatch": "*"} if self._etag is None else {"IfMatch": self._etag}
        try:
            self._etag = self._put(CHECKPOINT, data, _CHANGING, "text/plain", **condition)
        except _ConditionError:
            found = self._get(CHECKPOINT)
            if found is None or found[0] != data:
                raise FileMovedError(f"{self.url}/{CHECKPOINT}") from None
            self._etag = found[1]  # ours: it was done, and its answer was lost

    # Requests

    def _get(self, path: str) -> tuple[bytes, str] | None:
        """(bytes, ETag) of an object; None if there is none."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with self._spoken(f"reading {path}"):
                    answer = self._client.get_object(Bucket=self._bucket, Key=self._prefix + path)
            except _MissingError:
                return None
            try:
                with self._spoken(f"reading {path}"):
                    return answer["Body"].read(), answer["ETag"]
            except StoreUnavailableError:  # broke off in the body, which the library does not retry
                if attempt == ATTEMPTS:
                    raise
        raise AssertionError("unreachable")

    def _put(
        self,
        path: str,
        data: bytes,
        cache: str,
        content: str = "application/octet-stream",
        **condition: str,
    ) -> str:
        """Write an object under a condition; its ETag. Raises _ConditionError, nothing written."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with self._spoken(f"writing {path}"):
                    answer = self._client.put_object(
                        Bucket=self._bucket,
                        Key=self._prefix + path,
                        Body=data,
                        CacheControl=cache,  # for a CDN that serves the bucket as it is
                        ContentType=content,
                        **condition,
                    )
                    return str(answer["ETag"])
            except _MissingError:  # If-Match, and no object is there
                raise _ConditionError from None
            except _MetAnotherError:
                if attempt == ATTEMPTS:
                    raise StoreUnavailableError(
                        f"writing {path}: other writes met it {ATTEMPTS} times", store=self.url
                    ) from None
        raise AssertionError("unreachable")

    def _list(self, prefix: str) -> Iterator[str]:
        with self._spoken(f"listing {prefix}"):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix + prefix
            )
            for page in pages:
                for found in page.get("Contents", ()):
                    yield found["Key"].removeprefix(self._prefix)

    @contextmanager
    def _spoken(self, what: str) -> Iterator[None]:
        """Whatever the library throws becomes one of ours; its text names no credentials."""
        errors = _library("botocore.exceptions")
        try:
            yield
        except errors.ClientError as error:
            raise self._translate(what, error.response) from error
        except (errors.BotoCoreError, errors.HTTPClientError) as error:
            raise StoreUnavailableError(f"{what}: {error}", store=self.url) from error

    def _translate(self, what: str, response: Mapping[str, Any]) -> Exception:
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        code = response.get("Error", {}).get("Code", "")
        if status == HTTPStatus.PRECONDITION_FAILED:
            return _ConditionError()
        if status == HTTPStatus.CONFLICT:
            return _MetAnotherError()
        if status == HTTPStatus.NOT_FOUND and code != "NoSuchBucket":
            return _MissingError()
        said = f"{what}: {status} {code}"
        if status == HTTPStatus.FORBIDDEN:
            said += (
                " (the credentials must allow s3:GetObject, PutObject, DeleteObject and "
                "ListBucket; without the last one a missing object is forbidden too)"
            )
        if code == "NoSuchBucket":
            said += f" (make the bucket {self._bucket}, or correct PROVENANCE_TILES_URL)"
        return StoreUnavailableError(said, store=self.url)


def _require_done(futures: Iterable[Future[None]]) -> None:
    """Raise the first error among them, if there is one."""
    for future in futures:
        future.result()


def _library(name: str) -> Any:
    """A module of boto3 or botocore; untyped, and there only with the extra."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise StoreUnusableError(
            "tiles in an object store need boto3, which is not part of the ordinary install: "
            ".venv/bin/pip install -e '.[s3]' in the checkout"
        ) from error
