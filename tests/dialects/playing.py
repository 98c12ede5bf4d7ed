"""Starts the applications, each in the environment of its libraries (``make dialects`` builds them)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.dialects import conversation
from tests.dialects.conversation import OPENAI

ROOT = Path(__file__).resolve().parents[2]
BUILT = ROOT / ".build" / "dialects"
SCRIPT = Path(__file__).parent / "environments" / "vercel" / "play.mjs"
TIMEOUT_S = 110


def play(environment: str, client: str, recorders: Sequence[str], stub: str, receiver: str) -> str:
    """Run ``CLIENT`` under ``RECORDERS`` to its end; the id of the session that it recorded."""
    python = _environment(environment) / "bin" / "python"
    command = [str(python), "-m", "tests.dialects.apps", client, *recorders]
    return _run(command, ROOT, "-".join((client, *recorders)), stub, receiver)


def play_javascript(flavor: str, stub: str, receiver: str) -> str:
    """The same for the Vercel AI SDK; npm finds Node.js as it does for the page's build."""
    folder = _environment("vercel")
    shutil.copy(SCRIPT, folder)
    return _run([str(ROOT / ".ci" / "npm"), "run", "--silent", flavor], folder, f"vercel-{flavor}", stub, receiver)


def _environment(name: str) -> Path:
    folder = BUILT / name
    if not (folder / "stamp").exists():
        assert not os.environ.get("CI"), f"{folder} is missing: make dialects"
        pytest.skip("no environment of the real libraries here: make dialects")
    return folder


def _run(command: list[str], folder: Path, session: str, stub: str, receiver: str) -> str:
    """With nothing of this process's settings but where programs and their caches are."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    told = {
        "STUB_URL": stub,
        "SESSION": session,
        "CONVERSATION": _constants(),
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_METRICS_EXPORTER": "none",
        "DO_NOT_TRACK": "true",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # or it asks for its list of prices when it is imported
        "ANTHROPIC_OPEN_TELEMETRY": "false",  # its client records itself unless told not to; recorders/own.py tells it
    }
    done = subprocess.run(
        command, cwd=folder, env={**kept, **told}, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-5000:]}\n{done.stderr[-10_000:]}"
    return session


def _constants() -> str:
    """Those of the conversation that are no Python, for a program that is none either."""
    named = {name: value for name, value in vars(conversation).items() if name.isupper()}
    plain = {name: value for name, value in named.items() if isinstance(value, str | int | float | dict)}
    return json.dumps({**plain, "MODEL": OPENAI.model, "EMBEDDING_MODEL": OPENAI.embedding_model})
