"""Timelines for people: as text and as tables."""

from __future__ import annotations

import io
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from otel_replay.errors import ReplayError
from otel_replay.model import DomEvent
from otel_replay.timeline import Subject, render_text
from tests.genai.spans import any_value

from .inputs import CHAT, START, TRACE, at, build, click, log, span


def test_text() -> None:
    usage = {"gen_ai.usage.input_tokens": 12, "gen_ai.usage.output_tokens": 3, "gen_ai.usage.cost": 0.0123}
    spans = [
        span(0, name="GET /", start=START, end=at(1_500)),
        span(1, name="chat", attributes={**CHAT, **usage, "gen_ai.usage.reasoning_tokens": -1}),
        span(2, 1, name="slow tool", status=Status(code=Status.STATUS_CODE_ERROR)),
    ]
    timeline = build(spans, [log(3, span_number=2, body=any_value("retry"))], [click(0, 1_234)])
    assert render_text(timeline).splitlines() == [
        f"trace {TRACE}: 1.500 s, 1 interaction, 12 tokens in, 3 tokens out, $0.0123",
        "      +0.000  span          GET /",
        "      +0.001  interaction   chat gpt-4o-mini",
        "      +0.002  span            slow tool [error]",
        "      +0.003  log               retry",
        "      +1.234  dom           click #send",
        f"warning: span:{TRACE}:{1:016x}: gen_ai.usage.reasoning_tokens: expected a whole number from 0 to 2^63 - 1",
    ]


def test_entries_without_a_time() -> None:
    assert render_text(build([span(1), span(2, start=0, end=0)])).splitlines()[1].split() == [
        "no",
        "time",
        "span",
        "work",
    ]


def test_depth_is_bounded() -> None:
    text = render_text(build([span(number, number - 1) for number in range(1, 50)]))
    assert text.splitlines()[-1].count("  work") == 1
    assert max(len(line) for line in text.splitlines()[1:]) < 80


def test_print() -> None:
    file = io.StringIO()
    build([span(1)]).print(file)
    assert file.getvalue() == render_text(build([span(1)]))


def test_print_goes_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    build([span(1)]).print()
    assert capsys.readouterr().out == render_text(build([span(1)]))


HOSTILE = st.text(st.characters(codec="utf-8") | st.sampled_from("\x1b\x07\x9b\r\n\u2028\u202e\x00"), max_size=20)


@settings(deadline=None)
@given(HOSTILE)
def test_no_text_reaches_the_terminal_as_a_command(text: str) -> None:
    event = DomEvent(0, 0, text, at(1), text, {})
    lines = render_text(
        build(
            [span(1, name=text)],
            [log(2, body=any_value(text), session=text)],
            [event],
            subject=Subject("session", text),
        )
    )
    assert lines.count("\n") == 4
    assert all(char == "\n" or (char.isprintable() or ord(char) > 0xA0) for char in lines)
    assert not set(lines) & set("\x1b\x07\x9b\r\u2028\u202e\x00")


def typed(index: int, selector: str, text: str) -> DomEvent:
    return DomEvent(0, index, "dom", at(index + 1), text, {"type": "input", "selector": selector})


def test_a_run_on_one_element_is_one_line_with_its_last_title() -> None:
    events = [typed(0, "#q", "h"), typed(1, "#q", "hi"), typed(2, "#other", "x"), typed(3, "#q", "hi!")]
    lines = render_text(build([], [], events)).splitlines()[1:]
    assert [line.split("dom")[1].strip() for line in lines] == ["hi (2 changes)", "x", "hi!"]


def test_table_without_pandas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ReplayError, match="pip install pandas"):
        build([span(1)]).to_dataframe()


def test_rows_keep_times_as_integers() -> None:
    row = build([span(1), span(2, 1, start=START)]).to_rows()[0]
    assert row["start_unix_nano"] == 1_763_600_000_123_456_789
    assert row["links"] == [
        {"rel": "child_of", "target": f"span:{TRACE}:{1:016x}", "basis": "exact", "confidence": 1.0}
    ]
