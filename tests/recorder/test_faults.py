"""The receiver is killed, the network is slow, pages reload and tabs close: what was recorded arrives, and once."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Page, Response

from tests.recorder.driving import INCREMENTAL, TOO_LATE, flush, session_of, stream_of, wait_until, write

pytestmark = [pytest.mark.browser, pytest.mark.feature("X4"), pytest.mark.feature("R1")]

RECORD = """([endpoint, name]) => {
  window.recorder = OtelReplay.record({endpoint, flushIntervalMs: 200, maskAllInputs: false});
  const writing = setInterval(() => {
    const line = name + '-' + (localStorage[name] = Number(localStorage[name] ?? 0) + 1);
    plain.append(document.createTextNode('<' + line + '>'));
  }, 20);
  addEventListener('pagehide', () => clearInterval(writing));
}"""
"""Chromium lets a page that is closed run on for up to 40 ms after ``pagehide``: that is no part of the visit."""


class Receiver:
    """``otel-replay serve`` on one port and one file, however often it is killed."""

    def __init__(self, db: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.db = db
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        line = [sys.executable, "-m", "otel_replay", "serve", "--db", str(self.db)]
        line += ["--grpc-port", "0", "--http-port", str(self.port)]
        self.process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while not self._is_up():
            assert time.monotonic() < deadline, "the receiver does not start"
            time.sleep(0.1)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def streams(self, session: str) -> list[dict[str, Any]]:
        answer = requests.get(f"{self.url}/api/v1/sessions/{session}/recording?max_bytes=50000000", timeout=30)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["streams"]
        return found

    def stream(self, session: str, stream_id: str) -> dict[str, Any]:
        (found,) = (stream for stream in self.streams(session) if stream["stream_id"] == stream_id)
        return found

    def _is_up(self) -> bool:
        try:
            return requests.get(f"{self.url}/readyz", timeout=5).status_code == 200
        except requests.ConnectionError:
            return False


@contextmanager
def killable(db: Path) -> Iterator[Receiver]:
    receiver = Receiver(db)
    try:
        receiver.start()
        yield receiver
    finally:
        receiver.kill()


def record(page: Page, shop_url: str, receiver: Receiver, name: str) -> None:
    page.goto(f"{shop_url}/shop?{name}")
    page.evaluate(RECORD, [receiver.url, name])


def throttle(page: Page) -> None:
    """A bad mobile network: 400 ms there and back, 50 KB a second."""
    session = page.context.new_cdp_session(page)
    conditions = {"offline": False, "latency": 400, "downloadThroughput": 50_000, "uploadThroughput": 50_000}
    session.send("Network.emulateNetworkConditions", conditions)


def lines(streams: list[dict[str, Any]], name: str) -> list[int]:
    """The numbers of the lines that were added by the pages of this name, in the order of the recording."""
    found = []
    for stream in streams:
        for event in stream["events"]:
            if event["type"] == INCREMENTAL and event["data"]["source"] == 0:
                texts = (add["node"].get("textContent", "") for add in event["data"]["adds"])
                found += [int(text[1:-1].split("-")[1]) for text in texts if text.startswith(f"<{name}-")]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("away_s", [3, 30])
@pytest.mark.timeout(240)
def test_everything_that_pages_could_send_arrives_once(tab: Page, shop_url: str, tmp_path: Path, away_s: int) -> None:
    with killable(tmp_path / "replay.db") as receiver:
        context = tab.context
        slow, typing = context.new_page(), context.new_page()
        for page, name in ((tab, "stays"), (slow, "reloads"), (typing, "closes")):
            record(page, shop_url, receiver, name)
        throttle(slow)
        session = session_of(tab)
        assert {session_of(slow), session_of(typing)} == {session}
        for page in (tab, slow, typing):
            flush(page)
        receiver.kill()
        tab.wait_for_timeout(away_s * 500)
        typing.locator("#secret").press_sequentially("in the middle of a wo")
        typing.close()
        slow.reload()
        slow.evaluate(RECORD, [receiver.url, "reloaded"])
        tab.wait_for_timeout(away_s * 500)
        receiver.start()
        for page in (tab, slow):
            page.evaluate("() => dispatchEvent(new Event('online'))")  # instead of up to a minute for the next look
        names = ("stays", "reloads", "closes")
        written = {name: int(tab.evaluate("name => localStorage[name]", name)) for name in names}

        def has_arrived() -> bool:
            streams = receiver.streams(session)
            return all(len(lines(streams, name)) >= count for name, count in written.items())

        wait_until(has_arrived, tab, 120)
        for page in (tab, slow):
            page.evaluate("() => recorder.stop()")
        streams = receiver.streams(session)
        for name in (*names, "reloaded"):
            found = lines(streams, name)
            assert found == list(range(found[0], found[0] + len(found))), f"{name}: each once and in order"
            assert found[0] == 1
        assert [stream["gaps"] for stream in streams] == [[], [], []]
        typed = [event["data"].get("text") for stream in streams for event in stream["events"] if event["type"] == 3]
        assert "in the middle of a wo" in typed


def test_what_is_lost_is_a_gap_and_playing_goes_on_at_the_next_snapshot(
    tab: Page, shop_url: str, tmp_path: Path
) -> None:
    with killable(tmp_path / "replay.db") as receiver:
        record(tab, shop_url, receiver, "page")
        flush(tab)
        refused: list[Response] = []
        tab.route("**/events", lambda route: route.fulfill(status=400) if not refused else route.continue_())
        tab.on("response", lambda response: refused.append(response) if response.status == 400 else None)
        write(tab, "lost")
        wait_until(lambda: len(refused) == 1, tab)
        session = session_of(tab)
        wait_until(lambda: bool(receiver.streams(session)[0]["gaps"]), tab)
        wait_until(lambda: receiver.streams(session)[0]["gaps"][0]["resumes_at"] is not None, tab)
        write(tab, "found again")
        tab.evaluate("() => recorder.stop()")
        (stream,) = receiver.streams(session)
        (gap,) = stream["gaps"]
        assert (gap["missing"], gap["reason"]) == (1, "missing")
        assert gap["resumes_at"] > gap["after_seq"] + 1
        times = [event["timestamp"] for event in stream["events"]]
        assert all(earlier <= later for earlier, later in pairwise(times))
        assert "found again" in str(stream["events"])


@pytest.mark.parametrize("transport", ["chunks", "otlp"])
def test_what_a_tab_that_closes_cannot_keep_is_a_gap(tab: Page, shop_url: str, tmp_path: Path, transport: str) -> None:
    """Neither in IndexedDB, for which it is too late, nor in a note, for which it is too long."""
    start = "options => { window.recorder = OtelReplay.record(options) }"
    with killable(tmp_path / "replay.db") as receiver:
        options = {"endpoint": receiver.url, "transport": transport, "flushIntervalMs": 200}
        closing = tab.context.new_page()
        closing.goto(f"{shop_url}/shop")
        closing.evaluate(start, options)
        flush(closing)
        session, stream_id = session_of(closing), stream_of(closing)
        receiver.kill()
        closing.evaluate(TOO_LATE)
        write(closing, "too long " * 10_000)
        closing.close()
        receiver.start()
        before = receiver.stream(session, stream_id)
        tab.goto(f"{shop_url}/shop")
        tab.evaluate(start, options)
        wait_until(lambda: bool(receiver.stream(session, stream_id)["gaps"]), tab)
        stream = receiver.stream(session, stream_id)
    assert before["gaps"] == []
    (gap,) = stream["gaps"]
    assert (gap["after_seq"], gap["missing"]) == (before["to_seq"], stream["to_seq"] - before["to_seq"] - 1)
    assert gap["missing"] >= 1
    assert stream["events"][-1]["data"]["tag"] == "otel.end"
