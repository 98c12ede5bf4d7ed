"""Exact links: what caused a call, and which entries are one and the same."""

from __future__ import annotations

from itertools import permutations

import pytest

from otel_replay.model import DomEvent
from otel_replay.timeline import StreamView

from .inputs import CHAT, MS, SERVER, TRACE, announced, at, build, click, links, log, span, span_id

ACTION = {"browser.action": "click"}


class TestCausedByAnAction:
    def test_every_ai_and_server_span_below_it(self) -> None:
        spans = [
            span(1, attributes=ACTION),
            span(2, 1),
            span(3, 2, kind=SERVER),
            span(4, 3, attributes=CHAT),
            span(5, 4, attributes={"gen_ai.operation.name": "execute_tool"}),
            span(6, attributes=CHAT),
        ]
        assert links(build(spans), "caused_by") == {"span 3": "span 1", "span 4": "span 1", "span 5": "span 1"}

    def test_the_nearest_one(self) -> None:
        spans = [span(1, attributes=ACTION), span(2, 1, attributes=ACTION), span(3, 2, kind=SERVER)]
        assert links(build(spans), "caused_by") == {"span 3": "span 2"}

    def test_not_across_traces(self) -> None:
        spans = [span(1, attributes=ACTION), span(2, 1, kind=SERVER, trace_id="b" * 32)]
        assert links(build(spans), "caused_by") == {}

    def test_announced_by_the_recording_while_its_span_is_missing(self) -> None:
        spans = [span(2, 1), span(3, 2, attributes=CHAT)]
        timeline = build(spans, dom=[announced(0, 0, 1)])
        assert links(timeline, "caused_by") == {"span 3": "dom:tab:0:0"}
        assert links(timeline, "same_call") == {}

    def test_the_span_counts_more_than_its_announcement(self) -> None:
        spans = [span(1, attributes=ACTION), span(3, 1, attributes=CHAT)]
        timeline = build(spans, dom=[announced(0, 0, 1)])
        assert links(timeline, "caused_by") == {"span 3": "span 1"}
        assert links(timeline, "same_call") == {"dom:tab:0:0": "span 1"}

    def test_the_earliest_announcement_counts(self) -> None:
        timeline = build([span(3, 1, attributes=CHAT)], dom=[announced(1, 9, 1, "#a"), announced(2, 3, 1, "#b")])
        assert links(timeline, "caused_by") == {"span 3": "dom:tab:0:2"}

    def test_another_custom_event_is_no_action(self) -> None:
        fetch = DomEvent(0, 0, "network", at(0), "POST", {"tag": "otel.fetch"}, TRACE, span_id(1))
        timeline = build([span(1), span(2, 1, attributes=CHAT)], dom=[fetch])
        assert links(timeline, "caused_by") == {}
        assert links(timeline, "same_call") == {"dom:tab:0:0": "span 1"}

    @pytest.mark.parametrize(
        ("tag", "rel"),
        [
            ("otel.action", "same_call"),
            ("otel.page_view", "same_call"),
            ("otel.navigation", "same_call"),
            ("otel.error", "caused_by"),
            ("otel.console", "caused_by"),
            ("otel.web_vital", "caused_by"),
        ],
    )
    def test_what_happens_in_the_course_of_an_action(self, tag: str, rel: str) -> None:
        event = DomEvent(0, 0, "dom", at(2), "x", {"type": "custom", "tag": tag}, TRACE, span_id(1))
        timeline = build([span(1, attributes=ACTION)], dom=[event])
        assert {one: links(timeline, one) for one in ("same_call", "caused_by")} == {
            "same_call": {},
            "caused_by": {},
            rel: {"dom:tab:0:0": "span 1"},
        }

    def test_a_log_event_in_the_course_of_an_action(self) -> None:
        logs = [log(2, span_number=1, event_name="browser.console"), log(3, span_number=2)]
        timeline = build([span(1, attributes=ACTION), span(2, 1)], logs)
        assert links(timeline, "caused_by") == {f"log:{2:032x}": "span 1"}


class TestCausedByAPage:
    """``Server-Timing: traceparent`` of the answer to a page that had no trace yet."""

    def test_the_server_s_span_by_the_browser_s(self) -> None:
        server, other = span(1, kind=SERVER, trace_id="b" * 32), span(2, kind=SERVER, trace_id="c" * 32)
        told = {"link.traceId": "b" * 32, "link.spanId": span_id(1)}
        timeline = build([server, other, span(3, attributes=told, name="documentFetch")])
        assert links(timeline, "caused_by") == {"span 1": "span 3"}

    @pytest.mark.parametrize("told", [TRACE, 7, None, ["x"], {"x": 1}])
    def test_what_names_no_other_span(self, told: object) -> None:
        attributes = {"link.traceId": told, "link.spanId": span_id(3)}
        assert links(build([span(3, attributes=attributes)]), "caused_by") == {}


class TestCausedByAClick:
    @pytest.mark.parametrize(("clicked", "handled"), [(0, 1), (1, 0)])
    def test_in_either_order(self, clicked: int, handled: int) -> None:
        timeline = build(dom=[click(clicked, 5), announced(handled, 5, 1)])
        assert links(timeline, "caused_by") == {f"dom:tab:0:{handled}": f"dom:tab:0:{clicked}"}

    @pytest.mark.parametrize(("delay", "expected"), [(50, {"dom:tab:0:1": "dom:tab:0:0"}), (51, {})])
    def test_within_50_ms(self, delay: int, expected: dict[str, str]) -> None:
        assert links(build(dom=[click(0, 0), announced(1, delay, 1)]), "caused_by") == expected

    def test_same_target_only(self) -> None:
        assert links(build(dom=[click(0, 0, "#other"), announced(1, 0, 1)]), "caused_by") == {}

    def test_same_stream_only(self) -> None:
        streams = [StreamView("s1", "a", [click(0, 0)]), StreamView("s1", "b", [announced(0, 0, 1)])]
        assert links(build(streams=streams), "caused_by") == {}

    def test_next_to_it_only(self) -> None:
        between = DomEvent(0, 1, "console", at(0), "x", {})
        assert links(build(dom=[click(0, 0), between, announced(2, 0, 1)]), "caused_by") == {}

    def test_the_nearer_of_two(self) -> None:
        timeline = build(dom=[click(0, 0), announced(1, 30, 1), click(2, 31)])
        assert links(timeline, "caused_by") == {"dom:tab:0:1": "dom:tab:0:2"}


class TestBrokenTrees:
    def test_a_span_under_itself(self) -> None:
        timeline = build([span(1, 1, attributes=CHAT)])
        assert links(timeline, "child_of") == {}
        assert timeline.warnings == (f"span:{TRACE}:{span_id(1)}: stands under itself, its parent is not followed",)

    def test_a_cycle_is_cut_once_whatever_the_order(self) -> None:
        spans = [span(1, 4), span(2, 3), span(3, 4), span(4, 2)]
        expected = {"span 1": "span 4", "span 3": "span 4", "span 4": "span 2"}
        for order in permutations(spans):
            assert links(build(order), "child_of") == expected

    def test_a_chain_of_thousands(self) -> None:
        spans = [span(1, attributes=ACTION), *(span(number, number - 1) for number in range(2, 3_000))]
        timeline = build([*spans, span(3_000, 2_999, attributes=CHAT, start=at(3_000), end=at(3_000) + MS)])
        assert links(timeline, "caused_by") == {"span 3000": "span 1"}
