from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_replay.model import Chunk, DomEvent
from otel_replay.recording.distill import StreamDistiller, distill_stream
from otel_replay.recording.events import Event
from otel_replay.store.distillation import Distillation, Due
from tests.recording.pages import (
    SENTENCE,
    add,
    chunk,
    element,
    event,
    mutation,
    recorded,
    snapshot,
    text,
)

WHOLE = "".join(SENTENCE)
TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def distill(*events: Event) -> list[DomEvent]:
    return StreamDistiller().feed(0, list(events))


def texts(events: list[DomEvent]) -> list[DomEvent]:
    return [one for one in events if one.detail.get("type") == "text"]


def only(events: list[DomEvent]) -> DomEvent:
    (one,) = events
    return one


def append() -> list[Event]:
    return [mutation(adds=[add(10, text(20 + i, token))]) for i, token in enumerate(SENTENCE)]


def data() -> list[Event]:
    grown = ["".join(SENTENCE[: i + 1]) for i in range(len(SENTENCE))]
    first = mutation(adds=[add(10, text(20, grown[0]))])
    return [first, *(mutation(texts=[{"id": 20, "value": value}]) for value in grown[1:])]


def text_content() -> list[Event]:
    return [
        mutation(
            removes=[{"parentId": 10, "id": 19 + i}] if i else [],
            adds=[add(10, text(20 + i, "".join(SENTENCE[: i + 1])))],
        )
        for i in range(len(SENTENCE))
    ]


def spans() -> list[Event]:
    return [
        mutation(adds=[add(30 + i, text(20 + i, token)), add(10, element(30 + i, "span"))])
        for i, token in enumerate(SENTENCE)
    ]


def inner_html() -> list[Event]:
    return [
        mutation(
            removes=[{"parentId": 10, "id": 29 + i}] if i else [],
            adds=[add(30 + i, text(20 + i, "".join(SENTENCE[: i + 1]))), add(10, element(30 + i, "p"))],
        )
        for i in range(len(SENTENCE))
    ]


@pytest.mark.parametrize("style", [append, data, text_content, spans, inner_html])
@pytest.mark.parametrize("attributes", [{"id": "answer"}, {}], ids=["with id", "without id"])
def test_text_in_five_styles(style: Any, attributes: dict[str, str]) -> None:
    found = texts(distill(snapshot(element(10, "div", **attributes)), *style()))
    assert [one.index for one in found] == [1_000 * position for position in range(1, len(SENTENCE) + 1)]
    assert "".join(one.detail["added"] for one in found) == WHOLE
    assert found[-1].detail["text"] == WHOLE
    for i, one in enumerate(found):
        assert one.detail["text"] == " ".join("".join(SENTENCE[: i + 1]).split())
    assert found[-1].detail["selector"] == ("#answer" if attributes else "html > body > div")


@pytest.mark.parametrize("name", ["append", "data", "content", "spans", "markdown"])
def test_text_in_five_styles_of_a_real_page(name: str) -> None:
    found = [one for one in texts(distill(*recorded()["events"])) if one.detail["selector"] == f"#{name}"]
    shown = " ".join(recorded()["texts"][name].split())
    assert found[-1].detail["text"] == shown
    first, *rest = found
    assert first.detail["text"] == first.detail["added"]
    assert len(rest) >= 12
    for before, one in zip(found, rest, strict=False):
        assert one.detail["added"].strip() not in ("", before.detail["text"])
        if name != "markdown":
            assert before.detail["text"] + one.detail["added"] == one.detail["text"]


def test_the_story_of_a_real_page() -> None:
    found = distill(*recorded()["events"])
    titles = [one.title for one in found]
    assert titles[0] == "navigated to http://localhost/chat?page=1"
    assert "click on #send “Send it”" in titles
    assert "dblclick on html > body > main.chat.main > h1 “Assistant”" in titles
    assert "input in #prompt “Hi & <b>ü</b>”" in titles
    assert "checked div.card:nth-of-type(1) > form > label > input.agree" in titles
    assert "text in #inside: “frame text grows”" in titles
    assert "text in #host > p: “shadow text”" in titles
    assert 'console.error: boom {"a":1}' in titles
    fetch = next(one for one in found if one.kind == "network")
    assert (fetch.trace_id, fetch.span_id) == (TRACE_ID, SPAN_ID)
    assert sum(one.kind == "navigation" for one in found) == 1, "a checkout is no navigation"
    assert len({(one.seq, one.index) for one in found}) == len(found)
    orjson.dumps([dict(one.detail) for one in found])


def test_a_checkout_tells_no_text_again() -> None:
    page = [snapshot(element(10, "p", text(11, "Hello")))]
    assert texts(distill(*page, *page)) == []
    more = only(texts(distill(*page, *page, mutation(texts=[{"id": 11, "value": "Hello you"}]))))
    assert more.detail["added"] == " you"


def test_the_document_of_an_iframe_belongs_to_the_full_snapshot() -> None:
    page = snapshot(element(10, "iframe"))
    document = {"type": 0, "id": 20, "childNodes": [element(21, "html", text(22, "in the frame"))]}
    attach = mutation(adds=[add(10, document)], isAttachIframe=True)
    assert distill(page, attach) == []
    again = only(distill(page, attach, mutation(adds=[add(10, {**document, "id": 30})], isAttachIframe=True)))
    assert again.detail["text"] == "in the frame"


@pytest.mark.parametrize(
    "changes",
    [
        {"attributes": [{"id": 10, "attributes": {"class": "busy"}}]},
        {"adds": [add(10, element(20, "p"))]},
        {"adds": [add(10, text(20, "  \n "))]},
        {"adds": [add(12, text(20, "alert(1)"))]},
        {"adds": [add(12, element(20, "p")), add(20, text(21, "inside a script"))]},
        {"adds": [add(10, element(20, "style")), add(20, text(21, "a{}"))]},
        {"removes": [{"parentId": 10, "id": 11}]},
        {"texts": [{"id": 11, "value": "One"}]},
        {"removes": [{"parentId": 10, "id": 11}], "adds": [add(10, text(20, "One two"), 12)]},
    ],
    ids=["attributes", "empty", "blank", "script", "inside script", "style", "removed", "shortened", "same again"],
)
def test_what_adds_no_visible_text_is_not_told(changes: dict[str, Any]) -> None:
    assert distill(snapshot(element(10, "div", text(11, "One two"), element(12, "script"))), mutation(**changes)) == []


def test_a_new_element_is_told_of_itself_and_several_of_what_holds_them() -> None:
    page = snapshot(element(10, "div", element(11, "p", text(12, "before")), id="chat"))
    one = [add(10, element(20, "div")), add(20, element(21, "p")), add(21, text(22, "a b"))]
    two = [add(10, element(30, "p"), 31), add(10, element(31, "p")), add(30, text(32, "c")), add(31, text(33, "d"))]
    alone, together = texts(distill(page, mutation(adds=one), mutation(adds=two[::-1])))
    assert (alone.detail["node_id"], alone.detail["text"], alone.detail["within"]) == (20, "a b", [10, 3, 2])
    assert (together.detail["node_id"], together.detail["text"]) == (10, "before a b c d")
    assert together.detail["added"] == " c d"


def test_space_around_a_new_element_does_not_count() -> None:
    adds = [
        add(10, element(20, "p"), 22),
        add(20, text(21, "new")),
        add(10, text(22, "\n")),
        add(10, text(23, "\n"), 20),
    ]
    found = only(distill(snapshot(element(10, "div", text(11, "old"))), mutation(adds=adds)))
    assert (found.detail["node_id"], found.detail["text"]) == (20, "new")


def test_white_space_before_the_words_of_a_new_element_hides_nothing() -> None:
    new = element(20, "section", text(21, "\n  "), element(22, "p", text(23, "Hello")))
    found = only(texts(distill(snapshot(element(10, "div")), mutation(adds=[add(10, new)]))))
    assert (found.detail["node_id"], found.detail["added"]) == (20, "Hello")


def test_an_inline_element_with_an_id_is_told_of_itself() -> None:
    page = snapshot(element(10, "p", text(11, "Answer: "), element(12, "span", id="out")))
    found = only(distill(page, mutation(adds=[add(12, text(20, "42"))])))
    assert (found.detail["selector"], found.detail["text"]) == ("#out", "42")


def test_what_was_removed_and_comes_again_is_told_again() -> None:
    said = mutation(adds=[add(10, text(20, "Hello"))])
    gone = mutation(removes=[{"parentId": 10, "id": 20}])
    found = texts(distill(snapshot(element(10, "p")), said, gone, said))
    assert [one.detail["added"] for one in found] == ["Hello", "Hello"]


def test_the_title_of_the_page_is_not_on_the_page() -> None:
    page = snapshot(element(10, "head", element(11, "title", text(12, "Chat")), id="h"))
    assert distill(page, mutation(texts=[{"id": 12, "value": "Chat (1)"}])) == []


def test_one_event_may_touch_several_blocks() -> None:
    page = snapshot(*(element(10 + i, "p", text(50 + i, "old")) for i in range(3)))
    found = distill(page, mutation(texts=[{"id": 50 + i, "value": f"old {i}"} for i in range(3)]))
    assert [(one.index, one.detail["text"]) for one in found] == [(1_000, "old 0"), (1_001, "old 1"), (1_002, "old 2")]


def test_indexes_stay_unique_in_a_crowd() -> None:
    page = snapshot(*(element(10_000 + i, "p", text(20_000 + i, "")) for i in range(1_500)))
    crowd = mutation(texts=[{"id": 20_000 + i, "value": "x"} for i in range(1_500)])
    found = distill(page, crowd, crowd, event(4, {"href": "/"}))
    assert len({one.index for one in found}) == len(found) == 1_001


def test_long_text_is_cut_and_still_followed() -> None:
    long = "word " * 30_000
    page = snapshot(element(10, "div", text(11, long), id="log"))
    found = only(texts(distill(page, mutation(adds=[add(10, text(20, "the newest line"))]))))
    assert (found.detail["truncated"], found.detail["added"]) == (True, "the newest line")
    assert found.detail["text"] == long[:8_000]


def test_reading_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("otel_replay.recording.reading.READ_BUDGET", 300)
    page = snapshot(element(10, "div", text(11, "word " * 50), id="log"))
    lines = [mutation(adds=[add(10, text(20 + i, f" line {i}"))]) for i in range(4)]
    found = texts(distill(page, *lines))
    assert [one.detail["added"].strip() for one in found] == [f"line {i}" for i in range(4)]
    assert found[-1].detail["truncated"]
    assert found[-1].detail["text"] == "line 3"


def peak_bytes(work: Callable[[], Any]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def deep(first: int, levels: int, long: str) -> Event:
    """A text below so many elements, each of which has another text of its own."""
    ids = range(first, first + 2 * levels, 2)
    spans = [add(parent, element(one, "span")) for parent, one in pairwise([3, *ids])]
    said = [add(one, text(one + 1, "x")) for one in ids]
    return mutation(adds=[*spans, *said, add(ids[-1], text(ids[-1] + 2, long))])


@pytest.mark.parametrize("is_one_chunk", [True, False])
def test_a_text_deep_in_the_page_is_not_kept_once_for_each_level(
    monkeypatch: pytest.MonkeyPatch, is_one_chunk: bool
) -> None:
    """Ten texts of 8 KB below 400 levels each are 32 MB; the 8,000 nodes take 2 MB."""
    for name in ("reading.READ_BUDGET", "reading.OVERDRAFT", "distill.MAX_REMEMBERED"):
        monkeypatch.setattr(f"otel_replay.recording.{name}", 100_000)
    events = [snapshot(), *(deep(10_000 * number, 400, "y" * 8_000) for number in range(1, 11))]
    chunks = [events] if is_one_chunk else [[event] for event in events]
    distiller = StreamDistiller()
    assert peak_bytes(lambda: [distiller.feed(seq, told) for seq, told in enumerate(chunks)]) < 3_500_000


def test_a_page_is_told_alike_however_little_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    events = recorded()["events"]
    told = distill(*events)
    monkeypatch.setattr("otel_replay.recording.distill.MAX_REMEMBERED", 50)
    assert distill(*events) == told


def test_mirrors_that_are_kept_take_so_much_memory_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several large pages that send in turn those are kept that sent last; none is told otherwise for that."""
    large = snapshot(element(10, "div", id="answer"), *(element(100 + i, "p") for i in range(1_000)))
    distillation, reads = Distillation(), []

    def run(tab: str, seq: int) -> list[str]:
        def read(first: int, last: int) -> list[Chunk]:
            reads.append((tab, first))
            said = (mutation(adds=[add(10, text(5_000 + number, f"word {number}"))]) for number in range(last + 1))
            return [chunk(number, large if number == 0 else one) for number, one in enumerate(said)][first:]

        due = Due(seq, seq)
        return [one.detail["added"] for one in distillation.run((1, "s", tab), due, lambda _: 0, lambda _: None, read)]

    monkeypatch.setattr("otel_replay.store.distillation.KEPT_BYTES", 1_000_000)
    assert [run(tab, 1) for tab in "abc"] == [["word 1"]] * 3
    reads.clear()
    assert [run(tab, 2) for tab in "cba"] == [["word 2"]] * 3
    assert reads == [("c", 2), ("b", 2), ("a", 0)]


def test_a_click_names_the_control() -> None:
    page = snapshot(
        element(10, "button", element(11, "i", text(12, "Send")), id="send"),
        element(20, "a", element(21, "img"), class_="x y z", aria_label="unused"),
        element(30, "input", type="text", placeholder="Ask me"),
    )
    clicks = [event(3, {"source": 2, "type": 2, "id": node, "x": 5, "y": 6.5}) for node in (11, 21, 30)]
    button, link, field, _rage = distill(page, *clicks)
    assert button.detail == {"type": "click", "selector": "#send", "text": "Send", "x": 5, "y": 6.5}
    assert button.title == "click on #send “Send”"
    assert link.detail["selector"] == "html > body > a.x.y"
    assert field.detail["text"] == "Ask me"


@pytest.mark.parametrize("x", [None, "5", True, 2**60, float("nan"), [5]])
def test_what_is_no_place_is_left_out(x: Any) -> None:
    found = only(distill(snapshot(), event(3, {"source": 2, "type": 2, "id": 3, "x": x, "y": 1})))
    assert (found.detail["x"], found.detail["y"]) == (None, 1)


def test_other_mouse_interactions_are_not_told() -> None:
    assert distill(snapshot(), *(event(3, {"source": 2, "type": kind, "id": 3}) for kind in (0, 1, 3, 5, 6, 7))) == []


def test_input_is_told_as_recorded() -> None:
    typed = event(3, {"source": 5, "id": 10, "text": "*" * 300, "isChecked": False})
    found = only(distill(snapshot(element(10, "input", id="password")), typed))
    assert found.detail == {"type": "input", "selector": "#password", "text": "*" * 199 + "…", "checked": False}


def test_custom_events_link_to_spans() -> None:
    payload = {"name": "click", "target": "#send", "trace_id": TRACE_ID.upper(), "span_id": SPAN_ID}
    found = only(distill(event(5, {"tag": "otel.action", "payload": payload})))
    assert (found.kind, found.trace_id, found.span_id) == ("dom", TRACE_ID, SPAN_ID)
    assert found.title == "otel.action click #send"
    assert found.detail == {"type": "custom", "tag": "otel.action", "payload": payload}
    camel = only(distill(event(5, {"tag": "x", "payload": {"traceId": TRACE_ID, "spanId": SPAN_ID}})))
    assert (camel.trace_id, camel.span_id) == (TRACE_ID, SPAN_ID)


@pytest.mark.parametrize("trace_id", ["0" * 32, TRACE_ID[1:], TRACE_ID + "0", "g" * 32, "٣" * 32, 5, None])
def test_what_is_no_trace_id_links_nothing(trace_id: Any) -> None:
    found = only(distill(event(5, {"tag": "otel.action", "payload": {"trace_id": trace_id, "span_id": SPAN_ID}})))
    assert (found.trace_id, found.span_id) == ("", "")


@pytest.mark.parametrize(
    ("tag", "kind"),
    [
        ("otel.fetch", "network"),
        ("logfire.network", "network"),
        ("logfire.error", "error"),
        ("logfire.console", "console"),
        ("logfire.navigation", "navigation"),
        ("otel.action", "dom"),
        ("fetch", "dom"),
    ],
)
def test_kinds_of_custom_events(tag: str, kind: str) -> None:
    assert only(distill(event(5, {"tag": tag, "payload": None}))).kind == kind


def test_session_events_carry_attributes() -> None:
    found = only(distill(event(5, {"tag": "otel.session", "payload": {"attributes": {"user.id": "u1"}}})))
    assert found.detail == {"type": "session", "attributes": {"user.id": "u1"}}


def test_console_and_network_plugins() -> None:
    said = {"level": "warn", "payload": ['"a\\nb"', "{}", 3], "trace": []}
    request = {"name": "/api", "method": "POST", "status": 500, "duration": 3.5, "requestHeaders": {"cookie": "secret"}}
    warning, call = distill(
        event(6, {"plugin": "rrweb/console@1", "payload": said}),
        event(6, {"plugin": "rrweb/network@1", "payload": {"requests": [request, None]}}),
        event(6, {"plugin": "other@1", "payload": {}}),
    )
    assert (warning.kind, warning.detail["level"], warning.detail["text"]) == ("console", "warn", "a\nb {}")
    assert (call.kind, call.title, call.detail["status"]) == ("network", "POST /api → 500", 500)
    assert "secret" not in json.dumps(dict(call.detail))


def test_navigation() -> None:
    meta = event(4, {"href": "https://example.com/a", "width": 800, "height": 600})
    other = event(4, {"href": "https://example.com/b", "width": "wide"})
    first, second, reload = distill(meta, meta, other, event(0, {}), other)
    assert first.detail == {"type": "navigation", "href": "https://example.com/a", "width": 800, "height": 600}
    assert (second.detail["href"], second.detail["width"]) == ("https://example.com/b", None)
    assert reload.title == "navigated to https://example.com/b"


def test_time_is_exact() -> None:
    assert only(distill(event(4, {"href": "/"}, 1795182249824.1))).time_unix_nano == 1_795_182_249_824_100_000


def test_behind_a_gap_nothing_is_guessed() -> None:
    page = element(10, "p", text(11, "Hello"), id="answer")
    click = event(3, {"source": 2, "type": 2, "id": 10})
    more = mutation(texts=[{"id": 11, "value": "Hello again"}])
    distiller = StreamDistiller()
    assert distiller.feed(0, [click])[0].detail["selector"] is None, "before the first full snapshot"
    assert distiller.feed(1, [snapshot(page), click])[0].detail["selector"] == "#answer"
    distiller.gap()
    blind = only(distiller.feed(3, [click, more]))
    assert (blind.detail["selector"], blind.detail["text"], blind.title) == (None, "", "click on the page")
    assert [one.detail["selector"] for one in distiller.feed(4, [snapshot(page), click, more])] == ["#answer"] * 2


def stream() -> list[list[Event]]:
    """The recorded page in chunks of eight events."""
    events = recorded()["events"]
    return [events[start : start + 8] for start in range(0, len(events), 8)]


def test_chunks_make_the_same_story_as_one() -> None:
    pieces = list(distill_stream(chunk(seq, *events) for seq, events in enumerate(stream())))
    whole = distill(*recorded()["events"])
    assert [(one.title, dict(one.detail)) for one in pieces] == [(one.title, dict(one.detail)) for one in whole]
    assert pieces == sorted(pieces, key=lambda one: (one.seq, one.index))


def test_a_missing_chunk_blinds_until_the_next_full_snapshot() -> None:
    chunks = [chunk(seq, *events) for seq, events in enumerate(stream())]
    second = max(one.seq for one in chunks if one.has_full_snapshot and one.seq is not None)
    found = texts(list(distill_stream(one for one in chunks if one.seq != 5)))
    assert {one.seq for one in found} == {4, *range(second, len(chunks))} - {5}


def test_slices_leave_no_gap() -> None:
    whole = chunk(0, snapshot(element(10, "p")))
    cut = whole.payload[:20], whole.payload[20:]
    parts = [replace(whole, seq=i, payload=cut[i], slice_index=i + 1, slice_count=2) for i in range(2)]
    found = list(distill_stream([*parts, chunk(2, mutation(adds=[add(10, text(11, "Hello"))]))]))
    assert [(one.seq, one.detail["text"]) for one in found] == [(2, "Hello")]


def test_going_on_equals_starting_again() -> None:
    chunks = [chunk(seq, *events) for seq, events in enumerate(stream())]
    whole = list(distill_stream(chunks))
    for cut in range(len(chunks)):
        distiller = StreamDistiller()
        parts = [*distill_stream(chunks[:cut], distiller), *distill_stream(chunks[cut:], distiller)]
        assert parts == whole
        without = [*distill_stream(chunks[:cut], distiller := StreamDistiller())]
        without += distill_stream(chunks[cut + 1 :], distiller)
        assert without == list(distill_stream(chunks[:cut] + chunks[cut + 1 :]))


def test_starting_at_a_full_snapshot_gives_the_same_from_there_on() -> None:
    events = recorded()["events"]
    second = max(position for position, one in enumerate(events) if one["type"] == 2)
    chunks = [chunk(0, *events[:second]), chunk(1, *events[second:])]
    assert list(distill_stream(chunks[1:])) == [one for one in distill_stream(chunks) if one.seq == 1]


@pytest.mark.parametrize("hostile", ["a\nb\u202e", '"><script>', "\ud800x", "x" * 10_000, "1st", " "])
def test_hostile_names_stay_one_short_line(hostile: str) -> None:
    page = snapshot(element(10, "p", element(11, "b", class_=hostile), text(12, hostile), id=hostile))
    click = event(3, {"source": 2, "type": 2, "id": 11})
    custom = event(5, {"tag": hostile, "payload": {"name": hostile, "deep": [hostile] * 100}})
    said = event(6, {"plugin": "rrweb/console@1", "payload": {"level": hostile, "payload": [hostile]}})
    grown = mutation(texts=[{"id": 12, "value": hostile + " more"}])
    for one in distill(event(4, {"href": hostile}), page, click, custom, said, grown):
        assert len(one.title) <= 160
        assert len(one.title.splitlines()) == 1
        assert "\u202e" not in one.title
        assert len(orjson.dumps(dict(one.detail))) < 50_000


KEYS = st.sampled_from(["id", "tag", "payload", "plugin", "source", "type", "node", "text", "href", "adds", "texts"])
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-1, 12)
    | st.integers()
    | st.floats()
    | st.text(max_size=3)
    | st.sampled_from(["rrweb/console@1", "rrweb/network@1", "otel.fetch", "\ud800"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
NONSENSE = VALUES | st.builds(event, st.integers(0, 7), VALUES, st.integers(0, 9) | st.floats())


@pytest.mark.slow
@settings(max_examples=500)
@given(st.lists(NONSENSE, max_size=6))
def test_nonsense_never_raises(events: list[Any]) -> None:
    for one in StreamDistiller().feed(0, [snapshot(element(10, "p", text(11, "a"))), *events]):
        orjson.dumps([one.title, dict(one.detail)])


@settings(max_examples=150)
@given(st.data())
def test_a_damaged_recording_never_raises(source: st.DataObject) -> None:
    events = source.draw(st.lists(st.sampled_from(recorded()["events"]), max_size=12))
    events = json.loads(json.dumps(events))
    for _ in range(3):
        victim: Any = events
        while isinstance(victim, dict | list) and victim:
            keys = list(victim) if isinstance(victim, dict) else list(range(len(victim)))
            key = source.draw(st.sampled_from(keys))
            inner = victim[key]
            if not isinstance(inner, dict | list) or source.draw(st.integers(0, 3)) == 0:
                victim[key] = source.draw(VALUES)
                break
            victim = inner
    for one in StreamDistiller().feed(0, events):
        orjson.dumps([one.title, dict(one.detail)])
