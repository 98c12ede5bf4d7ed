"""The page and the recorder script: built files, served under a policy that lets nothing in or out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

STATIC = Path(__file__).parent / "static"

PAGE_HEADERS = {
    # The replay frame inherits this policy: a hostile recording can neither run nor fetch anything, not even from here,
    # where a request would carry the visitor's cookie. Styles of recorded pages are inline, hence 'unsafe-inline' for
    # style alone.
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; img-src data: blob:; font-src data:;"
        " media-src data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-dns-prefetch-control": "off",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
}


def page_routes(static: Path = STATIC) -> list[BaseRoute]:
    """``/``, its assets, and ``/otel-replay.js``."""

    def file(name: str, headers: dict[str, str]) -> Callable[[Request], Awaitable[Response]]:
        async def serve(_request: Request) -> Response:
            if not (static / name).is_file():
                return PlainTextResponse("the page is not built; run: make page\n", 503, headers)
            return FileResponse(static / name, headers=headers)

        return serve

    # Other sites load the recorder as a script; it holds no secret.
    script_headers = {"x-content-type-options": "nosniff", "cross-origin-resource-policy": "cross-origin"}
    return [
        Route("/", file("index.html", PAGE_HEADERS)),
        Route("/otel-replay.js", file("otel-replay.js", script_headers)),
        Mount("/assets", StaticFiles(directory=static / "assets", check_dir=False)),
    ]
