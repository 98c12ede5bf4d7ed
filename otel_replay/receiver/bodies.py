"""HTTP bodies, read and decompressed within bounds: 100 MB of zeros are 97 KB of gzip."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from io import BytesIO
from typing import Any

import zstandard
from isal import isal_zlib
from starlette.requests import Request

from otel_replay.errors import InvalidRequest, RequestTooLarge, UnsupportedRequest
from otel_replay.receiver.in_flight import Hold

MAX_GZIP_MEMBERS = 16
"""Compressors write one. Each costs a copy of the rest: 64 MiB of empty members would take hours."""

MAX_JSON_CONTAINERS = 4 * 1024 * 1024
"""Arrays and objects of one JSON body: two bytes of it can become 64 of memory. The densest recordings have one in 20
bytes, so this is reached at 80 MB of them."""

ZSTD_STEP_BYTES = 256
"""Four bytes of zstd can say 128 KiB of one byte: a step yields 8 MiB at most before the limit is looked at."""


async def read_body(request: Request, hold: Hold, limit: int) -> bytes:
    """The whole body as it was sent, counted in ``hold`` as it comes.

    Raises :class:`RequestTooLarge` or :class:`Overloaded` as soon as a limit is passed, and Starlette's
    ``ClientDisconnect`` where the sender goes away.
    """
    body = BytesIO()  # grows in place and gives its bytes away: parts that are joined in the end are there twice
    left = limit
    async for part in request.stream():
        left -= len(part)
        if left < 0:
            raise _too_large("body", limit)
        hold.add(len(part))
        body.write(part)
    return body.getvalue()


def decompress(data: bytes, encoding: str, limit: int) -> bytes:
    """Undoes one Content-Encoding. Raises for one that is not served, for broken data and for more than ``limit``."""
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return data
    if name not in _DECODERS:
        served = ", ".join(sorted(_DECODERS))
        raise InvalidRequest(f"content-encoding {encoding[:40]!r} is not served", hint=f"use one of: {served}")
    return _DECODERS[name](data, limit)


def _gunzip(data: bytes, limit: int) -> bytes:
    members: list[bytes] = []
    left = limit
    while data:
        if len(members) == MAX_GZIP_MEMBERS:
            raise InvalidRequest(f"the gzip body has over {MAX_GZIP_MEMBERS} members", hint="compress it in one go")
        decoder = isal_zlib.decompressobj(wbits=31)
        try:
            members.append(decoder.decompress(data, left + 1))
        except isal_zlib.error as error:  # type: ignore[misc]  # its stub declares a value
            raise InvalidRequest(f"the gzip body is broken: {error}") from error
        left -= len(members[-1])
        if left < 0 or decoder.unconsumed_tail:
            raise _too_large("decompressed body", limit)
        if not decoder.eof:
            raise InvalidRequest("the gzip body ends too early")
        data = decoder.unused_data
    return b"".join(members)  # of one member that is the member itself


def _inflate(data: bytes, limit: int) -> bytes:
    """HTTP's deflate is zlib's format; some clients send it without the header, as browsers always had to know."""
    with_header = len(data) > 1 and data[0] & 0x0F == 8 and (data[0] << 8 | data[1]) % 31 == 0
    decoder: Any = isal_zlib.decompressobj(wbits=zlib.MAX_WBITS if with_header else -zlib.MAX_WBITS)
    try:
        output: bytes = decoder.decompress(data, limit + 1)
    except isal_zlib.error as error:  # type: ignore[misc]  # its stub declares a value
        raise InvalidRequest(f"the deflate body is broken: {error}") from error
    if len(output) > limit or decoder.unconsumed_tail:
        raise _too_large("decompressed body", limit)
    if data and not decoder.eof:
        raise InvalidRequest("the deflate body ends too early")
    if decoder.unused_data:
        raise InvalidRequest("the deflate body goes on after its end", hint="compress it in one go")
    return output


def _unzstd(data: bytes, limit: int) -> bytes:
    decoder = zstandard.ZstdDecompressor(max_window_size=2**27).decompressobj()
    output, consumed = BytesIO(), 0
    for start in range(0, len(data), ZSTD_STEP_BYTES):
        if decoder.eof:
            break
        try:
            output.write(decoder.decompress(data[start : start + ZSTD_STEP_BYTES]))
        except zstandard.ZstdError as error:
            raise InvalidRequest(f"the zstd body is broken: {error}") from error
        if output.tell() > limit:
            raise _too_large("decompressed body", limit)
        consumed = start + ZSTD_STEP_BYTES
    if data and not decoder.eof:
        raise InvalidRequest("the zstd body ends too early")
    if decoder.unused_data or consumed < len(data):
        raise InvalidRequest("the zstd body goes on after its first frame", hint="compress it as one frame")
    return output.getvalue()


_DECODERS: dict[str, Callable[[bytes, int], bytes]] = {"deflate": _inflate, "gzip": _gunzip, "zstd": _unzstd}
ENCODINGS = tuple(_DECODERS)


def check_json(body: bytes, limit: int = MAX_JSON_CONTAINERS) -> None:
    """Raises :class:`RequestTooLarge` for JSON that would take far more memory than it has bytes.

    What stands in strings is counted too: that errs towards smaller batches, and costs 0.5 ms a MiB only where a body
    is large enough to matter.
    """
    if len(body) > limit and body.count(b"{") + body.count(b"[") > limit:
        raise RequestTooLarge(f"the JSON body has over {limit} arrays and objects", hint="send smaller batches")


def _too_large(what: str, limit: int) -> RequestTooLarge:
    return RequestTooLarge(f"the {what} is over {limit} bytes", hint="send smaller batches")


def media_type(request: Request) -> str:
    """The content type without its parameters, in lower case."""
    return request.headers.get("content-type", "").split(";")[0].strip().lower()


def unsupported_media_type(found: str, served: str) -> UnsupportedRequest:
    return UnsupportedRequest(f"content type {found[:80]!r} is not served", hint=f"send {served}")
