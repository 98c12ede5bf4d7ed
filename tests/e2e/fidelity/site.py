"""A site with everything that is hard to replay, on which the recorder runs, and a page with the plain rrweb-player."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.recorder.gallery import BLUE, GREEN, GREY, RED, font, png

FOLDER = Path(__file__).parent
PLAYER = FOLDER.parents[2] / "otel_replay" / "web" / "page" / "node_modules" / "rrweb-player"
ANSWER = "Yes — when it is unused, and within a fortnight 🦊"
HALF = "unused,"
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}


@dataclass
class Site:
    """``receiver`` is where the recorder comes from and sends to; ``asked`` are the paths and queries of requests."""

    receiver: str
    asked: list[str] = field(default_factory=list)
    _goes_on: asyncio.Event = field(default_factory=asyncio.Event)

    def app(self) -> Starlette:
        own = [
            Route("/", self._page),
            Route("/answer", self._answer),
            Route("/go-on", self._go_on, methods=["POST"]),
        ]
        return Starlette(routes=[*own, Route("/{name}", self._file)])

    async def _page(self, _request: Request) -> Response:
        self.asked.append("/")
        return HTMLResponse((FOLDER / "page.html").read_text("utf-8").replace("{receiver}", self.receiver))

    async def _answer(self, _request: Request) -> Response:
        async def words() -> AsyncIterator[str]:
            for word in ANSWER.split():
                yield f"{word} " if word != HALF else word
                await asyncio.sleep(0.02)
                if word == HALF:
                    await self._goes_on.wait()
                    yield " "

        return StreamingResponse(words(), media_type="text/plain")

    async def _go_on(self, _request: Request) -> Response:
        self._goes_on.set()
        return Response()

    async def _file(self, request: Request) -> Response:
        name = request.path_params["name"]
        self.asked.append(request.url.path + (f"?{request.url.query}" if request.url.query else ""))
        found = files().get(name)
        return Response(found[0], media_type=found[1]) if found else Response("not here", 404)


def files() -> dict[str, tuple[bytes, str]]:
    """Contents and types by name."""
    images = {"red": (60, 40, RED), "green": (30, 20, GREEN), "blue": (50, 25, BLUE), "paper": (6, 6, GREY)}
    made = {f"{name}.png": (png(*what), "image/png") for name, what in images.items()}
    made["seal.png"] = (png(24, 24, GREY, noise=True), "image/png")
    made["signs.ttf"] = (font(), "font/ttf")
    for name in ("look.css", "page.js", "frame.html", "plain.html"):
        made[name] = ((FOLDER / name).read_bytes(), TYPES[Path(name).suffix])
    made["player.js"] = ((PLAYER / "dist" / "rrweb-player.umd.min.cjs").read_bytes(), "text/javascript")
    made["player.css"] = ((PLAYER / "dist" / "style.css").read_bytes(), "text/css")
    return made
