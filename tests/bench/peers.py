"""Other receivers, each in an environment of its own that ``make bench-peers`` makes: how to start and to ask them."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import requests

from .load import machine
from .load.client import Load, Protocol
from .load.servers import GRPC_LISTENS, Launch, RunningServer, answering, free_port

ENVIRONMENTS = machine.ROOT / ".build" / "peers"
REQUEST_TIMEOUT_S = 60
PHOENIX_COUNT = "{projects{edges{node{recordCount}}}}"


@dataclass(frozen=True)
class Peer:
    """A receiver. `visible` counts its spans by a query; `requests` is how many it is sent, less where it is slow."""

    name: str
    launch: Callable[[Path], Launch]
    visible: Callable[[RunningServer, Path], int] | None
    load: Load
    requests: int


def noop(*options: str) -> Peer:
    """The ceiling; ``--parse``: with a full protobuf parse."""
    command = [sys.executable, "-m", "tests.bench.noop_server", *options]
    return Peer(
        "gRPC and full parse" if options else "gRPC no-op", lambda _: Launch(command, grpc_port), None, Load(), 0
    )


def grpc_port(log: str) -> tuple[int, int] | None:
    found = GRPC_LISTENS.search(log)
    return (int(found[1]), 0) if found else None


def phoenix(scratch: Path) -> Launch:
    grpc, http = free_port(), free_port()
    environment = {
        "PHOENIX_WORKING_DIR": str(scratch),
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(http),
        "PHOENIX_GRPC_PORT": str(grpc),
        "PHOENIX_TELEMETRY_ENABLED": "false",
    }
    return Launch([str(program("phoenix")), "serve"], answering(grpc, http), environment)


def phoenix_spans(server: RunningServer, _scratch: Path) -> int:
    answer = requests.post(f"{server.http.url}/graphql", json={"query": PHOENIX_COUNT}, timeout=REQUEST_TIMEOUT_S)
    return sum(edge["node"]["recordCount"] for edge in answer.json()["data"]["projects"]["edges"])


def mlflow(scratch: Path) -> Launch:
    port = free_port()
    store = ["--backend-store-uri", f"sqlite:///{scratch}/mlflow.db", "--artifacts-destination", str(scratch)]
    command = [str(program("mlflow")), "server", *store, "--host", "127.0.0.1", "--port", str(port)]
    return Launch(command, answering(port, port), {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"})


def mlflow_spans(_server: RunningServer, scratch: Path) -> int:
    with closing(sqlite3.connect(f"file:{scratch}/mlflow.db?mode=ro", uri=True)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM spans").fetchone()
        return int(count)


def rotel(scratch: Path) -> Launch:
    """To a black hole: it stores nothing."""
    grpc, http = free_port(), free_port()
    (agent,) = ENVIRONMENTS.glob("rotel/lib/python3*/site-packages/rotel/rotel-agent")
    endpoints = ["--otlp-grpc-endpoint", f"127.0.0.1:{grpc}", "--otlp-http-endpoint", f"127.0.0.1:{http}"]
    limits = ["--otlp-grpc-max-recv-msg-size-mib", "64", "--pid-file", str(scratch / "rotel.pid")]
    return Launch([str(agent), "start", "--exporter", "blackhole", *endpoints, *limits], answering(grpc, http))


def program(name: str) -> Path:
    return ENVIRONMENTS / name / "bin" / name


def installed() -> list[Peer]:
    """Those that ``make bench-peers`` has installed.

    Phoenix refuses beyond 20,000 spans that wait; MLflow finds its own database locked with two requests in flight.
    """
    http = Load(Protocol.HTTP, in_flight=1, header="x-mlflow-experiment-id: 0")
    peers = [
        Peer("rotel", rotel, None, Load(), 600),
        Peer("mlflow", mlflow, mlflow_spans, http, 24),
        Peer("phoenix", phoenix, phoenix_spans, Load(), 12),
    ]
    return [peer for peer in peers if (ENVIRONMENTS / peer.name).is_dir()]


def version(peer: Peer) -> str:
    """Name and version as installed."""
    found = next((ENVIRONMENTS / peer.name).glob(f"lib/*/site-packages/*{peer.name}-*.dist-info"), None)
    return f"{peer.name} {found.name.removesuffix('.dist-info').split('-')[1]}" if found else peer.name
