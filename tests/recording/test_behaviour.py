"""What several events tell together; the numbers are those of :mod:`otel_replay.recording.behaviour`."""

from __future__ import annotations

from typing import Any

import pytest

from otel_replay.model import DomEvent
from otel_replay.recording.behaviour import BURST_CHANGES, MAX_WAITING, SCROLL_STEP_PX
from otel_replay.recording.distill import StreamDistiller, distill_stream
from otel_replay.recording.events import Event
from tests.recording.pages import START_MS, add, chunk, element, event, mutation, snapshot, text

pytestmark = pytest.mark.feature("K3")

BUTTON, LINK, FIELD, LIST = 10, 20, 30, 40
PAGE = snapshot(
    element(BUTTON, "button", text(11, "Send"), id="send"),
    element(LINK, "a", element(21, "button", id="in-link")),
    element(FIELD, "input", type="text", id="field"),
    element(LIST, "div", id="list"),
)


def click(ms: int, node: int = BUTTON, x: Any = 50, y: Any = 60) -> Event:
    return event(3, {"source": 2, "type": 2, "id": node, "x": x, "y": y}, START_MS + ms)


def change(ms: int, source: int = 0) -> Event:
    return event(3, {"source": source, "texts": [], "attributes": [], "removes": [], "adds": []}, START_MS + ms)


def moved(ms: int) -> Event:
    return event(3, {"source": 1, "positions": []}, START_MS + ms)


def scroll(ms: int, y: float, node: int = LIST) -> Event:
    return event(3, {"source": 3, "id": node, "x": 0, "y": y}, START_MS + ms)


def told(kind: str, *events: Event) -> list[DomEvent]:
    found = StreamDistiller().feed(0, [PAGE, *events])
    return [one for one in found if one.detail["type"] == kind]


def offsets(found: list[DomEvent]) -> list[int]:
    return [one.time_unix_nano // 10**6 - START_MS for one in found]


def test_three_quick_clicks_at_one_place_are_rage() -> None:
    [rage] = told("rage_click", click(0), click(900, x=60, y=70), click(1_700))
    assert rage.title == "rage click on #send “Send”"
    assert rage.detail == {
        "type": "rage_click",
        "selector": "#send",
        "text": "Send",
        "x": 50,
        "y": 60,
        "clicks": 3,
    }
    assert offsets([rage]) == [1_700]


@pytest.mark.parametrize(
    "clicks",
    [
        [click(0), click(900)],
        [click(0), click(1_000), click(1_900)],
        [click(0), click(500, x=70, y=70), click(900)],
        [click(900), click(500), click(0)],
    ],
    ids=["two", "a second between", "30 px apart", "the clock goes back"],
)
def test_what_is_no_rage(clicks: list[Event]) -> None:
    assert told("rage_click", *clicks) == []


def test_rage_is_told_once_for_all_that_belong_together() -> None:
    first, second = told(
        "rage_click", *(click(100 * nth) for nth in range(8)), *(click(3_000 + nth) for nth in range(3))
    )
    assert offsets([first, second]) == [200, 3_002]


def test_without_coordinates_the_element_counts() -> None:
    assert len(told("rage_click", *(click(nth, x=None) for nth in range(3)))) == 1
    assert told("rage_click", click(0, x=None), click(1, x=None), click(2, LIST, x=None)) == []


def test_a_click_on_a_button_that_changes_nothing_is_dead() -> None:
    [dead] = told("dead_click", click(0), click(1_500), moved(3_000), moved(7_001))
    assert dead.title == "dead click on #send “Send”"
    assert (dead.detail["selector"], dead.detail["clicks"]) == ("#send", 2)
    assert offsets([dead]) == [0], "told of the click, once its time is over"
    assert (dead.index, dead.seq) == (4_000, 0)


@pytest.mark.parametrize("source", [0, 4, 7, 8, 9, 13, 15])
def test_any_change_of_the_page_answers_a_click(source: int) -> None:
    assert told("dead_click", click(0), change(6_900, source), moved(9_000)) == []
    assert len(told("dead_click", click(0), change(7_100, source), moved(9_000))) == 1


@pytest.mark.parametrize("source", [3, 5, 14])
def test_scroll_input_and_selection_answer_only_at_once(source: int) -> None:
    assert told("dead_click", click(0), change(300, source), moved(9_000)) == []
    assert len(told("dead_click", click(0), change(301, source), moved(9_000))) == 1


def test_a_button_may_answer_to_the_mouse_button_going_down() -> None:
    down = event(3, {"source": 2, "type": 1, "id": BUTTON}, START_MS)
    assert told("dead_click", down, change(1), click(80), moved(9_000)) == []
    assert len(told("dead_click", change(0), down, click(80), moved(9_000))) == 1
    assert len(told("dead_click", change(0), click(80), moved(9_000))) == 1, "sampled recordings have no presses"


@pytest.mark.parametrize("node", [LINK, 21, FIELD, LIST, 999])
def test_what_is_no_button_needs_no_answer(node: int) -> None:
    assert told("dead_click", click(0, node), moved(9_000)) == []


def test_only_so_many_buttons_are_watched() -> None:
    page = snapshot(*(element(1_000 + nth, "button") for nth in range(MAX_WAITING + 50)))
    clicks = [click(nth, 1_000 + nth, x=100 * nth) for nth in range(MAX_WAITING + 50)]
    assert len(told("dead_click", page, *clicks, moved(9_000))) == MAX_WAITING


def test_at_the_end_of_a_stream_nobody_knows() -> None:
    assert told("dead_click", click(0), moved(7_000)) == []


def test_another_snapshot_and_a_gap_begin_anew() -> None:
    distiller = StreamDistiller()
    events = [PAGE, click(0), click(1), PAGE, click(2), moved(8_000), moved(9_000)]
    assert [one.detail["type"] for one in distiller.feed(0, events)] == ["click"] * 3 + ["dead_click"]
    distiller.feed(1, [click(9_000), click(9_001)])
    distiller.gap()
    assert [one.detail["type"] for one in distiller.feed(3, [click(9_002), moved(20_000)])] == ["click"]


def test_scrolling_is_told_when_it_begins_and_once_a_screen() -> None:
    steady = [scroll(100 * nth, 30 + 150 * nth) for nth in range(15)]
    found = told("scroll", *steady, scroll(2_300, 2_130), scroll(3_301, 2_140))
    assert [one.detail["y"] for one in found] == [30, 1_080, 2_130, 2_140]
    assert SCROLL_STEP_PX <= 1_080 - 30
    assert found[0].detail == {"type": "scroll", "selector": "#list", "x": 0, "y": 30}
    assert [one.title for one in found][:2] == ["scroll of #list to 30", "scroll of #list to 1080"]


def test_the_page_and_its_lists_scroll_apart() -> None:
    found = told("scroll", scroll(0, 5), scroll(10, 7, node=1), scroll(20, 9), scroll(30, 9, node=1))
    assert [(one.title, one.detail["selector"]) for one in found] == [
        ("scroll of #list to 5", "#list"),
        ("scroll of the page to 7", None),
    ]


@pytest.mark.parametrize("bad", [{"id": 999}, {"id": LIST, "x": "1", "y": 2}, {"id": LIST, "y": float("inf")}, {}])
def test_nonsense_scrolls_nothing(bad: dict[str, Any]) -> None:
    assert told("scroll", event(3, {"source": 3, **bad})) == []


def burst(ms: int, changes: int) -> Event:
    attributes = [{"id": LIST, "attributes": {"class": "a"}}] * (changes - 1)
    return mutation(START_MS + ms, attributes=attributes, removes=[{"parentId": 3, "id": 999}])


def test_a_burst_of_changes_is_told_once_while_it_goes_on() -> None:
    events = [burst(100 * nth, BURST_CHANGES // 5) for nth in range(40)]
    [found] = told("mutations", *events)
    assert offsets([found]) == [400]
    assert (found.detail["changes"], found.detail["duration_ns"]) == (BURST_CHANGES, 400 * 10**6)
    assert found.title == "burst of changes: 750 within 0.4 s"
    again = told("mutations", *events, burst(6_000, 1), burst(8_000, BURST_CHANGES))
    assert offsets(again) == [400, 8_000]


def test_a_steady_trickle_is_no_burst() -> None:
    assert told("mutations", *(burst(100 * nth, BURST_CHANGES // 20) for nth in range(60))) == []


def test_the_console_of_rrweb_1() -> None:
    line = {"source": 11, "level": "error", "trace": [], "payload": ['"it broke"', "[1]"]}
    [found] = told("console", event(3, line))
    assert (found.kind, found.title) == ("console", "console.error: it broke [1]")


def test_going_on_with_further_chunks_tells_the_same_as_one() -> None:
    events = [
        PAGE,
        *(click(100 * nth) for nth in range(4)),
        *(scroll(500 + 90 * nth, 200 * nth) for nth in range(12)),
        *(burst(2_000 + 100 * nth, 200) for nth in range(5)),
        click(3_000),
        mutation(START_MS + 3_100, adds=[add(LIST, text(41, "answer"))]),
        click(4_000),
        moved(12_000),
    ]
    whole = StreamDistiller().feed(0, events)
    assert {one.detail["type"] for one in whole} >= {"rage_click", "scroll", "mutations", "text", "dead_click"}
    chunks = [chunk(seq, one) for seq, one in enumerate(events)]
    for cut in range(len(chunks)):
        distiller = StreamDistiller()
        parts = [*distill_stream(chunks[:cut], distiller), *distill_stream(chunks[cut:], distiller)]
        assert [(one.title, one.time_unix_nano, dict(one.detail)) for one in parts] == [
            (one.title, one.time_unix_nano, dict(one.detail)) for one in whole
        ]
