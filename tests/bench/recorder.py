"""``python -m tests.bench.recorder``: what recording costs the page that is recorded.

CPU time of the page's main thread, and bytes that it sends: of the same visit without a recorder, with ours, with rrweb
and a sender of ten lines, and with HyperDX' SDK, in turns, each in a Chromium of its own. All send to a sink that says
yes and counts. Five rounds of a minute take half an hour; ``--seconds 10 --rounds 1`` is a trial.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Page
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.e2e.conversation import chromium
from tests.recorder.gallery import RED, png
from tests.vendors.installed import installed
from tests.web.loopback import serving

from .load import machine
from .promises import HYPERDX, OWN, PLAIN_RRWEB, VISIT
from .report import Report
from .rows import Row

PAGES = Path(__file__).parent / "recorder_pages"
NOBODY = "no recorder"
ROUNDS = 5
SECONDS = 60
PART_S = 10
"""A visit does the same things again and again."""
REST_S = 7.0
"""All of them send every 5 s or more often."""
WORDS = ("You may *return* a lamp within two weeks, unused and with the bill. \n" * 5).split(" ")
WORD_S = 0.04
QUESTION = "May I return my lamp 12?"
KEY_MS = 60

NOTES = """\
A visit is a page with a chat whose answers stream in, a table that is sorted and marked, typing, the mouse, the wheel,
changes of the address, and requests that fail (tests/bench/recorder_pages). Times are CPU times of the page's main
thread as Chromium counts them for its tasks, loading of the page and of the recorder included; what is added is against
the visit without a recorder in the same round. Sent is what arrives: request lines, headers and bodies, preflights
included. Each recorder is started as its own instructions say; rrweb's events go out in gzip every two seconds. Our
recorder sends spans, events and the files that the page shows as well, HyperDX' sends spans as well.
"""


@dataclass(frozen=True)
class Recorder:
    """Its scripts, and what starts it with ``{sink}`` for where it sends to."""

    name: str
    scripts: tuple[Path, ...] = ()
    start: str = ""


@dataclass
class Sink:
    """Says yes to everything, from every origin."""

    requests: int = 0
    bytes: int = 0

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/{path:path}", self._answer, methods=["GET", "POST", "OPTIONS"])])

    async def _answer(self, request: Request) -> Response:
        head = len(f"{request.method} {request.url.path} HTTP/1.1\r\n\r\n")
        head += sum(len(name) + len(value) + 4 for name, value in request.headers.raw)
        self.bytes += head + len(await request.body())
        self.requests += 1
        allowed = {
            "access-control-allow-origin": request.headers.get("origin", "*"),
            "access-control-allow-headers": request.headers.get("access-control-request-headers", "*"),
            "access-control-allow-credentials": "true",
            "access-control-max-age": "600",
        }
        return JSONResponse({}, headers=allowed)


@dataclass(frozen=True)
class Desk:
    """The page that is visited."""

    recorder: Recorder
    sink_url: str

    def app(self) -> Starlette:
        files = [Route(f"/{name}", _file(PAGES / name)) for name in ("visit.css", "visit.js")]
        own = [
            Route("/", _file(PAGES / "visit.html")),
            Route("/recorder.js", self._recorder),
            Route("/logo.png", self._logo),
            Route("/answer", self._talk, methods=["POST"]),
        ]
        return Starlette(routes=[*own, *files])

    async def _recorder(self, _request: Request) -> Response:
        scripts = [script.read_text("utf-8") for script in self.recorder.scripts]
        start = self.recorder.start.replace("{sink}", self.sink_url)
        return Response(
            "\n".join([*scripts, f"function startRecording() {{ {start} }}\n"]), media_type="text/javascript"
        )

    async def _logo(self, _request: Request) -> Response:
        return Response(png(64, 64, RED), media_type="image/png")

    async def _talk(self, _request: Request) -> Response:
        async def words() -> AsyncIterator[str]:
            for word in WORDS:
                yield f"{word} "
                await asyncio.sleep(WORD_S)

        return StreamingResponse(words(), media_type="text/plain")


def _file(path: Path) -> Callable[[Request], Coroutine[None, None, Response]]:
    async def send(_request: Request) -> Response:
        return FileResponse(path)

    return send


def recorders() -> tuple[Recorder, ...]:
    """As their own instructions start them."""
    own = machine.ROOT / "otel_replay" / "web" / "static" / "otel-replay.js"
    rrweb = machine.ROOT / "otel_replay/browser/node_modules/@rrweb/record/umd/record.min.js"
    hyperdx = installed() / "node_modules/@hyperdx/browser/build/index.js"
    return (
        Recorder(NOBODY),
        Recorder(PLAIN_RRWEB, (rrweb, PAGES / "plain.js"), "startPlainRrweb('{sink}/events');"),
        Recorder(OWN, (own,), "OtelReplay.record({ endpoint: '{sink}' });"),
        Recorder(
            HYPERDX,
            (hyperdx,),
            "HyperDX.init({ url: '{sink}', apiKey: 'key', service: 'desk', consoleCapture: true });",
        ),
    )


def measured(rounds: int, seconds: int) -> Iterator[Row]:
    """Medians; what is ``added`` is against the visit without a recorder in the same round."""
    candidates = recorders()
    found: dict[str, list[dict[str, float]]] = {one.name: [] for one in candidates}
    for number in range(rounds):
        for one in candidates if number % 2 else reversed(candidates):
            found[one.name].append(visited(one, seconds))
            print(f"round {number + 1} of {rounds}, {one.name}: {found[one.name][-1]}", file=sys.stderr, flush=True)
    for name, visits in found.items():
        for values, without in zip(visits, found[NOBODY], strict=True):
            values["added ms"] = values["main thread ms"] - without["main thread ms"]
        medians = {figure: statistics.median(values[figure] for values in visits) for figure in visits[0]}
        yield Row("recorder", name, VISIT.format(seconds), medians)


def visited(candidate: Recorder, seconds: int) -> dict[str, float]:
    """One visit; times are CPU times of the page's main thread."""
    sink = Sink()
    with serving(sink.app()) as sink_url, serving(Desk(candidate, sink_url).app()) as url, chromium() as browser:
        page = browser.new_page(viewport={"width": 1000, "height": 800})
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        page.goto(url)
        began = time.monotonic()
        for part in range(seconds // PART_S):
            work(page, began + part * PART_S)
        wait_until(page, began + seconds + REST_S)
        metrics = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
        page.goto("about:blank")  # what is left is sent as the page goes
        page.wait_for_timeout(1_000)
    return {
        "main thread ms": metrics["TaskDuration"] * 1e3,
        "script ms": metrics["ScriptDuration"] * 1e3,
        "sent KB": sink.bytes / 1e3,
        "requests": sink.requests,
    }


def work(page: Page, began: float) -> None:
    """Ten seconds: a question whose answer streams in, a table, the mouse, the wheel, a request that fails."""
    wait_until(page, began)
    page.mouse.move(300, 90, steps=15)
    page.locator("#question").click()
    page.locator("#question").press_sequentially(QUESTION, delay=KEY_MS)
    page.locator("#send").click()
    wait_until(page, began + 5.5)
    page.locator("#orders-tab").click()
    for second in (6, 6.3, 6.6):
        wait_until(page, began + second)
        page.locator("#sort").click()
    page.mouse.move(400, 500, steps=10)
    for _ in range(5):
        page.mouse.wheel(0, 120)
        page.wait_for_timeout(60)
    wait_until(page, began + 7.5)
    page.locator("#mark").click()
    page.mouse.move(100, 300, steps=30)
    wait_until(page, began + 9)
    page.locator("#chat-tab").click()


def wait_until(page: Page, moment: float) -> None:
    """A visit that is late goes on at once: it does as much as the others."""
    page.wait_for_timeout(max(0.0, moment - time.monotonic()) * 1e3)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.recorder", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=int, default=SECONDS, help=f"of a visit, in steps of {PART_S}")
    parser.add_argument(
        "--results", type=Path, default=machine.ROOT / "docs" / "results", help="the folder for reports"
    )
    args = parser.parse_args()
    conditions = machine.describe() | {"Visits": f"medians of {args.rounds}, in turns"}
    report = Report(conditions, args.results / f"recorder-{machine.today()}", notes=NOTES)
    for row in measured(args.rounds, args.seconds):
        report.add(row)
    report.write()
    print(report.markdown())


if __name__ == "__main__":
    main()
