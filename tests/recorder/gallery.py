"""A page with images, a font and style sheets from its own and from another origin."""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import playwright
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

RED, GREEN, BLUE, GREY = (220, 40, 40), (30, 150, 60), (30, 60, 220), (120, 120, 120)

PAGE = """<!doctype html><meta charset="utf-8"><title>Gallery</title>
<link rel="stylesheet" href="/look.css?v=7">
<link rel="stylesheet" href="{elsewhere}/open/sheet.css">
<link rel="stylesheet" href="{elsewhere}/closed/sheet.css">
<body>
<img id="plain" src="/red.png?user=secret1" alt="">
<img id="dense" srcset="/red.png 1x, /green20.png 2x" src="/red.png" alt="">
<picture><source srcset="/green20.png 2x" media="(min-width: 1px)"><img id="chosen" src="/red.png" alt=""></picture>
<img id="open" src="{elsewhere}/open/blue.png" alt="">
<img id="closed" src="{elsewhere}/closed/blue.png" width="200" height="40" alt="">
<img id="large" src="/noise.png" width="30" height="30" alt="">
<img id="hidden" class="rr-block" src="/private.png" alt="">
<div id="background"></div>
<div id="inline" style="width: 20px; height: 20px; background: url('/green20.png?inline')"></div>
<p><span id="text" style="font: 40px Gallery, monospace">&#xea60;&#xea61;iii</span></p>
<svg width="20" height="20"><image id="drawn" href="/red.png" width="20" height="20"></image></svg>
<div id="later"></div>
<button id="send">Send</button>
<script src="/otel-replay.js"></script>
"""

LOOK = """@font-face { font-family: Gallery; src: url(font.ttf?v=1) format("truetype"); }
#background { width: 60px; height: 30px; background: url("blue.png"); }
#background:hover { background: url(never-shown.png); }
"""


@cache
def png(width: int, height: int, colour: tuple[int, int, int], noise: bool = False) -> bytes:
    """An image of one colour, or one that does not compress."""
    rows = bytearray()
    state = 1
    for _ in range(height):
        rows.append(0)
        for _ in range(width):
            if noise:
                state = state * 1103515245 + 12345 & 0x7FFFFFFF
                rows += state.to_bytes(4, "big")[:3]
            else:
                rows += bytes(colour)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def font() -> bytes:
    """The icon font of Playwright's own pages."""
    found = sorted(Path(playwright.__file__).parent.glob("driver/package/lib/vite/**/codicon*.ttf"))
    return found[0].read_bytes()


@dataclass
class Gallery:
    """Serves page and files, under ``/open`` with leave for every origin; ``asked`` counts by path and query."""

    recorder: Path
    elsewhere: str = ""
    asked: Counter[str] = field(default_factory=Counter)
    policy: str = ""

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/{path:path}", self.answer)])

    async def answer(self, request: Request) -> Response:
        path = request.url.path
        self.asked[f"{path}?{request.url.query}"] += 1
        if path == "/":
            headers = {"content-security-policy": self.policy} if self.policy else {}
            return HTMLResponse(PAGE.format(elsewhere=self.elsewhere), headers=headers)
        files = self.files()
        name = path.rpartition("/")[2]
        if name not in files:
            return Response("not here", 404)
        body, media_type = files[name]
        headers = {"cache-control": "max-age=600"}
        if path.startswith("/open/"):
            headers["access-control-allow-origin"] = "*"
        return Response(body, media_type=media_type, headers=headers)

    def files(self) -> dict[str, tuple[bytes, str]]:
        colours = {"red": RED, "blue": BLUE, "private": GREY}
        images = {f"{name}.png": (png(20, 20, colour), "image/png") for name, colour in colours.items()}
        return images | {
            "green20.png": (png(40, 40, GREEN), "image/png"),
            "noise.png": (png(320, 300, GREY, noise=True), "image/png"),
            "font.ttf": (font(), "application/octet-stream"),
            "look.css": (LOOK.encode(), "text/css"),
            "sheet.css": (b"#inline { border: 3px solid rgb(30, 60, 220); list-style: url(red.png) }", "text/css"),
            "otel-replay.js": (self.recorder.read_bytes(), "text/javascript"),
        }
