"""What holds for every timeline."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otel_replay.genai import DETAILS_EVENT
from otel_replay.model import DomEvent, Gap, StoredLog, StoredSpan
from otel_replay.timeline import StreamView, page, render_text
from tests.genai.spans import any_value

from .inputs import CHAT, TRACE, at, build, log, span, span_id

OTHER_TRACE = "0000000000000000000000000000000b"
TEXT = st.text(max_size=6)
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.binary(max_size=4) | TEXT
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2), max_leaves=4
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=6),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)
KEYS = st.sampled_from(
    [
        "session.id",
        "browser.action",
        "app.widget.id",
        "component",
        "gen_ai.operation.name",
        "gen_ai.request.model",
        "gen_ai.response.id",
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.cost",
        "gen_ai.input.messages",
        "gen_ai.output.messages",
        "http.method",
        "http.url",
        "http.status_code",
        "service.name",
        "asgi.event.type",
        "event.name",
        "exception.type",
    ]
)
TOLD = st.sampled_from(
    ["s1", "s2", "click", "user-interaction", "chat", "invoke_agent", "r1", 5, 0.25, "GET", "http://[", "[]"]
)
ATTRIBUTES = st.dictionaries(KEYS, TOLD | VALUES, max_size=5)
TIMES = st.sampled_from([0, at(0), at(1), at(2), 2**64 - 1])
NUMBERS = st.integers(1, 6)
SPANS: st.SearchStrategy[StoredSpan] = st.builds(
    span,
    NUMBERS,
    st.integers(0, 6),
    name=TEXT,
    kind=st.integers(0, 6),
    start=TIMES,
    end=TIMES,
    attributes=ATTRIBUTES | st.just(CHAT),
    resource=ATTRIBUTES,
    trace_id=st.sampled_from([TRACE, OTHER_TRACE]),
)
LOGS: st.SearchStrategy[StoredLog] = st.builds(
    log,
    NUMBERS,
    session=st.sampled_from(["", "s1", "s2"]),
    span_number=st.integers(0, 3),
    attributes=ATTRIBUTES,
    event_name=st.sampled_from(
        ["", "session.start", "session.end", "session.pause", "app.widget.click", DETAILS_EVENT]
    ),
    body=st.builds(any_value, VALUES),
    severity_number=st.integers(0, 24),
    time_unix_nano=TIMES,
)
DOM_EVENTS = st.builds(
    DomEvent,
    st.integers(0, 2),
    st.integers(0, 2),
    st.sampled_from(["dom", "navigation", "error", "hologram"]),
    TIMES,
    TEXT,
    st.dictionaries(
        st.sampled_from(["type", "tag", "selector", "payload"]), st.sampled_from(["click", "otel.action", "#a"]) | JSON
    ),
    st.sampled_from(["", TRACE]),
    st.sampled_from(["", span_id(1), span_id(2)]),
)
GAPS = st.builds(
    Gap,
    st.sampled_from(["a", "b"]),
    st.integers(-1, 3),
    st.integers(1, 3),
    TEXT,
    TIMES,
    TIMES,
    st.none() | st.integers(0, 9),
)
STREAMS = st.builds(
    StreamView,
    st.sampled_from(["s1", "s2"]),
    st.sampled_from(["a", "b"]),
    st.lists(DOM_EVENTS, max_size=4),
    st.lists(GAPS, max_size=2),
)


def some(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(strategy, max_size=7)


@pytest.mark.slow
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(some(SPANS), some(LOGS), st.lists(STREAMS, max_size=3), st.randoms(use_true_random=False))
def test_order_and_repetition_of_the_inputs_do_not_matter(
    spans: list[StoredSpan], logs: list[StoredLog], streams: list[StreamView], random: Any
) -> None:
    def shuffled(items: list[Any]) -> list[Any]:
        repeated = [*items, *random.sample(items, random.randint(0, len(items)))]
        random.shuffle(repeated)
        return repeated

    expected = build(spans, logs, streams=streams)
    pieces = [
        StreamView(stream.session_id, stream.stream_id, shuffled(list(stream.dom_events)), shuffled(list(stream.gaps)))
        for stream in shuffled(streams)
    ]
    again = build(shuffled(spans), shuffled(logs), streams=pieces)
    assert json.dumps(again.to_dict()) == json.dumps(expected.to_dict())


@pytest.mark.slow
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(some(SPANS), some(LOGS), st.lists(STREAMS, max_size=3))
def test_every_input_is_told_in_total_order(
    spans: list[StoredSpan], logs: list[StoredLog], streams: list[StreamView]
) -> None:
    timeline = build(spans, logs, streams=streams)
    keys = [entry.order_key for entry in timeline.entries]
    assert all(one < other for one, other in pairwise(keys))
    ids = {entry.id for entry in timeline.entries}
    assert {f"span:{one.trace_id}:{one.span_id}" for one in spans} <= ids
    assert {f"dom:{view.stream_id}:{event.seq}:{event.index}" for view in streams for event in view.dom_events} <= ids
    assert {link.target for entry in timeline.entries for link in entry.links} <= ids
    assert all(entry.start_unix_nano <= entry.end_unix_nano for entry in timeline.entries)
    json.dumps(page(timeline), allow_nan=False).encode()
    assert render_text(timeline).encode().count(b"\n") == 1 + len(timeline.entries) + len(timeline.warnings)
