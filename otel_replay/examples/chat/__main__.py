"""``python -m otel_replay.examples.chat``: the example application, until Ctrl-C."""

from __future__ import annotations

import signal
import threading

import click

from otel_replay.errors import ReplayError
from otel_replay.examples.chat import DEFAULT_PORT, start


@click.command()
@click.option("--receiver", default="http://127.0.0.1:4318", show_default=True, help="The receiver's HTTP address.")
@click.option("--port", default=DEFAULT_PORT, show_default=True, help="Where the page is served; 0 takes a free port.")
@click.option("--grpc", metavar="HOST:PORT", help="Send the application's spans over gRPC to this address instead.")
def main(receiver: str, port: int, grpc: str | None) -> None:
    """Start a small chat application whose sessions, spans and model calls go to a running otel-replay."""
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    try:
        running = start(receiver, port, grpc)
    except ReplayError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"chat example: {running.url}  (recorded by {receiver}; Ctrl-C stops it)")
    stopped.wait()
    running.stop()


if __name__ == "__main__":
    main()
