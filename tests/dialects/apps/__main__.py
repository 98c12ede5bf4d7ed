"""Plays the conversation with one library while one or more instrumentations record it.

``python -m tests.dialects.apps CLIENT RECORDER ...`` in an environment that has both. ``STUB_URL`` is the model's
address, ``SESSION`` the session id and the API key by which the stub tells callers apart; spans and logs go where
the standard ``OTEL_EXPORTER_OTLP_ENDPOINT`` says.
"""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from importlib import import_module

from tests.dialects.apps import telemetry


def main(client: str, *recorders: str) -> None:
    stub, session = os.environ["STUB_URL"], os.environ["SESSION"]
    with ExitStack() as recording:
        for name in recorders:
            recorder = import_module(f"tests.dialects.apps.recorders.{name}")
            recording.enter_context(recorder.recording(client, session))
        import_module(f"tests.dialects.apps.clients.{client}").play(stub, session)
    telemetry.shut_down()


main(*sys.argv[1:])
