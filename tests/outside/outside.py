"""Everything a test may touch of a receiver: its addresses, its file, and clients for them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import grpc
import pytest
import requests
from click.testing import CliRunner, Result

from otel_replay._pb.v1 import replay_pb2_grpc
from otel_replay.cli import cli
from otel_replay.config import Settings
from otel_replay.model import Signal
from otel_replay.server import Server

PROTOBUF, JSON, PROBLEM = "application/x-protobuf", "application/json", "application/problem+json"
PATHS = {Signal.TRACES: "/v1/traces", Signal.LOGS: "/v1/logs", Signal.METRICS: "/v1/metrics"}
PACKAGE = "opentelemetry.proto.collector"
METHODS = {
    Signal.TRACES: f"/{PACKAGE}.trace.v1.TraceService/Export",
    Signal.LOGS: f"/{PACKAGE}.logs.v1.LogsService/Export",
    Signal.METRICS: f"/{PACKAGE}.metrics.v1.MetricsService/Export",
}
TIMEOUT_S = 20.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Outside:
    """A running receiver with an HTTP client and a gRPC channel."""

    server: Server
    database: Path
    http: requests.Session
    channel: grpc.Channel

    @property
    def url(self) -> str:
        return self.server.http_url

    @property
    def replay_service(self) -> Any:
        return replay_pb2_grpc.ReplayServiceStub(self.channel)

    def post(self, path: str, body: bytes, content_type: str = PROTOBUF, **headers: str) -> requests.Response:
        """``headers`` with underscores for dashes."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named["content-type"] = content_type
        return self.http.post(self.url + path, data=body, headers=named, timeout=TIMEOUT_S)

    def get(self, path: str, accept: str = JSON, **parameters: Any) -> requests.Response:
        """``parameters`` with an underscore at the end where Python takes the word for itself."""
        query = {name.rstrip("_"): value for name, value in parameters.items()}
        return self.http.get(self.url + path, params=query, headers={"accept": accept}, timeout=TIMEOUT_S)

    def document(self, path: str, **parameters: Any) -> dict[str, Any]:
        """The JSON that a successful GET answers with."""
        answer = self.get(path, **parameters)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def export(self, signal: Signal, body: bytes) -> bytes:
        """OTLP over gRPC, bytes in and bytes out."""
        call: Any = self.channel.unary_unary(METHODS[signal])
        answer: bytes = call(body, timeout=TIMEOUT_S)
        return answer

    def upload(self, session_id: str, events: Sequence[Mapping[str, Any]], **told: Any) -> dict[str, Any]:
        """One chunk over HTTP, acknowledged; ``told`` are ``stream_id``, ``seq`` and ``sent_at``."""
        body = json.dumps({**told, "events": events}).encode()
        answer = self.post(f"/api/v1/sessions/{session_id}/events", body, JSON)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def timeline(self, path: str, **parameters: Any) -> dict[str, Any]:
        """A timeline once all recordings behind it are distilled."""
        return eventually(lambda: self.document(path, **parameters), lambda found: not found["warnings"])

    def command(self, *arguments: str) -> Result:
        """``otel-replay ARGUMENTS --db FILE`` in this process, beside the writing server."""
        return command(*arguments, "--db", str(self.database))


def command(*arguments: str, **environment: str) -> Result:
    """``otel-replay ARGUMENTS`` in this process; errors of the package are raised, as the entry point expects them."""
    return CliRunner().invoke(cli, arguments, env=environment)


def answered(result: Result) -> Any:
    """The JSON a command has written."""
    assert result.exit_code == 0, (result.output, result.exception)
    return json.loads(result.stdout)


class Refusal(NamedTuple):
    """How an RPC has ended."""

    code: grpc.StatusCode
    details: str
    trailers: dict[str, bytes]


def refusal(call: Callable[[], object]) -> Refusal:
    """What an RPC is refused with."""
    with pytest.raises(grpc.RpcError) as refused:
        call()
    error: Any = refused.value
    return Refusal(error.code(), error.details(), dict(error.trailing_metadata()))


def eventually(ask: Callable[[], T], good: Callable[[T], bool]) -> T:
    """The first good answer; the last one when none comes in time, for the caller's assertion to show."""
    deadline = time.monotonic() + TIMEOUT_S
    while not good(found := ask()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


@contextmanager
def running(database: Path, **settings: Any) -> Iterator[Outside]:
    """A receiver for the length of the block; ``settings`` are further ones of :class:`Settings`."""
    server = Server(Settings(**{"database": database, "grpc_port": 0, "http_port": 0, **settings}))
    server.start()
    try:
        with requests.Session() as http, grpc.insecure_channel(server.grpc_address) as channel:
            http.trust_env = False
            yield Outside(server, database, http, channel)
    finally:
        server.stop()
