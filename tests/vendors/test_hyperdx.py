"""The real ``@hyperdx/browser`` in Chromium, told nothing but another URL: sessions, spans, a replay of each tab."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.outside.outside import Outside, eventually
from tests.vendors.shop import Shop, buy, leave_a_word, recorded, replayed, sessions, streams, visitor
from tests.web.loopback import serving

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.feature("X5")]

START = (
    "HyperDX.init({{ url: '{url}', apiKey: 'a-public-key', service: 'shop', consoleCapture: true, maskAllText: false,"
    " tracePropagationTargets: [/api/] }});"
)
"""As HyperDX' own instructions write it; only ``url`` names another receiver."""

SLICE_BYTES = 950 * 1024


@contextmanager
def shop(packages: Path, receiver: Outside) -> Iterator[tuple[Shop, str]]:
    script = packages / "node_modules" / "@hyperdx" / "browser" / "build" / "index.js"
    built = Shop(packages, (script,), START.format(url=receiver.url))
    with serving(built.app()) as url:
        yield built, url


@pytest.mark.feature("S1")
@pytest.mark.feature("R5")
def test_a_visit_is_listed_traced_and_replayed(browser: Browser, packages: Path, receiver: Outside) -> None:
    with shop(packages, receiver) as (shop_, url), visitor(browser) as context:
        tab = context.new_page()
        tab.goto(url)
        buy(tab, lamps=5)
        live = leave_a_word(tab, "goodbye")
        [events] = recorded(receiver, "goodbye")
        assert replayed(context, url, events) == live
        [listed] = eventually(lambda: sessions(receiver), lambda found: found[0]["actions"] > 10)
    asked = next(headers["traceparent"].split("-")[1] for headers in shop_.headers)
    timeline = eventually(
        lambda: receiver.timeline(f"/api/v1/sessions/{listed['session_id']}/timeline"),
        lambda found: asked in found["traces"],
    )
    told = [(entry["kind"], entry["title"]) for entry in timeline["entries"]]
    assert asked in timeline["traces"], "the trace that the shop's own interface was asked in"
    assert timeline["gaps"] == []
    assert ("dom", "click on #ask “Ask for the price”") in told
    assert ("dom", "input in #name “***”") in told, "masked as it was recorded"
    assert ("action", "navigation /basket") in told
    assert any(title.endswith("/api/price 200") for _, title in told)
    assert any(title.startswith("console.warn") for _, title in told)
    assert not any("Ada" in title for _, title in told)


@pytest.mark.feature("X4")
def test_two_tabs_at_once_are_one_session_and_two_replays(browser: Browser, packages: Path, receiver: Outside) -> None:
    with shop(packages, receiver) as (_, url), visitor(browser) as context:
        tabs = [context.new_page(), context.new_page()]
        for tab in tabs:
            tab.goto(url)
        for number, tab in enumerate([*tabs, *tabs]):
            tab.bring_to_front()
            tab.locator("#add").click(click_count=number + 1)
        tabs[1].locator("#route").click()
        words = ["one", "two"]
        live = [leave_a_word(tab, word) for tab, word in zip(tabs, words, strict=True)]
        played = [replayed(context, url, events) for events in recorded(receiver, *words)]
    assert played == live
    assert live[0] != live[1]
    assert len(sessions(receiver)) == 1
    assert len(streams(receiver)) == 2


def test_a_reload_is_another_page_of_the_same_session(browser: Browser, packages: Path, receiver: Outside) -> None:
    with shop(packages, receiver) as (_, url), visitor(browser) as context:
        tab = context.new_page()
        tab.goto(url)
        tab.locator("#add").click()
        live = [leave_a_word(tab, "first")]
        recorded(receiver, "first")
        tab.reload()
        live.append(leave_a_word(tab, "second"))
        assert [replayed(context, url, events) for events in recorded(receiver, "first", "second")] == live
    assert len(sessions(receiver)) == 1


def test_an_event_in_slices_loses_no_more_than_the_letters_that_were_cut(
    browser: Browser, packages: Path, receiver: Outside
) -> None:
    """Slices are cut by bytes and decoded one by one: half a letter becomes one or several U+FFFD before it is sent."""
    length = SLICE_BYTES
    with shop(packages, receiver) as (_, url), visitor(browser) as context:
        tab = context.new_page()
        tab.goto(url)
        tab.evaluate("length => document.querySelector('#answer').append('€'.repeat(length))", length)
        live = leave_a_word(tab, "goodbye")
        [events] = recorded(receiver, "goodbye")
        shown = replayed(context, url, events)
    [long] = [number for number, line in enumerate(live) if len(line) > length]
    assert shown[:long] + shown[long + 1 :] == live[:long] + live[long + 1 :]
    letters = shown[long].removeprefix(live[long][:-length])
    assert set(letters) == {"€", "\ufffd"}
    assert letters.count("€") >= length - 3, "three times 950 KiB and a bit are four slices"


@pytest.mark.feature("X4")
def test_a_computer_that_wakes_up_begins_a_session_and_loses_nothing(
    browser: Browser, packages: Path, receiver: Outside
) -> None:
    """What waited to be sent is stamped with the new session; then its page is recorded anew, counted from 1 again."""
    with shop(packages, receiver) as (_, url), visitor(browser) as context:
        context.clock.install()
        tab = context.new_page()
        tab.goto(url)
        tab.locator("#add").click()
        context.clock.run_for(6_000)
        eventually(lambda: streams(receiver), bool)
        leave_a_word(tab, "asleep")
        context.clock.fast_forward("05:00:00")
        eventually(lambda: streams(receiver), lambda found: len(found) == 2)
        for _ in range(12):
            tab.locator("#add").click()
        live = leave_a_word(tab, "awake")
        context.clock.run_for(6_000)
        [waited, awake] = recorded(receiver, "asleep", "awake")
        assert replayed(context, url, awake) == live
    assert waited[0]["timestamp"] < awake[0]["timestamp"]
    assert sorted(name.partition(" ")[2] for name, _ in streams(receiver)) == ["", "", "(before)"]
    assert len(sessions(receiver)) == 2
