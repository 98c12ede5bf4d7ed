"""``import otel_replay`` is for the user's process: it must cost that process nothing it did not ask for."""

from __future__ import annotations

import json
import subprocess
import sys

HEAVY = {"grpc", "numpy", "requests", "rich", "sqlite3", "starlette", "uvicorn", "zstandard"}


def test_import_loads_no_server_parts() -> None:
    program = "import sys, json, otel_replay; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    loaded = set(json.loads(done.stdout))
    assert "otel_replay" in loaded
    assert loaded & HEAVY == set()
