"""Real clients, each in a process of its own: a vendor is told no session, whoever sends them there."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from typing import Any

import grpc
import pytest

from tests.sdk.programs import run

VENDOR = "api.vendor.example"
BAGGAGE = "session.id=visit-1,user.id=user-7"

pytestmark = [pytest.mark.slow, pytest.mark.feature("K1")]

PROGRAM = f"""
import socket, sys
import otel_replay
handle = otel_replay.instrument("http://127.0.0.1:9")

# The vendor's name leads here: there are no others in this test.
look_up = socket.getaddrinfo
def leading_here(host, *rest, **more):
    name = host.decode() if isinstance(host, bytes) else host
    return look_up("127.0.0.1" if name.lower() == {VENDOR!r} else host, *rest, **more)
socket.getaddrinfo = leading_here

own, vendor = (f"http://{{host}}:{{sys.argv[1]}}" for host in ("127.0.0.1", {VENDOR!r}))
URLS = [f"{{own}}/to-own", f"{{own}}/to-vendor", f"{{vendor}}/answer?asked"]
with otel_replay.session("visit-1", user_id="user-7"):
    %s
"""

CLIENTS = {
    "requests": "import requests; [requests.get(url).raise_for_status() for url in URLS]",
    "urllib": "from urllib.request import urlopen; [urlopen(url).read() for url in URLS]",
    "urllib3": "import urllib3; [urllib3.PoolManager().request('GET', url) for url in URLS]",
    "httpx2": "import httpx2; [httpx2.get(url, follow_redirects=True).raise_for_status() for url in URLS]",
    "aiohttp": """import asyncio, aiohttp
    async def ask():
        async with aiohttp.ClientSession(trace_configs=[aiohttp.TraceConfig()]) as client:
            for url in URLS:
                async with client.get(url) as answer:
                    answer.raise_for_status()
    asyncio.run(ask())""",
}
INSTRUMENTATIONS = {"httpx2": "httpx", "aiohttp": "aiohttp_client"}


class Asked(ThreadingHTTPServer):
    """One's own host by its address and the vendor by its name; ``heard`` are host, path and headers."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.heard: list[tuple[str, str, dict[str, str]]] = []


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server: Any = self.server
        headers = {name.lower(): value for name, value in self.headers.items()}
        server.heard.append((headers["host"].split(":")[0].lower(), self.path, headers))
        elsewhere = {
            "/to-own": "/answer?own",
            "/to-vendor": f"HTTP://{VENDOR.upper()}:{server.server_port}/answer?sent",
        }
        self.send_response(307 if self.path in elsewhere else 200)
        if self.path in elsewhere:
            self.send_header("location", elsewhere[self.path])
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None: ...


@pytest.fixture
def asked() -> Iterator[Asked]:
    with Asked() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def skip_without(client: str, instrumentation: str) -> None:
    if not (find_spec(client) and find_spec(f"opentelemetry.instrumentation.{instrumentation}")):
        assert not os.environ.get("CI"), f"{client} and its instrumentation belong to otel-replay[test]"
        pytest.skip(f"{client} or its instrumentation is not installed yet")


@pytest.mark.parametrize("client", CLIENTS)
def test_a_vendor_is_told_nothing(asked: Asked, client: str) -> None:
    skip_without(client, INSTRUMENTATIONS.get(client, client))
    run(PROGRAM % CLIENTS[client], str(asked.server_port))
    own = {path: headers.get("baggage") for host, path, headers in asked.heard if host == "127.0.0.1"}
    assert own == dict.fromkeys(("/to-own", "/answer?own", "/to-vendor"), BAGGAGE)
    others = {path: headers for host, path, headers in asked.heard if host == VENDOR}
    assert set(others) == {"/answer?sent", "/answer?asked"}
    for path, headers in others.items():
        assert "traceparent" in headers, path
        assert not {value for value in headers.values() if "visit-1" in value or "user-7" in value}, path


CALLING = """
import sys
import grpc, otel_replay
handle = otel_replay.instrument("http://127.0.0.1:9")
with otel_replay.session("visit-1", user_id="user-7"), grpc.insecure_channel(sys.argv[1]) as channel:
    channel.unary_unary("/model.Model/Ask")(b"", timeout=10)
"""


def test_over_grpc_nobody_is_told(request: pytest.FixtureRequest) -> None:
    """Its spans do not say where a call goes."""
    skip_without("grpc", "grpc")
    heard: list[dict[str, Any]] = []

    def answer(body: bytes, context: grpc.ServicerContext) -> bytes:
        heard.append(dict(context.invocation_metadata()))
        return body

    server = grpc.server(futures.ThreadPoolExecutor(1))
    methods: dict[str, Any] = {"Ask": grpc.unary_unary_rpc_method_handler(answer)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("model.Model", methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    request.addfinalizer(lambda: server.stop(None).wait(5))
    run(CALLING, f"127.0.0.1:{port}")
    (metadata,) = heard
    assert "traceparent" in metadata
    assert not {value for value in metadata.values() if "visit-1" in str(value) or "user-7" in str(value)}
