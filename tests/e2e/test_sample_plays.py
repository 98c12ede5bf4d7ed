"""What `make run` shows first: the bundled sample in the real page, played, its words found in the replayed DOM."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from otel_replay.config import Settings
from otel_replay.demo import load_sample, sample_session
from otel_replay.examples.chat.stub import answer_to
from otel_replay.server import Server
from tests.e2e.conversation import QUESTIONS, chromium

pytestmark = [pytest.mark.browser]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(Settings(tmp_path_factory.mktemp("sample") / "replay.db", grpc_port=0, http_port=0))
    running.start()
    load_sample(running)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    opened = browser.new_page(viewport={"width": 1440, "height": 900})
    yield opened
    opened.close()


@pytest.mark.feature("C3")
@pytest.mark.feature("R7")
def test_the_sample_plays_and_shows_the_recorded_words(server: Server, page: Page) -> None:
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: complaints.append(request.url) if is_elsewhere(request.url, server) else None)
    page.goto(server.http_url)
    page.get_by_text("demo-user").click()
    replayed = page.frame_locator(".replayer-wrapper iframe")
    page.wait_for_load_state("networkidle")  # a click on a row before the recording has come moves nothing

    page.locator(".row", has_text=f"“{answer_to(QUESTIONS[0])[:30]}").first.click()
    expect(replayed.locator("#messages li.user")).to_have_text(QUESTIONS[0])
    expect(replayed.get_by_text(answer_to(QUESTIONS[0]), exact=True)).to_have_count(0)

    page.locator(".rr-controller button").first.click()  # play
    for question in QUESTIONS:
        expect(replayed.get_by_text(answer_to(question), exact=True)).to_be_visible(timeout=20_000)
    assert complaints == []


def is_elsewhere(url: str, server: Server) -> bool:
    return not url.startswith((server.http_url, "data:", "blob:", "about:"))


def test_loading_it_again_changes_nothing(server: Server) -> None:
    before = server.replay.sessions()
    assert load_sample(server) == sample_session()["recording"]["session_id"]
    assert server.replay.sessions() == before
    assert before["total"] == 1


def test_it_comes_back_as_it_was_bundled(server: Server) -> None:
    sample = sample_session()
    session_id = sample["recording"]["session_id"]
    (stream,) = server.replay.recordings.download(session_id)
    assert stream.events == sample["recording"]["streams"][0]["events"]
    timeline = server.replay.timeline(session_id=session_id)
    for trace in sample["traces"]:
        trace_id = trace["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["traceId"]
        assert trace_id in timeline.traces
        assert spans_of(server.replay.trace_json(trace_id)) == spans_of(trace)


def spans_of(trace: dict[str, list[dict[str, list[dict[str, list[dict[str, str]]]]]]]) -> list[str]:
    spans = [span for group in trace["resourceSpans"] for scope in group["scopeSpans"] for span in scope["spans"]]
    return sorted(json.dumps(span, sort_keys=True) for span in spans)


def test_the_package_holds_it() -> None:
    assert (Path(__file__).parents[2] / "otel_replay" / "examples" / "sample_session.json.gz").is_file()
