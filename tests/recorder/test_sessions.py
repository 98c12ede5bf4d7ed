"""Sessions: given or made, shared by the tabs of an origin, ended by time; and what is known of them."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.recorder.capture import Capture, attributes
from tests.recorder.driving import FULL_SNAPSHOT, Start, flush, session_of, stream_of, wait_until, write

pytestmark = [pytest.mark.browser, pytest.mark.feature("R2")]

MINUTE_MS = 60_000
SEEN = "() => Date.now() - JSON.parse(localStorage['otel-replay.session']).activeMs"
DEAF = """() => {
  const former = localStorage['otel-replay.session'], get = Storage.prototype.getItem;
  Storage.prototype.getItem = function (key) { return key === 'otel-replay.session' ? former : get.call(this, key) };
}"""
CLOCK = """(() => {
  const now = Date.now;
  window.later = 0;
  Date.now = () => now() + window.later;
})()"""


def pass_time(page: Page, minutes: float) -> None:
    """Nobody is there for so long."""
    page.evaluate("ms => { window.later += ms }", minutes * MINUTE_MS)


@pytest.fixture(autouse=True)
def clock(tab: Page) -> None:
    """Time that tests let pass, in all tabs."""
    tab.context.add_init_script(CLOCK)


def told(receiver: Capture, name: str) -> list[dict[str, Any]]:
    return [attributes(event) for event in receiver.named(name)]


KEPT = "() => localStorage['otel-replay.session']"


def touch(page: Page) -> None:
    """The person is there."""
    page.mouse.move(5, 5)
    page.mouse.move(50, 50)


def test_a_made_session_is_that_of_all_tabs_and_announced_once(tab: Page, start: Start, receiver: Capture) -> None:
    start(userId="u1")
    other = tab.context.new_page()
    start(other)
    flush(tab)
    flush(other)
    assert re.fullmatch("[0-9a-f]{32}", session_of(tab))
    assert session_of(other) == session_of(tab)
    assert stream_of(other) != stream_of(tab)
    assert told(receiver, "session.start") == [{"session.id": session_of(tab), "user.id": "u1"}]


def test_nobody_for_a_quarter_of_an_hour_ends_a_session(tab: Page, start: Start, receiver: Capture) -> None:
    start(userId="u1", feature="chat")
    flush(tab)
    first, stream = session_of(tab), stream_of(tab)
    pass_time(tab, 14.9)
    write(tab, "still in the first")
    flush(tab)
    pass_time(tab, 0.2)
    write(tab, "seen by nobody")
    flush(tab)
    assert session_of(tab) == first
    touch(tab)
    wait_until(lambda: session_of(tab) != first, tab)
    write(tab, "in the second")
    flush(tab)

    second = session_of(tab)
    assert re.fullmatch("[0-9a-f]{32}", second)
    assert stream_of(tab) != stream
    by_session: dict[str, list[dict[str, Any]]] = {first: [], second: []}
    for chunk in receiver.accepted:
        by_session[chunk["session_id"]].append(chunk)
    assert "still in the first" in json.dumps(by_session[first])
    assert "seen by nobody" not in json.dumps(by_session[first])
    assert [chunk["seq"] for chunk in by_session[second]] == list(range(len(by_session[second])))
    assert FULL_SNAPSHOT in {event["type"] for event in by_session[second][0]["events"]}
    assert "in the second" in json.dumps(by_session[second])
    known = {"user.id": "u1", "feature": "chat"}
    assert told(receiver, "session.start")[1:] == [{"session.id": second, "session.previous_id": first, **known}]
    assert told(receiver, "session.end") == [{"session.id": first}]


def test_a_session_ends_after_four_hours_with_somebody_there(tab: Page, start: Start, receiver: Capture) -> None:
    start()
    flush(tab)
    first = session_of(tab)
    for _ in range(23):
        pass_time(tab, 10)
        touch(tab)
        tab.wait_for_timeout(1)
    assert session_of(tab) == first
    pass_time(tab, 10)
    write(tab, "in the second")
    wait_until(lambda: "in the second" in json.dumps(receiver.accepted), tab)
    (chunk,) = [chunk for chunk in receiver.accepted if "in the second" in json.dumps(chunk)]
    assert chunk["session_id"] == session_of(tab) != first


def test_all_tabs_go_on_with_the_same_session(tab: Page, start: Start, receiver: Capture) -> None:
    start()
    other = tab.context.new_page()
    start(other)
    first = session_of(tab)
    pass_time(tab, 16)
    pass_time(other, 16)
    touch(other)
    wait_until(lambda: session_of(other) != first, other)
    wait_until(lambda: session_of(tab) == session_of(other), tab)
    flush(tab)
    flush(other)
    assert len(told(receiver, "session.start")) == 2


def test_two_tabs_that_find_it_over_at_once_go_on_alike(tab: Page, start: Start) -> None:
    """One of them has not heard of the other's session yet."""
    start()
    other = tab.context.new_page()
    start(other)
    first = session_of(tab)
    other.evaluate(DEAF)
    for page in (tab, other):
        pass_time(page, 16)
        touch(page)
        wait_until(lambda page=page: session_of(page) != first, page)  # type: ignore[misc]
    assert session_of(tab) == session_of(other)


def test_somebody_in_one_tab_is_there_for_the_others(tab: Page, start: Start) -> None:
    start()
    other = tab.context.new_page()
    start(other)
    first = session_of(tab)
    for _ in range(3):
        pass_time(tab, 10)
        pass_time(other, 10)
        touch(other)
        wait_until(lambda: other.evaluate(SEEN) < 5_000, other)
    write(tab, "changed")
    assert session_of(tab) == first == session_of(other)


@pytest.mark.parametrize("again", [True, False])
def test_a_given_session_is_kept_until_another_is_given(
    tab: Page, start: Start, receiver: Capture, again: bool
) -> None:
    start(sessionId="given-1")
    assert session_of(tab) == "given-1"
    pass_time(tab, 16)
    touch(tab)
    wait_until(lambda: session_of(tab) != "given-1", tab)
    second = session_of(tab)
    tab.goto("about:blank")
    start(sessionId="given-1" if again else "given-2")
    if again:
        pass_time(tab, 0)
        assert session_of(tab) == second
    else:
        assert session_of(tab) == "given-2"


def test_a_session_survives_a_blocked_storage(tab: Page, start: Start, receiver: Capture) -> None:
    blocked = "Object.defineProperty(window, '%s', {get() { throw new DOMException('blocked', 'SecurityError') }});"
    tab.add_init_script("".join(blocked % name for name in ("localStorage", "sessionStorage", "indexedDB")))
    start()
    write(tab, "recorded")
    flush(tab)
    assert "recorded" in json.dumps(receiver.accepted)
    assert receiver.session_ids == {session_of(tab)}


@pytest.mark.parametrize(
    "rubbish",
    [
        "{",
        "null",
        "7",
        '{"given": "", "id": {}, "startMs": 1, "activeMs": 2}',
        '{"given": "", "id": "x", "startMs": "y"}',
    ],
)
def test_a_session_survives_rubbish_in_the_storage(tab: Page, start: Start, shop_url: str, rubbish: str) -> None:
    tab.goto(f"{shop_url}/shop")
    for storage, key in (("localStorage", "otel-replay.session"), ("sessionStorage", "otel-replay.stream")):
        tab.evaluate("([storage, key, text]) => { window[storage][key] = text }", [storage, key, rubbish])
    start()
    assert re.fullmatch("[0-9a-f]{32}", session_of(tab))
    assert re.fullmatch("[0-9a-f]{16}", stream_of(tab))


def test_end_ends_it_for_all_tabs(tab: Page, start: Start, receiver: Capture) -> None:
    start()
    other = tab.context.new_page()
    start(other)
    first = session_of(tab)
    tab.evaluate("() => recorder.end()")
    assert told(receiver, "session.end") == [{"session.id": first}]
    wait_until(lambda: other.evaluate(KEPT) == tab.evaluate(KEPT), other)  # another process, a moment later
    touch(other)
    wait_until(lambda: session_of(other) != first, other)
    start()
    assert session_of(tab) == session_of(other)


@pytest.mark.feature("R3")
def test_what_is_known_of_a_session_can_come_later(tab: Page, start: Start, receiver: Capture) -> None:
    start(feature="chat")
    tab.evaluate("() => { recorder.identify('u7', {plan: 'pro'}); recorder.set({label: 'beta'}) }")
    tab.evaluate("() => recorder.set({feature: 'search'})")
    flush(tab)
    known = receiver.custom("otel.session")[-1]["attributes"]
    assert known == {"service.name": "web", "feature": "search", "user.id": "u7", "plan": "pro", "label": "beta"}


@pytest.mark.feature("R3")
def test_what_is_said_of_a_session_may_be_of_any_kind(tab: Page, start: Start, receiver: Capture) -> None:
    """Not every page is written in TypeScript."""
    said = {"seats": 3, "is_paying": False, "tags": ["a", "b"], "plan": None}
    start(userId=None, attributes=said)
    flush(tab)
    (event,) = receiver.named("session.start")
    values = {item["key"]: item["value"] for item in event["attributes"]}
    assert values == {
        "session.id": {"stringValue": session_of(tab)},
        "seats": {"intValue": "3"},
        "is_paying": {"boolValue": False},
        "tags": {"stringValue": '["a","b"]'},
    }
