"""A backend that takes recordings from its own pages and hands them on: a Flask blueprint.

::

    pip install 'otel-replay' flask
    OTEL_REPLAY_API_KEY=orpl_... python -m otel_replay.examples.forward_flask http://127.0.0.1:4318 8605
    curl http://127.0.0.1:8605/api/session-record -d '{"sessionId": "s1", "events": [{"type": 4, "timestamp": 1}]}'
"""

from __future__ import annotations

import os
import sys

from flask import Blueprint, Flask

from otel_replay.forward import WsgiForwarder


def recordings(receiver: str, key: str | None) -> Blueprint:
    """The route, to register on any application."""
    forwarder = WsgiForwarder(receiver, key=key)
    blueprint = Blueprint("recordings", __name__)

    @blueprint.post("/api/session-record")
    def record() -> WsgiForwarder:
        """Flask answers with what this WSGI application answers."""
        return forwarder

    return blueprint


def main(receiver: str = "http://127.0.0.1:4318", port: str = "8605") -> None:
    """Serves until Ctrl-C."""
    app = Flask(__name__)
    app.register_blueprint(recordings(receiver, os.environ.get("OTEL_REPLAY_API_KEY")))
    app.run(port=int(port))


if __name__ == "__main__":
    main(*sys.argv[1:])
