"""What the system has counted on a connection is found by the name that gRPC gives its peer."""

from __future__ import annotations

import socket
import sys

import pytest

from otel_replay.receiver.progress import peer_of, received_by_peer

NAMES = {"127.0.0.1": "ipv4:127.0.0.1:{}", "::1": "ipv6:%5B::1%5D:{}"}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells it")
@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_bytes_are_counted_for_each_peer(family: socket.AddressFamily, host: str) -> None:
    with socket.socket(family) as listener:
        listener.bind((host, 0))
        listener.listen()
        with socket.create_connection(listener.getsockname()[:2]) as client, listener.accept()[0] as served:
            peer = peer_of(NAMES[host].format(client.getsockname()[1]))
            assert peer is not None
            assert received_by_peer()[peer] == 0
            for total in (1_000, 3_000):
                client.sendall(bytes(total - received_by_peer()[peer]))
                assert len(served.recv(total, socket.MSG_WAITALL | socket.MSG_PEEK)) == total
                assert received_by_peer()[peer] == total
        assert peer not in received_by_peer()


def test_ipv4_over_ipv6_is_found_as_grpc_names_it() -> None:
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client, listener.accept()[0] as served:
            assert served.getpeername()[0] == "::ffff:127.0.0.1"
            assert peer_of(f"ipv4:127.0.0.1:{client.getsockname()[1]}") in received_by_peer()


@pytest.mark.parametrize("name", ["unix:/run/replay.sock", "ipv4:nowhere:80", "ipv6:%5B::1%5D:x", "unknown", ""])
def test_other_peers_are_unknown(name: str) -> None:
    assert peer_of(name) is None
