"""Chunks of a recording: numbered, compressed, in order, tried again until they are taken."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import Page

from tests.recorder.capture import Capture
from tests.recorder.driving import (
    CUSTOM,
    FULL_SNAPSHOT,
    INCREMENTAL,
    META,
    Start,
    flush,
    session_of,
    stream_of,
    wait_until,
    write,
)

pytestmark = [pytest.mark.browser, pytest.mark.feature("R1")]


def numbers(chunks: list[dict[str, object]]) -> list[object]:
    return [chunk["seq"] for chunk in chunks]


WORDS = ("one", "two", "three", "four", "five", "six")


def test_chunks_arrive_in_order_one_at_a_time(tab: Page, start: Start, receiver: Capture) -> None:
    """What becomes due while one is under way goes together: a slow network gets fewer and larger ones."""
    receiver.chunk_delay_s = 0.3
    start()
    for word in WORDS:
        tab.evaluate("word => { plain.textContent = word; void recorder.flush() }", word)
        tab.wait_for_timeout(20)
    flush(tab)

    assert numbers(receiver.accepted) == list(range(len(receiver.accepted)))
    assert 2 <= len(receiver.accepted) < len(WORDS)
    assert receiver.most_in_flight == 1
    assert {chunk["stream_id"] for chunk in receiver.accepted} == {stream_of(tab)}
    assert re.fullmatch("[0-9a-f]{16}", receiver.accepted[0]["stream_id"])
    assert receiver.session_ids == {session_of(tab)}
    texts = json.dumps(receiver.events())
    places = [texts.index(f'"{word}"') for word in WORDS]
    assert places == sorted(places)


@pytest.mark.feature("R3")
def test_first_chunk_is_playable_and_announces_the_session(tab: Page, start: Start, receiver: Capture) -> None:
    start(sessionId="s-1", userId="u1", feature="chat", label="support", serviceName="shop", attributes={"plan": "pro"})
    flush(tab)

    events = receiver.accepted[0]["events"]
    assert [event["type"] for event in events[:3]] == [META, FULL_SNAPSHOT, CUSTOM]
    attributes = {"user.id": "u1", "feature": "chat", "label": "support", "plan": "pro", "service.name": "shop"}
    assert events[2]["data"] == {"tag": "otel.session", "payload": {"attributes": attributes}}
    assert receiver.session_ids == {"s-1"}


def test_a_long_chunk_is_compressed_and_says_when_it_was_sent(tab: Page, start: Start, receiver: Capture) -> None:
    start()
    flush(tab)
    (headers,) = [told for told, chunk in zip(receiver.headers, receiver.attempts, strict=True) if chunk["seq"] == 0]
    assert headers["content-encoding"] == "gzip"
    last = receiver.accepted[0]["events"][-1]["timestamp"]
    assert 0 <= int(headers["x-otel-replay-sent-at"]) - last < 60_000


def test_a_browser_that_cannot_compress_sends_all_the_same(tab: Page, start: Start, receiver: Capture) -> None:
    tab.add_init_script("delete window.CompressionStream")
    start()
    flush(tab)
    assert "content-encoding" not in receiver.headers[0]
    assert receiver.accepted[0]["seq"] == 0


def test_a_page_that_changes_a_lot_is_sent_before_the_time(tab: Page, start: Start, receiver: Capture) -> None:
    start(flushIntervalMs=600_000)
    write(tab, "much " * 80_000)
    wait_until(lambda: "much much" in json.dumps(receiver.accepted), tab)


ANSWERS: dict[str, list[tuple[int, dict[str, str]]]] = {
    "the receiver's": [(503, {"retry-after": "0"}), (429, {}), (502, {}), (504, {})],
    "a proxy's": [(408, {}), (521, {}), (524, {}), (530, {})],
}


@pytest.mark.parametrize("answers", ANSWERS.values(), ids=ANSWERS)
def test_a_chunk_is_tried_again_until_it_is_taken(
    tab: Page, start: Start, receiver: Capture, answers: list[tuple[int, dict[str, str]]]
) -> None:
    receiver.answers = list(answers)
    start()
    wait_until(lambda: len(receiver.attempts) == 1, tab)
    write(tab, "later")
    wait_until(lambda: "later" in json.dumps(receiver.accepted), tab)

    assert numbers(receiver.attempts[:5]) == [0, 0, 0, 0, 0]
    assert len({json.dumps(chunk["events"]) for chunk in receiver.attempts[:5]}) == 1
    assert numbers(receiver.accepted) == list(range(len(receiver.accepted)))


@pytest.mark.slow
def test_it_is_tried_again_when_the_receiver_wants_it(tab: Page, start: Start, receiver: Capture) -> None:
    """By itself it would come again within half a second."""
    receiver.answers = [(503, {"retry-after": "2"})]
    start()
    wait_until(lambda: len(receiver.attempts) > 1, tab)
    first, second = (int(told["x-otel-replay-sent-at"]) for told in receiver.headers[:2])
    assert second - first >= 1_990


@pytest.mark.feature("X4")
def test_after_a_refused_chunk_the_page_is_recorded_as_a_whole(tab: Page, start: Start, receiver: Capture) -> None:
    receiver.answers = [(400, {})]
    start()
    write(tab, "lost")
    wait_until(lambda: any(event["type"] == FULL_SNAPSHOT for event in receiver.events()), tab)
    write(tab, "later")
    flush(tab)

    assert receiver.attempts[0]["seq"] == 0
    assert numbers(receiver.accepted) == list(range(1, len(receiver.accepted) + 1))
    assert "later" in json.dumps(receiver.accepted)


def test_who_is_not_let_in_does_not_make_the_page_slow(tab: Page, start: Start, receiver: Capture) -> None:
    """A refusal of whoever sends is no loss of a part: no full snapshot for each."""
    receiver.answers = [(403, {})] * 4
    start()
    for number in range(4):
        write(tab, f"change {number}")
        flush(tab)
    wait_until(lambda: not receiver.answers, tab)
    write(tab, "let in")
    flush(tab)
    assert FULL_SNAPSHOT not in {event["type"] for event in receiver.events()}


def test_the_page_is_recorded_as_a_whole_every_few_minutes(tab: Page, start: Start, receiver: Capture) -> None:
    start(checkoutMs=1)
    tab.wait_for_timeout(5)
    write(tab, "any change")
    flush(tab)
    assert [event["type"] for event in receiver.events()].count(FULL_SNAPSHOT) >= 2


def test_unless_told_otherwise_that_is_every_five_minutes(tab: Page, start: Start, receiver: Capture) -> None:
    tab.add_init_script("const now = Date.now; window.minutes = 0; Date.now = () => now() + minutes * 60_000")
    start()
    flush(tab)

    def snapshots_after(minutes: float) -> int:
        tab.evaluate("minutes => { window.minutes = minutes }", minutes)
        write(tab, f"after {minutes} minutes")
        flush(tab)
        return [event["type"] for event in receiver.events()].count(FULL_SNAPSHOT)

    assert [snapshots_after(minutes) for minutes in (3, 5.1, 8, 10.5)] == [1, 2, 2, 3]


CHANGES = """async ([chars, changes]) => {
  plain.textContent = 'x'.repeat(chars);
  await recorder.flush();
  recorder.pause();
  recorder.resume();
  for (let number = 0; number < changes; number++) {
    home.textContent = String(number);
    await null;
  }
}"""


@pytest.mark.feature("X9")
@pytest.mark.parametrize(("page_chars", "changes", "snapshots"), [(0, 1_600, 2), (0, 1_400, 1), (1_000_000, 1_600, 1)])
def test_a_busy_page_is_recorded_as_a_whole_more_often(
    tab: Page, start: Start, receiver: Capture, page_chars: int, changes: int, snapshots: int
) -> None:
    """So that little is read to see a part; but not when snapshots would be most of what is recorded."""
    start()
    tab.evaluate(CHANGES, [page_chars, changes])
    tab.wait_for_timeout(200)  # it waits until the page has nothing to do
    write(tab, "the end")
    flush(tab)
    events = receiver.events()
    last_resumed = max(i for i, event in enumerate(events) if event["type"] == META and i < len(events) - changes)
    types = [event["type"] for event in events[last_resumed:]]
    assert types.count(FULL_SNAPSHOT) == snapshots
    assert types.count(INCREMENTAL) >= changes
    assert "the end" in json.dumps(events[-5:])


def test_stop_sends_the_rest_and_puts_fetch_back(tab: Page, start: Start, receiver: Capture) -> None:
    start(flushIntervalMs=60_000)
    tab.evaluate("() => recorder.stop()")
    sent = len(receiver.events())
    assert sent >= 3
    assert tab.evaluate("() => recorder.state") == "stopped"
    assert "[native code]" in tab.evaluate("() => window.fetch.toString()")
    tab.click("#send")
    tab.evaluate("() => recorder.flush()")
    assert len(receiver.events()) == sent


def test_a_second_recorder_is_the_first(tab: Page, start: Start, receiver_url: str) -> None:
    start()
    assert tab.evaluate("endpoint => OtelReplay.record({endpoint}) === recorder", receiver_url)


@pytest.mark.feature("S7")
@pytest.mark.parametrize(
    "options",
    [{}, {"endpoint": "ftp://example.com"}, {"endpoint": "/", "sampleRate": 2}, {"endpoint": "/", "sampleRate": "a"}],
)
def test_wrong_options_are_an_error_of_the_caller(tab: Page, shop_url: str, options: dict[str, object]) -> None:
    tab.goto(f"{shop_url}/shop")
    tried = "options => { try { OtelReplay.record(options) } catch (error) { return error.name } }"
    assert tab.evaluate(tried, options) == "TypeError"
