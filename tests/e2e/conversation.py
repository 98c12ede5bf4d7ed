"""A visitor of the example application: asks in the page, reads the answers, leaves with everything sent."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests
from playwright.sync_api import Browser, Page, Request, expect, sync_playwright

from otel_replay.examples.chat.stub import answer_to

QUESTIONS = ("Can I return a book that I got as a present?", "And how long does delivery take?")
_TIMEOUT = 20.0


@dataclass(frozen=True, slots=True)
class Turn:
    """One question and what came of it; the trace id is the one that the page sent to the application."""

    question: str
    answer: str
    trace_id: str


@dataclass(frozen=True, slots=True)
class Visit:
    """One session of the page, as the page knows it."""

    session_id: str
    stream_id: str
    turns: tuple[Turn, ...]


@contextmanager
def chromium() -> Iterator[Browser]:
    """The system's Chromium, else the one that Playwright downloaded."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield browser
        browser.close()


def visit(browser: Browser, url: str, questions: tuple[str, ...] = QUESTIONS, key_ms: int = 0) -> Visit:
    """Open the page, type and send each question, and wait until its answer is there and recorded.

    ``key_ms`` is the time between two keys; at 0 a question is there at once.
    """
    page = browser.new_page(viewport={"width": 900, "height": 700})
    try:
        page.goto(url)
        page.wait_for_function("() => window.recorder")
        turns = tuple(_ask(page, question, key_ms) for question in questions)
        page.evaluate("() => window.recorder.flush()")
        session_id, stream_id = page.evaluate("() => [window.recorder.sessionId, window.recorder.streamId]")
        return Visit(session_id, stream_id, turns)
    finally:
        page.close()


def wait_for_story(receiver_url: str, turn: Turn) -> None:
    """Until the turn's timeline is whole: spans leave the application a second after they end."""
    deadline = time.monotonic() + _TIMEOUT
    entries: list[dict[str, Any]] = []
    while time.monotonic() < deadline:
        entries = _entries(f"{receiver_url}/api/v1/traces/{turn.trace_id}/timeline")
        if is_whole(entries, turn):
            return
        time.sleep(0.1)
    told = "\n".join(f"{entry['kind']}: {entry['title']}" for entry in entries)
    raise AssertionError(f"not the whole story of {turn} within {_TIMEOUT:g} s, but:\n{told}")


def is_whole(entries: list[dict[str, Any]], turn: Turn) -> bool:
    """Whether there are the click, the server's span, the model's, and the answer on the page."""
    own = [entry for entry in entries if entry["trace_id"] == turn.trace_id]
    kinds = {entry["kind"] for entry in own}
    served = any(entry["detail"].get("span_kind") == "SERVER" for entry in own)
    return {"action", "interaction"} <= kinds and served and shows(entries, turn.answer) is not None


def shows(entries: list[dict[str, Any]], answer: str) -> dict[str, Any] | None:
    """The first entry of a change of the page whose text holds the whole answer."""
    texts = (entry for entry in entries if entry["detail"].get("type") == "text")
    return next((entry for entry in texts if answer in entry["detail"]["text"]), None)


def _entries(url: str) -> list[dict[str, Any]]:
    answer = requests.get(url, timeout=10)
    if answer.status_code == requests.codes.not_found:
        return []
    answer.raise_for_status()
    entries: list[dict[str, Any]] = answer.json()["entries"]
    return entries


def _ask(page: Page, question: str, key_ms: int) -> Turn:
    answers = page.locator("#messages .assistant:not(.waiting):not(.failed)")
    earlier = answers.count()
    if key_ms:
        page.locator("#message").press_sequentially(question, delay=key_ms)
    else:
        page.locator("#message").fill(question)
    with page.expect_request("**/api/chat") as asked:
        page.click("#send")
    expect(answers).to_have_count(earlier + 1, timeout=_TIMEOUT * 1_000)
    expect(answers.last).to_have_text(answer_to(question))
    return Turn(question, answer_to(question), _trace_id(asked.value))


def _trace_id(request: Request) -> str:
    version, trace_id, _, _ = request.headers["traceparent"].split("-")
    assert version == "00"
    return trace_id
