"""A call whose session only its trace tells counts in that session, wherever it is asked for."""

from __future__ import annotations

from typing import Any

import pytest

from otel_replay.model import Signal
from tests.outside.outside import Outside, answered
from tests.outside.telemetry import CHAT, log, logs, span, traces

pytestmark = [pytest.mark.feature("K12"), pytest.mark.feature("X10")]

AGENT = {"gen_ai.operation.name": "invoke_agent", "user.id": "eve"}


def export_call(receiver: Outside, trace_id: str) -> None:
    """As the Vercel AI SDK does: below an agent, and without a session of its own."""
    receiver.export(Signal.TRACES, traces(span(trace_id, 2, 1, attributes=CHAT)).SerializeToString())


def export_agent(receiver: Outside, trace_id: str, session: str) -> None:
    one = span(trace_id, 1, attributes=AGENT | {"session.id": session})
    receiver.export(Signal.TRACES, traces(one).SerializeToString())


def export_log(receiver: Outside, trace_id: str, session: str) -> None:
    record = log("signed in", attributes={"session.id": session}, trace_id=trace_id)
    receiver.export(Signal.LOGS, logs(record).SerializeToString())


@pytest.mark.parametrize("is_call_first", [True, False])
@pytest.mark.parametrize("tell", [export_agent, export_log])
def test_calls_count_in_the_session_of_their_trace(receiver: Outside, tell: Any, is_call_first: bool) -> None:
    session = f"{tell.__name__} {is_call_first}"
    trace_id = f"{0x5E55 + 2 * (tell is export_log) + is_call_first:032x}"
    if is_call_first:
        export_call(receiver, trace_id)
        receiver.document("/api/v1/stats", wait="10s")
    tell(receiver, trace_id, session)
    if not is_call_first:
        export_call(receiver, trace_id)
    receiver.document("/api/v1/stats", wait="10s")
    timeline = receiver.timeline(f"/api/v1/sessions/{session}/timeline")
    total = answered(receiver.command("stats", "--session", session, "--format", "json"))["total"]
    [listed] = [one for one in receiver.document("/api/v1/sessions")["sessions"] if one["session_id"] == session]
    assert timeline["interactions"] == total["interactions"] == listed["interactions"] == 1
    assert timeline["tokens"] == total["tokens"]
    assert listed["tokens"] == {"input": 12, "output": 34}
    if tell is export_agent:
        groups = receiver.document("/api/v1/stats", by="session", user="eve")["groups"]
        assert session in {one["group"] for one in groups if one["interactions"] == 1}
    assert receiver.http.delete(f"{receiver.url}/api/v1/sessions/{session}", timeout=30).status_code == 200
    assert receiver.get(f"/api/v1/traces/{trace_id}").status_code == 404
