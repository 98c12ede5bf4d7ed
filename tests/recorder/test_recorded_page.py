"""The example page with buttons: recorded by its visitor, then watched, with the right timing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from otel_replay.examples.recorded_page.__main__ import create_app
from tests.outside.outside import Outside, running
from tests.web.loopback import serving

pytestmark = [pytest.mark.browser, pytest.mark.slow]

WATCH = """() => new Promise((resolve) => {
  const replayed = document.querySelector(".replayer-wrapper iframe").contentDocument;
  const times = [];
  const look = () => {
    const lines = replayed.querySelectorAll("#lines li").length;
    if (lines > times.length) times.push(performance.now());
    if (times.length === 2) resolve(times[1] - times[0]);
    else requestAnimationFrame(look);
  };
  document.querySelector(".rr-controller__btns button").click();
  look();
})"""


@pytest.fixture
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    with running(tmp_path_factory.mktemp("page") / "replay.db") as server:
        yield server


@pytest.mark.feature("R1")
@pytest.mark.feature("A1")
@pytest.mark.feature("A2")
def test_a_visitor_starts_and_stops_and_watches(tab: Page, outside: Outside) -> None:
    with serving(create_app(outside.url)) as url:
        tab.goto(url)
        expect(tab.get_by_role("status")).to_have_text("Not recorded")
        tab.get_by_role("button", name="Add to the order").click()
        tab.get_by_role("button", name="Start recording").click()
        expect(tab.get_by_role("status")).to_have_text("Recording")
        tab.get_by_role("button", name="Add to the order").click()
        tab.wait_for_timeout(1000)
        tab.get_by_role("button", name="Pause").click()
        expect(tab.get_by_role("status")).to_have_text("Paused")
        tab.get_by_role("button", name="Go on").click()
        tab.get_by_role("button", name="Stop").click()
        with tab.context.expect_page() as opened:
            tab.get_by_role("link", name="Watch it").click()
    watched = opened.value
    frame = watched.frame_locator(".replayer-wrapper iframe")
    # What was there before is in the first picture; what was added is played, the buttons are not shown.
    expect(frame.locator("#lines li")).to_have_count(1)
    expect(frame.get_by_text("Recording", exact=True)).to_have_count(0)
    session = watched.url.rpartition("/")[2]
    events = outside.document(f"/api/v1/sessions/{session}/recording")["streams"][0]["events"]
    assert [event["type"] for event in events].count(2) == 2
    entries = outside.timeline(f"/api/v1/sessions/{session}/timeline")["entries"]
    acts = [one["title"] for one in entries if one["kind"] == "action"]
    # The buttons of the header are left out of the recording, so they have no names.
    assert acts == ["page_view /", "click Add to the order", "click #stop"]


@pytest.mark.feature("A2")
def test_playing_takes_the_time_it_took(tab: Page, outside: Outside) -> None:
    with serving(create_app(outside.url)) as url:
        tab.goto(url)
        tab.get_by_role("button", name="Start recording").click()
        for _ in range(2):
            tab.get_by_role("button", name="Add to the order").click()
            tab.wait_for_timeout(1500)
        tab.get_by_role("button", name="Stop").click()
        with tab.context.expect_page() as opened:
            tab.get_by_role("link", name="Watch it").click()
    watched = opened.value
    expect(watched.frame_locator(".replayer-wrapper iframe").locator("#order")).to_be_attached()
    session = watched.url.rpartition("/")[2]
    streams = outside.document(f"/api/v1/sessions/{session}/recording")["streams"]
    added = [event["timestamp"] for event in streams[0]["events"] if '"li"' in str(event).replace("'", '"')]
    assert watched.evaluate(WATCH) == pytest.approx(added[-1] - added[0], abs=400)
