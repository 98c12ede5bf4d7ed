"""Clients that do what no library does: HTTP by the byte, and gRPC by the frame."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _SETTINGS = 0, 1, 4
_END_STREAM, _END_HEADERS = 1, 4


def connect(address: str) -> socket.socket:
    """A connection to ``http://HOST:PORT`` or ``HOST:PORT``."""
    host, port = address.removeprefix("http://").rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=20)


@contextmanager
def connected(address: str) -> Iterator[socket.socket]:
    """The same for the length of a block."""
    with connect(address) as connection:
        yield connection


def read_to_end(connection: socket.socket) -> bytes:
    """All that comes until the other side closes or resets the connection."""
    parts = []
    try:
        while part := connection.recv(65_536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def read_until(connection: socket.socket, end: bytes) -> bytes:
    """All that comes until these bytes have come."""
    found = b""
    while end not in found:
        part = connection.recv(65_536)
        assert part, found
        found += part
    return found


def grpc_call(method: str, *, encoding: str, message: bytes, compressed: bool) -> bytes:
    """The bytes of a connection with one unary call."""
    return grpc_head(method, encoding) + grpc_message(message, compressed=compressed)


def grpc_head(method: str, encoding: str = "identity") -> bytes:
    """The bytes of a connection up to the message of its one call."""
    headers = {
        ":method": "POST",
        ":scheme": "http",
        ":path": method,
        ":authority": "localhost",
        "te": "trailers",
        "content-type": "application/grpc",
        "grpc-encoding": encoding,
    }
    head = b"".join(b"\x00" + _text(name) + _text(value) for name, value in headers.items())
    return _PREFACE + _frame(_SETTINGS, 0, 0, b"") + _frame(_HEADERS, _END_HEADERS, 1, head)


def grpc_message(message: bytes, *, compressed: bool = False) -> bytes:
    """The one message of that call, in one frame: 16,379 bytes at most."""
    body = bytes([compressed]) + struct.pack(">I", len(message)) + message
    return _frame(_DATA, _END_STREAM, 1, body)


def _text(text: str) -> bytes:
    """A string of HPACK, neither indexed nor compressed."""
    return bytes([len(text)]) + text.encode()


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload
