"""An application that a signal ends: what it recorded last is sent before uvicorn hands the signal on."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import requests

from tests.outside.outside import running
from tests.sdk.programs import serving
from tests.sdk.test_delivery import free_port

PROGRAM = """
import sys
import otel_replay
import uvicorn
from otel_replay.sdk import SessionMiddleware
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

otel_replay.instrument(service_name="shop")
app = Starlette(routes=[Route("/", lambda request: PlainTextResponse("here"))])
uvicorn.run(SessionMiddleware(app), port=int(sys.argv[1]))
"""


@pytest.mark.slow
@pytest.mark.feature("K14")
def test_the_last_request_is_sent_when_a_signal_ends_the_server(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    file = tmp_path / "shop.py"
    file.write_text(PROGRAM)
    with running(tmp_path / "replay.db") as outside:
        # Nothing is sent by time: only the end of the application sends.
        environment = {"OTEL_REPLAY_ENDPOINT": outside.url, "OTEL_BSP_SCHEDULE_DELAY": "3600000"}
        with serving(f"{url}/ready", sys.executable, str(file), url.rsplit(":", 1)[1], **environment) as process:
            requests.get(url, headers={"x-session-id": "last-words"}, timeout=10)
            process.terminate()
            process.wait(30)
        entries = outside.document("/api/v1/sessions/last-words/timeline")["entries"]
    assert [entry["title"] for entry in entries if entry["kind"] == "span"] == ["GET / 200"]
