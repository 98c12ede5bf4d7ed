"""``python -m otel_replay.examples.recorded_page``: the page with the buttons, until Ctrl-C."""

from __future__ import annotations

from html import escape
from pathlib import Path
from string import Template

import click
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

_STATIC = Path(__file__).parent / "static"


def create_app(receiver: str) -> Starlette:
    """The page at ``/``, recorded into ``receiver``, under a policy that lets it reach these two and nobody else."""
    html = Template((_STATIC / "index.html").read_text("utf-8")).substitute(receiver=escape(receiver))
    policy = (
        f"default-src 'none'; script-src 'self' {receiver}; connect-src 'self' {receiver}; style-src 'self'; "
        "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    page = HTMLResponse(html, headers={"content-security-policy": policy})

    async def index(_: Request) -> Response:
        return page

    return Starlette(routes=[Route("/", index), Mount("/static", StaticFiles(directory=_STATIC))])


@click.command()
@click.option("--receiver", default="http://127.0.0.1:4318", show_default=True, help="The receiver's HTTP address.")
@click.option("--port", default=8602, show_default=True, help="Where the page is served.")
def main(receiver: str, port: int) -> None:
    """Serve a page whose visitors start and stop its recording."""
    click.echo(f"recorded page: http://127.0.0.1:{port}  (recorded by {receiver}; Ctrl-C stops it)")
    uvicorn.run(create_app(receiver.rstrip("/")), port=port, log_level="warning")


if __name__ == "__main__":
    main()
