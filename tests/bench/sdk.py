"""``python -m tests.bench.sdk``: what recording costs the application that records.

``thread``: CPU time of the application's own thread for a span, with our processors and exporter and with the stock
ones, in turns. ``latency``: a web application's answers with ``instrument()`` while the receiver is away, and without,
in turns, each run a process of its own. Medians of paired ratios.
"""

from __future__ import annotations

import argparse
import gc
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import requests
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from otel_replay.examples.chat.serving import RunningServer
from otel_replay.examples.chat.stub import Delays, create_stub
from otel_replay.sdk import OTelReplaySpanExporter, session
from otel_replay.sdk.queues import CountingSpanProcessor

ROOT = Path(__file__).resolve().parents[2]
AWAY = "http://127.0.0.1:9"
PAIRS = 20
SPANS = 4_000
REQUESTS = 20
MODEL_DELAYS = Delays(0.15, 0)
"""A quick model: the 2 ms that instrumentations of openai and its HTTP client cost are not hidden."""
ATTRIBUTES: dict[str, str | int] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o-mini",
    "gen_ai.usage.input_tokens": 1_200,
    "gen_ai.usage.output_tokens": 300,
    "gen_ai.input.messages": "x" * 2_000,
    "gen_ai.output.messages": "y" * 1_000,
}

APPLICATION = """
import sys
if sys.argv[2] == "with":
    import otel_replay
    otel_replay.instrument(service_name="bench")
import uvicorn
from openai import OpenAI
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

client = OpenAI()

def ask(request):
    messages = [{"role": "user", "content": "May I return it?"}]
    done = client.chat.completions.create(model="gpt-4o-mini", messages=messages)
    return PlainTextResponse(done.choices[0].message.content)

uvicorn.run(Starlette(routes=[Route("/ask", ask)]), port=int(sys.argv[1]), log_level="warning")
"""


class _Yes(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None: ...


def serve_yes() -> None:
    """A receiver that says yes, as a process: its port on standard output."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Yes)
    print(server.server_port, flush=True)
    server.serve_forever()


@contextmanager
def receiver() -> Iterator[str]:
    command = [sys.executable, "-m", "tests.bench.sdk", "serve-yes"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.kill()
        process.communicate()


def stock(url: str) -> TracerProvider:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{url}/v1/traces"), max_queue_size=2 * SPANS))
    return provider


def ours(url: str) -> TracerProvider:
    """As ``instrument()`` sets it up."""
    provider = TracerProvider(shutdown_on_exit=False)
    exporter = OTelReplaySpanExporter(url, spool=False)
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=2 * SPANS))
    provider.add_span_processor(CountingSpanProcessor(exporter.queue))
    return provider


def span_us(make: Callable[[str], TracerProvider], url: str) -> float:
    """CPU microseconds of this thread for a span, while another thread encodes and sends."""
    provider = make(url)
    tracer = provider.get_tracer("bench")
    gc.collect()  # What earlier runs left is not this one's to clear away.
    with session("s1", user_id="u1", feature="chat"):
        before = time.thread_time()
        for _ in range(SPANS):
            with tracer.start_as_current_span("chat gpt-4o-mini", attributes=ATTRIBUTES):
                pass
        took = time.thread_time() - before
    provider.shutdown()
    return took / SPANS * 1e6


class Costs(NamedTuple):
    """Medians of CPU microseconds a span, and of the ratios of their pairs."""

    stock_us: float
    ours_us: float
    ratio: float
    pairs: int

    def __str__(self) -> str:
        told = f"stock {self.stock_us:.1f} us a span, ours {self.ours_us:.1f} us"
        return f"{told}, median ratio {self.ratio:.3f} of {self.pairs} pairs"


def costs(pairs: int) -> Costs:
    found: dict[str, list[float]] = {"stock": [], "ours": []}
    with receiver() as url:
        for make in (stock, ours):
            span_us(make, url)  # warm
        for number in range(pairs):
            for make in (stock, ours) if number % 2 else (ours, stock):
                found[make.__name__].append(span_us(make, url))
    ratio = statistics.median(one / other for one, other in zip(found["ours"], found["stock"], strict=True))
    return Costs(statistics.median(found["stock"]), statistics.median(found["ours"]), ratio, pairs)


def thread(pairs: int) -> None:
    print(f"thread: {costs(pairs)}")


def latency_ms(variant: str, model_url: str, spool: str, endpoint: str) -> float:
    """The median answer of an application in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "application.py"
        file.write_text(APPLICATION)
        environment = {"OPENAI_BASE_URL": f"{model_url}/v1", "OPENAI_API_KEY": "x"}
        environment |= {"OTEL_REPLAY_ENDPOINT": endpoint, "OTEL_REPLAY_SPOOL": spool}
        port = str(free_port())
        process = subprocess.Popen([sys.executable, str(file), port, variant], env={**os.environ, **environment})
        try:
            return asked(f"http://127.0.0.1:{port}/ask")
        finally:
            process.send_signal(signal.SIGINT)  # After a SIGTERM, which uvicorn hands on, nothing would run at exit.
            process.wait()


def asked(url: str) -> float:
    with requests.Session() as http:
        deadline = time.monotonic() + 30
        while True:
            try:
                http.get(url, timeout=10)
                break
            except requests.ConnectionError:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        took = []
        for _ in range(REQUESTS):
            before = time.perf_counter()
            assert http.get(url, timeout=10).ok
            took.append(time.perf_counter() - before)
    return statistics.median(took[3:]) * 1e3


def free_port() -> int:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Yes)
    server.server_close()
    return server.server_port


class Latencies(NamedTuple):
    """Medians of as many runs with ``instrument()`` as without, in milliseconds, and of the ratios of their pairs."""

    with_ms: float
    without_ms: float
    ratio: float
    pairs: int

    def __str__(self) -> str:
        told = f"without {self.without_ms:.2f} ms a request, with and the receiver away {self.with_ms:.2f} ms"
        return f"{told}, median ratio {self.ratio:.3f} of {self.pairs} pairs"


def latencies(pairs: int, spool: str, endpoint: str = AWAY) -> Latencies:
    found: dict[str, list[float]] = {"with": [], "without": []}
    model = RunningServer(create_stub(MODEL_DELAYS))
    model.wait_until_started()
    for number in range(pairs):
        for variant in ("with", "without") if number % 2 else ("without", "with"):
            found[variant].append(latency_ms(variant, model.url, spool, endpoint))
    model.stop()
    ratio = statistics.median(one / other for one, other in zip(found["with"], found["without"], strict=True))
    return Latencies(statistics.median(found["with"]), statistics.median(found["without"]), ratio, pairs)


def latency(pairs: int) -> None:
    with tempfile.TemporaryDirectory() as spool:
        print(f"latency: {latencies(pairs, spool)}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.sdk", description=__doc__)
    parser.add_argument("part", nargs="?", choices=["thread", "latency", "serve-yes"], help="both without it")
    parser.add_argument("--pairs", type=int, default=PAIRS)
    args = parser.parse_args()
    if args.part == "serve-yes":
        serve_yes()
    for part in (thread, latency):
        if args.part in (None, part.__name__):
            part(args.pairs)


if __name__ == "__main__":
    main()
