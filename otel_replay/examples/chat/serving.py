"""The application and its model as two servers in threads of this process."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import ExitStack

import uvicorn
from starlette.applications import Starlette

from otel_replay.errors import ReplayError
from otel_replay.examples.chat import telemetry
from otel_replay.examples.chat.app import ChatConfig, create_app
from otel_replay.examples.chat.stub import Delays, create_stub
from otel_replay.sdk import OTelReplaySpanExporter

_HOST = "127.0.0.1"
_PATIENCE = 5.0  # Seconds for open answers at the end; a streamed one takes about one.


class RunningServer:
    """An ASGI application on a socket of its own."""

    def __init__(self, app: Starlette, port: int = 0) -> None:
        self._socket = _listen(port)
        self.url = f"http://{_HOST}:{self._socket.getsockname()[1]}"
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=int(_PATIENCE))
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name=f"chat-example {self.url}", daemon=True
        )
        self._thread.start()

    def wait_until_started(self) -> None:
        """Raises ``ReplayError`` when the server does not start."""
        deadline = time.monotonic() + _PATIENCE
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise ReplayError(f"the example application did not start at {self.url}")
            time.sleep(0.01)

    def stop(self) -> None:
        """Answer what is open and stop; bounded, safe to repeat."""
        self._server.should_exit = True
        self._thread.join(2 * _PATIENCE)
        self._socket.close()


class RunningChat:
    """The example application at ``url``, until ``stop()``."""

    def __init__(self, url: str, parts: ExitStack) -> None:
        self.url = url
        self._parts = parts

    def stop(self) -> None:
        """Stop both servers and send the last spans; bounded, safe to repeat."""
        self._parts.close()


def start_chat(receiver: str, port: int = 0, grpc: str | None = None, delays: Delays | None = None) -> RunningChat:
    """See ``otel_replay.examples.chat.start``; ``delays`` are the model's."""
    with ExitStack() as parts:
        provider = telemetry.configure(_exporter(receiver, grpc))
        parts.callback(telemetry.shut_down, provider)
        model = _serve(create_stub(delays), 0, parts)
        app = create_app(ChatConfig(receiver=receiver, model_url=f"{model.url}/v1"))
        telemetry.instrument_app(app, provider)
        served = _serve(app, port, parts)
        return RunningChat(served.url, parts.pop_all())


def _exporter(receiver: str, grpc: str | None) -> OTelReplaySpanExporter:
    return OTelReplaySpanExporter(f"http://{grpc}", "grpc") if grpc else OTelReplaySpanExporter(receiver)


def _serve(app: Starlette, port: int, parts: ExitStack) -> RunningServer:
    server = RunningServer(app, port)
    parts.callback(server.stop)
    server.wait_until_started()
    return server


def _listen(port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # without Nagle's delay
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((_HOST, port))
    except OSError as error:
        listening.close()
        raise ReplayError(
            f"the example application cannot listen on {_HOST}:{port}: {error.strerror}",
            hint="another --port, or 0 for a free one",
        ) from error
    return listening
