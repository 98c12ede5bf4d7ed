"""The built page as the receiver serves it, with answers that a test sets."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from otel_replay.web.page import page_routes


@dataclass
class PageServer:
    """``answers`` maps a path, with its query where that matters, to (status, JSON)."""

    static: Path
    answers: dict[str, tuple[int, Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/api/{path:path}", self.answer), *page_routes(self.static)])

    async def answer(self, request: Request) -> Response:
        asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        self.asked.append(asked)
        missing = (404, {"title": "Not found", "detail": f"{request.url.path} is unknown", "status": 404})
        nobody = (200, {"logged_in": False, "scopes": [], "shared": None})
        missing = nobody if request.url.path == "/api/v1/visitor" else missing
        status, body = self.answers.get(asked) or self.answers.get(request.url.path) or missing
        kind = "application/json" if status < 400 else "application/problem+json"
        return JSONResponse(body, status_code=status, media_type=kind)
