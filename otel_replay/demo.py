"""``serve --demo``: the bundled sample session, and the example application to make more of them."""

from __future__ import annotations

import gzip
import json
import sys
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from otel_replay.errors import ReplayError
from otel_replay.examples.chat import start
from otel_replay.model import DEFAULT_PROJECT, Signal, Source
from otel_replay.receiver.handler import Handler, Sender

if TYPE_CHECKING:
    from otel_replay.examples.chat.serving import RunningChat
    from otel_replay.server import Server

_SENDER = Sender(DEFAULT_PROJECT, Source.SERVER)


def start_demo(server: Server, port: int) -> RunningChat | None:
    """Loads the sample, starts the example on ``port`` and says what to try; None when the example cannot start."""
    session_id = load_sample(server)
    try:
        if server.registry.needs_key:
            raise ReplayError("it sends without a key, and this server needs one", hint="give --demo a file of its own")
        example = start(server.http_url, port)
    except ReplayError as error:
        click.echo(f"otel-replay: the example application is not started: {error}", err=True)
        example = None
    click.echo(_welcome(server.ui_url, session_id, example.url if example else None), err=True)
    return example


def sample_session() -> dict[str, Any]:
    """``{"version", "traces": [OTLP/JSON TracesData], "recording": {"session_id", "streams"}}``."""
    packed = files("otel_replay.examples").joinpath("sample_session.json.gz").read_bytes()
    document: dict[str, Any] = json.loads(gzip.decompress(packed))
    return document


def load_sample(server: Server) -> str:
    """Stores the sample through the receiver, unless it is there already; returns its session id."""
    sample = sample_session()
    session_id: str = sample["recording"]["session_id"]
    if not server.replay.has_session(session_id):
        for trace in sample["traces"]:
            server.handler.export_json(Signal.TRACES, json.dumps(trace).encode(), _SENDER)
        for stream in sample["recording"]["streams"]:
            _store_stream(server.handler, session_id, stream)
    return session_id


def _store_stream(handler: Handler, session_id: str, stream: dict[str, Any]) -> None:
    payload = json.dumps(stream["events"]).encode()
    handler.upload(session_id, stream["stream_id"], 0, payload, None, _SENDER)


def _welcome(url: str, session_id: str, example_url: str | None) -> str:
    chat = f"ask the example application something: {example_url}" if example_url else "pip install 'otel-replay[demo]'"
    return f"""
  Open {url}

  Three things to try next:
    1. play the sample session:  {url}/#/sessions/{session_id}
    2. {chat}
       and find yourself at the top of the list
    3. send your own telemetry:  export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf OTEL_EXPORTER_OTLP_ENDPOINT={url}
       and read it back:         {_command()} traces --url {url}

  Ctrl-C stops everything.
"""


def _command() -> str:
    """How whoever reads this starts it: in a checkout it is not on the path of their shell."""
    program = Path(sys.argv[0])
    is_here = program.name == "otel-replay" and program.is_relative_to(Path.cwd())
    return str(program.relative_to(Path.cwd())) if is_here else "otel-replay"
