"""Which sessions are sent follows from their ids, for pages as for servers; an error brings up what led to it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from otel_replay.sdk.backlog import is_sampled
from tests.outside.outside import Outside, running
from tests.recorder.capture import Capture, attributes
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


def gaps(receiver: Capture) -> list[tuple[float, float]]:
    """Of the spans that stand for what was not kept: from and to, in Unix milliseconds."""
    found = [span for span in receiver.spans() if span["name"] == "not recorded"]
    for span in found:
        assert attributes(span) == {"session.id": "abc", "otel_replay.gap.reason": "sampled"}
    return [(int(span["startTimeUnixNano"]) / 1e6, int(span["endTimeUnixNano"]) / 1e6) for span in found]


def fail_after_four_snapshots(tab: Page, start: Start, receiver: Capture) -> None:
    """Writes a word beside each; what is kept then is sent."""
    unsampled(start, checkoutMs=1)
    for word in ("oldest", "older", "old", "new"):
        tab.wait_for_timeout(5)
        write(tab, word)
        tab.wait_for_timeout(5)
    tab.evaluate(FAIL)
    wait_until(lambda: len(receiver.accepted) > 0, tab)
    flush(tab)


def test_what_was_thrown_away_before_an_error_is_a_gap(tab: Page, start: Start, receiver: Capture) -> None:
    """Up to what was kept: on one page what came before the last snapshot but one, and the pages before altogether."""
    began_ms = time.time() * 1000
    unsampled(start)
    tab.wait_for_timeout(50)
    fail_after_four_snapshots(tab, start, receiver)
    ((from_ms, to_ms),) = gaps(receiver)
    first_ms = receiver.events()[0]["timestamp"]
    assert began_ms - 1 <= from_ms < to_ms - 50
    assert abs(to_ms - first_ms) <= 5  # an event is dated when it is made, the gap ends when it is kept


def test_where_nothing_was_thrown_away_is_no_gap(tab: Page, start: Start, receiver: Capture) -> None:
    unsampled(start)
    tab.evaluate(FAIL)
    wait_until(lambda: len(receiver.accepted) > 0, tab)
    start(sessionId="abc", sampleRate=0.7)
    flush(tab)
    assert gaps(receiver) == []


@pytest.mark.slow
def test_the_gap_stands_in_the_timeline(tab: Page, start: Start, tmp_path: Path) -> None:
    with running(tmp_path / "replay.db") as server:
        for _page in range(2):
            unsampled(start, endpoint=server.url)
        tab.evaluate(FAIL)
        flush(tab)
        wait_until(lambda: server.get("/api/v1/sessions/abc/timeline").status_code == 200, tab)
        wait_until(lambda: len(gap_entries(server)) > 0, tab)
        (entry,) = gap_entries(server)
    assert entry["title"] == "records were not kept: sampled"
    assert int(entry["start_unix_nano"]) < int(entry["end_unix_nano"])


def gap_entries(server: Outside) -> list[dict[str, Any]]:
    entries = server.timeline("/api/v1/sessions/abc/timeline")["entries"]
    return [entry for entry in entries if entry["kind"] == "gap"]


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
    fail_after_four_snapshots(tab, start, receiver)
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
