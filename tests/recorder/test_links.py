"""What the recorder tells, as the timeline links it: by ids, so exactly."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.outside.outside import Outside, eventually, running
from tests.recorder.capture import Capture
from tests.recorder.driving import flush

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.feature("R7")]

SERVER = {"trace": "0af7651916cd43dd8448eb211c80319c", "span": "b7ad6b7169203331"}
SCRIPT = """() => {
  send.onclick = () => {
    console.error("no answer");
    fetch("/api/chat?status=500");
    history.pushState({}, "", "/answers");
    setTimeout(() => { throw new RangeError("too far") });
  };
}"""


@pytest.fixture
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    with running(tmp_path_factory.mktemp("links") / "replay.db") as server:
        yield server


@pytest.mark.feature("K3")
@pytest.mark.feature("K18")
@pytest.mark.feature("C1")
def test_everything_a_click_caused_is_linked_to_it(tab: Page, shop_url: str, shop: Capture, outside: Outside) -> None:
    shop.page_headers["server-timing"] = 'traceparent;desc="00-{trace}-{span}-01"'.format(**SERVER)
    tab.goto(f"{shop_url}/shop")
    tab.evaluate(
        "options => { window.recorder = OtelReplay.record(options) }",
        {"endpoint": outside.url, "sessionId": "s1", "flushIntervalMs": 50},
    )
    tab.evaluate(SCRIPT)
    tab.click("#send")
    tab.wait_for_timeout(300)  # the request's failure is told a moment after it
    flush(tab)
    tab.evaluate("() => recorder.stop()")
    found = eventually(lambda: outside.timeline("/api/v1/sessions/s1/timeline"), lambda one: told(one) >= TOLD)

    entries = {entry["id"]: entry for entry in found["entries"]}
    click = one(entries, kind="action", title="click #send")
    request = next(entry for entry in entries.values() if entry["title"].endswith("/api/chat 500"))
    view = next(entry for entry in entries.values() if entry["title"].startswith("page_view"))
    assert targets(one_tagged(entries, "otel.action"), "same_call") == [click["id"]]
    for tag in ("otel.console", "otel.error:RangeError"):
        assert targets(one_tagged(entries, tag), "caused_by") == [click["id"]], tag
    for tag in ("otel.fetch", "otel.error:500"):
        assert targets(one_tagged(entries, tag), "same_call") == [request["id"]], tag
    assert targets(one_tagged(entries, "otel.web_vital:ttfb"), "caused_by") == [view["id"]]
    for name in ("exception", "browser.console"):
        assert targets(one_log(entries, name), "caused_by") == [click["id"]], name
    assert (request["status"], request["parent_span_id"]) == ("error", click["span_id"])
    navigation = one_tagged(entries, "otel.navigation")
    assert (navigation["kind"], navigation["trace_id"]) == ("navigation", click["trace_id"])
    assert view["detail"]["links"][0]["trace_id"] == SERVER["trace"]
    session = outside.document("/api/v1/sessions/s1")
    assert session["errors"] >= 3


TOLD = {
    *("otel.action", "otel.console", "otel.error:RangeError", "otel.error:500", "otel.fetch", "otel.navigation"),
    *("otel.page_view", "otel.web_vital:ttfb", "click #send", "exception", "browser.console"),
}


def tags(entry: dict[str, Any]) -> str:
    """``otel.error:RangeError``: its tag, and what tells it from others of the tag."""
    detail = entry["detail"]
    tag, payload = detail.get("tag", ""), detail.get("payload") or {}
    if tag == "otel.error":
        return f"{tag}:{payload.get('name') or payload['message']}"
    return f"{tag}:{payload['name']}" if tag == "otel.web_vital" else tag


def told(timeline: dict[str, Any]) -> set[str]:
    entries = timeline["entries"]
    return {key for one in entries for key in (tags(one), one["title"], one["detail"].get("event_name", ""))}


def one(entries: dict[str, dict[str, Any]], **facts: str) -> dict[str, Any]:
    (found,) = (entry for entry in entries.values() if all(entry[key] == value for key, value in facts.items()))
    return found


def one_tagged(entries: dict[str, dict[str, Any]], tag: str) -> dict[str, Any]:
    (found,) = (entry for entry in entries.values() if tags(entry) == tag)
    return found


def one_log(entries: dict[str, dict[str, Any]], name: str) -> dict[str, Any]:
    (found,) = (entry for entry in entries.values() if entry["detail"].get("event_name") == name)
    return found


def targets(entry: dict[str, Any], rel: str) -> list[str]:
    """Of the entry's exact links."""
    return [link["target"] for link in entry["links"] if (link["rel"], link["basis"]) == (rel, "exact")]
