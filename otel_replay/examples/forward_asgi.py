"""A backend that takes recordings from its own pages and hands them on: ASGI, as Starlette and FastAPI are.

::

    pip install 'otel-replay' starlette uvicorn
    OTEL_REPLAY_API_KEY=orpl_... python -m otel_replay.examples.forward_asgi http://127.0.0.1:4318 8604
    curl http://127.0.0.1:8604/api/session-record -d '{"sessionId": "s1", "events": [{"type": 4, "timestamp": 1}]}'
"""

from __future__ import annotations

import os
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route

from otel_replay.forward import AsgiForwarder


def main(receiver: str = "http://127.0.0.1:4318", port: str = "8604") -> None:
    """Serves until Ctrl-C."""
    forwarder = AsgiForwarder(receiver, key=os.environ.get("OTEL_REPLAY_API_KEY"))
    app = Starlette(routes=[Route("/api/session-record", forwarder, methods=["POST"])])
    uvicorn.run(app, port=int(port))
    forwarder.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
