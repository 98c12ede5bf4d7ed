"""The hook ``useSessionRecording`` with the real React: the example page, built by esbuild."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.recorder.capture import Capture
from tests.recorder.driving import CUSTOM, FULL_SNAPSHOT, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.feature("K14")]

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "otel_replay" / "examples" / "recorded_page" / "react"
HOOK = ROOT / "otel_replay" / "browser" / "src" / "react.ts"
FILES = ("package.json", "package-lock.json", "build.mjs", "app.jsx")


PORTAL = """
import { createRoot } from "react-dom/client";
import { useSessionRecording } from "otel-replay-browser/react";

function Portal() {
  const { recorder, state, sessionId, start } = useSessionRecording({ endpoint: document.body.dataset.receiver });
  return (
    <>
      <p role="status" data-session={sessionId}>{state}</p>
      <button id="out" onClick={() => void recorder.end()}>Log out</button>
      <button id="in" onClick={start}>Log in</button>
    </>
  );
}

createRoot(document.getElementById("root")).render(<Portal />);
"""
"""An application whose users log out and in again."""


@pytest.fixture(scope="module")
def react() -> Path:
    """React, and what builds the example."""
    folder = ROOT / ".build" / "react"
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copy(EXAMPLE / name, folder / name)
    if not (folder / "node_modules" / "react-dom").is_dir():
        npm(folder, "ci", "--no-audit", "--no-fund")
    return folder


@pytest.fixture(scope="module")
def app(react: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The example's script; React's development build, in which strict mode mounts every component twice."""
    return built(react, tmp_path_factory.mktemp("react"))


@pytest.fixture(scope="module")
def portal(react: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("portal")
    for name in ("package.json", "build.mjs"):
        shutil.copy(react / name, folder / name)
    (folder / "node_modules").symlink_to(react / "node_modules")
    (folder / "app.jsx").write_text(PORTAL)
    return built(folder, folder)


def built(folder: Path, to: Path) -> str:
    out = to / "app.js"
    npm(folder, "run", "--silent", "build", RECORDER=str(HOOK), OUT=str(out), NODE_ENV="development")
    return out.read_text()


def npm(folder: Path, *arguments: str, **environment: str) -> None:
    ran = subprocess.run(
        [str(ROOT / ".ci" / "npm"), *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if ran.returncode and arguments[0] == "ci" and not os.environ.get("CI"):
        pytest.skip("npm cannot install React here")
    assert ran.returncode == 0, ran.stderr


@pytest.fixture
def page(tab: Page, shop: Capture, shop_url: str, receiver_url: str, app: str) -> Page:
    shop.scripts["/app.js"] = app
    shop.pages["/react"] = (
        f"<!doctype html><meta charset=utf-8><body data-receiver='{receiver_url}'>"
        "<div id=root></div><script src=/app.js></script>"
    )
    tab.goto(f"{shop_url}/react")
    return tab


def test_the_page_is_recorded_while_the_component_is_there(page: Page, receiver: Capture) -> None:
    expect(page.get_by_role("status")).to_have_text("Recording")
    page.click("#add")
    wait_until(lambda: "book 1" in json.dumps(receiver.events()), page)
    session = page.get_by_role("status").get_attribute("data-session")
    assert receiver.session_ids == {session}
    page.click("#close")
    page.wait_for_timeout(300)
    sent = len(receiver.events())
    page.evaluate("() => { document.title = 'later'; document.body.append('later') }")
    page.wait_for_timeout(300)
    assert len(receiver.events()) == sent
    assert page.evaluate("() => fetch.toString().includes('[native code]')")


def test_the_buttons_stop_pause_and_start(page: Page, receiver: Capture) -> None:
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("status")).to_have_text("Paused")
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_role("status")).to_have_text("Recording")
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("status")).to_have_text("Not recorded")
    page.wait_for_timeout(300)
    before = snapshots(receiver)
    page.get_by_role("button", name="Start recording").click()
    expect(page.get_by_role("status")).to_have_text("Recording")
    page.click("#add")
    wait_until(lambda: snapshots(receiver) > before, page)


def test_the_session_follows_the_user(page: Page, receiver: Capture) -> None:
    wait_until(lambda: users(receiver)[-1:] == ["u1"], page)
    page.click("#login")
    wait_until(lambda: users(receiver)[-1:] == ["u2"], page)


def test_a_recording_that_was_ended_begins_again(
    tab: Page, shop: Capture, shop_url: str, receiver: Capture, receiver_url: str, portal: str
) -> None:
    shop.scripts["/app.js"] = portal
    shop.pages["/react"] = (
        f"<!doctype html><body data-receiver='{receiver_url}'><div id=root></div><script src=/app.js></script>"
    )
    tab.goto(f"{shop_url}/react")
    status = tab.get_by_role("status")
    expect(status).to_have_text("recording")
    first = status.get_attribute("data-session")
    tab.click("#out")
    wait_until(lambda: len(receiver.named("session.end")) == 1, tab)
    tab.click("#in")
    expect(status).not_to_have_attribute("data-session", str(first))
    expect(status).to_have_text("recording")
    wait_until(lambda: status.get_attribute("data-session") in receiver.session_ids, tab)


def test_a_wrong_option_leaves_the_page_standing(tab: Page, shop: Capture, shop_url: str, app: str) -> None:
    shop.scripts["/app.js"] = app
    shop.pages["/react"] = (
        "<!doctype html><meta charset=utf-8><body data-receiver='ftp://x'><div id=root></div>"
        "<script src=/app.js></script>"
    )
    tab.goto(f"{shop_url}/react")
    expect(tab.get_by_role("status")).to_have_text("Not recorded")
    tab.click("#add")
    expect(tab.get_by_text("book 1")).to_be_visible()


def snapshots(receiver: Capture) -> int:
    return [event["type"] for event in receiver.events()].count(FULL_SNAPSHOT)


def users(receiver: Capture) -> list[str]:
    """As the session's announcements tell, in order."""
    told = [event["data"] for event in receiver.events() if event["type"] == CUSTOM]
    return [one["payload"]["attributes"].get("user.id") for one in told if one["tag"] == "otel.session"]
