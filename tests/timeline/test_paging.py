"""Pages of a timeline."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_replay.errors import InvalidRequest, NotFound
from otel_replay.timeline import Timeline, page

from .inputs import CHAT, MS, TRACE, at, build, click, log, span, span_id


def timeline() -> Timeline:
    spans = [span(number, number - 1, attributes=CHAT if number % 2 else {}) for number in range(1, 8)]
    same_instant = [log(5, body=None), log(105, time_unix_nano=at(5))]
    return build(spans, same_instant, [click(0, 5), click(1, 60)])


def ids(answer: dict[str, Any]) -> list[str]:
    return [entry["id"] for entry in answer["entries"]]


@pytest.mark.parametrize("limit", [1, 2, 3, 10, 11, 100])
def test_pages_together_are_the_whole(limit: int) -> None:
    whole = timeline()
    seen: list[str] = []
    cursor = None
    while True:
        answer = page(whole, limit=limit, cursor=cursor)
        assert len(answer["entries"]) <= limit
        seen += ids(answer)
        cursor = answer["next_cursor"]
        if cursor is None:
            break
    assert seen == ids(whole.to_dict())


def test_a_page_keeps_totals_and_links() -> None:
    whole = timeline()
    answer = page(whole, limit=1, cursor=page(whole, limit=1)["next_cursor"])
    assert answer["interactions"] == 4
    assert answer["start_unix_nano"] == str(at(1))
    assert [link["target"] for link in answer["entries"][0]["links"]] == [f"span:{TRACE}:{span_id(1)}"]


def test_a_cursor_survives_late_data() -> None:
    before = build([span(1), span(3)])
    after = build([span(1), span(2), span(3)])
    assert ids(page(after, cursor=page(before, limit=1)["next_cursor"])) == [
        f"span:{TRACE}:{span_id(2)}",
        f"span:{TRACE}:{span_id(3)}",
    ]


def test_kinds() -> None:
    assert {entry["kind"] for entry in page(timeline(), kinds=["dom", "log"])["entries"]} == {"dom", "log"}
    assert page(timeline(), kinds=[])["entries"] == []


def test_around() -> None:
    answer = page(timeline(), around=(TRACE, span_id(7)), window_ns=MS)
    assert "dom:tab:0:1" not in ids(answer)
    assert "dom:tab:0:0" not in ids(answer)
    assert ids(page(timeline(), around=(TRACE, span_id(7)), window_ns=2 * MS, kinds=["dom"])) == ["dom:tab:0:0"]
    assert len(page(timeline(), around=(TRACE, span_id(7)))["entries"]) == len(timeline().entries)


def test_around_works_when_the_span_itself_is_filtered_out() -> None:
    assert ids(page(timeline(), around=(TRACE, span_id(7)), window_ns=43 * MS, kinds=["dom"])) == [
        "dom:tab:0:0",
        "dom:tab:0:1",
    ]


def test_around_an_unknown_span() -> None:
    with pytest.raises(NotFound, match="no span"):
        page(timeline(), around=(TRACE, span_id(99)))


@pytest.mark.parametrize(
    "asked", [{"kinds": ["clicks"]}, {"limit": 0}, {"around": (TRACE, span_id(1)), "window_ns": -1}]
)
def test_bad_requests(asked: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        page(timeline(), **asked)


@pytest.mark.parametrize(
    "document", ["[]", '[1, 2, "a"]', '["1", 2, "a", "b"]', "{}", "[" * 9_999, "9" * 5_000, '"\\ud800"']
)
def test_forged_cursors(document: str) -> None:
    with pytest.raises(InvalidRequest, match="cursor"):
        page(timeline(), cursor=base64.urlsafe_b64encode(document.encode()).decode())


@settings(deadline=None)
@given(st.text(min_size=1))
def test_any_text_is_refused_as_a_cursor(text: str) -> None:
    with pytest.raises(InvalidRequest, match="cursor"):
        page(timeline(), cursor=text)
