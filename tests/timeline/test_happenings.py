"""Events with a kind and a title of their own, whatever their attributes hold."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from otel_replay.timeline.happenings import gap, happening

CODE = {"code.file.path": "src/app.py", "code.line.number": 12, "code.column.number": 4}
METRICS = {
    "system.cpu.utilization": 0.123,
    "system.memory.utilization": 0.4,
    "process.cpu.utilization": 0.05,
    "process.memory.usage": 96 << 20,
    "process.thread.count": 8,
    "http.server.active_requests": 3,
}
VERDICT = {"gen_ai.evaluation.name": "user_feedback", "gen_ai.evaluation.score.value": 0.5}


@pytest.mark.parametrize(
    ("event", "attributes", "expected"),
    [
        (
            "otel_replay.code_context",
            {**CODE, "otel_replay.code.language": "python"},
            ("code_context", "src/app.py:12:4 (python)"),
        ),
        ("otel_replay.code_context", {"code.file.path": "a\nb"}, ("code_context", "a b")),
        ("otel_replay.code_context", {}, ("code_context", "code context")),
        (
            "otel_replay.system_metrics",
            METRICS,
            ("system", "CPU 12 %, memory 40 %, process CPU 5 %, 96 MiB, 8 threads, 3 active requests"),
        ),
        ("otel_replay.system_metrics", {"system.cpu.utilization": "much"}, ("system", "system metrics")),
        (
            "session.snapshot",
            {**CODE, "system.cpu.utilization": 0.5},
            ("system", "snapshot: src/app.py:12:4, CPU 50 %"),
        ),
        ("session.snapshot", CODE, ("system", "snapshot: src/app.py:12:4")),
        ("session.snapshot", {"process.thread.count": 2}, ("system", "snapshot: 2 threads")),
        ("session.snapshot", {}, ("system", "snapshot")),
        ("gen_ai.evaluation.result", VERDICT, ("log", "user_feedback 0.5")),
        (
            "gen_ai.evaluation.result",
            {"gen_ai.evaluation.score.label": "good", "gen_ai.evaluation.explanation": "thanks"},
            ("log", "evaluation good: thanks"),
        ),
        ("session.start", CODE, None),
        ("", CODE, None),
    ],
)
def test_kinds_and_titles(event: str, attributes: dict[str, Any], expected: tuple[str, str] | None) -> None:
    assert happening(event, attributes) == expected


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"otel_replay.gap.reason": "sampled", "otel_replay.gap.records": 7}, "7 records were not kept: sampled"),
        ({"otel_replay.gap.reason": "sampled", "otel_replay.gap.records": 1}, "1 record was not kept: sampled"),
        ({"otel_replay.gap.reason": "sampled"}, "records were not kept: sampled"),
        ({"otel_replay.gap.records": 7}, None),
        ({"otel_replay.gap.reason": 5}, None),
    ],
)
def test_a_span_for_what_was_not_recorded(attributes: dict[str, Any], expected: str | None) -> None:
    found = gap(attributes)
    assert (found and found.title) == expected
    assert found is None or found.kind == "gap"


ANY = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.lists(st.text(), max_size=2)
)
KEYS = [*CODE, *METRICS, *VERDICT, "otel_replay.code.language", "gen_ai.evaluation.explanation"]
EVENTS = ["otel_replay.code_context", "otel_replay.system_metrics", "session.snapshot", "gen_ai.evaluation.result"]


@example("otel_replay.code_context", {"code.file.path": " "})
@given(st.sampled_from(EVENTS), st.dictionaries(st.sampled_from(KEYS), ANY))
def test_no_value_breaks_a_title(event: str, attributes: dict[str, Any]) -> None:
    found = happening(event, attributes)
    assert found is not None
    assert 0 < len(found.title) <= 200
    assert "\n" not in found.title
