"""The page in a real Chromium, behind the receiver's content security policy, playing what the recorder recorded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, FrameLocator, Locator, Page, Route, expect

from tests.recorder.capture import Capture
from tests.web.loopback import serving
from tests.web.page_server import PageServer
from tests.web.story import ANSWER, HOSTILE, TRACE, Story, entry, record_story

pytestmark = pytest.mark.browser

FULL_SNAPSHOT, META = 2, 4


@pytest.fixture(scope="module")
def story(chromium: Browser, static: Path) -> Story:
    shop = Capture(static / "otel-replay.js")
    with serving(shop.app()) as url:
        return record_story(chromium, shop, url)


@pytest.fixture
def server(static: Path, story: Story) -> PageServer:
    """Knows the story's session; a test changes ``answers`` before it opens the page."""
    at = f"/api/v1/sessions/{story.session_id}"
    return PageServer(
        static,
        {
            "/api/v1/sessions": (200, {"sessions": [story.session], "total": 1, "next_cursor": None}),
            f"{at}/timeline": (200, story.timeline()),
            f"{at}/recording": (200, story.recording()),
            f"/api/v1/traces/{TRACE}/timeline": (200, story.timeline() | {"session_id": None, "trace_id": TRACE}),
        },
    )


@pytest.fixture
def url(server: PageServer) -> Iterator[str]:
    with serving(server.app()) as origin:
        yield origin


@pytest.fixture
def complaints(tab: Page) -> list[str]:
    """Everything the browser complains about: CSP violations, failed requests, uncaught errors."""
    found: list[str] = []
    tab.on("console", lambda message: found.append(message.text) if message.type in ("error", "warning") else None)
    tab.on("pageerror", lambda error: found.append(str(error)))
    return found


def open_session(tab: Page, url: str, story: Story) -> FrameLocator:
    tab.goto(f"{url}/#/sessions/{story.session_id}")
    return tab.frame_locator(".replayer-wrapper iframe")


def recording_path(story: Story) -> str:
    return f"/api/v1/sessions/{story.session_id}/recording"


def row(tab: Page, entry_id: str) -> Locator:
    return tab.locator(f'[data-entry="{entry_id}"]')


def texts(story: Story) -> list[str]:
    """Ids of the entries of streamed text, in order."""
    return [one["id"] for one in story.timeline()["entries"] if one["kind"] == "dom"]


def without_tool(story: Story) -> dict[str, Any]:
    """The timeline without the entry that may fall between two streamed words."""
    timeline = story.timeline()
    timeline["entries"] = [one for one in timeline["entries"] if one["kind"] != "tool"]
    return timeline


def test_hostile_text_stays_text(tab: Page, url: str, story: Story, complaints: list[str]) -> None:
    tab.on("dialog", lambda dialog: complaints.append(dialog.message))
    tab.goto(url)
    expect(tab.get_by_role("link", name=HOSTILE)).to_be_visible()
    tab.get_by_role("link", name=HOSTILE).click()
    row(tab, "span:chat").click()
    expect(tab.get_by_role("heading", name=HOSTILE)).to_be_visible()
    expect(tab.locator("article.user")).to_contain_text(HOSTILE)
    expect(tab.locator("img")).to_have_count(0)
    expect(tab).to_have_title(re.compile("otel-replay$"))
    assert complaints == []


def test_an_entry_seeks_the_player_to_its_time(tab: Page, url: str, server: PageServer, story: Story) -> None:
    server.answers[f"/api/v1/sessions/{story.session_id}/timeline"] = (200, without_tool(story))
    replayed = open_session(tab, url, story)
    expect(replayed.locator("#plain")).to_have_text("plain text")
    tab.get_by_role("button", name="Show all 10").click()
    words, ids = ANSWER.split(), texts(story)
    for index in (0, 4, len(ids) - 1, 2):
        row(tab, ids[index]).click()
        expect(replayed.locator("#plain")).to_have_text(" ".join(words[: index + 1]))
    row(tab, "span:click").click()
    expect(replayed.locator("#plain")).to_have_text("plain text")


def test_an_entry_chosen_before_the_recording_has_come(tab: Page, url: str, server: PageServer, story: Story) -> None:
    held: list[Route] = []
    server.answers[f"/api/v1/sessions/{story.session_id}/timeline"] = (200, without_tool(story))
    tab.route("**/recording*", lambda route: held.append(route))
    replayed = open_session(tab, url, story)
    tab.get_by_role("button", name="Show all 10").click()
    row(tab, texts(story)[4]).click()
    held[0].continue_()
    expect(replayed.locator("#plain")).to_have_text(" ".join(ANSWER.split()[:5]))


def test_the_stream_s_clock_offset_is_taken_off(tab: Page, url: str, server: PageServer, story: Story) -> None:
    """The browser's clock ran an hour late: corrected times are an hour after those of the recording."""
    hour = 3_600 * 10**9
    timeline = without_tool(story)
    timeline["clock"] = [{"source": "stream", "id": story.stream_id, "offset_ns": str(hour)}]
    entries = timeline["entries"] = deepcopy(timeline["entries"])
    for one in entries:
        one["start_unix_nano"] = str(int(one["start_unix_nano"]) + hour)
        one["end_unix_nano"] = str(int(one["end_unix_nano"]) + hour)
    third_word = next(one for one in entries if one["id"] == texts(story)[2])["start_unix_nano"]
    chat = next(one for one in entries if one["id"] == "span:chat")
    chat["start_unix_nano"] = third_word
    server.answers[f"/api/v1/sessions/{story.session_id}/timeline"] = (200, timeline)
    replayed = open_session(tab, url, story)
    row(tab, "span:chat").click()
    expect(replayed.locator("#plain")).to_have_text(" ".join(ANSWER.split()[:3]))


def test_playing_marks_the_current_entry(tab: Page, url: str, story: Story) -> None:
    replayed = open_session(tab, url, story)
    expect(replayed.locator("#plain")).to_have_text("plain text")
    expect(tab.locator("[aria-current=time]")).to_have_count(0)
    tab.locator(".player").focus()
    tab.keyboard.press("Space")
    expect(tab.locator("[aria-current=time]")).to_have_count(1)
    expect(replayed.locator("#plain")).to_have_text(ANSWER)


def test_arrow_keys_walk_the_timeline(tab: Page, url: str, story: Story) -> None:
    """A player that comes late goes to the selected entry, and its page, where the user clicked, takes no focus."""
    held: list[Route] = []
    tab.route("**/assets/rrweb-player-*.js", lambda route: held.append(route))
    replayed = open_session(tab, url, story)
    row(tab, "span:click").focus()
    tab.keyboard.press("ArrowDown")
    expect(row(tab, "span:post")).to_be_focused()
    expect(row(tab, "span:post")).to_have_attribute("aria-pressed", "true")
    tab.keyboard.press("End")
    for route in held:
        route.continue_()
    expect(replayed.locator("#plain")).to_contain_text("Parcels")
    expect(tab.locator(".row").last).to_be_focused()


def test_an_interaction_reads_as_a_conversation(tab: Page, url: str, story: Story) -> None:
    open_session(tab, url, story)
    row(tab, "span:chat").click()
    detail = tab.get_by_role("region", name="Detail")
    expect(detail.locator("article h3")).to_have_text(["system", "user", "assistant"])
    expect(detail.locator("article.assistant")).to_contain_text(ANSWER)
    expect(detail).to_contain_text("gpt-4o-mini → gpt-4o-mini-2024-07-18")
    expect(detail).to_contain_text("1,200 in, 29 out, 1,024 from cache")
    expect(detail).to_contain_text("First words 163 ms after the action")


def test_a_link_selects_its_target(tab: Page, url: str, story: Story) -> None:
    open_session(tab, url, story)
    row(tab, "span:chat").click()
    expect(tab.get_by_role("region", name="Detail")).to_contain_text("inferred, 93 %")
    tab.get_by_role("region", name="Detail").get_by_role("button", name="click #send").click()
    expect(row(tab, "span:click")).to_have_attribute("aria-pressed", "true")
    expect(tab.get_by_role("region", name="Detail")).to_contain_text("caused")


def test_streamed_text_and_its_transport_are_one_row_each(
    tab: Page, url: str, server: PageServer, story: Story
) -> None:
    server.answers[f"/api/v1/sessions/{story.session_id}/timeline"] = (200, without_tool(story))
    open_session(tab, url, story)
    expect(tab.locator(".row")).to_have_count(5)
    expect(row(tab, texts(story)[0])).to_contain_text("and 9 more")
    expect(row(tab, "span:send6")).to_contain_text("and 5 more")
    expect(row(tab, "span:send6")).to_have_class(re.compile(r"\bmuted\b"))
    tab.get_by_role("button", name="Show all 6").click()
    expect(tab.locator(".row")).to_have_count(10)


def test_a_kind_can_be_hidden(tab: Page, url: str, story: Story) -> None:
    open_session(tab, url, story)
    tab.get_by_role("button", name="LLM 1").click()
    expect(row(tab, "span:chat")).to_have_count(0)
    expect(row(tab, "span:click")).to_have_count(1)


def test_nothing_is_fetched_from_elsewhere(tab: Page, url: str, story: Story, complaints: list[str]) -> None:
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(url)
    tab.get_by_role("link", name=HOSTILE).click()
    expect(tab.frame_locator(".replayer-wrapper iframe").locator("#plain")).to_be_visible()
    row(tab, "span:chat").click()
    assert len(asked) > 4
    assert [address for address in asked if not address.startswith((url, "data:", "about:"))] == []
    assert complaints == []


def test_a_hostile_recording_runs_nothing_and_reaches_nobody(
    tab: Page, url: str, server: PageServer, story: Story, static: Path
) -> None:
    elsewhere = Capture(static / "otel-replay.js")
    with serving(elsewhere.app()) as other:
        events = deepcopy(story.events)
        snapshot = next(event for event in events if event["type"] == FULL_SNAPSHOT)
        html = next(node for node in snapshot["data"]["node"]["childNodes"] if node.get("tagName") == "html")
        body = next(node for node in html["childNodes"] if node.get("tagName") == "body")
        attack = "parent.document.title = 'pwned'"
        body["childNodes"] += [
            element(9001, "img", src=f"{other}/api/chat", onerror=attack),
            element(9002, "iframe", srcdoc=f"<script>{attack}</script>"),
            element(9003, "script", src=f"{other}/otel-replay.js"),
            element(9004, "p", style=f"background: url({other}/api/chat)", onmouseover=attack, id="last"),
        ]
        server.answers[recording_path(story)] = (200, {"streams": [{"stream_id": story.stream_id, "events": events}]})
        replayed = open_session(tab, url, story)
        expect(replayed.locator("#last")).to_be_attached()
        tab.wait_for_timeout(300)
    assert elsewhere.calls == []
    expect(tab).to_have_title(re.compile("otel-replay$"))
    expect(tab.locator(".replayer-wrapper iframe")).to_have_attribute("sandbox", "allow-same-origin")


def element(number: int, tag: str, **attributes: str) -> dict[str, Any]:
    """An element as rrweb serializes it."""
    return {"type": 2, "tagName": tag, "attributes": attributes, "childNodes": [], "id": number}


def test_pages_of_a_recording_are_joined(tab: Page, url: str, server: PageServer, story: Story) -> None:
    path, stream = recording_path(story), story.recording()["streams"][0]
    first = stream | {"events": story.events[:5]}
    rest = stream | {"events": [None, {"type": "x"}, *story.events[5:]]}
    server.answers[f"/api/v1/sessions/{story.session_id}/timeline"] = (200, without_tool(story))
    server.answers[path] = (200, {"streams": [first], "next_cursor": "n 2"})
    server.answers[f"{path}?cursor=n+2"] = (200, {"streams": [rest], "next_cursor": None})
    replayed = open_session(tab, url, story)
    expect(replayed.locator("#plain")).to_have_text("plain text")
    tab.get_by_role("button", name="Show all 10").click()
    row(tab, texts(story)[-1]).click()
    expect(replayed.locator("#plain")).to_have_text(ANSWER)


@pytest.mark.parametrize(
    ("events", "words"),
    [(slice(0, 0), "no event"), (slice(0, 1), "one event"), (slice(3, None), "no full snapshot")],
)
def test_what_cannot_be_played_says_why(
    tab: Page, url: str, server: PageServer, story: Story, complaints: list[str], events: slice, words: str
) -> None:
    stream = {"stream_id": story.stream_id, "events": story.events[events]}
    server.answers[recording_path(story)] = (200, {"streams": [stream]})
    open_session(tab, url, story)
    expect(tab.get_by_text("This recording cannot be played")).to_be_visible()
    expect(tab.get_by_text(words)).to_be_visible()
    row(tab, "span:chat").click()
    expect(tab.get_by_role("region", name="Detail")).to_contain_text(ANSWER)
    assert complaints == []


@pytest.mark.parametrize("answer", [(200, {"streams": []}), (404, {"title": "Not found"})])
def test_a_session_without_recording_still_has_its_timeline(
    tab: Page, url: str, server: PageServer, story: Story, answer: tuple[int, Any]
) -> None:
    server.answers[recording_path(story)] = answer
    open_session(tab, url, story)
    expect(tab.get_by_text("There is no recording")).to_be_visible()
    row(tab, "span:chat").click()
    expect(tab.get_by_role("region", name="Detail")).to_contain_text(ANSWER)


def test_gaps_are_named_with_their_size(tab: Page, url: str, server: PageServer, story: Story) -> None:
    recording = story.recording()
    recording["streams"][0]["gaps"] = [{"after_seq": 4, "missing": 3, "resumes_at": 9}]
    server.answers[recording_path(story)] = (200, recording)
    open_session(tab, url, story)
    expect(tab.get_by_text("3 chunks are missing after chunk 4; playing goes on at chunk 9.")).to_be_visible()


def test_changes_behind_a_gap_wait_for_the_next_full_snapshot(
    tab: Page, url: str, server: PageServer, story: Story
) -> None:
    timeline, recording = without_tool(story), story.recording()
    fourth = next(one for one in timeline["entries"] if one["id"] == texts(story)[3])
    recording["streams"][0]["gaps"] = [{"after_seq": 1, "missing": 1, "to_unix_nano": fourth["start_unix_nano"]}]
    server.answers[f"/api/v1/sessions/{story.session_id}/timeline"] = (200, timeline)
    server.answers[recording_path(story)] = (200, recording)
    replayed = open_session(tab, url, story)
    tab.get_by_role("button", name="Show all 10").click()
    row(tab, texts(story)[-1]).click()
    expect(replayed.locator("#plain")).to_have_text(" ".join(ANSWER.split()[:3]))


def test_each_tab_of_the_user_has_its_own_player(tab: Page, url: str, server: PageServer, story: Story) -> None:
    events = deepcopy(story.events[:4])
    next(event for event in events if event["type"] == META)["data"] |= {"width": 321, "height": 123}
    other = {"stream_id": "other", "events": events}
    server.answers[recording_path(story)] = (200, {"streams": [other, *story.recording()["streams"]]})
    open_session(tab, url, story)
    frame = tab.locator(".replayer-wrapper iframe")
    expect(frame).to_have_attribute("width", "800")
    tab.get_by_role("tab", name="Tab 1").click()
    expect(frame).to_have_attribute("width", "321")
    tab.keyboard.press("ArrowRight")
    expect(tab.get_by_role("tab", name="Tab 2")).to_be_focused()
    expect(frame).to_have_attribute("width", "800")


def test_the_stream_that_shows_most_is_opened_and_others_can_be_chosen(
    tab: Page, url: str, server: PageServer, story: Story
) -> None:
    """Not the first one, nor one that cannot be played, however long that is."""
    own = story.recording()["streams"][0]
    changes = own | {"stream_id": f"{story.stream_id} (before)", "events": story.events[3:]}
    short = own | {"stream_id": "short", "events": deepcopy(story.events[:4])}
    server.answers[recording_path(story)] = (200, {"streams": [changes, short, own]})
    replayed = open_session(tab, url, story)
    expect(replayed.locator("#plain")).to_have_text("plain text")
    names = tab.get_by_role("tab")
    expect(names).to_have_text(
        [re.compile(words) for words in ("^Before tab 2 · not playable$", "^Tab 1 · ", "^Tab 2 · ")]
    )
    expect(names.nth(2)).to_have_attribute("aria-selected", "true")
    names.nth(0).click()
    expect(tab.get_by_text("This recording cannot be played")).to_be_visible()
    expect(tab.get_by_text("no full snapshot")).to_be_visible()
    names.nth(1).click()
    expect(replayed.locator("#plain")).to_have_text("plain text")


def test_a_trace_opens_the_tab_that_was_open_meanwhile(tab: Page, url: str, server: PageServer, story: Story) -> None:
    """The part of an older tab that is given is longer: from its last full snapshot to its end."""
    events = deepcopy(story.events)
    for event in events:
        event["timestamp"] -= 3_600_000
    events[-1]["timestamp"] += 1_800_000
    older = story.recording()["streams"][0] | {"stream_id": "older", "events": events}
    server.answers[recording_path(story)] = (200, {"streams": [older, *story.recording()["streams"]]})
    tab.goto(f"{url}/#/traces/{TRACE}")
    expect(tab.get_by_role("tab", name="Tab 2")).to_have_attribute("aria-selected", "true")


def test_what_was_not_kept_is_named(tab: Page, url: str, server: PageServer, story: Story) -> None:
    timeline, start = story.timeline(), story.events[0]["timestamp"] * 10**6
    detail = {"scope": "otel_replay.browser", "attributes": {"otel_replay.gap.reason": "sampled"}}
    gap = entry("span:gap", "gap", start - 90 * 10**9, 90 * 10**9, "records were not kept: sampled", detail=detail)
    timeline["entries"] = [gap, *timeline["entries"]]
    server.answers[f"/api/v1/sessions/{story.session_id}/timeline"] = (200, timeline)
    open_session(tab, url, story)
    words = (
        "Nothing was kept of 1 min 30 s before: the session was not among the sampled ones until an error opened it."
    )
    expect(tab.get_by_text(words)).to_be_visible()


def test_receivers_that_are_away_are_named(tab: Page, url: str, server: PageServer, story: Story) -> None:
    """Each once, whoever says so: the list, the timeline, the recording."""
    away = [{"receiver": f"http://{name}:4318", "reason": "it does not answer"} for name in "ab"]
    sessions = server.answers["/api/v1/sessions"][1]
    server.answers["/api/v1/sessions"] = (200, sessions | {"missing": away[:1]})
    path = f"/api/v1/sessions/{story.session_id}/timeline"
    server.answers[path] = (200, story.timeline() | {"missing": away[:1]})
    server.answers[recording_path(story)] = (200, story.recording() | {"missing": away})
    tab.goto(url)
    expect(tab.get_by_text("A receiver does not answer: what it holds is missing here")).to_be_visible()
    expect(tab.get_by_text("http://a:4318: it does not answer")).to_be_visible()
    tab.get_by_role("link", name=HOSTILE).click()
    expect(tab.get_by_text("2 receivers do not answer")).to_be_visible()
    expect(tab.get_by_text("it does not answer")).to_have_count(2)


def test_a_damaged_chunk_is_said_to_be_one(tab: Page, url: str, server: PageServer, story: Story) -> None:
    recording = story.recording()
    recording["streams"][0]["gaps"] = [{"after_seq": 4, "missing": 1, "reason": "damaged"}]
    server.answers[recording_path(story)] = (200, recording)
    open_session(tab, url, story)
    expect(tab.get_by_text("1 chunk cannot be read any more after chunk 4.")).to_be_visible()


def test_a_trace_shows_its_part_of_the_session_s_recording(
    tab: Page, url: str, server: PageServer, story: Story
) -> None:
    tab.goto(f"{url}/#/traces/{TRACE}")
    expect(tab.frame_locator(".replayer-wrapper iframe").locator("#plain")).to_be_visible()
    expect(tab.get_by_role("link", name=story.session_id)).to_be_visible()
    (asked,) = [path for path in server.asked if "/recording" in path]
    query = parse_qs(urlsplit(asked).query)
    timeline = story.timeline()
    assert int(query["from"][0]) < int(timeline["start_unix_nano"]) < int(query["to"][0])


def test_a_problem_is_shown_in_its_own_words(tab: Page, url: str, server: PageServer, story: Story) -> None:
    path = f"/api/v1/sessions/{story.session_id}/timeline"
    known = server.answers[path]
    server.answers[path] = (503, {"title": "Busy", "detail": "The disk is full."})
    open_session(tab, url, story)
    expect(tab.get_by_role("alert")).to_contain_text("Busy")
    expect(tab.get_by_role("alert")).to_contain_text("The disk is full.")
    server.answers[path] = known
    tab.get_by_role("button", name="Try again").click()
    expect(row(tab, "span:chat")).to_be_visible()


def test_an_empty_store_says_how_to_begin(tab: Page, url: str, server: PageServer) -> None:
    server.answers["/api/v1/sessions"] = (200, {"sessions": [], "total": 0, "next_cursor": None})
    tab.goto(url)
    expect(tab.get_by_text("Nothing has arrived yet")).to_be_visible()
    expect(tab.locator("pre").first).to_contain_text(f'otel_replay.instrument(endpoint="{url}"')
    expect(tab.locator("pre").last).to_contain_text(f"{url}/otel-replay.js")


def test_filters_and_more(tab: Page, url: str, server: PageServer, story: Story) -> None:
    more = story.session | {"session_id": "second", "user": "ada"}
    server.answers["/api/v1/sessions?limit=50&user=a+b"] = (200, {"sessions": [story.session], "next_cursor": "c1"})
    repeated = {"sessions": [story.session, more], "next_cursor": None}
    server.answers["/api/v1/sessions?limit=50&user=a+b&cursor=c1"] = (200, repeated)
    tab.goto(url)
    tab.get_by_label("User").fill("a b")
    tab.keyboard.press("Enter")
    tab.get_by_role("button", name="Load more").click()
    expect(tab.get_by_role("link", name="ada")).to_be_visible()
    expect(tab.locator("li")).to_have_count(2)
    expect(tab.get_by_role("button", name="Load more")).to_have_count(0)


def test_entries_are_loaded_page_by_page(tab: Page, url: str, server: PageServer, story: Story) -> None:
    timeline = without_tool(story)
    path = f"/api/v1/sessions/{story.session_id}/timeline"
    entries = timeline["entries"]
    server.answers[path] = (200, timeline | {"entries": entries[:2], "next_cursor": "c1"})
    server.answers[f"{path}?cursor=c1"] = (200, timeline | {"entries": entries[1:], "next_cursor": None})
    open_session(tab, url, story)
    expect(tab.locator(".row")).to_have_count(2)
    tab.get_by_role("button", name="Load more entries").click()
    expect(tab.locator(".row")).to_have_count(5)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_the_detail_in_the_list(tab: Page, url: str, story: Story, scheme: Any) -> None:
    tab.set_viewport_size({"width": 390, "height": 844})
    tab.emulate_media(color_scheme=scheme)
    open_session(tab, url, story)
    row(tab, "span:chat").click()
    expect(tab.locator("li").get_by_role("region", name="Detail")).to_contain_text(ANSWER)
    expect(tab.locator(".replayer-wrapper iframe")).to_be_in_viewport()
    assert tab.evaluate("() => document.documentElement.scrollWidth") == 390
    paper = tab.evaluate("() => getComputedStyle(document.querySelector('ol')).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") == (scheme == "light")


def test_an_unknown_view_leads_home(tab: Page, url: str) -> None:
    tab.goto(f"{url}/#/nowhere/else")
    tab.get_by_role("link", name="All sessions").click()
    expect(tab.get_by_role("heading", name="Sessions")).to_be_visible()
