"""The command line: ``otel-replay serve``, and reading what it stored."""

from __future__ import annotations

import json
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TextIO, TypeVar

import click

from otel_replay import __version__
from otel_replay.config import LOOPBACK_ORIGINS, Settings, environment_name
from otel_replay.errors import InvalidRequest, NotFound, ReplayError, UnsupportedRequest

EXIT_FAILED, EXIT_USAGE, EXIT_NOT_FOUND = 1, 2, 4

LATER = {
    "export": "exporting sessions",
    "import": "importing sessions",
    "backup": "online backups",
    "insights": "insights by a language model",
    "keys": "keys and scopes",
    "prune": "retention",
    "erase": "erasure",
    "check": "integrity checks",
    "sql": "SQL over typed rows",
    "mcp": "the model-context server",
}
"""Commands that the interface names and this version does not have."""

Function = TypeVar("Function", bound=Callable[..., Any])


def option(*names: str, **settings: Any) -> Callable[[Function], Function]:
    """A click option that is also read from its environment variable, which ``--help`` shows."""
    return click.option(*names, envvar=environment_name(names[0]), show_envvar=True, **settings)


class _Commands(click.Group):
    """Knows the commands that come later, so that asking for one is answered with that."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in LATER:
            raise click.UsageError(f"'{cmd_name}' is not in version {__version__}: {LATER[cmd_name]} comes later.", ctx)
        return super().get_command(ctx, cmd_name)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="otel-replay")
def cli() -> None:
    """Session replay, traces and LLM calls in one small OpenTelemetry receiver."""


@cli.command()
@option(
    "--db", type=click.Path(dir_okay=False, path_type=Path), default="replay.db", show_default=True, help="SQLite file."
)
@option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@option(
    "--grpc-port", type=click.IntRange(0, 65535), default=4317, show_default=True, help="OTLP/gRPC; 0: any free port."
)
@option("--http-port", type=click.IntRange(0, 65535), default=4318, show_default=True, help="OTLP/HTTP, API and page.")
@option("--browser-origins", default=LOOPBACK_ORIGINS, help="Regular expression: web origins that may send.")
@option("--allow-unauthenticated", is_flag=True, help="Listen beyond loopback although there are no keys yet.")
@option("--demo", is_flag=True, help="Load the sample session and start the example chat application.")
@option("--demo-port", type=click.IntRange(0, 65535), default=8600, show_default=True, help="Port of the example.")
def serve(
    db: Path,
    host: str,
    grpc_port: int,
    http_port: int,
    browser_origins: str,
    allow_unauthenticated: bool,
    demo: bool,
    demo_port: int,
) -> None:
    """Receive telemetry and recordings, and serve the page."""
    from otel_replay.server import Server, collect_garbage_rarely

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    server = Server(Settings(db, host, grpc_port, http_port, browser_origins, allow_unauthenticated))
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    server.start()
    collect_garbage_rarely()
    example = None
    try:
        click.echo(f"otel-replay: grpc {server.grpc_address}", err=True)
        click.echo(f"otel-replay: http {server.http_url}", err=True)
        if demo:
            from otel_replay.demo import start_demo

            example = start_demo(server, demo_port)
        stopping.wait()
        click.echo("otel-replay: stopping", err=True)
    finally:
        if example is not None:
            example.stop()
        server.stop()


def source_options(command: Function) -> Function:
    """``--db`` and ``--url``: where to read from."""
    command = option(
        "--url", metavar="URL", help="Ask a running server (http://127.0.0.1:4318) instead of reading a file."
    )(command)
    return option(
        "--db", type=click.Path(dir_okay=False), default="replay.db", show_default=True, help="SQLite file to read."
    )(command)


def _open(db: str, url: str | None) -> Any:
    from otel_replay.query.opening import open_replay

    return open_replay(url or db)


@cli.command()
@click.argument("trace_id", required=False)
@option("--session", "session_id", metavar="ID", help="The timeline of a session.")
@option("--conversation", "conversation_id", metavar="ID", help="The timeline of a conversation.")
@source_options
@option(
    "--format", "form", type=click.Choice(["text", "json", "jsonl"]), default="text", show_default=True, help="Output."
)
def timeline(
    trace_id: str | None, session_id: str | None, conversation_id: str | None, db: str, url: str | None, form: str
) -> None:
    """The whole story of a trace, a session or a conversation, in order."""
    if sum(map(bool, (trace_id, session_id, conversation_id))) != 1:
        raise click.UsageError("Name one of TRACE_ID, --session ID and --conversation ID.")
    replay = _open(db, url)
    try:
        found = replay.timeline(trace_id, session_id=session_id, conversation_id=conversation_id)
    finally:
        replay.close()
    if form == "text":
        found.print()
    elif form == "json":
        _print_json(found.to_dict())
    else:
        for entry in found.entries:
            _print_json(entry.to_dict())


@cli.command()
@option("--user", help="Only sessions of this user.id.")
@option("--feature", help="Only sessions of this feature.")
@option("--label", help="Only sessions with this label.")
@option("--service", help="Only sessions with an AI span of this service.")
@option("--model", help="Only sessions with an AI span of this model, asked for or answering.")
@option("--state", type=click.Choice(["active", "paused", "ended"]), help="Only sessions in this state.")
@option(
    "--has-error",
    type=click.Choice(["true", "false"]),
    is_flag=False,
    flag_value="true",
    help="Only sessions with a failed AI span; =false: without one.",
)
@option("--text", help="Only sessions in whose AI spans all these words were said.")
@option("--since", metavar="TIME", help="Started at or after: RFC 3339, Unix nanoseconds, or 15m, 2d ago.")
@option("--until", metavar="TIME", help="Started before.")
@option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="Sessions on a page.")
@option("--cursor", help="The next_cursor of the page before.")
@option("--page", type=click.IntRange(min=1), help="The page of this number instead.")
@source_options
@option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Output.")
def sessions(
    db: str, url: str | None, form: str, since: str | None, until: str | None, has_error: str | None, **filters: Any
) -> None:
    """What sessions there are, newest first."""
    from otel_replay.query.times import parse_time

    now = time.time_ns()
    replay = _open(db, url)
    try:
        found = replay.sessions(
            has_error=None if has_error is None else has_error == "true",
            since_unix_nano=parse_time(since, now) if since else None,
            until_unix_nano=parse_time(until, now) if until else None,
            **filters,
        )
    finally:
        replay.close()
    if form == "json":
        _print_json(found)
    else:
        _print_sessions(found)


def _print_sessions(page: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from otel_replay.query.times import format_time

    table = Table(box=None, pad_edge=False)
    for heading in ("session", "started", "user", "feature", "calls", "actions", "errors", "recording"):
        table.add_column(heading, no_wrap=heading == "session")
    for one in page["sessions"]:
        cells = (
            one["session_id"],
            format_time(int(one["start_unix_nano"])),
            one["user"] or "",
            one["feature"] or "",
            one["interactions"],
            one["actions"],
            one["errors"],
            "yes" if one["has_recording"] else "no",
        )
        table.add_row(*(Text(_harmless(str(cell))) for cell in cells))
    console = Console(width=None if sys.stdout.isatty() else 200)
    console.print(table if page["sessions"] else "no sessions")
    if page["next_cursor"]:
        total = f"more than {page['total']}" if page["total_at_least"] else page["total"]
        click.echo(f"{total} in all; more with --cursor {page['next_cursor']}", err=True)


@cli.command()
@option(
    "--by",
    type=click.Choice(["model", "provider", "service", "operation", "user", "feature", "variant", "day"]),
    default="model",
    show_default=True,
    help="What to group by.",
)
@option("--session", "session_id", metavar="ID", help="Only this session.")
@option("--conversation", "conversation_id", metavar="ID", help="Only this conversation.")
@option("--user", help="Only calls for this user.id.")
@option("--feature", help="Only calls of this feature.")
@option("--label", help="Only calls of sessions with this label.")
@option("--service", help="Only calls by this service.")
@option("--model", help="Only calls of this model, asked for or answering.")
@option("--since", metavar="TIME", help="Started at or after: RFC 3339, Unix nanoseconds, or 15m, 2d ago.")
@option("--until", metavar="TIME", help="Started before.")
@option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="Groups shown.")
@option("--wait", metavar="DURATION", help="Wait so long at most until all that is stored is counted.")
@source_options
@option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Output.")
def stats(
    db: str, url: str | None, form: str, since: str | None, until: str | None, wait: str | None, **filters: Any
) -> None:
    """What model calls cost, how long they took, how many failed.

    Times are widened to whole hours, to whole days by user and by day; percentiles are within 1 %.
    """
    from otel_replay.query.times import parse_duration, parse_time

    now = time.time_ns()
    replay = _open(db, url)
    try:
        found = replay.stats(
            since_unix_nano=parse_time(since, now) if since else None,
            until_unix_nano=parse_time(until, now) if until else None,
            wait_ns=parse_duration(wait) if wait else 0,
            **filters,
        )
    finally:
        replay.close()
    if form == "json":
        _print_json(found)
    else:
        _print_stats(found)


def _print_stats(table: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, pad_edge=False)
    for heading in (table["by"], "calls", "errors", "tokens in", "out", "cost USD", "p50 ms", "p95 ms", "p99 ms"):
        shown.add_column(heading, justify="left" if heading == table["by"] else "right")
    for one in (*table["groups"], {"group": "all", **table["total"]}):
        tokens, latency = one["tokens"], one["latency_ns"] or {}
        times = (f"{int(latency[name]) / 10**6:.1f}" if name in latency else "" for name in ("p50", "p95", "p99"))
        cells = (one["interactions"], one["errors"], tokens["input"], tokens["output"], one["cost_usd"], *times)
        texts = ("" if cell is None else str(cell) for cell in cells)
        shown.add_row(Text(_harmless(one["group"] or "(none)")), *map(Text, texts))
    console = Console(width=None if sys.stdout.isatty() else 200)
    console.print(shown if table["groups"] else "no model calls")
    if table["waiting"]:
        click.echo(f"{table['waiting']} more are stored and not counted yet", err=True)


@cli.command()
@click.argument("query")
@option("--session", "session_id", metavar="ID", help="Only what was said in this session.")
@option("--conversation", "conversation_id", metavar="ID", help="Only in this conversation.")
@option("--user", help="Only in calls for this user.id.")
@option("--feature", help="Only in calls of this feature.")
@option("--label", help="Only in sessions with this label.")
@option("--service", help="Only in calls by this service.")
@option("--model", help="Only in calls of this model, asked for or answering.")
@option("--since", metavar="TIME", help="Said at or after: RFC 3339, Unix nanoseconds, or 15m, 2d ago.")
@option("--until", metavar="TIME", help="Said before.")
@option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="Texts on a page.")
@option("--cursor", help="The next_cursor of the page before.")
@option("--wait", metavar="DURATION", help="Wait so long at most until all that is stored is searchable.")
@source_options
@option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Output.")
def search(
    query: str,
    db: str,
    url: str | None,
    form: str,
    since: str | None,
    until: str | None,
    wait: str | None,
    **filters: Any,
) -> None:
    """What was said in prompts, answers and tool calls, newest first; each text once, where it was said first.

    Every word has to occur. "Words in quotes" have to follow each other, and refun* is the beginning of a word.
    """
    from otel_replay.query.times import parse_duration, parse_time

    now = time.time_ns()
    replay = _open(db, url)
    try:
        found = replay.search(
            query,
            since_unix_nano=parse_time(since, now) if since else None,
            until_unix_nano=parse_time(until, now) if until else None,
            wait_ns=parse_duration(wait) if wait else 0,
            **filters,
        )
    finally:
        replay.close()
    if form == "json":
        _print_json(found)
    else:
        _print_hits(found)


def _print_hits(page: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.text import Text

    from otel_replay.query.times import format_time

    console = Console(width=None if sys.stdout.isatty() else 300)
    for hit in page["hits"]:
        about = (format_time(int(hit["start_unix_nano"])), hit["service"], hit["model"], hit["session_id"])
        console.print(Text(_harmless("  ".join(filter(None, about)))), style="dim")
        snippet = Text("  " + _harmless(hit["snippet"]))
        for start, end in hit["highlights"]:
            snippet.stylize("bold", 2 + start, 2 + end)
        console.print(snippet)
    if not page["hits"]:
        console.print("nothing found")
    if page["next_cursor"]:
        click.echo(f"more with --cursor {page['next_cursor']}", err=True)
    if page["waiting"]:
        click.echo(f"{page['waiting']} more texts are stored and not searchable yet", err=True)


def _harmless(text: str) -> str:
    """Without control characters: ids and names come from anywhere."""
    return "".join(character if character.isprintable() else "?" for character in text)


@cli.command()
@option("--service", help="Only spans of this service.")
@option("--operation", help="Only spans of this name.")
@option(
    "--attr",
    "attributes",
    metavar="KEY=VALUE",
    multiple=True,
    help="Only spans with this attribute, on span, resource, scope or event; repeatable, all must hold on one span.",
)
@option("--status", type=click.Choice(["ok", "error", "unset"]), help="Only spans with this status.")
@option("--min-duration", metavar="DURATION", help="Only spans that take at least 250ms, 1.5s, 2m.")
@option("--max-duration", metavar="DURATION", help="Only spans that take at most so long.")
@option("--since", metavar="TIME", help="Started at or after: RFC 3339, Unix nanoseconds, or 15m, 2d ago.")
@option("--until", metavar="TIME", help="Started before.")
@option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="Traces on a page.")
@option("--cursor", help="The next_cursor of the page before.")
@source_options
@option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Output.")
def traces(
    db: str,
    url: str | None,
    form: str,
    since: str | None,
    until: str | None,
    min_duration: str | None,
    max_duration: str | None,
    **filters: Any,
) -> None:
    """Traces with a span that is all that was asked for, newest first.

    An attribute's value is a string, or a number or boolean where it is written like one: --attr http.route=/cart
    --attr http.response.status_code=500. In quotes it is a string (n='"5"'), * stands for any value, and the prefixes
    span., resource., scope. and event. say where the key has to stand.
    """
    from otel_replay.query.times import parse_duration, parse_time

    now = time.time_ns()
    replay = _open(db, url)
    try:
        found = replay.traces(
            min_duration_ns=parse_duration(min_duration) if min_duration else None,
            max_duration_ns=parse_duration(max_duration) if max_duration else None,
            since_unix_nano=parse_time(since, now) if since else None,
            until_unix_nano=parse_time(until, now) if until else None,
            **filters,
        )
    finally:
        replay.close()
    if form == "json":
        _print_json(found)
    else:
        _print_traces(found)


def _print_traces(page: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from otel_replay.query.times import format_time

    table = Table(box=None, pad_edge=False)
    for heading in ("trace", "started", "service", "name", "ms", "spans", "errors", "session"):
        table.add_column(heading, no_wrap=heading == "trace", justify="right" if heading == "ms" else "left")
    for one in page["traces"]:
        cells = (
            one["trace_id"],
            format_time(int(one["start_unix_nano"])),
            one["root_service"],
            one["root_name"],
            f"{int(one['duration_ns']) / 10**6:.3f}",
            one["spans"],
            one["errors"],
            one["session_id"],
        )
        table.add_row(*(Text(_harmless(str(cell))) for cell in cells))
    console = Console(width=None if sys.stdout.isatty() else 200)
    console.print(table if page["traces"] else "no traces")
    if page["next_cursor"]:
        click.echo(f"more with --cursor {page['next_cursor']}", err=True)


@cli.command()
@click.argument("session_id")
@option("--stream", help="The stream (tab) to write, where a session has several.")
@option("--from", "since", metavar="TIME", help="From the nearest full snapshot before this time on.")
@option("--to", "until", metavar="TIME", help="Up to this time.")
@option("--output", "-o", type=click.File("w", lazy=True), default="-", help="File to write; -: standard output.")
@source_options
def recording(
    session_id: str, stream: str | None, since: str | None, until: str | None, output: TextIO, db: str, url: str | None
) -> None:
    """The rrweb events of a session, as an array of JSON."""
    from otel_replay.query.times import parse_time

    now = time.time_ns()
    replay = _open(db, url)
    try:
        found = replay.recordings.download(
            session_id,
            stream,
            from_unix_nano=parse_time(since, now) if since else None,
            to_unix_nano=parse_time(until, now) if until else None,
        )
    finally:
        replay.close()
    if len(found) > 1:
        names = _harmless(", ".join(one.stream_id for one in found))
        raise click.UsageError(f"The session has several streams; choose one with --stream: {names}")
    json.dump(found[0].events, output)
    output.write("\n")


@cli.command()
@option(
    "--workload",
    type=click.Choice(["w1", "w2", "w2c", "recordings"]),
    default="w1",
    show_default=True,
    help="What is sent.",
)
@option("--protocol", type=click.Choice(["grpc", "http"]), default="grpc", show_default=True, help="For spans.")
@option("--target", metavar="HOST:PORT", help="A running receiver; else one of its own, on an empty file.")
@option("--api", metavar="HOST:PORT", help="The target's HTTP port, to read samples back.")
@option("--spans-per-request", type=click.IntRange(1, 4096), help="Default: 512, of w2c 128.")
@option("--requests", type=click.IntRange(1), help="Default: some seconds' worth.")
@option("--seconds", type=click.FloatRange(0, min_open=True), help="Send for so long instead.")
@option("--connections", type=click.IntRange(1, 256), default=1, show_default=True, help="Of gRPC.")
@option("--in-flight", type=click.IntRange(1, 256), default=16, show_default=True, help="Unanswered requests.")
@option("--repeat", type=click.IntRange(1), default=3, show_default=True, help="Rounds; medians are reported.")
@option("--seed", help="Equal seeds send equal ids. Default: from the clock.")
@option("--work-dir", type=click.Path(exists=True, file_okay=False, path_type=Path), help="For requests and databases.")
@option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Output.")
def bench(form: str, **options: Any) -> None:
    """How fast a receiver acknowledges spans or recordings; needs Linux and a C compiler."""
    from otel_replay.bench import run_bench

    run_bench(form, **options)


def _print_json(document: Any) -> None:
    click.echo(json.dumps(document))


def main() -> NoReturn:
    """Entry point: errors become one line on standard error and an exit code (0, 1, 2, 4)."""
    try:
        cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(EXIT_FAILED)
    except ReplayError as error:
        click.echo(f"otel-replay: {_harmless(error.message)}", err=True)
        if error.hint:
            click.echo(f"  {_harmless(error.hint)}", err=True)
        sys.exit(_exit_code(error))
    except BrokenPipeError:
        sys.stderr.close()  # the reader has gone; so has the reason to complain
        sys.exit(EXIT_FAILED)
    sys.exit(0)


def _exit_code(error: ReplayError) -> int:
    if isinstance(error, NotFound):
        return EXIT_NOT_FOUND
    return EXIT_USAGE if isinstance(error, InvalidRequest | UnsupportedRequest) else EXIT_FAILED
