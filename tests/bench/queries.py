"""Questions beside the load: so many a second, and how long what is acknowledged takes until it can be found."""

from __future__ import annotations

import itertools
import secrets
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import grpc
import requests
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from .load.client import Address
from .load.spans import attributes, message
from .load.words import vocabulary

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
TIMEOUT_S = 60.0
GIVES_UP_S = 30.0
POLL_S = 0.02


@dataclass
class Timings:
    """Seconds that each question took, by kind."""

    taken: dict[str, list[float]] = field(default_factory=dict)

    def timed(self, kind: str, ask: Callable[[], Any]) -> Any:
        before = time.perf_counter()
        answer = ask()
        self.taken.setdefault(kind, []).append(time.perf_counter() - before)
        return answer

    def percentiles_ms(self, kind: str) -> dict[str, float]:
        """p50, p95 and p99, by nearest rank."""
        ordered = sorted(self.taken[kind])
        return {f"p{share}_ms": ordered[-(-len(ordered) * share // 100) - 1] * 1e3 for share in (50, 95, 99)}

    @property
    def count(self) -> int:
        return sum(map(len, self.taken.values()))


def get(server: Address, path: str, session: requests.Session, **parameters: Any) -> Any:
    """The JSON of a GET; raises for anything but a success."""
    answer = session.get(f"{server.url}{path}", params=parameters, timeout=TIMEOUT_S)
    answer.raise_for_status()
    return answer.json()


@contextmanager
def beside(work: Callable[[], None], stopping: threading.Event) -> Iterator[None]:
    """Runs `work` in a thread until the block ends; what it raises is raised then, so that no figure hides it."""
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(work)
        try:
            yield
        finally:
            stopping.set()
            running.result()


@contextmanager
def asking(server: Address, per_second: float) -> Iterator[Timings]:
    """Asks the questions of a person at the page at a steady rate, from a thread of this process."""
    timings, stopping = Timings(), threading.Event()

    def ask() -> None:
        questions: Iterator[tuple[str, str, dict[str, Any]]] = itertools.cycle(
            (
                ("sessions", "/api/v1/sessions", {"limit": 50}),
                ("search", "/api/v1/search", {"q": vocabulary()[40], "limit": 20}),
                ("traces", "/api/v1/traces", {"attr": "http.response.status_code=404", "limit": 20}),
                ("stats", "/api/v1/stats", {"by": "model"}),
            )
        )
        due = time.monotonic()
        with requests.Session() as session:
            while not stopping.wait(max(0.0, due - time.monotonic())):
                kind, path, parameters = next(questions)
                timings.timed(kind, partial(get, server, path, session, **parameters))
                due += 1 / per_second

    with beside(ask, stopping):
        yield timings


@dataclass
class SearchLag:
    """Seconds from the acknowledgement of a chat until a search finds it; sampled again and again."""

    seconds: list[float] = field(default_factory=list)

    @property
    def greatest(self) -> float:
        return max(self.seconds)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


@contextmanager
def watching_search(server: Address, receiver: Address) -> Iterator[SearchLag]:
    """Sends a chat with a word of its own, looks for it until it is found, and begins again; in a thread."""
    lag, stopping = SearchLag(), threading.Event()

    def watch() -> None:
        target = f"{receiver.host}:{receiver.port}"
        with grpc.insecure_channel(target) as channel, requests.Session() as session:
            export: Any = channel.unary_unary(EXPORT)
            while not stopping.wait(0.5):
                word = f"needle{secrets.token_hex(8)}"
                export(said_once(word), timeout=TIMEOUT_S)
                lag.seconds.append(until_found(server, session, word))

    with beside(watch, stopping):
        yield lag


def until_found(server: Address, session: requests.Session, word: str) -> float:
    began = time.monotonic()
    while time.monotonic() - began < GIVES_UP_S:
        if get(server, "/api/v1/search", session, q=word, limit=1)["hits"]:
            break
        time.sleep(POLL_S)
    return time.monotonic() - began


def said_once(word: str) -> bytes:
    """A request with one chat span that says `word`."""
    now = time.time_ns()
    values = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.input.messages": f"[{message('user', word)}]".replace("'", '"'),
    }
    span = Span(
        trace_id=secrets.token_bytes(16),
        span_id=secrets.token_bytes(8),
        name="chat gpt-4o",
        start_time_unix_nano=now,
        end_time_unix_nano=now + 1,
        attributes=attributes({**values}),
    )
    group = ResourceSpans(
        resource=Resource(attributes=attributes({"service.name": "bench"})), scope_spans=[ScopeSpans(spans=[span])]
    )
    return ExportTraceServiceRequest(resource_spans=[group]).SerializeToString()
