"""The questions of docs/query.md and docs/trouble.md, asked as they stand there."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from otel_replay.model import Signal
from tests.outside.outside import JSON, Outside, command, running
from tests.outside.telemetry import CHAT, page, span, span_id, traces

DOCS = Path(__file__).resolve().parents[2] / "docs"
QUERY, TROUBLE = (DOCS / "query.md").read_text(), (DOCS / "trouble.md").read_text()
TRACE = re.findall(r"\b[0-9a-f]{32}\b", QUERY)[0]
SESSION = "SESSION_ID"


def lines(text: str, program: str) -> list[str]:
    """What the document types into a shell, without what the answer is piped into."""
    code = "\n".join(re.findall(r"^```sh\n(.+?)^```", text, re.M | re.S))
    return [line.split(" | ")[0] for line in re.findall(rf"^{program} .+$", code, re.M)]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    """A receiver that has what the documents ask for, on ``replay.db`` of the directory that one is in."""
    directory = tmp_path_factory.mktemp("here")
    with running(directory / "replay.db") as outside, pytest.MonkeyPatch.context() as patch:
        said = {**CHAT, "session.id": SESSION, "user.id": "u1", "http.response.status_code": 500}
        now = time.time_ns()
        times = {"start_time_unix_nano": now, "end_time_unix_nano": now + 10**7}
        failed = span(TRACE, 1, attributes=said, status=Status(code=Status.STATUS_CODE_ERROR), **times)
        outside.export(Signal.TRACES, traces(failed, service="checkout").SerializeToString())
        outside.upload(SESSION, [{**event, "timestamp": now // 10**6} for event in page()])
        patch.chdir(directory)
        yield outside


@pytest.mark.feature("C7")
@pytest.mark.parametrize("line", lines(QUERY, "otel-replay"))
def test_shell(here: Outside, line: str) -> None:
    told = command(*shlex.split(line.replace("http://127.0.0.1:4318", here.url))[1:])
    assert told.exit_code == 0, told.output
    assert TRACE in told.stdout or SESSION in told.stdout or "events.json" in line


@pytest.mark.feature("C7")
def test_python(here: Outside, capsys: pytest.CaptureFixture[str]) -> None:
    (snippet,) = re.findall(r"^```python\n(.+?)^```", QUERY, re.M | re.S)
    found: dict[str, Any] = {}
    exec(compile(snippet, "docs/query.md", "exec"), found)
    try:
        assert f"trace {TRACE}" in capsys.readouterr().out
        assert [one["session_id"] for one in found["page"]["sessions"]] == [SESSION]
        assert found["numbers"]["interactions"] == 1
        assert [one["trace_id"] for one in found["failed"]["traces"]] == [TRACE]
        assert found["hits"] == []
    finally:
        found["replay"].close()


@pytest.mark.feature("C7")
@pytest.mark.parametrize("line", lines(QUERY, "curl"))
def test_http(here: Outside, line: str) -> None:
    (address,) = re.findall(r"http://127.0.0.1:4318(/[^ \']+)", line)
    answer = here.get(address.replace("TRACE_ID", TRACE).replace("SPAN_ID", span_id(1)))
    assert answer.status_code == 200, answer.text
    assert answer.json()["next_cursor"] is None


def test_the_span_to_try_with(here: Outside) -> None:
    (body,) = re.findall(r"-d '(.+?)'", TROUBLE, re.S)
    (trace_id,) = {*re.findall(r"\b[0-9a-f]{32}\b", TROUBLE)}
    answer = here.post("/v1/traces", body.encode(), JSON)
    assert (answer.status_code, answer.text) == (200, "{}")
    (line,) = lines(TROUBLE, "otel-replay timeline")
    assert trace_id in command(*shlex.split(line.replace("http://127.0.0.1:4318", here.url))[1:]).stdout
    assert "otel_replay_requests_total" in here.get("/metrics").text
