"""Commands that run something: the receiver, and a load on a receiver."""

from __future__ import annotations

import logging
import os
import signal
import threading
from pathlib import Path
from typing import Any

import click

from otel_replay.cli.options import database_option, examples, form_option, option
from otel_replay.config import LOOPBACK_ORIGINS, Settings

STOP_WITHIN_S = 9
"""Orchestrators kill after 10 s and call that a failure."""

FAILED = 1

PEM = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(
    epilog=examples(
        "otel-replay serve",
        "otel-replay serve --db /var/lib/replay.db --config replay.toml",
        "otel-replay serve --grpc-port 14317 --http-port 14318",
        "otel-replay serve --browser-origins 'https://app\\.example\\.com'",
    )
)
@database_option("SQLite file.")
@option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@option(
    "--grpc-port", type=click.IntRange(0, 65535), default=4317, show_default=True, help="OTLP/gRPC; 0: any free port."
)
@option("--http-port", type=click.IntRange(0, 65535), default=4318, show_default=True, help="OTLP/HTTP, API and page.")
@option(
    "--browser-origins",
    default=LOOPBACK_ORIGINS,
    help="Regular expression for whole web origins whose pages may send; loopback unless told.",
)
@option("--ui-port", type=click.IntRange(0, 65535), help="A port of its own for page and API.")
@option("--allow-unauthenticated", is_flag=True, help="Serve whoever asks, until there is an admin key.")
@option("--tls-cert", type=PEM, help="Certificate with its chain, PEM: both ports speak TLS.")
@option("--tls-key", type=PEM, help="Its key, PEM.")
@option("--tls-client-ca", type=PEM, help="Only clients with a certificate of this authority, PEM.")
@option(
    "--max-body-bytes",
    type=click.IntRange(1024, 1 << 30),
    default=64 << 20,
    show_default=True,
    help="Limit of a request, packed and unpacked.",
)
@option(
    "--max-in-flight-bytes",
    type=click.IntRange(1024),
    default=128 << 20,
    show_default=True,
    help="Limit of all requests at work; beyond it senders come again later.",
)
@option(
    "--upstream",
    "upstreams",
    metavar="URL",
    multiple=True,
    help="Another receiver: page and API answer for it, too. Repeatable; in the variable with spaces between.",
)
@option("--upstream-key", metavar="KEY", help="Key for these, scope read; admin to erase. Safer in the variable.")
@option("--upstream-ca", type=PEM, help="Authority of their certificates, PEM.")
@option("--config", type=PEM, help="TOML file with [privacy], [retention], [[prices]].")
@option("--demo", is_flag=True, help="Load the sample session and start the example chat application.")
@option("--demo-port", type=click.IntRange(0, 65535), default=8600, show_default=True, help="Port of the example.")
def serve(
    db: Path,
    host: str,
    grpc_port: int,
    http_port: int,
    demo: bool,
    demo_port: int,
    **further: Any,
) -> None:
    """Receive telemetry and recordings, and serve the page.

    OTLP over gRPC and HTTP on two ports; recorder, page and API are on the second. Without keys it serves this machine
    alone: otel-replay keys create makes one. Ctrl-C ends it; what was acknowledged is on disk.
    """
    from otel_replay.server import Server, collect_garbage_rarely, keep_memory_together

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)  # its name for all that is no access
    server = Server(Settings(db, host, grpc_port, http_port, **further))
    stopping = _stop_on_signals()
    keep_memory_together()
    server.start()
    collect_garbage_rarely()
    example = None
    try:
        click.echo(f"otel-replay: grpc {server.grpc_address}", err=True)
        click.echo(f"otel-replay: http {server.http_url}", err=True)
        click.echo(f"otel-replay: page {server.ui_url}", err=True)
        click.echo(f"otel-replay: file {db.absolute()}", err=True)
        if demo:
            from otel_replay.demo import start_demo

            example = start_demo(server, demo_port)
        stopping.wait()
        click.echo("otel-replay: stopping", err=True)
        _leave_in_time()
    finally:
        if example is not None:
            example.stop()
        server.stop()


def _stop_on_signals() -> threading.Event:
    """Set by the first signal; the second ends the process at once."""
    stopping = threading.Event()

    def on_signal(*_: object) -> None:
        if stopping.is_set():
            # Not through the stream, which may be in the middle of a line.
            os.write(2, b"otel-replay: stopped at once by a second signal; what was acknowledged is on disk\n")
            os._exit(FAILED)
        stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    return stopping


def _leave_in_time() -> None:
    """Ends the process if stopping takes too long: who acknowledges after the commit may leave at any moment."""

    def leave() -> None:
        click.echo(f"otel-replay: not stopped within {STOP_WITHIN_S} s; what was acknowledged is on disk", err=True)
        os._exit(0)

    timer = threading.Timer(STOP_WITHIN_S, leave)
    timer.daemon = True
    timer.start()


@click.command(
    epilog=examples("otel-replay bench", "otel-replay bench --target host:4317 --api host:4318 --seconds 20")
)
@option(
    "--workload",
    type=click.Choice(["w1", "w2", "w2c", "recordings"]),
    default="w1",
    show_default=True,
    help="What is sent.",
)
@option("--protocol", type=click.Choice(["grpc", "http"]), default="grpc", show_default=True, help="For spans.")
@option("--target", metavar="HOST:PORT", help="A running receiver; else one of its own, on an empty file.")
@option("--api", metavar="HOST:PORT", help="The target's HTTP port, to read samples back.")
@option("--spans-per-request", type=click.IntRange(1, 4096), help="Default: 512, of w2c 128.")
@option("--requests", type=click.IntRange(1), help="Default: some seconds' worth.")
@option("--seconds", type=click.FloatRange(0, min_open=True), help="Send for so long instead.")
@option("--connections", type=click.IntRange(1, 256), default=1, show_default=True, help="Of gRPC.")
@option("--in-flight", type=click.IntRange(1, 256), default=16, show_default=True, help="Unanswered requests.")
@option("--repeat", type=click.IntRange(1), default=3, show_default=True, help="Rounds; medians are reported.")
@option("--seed", help="Equal seeds send equal ids. Default: from the clock.")
@option("--work-dir", type=click.Path(exists=True, file_okay=False, path_type=Path), help="For requests and databases.")
@form_option("text", "json")
def bench(form: str, **options: Any) -> None:
    """How fast a receiver acknowledges spans or recordings.

    It needs Linux, a C compiler, and the headers of nghttp2.
    """
    from otel_replay.bench import run_bench

    run_bench(form, **options)
