"""Request bodies read as a stream, with every limit enforced while reading.

An upload is lines of JSON, `application/x-ndjson`, perhaps gzip-coded. What arrives is hostile
until proved otherwise, so at no moment is more in memory than one chunk and one line, and the
first limit that is passed ends the reading:

- coded bytes (what comes over the wire) and decoded bytes are both limited, so that a gzip bomb
  costs what the limit costs and no more;
- a line longer than its limit is refused before its end is looked for;
- fewer bytes than `Content-Length` promised, or a gzip stream that stops short, is
  `body-truncated`;
- so is a body that has not come whole after `BODY_SECONDS`, and only so many are taken in at once
  (`slots`): each holds a thread of ours as long as it lasts. (Heads that trickle in are the
  server's business, not ours: put a proxy before it.)

Rules: RFC 9110 section 8.4 (content codings), RFC 1952 (gzip, several members allowed, nothing
after the last). What the lines mean is the business of the services.
"""

from __future__ import annotations

import socket
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Protocol

from flask import Flask, Request, Response, g, request
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from provenance.domain.errors import (
    BusyError,
    MalformedInputError,
    TooLargeError,
    UnsupportedError,
)
from provenance.web.services import slots
from provenance.web.watching import count_body

CHUNK_BYTES = 65_536
#: From the head of a request to the end of its body: 64 MiB at 1.8 Mbit/s.
BODY_SECONDS = 300.0
#: Block-wise compressors write a member per 64 KiB; millions of empty members are an attack on
#: our time.
GZIP_MEMBERS = 16_384
_CLOSER: Final = "provenance.close"
_GZIP_WINDOW = 16 + zlib.MAX_WBITS  # zlib's way to say: a gzip header and trailer are demanded


class ByteStream(Protocol):
    """What we need of a request body: `read(n)` gives at most n bytes, b"" at the end."""

    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """Greatest sizes in bytes: of the body as sent, of the body decoded, of one line without its
    end."""

    coded_bytes: int
    decoded_bytes: int
    line_bytes: int


def require_media_type(request: Request, *accepted: str) -> None:
    """Refuse any Content-Type but the accepted ones (parameters such as charset=utf-8 may
    follow)."""
    if request.mimetype in accepted:
        return
    raise UnsupportedError(
        "unsupported-media-type",
        "The body is of a type that is not read here.",
        expected=" or ".join(accepted),
        found=request.mimetype or "no Content-Type",
        remedy=f"Send it with Content-Type: {accepted[0]}.",
    )


def read_lines(request: Request, limits: BodyLimits) -> Iterator[bytes]:
    """The lines of the request's body without their ends, read as the caller asks for them."""
    return split_lines(_decoded(request, limits), limits.line_bytes)


def read_whole(request: Request, limits: BodyLimits) -> bytes:
    """The body in one piece, at most `limits.line_bytes` of it: for a request that is one
    document."""
    body = bytearray()
    for chunk in _decoded(request, limits):
        body += chunk
        if len(body) > limits.line_bytes:
            raise _too_large("The body", limits.line_bytes, "bytes")
    return bytes(body)


def register(app: Flask, most: int) -> None:
    """Bound what bodies may hold of us, and read and forget what is still being sent when an answer
    is ready, at most `most` bytes.

    A known seal, or a fault on line 2, is answered before the body has ended. Closed over bytes
    that nobody has read, a connection is reset (RFC 9112 section 9.6), and the sender would lose
    the very answer: the receipt, or the reason.
    """

    def take_in_rest(response: Response) -> Response:
        # What is too large is not read to its end, and who sends more than `most` bytes after the
        # answer was due, or breaks off, need not be told.
        rest = 0 if response.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE else most
        with suppress(Exception):
            while rest > 0 and (chunk := request.stream.read(min(CHUNK_BYTES, rest))):
                rest -= len(chunk)
        return response

    inner = app.wsgi_app

    def with_closer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        environ[_CLOSER] = closer(start_response)
        return inner(environ, start_response)

    app.wsgi_app = with_closer  # type: ignore[method-assign]
    app.before_request(_begin)
    app.after_request(take_in_rest)
    app.teardown_request(_end)


def _begin() -> None:
    """Take a slot for a request that brings a body, whatever its method, and set the clock."""
    if not request.content_length and "HTTP_TRANSFER_ENCODING" not in request.environ:
        return
    connection: socket.socket | None = request.environ.get("gunicorn.socket")
    close: Callable[[], None] = request.environ[_CLOSER]
    with ExitStack() as held:
        try:
            held.enter_context(slots().upload())
        except BusyError:
            if connection is not None:
                _hang_up(connection, close)  # the thread is not held for what will not be read
            raise
        held.enter_context(hanging_up(connection, BODY_SECONDS, close))
        g.body = held.pop_all()


def _end(_error: BaseException | None) -> None:
    held: ExitStack | None = g.pop("body", None)
    if held is not None:
        held.close()


def closer(start_response: Callable[..., Any]) -> Callable[[], None]:
    """What makes the server say `Connection: close` and do so (gunicorn; else nothing happens).

    A body that was not read to its end may still come in. On a connection that stays open its bytes
    would be taken for the head of the next request, which behind a proxy may be somebody else's
    (RFC 9112 section 9.3). A header of ours would not do: gunicorn sets this one by itself.
    """
    server = getattr(start_response, "__self__", None)
    close: Callable[[], None] = getattr(server, "force_close", lambda: None)
    return close


@contextmanager
def hanging_up(
    connection: socket.socket | None, seconds: float, close: Callable[[], None]
) -> Iterator[None]:
    """Stop listening to `connection` after `seconds`: a read that waits for more then sees the end,
    and the connection is closed behind the answer (`close`, see :func:`closer`).

    A reader cannot look at the clock itself, because one read may wait for many small pieces. What
    we answer can still be sent. None (another server than gunicorn): nothing is done.
    """
    if connection is None:
        yield
        return
    timer = threading.Timer(seconds, _hang_up, [connection, close])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _hang_up(connection: socket.socket, close: Callable[[], None]) -> None:
    close()
    with suppress(OSError):  # it may have gone already
        connection.shutdown(socket.SHUT_RD)


def split_lines(chunks: Iterable[bytes], line_bytes: int) -> Iterator[bytes]:
    """Cut at LF and take off one CR before it; raises TooLargeError with the line's number.

    An empty line is a line like any other, so that whoever counts what comes out counts as an
    editor does; only the nothing behind the last LF is none.
    """
    rest = b""
    number = 1
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield _bounded(line, number, line_bytes)
            number += 1
        # One byte more than the limit may still be the CR of a line that just fits.
        if len(rest) > line_bytes + 1:
            raise _long_line(number, line_bytes)
    if rest:
        yield _bounded(rest, number, line_bytes)


def _bounded(line: bytes, number: int, line_bytes: int) -> bytes:
    line = line.removesuffix(b"\r")
    if len(line) > line_bytes:
        raise _long_line(number, line_bytes)
    return line


def _decoded(request: Request, limits: BodyLimits) -> Iterator[bytes]:
    """The body's decoded chunks; every header is judged before the first byte is read."""
    coding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if coding not in ("identity", "gzip", "x-gzip"):
        raise UnsupportedError(
            "unsupported-content-encoding",
            "The body is coded in a way that is not read here.",
            expected="gzip, or no Content-Encoding",
            found=coding,
            remedy="Send the body plain or with Content-Encoding: gzip.",
        )
    if request.content_length is not None and request.content_length > limits.coded_bytes:
        raise _too_large("The body", limits.coded_bytes, "bytes", found=request.content_length)
    chunks = _counted(read_chunks(request.stream, limits.coded_bytes, request.content_length))
    return inflate(chunks, limits.decoded_bytes) if coding != "identity" else chunks


def _counted(chunks: Iterator[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        count_body(len(chunk))
        yield chunk


def read_chunks(
    stream: ByteStream, limit: int, promised: int | None, size: int = CHUNK_BYTES
) -> Iterator[bytes]:
    """At most `limit` bytes of `stream` in chunks; `promised` is the Content-Length, None if
    chunked."""
    total = 0
    while chunk := _read(stream, size, promised):
        total += len(chunk)
        if total > limit:
            raise _too_large("The body", limit, "bytes")
        yield chunk
    if promised is not None and total < promised:
        raise _truncated(f"{promised} bytes (Content-Length)", f"{total} bytes")


def _read(stream: ByteStream, size: int, promised: int | None) -> bytes:
    try:
        return stream.read(size)
    except ClientDisconnected as error:  # werkzeug's word for a body shorter than promised
        raise _truncated(f"{promised} bytes (Content-Length)", "an earlier end") from error
    except RequestEntityTooLarge as error:
        raise _too_large("The body", promised or 0, "bytes") from error
    except OSError as error:
        raise _truncated("a body that ends", "a broken connection") from error
    except Exception as error:  # the server's own words for chunks that break RFC 9112 section 7.1
        raise MalformedInputError(
            "body-malformed",
            "The body's transfer coding cannot be read.",
            expected="chunks, each with its size in hexadecimal digits",
            found="something else",
            remedy="Send the same upload again; nothing of this one was kept.",
        ) from error


def inflate(chunks: Iterable[bytes], limit: int, size: int = CHUNK_BYTES) -> Iterator[bytes]:
    """Decode gzip piece by piece, at most `size` bytes out at a time and `limit` in all.

    A bomb is therefore noticed when its output passes the limit, not after it has been inflated.
    """
    member = zlib.decompressobj(_GZIP_WINDOW)
    started = False  # has the present member had any byte yet
    total = members = 0
    for chunk in chunks:
        data = chunk
        while data:
            started = True
            out = _step(member, data, size)
            total += len(out)
            if total > limit:
                raise _too_large("The decoded body", limit, "bytes")
            if out:
                yield out
            data = member.unconsumed_tail
            if member.eof:
                data, member, started = member.unused_data, zlib.decompressobj(_GZIP_WINDOW), False
                members += 1
                if members > GZIP_MEMBERS:
                    raise _too_large("The gzip stream", GZIP_MEMBERS, "members")
    if started:
        raise _truncated("a whole gzip stream", "its beginning")


def _step(member: zlib._Decompress, data: bytes, size: int) -> bytes:
    try:
        return member.decompress(data, size)
    except zlib.error as error:
        raise MalformedInputError(
            "not-gzip",
            "The body says that it is gzip-coded and is not.",
            expected="a gzip stream (RFC 1952)",
            found=str(error),
            remedy="Compress the whole body once, or leave Content-Encoding out.",
        ) from error


def _too_large(what: str, limit: int, unit: str, found: int | None = None) -> TooLargeError:
    return TooLargeError(
        "too-large",
        f"{what} is larger than is taken here.",
        expected=f"at most {limit:,} {unit}",
        found=f"{found:,} {unit}" if found is not None else f"more than {limit:,} {unit}",
        remedy="Split the upload into several, each under a seal of its own.",
    )


def _long_line(number: int, limit: int) -> TooLargeError:
    return TooLargeError(
        "too-large",
        "A line is longer than an event may be.",
        line=number,
        expected=f"at most {limit:,} bytes on a line",
        found=f"more than {limit:,} bytes",
        remedy="Put large attachments elsewhere and record their hash.",
    )


def _truncated(expected: str, found: str) -> MalformedInputError:
    return MalformedInputError(
        "body-truncated",
        "The body ended before its end.",
        expected=expected,
        found=found,
        remedy="Send the same upload again; nothing of this one was kept.",
    )
