"""Malformed attributes, from the outside: nothing is refused, they are kept as they came, and the entry says so."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import pytest

from otel_replay.model import Signal
from tests.outside.outside import Outside, running
from tests.outside.telemetry import CHAT, span, traces

ANSWER = [{"role": "assistant", "parts": [{"type": "text", "content": "Hello"}]}]
LARGE = "x" * 5_000_000
MALFORMED: dict[str, tuple[str, Any, Any]] = {
    "a number for messages": ("gen_ai.input.messages", 7, 7),
    "a number for a model": ("gen_ai.response.model", 7, 7),
    "bytes for messages": ("gen_ai.input.messages", b"\xff", "/w=="),
    "broken JSON": ("gen_ai.input.messages", '[{"role": "user", "content": "cut', '[{"role": "user", "content": "cut'),
    "broken JSON of 5 MB": ("gen_ai.input.messages", f'[{{"role": "{LARGE}', f'[{{"role": "{LARGE}'),
    "nested too deep": ("gen_ai.input.messages", "[" * 200, "[" * 200),
    "a cost that is no number": ("gen_ai.usage.cost", math.nan, "NaN"),
    "a cost without end": ("gen_ai.usage.cost", math.inf, "Infinity"),
    "a negative cost": ("gen_ai.usage.cost", -0.5, -0.5),
    "negative tokens": ("gen_ai.usage.cache_read.input_tokens", -5, -5),
    "tokens in words": ("gen_ai.usage.cache_read.input_tokens", "many", "many"),
    "half a token": ("gen_ai.usage.cache_read.input_tokens", 0.5, 0.5),
    "a time in words": ("gen_ai.response.time_to_first_chunk", "soon", "soon"),
}
"""By what is wrong: key, value, and the value as JSON has it."""


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    with running(tmp_path_factory.mktemp("receiver") / "replay.db") as outside:
        yield outside


def send(receiver: Outside, number: int, attributes: dict[str, Any]) -> str:
    """One call in a trace and a session of its own; the id of its entry."""
    told = {**CHAT, "session.id": f"s{number}", "gen_ai.output.messages": json.dumps(ANSWER), **attributes}
    one = span(f"{number:032x}", 1, attributes=told)
    assert receiver.export(Signal.TRACES, traces(one).SerializeToString()) == b"", "all of it is taken"
    return f"span:{number:032x}:{1:016x}"


@pytest.mark.feature("X5")
@pytest.mark.parametrize("case", MALFORMED)
def test_it_is_kept_and_named_and_costs_nothing_else(receiver: Outside, case: str) -> None:
    key, value, written = MALFORMED[case]
    number = [*MALFORMED].index(case) + 1
    entry_id = send(receiver, number, {key: value})
    timeline = receiver.document(f"/api/v1/sessions/s{number}/timeline")
    [entry] = timeline["entries"]
    assert (entry["id"], entry["kind"]) == (entry_id, "interaction")
    [warning] = timeline["warnings"]
    assert warning.startswith(f"{entry_id}: {key}: ")
    assert LARGE[:100] not in warning
    detail = entry["detail"]
    assert detail["attributes"][key] == written
    assert (detail["output_messages"], detail["usage"]["input"], detail["usage"]["output"]) == (ANSWER, 12, 34)
    total = receiver.document("/api/v1/stats", session=f"s{number}", wait="10s")["total"]
    assert (total["interactions"], total["errors"]) == (1, 0)
    assert (total["tokens"]["input"], total["tokens"]["cache_read"]) == (12, None)


@pytest.mark.feature("X5")
def test_a_prompt_of_5_mb_is_a_prompt(receiver: Outside) -> None:
    said = [{"role": "user", "parts": [{"type": "text", "content": LARGE}]}]
    send(receiver, 100, {"gen_ai.input.messages": json.dumps(said)})
    timeline = receiver.document("/api/v1/sessions/s100/timeline")
    assert timeline["warnings"] == []
    assert timeline["entries"][0]["detail"]["input_messages"] == said


VERY_MANY: dict[str, tuple[str, str, int, int]] = {
    "numbers for messages": ("gen_ai.input.messages", json.dumps([1] * 300_000), 0, 21),
    "thoughts in a row": ("input.value", json.dumps([{"type": "reasoning"}] * 250_000), 250_000, 0),
    "pieces of one text": (
        "input.value",
        json.dumps({"candidates": [{"content": {"parts": [{"text": "x" * 3_000_000}, *[{"text": "y"}] * 250_000]}}]}),
        1,
        0,
    ),
}
"""Of each: key, value, how many parts its messages have, and warnings. What grows with the square takes minutes."""


@pytest.mark.slow
@pytest.mark.feature("X5")
@pytest.mark.parametrize("case", VERY_MANY)
def test_very_many_of_one_kind_hold_nobody_up(receiver: Outside, case: str) -> None:
    key, value, parts, warnings = VERY_MANY[case]
    number = 200 + [*VERY_MANY].index(case)
    send(receiver, number, {key: value})
    timeline = receiver.document(f"/api/v1/sessions/s{number}/timeline")
    detail = timeline["entries"][0]["detail"]
    assert sum(len(one["parts"]) for one in detail["input_messages"] or ()) == parts
    assert len(timeline["warnings"]) == warnings
    assert (key in detail["attributes"]) == bool(warnings)
