"""Which sessions are sent follows from their ids, for pages as for servers; an error brings up what led to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from otel_replay.sdk.backlog import is_sampled
from tests.recorder.capture import Capture
from tests.recorder.driving import FULL_SNAPSHOT, META, Start, flush, wait_until, write

pytestmark = [pytest.mark.browser, pytest.mark.feature("K17")]

VECTORS: list[dict[str, str]] = json.loads((Path(__file__).parent / "sampling_vectors.json").read_bytes())
"""The first eight hexadecimal digits of SHA-256, which decide."""

FAIL = "() => { setTimeout(() => { throw new Error('broken') }) }"


def just_below(vector: dict[str, str]) -> float:
    """The greatest rate at which the session is not sent."""
    return int(vector["first_8_digits"], 16) / 2**32


def test_pages_and_servers_decide_alike(tab: Page, shop_url: str) -> None:
    tab.goto(f"{shop_url}/shop")
    rates = [(vector["id"], rate) for vector in VECTORS for rate in (just_below(vector), just_below(vector) + 2**-32)]
    # Half of a pair of surrogates cannot travel to the page but in an escape.
    asked = "text => JSON.parse(text).map(([id, rate]) => OtelReplay.isSampled(id, rate))"
    expected = [False, True] * len(VECTORS)
    assert [is_sampled(*rate) for rate in rates] == expected
    assert tab.evaluate(asked, json.dumps(rates)) == expected


def everything(receiver: Capture) -> str:
    return json.dumps([receiver.accepted, receiver.traces, receiver.logs])


def unsampled(start: Start, *pages: Page, **options: Any) -> None:
    start(*pages, sessionId="abc", sampleRate=0.7, **options)  # 0xba7816bf / 2**32 is 0.728


def test_a_sampled_session_is_sent(tab: Page, start: Start, receiver: Capture) -> None:
    start(sessionId="abc", sampleRate=0.73)
    flush(tab)
    assert len(receiver.events()) > 0


def test_one_that_is_not_sampled_sends_nothing(tab: Page, start: Start, receiver: Capture) -> None:
    unsampled(start)
    tab.click("#send")
    flush(tab)
    start(sessionId="abc", sampleRate=0.7)
    flush(tab)
    assert (receiver.attempts, receiver.traces, receiver.logs) == ([], [], [])


@pytest.mark.feature("K18")
def test_an_error_sends_what_led_to_it_and_what_follows(tab: Page, start: Start, receiver: Capture) -> None:
    unsampled(start)
    write(tab, "before")
    tab.click("#send")
    flush(tab)
    assert everything(receiver) == "[[], [], []]"
    tab.evaluate(FAIL)
    wait_until(lambda: "before" in everything(receiver), tab)
    write(tab, "after")
    flush(tab)
    assert [event["type"] for event in receiver.events()[:2]] == [META, FULL_SNAPSHOT]
    assert "after" in json.dumps(receiver.accepted)
    assert "click" in {span["name"] for span in receiver.spans()}
    assert len(receiver.named("exception")) == 1


def test_every_page_and_tab_of_a_session_with_an_error_is_sent(tab: Page, start: Start, receiver: Capture) -> None:
    unsampled(start)
    other = tab.context.new_page()
    unsampled(start, other)
    write(other, "in the other tab")
    tab.evaluate(FAIL)
    wait_until(lambda: "in the other tab" in json.dumps(receiver.accepted), tab)
    start(sessionId="abc", sampleRate=0.7)
    write(tab, "on the next page")
    wait_until(lambda: "on the next page" in json.dumps(receiver.accepted), tab)


def test_what_is_kept_begins_with_a_full_snapshot_and_is_bounded(tab: Page, start: Start, receiver: Capture) -> None:
    """Two snapshots back, whatever came before."""
    unsampled(start, checkoutMs=1)
    for word in ("oldest", "older", "old", "new"):
        tab.wait_for_timeout(5)
        write(tab, word)
        tab.wait_for_timeout(5)
    tab.evaluate(FAIL)
    wait_until(lambda: len(receiver.accepted) > 0, tab)
    flush(tab)
    sent = json.dumps(receiver.accepted)
    assert "oldest" not in sent
    assert "new" in sent
    assert receiver.events()[0]["type"] == META


def test_a_page_that_is_more_than_is_kept_is_recorded_from_its_error_on(
    tab: Page, start: Start, receiver: Capture
) -> None:
    unsampled(start)
    tab.evaluate("() => { plain.textContent = 'x'.repeat(9e6) }")
    tab.wait_for_timeout(50)
    write(tab, "small again")
    tab.evaluate(FAIL)
    wait_until(lambda: FULL_SNAPSHOT in {event["type"] for event in receiver.events()}, tab)
    assert "x" * 1000 not in json.dumps(receiver.accepted)
    assert "small again" in json.dumps(receiver.accepted)
