"""A small real chat application, recorded from the click to the model's answer and back to the words on the page.

``python -m otel_replay.examples.chat`` starts it beside a running receiver. Only the model is not real: ``stub`` is a
local server that speaks OpenAI's protocol.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_replay.errors import ReplayError

if TYPE_CHECKING:
    from otel_replay.examples.chat.serving import RunningChat

DEFAULT_PORT = 8600


def start(receiver: str, port: int = 0, grpc: str | None = None) -> RunningChat:
    """Start the application and its model in threads of this process; ``port`` 0 takes a free one.

    ``receiver`` is the receiver's HTTP address as the browser reaches it; the application's own spans go there too, or
    over gRPC to ``grpc`` (``HOST:PORT``). One application can run in a process at a time. Raises ``ReplayError`` for a
    second one, for a taken port, and when a package of the ``demo`` extra is missing.
    """
    try:
        from otel_replay.examples.chat.serving import start_chat
    except ModuleNotFoundError as error:
        raise ReplayError(
            f"the example application needs the package {error.name!r}", hint="pip install 'otel-replay[demo]'"
        ) from error
    return start_chat(receiver.rstrip("/"), port, grpc)
