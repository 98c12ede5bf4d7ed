"""How much has come over each TCP connection of this process, as the system counts it.

grpcio gives a message when it is whole and tells nothing of it before. Linux tells of every socket how many bytes have
come (TCP_INFO); where a system does not, nothing is known, and nothing is found here.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import stat
import struct
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import unquote

Peer = tuple[str, int]
"""Address, as ``ipaddress`` writes it, and port."""

_DESCRIPTORS = "/proc/self/fd"
_RECEIVED = struct.Struct("=128xQ")
"""``tcpi_bytes_received`` of Linux' ``struct tcp_info``, since 4.1."""


def received_by_peer() -> dict[Peer, int]:
    """Bytes that have come from each peer so far, those of life signs and of TLS among them."""
    found: dict[Peer, int] = {}
    for descriptor in _sockets():
        with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as connection:
            if connection.family not in (socket.AF_INET, socket.AF_INET6) or connection.type != socket.SOCK_STREAM:
                continue
            host, port = connection.getpeername()[:2]
            info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _RECEIVED.size)
            if len(info) == _RECEIVED.size:
                peer = _address(host), port
                found[peer] = found.get(peer, 0) + _RECEIVED.unpack(info)[0]
    return found


def peer_of(name: str) -> Peer | None:
    """What ``grpc.ServicerContext.peer()`` says: ``ipv4:127.0.0.1:5000``, ``ipv6:%5B::1%5D:5000``; None of others."""
    family, _, place = name.partition(":")
    host, _, port = unquote(place).rpartition(":")
    try:
        return (_address(host.strip("[]")), int(port)) if family in ("ipv4", "ipv6") else None
    except ValueError:
        return None


def _sockets() -> Iterator[int]:
    """File descriptors; none where there is no list of them, or sockets tell nothing."""
    if not hasattr(socket, "TCP_INFO") or not os.path.isdir(_DESCRIPTORS):
        return
    for name in os.listdir(_DESCRIPTORS):
        with suppress(OSError):
            if stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                yield int(name)


def _address(host: str) -> str:
    """One spelling; IPv4 that came over IPv6 is IPv4."""
    found = ipaddress.ip_address(host.partition("%")[0])
    return str(getattr(found, "ipv4_mapped", None) or found)
