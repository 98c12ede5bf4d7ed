"""A small shop that somebody else's SDK records, and a page that plays what was recorded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from tests.outside.outside import Outside, eventually
from tests.vendors.installed import SOURCE

ANSWER = "A lamp is 12 € — and nothing more, 🦊 included."

Events = list[dict[str, Any]]


@dataclass
class Shop:
    """``scripts`` are the vendor's own files, ``start`` is the body of what starts them in the page."""

    packages: Path
    scripts: tuple[Path, ...]
    start: str
    headers: list[dict[str, str]] = field(default_factory=list)
    """Of every request to the shop's own interface."""

    def app(self) -> Starlette:
        replayer = self.packages / "node_modules" / "@rrweb" / "replay" / "umd" / "replay.min.js"
        files = {"/": SOURCE / "shop.html", "/replay": SOURCE / "replay.html", "/replayer.js": replayer}
        routes = [Route(path, _file(file)) for path, file in files.items()]
        api = Route("/api/price", self._price, methods=["POST"])
        return Starlette(routes=[*routes, Route("/vendor.js", self._vendor), api])

    async def _vendor(self, _request: Request) -> Response:
        scripts = [script.read_text("utf-8") for script in self.scripts]
        script = "\n".join([*scripts, f"function startRecording() {{ {self.start} }}\n"])
        return Response(script, media_type="text/javascript")

    async def _price(self, request: Request) -> Response:
        self.headers.append(dict(request.headers))
        return JSONResponse({"answer": ANSWER})


def _file(path: Path) -> Any:
    async def send(_request: Request) -> Response:
        return FileResponse(path)

    return send


@contextmanager
def visitor(browser: Browser) -> Iterator[BrowserContext]:
    """A visitor whose tabs can say what they show: ``shape(element)``."""
    context = browser.new_context(viewport={"width": 900, "height": 700})
    context.set_default_timeout(20_000)
    context.add_init_script(path=SOURCE / "shape.js")
    yield context
    context.close()


def buy(tab: Page, lamps: int) -> None:
    """What a visitor does: types, ticks, adds lamps, scrolls, asks, and goes to another view."""
    tab.locator("#name").press_sequentially("Ada")
    tab.locator("#gift").check()
    for _ in range(lamps):
        tab.locator("#add").click()
    tab.locator("#list").evaluate("list => list.scrollTo(0, 1000)")
    tab.locator("#ask").click()
    tab.locator("#answer", has_text=ANSWER).wait_for()
    tab.locator("#route").click()


def leave_a_word(tab: Page, word: str) -> list[str]:
    """The last text that the page gets; and what the visitor sees then."""
    shown: list[str] = tab.evaluate(
        "word => { document.querySelector('main').append(word); return shape(document.body) }", word
    )
    return shown


def replayed(context: BrowserContext, url: str, events: Events) -> list[str]:
    """What rrweb's own Replayer shows after the last event."""
    tab = context.new_page()
    tab.goto(f"{url}/replay")
    shown: list[str] = tab.evaluate("events => replay(events)", events)
    tab.close()
    return shown


def sessions(receiver: Outside) -> list[dict[str, Any]]:
    """Those with a recording."""
    listed: list[dict[str, Any]] = receiver.document("/api/v1/sessions")["sessions"]
    return [session for session in listed if session["has_recording"]]


def streams(receiver: Outside) -> list[tuple[str, Events]]:
    """Name and events of every stream of every session: a page may be in several."""
    paths = [f"/api/v1/sessions/{session['session_id']}/recording" for session in sessions(receiver)]
    return [(one["stream_id"], one["events"]) for path in paths for one in receiver.document(path)["streams"]]


def recorded(receiver: Outside, *words: str) -> list[Events]:
    """The stream of each page by the word that it was left with, once all of them have come as a whole."""

    def found() -> list[Events]:
        pages = streams(receiver)
        return [events for word in words for _, events in pages if word in added_texts(events)]

    return eventually(found, lambda pages: len(pages) == len(words))


def added_texts(events: Events) -> set[str]:
    """Text nodes that the page got after its snapshot."""
    changes = [event["data"] for event in events if event["type"] == 3 and event["data"]["source"] == 0]
    added = [entry["node"] for change in changes for entry in change["adds"]]
    return {node["textContent"] for node in added if node["type"] == 3}
